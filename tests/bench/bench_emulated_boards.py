"""How fast do emulated boards boot and take firmware? Processor time of this process, and ratios.

Usage: bench_emulated_boards.py, with PARTICLE_DEV_FIRMWARE_DIR naming a folder of firmware images of yours. Without,
nothing is executed, whatever lies in a firmware store: it says so and ends with 0. For each board that has images: from
power to the USB bus in DFU mode, enumeration included; then a DFU download of 128 KiB, erases and status requests
included, and an upload of the same.

BASELINE=COMMAND: another emulation to compare with, in the same run: a command that takes a bootloader file, does the
same download and prints `download cpu SECONDS`. Target: at most twice its time.
"""

import os
import random
import struct
import subprocess
import sys
import time

from particle_harness.boards import hardware
from particle_harness.emulator.bench import open_bench
from particle_harness.emulator.boards.images import EMULATED, FOLDER_VARIABLE, images_folder
from particle_harness.usb.transfer import Setup

from particle_dev.errors import BenchError

SIZE_BYTES, BLOCK_BYTES = 128 * 1024, 4096
BUSY = 4
LONGEST_BOOT_S = 1.5
ADDRESSES = {True: 0x40000, False: 0x08020000}


class Dfu:
    """DfuSe requests, one by one."""

    def __init__(self, board):
        self.board = board
        self.address = board.on_bus()[0]

    def request(self, kind, number, value=0, data=b"", length=0):
        return self.board.control(self.address, Setup(kind, number, value, 0, length or len(data)), data)

    def settle(self):
        while (status := self.request(0xA1, 3, length=6))[4] == BUSY:
            pass
        assert status[0] == 0, status.hex()

    def command(self, code, address):
        self.request(0x21, 1, 0, bytes([code]) + struct.pack("<I", address))
        self.settle()

    def download(self, address, data):
        sectors = [self.board.internal.sector(address + at)[0] for at in range(0, len(data), BLOCK_BYTES)]
        for sector in dict.fromkeys(sectors):
            self.command(0x41, sector)
        for at in range(0, len(data), BLOCK_BYTES):
            self.command(0x21, address + at)
            self.request(0x21, 1, 2, data[at : at + BLOCK_BYTES])
            self.settle()

    def upload(self, address, size_bytes):
        self.command(0x21, address)
        self.request(0x21, 6)
        return b"".join(self.request(0xA1, 2, 2 + n, length=BLOCK_BYTES) for n in range(size_bytes // BLOCK_BYTES))


def measure(folder, platform):
    start_s = time.process_time()
    bench = open_bench(
        options={"clock": "virtual", "images": str(folder.folder)},
        slots=[{"platform": platform}],
        state_dir=None,
        factory_modules=lambda _: (),
    )
    board = bench.boards[0]
    assert board.state.runs == "dfu", board.state
    boot_s = time.process_time() - start_s
    virtual_s = board.clock.monotonic_s()
    dfu, data = Dfu(board), random.Random(1).randbytes(SIZE_BYTES)
    address = ADDRESSES[hardware(platform).is_gen3]
    start_s = time.process_time()
    dfu.download(address, data)
    download_s = time.process_time() - start_s
    start_s = time.process_time()
    assert dfu.upload(address, SIZE_BYTES) == data
    upload_s = time.process_time() - start_s
    assert board.internal.read(address, SIZE_BYTES) == data
    bench.close()
    print(
        f"  {platform:<9} DFU mode after {boot_s:5.2f} s ({virtual_s:.2f} s of its own time)   "
        f"128 KiB down {download_s:5.2f} s, up {upload_s:5.2f} s"
    )
    return boot_s, download_s


def baseline_s(command, folder, platform):
    file = folder.for_board(hardware(platform)).bootloader.file
    done = subprocess.run([*command.split(), str(file)], capture_output=True, text=True, check=True)
    return next(float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("download cpu"))


def main():
    if not (named := os.environ.get(FOLDER_VARIABLE)):
        print(f"emulated boards: not measured: {FOLDER_VARIABLE} names no folder of firmware images of yours")
        return 0
    try:
        folder = images_folder(named)
    except BenchError as error:
        print(f"emulated boards: not measured: {error.args[0]}")
        return 0
    print(f"emulated boards, processor time, images of {folder.folder}")
    good = True
    for platform in [name for name in EMULATED if name in folder.platforms()]:
        boot_s, download_s = measure(folder, platform)
        good = good and boot_s <= LONGEST_BOOT_S
        if (command := os.environ.get("BASELINE")) and hardware(platform).is_gen3:
            other_s = baseline_s(command, folder, platform)
            good = good and download_s <= 2 * other_s
            print(f"  {'':<9} baseline {other_s:.2f} s: ratio {download_s / other_s:.2f} (target: at most 2)")
    print(f"  targets {'met' if good else 'MISSED'}: DFU mode within {LONGEST_BOOT_S} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
