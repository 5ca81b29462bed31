"""esptool, unmodified, between this program and a virtual ESP32.

What it proves: that the virtual loader speaks esptool's protocol, and that this program gives esptool what it needs and
understands what it says, in success and in failure. What it does not: anything about a real ESP32, or about the bridge
on a board's main processor.
"""

import fcntl
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from particle_harness.boards import hardware
from particle_harness.esp32.chip import ChipFaults, Runs, VirtualEsp32
from particle_harness.esp32.image import ESP32_TARGET, esp_image
from particle_harness.esp32.loader import LoaderFaults, RomLoader
from particle_harness.esp32.rfc2217 import Rfc2217Port
from particle_harness.esp32.serve import PtyPort, SocketPort
from particle_harness.factory import app_stand_in, build_module

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.main import main
from particle_dev.errors import (
    DeviceNotFoundError,
    FlashHashError,
    LinkAccessError,
    LinkDisconnectedError,
    LinkTimeoutError,
    LoaderRefusedError,
    PermissionMissingError,
    PlanRefusedError,
    WrongDeviceError,
)
from particle_dev.flash.esp_flash import flash_esp, plan_esp
from particle_dev.flash.esp_plan import esp_file
from particle_dev.permissions import Permissions
from particle_dev.protocol.esp_image import EspRegion, read_image
from particle_dev.transport.esptool import Esptool

IMAGE = esp_image(0x8000)
MAY_ERASE = Permissions(may_erase=True)


@contextmanager
def chip_on(kind=SocketPort, *, chip=None, faults=None, into_loader=True, **options):
    chip = chip or VirtualEsp32()
    chip.reset(into_loader=into_loader)
    with kind(RomLoader(chip, faults), **options) as port:
        yield chip, port.url


def tool(url, **options):
    return Esptool(url, **{"connect_attempts": 1} | options)


def ncp_module():
    return build_module(
        hardware("argon"),
        ModuleFunction.NCP_FIRMWARE,
        0,
        8,
        start_address=0,
        size_bytes=60_016,
        mcu_target=ESP32_TARGET,
    )


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["esp", *map(str, arguments)])
    out, err = capsys.readouterr()
    return end.value.code or 0, out, err


# ---- the way to success -----------------------------------------------------------------------------------------


def test_a_new_user_looks_flashes_and_verifies(capsys, tmp_path):
    file = tmp_path / "ncp.bin"
    file.write_bytes(ncp_module())
    with chip_on(PtyPort) as (chip, url):
        port = ("--port", url)
        status, out, err = run(capsys, "id", *port, "--json")
        assert status == 0, err
        told = json.loads(out)
        assert (told["mac"], told["flash"]["size_bytes"]) == ("24:0a:c4:11:22:33", 4 << 20)
        assert (told["starts"], told["application"]["version"]) == ("ota_1", "0.0.5")

        status, out, err = run(capsys, "flash", *port, file)
        assert (status, "--may-erase" in err) == (5, True)
        assert chip.boots() == "ota_1"

        # A pseudo-terminal has no line that resets the chip: written and proven, and said not to run yet.
        status, out, err = run(capsys, "flash", *port, file, "--may-erase")
        assert status == 6, err
        assert "NOT RESTARTED" in out
        assert "100 %" in err
        chip.reset(into_loader=False)
        assert chip.boots() == "ota_0"
        assert chip.flash.read(0x100000, 59_952) == ncp_module()[24:-40]

        chip.reset(into_loader=True)
        status, out, err = run(capsys, "verify", *port, file)
        assert (status, "ota_0" in out) == (0, True), err
        chip.flash.program(0x100400, bytes(4))
        status, out, err = run(capsys, "verify", *port, file, "--json")
        error = json.loads(out)["error"]
        assert (status, error["type"], error["address"]) == (1, "FlashHashError", 0x100000)
        assert "the chip holds something else" in error["message"]
        assert "worn out" not in error["hint"]


