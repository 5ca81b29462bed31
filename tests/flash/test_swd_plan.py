"""Plans for a debug probe, made without one."""

import zlib

import pytest
from intelhex import IntelHex

from particle_dev.catalog.chips import NRF52840, STM32F205
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.catalog.uicr import UICR_APPROTECT, UICR_START
from particle_dev.errors import FormatError, PermissionMissingError, PlanRefusedError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.hex_file import read_hex
from particle_dev.flash.swd_image import (
    ERASED_PAGE,
    ERASED_PAGE_CRC,
    Segment,
    merge,
    module_segments,
    named_segments,
    pages_of,
    uicr_words,
)
from particle_dev.flash.swd_plan import ChipState, Method, make_restore_plan, make_swd_plan
from particle_dev.permissions import NOTHING, Effect, Permissions
from particle_dev.protocol.module import parse

BORON, PHOTON = platform_by_name("boron"), platform_by_name("photon")
MAY_ERASE = Permissions(may_erase=True)
MBR = Segment("MBR", 0, b"mbr " * 100)
FULL_UICR = bytearray(b"\xff" * 0x400)
FULL_UICR[0x14:0x18] = (0xF4000).to_bytes(4, "little")
FULL_UICR[0x200:0x208] = (0x12).to_bytes(4, "little") * 2


@pytest.fixture(scope="module")
def release(release_store):
    """Device OS 2.1.0 and Tinker, by platform."""

    def segments(platform, app):
        stored = [*release_store.device_os_set(platform.name, "2.1.0").modules, release_store.app(platform.name, app)]
        contents = {m.sha256: release_store.read(m.sha256) for m in stored}
        files = [ModuleFile(parse(contents[m.sha256]), m.sha256, m.file_name) for m in stored]
        return module_segments(platform, files, contents.__getitem__)

    return {BORON: segments(BORON, "tinker-0.8.0-rc.27-boron.bin"), PHOTON: segments(PHOTON, "tinker-0.4.5-photon.bin")}


def state(platform, *segments, hardened=False, uicr=FULL_UICR, parts=None):
    """A chip with these pieces in flash."""
    chip = NRF52840 if platform is BORON else STM32F205
    start = chip.flash_start_address
    crcs = dict.fromkeys(range(start, start + chip.flash_size_bytes, 4096), ERASED_PAGE_CRC)
    crcs |= {a: zlib.crc32(data) for a, data in pages_of(segments).items()}
    known = tuple(s.part for s in segments if s.part) if parts is None else parts
    return ChipState("0" * 24, chip, platform, hardened, bytes(uicr) if chip is NRF52840 else b"", crcs, known)


def inverted(segment):
    return Segment("older", segment.address, bytes(b ^ 0xFF for b in segment.data), segment.part)


def test_a_module_goes_where_its_prefix_says(release):
    addresses = {s.part.function.name: s.address for s in release[BORON]}
    assert addresses == {"BOOTLOADER": 0xF4000, "RADIO_STACK": 0x1000, "SYSTEM_PART": 0x30000, "USER_PART": 0xD4000}


def test_a_blank_chip_needs_no_erase(release):
    plan = make_swd_plan(state(BORON, uicr=b"\xff" * 0x400), [MBR, *release[BORON]], MAY_ERASE)
    assert (plan.method, plan.erase, plan.brake_address, plan.keep) == (Method.PAGES, (), None, ())
    assert (plan.brake_writes, plan.key_address) == ((0x30000,), None)
    assert plan.uicr == {0x10001014: 0xF4000, 0x10001200: 0x12, 0x10001204: 0x12}
    assert not plan.erase_uicr


