"""The page of a run, from what the command line says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from starlette.applications import Starlette

from particle_dev.errors import PageError
from particle_dev.station.events import StationEvent
from particle_dev.station.operator_lines import OperatorLines
from particle_dev.station.operator_texts import OperatorTexts
from particle_dev.station.records import DATABASE_NAME
from particle_dev.station.unrecorded import UnrecordedRun
from particle_dev.station.web.admission import Admission
from particle_dev.station.web.app import make_app
from particle_dev.station.web.audit import AUDIT_NAME, AuditLog
from particle_dev.station.web.context import Desk, PageContext
from particle_dev.station.web.live import LiveRun
from particle_dev.station.web.rendering import warm_up
from particle_dev.station.web.server import Certificate, PageServer, is_loopback
from particle_dev.station.web.users import USERS_NAME, UserFile


@dataclass(frozen=True, slots=True)
class PageSettings:
    """``port`` 0: a free one. ``users``: a file; None: nobody logs in on loopback, elsewhere those of the site's own
    file. ``names``: of this computer, as browsers elsewhere call it."""

    host: str
    port: int
    users: Path | None = None
    certificate: Certificate | None = None
    names: tuple[str, ...] = ()


class StationPage:
    """Serves a run while it is used as a context. PageError from the constructor, before anything is served: the
    address or certificate cannot be used, or it would let anybody in from other computers; ConfigError: the file of
    users is none."""

    def __init__(
        self,
        settings: PageSettings,
        site: Path,
        records: Path | str | None,
        run_folder: Path,
        texts: Mapping[str, OperatorTexts],
    ) -> None:
        users = _users(settings, site)
        place = records or run_folder / DATABASE_NAME
        names = {"localhost", *settings.names}
        if not is_loopback(settings.host):
            names |= {socket.gethostname(), f"{socket.gethostname()}.local", settings.host}

        def make(port: int) -> Starlette:
            admission = Admission(
                AuditLog(site / AUDIT_NAME),
                users,
                frozenset(name.lower() for name in names),
                secure=settings.certificate is not None,
                cookie=f"station-{port}",
            )
            context = PageContext(self._live, admission, site, self._desk, place, run_folder, texts, self._unrecorded)
            return make_app(context)

        self._live = LiveRun()
        self._unrecorded = UnrecordedRun(run_folder)
        self._desk = Desk()
        self._server = PageServer(self._live, settings.host, settings.port, make, settings.certificate)
        self.address = self._server.address
        self.warning = ""
        """What a person should know of how safe it is."""
        if not is_loopback(settings.host) and settings.certificate is None:
            self.warning = "tokens cross the network in clear text: give the page a certificate with --page-tls"

    def handle(self, event: StationEvent) -> None:
        """Show one event; returns at once."""
        self._live.take(event)

    def remember(self, events: Sequence[StationEvent]) -> None:
        """Learn what the run did before this start."""
        for event in events:
            self._live.take(event)

    def cut_short(self) -> None:
        """No more events come, though the run did not end."""
        self._live.cut_short()

    def listen(self, lines: OperatorLines | None) -> None:
        """From now on what operators say there is carried out by ``lines``; None: by nobody any more."""
        self._desk.lines = lines

    def __enter__(self) -> Self:
        self._server.__enter__()
        for work in (warm_up, self._live.keep_up):
            threading.Thread(target=work, name=f"page {work.__name__}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)
        self._unrecorded.close()


def _users(settings: PageSettings, site: Path) -> UserFile | None:
    """Whoever may log in; None: nobody has to."""
    if settings.users is None and is_loopback(settings.host):
        return None
    file = UserFile(settings.users or site / USERS_NAME)
    if not file.users():
        raise PageError(
            f"{file.path} has no users, and without a login the page is for this computer alone",
            hint="no board was touched; `particle-dev station page-user add NAME` makes users",
        )
    return file
