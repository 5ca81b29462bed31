"""Folders, archives, application bundles and Device OS releases, for ``particle-dev inspect``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.escape import escaped
from particle_dev.cli.inspect_files import Inspected, inspect_data
from particle_dev.errors import FirmwareStoreError, FormatError
from particle_dev.flash.bundle_files import read_bundle_file
from particle_dev.flash.firmware_sources import Source, SourceFile, is_container, read_sources, zip_member_names
from particle_dev.protocol.bundle import bundle_problems, is_bundle
from particle_dev.protocol.module import Problem, describe_problem, parse
from particle_dev.protocol.release_files import ModuleIdentity, name_problem, release_sets


def inspect_container(file: str, stream: BinaryIO | None = None) -> Iterator[Inspected | str]:
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
        yield Inspected(describe_problem(Problem("unreadable", None, f"{error.message}."), file=error.path or file))
    except FormatError as error:
        yield Inspected(describe_problem(Problem(error.code, error.offset, error.message), file=file))


def _inspect_modules(name: str, container: Source) -> Iterator[Inspected | str]:
    count = bad = 0
    intact: dict[str, ModuleIdentity] = {}
    for source in read_sources(container):
        is_bad = False
        for item in inspect_data(source.data, file=source.source):
            if not item.description["problems"]:
                _check_identity(item.description, source, intact)
            is_bad |= bool(item.description["problems"])
            yield item
        count += 1
        bad += is_bad
    if not count:
        yield Inspected(describe_problem(Problem("no_modules", None, "There is no .bin file in it."), file=name))
        return
    lines = [f"{escaped(name)}: {count} files, {bad} with problems"]
    for found in release_sets(intact):
        state = f"without {', '.join(found.missing)}" if found.missing else "complete"
        lines.append(f"  Device OS {found.release.name} for {found.platform.name}: {state}")
    yield "\n".join(lines)


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


def _inspect_bundle(name: str, container: Source) -> Iterator[Inspected | str]:
    bundle = read_bundle_file(container)
    for item in inspect_data(bundle.application, file=f"{name}:{bundle.application_name}"):
        if not item.description["problems"]:
            problems = bundle_problems(bundle, parse(bundle.application))
            item.description["problems"] = [problem._asdict() for problem in problems]
        yield item
    lines = [f"{escaped(name)}: application bundle with {len(bundle.assets)} assets"]
    lines += [f"  {escaped(a.name)}: {len(a.data)} bytes, SHA-256 {a.sha256.hex()}" for a in bundle.assets]
    if bundle.environment is not None:
        lines.append(f"  {len(bundle.environment)} environment variables")
    yield "\n".join(lines)
