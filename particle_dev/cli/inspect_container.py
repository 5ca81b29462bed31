"""Folders, archives, application bundles and Device OS releases, for ``particle-dev inspect``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.inspect_files import Inspected, inspect_data
from particle_dev.errors import FirmwareStoreError, FormatError
from particle_dev.flash.bundle_files import read_bundle_file
from particle_dev.flash.firmware_sources import is_container, read_sources, zip_member_names
from particle_dev.protocol.bundle import bundle_problems, is_bundle
from particle_dev.protocol.module import Problem, describe_problem, parse
from particle_dev.protocol.release_files import ModuleIdentity, name_problem, release_sets


def inspect_container(file: str) -> Iterator[Inspected | str]:
    """Every module in a folder or archive, then a line or more on the whole. What cannot be read is a problem of
    ``file`` itself."""
    path = Path(file)
    try:
        if not is_container(path):
            message = "This begins like an archive, but is no zip or tar file, or it is cut."
            yield Inspected(describe_problem(Problem("damaged_archive", None, message), file=file))
        elif is_bundle(zip_member_names(path)):
            yield from _inspect_bundle(path)
        else:
            yield from _inspect_modules(path)
    except FirmwareStoreError as error:
        yield Inspected(describe_problem(Problem("unreadable", None, f"{error.message}."), file=error.path or file))
    except FormatError as error:
        yield Inspected(describe_problem(Problem(error.code, error.offset, error.message), file=file))


def _inspect_modules(path: Path) -> Iterator[Inspected | str]:
    count = bad = 0
    intact: dict[str, ModuleIdentity] = {}
    for source in read_sources(path):
        for item in inspect_data(source.data, file=source.source):
            description = item.description
            if not description["problems"]:
                identity = ModuleIdentity(
                    description["platform"]["id"],
                    ModuleFunction(description["function"]),
                    description["index"],
                    description["version"],
                )
                intact[source.source] = identity
                problem = name_problem(source.name, identity)
                if problem:
                    description["problems"] = [problem._asdict()]
            count += 1
            bad += bool(description["problems"])
            yield item
    if not count:
        yield Inspected(describe_problem(Problem("no_modules", None, "There is no .bin file in it."), file=str(path)))
        return
    lines = [f"{path}: {count} files, {bad} with problems"]
    for found in release_sets(intact):
        state = f"without {', '.join(found.missing)}" if found.missing else "complete"
        lines.append(f"  Device OS {found.release.name} for {found.platform.name}: {state}")
    yield "\n".join(lines)


def _inspect_bundle(path: Path) -> Iterator[Inspected | str]:
    bundle = read_bundle_file(path)
    for item in inspect_data(bundle.application, file=f"{path}:{bundle.application_name}"):
        if not item.description["problems"]:
            problems = bundle_problems(bundle, parse(bundle.application))
            item.description["problems"] = [problem._asdict() for problem in problems]
        yield item
    lines = [f"{path}: application bundle with {len(bundle.assets)} assets"]
    lines += [f"  {asset.name}: {len(asset.data)} bytes, SHA-256 {asset.sha256.hex()}" for asset in bundle.assets]
    if bundle.environment is not None:
        lines.append(f"  {len(bundle.environment)} environment variables")
    yield "\n".join(lines)
