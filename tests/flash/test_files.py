"""Module files given by path."""

import io
import sys
from pathlib import Path

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.flash.files import read_module_file, read_module_files
from particle_dev.protocol.module_build import ModuleParts, build
from particle_dev.protocol.module_edit import combine

APP = build(ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(2000)))
SYSTEM_PART = build(ModuleParts(ModuleFunction.SYSTEM_PART, 1, 5500, 13, 0x30000, b"x" * 99))


@pytest.mark.parametrize("join", [combine, b"".join])
def test_several_modules_in_one_file_come_apart(tmp_path, join):
    path = tmp_path / "both.bin"
    path.write_bytes(join([SYSTEM_PART, APP]))
    files, contents = read_module_files([path])
    assert [file.file_name for file in files] == ["both.bin#1", "both.bin#2"]
    assert [contents[file.sha256] for file in files] == [SYSTEM_PART, APP]
    assert all(file.module.ok for file in files)
    with pytest.raises(ModuleFormatError, match="firmware split") as caught:
        read_module_file(path)
    assert (caught.value.code, caught.value.file) == ("combined", str(path))


def test_an_error_names_module_and_offset_in_the_file(tmp_path):
    path = tmp_path / "both.bin"
    path.write_bytes(SYSTEM_PART + APP[:-1] + b"?")
    with pytest.raises(ModuleFormatError, match=r"both\.bin#2: .*CRC-32") as caught:
        read_module_files([path])
    error = caught.value
    assert (error.file, error.code, error.offset) == (f"{path}#2", "crc_mismatch", len(SYSTEM_PART + APP) - 4)
    with pytest.raises(ModuleFormatError) as caught:
        read_module_files([tmp_path / "missing.bin"])
    assert (caught.value.file, caught.value.code) == (str(tmp_path / "missing.bin"), "unreadable")


def test_standard_input(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(APP)))
    (tmp_path / "-").write_bytes(b"a file of that name is not meant")
    monkeypatch.chdir(tmp_path)
    (file,), contents = read_module_files([Path("-")])
    assert (file.file_name, contents[file.sha256]) == ("-", APP)
