"""When a slot begins; the bus is a list. Whole shifts on virtual boards are in test_continuous.py."""

import threading
import time
from types import SimpleNamespace

import pytest

from particle_dev.catalog.platforms import UsbMode
from particle_dev.station import arrivals as arrivals_module
from particle_dev.station.arrivals import Arrivals, Start, StartBy

A, B = "e00fce68" + "a" * 16, "e00fce68" + "b" * 16
PORT = "1-1"


class Bus:
    """One port, and a wait for its slot in a thread of its own."""

    def __init__(self, start_by, **slot):
        self.device = None
        self.arrivals = Arrivals(
            self,
            [SimpleNamespace(name="1", port_path=PORT, **slot)],
            start_by,
            SimpleNamespace(wait=self._turn, close=int),
        )
        self._looks = 0
        self._looked = threading.Condition()

    def _turn(self, _timeout_s):
        with self._looked:
            self._looks += 1
            self._looked.notify_all()
        time.sleep(0.01)

    def put_in(self, device_id):
        usb = SimpleNamespace(port_path=PORT, address=1, access_problem=None)
        self.device = SimpleNamespace(device_id=device_id, mode=UsbMode.DFU, usb=usb)
        self.look()

    def take_out(self):
        self.device = None
        self.look()

    def look(self):
        """Until the bus was looked at once more, as a whole."""
        with self._looked:
            seen = self._looks
            assert self._looked.wait_for(lambda: self._looks >= seen + 2, 10)

    def begin(self):
        """The slot's thread, as it waits."""
        self.starts = []

        def wait():
            # That a board was taken out is news, and no start.
            while (start := self.arrivals.wait("1")) == Start(None):
                pass
            self.starts.append(start)

        self.thread = threading.Thread(target=wait)
        self.thread.start()
        while not self.arrivals.idle():
            self.thread.join(0.01)

    def start(self):
        self.thread.join(10)
        (start,) = self.starts
        return start


@pytest.fixture
def bus(monkeypatch):
    made = []

    def make(start_by, **slot):
        bus = Bus(start_by, **{"power": None, "probe_id": None} | slot)
        bus.arrivals.__enter__()
        made.append(bus)
        return bus

    monkeypatch.setattr(arrivals_module, "list_devices", lambda bus: [bus.device] if bus.device else [])
    monkeypatch.setattr(arrivals_module, "GONE_S", 0.05)
    yield make
    for bus in made:
        bus.arrivals.__exit__(None, None, None)
        bus.thread.join()


def done_with(bus, device_id):
    """A unit has passed and is still in the slot."""
    bus.put_in(device_id)
    bus.arrivals.finished("1", passed=True)
    bus.begin()


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_label_that_was_scanned_with_its_slot_waits_for_its_board(bus, is_empty):
    """However long the operator takes: what is begun without a board gives up, and forgets the label."""
    line = bus(StartBy.SCAN)
    if is_empty:
        line.begin()
    else:
        done_with(line, A)
    line.arrivals.scan("1")
    assert line.arrivals.scan(B) == B, "put it in"
    line.take_out()
    line.thread.join(0.3)
    assert line.starts == []
    line.put_in(B)
    start = line.start()
    assert (start.by, start.device.device_id, start.expected) == (StartBy.SCAN, B, B)


@pytest.mark.parametrize("slot", [{"power": object()}, {"probe_id": "0001"}], ids=["power", "probe"])
def test_a_label_begins_at_once_where_its_board_cannot_show_on_usb_before(bus, slot):
    line = bus(StartBy.SCAN, **slot)
    line.begin()
    line.arrivals.scan("1")
    assert line.arrivals.scan(B) == "1"
    assert line.start() == Start(StartBy.SCAN, None, B)


def test_a_slot_that_an_operator_begins_has_no_label_of_another_board(bus):
    line = bus(StartBy.INSERTION)
    done_with(line, A)
    line.arrivals.scan("slot 1")
    assert line.arrivals.scan(B) == B
    assert line.arrivals.start("1")
    start = line.start()
    assert (start.by, start.device.device_id, start.expected) == (StartBy.OPERATOR, A, None)
