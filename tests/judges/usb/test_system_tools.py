"""lsusb, udevadm, pyserial and npm's usb on virtual boards."""

import json
import re
import sys

import pytest
from particle_harness.boards import hardware, kinds

PLATFORMS = kinds()
NODE_USB = """
const { usb, getDeviceList } = require('usb');
(async () => {
    const rows = [];
    for (const device of getDeviceList().filter(d => d.deviceDescriptor.idVendor === 0x2b04)) {
        device.open(false);
        const transfer = (...setup) => new Promise((done, fail) =>
            device.controlTransfer(...setup, (error, data) => error ? fail(error) : done(data)));
        const id = await transfer(0xc0, 0x50, 0, 20, 64);
        const init = await transfer(0xc0, 1, 0, 1, 64);
        let refused;
        try { await transfer(0xc0, 0x50, 0, 99, 64); } catch (error) { refused = error.errno; }
        rows.push({ pid: device.deviceDescriptor.idProduct, id: id.toString(), init: init.toString('hex'), refused });
        device.close();
    }
    console.log(JSON.stringify(rows));
})().catch(error => { console.error(error); process.exit(1); });
"""
PYSERIAL = """
import json, serial, sys, time
from serial.tools import list_ports
ports = [[p.device, p.vid, p.pid, p.serial_number, p.product] for p in list_ports.comports()]
with serial.Serial(ports[0][0], 9600, timeout=2) as port:
    port.write(b"i")
    text = port.read_until(b"Serial Number")
touched = serial.Serial(ports[0][0], 9600)
# Not by opening it: pyserial then flushes, and the kernel answers EIO once the board that was touched is gone.
touched.baudrate = 14400
touched.baudrate = 9600
time.sleep(0.3)
touched.close()
print(json.dumps([ports, text.decode()]))
"""


@pytest.mark.parametrize("arrives_in", ["app", "dfu"])
def test_lsusb_reads_all_descriptors_without_complaint(foreign_bench, arrives_in):
    bench = foreign_bench(*PLATFORMS, arrives_in=arrives_in)
    # stderr joins stdout: a complaint of the parser would stand there.
    text = bench.shell("exec 2>&1; lsusb -v -d 2b04:")
    assert not re.search(r"can't|cannot|couldn't|error|invalid|warning|bad |unrecognized|unknown", text, re.IGNORECASE)
    assert "\n** " not in text
    for platform in PLATFORMS:
        identity = hardware(platform).platform
        usb = identity.usb_normal if arrives_in == "app" else identity.usb_dfu
        assert re.search(rf"ID 2b04:{usb.pid:04x} ", text)
        assert re.search(rf"iSerial +3 {bench.device_id(platform)}\n", text)
    alternates = sum(3 if hardware(platform).external_chip else 2 for platform in PLATFORMS)
    in_dfu = len(PLATFORMS) if arrives_in == "dfu" else 0
    interfaces = alternates if in_dfu else 3 * len(PLATFORMS)
    # One more heading of the functional descriptor holds the same words.
    assert text.count("Interface Descriptor:") == interfaces + in_dfu
    assert text.count("Device Firmware Upgrade Interface Descriptor") == in_dfu


def test_udev_knows_a_board_and_its_serial_port(foreign_bench):
    bench = foreign_bench("boron", "photon")
    text = bench.run("udevadm", "info", "--name=/dev/ttyACM1", "--attribute-walk")
    assert 'ATTRS{idVendor}=="2b04"' in text
    assert 'ATTRS{idProduct}=="c006"' in text
    assert f'ATTRS{{serial}}=="{bench.device_id("photon")}"' in text
    assert 'ATTRS{bInterfaceClass}=="02"' in text


def test_uevents_tell_of_a_mode_change(foreign_bench):
    bench = foreign_bench("boron")
    script = """
    udevadm monitor --kernel --subsystem-match=usb/usb_device > $1/events & monitor=$!
    trap 'kill $monitor' EXIT
    for n in $(seq 100); do grep -q uevent $1/events && break; sleep 0.05; done; sleep 0.2
    python3 - <<'EOT'
import os, termios, fcntl, struct
fd = os.open("/dev/ttyACM0", os.O_RDWR | os.O_NOCTTY)
settings = bytearray(fcntl.ioctl(fd, 0x802C542A, bytes(44)))
settings[8:12] = struct.pack("<I", struct.unpack("<I", settings[8:12])[0] & ~0x100F | 0x1000)
for baud in (14400, 9600):
    settings[36:44] = struct.pack("<II", baud, baud)
    fcntl.ioctl(fd, 0x402C542B, bytes(settings))
EOT
    for n in $(seq 100); do grep -q add $1/events && break; sleep 0.05; done
    cat $1/events
    """
    events = re.findall(r"\] (\w+) +(\S+)", bench.shell(script, bench.file.parent))
    assert events == [
        ("remove", "/devices/pci0000:00/0000:00:14.0/usb1/1-1"),
        ("add", "/devices/pci0000:00/0000:00:14.0/usb1/1-1"),
    ]
    assert bench.state("boron").runs == "dfu"


def test_pyserial_console_and_touch(foreign_bench):
    bench = foreign_bench("boron")
    ports, text = json.loads(bench.run(sys.executable, "-c", PYSERIAL))
    assert ports == [["/dev/ttyACM0", 0x2B04, 0xC00D, bench.device_id("boron"), "Boron CDC Mode"]]
    assert text.startswith(f"Device ID: {bench.device_id('boron')}\r\n")
    assert bench.state("boron").runs == "dfu"
    assert bench.truth("boron").dfu_entries == 1


def test_node_usb_lists_boards_and_makes_vendor_requests(foreign_bench, judges):
    bench = foreign_bench(*PLATFORMS)
    rows = json.loads(bench.run("node", "-e", NODE_USB, NODE_PATH=str(judges / "node" / "node_modules")))
    expected = {(hardware(p).platform.usb_normal.pid, bench.device_id(p).upper()) for p in PLATFORMS}
    assert {(row["pid"], row["id"]) for row in rows} == expected
    assert {row["init"] for row in rows} == {"0300000000000100"}
    assert {row["refused"] for row in rows} == {4}, "LIBUSB_TRANSFER_STALL"
