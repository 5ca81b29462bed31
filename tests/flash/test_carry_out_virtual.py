"""Whole sets onto virtual boards, with real Device OS and stand-ins for older modules: what is installed which way,
what ran in between, and what an unplugged cable leaves behind."""

import hashlib

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import (
    app_stand_in,
    bootloader_stand_in,
    build_module,
    install,
    softdevice_stand_in,
    system_stand_ins,
)

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.device.mode_changes import change_mode
from particle_dev.device.modes import Target, enter_dfu
from particle_dev.errors import PermissionMissingError, PlanRefusedError, TransportError, UpdateNotAppliedError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.carry_out import carry_out
from particle_dev.flash.inventory import inventory_by_control, inventory_by_dfu
from particle_dev.flash.progress import ModuleProven, PhaseStarted
from particle_dev.flash.update_plan import PhaseKind, make_update_plan
from particle_dev.permissions import Permissions
from particle_dev.protocol import dct
from particle_dev.protocol.module import parse
from particle_dev.station.bench import open_bench

MAY_CONNECT = Permissions(may_connect=True)
APPS = {
    "boron": "tinker-0.8.0-rc.27-boron.bin",
    "tracker": "tracker-tinker@1.5.4-rc.1.bin",
    "photon": "tinker-0.4.5-photon.bin",
    "electron": "electron_tinker.bin",
    "xenon": "tinker-0.8.0-rc.27-xenon.bin",
}


def old_softdevice(kind):
    """What Device OS before 1.3.1 came with: another firmware id at the same place."""
    body = bytearray(0x2100)
    body[0x200C:0x200E] = (169).to_bytes(2, "little")
    return build_module(
        kind, ModuleFunction.RADIO_STACK, 0, 169, start_address=0x1000, size_bytes=140000, flags=1, body=bytes(body)
    )


class Desk:
    """A bench of one board and the means to update it."""

    def __init__(self, platform, modules, *, factory="online", faults=(), factory_modules=None, state_dir=None):
        kind = hardware(platform)
        table = {"name": "1", "platform": platform, "factory": factory, "faults": list(faults)}
        ground = (ModuleFunction.BOOTLOADER, ModuleFunction.RADIO_STACK)
        default = [data for data in modules if parse(data).function in ground]
        self.bench = open_bench(
            "virtual",
            options={"clock": "virtual"},
            slots=[table],
            factory_modules=lambda _name: default if factory_modules is None else factory_modules(kind),
        )
        self.slot = self.bench.slots[0]
        self.host = self.slot.host
        self.board = self.bench.driver.board("1")
        self.contents = {hashlib.sha256(data).hexdigest(): data for data in modules}
        self.files = [ModuleFile(parse(data), sha256, f"{sha256[:8]}.bin") for sha256, data in self.contents.items()]

    @property
    def device(self):
        return wait_for_device(self.host, self.slot.port_path, 10)

    def to_dfu(self):
        return enter_dfu(self.host, self.device)[0]

    def inventory(self):
        device = self.device
        if device.mode is UsbMode.DFU:
            with DfuSession(self.host, device) as session:
                return inventory_by_dfu(session)
        with ControlSession(self.host, device) as session:
            return inventory_by_control(session)

    def plan(self, **options):
        return make_update_plan(self.inventory(), self.files, mode=self.device.mode, **options)

    def update(self, plan=None, permissions=MAY_CONNECT):
        plan = plan or self.plan()
        return list(carry_out(self.host, self.device, plan, self.contents.__getitem__, permissions=permissions))

    def has_everything(self):
        """Every module at its place, by the board's own flash."""
        return all(
            self.board.internal.read(f.module.start_address, len(d) - f.module.payload_offset)
            == d[f.module.payload_offset :]
            for f in self.files
            for d in [self.contents[f.sha256]]
        )


