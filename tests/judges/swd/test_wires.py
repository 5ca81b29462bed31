"""OpenOCD bit by bit: a current one over SWD, Debian's over JTAG. Small images: each sampled bit is a round trip."""

import os
import subprocess

import pytest
from particle_harness.swd.wire import BitbangServer

SIZE_BYTES = 16 * 1024
JTAG_NRF52 = (
    "jtag newtap nrf52 cpu -irlen 4 -expected-id 0x4ba00477",
    "dap create nrf52.dap -chain-position nrf52.cpu",
    "target create nrf52.cpu cortex_m -dap nrf52.dap",
    "nrf52.cpu configure -work-area-phys 0x20000000 -work-area-size 0x4000",
    "cortex_m reset_config sysresetreq",
    "flash bank nrf52.flash nrf5 0 0 1 1 nrf52.cpu",
)


def program(program_words, chip, transport, target, file):
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
            f"program {file} 0 verify",
            "shutdown",
        ]
        return subprocess.run(
            [*program_words, *[word for command in commands for word in ("-c", command)]],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@pytest.mark.parametrize("transport", ["swd", "jtag"])
def test_program_and_verify(nrf52840, openocd_words, tmp_path, transport):
    chip = nrf52840()
    image = os.urandom(SIZE_BYTES)
    file = tmp_path / "image.bin"
    file.write_bytes(image)
    if transport == "swd":
        done = program(openocd_words, chip, transport, ["source [find target/nordic/nrf52.cfg]"], file)
    else:
        done = program(["/usr/bin/openocd"], chip, transport, JTAG_NRF52, file)
    assert done.returncode == 0, done.stderr
    assert "** Verified OK **" in done.stderr
    assert chip.flash.read(0, SIZE_BYTES) == image
