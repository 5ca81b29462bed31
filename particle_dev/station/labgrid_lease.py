"""Places of a labgrid farm, taken for as long as they are used, and given back. Imports labgrid, whose licence is the
LGPL (extra ``labgrid``, in an environment of its own: it brings its own pyserial along).

A coordinator forgets who has which place when it restarts, and the links to boards do not go through it. So a lease
that lost its coordinator goes on, tries to take its places again for ``reacquire_s`` seconds, and says when it could
not: from then on somebody else may use the same board.

Source: labgrid 26.0 remote/client.py (ClientSession), remote/coordinator.py (load: acquired is dropped).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import filelock
import grpc
import platformdirs
from labgrid.remote.client import ClientSession, ServerError, UserError
from labgrid.remote.generated import labgrid_coordinator_pb2 as messages
from labgrid.util.proxy import proxymanager

from particle_dev.errors import BenchError

DEFAULT_REACQUIRE_S = 60.0
OPEN_TIMEOUT_S = 20.0
_DEFAULT_PORT = 20408
_AGAIN_S = 0.5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeasedResource:
    """What an exporter says of one resource: its labgrid class, its name in the place, its parameters."""

    kind: str
    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LeasedPlace:
    """A place that is ours. ``was_ours``: whoever called had taken it before, so it is not given back."""

    name: str
    tags: Mapping[str, str]
    resources: tuple[LeasedResource, ...]
    was_ours: bool


class Lease:
    """Places of one coordinator (``HOST`` or ``HOST:PORT``). Use as a context manager.

    Entering raises BenchError when the coordinator is not there, has no such place, or somebody else uses it, on this
    computer or elsewhere, and when the locks of this computer cannot be written; then nothing stays taken. Leaving
    gives back what was taken here.
    """

    def __init__(self, coordinator: str, places: Sequence[str], *, reacquire_s: float = DEFAULT_REACQUIRE_S) -> None:
        self.coordinator = coordinator
        self.places: tuple[LeasedPlace, ...] = ()
        self.interruptions = 0
        """How often the coordinator went away and the places were taken again."""
        self._names = tuple(places)
        self._reacquire_s = reacquire_s
        self._locks: list[filelock.FileLock] = []
        self._is_open = threading.Event()
        self._lost: BenchError | None = None
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name=f"labgrid {coordinator}", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._lock_here()
            self._thread.start()
            self._is_open.wait()
            if self._failure is not None:
                self._thread.join()
                raise self._failure
        except BaseException:
            self._unlock_here()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def require(self) -> None:
        """Raise BenchError when the places are not ours any more."""
        if self._lost is not None:
            raise self._lost

    def close(self) -> None:
        """Give back what was taken here. Raises BenchError when the lease was lost meanwhile: what was found about the
        boards since then may be somebody else's doing."""
        if self._loop is not None and self._leave is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it has ended just now
                self._loop.call_soon_threadsafe(self._leave.set)
            self._thread.join()
        self._unlock_here()
        self.require()

    # ---- this computer: labgrid takes two runs of one user for one --------------------------------------------------

    def _lock_here(self) -> None:
        folder = Path(platformdirs.user_cache_path("particle-dev")) / "labgrid"
        for name in self._names:
            path = folder / _lock_name(self.coordinator, name)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock = filelock.FileLock(path, blocking=False)
                lock.acquire()
            except filelock.Timeout as e:
                raise BenchError(
                    f"place {name} is used by another run on this computer", slot=name, hint="wait for it, or stop it"
                ) from e
            except OSError as e:
                raise BenchError(
                    f"cannot tell whether another run on this computer uses place {name}: {path}: {e.strerror}",
                    slot=name,
                    hint=f"make {folder} a folder that you can write to",
                ) from e
            self._locks.append(lock)

    def _unlock_here(self) -> None:
        while self._locks:
            self._locks.pop().release()

    # ---- the thread that talks to the coordinator -------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._hold())
        except BaseException as error:  # noqa: BLE001  the other thread raises it
            if self._is_open.is_set():
                # Nobody watches the places any more, whatever it was.
                self._lost = BenchError(
                    f"the places of the labgrid coordinator {self.coordinator} are not watched any more: {error!r}",
                    hint="somebody else may have used the boards since: run again; labgrid-client places shows who has "
                    "them",
                )
                self._lost.__cause__ = error
            else:
                self._failure = error
        finally:
            self._is_open.set()

    async def _hold(self) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        session, self.places = await self._open()
        self._is_open.set()
        while session is not None:
            await _first(session.stopping.wait(), self._leave.wait())
            if self._leave.is_set():
                await self._give_back(session)
                return
            await _close(session)
            session = await self._take_again()

    async def _open(self) -> tuple[ClientSession, tuple[LeasedPlace, ...]]:
        """A session in which all places are ours. Raises BenchError; then nothing is held."""
        session = await self._connect()
        taken: list[LeasedPlace] = []
        try:
            for name in self._names:
                taken.append(await self._take(session, name))
        except BaseException:
            self.places = tuple(taken)
            await self._give_back(session)
            raise
        return session, tuple(taken)

    async def _connect(self) -> ClientSession:
        address = proxymanager.get_grpc_address(self.coordinator, default_port=_DEFAULT_PORT)
        session = ClientSession(address, asyncio.get_running_loop())
        try:
            await asyncio.wait_for(session.start(), OPEN_TIMEOUT_S)
        except (ServerError, TimeoutError) as error:
            await _close(session)
            raise BenchError(
                f"the labgrid coordinator {self.coordinator} does not answer",
                hint="check its address (LG_COORDINATOR, or coordinator in the bench file) and that it runs",
            ) from error
        return session

    async def _take(self, session: ClientSession, name: str) -> LeasedPlace:
        place = session.places.get(name)
        if place is None:
            known = ", ".join(sorted(session.places)) or "none"
            raise BenchError(
                f"{self.coordinator} has no place {name}", slot=name, hint=f"it has: {known}; labgrid-client places"
            )
        ours = f"{session.gethostname()}/{session.getuser()}"
        was_ours = place.acquired == ours
        if place.acquired and not was_ours:
            raise BenchError(
                f"place {name} is taken by {place.acquired}",
                slot=name,
                hint=f"wait, or ask for it: labgrid-client reserve --wait name={name}",
            )
        if not was_ours:
            try:
                await session.stub.AcquirePlace(messages.AcquirePlaceRequest(placename=name))
            except grpc.aio.AioRpcError as error:
                raise BenchError(
                    f"place {name} cannot be taken: {error.details()}",
                    slot=name,
                    hint=f"does an exporter offer what it wants? labgrid-client -p {name} show",
                ) from error
        try:
            if not was_ours and not await session.sync_with_coordinator():
                raise BenchError(
                    f"the labgrid coordinator {self.coordinator} went away when it gave place {name}",
                    slot=name,
                    hint="run again when it is back",
                )
            if name not in session.places:
                raise BenchError(f"place {name} was deleted just now", slot=name, hint="labgrid-client places")
            entries = session.get_target_resources(session.places[name])
        except BaseException as error:
            if not was_ours:
                await self._give_back_one(session, name)
            if not isinstance(error, ServerError | UserError):
                raise
            raise BenchError(
                f"place {name} is not complete: {error}", slot=name, hint="start its exporter again"
            ) from error
        return LeasedPlace(
            name,
            dict(place.tags),
            tuple(LeasedResource(cls, label, dict(entry.args)) for (label, cls), entry in entries.items()),
            was_ours,
        )

    async def _take_again(self) -> ClientSession | None:
        """After the coordinator went away: a session in which everything is as before, or None when the time is over;
        then the lease is lost."""
        assert self._loop is not None and self._leave is not None
        _log.warning("labgrid coordinator %s went away; taking the places again", self.coordinator)
        before = self.places
        end_s = self._loop.time() + self._reacquire_s
        while True:
            try:
                session, places = await self._open()
            except BenchError as error:
                why = error
            else:
                if [(p.name, p.resources) for p in places] == [(p.name, p.resources) for p in before]:
                    self.interruptions += 1
                    # Where it was taken by hand before, the coordinator has forgotten that; it is kept for that hand.
                    self.places = before
                    return session
                self.places = places
                await self._give_back(session)
                why = BenchError("its resources are others now", hint="run again")
            self.places = before
            if self._leave.is_set() or self._loop.time() >= end_s:
                self._lost = BenchError(
                    f"the labgrid coordinator {self.coordinator} went away, and the places were not to be had again "
                    f"within {self._reacquire_s:g} s: {why.message}",
                    slot=why.slot,
                    hint="somebody else may have used the boards since: run again when the coordinator is back",
                )
                return None
            await _first(asyncio.sleep(_AGAIN_S), self._leave.wait())

    async def _give_back(self, session: ClientSession) -> None:
        for place in self.places:
            if not place.was_ours:
                await self._give_back_one(session, place.name)
        await _close(session)

    async def _give_back_one(self, session: ClientSession, name: str) -> None:
        ours = f"{session.gethostname()}/{session.getuser()}"
        try:
            await session.stub.ReleasePlace(messages.ReleasePlaceRequest(placename=name, fromuser=ours))
        except grpc.aio.AioRpcError as error:
            # A coordinator that is gone has forgotten it anyway.
            _log.warning("place %s could not be given back: %s", name, error.details())


def _lock_name(coordinator: str, place: str) -> str:
    """Places of two farms may have one name. Two names of one coordinator's computer are two farms here."""
    address = coordinator if re.search(r":\d+$", coordinator) else f"{coordinator}:{_DEFAULT_PORT}"
    return quote(f"{address} {place}", safe="") + ".lock"


async def _first(*waits: Any) -> None:
    """Until one of them is done; the others are dropped."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _close(session: ClientSession) -> None:
    session.stopping.set()
    if session.pump_task is not None:
        await session.stop()
    await session.close()
