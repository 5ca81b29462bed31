"""The work of ``particle-dev inspect``, without click: a line that inspects many files one by one pays for every import
at every start. ``cli/inspect.py`` declares the command, ``cli/main.py`` comes here directly for plain calls."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, NamedTuple

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.escape import escaped
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import Problem, describe, describe_problem, parse

# No firmware file comes near; keeps a disk image or an endless device out of memory.
_MAX_FILE_BYTES = 64 * 1024 * 1024
# Of an archive on standard input, which must be in memory to seek in it.
_MAX_ARCHIVE_BYTES = 512 * 1024 * 1024
_WIDTH = 80
# What to do about a problem; everything else is damage.
_REMEDIES = {
    "damaged_archive": "unpack it, if it is a single compressed file; else take it from a fresh download",
    "encrypted_archive": "unpack it with its password, and give the files",
    "esp_wrong_chip": "take firmware for the ESP32 of this board",
    "asset_": "build the bundle again from the original application and assets",
    "assets_": "leave assets out, shrink them, or take a platform with more room",
    "device_os_too_old": "build the application with a later Device OS",
    "name_": "go by what the module says, and rename the file",
    "no_modules": "give a folder or archive with .bin files",
    "no_prefix": "give the .bin file of a build or of a Device OS release",
    "not_found": "check the path",
    "trailing_data": "use the module without what follows it, or take a fresh file",
    "unknown_platform": "update this program, or take a file for a platform that it knows",
    "unreadable": "check path, permissions and archive",
}
_REMEDY_DAMAGED = "take the file from a fresh download or build"
_ARCHIVE_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_TAR_MAGIC = slice(257, 262)


class Summary(NamedTuple):
    """What is to be said of a folder or archive as a whole: lines for people, the object of ``--json`` if there is
    more to it than its modules."""

    text: str
    document: dict[str, Any] | None = None


class Inspected(NamedTuple):
    """One module or file: the object of ``--json``, its bytes when they were read, whether it is one of several in its
    file, and a note for people."""

    description: dict[str, Any]
    data: bytes | None = None
    is_piece: bool = False
    note: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether a module was read to its end, damaged or not."""
        return self.description["crc32"] is not None


def inspect_files(
    files: Sequence[str],
    *,
    as_json: bool = False,
    verify_only: bool = False,
    show_map: bool = False,
    complete: Callable[[Inspected], None] | None = None,
) -> tuple[bool, list[Inspected]]:
    """Inspect and print every file, with what ``complete`` adds. Returns whether all are intact, and the modules."""
    modules: list[Inspected] = []
    is_bad = False
    previous: Inspected | Summary | None = None
    for item in _inspect_all(files):
        if isinstance(item, Inspected):
            if complete:
                complete(item)
            is_bad |= bool(item.description["problems"])
            modules = [*modules[-1:], item]
        _print(item, previous, as_json=as_json, verify_only=verify_only, show_map=show_map)
        previous = item
    return not is_bad, modules


def plain_call(arguments: Sequence[str]) -> ExitCode | None:
    """Carry out ``inspect FILE... [--json | --verify-only]``; None for anything that needs a command-line parser."""
    options = {a for a in arguments if a.startswith("-")}
    files = [a for a in arguments if not a.startswith("-")]
    if not files or len(options) > 1 or options - {"--json", "--verify-only"}:
        return None
    good, _ = inspect_files(files, as_json="--json" in options, verify_only="--verify-only" in options)
    return ExitCode.OK if good else ExitCode.BAD_INPUT


def inspect_data(data: bytes, *, file: str) -> Iterator[Inspected]:
    """Describe the module or modules in ``data``, and check what is compressed."""
    item = Inspected(describe(data, file=file), data)
    description = item.description
    more = any(p["code"] == "trailing_data" for p in description["problems"])
    packed = item.is_whole and ("COMPRESSED" in description["flags"] or description["function"] == ModuleFunction.ASSET)
    if more or packed:
        from particle_dev.cli.inspect_contents import inspect_contents  # noqa: PLC0415  slow to import

        yield from inspect_contents(description, data)
    else:
        yield item


