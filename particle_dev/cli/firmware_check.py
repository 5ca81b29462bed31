"""``particle-dev firmware check``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from particle_dev.catalog.device_os import DeviceOsRelease, release_by_name
from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import PLATFORMS, Platform, platform_by_id, platform_by_name
from particle_dev.cli.board_file import read_board
from particle_dev.cli.error_text import error_text
from particle_dev.cli.escape import escaped
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.file_types import MODULE_FILE
from particle_dev.cli.options import json_option
from particle_dev.errors import ModuleFormatError, PlanRefusedError
from particle_dev.flash.board_modules import Inventory, ModuleFile, Part, module_title
from particle_dev.flash.boot_outcome import BootEnd, Finding, started_by_bootloader
from particle_dev.flash.dependencies import Resolution, resolve
from particle_dev.flash.files import about_file, read_module_files
from particle_dev.flash.releases import (
    first_release_with,
    is_for,
    nearest_releases,
    release_for_layout,
    release_modules,
)
from particle_dev.protocol.compressed import expand
from particle_dev.protocol.module import ExtensionType, parse
from particle_dev.station.toml_file import suggestion

_APPLICATIONS = (ModuleFunction.USER_PART, ModuleFunction.MONO_FIRMWARE)
_MISFITS = ("wrong_platform", "not_an_application")
_UPDATED_IF_OLDER = (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK)


@dataclass(frozen=True, slots=True)
class Checked:
    """One file with the answer."""

    file: ModuleFile
    resolution: Resolution
    findings: tuple[Finding, ...]
    device_os: str | None
    """The release that the board would have."""

    @property
    def ok(self) -> bool:
        """Whether the application would run."""
        return not self.findings

    @property
    def end(self) -> str:
        """``runs``, or where the board would end instead."""
        if self.ok:
            return "runs"
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
    type=click.Path(dir_okay=False, path_type=Path),
    help="A real board: what `particle-dev id --json` printed. Without --device-os its own Device OS counts.",
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

    Knows every release without downloading one. Each APP (- is standard input) is looked at by itself; in a file of
    several modules, its applications are. The exit code is 5 when one would not run, 3 when one is damaged or no
    module.
    """
    if release_name is None and board_file is None:
        raise click.UsageError("Give --device-os, or a board by --on-board.")
    board = read_board(board_file) if board_file else None
    modules, unusable = _read_modules(files)
    platform = _platform(platform_name, board, modules)
    release = _release(release_name, platform) if release_name else None
    answers = [check_application(platform, module, release, board) for module in modules] if platform else []
    if as_json:
        click.echo(json.dumps(_document(platform, release, board, answers, unusable)))
    else:
        if platform and answers:
            click.echo("\n\n".join("\n".join(_lines(platform, answer)) for answer in answers))
        for error in unusable:
            click.echo(error_text(error), err=True)
    if unusable:
        ctx.exit(ExitCode.BAD_INPUT)
    if not all(answer.ok for answer in answers):
        ctx.exit(ExitCode.REFUSED)


def _read_modules(files: Sequence[Path]) -> tuple[list[ModuleFile], list[ModuleFormatError]]:
    """The modules, and why the other files are none."""
    modules: list[ModuleFile] = []
    unusable = []
    for path in files:
        try:
            found, contents = read_module_files([path])
            # Of several modules in one file, the applications are the ones in question.
            found = [file for file in found if file.module.function in _APPLICATIONS] or found
            with about_file(str(path)):
                modules += [_expanded(file, contents[file.sha256]) for file in found]
        except ModuleFormatError as error:
            unusable.append(error)
    return modules, unusable


def _expanded(file: ModuleFile, data: bytes) -> ModuleFile:
    """What a compressed module becomes on the board, which is what has to fit and run there."""
    if not file.module.flags & ModuleFlag.COMPRESSED:
        return file
    return ModuleFile(parse(expand(data)), file.sha256, f"{file.file_name}, expanded")


def check_application(
    platform: Platform, file: ModuleFile, release: DeviceOsRelease | None, board: Inventory | None
) -> Checked:
    """Whether ``file`` runs on a board with that release: on ``board`` after an update to it, or on any."""
    offered = [file.part]
    on_board = board.parts if board else ()
    if release is not None:
        parts = _release_parts(platform, release)
        if board is None:
            on_board = parts
        else:
            offered += [part for part in parts if _is_to_be_flashed(part, on_board)]
    resolution = resolve(platform, offered, on_board)
    findings = resolution.findings
    if file.module.function not in _APPLICATIONS:
        message = f"{file.title} is no application"
        hint = "give the application that the build made; Device OS itself is named by --device-os"
        findings = (Finding("not_an_application", file.title, "an application", None, message, hint),)
    system = started_by_bootloader(resolution.after)
    device_os = release.name if release else release_for_layout(system.version) if system else None
    return Checked(file, resolution, findings, device_os)


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
    if platform is not None and not is_for(release, platform):
        first, last = platform.first_device_os, platform.last_device_os
        reason = f"Device OS {name} was not made for {platform.display_name}"
        span = f"{first or 'the first'} to {last or 'the newest'}"
        hint = (
            f"it has releases from {span}; the nearest: {nearest}" if nearest else "no public source lists its releases"
        )
        raise PlanRefusedError(reason, reasons=(reason,), hint=hint)
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
    """What it needs, and the release that has it."""
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
    if assets:
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
    for finding in answer.findings:
        rows += [(finding.code, finding.message), ("what to do", finding.hint)]
    heading = f"{escaped(answer.file.file_name)} for {platform.display_name}{on}: {answer.end}"
    return [heading, *(f"  {label:<20}{text}" for label, text in rows)]


def _board_rows(platform: Platform, answer: Checked) -> list[tuple[str, str]]:
    needs = [f"{title} (Device OS {release})" if release else title for title, release in _needs(platform, answer)]
    others = [p for p in answer.resolution.after if p.function not in _APPLICATIONS]
    rows = [
        ("goes to", _slot_text(platform, answer)),
        ("needs", ", ".join(needs) or "nothing"),
        ("with", ", ".join(module_title(*p.key, p.version) for p in others) or "no other module"),
    ]
    if answer.ok and len(answer.resolution.order) > 1:
        rows += [(f"step {n}", f"flash {part.title}") for n, part in enumerate(answer.resolution.order, 1)]
    return rows + [("note", note) for note in _notes(answer)]


def _document(
    platform: Platform | None,
    release: DeviceOsRelease | None,
    board: Inventory | None,
    answers: Sequence[Checked],
    unusable: Sequence[ModuleFormatError],
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
        "runs": answer.ok,
        "boots_into": str(resolution.outcome.end),
        "address": module.start_address,
        "size_bytes": module.size_bytes,
        "max_size_bytes": slot.max_size_bytes if slot else None,
        "needs": [] if answer.is_misfit else [{"module": t, "device_os": r} for t, r in _needs(platform, answer)],
        "steps": [part.title for part in resolution.order],
        "findings": [asdict(finding) for finding in answer.findings],
        "notes": _notes(answer),
    }
