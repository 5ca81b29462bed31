"""``particle-dev inspect`` on good files, bad files and things that are no files."""

import hashlib
import json
import struct
import zlib

import pytest
from click.testing import CliRunner

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.inspect import inspect

KEYS = [
    "file",
    "size_bytes",
    "sha256",
    "kind",
    "platform",
    "module_offset",
    "prefix_offset",
    "function",
    "index",
    "version",
    "start_address",
    "end_address",
    "flags",
    "dependencies",
    "crc32",
    "suffix_sha256",
    "product",
    "ncp_image",
    "extensions",
    "problems",
]


def user_part(body=bytes(100), platform=13):
    end = 0xB4000 + 24 + len(body) + 40
    content = struct.pack("<IIBBHHBBBBHI", 0xB4000, end, 0, 0, 6, platform, 5, 1, 4, 1, 1502, 0) + body
    content += struct.pack("<HHH", 13, 3, 0)
    content += hashlib.sha256(content).digest() + struct.pack("<H", 40)
    return content + struct.pack(">I", zlib.crc32(content))


GOOD = user_part()


def run_json(*paths, exit_code):
    result = CliRunner().invoke(inspect, [*map(str, paths), "--json"])
    assert result.exit_code == exit_code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "app.bin"
    path.write_bytes(GOOD)
    return path


def test_json_of_a_good_module(good):
    (description,) = run_json(good, exit_code=ExitCode.OK)
    assert list(description) == [*KEYS, "wants_assets", "notes", "what_to_do"]
    digest = hashlib.sha256(GOOD[:-38]).hexdigest()
    crc = zlib.crc32(GOOD[:-4])
    assert description == {
        "file": str(good),
        "size_bytes": len(GOOD),
        "sha256": hashlib.sha256(GOOD).hexdigest(),
        "kind": "user part",
        "platform": {"id": 13, "name": "boron"},
        "module_offset": 0,
        "prefix_offset": 0,
        "function": 5,
        "index": 1,
        "version": 6,
        "start_address": 0xB4000,
        "end_address": 0xB4000 + len(GOOD) - 4,
        "flags": [],
        "dependencies": [{"function": 4, "index": 1, "version": 1502}],
        "crc32": {"stored": crc, "computed": crc, "ok": True},
        "suffix_sha256": {"stored": digest, "computed": digest, "ok": True},
        "product": {"id": 13, "version": 3},
        "ncp_image": None,
        "extensions": [],
        "problems": [],
        "wants_assets": [],
        "notes": [],
        "what_to_do": [],
    }


@pytest.mark.parametrize(
    ("data", "code", "offset"),
    [
        (b"", "empty", None),
        (bytes(4096), "no_prefix", None),
        (GOOD[:100], "truncated", 100),
        (GOOD + b"\xff" * 16, "trailing_data", len(GOOD)),
        (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "crc_mismatch", len(GOOD) - 4),
        (user_part(platform=999), "unknown_platform", 12),
    ],
)
def test_json_of_bad_files(tmp_path, data, code, offset):
    path = tmp_path / "bad.bin"
    path.write_bytes(data)
    (description,) = run_json(path, exit_code=ExitCode.BAD_INPUT)
    assert list(description) == [*KEYS, "wants_assets", "notes", "what_to_do"]
    assert description["size_bytes"] == len(data)
    assert description["sha256"] == hashlib.sha256(data).hexdigest()
    (problem,) = description["problems"]
    assert (problem["code"], problem["offset"]) == (code, offset)
    assert len(description["what_to_do"]) == 1
    told = KEYS[3:-1] if code in ("trailing_data", "crc_mismatch", "unknown_platform") else []
    if code == "truncated":
        told = KEYS[3 : KEYS.index("crc32")]
    told = [key for key in told if key != "ncp_image"]
    assert [key for key in KEYS[3:-1] if description[key] is not None] == told


def test_json_of_what_cannot_be_read(tmp_path):
    endless = tmp_path / "huge.bin"
    with endless.open("wb") as stream:
        stream.truncate(64 * 1024 * 1024 + 1)
    folder = tmp_path / "empty"
    folder.mkdir()
    descriptions = run_json(folder, tmp_path / "missing.bin", endless, exit_code=ExitCode.BAD_INPUT)
    assert [d["problems"][0]["code"] for d in descriptions] == ["no_modules", "not_found", "too_large"]
    for description in descriptions:
        assert list(description) == [*KEYS, "wants_assets", "notes", "what_to_do"]
        assert all(description[key] is None for key in KEYS[1:-1])


def test_one_line_a_file_in_order_and_one_bad_file_is_enough(good, tmp_path):
    descriptions = run_json(good, tmp_path / "missing.bin", good, exit_code=ExitCode.BAD_INPUT)
    assert [bool(d["problems"]) for d in descriptions] == [False, True, False]


def test_text_of_a_good_module(good):
    result = CliRunner().invoke(inspect, [str(good)])
    assert result.exit_code == ExitCode.OK
    assert "app.bin: user part 1, version 6, boron (13)" in result.output
    assert "system part 1 >= 1502" in result.output
    assert "0x000B4000" in result.output
    assert "ok" in result.output
    assert "WRONG" not in result.output


def test_text_of_a_damaged_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = bytearray(GOOD)
    data[60] ^= 1
    tmp_path.joinpath("bad.bin").write_bytes(data + b"\0")
    result = CliRunner().invoke(inspect, ["bad.bin"])
    assert result.exit_code == ExitCode.BAD_INPUT
    assert result.output.count("WRONG") == 2
    assert "crc_mismatch at offset" in result.output
    assert "trailing_data at offset" in result.output
    assert "what to do    take the file from a fresh download or build" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_standard_input():
    result = CliRunner().invoke(inspect, ["-", "--json"], input=GOOD)
    assert result.exit_code == ExitCode.OK
    assert json.loads(result.stdout)["kind"] == "user part"


def test_no_file_is_a_usage_error():
    assert CliRunner().invoke(inspect, []).exit_code == ExitCode.USAGE
