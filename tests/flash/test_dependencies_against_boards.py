"""The resolver against virtual boards, which have boot rules of their own, written from the same sources by others.

Sets of modules, sound and unsound ones, are put into the flash of a board; then both say where the boot ends.
"""

import dataclasses
import hashlib
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from particle_harness.bench import open_bench
from particle_harness.factory import (
    SOFTDEVICE_FIRMWARE_ID,
    bootloader_stand_in,
    build_module,
    install,
    softdevice_stand_in,
)
from particle_harness.user_information import mbr_stand_in

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.errors import PlanRefusedError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.boot_outcome import BootEnd, boot_outcome
from particle_dev.flash.carry_out import carry_out
from particle_dev.flash.dependencies import resolve
from particle_dev.flash.inventory import inventory_by_dfu
from particle_dev.flash.progress import BlockWritten, BrakeSet, SectorErased
from particle_dev.flash.update_plan import make_update_plan
from particle_dev.protocol.module import parse
from particle_dev.station.bench import open_bench as open_desk

BOOT, RADIO, SYSTEM, USER = (
    ModuleFunction.BOOTLOADER,
    ModuleFunction.RADIO_STACK,
    ModuleFunction.SYSTEM_PART,
    ModuleFunction.USER_PART,
)
NONE = (0, 0, 0)
RUNS = {"app": BootEnd.APPLICATION, "safe_mode": BootEnd.SAFE_MODE, "dfu": BootEnd.DFU, "hung": BootEnd.HANGS}


def codes(resolution):
    return {finding.code for finding in resolution.findings}


# Why a virtual board, like the real one, may run what the resolver refuses.
STRICTER = {
    "an erased SoftDevice reads as version 65535, which meets every need": lambda r: (
        not any(part.function == RADIO for part in r.after)
    ),
    "nobody looks at the bytes or needs of a Photon's part 1 when it starts": lambda r: any(
        part.key == (SYSTEM, 2) for part in r.after
    ),
    "an application runs, but not the one that was offered": lambda r: bool(
        codes(r) & {"other_application_wins", "duplicate"}
    ),
    "no place of this Device OS, yet the board runs what it has": lambda r: "no_slot" in codes(r),
}


@pytest.fixture(scope="module")
def boards():
    """One board of each kind, set up by a former owner, so that its network credentials are there."""
    made = {}
    for name in ("boron", "tracker", "argon", "photon"):
        bench = open_bench(
            options={"clock": "virtual"},
            slots=[{"name": "1", "platform": name, "factory": "online"}],
            state_dir=None,
            factory_modules=lambda _, name=name: (),
        )
        made[name] = (bench, bench.board("1"))
    yield {name: board for name, (_, board) in made.items()}
    for bench, _ in made.values():
        bench.close()


def part_of(data, name="set"):
    part = ModuleFile(parse(data), "", name).part
    return dataclasses.replace(part, intact=parse(data).crc32.ok)


def fill(board, modules):
    chip = board.internal.chip
    board.internal.load(chip.base_address, b"\xff" * chip.size_bytes)
    if board.hardware.is_gen3:
        board.internal.load(0, mbr_stand_in())
    for data in modules:
        install(board.internal, board.hardware, data)
    if any(parse(data).function == BOOT for data in modules):
        # Bodies are made up; a board asks for the vector table of its bootloader, too.
        stack_pointer = 0x2003F000 if board.hardware.is_gen3 else 0x20020000
        board.internal.load(board.hardware.bootloader_address, stack_pointer.to_bytes(4, "little"))


def end_of(board):
    decision = board.decide_boot()
    if decision.runs == "listening":
        return BootEnd.SAFE_MODE if decision.safe_mode else BootEnd.APPLICATION
    return RUNS[decision.runs]


