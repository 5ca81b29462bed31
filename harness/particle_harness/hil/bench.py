"""The bench of a test run: which boards there are, which of them suits a test, and whose it is meanwhile."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from particle_dev.catalog.device_os import version_key
from particle_dev.errors import (
    BenchError,
    ConfigError,
    DeviceNotFoundError,
    ParticleDevError,
    SlotBusyError,
    WrongDeviceError,
)
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.station.bench import Bench, FactoryModules, Slot, open_bench
from particle_dev.station.bench_file import BenchFile, read_bench
from particle_dev.station.lease import Leases
from particle_harness.bench import DEFAULT_SLOTS, VirtualBench
from particle_harness.bench_toml import modules_in, no_modules, programs_in, stand_ins
from particle_harness.boards import kinds
from particle_harness.hil.board import Board, look, platform_of
from particle_harness.hil.logs import BoardLog
from particle_harness.hil.wanted import Wanted

LEASE_TIMEOUT_S = 600.0
VIRTUAL = "virtual"
_POLL_S = 0.2


class NoBoardError(Exception):
    """No board of the bench is one that the test may have: it is not run, which is no pass."""


@dataclass(frozen=True, slots=True)
class Place:
    """A slot as the bench file describes it; ``table`` is what its driver gets."""

    name: str
    platform: str | None
    device_id: str | None
    wiring: frozenset[str]
    has_probe: bool
    table: Mapping[str, Any]


@dataclass(slots=True)
class Taken:
    """Boards of one test; ``give_back`` ends it."""

    boards: tuple[Board, ...]
    give_back: Callable[[], None]


class HilBench:
    """A bench for tests. Virtual boards without a state folder are made anew for each test, as they left the factory;
    others are as the test before left them. Raises ConfigError, BenchError."""

    def __init__(
        self,
        spec: str,
        *,
        firmware: Path | None = None,
        log_folder: Path | None = None,
        lease_timeout_s: float = LEASE_TIMEOUT_S,
        holder: str = "pytest",
    ) -> None:
        self.spec = spec
        self.file = _without_waiting(read_bench(spec))
        self.log_folder = log_folder
        without, in_folder = (stand_ins, modules_in) if self.is_virtual else (no_modules, programs_in)
        self._factory: FactoryModules = in_folder(firmware) if firmware else without
        self._lease_timeout_s = lease_timeout_s
        self._holder = holder
        self._kept: Bench | None = None
        self.places = self._places()
        if firmware and self.is_virtual:
            _refuse_stand_ins_alone(firmware, self.places)

    @property
    def is_virtual(self) -> bool:
        """Whether its boards are models."""
        return self.file.driver == VIRTUAL

    @property
    def _is_renewed(self) -> bool:
        return self.is_virtual and self.file.state_dir is None

    def close(self) -> None:
        """Give everything back."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def suits(self, place: Place, wanted: Wanted) -> str:
        """Why the bench file rules a place out for a test; empty when it does not."""
        if wanted.platforms and place.platform and place.platform not in wanted.platforms:
            return f"it is a {place.platform}, not {_any_of(wanted.platforms)}"
        if missing := wanted.wiring - place.wiring:
            return f"it is not wired for {', '.join(sorted(missing))}"
        if "swd" in wanted.links and not place.has_probe:
            return "it has no debug probe"
        return ""

    def permissions(self, device_id: str) -> Permissions:
        """What tests may do to a board, by its Device ID. Virtual boards can be erased and connected without loss,
        unless the bench file has rules for them."""
        rules = self.file.rules
        if self.is_virtual and not rules.are_stated:
            return Permissions(may_connect=True, may_erase=True)
        if not device_id:
            return NOTHING
        return Permissions(may_connect=device_id in rules.may_connect, may_erase=device_id in rules.may_erase)

    def take(
        self, wanted: Wanted, *, only: str | None = None, every: bool = False, cloud: object | None = None
    ) -> Taken:
        """A board that suits, or with ``every`` all that do; waited for while others have them.

        ``only`` is the name of the one slot that is meant. Raises NoBoardError when none may be had;
        DeviceNotFoundError or WrongDeviceError when a slot does not hold what the bench file says; BenchError when
        others kept it for too long; ConfigError.
        """
        deadline_s = time.monotonic() + self._lease_timeout_s
        while True:
            taken, refusals, busy = self._try(wanted, only, every, cloud)
            if taken is not None:
                return taken
            if not busy:
                raise _no_board(refusals)
            if time.monotonic() >= deadline_s:
                raise BenchError(
                    f"no board for {self._lease_timeout_s:g} s: {'; '.join(busy)}",
                    hint="wait for the other run, or give --particle-lease-timeout more seconds",
                )
            time.sleep(_POLL_S)

    def _try(
        self, wanted: Wanted, only: str | None, every: bool, cloud: object | None
    ) -> tuple[Taken | None, list[ParticleDevError | str], list[str]]:
        held: list[tuple[Board, Callable[[], None]]] = []
        refusals: list[ParticleDevError | str] = []
        busy: list[str] = []
        possible = []
        for place in self.places:
            if only not in (None, place.name):
                continue
            if why := self.suits(place, wanted):
                refusals.append(f"slot {place.name}: {why}")
            else:
                possible.append(place)
        shared: Bench | None = None
        if every and self._is_renewed and possible:
            # In one bench: ports of two virtual ones have the same names.
            shared = self._opened(possible, cloud)
        for place in possible:
            try:
                held.append(self._hold(place, wanted, self._lease(place), cloud, shared))
            except SlotBusyError as error:
                busy.append(error.message)
            except NoBoardError as error:
                refusals.append(f"slot {place.name}: {error}")
            except (DeviceNotFoundError, WrongDeviceError) as error:
                refusals.append(error)
            except BaseException:
                # A board that may not be opened, say: the others are nobody's again, or this run would wait for itself.
                _all([*(end for _, end in held), *([shared.close] if shared else [])])
                raise
            if held and not every:
                break
        ends = [end for _, end in held] + ([shared.close] if shared else [])
        if held and not (every and busy):
            return Taken(tuple(board for board, _ in held), lambda: _all(ends)), [], []
        # All or none: two tests that each wait for the other's board would wait for ever.
        _all(ends)
        return None, refusals, busy

    def _hold(
        self, place: Place, wanted: Wanted, lease: Leases, cloud: object | None, shared: Bench | None
    ) -> tuple[Board, Callable[[], None]]:
        """The board in a place. Everything is given back when this raises."""
        bench: Bench | None = None
        try:
            bench = shared or self._opened([place], cloud)
            # It is the test's already: a station that the test runs there takes no lease of its own.
            slot = replace(next(s for s in bench.slots if s.name == place.name), leases=())
            board = self._board(place, slot, wanted, bench)
        except BaseException:
            self._let_go(bench if bench is not shared else None, lease)
            raise
        return board, lambda: self._let_go(bench if bench is not shared else None, lease)

    def _let_go(self, bench: Bench | None, lease: Leases) -> None:
        try:
            if bench is not None and bench is not self._kept:
                bench.close()
        finally:
            lease.release()

    def _board(self, place: Place, slot: Slot, wanted: Wanted, bench: Bench) -> Board:
        if place.device_id:
            # Before anything is asked of it, or switched on for it.
            self._granted(wanted, place.device_id)
        if wanted.power and slot.power is None:
            raise NoBoardError("the bench cannot switch its power")
        model = bench.driver.slot(place.name).board if isinstance(bench.driver, VirtualBench) else None
        needs_usb = "usb" in wanted.links or ("serial" in wanted.links and slot.serial_url is None)
        if not needs_usb:
            device, device_os = None, None
        else:
            self._give_power(place, slot)
            device, device_os = look(slot)
            if device is None:
                raise DeviceNotFoundError(
                    f"slot {place.name}: nothing is at port {slot.port_path}",
                    selector=slot.port_path,
                    hint="plug the board in, or take the slot out of the bench file",
                )
        device_id = device.device_id if device else place.device_id or ""
        platform = platform_of(slot, device)
        if platform is None:
            raise NoBoardError("nobody says what is in it: give its platform in the bench file")
        _require_the_same(place, platform.name, device_id)
        if wanted.platforms and platform.name not in wanted.platforms:
            raise NoBoardError(f"it is a {platform.name}, not {_any_of(wanted.platforms)}")
        if wanted.device_os and (device_os is None or not wanted.runs_on(device_os, version_key)):
            conditions = ",".join(f"{sign}{version}" for sign, version in wanted.device_os)
            raise NoBoardError(f"it runs Device OS {device_os or 'none'}, not {conditions}")
        if "serial" in wanted.links and slot.serial_url is None and not _has_serial_port(slot, device_id):
            raise NoBoardError("it shows no serial port")
        log = BoardLog(place.name, (device_id, slot.port_path), slot.host.clock.monotonic_s, self.log_folder)
        log.add(f"taken: {platform.display_name} {device_id}, Device OS {device_os or 'not running'}")
        permissions = self._granted(wanted, device_id)
        return Board(place.name, platform, device_id, device_os, slot, permissions, place.wiring, log, model)

    def _granted(self, wanted: Wanted, device_id: str) -> Permissions:
        allowed = self.permissions(device_id)
        for effect in ("may_connect", "may_erase"):
            if getattr(wanted, effect) and not getattr(allowed, effect):
                raise NoBoardError(f"{device_id or 'a board without Device ID'} is not in {effect} of the bench file")
        return Permissions(may_connect=wanted.may_connect, may_erase=wanted.may_erase)

    def _give_power(self, place: Place, slot: Slot) -> None:
        """A board that was left without power boots when it gets it, and may connect."""
        if slot.power is None or self.is_virtual:
            return
        device, _ = look(slot)
        if device is None and place.device_id and self.permissions(place.device_id).may_connect:
            slot.power.on()
            slot.host.clock.sleep(_POLL_S)

    # ---- places ------------------------------------------------------------------------------------------------------

    def _places(self) -> tuple[Place, ...]:
        tables: Sequence[Mapping[str, Any]] = self.file.slots
        if not tables and self.is_virtual:
            tables = DEFAULT_SLOTS
        elif not tables and self.file.driver == "usb":
            raise ConfigError(
                "tests take no board that happens to be plugged in",
                key="--bench",
                hint="give a bench file that names slots, and in [test] what may be done: hil/bench.example.toml",
            )
        elif not (self.is_virtual or self.file.driver == "usb"):
            # A driver that finds out itself what its slots have.
            stated = {table["name"]: table for table in tables}
            return tuple(
                Place(
                    s.name,
                    s.platform,
                    stated.get(s.name, {}).get("device_id"),
                    self.file.rules.wiring.get(s.name, frozenset()),
                    s.probe_id is not None,
                    stated.get(s.name, {}),
                )
                for s in self._kept_bench().slots
            )
        return tuple(self._place(table, number) for number, table in enumerate(tables, 1))

    def _place(self, table: Mapping[str, Any], number: int) -> Place:
        name = str(table.get("name", number))
        return Place(
            name,
            table.get("platform"),
            table.get("device_id"),
            self.file.rules.wiring.get(name, frozenset()),
            bool(table.get("probe")),
            table,
        )

    def _opened(self, places: Sequence[Place], cloud: object | None) -> Bench:
        if not self._is_renewed:
            if cloud is not None and self.is_virtual:
                raise BenchError(
                    "virtual boards with a state folder keep the cloud of their bench file",
                    hint="take state_dir out, or particle_cloud",
                )
            return self._kept_bench()
        options = {**self.file.options, **({"cloud": cloud} if cloud is not None else {})}
        with self.file.placed():
            return open_bench(
                self.file.driver,
                name=self.file.name,
                options=options,
                slots=[place.table for place in places],
                factory_modules=self._factory,
            )

    def _kept_bench(self) -> Bench:
        if self._kept is None:
            with self.file.placed():
                self._kept = open_bench(
                    self.file.driver,
                    name=self.file.name,
                    options=self.file.options,
                    slots=self.file.slots,
                    state_dir=self.file.state_dir,
                    factory_modules=self._factory,
                )
        return self._kept

    def _lease(self, place: Place) -> Leases:
        """The slot, as stations take it. Raises SlotBusyError."""
        holder = f"{self._holder}, {os.environ.get('PYTEST_CURRENT_TEST', '?').partition(' ')[0]}"
        if self._is_renewed:
            # Nobody else could have it.
            return Leases((), holder)
        slot = next(s for s in self._kept_bench().slots if s.name == place.name)
        if not slot.leases:
            # Its driver knows no name that holds for the whole computer.
            file = hashlib.sha256(str(Path(self.spec).absolute()).encode()).hexdigest()[:16]
            slot = replace(slot, leases=(f"bench-{file}-{place.name}",))
        return Leases([slot], holder)


