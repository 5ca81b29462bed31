"""Real Device OS 1.5.0, 2.1.0 and 2.2.0, one after the other, up and down; and the release that may not be skipped.

npm carries no Device OS 1.1.0, and of the Tracker none after 2.2.0: where the way leads through those, stand-ins take
their place, and the release at the other end is real. The boards are our own models.
"""

import hashlib

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import app_stand_in, bootloader_stand_in, softdevice_stand_in, system_stand_ins

from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.discovery import wait_for_device
from particle_dev.errors import PlanRefusedError
from particle_dev.flash.carry_out import carry_out
from particle_dev.flash.execute import image_of
from particle_dev.flash.inventory import read_inventory
from particle_dev.flash.plan import ModuleFile
from particle_dev.flash.update_plan import make_update_plan
from particle_dev.permissions import Permissions
from particle_dev.protocol.module import parse
from particle_dev.station.bench import open_bench

pytestmark = pytest.mark.firmware
PACKAGES = {"1.5.0": "2.3.0", "2.1.0": "2.12.0", "2.2.0": "2.16.0"}
TINKER = {
    "boron": "tinker-0.8.0-rc.27-boron.bin",
    "photon": "tinker-0.4.5-photon.bin",
    "tracker": "tracker-tinker@1.5.4-rc.1.bin",
}
CONNECT = Permissions(may_connect=True)


class Desk:
    """A board, and the files that were offered to it so far."""

    def __init__(self, firmware, platform, device_os):
        self.firmware, self.platform = firmware, platform
        self.contents = {}
        board = hardware(platform)
        modules = [bootloader_stand_in(board, 501), *([softdevice_stand_in(board)] if board.is_gen3 else [])]
        self.bench = open_bench(
            "virtual",
            options={"clock": "virtual"},
            slots=[{"name": "1", "platform": platform, "device_os": device_os}],
            factory_modules=lambda _: modules,
        )
        self.host, self.board = self.bench.slots[0].host, self.bench.driver.board("1")

    def files(self, *modules):
        made = []
        for name, data in modules:
            sha256 = hashlib.sha256(data).hexdigest()
            self.contents[sha256] = data
            made.append(ModuleFile(parse(data), sha256, name))
        return made

    def release(self, name):
        assets = self.firmware / f"particle-cli-{PACKAGES[name]}" / "package" / "assets"
        paths = [*(assets / "updates").glob(f"{self.platform}-*@{name}*.bin")]
        assert len(paths) == 3, self.platform
        paths.append(assets / "binaries" / TINKER[self.platform])
        return self.files(*((path.name, path.read_bytes()) for path in paths))

    def stand_ins(self, version, bootloader):
        kind = hardware(self.platform)
        modules = [bootloader_stand_in(kind, bootloader), *system_stand_ins(kind, version, bootloader)]
        return self.files(*((f"{n}@stand-in.bin", m) for n, m in enumerate([*modules, app_stand_in(kind, version)])))

    def plan(self, files, **options):
        self.device = wait_for_device(self.host, "1-1", 10)
        inventory = read_inventory(self.host, self.device)
        return make_update_plan(inventory, files, mode=self.device.mode, **options)

    def install(self, files, **options):
        plan = self.plan(files, **options)
        for _ in carry_out(self.host, self.device, plan, self.contents.__getitem__, permissions=CONNECT):
            pass
        self.device = wait_for_device(self.host, "1-1", 10)
        assert self.device.mode is UsbMode.DFU
        decision = self.board.decide_boot()
        assert decision.runs in ("app", "listening"), decision.reasons
        assert not decision.safe_mode, decision.reasons
        # What has the version already is taken for there: the stand-ins of a bootloader and a SoftDevice.
        for file in (f for f in files if f in plan.installs):
            image = image_of(file.module, self.contents[file.sha256])
            assert self.board.internal.read(file.module.start_address, len(image)) == image, file.file_name
        return plan


@pytest.fixture
def desk(particle_cli_firmware):
    opened = []

    def make(platform, device_os):
        opened.append(Desk(particle_cli_firmware, platform, device_os))
        return opened[-1]

    yield make
    for one in opened:
        one.bench.close()


@pytest.mark.parametrize("platform", ["boron", "photon"])
def test_up_and_down_through_real_releases(desk, platform):
    board = desk(platform, "1.1.0")
    for name in ("1.5.0", "2.1.0", "2.2.0", "1.5.0", "2.2.0"):
        plan = board.install(board.release(name))
        assert plan.phases
        assert not board.plan(board.release(name)).phases, "all of it is there"


def test_real_release_behind_one_that_may_not_be_skipped(desk):
    board = desk("boron", "1.0.1")
    wanted = board.release("1.5.0")
    with pytest.raises(PlanRefusedError, match=r"goes through 1\.1\.0 on its way") as error:
        board.plan(wanted)
    assert "Device OS 1.1.0" in error.value.hint
    assert board.board.truth.erases == 0
    between = board.stand_ins(1102, 301)
    plan = board.install(wanted, fetch_release=lambda name: between if name == "1.1.0" else ())
    assert plan.notes[0] == "goes through Device OS 1.1.0"


def test_mended_release_needs_no_stop(desk):
    board = desk("boron", "1.0.1")
    assert not any("1.1.0" in note for note in board.install(board.release("2.2.0")).notes)


def test_tracker_goes_up_through_its_stop_and_down_again(desk):
    """Down there is no stop: the bootloader of the newer release starts the older system."""
    board = desk("tracker", "2.0.1")
    board.install(board.release("2.1.0"))
    newest = board.stand_ins(5600, 2400)
    with pytest.raises(PlanRefusedError, match=r"goes through 3\.0\.0 on its way"):
        board.plan(newest)
    between = board.stand_ins(3005, 1005)[:-1]
    entries = board.board.truth.dfu_entries
    plan = board.install(newest, fetch_release=lambda name: between if name == "3.0.0" else ())
    assert "goes through Device OS 3.0.0" in plan.notes
    assert board.board.truth.dfu_entries >= entries + 2, "Device OS 3.0.0 has run in between"
    plan = board.install(board.release("2.1.0"))
    assert not any("goes through" in note for note in plan.notes)
    assert not board.plan(board.release("2.1.0")).phases, "all of it is there"
    plan = board.install(newest, fetch_release=lambda name: between if name == "3.0.0" else ())
    assert not board.plan(newest, fetch_release=lambda name: between if name == "3.0.0" else ()).phases
