"""Firmware modules: what a ``.bin`` file says about itself, and whether it is intact.

The C library ``firmware/module`` reads the bytes (its header describes the layout); here its numbers become
values, its statuses :class:`~particle_dev.errors.ModuleFormatError` or :class:`Problem`, and hashes are
computed. Nothing is written to a device.

Problem codes are stable. :func:`parse` raises ``empty``, ``no_prefix`` and ``truncated``. In a module that
can be read it finds ``crc_mismatch``, ``sha256_mismatch``, ``bad_suffix``, ``bad_extension``,
``unknown_platform``, ``trailing_data`` (the file goes on behind the module) and ``combined_incomplete`` (the module
that should follow is missing); in firmware of an ESP32 what :mod:`particle_dev.protocol.esp_image` finds. For files of
several modules see :mod:`particle_dev.protocol.module_traits`.

Source: device-os v6.2.0 ``dynalib/inc/module_info.h``, ``build/create_module.py`` (payload hash).
"""

from __future__ import annotations

import hashlib
from typing import Any

from isal import isal_zlib

from particle_dev._native import ffi, lib
from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import platform_by_id
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module_prefix import CRC_SIZE_BYTES, PREFIX_SIZE_BYTES
from particle_dev.protocol.module_values import (
    Crc32Check,
    Dependency,
    Extension,
    ExtensionType,
    Module,
    Problem,
    Product,
    Sha256Check,
)

__all__ = [
    "Crc32Check",
    "Dependency",
    "Extension",
    "ExtensionType",
    "Module",
    "Problem",
    "Product",
    "Sha256Check",
    "describe",
    "describe_problem",
    "extension_name",
    "ncp_image",
    "parse",
    "verify",
]

ESP32_TARGET = 0x21
"""MCU target of firmware for the ESP32 of Argon and Tracker. Source: device-os v6.2.0 hal/shared/platform_ncp.h."""
_ERASED = (0xFFFF, 0xFFFFFFFF)
_HINT_DAMAGED = "take the file from a fresh download or build"
_HINT_NO_MODULE = "give the .bin file of a build or of a Device OS release"


def parse(data: bytes | memoryview, *, check_sha256: bool = True) -> Module:
    """Read the module in ``data``; damage that leaves the prefix readable is listed in ``problems``.

    Without ``check_sha256``, which takes most of the time, ``Module.sha256`` is None, and the image in firmware of a
    network processor is not looked into.

    Raises ModuleFormatError: ``empty``; ``no_prefix`` when nothing like a module prefix stands where Particle
    platforms have it; ``truncated`` (``offset`` = first missing byte).
    """
    view = memoryview(data)
    source = _source(view)
    raw = _best_candidate(view, source)
    crc32 = Crc32Check(stored=raw.crc_stored, computed=raw.crc_computed)
    sha256 = _check_sha256(view, raw) if raw.suffix_size and check_sha256 else None
    flags = ModuleFlag(raw.flags)
    extensions, problems = _walk(view, source, raw.prefix_extensions)
    suffix_extensions, suffix_problems = _walk(view, source, raw.suffix_extensions)
    return Module(
        size_bytes=raw.size,
        file_size_bytes=len(view),
        prefix_offset=raw.prefix_offset,
        payload_offset=raw.prefix_offset + raw.prefix_size if flags == ModuleFlag.DROP_MODULE_INFO else 0,
        start_address=raw.start_address,
        end_address=raw.end_address,
        mcu_target=raw.mcu_target,
        flags=flags,
        version=raw.version,
        platform_id=raw.platform_id,
        function=ModuleFunction(raw.function),
        index=raw.index,
        dependencies=_dependencies(raw),
        crc32=crc32,
        sha256=sha256,
        product=_product(raw),
        suffix_size_bytes=raw.suffix_size,
        extensions=(*extensions, *suffix_extensions),
        problems=(
            *_checksum_problems(raw, crc32, sha256),
            *(_ncp_problems(view, raw) if check_sha256 else ()),
            *problems,
            *suffix_problems,
            *_identity_problems(raw),
            *_length_problems(view, raw, flags),
        ),
    )


def ncp_image(data: bytes | memoryview, module: Module) -> memoryview | None:
    """The bare image in a module that is firmware of an ESP32; None for any other module."""
    if module.function != ModuleFunction.NCP_FIRMWARE or module.mcu_target != ESP32_TARGET:
        return None
    end = module.size_bytes - CRC_SIZE_BYTES - module.suffix_size_bytes
    return memoryview(data)[module.prefix_offset + PREFIX_SIZE_BYTES : end]


def verify(module: Module, *, file: str | None = None) -> None:
    """Raise ModuleFormatError for the module's first problem; ``file`` is named in it."""
    for problem in module.problems:
        error = ModuleFormatError(problem.message, code=problem.code, offset=problem.offset, hint=_HINT_DAMAGED)
        if file:
            error.name_file(file)
        raise error


