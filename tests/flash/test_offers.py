"""What counts of the files, folders, archives and releases that are offered for a board."""

import hashlib
import zipfile

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import app_stand_in, bootloader_stand_in, build_module

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import FirmwareStoreError, ModuleFormatError
from particle_dev.flash.offers import Offer, release_if_stored
from particle_dev.flash.store import FirmwareStore
from particle_dev.protocol.asset import Asset, read_asset_module
from particle_dev.protocol.bundle import make_bundle
from particle_dev.protocol.module_edit import combine

BORON, PHOTON = hardware("boron"), hardware("photon")


def offered(*paths):
    offer = Offer()
    offer.add_paths(paths, BORON.platform)
    assert {f.sha256 for f in offer.files} == set(offer.contents)
    return offer


def test_of_a_folder_the_modules_of_the_platform_count(tmp_path):
    (tmp_path / "a.bin").write_bytes(app_stand_in(BORON, 2101))
    (tmp_path / "b.bin").write_bytes(app_stand_in(PHOTON, 2101))
    (tmp_path / "c.bin").write_bytes(b"no module")
    assert [f.file_name for f in offered(tmp_path).files] == ["a.bin"]
    (tmp_path / "a.bin").unlink()
    with pytest.raises(FirmwareStoreError, match="no module for Boron"):
        offered(tmp_path)


def test_damaged_module_in_a_folder_is_not_passed_over(tmp_path):
    data = app_stand_in(BORON, 2101)
    (tmp_path / "a.bin").write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    with pytest.raises(ModuleFormatError, match=r"a\.bin"):
        offered(tmp_path)


def test_single_file_of_another_platform_is_kept_for_the_plan_to_refuse(tmp_path):
    path = tmp_path / "b.bin"
    path.write_bytes(app_stand_in(PHOTON, 2101))
    assert len(offered(path).files) == 1


def test_combined_file_comes_apart_and_the_same_module_counts_once(tmp_path):
    app, bootloader = app_stand_in(BORON, 2101), bootloader_stand_in(BORON, 1005)
    both, alone = tmp_path / "both.bin", tmp_path / "alone.bin"
    both.write_bytes(combine([bootloader, app]))
    alone.write_bytes(app)
    assert [f.file_name for f in offered(both, alone).files] == ["both.bin#1", "both.bin#2"]


def test_bundle_is_its_application_and_its_assets(tmp_path):
    asset = Asset("logo.png", b"x" * 500)
    path = tmp_path / "app.zip"
    with zipfile.ZipFile(path, "w") as stream:
        for name, data in make_bundle(app_stand_in(BORON, 5501), [asset], application_name="app.bin").items():
            stream.writestr(name, data)
    offer = offered(path)
    assert [f.module.function for f in offer.files] == [ModuleFunction.USER_PART, ModuleFunction.ASSET]
    assert read_asset_module(offer.contents[offer.files[1].sha256]) == asset


@pytest.mark.firmware
def test_release_on_the_way_is_kept_aside(release_store):
    offer = Offer()
    files = release_if_stored(release_store, BORON.platform, "2.1.0", offer)
    assert {f.module.function for f in files} == {
        ModuleFunction.BOOTLOADER,
        ModuleFunction.RADIO_STACK,
        ModuleFunction.SYSTEM_PART,
    }
    assert offer.files == []
    assert {f.sha256 for f in files} == set(offer.contents)
    assert release_if_stored(release_store, BORON.platform, "4.2.0", offer) == ()


@pytest.mark.firmware
def test_release_on_the_way_brings_the_firmware_of_other_chips(particle_cli_firmware, tmp_path):
    store = FirmwareStore(tmp_path / "store")
    assets = particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets" / "updates"
    argon = hardware("argon")
    ncp = tmp_path / "ncp.bin"
    ncp.write_bytes(build_module(argon, ModuleFunction.NCP_FIRMWARE, 0, 7, start_address=0, size_bytes=9000))
    for path in (*assets.glob("argon-*"), ncp):
        assert store.add_path(path).ok
    files = release_if_stored(store, argon.platform, "2.1.0", Offer())
    assert "ncp.bin" in {f.file_name for f in files}


# ---- --app ------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, and a store with blink.bin in it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    store = FirmwareStore(tmp_path / "store")
    (tmp_path / "blink.bin").write_bytes(app_stand_in(BORON, 2101))
    store.add_path(tmp_path / "blink.bin")
    return folder, store


def application(reference, store):
    offer = Offer()
    offer.add_application(reference, store, BORON.platform)
    (file,) = offer.files
    return file.sha256


def other_application(path):
    path.write_bytes(app_stand_in(BORON, 2000))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_application_by_name_whatever_lies_in_the_current_folder(here):
    folder, store = here
    (stored,) = store.modules()
    assert application("blink.bin", store) == stored.sha256
    (folder / stored.sha256[:16]).mkdir()
    assert application(stored.sha256[:16], store) == stored.sha256
    (folder / "blink.bin").mkdir()
    assert application("blink.bin", store) == stored.sha256


def test_application_as_a_file(here):
    folder, store = here
    sha256 = other_application(folder / "new.bin")
    assert application("new.bin", store) == application("./new.bin", store) == sha256
    assert application(str(folder / "new.bin"), store) == sha256
    (folder / "new").write_bytes((folder / "new.bin").read_bytes())
    assert application("./new", store) == sha256
    with pytest.raises(FirmwareStoreError, match="no application new for boron"):
        application("new", store)


def test_application_that_store_and_folder_have(here):
    folder, store = here
    sha256 = other_application(folder / "blink.bin")
    (stored,) = store.modules()
    with pytest.raises(FirmwareStoreError, match="in the firmware store, and a file here") as caught:
        application("blink.bin", store)
    assert stored.sha256[:16] in caught.value.hint
    assert "./blink.bin" in caught.value.hint
    assert application("./blink.bin", store) == sha256
    assert application(stored.sha256[:16], store) == stored.sha256
