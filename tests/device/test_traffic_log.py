"""What the traffic logger tells, and what it must not."""

import logging

import pytest

from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.device.exchange import run
from particle_dev.errors import LinkDisconnectedError, LinkStallError
from particle_dev.protocol.usb import ControlIn, ControlOut
from particle_dev.station.bench import open_bench

SECRET = b"Passw0rd of a network"


@pytest.fixture
def board():
    bench = open_bench(
        "virtual",
        options={"clock": "virtual"},
        slots=[{"name": "1", "platform": "boron"}],
        factory_modules=lambda _: [],
    )
    host = bench.slots[0].host
    yield host, wait_for_device(host, "1-1", 10)
    bench.close()


def test_codes_and_lengths_but_no_contents(board, caplog):
    caplog.set_level(logging.DEBUG, "particle_dev.traffic")
    with ControlSession(*board) as session:
        assert session.echo(SECRET) == SECRET
    lines = [r.getMessage() for r in caplog.records if r.name == "particle_dev.traffic"]
    # INIT of request 1 (echo) with its payload's length, the payload, and the reply of as many bytes.
    assert f"in  bmRequestType 0xc0 bRequest 0x01 wValue 0x{len(SECRET):04x} wIndex 0x0001 wLength 64" in str(lines)
    assert any(line.startswith("out") and f"wLength {len(SECRET)}: done" in line for line in lines)
    assert any(line.startswith("in ") and line.endswith(f": {len(SECRET)} bytes") for line in lines)
    text = "\n".join(lines)
    assert SECRET.decode() not in text
    assert SECRET.hex() not in text


class BadLink:
    def control_in(self, *_):
        raise LinkStallError("stall", where="1-1")

    def control_out(self, *_):
        raise LinkDisconnectedError("gone", where="1-1")


def test_stalls_and_errors_are_told(caplog):
    caplog.set_level(logging.DEBUG, "particle_dev.traffic")

    def machine():
        yield ControlIn(0xC0, 1, 2, 3, 4)
        yield ControlOut(0x40, 1, 2, 3, b"12")

    with pytest.raises(LinkDisconnectedError):
        run(machine(), BadLink(), None)
    outcomes = [r.getMessage().rpartition(": ")[2] for r in caplog.records]
    assert outcomes == ["stall", "LinkDisconnectedError"]
