"""What the C library's documents show is compiled and run, so that it stays true."""

import re
import subprocess
from pathlib import Path

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.protocol.board_check import slots_at
from particle_dev.protocol.module import Dependency
from particle_dev.protocol.module_build import (
    ModuleParts,
    Suffix,
    Tlv,
    asset_dependency,
    build,
    end_of_extensions,
)

FIRMWARE = Path(__file__).parents[2] / "firmware"
BORON = platform_by_name("boron")
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
# Of mbedTLS 3, as far as the README uses it.
MBEDTLS = """
#include <stddef.h>
typedef struct { int unused; } mbedtls_sha256_context;
void mbedtls_sha256_init(mbedtls_sha256_context *ctx);
int mbedtls_sha256_starts(mbedtls_sha256_context *ctx, int is224);
int mbedtls_sha256_update(mbedtls_sha256_context *ctx, const unsigned char *input, size_t ilen);
int mbedtls_sha256_finish(mbedtls_sha256_context *ctx, unsigned char *output);
"""


def make(*arguments):
    return subprocess.run(
        ["make", "-C", FIRMWARE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    done = make("examples", f"BUILD={folder}", "CCS=gcc")
    assert done.returncode == 0, done.stdout
    return folder / "examples"


@pytest.fixture
def run(examples, tmp_path):
    def run_on(program, data):
        path = tmp_path / "module.bin"
        path.write_bytes(data)
        done = subprocess.run([examples / program, path], capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout

    return run_on


def app(**changes):
    fields = {
        "function": ModuleFunction.USER_PART,
        "index": 1,
        "version": 6,
        "platform_id": 13,
        "start_address": 0xD4000,
        "body": bytes(64),
        "dependencies": (Dependency(ModuleFunction.SYSTEM_PART, 1, 2101),),
    }
    return build(ModuleParts(**(fields | changes)))


def test_walk_extensions(run):
    extensions = (Tlv(3, bytes(8)), asset_dependency("logo.png", bytes(32)), end_of_extensions())
    status, output = run("walk_extensions", app(suffix=Suffix(extensions)))
    assert (status, output.splitlines()) == (
        0,
        ["0x58: type 0x0003, 12 bytes", "0x64: type 0x0012, 46 bytes", "  wants logo.png"],
    )


def test_walk_over_a_damaged_extension(run):
    status, output = run("walk_extensions", app(suffix=Suffix((Tlv(3, b"short"), end_of_extensions()))))
    assert (status, len(output.splitlines())) == (1, 2)  # the extension, and what is wrong with it
    status, output = run("walk_extensions", b"nothing")
    assert (status, output.startswith("This is not a firmware module")) == (1, True)


def test_the_command_line_of_the_readme_builds(tmp_path):
    line = re.search(r"^(gcc .*) -o check_module ", (FIRMWARE / "README.md").read_text(), re.MULTILINE)[1]
    done = subprocess.run(f"{line} -o {tmp_path / 'check'}", shell=True, cwd=FIRMWARE, check=False)
    assert done.returncode == 0


def test_check_module(run):
    assert run("check_module", app()) == (0, "0x0: ok: The module is well formed. The device answers 0.\n")
    status, output = run("check_module", app(platform_id=6))
    assert (status, output.split(": ")[:2]) == (1, ["0xc", "wrong_platform"])
    status, output = run("check_module", app()[:-1] + b"?")
    assert (status, output.split(": ")[1]) == (1, "crc_mismatch")
    assert run("check_module", b"nothing")[1].startswith("This is not a firmware module")


def test_slots_of_the_example_are_those_of_the_catalogue():
    """The debug build's slot is left out."""
    source = (FIRMWARE / "examples" / "check_module.c").read_text()
    table = source[source.index("SLOTS[] = {") : source.index("INSTALLED[]")]
    ends = re.findall(r"start_address = (\w+), .end_address = (\w+),\s+.max_size = (\w+)", table)
    expected = {
        (slot.start_address, slot.end_address, slot.max_size_bytes)
        for slot in slots_at(BORON, "2.1.0")
        if slot.function != ModuleFunction.MONO_FIRMWARE
    }
    assert {tuple(int(number, 16) for number in row) for row in ends} == expected


def test_code_of_the_readme_compiles(tmp_path):
    blocks = re.findall(r"```c\n(.*?)```", (FIRMWARE / "README.md").read_text(), re.DOTALL)
    assert blocks
    (tmp_path / "mbedtls").mkdir()
    (tmp_path / "mbedtls" / "sha256.h").write_text(MBEDTLS)
    for block in blocks:
        includes = [f"-I{FIRMWARE / 'module' / 'include'}", f"-I{tmp_path}"]
        done = subprocess.run(
            ["gcc", *WARNINGS, *includes, "-Wno-missing-prototypes", "-fsyntax-only", "-xc", "-"],
            input=block,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seconds", ["abc", "0", "", "-1", "1.5", "'"])
def test_fuzzing_for_no_number_of_seconds_is_refused(seconds):
    done = make("fuzz", f"SECONDS={seconds}", "--dry-run")
    assert done.returncode != 0
    assert "SECONDS is a number of seconds" in done.stdout


def test_help_names_every_target():
    done = make("help")
    targets = re.search(r"^\.PHONY: (.*)$", (FIRMWARE / "Makefile").read_text(), re.MULTILINE)[1].split()
    listed = set(re.findall(r"^make ([\w-]+)", done.stdout, re.MULTILINE))
    assert listed >= set(targets) - {"clean"}
