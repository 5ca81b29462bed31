"""``particle-dev firmware add|list``: put firmware into the store, and see what is in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import platformdirs

from particle_dev.catalog.modules import ModuleFlag
from particle_dev.cli.error_text import error_text
from particle_dev.cli.escape import escaped
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.file_types import NAMED_SOURCE
from particle_dev.cli.options import json_option, open_store, store_option
from particle_dev.cli.wrap import wrapped
from particle_dev.errors import FirmwareStoreError
from particle_dev.flash.store import AddResult, FirmwareStore, StoredModule
from particle_dev.flash.stored_module import module_to_json


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=NAMED_SOURCE)
@click.option(
    "--cache",
    "cache_dir",
    type=click.Path(path_type=Path, readable=False),
    help="Where npm packages are kept, to be there without network next time.",
)
@store_option
@json_option
@click.pass_context
def add(
    ctx: click.Context,
    sources: tuple[str, ...],
    cache_dir: Path | None,
    store_dir: Path | None,
    as_json: bool,
) -> None:
    """Check firmware modules and put them into the store.

    SOURCE is a .bin file, a folder, a zip or tar archive, or npm:NAME@VERSION, such as npm:particle-cli@2.12.0 (needs
    the npm client); not -, since recipes go by file names. Several modules in one file are added each by itself. The
    exit code is 3 when a module is damaged, or a source cannot be read or holds none; the others are added.
    """
    store = open_store(store_dir)
    cache_dir = cache_dir or platformdirs.user_cache_path("particle-dev") / "npm"
    results = [(source, _add(store, source, cache_dir, is_only=len(sources) == 1)) for source in sources]
    if as_json:
        click.echo(json.dumps([_result_object(source, result) for source, result in results]))
    else:
        for source, result in results:
            if isinstance(result, FirmwareStoreError):
                click.echo(error_text(result), err=True)
            else:
                click.echo("\n".join(wrapped(line, sys.stdout, 4) for line in _result_lines(source, result)))
    if not all(isinstance(result, AddResult) and result.ok for _, result in results):
        ctx.exit(ExitCode.BAD_INPUT)


@click.command("list")
@click.option("--verify", is_flag=True, help="Compare the SHA-256 of every file, not only its size.")
@store_option
@json_option
@click.pass_context
def list_modules(ctx: click.Context, verify: bool, store_dir: Path | None, as_json: bool) -> None:
    """Show the modules in the store.

    The exit code is 3 when the file of one is gone or was altered.
    """
    store = open_store(store_dir)
    modules = store.modules()
    problems = {m.sha256: store.problem(m, by_hash=verify) for m in modules}
    if as_json:
        document = {
            "store": str(store.root),
            "exists": store.root.exists(),
            "modules": [_module_object(m) for m in modules],
            "problems": [{"sha256": sha256, "message": text} for sha256, text in problems.items() if text],
        }
        click.echo(json.dumps(document))
    elif modules:
        _print_table(modules)
    else:
        what = f"The firmware store {store.root} is empty." if store.root.exists() else f"There is no {store.root}."
        click.echo(f"{what}\n  what to do: {store.add_command('npm:particle-cli@2.12.0')}")
    bad = [problem for problem in problems.values() if problem]
    if bad and not as_json:
        click.echo("\n".join(f"error: {escaped(problem)}" for problem in bad), err=True)
        click.echo(f"  what to do: add these modules again: {store.add_command('SOURCE')}", err=True)
    if bad:
        ctx.exit(ExitCode.BAD_INPUT)


def _add(store: FirmwareStore, source: str, cache_dir: Path, *, is_only: bool) -> AddResult | FirmwareStoreError:
    """What came of a source. One of several that cannot be read does not stop the others."""
    try:
        if source.startswith("npm:"):
            return store.add_npm(source, cache_dir)
        if "://" in source:
            raise FirmwareStoreError(
                f"{source} is no file", path=source, hint="download it first and give the file, or npm:NAME@VERSION"
            )
        return store.add_path(Path(source))
    except FirmwareStoreError as error:
        if is_only:
            raise
        return error


def _result_lines(source: str, result: AddResult) -> list[str]:
    counts = f"{len(result.added)} added, {len(result.present)} already there, {len(result.refused)} refused"
    if result.not_modules:
        counts += f", {len(result.not_modules)} no firmware modules"
    lines = [f"{escaped(source)}: {counts}"]
    for refusal in result.refused:
        where = "" if refusal.offset is None else f" at offset 0x{refusal.offset:X}"
        lines.append(escaped(f"  refused {refusal.name}: {refusal.code}{where}: {refusal.message}"))
    lines += [f"  no firmware module: {escaped(name)}" for name in result.not_modules]
    problem, hint = _verdict(result)
    return lines + [f"  {label}: {text}" for label, text in (("problem", problem), ("what to do", hint)) if text]


def _verdict(result: AddResult) -> tuple[str | None, str | None]:
    """What is wrong with a source as a whole, and what to do."""
    if result.refused:
        return None, "`particle-dev inspect FILE` tells more; take refused files from a fresh download or build"
    if result.ok:
        return None, None
    what = "no file in it is a firmware module" if result.not_modules else "there is no .bin file in it"
    return what, "give a .bin file, or a folder or archive that holds some"


def _result_object(source: str, result: AddResult | FirmwareStoreError) -> dict[str, object]:
    if isinstance(result, FirmwareStoreError):
        return {"source": source, "error": {"message": result.message, "hint": result.hint, **result.fields()}}
    problem, hint = _verdict(result)
    return {
        "source": source,
        "added": [_module_object(m) for m in result.added],
        "present": [_module_object(m) for m in result.present],
        "refused": [{"name": r.name, "code": r.code, "offset": r.offset, "message": r.message} for r in result.refused],
        "not_modules": list(result.not_modules),
        "problem": problem,
        "hint": hint,
    }


def _module_object(module: StoredModule) -> dict[str, object]:
    derived = {
        "platform": module.platform_name,
        "kind": module.function.label,
        "device_os": list(module.device_os),
        "flags": None if module.flags is None else [flag.name for flag in ModuleFlag(module.flags)],
    }
    return module_to_json(module) | derived


_UNLIMITED = 1000


def _print_table(modules: tuple[StoredModule, ...]) -> None:
    from rich.console import Console  # noqa: PLC0415  only this table needs it
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for heading in ("platform", "kind", "index", "version", "Device OS", "file", "SHA-256"):
        table.add_column(heading, overflow="fold")
    for m in modules:
        row = (m.platform_name, _kind(m), m.index, m.version, _releases(m), m.file_name)
        table.add_row(*(escape(str(cell)) for cell in row), m.sha256[:12])
    console = Console()
    if not console.is_terminal:
        console.width = 160  # a pipe has no width; whole names are easier to search for
    elif console.measure(table, options=console.options.update(width=_UNLIMITED)).maximum > console.width:
        click.echo("\n".join(line for m in modules for line in _narrow_lines(m)))
        return
    console.print(table)


def _kind(module: StoredModule) -> str:
    return module.function.label + (", compressed" if module.is_compressed else "")


def _releases(module: StoredModule) -> str:
    return " to ".join(dict.fromkeys([*module.device_os[:1], *module.device_os[-1:]]))


def _narrow_lines(module: StoredModule) -> list[str]:
    """For a terminal in which a row would break names apart."""
    device_os = f", Device OS {_releases(module)}" if module.device_os else ""
    what = f"{module.platform_name} {_kind(module)} {module.index} v{module.version}{device_os}"
    return [escaped(module.file_name), wrapped(f"  {what}, SHA-256 {module.sha256[:12]}", sys.stdout, 4)]
