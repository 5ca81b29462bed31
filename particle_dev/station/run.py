"""What the steps of a unit (modules usb_steps, probe_steps, cloud_steps, copies, let_go) need of its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from particle_dev.device.control import ControlSession
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.store import FirmwareStore
from particle_dev.station.bench import Slot
from particle_dev.station.events import JsonObject
from particle_dev.station.guard import WITHOUT_CLOUD, StationGuard, UnitGuard
from particle_dev.station.label_scans import LabelScans
from particle_dev.station.observations import Observations
from particle_dev.station.recipe import Limits, Recipe
from particle_dev.station.run_record import UnitRecord


@dataclass(frozen=True, slots=True)
class UnitContext:
    """What all units of a run share. ``expected`` maps slots to Device IDs, ``prior`` Device IDs to what earlier
    attempts of this run recorded, ``stopping`` tells that the operator wants to end."""

    recipe: Recipe
    store: FirmwareStore
    expected: Mapping[str, str]
    prior: Mapping[str, UnitRecord]
    stopping: Callable[[], bool]
    guard: StationGuard = WITHOUT_CLOUD
    folder: Path = field(default_factory=Path)
    """Of the run."""
    scans: LabelScans = field(default_factory=LabelScans)
    """Of labels, for recipes that ask for them."""
    again: str | None = None
    """Device ID of the unit that this go is another one at: nothing is done to any other board."""


class Run(Protocol):
    """One attempt at the unit in one slot, as its steps see it."""

    slot: Slot
    context: UnitContext
    guard: UnitGuard
    observed: Observations
    device_id: str | None
    modules: list[JsonObject]
    copies: tuple[ModuleFile, ...]
    erased: bool
    parked: JsonObject | None
    probed_id: str | None
    """Device ID that a debug probe has read."""
    serial_number: str | None
    """As the unit told it."""

    @property
    def limits(self) -> Limits:
        """Of the recipe."""
        ...

    def now(self) -> datetime:
        """UTC in this slot."""
        ...

    def check_stopped(self) -> None:
        """Raise StationStoppedError when the station is to end."""
        ...

    def log(self, step: str, event: object) -> None:
        """Keep an event, or a line of text, in the log of a step, which is attached to the unit."""
        ...

    def check_stop(self, step: str, limit_s: float) -> None:
        """Raise StationStoppedError or StepTimeoutError when the step should end."""
        ...

    def read_counters(self, session: ControlSession) -> None:
        """Take what the running board tells of itself into evidence."""
        ...

    def say(self, message: str, ask: str = "") -> None:
        """Tell the operator."""
        ...

    def progress(self, step: str, activity: str, done_bytes: int, total_bytes: int) -> None:
        """Tell how far a step has come."""
        ...

    def leave(self, mode: str, why: str) -> None:
        """Without power, or for the operator to take it away."""
        ...
