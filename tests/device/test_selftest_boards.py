"""The host's self-test on the C service: on this machine, on emulated Cortex-M3 and M4 over their UART, and as the
application of a virtual board over USB.

The emulated boards run the code that a real board would run: start-up, UART, clock, frames, requests, tests, and the
module check on real Particle firmware in their flash. QEMU has no pins, I2C devices or flash controller on these
machines: those are simulated behind the library's table of functions (firmware/port/simulated), as are the faults. Over
USB, host and virtual board are ours.
"""

import json
import os
import subprocess

import pytest
from particle_harness.selftest_boards import MACHINES, Defect, emulated_board, host_board

from particle_dev.device.control import ControlSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.device.selftest import ControlSelfTestLink, SelfTestSession, SerialSelfTestLink
from particle_dev.device.selftest_plan import plan_for, plan_of_names
from particle_dev.device.selftest_runner import Verdict, run_plan
from particle_dev.errors import (
    LinkTimeoutError,
    PermissionMissingError,
    RequestRefusedError,
)
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol.selftest import Status
from particle_dev.station.bench import open_bench
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.serial import PyserialHost

ONLINE = Permissions(may_connect=True)
CLOCK = SystemClock()
OFFLINE_TESTS = ["identity", "modules", "counters", "gpio", "i2c", "adc", "ram", "flash", "radio", "disconnect"]
SYSTEM_PART_1, SYSTEM_PART_2, USER_PART = 0x08020000, 0x08060000, 0x080A0000


@pytest.fixture(scope="module")
def photon_modules(particle_cli_firmware):
    """Device OS 2.1.0 and Tinker of the Photon, and where they lie."""
    assets = particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets"
    names = {
        "photon-system-part1@2.1.0.bin": SYSTEM_PART_1,
        "photon-system-part2@2.1.0.bin": SYSTEM_PART_2,
        "tinker-*-photon.bin": USER_PART,
    }
    return [(next(assets.rglob(name)), address) for name, address in names.items()]


def run(url, names=None, permissions=NOTHING, reply_timeout_s=5.0):
    """Results by test, and the whole run. A machine under load may keep an emulated board waiting."""
    link = PyserialHost().open(url, 115200)
    try:
        serial = SerialSelfTestLink(link, CLOCK, reply_timeout_s=reply_timeout_s)
        with SelfTestSession(serial, CLOCK, permissions) as session:
            tests = session.describe()
            done = run_plan(session, plan_of_names(names) if names else plan_for(tests), tests, CLOCK)
    finally:
        link.close()
    return {r.name: r for r in done.results}, done


def failed(results):
    return {name for name, result in results.items() if result.verdict is Verdict.FAILED}


# ---- this machine ---------------------------------------------------------------------------------------------------


def test_a_board_without_modules_does_not_pass(selftest_ports):
    with host_board(selftest_ports) as url:
        results, done = run(url)
    assert list(results) == OFFLINE_TESTS
    assert {n for n, r in results.items() if r.verdict is not Verdict.PASSED} == {"modules"}
    assert done.verdict is Verdict.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("fault", "test", "reason"),
    [
        (Defect.RAM_STUCK, "ram", "does not keep"),
        (Defect.RAM_COUPLED, "ram", "does not keep"),
        (Defect.GPIO_OPEN, "gpio", "D2-D3 2 errors"),
        (Defect.GPIO_SHORT, "gpio", "D0-D1 2 errors"),
        (Defect.ADC_HIGH, "adc", "supply 3700 mV (3200 to 3400) is outside"),
        (Defect.I2C_MISSING, "i2c", "a device does not answer"),
        (Defect.I2C_STUCK, "i2c", "the bus does not work"),
        (Defect.FLASH_STUCK, "flash", "does not hold"),
        (Defect.RADIO_DEAD, "radio", "does not answer"),
        (Defect.RESETS, "ram", "restarted during self-test ram"),
    ],
)
def test_each_fault_is_found_by_its_test_alone(selftest_ports, fault, test, reason):
    with host_board(selftest_ports, fault) as url:
        results, done = run(url)
    assert failed(results) == {test}
    assert any(reason in r for r in results[test].reasons)
    assert done.verdict is Verdict.FAILED