def describe(data: bytes, *, file: str, offset: int = 0) -> dict[str, object]:
    """Everything about a module in plain values for JSON.

    ``offset`` is where ``data`` begins in the file; all offsets count from the start of the file. A module cut short
    gets what its prefix says, null for checksums, and a problem; what is no module gets null and a problem.
    """
    try:
        module = parse(data)
    except ModuleFormatError as error:
        where = None if error.offset is None else offset + error.offset
        description = describe_problem(Problem(error.code, where, error.message), file=file, data=data)
        if error.code == "truncated":
            raw = _cut_prefix(data)
            description.update(_prefix_object(raw, _dependencies(raw), offset))
        return description
    description = describe_problem(file=file, data=data)
    image = ncp_image(data, module)
    description.update(_prefix_object(module, module.dependencies, offset))
    description.update(
        crc32={"stored": module.crc32.stored, "computed": module.crc32.computed, "ok": module.crc32.ok},
        suffix_sha256=module.sha256
        and {
            "stored": module.sha256.stored.hex(),
            "computed": module.sha256.computed.hex(),
            "ok": module.sha256.ok,
        },
        product=module.product and {"id": module.product.id, "version": module.product.version},
        ncp_image=None if image is None else _image_object(image),
        extensions=[
            {
                "type": extension.type,
                "name": extension_name(extension.type),
                "offset": offset + extension.offset,
                "length": extension.length_bytes,
                "payload": extension.payload.hex(),
            }
            for extension in module.extensions
        ],
        problems=[_problem_object(problem, offset) for problem in module.problems],
    )
    return description


def describe_problem(*problems: Problem, file: str, data: bytes | None = None) -> dict[str, object]:
    """The object of :func:`describe`, null where only a module has a value; ``data`` None: file not read."""
    return {
        "file": file,
        "size_bytes": None if data is None else len(data),
        "sha256": None if data is None else hashlib.sha256(data).hexdigest(),
        "kind": None,
        "platform": None,
        "module_offset": None,
        "prefix_offset": None,
        "function": None,
        "index": None,
        "version": None,
        "start_address": None,
        "end_address": None,
        "flags": None,
        "dependencies": None,
        "crc32": None,
        "suffix_sha256": None,
        "product": None,
        "ncp_image": None,
        "extensions": None,
        "problems": [_problem_object(problem) for problem in problems],
    }


def extension_name(extension_type: int) -> str | None:
    """Name of a TLV type, None when it is not known."""
    try:
        return ExtensionType(extension_type).name
    except ValueError:
        return None


def _problem_object(problem: Problem, base: int = 0) -> dict[str, object]:
    offset = None if problem.offset is None else base + problem.offset
    return {"code": problem.code, "offset": offset, "message": problem.message}


def _prefix_object(stated: Any, dependencies: tuple[Dependency, ...], offset: int) -> dict[str, object]:
    """What the prefix says; ``stated`` is a Module or a pd_module."""
    platform = platform_by_id(stated.platform_id)
    return {
        "kind": ModuleFunction(stated.function).label,
        "platform": {"id": stated.platform_id, "name": platform.name if platform else None},
        "module_offset": offset,
        "prefix_offset": offset + stated.prefix_offset,
        "function": int(stated.function),
        "index": stated.index,
        "version": stated.version,
        "start_address": stated.start_address,
        "end_address": stated.end_address,
        "flags": [flag.name for flag in ModuleFlag(stated.flags)],
        "dependencies": [{"function": int(d.function), "index": d.index, "version": d.version} for d in dependencies],
    }


def _dependencies(raw: Any) -> tuple[Dependency, ...]:
    return tuple(Dependency(ModuleFunction(d.function), d.index, d.version) for d in raw.dependencies if d.function)


def _source(view: memoryview) -> Any:
    return ffi.new("pd_source *", (ffi.from_buffer("uint8_t[]", view), len(view)))


def _cut_prefix(data: bytes) -> Any:
    """The prefix of a module cut short."""
    raw = ffi.new("pd_module *")
    status = lib.pd_module_next_candidate(_source(memoryview(data)), ffi.new("unsigned *"), raw)
    assert status == lib.PD_ERR_TRUNCATED, "parse said so"
    return raw


def _best_candidate(view: memoryview, source: Any) -> Any:
    """The candidate whose CRC is right, else the most plausible one, its ``crc_computed`` filled in.

    pd_module_parse() does the same; but a hook for the fast CRC would be Python called from C, and there Ctrl-C
    is lost and a module read as damaged.
    """
    cursor = ffi.new("unsigned *")
    best = None
    while True:
        raw = ffi.new("pd_module *")
        status = lib.pd_module_next_candidate(source, cursor, raw)
        if status != lib.PD_OK:
            break
        raw.crc_computed = isal_zlib.crc32(view[: raw.crc_offset])
        if raw.crc_computed == raw.crc_stored:
            return raw
        best = best or raw
    if best:
        return best
    if status == lib.PD_ERR_TRUNCATED:
        detail = f"It has {len(view)} bytes, its prefix asks for {raw.size}."
        message = f"{_text(status)} {detail}"
        raise ModuleFormatError(message, code=_name(status), offset=len(view), hint=_HINT_DAMAGED)
    raise ModuleFormatError(_text(status), code=_name(status), hint=_HINT_NO_MODULE)


