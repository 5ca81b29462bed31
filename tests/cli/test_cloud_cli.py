"""``particle-dev cloud …`` from the command line, with the client before the simulated cloud."""

import json
import re
import socket
import stat
import threading

import click
import httpx2
import pytest
from click.testing import CliRunner
from particle_harness.cloud import SimDevice
from particle_harness.cloud.tables import Device

from particle_dev.cli.exit_codes import ExitCode, exit_code_of
from particle_dev.cli.output import plain
from particle_dev.cli.root import root
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.records import SimRecord
from particle_dev.cloud.replies import LOG_IN_COMMAND
from particle_dev.errors import (
    CloudAuthError,
    CloudDeniedError,
    CloudNotFoundError,
    ConfigError,
    EventSourceError,
    LinkAccessError,
    MfaRequiredError,
    ParticleDevError,
    PermissionMissingError,
)
from particle_dev.protocol.secret import Secret
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.http import HttpxLink
from tests.cloud.sim_site import SimSite
from tests.cloud.test_firmware_and_more import application

UPDATE = "--may-update-devices"


@pytest.fixture
def site():
    made = SimSite(plan="basic", org=True)
    yield made
    made.close()


@pytest.fixture
def member(site):
    record = site.sim.population.make_device("boron")
    assert run(site, "devices", "add", record.id, "--may-bill").exit_code == 0
    site.clock.sleep(60)
    return record


@pytest.fixture
def online(site, member):
    board = SimDevice(
        site.sim, member, functions={"led": len}, variables={"volts": 3.25},
        firmware_product_id=site.product.id, firmware_version=1,
    )  # fmt: skip
    board.connect()
    return board


def run(site, *arguments, product=True, **options):
    words = ["cloud", *arguments, *(["--product", str(site.product.id)] if product else [])]
    return Done(CliRunner().invoke(root, words, obj=site.api, standalone_mode=False, **options))


def run_without_site(*words):
    """With the cloud that options and profile name; for what fails before anything is sent."""
    return Done(CliRunner().invoke(root, ["cloud", *words], standalone_mode=False))


class Done:
    """What the program would have ended with."""

    def __init__(self, result):
        self.stdout, self.output, self.stderr = result.stdout, result.output, result.stderr
        error = self.exception = result.exception
        if isinstance(error, click.ClickException):
            self.exit_code, self.stderr = error.exit_code, error.format_message()
        elif isinstance(error, ParticleDevError):
            self.exit_code = exit_code_of(error)
        else:
            assert error is None, error
            self.exit_code = result.return_value or 0


def result(done):
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


# ---- devices ----------------------------------------------------------------------------------------------------


def test_devices_list_show_and_add(site, member):
    table = run(site, "devices", "list").stdout.splitlines()
    assert table[0].split()[:2] == ["device", "name"]
    assert table[1].startswith(member.id)
    (line,) = run(site, "devices", "list", "--json", "--serial", member.serial_number[:6]).stdout.splitlines()
    assert json.loads(line)["last_heard"] is None
    shown = result(run(site, "devices", "show", member.id, "--json"))
    assert (shown["id"], shown["mobile_secret"]) == (member.id, "***")
    text = run(site, "devices", "show", member.id).stdout
    assert member.serial_number in text
    assert member.mobile_secret not in text


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("devices", "show", "e00fce68" * 3), ExitCode.NO_DEVICE),
        (("devices", "set", "e00fce68" * 3, "--name", "x"), ExitCode.NO_DEVICE),
        (("lookup", "P046AB000000001"), ExitCode.NO_DEVICE),
        (("devices", "retire", "e00fce68" * 3, "--may-release"), ExitCode.NO_DEVICE),
        (("devices", "remove", "e00fce68" * 3), ExitCode.USAGE),
        (("devices", "add", "e00fce68" * 3), ExitCode.REFUSED),
    ],
)
def test_the_same_mistake_has_the_same_exit_status(site, home, words, code):
    assert run(site, *words, product=words[0] == "devices").exit_code == code


