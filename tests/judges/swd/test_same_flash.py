"""What pyOCD, OpenOCD and our flasher leave of the same files is the same, byte for byte; ours reads it too."""

import pytest
from intelhex import IntelHex
from particle_harness.user_information import factory_uicr, intel_hex, mbr_stand_in

from particle_dev.cli.main import main
from particle_dev.device.swd import swd_session

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(400), pytest.mark.usefixtures("own_probes")]
APPS = {"boron": "tinker-0.8.0-rc.27-boron.bin", "photon": "tinker-0.4.5-photon.bin"}


@pytest.fixture
def command(capsys, monkeypatch, tmp_path, release_store):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(release_store.root))

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(["swd", *map(str, words)])
        printed = capsys.readouterr()
        assert not ended.value.code, printed.err

    return run


@pytest.fixture
def chips(nrf52840, stm32f205_maker):
    return {"boron": nrf52840, "photon": stm32f205_maker}


@pytest.mark.parametrize("platform", ["boron", "photon"])
def test_the_same_set_by_three_programs(chips, pyocd, openocd, command, tmp_path, platform):
    target, script = {"boron": ("nrf52840", "nordic/nrf52"), "photon": ("stm32f412xg", "stm32f2x")}[platform]
    wanted = ["--device-os", "2.1.0", "--app", APPS[platform]]
    if platform == "boron":
        uicr = factory_uicr(0, was_protected=False)[:0x400]
        (tmp_path / "restore.hex").write_text(intel_hex([(0, mbr_stand_in()), (0x10001000, uicr)]))
        wanted += ["--restore", tmp_path / "restore.hex"]
    image = tmp_path / "board.hex"
    command("image", image, "--platform", platform, *wanted)
    by_pyocd, by_openocd, by_us = (chips[platform]() for _ in range(3))
    with pyocd(by_pyocd, target) as run:
        run("flash", "--no-reset", str(image))
    # OpenOCD writes UICR as a flash bank of its own.
    openocd(by_openocd, script, "reset halt", f"program {image} verify")
    with pyocd(by_us, target) as run:
        probe = run.probe_id
        command("flash", "--probe", probe, "--platform", platform, *wanted)
        with swd_session(probe, in_process=True) as session:
            chip = session.chip
            read = session.link.read(chip.flash_start_address, chip.flash_size_bytes)
    cells = bytes(by_us.flash.cells)
    assert bytes(by_pyocd.flash.cells) == cells
    assert bytes(by_openocd.flash.cells) == cells
    assert read == cells
    if platform == "boron":
        assert bytes(by_pyocd.uicr) == bytes(by_openocd.uicr) == bytes(by_us.uicr)
    for start, end in IntelHex(str(image)).segments():
        if start < 0x10000000 and platform == "boron":
            assert cells[start:end] == IntelHex(str(image)).tobinstr(start=start, size=end - start)
