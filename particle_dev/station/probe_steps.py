"""The steps of a unit that a debug probe takes, before USB goes on with it or instead: probe, probe_plan, probe_flash,
probe_park.

The core is halted from the first step to the last, so nothing can connect meanwhile. What ran before that, only the
board itself or its flash can tell: counters over USB, or that nothing in flash could have started.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from particle_dev.catalog.chips import NRF52840
from particle_dev.catalog.platforms import Platform, UsbMode, platform_by_name
from particle_dev.catalog.uicr import UICR_BOOTLOADER_ADDRESS
from particle_dev.cloud.metering import (
    BillingFinding,
    Evidence,
    held_halted,
)
from particle_dev.cloud.strategies import Strategy
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.device.swd import Park, SwdSession, swd_session
from particle_dev.errors import DeviceModeError, DeviceNotFoundError, PlanRefusedError, WrongDeviceError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.boot_outcome import BootEnd, boot_outcome
from particle_dev.flash.hex_file import read_hex
from particle_dev.flash.store import FirmwareStore
from particle_dev.flash.swd_backup import SwdBackup
from particle_dev.flash.swd_execute import ChangesBegin, PieceProven, carry_out_swd
from particle_dev.flash.swd_image import ERASED_PAGE_CRC, merge, module_segments, named_segments
from particle_dev.flash.swd_inventory import chip_state, interrupted_pages
from particle_dev.flash.swd_plan import ChipState, SwdPlan, make_swd_plan
from particle_dev.permissions import NOTHING
from particle_dev.protocol.module import parse
from particle_dev.station.bench import Slot
from particle_dev.station.events import JsonObject
from particle_dev.station.module_data import module_data
from particle_dev.station.observations import held_since
from particle_dev.station.recipe import FirmwareChoice, ProbeChoice, Recipe
from particle_dev.station.run import Run
from particle_dev.station.run_record import UnitRecord

_BY_PROBE = "flash, by the debug probe"
BACKUP_FOLDER = "swd-backup"
"""In the folder of the run: pages that were erased in passing and are not written again yet."""


@contextmanager
def opened_by_probe(slot: Slot, choice: ProbeChoice, recipe: Recipe) -> Iterator[SwdSession]:
    """A session with the board in a slot, whose core goes on running until it is told to halt, unless the recipe says
    that the reset line is held meanwhile. Raises what opening a session raises."""
    from particle_dev.transport.swd import ConnectMode  # noqa: PLC0415  pyOCD is slow to import

    assert slot.probe_id is not None
    connect = ConnectMode.UNDER_RESET if choice.under_reset else ConnectMode.ATTACH
    platform = expected_platform(slot, recipe)
    with swd_session(slot.probe_id, platform, frequency_hz=choice.frequency_hz, connect=connect) as session:
        yield session


def expected_platform(slot: Slot, recipe: Recipe) -> Platform | None:
    """What the bench file says, or the only one that the recipe is for; a blank board does not say it."""
    if slot.platform is not None:
        return platform_by_name(slot.platform)
    names = list(recipe.firmware)
    return platform_by_name(names[0]) if len(names) == 1 else None


@dataclass(slots=True)
class ProbeWork:
    """What a probe does to one unit. The methods are the steps, in their order."""

    run: Run
    session: SwdSession
    choice: ProbeChoice
    seen_since: datetime
    halted_since: datetime = field(init=False)
    backup: SwdBackup = field(init=False)
    _state: ChipState = field(init=False)
    _plan: SwdPlan = field(init=False)

    @property
    def platform(self) -> Platform:
        """Of the board, once it is identified."""
        return self._state.platform

    # ---- probe ------------------------------------------------------------------------------------------------------

    def identify(
        self,
        recipe: Recipe,
        expected: str | None,
        priors: Mapping[str, UnitRecord],
        folder: Path,
        evidence: JsonObject,
    ) -> FirmwareChoice:
        """Stop the core, and who is it? With evidence for the time before, and what ``priors`` (earlier attempts, by
        Device ID) observed. Raises WrongDeviceError, PlanRefusedError."""
        run, session = self.run, self.session
        stood = session.link.halted
        if not stood:
            ask_over_usb(run, self.choice, self.seen_since, priors)
        session.link.halt()
        self.halted_since = run.now()
        identity = session.identity()
        run.device_id = identity.device_id
        self.backup = SwdBackup(folder / BACKUP_FOLDER, identity)
        session.missing_pages = interrupted_pages(session, self.backup.load())
        if session.missing_pages:
            identity = session.identity()
        prior = priors.get(identity.device_id)
        if prior is not None:
            run.observed.recall(prior)
        platform = identity.platform
        evidence |= {
            "device_id_by": {"debug probe": identity.device_id},
            "chip": identity.chip.name,
            "silicon": identity.variant or None,
            "debug_port": str(identity.protection),
            "platform": platform.name if platform else None,
        }
        if expected is not None and expected != identity.device_id:
            raise WrongDeviceError(
                f"slot {run.slot.name}: the debug probe says {identity.device_id}, expected {expected}",
                expected=expected,
                actual=identity.device_id,
                hint="nothing was erased; check which board is in this slot, and whose probe is on it",
            )
        firmware = recipe.firmware.get(platform.name) if platform else None
        if platform is None or firmware is None:
            what = platform.display_name if platform else "a board whose flash does not say what it is"
            raise PlanRefusedError(
                f"the recipe '{recipe.name}' has no firmware for {what}",
                reasons=[f"slot {run.slot.name}: {what}"],
                hint='name the platform in the bench file, platform = "boron", and its firmware in the recipe',
            )
        self._state = chip_state(session, identity, platform)
        # With the line of a held reset the core stands from the connection on; what was before that, it does not tell.
        self._judge_the_time_before(stood=stood and not self.choice.under_reset)
        self.hold()
        evidence["modules"] = [{"module": p.title, "valid": p.intact} for p in self._state.parts]
        doubts = run.observed.doubts
        if doubts and recipe.strategy is not Strategy.A:
            raise PlanRefusedError(
                f"{run.device_id}: {'; '.join(doubts)}",
                reasons=doubts,
                hint="nothing was erased; set the unit aside and look its Device ID up in the cloud",
            )
        return firmware

    def _judge_the_time_before(self, *, stood: bool) -> None:
        """Until the core was halted; from the moment when the slot was looked at, or from where earlier attempts
        ended. A core that stands has stood since then: what lets it go is a power cycle, a reset by pin or another
        debugger, and it would run. So has flash, which nobody else writes."""
        observed, until = self.run.observed, self.halted_since
        since = min(self.seen_since, max((e.until for e in observed.evidence), default=self.seen_since))
        if stood:
            observed.evidence.append(held_halted(since, until))
            return
        why = cannot_connect(self._state)
        if why is not None:
            statement = f"nothing in flash could have started an application: {why}"
            observed.evidence.append(Evidence("dfu", statement, _BY_PROBE, since, until))
        elif not any(e.until >= self.seen_since for e in observed.evidence):
            statement = "the firmware in flash could run until the probe halted it, and nobody asked it what it did"
            doubt = BillingFinding.INCONCLUSIVE
            observed.evidence.append(Evidence("counters", statement, _BY_PROBE, self.seen_since, until, doubt))

    def hold(self) -> None:
        """The core still stands. Raises DeviceModeError when it does not."""
        if not self.session.link.halted:
            raise DeviceModeError(
                f"{self.run.device_id}: the core went on by itself",
                expected="halted",
                hint="somebody reset it, or took its power away; run again",
            )
        self.run.observed.evidence.append(held_halted(self.halted_since, self.run.now()))

    # ---- probe_plan, probe_flash ------------------------------------------------------------------------------------

    def plan(self, firmware: FirmwareChoice, store: FirmwareStore, evidence: JsonObject) -> list[ModuleFile]:
        """What goes where; every file is read and checked now. The files of the set. Raises PlanRefusedError."""
        platform = self._state.platform
        release = store.device_os_set(platform.name, firmware.device_os)
        chosen = [*release.modules, store.app(platform.name, firmware.app)]
        files = [ModuleFile(parse(store.read(m.sha256)), m.sha256, m.file_name) for m in chosen]
        segments = module_segments(platform, files, store.read)
        if firmware.restore is not None:
            restore = named_segments(platform, read_hex(firmware.restore), firmware.restore.name)
            segments = merge(restore, segments)
        plan = make_swd_plan(
            self._state,
            segments,
            NOTHING,
            frequency_hz=self.choice.frequency_hz,
            missing_pages=self.session.missing_pages,
        )
        self._plan = plan
        evidence |= {"device_os": firmware.device_os, "want": [s.title for s in segments]}
        evidence["work"] = {"steps": list(plan.lines()), "method": str(plan.method)}
        by_address = {f.module.start_address: f for f in files}
        self.run.modules = [module_data(by_address[s.address], s.address) for s in segments if s.address in by_address]
        self.hold()
        return files

    def flash(self, limit_s: float, evidence: JsonObject) -> None:
        """Erase and write what is not right yet, prove every page by the chip's CRC, and read everything back."""
        run, plan = self.run, self._plan
        proven: list[JsonObject] = []
        for event in carry_out_swd(
            self.session, plan, permissions=NOTHING, save_backup=self.backup.save, read_back=True
        ):
            run.log("probe_flash", event)
            if isinstance(event, ChangesBegin):
                run.erased = True
            elif isinstance(event, PieceProven):
                proven.append({"name": event.name, "address": event.address, "size_bytes": event.size_bytes})
                for module in run.modules:
                    if module["address"] == event.address:
                        module["read_back_sha256"] = event.sha256
            run.check_stop("probe_flash", limit_s)
        self.backup.drop()
        evidence |= {"read_over": "debug probe, after a CRC of each page that the chip computed", "proven": proven}
        evidence["work"] = {"written_bytes": plan.size_bytes}
        self.hold()

    # ---- probe_park -------------------------------------------------------------------------------------------------

    def park(self, evidence: JsonObject) -> None:
        """Leave the board for USB, in DFU mode, or halted."""
        self.hold()
        park = Park.DFU if self.choice.then_usb else Park.HALTED
        evidence |= {"left": str(park), "proves": self.session.park(park)}
        if park is Park.HALTED:
            self.hold()