def render(item: Inspected) -> str:
    """Text for people, at most 80 columns as long as the file name is short."""
    description = item.description
    name = escaped(description["file"])
    rows: list[tuple[str, str]] = []
    if description["function"] is None:
        heading = f"{name}: no readable firmware module"
    elif item.is_whole:
        heading = f"{name}: {_module_title(description)}"
        rows = _module_rows(description)
        rows += _note_rows(item)
    else:
        heading = f"{name}: cut short, by its prefix {_module_title(description)}"
    if description["sha256"]:
        label = "its SHA-256" if item.is_piece else "file SHA-256"
        rows[:0] = [("size", f"{description['size_bytes']} bytes"), (label, description["sha256"])]
    if item.is_piece:
        rows.insert(0, ("begins", f"at offset 0x{description['module_offset']:X}; offsets are those of the file"))
    rows += [(f"problem {n}", text) for n, text in enumerate(_problem_texts(description), start=1)]
    rows += [("what to do", text) for text in _remedies(description)]
    if description.get("on_board"):
        rows.append(("on the board", _on_board_text(description["on_board"])))
    return "\n".join([heading, *(_render_row(label, text) for label, text in rows)])


def _inspect_all(files: Sequence[str]) -> Iterator[Inspected | Summary]:
    """Each module; and lines for people on what archives and folders hold as a whole."""
    for file in files:
        archive: BinaryIO | None = None
        try:
            with _opened(file) as stream:
                start = stream.read(_TAR_MAGIC.stop)
                is_archive = start.startswith(_ARCHIVE_STARTS) or start[_TAR_MAGIC] == b"ustar"
                data = start
                if not is_archive:
                    data += stream.read(_MAX_FILE_BYTES + 1 - len(start))
                elif file == "-":
                    data += stream.read(_MAX_ARCHIVE_BYTES + 1 - len(start))
                    archive = io.BytesIO(data)
        except IsADirectoryError:
            is_archive, data = True, b""
        except FileNotFoundError:
            named = list(_inspect_named(file))
            if named:
                yield from named
                continue
            yield _unread(file, Problem("not_found", None, "There is no such file."))
            continue
        except OSError as error:
            yield _unread(file, Problem("unreadable", None, f"The file cannot be read: {error.strerror}."))
            continue
        limit = _MAX_ARCHIVE_BYTES if is_archive else _MAX_FILE_BYTES
        if len(data) > limit:
            message = (
                f"The file has more than {limit} bytes, no firmware {'archive' if archive else 'module'} is that large."
            )
            yield _unread(file, Problem("too_large", limit, message))
        elif is_archive:
            from particle_dev.cli.inspect_container import inspect_container  # noqa: PLC0415  slow to import

            yield from inspect_container(file, archive)
        else:
            yield from inspect_data(data, file=file)


def _print(
    item: Inspected | Summary, previous: Inspected | Summary | None, *, as_json: bool, verify_only: bool, show_map: bool
) -> None:
    if as_json:
        import json  # noqa: PLC0415  start-up time counts here

        if isinstance(item, Inspected):
            print(json.dumps(item.description | _told(item)))
        elif item.document:
            print(json.dumps(item.document))
        return
    if verify_only:
        if isinstance(item, Inspected):
            name = escaped(item.description["file"])
            for text in _problem_texts(item.description):
                print(f"{name}: {text}", file=sys.stderr)
            on_board = item.description.get("on_board")
            if on_board and on_board["failed"]:
                print(f"{name}: on the board {_on_board_text(on_board)}", file=sys.stderr)
        return
    if previous is not None:
        print()
    print(item.text if isinstance(item, Summary) else render(item))
    if show_map and isinstance(item, Inspected) and item.is_whole:
        import click  # noqa: PLC0415  it drops colours where there is no terminal

        from particle_dev.cli.inspect_map import render_map  # noqa: PLC0415  start-up time counts here

        click.echo(render_map(item))


def _inspect_named(file: str) -> Iterator[Inspected]:
    """What ``FILE#2`` and ``ARCHIVE:MEMBER`` name, as this command prints them."""
    parts = file.replace(":", "#").split("#")
    bases = (file[: len("#".join(parts[:count]))] for count in range(len(parts) - 1, 0, -1))
    base = next((base for base in bases if base and _is_file(base)), None)
    if base is not None:
        for item in _inspect_all([base]):
            if isinstance(item, Inspected) and f"{item.description['file']}#".startswith(f"{file}#"):
                yield item


def _is_file(file: str) -> bool:
    import os.path  # noqa: PLC0415  start-up time counts here

    return os.path.isfile(file)  # noqa: PTH113  likewise


def _told(item: Inspected) -> dict[str, Any]:
    """For ``--json``, what people are told besides the description."""
    description = item.description
    wanted: list[dict[str, Any]] | None = None
    if item.data is not None and item.is_whole:
        wanted = []
        if any(e["name"] == "ASSET_DEPENDENCY" for e in description["extensions"]):
            from particle_dev.protocol.module_traits import asset_dependencies  # noqa: PLC0415  start-up time counts here

            try:
                wanted = [{"name": d.name, "sha256": d.sha256.hex()} for d in asset_dependencies(parse(item.data))]
            except ModuleFormatError:
                wanted = None
    return {
        "wants_assets": wanted,
        "notes": [text for _, text in _note_rows(item)] if item.is_whole else [],
        "what_to_do": _remedies(description),
    }


