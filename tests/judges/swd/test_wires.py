"""OpenOCD bit by bit: a current one over SWD, Debian's over JTAG. Real bootloaders alone: each sampled bit is a round
trip."""

import subprocess

import pytest
from particle_harness.swd.wire import BitbangServer

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(300)]
JTAG_NRF52 = (
    "jtag newtap nrf52 cpu -irlen 4 -expected-id 0x4ba00477",
    "dap create nrf52.dap -chain-position nrf52.cpu",
    "target create nrf52.cpu cortex_m -dap nrf52.dap",
    "nrf52.cpu configure -work-area-phys 0x20000000 -work-area-size 0x4000",
    "cortex_m reset_config sysresetreq",
    "flash bank nrf52.flash nrf5 0 0 1 1 nrf52.cpu",
)


def program(program_words, chip, transport, target, file, address):
    with BitbangServer(chip) as server:
        commands = [
            "adapter driver remote_bitbang",
            "remote_bitbang host 127.0.0.1",
            f"remote_bitbang port {server.port}",
            f"transport select {transport}",
            *target,
            *(f"{name}_port disabled" for name in ("gdb", "tcl", "telnet")),
            "init",
            "reset halt",
            f"program {file} {address:#x} verify",
            f"echo [mdw {address:#x} 2]",
            "shutdown",
        ]
        return subprocess.run(
            [*program_words, *[word for command in commands for word in ("-c", command)]],
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )


@pytest.mark.parametrize(("platform", "transport"), [("boron", "swd"), ("photon", "swd"), ("boron", "jtag")])
def test_program_and_verify_a_real_bootloader(nrf52840, stm32f205, openocd_words, real_image, platform, transport):
    chip = nrf52840() if platform == "boron" else stm32f205
    file, address = real_image(platform)[0]
    image = file.read_bytes()
    if transport == "swd":
        script = {"boron": "nordic/nrf52", "photon": "stm32f2x"}[platform]
        done = program(openocd_words, chip, transport, [f"source [find target/{script}.cfg]"], file, address)
    else:
        done = program(["/usr/bin/openocd"], chip, transport, JTAG_NRF52, file, address)
    assert done.returncode == 0, done.stderr
    assert "** Verified OK **" in done.stderr
    assert chip.flash.read(address, len(image)) == image
    words = " ".join(f"{int.from_bytes(image[n : n + 4], 'little'):08x}" for n in (0, 4))
    assert words in done.stderr + done.stdout
