"""Carrying out a plan on virtual boards with stand-in modules: what is erased, what is written, in which order."""

import hashlib
import random
from itertools import pairwise

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

BOOT, SYSTEM = ModuleFunction.BOOTLOADER, ModuleFunction.SYSTEM_PART


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


def test_the_word_that_makes_an_stm32f2_part_valid_is_the_last_write_of_all():
    """Its bootloader starts whatever has a prefix, so that nothing may be missing when the prefix is there."""
    bench = Bench("photon")
    flash = bench.board.internal
    written = []
    flash.on_program = lambda address, data: written.append((address, len(data))) or data
    bench.flash()
    (part,) = (f for f in bench.files if f.module.start_address == bench.plan.brake_address)
    assert written[-1] == (bench.plan.brake_address + part.module.prefix_offset, 4)
    assert not of(BlockWritten, bench.flash())
    bench.bench.close()


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


LOW_START, HIGH_START = 0x28000, 0x30000


def system_6(start_address, version, *, legacy_header=True):
    """A Boron's system part of Device OS 6. One that starts at 0x28000 carries a second header for bootloaders that
    know 0x30000 only; it has a CRC of its own."""
    kind = hardware("boron")
    needs = {"need1": (ModuleFunction.BOOTLOADER, 0, 3000), "need2": (ModuleFunction.RADIO_STACK, 0, 202)}
    body = bytearray(500_000)
    if start_address == LOW_START and legacy_header:
        inner = build_module(
            kind, ModuleFunction.SYSTEM_PART, 1, version, start_address=HIGH_START, size_bytes=400_000, **needs
        )
        body[: len(inner)] = inner
        body = bytes(HIGH_START - LOW_START - 0x200 - 24) + bytes(body[:480_000])
    return build_module(
        kind,
        ModuleFunction.SYSTEM_PART,
        1,
        version,
        start_address=start_address,
        size_bytes=530_000,
        body=bytes(body),
        **needs,
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((HIGH_START, 6101), (LOW_START, 6200)),
        ((LOW_START, 6200), (LOW_START, 6201)),
        ((LOW_START, 6200), (HIGH_START, 6101)),
    ],
    ids=["up across the border", "within the new layout", "down across the border"],
)
def test_no_moment_of_a_change_of_layout_boots_anything(before, after):
    kind = hardware("boron")
    bench = open_bench(
        "virtual",
        options={"clock": "virtual"},
        slots=[{"name": "1", "platform": "boron"}],
        factory_modules=lambda _name: [bootloader_stand_in(kind, 3100), softdevice_stand_in(kind)],
    )
    slot = bench.slots[0]
    board = bench.driver.board("1")
    device, _ = enter_dfu(slot.host, wait_for_device(slot.host, slot.port_path, 10))
    app = app_stand_in(kind, 6000)
    for address in range(LOW_START, 0xF4000, 4096):
        board.internal.erase_sector(address)
    install(board.internal, kind, system_6(*before))
    install(board.internal, kind, app)
    assert board.decide_boot().runs in ("app", "listening")
    data = system_6(*after)
    contents = {hashlib.sha256(d).hexdigest(): d for d in (data, app)}
    files = [ModuleFile(parse(d), sha256, f"{sha256[:8]}.bin") for sha256, d in contents.items()]
    with DfuSession(slot.host, device) as session:
        plan = make_plan(inventory_by_dfu(session), files)
        endings = []
        for event in flash(plan, session, contents.__getitem__):
            if not isinstance(event, ModuleCompared):
                endings.append(board.decide_boot().runs)
    assert plan.brake_address == HIGH_START
    assert set(endings[:-1]) == {"dfu"}
    assert endings[-1] in ("app", "listening")
    bench.close()


@pytest.mark.parametrize("size_bytes", [0x3000 - 0x148, 0x3000 + 0x148, 0x800])
def test_module_that_starts_within_a_sector_keeps_what_lies_in_front_of_it(size_bytes):
    """An RTL872x application ends at a fixed address; with extensions in its prefix it starts anywhere."""
    kind = hardware("p2")
    end = 0x08600000
    needs = {"need1": (ModuleFunction.SYSTEM_PART, 1, 5901)}
    data = build_module(
        kind, ModuleFunction.USER_PART, 1, 7, start_address=end - size_bytes, size_bytes=size_bytes, **needs
    )
    file = ModuleFile(parse(data), hashlib.sha256(data).hexdigest(), "app.bin")
    bench = open_bench(
        "virtual",
        options={"clock": "virtual"},
        slots=[{"name": "1", "platform": "p2"}],
        factory_modules=lambda _name: [bootloader_stand_in(kind, 2700)],
    )
    slot, board = bench.slots[0], bench.driver.board("1")
    device, _ = enter_dfu(slot.host, wait_for_device(slot.host, slot.port_path, 10))
    sector = (end - size_bytes) // 4096 * 4096
    neighbours = bytes(range(256)) * 16
    board.internal.load(sector, neighbours)
    with DfuSession(slot.host, device) as session:
        plan = make_plan(inventory_by_dfu(session), [file])
        events = list(flash(plan, session, {file.sha256: data}.__getitem__))
        assert len(list(verify(plan, session, {file.sha256: data}.__getitem__))) == 1
        again = list(flash(plan, session, {file.sha256: data}.__getitem__))
    in_front = end - size_bytes - sector
    assert board.internal.read(sector, in_front + size_bytes) == neighbours[:in_front] + data
    assert of(BlockWritten, events)[-1].done_bytes == in_front + size_bytes
    assert [type(e) for e in again] == [ModuleCompared]
    bench.close()