def test_what_the_cloud_forbids_has_failed(site, member):
    site.sim.add_fault({"do": "status", "status": 403, "on": "GET /v1/products/*/devices/*"})
    done = run(site, "devices", "show", member.id)
    assert isinstance(done.exception, CloudDeniedError)
    assert done.exit_code == ExitCode.FAILED


def test_adding_says_what_became_of_each(site):
    people = site.sim.population
    good, argon = people.make_device("boron"), people.make_device("argon")
    done = run(site, "devices", "add", good.id, argon.id, "--may-bill")
    assert done.exit_code == ExitCode.FAILED
    assert f"{good.id}: added" in done.stdout
    assert f"{argon.id}: refused" in done.stdout
    told = json.loads(run(site, "devices", "add", good.id, argon.id, "--may-bill", "--json").stdout)
    assert (told["present"], told["invalid"], told["complete"]) == ([good.id], [argon.id], False)


def test_billing_acts_need_their_own_flag(site, member):
    for words in (("devices", "add", member.id), ("devices", "approve", member.id), ("sims", "import", "89")):
        done = run(site, *words)
        assert isinstance(done.exception, PermissionMissingError)
        assert done.exit_code == ExitCode.REFUSED
        assert "--may-bill" in done.exception.hint
    assert isinstance(run(site, "firmware", "release", "1", "--default").exception, ParticleDevError)


@pytest.mark.parametrize(
    "words",
    [
        ("devices", "lock", "ID", "3"),
        ("devices", "unlock", "ID"),
        ("devices", "set", "ID", "--name", "x", "--no-development"),
        ("devices", "set", "ID", "--name", "x", "--group", "night"),
        ("devices", "set", "ID", "--name", "x", "--no-groups"),
        ("groups", "remove", "night", "--yes"),
    ],
)
def test_what_makes_the_cloud_flash_needs_its_own_flag(site, member, words):
    before = result(run(site, "devices", "show", member.id, "--json"))
    done = run(site, *(member.id if word == "ID" else word for word in words))
    assert isinstance(done.exception, PermissionMissingError)
    assert done.exit_code == ExitCode.REFUSED
    assert "--may-update-devices" in done.exception.hint
    assert result(run(site, "devices", "show", member.id, "--json")) == before


@pytest.mark.parametrize(
    "words",
    [
        ("devices", "remove"),
        ("devices", "deny"),
        ("devices", "unclaim"),
        ("sims", "release"),
        ("sims", "deactivate"),
        ("groups", "remove"),
        ("integrations", "remove"),
    ],
)
def test_what_can_be_undone_needs_yes(site, member, words):
    done = run(site, *words, member.id)
    assert done.exit_code == ExitCode.USAGE
    assert "--yes" in done.stderr


def test_fields_of_a_device(site, member):
    done = run(site, "devices", "set", member.id, "--name", "one", "--notes", "n", "--group", "night", "--development")
    assert isinstance(done.exception, PermissionMissingError)
    done = run(
        site, "devices", "set", member.id, "--name", "one", "--notes", "n", "--group", "night", "--development", UPDATE
    )
    assert done.exit_code == 0
    shown = result(run(site, "devices", "show", member.id, "--json"))
    assert (shown["name"], shown["notes"], shown["groups"], shown["development"]) == ("one", "n", ["night"], True)
    run(site, "devices", "set", member.id, "--no-groups", "--no-development", UPDATE)
    shown = result(run(site, "devices", "show", member.id, "--json"))
    assert (shown["groups"], shown["development"]) == ([], False)
    for words in ((), ("--group", "a", "--no-groups")):
        assert run(site, "devices", "set", member.id, *words).exit_code == ExitCode.USAGE
    assert run(site, "devices", "set", member.id, "--development", product=False).exit_code == ExitCode.USAGE


