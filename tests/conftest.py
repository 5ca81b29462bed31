"""Fixtures that several folders share."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from particle_harness.selftest_boards import build_ports

from particle_dev.flash.store import FirmwareStore
from particle_dev.station.events import EventType, JsonObject, StationEvent, new_event
from particle_dev.station.recipe import Recipe, load_recipe

# A busy machine is no finding: nothing in these tests is held to a time but by pytest-timeout, against hangs.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

RAM_ADDRESS = 0x20000000
"""Of every Cortex-M."""
RECIPE_PATH = Path(__file__).parents[1] / "recipes" / "ship.toml"


@pytest.fixture(scope="session", autouse=True)
def _users_own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test writes into the home of whoever runs it: stations make a key there on first use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_leases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Boards of this test run are no boards of a station, or of another test run, on the same computer."""
    folder = tmp_path_factory.mktemp("leases")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("particle_dev.station.lease.lease_folder", lambda: folder)
        yield


@pytest.fixture(scope="session")
def test_firmware() -> Path:
    """The folder that `make firmware-for-tests` fills. Its absence is an error: a test that is left out proves
    nothing."""
    folder = os.environ.get("PARTICLE_DEV_TEST_FIRMWARE")
    if not folder or not Path(folder, ".ready").exists():
        pytest.fail(
            "run the tests by `make test`, or set PARTICLE_DEV_TEST_FIRMWARE to what `make firmware-for-tests` made"
        )
    return Path(folder)


@pytest.fixture(scope="session")
def particle_cli_firmware(test_firmware: Path) -> Path:
    """Holds particle-cli-2.12.0/package/assets and particle-cli-3.43.1/package/assets."""
    return test_firmware


