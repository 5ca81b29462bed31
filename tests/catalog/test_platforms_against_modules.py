"""Every real module of the particle-cli packages lies where the catalogue says such a module lies."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from particle_dev.catalog.device_os import releases_by_system_version
from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import ModuleSlot, platform_by_id
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import Module, parse

pytestmark = pytest.mark.firmware


def real_modules(folder: Path) -> dict[str, Module]:
    modules = {}
    for path in sorted(folder.glob("particle-cli-*/package/assets/**/*.bin")):
        try:
            modules[str(path.relative_to(folder))] = parse(path.read_bytes())
        except ModuleFormatError:
            continue
    return modules


def fits(module: Module, slot: ModuleSlot) -> bool:
    starts = module.start_address == slot.start_address
    if slot.fixed_end:
        starts = module.start_address + module.size_bytes == slot.end_address
    within = slot.end_address is None or module.start_address + module.size_bytes <= slot.end_address
    return (
        starts
        and within
        and module.size_bytes <= slot.max_size_bytes
        and module.prefix_offset == slot.prefix_offset
        and module.mcu_target == slot.mcu_target
        and (ModuleFlag.DROP_MODULE_INFO in module.flags) == slot.drop_module_info
    )


def test_every_real_module_fits_a_slot_of_its_platform(particle_cli_firmware: Path) -> None:
    modules = real_modules(particle_cli_firmware)
    assert len(modules) == 155  # 43 in 2.3.0, 50 in 2.12.0, 50 in 2.16.0 and 12 in 3.43.1
    misfits = []
    for name, module in modules.items():
        platform = platform_by_id(module.platform_id)
        assert platform is not None, name
        slots = [s for s in platform.module_slots if (s.function, s.index) == (module.function, module.index)]
        if not any(fits(module, slot) for slot in slots):
            misfits.append(name)
    assert misfits == []


def test_every_real_system_part_fits_the_slot_of_its_own_release(particle_cli_firmware: Path) -> None:
    seen = Counter[str]()
    for name, module in real_modules(particle_cli_firmware).items():
        if module.function != ModuleFunction.SYSTEM_PART:
            continue
        platform = platform_by_id(module.platform_id)
        assert platform is not None
        (release,) = releases_by_system_version(module.version)
        assert f"@{release.name}" in name
        slot = platform.slot_for(module.function, module.index, release.name)
        assert slot is not None, name
        assert fits(module, slot), name
        if slot.release_file:
            assert slot.release_file in name
        seen[release.name] += 1
    assert seen == {"2.2.0": 12, "2.1.0": 12, "1.5.2": 2, "1.5.0": 12, "1.4.4": 6}
