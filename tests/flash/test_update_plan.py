"""Plans of phases, made without a board: which way each kind of module takes on each family, and what is refused."""

import hashlib

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import (
    app_stand_in,
    bootloader_stand_in,
    build_module,
    km0_stand_ins,
    softdevice_stand_in,
    system_stand_ins,
)

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.catalog.platforms import UsbMode
from particle_dev.errors import PermissionMissingError, PlanRefusedError
from particle_dev.flash.board_modules import Inventory, ModuleFile
from particle_dev.flash.update_plan import PhaseKind, make_update_plan
from particle_dev.permissions import Effect, Permissions
from particle_dev.protocol.asset import Asset, make_asset_module
from particle_dev.protocol.bundle import make_bundle
from particle_dev.protocol.compressed import compress
from particle_dev.protocol.messages import AssetInfo, DeviceAsset, InstalledModule
from particle_dev.protocol.module import parse
from particle_dev.protocol.module_edit import protect_bootloader

CONTROL, ENTER, COPIES, FLASH = (
    PhaseKind.CONTROL_UPDATE,
    PhaseKind.ENTER_DFU,
    PhaseKind.BOOTLOADER_COPIES,
    PhaseKind.FLASH,
)
FLAG, PROVE, LEAVE = PhaseKind.INSTALL_BY_FLAG, PhaseKind.PROVE, PhaseKind.LEAVE_DFU
BOOT, RADIO, SYSTEM, USER = (
    ModuleFunction.BOOTLOADER,
    ModuleFunction.RADIO_STACK,
    ModuleFunction.SYSTEM_PART,
    ModuleFunction.USER_PART,
)


