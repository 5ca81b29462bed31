"""Dumps of boards in one file."""

import io
import zipfile

import pytest

from particle_dev.errors import FirmwareStoreError, FormatError
from particle_dev.flash.swd_archive import Archive, read_archive, write_archive

ARCHIVE = Archive("e00fce68" + "0" * 16, "nrf52840", "boron", {0: bytes(8192), 0x10001000: b"uicr" * 256})


def test_what_was_written_is_read(tmp_path):
    write_archive(tmp_path / "a.zip", ARCHIVE)
    assert read_archive(tmp_path / "a.zip") == ARCHIVE
    assert (tmp_path / "a.zip").stat().st_mode & 0o077 == 0


def test_an_altered_region_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    write_archive(path, ARCHIVE)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["0x00000000.bin"] = bytes(8191) + b"\x01"
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    with pytest.raises(FormatError, match="0x00000000 was altered") as caught:
        read_archive(path)
    assert caught.value.code == "sha256_mismatch"
    assert caught.value.file == str(path)


def zipped(manifest: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("manifest.json", manifest)
    return file.getvalue()


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x05\x06" + bytes(18), zipped("[]"), zipped("[" * 100_000)])
def test_what_is_no_dump(tmp_path, data):
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_archive(path)
    assert caught.value.code == "no_archive"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FirmwareStoreError, match="cannot be written"):
        write_archive(tmp_path / "file" / "a.zip", ARCHIVE)


def test_a_dump_replaces_no_other(tmp_path):
    path = tmp_path / "a.zip"
    write_archive(path, ARCHIVE)
    before = path.read_bytes()
    with pytest.raises(FirmwareStoreError, match="exists already"):
        write_archive(path, ARCHIVE)
    assert path.read_bytes() == before
    write_archive(path, ARCHIVE, replace=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