def ask_over_usb(run: Run, choice: ProbeChoice, seen_since: datetime, priors: Mapping[str, UnitRecord]) -> None:
    """A board that runs tells what it has done; one in DFU mode has been there ``seen_since``, or as long as earlier
    attempts prove. Nothing, when none shows up: one that has just got its power takes a while."""
    try:
        # Boards that are known to be absent were waited for.
        wait_s = 0.0 if choice.blank_only else choice.wait_s
        device = wait_for_device(run.slot.host, run.slot.port_path, wait_s)
    except DeviceNotFoundError:
        return
    if device.mode is UsbMode.DFU:
        prior = priors.get(device.device_id)
        # What its flash would boot, the probe has not read yet.
        held = held_since(prior, device, boots_only_dfu=False) if prior else None
        run.observed.in_dfu_since(held or seen_since)
        return
    with ControlSession(run.slot.host, device) as session:
        session.stop_connecting()
        run.read_counters(session)


def cannot_connect(state: ChipState) -> str | None:
    """Why a board with this flash starts no application, and no system that would connect; None when it might."""
    if state.chip == NRF52840:
        if state.uicr_word(UICR_BOOTLOADER_ADDRESS) == 0xFFFFFFFF:
            return "UICR names no bootloader"
        if state.page_crcs[0] == ERASED_PAGE_CRC:
            return "there is no boot record"
    end = boot_outcome(state.platform, state.parts).end
    return f"its boot ends: {end}" if end in (BootEnd.DFU, BootEnd.HANGS) else None