def file_of(data, name=None):
    module = parse(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return ModuleFile(module, sha256, name or f"{module.function.name.lower()}{module.index}-v{module.version}.bin")


def a_set(platform, system_version, bootloader_version):
    kind = hardware(platform)
    modules = [bootloader_stand_in(kind, bootloader_version)]
    modules += [softdevice_stand_in(kind)] if kind.is_gen3 else km0_stand_ins(kind)[1:] if kind.is_rtl872x else []
    return [file_of(m) for m in (*modules, *system_stand_ins(kind, system_version, bootloader_version))] + [
        file_of(app_stand_in(kind, system_version))
    ]


def board(platform, files, *, hashes=True):
    """A board that holds these modules; ``hashes``: it tells them, as Device OS 5.6.0 and DFU do."""
    modules = tuple(
        InstalledModule(
            f.module.function,
            f.module.index,
            f.module.version,
            ModuleStore.MAIN,
            f.module.size_bytes,
            tuple(f.module.dependencies),
            ModuleValidity(0),
            f.module.sha256.stored if hashes and f.module.sha256 else None,
        )
        for f in files
    )
    return Inventory("0" * 24, hardware(platform).platform, "test", modules)


def plan_of(inventory, files, mode=UsbMode.NORMAL, **options):
    return make_update_plan(inventory, files, mode=mode, **options)


def kinds(plan):
    return [phase.kind for phase in plan.phases]


def reasons(inventory, files, **options):
    with pytest.raises(PlanRefusedError) as error:
        plan_of(inventory, files, **options)
    return " | ".join((*error.value.reasons, error.value.hint))


# ---- families ---------------------------------------------------------------------------------------------------

NRF52840 = ("argon", "boron", "bsom", "b5som", "tracker", "esomx")
OTHERS = ("photon", "p1", "electron", "p2", "trackerm", "msom")
ERA = {"photon": (2101, 1005, 3302, 1100), "p1": (2101, 1005, 3302, 1100), "electron": (2101, 1005, 3302, 1100)}


def two_sets(platform):
    old_system, old_boot, new_system, new_boot = ERA.get(platform, (5501, 2300, 6101, 3001))
    return a_set(platform, old_system, old_boot), a_set(platform, new_system, new_boot)


@pytest.mark.parametrize("platform", NRF52840)
@pytest.mark.parametrize("mode", list(UsbMode))
def test_nrf52840_needs_no_permission_either_way(platform, mode):
    old, new = two_sets(platform)
    for before, after in ((old, new), (new, old)):
        plan = plan_of(board(platform, before), after, mode)
        assert kinds(plan) == [*([ENTER] if mode is UsbMode.NORMAL else []), COPIES, FLASH, PROVE]
        assert [f.module.function for f in plan.phases[-3].files] == [BOOT]
        assert plan.permissions_needed == ()
        assert plan.harmless_if_interrupted
        plan.require(Permissions())


@pytest.mark.parametrize("platform", OTHERS)
def test_other_families_have_the_bootloader_installed_by_the_system(platform):
    old, new = two_sets(platform)
    up = plan_of(board(platform, old), new)
    assert kinds(up) == [CONTROL, ENTER, FLASH, PROVE]
    down = plan_of(board(platform, new), old)
    assert kinds(down) == [ENTER, FLASH, LEAVE, CONTROL, ENTER, PROVE]
    assert up.permissions_needed == down.permissions_needed == (Effect.CONNECT,)
    in_dfu = plan_of(board(platform, old), new, UsbMode.DFU)
    assert kinds(in_dfu) == [LEAVE, CONTROL, ENTER, FLASH, PROVE]
    with pytest.raises(PermissionMissingError) as error:
        up.require(Permissions())
    assert "control update of bootloader 0" in error.value.message
    assert "leave it out" in error.value.message


BRAKES = {"photon": 0x08020000, "electron": 0x08020000, "p2": 0x08060000, "boron": 0x30000}


@pytest.mark.parametrize("platform", BRAKES)
def test_part_that_the_bootloader_starts_is_the_brake_and_is_written_last(platform):
    old, new = two_sets(platform)
    (flash,) = [p.flash for p in plan_of(board(platform, old), new).phases if p.kind is FLASH]
    assert flash.brake_address == BRAKES[platform]
    assert flash.writes[-1].commit_offset is not None
    assert [w.commit_offset for w in flash.writes[:-1]] == [None] * (len(flash.writes) - 1)


def test_bootloader_without_slots_goes_first_and_the_copies_follow():
    old, new = a_set("boron", 1406, 501), a_set("boron", 2101, 1005)
    without_radio = [f for f in old if f.module.function != RADIO]
    plan = plan_of(board("boron", without_radio), new)
    assert kinds(plan) == [CONTROL, ENTER, COPIES, FLASH, PROVE]
    assert [f.module.function for f in plan.phases[2].files] == [RADIO]
    in_dfu = plan_of(board("boron", without_radio), new, UsbMode.DFU)
    assert kinds(in_dfu) == [FLAG, ENTER, COPIES, FLASH, PROVE]


def test_board_whose_ota_region_is_not_known_takes_the_control_update():
    """Device OS 1.5.2 on 8 MiB parts looks where later releases keep files."""
    old, new = a_set("tracker", 1512, 502), a_set("tracker", 2101, 1005)
    assert kinds(plan_of(board("tracker", old), new, UsbMode.DFU))[:2] == [LEAVE, CONTROL]


def test_board_whose_system_does_not_run_is_written_first():
    old, new = two_sets("p2")
    broken = [f for f in old if f.module.function != SYSTEM]
    assert kinds(plan_of(board("p2", broken), new, UsbMode.DFU)) == [FLASH, LEAVE, CONTROL, ENTER, PROVE]


@pytest.mark.parametrize(
    ("present", "mode", "harmless"),
    [(5501, UsbMode.NORMAL, True), (5501, UsbMode.DFU, False), (5410, UsbMode.NORMAL, False)],
)
def test_factory_image_of_rtl872x_would_take_the_brake_off(present, mode, harmless):
    """Only a board that runs Device OS 5.5.0 or later is known to have lost it."""
    old = a_set("p2", present, 3001)
    plan = plan_of(board("p2", old), a_set("p2", 6101, 3001), mode)
    assert plan.permissions_needed == ()
    assert plan.harmless_if_interrupted is harmless
    assert bool(plan.notes) is not harmless


# ---- what differs -----------------------------------------------------------------------------------------------


def test_everything_is_there():
    files = a_set("boron", 5501, 2300)
    plan = plan_of(board("boron", files), files, leave=True)
    assert plan.phases == ()
    assert set(plan.satisfied) == set(files)


def test_without_hashes_only_dfu_can_tell():
    files = a_set("boron", 2101, 1005)
    plan = plan_of(board("boron", files, hashes=False), files)
    assert kinds(plan) == [ENTER, FLASH, PROVE]
    assert {f.module.function for f in plan.satisfied} == {BOOT, RADIO}


def test_another_build_of_the_same_version_is_not_there():
    files = a_set("boron", 5501, 2300)
    other = file_of(app_stand_in(hardware("boron"), 5500))
    plan = plan_of(board("boron", [*files[:-1], other]), files)
    assert kinds(plan) == [ENTER, FLASH, PROVE]
    assert plan.harmless_if_interrupted, "the system part comes along as the brake"


def test_radio_stack_alone_has_no_brake_and_goes_through_the_system():
    files = a_set("boron", 5501, 2300)
    plan = plan_of(board("boron", [f for f in files if f.module.function != RADIO]), [files[1]])
    assert kinds(plan) == [CONTROL, ENTER, PROVE]
    assert plan.permissions_needed == (Effect.CONNECT,)


def test_order_of_arguments_does_not_matter():
    old, new = two_sets("boron")
    assert kinds(plan_of(board("boron", old), new)) == kinds(plan_of(board("boron", old), new[::-1]))


def test_leaving():
    old, new = two_sets("boron")
    plan = plan_of(board("boron", old), new, leave=True)
    assert kinds(plan)[-2:] == [PROVE, LEAVE]
    with pytest.raises(PermissionMissingError, match="leave DFU mode"):
        plan.require(Permissions())


def test_lines_name_every_step():
    old, new = a_set("boron", 1406, 501), a_set("boron", 2101, 1005)
    plan = plan_of(board("boron", old), new, leave=True)
    lines = plan.lines()
    assert "control update (reset, the application boots and may connect): bootloader 0 v1005" in "\n".join(lines)
    assert plan.satisfied[0].title.startswith("radio stack 0 v202")
    assert "radio stack" not in "\n".join(lines[:-1]), "what stays is no step"
    assert "every boot ends in DFU mode" in "\n".join(lines)
    assert "may connect" in lines[-1]


# ---- other kinds ------------------------------------------------------------------------------------------------


def test_network_processor_through_the_system():
    files = a_set("argon", 5501, 2300)
    ncp = file_of(
        build_module(hardware("argon"), ModuleFunction.NCP_FIRMWARE, 0, 5, start_address=0, size_bytes=60000, flags=0)
    )
    assert kinds(plan_of(board("argon", files), [ncp])) == [CONTROL, ENTER, PROVE]


def test_encrypted_module_as_it_is():
    files = a_set("p2", 6101, 3001)
    part1 = build_module(
        hardware("p2"), BOOT, 2, 10, start_address=0x08014000, size_bytes=0x3000, flags=ModuleFlag.ENCRYPTED | 1
    )
    plan = plan_of(board("p2", files), [file_of(part1)])
    assert kinds(plan) == [CONTROL, ENTER, PROVE]


def test_compressed_module_is_not_for_dfu():
    files = a_set("boron", 5501, 2300)
    data = app_stand_in(hardware("boron"), 5501)
    assert "firmware expand" in reasons(board("boron", files), [file_of(compress(data))])


def test_protected_bootloader_needs_its_own_permission():
    files = a_set("boron", 6101, 3001)
    bootloader = file_of(protect_bootloader(bootloader_stand_in(hardware("boron"), 3100)))
    plan = plan_of(board("boron", files), [bootloader, *files[1:]])
    assert plan.permissions_needed == (Effect.LOCK,)
    with pytest.raises(PermissionMissingError) as error:
        plan.require(Permissions(may_connect=True))
    assert error.value.permission == Effect.LOCK


def test_nothing_and_wrong_platform_and_unmet_needs():
    files = a_set("boron", 5501, 2300)
    assert "no module" in reasons(board("boron", files), [])
    assert "is for Photon, not for Boron" in reasons(board("boron", files), a_set("photon", 2101, 1005))
    newer = a_set("boron", 6101, 3001)
    assert "needs bootloader 0 v3001" in reasons(board("boron", files), newer[2:])


# ---- assets -----------------------------------------------------------------------------------------------------

LOGO = Asset("logo.png", b"picture" * 100)


def bundle(platform, system_version):
    members = make_bundle(app_stand_in(hardware(platform), system_version), [LOGO], application_name="app.bin")
    return file_of(members["app.bin"], "app.bin"), file_of(make_asset_module(LOGO), "logo.png")


def test_assets_go_last():
    files = a_set("boron", 5501, 2300)
    plan = plan_of(board("boron", files), bundle("boron", 5501), assets=AssetInfo((), ()))
    assert kinds(plan) == [ENTER, FLASH, LEAVE, CONTROL, ENTER, PROVE]
    assert plan.phases[3].files[0].file_name == "logo.png"


def test_asset_that_is_there_is_not_sent():
    files = a_set("boron", 5501, 2300)
    there = AssetInfo((DeviceAsset(LOGO.name, LOGO.sha256, len(LOGO.data), 4096),), ())
    plan = plan_of(board("boron", files), bundle("boron", 5501), assets=there)
    assert kinds(plan) == [ENTER, FLASH, PROVE]
    app, _ = bundle("boron", 5501)
    assert kinds(plan_of(board("boron", files), [app], assets=there)) == [ENTER, FLASH, PROVE]


@pytest.mark.parametrize("assets", [None, AssetInfo((), ()), AssetInfo((DeviceAsset(LOGO.name, b"x", 1, 1),), ())])
def test_application_without_its_asset_would_be_safe_mode(assets):
    app, _ = bundle("boron", 5501)
    assert "wants asset 'logo.png'" in reasons(board("boron", a_set("boron", 5501, 2300)), [app], assets=assets)


def test_why_the_board_was_not_asked_for_its_assets():
    app = bundle("boron", 5501)[0]
    inventory = board("boron", a_set("boron", 5501, 2300))
    assert "a board in DFU mode cannot be asked" in reasons(inventory, [app])
    told = reasons(inventory, [app], why_no_assets="ASSET_INFO was not sent")
    assert "which is not offered, and ASSET_INFO was not sent: it would boot" in told


def test_device_os_without_assets():
    files = a_set("boron", 5410, 2210)
    _, asset = bundle("boron", 5501)
    assert "keeps no assets" in reasons(board("boron", files), [asset])


# ---- stops ------------------------------------------------------------------------------------------------------


def test_stop_is_named_and_its_release_asked_for():
    old, new = a_set("tracker", 2101, 1005), a_set("tracker", 5600, 2400)
    text = reasons(board("tracker", old), new)
    assert "goes through 3.0.0" in text
    assert "firmware store" in text


def test_stop_becomes_phases_when_its_release_is_at_hand():
    old, new = a_set("tracker", 2101, 1005), a_set("tracker", 5600, 2400)
    between = a_set("tracker", 3005, 1005)[:-1]
    asked = []

    def fetch(name):
        asked.append(name)
        return between

    plan = plan_of(board("tracker", old), new, fetch_release=fetch)
    assert asked == ["3.0.0"]
    assert kinds(plan) == [ENTER, FLASH, PROVE, LEAVE, ENTER, COPIES, FLASH, PROVE]
    assert plan.permissions_needed == (Effect.CONNECT,)
    assert "goes through Device OS 3.0.0" in plan.notes


def test_stop_that_dfu_need_not_make_is_a_note():
    old, new = a_set("photon", 110, 11), a_set("photon", 2101, 1005)
    plan = plan_of(board("photon", old), new)
    assert any("0.7.0" in note for note in plan.notes)
