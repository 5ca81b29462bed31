"""What a board remembers, in RAM and beyond: its flash images and one JSON file per slot."""

from __future__ import annotations

import json
import mmap
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from particle_harness.truth import TRUTH_FILE, Truth, read_truth, truth_json
from particle_harness.usb.dfu import DfuRegisters

STATE_FILE = "board.json"


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
    wifi_credentials: bool = False
    listening: bool = False
    auto_connect: bool = False
    listen_checked: bool = False
    """The first network_connect() of this boot has looked at the flags that turn it into listening mode."""
    net_status: int = 0
    cloud_status: int = 0
    net_attempts: int = 0
    cloud_attempts: int = 0
    cloud_disconnects: int = 0
    alternate: int = 0
    dfu: DfuRegisters = field(default_factory=DfuRegisters)
    fired_faults: list[str] = field(default_factory=list)
    clock_s: float = 0.0


class SlotStore:
    """Files of one slot under ``<state_dir>/<slot name>/``; all of them survive the death of the process."""

    def __init__(self, slot_dir: Path) -> None:
        slot_dir.mkdir(parents=True, exist_ok=True)
        self._dir = slot_dir
        self._last: dict[str, str] = {}

    def load(self) -> tuple[BoardState, Truth] | None:
        """State and truth of this slot's board, or None for a slot never used."""
        file = self._dir / STATE_FILE
        if not file.exists():
            return None
        table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        registers = table.pop("dfu")
        registers["data"] = bytes.fromhex(registers["data"])
        table["events"] = [(at_s, name, argument) for at_s, name, argument in table["events"]]
        return BoardState(**table, dfu=DfuRegisters(**registers)), read_truth(self._dir)

    def save(self, state: BoardState, truth: Truth) -> None:
        """Write both files, each in one step."""
        table = asdict(state)
        table["dfu"]["data"] = state.dfu.data.hex()
        self._write(STATE_FILE, json.dumps(table))
        self._write(TRUTH_FILE, truth_json(truth))

    def image(self, name: str, size_bytes: int) -> mmap.mmap:
        """The file behind one memory, erased when it is new."""
        file = self._dir / f"{name}.bin"
        if not file.exists():
            fresh = file.with_suffix(".new")
            fresh.write_bytes(b"\xff" * size_bytes)
            fresh.replace(file)
        with file.open("r+b") as handle:
            return mmap.mmap(handle.fileno(), size_bytes)

    def _write(self, name: str, text: str) -> None:
        if self._last.get(name) == text:
            return
        self._last[name] = text
        fresh = self._dir / f"{name}.new"
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, self._dir / name)  # noqa: PTH105  # says what matters: one atomic step