@pytest.mark.parametrize("count", [66, 67, 68, 120])
def test_the_cheaper_method_is_chosen_only_with_permission(release, count):
    wanted = [MBR, *release[BORON]]
    pages = sorted(pages_of(wanted))[:count]
    older = [Segment("older", page, bytes(4096)) for page in pages]
    chip = state(BORON, *wanted, parts=())
    crcs = {**chip.page_crcs, **{s.address: zlib.crc32(s.data) for s in older}}
    chip = ChipState("0" * 24, NRF52840, BORON, False, bytes(FULL_UICR), crcs, ())
    slow = make_swd_plan(chip, wanted, NOTHING)
    chosen = make_swd_plan(chip, wanted, MAY_ERASE)
    assert slow.method is Method.PAGES
    assert chosen.expected_duration_s == min(p.expected_duration_s for p in (slow, chosen))
    mass_erase_s = 0.169 + len(pages_of(wanted)) * 1024 * 41e-6
    # The brake's page is erased and written even where it is right.
    by_pages_s = len({*pages, 0x30000}) * (0.085 + 1024 * 41e-6)
    assert chosen.method is (Method.MASS_ERASE if mass_erase_s < by_pages_s else Method.PAGES)
    assert (Effect.ERASE in chosen.permissions_needed) is (chosen.method is Method.MASS_ERASE)


def test_a_mass_erase_asks_for_its_permission(release):
    wanted = [MBR, *release[BORON]]
    plan = make_swd_plan(state(BORON, MBR, *map(inverted, release[BORON])), wanted, MAY_ERASE)
    assert plan.method is Method.MASS_ERASE
    with pytest.raises(PermissionMissingError):
        plan.require(NOTHING)


def test_an_stm32f2_is_never_erased_as_a_whole(release):
    plan = make_swd_plan(state(PHOTON, *map(inverted, release[PHOTON])), release[PHOTON], MAY_ERASE)
    assert plan.method is Method.PAGES
    assert {0x08004000, 0x08008000, 0x0800C000, 0x08010000}.isdisjoint({*plan.erase, plan.brake_address})
    assert plan.brake_address == 0x08020000


def test_the_word_that_makes_an_stm32f2_part_a_part_is_written_by_itself(release):
    wanted = release[PHOTON]
    blank = make_swd_plan(state(PHOTON), wanted, NOTHING)
    other_app = make_swd_plan(state(PHOTON, *wanted[:-1], inverted(wanted[-1])), wanted, NOTHING)
    unbraked = make_swd_plan(state(PHOTON, *wanted[:-1], inverted(wanted[-1])), wanted, Permissions(may_connect=True))
    done = make_swd_plan(state(PHOTON, *wanted), wanted, NOTHING)
    keys = [plan.key_address for plan in (blank, other_app, unbraked, done)]
    assert keys == [0x08020184, 0x08020184, None, None]


def test_a_system_part_of_the_new_era_goes_with_the_old(release):
    plan = make_swd_plan(state(BORON, MBR, Segment("6.2", 0x28000, b"newer" * 100)), release[BORON], NOTHING)
    assert plan.pages[0x28000] == ERASED_PAGE
    assert 0x28000 in plan.erase


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        (Segment("beyond", 0x100000, b"data"), "outside the flash"),
        (Segment("ram", 0x20000000, b"data"), "outside the flash"),
        (Segment("across", 0xFFFFE, b"data"), "outside the flash"),
        (Segment("uicr", UICR_START + 0x3FE, b"data"), "behind the registers of UICR"),
        (Segment("app", 0x30100, b"data"), "overlap"),
    ],
)
def test_what_is_refused(release, segment, reason):
    with pytest.raises(PlanRefusedError, match=reason):
        make_swd_plan(state(BORON, MBR), [*release[BORON], segment], MAY_ERASE)


def test_keys_are_not_written_over(release):
    with pytest.raises(PlanRefusedError, match="keys and settings"):
        make_swd_plan(state(PHOTON), [*release[PHOTON], Segment("dct", 0x08004000, b"data")], MAY_ERASE)


def test_a_chip_without_mbr_is_refused(release):
    with pytest.raises(PlanRefusedError, match="no MBR") as caught:
        make_swd_plan(state(BORON), release[BORON], MAY_ERASE)
    assert "--restore" in caught.value.hint


def test_a_set_that_would_boot_into_safe_mode_is_refused(release):
    without_app = [s for s in release[BORON] if s.part.function.name != "USER_PART"]
    with pytest.raises(PlanRefusedError, match="safe mode"):
        make_swd_plan(state(BORON, MBR), without_app, MAY_ERASE)


