"""Plans are values: made, compared and refused without a device."""

import dataclasses

import pytest

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.errors import PlanRefusedError
from particle_dev.flash.inventory import Inventory
from particle_dev.flash.phases import Phase, PhaseKind, UpdatePlan
from particle_dev.flash.plan import ModuleFile, flash_plan, make_plan
from particle_dev.protocol.messages import InstalledModule
from particle_dev.protocol.module import Crc32Check, Dependency, Module, Problem

BOOT, RADIO, SYSTEM, USER = (
    ModuleFunction.BOOTLOADER,
    ModuleFunction.RADIO_STACK,
    ModuleFunction.SYSTEM_PART,
    ModuleFunction.USER_PART,
)


def module_file(function, index, version, start=0, size=8192, needs=(), platform="boron", name=None, problems=()):
    module = Module(
        size_bytes=size,
        file_size_bytes=size,
        prefix_offset=0,
        payload_offset=0,
        start_address=start,
        end_address=start + size - 4,
        mcu_target=0,
        flags=ModuleFlag(0),
        version=version,
        platform_id=platform_by_name(platform).id,
        function=function,
        index=index,
        dependencies=tuple(Dependency(*need) for need in needs),
        crc32=Crc32Check(0, 0),
        sha256=None,
        product=None,
        suffix_size_bytes=40,
        extensions=(),
        problems=tuple(problems),
    )
    name = name or f"{function.name.lower()}{index}-v{version}.bin"
    return ModuleFile(module, f"{hash((name, start, size)) & (1 << 256) - 1:064x}", name)


NONE_FAILED = ModuleValidity(0)


def installed(function, index, version, needs=(), failed=NONE_FAILED):
    return InstalledModule(function, index, version, ModuleStore.MAIN, 1000, tuple(needs), failed)


def board(*modules, platform="boron"):
    return Inventory("e00fce68" + "0" * 16, platform_by_name(platform), "test", modules)


BORON = board(
    installed(BOOT, 0, 1005),
    installed(RADIO, 0, 202),
    installed(SYSTEM, 1, 2011, [(BOOT, 0, 1005)]),
    installed(USER, 1, 5, [(SYSTEM, 1, 2011)]),
)
SYSTEM_2101 = module_file(SYSTEM, 1, 2101, 0x30000, 499132, [(BOOT, 0, 1005), (RADIO, 0, 202)])
APP = module_file(USER, 1, 5, 0xD4000, 11412, [(SYSTEM, 1, 326)])
BOOTLOADER = module_file(BOOT, 0, 1005, 0xF4000)
SOFTDEVICE = module_file(RADIO, 0, 202, 0x1000)


def reasons(inventory, *files):
    with pytest.raises(PlanRefusedError) as error:
        make_plan(inventory, files)
    return " | ".join(error.value.reasons)


def test_the_set_of_a_release():
    plan = make_plan(BORON, [BOOTLOADER, SOFTDEVICE, SYSTEM_2101, APP])
    assert [w.file for w in plan.writes] == [APP, SYSTEM_2101]
    assert plan.satisfied == (BOOTLOADER, SOFTDEVICE)
    assert plan.size_bytes == 499132 + 11412
    assert 15 < plan.expected_duration_s < 20


def test_the_system_part_is_the_parking_brake():
    plan = make_plan(BORON, [SYSTEM_2101, APP])
    assert plan.brake_address == 0x30000
    assert [w.commit_offset for w in plan.writes] == [None, 0]
    assert "every boot ends in DFU mode" in plan.lines()[1]


def test_photon_brakes_with_the_part_that_its_bootloader_starts():
    photon = board(installed(BOOT, 0, 1005), platform="photon")
    part1 = module_file(SYSTEM, 1, 2101, 0x08020000, 241416, [(SYSTEM, 2, 207)], "photon")
    part2 = module_file(SYSTEM, 2, 2101, 0x08060000, 261928, [(SYSTEM, 1, 2101), (BOOT, 0, 1003)], "photon")
    app = module_file(USER, 1, 3, 0x080A0000, 5324, [(SYSTEM, 2, 6)], "photon")
    plan = make_plan(photon, [part1, part2, app])
    assert [w.file for w in plan.writes] == [app, part2, part1]
    assert plan.brake_address == 0x08020000
    # Part 1, which stays, would jump into a part 2 that is not there yet.
    photon = board(installed(BOOT, 0, 1005), installed(SYSTEM, 1, 2101), platform="photon")
    assert make_plan(photon, [part2, app]).brake_address is None


def test_order_of_arguments_does_not_matter():
    assert make_plan(BORON, [APP, SYSTEM_2101]) == make_plan(BORON, [SYSTEM_2101, APP])


def test_app_alone_has_no_brake():
    plan = make_plan(BORON, [APP])
    assert plan.brake_address is None
    assert [w.commit_offset for w in plan.writes] == [None]