def test_the_command_that_serves_a_chip_and_the_documented_answer(capsys):
    words = [sys.executable, "-m", "particle_dev", "sim", "esp32", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = json.loads(server.stdout.readline())["port"]
            status, out, err = run(capsys, "id", "--port", port, "--json")
        finally:
            server.terminate()
    assert status == 0, err
    reference = (Path(__file__).parents[3] / "docs" / "cli.md").read_text().partition("### `esp id`")[2]
    documented = json.loads(reference.partition("```json\n")[2].partition("```")[0])
    assert documented.keys() == json.loads(out).keys()


def test_what_would_be_done_and_what_is_refused_before_the_port_is_opened(capsys, tmp_path):
    good, bad = tmp_path / "app.bin", tmp_path / "bad.bin"
    good.write_bytes(IMAGE)
    bad.write_bytes(IMAGE[:-1])
    nowhere = ("--port", "/dev/does-not-exist")
    status, out, _ = run(capsys, "flash", *nowhere, f"0x100000:{good}", "--dry-run", "--json")
    assert (status, json.loads(out)["regions"][0]["address"]) == (0, 0x100000)
    status, _, err = run(capsys, "flash", *nowhere, bad, "--may-erase")
    assert (status, "cut short" in err) == (3, True)
    status, _, err = run(capsys, "verify", *nowhere, good)
    assert (status, "cannot be opened" in err) == (4, True)
    assert run(capsys, "id", "--port", "socket://127.0.0.1:1")[0] == 4
    other = tmp_path / "other.bin"
    for content in (b"no firmware at all" * 40, app_stand_in(hardware("argon"), 2000)):
        other.write_bytes(content)
        status, _, err = run(capsys, "flash", *nowhere, other, "--may-erase")
        assert (status, "at offset" in err, "other.bin" in err) == (3, False, True)


def test_a_blank_chip_gets_everything_and_the_stub_is_refused():
    """What the ROM alone can do, without esptool's program in RAM."""
    whole = bytearray(b"\xff" * 0x28000)
    whole[0x1000 : 0x1000 + 0x800] = esp_image(0x800)
    with chip_on(chip=VirtualEsp32(blank=True)) as (chip, url):
        done = flash_esp(tool(url, stub=False), [esp_file("factory.bin", bytes(whole), 0)], permissions=MAY_ERASE)
        assert not done.restarted
        assert chip.runs is Runs.LOADER
        assert chip.flash.read(0, len(whole)) == whole
        with pytest.raises(PlanRefusedError, match="no partition table"):
            plan_esp(tool(url, stub=False), [esp_file("app.bin", IMAGE)])


def test_lines_for_reset_into_the_loader_and_out_of_it():
    """The slow one: pyserial's client of RFC 2217 waits 50 ms for each change of a time-out."""
    with chip_on(Rfc2217Port, into_loader=False) as (chip, url):
        assert tool(url, stub=False).write([EspRegion(0x100000, IMAGE[:0x400], "part")])
        assert chip.runs is Runs.APPLICATION
        assert chip.resets >= 3


def test_our_reader_of_images_and_esptools_agree(tmp_path):
    def theirs(data, path):
        path.write_bytes(data)
        words = [sys.executable, "-m", "esptool", "--chip", "esp32", "image-info", str(path)]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    good = theirs(IMAGE, tmp_path / "good.bin")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "(valid)" in good.stdout
    assert "esp32-ncp" in good.stdout
    assert read_image(IMAGE).ok
    bad = theirs(IMAGE[:500] + b"?" + IMAGE[501:], tmp_path / "bad.bin")
    assert "invalid" in bad.stdout


# ---- faults -----------------------------------------------------------------------------------------------------


def test_nobody_answers():
    with chip_on(faults=LoaderFaults(no_sync=True)) as (_, url), pytest.raises(LinkTimeoutError, match="answers") as e:
        tool(url).identify()
    assert "ESPBOOT" in e.value.hint


def test_another_chip_is_refused_before_anything_is_erased():
    chip = VirtualEsp32(faults=ChipFaults(kind="ESP32-S2"))
    with chip_on(chip=chip) as (_, url), pytest.raises(WrongDeviceError) as error:
        flash_esp(tool(url), [esp_file("app.bin", IMAGE)], permissions=MAY_ERASE)
    assert (error.value.expected, error.value.actual) == ("ESP32", "ESP32-S2")
    assert chip.flash.erases == 0


def test_a_line_that_is_cut_midway_and_once_more():
    with chip_on(faults=LoaderFaults(drop_after_blocks=2)) as (chip, url):
        with pytest.raises(LinkDisconnectedError, match="lost"):
            flash_esp(tool(url, stub=False), [esp_file("app.bin", IMAGE)], permissions=MAY_ERASE)
        # Cut off in the application: what ran before still starts.
        assert chip.boots() == "ota_1"
    with chip_on(chip=chip) as (_, url):
        flash_esp(tool(url), [esp_file("app.bin", IMAGE)], permissions=MAY_ERASE)
        assert chip.boots() == "ota_0"


def test_flash_that_keeps_a_wrong_bit():
    chip = VirtualEsp32(faults=ChipFaults(worn_address=0x100123))
    with chip_on(chip=chip) as (_, url), pytest.raises(FlashHashError, match=r"app\.bin to") as error:
        flash_esp(tool(url), [esp_file("app.bin", IMAGE)], permissions=MAY_ERASE)
    assert (error.value.address, error.value.size_bytes) == (0x100000, 0x8000)
    assert chip.boots() == "ota_1"


def test_a_loader_that_refuses_every_block():
    with chip_on(faults=LoaderFaults(busy_blocks=1000)) as (_, url), pytest.raises(LoaderRefusedError) as error:
        tool(url, stub=False).write([EspRegion(0x100000, bytes(64), "x")])
    assert error.value.result.lower().startswith("0106")


@pytest.mark.parametrize(
    ("faults", "stub"), [(LoaderFaults(silent_after_blocks=0), False), (LoaderFaults(refuse_stub=True), True)]
)
def test_the_hard_deadline_for_a_chip_that_falls_silent_or_does_not_start_the_stub(faults, stub):
    """esptool itself waits for ever for a stub that does not start, behind a socket."""
    with chip_on(faults=faults) as (_, url), pytest.raises(LinkTimeoutError, match="longer than 3 s") as error:
        tool(url, stub=stub, timeout_s=3).write([EspRegion(0x100000, bytes(64), "x")])
    assert "--no-stub" in error.value.hint


def test_ports_that_cannot_be_opened():
    with pytest.raises(DeviceNotFoundError):
        tool("socket://127.0.0.1:9").identify()
    with pytest.raises(DeviceNotFoundError):
        tool("/dev/does-not-exist").identify()
    with chip_on(PtyPort) as (_, url):
        holder = os.open(url, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(LinkAccessError, match="in use by"):
            tool(url).identify()
        os.close(holder)


def test_a_chip_that_starts_its_application_instead():
    class BootLog(RomLoader):
        def feed(self, data):
            return b"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n" * 40 if data else b""

    chip = VirtualEsp32()
    chip.reset(into_loader=False)
    with PtyPort(BootLog(chip)) as port, pytest.raises(LinkTimeoutError, match="answers") as error:
        tool(port.url).identify()
    assert "GPIO0" in error.value.hint


def test_without_permission_not_even_the_port_is_opened():
    with pytest.raises(PermissionMissingError):
        flash_esp(tool("/dev/does-not-exist"), [esp_file("app.bin", IMAGE)])


def test_the_environment_of_the_user_does_not_count(monkeypatch):
    monkeypatch.setenv("ESPTOOL_CHIP", "esp8266")
    monkeypatch.setenv("ESPTOOL_BAUD", "1")
    monkeypatch.setenv("COLUMNS", "20")
    with chip_on() as (_, url):
        assert tool(url).identify().mac == "24:0a:c4:11:22:33"
