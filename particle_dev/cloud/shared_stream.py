"""One event stream for all processes of a site: who comes first holds it, and gives it to the others on a local socket.

The holder has a lock on a file, which ends with its process, however that ends. Then one of the others opens a stream
of its own; what was published in between may be lost, so that is a gap, told like every other. Nobody waits for a
process that does not read: it is cut off, and tells its own gap.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

import filelock
import msgspec

from particle_dev.cloud.event_canary import Proven
from particle_dev.cloud.event_hub import EventSink
from particle_dev.cloud.event_stream import SseSource
from particle_dev.cloud.events import CloudEvent
from particle_dev.errors import EventSourceError

TICK_S = 0.5
QUEUE_LENGTH = 10_000
"""Messages that wait for another process."""
RETRY_S = 0.2
"""Between two tries to become the holder, or to reach who is."""


class _Message(msgspec.Struct, omit_defaults=True):
    """What the holder tells: events, the begin or end of a gap, and for which stretches its stream is proven."""

    events: list[CloudEvent] = []
    gap: tuple[datetime, datetime | None, str] | None = None
    proven: list[tuple[datetime, datetime]] | None = None


_decode = msgspec.json.Decoder(_Message).decode
_encode = msgspec.json.Encoder().encode


class SharedSource:
    """An EventSource for one of several processes. ``source`` is the stream that it opens when it is the holder;
    ``folder`` is that of the site, the same for all of them, and ``where`` tells one cloud from another."""

    def __init__(self, source: SseSource, folder: Path, utc_now: Callable[[], datetime], where: str = "") -> None:
        self.name = source.name
        self.source = source
        self._utc_now = utc_now
        self._stopping = threading.Event()
        self._lock_path = folder / f"stream-{hashlib.sha256(f'{where} {source.name}'.encode()).hexdigest()[:16]}.lock"
        self._socket_path = ""
        self._mutex = threading.Lock()
        self._told: list[Proven] = []
        """What holders before have proven, as far as this process was listening."""
        self._blind_since: datetime | None = None
        self._connection: Connection | None = None

    def run(self, sink: EventSink) -> None:
        """As :class:`particle_dev.cloud.event_hub.EventSource` says; EventSourceError, too, when the folder of the site
        or that of the socket cannot be used."""
        lock = filelock.FileLock(self._lock_path, timeout=0)
        with self._told_as_error():
            self._lock_path.parent.mkdir(parents=True, exist_ok=True)
            self._socket_path = self._socket_path_of_user()
        while not self._stopping.is_set():
            if not self._is_ours(lock):
                self._follow(sink)
                self._stopping.wait(RETRY_S)
                continue
            try:
                self._hold(sink)
                return
            finally:
                lock.release()

    def stop(self) -> None:
        """As :class:`particle_dev.cloud.event_hub.EventSource` says."""
        self._stopping.set()
        self.source.stop()
        with self._mutex:
            connection = self._connection
        if connection is not None:
            connection.close()

    def proven(self) -> tuple[Proven, ...]:
        """Stretches in which the stream is proven to have carried events to this process, oldest first."""
        with self._mutex:
            return (*self._told, *self.source.proven())

    def _is_ours(self, lock: filelock.BaseFileLock) -> bool:
        with self._told_as_error():
            try:
                lock.acquire()
            except filelock.Timeout:
                return False
        return True

    @contextlib.contextmanager
    def _told_as_error(self) -> Iterator[None]:
        """An OSError of what is done within, as an error that says which folder is meant."""
        try:
            yield
        except OSError as error:
            raise self._error(
                f"the stream cannot be shared in {self._lock_path.parent}: {error}",
                f"make {self._lock_path.parent} a folder that this user may write, or name another for the site",
            ) from error

    def _error(self, reason: str, hint: str) -> EventSourceError:
        return EventSourceError(f"No events of {self.name}: {reason}", source=self.name, hint=hint)

    # ---- another process holds the stream ---------------------------------------------------------------------------

    def _follow(self, sink: EventSink) -> None:
        """Take what the holder tells, until it is gone."""
        try:
            connection = Client(self._socket_path, "AF_UNIX")
        except OSError:
            return  # It is only just beginning, or only just gone.
        joined = last = self._utc_now()
        with self._mutex:
            self._connection = connection
            before = list(self._told)
        self._end_gap(sink)
        try:
            while not self._stopping.is_set():
                if not connection.poll(TICK_S):
                    continue
                message = _decode(connection.recv_bytes())
                last = self._utc_now()
                if message.events:
                    sink.events(message.events)
                if message.gap is not None:
                    sink.gap(*message.gap)
                if message.proven is not None:
                    with self._mutex:
                        self._told = [*before, *_since(joined, message.proven)]
        except (OSError, EOFError, ValueError, msgspec.DecodeError):
            if not self._stopping.is_set():
                # The last message is the last that is known to have come: some may have been on their way.
                self._blind_since = last
                sink.gap(last, None, "the process that held the stream ended")
        finally:
            with self._mutex:
                self._connection = None
            with contextlib.suppress(OSError):
                connection.close()

    def _end_gap(self, sink: EventSink) -> None:
        since, self._blind_since = self._blind_since, None
        if since is not None:
            sink.gap(since, max(since, self._utc_now()), "the process that held the stream ended")

    # ---- this process holds it --------------------------------------------------------------------------------------

    def _hold(self, sink: EventSink) -> None:
        with self._listening() as listener, _Given(sink, self.source) as given:
            thread = threading.Thread(target=given.accept, args=(listener,), name=f"{self.name}, others", daemon=True)
            thread.start()
            self.source.on_open = lambda: self._end_gap(given)
            try:
                self.source.run(given)
            finally:
                given.done.set()
                # Wakes whoever waits for others to come.
                with contextlib.suppress(OSError):
                    Client(self._socket_path, "AF_UNIX").close()
                thread.join(TICK_S)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[Listener]:
        try:
            # A holder that was killed leaves its socket; the lock says that nobody has it.
            Path(self._socket_path).unlink(missing_ok=True)
            listener = Listener(self._socket_path, "AF_UNIX")
        except OSError as error:
            raise self._error(
                f"there is no way to open the socket {self._socket_path}: {error}",
                "make room there, or set TMPDIR to a folder of this user, the same for all programs of the site",
            ) from error
        try:
            yield listener
        finally:
            # What cleans folders of temporary files may have taken the socket away.
            with contextlib.suppress(FileNotFoundError):
                listener.close()

    def _socket_path_of_user(self) -> str:
        """A short path: sockets take 107 bytes. In a folder that nobody but this user can write or read, as what comes
        by the socket is evidence."""
        digest = hashlib.sha256(str(self._lock_path.resolve()).encode()).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"particle-dev-{os.getuid()}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            reason = "is no folder"
        elif found.st_uid != os.getuid():
            reason = f"belongs to user {found.st_uid}"
        elif stat.S_IMODE(found.st_mode) != 0o700:
            reason = f"has the mode {stat.S_IMODE(found.st_mode):04o}, not 0700"
        else:
            return str(folder / digest)
        raise self._error(
            f"{folder}, which must be of this user alone, {reason}",
            f"find out who made {folder}, and take it away; or set TMPDIR to a folder of this user, the same for all "
            "programs of the site",
        )


class _Peer:
    """Another process, with a queue and a thread of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: queue.Queue[bytes | None] = queue.Queue(QUEUE_LENGTH)
        threading.Thread(target=self._write, name="events to another process", daemon=True).start()

    def put(self, data: bytes) -> bool:
        """False: it does not read, or is gone, and is cut off."""
        if self._connection.closed:
            return False
        try:
            self._waiting.put_nowait(data)
        except queue.Full:
            self._connection.close()
            return False
        return True

    def close(self) -> None:
        """After what waits has been written."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)

    def _write(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while (data := self._waiting.get()) is not None:
                self._connection.send_bytes(data)
        with contextlib.suppress(OSError):
            self._connection.close()


class _Given:
    """An EventSink that gives everything to this process and to all that have come."""

    def __init__(self, sink: EventSink, source: SseSource) -> None:
        self.done = threading.Event()
        self._sink = sink
        self._source = source
        self._lock = threading.Lock()
        self._peers: list[_Peer] = []
        self._gap: tuple[datetime, datetime | None, str] | None = None

    def __enter__(self) -> _Given:
        threading.Thread(target=self._tell_proven, name="what is proven", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        with self._lock:
            for peer in self._peers:
                peer.close()
            self._peers.clear()

    def accept(self, listener: Listener) -> None:
        """Let others in until ``done``."""
        while not self.done.is_set():
            try:
                connection = listener.accept()
            except OSError:
                return
            with self._lock:
                peer = _Peer(connection)
                self._peers.append(peer)
                # A gap that is open when somebody comes is theirs, too.
                self._send([peer], _Message(gap=self._gap, proven=self._proven()))

    def events(self, events: Sequence[CloudEvent]) -> None:
        """As EventSink."""
        self._sink.events(events)
        with self._lock:
            self._send(self._peers, _Message(events=list(events)))

    def gap(self, since: datetime, until: datetime | None, reason: str) -> None:
        """As EventSink."""
        self._sink.gap(since, until, reason)
        with self._lock:
            self._gap = (since, until, reason) if until is None else None
            self._send(self._peers, _Message(gap=(since, until, reason)))

    def _tell_proven(self) -> None:
        while not self.done.wait(TICK_S):
            with self._lock:
                self._send(self._peers, _Message(proven=self._proven()))

    def _proven(self) -> list[tuple[datetime, datetime]]:
        return [(p.since, p.until) for p in self._source.proven()]

    def _send(self, peers: Sequence[_Peer], message: _Message) -> None:
        data = _encode(message)
        for peer in list(peers):
            if not peer.put(data) and peer in self._peers:
                self._peers.remove(peer)


def _since(joined: datetime, proven: Sequence[tuple[datetime, datetime]]) -> Iterator[Proven]:
    """The parts after ``joined``: what came before, this process did not get."""
    for since, until in proven:
        if until > joined:
            yield Proven(max(since, joined), until)
