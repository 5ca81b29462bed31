"""DFU machines where the recordings do not reach, on both generations."""

import pytest
from particle_harness.usb.dfu_terms import Request, State
from particle_harness.usb.transfer import Setup, SilentError, StallError

SYSTEM = {"boron": 0x30000, "photon": 0x08020000}


class Host:
    """Sends DFU requests to a board's DFU device and counts nothing."""

    def __init__(self, board):
        self.board = board
        board.clock.sleep(1)
        self.address = board.on_bus()[0]

    def out(self, request, value=0, data=b""):
        return self.board.control(self.address, Setup(0x21, request, value, 0, len(data)), data)

    def read(self, request, length, value=0):
        return self.board.control(self.address, Setup(0xA1, request, value, 0, length))

    def status(self):
        reply = self.read(Request.GETSTATUS, 6)
        return reply[0], reply[4]

    def started(self):
        """The first status after a DNLOAD: data come, and what fails then stalls the status stage."""
        try:
            return self.status()
        except StallError as stall:
            return stall.data[0], stall.data[4]

    def command(self, code, argument):
        self.out(Request.DNLOAD, 0, bytes([code]) + argument.to_bytes(4, "little"))
        return self.started(), self.status()

    def write(self, address, data):
        self.command(0x21, address)
        self.out(Request.DNLOAD, 2, data)
        return self.started(), self.status()

    def upload(self, address, size):
        self.command(0x21, address)
        self.out(Request.ABORT)
        data = self.read(Request.UPLOAD, size, 2)
        self.out(Request.ABORT)
        return data

    def select(self, alternate):
        self.board.control(self.address, Setup(0x01, 11, alternate, 0, 0))


@pytest.fixture
def dfu(make_board):
    return lambda platform: Host(make_board(platform, arrives_in="dfu"))


@pytest.mark.parametrize("platform", SYSTEM)
def test_write_goes_to_flash_after_the_busy_reply(dfu, platform):
    host = dfu(platform)
    address = SYSTEM[platform]
    host.command(0x41, address)
    data = bytes(range(256)) * 16
    assert host.board.internal.read(address, 4096) == b"\xff" * 4096
    assert host.write(address, data) == ((0, State.DNBUSY), (0, State.DNLOAD_IDLE))
    host.out(Request.ABORT)
    assert host.upload(address, 4096) == data


def test_flash_work_takes_device_time(dfu):
    host = dfu("boron")
    before = host.board.clock.monotonic_s()
    host.command(0x41, 0x30000)
    assert 0.085 < host.board.clock.monotonic_s() - before < 0.1


def test_photon_erases_whole_sectors(dfu):
    host = dfu("photon")
    host.command(0x41, 0x08021234)
    assert host.board.internal.read(0x08020000, 0x20000) == b"\xff" * 0x20000
    assert host.board.internal.read(0x08040000, 16) != b"\xff" * 16


def test_boron_erases_one_page(dfu):
    host = dfu("boron")
    host.command(0x41, 0x30000)
    assert host.board.internal.read(0x30000, 4096) == b"\xff" * 4096
    assert host.board.internal.read(0x31000, 16) != b"\xff" * 16


def test_photon_refuses_a_write_by_a_stalled_status_and_then_all_is_well(dfu):
    host = dfu("photon")
    bootloader = host.board.internal.read(0x08000000, 4096)
    host.command(0x21, 0x08000000)
    host.out(Request.DNLOAD, 2, bytes(4096))
    with pytest.raises(StallError):
        host.status()
    assert host.status() == (0, State.DNLOAD_IDLE)
    host.out(Request.DNLOAD, 0, b"\x41" + (0x08000000).to_bytes(4, "little"))
    with pytest.raises(StallError):
        host.status()
    assert host.board.internal.read(0x08000000, 4096) == bootloader


def test_boron_refuses_to_touch_the_master_boot_record(dfu):
    host = dfu("boron")
    assert host.write(0, bytes(64)) == ((0, State.DNBUSY), (0x0E, State.ERROR))
    host.out(Request.CLRSTATUS)
    assert host.status() == (0, State.IDLE)


@pytest.mark.parametrize("platform", SYSTEM)
def test_address_pointer_survives_abort(dfu, platform):
    host = dfu(platform)
    host.command(0x21, SYSTEM[platform] + 0x100)
    host.out(Request.ABORT)
    first = host.read(Request.UPLOAD, 16, 2)
    assert first == host.board.internal.read(SYSTEM[platform] + 0x100, 16)


def test_blocks_count_from_the_pointer(dfu):
    host = dfu("boron")
    host.command(0x21, 0x30000)
    host.out(Request.ABORT)
    assert host.read(Request.UPLOAD, 16, 3) == host.board.internal.read(0x31000, 16)


def test_boron_stalls_reads_past_the_end(dfu):
    host = dfu("boron")
    host.command(0x21, 0xFF000)
    host.out(Request.ABORT)
    with pytest.raises(StallError):
        host.read(Request.UPLOAD, 4096, 3)
    assert host.status() == (0x0E, State.ERROR)


