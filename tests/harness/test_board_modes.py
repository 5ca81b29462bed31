"""Modes, resets and the way online, on the virtual clock."""

import json

import pytest
import serial
from particle_harness.usb.transfer import GoneError, Setup

ARRIVED_BEFORE_S = 1.5


class Host:
    def __init__(self, board):
        self.board = board
        self.address = board.on_bus()[0]

    def find(self):
        self.board.clock.sleep(2.5)
        self.address = self.board.on_bus()[0]

    def init(self, request, payload=b""):
        reply = self.board.control(self.address, Setup(0xC0, 1, len(payload), request, 64))
        request_id = int.from_bytes(reply[6:8], "little")
        if payload:
            self.board.control(self.address, Setup(0x40, 3, 0, request_id, len(payload)), payload)
        return request_id

    def check(self, request_id):
        self.board.clock.sleep(0.1)
        return self.board.control(self.address, Setup(0xC0, 2, 0, request_id, 64))

    def request(self, request, payload=b""):
        request_id = self.init(request, payload)
        reply = self.check(request_id)
        size = int.from_bytes(reply[6:10], "little") if reply[0] & 4 else 0
        data = self.board.control(self.address, Setup(0xC0, 4, 0, request_id, size)) if size else b""
        return int.from_bytes(reply[-4:], "little", signed=True), data

    def json(self):
        return json.loads(self.request(100)[1])


@pytest.fixture
def host(make_board):
    return lambda *args, **kwargs: Host(make_board(*args, **kwargs))


@pytest.mark.parametrize(("request_type", "runs"), [(40, "app"), (50, "dfu"), (60, "safe_mode")])
def test_restart_happens_one_second_after_the_final_check(host, request_type, runs):
    h = host("boron", factory="online")
    h.check(h.init(request_type))
    h.board.clock.sleep(0.99)
    assert h.board.on_bus()[0] == h.address
    h.board.clock.sleep(0.02)
    assert h.board.on_bus() is None
    h.board.clock.sleep(2)
    assert h.board.on_bus()[0] != h.address
    assert h.board.state.runs == runs


def test_host_that_does_not_poll_leaves_the_board_running(host):
    h = host("boron", factory="online")
    h.init(50)
    h.board.clock.sleep(30)
    assert h.board.on_bus()[0] == h.address


def test_reset_request_cancelled_by_reset_all_still_completes_with_its_handler(host):
    h = host("boron", factory="online")
    h.init(50)
    h.board.clock.sleep(0.1)
    h.board.advance()
    h.board.control(h.address, Setup(0xC0, 5, 0, 0, 64))
    h.board.clock.sleep(3)
    assert h.board.decide_boot() and h.board.state.runs == "dfu"


def test_boot_times_on_the_bus(host):
    h = host("boron", factory="online")
    h.request(50)
    h.board.clock.sleep(1.3)
    assert h.board.on_bus() is None
    h.board.clock.sleep(0.15)
    assert h.board.on_bus() is not None


def test_dfu_is_one_shot(host):
    h = host("boron", factory="online")
    h.request(50)
    h.find()
    assert h.board.state.runs == "dfu"
    h.board.reset_pin()
    assert h.board.state.runs == "app"


@pytest.mark.parametrize(("platform", "network_s", "cloud_s"), [("boron", 3, 25), ("photon", 2, 8)])
def test_automatic_application_goes_online(make_board, platform, network_s, cloud_s):
    board = make_board(platform, factory="online")
    board.clock.sleep(network_s - ARRIVED_BEFORE_S - 0.1)
    board.advance()
    assert board.truth.network_attempts == 0
    board.clock.sleep(0.2)
    board.advance()
    assert (board.truth.network_attempts, board.truth.cloud_attempts) == (1, 0)
    board.clock.sleep(cloud_s)
    board.advance()
    assert board.truth.cloud_attempts == 1
    assert board.truth.first_connected_at_s == pytest.approx(cloud_s - ARRIVED_BEFORE_S)


def test_diagnostics_tell_of_attempts(host):
    h = host("boron", factory="online")
    assert h.json()["net:connatt"] == 0
    h.board.clock.sleep(30)
    now = h.json()
    assert (now["net:connatt"], now["cloud:connatt"], now["cloud:stat"]) == (1, 1, 2)
    assert h.request(300)[1] == b"\x08\x02"
    assert 31 <= now["sys:uptime"] <= 32


def test_counters_start_anew_with_each_boot_and_truth_does_not(host):
    h = host("boron", factory="online")
    h.board.clock.sleep(30)
    h.request(40)
    h.find()
    assert h.json()["cloud:connatt"] == 0
    assert h.board.truth.cloud_attempts == 1


def test_taking_in_a_restart_request_stops_the_way_online(host):
    h = host("boron", factory="online")
    h.init(50)
    h.board.clock.sleep(60)
    h.board.advance()
    assert not h.board.truth.went_online


def test_listening_stops_the_way_online_and_leaving_it_goes_on(host):
    h = host("boron", factory="online")
    h.request(70)
    assert h.request(72)[1] == b"\x08\x01"
    h.board.clock.sleep(60)
    h.board.advance()
    assert h.board.truth.network_attempts == 0
    h.request(71)
    assert h.request(72)[1] == b""
    h.board.clock.sleep(60)
    h.board.advance()
    assert h.board.truth.went_online


