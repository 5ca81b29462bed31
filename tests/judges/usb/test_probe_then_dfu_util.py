"""A board that pyOCD has brought to life by its debug probe, seen by dfu-util on its USB bus."""

import subprocess
import sys

from intelhex import IntelHex
from particle_harness.bench import open_bench
from particle_harness.user_information import factory_uicr, mbr_stand_in

from particle_dev.protocol.module import parse

MODULES = ("bootloader", "softdevice", "system-part1")
SYSTEM_PART_ADDRESS = 0x30000


def test_what_pyocd_flashed_dfu_util_reads(foreign_bench, assets, tmp_path):
    bench = foreign_bench("boron")
    image = IntelHex()
    for name in MODULES:
        data = (assets / "updates" / f"boron-{name}@2.1.0.bin").read_bytes()
        module = parse(data)
        image.frombytes(data[module.payload_offset : module.size_bytes], module.start_address)
    image.frombytes(mbr_stand_in(), 0)
    image.frombytes(factory_uicr(0, was_protected=False)[:0x400], 0x10001000)
    file = tmp_path / "boron.hex"
    image.write_hex_file(str(file))

    slot = {"name": "boron", "platform": "boron", "blank": True, "probe": True}
    options = {"clock": "real", "delays": "none"}
    virtual = open_bench(
        options=options, slots=[slot], state_dir=bench.file.parent / "boards", factory_modules=lambda _platform: []
    )
    try:
        for command in (
            ["flash", "--no-reset", str(file)],
            ["cmd", "-c", "write32 0x2003f380 0xedfa", "-c", "reset"],
        ):
            words = [*command, "-u", virtual.slots[0].probe_id, "-t", "nrf52840", "--no-config"]
            subprocess.run([sys.executable, "-m", "pyocd", *words], check=True, capture_output=True, timeout=100)
    finally:
        virtual.close()

    size_bytes = (assets / "updates" / "boron-system-part1@2.1.0.bin").stat().st_size
    upload = tmp_path / "system.bin"
    where = f"{SYSTEM_PART_ADDRESS:#x}:{size_bytes}"
    listed = bench.shell(f"dfu-util -l && dfu-util -d 2b04:d00d -a 0 -s {where} -U {upload}")
    assert bench.device_id("boron") in listed
    assert upload.read_bytes() == (assets / "updates" / "boron-system-part1@2.1.0.bin").read_bytes()
    truth = bench.truth("boron")
    assert (truth.app_boots, truth.went_online) == (0, False)