@dataclass(frozen=True)
class Spec:
    """A module to be made; small in the report of a failure."""

    function: ModuleFunction
    index: int
    version: int
    start_address: int
    size_bytes: int = 0x1000
    needs: tuple = ()
    spoiled: bool = False

    def build(self, hardware):
        if self.function == RADIO:
            return softdevice_stand_in(hardware)
        needs = [*self.needs, NONE, NONE]
        options = {"need1": needs[0], "need2": needs[1]}
        if self.start_address == 0x28000:
            # From 6.2.0 on there is a legacy module inside, which older bootloaders look for at 0x30000.
            legacy = build_module(hardware, SYSTEM, 1, self.version, start_address=0x30000, size_bytes=0x1000)
            options["body"] = bytes(0x8000 - 0x200 - 24) + legacy
        data = build_module(
            hardware,
            self.function,
            self.index,
            self.version,
            start_address=self.start_address,
            size_bytes=self.size_bytes,
            **options,
        )
        return data[:0x600] + bytes([data[0x600] ^ 1]) + data[0x601:] if self.spoiled else data


BOOTLOADERS = st.sampled_from([501, 1005, 1100, 3001, 3100])
# 6.1.2 (6102) is left out: virtual boards date the system part at 0x28000 from 6.2.0 on.
SYSTEMS = st.sampled_from([1406, 2101, 3005, 3103, 3302, 5501, 6101, 6200, 6201])
MAYBE = st.sampled_from([True, True, True, False])
RARELY = st.sampled_from([False, False, False, False, True])
USER_STARTS = st.sampled_from([{1: 0xD4000}, {2: 0xB4000}, {1: 0xD4000, 2: 0xB4000}, {}])


def chosen(draw, specs):
    """Most of them, one perhaps damaged; nobody can check the radio stack's bytes."""
    specs = [spec for spec in specs if draw(MAYBE) or draw(st.booleans())]
    if specs and draw(st.sampled_from([True, False, False])):
        at = draw(st.integers(0, len(specs) - 1))
        specs[at] = dataclasses.replace(specs[at], spoiled=specs[at].function != RADIO)
    return specs


@st.composite
def gen3_set(draw):
    """Modules that fit together as often as not."""
    system = draw(SYSTEMS)
    bootloader = draw(BOOTLOADERS)
    bootloader_needs = draw(st.sampled_from([(), (), ((SYSTEM, 1, 1102),), ((SYSTEM, 1, 3000),)]))
    low = system >= 6200
    needs = [(BOOT, 0, draw(st.sampled_from([501, bootloader, 3100]))), (RADIO, 0, SOFTDEVICE_FIRMWARE_ID)]
    specs = [
        Spec(BOOT, 0, bootloader, 0xF4000, 0x2000, bootloader_needs),
        Spec(RADIO, 0, SOFTDEVICE_FIRMWARE_ID, 0x1000),
        Spec(
            SYSTEM,
            1,
            system,
            0x28000 if low else 0x30000,
            0xA000 if low else 0x9000,
            tuple(needs[::-1] if draw(st.booleans()) else needs),  # reversed as on Argon
        ),
    ]
    for index, start in draw(USER_STARTS).items():
        need = (SYSTEM, 1, draw(st.sampled_from([326, system, system + 1])))
        size = draw(st.sampled_from([0x1000, 0x21000])) if index == 2 else 0x1000
        specs.append(Spec(USER, index, 6, start, size, (need,)))
    return chosen(draw, specs)


@st.composite
def photon_set(draw):
    versions = st.sampled_from([108, 1512, 2101, 2101])
    part1, part2 = draw(versions), draw(versions)
    needs = ((SYSTEM, 1, draw(st.sampled_from([108, part2]))), (BOOT, 0, draw(st.sampled_from([501, 1003]))))
    specs = [
        Spec(BOOT, 0, draw(st.sampled_from([501, 1005])), 0x08000000),
        Spec(SYSTEM, 1, part1, 0x08020000, needs=((SYSTEM, 2, 207),)),
        Spec(SYSTEM, 2, part2, 0x08060000, needs=needs),
        Spec(USER, 1, 3, 0x080A0000, needs=((SYSTEM, 2, draw(st.sampled_from([6, part2, part2 + 1]))),)),
    ]
    return chosen(draw, specs)


