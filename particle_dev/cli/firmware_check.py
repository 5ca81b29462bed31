"""``particle-dev firmware check``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from particle_dev.catalog.device_os import DeviceOsRelease, release_by_name
from particle_dev.catalog.modules import APPLICATIONS, ModuleFunction
from particle_dev.catalog.platforms import PLATFORMS, Platform, platform_by_id, platform_by_name
from particle_dev.cli.board_file import read_board
from particle_dev.cli.error_text import error_text
from particle_dev.cli.escape import escaped
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.file_types import MODULE_FILE
from particle_dev.cli.firmware_check_files import Applications
from particle_dev.cli.options import json_option
from particle_dev.cli.wrap import wrapped
from particle_dev.errors import FormatError, PlanRefusedError
from particle_dev.flash.board_modules import Inventory, ModuleFile, Part, module_title
from particle_dev.flash.boot_outcome import BootEnd, Finding, started_by_bootloader
from particle_dev.flash.dependencies import Resolution, resolve
from particle_dev.flash.releases import (
    first_release_with,
    nearest_releases,
    release_for_layout,
    release_modules,
    unknown_modules,
    why_not_for,
)
from particle_dev.protocol.module import ExtensionType
from particle_dev.toml_file import suggestion

_MISFITS = ("wrong_platform", "not_an_application")
_NEWEST = 0xFFFF
"""Version of a module in thought, that satisfies whatever can be asked of it."""
_UPDATED_IF_OLDER = (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK)


@dataclass(frozen=True, slots=True)
class Checked:
    """One file with the answer."""

    file: ModuleFile
    resolution: Resolution
    findings: tuple[Finding, ...]
    device_os: str | None
    """The release that the board would have."""
    has_assets: bool = False
    """Whether the assets that it wants came with it, in a bundle."""
    unknown: tuple[Part, ...] = ()
    """Modules of that release in versions that nobody knows: the newest, in thought."""

    @property
    def runs(self) -> bool | None:
        """Whether the application would run; None when that depends on what is unknown."""
        return False if self.findings else None if self.unknown else True

    @property
    def steps(self) -> list[Part] | None:
        """What to flash, in order; None when some of it is unknown."""
        return None if self.unknown else list(self.resolution.order)

    @property
    def end(self) -> str:
        """``runs``, ``cannot tell``, or where the board would end instead."""
        if not self.findings:
            return "runs" if self.runs else "cannot tell whether it runs"
        end = self.resolution.outcome.end
        if self.is_misfit or end is BootEnd.APPLICATION:
            return "does not run"
        return f"does not run, the board {'hangs' if end is BootEnd.HANGS else f'ends in {end}'}"

    @property
    def is_misfit(self) -> bool:
        """Whether it is nothing for this kind of board at all."""
        return any(finding.code in _MISFITS for finding in self.findings)


@click.command()
@click.argument("files", metavar="APP...", nargs=-1, required=True, type=MODULE_FILE)
@click.option("--platform", "platform_name", metavar="NAME", help="Board: boron, tracker, p2, ... Else the files say.")
@click.option("--device-os", "release_name", metavar="RELEASE", help="With which Device OS, such as 2.1.0.")
@click.option(
    "--on-board",
    "board_file",
    type=MODULE_FILE,
    help="A real board: what `particle-dev id --json` printed (- is standard input). "
    "Without --device-os its own Device OS counts.",
)
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    files: tuple[Path, ...],
    platform_name: str | None,
    release_name: str | None,
    board_file: Path | None,
    as_json: bool,
) -> None:
    """Tell whether an application would run on a Device OS release, and if not, what to do.

    Knows every release without downloading one. Each APP (- is standard input) is looked at by itself; of a file of
    several modules, a folder or an archive the applications, and a bundle with its assets. The exit code is 5 when one
    would not run, 6 when that depends on modules of the release that this program does not know, 3 when one is damaged
    or no module.
    """
    if release_name is None and board_file is None:
        raise click.UsageError("Give --device-os, or a board by --on-board.")
    if board_file and [board_file, *files].count(Path("-")) > 1:
        raise click.UsageError("Standard input (-) can be one of the files.")
    board = read_board(board_file) if board_file else None
    found = Applications(files)
    modules, unusable = found.modules, found.unusable
    platform = _platform(platform_name, board, modules)
    release = _release(release_name, platform) if release_name else None
    answers = (
        [
            replace(check_application(platform, module, release, board), has_assets=module.sha256 in found.with_assets)
            for module in modules
        ]
        if platform
        else []
    )
    if as_json:
        click.echo(json.dumps(_document(platform, release, board, answers, unusable)))
    else:
        if platform and answers:
            click.echo("\n\n".join("\n".join(_lines(platform, answer)) for answer in answers))
        for error in unusable:
            click.echo(error_text(error), err=True)
    if unusable:
        ctx.exit(ExitCode.BAD_INPUT)
    if any(answer.runs is False for answer in answers):
        ctx.exit(ExitCode.REFUSED)
    if any(answer.runs is None for answer in answers):
        ctx.exit(ExitCode.INCOMPLETE)


def check_application(
    platform: Platform, file: ModuleFile, release: DeviceOsRelease | None, board: Inventory | None
) -> Checked:
    """Whether ``file`` runs on a board with that release: on ``board`` after an update to it, or on any."""
    offered = [file.part]
    on_board = board.parts if board else ()
    unknown: tuple[Part, ...] = ()
    if release is not None:
        parts = _release_parts(platform, release)
        if board is None or any(
            _is_to_be_flashed(p, on_board) for p in parts if p.function == ModuleFunction.SYSTEM_PART
        ):
            unknown = tuple(
                Part(f"Device OS {release.name}", platform.id, *key, _NEWEST)
                for key in unknown_modules(platform, release)
            )
        if board is None:
            on_board = (*parts, *unknown)
        else:
            offered += [part for part in (*parts, *unknown) if _is_to_be_flashed(part, on_board)]
    resolution = resolve(platform, offered, on_board)
    findings = resolution.findings
    if file.module.function not in APPLICATIONS:
        message = f"{file.title} is no application"
        hint = "give the application that the build made; Device OS itself is named by --device-os"
        findings = (Finding("not_an_application", file.title, "an application", None, message, hint),)
    system = started_by_bootloader(resolution.after)
    device_os = release.name if release else release_for_layout(system.version) if system else None
    return Checked(file, resolution, findings, device_os, unknown=unknown)


def _platform(name: str | None, board: Inventory | None, modules: Sequence[ModuleFile]) -> Platform | None:
    """What --platform, the board or the files name; None when there is no file either."""
    if name is None:
        return board.platform if board else _platform_of(modules)
    platform = platform_by_name(name)
    if platform is None:
        hint = suggestion(name, (known.name for known in PLATFORMS))
        raise click.BadParameter(f"no platform {name!r} is known; {hint}", param_hint="--platform")
    if board is not None and platform is not board.platform:
        raise click.UsageError(f"The board is a {board.platform.display_name}, not a {platform.display_name}.")
    return platform


def _platform_of(modules: Sequence[ModuleFile]) -> Platform | None:
    named = [
        None if file.module.function == ModuleFunction.ASSET else platform_by_id(file.module.platform_id)
        for file in modules
    ]
    platforms = {platform.id: platform for platform in named if platform}
    platform = next(iter(platforms.values())) if len(platforms) == 1 else None
    if modules and platform is None:
        told = ", ".join(
            f"{file.file_name} for {found.name if found else 'no known one'}"
            for file, found in zip(modules, named, strict=True)
        )
        raise click.UsageError(f"Give --platform, or files for one known platform: {told}.")
    return platform


def _release(name: str, platform: Platform | None) -> DeviceOsRelease:
    release = release_by_name(name)
    nearest = " and ".join(nearest_releases(name, platform))
    if release is None:
        of = f" of {platform.display_name}" if platform else ""
        hint = f"the nearest{of}: {nearest}" if nearest else "write it as 2.1.0"
        raise click.BadParameter(f"no Device OS release {name!r} is known; {hint}", param_hint="--device-os")
    why = why_not_for(release, platform) if platform is not None else None
    if why is not None:
        raise PlanRefusedError(why.reason, reasons=(why.reason,), hint=why.hint)
    return release


def _release_parts(platform: Platform, release: DeviceOsRelease) -> tuple[Part, ...]:
    name = f"Device OS {release.name}"
    parts = []
    for function, index, version in release_modules(platform, release):
        slot = platform.slot_for(function, index, release.name)
        start = slot.start_address if slot else None
        parts.append(Part(name, platform.id, function, index, version, start_address=start))
    return tuple(parts)


def _is_to_be_flashed(part: Part, on_board: Sequence[Part]) -> bool:
    """System parts unless they are there; bootloader and radio stack when the board has older or damaged ones."""
    present = next((p for p in on_board if p.key == part.key), None)
    if present is None or not present.intact:
        return True
    return present.version < part.version if part.function in _UPDATED_IF_OLDER else present.version != part.version


def _slot_text(platform: Platform, answer: Checked) -> str:
    module = answer.file.module
    slot = platform.slot_for(module.function, module.index, answer.device_os)
    limit = f" of {slot.max_size_bytes}" if slot else ""
    return f"0x{module.start_address:08x}, {module.size_bytes}{limit} bytes"


def _needs(platform: Platform, answer: Checked) -> list[tuple[str, str | None]]:
    """What it needs, and the release that has it; of its own platform, if it is for another one."""
    platform = platform_by_id(answer.file.module.platform_id) or platform
    needs = []
    for need in answer.file.part.needs:
        release = first_release_with(platform, need.version) if need.function == ModuleFunction.SYSTEM_PART else None
        needs.append((need.title, release.name if release else None))
    return needs


def _notes(answer: Checked) -> list[str]:
    """What is no refusal, but good to know."""
    resolution = answer.resolution
    notes = [
        f"the former application at 0x{address:08x} must be erased, or it wins" for address in resolution.invalidate
    ]
    assets = sum(e.type == ExtensionType.ASSET_DEPENDENCY for e in answer.file.module.extensions)
    if assets and not answer.has_assets:
        notes.append(f"it needs {assets} assets; without them Device OS stays in safe mode: flash its bundle")
    for stop in resolution.stops:
        way = "" if stop.over_dfu else ", unless all parts are written over DFU in one go"
        notes.append(f"go through Device OS {stop.through} first{way}: {stop.reason}")
    if resolution.cycle:
        titles = ", ".join(module_title(*part.key) for part in resolution.cycle)
        notes.append(f"each of these needs the new version of another: write them over DFU in one go: {titles}")
    return notes


def _lines(platform: Platform, answer: Checked) -> list[str]:
    on = f" on Device OS {answer.device_os}" if answer.device_os else ""
    rows = [] if answer.is_misfit else _board_rows(platform, answer)
    if answer.runs is not None and not answer.is_misfit:
        rows.append(("boots into", str(answer.resolution.outcome.end)))
    for finding in answer.findings:
        rows += [(finding.code, finding.message), ("what to do", finding.hint)]
    heading = f"{escaped(answer.file.file_name)} for {platform.display_name}{on}: {answer.end}"
    lines = [heading, *(f"  {label:<20}{text}" for label, text in rows)]
    return [wrapped(line, sys.stdout, 22) for line in lines]


def _board_rows(platform: Platform, answer: Checked) -> list[tuple[str, str]]:
    needs = [f"{title} (Device OS {release})" if release else title for title, release in _needs(platform, answer)]
    others = [p for p in answer.resolution.after if p.function not in APPLICATIONS and p not in answer.unknown]
    rows = [
        ("goes to", _slot_text(platform, answer)),
        ("needs", ", ".join(needs) or "nothing"),
        ("with", ", ".join(module_title(*p.key, p.version) for p in others) or "no other module"),
    ]
    if answer.runs and len(answer.steps or ()) > 1:
        rows += [(f"step {n}", f"flash {part.title}") for n, part in enumerate(answer.steps or (), 1)]
    for part in answer.unknown:
        text = f"the {module_title(*part.key)} of {part.name} is not known to this version of particle-dev"
        rows += [("unknown", text), ("what to do", "ask a board that has it: --on-board without --device-os")]
    return rows + [("note", note) for note in _notes(answer)]


def _document(
    platform: Platform | None,
    release: DeviceOsRelease | None,
    board: Inventory | None,
    answers: Sequence[Checked],
    unusable: Sequence[FormatError],
) -> dict[str, object]:
    return {
        "platform": platform.name if platform else None,
        "device_os": release.name if release else None,
        "release_modules": [
            {"function": function, "index": index, "version": version, "title": module_title(function, index, version)}
            for function, index, version in (release_modules(platform, release) if platform and release else ())
        ],
        "device_id": board.device_id if board else None,
        "applications": [_answer_object(platform, answer) for answer in answers] if platform else [],
        "unusable": [{"message": e.message, "hint": e.hint, **e.fields()} for e in unusable],
    }


def _answer_object(platform: Platform, answer: Checked) -> dict[str, object]:
    module, resolution = answer.file.module, answer.resolution
    slot = platform.slot_for(module.function, module.index, answer.device_os)
    return {
        "file": answer.file.file_name,
        "sha256": answer.file.sha256,
        "title": module_title(module.function, module.index, module.version),
        "device_os": answer.device_os,
        "runs": answer.runs,
        "boots_into": None if answer.runs is None or answer.is_misfit else str(resolution.outcome.end),
        "address": None if answer.is_misfit else module.start_address,
        "size_bytes": module.size_bytes,
        "max_size_bytes": slot.max_size_bytes if slot and not answer.is_misfit else None,
        "needs": [{"module": t, "device_os": r} for t, r in _needs(platform, answer)],
        "steps": None if answer.steps is None else [part.title for part in answer.steps],
        "unknown": [module_title(*part.key) for part in answer.unknown],
        "findings": [asdict(finding) for finding in answer.findings],
        "notes": _notes(answer),
    }