@pytest.mark.parametrize(
    ("hardened", "word", "locks"),
    [
        (False, 0xFFFFFF5A, True),
        (False, 0xFFFFFF00, True),
        (True, 0xFFFFFF00, True),
        (True, 0xFFFFFF5A, False),
    ],
)
def test_approtect_that_locks_needs_its_permission(release, hardened, word, locks):
    uicr = Segment("UICR", UICR_APPROTECT, word.to_bytes(4, "little"))
    plan = make_swd_plan(state(BORON, MBR, *release[BORON], hardened=hardened), [uicr], NOTHING)
    assert plan.uicr == {UICR_APPROTECT: word}
    assert (Effect.LOCK in plan.permissions_needed) is locks


def test_uicr_is_erased_only_for_bits_that_must_come_back(release):
    chip = state(BORON, MBR, *release[BORON], uicr=bytes(FULL_UICR).replace(b"\x12", b"\x02"))
    plan = make_swd_plan(chip, [Segment("UICR", 0x10001200, b"\x12\x00\x00\x00" * 2)], NOTHING)
    assert plan.erase_uicr
    assert plan.uicr == {0x10001014: 0xF4000, 0x10001200: 0x12, 0x10001204: 0x12}
    assert plan.writes == plan.brake_writes == ()


def test_missing_pages_come_back(release):
    page = b"kept" * 1024
    plan = make_swd_plan(state(BORON, MBR, *release[BORON]), release[BORON], NOTHING, missing_pages={0xE0000: page})
    assert plan.writes == (0xE0000,)
    assert plan.pages[0xE0000] == page


def test_a_dump_is_put_back_with_permission_alone(release):
    pages = pages_of([MBR])
    plan = make_restore_plan(state(BORON), pages, {0x10001014: 0xF4000}, MAY_ERASE, 4_000_000)
    assert plan.permissions_needed == (Effect.ERASE,)
    assert plan.writes == (0,)


def test_a_dump_puts_the_system_part_back_last(release):
    """A blank Photon that loses power meanwhile must not find a system without its application."""
    pages = pages_of(release[PHOTON])
    plan = make_restore_plan(state(PHOTON), pages, {}, MAY_ERASE, 4_000_000)
    last = tuple(a for a in sorted(pages) if 0x08020000 <= a < 0x08040000)
    assert plan.brake_writes == last
    assert set(plan.writes) == set(pages) - set(last)


# ---- restore files --------------------------------------------------------------------------------------------------


def hex_file(path, *segments):
    file = IntelHex()
    for segment in segments:
        file.puts(segment.address, segment.data)
    file.write_hex_file(str(path))
    return path


def test_a_restore_file_is_taken_apart(release, tmp_path):
    wanted = sorted([MBR, *release[BORON], Segment("UICR", UICR_START, bytes(FULL_UICR))], key=lambda s: s.address)
    gap = Segment("", 400, b"\xff" * (4096 - 400))
    found = named_segments(BORON, read_hex(hex_file(tmp_path / "b.hex", *wanted, gap)), "b.hex")
    assert [(s.address, s.part and s.part.key) for s in found] == [(s.address, s.part and s.part.key) for s in wanted]
    assert [s.data for s in found[1:]] == [s.data for s in wanted[1:]]
    assert uicr_words(found) == {0x10001014: 0xF4000, 0x10001200: 0x12, 0x10001204: 0x12}
    plan = make_swd_plan(state(BORON), found, NOTHING)
    assert plan.pages == pages_of(s for s in wanted if s.address < UICR_START) | {0x28000: ERASED_PAGE}


def test_modules_replace_those_of_a_restore_file(release, tmp_path):
    app = release[BORON][-1]
    older = [inverted(s) if s is app else s for s in release[BORON]]
    base = named_segments(BORON, read_hex(hex_file(tmp_path / "b.hex", MBR, *release[BORON])), "b.hex")
    assert merge(base, [app])[-2].data == app.data
    blank = Segment("erased", 0xD4000, b"\xff" * 1024)
    assert blank not in merge([MBR, blank], [app])
    assert older


def test_hex_files_that_are_none(tmp_path):
    path = tmp_path / "x.hex"
    for text, code in (
        (":0400000001020304F2\n:0400020001020304F0\n:00000001FF\n", "overlap"),
        (":0400000001020304F3\n:00000001FF\n", "no_hex"),
        ("\x7fELF", "no_hex"),
        (":00000001FF\n", "empty"),
    ):
        path.write_text(text)
        with pytest.raises(FormatError) as caught:
            read_hex(path)
        assert caught.value.code == code