@pytest.fixture(autouse=True)
def _no_image_is_executed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A virtual chip of a test that has Particle's images at hand executes what a debugger puts into RAM, and nothing
    from flash: licences of parts of them may not allow it. Such chips have `Idle` firmware, or a modelled one."""
    if "test_firmware" not in request.fixturenames:
        yield
        return
    from particle_harness.swd.cpu import Cpu  # noqa: PLC0415  # no other test needs it

    run, executed = Cpu.run, []

    def run_in_ram(cpu: Cpu, instructions: int) -> object:
        if cpu.program_counter < RAM_ADDRESS:
            executed.append(hex(cpu.program_counter))
            pytest.fail(
                "a virtual chip executes flash where Particle's images are at hand: give its core `Idle` firmware"
            )
        return run(cpu, instructions)

    monkeypatch.setattr(Cpu, "run", run_in_ram)
    yield
    # Threads of servers raise into the void.
    assert not executed, f"a virtual chip executed flash at {executed[:3]} where Particle's images are at hand"


@pytest.fixture(scope="session")
def node_modules(test_firmware: Path) -> Path:
    """npm packages that serve as judges."""
    return test_firmware / "node" / "node_modules"


@pytest.fixture(scope="session")
def ship_recipe() -> Recipe:
    """The recipe that the demo uses."""
    return load_recipe(RECIPE_PATH)


@pytest.fixture(scope="session")
def release_store(particle_cli_firmware: Path, tmp_path_factory: pytest.TempPathFactory) -> FirmwareStore:
    """A firmware store with real Device OS 2.1.0 and Tinker. Shared: do not write to it."""
    store = FirmwareStore(tmp_path_factory.mktemp("store"))
    assert store.add_path(particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets").ok
    return store


@pytest.fixture
def own_probes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Virtual debug probes of another test run may have the same ids: who uses which is kept apart."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def selftest_ports() -> Path:
    """The C self-test built for this machine and for emulated Cortex-M: see particle_harness.selftest_boards. Where
    `make firmware-check` has built it already."""
    firmware = Path(__file__).parents[1] / "firmware"
    return build_ports(firmware, firmware / "build")


STEPS = ("identify", "check", "plan", "enter_dfu", "flash", "verify", "park")
SOFTWARE = {"particle_dev": "0.1.0", "python": "3.11.2"}
HASH = "5c1f0a2b" * 8


class RunScript:
    """Writes the events of a run, without a station; each slot has its own time, ``build`` orders and numbers them."""

    def __init__(self, slots: tuple[str, ...] = ("1",), run_id: str = "20260504-080000-1f3a") -> None:
        self.slots = slots
        self.run_id = run_id
        self.began = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
        self.resumed_s = 0.0
        self.now_s: dict[str, float] = {}
        self.timed: list[tuple[float, StationEvent]] = []
        self.start()

    def emit(self, event_type: EventType, slot: str | None = None, **fields: Any) -> None:
        now_s = self.time_s(slot) if slot else max(self.now_s.values(), default=self.resumed_s)
        at = self.began + timedelta(seconds=now_s)
        self.timed.append((now_s, new_event(event_type, run_id=self.run_id, at=at, slot=slot, **fields)))

    def time_s(self, slot: str) -> float:
        return self.now_s.get(slot, self.resumed_s)

    def pass_time(self, slot: str, duration_s: float) -> None:
        self.now_s[slot] = self.time_s(slot) + duration_s

    def start(self, event_type: EventType = EventType.RUN_STARTED) -> None:
        self.emit(
            event_type,
            data={
                "recipe": {"name": "ship", "sha256": "ab" * 32, "path": "recipes/ship.toml"},
                "bench": {"name": "virtual"},
                "slots": list(self.slots),
                "software": SOFTWARE,
                "operator": "mara",
            },
        )

    def resume(self, pause_s: float = 600.0) -> None:
        self.resumed_s = max(self.now_s.values(), default=self.resumed_s) + pause_s
        self.now_s = {}
        self.start(EventType.RUN_RESUMED)

    def unit(self, slot: str, unit: str | None, platform: str = "boron") -> None:
        self.emit(EventType.UNIT_STARTED, slot, unit=unit, data={"platform": platform, "port": f"1-{slot}"})

    def begin(self, slot: str, unit: str | None, step: str) -> None:
        self.emit(EventType.STEP_STARTED, slot, unit=unit, step=step)

    def step(
        self,
        slot: str,
        unit: str | None,
        step: str,
        *,
        duration_s: float = 0.5,
        evidence: JsonObject | None = None,
        error: JsonObject | None = None,
    ) -> None:
        self.begin(slot, unit, step)
        self.pass_time(slot, duration_s)
        data = {
            "status": "failed" if error else "passed",
            "duration_s": duration_s,
            "evidence": evidence or {},
            "error": error,
        }
        self.emit(EventType.STEP_FINISHED, slot, unit=unit, step=step, data=data)

    def finish(
        self,
        slot: str,
        unit: str | None,
        verdict: str = "pass",
        *,
        billing: JsonObject | None = None,
        modules: list[JsonObject] | None = None,
        parked: JsonObject | None = None,
    ) -> None:
        data = {
            "verdict": verdict,
            "billing": billing or self.billing("not_started" if verdict == "pass" else "unknown"),
            "modules": modules if modules is not None else ([self.module()] if verdict == "pass" else []),
            "parked": parked or ({"mode": "dfu", "power": "off"} if verdict == "pass" else None),
        }
        self.emit(EventType.UNIT_FINISHED, slot, unit=unit, data=data)

    def good_unit(self, slot: str, unit: str, platform: str = "boron") -> None:
        self.unit(slot, unit, platform)
        for step in STEPS:
            self.step(slot, unit, step, evidence={"of": step, "usb_address": len(self.timed)})
        self.finish(slot, unit)

    def run_finished(self, verdict: str = "pass") -> None:
        self.emit(EventType.RUN_FINISHED, data={"verdict": verdict, "report": "report.html"})

    def billing(self, verdict: str) -> JsonObject:
        return {
            "verdict": verdict,
            "window": {"from": "2026-05-04T08:00:00.000Z", "until": "2026-05-04T08:01:00.000Z"},
            "evidence": [
                {
                    "id": "dfu",
                    "statement": "in DFU mode while powered",
                    "source": "this station over USB",
                    "from": "2026-05-04T08:00:00.000Z",
                    "until": "2026-05-04T08:01:00.000Z",
                    "finding": "offline",
                }
            ],
            "missing": [] if verdict == "not_started" else ["cloud was not asked (C1)"],
        }

    def module(self, function: str = "system part", version: int = 2101, **fields: Any) -> JsonObject:
        return {
            "function": function,
            "index": 1,
            "version": version,
            "sha256": HASH,
            "size_bytes": 667_648,
            "address": 0x30000,
            "file_name": "boron-system-part1@2.1.0.bin",
            "read_back_sha256": HASH,
            **fields,
        }

    def error(self, message: str = "the device left the bus", **fields: Any) -> JsonObject:
        return {
            "type": "LinkDisconnectedError",
            "message": message,
            "hint": "check the cable",
            "fields": fields,
        }

    def build(self) -> list[StationEvent]:
        ordered = sorted(self.timed, key=lambda item: item[0])
        return [dataclasses.replace(event, seq=seq) for seq, (_, event) in enumerate(ordered, start=1)]


@pytest.fixture(scope="session")
def run_script() -> Callable[..., RunScript]:
    return RunScript
