"""``cloud import`` from the command line, with the client before the simulated cloud."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import _run
from particle_dev.cli.root import root
from particle_dev.cloud.product_devices import ProductDevices
from tests.cloud.sim_site import SimSite

REFERENCE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def ids(count, first=1):
    return [f"e00fce68{n << 16:016x}" for n in range(first, first + count)]


@pytest.fixture
def make_site():
    made = []

    def make(*arguments, **settings):
        made.append(SimSite(*arguments, **settings))
        made[-1].sim.population.make_devices(*arguments or ["boron"], ids(20))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(make_site):
    return make_site(plan="basic", org=True)


@pytest.fixture
def run(tmp_path):
    def run(site, text, *options):
        order = tmp_path / "order.txt"
        order.write_text(text)
        common = ["--product", str(site.product.id), "--state", str(tmp_path / "state.jsonl")]
        return CliRunner().invoke(root, ["cloud", "import", str(order), *common, *options], obj=site.api)

    return run


def test_a_dry_run_tells_what_would_change_and_changes_nothing(site, run):
    result = run(site, "\n".join([*ids(3), ids(1)[0]]), "--dry-run")
    assert result.exit_code == ExitCode.OK
    for text in (
        "Widget",
        "Acme, who pays; basic plan",
        "3 devices, 1 repeated",
        "to add    3",
        "first connection",
        "SIMs",
    ):
        assert text in result.stdout
    assert "nothing was changed" in result.stdout
    assert site.sent("POST", "/devices") == 0


def test_import(site, run):
    result = run(site, "\n".join(ids(3)), "--may-bill")
    assert result.exit_code == ExitCode.OK
    assert "added     3" in result.stdout
    assert "SIMs      3 active" in result.stdout


def test_without_permission_nothing_happens(site, run):
    result = run(site, ids(1)[0])
    assert result.exception.permission == "may_bill"
    assert site.sent("POST", "/devices") == 0


def test_bad_lines_stop_it_unless_they_are_left_out(site, run):
    text = f"{ids(1)[0]}\n{ids(1)[0]}f\n"
    result = run(site, text, "--may-bill")
    assert result.exception.code == "bad_lines"
    assert "order.txt, line 2: " in result.stdout
    assert site.sent("POST", "/devices") == 0
    assert run(site, text, "--dry-run").exit_code == ExitCode.BAD_INPUT
    assert run(site, text, "--dry-run").exit_code == ExitCode.BAD_INPUT
    assert run(site, text, "--dry-run", "--skip-bad-lines").exit_code == ExitCode.INCOMPLETE
    result = run(site, text, "--may-bill", "--skip-bad-lines")
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "left out  1 bad line\n" in result.stdout


def test_a_slow_sim_ends_with_6_and_is_found_active_later(site, run):
    site.sim.add_fault({"do": "sim_stuck"})
    result = run(site, "\n".join(ids(2)), "--may-bill")
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "SIM-PEND" in result.stdout
    site.clock.sleep(24 * 3600)
    assert run(site, "\n".join(ids(2))).exit_code == ExitCode.OK


def test_a_device_that_is_refused_ends_with_1(site, run):
    result = run(site, "e00fce68ffffffff00000000", "--may-bill")
    assert result.exit_code == ExitCode.FAILED
    assert "order.txt, line 1: Device ID e00fce68ffffffff00000000" in result.stdout
    assert "what to do" in result.stdout


def test_the_same_advice_is_given_once(site, run):
    result = run(site, "\n".join(f"e00fce68ffffffff0000000{n}" for n in range(3)), "--may-bill")
    lines = result.stdout.splitlines()
    refused = [n for n, line in enumerate(lines) if line.startswith("not well")]
    advice = [n for n, line in enumerate(lines) if "what to do" in line]
    assert len(refused) == 3
    assert len(advice) == 1
    assert advice[0] > refused[-1]


def test_a_full_account_is_told_by_the_dry_run_too(make_site, run):
    site = make_site()
    own = site.sim.population.make_devices("argon", ids(90, first=1000))
    for device in own:
        device.owner_id = site.owner.id
        site.sim.store.put(device)
    result = run(site, "\n".join(ids(11)), "--dry-run")
    assert result.exit_code == ExitCode.REFUSED
    assert "90 of 100 devices used over the whole account" in result.stdout
    assert run(site, "\n".join(ids(10)), "--may-bill").exit_code == ExitCode.OK


def test_a_full_account_refuses_with_a_message_too(make_site, tmp_path, monkeypatch, capsys):
    site = make_site()
    for device in site.sim.population.make_devices("argon", ids(101, first=1000)):
        device.owner_id = site.owner.id
        site.sim.store.put(device)
    order = tmp_path / "order.txt"
    order.write_text(ids(1)[0])
    command = ["cloud", "import", str(order), "--product", str(site.product.id), "--may-bill"]
    monkeypatch.setattr(root, "main", partial(root.main, obj=site.api))
    assert _run([*command, "--state", str(tmp_path / "state.jsonl")]) == ExitCode.REFUSED
    assert "error: 1 more devices would make 102; the plan (free) allows 100" in capsys.readouterr().err
    assert site.sent("POST", "/devices") == 0


def test_what_is_no_device_is_told_with_its_line(site, run):
    cut = ["B31K6262", "P046AB"]
    result = run(site, "\n".join([*ids(2), *cut, "hello world", ids(1)[0]]), "--dry-run")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "2 devices, 1 repeated; bad lines: 2; lines without a device: 1" in result.stdout
    for line, word in ((3, cut[0]), (4, cut[1])):
        assert f"order.txt, line {line}: {word} begins as a serial number" in result.stdout
    assert re.search(r"no device .*order.txt, line 5: text without an identifier", result.stdout)
    assert re.search(r"repeated .*order.txt, line 6: the same device as line 1", result.stdout)


def shape(value):
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def test_json_is_as_documented(site, run):
    section = REFERENCE[REFERENCE.index("### `cloud import") :]
    documented = json.loads(re.search(r"```json\n(.*?)```", section, re.DOTALL)[1])
    site.sim.add_fault({"do": "sim_stuck"})
    text = "\n".join([ids(1)[0], ids(2)[1], "e00fce68ffffffff00000000", ids(1)[0], f"{ids(1)[0]}f"])
    result = run(site, text, "--may-bill", "--skip-bad-lines", "--json")
    printed = json.loads(result.stdout)
    assert shape(printed) == shape(documented)
    assert printed["result"]["verdict"] == "failed"
    assert printed["order"]["problems"][0]["line"] == 5


def test_labels_from_a_scanner_on_standard_input(site, tmp_path):
    devices = site.sim.population.make_devices("boron", ids(2, first=500))
    scanned = "".join(f"{d.serial_number} {d.mobile_secret}\n" for d in devices)
    command = [
        "cloud",
        "import",
        "-",
        "--product",
        str(site.product.id),
        "--state",
        str(tmp_path / "s.jsonl"),
        "--may-bill",
    ]
    result = CliRunner().invoke(root, [*command, "--json"], input=scanned, obj=site.api)
    printed = json.loads(result.stdout)
    assert (result.exit_code, printed["result"]["added"]) == (ExitCode.OK, 2)
    assert not any(d.mobile_secret in result.output for d in devices)


def test_devices_stay_unclaimed_unless_somebody_is_named(site, run):
    run(site, ids(1)[0], "--may-bill")
    run(site, ids(2)[1], "--may-bill", "--claim-user", "me@example.com")
    owners = [
        record.owner for record in ProductDevices(site.api, site.product.id).list(sort="deviceId", descending=False)
    ]
    assert owners == [None, "me@example.com"]


def test_progress_goes_to_standard_error(site, run):
    result = run(site, "\n".join(ids(20)), "--may-bill", "--json")
    assert json.loads(result.stdout)
    assert result.stderr == ""


@pytest.mark.parametrize("content", ["", "hello\n"])
def test_a_file_without_devices(site, run, content):
    assert run(site, content, "--dry-run").exception.file.endswith("order.txt")


def test_a_file_that_is_not_there(site, tmp_path, capsys):
    missing = str(tmp_path / "missing.txt")
    assert _run(["cloud", "import", missing, "--product", "1", "--json"]) == ExitCode.BAD_INPUT
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unreadable"
