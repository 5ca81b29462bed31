"""Requests that a virtual board answers by a state machine of its own."""

import pytest

from particle_dev.catalog.platforms import UsbMode
from particle_dev.catalog.requests import ControlRequest
from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import wait_for_device, wait_for_mode
from particle_dev.errors import RequestRefusedError, RequestUnsupportedError
from particle_dev.permissions import Permissions
from particle_dev.protocol.messages import DeviceMode
from particle_dev.protocol.messages_config import StartupMode
from particle_dev.station.bench import open_bench


@pytest.fixture(params=["boron", "photon"])
def board(request):
    bench = open_bench(
        "virtual",
        options={"clock": "virtual"},
        slots=[{"name": "1", "platform": request.param}],
        factory_modules=lambda _: [],
    )
    host = bench.slots[0].host
    yield host, wait_for_device(host, "1-1", 10)
    bench.close()


MAY_CONNECT = Permissions(may_connect=True)


def test_state_of_a_fresh_board(board):
    with ControlSession(*board) as session:
        assert session.device_os == "2.0.1"
        assert session.config.is_claimed() is False
        for size in (0, 1, 64, 65, 4096, 5000, 65535):
            assert session.echo(bytes(size)) == bytes(size)
        assert session.uptime_s() is None or session.uptime_s() >= 0
        with pytest.raises(RequestUnsupportedError):
            session.config.protected_state()


def test_more_requests_at_a_time_than_there_are_slots(board):
    host, device = board
    wanted = [(ControlRequest.ECHO, bytes([n]) * (n + 1)) for n in range(9)]
    with ControlSession(host, device) as session:
        results = session.request_all(wanted)
        assert [(r.result_code, r.data) for r in results] == [(0, payload) for _, payload in wanted]


@pytest.mark.parametrize("board", ["boron"], indirect=True)  # a Photon without Wi-Fi goes back to listening by itself
def test_listening_and_back(board):
    host, device = board
    with ControlSession(host, device, MAY_CONNECT) as session:
        session.stop_listening()
        assert session.device_mode() is DeviceMode.NORMAL
        session.start_listening()
        assert session.device_mode() is DeviceMode.LISTENING


@pytest.mark.parametrize("act", [ControlSession.reset, ControlSession.reset_now])
def test_reset_brings_the_same_board_back(board, act):
    host, device = board
    with ControlSession(host, device, MAY_CONNECT) as session:
        session.config.set_startup_mode(StartupMode.LISTENING)
        act(session)
    back = wait_for_mode(host, device, UsbMode.NORMAL, 20)
    assert back.device_id == device.device_id


def test_aborted_request_leaves_its_slot(board):
    with ControlSession(*board) as session:
        for _ in range(6):
            with pytest.raises(RequestRefusedError, match="CANCELLED"):
                session.request(ControlRequest.MODULE_INFO, aborted=lambda: True)
        assert session.echo(b"still there") == b"still there"