def test_photon_answers_zeros_past_the_end(dfu):
    host = dfu("photon")
    assert host.upload(0x08100000, 64) == bytes(64)


def test_boron_block_one_is_a_target_error(dfu):
    host = dfu("boron")
    host.out(Request.DNLOAD, 1, bytes(16))
    assert (host.started(), host.status()) == ((0, State.DNBUSY), (1, State.ERROR))


def test_boron_mass_erase_is_a_target_error(dfu):
    host = dfu("boron")
    host.out(Request.DNLOAD, 0, b"\x41")
    assert (host.started(), host.status()) == ((0, State.DNBUSY), (1, State.ERROR))


def test_get_commands_by_download_leaves_boron_busy_for_ever(dfu):
    host = dfu("boron")
    host.out(Request.DNLOAD, 0, b"\x00")
    assert host.status() == (0, State.DNBUSY)
    with pytest.raises(StallError):
        host.status()


def test_photon_clrstatus_outside_error_enters_error_without_a_stall(dfu):
    host = dfu("photon")
    host.out(Request.CLRSTATUS)
    assert host.status() == (0x0E, State.ERROR)
    host.out(Request.CLRSTATUS)
    assert host.status() == (0, State.IDLE)


def test_photon_configuration_poll_times_are_swapped(dfu):
    host = dfu("photon")
    host.select(1)
    host.out(Request.DNLOAD, 0, b"\x21\0\0\0\0")
    host.status(), host.status()
    host.out(Request.DNLOAD, 2, b"x")
    assert host.read(Request.GETSTATUS, 6).hex() == "000100000400"
    host.status()
    host.out(Request.DNLOAD, 0, b"\x41\0\0\0\0")
    assert host.read(Request.GETSTATUS, 6).hex() == "00f401000400"


def test_photon_reads_zeros_from_the_configuration_while_a_system_part_is_broken(dfu):
    host = dfu("photon")
    host.board.dct.write(0x100, b"hello")
    host.select(1)
    assert host.upload(0x100, 5) == b"hello"
    host.select(0)
    host.command(0x41, 0x08060000)
    host.out(Request.ABORT)
    host.select(1)
    assert host.upload(0x100, 5) == bytes(5)


def test_boron_configuration_and_external_flash(dfu):
    host = dfu("boron")
    host.select(1)
    host.write(8134, b"\x01")
    assert host.board.dct.setup_done
    host.out(Request.ABORT)
    host.select(2)
    assert host.write(0x80289000, b"abc") == ((0, State.DNBUSY), (0, State.DNLOAD_IDLE))
    assert host.board.external.read(0x289000, 4) == b"abc\xff"


def test_alternate_setting_that_is_not_there_stalls(dfu):
    for platform, count in (("boron", 3), ("photon", 2), ("p1", 3)):
        with pytest.raises(StallError):
            dfu(platform).select(count)


def test_leave_reports_manifest_on_gen3_and_idle_on_gen2(dfu):
    for platform, state in (("boron", State.MANIFEST), ("photon", State.DNLOAD_IDLE)):
        host = dfu(platform)
        host.out(Request.DNLOAD)
        assert host.status() == (0, state)


def test_a_status_request_too_many_stops_a_boron_from_leaving(dfu):
    host = dfu("boron")
    host.out(Request.DNLOAD)
    host.status()
    with pytest.raises(StallError):
        host.status()
    host.board.clock.sleep(5)
    assert host.board.on_bus()[0] == host.address
    assert host.status() == (0x0E, State.ERROR)


def test_a_status_request_too_many_does_not_stop_a_photon(dfu):
    host = dfu("photon")
    host.out(Request.DNLOAD)
    host.status()
    host.status()
    host.board.clock.sleep(5)
    assert host.board.state.runs == "dfu"  # until somebody looks
    host.board.advance()
    assert host.board.state.runs == "listening"


def test_detach_reenumerates_and_stays_in_dfu(dfu):
    host = dfu("boron")
    board = host.board
    with pytest.raises(Exception, match="not on the bus"):
        host.out(Request.DETACH)
    board.clock.sleep(1)
    assert board.on_bus()[0] != host.address
    assert board.state.runs == "dfu"


def test_photon_without_part_2_hangs_until_the_watchdog_gives_up(dfu):
    host = dfu("photon")
    host.command(0x41, 0x08060000)
    host.out(Request.DNLOAD)
    host.status()
    board = host.board
    board.clock.sleep(5)
    board.advance()
    assert (board.state.runs, board.on_bus()) == ("hung", None)
    board.clock.sleep(15)
    board.advance()
    assert board.state.runs == "dfu"


