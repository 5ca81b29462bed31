"""Every kind of board: what it shows on USB, what DFU mode writes, what a boot makes of it.

Modules are stand-ins. For RTL872x boards no recording of a real one exists: these tests hold them to the sources only.
"""

import pytest
import usb.core
import usb.util
from particle_harness.bench import open_bench
from particle_harness.boards import hardware, kinds
from particle_harness.boot import fetch_modules
from particle_harness.boot_view import user_module
from particle_harness.factory import (
    app_stand_in,
    bootloader_stand_in,
    known_release,
    release_stand_ins,
    system_stand_ins,
)

from particle_dev.catalog.platforms import platform_by_name
from particle_dev.protocol.module import parse

DNLOAD, UPLOAD, GETSTATUS = 1, 2, 3
GEN2, RTL872X = ("photon", "p1", "electron"), ("p2", "photon2", "trackerm", "msom")
GEN3 = tuple(name for name in kinds() if name not in (*GEN2, *RTL872X))


@pytest.fixture
def make_bench():
    """Open a bench of one board with the bootloader of its time; virtual clock."""
    opened = []

    def make(platform, **slot):
        options = {"clock": "virtual", "delays": slot.pop("delays", "realistic")}
        bench = open_bench(
            options=options,
            slots=[{"name": "1", "platform": platform, **slot}],
            state_dir=slot.pop("state_dir", None),
            factory_modules=lambda name: release_stand_ins(hardware(name)),
        )
        opened.append(bench)
        bench.slots[0].clock.sleep(3)
        return bench

    yield make
    for bench in opened:
        bench.close()


def find(bench):
    return usb.core.find(backend=bench.usb_backend)