def test_out_and_away(site, member):
    assert "SIM is still active" in run(site, "devices", "remove", member.id, "--yes").stdout
    done = run(site, "sims", "release", member.iccid, "--yes")
    assert done.exit_code in (ExitCode.OK, ExitCode.INCOMPLETE)
    site.clock.sleep(86400)
    assert run(site, "sims", "list").stderr == "no SIM\n"


def test_talking_to_a_board(site, online):
    assert run(site, "ping", online.id).stdout == "online\n"
    assert run(site, "call", online.id, "led", "abc").stdout == "3\n"
    assert result(run(site, "get", online.id, "volts", "--json"))["value"] == 3.25
    assert run(site, "signal", online.id).exit_code == 0
    assert online.signals
    assert run(site, "publish", "hil/x", "1").stdout == "published\n"
    assert run(site, "vitals", online.id).exit_code == ExitCode.INCOMPLETE
    told = result(run(site, "vitals", online.id, "--refresh", "--json"))
    assert told["device"]["network"]["signal"]["strength"] == 80
    (report,) = result(run(site, "vitals", online.id, "--days", "2", "--json"))
    assert report["device_id"] == online.id
    assert "80" in run(site, "vitals", online.id, "--days", "2").stdout
    online.vanish()
    site.clock.sleep(3600)
    site.sim.advance()
    assert run(site, "ping", online.id).exit_code == ExitCode.INCOMPLETE


