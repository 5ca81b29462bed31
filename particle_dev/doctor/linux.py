"""Checks of a Linux computer, each a function from the system's files to findings."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from particle_dev.doctor import udev_rules
from particle_dev.doctor.finding import Finding, Status
from particle_dev.doctor.usb_tree import UsbNode, usb_nodes

MAX_HUBS = 5
"""Source: Universal Serial Bus Specification 2.0, 4.1.1: seven tiers, root hub and device included."""
_PROBE_IDS = ((0x0D28, 0x0204), (0x1209, 0x4853), (0x0483, 0x3748), (0x0483, 0x374B), (0x0483, 0x374E), (0x1366, None))
"""DAPLink (Particle Debugger), hs-probe, ST-Link, J-Link of any kind. Other CMSIS-DAP probes carry that word in their
product name. Source: CMSIS-DAP, "Connect to a CMSIS-DAP unit"; pyOCD probe plug-ins."""


@dataclass(frozen=True, slots=True)
class LinuxSystem:
    """What the checks look at. ``root`` is ``/`` outside of tests; ``is_superuser``: this user may open everything;
    ``may_open`` tells whether this user may read and write a device file."""

    root: Path = Path("/")
    is_superuser: bool = hasattr(os, "geteuid") and os.geteuid() == 0
    may_open: Callable[[Path], bool] = lambda path: os.access(path, os.R_OK | os.W_OK)

    @property
    def nodes(self) -> tuple[UsbNode, ...] | None:
        """USB devices, None without USB."""
        return usb_nodes(self.root)

    def kernel_has(self, module: str) -> bool:
        """Whether a kernel module is loaded or built in."""
        return (self.root / "sys/module" / module).is_dir()

    def program_runs(self, name: str) -> bool:
        """Whether a process of that name exists. Names are cut to 15 characters, as the kernel does."""
        wanted = name[:15]
        for comm in (self.root / "proc").glob("[0-9]*/comm"):
            try:
                if comm.read_text(encoding="utf-8", errors="replace").strip() == wanted:
                    return True
            except OSError:
                # That process has ended.
                continue
        return False


def check_linux(system: LinuxSystem) -> tuple[Finding, ...]:
    """All checks, in the order in which their problems are best solved."""
    nodes = system.nodes
    if nodes is None:
        missing = Finding(
            "USB",
            Status.PROBLEM,
            "the kernel shows no USB bus",
            "in a container or guest, pass the host's USB through; else type: sudo modprobe usbcore",
        )
        return (missing, *_rules(system), *_kernel_modules(system, ()))
    boards = [n for n in nodes if n.is_particle]
    return (
        *_rules(system),
        *_boards(system, boards),
        *_modem_manager(system),
        *_autosuspend(system, boards),
        *_hubs(boards),
        *_probes(system, nodes),
        *_kernel_modules(system, boards),
    )


def _rules(system: LinuxSystem) -> Sequence[Finding]:
    installed = udev_rules.installed_rules(system.root)
    findings = []
    if installed is None:
        findings.append(
            Finding(
                "udev rules",
                Status.NOTE if system.is_superuser else Status.PROBLEM,
                f"not installed: only root may open boards{', as you are' if system.is_superuser else ''}",
                udev_rules.INSTALL_COMMAND,
            )
        )
    else:
        path, current = installed
        findings.append(
            Finding("udev rules", Status.OK, str(path))
            if current
            else Finding("udev rules", Status.NOTE, f"{path} is not that of this version", udev_rules.INSTALL_COMMAND)
        )
    findings += [
        Finding("udev rules", Status.NOTE, f"{path} of another tool is in force too; that does no harm")
        for path in udev_rules.other_rules(system.root)
    ]
    return findings


def _boards(system: LinuxSystem, boards: Sequence[UsbNode]) -> Sequence[Finding]:
    if not boards:
        return [Finding("boards", Status.NOTE, "none is plugged in, so access to one was not tried")]
    findings = []
    for board in boards:
        refused = [path for path in (board.node, *board.ttys) if not system.may_open(path)]
        if refused:
            names = ", ".join(str(p) for p in refused)
            fix = udev_rules.INSTALL_COMMAND
            if board.node not in refused:
                fix = "sudo adduser $USER dialout, then log in again"
            findings.append(Finding("boards", Status.PROBLEM, f"{board.name}: no access to {names}", fix))
        else:
            findings.append(Finding("boards", Status.OK, f"{board.name}: can be opened"))
    return findings


def _modem_manager(system: LinuxSystem) -> Sequence[Finding]:
    if not system.program_runs("ModemManager"):
        return [Finding("ModemManager", Status.OK, "does not run")]
    installed = udev_rules.installed_rules(system.root)
    if installed and installed[1]:
        return [Finding("ModemManager", Status.OK, "runs, and the udev rules keep it away from boards")]
    return [
        Finding(
            "ModemManager",
            Status.PROBLEM,
            "runs, and will send AT commands to the serial port of every board that is plugged in",
            udev_rules.INSTALL_COMMAND,
        )
    ]


def _autosuspend(_system: LinuxSystem, boards: Sequence[UsbNode]) -> Sequence[Finding]:
    suspending = [b for b in boards if b.power_control == "auto"]
    if not suspending:
        return [Finding("autosuspend", Status.OK, "off for boards")]
    return [
        Finding(
            "autosuspend",
            Status.PROBLEM,
            f"on for {b.name}: after a pause its first request may fail",
            f"echo on | sudo tee /sys/bus/usb/devices/{b.port_path}/power/control   "
            f"(for good: {udev_rules.INSTALL_COMMAND})",
        )
        for b in suspending
    ]


def _hubs(boards: Sequence[UsbNode]) -> Sequence[Finding]:
    if not boards:
        return []
    deepest = max(boards, key=lambda b: b.hubs_between)
    count = deepest.hubs_between
    hubs = f"{deepest.name} has {count} hub{'' if count == 1 else 's'} between it and this computer"
    if count >= MAX_HUBS:
        return [Finding("hubs", Status.PROBLEM, f"{hubs}; USB allows {MAX_HUBS}", "plug it in nearer to the computer")]
    return [Finding("hubs", Status.OK, hubs)]


def _is_probe(node: UsbNode) -> bool:
    return "CMSIS-DAP" in node.product or any(node.vid == vid and pid in (None, node.pid) for vid, pid in _PROBE_IDS)


def _probes(system: LinuxSystem, nodes: Sequence[UsbNode]) -> Sequence[Finding]:
    probes = [n for n in nodes if _is_probe(n)]
    if not probes:
        return [Finding("debug probes", Status.NOTE, "none is plugged in; only SWD needs one")]
    return [
        Finding("debug probes", Status.OK, f"{p.name}: can be opened")
        if system.may_open(p.node)
        else Finding("debug probes", Status.PROBLEM, f"{p.name}: no access to {p.node}", udev_rules.INSTALL_COMMAND)
        for p in probes
    ]


def _kernel_modules(system: LinuxSystem, boards: Sequence[UsbNode]) -> Sequence[Finding]:
    findings = []
    with_console = [b for b in boards if not b.pid & 0x1000]
    if any(not b.ttys for b in with_console):
        fix = "sudo modprobe cdc_acm"
        names = ", ".join(b.name for b in with_console if not b.ttys)
        status = Status.NOTE if system.kernel_has("cdc_acm") else Status.PROBLEM
        findings.append(Finding("kernel modules", status, f"no serial port for {names}", fix))
    elif system.kernel_has("cdc_acm"):
        findings.append(Finding("kernel modules", Status.OK, "cdc_acm is loaded: boards get serial ports"))
    else:
        findings.append(
            Finding("kernel modules", Status.NOTE, "cdc_acm is not loaded yet; plugging in a board loads it")
        )
    if not system.kernel_has("vhci_hcd"):
        findings.append(
            Finding(
                "kernel modules",
                Status.NOTE,
                "vhci_hcd is not loaded; only `sim attach` (virtual boards on this kernel) needs it",
                "sudo modprobe vhci_hcd",
            )
        )
    return findings