PAGE = 4096


@pytest.fixture(scope="module")
def large():
    """A Boron in DFU mode with a system part of 120 pages beside its application."""
    made = Bench("boron")
    kind = hardware("boron")
    body = random.Random("system").randbytes(120 * PAGE - 1024)
    system = build_module(
        kind, SYSTEM, 1, 2101, start_address=0x30000, size_bytes=len(body) + 600, body=body, need1=(BOOT, 0, 501)
    )
    sha256 = hashlib.sha256(system).hexdigest()
    made.contents[sha256] = system
    files = [f for f in made.files if f.module.function != SYSTEM]
    with DfuSession(made.host, made.device) as session:
        made.plan = make_plan(inventory_by_dfu(session), [*files, ModuleFile(parse(system), sha256, "system.bin")])
    made.image = system
    yield made
    made.bench.close()


def uploads_of(bench):
    """Blocks that were read, from now on."""
    seen, control = [], bench.board.control

    def counted(address, setup, data=b""):
        if (setup.b_request, setup.bm_request_type) == (2, 0xA1):
            seen.append(setup.w_value)
        return control(address, setup, data)

    bench.board.control = counted
    return seen


def test_another_release_is_not_compared_to_its_last_block(large):
    pages = -(-len(large.image) // PAGE)
    large.board.internal.load(0x30000, random.Random("old").randbytes(pages * PAGE))
    seen = uploads_of(large)
    events = large.flash()
    # Eight blocks of the system part; brake, headers and the application's block are read, too.
    assert len(seen) < 16
    (compared,) = [e for e in of(ModuleCompared, events) if e.file_name == "system.bin"]
    assert compared.right_bytes == 0
    assert {v.sha256 for v in large.verify()} >= {hashlib.sha256(large.image).hexdigest()}


@pytest.mark.parametrize("seed", range(40))
def test_whatever_lies_there_is_erased_and_what_is_right_stays_where_it_is_compared(large, seed):
    """Stretches of right, blank and other pages, as interruptions and other releases leave them."""
    dice = random.Random(seed)
    pages = -(-len(large.image) // PAGE)
    wanted = large.image + b"\xff" * (pages * PAGE - len(large.image))
    kinds = []
    while len(kinds) < pages:
        kinds += [dice.choice("rbo")] * dice.choice([1, 2, 15, 40])
    kinds = kinds[:pages]
    content = {
        "b": lambda n: b"\xff" * PAGE,
        "o": lambda n: dice.randbytes(PAGE),
        "r": lambda n: wanted[n * PAGE :][:PAGE],
    }
    large.board.internal.load(0x30000, b"".join(content[kind](n) for n, kind in enumerate(kinds)))
    events = large.flash()
    large.verify()
    assert large.board.internal.read(0x30000, len(large.image)) == large.image
    erased = {(e.address - 0x30000) // PAGE for e in of(SectorErased, events) if e.address >= 0x30000}
    assert {n for n, kind in enumerate(kinds) if kind == "o"} <= erased
    # Nothing is erased without need but the brake, and what lies between two others that were seen.
    last = pages - 2
    asked = (
        sorted({1 + n * last // 7 for n in range(8)})
        if 0 in erased
        else sorted({n * (pages - 1) // 7 for n in range(8)})
    )
    between = {n for start, end in pairwise(asked) if kinds[start] == kinds[end] == "o" for n in range(start, end + 1)}
    assert erased <= {0} | {n for n, kind in enumerate(kinds) if kind == "o"} | between


def test_interrupted_run_goes_on_where_it_stopped(large):
    """The first block that is written is among those that are asked, so what was written is never written again."""
    large.board.internal.load(0x30000, random.Random("old").randbytes(-(-len(large.image) // PAGE) * PAGE))
    with DfuSession(large.host, large.device) as session:
        run = flash(large.plan, session, large.contents.__getitem__)
        written = [next(e for e in run if isinstance(e, BlockWritten)) for _ in range(50)]
        run.close()
    events = large.flash()
    done = sum(e.size_bytes for e in written)
    assert done + sum(e.size_bytes for e in of(BlockWritten, events)) <= large.plan.size_bytes
    large.verify()


def test_what_is_right_is_read_once(large):
    """Compared and read back in one session: nobody else can write meanwhile."""
    large.flash()
    seen = uploads_of(large)
    with DfuSession(large.host, large.device) as session:
        list(flash(large.plan, session, large.contents.__getitem__))
        list(verify(large.plan, session, large.contents.__getitem__))
    pages = sum(-(-write.size_bytes // PAGE) for write in large.plan.writes)
    # The brake's page by itself.
    assert len(seen) <= pages + 1


@pytest.mark.parametrize("sizes", [(100, 5000), (5000, 100), (4096, 4096), (8000, 8191)])
def test_what_was_read_of_a_page_answers_no_more_than_that(large, sizes):
    address = 0x30000 + 512
    with DfuSession(large.host, large.device) as session:
        for size_bytes in (*sizes, max(sizes), 1):
            assert session.read(0, address, size_bytes) == large.board.internal.read(address, size_bytes)
            start = address + 3584
            assert session.read(0, start, size_bytes) == large.board.internal.read(start, size_bytes)