@pytest.fixture
def desk():
    made = []

    def make(*arguments, **options):
        made.append(Desk(*arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.bench.close()


def ran(desk):
    """How often anything but the bootloader ran."""
    truth = desk.board.truth
    return truth.app_boots, truth.safe_mode_boots


def kinds(plan):
    return [phase.kind for phase in plan.phases]


def real_set(assets, platform, *, version="2.1.0"):
    updates = sorted((assets / "updates").glob(f"{platform}-*@{version}*"))
    assert updates
    return [p.read_bytes() for p in (*updates, assets / "binaries" / APPS[platform])]


@pytest.fixture
def assets(particle_cli_firmware):
    return particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets"


WITHOUT_RUNNING = [PhaseKind.ENTER_DFU, PhaseKind.BOOTLOADER_COPIES, PhaseKind.FLASH, PhaseKind.PROVE]


@pytest.mark.firmware
@pytest.mark.parametrize("platform", ["boron", "tracker"])
def test_whole_set_without_a_moment_of_application(desk, assets, platform):
    """Older bootloader, SoftDevice, system part and application: all replaced, and nothing but the bootloader ran."""
    d = desk(
        platform,
        real_set(assets, platform),
        factory="new",
        factory_modules=lambda kind: [bootloader_stand_in(kind, 1003), old_softdevice(kind)],
    )
    plan = d.plan()
    assert kinds(plan) == WITHOUT_RUNNING
    assert plan.permissions_needed == ()
    assert plan.harmless_if_interrupted
    before = ran(d)
    events = d.update(plan, Permissions())
    assert {e.sha256 for e in events if isinstance(e, ModuleProven)} == set(d.contents)
    assert d.has_everything()
    assert d.device.mode is UsbMode.DFU
    assert ran(d) == before
    assert not d.board.truth.went_online
    assert kinds(d.plan()) == []
    assert d.board.decide_boot().runs in ("app", "listening")


def older_boron(desk, assets, **options):
    def ground(kind):
        return [bootloader_stand_in(kind, 1003), old_softdevice(kind)]

    return desk("boron", real_set(assets, "boron"), factory="new", factory_modules=ground, **options)


@pytest.mark.firmware
@pytest.mark.parametrize("percent", [0, 5, 11, 14, 17, 20, 25, 40, 55, 60, 63, 70, 85, 94, 98])
def test_unplugged_anywhere_and_again_it_ends_the_same_and_ran_nothing(desk, assets, percent):
    whole = older_boron(desk, assets)
    whole.to_dfu()
    before = whole.board.truth.dfu_transfers
    whole.update()
    at = before + (whole.board.truth.dfu_transfers - before) * percent // 100 + 1
    fault = {"do": "unplug", "at": "dfu_transfer", "n": at, "replug_after_s": 1.0}
    d = older_boron(desk, assets, faults=[fault])
    d.to_dfu()
    with pytest.raises(TransportError):
        d.update(permissions=Permissions())
    d.board.clock.sleep(5)
    if d.device.mode is UsbMode.NORMAL:
        # As it was, or complete: it is never half-written outside DFU mode.
        assert d.board.truth.erases == 0 or d.has_everything()
    before = ran(d)
    d.update(permissions=Permissions())
    assert ran(d) == before
    assert d.has_everything()
    assert not d.board.truth.went_online


@pytest.mark.firmware
def test_old_bootloader_goes_through_the_running_system_and_needs_the_permission(desk, assets):
    d = desk("boron", real_set(assets, "boron"), factory_modules=boron_1_4_4)
    fill(d, boron_1_4_4(d.board.hardware))
    plan = d.plan()
    assert kinds(plan) == [PhaseKind.CONTROL_UPDATE, *WITHOUT_RUNNING]
    assert [f.module.function for f in plan.phases[0].files] == [ModuleFunction.BOOTLOADER]
    erases = d.board.truth.erases
    with pytest.raises(PermissionMissingError) as error:
        d.update(plan, Permissions())
    assert "bootloader 0 v1005" in str(error.value)
    assert "debug probe" in str(error.value)
    assert d.board.truth.erases == erases
    d.update(plan)
    assert d.has_everything()
    assert d.device.mode is UsbMode.DFU


@pytest.mark.firmware
def test_old_bootloader_of_a_board_in_dfu_mode_is_installed_by_flag(desk, assets):
    d = desk("boron", real_set(assets, "boron"), factory_modules=boron_1_4_4)
    fill(d, boron_1_4_4(d.board.hardware))
    d.to_dfu()
    plan = d.plan()
    assert kinds(plan) == [PhaseKind.INSTALL_BY_FLAG, *WITHOUT_RUNNING]
    d.update(plan)
    assert d.has_everything()


@pytest.mark.firmware
def test_board_in_dfu_mode_without_a_system_is_written_first(desk, assets):
    d = desk("boron", real_set(assets, "boron"), factory_modules=boron_1_4_4)
    fill(d, boron_1_4_4(d.board.hardware))
    d.to_dfu()
    d.board.internal.erase_sector(0x30000)
    plan = d.plan()
    assert kinds(plan)[:2] == [PhaseKind.FLASH, PhaseKind.INSTALL_BY_FLAG]
    d.update(plan)
    assert d.has_everything()


def boron_1_4_4(kind):
    return [bootloader_stand_in(kind, 501), old_softdevice(kind), *system_stand_ins(kind, 1406, 501)]


def fill(d, modules):
    """Another past for a board."""
    for data in modules:
        install(d.board.internal, d.board.hardware, data)
    install(d.board.internal, d.board.hardware, app_stand_in(d.board.hardware, 1406))
    d.board.reset_pin()
    d.board.clock.sleep(2)


@pytest.mark.firmware
def test_only_the_application_differs(desk, assets):
    d = desk("boron", real_set(assets, "boron"))
    d.update()
    d.files = d.files[:-1]
    app = app_stand_in(d.board.hardware, 2101, version=7)
    sha256 = hashlib.sha256(app).hexdigest()
    d.files.append(ModuleFile(parse(app), sha256, "app.bin"))
    d.contents = {f.sha256: d.contents.get(f.sha256, app) for f in d.files}
    plan = d.plan()
    assert kinds(plan) == [PhaseKind.FLASH, PhaseKind.PROVE]
    erases = d.board.truth.erases
    d.update(plan, Permissions())
    assert d.has_everything()
    assert d.board.truth.erases - erases <= 5


@pytest.mark.firmware
@pytest.mark.parametrize("platform", ["photon", "electron"])
def test_second_generation(desk, assets, platform):
    """The bootloader that is there suffices: no permission. An older one is replaced by the system."""
    d = desk(platform, real_set(assets, platform))
    plan = d.plan()
    assert kinds(plan) == [PhaseKind.ENTER_DFU, PhaseKind.FLASH, PhaseKind.PROVE]
    before = ran(d)
    d.update(plan, Permissions())
    assert d.has_everything()
    assert ran(d) == before


@pytest.mark.firmware
def test_photon_upgrade_and_downgrade_of_the_bootloader(desk, assets):
    kind = hardware("photon")
    d = desk("photon", real_set(assets, "photon"), factory_modules=lambda k: [bootloader_stand_in(k, 1003)])
    plan = d.plan()
    assert kinds(plan) == [PhaseKind.CONTROL_UPDATE, PhaseKind.ENTER_DFU, PhaseKind.FLASH, PhaseKind.PROVE]
    d.update(plan)
    assert d.has_everything()
    old = [bootloader_stand_in(kind, 501), *system_stand_ins(kind, 1406, 501), app_stand_in(kind, 1406)]
    d.contents = {hashlib.sha256(data).hexdigest(): data for data in old}
    d.files = [ModuleFile(parse(data), sha256, f"{sha256[:8]}.bin") for sha256, data in d.contents.items()]
    plan = d.plan()
    assert kinds(plan) == [
        PhaseKind.FLASH,
        PhaseKind.LEAVE_DFU,
        PhaseKind.CONTROL_UPDATE,
        PhaseKind.ENTER_DFU,
        PhaseKind.PROVE,
    ]
    d.update(plan)
    assert d.has_everything()


@pytest.mark.firmware
def test_leaving_ends_in_the_application(desk, assets):
    d = desk("boron", real_set(assets, "boron"))
    plan = d.plan(leave=True)
    assert kinds(plan)[-2:] == [PhaseKind.PROVE, PhaseKind.LEAVE_DFU]
    events = d.update(plan)
    assert isinstance(events[-1], PhaseStarted)
    assert d.device.mode is UsbMode.NORMAL
    assert d.has_everything()


@pytest.mark.firmware
@pytest.mark.parametrize("radio", [softdevice_stand_in, old_softdevice], ids=["flash alone", "copies too"])
def test_update_that_somebody_else_armed_is_not_disturbed(desk, assets, radio):
    modules = real_set(assets, "boron")
    d = desk("boron", modules, factory_modules=lambda kind: [modules[0], radio(kind)])
    d.to_dfu()
    d.board.dct.write(1753, b"\xa5")
    erases = d.board.truth.erases
    with pytest.raises(PlanRefusedError, match="OTA region"):
        d.update()
    assert d.board.truth.erases == erases


@pytest.mark.parametrize("version", [2102, 2205], ids=["the same", "another"])
def test_update_that_was_out_of_reach_is_told_of_and_the_run_behind_the_next_start_completes_it(desk, version):
    """A Photon whose own copy of a system part was cut: what waits shows when the system is whole, not before."""
    kind = hardware("photon")
    ground = [bootloader_stand_in(kind, 1005)]
    modules = [*system_stand_ins(kind, 2102, 1005), app_stand_in(kind, 2102)]
    d = desk("photon", modules, factory_modules=lambda _kind: ground)
    d.to_dfu()
    waits = system_stand_ins(kind, version, 1005)[0]
    part = parse(waits)
    assert (part.function, part.index) == (ModuleFunction.SYSTEM_PART, 1)
    d.board.internal.load(0x080C0000, waits)
    verified = dct.SlotFlag.VERIFY_CRC | dct.SlotFlag.VERIFY_DESTINATION | dct.SlotFlag.VERIFY_FUNCTION
    device = dct.FlashDevice.INTERNAL
    copy = dct.ModuleCopy(0x080C0000, part.start_address, part.size_bytes, part.function, verified, device)
    d.board.dct.write(dct.slot_offset(1), copy.encode())
    d.board.internal.load(part.start_address + 0x8000, b"\xff" * 0x18000)

    with pytest.raises(UpdateNotAppliedError, match="update slot 1 copies") as error:
        d.update(permissions=Permissions())
    assert "everything is written" in error.value.message
    assert "particle-dev mode normal --may-connect" in error.value.hint
    assert d.has_everything()
    with pytest.raises(PlanRefusedError, match="update slot 1 copies") as refused:
        d.files[-1] = changed = ModuleFile(parse(app := app_stand_in(kind, 2102, version=9)), "f" * 64, "app.bin")
        d.contents[changed.sha256] = app
        d.update(permissions=Permissions())
    assert "particle-dev mode normal --may-connect" in refused.value.hint

    change_mode(d.host, d.device, Target.NORMAL, MAY_CONNECT)
    d.update()
    assert d.device.mode is UsbMode.DFU
    d.contents = {f.sha256: d.contents[f.sha256] for f in d.files}
    assert d.has_everything()
    assert d.board.dct.modules() == []


FAMILIES = {
    # platform: versions of system part and bootloader before, after
    "argon": ((2101, 1005), (3302, 1100)),
    "boron": ((2101, 1005), (6101, 3001)),
    "bsom": ((3302, 1100), (2101, 1005)),
    "b5som": ((2101, 1005), (5501, 2300)),
    "tracker": ((6200, 3100), (6101, 3001)),
    "esomx": ((4006, 1101), (6200, 3100)),
    "xenon": ((1406, 501), (1512, 502)),
    "photon": ((1406, 501), (3302, 1100)),
    "p1": ((3302, 1100), (2101, 1005)),
    "electron": ((2101, 1005), (3302, 1100)),
    "p2": ((5501, 2300), (6200, 3100)),
    "photon2": ((6200, 3100), (5501, 2300)),
    "trackerm": ((5501, 2300), (6101, 3001)),
    "msom": ((6101, 3001), (6200, 3100)),
}
WITHOUT_PERMISSION = {"argon", "boron", "bsom", "b5som", "tracker", "esomx"}


def stand_ins(kind, system_version, bootloader_version):
    return [
        bootloader_stand_in(kind, bootloader_version),
        *system_stand_ins(kind, system_version, bootloader_version),
        app_stand_in(kind, system_version),
    ]


@pytest.mark.parametrize("in_dfu", [False, True], ids=["running", "in DFU mode"])
@pytest.mark.parametrize("platform", FAMILIES)
def test_every_family_up_and_down(desk, platform, in_dfu):
    kind = hardware(platform)
    before, after = FAMILIES[platform]
    d = desk(
        platform,
        stand_ins(kind, *after),
        factory_modules=lambda k: [bootloader_stand_in(k, before[1]), *([softdevice_stand_in(k)] if k.is_gen3 else [])],
    )
    wipe(d)
    for data in stand_ins(kind, *before):
        install(d.board.internal, kind, data)
    d.board.reset_pin()
    d.board.clock.sleep(2)
    if in_dfu:
        d.to_dfu()
    plan = d.plan()
    assert (plan.permissions_needed == ()) is (platform in WITHOUT_PERMISSION)
    ran_before = ran(d)
    d.update(plan, Permissions(may_connect=bool(plan.permissions_needed)))
    assert d.has_everything()
    assert d.device.mode is UsbMode.DFU
    assert kinds(d.plan()) == []
    assert d.board.decide_boot().runs in ("app", "listening")
    if platform in WITHOUT_PERMISSION:
        assert ran(d) == ran_before
        assert not d.board.truth.went_online


def wipe(d):
    """System parts and applications of the factory."""
    flash = d.board.internal
    for slot in d.board.hardware.platform.module_slots:
        if slot.function in (ModuleFunction.SYSTEM_PART, ModuleFunction.USER_PART) and slot.storage == "internal_flash":
            start = slot.start_address or slot.end_address - slot.max_size_bytes
            flash.load(start, b"\xff" * (slot.end_address - start))


@pytest.mark.firmware
@pytest.mark.parametrize("at", [3, 30, 60])
def test_unplugged_in_a_control_update_and_again(desk, assets, at):
    fault = {"do": "unplug", "at": "control_transfer", "n": at, "replug_after_s": 1.0}
    d = desk(
        "photon", real_set(assets, "photon"), faults=[fault], factory_modules=lambda k: [bootloader_stand_in(k, 1003)]
    )
    with pytest.raises(TransportError):
        d.update(d.plan())
    d.board.clock.sleep(5)
    d.update(d.plan())
    assert d.has_everything()


@pytest.mark.firmware
@pytest.mark.parametrize("platform", ["boron", "tracker", "photon"])
def test_real_release_up_and_down_again(desk, assets, particle_cli_firmware, platform):
    newer = particle_cli_firmware / "particle-cli-2.16.0" / "package" / "assets" / "updates"
    old = real_set(assets, platform)
    d = desk(platform, old)
    d.update()
    new = [p.read_bytes() for p in sorted(newer.glob(f"{platform}-*@2.2.0*"))] + old[-1:]
    for modules, bootloader in ((new, 1006), (old, 1005)):
        d.contents = {hashlib.sha256(data).hexdigest(): data for data in modules}
        d.files = [ModuleFile(parse(data), sha256, f"{sha256[:8]}.bin") for sha256, data in d.contents.items()]
        plan = d.plan()
        assert bool(plan.permissions_needed) is (platform == "photon")
        d.update(plan, Permissions(may_connect=platform == "photon"))
        assert d.has_everything()
        assert d.inventory().find(ModuleFunction.BOOTLOADER, 0).version == bootloader