def test_cloud_disconnect_clears_the_flag_and_connect_sets_it(host):
    h = host("boron", factory="online")
    h.request(302)
    h.board.clock.sleep(60)
    h.board.advance()
    assert not h.board.truth.went_online
    h.request(301)
    h.board.clock.sleep(60)
    h.board.advance()
    assert h.board.truth.went_online


def test_start_up_mode_listening_survives_a_reset_but_not_a_power_cut(host):
    h = host("boron", factory="online")
    h.request(75, b"\x08\x01")
    assert h.board.decide_boot().runs == "listening"
    h.board.reset_pin()
    assert h.board.state.runs == "listening"
    h.board.reset_pin()
    assert h.board.state.runs == "app"
    h.find()
    h.request(75, b"\x08\x01")
    h.board.power_off()
    h.board.power_on()
    assert h.board.state.runs == "app"


def test_start_up_mode_survives_a_dfu_session(host):
    h = host("boron", factory="online")
    h.request(75, b"\x08\x01")
    h.request(50)
    h.find()
    h.board.control(h.address, Setup(0x21, 1, 0, 0, 0))
    h.board.control(h.address, Setup(0xA1, 3, 0, 0, 6))
    h.find()
    assert h.board.state.runs == "listening"


def test_identity_and_version_requests(host):
    h = host("boron")
    device_id = h.board.settings.device_id
    assert h.request(20) == (0, b"\x0a\x18" + device_id.encode())
    result, serial_number = h.request(21)
    assert (result, serial_number[:2], len(serial_number)) == (0, b"\x0a\x0f", 17)
    assert h.request(30) == (0, b"\x0a\x052.0.1")
    assert h.request(201) == (0, b"")
    assert h.request(9999) == (-120, b"")
    assert h.request(100, b"x") == (-120, b"")
    assert h.board.control(h.address, Setup(0xC0, 0x50, 0, 20, 64)) == device_id.upper().encode()
    assert h.board.control(h.address, Setup(0xC0, 0x50, 0, 30, 64)) == b"2.0.1"


def test_raw_reset_breaks_the_transfer(host):
    h = host("boron", factory="online")
    with pytest.raises(GoneError) as gone:
        h.board.control(h.address, Setup(0x40, 0x50, 0, 40, 0))
    assert gone.value.during
    assert h.board.state.reset_reason == 140


def test_power_switch(host):
    h = host("boron")
    h.board.power_off()
    assert h.board.on_bus() is None
    with pytest.raises(GoneError):
        h.request(20)
    h.board.power_on()
    h.find()
    assert h.request(20)[0] == 0
    assert h.board.truth.power_cycles == 2


def test_truth_counts(host):
    h = host("boron", factory="online")
    h.request(60)
    h.find()
    h.request(50)
    h.find()
    truth = h.board.truth
    assert (truth.boots, truth.app_boots, truth.safe_mode_boots, truth.dfu_entries) == (3, 1, 1, 1)
    assert truth.enumerations == 3


def port(bench):
    (url, vid, pid, serial_number) = bench.serial_ports()[0]
    assert (vid, pid) == (0x2B04, 0xC00D)
    assert serial_number == bench.board("1").state.device_id
    return url


def test_touch_at_14400_baud_enters_dfu_at_once(make_bench):
    bench = make_bench({"platform": "boron", "factory": "online"})
    board = bench.board("1")
    board.clock.sleep(2)
    with serial.serial_for_url(port(bench), 9600) as touched:
        assert board.on_bus() is not None
        touched.baudrate = 14400
        # Device OS looks at the speed when it is told of the next one.
        assert board.on_bus() is not None
        touched.baudrate = 9600
        assert board.on_bus() is None
    board.clock.sleep(1)
    assert board.on_bus() is not None
    assert board.state.runs == "dfu"
    assert bench.serial_ports() == []


def test_touch_by_opening_at_14400_baud(make_bench):
    bench = make_bench({"platform": "photon"})
    board = bench.board("1")
    board.clock.sleep(2)
    url = bench.serial_ports()[0][0]
    serial.serial_for_url(url, 14400).close()
    board.advance()
    assert board.state.runs == "dfu"


def test_touch_at_28800_baud_starts_listening(make_bench):
    bench = make_bench({"platform": "boron", "factory": "online"})
    bench.board("1").clock.sleep(2)
    with serial.serial_for_url(port(bench), 28800) as touched:
        touched.baudrate = 9600
        assert bench.board("1").state.listening


def test_console_answers_in_listening_mode_only(make_bench):
    bench = make_bench({"platform": "boron"})
    board = bench.board("1")
    board.clock.sleep(2)
    with serial.serial_for_url(port(bench), 9600, timeout=0.2) as console:
        console.write(b"v")
        assert console.read(100) == b"system firmware version: 2.0.1\n\r\n"
        console.write(b"i")
        assert board.state.device_id.encode() in console.read(200)
        board.state.listening = False
        console.write(b"v")
        before = board.clock.monotonic_s()
        assert console.read(100) == b""
        assert board.clock.monotonic_s() - before >= 0.2


def test_serial_port_of_a_board_that_left_fails(make_bench):
    bench = make_bench({"platform": "boron"})
    bench.board("1").clock.sleep(2)
    url = port(bench)
    console = serial.serial_for_url(url, 9600)
    bench.board("1").power_off()
    with pytest.raises(serial.SerialException):
        console.write(b"v")
    console.close()
    with pytest.raises(serial.SerialException, match="could not open"):
        serial.serial_for_url(url, 9600)