def _refuse_stand_ins_alone(firmware: Path, places: Sequence[Place]) -> None:
    platforms = frozenset(place.platform for place in places if place.platform in kinds())
    if platforms and not any(programs_in(firmware)(name) for name in platforms):
        raise BenchError(
            f"--particle-firmware {firmware}: no file *.bin there is a bootloader or SoftDevice of "
            f"{_any_of(platforms)}; boards would leave the factory with stand-ins, as they do without this option",
            hint="name a folder that has one, or leave the option out",
        )


def _without_waiting(file: BenchFile) -> BenchFile:
    """Virtual boards of a test run live on a virtual clock, unless the bench file says otherwise."""
    if file.driver != VIRTUAL:
        return file
    return replace(file, options={"clock": "virtual", **file.options})


def _require_the_same(place: Place, platform: str, device_id: str) -> None:
    if place.device_id and device_id and place.device_id != device_id:
        raise WrongDeviceError(
            f"slot {place.name} holds {device_id}, the bench file says {place.device_id}",
            expected=place.device_id,
            actual=device_id,
            hint="put the right board there, or correct the bench file: what may be done to a board goes by Device ID",
        )
    if place.platform and place.platform != platform:
        raise WrongDeviceError(
            f"slot {place.name} holds a {platform}, the bench file says {place.platform}",
            expected=place.platform,
            actual=platform,
            hint="put the right board there, or correct the bench file",
        )


def _has_serial_port(slot: Slot, device_id: str) -> bool:
    return any(port.serial_number == device_id for port in slot.host.serial.ports())


def _no_board(refusals: Sequence[ParticleDevError | str]) -> Exception:
    for refusal in refusals:
        # A slot without its board is the bench's fault, not the test's wish.
        if isinstance(refusal, ParticleDevError):
            return refusal
    return NoBoardError("; ".join(str(r) for r in refusals) or "the bench has no such slot")


def _any_of(names: frozenset[str]) -> str:
    return " or ".join(sorted(names))


def _all(ends: Sequence[Callable[[], None]]) -> None:
    """Each is called, whatever another one raises."""
    with ExitStack() as stack:
        for end in reversed(ends):
            stack.callback(end)