def test_serial_numbers(site, member, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = run(site, "lookup", member.serial_number, "P000000000000000", product=False)
    assert done.exit_code == ExitCode.NO_DEVICE
    assert done.stdout.splitlines()[1].split() == [member.serial_number, member.id, "13"]
    site.requests.clear()
    assert result(run(site, "lookup", member.serial_number.lower(), "--json", product=False))[0]["platform_id"] == 13
    assert site.requests == []


def test_claiming(site, online):
    assert run(site, "devices", "claim", online.id, "--may-bill", product=False).exit_code == 0
    assert online.id in run(site, "devices", "list", product=False).stdout
    assert run(site, "devices", "unclaim", online.id, "--yes", product=False).exit_code == 0
    assert run(site, "devices", "list", product=False).stderr == "no device\n"
    assert run(site, "devices", "list", "--name", "x", product=False).exit_code == ExitCode.USAGE


# ---- SIMs, firmware, account ------------------------------------------------------------------------------------


def test_sims(site, member):
    assert run(site, "sims", "list").stdout.splitlines()[1].split()[:3] == [member.iccid, "active", "yes"]
    shown = result(run(site, "sims", "show", member.iccid, "--usage", "--json"))
    assert (shown["status"], shown["usage"]["total_mb"]) == ("active", 0)
    assert run(site, "sims", "show", member.iccid, "--connection").exit_code == ExitCode.INCOMPLETE
    assert run(site, "sims", "deactivate", member.iccid, "--yes").exit_code == 0
    site.clock.sleep(3600)
    assert run(site, "sims", "activate", member.iccid, "--again", "--may-bill").exit_code == 0


def test_firmware(site, online, tmp_path):
    for n in (1, 2):
        (tmp_path / f"{n}.bin").write_bytes(application(n, site.product.id))
        assert run(site, "firmware", "upload", str(tmp_path / f"{n}.bin"), "--title", f"v{n}").exit_code == 0
    assert [f["version"] for f in result(run(site, "firmware", "list", "--json"))] == [2, 1]
    out = tmp_path / "out.bin"
    assert run(site, "firmware", "download", "2", str(out)).exit_code == 0
    assert out.read_bytes() == (tmp_path / "2.bin").read_bytes()
    assert run(site, "firmware", "download", "2", str(out)).exit_code == ExitCode.BAD_INPUT
    assert run(site, "devices", "lock", online.id, "2", "--now", "--may-update-devices").exit_code == 0
    site.clock.sleep(60)
    site.sim.advance()
    assert run(site, "devices", "unlock", online.id, UPDATE).exit_code == 0
    told = result(run(site, "firmware", "release", "2", "--default", "--dry-run", "--json"))
    assert told["released"] is False
    assert not result(run(site, "firmware", "list", "--json"))[0]["product_default"]
    done = run(site, "firmware", "release", "2", "--default", "--may-update-devices")
    assert "would be flashed to" in done.stdout
    assert result(run(site, "firmware", "list", "--json"))[0]["product_default"]
    assert run(site, "firmware", "release", "2").exit_code == ExitCode.USAGE


def test_a_release_of_nothing_or_to_nobody_is_refused_also_as_a_dry_run(site, tmp_path):
    (tmp_path / "1.bin").write_bytes(application(1, site.product.id))
    assert run(site, "firmware", "upload", str(tmp_path / "1.bin"), "--title", "v1").exit_code == 0
    before = site.sent("PUT", "/release")
    for words, missing in ((("9", "--default"), "version 9; it has 1"), (("1", "--group", "nope"), "group nope")):
        for how in ("--dry-run", UPDATE):
            done = run(site, "firmware", "release", *words, how)
            assert isinstance(done.exception, CloudNotFoundError)
            assert missing in done.exception.message
            assert "would be flashed" not in done.stdout
    assert site.sent("PUT", "/release") == before


def test_a_device_is_not_locked_to_a_version_that_is_not_there(site, member):
    done = run(site, "devices", "lock", member.id, "3", UPDATE)
    assert isinstance(done.exception, CloudNotFoundError)
    assert "version 3" in done.exception.message
    assert result(run(site, "devices", "show", member.id, "--json"))["desired_firmware_version"] is None


def test_who_owns_nothing_loses_nothing(site, member):
    done = run(site, "devices", "unclaim", member.id, "--yes")
    assert (done.exit_code, done.stdout) == (0, f"{member.id} has no owner: nothing was changed\n")
    assert site.sent("DELETE", "/owner") == 0
    owned = site.sim.store.get(Device, member.id)
    owned.owner_id = site.owner.id
    site.sim.store.put(owned)
    assert "is unclaimed" in run(site, "devices", "unclaim", member.id, "--yes").stdout
    assert result(run(site, "devices", "show", member.id, "--json"))["owner"] is None


@pytest.mark.parametrize("words", [("devices", "show"), ("ping",)])
def test_a_device_that_is_not_claimed_needs_its_product(site, member, words):
    done = run(site, *words, member.id, product=False)
    assert "--product" in done.exception.hint
    assert "access_token=" not in str(done.exception)
    assert "didn't recognize that device" in done.exception.message


def test_a_period_ends_on_a_day(site):
    header, row = run(site, "usage", "--org", "acme", product=False).stdout.splitlines()
    assert "period to" in header
    assert ":" not in row


def test_a_file_that_is_no_firmware_is_named(site, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no module")
    done = run(site, "firmware", "upload", str(text), "--title", "x")
    assert (done.exit_code, done.exception.file) == (ExitCode.BAD_INPUT, str(text))
    assert str(done.exception).startswith(f"{text}: ")


def test_a_binary_over_the_air(site, online, tmp_path):
    (tmp_path / "a.bin").write_bytes(application(7, site.product.id))
    assert run(site, "devices", "set", online.id, "--development").exit_code == 0
    done = run(site, "devices", "flash", online.id, str(tmp_path / "a.bin"), "--may-update-devices")
    assert done.exit_code == 0, done.exception
    assert online.hello.firmware_version == 7


def test_many_devices_change_their_groups_at_once(site, member):
    words = ("groups", "change", member.id, "--add", "night")
    assert isinstance(run(site, *words).exception, PermissionMissingError)
    assert run(site, *words[:3], UPDATE).exit_code == ExitCode.USAGE
    assert run(site, *words, UPDATE).exit_code == 0
    assert result(run(site, "devices", "show", member.id, "--json"))["groups"] == ["night"]
    assert run(site, "groups", "change", member.id, "--remove", "night", UPDATE).exit_code == 0
    assert result(run(site, "devices", "show", member.id, "--json"))["groups"] == []


def test_products_groups_usage_integrations(site, tmp_path):
    assert run(site, "products", product=False).stdout.splitlines()[1].split() == [
        str(site.product.id),
        site.product.slug,
        "Widget",
        "boron",
        "acme",
    ]
    assert result(run(site, "products", site.product.slug, "--json", product=False))["id"] == site.product.id
    assert run(site, "groups", "create", "night").exit_code == 0
    assert "night" in run(site, "groups", "list").stdout
    assert run(site, "groups", "remove", "night", "--yes", UPDATE).exit_code == 0
    assert result(run(site, "usage", "--org", "acme", "--json", product=False))
    (report,) = result(run(site, "usage", "--org", "acme", "--report", "devices", "--json", product=False))
    assert (report["state"], report["download_url"].endswith(".csv")) == ("available", True)
    url, key = tmp_path / "url", tmp_path / "key"
    url.write_text("https://example.com/?key=topsecret\n")
    key.write_text("k3y")
    made = run(site, "integrations", "create", "temp", "--url-file", str(url), "--key-file", str(key), "--json")
    assert "topsecret" not in made.output
    assert "topsecret" not in run(site, "integrations", "list").output
    assert run(site, "integrations", "remove", result(made)["id"], "--yes").exit_code == 0


# ---- logins -----------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_login_whoami_logout(site, home, tmp_path):
    password = tmp_path / "password"
    password.write_text("password\n")
    words = ("login", "--username", "me@example.com", "--password-file", str(password))
    assert run(site, *words, product=False).exit_code == ExitCode.USAGE
    done = run(site, *words, "--save", "--json", product=False)
    assert result(done)["profile"] == "particle"
    saved = json.loads((home / ".particle" / "particle.config.json").read_text())
    assert saved["username"] == "me@example.com"
    assert saved["access_token"] not in done.output
    out = tmp_path / "token"
    assert run(site, *words, "--out", str(out), product=False).exit_code == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert run(site, *words, "--out", str(out), product=False).exit_code != 0
    who = result(run(site, "whoami", "--json", product=False))
    assert (who["username"], who["api_user"], who["organizations"]) == ("me@example.com", False, ["acme"])
    assert who["jobs"] == []
    shown = run(site, "whoami", "--job", "undo", product=False).stdout
    assert "undo: a person may do everything" in shown
    assert run(site, "logout", product=False).exit_code == 0
    assert "access_token" not in json.loads((home / ".particle" / "particle.config.json").read_text())
    assert isinstance(run(site, "whoami", product=False).exception, CloudAuthError)


def test_a_one_time_password_is_in_no_command_line(site, home, tmp_path):
    site.sim.population.add_account("careful@example.com", "password", mfa_secret="123456")
    password, otp, out = tmp_path / "password", tmp_path / "otp", tmp_path / "token"
    password.write_text("password\n")
    otp.write_text("123456\n")
    words = ("login", "--username", "careful@example.com", "--password-file", str(password), "--out", str(out))
    done = run(site, *words, product=False)
    assert isinstance(done.exception, MfaRequiredError)
    assert not out.exists()
    done = run(site, *words, "--otp-file", str(otp), product=False)
    assert done.exit_code == 0, done.exception
    assert out.read_text().strip()
    assert "123456" not in done.output
    assert run(site, *words[:3], "--password-file", "-", "--otp-file", "-", "--save", product=False).exit_code == 2


def test_the_command_of_the_hint_logs_in(site, home, tmp_path):
    assert not home.joinpath(".particle").exists()
    done = run_without_site("whoami", "--profile", "nosuch")
    assert isinstance(done.exception, CloudAuthError)
    assert "'nosuch' is not there" in done.exception.message
    command = re.search(r"`particle-dev (cloud login .*?)`", done.exception.hint)[1]
    words = command.replace("MAIL", "me@example.com").split()
    assert words[1:] == [*LOG_IN_COMMAND.replace("MAIL", "me@example.com").split()[2:], "--profile", "nosuch"]
    password = tmp_path / "password"
    password.write_text("password\n")
    done = run(site, *words[1:], "--password-file", str(password), product=False)
    assert done.exit_code == 0
    assert "logging in to https://api.particle.io (profile nosuch)" in done.stderr
    saved = home / ".particle" / "nosuch.config.json"
    saved.write_text("{}")
    assert "nobody is logged in" in run_without_site("whoami", "--profile", "nosuch").exception.message


@pytest.mark.parametrize("content", ["", "\n", "two words", "tök"])
def test_a_file_without_a_token_is_bad_input(home, tmp_path, content):
    (tmp_path / "token").write_text(content, encoding="utf-8")
    done = run_without_site("whoami", "--token-file", str(tmp_path / "token"))
    assert isinstance(done.exception, ConfigError)
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "token" in done.exception.message


def test_nothing_is_written_without_being_asked(site, home):
    run(site, "whoami", product=False)
    assert list(home.iterdir()) == []


def test_an_api_user(site, tmp_path):
    out = tmp_path / "token"
    done = run(site, "api-user", "create", "Line 1", "--job", "provision", "--out", str(out))
    assert done.exit_code == 0
    token = out.read_text().strip()
    assert token not in done.output
    site.api.token = Secret(token)
    shown = run(site, "whoami", "--job", "provision", product=False).stdout
    assert "provision: its scopes are enough" in shown
    assert re.search(r"^expires_at +never$", shown, re.MULTILINE)
    done = run(site, "whoami", "--job", "undo", product=False)
    assert isinstance(done.exception, CloudDeniedError)
    assert done.exit_code == ExitCode.REFUSED
    site.api.token = Secret(site.token)
    listed = result(run(site, "api-user", "list", "--json"))
    (user,) = [m for m in listed if m["is_programmatic"]]
    assert run(site, "api-user", "remove", user["username"], "--yes").exit_code == 0
    assert run(site, "api-user", "create", "x", "--out", str(out)).exit_code == ExitCode.USAGE
    assert run(site, "api-user", "list", product=False).exit_code == ExitCode.USAGE


def test_a_token_is_asked_for_only_when_its_file_is_there(site, home, tmp_path, monkeypatch):
    password = tmp_path / "password"
    password.write_text("password\n")
    login = ("login", "--username", "me@example.com", "--password-file", str(password))
    kept, nowhere = tmp_path / "kept", tmp_path / "nowhere" / "token"
    made = run(site, "api-user", "create", "Line 1", "--job", "provision", "--out", str(kept), "--json")
    name, token = result(made)["username"], kept.read_text()
    logins = []
    monkeypatch.setattr("particle_dev.cli.cloud_login.log_in", lambda *_, **__: logins.append(1))
    for out in (kept, nowhere):
        for words in (
            ("api-user", "create", "Line 2", "--job", "provision", "--out", str(out)),
            ("api-user", "update", name, "--job", "undo", "--yes", "--out", str(out)),
        ):
            assert isinstance(run(site, *words).exception, ConfigError)
        assert isinstance(run(site, *login, "--out", str(out), product=False).exception, ConfigError)
    assert logins == []
    assert kept.read_text() == token
    assert [m["username"] for m in result(run(site, "api-user", "list", "--json")) if m["is_programmatic"]] == [name]
    site.api.token = Secret(token.strip())
    assert run(site, "whoami", "--job", "provision", product=False).exit_code == 0, "the old token lives"


def test_no_file_is_left_when_there_is_no_token(site, home, tmp_path):
    password, out = tmp_path / "password", tmp_path / "token"
    password.write_text("wrong\n")
    words = ("login", "--username", "me@example.com", "--password-file", str(password), "--out", str(out))
    assert isinstance(run(site, *words, product=False).exception, ParticleDevError)
    assert not out.exists()


# ---- output -----------------------------------------------------------------------------------------------------


def test_secrets_are_not_json():
    assert plain({"a": [Secret("x")], "b": (1, None)}) == {"a": ["***"], "b": [1, None]}
    assert plain(SimRecord(iccid="89", status="active"))["first_activated_on"] is None


def test_names_cannot_drive_a_terminal(site, member):
    run(site, "devices", "set", member.id, "--name", "a\x1b[2Jb")
    assert "\x1b" not in run(site, "devices", "list").stdout
    assert "\x1b" not in run(site, "devices", "show", member.id).stdout


def test_a_long_list_comes_page_by_page(site):
    ids = [f"e00fce68{n:016x}" for n in range(250)]
    site.sim.population.make_devices("boron", ids)
    run(site, "devices", "add", *ids, "--may-bill")
    lines = run(site, "devices", "list", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids


# ---- events -----------------------------------------------------------------------------------------------------


def test_events_end_after_a_number(site):
    """Over a real connection: the simulated cloud's server."""
    record = site.sim.population.make_device("boron")
    run(site, "devices", "add", record.id, "--may-bill")
    site.clock.sleep(60)
    board = SimDevice(site.sim, record)
    with site.sim.serve() as server:
        link = HttpxLink(server.url)
        site.api = CloudApi(
            link, RateLimiter(MemoryLimitStore(), SystemClock()), token=Secret(site.token), clock=SystemClock()
        )
        board.connect()
        stop = threading.Event()

        def keep_publishing():
            while not stop.wait(0.02):
                site.sim.clock.sleep(1)
                board.publish("hil/count", "x\x1b")

        publisher = threading.Thread(target=keep_publishing)
        publisher.start()
        try:
            done = run(site, "events", "hil/", "--max", "2", "--json", "--device", record.id)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            text = run(site, "events", "hil/", "--max", "1").stdout
            few = run(site, "events", "nothing/", "--max", "1", "--duration", "0.2")
            told = run(site, "events", "hil/", "--max", "1").stderr
        finally:
            stop.set()
            publisher.join()
        refused = run(site, "events", "--device", record.id, product=False)
        link.close()
    assert done.exit_code == 0
    assert [(e["type"], e["name"], e["coreid"]) for e in lines] == [("event", "hil/count", record.id)] * 2
    assert record.id in text
    assert "\x1b" not in text
    assert few.exit_code == ExitCode.INCOMPLETE
    assert "listening to events of product" in told
    assert isinstance(refused.exception, EventSourceError)
    assert "not claimed to this account" in refused.exception.message


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_events_by_webhook(site, tmp_path):
    key = tmp_path / "key"
    key.write_text("0123456789abcdef\n")
    port = free_port()
    body = {"name": "temp", "data": "21", "coreid": "e00fce68aaaaaaaaaaaaaaaa", "published_at": "2026-01-01T00:00:00Z"}

    def post():
        with httpx2.Client(trust_env=False, transport=httpx2.HTTPTransport(retries=50)) as client:
            headers = {"X-Particle-Dev-Key": "0123456789abcdef"}
            statuses.append(client.post(f"http://127.0.0.1:{port}/", json=body, headers=headers).status_code)

    statuses = []
    sender = threading.Thread(target=post)
    sender.start()
    done = run(site, "events", "--webhook", str(port), "--key-file", str(key), "--max", "1", "--json")
    sender.join()
    assert json.loads(done.stdout)["data"] == "21"
    assert statuses == [200]


@pytest.mark.parametrize(
    "words", [("--webhook", "1"), ("--key-file", "x"), ("--canary", "--pubsub", "projects/p/subscriptions/s")]
)
def test_sources_that_do_not_go_together(site, words):
    assert run(site, "events", *words).exit_code == ExitCode.USAGE


def test_a_subscription_that_is_none(site):
    assert isinstance(run(site, "events", "--pubsub", "nothing").exception, LinkAccessError)
