"""The steps of a unit over USB: identify, check, plan, enter_dfu, flash, verify, park. Each fills its evidence."""

from __future__ import annotations

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.strategies import Strategy
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.model import Device
from particle_dev.device.modes import enter_dfu
from particle_dev.errors import PlanRefusedError, WrongDeviceError
from particle_dev.flash import execute
from particle_dev.flash.board_modules import Inventory, ModuleFile, module_title
from particle_dev.flash.inventory import read_inventory, refuse_protected, refuse_unwritable
from particle_dev.flash.plan import FlashPlan
from particle_dev.flash.progress import BlockWritten, ModuleCompared, SectorErased
from particle_dev.protocol.module import parse
from particle_dev.station.copies import COPIES, copied_before, plan_unit, prove_copies
from particle_dev.station.events import JsonObject
from particle_dev.station.module_data import module_data
from particle_dev.station.recipe import FirmwareChoice
from particle_dev.station.run import Run


def identify(run: Run, device: Device, evidence: JsonObject) -> FirmwareChoice:
    """Who is it? Device ID over each link that tells it, serial number, platform."""
    links = {"debug probe": run.probed_id} if run.probed_id else {}
    links["usb serial number"] = device.usb.serial_number
    evidence |= {
        "platform": device.platform.name,
        "port": device.usb.port_path,
        "usb_address": device.usb.address,
        "mode": str(device.mode),
        "device_id_by": links,
    }
    if device.mode is UsbMode.NORMAL:
        with ControlSession(run.slot.host, device) as session:
            evidence["connecting_stopped"] = session.stop_connecting()
            links["control request 20"] = session.device_id()
            evidence["serial_number"] = run.serial_number = session.serial_number()
            evidence["device_os"] = session.system_version()
            evidence["mode"] = str(session.device_mode())
    # The unit keeps the name under which its steps began.
    run.device_id = run.probed_id or links.get("control request 20", device.device_id) or None
    for link, actual in links.items():
        if actual != run.device_id:
            raise _wrong_device(run.slot.name, run.device_id or "", actual, link)
    expected = run.context.expected.get(run.slot.name)
    if expected is not None and expected != run.device_id:
        raise _wrong_device(run.slot.name, expected, run.device_id or "", "the board")
    run.guard.identified(run.device_id or "", device.platform)
    prior = run.context.prior.get(run.device_id or "")
    if prior is not None:
        run.observed.recall(prior)
    firmware = run.context.recipe.firmware.get(device.platform.name)
    if firmware is None:
        raise PlanRefusedError(
            f"the recipe '{run.context.recipe.name}' has no firmware for {device.platform.display_name}",
            reasons=[f"no [firmware.{device.platform.name}] in {run.context.recipe.path}"],
            hint="add that table to the recipe, or take the board out",
        )
    return firmware


def check(run: Run, device: Device, evidence: JsonObject) -> Inventory:
    """What is on it, and has it been online since it booted?"""
    if device.mode is UsbMode.NORMAL:
        with ControlSession(run.slot.host, device) as session:
            run.read_counters(session)
    since = run.now()
    inventory = read_inventory(run.slot.host, device)
    if device.mode is UsbMode.DFU:
        prior = run.context.prior.get(run.device_id or "")
        if prior is not None:
            run.observed.recall_dfu(prior, device, boots_only_dfu=not _starts(inventory))
        # Reading all of its flash takes seconds on a slow bus.
        run.observed.still_held(device, run.observed.sent_at or since)
    evidence |= {
        "read_over": inventory.read_over,
        "modules": [
            {"module": module_title(m.function, m.index), "version": m.version, "valid": m.valid}
            for m in inventory.modules
        ],
    }
    doubtful = run.observed.doubts
    if doubtful and run.guard.strategy is not Strategy.A:
        raise PlanRefusedError(
            f"{run.device_id}: {'; '.join(doubtful)}",
            reasons=doubtful,
            hint="nothing was erased; set the unit aside and look its Device ID up in the cloud",
        )
    return inventory


