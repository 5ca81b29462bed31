"""Which firmware a product takes."""

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cloud.product_firmware import check_product_version
from particle_dev.errors import ProductVersionError
from particle_dev.protocol.module import Product, parse
from particle_dev.protocol.module_build import ModuleParts, Suffix, build

PARTS = ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(40))


def firmware(version, suffix=None):
    suffix = (suffix or Suffix()).with_product(Product(1234, version))
    return parse(build(ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(40), suffix)))


def sha256_of(module):
    return module.sha256.stored.hex()


@pytest.mark.parametrize("existing", [[], [(1, None)], [(6, "00" * 32), (2, None)]])
def test_a_higher_version_is_taken(existing):
    check_product_version(firmware(7), existing)


def test_the_same_firmware_again_is_taken_also_when_there_is_a_newer_one():
    module = firmware(7)
    check_product_version(module, [(7, sha256_of(module).upper()), (9, None)])


@pytest.mark.parametrize("digest", [None, "00" * 32])
def test_another_file_under_a_version_that_exists_is_refused(digest):
    with pytest.raises(ProductVersionError, match="another file under version 7") as caught:
        check_product_version(firmware(7), [(7, digest), (9, None)])
    assert caught.value.version == 7
    assert "10" in caught.value.hint


def test_a_lower_version_is_refused():
    with pytest.raises(ProductVersionError, match="7 is not higher than 9") as caught:
        check_product_version(firmware(7), [(9, None), (3, None)])
    assert "10" in caught.value.hint


@pytest.mark.parametrize("module", [parse(build(PARTS)), firmware(0)])
def test_firmware_without_a_product_version_is_refused(module):
    with pytest.raises(ProductVersionError, match="no product version"):
        check_product_version(module, [])


def test_behind_the_last_version_there_is_none():
    with pytest.raises(ProductVersionError) as caught:
        check_product_version(firmware(7), [(65535, None)])
    assert "65536" not in caught.value.hint
