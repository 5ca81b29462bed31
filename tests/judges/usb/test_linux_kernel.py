"""A real Linux kernel drives virtual boards over USB/IP: usbcore, cdc_acm, usbfs, sysfs; in QEMU without any privilege.

Boards live in this process, so what a test looks at afterwards is the board itself.
"""

import importlib.util
import json
import random
import re
import sys
import time
from pathlib import Path

import pytest
from particle_harness.bench import open_bench
from particle_harness.bench_toml import modules_in, stand_ins
from particle_harness.usbip import Server

from particle_dev.protocol.module import Product, parse
from particle_dev.protocol.module_edit import set_product

# An emulated CPU on a busy machine.
pytestmark = pytest.mark.timeout(300)
HERE = Path(__file__).parent
PYTHON = sys.executable
PARTICLE_DEV = Path(PYTHON).with_name("particle-dev")
FAMILIES = ("boron", "bsom", "tracker", "argon", "xenon", "b5som", "photon", "p1")

SPEC = importlib.util.spec_from_file_location("guest_machine", HERE / "guest" / "machine.py")
machine = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(machine)


@pytest.fixture(scope="module")
def guest(judges, tmp_path_factory):
    with machine.Guest(judges / "guest", tmp_path_factory.mktemp("guest") / "console.log") as running:
        yield running


@pytest.fixture
def plug(guest, assets):
    """Plug boards into the guest; they stay plugged in through mode changes."""
    opened = []

    def make(*platforms, delays="realistic", **keys):
        slots = [{"name": platform, "platform": platform, **keys} for platform in platforms]
        bench = open_bench(
            options={"delays": delays}, slots=slots, state_dir=None, factory_modules=modules_in(assets / "updates")
        )
        server = Server(bench.boards, ("127.0.0.1", 0))
        opened.extend((server, bench))
        guest.run(f"{PARTICLE_DEV} sim attach 10.0.2.2:{server.port} > /run/attach.log 2>&1 & echo $! > /run/attach")
        guest.run(wait_for(f"[ $(lsusb -d 2b04: | wc -l) = {len(platforms)} ]"))
        return bench

    yield make
    if opened:
        guest.run("kill $(cat /run/attach); cat /run/attach.log >&2")
    for closable in opened:
        closable.close()
    guest.run(wait_for("! lsusb -d 2b04:"))


def wait_for(condition):
    return f"for n in $(seq 600); do {{ {condition} ; }} > /dev/null && break; sleep 0.05; done; {condition}; "


def until(condition, timeout_s=10.0):
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_serial_driver_and_sysfs(guest, plug):
    bench = plug("boron")
    guest.run(wait_for("[ -e /dev/ttyACM0 ]"))
    text = guest.run("udevadm info --name=/dev/ttyACM0 --attribute-walk")
    assert 'DRIVERS=="cdc_acm"' in text
    assert 'ATTRS{idProduct}=="c00d"' in text
    assert f'ATTRS{{serial}}=="{bench.boards[0].state.device_id}"' in text
    assert "error" not in guest.run("dmesg | grep -i 'usb 1-\\|cdc_acm' || true").lower()


def test_pyserial_talks_to_the_console_and_touches_into_dfu_mode(guest, plug):
    bench = plug("boron")
    board = bench.boards[0]
    requests = []
    control = board.control
    board.control = lambda address, setup, data=b"": requests.append((setup, data)) or control(address, setup, data)
    script = """
import json, serial
from serial.tools import list_ports
(port,) = [p for p in list_ports.comports() if p.vid == 0x2B04]
with serial.Serial(port.device, 115200, timeout=5) as console:
    console.write(b"i")
    text = console.read_until(b"Serial Number")
touched = serial.Serial(port.device, 14400)
touched.baudrate = 9600
touched.close()
print(json.dumps([port.device, port.serial_number, port.product, text.decode()]))
"""
    guest.run(wait_for("[ -e /dev/ttyACM0 ]"))
    device, serial_number, product, text = json.loads(guest.run(f"{PYTHON} -c '{script}'"))
    assert (device, serial_number, product) == ("/dev/ttyACM0", board.state.device_id, "Boron CDC Mode")
    assert text.startswith(f"Device ID: {board.state.device_id}\r\n")
    until(lambda: board.state.runs == "dfu")
    guest.run(wait_for("lsusb -d 2b04:d00d") + wait_for("[ ! -e /dev/ttyACM0 ]"))
    # cdc_acm raises DTR and RTS before it sends the speed, and drops them when the port is closed.
    class_requests = [(s.b_request, s.w_value, data[:4]) for s, data in requests if s.bm_request_type == 0x21]
    speeds = [int.from_bytes(data, "little") for request, _, data in class_requests if request == 0x20]
    assert speeds[-2:] == [14400, 9600]
    assert 115200 in speeds
    assert (0x22, 3, b"") in class_requests
    assert (0x22, 0, b"") in class_requests


def image(size_bytes, seed):
    return b"\0" + random.Random(seed).randbytes(size_bytes - 1)


