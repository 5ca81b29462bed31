"""ESP32 images, bare and in modules. The images are stand-ins of our own; in tests/judges/esp esptool reads them."""

import random
import zlib

import pytest
from particle_harness.boards import hardware
from particle_harness.esp32.image import ESP32_TARGET, esp_image
from particle_harness.factory import build_module

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.protocol.esp_image import HEADER_SIZE_BYTES, describe_image, read_image
from particle_dev.protocol.module import describe, ncp_image, parse

IMAGE = esp_image(0x2000)


def codes(data, **options):
    return [problem.code for problem in read_image(data, **options).problems]


def ncp_module(platform="argon", body=None, **values):
    return build_module(
        hardware(platform),
        ModuleFunction.NCP_FIRMWARE,
        0,
        8,
        start_address=0,
        size_bytes=0x2000 + 64,
        mcu_target=ESP32_TARGET,
        body=body,
        **values,
    )


def test_an_intact_image():
    image = read_image(IMAGE)
    assert image.ok
    assert (image.size_bytes, image.chip_name, image.entry_address) == (0x2000, "ESP32", 0x40080F50)
    assert (image.flash_size_mb, image.has_hash, len(image.segments)) == (4, True, 4)
    assert image.description.project == "esp32-ncp"
    assert describe_image(image)["application"]["version"] == "0.0.8"


def test_an_image_without_a_hash():
    image = read_image(esp_image(0x800, with_hash=False))
    assert (image.ok, image.has_hash) == (True, False)


def test_every_length_is_cut_short_and_nothing_raises():
    data = esp_image(0x400)
    assert codes(b"") == ["esp_no_image"]
    for size in range(1, len(data)):
        assert codes(data[:size])[0] == "esp_truncated", size


def test_every_bit_of_what_is_checked_counts():
    data = esp_image(0x400)
    dice = random.Random(1)
    for _ in range(300):
        at = dice.randrange(len(data))
        damaged = bytearray(data)
        damaged[at] ^= 1 << dice.randrange(8)
        assert codes(bytes(damaged)), f"byte {at}"


def test_a_checksum_that_the_hash_does_not_excuse():
    """What somebody patched and hashed again, without mending the checksum."""
    import hashlib  # noqa: PLC0415

    damaged = bytearray(IMAGE[:-32])
    damaged[200] ^= 1
    damaged += hashlib.sha256(damaged).digest()
    assert codes(bytes(damaged)) == ["esp_checksum"]


def test_other_chips_and_what_follows():
    assert codes(esp_image(0x400, chip_id=9)) == ["esp_wrong_chip"]
    assert codes(esp_image(0x400, chip_id=9), chip_id=9) == []
    assert "not ESP32" in read_image(esp_image(0x400, chip_id=9)).problems[0].message
    assert codes(IMAGE + b"\0") == ["esp_trailing"]
    assert codes(b"\xe9\0" + IMAGE[2:])[0] == "esp_segments"
    assert codes(b"\xe9\xff" + IMAGE[2:])[0] == "esp_segments"


def test_a_segment_longer_than_all_memory():
    damaged = bytearray(IMAGE)
    damaged[HEADER_SIZE_BYTES + 4 : HEADER_SIZE_BYTES + 8] = b"\xfc\xff\xff\xff"
    assert codes(bytes(damaged)) == ["esp_truncated"]


def test_a_module_says_what_its_image_is():
    data = ncp_module()
    module = parse(data)
    assert module.ok, module.problems
    assert (module.suffix_size_bytes, module.sha256.ok) == (36, True)
    assert bytes(ncp_image(data, module)) == esp_image(0x2000, seed="8")
    description = describe(data, file="ncp.bin")
    assert description["ncp_image"]["chip"] == "ESP32"
    assert description["ncp_image"]["size_bytes"] == 0x2000


@pytest.mark.parametrize(
    ("change", "code", "offset"),
    [
        (lambda image: image[:300] + bytes([image[300] ^ 1]) + image[301:], "esp_checksum", None),
        (lambda image: image[:-1] + bytes([image[-1] ^ 1]), "esp_hash", 24 + 0x2000 - 32),
        (lambda image: esp_image(0x2000, chip_id=5), "esp_wrong_chip", 24 + 12),
        (lambda image: b"\0" + image[1:], "esp_no_image", 24),
        (lambda image: esp_image(0x1000) + bytes(0x1000), "esp_trailing", 24 + 0x1000),
    ],
    ids=["checksum", "hash", "chip", "magic", "trailing"],
)
def test_a_module_around_a_bad_image_has_a_right_crc_and_a_problem(change, code, offset):
    data = ncp_module(body=change(esp_image(0x2000, seed="8")))
    module = parse(data)
    assert module.crc32.ok
    assert module.sha256.ok
    first = module.problems[0]
    assert first.code == code
    assert offset in (None, first.offset)


def test_a_quick_look_at_a_module_leaves_its_image_alone():
    assert parse(ncp_module(body=bytes(0x2000)), check_sha256=False).ok


def test_firmware_of_other_targets_and_other_functions_has_no_image():
    data = ncp_module()
    other = bytearray(data)
    other[8] = 0
    other[-4:] = zlib.crc32(bytes(other[:-4])).to_bytes(4, "big")
    assert ncp_image(bytes(other), parse(bytes(other))) is None
    assert describe(bytes(other), file="x")["ncp_image"] is None
