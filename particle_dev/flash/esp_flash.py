"""Firmware into the ESP32 of an Argon by its ROM loader, past the main processor: for a network processor that Device
OS cannot reach any more. While it can, ``particle-dev flash`` gives modules to Device OS instead.

The main processor must hand its UART and the lines ESPEN and ESPBOOT on; the chip cannot reach a network here, since
the loader runs in it and not its firmware. What happens to billing is the main processor's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from particle_dev.errors import FormatError, PlanRefusedError
from particle_dev.flash.esp_plan import EspFile, EspPlan, brought_table, make_esp_plan
from particle_dev.permissions import NOTHING, Effect, Permissions
from particle_dev.protocol.esp_image import AppDescription, EspRegion, read_image
from particle_dev.protocol.esp_partitions import (
    TABLE_ADDRESS,
    TABLE_SIZE_BYTES,
    Partition,
    application_slots,
    boot_choice_partition,
    booted_slot,
    read_table,
)
from particle_dev.transport.esptool import EspIdentity, Esptool, Progress

_DESCRIPTION_END_BYTES = 0x120


@dataclass(frozen=True, slots=True)
class EspState:
    """A chip and what its flash says. ``partitions`` is empty without a valid table, and then the others are None;
    ``application`` is also None when the image in ``booted`` says nothing about itself."""

    identity: EspIdentity
    partitions: tuple[Partition, ...] = ()
    booted: Partition | None = None
    application: AppDescription | None = None


@dataclass(frozen=True, slots=True)
class EspFlashed:
    """What was written, each region proven by the MD5 that the chip computed. ``restarted``: the chip runs its new
    firmware; False where the port has no line to reset it with."""

    identity: EspIdentity
    plan: EspPlan
    restarted: bool


def esp_state(tool: Esptool) -> EspState:
    """Read out what a chip is and what it would start. Nothing is changed. Raises what :class:`Esptool` raises."""
    identity = tool.identify()
    try:
        partitions = read_table(tool.read(TABLE_ADDRESS, TABLE_SIZE_BYTES))
    except FormatError:
        return EspState(identity)
    booted = _booted(tool, partitions)
    about = read_image(tool.read(booted.address, _DESCRIPTION_END_BYTES)).description if booted else None
    return EspState(identity, partitions, booted, about)


def plan_esp(tool: Esptool, files: Sequence[EspFile]) -> EspPlan:
    """A plan for files; the partition table is read from the chip where one is needed and none is brought. Nothing is
    changed. Raises PlanRefusedError, and what :class:`Esptool` raises."""
    needs_table = any(f.address is None for f in files) and brought_table(files) is None
    return make_esp_plan(files, tool.read(TABLE_ADDRESS, TABLE_SIZE_BYTES) if needs_table else None)


def flash_esp(
    tool: Esptool, files: Sequence[EspFile], *, permissions: Permissions = NOTHING, progress: Progress | None = None
) -> EspFlashed:
    """**Erase and write** the ESP32's flash. The chip is identified first: another one, or a flash that is too small,
    is refused. After an interruption the same call begins anew; the chip stays reachable, its loader is in ROM.

    Raises PermissionMissingError without ``may_erase``, PlanRefusedError, FlashHashError for what is not there after
    it was written, and what :class:`Esptool` raises.
    """
    permissions.require(Effect.ERASE, "writing the flash of the network processor")
    identity = tool.identify()
    plan = plan_esp(tool, files)
    end = max(region.address + len(region.data) for region in plan.regions)
    if end > identity.flash_size_bytes:
        reason = f"the plan ends at 0x{end:X}, the flash of {identity.mac} at 0x{identity.flash_size_bytes:X}"
        raise PlanRefusedError(
            f"nothing was sent: {reason}", reasons=[reason], hint="give firmware for the flash of this board"
        )
    return EspFlashed(identity, plan, tool.write(plan.regions, progress=progress))


def verify_esp(tool: Esptool, files: Sequence[EspFile]) -> tuple[EspRegion, ...]:
    """Compare the flash with files, by the MD5 that the chip computes; an application with the slot that the chip
    would start. Nothing is changed. Returns what was compared.

    Raises FlashHashError for the first that differs, PlanRefusedError when there is nowhere to look, and what
    :class:`Esptool` raises.
    """
    regions = [EspRegion(f.address, f.data, f.name) for f in files if f.address is not None]
    applications = [f for f in files if f.address is None]
    if applications:
        try:
            booted = _booted(tool, read_table(tool.read(TABLE_ADDRESS, TABLE_SIZE_BYTES)))
        except FormatError as error:
            raise PlanRefusedError(
                f"on the ESP32, {error.message}", reasons=[error.message], hint=error.hint
            ) from error
        if booted is None:
            reason = "the partition table has no application slot"
            raise PlanRefusedError(reason, reasons=[reason], hint="compare at an address: ADDRESS:FILE")
        regions += [EspRegion(booted.address, f.data, f"{f.name} in {booted.label}") for f in applications]
    tool.verify(regions)
    return tuple(regions)


def _booted(tool: Esptool, partitions: Sequence[Partition]) -> Partition | None:
    choice = boot_choice_partition(partitions)
    if choice is None or not application_slots(partitions):
        return None
    return booted_slot(partitions, tool.read(choice.address, choice.size_bytes))