def plan_modules(
    run: Run, inventory: Inventory, mode: UsbMode, firmware: FirmwareChoice, evidence: JsonObject
) -> FlashPlan:
    """Which modules go where; every file is read and checked now, before anything is erased."""
    platform = inventory.platform
    store = run.context.store
    release = store.device_os_set(platform.name, firmware.device_os)
    chosen = [*release.modules, store.app(platform.name, firmware.app)]
    files = [ModuleFile(parse(store.read(m.sha256)), m.sha256, m.file_name) for m in chosen]
    before = copied_before(run.context.prior.get(run.device_id or ""))
    plan, run.copies = plan_unit(inventory, files, mode, before)
    evidence |= {
        "device_os": firmware.device_os,
        "steps": list(plan.lines()),
        "satisfied": [f.title for f in plan.satisfied],
    }
    if run.copies:
        evidence[COPIES] = [f.sha256 for f in run.copies]
        evidence["steps"].insert(0, f"copies by the bootloader: {', '.join(f.title for f in run.copies)}")
    run.modules = [module_data(w.file, w.address) for w in plan.writes]
    run.modules += [module_data(f, f.module.start_address) for f in run.copies]
    return plan


def into_dfu_mode(run: Run, device: Device, evidence: JsonObject) -> Device:
    """To DFU mode, with the counters of the running boot read last of all."""
    by = "was in DFU mode"
    if device.mode is UsbMode.NORMAL:
        with ControlSession(run.slot.host, device) as session:
            run.read_counters(session)
        since = run.now()
        device, entry = enter_dfu(run.slot.host, device, timeout_s=run.limits.enter_dfu_s)
        by = str(entry)
        run.observed.in_dfu_since(since)
    evidence["attempt"] = {"by": by, "usb_address": device.usb.address}
    with DfuSession(run.slot.host, device) as dfu_session:
        if run.copies:
            # Slots that an earlier attempt armed are our own; the step tells them from others.
            refuse_protected(dfu_session)
        else:
            refuse_unwritable(dfu_session)
    return device


def flash(run: Run, plan: FlashPlan, device: Device, evidence: JsonObject) -> None:
    """Erase and write what is not right yet."""
    work = {"right_bytes": 0, "erased_sectors": 0, "written_bytes": 0}
    limit_s = run.limits.flash_s
    with DfuSession(run.slot.host, device) as session:
        for event in execute.flash(plan, session, run.context.store.read):
            run.log("flash", event)
            if isinstance(event, ModuleCompared):
                work["right_bytes"] += event.right_bytes
            elif isinstance(event, SectorErased):
                run.erased = True
                work["erased_sectors"] += 1
            elif isinstance(event, BlockWritten):
                work["written_bytes"] += event.size_bytes
                run.progress("flash", event.file_name, event.done_bytes, event.total_bytes)
            run.check_stop("flash", limit_s)
    evidence["work"] = work
    run.observed.still_held(device)


def verify(run: Run, plan: FlashPlan, device: Device, evidence: JsonObject) -> None:
    """Read back every byte."""
    with DfuSession(run.slot.host, device) as session:
        for event in execute.verify(plan, session, run.context.store.read):
            run.log("verify", event)
            for module in run.modules:
                if module["file_name"] == event.file_name:
                    module["read_back_sha256"] = event.sha256
            run.progress("verify", event.file_name, event.done_bytes, event.total_bytes)
            run.check_stop("verify", run.limits.verify_s)
    if run.copies:
        prove_copies(run, device)
    evidence |= {"read_over": "DFU read", "size_bytes": plan.size_bytes}
    run.observed.still_held(device)


def park(run: Run, device: Device, evidence: JsonObject) -> None:
    """End in DFU mode, without power where the bench can switch it."""
    run.observed.still_held(device)
    run.leave("dfu", "it waits in DFU mode")
    assert run.parked is not None
    evidence |= run.parked


def _starts(inventory: Inventory) -> bool:
    """Whether its bootloader would start a system part."""
    return any(m.valid for m in inventory.modules if (m.function, m.index) == (ModuleFunction.SYSTEM_PART, 1))


def _wrong_device(slot: str, expected: str, actual: str, source: str) -> WrongDeviceError:
    return WrongDeviceError(
        f"slot {slot}: {source} says {actual}, expected {expected}",
        expected=expected,
        actual=actual,
        hint="nothing was erased; check which board is in this slot",
    )
