"""``particle-dev inspect``: what firmware module files say about themselves, and whether they are intact."""

from __future__ import annotations

from typing import Any

import click

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.protocol.module import Problem, describe, describe_problem

# No firmware file comes near; keeps a disk image or an endless device out of memory.
_MAX_FILE_BYTES = 64 * 1024 * 1024


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line and file.")
@click.pass_context
def inspect(ctx: click.Context, files: tuple[str, ...], as_json: bool) -> None:
    """Show what firmware modules (.bin) are for, and check their length, CRC-32 and SHA-256.

    FILE may be - for standard input. The exit code is 3 when a file is damaged or no firmware module.
    """
    descriptions = [_describe_file(file) for file in files]
    if as_json:
        import json  # noqa: PLC0415  start-up time counts here

        for description in descriptions:
            click.echo(json.dumps(description))
    else:
        click.echo("\n\n".join(render(description) for description in descriptions))
    if any(description["problems"] for description in descriptions):
        ctx.exit(ExitCode.BAD_INPUT)


def render(description: dict[str, Any]) -> str:
    """Text for people, at most 80 columns as long as the file name is short."""
    name = click.format_filename(description["file"])
    if description["function"] is None:
        heading = f"{name}: no readable firmware module"
        rows: list[tuple[str, str]] = []
    else:
        heading = f"{name}: {_module_title(description)}"
        rows = _module_rows(description)
    if description["sha256"]:
        rows[:0] = [("size", f"{description['size_bytes']} bytes"), ("file SHA-256", description["sha256"])]
    rows += [(f"problem {n}", text) for n, text in enumerate(_problem_texts(description), start=1)]
    return "\n".join([heading, *(_render_row(label, text) for label, text in rows)])


def _describe_file(file: str) -> dict[str, object]:
    try:
        with click.open_file(file, "rb") as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return describe_problem(Problem("not_found", None, "There is no such file."), file=file)
    except IsADirectoryError:
        return describe_problem(Problem("is_directory", None, "This is a folder; name its files."), file=file)
    except OSError as error:
        message = f"The file cannot be read: {error.strerror}."
        return describe_problem(Problem("unreadable", None, message), file=file)
    if len(data) > _MAX_FILE_BYTES:
        message = f"The file has more than {_MAX_FILE_BYTES} bytes, no firmware module is that large."
        return describe_problem(Problem("too_large", _MAX_FILE_BYTES, message), file=file)
    return describe(data, file=file)


def _module_title(description: dict[str, Any]) -> str:
    platform = description["platform"]
    target = f"{platform['name'] or 'unknown platform'} ({platform['id']})"
    if description["function"] == ModuleFunction.ASSET:
        target = "any platform"
    return f"{description['kind']} {description['index']}, version {description['version']}, {target}"


def _module_rows(description: dict[str, Any]) -> list[tuple[str, str]]:
    start, end, offset = (description[key] for key in ("start_address", "end_address", "prefix_offset"))
    crc32, sha256, product = description["crc32"], description["suffix_sha256"], description["product"]
    rows = [
        ("addresses", f"0x{start:08X} to 0x{end:08X}, prefix at file offset 0x{offset:X}"),
        ("depends on", ", ".join(_dependency_text(d) for d in description["dependencies"]) or "nothing"),
    ]
    if description["flags"]:
        rows.append(("flags", ", ".join(description["flags"])))
    if product:
        rows.append(("product", f"{product['id']}, version {product['version']}"))
    for extension in description["extensions"]:
        label = extension["name"] or f"type 0x{extension['type']:04X}"
        rows.append(("extension", f"{label} at 0x{extension['offset']:X}, {extension['length']} bytes"))
    rows.append(("CRC-32", f"{_verdict(crc32)}, {crc32['stored']:08x} stored"))
    if sha256:
        rows += [("SHA-256", _verdict(sha256)), ("", sha256["stored"])]
    else:
        rows.append(("SHA-256", "none, the module has no suffix"))
    return rows


def _verdict(check: dict[str, Any]) -> str:
    return "ok" if check["ok"] else "WRONG"


def _dependency_text(dependency: dict[str, int]) -> str:
    label = ModuleFunction(dependency["function"]).label
    return f"{label} {dependency['index']} >= {dependency['version']}"


def _problem_texts(description: dict[str, Any]) -> list[str]:
    texts = []
    for problem in description["problems"]:
        where = "" if problem["offset"] is None else f" at offset 0x{problem['offset']:X}"
        texts.append(f"{problem['code']}{where}: {problem['message']}")
    return texts


def _render_row(label: str, text: str) -> str:
    import textwrap  # noqa: PLC0415  not needed for --json

    return textwrap.fill(text, 80, initial_indent=f"  {label:<14}", subsequent_indent=" " * 16)
