"""The resolver on values: findings, order, stops, and what each memory map allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.catalog.device_os import RELEASES, release_by_name
from particle_dev.catalog.modules import ModuleFunction, ModuleStore, ModuleValidity
from particle_dev.catalog.platforms import PLATFORMS, platform_by_name
from particle_dev.flash.board_modules import Inventory, Need, Part
from particle_dev.flash.boot_outcome import BootEnd, boot_outcome
from particle_dev.flash.dependencies import flashing_order, parts_after, resolve
from particle_dev.flash.releases import STOPS, first_release_with, is_for, release_modules, stops_between
from particle_dev.protocol.messages import InstalledModule

BOOT, RADIO, SYSTEM, USER, NCP, MONO = (
    ModuleFunction.BOOTLOADER,
    ModuleFunction.RADIO_STACK,
    ModuleFunction.SYSTEM_PART,
    ModuleFunction.USER_PART,
    ModuleFunction.NCP_FIRMWARE,
    ModuleFunction.MONO_FIRMWARE,
)
BORON, TRACKER, PHOTON, ELECTRON, P2, CORE = (
    platform_by_name(name) for name in ("boron", "tracker", "photon", "electron", "p2", "core")
)


def part(function, index, version, *needs, at=None, size=0x1000, platform=BORON, intact=True, name=None):
    name = name or f"{function.name.lower()}{index}.bin"
    return Part(name, platform.id, function, index, version, tuple(Need(*n) for n in needs), at, size, intact)


def on_board(*parts):
    return [Part("on the board", *[getattr(p, f) for f in Part.__slots__[1:]]) for p in parts]


def boot(version, *needs, **more):
    return part(BOOT, 0, version, *needs, at=0xF4000, **more)


def system(version, bootloader, at=0x30000, **more):
    return part(SYSTEM, 1, version, (BOOT, 0, bootloader), (RADIO, 0, 202), at=at, size=0x60000, **more)


def app(version, at=0xD4000, index=1, **more):
    return part(USER, index, 6, (SYSTEM, 1, version), at=at, **more)


RADIO_202 = part(RADIO, 0, 202, at=0x1000)
BOARD_2 = on_board(boot(1005), RADIO_202, system(2101, 1005), app(2101))
BOARD_3 = on_board(boot(1100), RADIO_202, system(3302, 1100), app(3103, 0xB4000, 2))
BOARD_6 = on_board(boot(3100), RADIO_202, system(6200, 3100, 0x28000), app(3103, 0xB4000, 2))


def codes(resolution):
    return [finding.code for finding in resolution.findings]


@pytest.mark.parametrize(
    ("board", "offered", "expected", "end"),
    [
        (BOARD_2, [app(2101)], [], BootEnd.APPLICATION),
        (BOARD_2, [app(326)], [], BootEnd.APPLICATION),
        (BOARD_2, [app(2202)], ["too_old"], BootEnd.SAFE_MODE),
        (BOARD_2, [system(2302, 1006)], ["too_old"], BootEnd.SAFE_MODE),
        (BOARD_2, [boot(1006), system(2302, 1006)], [], BootEnd.APPLICATION),
        (BOARD_2, [system(1512, 501)], ["too_old"], BootEnd.SAFE_MODE),
        (BOARD_2, [system(1512, 501), app(1512)], [], BootEnd.APPLICATION),
        (BOARD_2[1:], [app(2101)], ["missing", "missing"], BootEnd.HANGS),
        ([BOARD_2[0], *BOARD_2[2:]], [app(2101)], ["missing"], BootEnd.SAFE_MODE),
        (BOARD_2[:3], [], ["no_application"], BootEnd.SAFE_MODE),
        (BOARD_2[:2], [app(2101)], ["missing", "no_system_part"], BootEnd.DFU),
        (BOARD_2, [app(2101, intact=False)], ["damaged"], BootEnd.SAFE_MODE),
        ([boot(1005, intact=False), *BOARD_2[1:]], [app(2101)], ["damaged"], BootEnd.SAFE_MODE),
        (BOARD_2, [app(2101, platform=PHOTON)], ["wrong_platform"], BootEnd.APPLICATION),
        (BOARD_2, [app(2101), app(2101, name="b")], ["duplicate"], BootEnd.APPLICATION),
        # A bootloader of 1.5.0 to 2.0.0 has a need of its own, which the device looks at.
        (BOARD_2[1:], [boot(1005, (SYSTEM, 1, 1102)), app(2101)], [], BootEnd.APPLICATION),
        (BOARD_2[1:], [boot(1005, (SYSTEM, 1, 2202)), app(2101)], ["too_old"], BootEnd.SAFE_MODE),
        # Three memory maps
        (BOARD_2, [app(2101, 0xB4000, 2)], ["no_slot", "no_application"], BootEnd.SAFE_MODE),
        (BOARD_2, [app(2101, size=0x20001)], ["too_large"], BootEnd.APPLICATION),
        (BOARD_2, [app(2101, 0xD8000)], ["wrong_address"], BootEnd.APPLICATION),
        (BOARD_3, [app(3103, 0xB4000, 2, size=0x40000)], [], BootEnd.APPLICATION),
        (BOARD_3, [app(2101)], [], BootEnd.APPLICATION),
        (BOARD_3, [system(3302, 1100, 0x28000)], ["too_old", "wrong_address"], BootEnd.DFU),
        (BOARD_3, [boot(3100), system(6200, 3100, 0x28000)], [], BootEnd.APPLICATION),
        (BOARD_3, [system(6200, 3100, 0x28000)], ["too_old"], BootEnd.SAFE_MODE),
        (BOARD_3, [boot(3002), system(6102, 3002, 0x28000)], [], BootEnd.APPLICATION),
        # Nothing at 0x30000 for a bootloader that looks there only: 6.1.2 has no legacy prefix.
        (BOARD_3, [system(6102, 3002, 0x28000)], ["too_old"], BootEnd.DFU),
        (BOARD_6, [system(6200, 3100, 0x30000)], ["wrong_address"], BootEnd.APPLICATION),
        (BOARD_6, [system(3302, 1100, 0x30000)], [], BootEnd.APPLICATION),
    ],
)
def test_gen3(board, offered, expected, end):
    resolution = resolve(BORON, offered, board)
    assert sorted(set(codes(resolution))) == sorted(set(expected))
    assert resolution.outcome.end is end
    assert all(f.message and f.hint and f.module for f in resolution.findings)


def test_of_two_applications_that_with_index_1_wins():
    both = on_board(*BOARD_3, app(2101))
    assert boot_outcome(BORON, both).application.index == 1
    small = resolve(BORON, [app(3103, 0xB4000, 2)], both)
    assert small.invalidate == (0xD4000,)
    assert small.outcome.application.index == 2
    large = resolve(BORON, [app(3103, 0xB4000, 2, size=0x30000)], both)
    assert (large.invalidate, large.ok, large.outcome.application.index) == ((), True, 2)


def test_an_application_whose_needs_fail_gives_way_to_the_other():
    both = on_board(*BOARD_3, app(6200))
    assert boot_outcome(BORON, both).application.index == 2


def test_an_application_that_was_offered_must_be_the_one_that_runs():
    former = app(2101, 0xD4000)
    moved = Part(*[getattr(app(3103, 0xB4000, 2), f) if f != "start_address" else None for f in Part.__slots__])
    resolution = resolve(BORON, [moved], [*BOARD_3[:3], former])
    assert codes(resolution) == ["other_application_wins"]
    assert "lower index" in resolution.findings[0].message


def test_an_application_over_the_end_of_an_old_system_part_leaves_no_system():
    long = on_board(boot(1005), RADIO_202, part(SYSTEM, 1, 3005, (BOOT, 0, 1005), at=0x30000, size=0x90000))
    resolution = resolve(BORON, [app(3005, 0xB4000, 2)], long)
    assert resolution.outcome.end is BootEnd.DFU


def test_findings_name_who_needs_what():
    (finding,) = resolve(BORON, [app(3103, name="blink.bin")], BOARD_2).findings
    assert (finding.module, finding.needed, finding.present) == (
        "user part 1 v6 (blink.bin)",
        "system part 1 v3103",
        "system part 1 v2101 (on the board)",
    )
    assert finding.hint == "flash Device OS 3.1.0 or later, or build for the Device OS that the board has"
    without_system = [p for p in BOARD_2 if p.key != (SYSTEM, 1)]
    finding = resolve(BORON, [app(2101)], without_system).findings[0]
    assert finding.hint.startswith("after a flash that was cut short, run that command again")
    assert "--device-os RELEASE" in finding.hint
    (finding,) = resolve(BORON, [system(2302, 1006)], BOARD_2).findings
    assert "offer bootloader 0 too, or install it first" in finding.hint


def photon(part1, part2, bootloader=1005, app_needs=None):
    return [
        part(BOOT, 0, bootloader, at=0x08000000, platform=PHOTON),
        part(SYSTEM, 1, part1, (SYSTEM, 2, 207), at=0x08020000, platform=PHOTON),
        part(SYSTEM, 2, part2, (SYSTEM, 1, part2), (BOOT, 0, 1003), at=0x08060000, platform=PHOTON),
        part(USER, 1, 3, (SYSTEM, 2, app_needs or part2), at=0x080A0000, platform=PHOTON),
    ]


@pytest.mark.parametrize(
    ("board", "end"),
    [
        (photon(2101, 2101), BootEnd.APPLICATION),
        (photon(2101, 2101)[:1] + photon(2101, 2101)[2:], BootEnd.DFU),
        (photon(2101, 2101)[:2] + photon(2101, 2101)[3:], BootEnd.HANGS),
        (photon(2101, 2101)[:1] + photon(2101, 2101)[3:], BootEnd.DFU),
        (photon(1512, 2101), BootEnd.SAFE_MODE),
        (photon(2101, 2101, bootloader=400), BootEnd.SAFE_MODE),
        (photon(2101, 2101, app_needs=2202), BootEnd.SAFE_MODE),
    ],
)
def test_photon_boot(board, end):
    assert boot_outcome(PHOTON, board).end is end


def test_photon_needs_that_the_device_does_not_check_are_findings():
    damaged = [
        p if p.key != (SYSTEM, 1) else part(SYSTEM, 1, 2101, at=0x08020000, platform=PHOTON, intact=False)
        for p in photon(2101, 2101)
    ]
    resolution = resolve(PHOTON, (), damaged)
    assert (resolution.outcome.end, codes(resolution)) == (BootEnd.APPLICATION, ["damaged"])


def test_electron_does_not_check_its_bootloader():
    parts = [
        part(SYSTEM, 1, 2101, (SYSTEM, 3, 2101), at=0x08020000, platform=ELECTRON),
        part(SYSTEM, 2, 2101, (SYSTEM, 1, 2101), (BOOT, 0, 1003), at=0x08040000, platform=ELECTRON),
        part(SYSTEM, 3, 2101, (SYSTEM, 2, 110), at=0x08060000, platform=ELECTRON),
        part(USER, 1, 3, (SYSTEM, 2, 2101), at=0x08080000, platform=ELECTRON),
    ]
    resolution = resolve(ELECTRON, (), parts)
    assert (resolution.outcome.end, codes(resolution)) == (BootEnd.APPLICATION, ["missing"])
    assert boot_outcome(ELECTRON, parts[:2] + parts[3:]).end is BootEnd.HANGS


def test_tracker_needs_the_firmware_of_its_wifi_chip():
    wifi = part(SYSTEM, 1, 4003, (BOOT, 0, 1101), (NCP, 0, 7), at=0x30000, platform=TRACKER)
    board = [boot(1101, platform=TRACKER), app(4003, 0xB4000, 2, platform=TRACKER)]
    assert codes(resolve(TRACKER, [wifi], board)) == ["missing"]
    assert resolve(TRACKER, [wifi], [*board, part(NCP, 0, 7, platform=TRACKER)]).ok


def test_rtl872x_application_ends_at_a_fixed_address():
    board = [
        part(BOOT, 2, 3, at=0x08014000, platform=P2),
        part(BOOT, 0, 2000, (BOOT, 2, 3), at=0x08004000, platform=P2),
        part(SYSTEM, 1, 5002, (BOOT, 0, 2000), at=0x08060000, platform=P2),
    ]
    good = part(USER, 1, 6, (SYSTEM, 1, 5002), at=0x085F4000, size=0xC000, platform=P2)
    assert resolve(P2, [good], board).ok
    assert codes(resolve(P2, [part(USER, 1, 6, at=0x085F4000, size=0xB000, platform=P2)], board)) == ["wrong_address"]
    assert codes(resolve(P2, [good], board[1:])) == ["missing"]


def test_core_runs_one_module():
    assert boot_outcome(CORE, [part(MONO, 0, 1406, at=0x08005000, platform=CORE)]).end is BootEnd.APPLICATION
    assert boot_outcome(CORE, []).end is BootEnd.DFU


# --- order


def names(parts):
    return [(p.function, p.index) for p in parts]


def test_upwards_dependencies_go_first_and_downwards_last():
    new = [app(6200, 0xB4000, 2), system(6200, 3100, 0x28000), boot(3100)]
    order, cycle = flashing_order(new, BOARD_2)
    assert (names(order), cycle) == ([(BOOT, 0), (SYSTEM, 1), (USER, 2)], ())
    old = [boot(1005), system(2101, 1005), app(2101)]
    board = on_board(boot(3100), RADIO_202, system(6200, 3100, 0x28000), app(6200))
    order, cycle = flashing_order(old, board)
    assert (names(order), cycle) == ([(USER, 1), (SYSTEM, 1), (BOOT, 0)], ())


def test_photon_parts_that_need_each_other():
    order, cycle = flashing_order(photon(2101, 2101), photon(1512, 1512))
    assert (names(order), cycle) == ([(BOOT, 0), (SYSTEM, 1), (SYSTEM, 2), (USER, 1)], ())
    order, cycle = flashing_order(photon(2101, 2101), photon(108, 108))
    assert set(names(cycle)) >= {(SYSTEM, 1), (SYSTEM, 2)}
    assert len(order) == 4


LAYERS = [(BOOT, 0), (RADIO, 0), (NCP, 0), (SYSTEM, 1), (SYSTEM, 2), (SYSTEM, 3), (USER, 1)]


@st.composite
def consistent_set(draw):
    """Modules of all layers whose needs the set itself meets; needs point to lower layers."""
    versions = [draw(st.integers(1, 5)) for _ in LAYERS]
    parts = []
    for n, key in enumerate(LAYERS):
        targets = draw(st.lists(st.integers(0, n - 1), max_size=2, unique=True)) if n else []
        needs = [(*LAYERS[t], draw(st.integers(0, versions[t]))) for t in targets]
        parts.append(part(*key, versions[n], *needs))
    return parts


def satisfied(parts):
    board = {p.key: p for p in parts}
    return all(
        (need.function, need.index) in board and board[need.function, need.index].version >= need.version
        for p in parts
        for need in p.needs
    )


@given(consistent_set(), consistent_set(), st.randoms())
def test_every_step_leaves_all_needs_met_unless_a_cycle_is_reported(new, old, dice):
    dice.shuffle(new)
    order, cycle = flashing_order(new, old)
    assert sorted(order, key=repr) == sorted(new, key=repr)
    board = old
    for step in order:
        board = parts_after([step], board)
        if not cycle:
            assert satisfied(board)
    assert satisfied(board)
    if not cycle:
        return
    # A reported cycle is one: from each of its modules a step leads to another of them.
    assert len(cycle) > 1


@given(consistent_set())
def test_on_an_empty_board_needs_come_first(new):
    order, cycle = flashing_order(new, [])
    assert cycle == ()
    place = {p.key: n for n, p in enumerate(order)}
    assert all(place[need.function, need.index] < place[p.key] for p in new for need in p.needs)


# --- releases and stops


@pytest.mark.parametrize(
    ("platform", "present", "target", "through"),
    [
        ("boron", "0.9.0", "1.5.0", ["1.1.0"]),
        ("boron", "0.9.0", "2.0.0", ["1.1.0"]),
        ("boron", "0.9.0", "2.0.1", []),
        ("boron", "1.1.0", "2.0.0", []),
        ("boron", "0.9.0", "1.4.1", []),
        ("electron", "0.5.2", "3.3.1", ["0.5.3", "0.6.4"]),
        ("electron", "0.6.4", "3.3.1", []),
        ("photon", "0.6.3", "2.1.0", ["0.7.0"]),
        ("photon", "0.7.0", "2.1.0", []),
        ("tracker", "2.1.0", "6.2.0", ["3.0.0"]),
        ("tracker", "3.0.0", "6.2.0", []),
        ("boron", "6.2.0", "0.9.0", []),
    ],
)
def test_stops(platform, present, target, through):
    assert [s.through for s in stops_between(platform_by_name(platform), present, target)] == through


def test_each_stop_is_possible_and_has_a_source():
    for stop in STOPS:
        assert stop.source.startswith("device-os v")
        for name in stop.platforms:
            assert is_for(release_by_name(stop.through), platform_by_name(name)), stop
            assert stops_between(platform_by_name(name), stop.through, "6.2.0") == () or name == "electron"


def test_a_resolution_carries_the_stops():
    board = on_board(boot(300), RADIO_202, system(403, 101), app(326))
    assert [s.through for s in resolve(BORON, [boot(1003), system(2008, 1003)], board).stops] == ["1.1.0"]
    assert resolve(BORON, [app(326)], board).stops == ()


@pytest.mark.parametrize(
    ("platform", "release", "made"),
    [
        ("boron", "0.9.0", True),
        ("boron", "1.0.1", False),
        ("photon", "0.9.0", False),
        ("photon", "1.0.1", True),
        ("photon", "4.0.0", False),
        ("p2", "3.2.1-p2.4", True),
        ("p2", "4.0.0", False),
        ("p2", "5.0.0", True),
        ("p2", "6.1.1", False),
        ("boron", "3.2.1-p2.4", False),
        ("tracker", "1.5.1-tracker.1", True),
        ("boron", "1.5.1-tracker.1", False),
        ("xenon", "1.5.2", True),
        ("xenon", "2.0.0", False),
        ("tachyon", "6.2.0", False),
    ],
)
def test_which_releases_a_platform_has(platform, release, made):
    assert is_for(release_by_name(release), platform_by_name(platform)) is made


def test_release_that_has_a_system_part():
    assert first_release_with(BORON, 3103).name == "3.1.0"
    assert first_release_with(BORON, 3102).name == "3.1.0-rc.1"
    assert first_release_with(BORON, 5900).name == "5.9.0"
    assert first_release_with(P2, 3300).name == "5.0.0"
    assert first_release_with(PHOTON, 4003) is None


def test_modules_of_a_release():
    assert release_modules(BORON, release_by_name("2.1.0")) == ((BOOT, 0, 1005), (RADIO, 0, 202), (SYSTEM, 1, 2101))
    assert release_modules(PHOTON, release_by_name("2.1.0")) == (
        (BOOT, 0, 1005),
        (SYSTEM, 1, 2101),
        (SYSTEM, 2, 2101),
    )
    assert release_modules(CORE, release_by_name("1.4.4")) == ()
    for platform in PLATFORMS:
        for release in RELEASES:
            for function, index, _ in release_modules(platform, release) if is_for(release, platform) else ():
                assert platform.slot_for(function, index, release.name), (platform.name, release.name)


def test_parts_of_an_inventory():
    def installed(function, index, version, store=ModuleStore.MAIN, failed=0):
        return InstalledModule(function, index, version, store, 4096, ((BOOT, 0, 1),), ModuleValidity(failed))

    inventory = Inventory(
        "0" * 24,
        BORON,
        "test",
        (
            installed(SYSTEM, 1, 6205, failed=ModuleValidity.DEPENDENCIES),
            installed(BOOT, 0, 3100, failed=ModuleValidity.INTEGRITY),
            installed(USER, 1, 5, ModuleStore.FACTORY),
            installed(USER, 2, 6),
        ),
    )
    parts = {p.key: p for p in inventory.parts}
    assert set(parts) == {(SYSTEM, 1), (BOOT, 0), (USER, 2)}
    # 6205 is no release, so the map of the last one before it counts; unmet needs are computed, not believed.
    assert (parts[SYSTEM, 1].start_address, parts[SYSTEM, 1].intact) == (0x28000, True)
    assert not parts[BOOT, 0].intact
    assert parts[USER, 2].start_address == 0xB4000
