"""What is believed of the next boot of a board, and what its Device OS then asks of the modem."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from particle_harness.boards import hardware
from particle_harness.boot import BootDecision, decide_boot
from particle_harness.boot_steps import carry_out_boot
from particle_harness.boot_view import BootView
from particle_harness.clock import VirtualClock
from particle_harness.dct import DCT_SIZE_BYTES, Dct
from particle_harness.debug_side import DFU_WORD, SAFE_MODE_WORD
from particle_harness.emulator.boards.images import image_of
from particle_harness.emulator.usb.host import UsbHost
from particle_harness.firmware_update import FirmwareUpdate
from particle_harness.nor_flash import NorFlash
from particle_harness.state import BoardState
from particle_harness.usb.descriptors import UsbIdentity
from particle_harness.usb.transfer import Setup

from particle_dev.catalog.ota_region import update_area
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DCT_ALT, DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.device.modes import TRANSITIONS, Target
from particle_dev.errors import PlanRefusedError
from particle_dev.flash.boot_outcome import BootEnd, BootOutcome, boot_outcome
from particle_dev.flash.install_by_flag import stage_by_flag
from particle_dev.flash.inventory import inventory_by_dfu, pending_updates
from particle_dev.flash.update_area import Install
from particle_dev.permissions import Permissions
from particle_dev.protocol.dct import ModuleCopy, SlotFlag, slot_offset
from particle_dev.protocol.messages_radio import WifiCredentials
from tests.emulated.conftest import need
from tests.emulated.work import desk_with, modules_of

BACKUP_1, BACKUP_9 = 0x3F380, 0x3F3A0
"""Offsets in RAM. Source: device-os v2.1.0 build/arm/linker/nrf52840, hal/inc/core_hal.h."""
LISTEN_AT_START = 0x5A1B
LISTENING = (0, b"\x08\x01")
"""Reply of request 72."""
_CONNECTS = Permissions(may_connect=True)


@dataclass(frozen=True, slots=True)
class Belief:
    """``guard``: what particle_dev says the modules on the board lead to, and ``guard_may_connect`` whether getting
    there needs the permission; ``waiting``: what it says is installed first. ``first``: what a virtual board with the
    same flash, configuration and retained words begins with, and ``model``: where it ends."""

    guard: BootOutcome
    guard_may_connect: bool
    waiting: tuple[str, ...]
    first: BootDecision
    model: BootDecision

    def lines(self) -> str:
        """Both sides."""
        found = "; ".join([*(finding.message for finding in self.guard.findings), *self.waiting])
        return (
            f"particle_dev: {self.guard.end}{f' ({found})' if found else ''}, "
            f"{'may connect' if self.guard_may_connect else 'cannot connect'}\n"
            f"particle_harness: {self.model.runs}, {'connects' if self.model.would_connect else 'does not connect'} "
            f"({'; '.join(self.model.reasons)})"
        )

    def cells(self) -> tuple[str, str]:
        """For a table."""
        waits = ", something waits" if self.waiting else ""
        guard = f"{self.guard.end}{waits}, {'may connect' if self.guard_may_connect else 'cannot connect'}"
        copied = any(title.startswith("update slot") for title in self.waiting)
        steps = "copy, then " if copied else "" if self.first == self.model else f"{self.first.runs}, then "
        return guard, f"{steps}{self.model.runs}, {'connects' if self.model.would_connect else 'stays off the air'}"

    def contradictions(self, asked: bool) -> list[str]:
        """What cannot be true of a board that has asked, or not asked, for the air. The guard may be careful, the model
        has to be right; both must see the same reasons, unless something is installed first or safe mode was requested.
        """
        found = []
        if asked and not self.guard_may_connect:
            found.append("it asked for the air, and particle_dev would let it boot without permission")
        if asked is not self.model.would_connect:
            found.append(f"it {'asked' if asked else 'did not ask'} for the air, and particle_harness says otherwise")
        if self.waiting or self.first != self.model:
            return found
        if (self.guard.end is BootEnd.DFU) is not (self.model.runs == "dfu"):
            found.append("particle_dev and particle_harness disagree about DFU mode")
        requested = "safe mode was requested" in self.first.reasons
        if not requested and (self.guard.end is BootEnd.SAFE_MODE) is not self.model.safe_mode:
            found.append("particle_dev and particle_harness disagree about safe mode")
        return found


class SystemBoard:
    """A board with Device OS that has power and a cable."""

    def __init__(self, images: Path, name: str, release: str, application: bytes | None = None) -> None:
        need(images, name, release)
        self.images, self.name = images, name
        self.desk = desk_with(images, name, release)
        self.board = self.desk.board
        self.chip = self.board.chip
        self.host: UsbHost = self.board.host
        self.knows_wifi_network = False
        if application is not None:
            self.load(application)
        self.board.power_off()
        self.board.power_on()

    def load(self, module: bytes) -> None:
        """Put a module file where its prefix says."""
        image = image_of(module)
        assert image is not None
        self.board.internal.load(image.prefix.start_address, image.payload)

    def bootloader_of(self, release: str) -> Install:
        """That release's."""
        need(self.images, self.name, release)
        return modules_of(self.images, self.name, release)[0]

    def system_of(self, release: str) -> Install:
        """That release's system part."""
        need(self.images, self.name, release)
        return modules_of(self.images, self.name, release)[-1]

    def keep(self, offset: int, value: int) -> None:
        """Set a retained word."""
        self.chip.ram[offset : offset + 4] = struct.pack("<I", value)

    def kept(self, offset: int) -> int:
        """A retained word."""
        return int.from_bytes(self.chip.ram[offset : offset + 4], "little")

    def appear(self, as_what: str, limit_s: float = 10) -> UsbIdentity:
        """Wait for it on the bus. A starting Device OS may come and go."""
        there = lambda: self.board.on_bus() is not None and self.board.state.runs == as_what  # noqa: E731
        assert self.board.run_until(there, limit_s), (self.board.state.runs, self.board.counts)
        found = self.board.on_bus()
        assert found is not None
        return found[1]

    def enter_dfu(self) -> None:
        """As a running system does."""
        self.keep(BACKUP_1, DFU_WORD)
        self.chip.reset(0)
        self.board.run(0.01)
        self.appear("dfu")

    def configure(self, offset: int, data: bytes) -> None:
        """In DFU mode: write into the configuration; by hand, because particle_dev writes next to nothing there."""
        assert self.board.state.runs == "dfu"
        self.host.control(Setup(0x01, 11, 1, 0, 0))
        for block, content in ((0, struct.pack("<BI", 0x21, offset)), (2, data)):
            self.host.control(Setup(0x21, 1, block, 0, len(content)), content)
            while (state := self.host.control(Setup(0xA1, 3, 0, 0, 6))[4]) == 4:
                pass
            assert state == 5

    def join_wifi_network(self, network: WifiCredentials) -> None:
        """In listening mode: it connects to that one, and stores it."""
        self.appear("app")
        self.board.run(1.0)
        device = wait_for_device(self.desk.host, self.desk.bench.slots[0].port_path, 10)
        with ControlSession(self.desk.host, device, _CONNECTS) as session:
            session.wifi.join(network)
            self.knows_wifi_network = [known.ssid for known in session.wifi.known_networks()] == [network.ssid]
        assert self.knows_wifi_network

    def let_update_wait(self, update: Install) -> None:
        """In DFU mode, as `particle-dev flash` does."""
        with DfuSession(self.desk.host, self.desk.device(), _CONNECTS) as session:
            list(stage_by_flag(session, update))

    def let_system_wait(self, system: Install) -> None:
        """In DFU mode: a system part in the update area and in a slot, as a running system leaves one that it got over
        the air."""
        area = update_area(platform_by_name(self.name))
        module = system.file.module
        assert area is not None
        assert self.board.external is not None
        self.board.external.load(area.flash_address, system.data)
        copy = ModuleCopy(
            area.flash_address,
            module.start_address,
            module.size_bytes,
            module.function,
            SlotFlag.VERIFY_CRC | SlotFlag.VERIFY_DESTINATION | SlotFlag.VERIFY_FUNCTION,
        )
        with self.desk.session() as session:
            session.write_dct(slot_offset(1), copy.encode())

    def put_factory_image(self, application: bytes) -> None:
        """Where Device OS looks for one."""
        address = hardware(self.name).factory_address
        assert address is not None
        assert self.board.external is not None
        self.board.external.load(address, application)

    def configuration(self) -> Dct:
        """In DFU mode: what it has stored."""
        with self.desk.session() as session:
            data = session.read(DCT_ALT, 0, Dct.file_size_bytes)
        return Dct(bytearray(data.ljust(DCT_SIZE_BYTES, b"\xff")))

    def belief(self, target: Target) -> Belief:
        """In DFU mode: about a reset by which ``target`` is asked for, and whether particle_dev does it unasked."""
        platform = platform_by_name(self.name)
        assert platform is not None
        dct = self.configuration()
        with self.desk.session() as session:
            outcome = boot_outcome(platform, inventory_by_dfu(session).parts)
            waiting = pending_updates(session)
            try:
                session.require_brake()
                is_braked = True
            except PlanRefusedError:
                is_braked = False
        asks = any(way.may_connect for way in TRANSITIONS if way.target is target)
        first = decide_boot(self.boot_view(dct))
        return Belief(outcome, asks and not is_braked, waiting, first, self.modelled(dct))

    def modelled(self, dct: Dct) -> BootDecision:
        """Where a virtual board in its place ends, after all that its bootloader and its system install first. Works on
        copies."""
        kind, flashes = hardware(self.name), {"internal": self.board.internal, "external": self.board.external}
        copies = {
            name: NorFlash(flash.chip, VirtualClock(), backing=bytearray(flash.cells), delays=False)
            for name, flash in flashes.items()
            if flash is not None
        }
        internal, external = copies["internal"], copies["external"]
        held = {"safe": self.kept(BACKUP_1) == SAFE_MODE_WORD, "listen": self.kept(BACKUP_9) == LISTEN_AT_START}

        def view() -> BootView:
            return replace(
                self.boot_view(dct),
                internal=internal.read,
                external=external.read,
                safe_mode_requested=held["safe"],
                listen_requested=held["listen"],
            )

        update = FirmwareUpdate(kind, external, internal, dct, view, BoardState(self.board.state.device_id))
        return carry_out_boot(view, internal, dct, update, after_reset=lambda: held.update(safe=False)).decision

    def boot_view(self, dct: Dct) -> BootView:
        """What a virtual board would have in its place."""
        external = self.board.external
        return BootView(
            hardware=hardware(self.name),
            internal=self.board.internal.read,
            external=external.read if external else None,
            setup_done=dct.setup_done,
            wifi_credentials=self.knows_wifi_network,
            dfu_requested=self.kept(BACKUP_1) == DFU_WORD,
            safe_mode_requested=self.kept(BACKUP_1) == SAFE_MODE_WORD,
            factory_reset_requested=dct.factory_reset_requested,
            listen_requested=self.kept(BACKUP_9) == LISTEN_AT_START,
            ota_update_requested=dct.ota_update_requested,
            uicr=bytes(self.chip.uicr),
        )

    def radio(self, limit_s: float, done: Callable[[], bool] = lambda: False) -> list[str]:
        """Let it run until it has asked for the air, or ``done()``, or for so long: what it asked for."""
        self.board.run_until(lambda: bool(self.chip.modem.radio_requests) or done(), limit_s)
        return [request.what for request in self.chip.modem.radio_requests]

    def request(self, kind: int, limit_s: float = 60, data: bytes = b"") -> tuple[int | None, bytes]:
        """Result and reply of a control request with a short payload. Source: usb-control: INIT 1, CHECK 2, SEND 3,
        RECV 4."""
        reply = self.host.control(Setup(0xC0, 1, len(data), kind, 64))
        flags, _status, identity = struct.unpack_from("<IHH", reply)
        assert flags & 2
        if data:
            self.host.control(Setup(0x40, 3, 0, identity, len(data)), data)
        end_s = self.chip.timeline.now_s + limit_s
        while True:
            reply = self.host.control(Setup(0xC0, 2, 0, identity, 64))
            flags, status = struct.unpack_from("<IH", reply)
            if status != 2:
                break
            assert self.chip.timeline.now_s < end_s
            self.board.run(0.002)
        values = iter(struct.unpack(f"<{(len(reply) - 6) // 4}i", reply[6 : 6 + (len(reply) - 6) // 4 * 4]))
        size = next(values) if flags & 4 else 0
        result = next(values) if flags & 8 else None
        return result, self.host.control(Setup(0xC0, 4, 0, identity, size)) if size else b""

    def close(self) -> None:
        """Done with it."""
        self.desk.close()
