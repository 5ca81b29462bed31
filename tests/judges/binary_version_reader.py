"""binary-version-reader in one node process, and what it says compared field by field with what we say.

A difference is an error unless a class of :class:`Difference` explains it; the table of these classes, with reasons, is
in particle_dev/protocol/README.md. Predicates here look at the bytes, never at what our parser made of them.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import threading
import zlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from particle_dev._native import ffi, lib
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.extension import (
    AssetName,
    AssetReference,
    AssetType,
    DynamicLocation,
    ExtraDependency,
    Hash,
    SecurityMode,
    extension_value,
)
from particle_dev.protocol.module import Extension, Module, Product, parse

Request = dict[str, Any]
Answer = dict[str, Any]

PLACES = (0, 0x20, 0xC0, 0x10C, 0x184, 0x200)
END, INVALID = 0, 0xFFFF
APPLICATIONS = (3, 5)


class Difference(StrEnum):
    """Why the two may disagree. Each must occur in the tests, or it has no place here."""

    REFUSED = "no module, cut, or a prefix where no platform has one: we refuse, the judge throws or reports fields"
    EMPTY_DEPENDENCY = "a dependency on nothing with an index or version: the judge passes this prefix over"
    LENGTH = "the module ends before the file: we use its own end, the judge the file's"
    SUFFIX = "no suffix, or an impossible one: we report none, the judge the bytes that stand there"
    PRODUCT = "no product: other kinds than applications, erased fields; the judge reports the numbers"
    PRODUCT_32 = "suffix of 42 bytes: we read a 32-bit product ID, the judge its upper half, and a TLV"
    TLV = "a TLV area that is damaged: we report bad_extension, the judge goes on or throws"
    SHORT_TLV = "a TLV too short for its type: we refuse its value, the judge reads past its end"
    HASH_LENGTH = "a hash with bytes behind it: we take as many as it states, the judge all"


class Judge:
    """The node process. ``ask`` gives an answer for each request about one file."""

    def __init__(self, node_modules: Path) -> None:
        self._process = subprocess.Popen(
            ["node", str(Path(__file__).with_suffix(".js"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(node_modules)},
            text=True,
        )

    def ask(self, path: Path, requests: Iterable[Request]) -> Iterator[Answer]:
        lines = [json.dumps(str(path)), *map(json.dumps, requests)]
        # A thread, because both pipes fill up when nobody reads the answers.
        writer = threading.Thread(target=self._write, args=(lines,))
        writer.start()
        for _ in lines[1:]:
            line = self._process.stdout.readline()
            assert line, "the judge has died"
            yield json.loads(line)
        writer.join()

    def _write(self, lines: list[str]) -> None:
        self._process.stdin.write("\n".join(lines) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.kill()  # after a failure it is still answering
        self._process.communicate()


def changed(data: bytes, request: Request) -> bytes:
    """What the judge makes of the file before it reads it."""
    if "cut" in request:
        return data[: request["cut"]]
    copy = bytearray(data)
    for offset, text in request["patch"]:
        new = bytes.fromhex(text)
        copy[offset : offset + len(new)] = new
    return bytes(copy)


def compare(data: bytes, judged: Answer) -> set[Difference]:
    """The classes that explain why we and the judge disagree on ``data``; an AssertionError when none does."""
    try:
        module = parse(data)
    except ModuleFormatError as error:
        assert error.code == expected_refusal(data)
        assert "error" in judged or not is_credible(data, judged)
        return {Difference.REFUSED}
    assert expected_refusal(data) is None
    is_passed_over = has_odd_empty_dependency(data, module.prefix_offset)
    if is_passed_over and judged.get("prefixInfo", {}).get("prefixOffset") != module.prefix_offset:
        return {Difference.EMPTY_DEPENDENCY}
    if "error" in judged:
        if struct.unpack_from("<H", data, len(data) - 6) == (42,):
            return {Difference.PRODUCT_32}
        # It throws over TLVs that do not end. Impossible sizes of the suffix, or of the file, lead it to such.
        assert any(p.code in ("bad_extension", "bad_suffix", "trailing_data") for p in module.problems), judged
        return {Difference.TLV}
    found = compare_prefix(data, module, judged["prefixInfo"])
    if module.size_bytes != len(data):
        assert judged["crc"]["actualCrc"] == f"{zlib.crc32(data[:-4]):08x}"
        return found | {Difference.LENGTH}
    assert judged["crc"] == {
        "ok": module.crc32.ok,
        "storedCrc": f"{module.crc32.stored:08x}",
        "actualCrc": f"{module.crc32.computed:08x}",
    }
    assert judged["suffixInfo"]["crcBlock"] == judged["crc"]["storedCrc"]
    return found | compare_suffix(data, module, judged)


def expected_refusal(data: bytes) -> str | None:
    """Our rules once more, written down a second time: the code of the refusal, None for a module."""
    lengths = [length for place in PLACES if (length := module_length(data, place)) is not None]
    if not lengths:
        return "no_prefix" if data else "empty"
    return None if any(length + 4 <= len(data) for length in lengths) else "truncated"


def module_length(data: bytes, place: int) -> int | None:
    if len(data) < place + 24:
        return None
    start, end, _, flags, _, _, function, _, first, _, _, second = struct.unpack_from("<IIBBHHBBBBHB", data, place)
    is_plausible = start < end and flags <= 0x1F and 1 <= function <= 9 and first <= 9 and second <= 9
    length = end - start
    return length if is_plausible and place + 24 <= length <= 0xFFFFFFFB else None


def has_odd_empty_dependency(data: bytes, place: int) -> bool:
    return any(data[at] == 0 and any(data[at + 1 : at + 4]) for at in (place + 16, place + 20))


def is_credible(data: bytes, judged: Answer) -> bool:
    """The judge found a prefix where platforms have it, of a module that fills the file and has the right CRC."""
    place = judged["prefixInfo"]["prefixOffset"]
    return place in PLACES and module_length(data, place) == len(data) - 4 and bool(judged["crc"]["ok"])


def compare_prefix(data: bytes, module: Module, prefix: Answer) -> set[Difference]:
    raw = native_module(data, module.prefix_offset)
    wanted = [
        (prefix[f"{dep}ModuleFunction"], prefix[f"{dep}ModuleIndex"], prefix[f"{dep}ModuleVersion"])
        for dep in ("dep", "dep2")
    ]
    assert [(d.function, d.index, d.version) for d in raw.dependencies] == wanted
    assert module.dependencies == tuple(d for d in wanted if d[0])
    assert {
        "moduleStartAddy": f"{module.start_address:x}",
        "moduleEndAddy": f"{module.end_address:x}",
        "reserved": module.mcu_target,
        "moduleFlags": module.flags,
        "moduleVersion": module.version,
        "platformID": module.platform_id,
        "moduleFunction": module.function,
        "moduleIndex": module.index,
        "prefixOffset": module.prefix_offset,
    } == {k: v for k, v in prefix.items() if not k.startswith("dep") and k not in ("prefixSize", "extensions")}
    ours = [e for e in module.extensions if e.offset < module.prefix_offset + raw.prefix_size]
    theirs = [{**e, "offset": e["offset"] + module.prefix_offset} for e in prefix.get("extensions", [])]
    area_start = module.prefix_offset + 24
    if any(p.code == "bad_extension" and p.offset < suffix_start(module) for p in module.problems):
        return {Difference.TLV}
    assert raw.prefix_size == prefix["prefixSize"]
    assert (area_start + sum(e["length"] for e in theirs)) == module.prefix_offset + raw.prefix_size
    return compare_extensions(ours, [e for e in theirs if e["type"] != END])


def compare_suffix(data: bytes, module: Module, judged: Answer) -> set[Difference]:
    found = set()
    suffix = judged["suffixInfo"]
    size = suffix["suffixSize"]
    room = module.size_bytes - 4 - module.prefix_offset - native_module(data, module.prefix_offset).prefix_size
    if size < 36 or size > room:
        is_absent = size in (0, 0xFFFF)
        assert (module.suffix_size_bytes, module.sha256, module.product) == (0, None, None)
        assert [p.code for p in module.problems if p.code == "bad_suffix"] == [] if is_absent else ["bad_suffix"]
        return {Difference.SUFFIX}
    assert module.suffix_size_bytes == size
    assert module.sha256 is not None
    assert module.sha256.stored.hex() == suffix["fwUniqueId"]
    assert suffix["reserved"] == struct.unpack_from("<H", data, module.size_bytes - 4 - 36)[0]

    theirs = (suffix["productId"], suffix["productVersion"])
    if size == 42:
        found.add(Difference.PRODUCT_32)
        product_id = struct.unpack_from("<I", data, module.size_bytes - 4 - 42)[0]
        assert module.product in (None, (product_id, theirs[1]))
        assert module.product is None or product_id >> 16 == theirs[0]
    elif module.product is None:
        if theirs != (-1, -1):
            assert module.function not in APPLICATIONS or theirs == (0xFFFF, 0xFFFF)
            found.add(Difference.PRODUCT)
    else:
        assert module.product == theirs

    ours = [e for e in module.extensions if e.offset >= suffix_start(module)]
    extensions = suffix.get("extensions", [])
    if any(p.code == "bad_extension" and p.offset >= suffix_start(module) for p in module.problems):
        return found | {Difference.TLV}
    if size == 42:
        assert ours == []
        return found
    return found | compare_extensions(ours, [e for e in extensions if e["type"] != END])


def suffix_start(module: Module) -> int:
    return module.size_bytes - 4 - module.suffix_size_bytes


def compare_extensions(ours: list[Extension], theirs: list[Answer]) -> set[Difference]:
    assert [(e.type, e.offset, e.length_bytes) for e in ours] == [(e["type"], e["offset"], e["length"]) for e in theirs]
    found = set()
    for our, their in zip(ours, theirs, strict=True):
        try:
            value = extension_value(our)
        except ModuleFormatError:
            assert is_short(our)
            found.add(Difference.SHORT_TLV)
            continue
        assert not is_short(our)
        fields = {k: v for k, v in their.items() if k not in ("type", "offset", "length")}
        match value:
            case None:
                assert fields == {}
            case Product():
                assert fields == {"productId": value.id, "productVersion": value.version}
            case DynamicLocation():
                assert list(fields.values()) == [f"{address:x}" for address in value]
            case ExtraDependency():
                assert list(fields.values()) == list(value)
            case Hash():
                if len(value.hash) != len(our.payload) - 2:
                    found.add(Difference.HASH_LENGTH)
                    fields["hash"] = fields["hash"][: 2 * our.payload[1]]
                assert fields == {
                    "hashType": value.hash_type, "hashLength": len(value.hash), "hash": value.hash.hex()
                }  # fmt: skip
            case AssetName():
                assert fields == {"name": value.name}
            case AssetReference():
                assert fields == {
                    "hashType": value.hash_type, "hashLength": len(value.hash), "hash": value.hash.hex(),
                    "name": value.name,
                }  # fmt: skip
            case SecurityMode():
                certificate = fields.get("certificate", {"data": []})["data"]
                assert (fields["securityMode"], bytes(certificate)) == value
            case AssetType():
                assert fields == {"assetType": value.asset_type}
    return found


def is_short(extension: Extension) -> bool:
    """Whether the payload has fewer bytes than its type needs, by the table of the format."""
    needed = {1: 6, 2: 12, 3: 8, 0x10: 2, 0x12: 2, 0x13: 1, 0x14: 1}.get(extension.type, 0)
    payload = extension.payload
    if extension.type in (0x10, 0x12) and len(payload) >= 2:
        needed += payload[1]
    return len(payload) < needed


def native_module(data: bytes, prefix_offset: int) -> Any:
    """Prefix size and empty dependencies, which the public Module leaves out."""
    source = ffi.new("pd_source *", (ffi.from_buffer("uint8_t[]", data), len(data)))
    cursor = ffi.new("unsigned *")
    raw = ffi.new("pd_module *")
    while lib.pd_module_next_candidate(source, cursor, raw) == lib.PD_OK:
        if raw.prefix_offset == prefix_offset:
            return raw
    raise AssertionError("the candidate has gone")