CYCLES = """
import faulthandler, glob, pathlib, serial, subprocess, sys, time

faulthandler.dump_traceback_later(150, exit=True)

def wait_for(condition):
    deadline_s = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline_s:
            sys.exit("nothing happened")
        time.sleep(0.02)

def on_bus(pid):
    try:
        return any(pathlib.Path(f).read_text().strip() == pid for f in glob.glob("/sys/bus/usb/devices/1-*/idProduct"))
    except OSError:
        return False

for n in range(20):
    wait_for(pathlib.Path("/dev/ttyACM0").exists)
    try:
        touched = serial.Serial("/dev/ttyACM0", 14400)
        touched.baudrate = 9600
        touched.close()
    except OSError:
        pass  # this board resets before pyserial is through with opening
    wait_for(lambda: on_bus("d01a"))
    dfu_util = "dfu-util -d 2b04:d01a -a 0 -s 0xE8000:leave -D".split()
    subprocess.run([*dfu_util, f"{sys.argv[1]}/{n}.bin"], check=True, timeout=40)
    wait_for(lambda: on_bus("c01a"))
"""


def test_twenty_cycles_of_touch_flash_and_leave(guest, plug, tmp_path):
    bench = plug("tracker", delays="none", factory="online")
    board = bench.boards[0]
    written = []
    program = board.internal.program
    board.internal.program = lambda address, data: written.append(data) or program(address, data)
    for number in range(20):
        (tmp_path / f"{number}.bin").write_bytes(image(4096, number))
    (tmp_path / "cycles.py").write_text(CYCLES, encoding="utf-8")
    guest.run(f"{PYTHON} {tmp_path}/cycles.py {tmp_path}")
    assert written == [image(4096, number) for number in range(20)]
    # Behind the application, where nothing is needed to boot.
    assert board.internal.read(0xE8000, 4096) == image(4096, 19)
    assert board.truth.dfu_entries == 20
    assert board.truth.app_boots == 21


def test_eight_boards_at_once_by_serial_number(guest, plug, tmp_path):
    bench = plug(*FAMILIES, delays="none", arrives_in="dfu")
    commands = []
    for board, name in zip(bench.boards, FAMILIES, strict=True):
        (tmp_path / name).write_bytes(image(65536, name))
        usb = board.hardware.platform.usb_dfu
        address = 0x30000 if board.hardware.is_gen3 else 0x08020000
        select = f"-d {usb.vid:04x}:{usb.pid:04x} -S {board.state.device_id} -a 0"
        commands.append(f"dfu-util {select} -s {address} -D {tmp_path / name} & pids+=($!)")
    guest.run("pids=(); " + "; ".join(commands) + '; for p in "${pids[@]}"; do wait $p; done')
    for board, name in zip(bench.boards, FAMILIES, strict=True):
        address = 0x30000 if board.hardware.is_gen3 else 0x08020000
        assert board.internal.read(address, 65536) == image(65536, name)


# A process each; only the imports, which an emulated CPU needs seconds for, are shared.
AT_ONCE = """
import json, os, sys
import usb.backend.libusb1
import particle_dev.cli.flash, particle_dev.station.usb_bench
from particle_dev.cli.main import main

def run(command):
    try:
        main(command.split())
    except SystemExit as end:
        return end.code or 0

children = {}
for command in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        os._exit(run(command))
    children[child] = command
failed = [children[child] for child in children if os.waitpid(child, 0)[1]]
sys.exit("failed: " + "; ".join(failed) if failed else 0)
"""


def test_eight_boards_at_once_by_our_command_line(guest, plug, assets, tmp_path):
    bench = plug(*FAMILIES, delays="none")
    written, commands = {}, []
    for board, name in zip(bench.boards, FAMILIES, strict=True):
        pattern = "tracker-tinker@*.bin" if name == "tracker" else f"tinker-*-{name}.bin"
        (tinker,) = (assets / "binaries").glob(pattern)
        written[name] = tmp_path / f"{name}.bin"
        written[name].write_bytes(set_product(tinker.read_bytes(), Product(1000 + len(commands), 7)))
        flash = f"{PARTICLE_DEV} flash --may-connect --device {board.state.device_id} {written[name]}"
        commands.append(f"{flash} > /run/{name}.log 2>&1 & pids+=($!)")
    script = "pids=(); s=0; " + "; ".join(commands) + '; for p in "${pids[@]}"; do wait $p || s=1; done; '
    guest.run(script + "[ $s = 0 ] || { tail -n 5 /run/*.log >&2; exit 1; }", timeout_s=280)
    for board, name in zip(bench.boards, FAMILIES, strict=True):
        data = written[name].read_bytes()
        address = parse(data).start_address
        assert board.internal.read(address, len(data)) == data
        assert board.state.runs == "dfu"


