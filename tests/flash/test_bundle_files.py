"""Bundles and assets on disk."""

import zipfile

import pytest

from particle_dev.errors import FirmwareStoreError, FormatError, ModuleFormatError
from particle_dev.flash.bundle_files import collect_assets, pack_zip, read_bundle_file
from particle_dev.flash.file_io import write_file
from particle_dev.flash.firmware_sources import read_zip_members, zip_member_names
from particle_dev.protocol.asset import Asset

MEMBERS = {"app.bin": b"application", "assets/a.txt": b"a", "assets/ü": bytes(1000)}


@pytest.fixture
def bundle_file(tmp_path):
    path = tmp_path / "bundle.zip"
    path.write_bytes(pack_zip(MEMBERS))
    return path


def test_zip_comes_back(bundle_file):
    assert read_zip_members(bundle_file) == MEMBERS
    assert zip_member_names(bundle_file) == list(MEMBERS)
    assert read_bundle_file(bundle_file).assets == (Asset("a.txt", b"a"), Asset("ü", bytes(1000)))


def test_the_same_contents_make_the_same_archive():
    assert pack_zip(MEMBERS) == pack_zip(dict(MEMBERS))


def test_what_is_no_zip(tmp_path):
    path = tmp_path / "app.bin"
    path.write_bytes(b"application")
    assert zip_member_names(path) == []
    with pytest.raises(FirmwareStoreError, match="damaged archive"):
        read_bundle_file(path)


def test_a_damaged_zip(bundle_file):
    data = bytearray(bundle_file.read_bytes())
    data[40] ^= 0xFF
    bundle_file.write_bytes(data)
    with pytest.raises(FirmwareStoreError, match="damaged archive"):
        read_bundle_file(bundle_file)


def test_two_members_of_one_name_are_refused(tmp_path):
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("app.bin", b"1")
        archive.writestr("app.bin", b"2")
    with pytest.raises(FirmwareStoreError, match="twice"):
        read_bundle_file(path)


def test_an_archive_without_application(tmp_path):
    path = tmp_path / "none.zip"
    path.write_bytes(pack_zip({"assets/a": b""}))
    with pytest.raises(FormatError) as caught:
        read_bundle_file(path)
    assert caught.value.code == "no_application"


def test_assets_of_files_and_folders(tmp_path):
    folder = tmp_path / "assets"
    folder.mkdir()
    for name in ("b.txt", "a.txt", ".DS_Store", "Thumbs.db", "__MACOSX"):
        (folder / name).write_bytes(name.encode())
    single = tmp_path / "single"
    single.write_bytes(b"1")
    assert [a.name for a in collect_assets([single, folder])] == ["single", "a.txt", "b.txt"]
    (folder / "deeper").mkdir()
    with pytest.raises(ModuleFormatError, match="deeper is a folder"):
        collect_assets([folder])
    with pytest.raises(FirmwareStoreError):
        collect_assets([tmp_path / "missing"])


def test_files_are_replaced_whole(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"before")
    write_file(path, b"after", replace=True)
    assert path.read_bytes() == b"after"
    assert [p.name for p in tmp_path.iterdir()] == ["out.bin"]
    with pytest.raises(FirmwareStoreError, match="cannot be written"):
        write_file(tmp_path / "no" / "folder.bin", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FirmwareStoreError):
        write_file(tmp_path / "folder", b"")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "out.bin"]