def _check_sha256(view: memoryview, raw: Any) -> Sha256Check:
    """Linked modules hash the file up to the hash, packed payloads (SoftDevice, NCP) the payload alone."""
    stored = bytes(_slice(view, raw.sha256_offset, lib.PD_SHA256_SIZE))
    forms = (raw.sha256_whole, raw.sha256_payload)
    if raw.suffix_size == lib.PD_MODULE_SUFFIX_BASE_SIZE:
        forms = forms[::-1]  # the likely one first, which is also the one to show when neither is right
    check = None
    for form in forms:
        computed = hashlib.sha256(_slice(view, form.offset, form.size)).digest()
        if computed == stored:
            return Sha256Check(stored, computed)
        check = check or Sha256Check(stored, computed)
    assert check
    return check


def _walk(view: memoryview, source: Any, area: Any) -> tuple[list[Extension], list[Problem]]:
    """Walk (and use up) a TLV area."""
    extensions = []
    raw = ffi.new("pd_extension *")
    header = lib.PD_EXTENSION_HEADER_SIZE
    while (status := lib.pd_module_next_extension(source, ffi.addressof(area), raw)) == lib.PD_OK:
        payload = bytes(_slice(view, raw.offset + header, raw.length - header))
        extensions.append(Extension(raw.type, raw.offset, payload))
    if status == lib.PD_NO_MORE:
        return extensions, []
    return extensions, [Problem(_name(status), area.offset, _text(status))]


def _product(raw: Any) -> Product | None:
    if raw.function not in (ModuleFunction.USER_PART, ModuleFunction.MONO_FIRMWARE) or not raw.has_product:
        return None
    if raw.product_version == _ERASED[0] and raw.product_id in _ERASED:
        return None
    return Product(raw.product_id, raw.product_version)


def _checksum_problems(raw: Any, crc32: Crc32Check, sha256: Sha256Check | None) -> list[Problem]:
    problems = []
    if not crc32.ok:
        message = f"{_text(lib.PD_ERR_CRC)} Stored {crc32.stored:08x}, computed {crc32.computed:08x}."
        problems.append(Problem(_name(lib.PD_ERR_CRC), raw.crc_offset, message))
    if sha256 and not sha256.ok:
        message = "The SHA-256 stored in the suffix differs from the one computed."
        problems.append(Problem("sha256_mismatch", raw.sha256_offset, message))
    if raw.suffix_status != lib.PD_OK:
        problems.append(Problem(_name(raw.suffix_status), raw.crc_offset - 2, _text(raw.suffix_status)))
    return problems


def _image_object(image: memoryview) -> dict[str, object]:
    from particle_dev.protocol.esp_image import describe_image, read_image  # noqa: PLC0415  start-up time counts here

    return describe_image(read_image(image))


def _ncp_problems(view: memoryview, raw: Any) -> list[Problem]:
    if raw.function != ModuleFunction.NCP_FIRMWARE or raw.mcu_target != ESP32_TARGET:
        return []
    from particle_dev.protocol.esp_image import read_image  # noqa: PLC0415  start-up time counts here

    begin = raw.prefix_offset + PREFIX_SIZE_BYTES
    image = read_image(view[begin : raw.size - CRC_SIZE_BYTES - raw.suffix_size])
    return [p._replace(offset=None if p.offset is None else begin + p.offset) for p in image.problems]


def _identity_problems(raw: Any) -> list[Problem]:
    # Assets fit every platform and say 0.
    if raw.function == ModuleFunction.ASSET or platform_by_id(raw.platform_id):
        return []
    message = f"No platform with ID {raw.platform_id} is known."
    return [Problem("unknown_platform", raw.prefix_offset + 12, message)]


def _length_problems(view: memoryview, raw: Any, flags: ModuleFlag) -> list[Problem]:
    rest = view[raw.size :]
    announced = ModuleFlag.COMBINED in flags
    if not rest:
        message = "The COMBINED flag announces another module, but the file ends."
        return [Problem("combined_incomplete", raw.size, message)] if announced else []
    if bytes(rest[:1]) * len(rest) == rest:
        message = f"{len(rest)} bytes of padding follow the module."
    elif _is_module(rest):
        message = "Another module follows."
    else:
        message = f"{len(rest)} bytes that are no module follow."
    return [Problem("trailing_data", raw.size, message)]


def _is_module(view: memoryview) -> bool:
    """Whether a module begins here, be it damaged or cut. Other data passes for a prefix once in 50 000 times."""
    status = lib.pd_module_next_candidate(_source(view), ffi.new("unsigned *"), ffi.new("pd_module *"))
    return bool(status in (lib.PD_OK, lib.PD_ERR_TRUNCATED))


def _slice(view: memoryview, offset: int, size: int) -> memoryview:
    return view[offset : offset + size]


def _name(status: int) -> str:
    return ffi.string(lib.pd_status_name(status)).decode()  # type: ignore[no-any-return]


def _text(status: int) -> str:
    return ffi.string(lib.pd_status_text(status)).decode()  # type: ignore[no-any-return]
