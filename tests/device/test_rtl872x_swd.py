"""RTL872x boards through OpenOCD as it comes, on virtual boards with the chip's debug port, cores and memory map.

The model is ours and made from the same facts, so this proves our side of it and that OpenOCD accepts both; that a real
board answers so is not proven.
"""

import json

import pytest

from particle_dev.catalog.flash_chips import RTL872X_FLASH
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.device.rtl872x_swd import rtl872x_session
from particle_dev.errors import DeviceNotFoundError, LinkAccessError, TransportError, WrongDeviceError
from particle_dev.flash.swd_archive import read_archive
from particle_dev.station.bench import open_bench
from particle_dev.transport.openocd import OpenOcd, adapter_commands

P2, MSOM = platform_by_name("p2"), platform_by_name("msom")
START = RTL872X_FLASH.base_address


@pytest.fixture
def board():
    """A P2 that runs, and what OpenOCD calls its probe."""
    bench = open_bench(
        "virtual",
        options={"clock": "real", "delays": "none"},
        slots=[{"name": "1", "platform": "p2", "probe": True}],
        factory_modules=lambda _platform: [],
    )
    port = bench.driver.slots[0].probe.openocd_port
    yield bench.driver.board("1"), f"cmsis-dap-tcp:127.0.0.1:{port}"
    bench.close()


def session(probe, platform=P2):
    return rtl872x_session(probe, platform, frequency_hz=4_000_000)


def test_identity_does_not_stop_the_board(board):
    virtual, probe = board
    with session(probe) as opened:
        identity = opened.identity()
        assert not opened.halted
    assert identity.platform is P2
    versions = {(p.function, p.index): p.version for _, p in identity.prefixes}
    assert versions.keys() == {(2, 0), (2, 2), (4, 1), (5, 1)}
    for _, prefix in identity.prefixes:
        assert virtual.internal.read(prefix.start_address, 4) != b"\xff" * 4
    assert virtual.on_bus()


def test_halted_and_left_so(board):
    virtual, probe = board
    with session(probe) as opened:
        assert "no firmware runs" in opened.halt()
        assert opened.halted
    assert virtual.state.halted_at_s is not None
    with session(probe) as opened:
        assert opened.halted


def test_another_board_than_expected(board):
    _, probe = board
    with session(probe, MSOM) as opened, pytest.raises(WrongDeviceError, match="bootloader in flash is for p2"):
        opened.identity()


def test_a_chip_that_is_none(stand_in_openocd):
    """An nRF52840 behind the probe: another debug port answers."""
    with pytest.raises((TransportError, WrongDeviceError)) as caught, session(stand_in_openocd) as opened:
        opened.identity()
    assert caught.value.hint


@pytest.fixture
def stand_in_openocd():
    bench = open_bench(
        "virtual",
        options={"clock": "real", "delays": "none"},
        slots=[{"name": "1", "platform": "boron", "probe": True, "blank": True}],
        factory_modules=lambda _platform: [],
    )
    yield f"cmsis-dap-tcp:127.0.0.1:{bench.driver.slots[0].probe.openocd_port}"
    bench.close()


def test_nobody_answers():
    with pytest.raises(DeviceNotFoundError) as caught, session("cmsis-dap-tcp:127.0.0.1:1"):
        pass
    assert caught.value.selector == "cmsis-dap-tcp:127.0.0.1:1"


def test_a_probe_name_is_no_tcl():
    with pytest.raises(LinkAccessError, match="no serial number"):
        adapter_commands("x; shutdown")
    assert adapter_commands("0123ABC") == ["adapter driver cmsis-dap", "adapter serial 0123ABC"]


def test_an_error_in_openocds_own_words(board):
    _, probe = board
    with session(probe) as opened:
        openocd = opened._openocd
        assert isinstance(openocd, OpenOcd)
        with pytest.raises(TransportError, match="nosuchcommand"):
            openocd.call("nosuchcommand")
        assert openocd.call("expr 6*7") == "42"


@pytest.fixture
def swd(capsys):
    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(["swd", *map(str, words), "--json"])
        return ended.value.code or 0, json.loads(capsys.readouterr().out)

    return run


def test_commands(board, swd, tmp_path, monkeypatch):
    virtual, probe = board
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(tmp_path / "store"))
    words = ("--probe", probe, "--platform", "p2")
    code, answer = swd("id", *words)
    assert (code, answer["device_id"], answer["platform"]["name"]) == (0, None, "p2")
    assert len(answer["prefixes"]) == 4
    code, answer = swd("park", "halted", *words)
    assert (code, answer["parked"]) == (0, "halted")
    assert virtual.state.halted_at_s is not None
    # What would need a program in the chip says so, and does nothing.
    flash = bytes(virtual.internal.cells)
    (tmp_path / "x.bin").write_bytes(b"x")
    for command in (
        ("flash", tmp_path / "x.bin", "--may-erase"),
        ("recover", "--may-erase"),
        ("lock", "--may-lock"),
        ("park", "dfu"),
        ("rtt", "--may-connect"),
    ):
        code, answer = swd(*command, *words)
        assert (code, answer["error"]["type"]) == (ExitCode.REFUSED, "PlanRefusedError"), command
        assert "over USB" in answer["error"]["hint"]
    assert bytes(virtual.internal.cells) == flash
    assert swd("id", "--platform", "p2")[0] == ExitCode.NO_DEVICE


def test_dump(board, swd, tmp_path, monkeypatch):
    virtual, probe = board
    # Eight mebibytes take half a minute on a busy machine.
    monkeypatch.setattr("particle_dev.device.rtl872x_swd.RTL872X_FLASH", SmallFlash)
    code, _ = swd("dump", tmp_path / "p2.zip", "--probe", probe, "--platform", "p2")
    assert code == 0
    archive = read_archive(tmp_path / "p2.zip")
    assert (archive.chip, archive.platform) == ("rtl872x", "p2")
    assert archive.regions == {START: virtual.internal.read(START, SmallFlash.size_bytes)}


class SmallFlash:
    """The first part of it."""

    base_address, size_bytes = START, 0x20000
