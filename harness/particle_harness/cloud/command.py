"""``particle-dev sim cloud`` and what goes with it: a simulated cloud for other programs, its ledger, faults, time."""

from __future__ import annotations

import http.client
import json
import math
import re
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from particle_dev.errors import BenchError, DeviceNotFoundError
from particle_harness.cloud.api_names import ADMIN_PATH, LINK_TOKEN_HEADER

if TYPE_CHECKING:
    from particle_harness.cloud.sim_cloud import SimCloud

PORT = 8470
_PLANS = ("free", "basic", "enterprise")
_DEVICE_ID = re.compile(r"\b[0-9A-Fa-f]{24}\b")
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIMEOUT_S = 30.0
_MIN_COLUMNS = 40
_SHOWN = 20


def _made(text: str) -> tuple[str, str]:
    platform, _, what = text.partition(":")
    if not platform or not what:
        raise click.BadParameter("write PLATFORM:FILE or PLATFORM:COUNT, as boron:order.txt", param_hint="--made")
    return platform, what


def _duration_s(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no duration such as 90s, 30m, 2h or 31d", param_hint="DURATION")
    duration_s = float(found[1]) * _UNITS_S[found[2]]
    if not math.isfinite(duration_s):
        raise click.BadParameter(f"a duration of {len(text)} characters is too long", param_hint="DURATION")
    return duration_s


def _link_or_usage(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    if not value:
        raise click.UsageError(
            "which cloud? Give --link, or set PARTICLE_DEV_SIM_LINK to the link that `particle-dev sim cloud` prints"
        )
    return value


def _json_option(command: Any) -> Any:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(command)


def _link_option(command: Any) -> Any:
    return click.option(
        "--link",
        callback=_link_or_usage,
        envvar="PARTICLE_DEV_SIM_LINK",
        metavar="URL",
        help="Link of the running cloud, as `sim cloud` prints it [env: PARTICLE_DEV_SIM_LINK].",
    )(command)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Keep everything in that file (SQLite).")
@click.option("--user", default="user@example.com", show_default=True, help="Account of the cloud.")
@click.option("--password", default="password", show_default=True, help="Its password: no secret, it opens nothing.")
@click.option("--plan", type=click.Choice(_PLANS), default="basic", show_default=True, help="Who is billed when.")
@click.option("--product", "products", multiple=True, metavar="PLATFORM", help="A product for it; may be repeated.")
@click.option(
    "--made",
    type=_made,
    multiple=True,
    metavar="PLATFORM:FILE|COUNT",
    help="Devices that Particle has made: ids in FILE, or COUNT new ones.",
)
@_json_option
def cloud(
    host: str,
    port: int,
    state: Path | None,
    user: str,
    password: str,
    plan: str,
    products: Sequence[str],
    made: Sequence[tuple[str, str]],
    as_json: bool,
) -> None:
    """Run a simulated Particle cloud until interrupted.

    Point particle-cli at it with `particle config sim`, `particle config set apiUrl URL`, `particle login`. Virtual
    boards reach it when their bench file has `cloud = "LINK"` under [bench.options].
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    simulated = _open(state)
    account, token, device_ids = _populate(simulated, user, password, plan, products, made)
    try:
        server = simulated.serve(host, port)
    except OSError as error:
        raise BenchError(f"cannot listen on {host}:{port}: {error}", hint="--port 0 takes a free one") from error
    with server:
        table = {
            "url": server.url,
            "link": f"{server.url}/#{simulated.link_token}",
            "user": account,
            "password": password,
            "token": token,
            "products": _products(simulated),
            "made": device_ids,
        }
        _print_start(table, as_json)
        threading.Event().wait()


@click.command()
@_link_option
@click.option("--device", "device_id", default="", metavar="ID", help="Only this device.")
@_json_option
def ledger(link: str, device_id: str, as_json: bool) -> None:
    """Metering ledger of a running cloud: what counts for billing, since when and why. No product code can ask this.

    Its last line tells how many of the devices that Particle has made are metered.
    """
    answer = _ask(link, {"do": "ledger", "device_id": device_id})
    if device_id and not answer["devices"]:
        raise DeviceNotFoundError(
            f"this cloud has no device {device_id}", hint="give a whole Device ID; `--made` of `sim cloud` makes them"
        )
    for entry in answer["entries"]:
        if as_json:
            click.echo(json.dumps(entry))
        else:
            at = entry["at"][:19].replace("T", " ")
            _echo_wrapped(f"{at}  {entry['device_id']}  {entry['event']:<18}{entry['cause']}")
    if not as_json:
        devices = answer["devices"]
        click.echo(f"metered: {answer['metered']} of {devices} device{'' if devices == 1 else 's'}")


def _echo_wrapped(line: str) -> None:
    """One line; as many as it takes on a terminal that is narrower."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    if len(line) >= columns >= _MIN_COLUMNS:
        line = textwrap.fill(line, columns - 1, subsequent_indent="    ", break_long_words=False)
    click.echo(line)


@click.command()
@_link_option
@click.argument("table", metavar="FAULT")
@_json_option
def fault(link: str, table: str, as_json: bool) -> None:
    """Let something go wrong in a running cloud, as {"do": "status", "on": "GET /v1/*", "status": 529}.

    `clear` ends it. All kinds and keys: harness/particle_harness/cloud/faults.py.
    """
    try:
        request = {"do": "clear_faults"} if table == "clear" else {"do": "fault", "fault": json.loads(table)}
    except ValueError as error:
        raise click.BadParameter(f"no JSON: {error}", param_hint="FAULT") from error
    answer = _ask(link, request)
    click.echo(json.dumps(answer) if as_json else _faults_set(answer["faults"]))


def _faults_set(number: int) -> str:
    return "1 fault is set" if number == 1 else f"{number} faults are set"


@click.command()
@_link_option
@click.argument("duration_s", type=_duration_s, metavar="DURATION")
@_json_option
def wait(link: str, duration_s: float, as_json: bool) -> None:
    """Let time pass in a running cloud at once: SIMs become active, lost devices are noticed, months end."""
    answer = _ask(link, {"do": "wait", "duration_s": duration_s})
    click.echo(json.dumps(answer) if as_json else f"it is {answer['now']} there")


COMMANDS = (cloud, ledger, fault, wait)


def _open(state: Path | None) -> SimCloud:
    try:
        # The extra `sim`, and only for who runs it.
        import particle_harness.cloud.app  # noqa: F401, PLC0415
    except ImportError as error:
        raise BenchError(
            f"the simulated cloud needs more packages: {error}", hint="pip install 'particle-dev[sim]'"
        ) from error
    from particle_harness.cloud.clock import MovableClock  # noqa: PLC0415
    from particle_harness.cloud.sim_cloud import SimCloud  # noqa: PLC0415

    try:
        return SimCloud(MovableClock(), path=state)
    except ValueError as error:
        raise BenchError(str(error), hint="take another file with --state, or remove this one") from error


def _populate(
    simulated: SimCloud,
    user: str,
    password: str,
    plan: str,
    products: Sequence[str],
    made: Sequence[tuple[str, str]],
) -> tuple[str, str, list[str]]:
    """User name, a token, and the Device IDs of devices that were made. What a kept cloud has already stays."""
    from particle_harness.cloud.tables import Account, Product  # noqa: PLC0415

    people = simulated.population
    with simulated.session():
        account = next(simulated.store.find(Account, username=user), None)
        account = account or people.add_account(user, password, plan=plan)
        for platform in products:
            if not any(p.name == platform for p in simulated.store.find(Product, owner_id=account.id)):
                people.add_product(platform, _platform(platform), account)
        device_ids = [made_id for platform, what in made for made_id in _make(simulated, platform, what)]
        return account.username, people.make_token(account), device_ids


def _platform(name: str) -> int:
    from particle_harness.cloud.population import platform_id_of  # noqa: PLC0415

    try:
        return platform_id_of(int(name) if name.isdecimal() else name)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _make(simulated: SimCloud, platform: str, what: str) -> list[str]:
    from particle_harness.cloud.tables import Device  # noqa: PLC0415

    platform_id = _platform(platform)
    if what.isdecimal():
        return [simulated.population.make_device(platform_id).id for _ in range(int(what))]
    try:
        text = Path(what).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BenchError(f"cannot read {what}: {error.strerror}", hint="--made PLATFORM:FILE") from error
    ids = dict.fromkeys(found.lower() for found in _DEVICE_ID.findall(text))
    new = [i for i in ids if simulated.store.get(Device, i) is None]
    return [device.id for device in simulated.population.make_devices(platform_id, new)]


def _products(simulated: SimCloud) -> list[dict[str, Any]]:
    from particle_harness.cloud.tables import Product  # noqa: PLC0415

    return [{"id": p.id, "slug": p.slug, "platform_id": p.platform_id} for p in simulated.store.find(Product)]


def _print_start(table: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(table))
        return
    click.echo(f"simulated cloud on {table['url']}; Ctrl-C ends")
    click.echo(f"account   {table['user']}, password {table['password']!r}, token {table['token']}")
    for product in table["products"]:
        click.echo(f"product   {product['id']} ({product['slug']}), platform {product['platform_id']}")
    for device_id in table["made"][:_SHOWN]:
        click.echo(f"made      {device_id}")
    if len(table["made"]) > _SHOWN:
        click.echo(f"made      … and {len(table['made']) - _SHOWN} more; --json names all")
    click.echo(f"link      {table['link']}")


def _ask(link: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a running cloud. Raises BenchError."""
    found = re.fullmatch(r"http://([^/:]+):(\d+)/?#(\w+)", link)
    if found is None:
        raise BenchError(f"{link!r} is no link of a simulated cloud", hint="`particle-dev sim cloud` prints it")
    connection = http.client.HTTPConnection(found[1], int(found[2]), timeout=_TIMEOUT_S)
    try:
        headers = {"Content-Type": "application/json", LINK_TOKEN_HEADER: found[3]}
        connection.request("POST", ADMIN_PATH, json.dumps(dict(request)), headers)
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BenchError(f"no simulated cloud answers on {link}: {error}", hint="particle-dev sim cloud") from error
    finally:
        connection.close()
    if not answer.get("ok"):
        raise BenchError(
            str(answer.get("error_description", "refused")),
            hint="particle-dev sim --help says what the cloud takes, `sim cloud` prints its link",
        )
    return answer
