"""``particle-dev firmware check``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from particle_dev.catalog.device_os import DeviceOsRelease, release_by_name
from particle_dev.catalog.modules import ModuleFlag, ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.catalog.platforms import Platform, platform_by_name
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.options import json_option
from particle_dev.errors import FormatError, PlanRefusedError
from particle_dev.flash.board_modules import Inventory, ModuleFile, Part, module_title
from particle_dev.flash.boot_outcome import BootEnd, Finding, started_by_bootloader
from particle_dev.flash.dependencies import Resolution, resolve
from particle_dev.flash.files import read_module_files
from particle_dev.flash.releases import first_release_with, is_for, release_for_layout, release_modules
from particle_dev.protocol.compressed import expand
from particle_dev.protocol.messages import InstalledModule
from particle_dev.protocol.module import ExtensionType, parse

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
@click.argument("files", metavar="APP...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--platform", "platform_name", metavar="NAME", help="For which board: boron, tracker, p2, ...")
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

    Knows every release without downloading one. Each APP is looked at by itself. The exit code is 5 when one would not
    run, 3 when one is damaged.
    """
    board = read_board(board_file) if board_file else None
    platform = _platform(platform_name, board)
    release = _release(release_name, platform)
    if release is None and board is None:
        raise click.UsageError("Give --device-os, or a board by --on-board.")
    modules, contents = read_module_files(files)
    modules = [_expanded(file, contents[file.sha256]) for file in modules]
    answers = [check_application(platform, module, release, board) for module in modules]
    if as_json:
        click.echo(json.dumps(_document(platform, release, board, answers)))
    else:
        click.echo("\n\n".join("\n".join(_lines(platform, answer)) for answer in answers))
    if not all(answer.ok for answer in answers):
        ctx.exit(ExitCode.REFUSED)


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


def read_board(path: Path) -> Inventory:
    """The board in a file that ``id --json`` printed. Raises FormatError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        platform = platform_by_name(document["platform"]["name"])
        modules = tuple(_installed(module) for module in document["modules"])
        device_id = str(document["device_id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        detail = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise FormatError(
            f"{path} does not describe a board: {detail}",
            code="no_board",
            file=str(path),
            hint=f"make it by: particle-dev id --json > {path}",
        ) from error
    if platform is None:
        name = document["platform"]["name"]
        raise FormatError(f"{path}: no platform {name!r} is known", code="unknown_platform", file=str(path))
    return Inventory(device_id, platform, str(path), modules)


def _installed(module: dict[str, Any]) -> InstalledModule:
    failed = ModuleValidity(0)
    for name in module["failed_checks"]:
        failed |= ModuleValidity[name]
    return InstalledModule(
        int(module["function"]),
        int(module["index"]),
        int(module["version"]),
        int(module.get("store", ModuleStore.MAIN)),
        int(module["size_bytes"]),
        tuple((int(f), int(i), int(v)) for f, i, v in module.get("dependencies", ())),
        failed,
    )


def _platform(name: str | None, board: Inventory | None) -> Platform:
    if name is None:
        if board is None:
            raise click.UsageError("Give --platform, or a board by --on-board.")
        return board.platform
    platform = platform_by_name(name)
    if platform is None:
        raise click.BadParameter(f"no platform {name!r} is known.", param_hint="--platform")
    if board is not None and platform is not board.platform:
        raise click.UsageError(f"The board is a {board.platform.display_name}, not a {platform.display_name}.")
    return platform


def _release(name: str | None, platform: Platform) -> DeviceOsRelease | None:
    if name is None:
        return None
    release = release_by_name(name)
    if release is None:
        raise click.BadParameter(f"no Device OS release {name!r} is known.", param_hint="--device-os")
    if not is_for(release, platform):
        first, last = platform.first_device_os, platform.last_device_os
        reason = f"Device OS {name} was not made for {platform.display_name}"
        span = f"{first or 'the first'} to {last or 'the newest'}"
        hint = f"it has releases from {span}" if first or last else "no public source lists its releases"
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
    heading = f"{click.format_filename(answer.file.file_name)} for {platform.display_name}{on}: {answer.end}"
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
    platform: Platform, release: DeviceOsRelease | None, board: Inventory | None, answers: Sequence[Checked]
) -> dict[str, object]:
    return {
        "platform": platform.name,
        "device_os": release.name if release else None,
        "release_modules": [
            {"function": function, "index": index, "version": version, "title": module_title(function, index, version)}
            for function, index, version in (release_modules(platform, release) if release else ())
        ],
        "device_id": board.device_id if board else None,
        "applications": [_answer_object(platform, answer) for answer in answers],
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
