"""One slot of eight: a process with a session of ours and a blank nRF52840 that takes its time in earnest.

Usage: swd_slot.py NUMBER ADDRESS:FILE…; says when it is ready, goes when it gets a line, prints seconds on the
wall and of the processor. Started by bench_swd.py.

Without an emulator, which would be what eight chips on one machine wait for: what a debugger starts in the chip's RAM
is pyOCD's flash algorithm, so its effect is made here, and takes the time of programming. Packets and bits of the wire
take theirs.
"""

import sys
import time
import zlib
from pathlib import Path

from particle_harness.nor_flash import NorFlash
from particle_harness.swd.cmsis_dap import CmsisDap
from particle_harness.swd.core import Core
from particle_harness.swd.nrf52840 import Nrf52840, Silicon
from particle_harness.swd.plugged import plugged
from particle_harness.swd.wire_time import WORD_CLOCKS, WireTime
from pyocd.target.builtin.target_nRF52840_xxAA import FLASH_ALGO

from particle_dev.catalog.flash_chips import NRF52840_FLASH
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.device.swd import swd_session
from particle_dev.flash.swd_execute import carry_out_swd
from particle_dev.flash.swd_image import named_segments
from particle_dev.flash.swd_inventory import chip_state
from particle_dev.flash.swd_plan import make_swd_plan
from particle_dev.permissions import NOTHING

RAM = 0x20000000
CRC_PAGE_S = 0.0007
WAIT_S = 0.002
"""Shorter waits of the wire are saved up."""
_DFSR_BKPT = 2


class AlgorithmCore(Core):
    """Does what the flash algorithm would do, and is busy as long as the chip."""

    chip = None
    busy_until_s = 0.0

    def _resume(self):
        program_counter = self.cpu.program_counter
        if not RAM <= program_counter < RAM + 0x10000 or self.chip is None:
            super()._resume()
            return
        self.halted = False
        self.busy_until_s = time.monotonic() + self._carry_out(program_counter & ~1)
        self.cpu.set_register(0, 0)

    def _carry_out(self, function):
        r0, r1, r2 = (self.cpu.register(n) for n in range(3))
        ram, flash = self.chip.ram, self.chip.flash
        if function == FLASH_ALGO["pc_program_page"] & ~1:
            flash.program(r0, bytes(ram[r2 - RAM : r2 - RAM + r1]))
            return r1 / 4 * NRF52840_FLASH.program_s
        if function == FLASH_ALGO["analyzer_address"] & ~1:
            for n in range(r1):
                at = r0 - RAM + 4 * n
                word = int.from_bytes(ram[at : at + 4], "little")
                size = 1 << (word & 0xFFFF)
                ram[at : at + 4] = zlib.crc32(flash.read((word >> 16) * size, size)).to_bytes(4, "little")
            return r1 * CRC_PAGE_S
        return 0.0

    def catch_up(self, *, polled):
        if self.busy_until_s and not self.halted and time.monotonic() >= self.busy_until_s:
            self.busy_until_s = 0.0
            self._halt(_DFSR_BKPT)

    def _executes(self):
        return False


class Probe(CmsisDap):
    """Takes the time of its wire."""

    ahead_s = 0.0
    last_s = 0.0

    def handle(self, packet):
        before = self.chip.debug_port.transfers
        reply = super().handle(packet)
        bits_s = (self.chip.debug_port.transfers - before) * WORD_CLOCKS / 4e6
        now_s = time.monotonic()
        Probe.ahead_s = max(0.0, Probe.ahead_s - (now_s - Probe.last_s)) + bits_s + WireTime().probe.packet_latency_s
        Probe.last_s = now_s
        if Probe.ahead_s > WAIT_S:
            time.sleep(Probe.ahead_s)
        return reply


def main():
    number, *pieces = sys.argv[1:]
    board = platform_by_name("boron")
    read = [(int(address), Path(file).read_bytes()) for address, file in (p.split(":") for p in pieces)]
    wanted = named_segments(board, read, "the set")
    flash = NorFlash(NRF52840_FLASH, WireTime(), delays=False)
    chip = Nrf52840(Silicon(bytes([int(number)] * 8)), flash)
    chip.core.__class__ = AlgorithmCore
    chip.core.chip = chip
    name = f"SLOT{number}"
    with plugged(Probe(chip, name)):
        print("ready", flush=True)
        sys.stdin.readline()
        start_s, cpu_s = time.monotonic(), time.process_time()
        with swd_session(name, board, in_process=True) as session:
            replaced = {s.part.key for s in wanted if s.part}
            state = chip_state(session, session.identity(), board, replaced=replaced)
            plan = make_swd_plan(state, wanted, NOTHING)
            for _ in carry_out_swd(session, plan, permissions=NOTHING, save_backup=lambda _pages: ""):
                pass
        wall_s, used_s = time.monotonic() - start_s, time.process_time() - cpu_s
    if any(flash.read(address, len(data)) != data for address, data in read):
        sys.exit(f"slot {number}: flash differs from the image")
    print(f"{wall_s:.3f} {used_s:.3f}", flush=True)


if __name__ == "__main__":
    main()
