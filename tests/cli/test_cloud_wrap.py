"""Commands of ``cloud`` on a terminal of 80 columns, with the client before the simulated cloud."""

import sys
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from particle_dev.cli import output, wrap
from particle_dev.cli.cloud_events_view import EventsView
from particle_dev.cli.cloud_import_view import ImportView
from particle_dev.cli.main import _run
from particle_dev.cli.output import print_fields, print_table
from particle_dev.cli.root import root
from particle_dev.cloud.events import CloudEvent, DeviceReread, StreamGap
from particle_dev.cloud.import_run import ImportStep, Progress
from particle_dev.cloud.records import DeviceRecord
from particle_dev.permissions import Permissions
from tests.cloud.sim_site import SimSite

IDS = [f"e00fce68{n << 16:016x}" for n in range(1, 4)]
AT = datetime(2026, 11, 28, 22, 0, tzinfo=UTC)


@pytest.fixture
def narrow(monkeypatch):
    """Standard output is a terminal of 80 columns."""
    for module in (wrap, output):
        monkeypatch.setattr(module, "width_of", lambda stream: 80)


@pytest.fixture
def site():
    site = SimSite(plan="basic", org=True)
    people = site.sim.population
    made = people.make_devices("boron", IDS)
    from particle_dev.cloud.product_devices import ProductDevices  # noqa: PLC0415

    devices = ProductDevices(site.api, site.product.id)
    devices.import_devices(IDS[:2], Permissions(may_bill=True))
    devices.rename(IDS[0], "a name that is as long as such names are")
    site.iccid = made[0].iccid
    site.clock.sleep(60)
    yield site
    site.close()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    "words",
    [
        "devices list --product P",
        "devices show D --product P",
        "devices retire D e00fce68ffffffff00000000 --may-release --product P",
        "sims list --product P",
        "sims show I --product P --connection --usage",
        "usage --org acme",
        "check --product P",
        "import order.txt --product P --dry-run",
        "import order.txt --product P --may-bill --skip-bad-lines",
        "api-user list --product P",
        "whoami",
        "firmware list --product P",
        "groups list --product P",
        "integrations list --product P",
        "products",
    ],
)
def test_no_line_is_longer_than_the_terminal(site, words, tmp_path, monkeypatch):
    (tmp_path / "order.txt").write_text("\n".join([*IDS, IDS[0], f"{IDS[0]}f", "e00fce68ffffffff00000000", "hello"]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    runner = CliRunner()
    jobs = ["--job", "provision", "--job", "undo", "--out", "token"]
    made = runner.invoke(
        root, ["cloud", "api-user", "create", "Line", *jobs, "--product", str(site.product.id)], obj=site.api
    )
    assert made.exit_code == 0
    told = {"P": str(site.product.id), "D": IDS[0], "I": site.iccid}
    done = runner.invoke(root, ["cloud", *(told.get(word, word) for word in words.split())], obj=site.api)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.output.strip()
    assert [line for line in done.output.splitlines() if len(line.rpartition("\r")[2]) > 80] == []


@pytest.mark.usefixtures("narrow")
def test_a_row_goes_on_in_an_indented_line_and_columns_stay_columns(capsys):
    print_table(("one", "two", "three"), [("a" * 40, "b" * 30, "c" * 20), ("x", "y", "z")], empty="")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["one", "two"], ["three"], ["a" * 40, "b" * 30], ["c" * 20], ["x", "y"], ["z"],
    ]  # fmt: skip
    assert {line.index(cell) for line, cell in zip(lines[::2], ("two", "b", "y"), strict=True)} == {42}
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 4] * 3


def test_a_table_in_a_pipe_has_a_line_for_each_row(capsys):
    print_table(("one", "two"), [("a" * 60, "b" * 60)], empty="")
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_fields_of_fields_are_no_json(capsys):
    print_fields({"id": 1, "connection": {"state": "connected", "apn": None}, "days": [{"day": "1", "mb": 2.5}]})
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["id", "1"], ["connection.state", "connected"], ["days.1.day", "1"], ["days.1.mb", "2.5"],
    ]  # fmt: skip


def test_progress_that_stops_short_ends_its_line(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    view = ImportView(as_json=False)
    view.take(Progress(ImportStep.READ, 100, 199))
    view.close()
    view.close()
    assert capsys.readouterr().err == "\rreading the product: 100 of 199\x1b[K\n"
    view.take(Progress(ImportStep.READ, 199, 199))
    view.close()
    assert capsys.readouterr().err.endswith("199 of 199\x1b[K\n")


def test_an_error_after_progress_has_a_line_of_its_own(site, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    order = tmp_path / "order.txt"
    order.write_text("\n".join(IDS))
    monkeypatch.setattr(root, "main", lambda main=root.main, **options: main(obj=site.api, **options))
    site.sim.add_fault({"do": "status", "on": "POST /v1/products/*/devices", "status": 403})
    state = ["--state", str(tmp_path / "state.jsonl")]
    assert _run(["cloud", "import", str(order), "--product", str(site.product.id), "--may-bill", *state]) != 0
    told = capsys.readouterr().err
    assert "importing: " in told
    assert "\nerror: " in told


# ---- events -----------------------------------------------------------------------------------------------------


def record(number, **fields):
    return DeviceReread(DeviceRecord(f"e00fce68{number:016x}", **fields))


def test_after_a_gap_only_devices_with_news_have_a_line(capsys):
    view = EventsView(as_json=False)
    view.take(StreamGap(AT, AT + timedelta(seconds=9), "the stream was interrupted"))
    for number in range(198):
        view.take(record(number, online=False, last_heard=AT - timedelta(days=1) if number % 2 else None))
    view.take(record(198, online=True, last_heard=AT, firmware_version=3))
    view.take(record(199, online=None))
    assert view.holds_back
    view.take(CloudEvent(name="temp", data="21", coreid="e00f", published_at="2026"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[1].endswith("again: online, last heard 2026-11-28 22:00, firmware version 3")
    assert lines[2].endswith("again: online or not is not told, never heard, no product firmware")
    assert lines[3] == "! 198 devices again: offline, and not heard since the gap began"
    assert lines[4].endswith("temp  21")
    assert not view.holds_back
    assert view.flush() is False


def test_json_has_every_device(capsys):
    view = EventsView(as_json=True)
    for number in range(3):
        view.take(record(number, online=False))
    view.listening("product 1")
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_what_the_stream_does_is_told_once_and_not_among_the_events(capsys):
    view = EventsView(as_json=False)
    for _ in range(2):
        view.listening("product 1")
        view.proven()
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 2
    assert "listening to events of product 1" in told.err
    assert "the stream carries events" in told.err
