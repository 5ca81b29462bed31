"""Carrying out a plan on virtual boards with stand-in modules: what is erased, what is written, in which order."""

import hashlib

import pytest
from particle_harness.boards import hardware
from particle_harness.factory import app_stand_in, bootloader_stand_in, softdevice_stand_in, system_stand_ins

from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.device.modes import enter_dfu
from particle_dev.errors import VerifyError, WrongDeviceError
from particle_dev.flash.execute import flash, verify
from particle_dev.flash.inventory import inventory_by_dfu
from particle_dev.flash.plan import ModuleFile, make_plan
from particle_dev.flash.progress import BlockWritten, BrakeSet, ModuleCompared, SectorErased
from particle_dev.protocol.module import parse
from particle_dev.station.bench import open_bench


def factory(platform):
    board = hardware(platform)
    modules = [bootloader_stand_in(board, 1005)]
    return [*modules, softdevice_stand_in(board)] if board.is_gen3 else modules


class Bench:
    def __init__(self, platform):
        self.bench = open_bench(
            "virtual",
            options={"clock": "virtual"},
            slots=[{"name": "1", "platform": platform}],
            factory_modules=factory,
        )
        slot = self.bench.slots[0]
        self.host = slot.host
        device = wait_for_device(slot.host, slot.port_path, 10)
        self.device, _ = enter_dfu(slot.host, device)
        self.board = self.bench.driver.board("1")
        kind = hardware(platform)
        self.contents = {}
        self.files = []
        for data in [*system_stand_ins(kind, 2101, 1005), app_stand_in(kind, 2101)]:
            sha256 = hashlib.sha256(data).hexdigest()
            self.contents[sha256] = data
            self.files.append(ModuleFile(parse(data), sha256, f"{sha256[:8]}.bin"))
        with DfuSession(self.host, self.device) as session:
            self.plan = make_plan(inventory_by_dfu(session), self.files)

    def flash(self):
        with DfuSession(self.host, self.device) as session:
            return list(flash(self.plan, session, self.contents.__getitem__))

    def verify(self):
        with DfuSession(self.host, self.device) as session:
            return list(verify(self.plan, session, self.contents.__getitem__))


@pytest.fixture(params=["boron", "photon"])
def bench(request):
    made = Bench(request.param)
    yield made
    made.bench.close()


def of(kind, events):
    return [e for e in events if isinstance(e, kind)]


def test_brake_is_the_first_erase_and_the_last_write(bench):
    events = bench.flash()
    changes = [e for e in events if isinstance(e, SectorErased | BrakeSet | BlockWritten)]
    assert changes[0].address == bench.plan.brake_address
    assert isinstance(changes[1], BrakeSet)
    last = of(BlockWritten, events)[-1]
    assert last.done_bytes == last.total_bytes == bench.plan.size_bytes
    assert {v.sha256 for v in bench.verify()} == set(bench.contents)
    assert not bench.board.decide_boot().safe_mode


def test_what_is_right_stays(bench):
    bench.flash()
    erases, programs = bench.board.truth.erases, bench.board.truth.programs
    events = bench.flash()
    assert {type(e) for e in events} == {ModuleCompared}
    assert all(e.right_bytes == e.size_bytes for e in of(ModuleCompared, events))
    assert (bench.board.truth.erases, bench.board.truth.programs) == (erases, programs)


def test_one_wrong_byte_costs_its_sector_and_the_brake(bench):
    bench.flash()
    write = bench.plan.writes[0]
    wrong = write.address + 100
    before = bench.board.internal.read(wrong, 1)[0]
    bench.board.internal.program(wrong, bytes([before & before - 1]))
    events = bench.flash()
    erased = [e.address for e in of(SectorErased, events)]
    assert erased[0] == bench.plan.brake_address
    assert len(erased) == 2
    assert erased[1] <= wrong < erased[1] + of(SectorErased, events)[1].size_bytes
    assert {v.sha256 for v in bench.verify()} == set(bench.contents)


def test_verify_names_the_first_wrong_byte(bench):
    bench.flash()
    write = bench.plan.writes[0]
    address = write.address + 100
    before = bench.board.internal.read(address, 1)[0]
    bench.board.internal.program(address, bytes([before & before - 1]))
    with pytest.raises(VerifyError) as error:
        bench.verify()
    assert (error.value.address, error.value.expected, error.value.actual) == (address, before, before & before - 1)


def test_plan_of_another_board(bench):
    other = Bench(bench.plan.platform.name)
    object.__setattr__(bench.plan, "device_id", "0" * 24)
    with pytest.raises(WrongDeviceError):
        bench.flash()
    assert bench.board.truth.erases == 0
    other.bench.close()
