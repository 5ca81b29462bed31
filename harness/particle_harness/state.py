"""What a board remembers, in RAM and beyond: its flash images and one JSON file per slot."""

from __future__ import annotations

import json
import mmap
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from particle_dev.errors import BenchError
from particle_harness.boot import BootDecision
from particle_harness.truth import Truth
from particle_harness.usb.dfu_terms import DfuRegisters

STATE_FILE = "board.json"
KEPT_BY = {"virtual": STATE_FILE, "emulated": "emulated.json"}
"""The file in the folder of a slot that tells which driver has kept the board there."""


@dataclass(slots=True)
class BoardState:
    """Everything about a board that is not in its flash. Times are seconds on the board's clock."""

    device_id: str = ""
    powered: bool = False
    unplugged: bool = False
    """The cable is out, by a fault: the power switch does not help."""
    runs: str = "off"
    """``off``, ``booting``, ``dfu``, ``app``, ``safe_mode``, ``listening``, ``hung`` or ``reset_loop``."""
    safe_mode: bool = False
    reasons: list[str] = field(default_factory=list)
    """Why the last boot ended where it did."""
    attached: bool = False
    has_serial_port: bool = True
    """False on an RTL872x that has just started."""
    address: int = 0
    """USB address, as the host gave it at the last enumeration."""
    booted_at_s: float = 0.0
    reset_reason: int = 0
    events: list[tuple[float, str, str]] = field(default_factory=list)
    """What is to come: time, name, argument; sorted."""
    dfu_requested: bool = False
    safe_mode_requested: bool = False
    listen_requested: bool = False
    watchdog_armed: bool = False
    ncp_version: int = 7
    """Firmware of a network processor."""
    ncp_is_known: bool = False
    """The system has asked its network processor once, and keeps what it said."""
    ncp_sha256: str = ""
    """Of the image that was programmed into it."""
    km0_encrypted: bool = False
    """The fuse of an RTL872x that makes KM0 take only encrypted firmware is burned."""
    km0_prefix: str = ""
    """Hex of the prefix of that firmware."""
    wifi_networks: list[dict[str, Any]] = field(default_factory=list)
    """Stored networks, the preferred one first."""
    access_points: dict[str, dict[str, str]] = field(default_factory=dict)
    """Cellular access points by SIM, where they are not the default."""
    active_sim: int = 1
    radio_has_run: bool = False
    """In this boot: the system knows what the modem told."""
    override_resets_left: int = 0
    """Service mode of a protected board: resets that it still survives, 0 when there is none."""
    override_until_s: float = 0.0
    radio_on: bool = False
    signalling: bool = False
    """The LED runs through all colours."""
    log_handlers: dict[str, list[str]] = field(default_factory=dict)
    """Added by request 80: id to handler type, stream and level."""
    listening: bool = False
    auto_connect: bool = False
    listen_checked: bool = False
    """The first network_connect() of this boot has looked at the flags that turn it into listening mode."""
    net_status: int = 0
    cloud_status: int = 0
    net_attempts: int = 0
    cloud_attempts: int = 0
    cloud_disconnects: int = 0
    connect_failures: int = 0
    """Attempts in a row that the network or the cloud refused."""
    halted_at_s: float | None = None
    """A debugger has stopped the core since then."""
    debug_port_open: bool = False
    """Hardened silicon: something opened the debug port since the last hard reset."""
    alternate: int = 0
    dfu: DfuRegisters = field(default_factory=DfuRegisters)
    network_troubles: list[str] = field(default_factory=list)
    """What is wrong with the way to the network, until somebody mends it."""
    registration: int = 0
    """Of the modem, as AT+CEREG? tells it: 0 not searching, 1 home, 2 searching, 3 denied, 5 roaming."""
    attempt_is_due: bool = False
    """The first attempt at a network is on the agenda."""
    connecting_since_s: float = 0.0
    cloud_error: int = 0
    """Of the last handshake that failed in this boot."""
    fired_faults: list[str] = field(default_factory=list)
    clock_s: float = 0.0

    def start(self, decision: BootDecision, at_s: float, reason: int, *, is_gen2: bool) -> None:
        """RAM after a boot that ends as decided; requests it has carried out are gone."""
        listening = decision.runs == "listening"
        if listening and (not is_gen2 or self.safe_mode_requested):
            self.listen_requested = False
        self.dfu_requested = self.safe_mode_requested = False
        self.runs, self.reasons, self.safe_mode = decision.runs, list(decision.reasons), decision.safe_mode
        self.booted_at_s, self.reset_reason = at_s, reason
        self.listening = listening
        self.auto_connect = self.listen_checked = decision.would_connect or listening
        self.net_status = self.cloud_status = 0
        self.net_attempts = self.cloud_attempts = self.cloud_disconnects = self.connect_failures = 0
        self.registration = self.cloud_error = 0
        self.attempt_is_due = False
        self._forget_what_the_system_held()

    @property
    def wifi_credentials(self) -> bool:
        """Whether there is a network to go to."""
        return bool(self.wifi_networks)

    def lose_power(self) -> None:
        """RAM and backup registers are gone, and with them all that was to come."""
        self.powered = self.safe_mode = self.listening = self.auto_connect = False
        self.dfu_requested = self.safe_mode_requested = self.listen_requested = self.watchdog_armed = False
        self.net_status = self.cloud_status = 0
        self.runs = "off"
        self.reasons = []
        self.events.clear()
        self._forget_what_the_system_held()

    def _forget_what_the_system_held(self) -> None:
        self.radio_on = self.signalling = self.radio_has_run = False
        self.log_handlers = {}


