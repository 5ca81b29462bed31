"""Runs as events, with slots in every state, for pages without a station behind them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from particle_dev.station.events import EventType, new_event

BEGAN = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
RUN = "20260504-080000-1f3a"


class Scene:
    """Events of a run, in order."""

    def __init__(self, slots, mode="continuous", start_by="insertion", recipe="ship"):
        self.events = []
        self.now_s = 0.0
        self.slots = [str(n) for n in range(1, slots + 1)]
        self.emit(
            EventType.RUN_STARTED,
            data={
                "recipe": {
                    "name": recipe,
                    "sha256": "ab" * 32,
                    "path": "recipes/ship.toml",
                    "release": None,
                    "limits": {},
                },
                "bench": {"name": "line-1"},
                "slots": self.slots,
                "software": {},
                "operator": "mara",
                "mode": mode,
                "start_by": start_by,
            },
        )

    def emit(self, kind, slot=None, unit=None, step=None, data=None, after_s=0.5):
        self.now_s += after_s
        event = new_event(
            kind, run_id=RUN, at=BEGAN + timedelta(seconds=self.now_s), slot=slot, unit=unit, step=step, data=data or {}
        )
        self.events.append(replace(event, seq=len(self.events) + 1))

    def unit(self, slot, platform="boron"):
        unit = f"e00fce68{int(slot):016x}"
        self.emit(EventType.UNIT_STARTED, slot, unit, data={"platform": platform, "port": f"1-{slot}"})
        return unit

    def work(self, slot, step="flash", share=0.45, platform="boron", attempts=1):
        unit = self.unit(slot, platform)
        if attempts > 1:
            self.end(slot, "fail", error("LinkDisconnectedError"), unit)
            again = {"attempt": 2, "attempts": attempts, "error": error("LinkDisconnectedError")}
            self.emit(EventType.UNIT_RETRIED, slot, unit, data=again)
            self.unit(slot, platform)
        self.emit(EventType.STEP_STARTED, slot, unit, step)
        for part in (0.0, share / 2, share):
            data = {"activity": "write", "done_bytes": int(700_000 * part), "total_bytes": 700_000}
            self.emit(EventType.STEP_PROGRESS, slot, unit, step, data, after_s=2)
        return unit

    def end(self, slot, verdict, error=None, unit=None, power="off"):
        unit = unit or self.unit(slot)
        parked = {"mode": "dfu", "power": power}
        data = {"verdict": verdict, "billing": {}, "gate": {}, "modules": [], "error": error}
        data |= {"parked": parked, "left": None} if verdict == "pass" else {"parked": None, "left": parked}
        self.emit(EventType.UNIT_FINISHED, slot, unit, data=data)

    def wait(self, slot, what="board", lock=None, reason=None):
        self.emit(EventType.SLOT_WAITING, slot, data={"for": what, "lock": lock, "reason": reason})

    def empty(self, slot):
        self.emit(EventType.SLOT_EMPTY, slot, data={"reason": "no Particle device at 1-7"})

    def finish(self, verdict):
        self.emit(EventType.RUN_FINISHED, data={"verdict": verdict, "report": None})


def error(name, **fields):
    return {"type": name, "message": "slot 3: the board left the bus", "hint": "check the cable", "fields": fields}


def every_state(slots):
    """Slots in turn: working, passed, failed, locked, refused, waiting, empty, working again, …"""
    scene = Scene(slots)
    for index, slot in enumerate(scene.slots):
        match index % 12:
            case 0:
                scene.work(slot)
            case 1:
                scene.end(slot, "pass")
            case 2:
                scene.end(slot, "fail", error("VerifyError"))
            case 3:
                scene.wait(slot, "unlock", "golden_failed", "golden unit did not pass")
            case 4:
                scene.end(slot, "refused", error("PlanRefusedError"))
            case 5:
                scene.wait(slot)
            case 6:
                scene.empty(slot)
            case 7:
                scene.work(slot, "verify", 0.8, "tracker", attempts=3)
            case 8:
                scene.end(slot, "interrupted")
            case 9:
                scene.end(slot, "pass", power="on_operator_must_unplug")
            case 10:
                scene.end(slot, "fail", error("StageFailedError", code="MODEM-DEAD"))
            case 11:
                scene.end(slot, "fail", error("BillingUnprovenError"))
    return scene


def all_in(state, slots=1):
    """All slots in one state."""
    scene = Scene(slots)
    for slot in scene.slots:
        match state:
            case "working":
                scene.work(slot)
            case "locked":
                scene.wait(slot, "unlock", "failures", "3 units in a row did not pass")
            case "waiting":
                scene.wait(slot)
            case "empty":
                scene.empty(slot)
            case _:
                scene.end(slot, state, None if state in ("pass", "interrupted") else error("LinkDisconnectedError"))
    return scene
