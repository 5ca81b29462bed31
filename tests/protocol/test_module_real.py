"""Every .bin file that two releases of the npm package particle-cli ship."""

import json
from pathlib import Path

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import describe, parse

pytestmark = pytest.mark.firmware

GOLDEN = json.loads(Path(__file__).parents[1].joinpath("golden/modules-golden-public.json").read_text())

# CC3000 patch programs and a Core self-updater have no module header; the last is one byte.
NO_MODULES = {
    "cc3000-patch-programmer.bin",
    "cc3000-patch-programmer_1_14.bin",
    "deep_update_2014_06.bin",
    "ota-flag-a5.bin",
}


def bin_files(folder):
    return sorted(folder.rglob("*.bin"))


@pytest.mark.parametrize(("package", "count"), [("particle-cli-2.12.0", 50), ("particle-cli-3.43.1", 12)])
def test_all_modules_are_intact(particle_cli_firmware, package, count):
    modules = {
        path: parse(path.read_bytes())
        for path in bin_files(particle_cli_firmware / package)
        if path.name not in NO_MODULES
    }
    assert len(modules) == count
    for path, module in modules.items():
        assert module.problems == (), path
        assert module.crc32.ok, path
        assert module.sha256.ok, path
        assert module.suffix_size_bytes == 36 or module.function != ModuleFunction.RADIO_STACK, path
        assert module.payload_offset == (24 if module.function == ModuleFunction.RADIO_STACK else 0), path


@pytest.mark.parametrize("name", sorted(NO_MODULES))
def test_files_that_are_no_modules(particle_cli_firmware, name):
    (path,) = particle_cli_firmware.joinpath("particle-cli-2.12.0").rglob(name)
    with pytest.raises(ModuleFormatError) as caught:
        parse(path.read_bytes())
    assert caught.value.code == "no_prefix"


@pytest.mark.parametrize("golden", GOLDEN["files"], ids=lambda golden: Path(golden["file"]).stem)
def test_golden_facts(particle_cli_firmware, golden):
    data = particle_cli_firmware.joinpath("particle-cli-3.43.1/package", golden["file"]).read_bytes()
    ref = golden["ref"]
    module = parse(data)
    description = describe(data, file=golden["file"])
    assert (description["size_bytes"], description["sha256"]) == (golden["size"], golden["sha256"])
    dependencies = [ref["dependency"], ref["dependency2"]]
    assert {
        "prefix_offset": module.prefix_offset,
        "module_start": module.start_address,
        "module_end": module.end_address,
        "module_size": module.size_bytes,
        "file_size": module.file_size_bytes,
        "trailing_bytes": module.file_size_bytes - module.size_bytes,
        "reserved_mcu_target": module.mcu_target,
        "flags": module.flags,
        "version": module.version,
        "platform_id": module.platform_id,
        "function": module.function,
        "function_name": module.function.name.lower(),
        "index": module.index,
        "crc32_stored": f"{module.crc32.stored:08x}",
        "crc32_computed": f"{module.crc32.computed:08x}",
        "crc_ok": module.crc32.ok,
        "suffix_size": module.suffix_size_bytes,
        "suffix_reserved": 0,
        "sha256_stored": module.sha256.stored.hex(),
        "sha_mode": "whole",
        "sha_ok": module.sha256.ok,
        "product_id_u16": module.product.id,
        "product_version_u16": module.product.version,
    } == {key: value for key, value in ref.items() if key not in ("dependency", "dependency2", "suffix_extensions")}
    assert description["dependencies"] == [d for d in dependencies if d["function"]]
    assert [{"type": e.type, "length": e.length_bytes, "offset": e.offset} for e in module.extensions] == ref.get(
        "suffix_extensions", []
    )


def test_truncating_a_real_module_anywhere_gives_a_problem(particle_cli_firmware):
    for name in ("photon-system-part1@2.1.0.bin", "boron-softdevice@2.1.0.bin"):
        (path,) = particle_cli_firmware.joinpath("particle-cli-2.12.0").rglob(name)
        data = path.read_bytes()
        sizes = {*range(600), *range(600, len(data), 1009), *range(len(data) - 100, len(data))}
        for size in sizes:
            with pytest.raises(ModuleFormatError):
                parse(data[:size])


def test_one_changed_byte_anywhere_gives_a_problem(particle_cli_firmware):
    (path,) = particle_cli_firmware.joinpath("particle-cli-2.12.0").rglob("photon-bootloader@2.1.0+lto.bin")
    data = bytearray(path.read_bytes())
    for offset in range(0, len(data), 61):
        data[offset] ^= 0x40
        assert describe(bytes(data), file="x")["problems"], offset
        data[offset] ^= 0x40