def any_set(board):
    """Sets without two applications in each other's way: such a flash cannot be."""
    return (gen3_set() if board.hardware.is_gen3 else photon_set()).filter(
        lambda specs: sum(s.function == USER for s in specs) < 2 or all(s.size_bytes < 0x20000 for s in specs)
    )


def sound_set(board, version):
    """A set that fits together, and that no board refuses."""
    if board.hardware.is_gen3:
        needs = ((BOOT, 0, 501), (RADIO, 0, SOFTDEVICE_FIRMWARE_ID))
        return [
            Spec(BOOT, 0, 1005, 0xF4000, 0x2000),
            Spec(RADIO, 0, SOFTDEVICE_FIRMWARE_ID, 0x1000),
            Spec(SYSTEM, 1, version, 0x30000, 0x9000, needs),
            Spec(USER, 1, 6, 0xD4000, 0x1000, ((SYSTEM, 1, version),)),
        ]
    return [
        Spec(BOOT, 0, 1005, 0x08000000),
        Spec(SYSTEM, 1, version, 0x08020000, needs=((SYSTEM, 2, 207),)),
        Spec(SYSTEM, 2, version, 0x08060000, needs=((SYSTEM, 1, version), (BOOT, 0, 501))),
        Spec(USER, 1, 3, 0x080A0000, needs=((SYSTEM, 2, version),)),
    ]


PLATFORMS = pytest.mark.parametrize("name", ["boron", "tracker", "argon", "photon"])
PROPERTY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@PLATFORMS
def test_both_say_where_a_boot_ends(boards, name):
    board = boards[name]
    seen = set()

    @PROPERTY
    @given(specs=any_set(board))
    def compare(specs):
        modules = [spec.build(board.hardware) for spec in specs]
        fill(board, modules)
        ours = boot_outcome(board.hardware.platform, [part_of(module) for module in modules])
        if board.hardware.is_gen3 and not any(spec.function == RADIO for spec in specs):
            # An erased SoftDevice reads as version 65535; the resolver asks for one that is there.
            assert ours.end is not BootEnd.APPLICATION or end_of(board) is BootEnd.APPLICATION
            return
        assert ours.end is end_of(board), (ours, board.decide_boot().reasons)
        assert (ours.end is BootEnd.APPLICATION) is not bool(ours.findings)
        seen.add(ours.end)

    compare()
    assert {BootEnd.APPLICATION, BootEnd.SAFE_MODE, BootEnd.DFU} <= seen


@PLATFORMS
def test_what_is_called_safe_runs_and_what_runs_is_called_safe(boards, name):
    board = boards[name]
    verdicts = set()

    @PROPERTY
    @given(old=any_set(board), new=any_set(board), data=st.data())
    def compare(old, new, data):
        new = [spec for spec in new if data.draw(st.booleans())]
        before, after = ([spec.build(board.hardware) for spec in specs] for specs in (old, new))
        offered = [part_of(module, "new") for module in after]
        on_board = [part_of(module, "on the board") for module in before]
        resolution = resolve(board.hardware.platform, offered, on_board)
        fill(board, before)
        for address in resolution.invalidate:
            board.internal.load(address, b"\xff" * 0x1000)
        for module in after:
            install(board.internal, board.hardware, module)
        end = end_of(board)
        verdicts.add((resolution.ok, end))
        if resolution.ok:
            assert end is BootEnd.APPLICATION, board.decide_boot().reasons
        elif end is BootEnd.APPLICATION:
            assert any(applies(resolution) for applies in STRICTER.values()), resolution.findings

    compare()
    assert (True, BootEnd.APPLICATION) in verdicts
    assert any(not ok and end is BootEnd.SAFE_MODE for ok, end in verdicts)


@pytest.fixture(scope="module")
def desks():
    """Hosts with one board each, by platform."""
    made = {
        name: open_desk(
            "virtual",
            options={"clock": "virtual", "delays": "none"},
            slots=[{"name": "1", "platform": name, "factory": "online"}],
            factory_modules=lambda _: (),
        )
        for name in ("boron", "tracker", "argon", "photon")
    }
    yield made
    for bench in made.values():
        bench.close()