def test_missing_hardware_is_no_pass(selftest_ports):
    with host_board(selftest_ports, Defect.NO_IO) as url:
        results, done = run(url)
    assert {n for n, r in results.items() if r.verdict is Verdict.NOT_SUPPORTED} == {
        "modules",
        "gpio",
        "i2c",
        "adc",
        "radio",
        "disconnect",
    }
    assert done.verdict is Verdict.NOT_SUPPORTED


def test_garbage_on_the_line(selftest_ports):
    with host_board(selftest_ports, Defect.GARBAGE | Defect.GPIO_OPEN) as url:
        results, _ = run(url)
    assert failed(results) == {"gpio"}


def test_a_silent_board(selftest_ports):
    with host_board(selftest_ports, Defect.SILENT) as url, pytest.raises(LinkTimeoutError, match="no answer to a ping"):
        run(url, reply_timeout_s=0.02)


def test_cloud_tests_only_when_allowed(selftest_ports):
    names = ["connect", "publish", "disconnect"]
    with host_board(selftest_ports) as url:
        results, _ = run(url, names)
        assert [results[n].verdict for n in names] == [Verdict.NOT_ALLOWED, Verdict.NOT_ALLOWED, Verdict.PASSED]
        counters, _ = run(url, ["counters"])
        assert {v.name: v.value for v in counters["counters"].report.values}["connections"] == 0
        _, done = run(url, names, ONLINE)
        assert done.verdict is Verdict.PASSED
        counters, _ = run(url, ["counters"])
        assert {v.name: v.value for v in counters["counters"].report.values}["connections"] == 1


# ---- emulated Cortex-M ----------------------------------------------------------------------------------------------


@pytest.mark.firmware
@pytest.mark.parametrize("cpu", MACHINES)
def test_a_good_emulated_board_passes(selftest_ports, cpu, photon_modules):
    """With real Device OS in its flash, at a Photon's addresses."""
    with emulated_board(selftest_ports, cpu, modules=photon_modules) as url:
        results, done = run(url)
    assert {name: result.reasons for name, result in results.items() if result.verdict is not Verdict.PASSED} == {}
    assert list(results) == OFFLINE_TESTS
    assert done.verdict is Verdict.PASSED
    modules = {v.name: v.value for v in results["modules"].report.values}
    assert (modules["system1"], modules["system2"]) == (2101, 2101)
    # QEMU's converter gives 7, 14, 21, …: the means of the first and the second 8 conversions.
    assert [(v.name, v.value) for v in results["adc"].report.values] == [("A0", 31), ("A1", 87)]
    assert results["counters"].report.values[0].value > 0  # SysTick runs


@pytest.mark.firmware
@pytest.mark.parametrize("cpu", MACHINES)
def test_every_fault_of_an_emulated_board_is_found(selftest_ports, cpu, photon_modules, tmp_path):
    """All at once, one byte of system part 2 flipped, and garbage around every reply."""
    defects = Defect.RAM_STUCK | Defect.GPIO_OPEN | Defect.ADC_HIGH | Defect.I2C_STUCK | Defect.FLASH_STUCK
    damaged = bytearray(photon_modules[1][0].read_bytes())
    damaged[100000] ^= 1
    (tmp_path / "part2.bin").write_bytes(damaged)
    modules = [photon_modules[0], (tmp_path / "part2.bin", SYSTEM_PART_2), photon_modules[2]]
    with emulated_board(selftest_ports, cpu, defects | Defect.RADIO_DEAD | Defect.GARBAGE, modules) as url:
        results, done = run(url)
    assert failed(results) == {"modules", "gpio", "i2c", "adc", "ram", "flash", "radio"}
    assert done.verdict is Verdict.FAILED
    texts = {v.name: v.value for v in results["modules"].report.values}
    assert texts["system2"] == "crc_mismatch"
    assert any("CRC" in r for r in results["modules"].reasons)


