"""The watch on udev's own messages: a board's mode change ends the wait, and the serial port is there by then."""

import json
import sys

from particle_dev.transport.hotplug import MISSED_MESSAGE_S

# The wheel's libusb listens to the kernel itself, which a mocked bus has not; Debian's listens to udev.
WATCH = """
import json, sys, threading, time
from pathlib import Path
import usb.backend.libusb1
from particle_dev.device.mode_changes import change_mode
from particle_dev.device.modes import Target
from particle_dev.device.watch import Watch
from particle_dev.transport import hotplug
from particle_dev.transport.base import Host
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.serial import PyserialHost
from particle_dev.transport.usb import PyusbHost

hotplug._UDEV_SOCKET = Path("/")
backend = usb.backend.libusb1.get_backend(find_library=lambda _: "libusb-1.0.so.0")
host = Host(PyusbHost(backend), PyserialHost(), SystemClock())
wake_up, why = hotplug.open_wake_up(host.clock)
assert wake_up.name == "udev", why
watch = Watch(host, wake_up)
(board,) = (event.device for event in watch.wait(5))
change = threading.Thread(target=change_mode, args=(host, board, Target.DFU))
change.start()
begun_s = time.monotonic()
events = []
while not any(e.change == "changed mode" for e in events) and time.monotonic() < begun_s + 10:
    begin_s = time.monotonic()
    wake_up.wait(10)
    waited_s = time.monotonic() - begin_s
    events += watch.poll()
change.join()
print(json.dumps({"events": [str(e.change) for e in events], "waited_s": waited_s, "mode": events[-1].device.mode}))
"""


def test_mode_change_is_heard_of(foreign_bench):
    bench = foreign_bench("boron", delays="realistic")
    seen = json.loads(bench.run(sys.executable, "-c", WATCH))
    assert seen["events"][-1] == "changed mode"
    assert seen["mode"] == "dfu"
    assert seen["waited_s"] < MISSED_MESSAGE_S / 2, "a message ended the wait, not its limit"