def test_monitor_follows_a_board_through_a_reset(guest, plug):
    bench = plug("boron", delays="none")
    guest.run(f"{PARTICLE_DEV} monitor --json --log /run/monitor > /dev/null 2>&1 & echo $! > /run/monitor.pid")
    ask = "printf v > /dev/ttyACM0; "
    try:
        for number in (1, 2):
            guest.run(wait_for(f"[ $(grep -c reading /run/monitor) = {number} ]") + ask)
            guest.run(wait_for(f"[ $(grep -c 'firmware version' /run/monitor) = {number} ]"))
            bench.boards[0].reset_pin()
    finally:
        text = guest.run("kill $(cat /run/monitor.pid); cat /run/monitor")
    device_id = bench.boards[0].state.device_id
    events = [json.loads(line) for line in text.splitlines()]
    assert {event["identity"] for event in events} == {device_id}
    told = [event["event"] for event in events if event["event"] != "line" or "version" in event["text"]]
    start = told.index("reading")
    assert told[start : start + 2] == ["reading", "line"]
    second = told.index("reading", start + 1)
    assert told[second : second + 2] == ["reading", "line"]
    assert second > start + 2, "it left the bus in between"


def test_our_command_line_unchanged(guest, plug, assets):
    bench = plug("boron", delays="none")
    board = bench.boards[0]
    listed = json.loads(guest.run(f"{PARTICLE_DEV} list --json"))
    assert (listed["device_id"], listed["platform"]["name"]) == (board.state.device_id, "boron")
    tinker = assets / "binaries" / "tinker-0.8.0-rc.27-boron.bin"
    system = assets / "updates" / "boron-system-part1@2.1.0.bin"
    guest.run(wait_for("[ -e /dev/ttyACM0 ]") + f"{PARTICLE_DEV} flash --by touch {system} {tinker}")
    assert board.internal.read(0xD4000, tinker.stat().st_size) == tinker.read_bytes()
    assert board.internal.read(0x30000, system.stat().st_size) == system.read_bytes()
    assert board.state.runs == "dfu"
    guest.run(
        f"{PARTICLE_DEV} mode normal --may-connect; " + wait_for("[ -e /dev/ttyACM0 ]") + f"{PARTICLE_DEV} mode dfu"
    )
    assert board.truth.app_boots == 2
    assert board.state.runs == "dfu"


def test_pulled_in_the_middle_of_a_flash(guest, plug, assets):
    bench = plug("tracker")
    board = bench.boards[0]
    system = assets / "updates" / "tracker-system-part1@2.1.0.bin"
    guest.run(f"{{ s=0; {PARTICLE_DEV} flash {system} || s=$?; echo $s > /run/flashed; }} > /run/flash.log 2>&1 &")
    until(lambda: board.truth.programs > 40, timeout_s=60)
    bench.slots[0].power.off()
    status = guest.run(wait_for("[ -s /run/flashed ]") + "cat /run/flashed /run/flash.log")
    assert status.startswith("1\n")
    assert "left the bus" in status
    bench.slots[0].power.on()
    # The brake is set: it waits in DFU mode.
    guest.run(wait_for("lsusb -d 2b04:d01a"))
    programs = board.truth.programs
    guest.run(f"{PARTICLE_DEV} flash {system}")
    assert board.internal.read(0x30000, system.stat().st_size) == system.read_bytes()
    assert 0 < board.truth.programs - programs < system.stat().st_size // 4096
    assert board.truth.app_boots == board.truth.safe_mode_boots + 1 == 1


def test_stock_usbip_attaches(guest, assets):
    slots = [{"name": platform, "platform": platform} for platform in ("boron", "photon")]
    bench = open_bench(options={"delays": "none"}, slots=slots, state_dir=None, factory_modules=stand_ins)
    with Server(bench.boards, ("127.0.0.1", 0)) as server:
        usbip = f"usbip --tcp-port {server.port}"
        listed = guest.run(f"{usbip} list -r 10.0.2.2")
        assert re.findall(r"1-\d: .*\(2b04:(\w+)\)", listed) == ["c00d", "c006"]
        guest.run(f"{usbip} attach -r 10.0.2.2 -b 1-2; " + wait_for("[ -e /dev/ttyACM0 ]"))
        found = json.loads(guest.run(f"{PARTICLE_DEV} id --json"))
        assert found["device_id"] == bench.boards[1].state.device_id
        assert "2b04:c006" in guest.run(f"lsusb; {usbip} port")
        port = guest.run(f"{usbip} port | sed -n 's/^Port 0*\\([0-9][0-9]*\\):.*/\\1/p'").strip()
        guest.run(f"{usbip} detach -p {port}; " + wait_for("! lsusb -d 2b04:"))
        # It can be attached again after it was detached.
        guest.run(f"{usbip} attach -r 10.0.2.2 -b 1-2; " + wait_for("lsusb -d 2b04:c006"))
    guest.run(wait_for("! lsusb -d 2b04:"))
    bench.close()


def test_power_off_unplugs(guest, plug):
    bench = plug("photon")
    guest.run(wait_for("[ -e /dev/ttyACM0 ]"))
    bench.slots[0].power.off()
    guest.run(wait_for("! lsusb -d 2b04:") + wait_for("[ ! -e /dev/ttyACM0 ]"))
    bench.slots[0].power.on()
    guest.run(wait_for("lsusb -d 2b04:c006"))