@pytest.mark.parametrize("cpu", MACHINES)
def test_an_emulated_board_that_resets_and_one_that_is_silent(selftest_ports, cpu):
    with emulated_board(selftest_ports, cpu, Defect.RESETS) as url:
        results, _ = run(url, ["ram", "gpio"])
    assert "restarted" in results["ram"].reasons[0]
    assert results["gpio"].verdict is Verdict.PASSED
    with (
        emulated_board(selftest_ports, cpu, Defect.SILENT) as url,
        pytest.raises(LinkTimeoutError, match="no answer to a ping"),
    ):
        run(url, reply_timeout_s=0.2)


# ---- USB ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def usb_board(selftest_ports):
    """The host of a virtual Boron whose application is the C service, and the device."""
    yield from boron(f"program:{selftest_ports / 'selftest_host'} --requests")


@pytest.fixture
def usb_board_without(selftest_ports):
    """As usb_board, with an application that is none of ours."""
    yield from boron("log")


def boron(application):
    slot = {"name": "1", "platform": "boron", "device_os": "6.2.0", "factory": "online", "application": [application]}
    bench = open_bench("virtual", options={"clock": "virtual"}, slots=[slot], factory_modules=lambda _: [])
    host = bench.slots[0].host
    yield host, wait_for_device(host, "1-1", 10)
    bench.close()


def test_over_usb(usb_board):
    host, device = usb_board
    with ControlSession(host, device) as control:
        session = SelfTestSession(ControlSelfTestLink(control), host.clock)
        tests = session.describe()
        results = {r.name: r for r in run_plan(session, plan_for(tests), tests, host.clock).results}
        assert [n for n, r in results.items() if r.verdict is not Verdict.PASSED] == ["modules"]
        with pytest.raises(RequestRefusedError, match="no such test"):
            session.start("nothing")


def test_over_usb_the_permission_is_asked_twice(usb_board):
    host, device = usb_board
    with ControlSession(host, device) as control:  # holds none
        session = SelfTestSession(ControlSelfTestLink(control), host.clock, ONLINE)
        with pytest.raises(PermissionMissingError):
            session.run("connect", may_connect=True)
    with ControlSession(host, device, ONLINE) as control:
        session = SelfTestSession(ControlSelfTestLink(control), host.clock, ONLINE)
        assert session.run("connect", may_connect=True).outcome == "passed"


def test_an_application_without_the_service(usb_board_without):
    host, device = usb_board_without
    with (
        ControlSession(host, device) as control,
        pytest.raises(RequestRefusedError, match="has no self-test"),
    ):
        SelfTestSession(ControlSelfTestLink(control), host.clock).describe()


def test_a_board_that_boots_again_has_forgotten_its_test(usb_board):
    host, device = usb_board
    with ControlSession(host, device, ONLINE) as control:
        session = SelfTestSession(ControlSelfTestLink(control), host.clock)
        session.start("ram")
        assert session.status() is not Status.WAITING
        control.reset()
        host.clock.sleep(20)
    with ControlSession(host, wait_for_device(host, "1-1", 30)) as control:
        assert SelfTestSession(ControlSelfTestLink(control), host.clock).status() is Status.WAITING


# ---- the service, request by request --------------------------------------------------------------------------------


def test_its_replies_are_json(selftest_ports):
    """Also when a text of the request has quotes and control characters."""
    requests = [
        '{"c":"l"}',
        '{"c":"d"}',
        '{"c":"t","t":"publish","may_connect":1,"p":{"name":"\\"\\u0001"}}',
        '{"c":"L"}',
    ]
    requests += ['{"c":"R"}', '{"c":"x"}', ""]
    done = subprocess.run(
        [selftest_ports / "selftest_host", "--requests"],
        input="\n".join(requests) + "\n",
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    results = [line.partition(" ")[::2] for line in done.stdout.splitlines()]
    assert [int(result) for result, _ in results] == [0, 0, 0, 0, 0, -270, 0]
    assert all(json.loads(reply) for _, reply in results if reply)
