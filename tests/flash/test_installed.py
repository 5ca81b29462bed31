"""When a report proves a module: version, hash where it is comparable, no damage."""

import hashlib

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in

from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.flash.installed import comparable_sha256, is_reported, is_stored, title_of
from particle_dev.flash.plan import ModuleFile
from particle_dev.protocol.asset import Asset, make_asset_module
from particle_dev.protocol.messages import AssetInfo, DeviceAsset, InstalledModule
from particle_dev.protocol.module import parse


def as_file(data):
    return ModuleFile(parse(data), hashlib.sha256(data).hexdigest(), "module.bin")


BOOTLOADER = as_file(bootloader_stand_in(hardware("boron"), 1005))
SOFTDEVICE = as_file(softdevice_stand_in(hardware("boron")))


def report(file, *, version=None, store=ModuleStore.MAIN, failed=0, sha256=None):
    m = file.module
    version = m.version if version is None else version
    return InstalledModule(m.function, m.index, version, store, m.size_bytes, (), ModuleValidity(failed), sha256)


@pytest.mark.parametrize(
    ("installed", "proven"),
    [
        (report(BOOTLOADER), True),
        (report(BOOTLOADER, sha256=BOOTLOADER.module.sha256.stored), True),
        (report(BOOTLOADER, sha256=b"\1" * 32), False),
        (report(BOOTLOADER, version=1004), False),
        (report(BOOTLOADER, version=1006), False),
        (report(BOOTLOADER, store=ModuleStore.FACTORY), False),
        (report(BOOTLOADER, failed=ModuleValidity.INTEGRITY), False),
        (report(BOOTLOADER, failed=ModuleValidity.DEPENDENCIES), True),
        (report(SOFTDEVICE), False),
    ],
)
def test_bootloader(installed, proven):
    assert is_reported(BOOTLOADER, [installed]) is proven


def test_nothing_reported():
    assert not is_reported(BOOTLOADER, [])
    assert title_of(None) == "nothing"


def test_radio_stack_has_another_hash_on_the_device():
    assert comparable_sha256(SOFTDEVICE) is None
    assert is_reported(SOFTDEVICE, [report(SOFTDEVICE, sha256=b"unique string".ljust(32, b"\0"))])


@pytest.mark.parametrize("compressed", [False, True])
def test_asset(compressed):
    asset = Asset("cat.txt", b"meow")
    file = as_file(make_asset_module(asset, compressed=compressed))
    assert file.module.function == ModuleFunction.ASSET
    same, renamed = DeviceAsset("cat.txt", asset.sha256, 4, 4), DeviceAsset("dog.txt", asset.sha256, 4, 4)
    other = DeviceAsset("cat.txt", b"\0" * 32, 4, 4)
    assert is_stored(file, AssetInfo((renamed, same), ()))
    assert not is_stored(file, AssetInfo((renamed, other), (same,)))
    assert not is_stored(BOOTLOADER, AssetInfo((same,), ()))
