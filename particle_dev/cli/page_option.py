"""``--page`` and what goes with it: the run in a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from particle_dev.cli.command_type import CommandT
from particle_dev.cli.station_release import release_texts
from particle_dev.errors import PageError
from particle_dev.station.operator_texts import read_operator_texts

if TYPE_CHECKING:
    from particle_dev.station.web.opening import StationPage

DEFAULT_ADDRESS = "127.0.0.1:8088"


@dataclass(frozen=True, slots=True)
class PageChoice:
    """What the command line says of the page. ``address`` None: there is to be none."""

    address: str | None
    users: Path | None
    tls: tuple[Path, Path] | None
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.address is None and (self.users or self.tls or self.names):
            raise click.UsageError("--page-users, --page-tls and --page-name go with --page.")
        if self.address is not None:
            _host_and_port(self.address)


def page_options(command: CommandT) -> CommandT:
    """``--page``, ``--page-users``, ``--page-tls``, ``--page-name``; the command gets one ``page``."""
    for option in (
        click.option(
            "--page-name", "page_names", multiple=True, metavar="HOST", help="A name of this computer; repeated."
        ),
        click.option(
            "--page-tls",
            "page_tls",
            nargs=2,
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="CERT KEY",
            help="Serve it over TLS (PEM files).",
        ),
        click.option(
            "--page-users",
            "page_users",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="People log in; by station page-user.",
        ),
        click.option(
            "--page",
            "page_address",
            is_flag=False,
            flag_value=DEFAULT_ADDRESS,
            metavar="[HOST:PORT]",
            help=f"Serve the page; {DEFAULT_ADDRESS}.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def opened_page(
    choice: PageChoice, site: Path, records: Path | str | None, run_folder: Path
) -> Iterator[StationPage | None]:
    """The page that was asked for, served, its address told on stderr; None: none was asked for. ``records`` None:
    those in the folder of the run.

    PageError, ConfigError: it cannot be served.
    """
    if choice.address is None:
        yield None
        return
    host, port = _host_and_port(choice.address)
    try:
        # Starlette and uvicorn are slow to import, and an extra.
        from particle_dev.station.web.opening import PageSettings, StationPage  # noqa: PLC0415
        from particle_dev.station.web.server import Certificate  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise PageError(
            f"the page needs {error.name}, which is not installed", hint="pip install 'particle-dev[web]'"
        ) from error
    certificate = Certificate(*choice.tls) if choice.tls else None
    texts = read_operator_texts(release_texts(run_folder))
    settings = PageSettings(host, port, choice.users, certificate, choice.names)
    with StationPage(settings, site, records, run_folder, texts) as page:
        click.echo(f"page: {page.address}", err=True)
        if page.warning:
            click.echo(f"page: {page.warning}", err=True)
        yield page


def stay(page: StationPage) -> None:
    """Leave the page up until Ctrl-C, or the end of the process by its manager."""
    page.listen(None)
    click.echo(f"the page stays at {page.address}; Ctrl-C ends", err=True)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isdecimal() or int(port) >= 1 << 16:
        raise click.BadParameter(f"{address!r} is no HOST:PORT, such as {DEFAULT_ADDRESS}", param_hint="--page")
    return host, int(port)
