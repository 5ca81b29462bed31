"""What a board does at its next boot with the modules that lie in its flash, by the rules of its own firmware.

The rules of the device, not ours: it leaves some dependencies unchecked, and those of a set are checked in
:mod:`particle_dev.flash.dependencies`. Nothing is read or sent here.

Source: device-os v2.1.0, v3.3.1, v6.2.0 ``bootloader/src/main.c``, ``bootloader/src/*/dfu_usb.c``,
``modules/shared/*/inc/system_part*_loader.c``, ``hal/src/*/core_hal*.c`` HAL_Core_Validate_Modules,
``hal/src/nRF52840/user_hal.cpp``, ``hal/src/*/ota_flash_hal*.cpp`` validate_module_dependencies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from particle_dev.catalog.gen3_nrf52840 import LOW_SYSTEM_START
from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import Platform
from particle_dev.flash.board_modules import Need, Part, module_title
from particle_dev.flash.releases import first_release_with, release_for_layout

_FIRST_LOW_BOOTLOADER = 3002
"""The first bootloader that looks for the system part at 0x28000. Source: device-os commit c292f7f3b (6.1.2)
``bootloader/src/nRF52840/dfu_usb.c``, ``modules/shared/system_module_version.mk``."""
_FIRST_WITH_LEGACY_PREFIX = 6200
"""From 6.2.0 on a second prefix lets older bootloaders find that part. Source: device-os v6.2.0 CHANGELOG.md (2831)."""
_BOOTLOADER = (ModuleFunction.BOOTLOADER, 0)
_SYSTEM = (ModuleFunction.SYSTEM_PART, 1)
_MONO = (ModuleFunction.MONO_FIRMWARE, 0)


class BootEnd(StrEnum):
    """Where a boot ends."""

    APPLICATION = "application"
    SAFE_MODE = "safe mode"
    """Device OS runs without the application, and connects to the cloud."""
    DFU = "DFU mode"
    HANGS = "hangs"
    """No USB, no radio."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a set of modules that keeps it from running, or from being flashed.

    ``code`` is stable; ``module`` is the one that has the problem, ``needed`` what it asks for and ``present`` what
    there is instead (None: nothing). ``message`` is a sentence; ``hint`` says what to do.
    """

    code: str
    module: str
    needed: str | None
    present: str | None
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class BootOutcome:
    """Where the boot ends, why not in an application, and which application runs."""

    end: BootEnd
    findings: tuple[Finding, ...] = ()
    application: Part | None = None


def boot_outcome(platform: Platform, parts: Sequence[Part]) -> BootOutcome:
    """What a board with exactly these modules does.

    A factory image, buttons and requests of the running firmware are left out: with an intact factory image, a board
    without an application restores that one instead of entering safe mode.
    """
    board = {part.key: part for part in parts}
    first = started_by_bootloader(parts)
    if platform.family == "stm32f1xx" or _MONO in board:
        mono = board.get(_MONO)
        if mono is None or not mono.intact:
            return BootOutcome(BootEnd.DFU, (no_system(mono),))
        return BootOutcome(BootEnd.APPLICATION, (), mono)
    # The system of an Electron brings its own along and is content without.
    if _BOOTLOADER not in board and platform.name != "electron":
        return BootOutcome(BootEnd.HANGS, (_no_bootloader(),))
    if first is None:
        return BootOutcome(BootEnd.DFU, (no_system(None),))
    # The bootloader of STM32F2 looks at the header alone.
    if not first.intact and platform.family != "stm32f2xx":
        # The legacy part inside may be whole: then it is started, finds the rest damaged, and connects.
        may_start = first.start_address == LOW_SYSTEM_START and first.version >= _FIRST_WITH_LEGACY_PREFIX
        return BootOutcome(BootEnd.SAFE_MODE if may_start else BootEnd.DFU, (no_system(first),))
    bootloader = board.get(_BOOTLOADER)
    if first.start_address == LOW_SYSTEM_START and first.version < _FIRST_WITH_LEGACY_PREFIX:
        need = Need(*_BOOTLOADER, _FIRST_LOW_BOOTLOADER)
        if bootloader is None or bootloader.version < need.version:
            return BootOutcome(BootEnd.DFU, (_unmet(platform, first, need, bootloader),))
    hangs = _missing_system_parts(platform, board, first)
    if hangs:
        return BootOutcome(BootEnd.HANGS, hangs)
    findings = _system_findings(platform, board)
    if findings:
        return BootOutcome(BootEnd.SAFE_MODE, findings)
    return _application(platform, board, first)


def started_by_bootloader(parts: Sequence[Part]) -> Part | None:
    """The system part that the bootloader looks at and jumps to: index 1 on every platform."""
    return next((part for part in parts if part.key == _SYSTEM), None)


def application_slots(platform: Platform, system_version: int) -> tuple[tuple[int, int], ...]:
    """Function and index of the application slots under that system part, in the order in which it tries them: of two
    intact applications the one with index 1, at the former place, wins."""
    release = release_for_layout(system_version)
    slots = {s.index for s in platform.module_slots if s.function == ModuleFunction.USER_PART and s.covers(release)}
    return tuple((ModuleFunction.USER_PART, index) for index in sorted(slots))


def unmet_needs(platform: Platform, part: Part, board: Mapping[tuple[int, int], Part]) -> tuple[Finding, ...]:
    """Needs of a part that the board does not meet. A newer version always suffices: a prefix knows no maximum."""
    return tuple(
        _unmet(platform, part, need, board.get((need.function, need.index)))
        for need in part.needs
        if not is_met(need, board.get((need.function, need.index)))
    )


def is_met(need: Need, present: Part | None) -> bool:
    """Whether what is there suffices; like the device, this does not ask whether it is intact."""
    return present is not None and present.version >= need.version


def damaged(part: Part) -> Finding:
    """A part whose bytes are wrong."""
    return Finding(
        "damaged",
        part.title,
        None,
        part.title,
        f"{_subject(part)} is damaged",
        f"flash {module_title(*part.key)} again",
    )


def _unmet(platform: Platform, part: Part, need: Need, present: Part | None) -> Finding:
    tail = (
        "which is neither in the set nor on the board"
        if present is None
        else f"the board would have v{present.version}"
    )
    release = (
        first_release_with(platform, need.version, whole=True) if need.function == ModuleFunction.SYSTEM_PART else None
    )
    if release is not None and present is None:
        # No board is without one for long: a flash of a whole set takes it away first and writes it last.
        hint = (
            "after a flash that was cut short, run that command again; else flash a whole Device OS with it "
            f"(--device-os RELEASE), {release.name} or later"
        )
    elif release is not None:
        hint = f"flash Device OS {release.name} or later, or build for the Device OS that the board has"
    elif need.function in (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK, ModuleFunction.NCP_FIRMWARE):
        hint = f"offer {module_title(need.function, need.index)} too, or install it first (`particle-dev flash`)"
    else:
        hint = f"put {need.title} or later on the board too"
    return Finding(
        "missing" if present is None else "too_old",
        part.title,
        need.title,
        present.title if present else None,
        f"{_subject(part)} needs {need.title}, {tail}",
        hint,
    )


def no_system(part: Part | None) -> Finding:
    """No system part that the bootloader would start."""
    if part is not None:
        return damaged(part)
    message = "there is no system part: it would stay in DFU mode"
    return Finding(
        "no_system_part",
        "system part",
        "a system part",
        None,
        message,
        "add the system parts of a release",
    )


def _no_bootloader() -> Finding:
    title = module_title(*_BOOTLOADER)
    message = f"{title} is missing: nothing would start, not even DFU mode"
    return Finding("missing", "the board", title, None, message, f"put {title} on the board first, over a debug probe")


def _subject(part: Part) -> str:
    """As a sentence has it: a file in brackets, a place without."""
    if part.name.startswith("on the "):
        return f"{module_title(*part.key, part.version)} {part.name}"
    return part.title


def _missing_system_parts(
    platform: Platform, board: Mapping[tuple[int, int], Part], first: Part
) -> tuple[Finding, ...]:
    """System parts that the first one jumps into unseen (STM32F2: two or three)."""
    release = release_for_layout(first.version)
    findings = []
    for slot in platform.module_slots:
        key = (slot.function, slot.index)
        if slot.function == ModuleFunction.SYSTEM_PART and slot.covers(release) and key not in board:
            title = module_title(*key)
            message = f"{title} is missing, and {module_title(*first.key)} jumps into it unseen: the board would hang"
            hint = f"add {title} of the same release"
            findings.append(Finding("missing", first.title, title, None, message, hint))
    return tuple(findings)


def _system_findings(platform: Platform, board: Mapping[tuple[int, int], Part]) -> tuple[Finding, ...]:
    """Why Device OS keeps the application out: it checks the bootloader and one system part, with their needs."""
    if platform.name == "electron":
        return ()  # It trusts its embedded bootloader and skips the check.
    checked = 2 if platform.family == "stm32f2xx" else 1
    findings: list[Finding] = []
    for key in (_BOOTLOADER, (ModuleFunction.SYSTEM_PART, checked)):
        part = board.get(key)
        if part is None:
            title = module_title(*key)
            message = f"{title} is missing: it would boot into safe mode and connect"
            findings.append(Finding("missing", "Device OS", title, None, message, f"put {title} on the board first"))
        elif not part.intact:
            findings.append(damaged(part))
        else:
            findings += unmet_needs(platform, part, board)
    return tuple(findings)


def _application(platform: Platform, board: Mapping[tuple[int, int], Part], first: Part) -> BootOutcome:
    findings: list[Finding] = []
    for key in application_slots(platform, first.version):
        part = board.get(key)
        if part is None:
            continue
        problems = unmet_needs(platform, part, board) if part.intact else (damaged(part),)
        if not problems:
            return BootOutcome(BootEnd.APPLICATION, (), part)
        findings += problems
    if not findings:
        message = "there is no application: it would boot into safe mode and connect"
        findings.append(
            Finding("no_application", "Device OS", "an application", None, message, "add the application, or Tinker")
        )
    return BootOutcome(BootEnd.SAFE_MODE, tuple(findings))