def test_bootloader_too_old():
    old = board(installed(BOOT, 0, 501), *BORON.modules[1:])
    assert "v501 of bootloader 0" in reasons(old, BOOTLOADER, SYSTEM_2101, APP)
    assert "needs bootloader 0 v1005, the board would have v501" in reasons(old, SYSTEM_2101, APP)


def test_dependency_that_is_nowhere():
    without_radio = board(BORON.modules[0], *BORON.modules[2:])
    assert "radio stack 0 v202, which is neither in the set nor on the board" in reasons(
        without_radio, SYSTEM_2101, APP
    )


def test_app_for_a_newer_device_os():
    new_app = module_file(USER, 1, 6, 0xD4000, needs=[(SYSTEM, 1, 3103)])
    assert "needs system part 1 v3103, the board would have v2101" in reasons(BORON, SYSTEM_2101, new_app)


def test_app_that_stays_must_be_content_too():
    picky = board(*BORON.modules[:3], installed(USER, 1, 5, [(SYSTEM, 1, 2202)]))
    assert "user part 1 v5 on the board needs system part 1 v2202" in reasons(picky, SYSTEM_2101)


def test_no_application_at_all_would_be_safe_mode():
    bare = board(*BORON.modules[:3])
    assert "safe mode" in reasons(bare, SYSTEM_2101)


def test_damaged_module_on_the_board_meets_nothing():
    damaged = board(installed(BOOT, 0, 1005, failed=ModuleValidity.INTEGRITY), *BORON.modules[1:])
    assert "bootloader" in reasons(damaged, SYSTEM_2101, APP)


def test_wrong_platform():
    app = module_file(USER, 1, 5, 0xD4000, platform="argon", name="argon.bin")
    assert reasons(BORON, app) == "argon.bin is for Argon, not for Boron"


def test_damaged_file_names_the_offset():
    bad = module_file(USER, 1, 5, 0xD4000, name="bad.bin", problems=[Problem("crc_mismatch", 11408, "CRC differs")])
    assert reasons(BORON, bad) == "bad.bin at offset 11408: CRC differs"


def test_nothing_given():
    assert "no module" in reasons(BORON)


def test_two_files_for_one_place():
    assert "both user part 1" in reasons(BORON, APP, module_file(USER, 1, 6, 0xD4000, name="other.bin"))


def test_kind_that_dfu_does_not_write():
    asset = module_file(ModuleFunction.ASSET, 0, 0)
    assert "cannot be written over DFU" in reasons(BORON, asset, APP)


def test_module_linked_for_another_address():
    stray = module_file(USER, 1, 5, 0xC0000, needs=[(SYSTEM, 1, 326)])
    assert "starts at 0x000d4000" in reasons(BORON, stray)


def test_module_too_large_for_its_slot():
    fat = module_file(USER, 1, 5, 0xD4000, 0x20004, [(SYSTEM, 1, 326)])
    assert "its slot holds 131072" in reasons(BORON, fat)


def test_256k_application_has_no_slot_before_3_1():
    app = module_file(USER, 2, 6, 0xB4000, needs=[(SYSTEM, 1, 2101)])
    assert "no slot" in reasons(BORON, SYSTEM_2101, app)


def test_256k_application_invalidates_the_former_slot_unless_it_covers_it():
    modern = board(installed(BOOT, 0, 1100), installed(RADIO, 0, 202), installed(SYSTEM, 1, 3302))
    app = module_file(USER, 2, 6, 0xB4000, 0x1000, [(SYSTEM, 1, 3103)])
    assert [s.address for s in make_plan(modern, [app]).invalidate] == [0xD4000]
    large = module_file(USER, 2, 6, 0xB4000, 0x30000, [(SYSTEM, 1, 3103)])
    assert make_plan(modern, [large]).invalidate == ()


def test_overlap():
    system = module_file(SYSTEM, 1, 2101, 0x30000, 0xA5000, [(BOOT, 0, 1005)])
    assert "overlaps" in reasons(BORON, system, APP)


def test_times_that_nobody_knows_are_no_time():
    unknown = dataclasses.replace(make_plan(BORON, [APP]), expected_duration_s=None)
    phases = (Phase(PhaseKind.ENTER_DFU), Phase(PhaseKind.FLASH, (APP,), unknown))
    assert phases[1].expected_duration_s is None
    assert UpdatePlan(BORON.device_id, BORON.platform, phases, ()).expected_duration_s is None
    assert UpdatePlan(BORON.device_id, BORON.platform, phases[:1], ()).expected_duration_s > 0


def test_family_whose_flash_is_not_known():
    strange = platform_by_name("boron")._replace(family="tomorrow")
    plan = flash_plan(dataclasses.replace(BORON, platform=strange), [APP], ())
    assert plan.expected_duration_s is None


def test_plans_are_frozen():
    plan = make_plan(BORON, [APP])
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.brake_address = 0
