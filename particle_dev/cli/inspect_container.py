"""Folders, archives, application bundles and Device OS releases, for ``particle-dev inspect``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import platform_by_id
from particle_dev.cli.escape import escaped
from particle_dev.cli.inspect_files import Inspected, Summary, inspect_data
from particle_dev.errors import FirmwareStoreError, FormatError
from particle_dev.flash.bundle_files import read_bundle_file
from particle_dev.flash.firmware_sources import (
    Source,
    SourceFile,
    inner_archives,
    is_container,
    read_sources,
    zip_member_names,
)
from particle_dev.protocol.bundle import bundle_problems, is_bundle
from particle_dev.protocol.module import Problem, describe_problem, parse
from particle_dev.protocol.release_files import ModuleIdentity, name_problem, release_sets

_SEVERAL = 2
_FEW = 3
"""Files that a line names one by one."""


def inspect_container(file: str, stream: BinaryIO | None = None) -> Iterator[Inspected | Summary]:
    """Every module in a folder or archive, then a line or more on the whole. What cannot be read is a problem of
    ``file`` itself. An archive from standard input comes as ``stream``."""
    source = stream or Path(file)
    try:
        if not is_container(source):
            message = "This begins like an archive, but is no zip or tar file, or it is cut."
            yield Inspected(describe_problem(Problem("damaged_archive", None, message), file=file))
        elif is_bundle(zip_member_names(source)):
            yield from _inspect_bundle(file, source)
        else:
            yield from _inspect_modules(file, source)
    except FirmwareStoreError as error:
        code = "encrypted_archive" if "encrypted archive" in error.message else "unreadable"
        yield Inspected(describe_problem(Problem(code, None, f"{error.message}."), file=error.path or file))
    except FormatError as error:
        yield Inspected(describe_problem(Problem(error.code, error.offset, error.message), file=file))


def _inspect_modules(name: str, container: Source) -> Iterator[Inspected | Summary]:
    count = bad = 0
    intact: dict[str, ModuleIdentity] = {}
    for source in read_sources(container):
        count += 1
        if isinstance(source, FirmwareStoreError):
            bad += 1
            yield Inspected(
                describe_problem(Problem("unreadable", None, f"{source.message}."), file=source.path or name)
            )
            continue
        is_bad = False
        for item in inspect_data(source.data, file=source.source):
            if not item.description["problems"]:
                _check_identity(item.description, source, intact)
            is_bad |= bool(item.description["problems"])
            yield item
        bad += is_bad
    archives = inner_archives(container)
    if not count:
        message = "There is no .bin file in it" + (f", but archives: {', '.join(archives)}." if archives else ".")
        yield Inspected(describe_problem(Problem("no_modules", None, message), file=name))
        return
    yield _summary(name, count, bad, intact, archives)


def _summary(name: str, count: int, bad: int, intact: Mapping[str, ModuleIdentity], archives: Sequence[str]) -> Summary:
    sets = release_sets(intact)
    by_platform: dict[str, list[str]] = {}
    for file, module in intact.items():
        platform = platform_by_id(module.platform_id)
        if module.function != ModuleFunction.ASSET:
            by_platform.setdefault(platform.name if platform else f"platform {module.platform_id}", []).append(file)
    lines = [f"{escaped(name)}: {count} file{'s' * (count != 1)}, {bad} with problems"]
    for found in sets:
        state = f"without {', '.join(found.missing)}" if found.missing else "complete"
        lines.append(f"  Device OS {found.release.name} for {found.platform.name}: {state}")
    if len(by_platform) > 1:
        lines.append("  for several platforms, of which a board takes its own:")
        lines += [f"    {platform}: {_files_text(files)}" for platform, files in by_platform.items()]
    lines += [f"  an archive, not looked into: {escaped(archive)}" for archive in archives]
    if not sets and len(by_platform) < _SEVERAL and not archives:
        return Summary("\n".join(lines))
    document = {
        "file": name,
        "files": count,
        "releases": [
            {"device_os": s.release.name, "platform": s.platform.name, "missing": list(s.missing)} for s in sets
        ],
        "platforms": by_platform,
        "not_looked_into": list(archives),
        "problems": [],
    }
    return Summary("\n".join(lines), document)


def _files_text(files: Sequence[str]) -> str:
    return f"{len(files)} modules" if len(files) > _FEW else ", ".join(escaped(file) for file in files)


def _check_identity(description: dict[str, Any], source: SourceFile, intact: dict[str, ModuleIdentity]) -> None:
    """Enter an intact module into ``intact``; the name of a release's file must say what is in it."""
    identity = ModuleIdentity(
        description["platform"]["id"],
        ModuleFunction(description["function"]),
        description["index"],
        description["version"],
    )
    intact[description["file"]] = identity
    is_alone = description["file"] == source.source
    problem = name_problem(source.name, identity) if is_alone else None
    if problem:
        description["problems"] = [problem._asdict()]


def _inspect_bundle(name: str, container: Source) -> Iterator[Inspected | Summary]:
    bundle = read_bundle_file(container)
    for item in inspect_data(bundle.application, file=f"{name}:{bundle.application_name}"):
        if not item.description["problems"]:
            problems = bundle_problems(bundle, parse(bundle.application))
            item.description["problems"] = [problem._asdict() for problem in problems]
        item.description["bundle"] = {
            "assets": [{"name": a.name, "size_bytes": len(a.data), "sha256": a.sha256.hex()} for a in bundle.assets],
            "environment_variables": None if bundle.environment is None else len(bundle.environment),
        }
        yield item
    count = len(bundle.assets)
    lines = [f"{escaped(name)}: application bundle with {count} asset{'s' * (count != 1)}"]
    lines += [f"  {escaped(a.name)}: {len(a.data)} bytes, SHA-256 {a.sha256.hex()}" for a in bundle.assets]
    if bundle.environment is not None:
        count = len(bundle.environment)
        lines.append(f"  {count} environment variable{'s' * (count != 1)}")
    yield Summary("\n".join(lines))