class SlotStore:
    """Files of one slot under ``<state_dir>/<slot name>/``; all of them survive the death of the process."""

    def __init__(self, slot_dir: Path) -> None:
        self._dir = slot_dir
        try:
            slot_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(slot_dir, f"no folder can be there: {error.strerror}") from error

    def load(self) -> tuple[BoardState, Truth] | None:
        """State and truth of this slot's board, or None for a slot never used. BenchError for a damaged file."""
        if not (self._dir / STATE_FILE).exists():
            return None
        try:
            table = _read(self._dir)
            registers = table.pop("dfu")
            registers["data"] = bytes.fromhex(registers["data"])
            table["events"] = [(at_s, name, argument) for at_s, name, argument in table["events"]]
            truth = Truth(**table.pop("truth"))
            return BoardState(**table, dfu=DfuRegisters(**registers)), truth
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise unusable(self._dir / STATE_FILE, "it is damaged, or of another version") from error

    def save(self, state: BoardState, truth: Truth) -> None:
        """Write both in one step."""
        table = _fields(state) | {"dfu": _fields(state.dfu) | {"data": state.dfu.data.hex()}, "truth": _fields(truth)}
        fresh = self._dir / "board.new"
        fresh.write_text(json.dumps(table), encoding="utf-8")
        os.replace(fresh, self._dir / STATE_FILE)  # noqa: PTH105  # Path.replace costs more, and this runs per transfer

    def image(self, name: str, size_bytes: int) -> mmap.mmap:
        """The file behind one memory, erased when it is new. BenchError when it has another size."""
        file = self._dir / f"{name}.bin"
        try:
            if not file.exists():
                fresh = file.with_suffix(".new")
                fresh.write_bytes(b"\xff" * size_bytes)
                fresh.replace(file)
            with file.open("r+b") as handle:
                kept_bytes = os.fstat(handle.fileno()).st_size
                if kept_bytes != size_bytes:
                    raise unusable(file, f"it has {kept_bytes} bytes, and that memory {size_bytes}")
                return mmap.mmap(handle.fileno(), size_bytes)
        except OSError as error:
            raise unusable(file, str(error.strerror)) from error


def unusable(file: Path, why: str) -> BenchError:
    """For a file of a state folder that a board cannot be taken up from."""
    return BenchError(
        f"a board is kept in {file}, which cannot be used: {why}",
        hint="put it back from a copy, or remove the slot's folder: the bench then makes a new board",
    )


def read_truth(slot_dir: Path) -> Truth:
    """The truth of a slot from ``<state_dir>/<slot name>``, also while or after another process used it."""
    return Truth(**_read(slot_dir)["truth"])


def _read(slot_dir: Path) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((slot_dir / STATE_FILE).read_text(encoding="utf-8"))
    return table


def _fields(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in fields(value)}