@pytest.mark.parametrize("platform", SYSTEM)
def test_a_block_given_up_is_refused_without_a_configuration(dfu, platform):
    host = dfu(platform)
    device = host.board.usb_device
    device.control(Setup(0x00, 9, 0, 0, 0))
    with pytest.raises(StallError):
        device.abandon(Setup(0x21, Request.DNLOAD, 2, 0, 512), bytes(512), 4)
    device.control(Setup(0x00, 9, 1, 0, 0))
    assert host.status() == (0, State.IDLE)


def test_photon_fills_up_the_last_word_of_a_block_in_its_buffer(dfu):
    host, address = dfu("photon"), SYSTEM["photon"]
    host.command(0x41, address)
    host.write(address + 0x1000, bytes(200))
    host.write(address + 0x2000, bytes(65))
    host.command(0x21, address)
    host.board.usb_device.abandon(Setup(0x21, Request.DNLOAD, 2, 0, 128), b"\x55" * 128, 1)
    host.started()
    # What has arrived, the end of the block before, what filled that up, and the block before that.
    assert host.board.internal.read(address, 128) == b"\x55" * 64 + b"\0" + b"\xff" * 3 + bytes(60)


def test_p1_reads_its_serial_flash_through_the_buffer(dfu):
    host = dfu("p1")
    host.select(2)
    host.command(0x41, 0x1000)
    host.upload(0, 512)
    host.command(0x21, 0x1000)
    host.board.usb_device.abandon(Setup(0x21, Request.DNLOAD, 2, 0, 512), bytes(512), 4)
    host.started()
    assert host.board.external.read(0x1000, 512) == bytes(256) + b"\xff" * 256


def test_photon_crashes_by_a_read_over_its_end_that_is_given_up(dfu):
    host = dfu("photon")
    host.command(0x21, 0x08100000 - 64)
    host.out(Request.ABORT)
    with pytest.raises(SilentError):
        host.board.usb_device.abandon(Setup(0xA1, Request.UPLOAD, 2, 0, 512), packets=1)
    with pytest.raises(SilentError):
        host.status()


STATUS, CLEAR_HALT, SET_HALT = (0x82, 0, 0), (0x02, 1, 0), (0x02, 3, 0)


@pytest.mark.parametrize(
    ("configuration", "request_to_endpoint", "refused"),
    [
        (1, STATUS, False),
        (1, CLEAR_HALT, True),
        (1, SET_HALT, False),
        (1, (0x02, 1, 1), False),
        (0, STATUS, True),
        (0, CLEAR_HALT, False),
        (0, SET_HALT, False),
    ],
)
def test_endpoints_that_a_boron_does_not_have(dfu, configuration, request_to_endpoint, refused):
    """As its bootloader does, run on an emulated chip; endpoint 0 refuses none of these."""
    host = dfu("boron")

    def ask(endpoint):
        kind, request, value = request_to_endpoint
        reply = host.board.control(host.address, Setup(kind, request, value, endpoint, 2 if kind & 0x80 else 0))
        assert reply == (b"\0\0" if kind & 0x80 else b"")

    host.board.control(host.address, Setup(0x00, 9, configuration, 0, 0))
    for endpoint in (0x00, 0x80, 0x100):
        ask(endpoint)
    for endpoint in (0x01, 0x81, 0x82, 0x07):
        if refused:
            with pytest.raises(StallError):
                ask(endpoint)
        else:
            ask(endpoint)


@pytest.mark.parametrize(
    ("requests", "halted"),
    [
        ((SET_HALT,), True),
        (((0x02, 3, 1),), False),
        ((SET_HALT, (0x00, 9, 1)), True),
        (((0x00, 9, 0), SET_HALT, (0x00, 9, 1)), True),
        ((SET_HALT, (0x02, 1, 1)), True),
        ((SET_HALT, (0x00, 9, 0), CLEAR_HALT, (0x00, 9, 1)), True),
        ((SET_HALT, CLEAR_HALT), False),
        ((SET_HALT, "bus reset"), False),
    ],
)
@pytest.mark.parametrize("endpoint", [0x01, 0x81, 0x87, 0x101])
def test_halts_of_endpoints_that_a_boron_does_not_have(dfu, requests, halted, endpoint):
    """As its bootloader does, run on an emulated chip; CLEAR_FEATURE is refused after it was carried out."""
    host = dfu("boron")

    def ask(kind, request, value, at=endpoint):
        index = at if kind & 0x0F else 0
        return host.board.control(host.address, Setup(kind, request, value, index, 2 if kind & 0x80 else 0))

    ask(0x00, 9, 1)
    for each in requests:
        if each == "bus reset":
            host.board.usb_device.bus_reset()
            ask(0x00, 9, 1)
        elif requests == (SET_HALT, CLEAR_HALT) and each == CLEAR_HALT:
            with pytest.raises(StallError):
                ask(*each)
        else:
            ask(*each)
    assert ask(*STATUS) == bytes([halted, 0])
    assert ask(*STATUS, at=endpoint ^ 0x80) == b"\0\0", "of the other direction"
