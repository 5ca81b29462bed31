"""Checks on a made-up system: a folder with the files that Linux would show. That real kernels show them so is the
business of tests/judges/usb."""

import pytest

from particle_dev.doctor import udev_rules
from particle_dev.doctor.finding import Status
from particle_dev.doctor.linux import LinuxSystem, check_linux
from particle_dev.errors import LinkAccessError, TransportError


class System:
    """A Linux with USB and nothing else until told."""

    def __init__(self, root):
        self.root = root
        self.locked = set()
        self.is_superuser = False
        (root / "sys/bus/usb/devices/usb1").mkdir(parents=True)
        (root / "proc").mkdir()

    def write(self, path, text=""):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def plug(self, port, vid=0x2B04, pid=0xC00D, product="Boron", number=5, control="on", tty=None):
        base = f"sys/bus/usb/devices/{port}"
        for name, value in {
            "idVendor": f"{vid:04x}",
            "idProduct": f"{pid:04x}",
            "busnum": "1",
            "devnum": str(number),
            "product": product,
            "serial": "e00fce68aabbccddeeff0011",
            "power/control": control,
        }.items():
            self.write(f"{base}/{name}", value + "\n")
        self.write(f"{base}:1.0/bInterfaceClass", "ff\n")
        if tty:
            (self.root / f"{base}/{port}:1.0/tty/{tty}").mkdir(parents=True)

    def install(self, text=None):
        self.write("etc/udev/rules.d/70-particle-dev.rules", udev_rules.rules_text() if text is None else text)

    def run(self, name, pid=100):
        self.write(f"proc/{pid}/comm", f"{name}\n")

    def findings(self):
        return check_linux(LinuxSystem(self.root, self.is_superuser, lambda path: path not in self.locked))

    def of(self, subject):
        return [f for f in self.findings() if f.subject == subject]


@pytest.fixture
def system(tmp_path):
    return System(tmp_path)


def test_a_computer_in_order_has_no_problem(system):
    system.install()
    system.plug("1-2", tty="ttyACM0")
    system.write("sys/module/cdc_acm/version")
    assert {f.status for f in system.findings()} <= {Status.OK, Status.NOTE}
    assert "can be opened" in system.of("boards")[0].message


def test_no_usb_at_all(tmp_path):
    findings = check_linux(LinuxSystem(tmp_path))
    assert (findings[0].subject, findings[0].status) == ("USB", Status.PROBLEM)


def test_missing_and_old_rules(system):
    assert system.of("udev rules")[0].status is Status.PROBLEM
    assert system.of("udev rules")[0].fix == udev_rules.INSTALL_COMMAND
    system.install("# of an older version\n")
    assert system.of("udev rules")[0].status is Status.NOTE
    system.install()
    assert system.of("udev rules")[0].status is Status.OK


def test_root_needs_no_rules(system):
    system.is_superuser = True
    (rules,) = system.of("udev rules")
    assert rules.status is Status.NOTE
    assert "only root may open boards, as you are" in rules.message
    assert rules.fix == udev_rules.INSTALL_COMMAND, "others will"


def test_rules_of_another_tool_are_named(system):
    system.install()
    system.write("etc/udev/rules.d/50-particle.rules")
    assert "50-particle.rules" in system.of("udev rules")[1].message


def test_a_board_that_may_not_be_opened(system):
    system.plug("1-2.1", tty="ttyACM3")
    node, tty = system.root / "dev/bus/usb/001/005", system.root / "dev/ttyACM3"
    system.locked = {node}
    finding = system.of("boards")[0]
    assert finding.status is Status.PROBLEM
    assert str(node) in finding.message
    assert "doctor --install" in finding.fix
    system.locked = {tty}
    assert "dialout" in system.of("boards")[0].fix


def test_no_board_is_no_pass_of_the_access_check(system):
    assert system.of("boards")[0].status is Status.NOTE


def test_modem_manager(system):
    system.run("ModemManager")
    assert system.of("ModemManager")[0].status is Status.PROBLEM
    system.install()
    assert system.of("ModemManager")[0].status is Status.OK


def test_autosuspend(system):
    system.plug("1-2", control="auto")
    finding = system.of("autosuspend")[0]
    assert finding.status is Status.PROBLEM
    assert "/sys/bus/usb/devices/1-2/power/control" in finding.fix


@pytest.mark.parametrize(("port", "status"), [("1-2.1.1.1.1", Status.OK), ("1-2.1.1.1.1.1", Status.PROBLEM)])
def test_hub_depth(system, port, status):
    system.plug(port)
    assert system.of("hubs")[0].status is status


def test_probes(system):
    system.plug("1-3", vid=0x2E8A, pid=0x000C, product="Debug Probe (CMSIS-DAP)", number=9)
    system.plug("1-4", vid=0x0D28, pid=0x0204, product="Particle Debugger", number=10)
    system.locked = {system.root / "dev/bus/usb/001/010"}
    assert [f.status for f in system.of("debug probes")] == [Status.OK, Status.PROBLEM]


def test_board_without_its_serial_port(system):
    system.plug("1-2")
    assert system.of("kernel modules")[0].fix == "sudo modprobe cdc_acm"
    system.plug("1-2", pid=0xD00D, product="Boron DFU Mode")
    system.write("sys/module/cdc_acm/version")
    assert system.of("kernel modules")[0].status is Status.OK


def test_install_writes_the_rules_and_tells_udev(system, monkeypatch):
    called = []
    monkeypatch.setattr(udev_rules.subprocess, "run", lambda command, **_: called.append(command))
    path = udev_rules.install_rules(system.root)
    assert path.read_text() == udev_rules.rules_text()
    assert called[0] == ["udevadm", "control", "--reload"]
    assert called[1][:2] == ["udevadm", "trigger"]


def test_install_without_permission(system):
    system.write("etc/udev/rules.d", "a file where a folder must be")
    with pytest.raises(LinkAccessError, match="cannot be written") as caught:
        udev_rules.install_rules(system.root)
    assert "sudo" in caught.value.hint


def test_install_where_udev_does_not_answer(system, monkeypatch):
    def refuse(command, **_):
        raise FileNotFoundError(2, "No such file or directory", "udevadm")

    monkeypatch.setattr(udev_rules.subprocess, "run", refuse)
    with pytest.raises(TransportError, match="is written, but"):
        udev_rules.install_rules(system.root)