@PLATFORMS
def test_plan_without_permission_never_lets_anything_run(desks, name):
    """Whatever was on the board and whatever is offered: until the set is complete every boot would end in DFU mode."""
    slot, board = desks[name].slots[0], desks[name].driver.board("1")
    outcomes = []

    @settings(PROPERTY, max_examples=40)
    @given(old=any_set(board), new=any_set(board))
    # Random sets may all be refused: one that must be installed.
    @example(old=sound_set(board, 1512), new=sound_set(board, 2101))
    # What the bootloader starts is not offered, and stays.
    @example(old=sound_set(board, 1512), new=[s for s in sound_set(board, 1512) if s.index == 2 or s.function == USER])
    def carry(old, new):
        # Without a bootloader a board is in no mode at all.
        assume(any(spec.function == BOOT for spec in old))
        fill(board, [spec.build(board.hardware) for spec in old])
        board.dct.write(0, b"\xff" * 0x1800)
        board.state.dfu_requested = True
        board.reset_pin()
        device = wait_for_device(slot.host, slot.port_path, 10)
        contents = {hashlib.sha256(m).hexdigest(): m for m in (spec.build(board.hardware) for spec in new)}
        files = [ModuleFile(parse(m), sha256, sha256[:8]) for sha256, m in contents.items()]
        with DfuSession(slot.host, device) as session:
            inventory = inventory_by_dfu(session)
        try:
            plan = make_update_plan(inventory, files, mode=device.mode)
        except PlanRefusedError:
            outcomes.append("refused")
            return
        if plan.permissions_needed or not plan.harmless_if_interrupted or not plan.phases:
            outcomes.append("not of this kind")
            return
        ran = board.truth.app_boots, board.truth.safe_mode_boots
        is_braked = False
        ends = []
        for event in carry_out(slot.host, device, plan, contents.__getitem__):
            is_braked |= isinstance(event, BrakeSet)
            if is_braked and isinstance(event, BrakeSet | SectorErased | BlockWritten):
                ends.append(end_of(board))
        assert set(ends[:-1]) <= {BootEnd.DFU}
        assert end_of(board) is BootEnd.APPLICATION, board.decide_boot().reasons
        assert (board.truth.app_boots, board.truth.safe_mode_boots) == ran
        outcomes.append("installed")

    carry()
    assert "refused" in outcomes
    assert "installed" in outcomes, outcomes


REAL = {
    "argon": "tinker-0.8.0-rc.27-argon.bin",
    "boron": "tinker-0.8.0-rc.27-boron.bin",
    "tracker": "tracker-tinker@1.5.4-rc.1.bin",
    "photon": "tinker-0.4.5-photon.bin",
}


@pytest.mark.firmware
@PLATFORMS
def test_real_modules(boards, name, particle_cli_firmware):
    """Device OS 2.1.0 and Tinker as they are, without each of their modules, and with one older."""
    assets = particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets"
    board = boards[name]
    files = [*sorted((assets / "updates").glob(f"{name}-*")), assets / "binaries" / REAL[name]]
    modules = [file.read_bytes() for file in files]
    old = bootloader_stand_in(board.hardware, 501)
    sets = [modules]
    sets += [modules[:n] + modules[n + 1 :] for n in range(len(modules)) if part_of(modules[n]).function != RADIO]
    sets += [[old if part_of(m).function == BOOT else m for m in modules]]
    ends = []
    for chosen in sets:
        fill(board, chosen)
        parts = [part_of(module) for module in chosen]
        resolution = resolve(board.hardware.platform, parts, ())
        assert resolution.outcome.end is end_of(board)
        assert resolution.ok is (end_of(board) is BootEnd.APPLICATION)
        ends.append(resolution.outcome.end)
    assert ends[0] is BootEnd.APPLICATION
    assert ends[-1] is BootEnd.SAFE_MODE