def _unread(file: str, problem: Problem) -> Inspected:
    return Inspected(describe_problem(problem, file=file))


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
    if description["ncp_image"]:
        rows += _image_rows(description["ncp_image"])
    if description["flags"]:
        rows.append(("flags", ", ".join(description["flags"])))
    if product:
        rows.append(("product", f"{product['id']}, version {product['version']}"))
    for extension in description["extensions"]:
        label = extension["name"] or f"type 0x{extension['type']:04X}"
        rows.append(("extension", f"{label} at 0x{extension['offset']:X}, {extension['length']} bytes"))
    computed = "" if crc32["ok"] else f", {crc32['computed']:08x} computed"
    rows.append(("CRC-32", f"{_verdict(crc32)}, {crc32['stored']:08x} stored{computed}"))
    if sha256:
        rows += [("SHA-256", _verdict(sha256)), ("", sha256["stored"])]
        if not sha256["ok"]:
            rows += [("computed", sha256["computed"])]
    else:
        rows.append(("SHA-256", "none, the module has no suffix"))
    return rows


def _image_rows(image: dict[str, Any]) -> list[tuple[str, str]]:
    """What the image in firmware of a network processor says about itself; its problems are the module's."""
    size = f"{image['size_bytes']} bytes, {len(image['segments'])} segments, entry 0x{image['entry_address']:08X}"
    rows = [("image", f"{image['chip']}, {size}" + ("" if image["has_hash"] else ", without a hash of its own"))]
    about = image["application"]
    if about:
        text = f"{about['project']} {about['version']}, built {about['built']}, ESP-IDF {about['idf']}"
        rows.append(("application", escaped(text)))
    return rows


def _note_rows(item: Inspected) -> list[tuple[str, str]]:
    """What flags, extensions and rare functions mean; plain modules need no second look."""
    description = item.description
    rows = [("note", item.note)] if item.note else []
    rare = (ModuleFunction.NCP_FIRMWARE, ModuleFunction.RADIO_STACK)
    if item.data is None or not (description["flags"] or description["extensions"] or description["function"] in rare):
        return rows
    from particle_dev.protocol.module_traits import notes  # noqa: PLC0415  start-up time counts here

    return rows + [("note", text) for text in notes(parse(item.data))]


def _verdict(check: dict[str, Any]) -> str:
    return "ok" if check["ok"] else "WRONG"


def _dependency_text(dependency: dict[str, int]) -> str:
    label = ModuleFunction(dependency["function"]).label
    return f"{label} {dependency['index']} >= {dependency['version']}"


def _problem_texts(description: dict[str, Any]) -> list[str]:
    texts = []
    for problem in description["problems"]:
        where = "" if problem["offset"] is None else f" at offset 0x{problem['offset']:X}"
        texts.append(escaped(f"{problem['code']}{where}: {problem['message']}"))
    return texts


def _on_board_text(on_board: dict[str, Any]) -> str:
    if not on_board["failed"]:
        return "taken as an update"
    error = on_board["device_error"]
    where = "" if on_board["offset"] is None else f" at offset 0x{on_board['offset']:X}"
    return f"{f'refused, {error}' if error else 'taken, but'}: {on_board['code']}{where}: {on_board['message']}"


def _remedies(description: dict[str, Any]) -> list[str]:
    """One sentence for each kind of problem, without repetition."""
    texts = []
    for problem in description["problems"]:
        matching = (text for start, text in _REMEDIES.items() if problem["code"].startswith(start))
        texts.append(next(matching, _REMEDY_DAMAGED))
    return list(dict.fromkeys(texts))


def _render_row(label: str, text: str) -> str:
    row = f"  {label:<14}{text}"
    if len(row) <= _WIDTH:
        return row
    import textwrap  # noqa: PLC0415  start-up time counts here

    return textwrap.fill(text, _WIDTH, initial_indent=row[: -len(text)], subsequent_indent=" " * 16)


def _opened(file: str) -> AbstractContextManager[BinaryIO]:
    if file == "-":
        if sys.stdin is None:
            raise OSError(errno.EBADF, "Standard input is closed")
        return nullcontext(sys.stdin.buffer)
    return open(file, "rb")  # noqa: PTH123  pathlib costs 2 ms