class Dfu:
    """DFU mode of a board, by single transfers."""

    def __init__(self, bench):
        self.clock = bench.slots[0].clock
        self.board = bench.board("1")
        self.device = find(bench)

    def status(self):
        return bytes(self.device.ctrl_transfer(0xA1, GETSTATUS, 0, 0, 6, timeout=5000))

    def download(self, block, data):
        self.device.ctrl_transfer(0x21, DNLOAD, block, 0, data)
        self.status()
        return self.status()

    def command(self, code, address):
        return self.download(0, bytes([code]) + address.to_bytes(4, "little"))

    def erase(self, address):
        assert self.command(0x41, address)[4] == 5

    def write(self, address, data):
        end = address + len(data)
        sector, step, _ = self.board.internal.sector(address)
        while sector < end:
            self.erase(sector)
            _, step, _ = self.board.internal.sector(sector)
            sector += step
        assert self.command(0x21, address)[4] == 5
        for block in range(0, len(data), 4096):
            assert self.download(2 + block // 4096, data[block : block + 4096])[4] == 5

    def read(self, address, size):
        self.command(0x21, address)
        self.device.ctrl_transfer(0x21, 6, 0, 0)
        blocks = range(-(-size // 4096))
        data = b"".join(bytes(self.device.ctrl_transfer(0xA1, UPLOAD, 2 + n, 0, 4096)) for n in blocks)
        self.device.ctrl_transfer(0x21, 6, 0, 0)
        return data[:size]

    def leave(self):
        self.device.ctrl_transfer(0x21, DNLOAD, 0, 0, b"")
        state = self.status()[4]
        self.clock.sleep(3)
        self.board.advance()
        return state


def address_of(module):
    return parse(module).start_address


# ---- the factory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", kinds())
def test_factory_boards_are_sound(make_bench, platform):
    board = make_bench(platform, factory="online").board("1")
    assert board.state.runs == "app", board.state.reasons
    modules = fetch_modules(board.boot_view())
    assert all(module.ok for module in modules)
    main = [m for m in modules if not m.bounds.external and m.bounds.store == 0]
    assert len(main) == (5 if platform in (*RTL872X, "electron", "argon") else 4)


@pytest.mark.parametrize("platform", kinds())
def test_stand_ins_are_modules_for_our_parser(platform):
    kind = hardware(platform)
    version, bootloader_version = known_release(kind.factory_device_os)
    files = [*release_stand_ins(kind), *system_stand_ins(kind, version, bootloader_version)]
    for data in [*files, app_stand_in(kind, version, linked_for=version)]:
        module = parse(data)
        assert (module.crc32.ok, module.sha256.ok) == (True, True)
        assert module.platform_id == platform_by_name(platform).id


@pytest.mark.parametrize(
    ("platform", "prefix"), [("boron", "e00fce68"), ("p2", "0a10aced2021"), ("trackerm", "0a10aced2021")]
)
def test_device_ids_begin_as_their_family_has_it(make_bench, platform, prefix):
    serial = find(make_bench(platform)).serial_number
    assert serial.startswith(prefix)
    assert len(serial) == 24


# ---- descriptors ----------------------------------------------------------------------------------------------

NAMES = {
    "argon": ("Argon CDC Mode", "Argon DFU Mode"),
    "boron": ("Boron CDC Mode", "Boron DFU Mode"),
    "xenon": ("Xenon CDC Mode", "Xenon DFU Mode"),
    "asom": ("A SoM CDC Mode", "A SoM DFU Mode"),
    "xsom": ("X SoM CDC Mode", "X SoM DFU Mode"),
    "bsom": ("B SoM CDC Mode", "B SoM DFU Mode"),
    "b5som": ("B5 SOM CDC Mode", "B5 SoM DFU Mode"),
    "tracker": ("Tracker CDC Mode", "Tracker DFU Mode"),
    "esomx": ("E SoM X CDC Mode", "E SoM X DFU Mode"),
    "photon": ("Photon", "Photon DFU Mode"),
    "p1": ("P1", "P1 DFU Mode"),
    "electron": ("Electron", "Electron DFU Mode"),
    "p2": ("P2", "P2 DFU Mode"),
    "photon2": ("Photon 2", "Photon 2 DFU Mode"),
    "msom": ("M-SoM", "M-SoM DFU Mode"),
    "trackerm": ("TrackerM", "TrackerM DFU Mode"),
}


@pytest.mark.parametrize("platform", kinds())
def test_identity_while_it_runs(make_bench, platform):
    device = find(make_bench(platform))
    assert (device.idVendor, device.idProduct) == platform_by_name(platform).usb_normal
    assert device.product == NAMES[platform][0]
    interfaces = list(device.get_active_configuration())
    assert [i.bInterfaceClass for i in interfaces] == ([255, 2, 10] if platform in RTL872X else [2, 10, 255])
    control = next(i for i in interfaces if i.bInterfaceClass == 255)
    assert usb.util.get_string(device, control.iInterface).endswith("Control Interface")


@pytest.mark.parametrize("platform", kinds())
def test_identity_in_dfu_mode(make_bench, platform):
    device = find(make_bench(platform, arrives_in="dfu"))
    assert (device.idVendor, device.idProduct) == platform_by_name(platform).usb_dfu
    assert device.bcdDevice == (0x0250 if platform in GEN2 else 0x0252 if platform in RTL872X else 0x0251)
    assert device.product == NAMES[platform][1]
    alternates = list(device.get_active_configuration())
    names = [usb.util.get_string(device, alternate.iInterface) for alternate in alternates]
    dct = "@DCD Flash" if platform in GEN3 else "@DCT Flash"
    third = ["@External Flash"] if platform in GEN3 else ["@Serial Flash"] if platform == "p1" else []
    assert [name.split("   /")[0] for name in names] == ["@Internal Flash", dct, *third]
    starts = {alt.alt: alt.base_address for alt in platform_by_name(platform).dfu_alts}
    assert {n: int(name.split("/")[1], 16) for n, name in enumerate(names)} == starts
    first_string = 5 if platform in RTL872X else 6
    assert [alternate.iInterface for alternate in alternates] == [first_string + n for n in range(len(names))]


def test_names_change_with_the_release(make_bench):
    new = make_bench("bsom", device_os="6.2.0", arrives_in="dfu")
    assert find(new).product == "B-SoM DFU Mode"
    assert find(make_bench("bsom", device_os="6.0.0", arrives_in="dfu")).product == "B SoM DFU Mode"
    assert find(make_bench("b5som", device_os="6.2.0")).product == "B5-SoM CDC Mode"


# ---- RTL872x at boot ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", RTL872X)
def test_two_enumerations_at_boot(make_bench, platform):
    bench = make_bench(platform, factory="online")
    board, clock = bench.board("1"), bench.slots[0].clock
    first_address = board.on_bus()[0]
    board.reset_pin()
    seen = []
    for _ in range(40):
        clock.sleep(0.05)
        if find(bench) is None:
            seen.append(None)
        else:
            seen.append((board.on_bus()[0], find(bench).get_active_configuration().bNumInterfaces))
    changes = [now for before, now in zip([None, *seen], seen, strict=False) if now != before]
    assert [interfaces for _, interfaces in changes] == [1, 3]
    addresses = [address for address, _ in changes]
    assert len({first_address, *addresses}) == 3


def test_a_board_without_delays_is_complete_at_once(make_bench):
    bench = make_bench("p2", delays="none")
    assert find(bench).get_active_configuration().bNumInterfaces == 3


# ---- DFU mode -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", kinds())
def test_write_read_back_leave_boot(make_bench, platform):
    bench = make_bench(platform, arrives_in="dfu", factory="online")
    dfu = Dfu(bench)
    version, _ = known_release(hardware(platform).factory_device_os)
    app = app_stand_in(hardware(platform), version, version=99, linked_for=version)
    dfu.write(address_of(app), app)
    assert dfu.read(address_of(app), len(app)) == app
    assert dfu.leave() == (5 if platform in GEN2 else 7)
    assert dfu.board.state.runs == "app"
    assert user_module(dfu.board.boot_view(), version)[0].version == 99
    assert find(bench).idProduct == platform_by_name(platform).usb_normal.pid


@pytest.mark.parametrize("platform", kinds())
def test_system_part_without_its_first_page_keeps_the_board_in_dfu_mode(make_bench, platform):
    bench = make_bench(platform, arrives_in="dfu", factory="online")
    dfu, board = Dfu(bench), bench.board("1")
    version, bootloader_version = known_release(hardware(platform).factory_device_os)
    first = system_stand_ins(hardware(platform), version, bootloader_version)[0]
    _, page, _ = board.internal.sector(address_of(first))
    kept = dfu.read(address_of(first), min(page, len(first)))
    dfu.erase(address_of(first))
    before = board.truth.network_attempts
    for _ in range(2):
        board.power_off()
        board.power_on()
        bench.slots[0].clock.sleep(3)
        board.advance()
        assert board.state.runs == "dfu"
    assert board.truth.network_attempts == before
    dfu = Dfu(bench)
    dfu.write(address_of(first), kept)
    dfu.leave()
    assert board.state.runs == "app"


@pytest.mark.parametrize("platform", [*GEN3, *RTL872X])
def test_a_system_part_with_a_wrong_crc_is_not_started(make_bench, platform):
    board = make_bench(platform, factory="online").board("1")
    start = board.hardware.layout.system_addresses(0)[0] + 0x5000
    board.internal.load(start, bytes([board.internal.read(start, 1)[0] ^ 1]))
    board.reset_pin()
    assert board.state.runs == "dfu"


@pytest.mark.parametrize("platform", RTL872X)
def test_rtl872x_stalls_once_after_work_that_failed(make_bench, platform):
    dfu = Dfu(make_bench(platform, arrives_in="dfu"))
    dfu.device.ctrl_transfer(0x21, DNLOAD, 0, 0, b"\x41" + (0x07FFF000).to_bytes(4, "little"))
    assert dfu.status()[4] == 4
    with pytest.raises(usb.core.USBError):
        dfu.status()
    assert dfu.status() == bytes([0x0E, 0, 0, 0, 10, 0])
    dfu.device.ctrl_transfer(0x21, 4, 0, 0)
    assert dfu.status()[4] == 2


def test_rtl872x_command_list_by_bootloader(make_bench):
    lists = {}
    for device_os in ("5.9.0", "6.1.1", "6.2.0"):
        dfu = Dfu(make_bench("p2", arrives_in="dfu", device_os=device_os))
        lists[device_os] = bytes(dfu.device.ctrl_transfer(0xA1, UPLOAD, 0, 0, 64)).hex()
    assert lists == {"5.9.0": "002141", "6.1.1": "002141fa", "6.2.0": "002141fafb"}


def test_a_status_request_during_the_countdown_cancels_the_reset_of_an_rtl872x(make_bench):
    bench = make_bench("p2", arrives_in="dfu")
    dfu = Dfu(bench)
    dfu.device.ctrl_transfer(0x21, DNLOAD, 0, 0, b"")
    assert dfu.status()[4] == 7
    with pytest.raises(usb.core.USBError):
        dfu.status()
    bench.slots[0].clock.sleep(5)
    assert bench.board("1").state.runs == "dfu"


# ---- boot rules that only one family has ------------------------------------------------------------------------


@pytest.mark.parametrize(("part", "runs"), [(1, "dfu"), (2, "hung"), (3, "hung")])
def test_electron_without_one_of_its_system_parts(make_bench, part, runs):
    board = make_bench("electron", factory="online").board("1")
    board.internal.load({1: 0x08020000, 2: 0x08040000, 3: 0x08060000}[part], b"\xff" * 0x400)
    assert board.decide_boot().runs == runs


def test_electron_does_not_ask_for_its_bootloader(make_bench):
    board = make_bench("electron", factory="online").board("1")
    board.internal.load(0x08001000, b"\0\1\2\3")
    assert board.decide_boot().runs == "app"


def test_rtl872x_user_part_is_found_by_its_own_extension(make_bench):
    board = make_bench("p2", factory="online").board("1")
    kind = board.hardware
    longer = bytearray(app_stand_in(kind, 5901))
    board.internal.load(0x08600000 - len(longer), b"\xff" * len(longer))
    assert (board.decide_boot().runs, board.decide_boot().safe_mode) == ("safe_mode", True)
    board.internal.load(0x08600000 - len(longer), bytes(longer))
    assert board.decide_boot().runs == "app"
    # Without the extension's type nobody looks for a prefix.
    suffix = 0x08600000 - 4 - 62
    assert board.internal.read(suffix, 2) == b"\2\0"
    board.internal.load(suffix, b"\7\0")
    assert board.decide_boot().safe_mode


def test_rtl872x_factory_reset_ends_in_dfu_mode(make_bench):
    board = make_bench("p2", factory="online").board("1")
    board.dct.factory_reset_requested = True
    assert board.decide_boot().runs == "dfu"


def test_rtl872x_takes_a_lost_system_part_from_the_image_of_its_factory(make_bench):
    board = make_bench("p2", factory="online").board("1")
    (system,) = system_stand_ins(board.hardware, 5901, 2700)
    first = release_stand_ins(board.hardware)[0]
    board.internal.load(0x081E0000, first + system)
    board.internal.load(0x08060000, b"\xff" * 0x1000)
    board.reset_pin()
    assert board.state.runs == "app"
    assert board.internal.read(0x08060000, len(system)) == system


@pytest.mark.parametrize(("device_os", "runs"), [("6.1.2", "dfu"), ("6.2.0", "safe_mode")])
def test_a_bootloader_that_knows_no_low_system_part_starts_the_one_with_a_second_header(make_bench, device_os, runs):
    board = make_bench("boron", device_os=device_os, factory="online").board("1")
    board.internal.load(0xF4000, bootloader_stand_in(board.hardware, 3001))
    assert board.decide_boot().runs == runs
    board.internal.load(0x30000, b"\xff" * 0x1000)
    assert board.decide_boot().runs == "dfu"


# ---- memory maps by release -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "device_os", "system", "user", "ota"),
    [
        ("boron", "2.1.0", 0x30000, 0xD4000, 0x289000),
        ("boron", "3.3.1", 0x30000, 0xB4000, 0x289000),
        ("boron", "5.5.0", 0x30000, 0xB4000, 0x24C000),
        ("boron", "6.1.2", 0x28000, 0xB4000, 0x24C000),
        ("tracker", "3.0.0", 0x30000, 0xD4000, 0x689000),
        ("esomx", "6.2.0", 0x28000, 0xB4000, 0x689000),
        ("p2", "5.4.1", 0x08060000, 0x085FD000, 0x08060000 + 1200000 // 0x1000 * 0x1000 + 0x1000),
        ("p2", "5.9.0", 0x08060000, 0x085FD000, 0x08300000),
        ("electron", "2.1.0", 0x08020000, 0x08080000, 0x080C0000),
    ],
)
def test_memory_map(make_bench, platform, device_os, system, user, ota):
    board = make_bench(platform, device_os=device_os, factory="online").board("1")
    assert board.state.runs == "app", board.state.reasons
    places = {(m.prefix.function, m.bounds.store): m.prefix.start_address for m in fetch_modules(board.boot_view())}
    systems = [m.prefix.start_address for m in fetch_modules(board.boot_view()) if m.prefix.function == 4]
    assert min(systems) == system
    assert places[5, 0] == user
    assert board.boot_view().ota_region().start_address == ota
