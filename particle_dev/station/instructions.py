"""What an operator has to do next, as a value: text, picture, sound, urgency. Pure, for every view.

:func:`instruction` makes it of a slot's state, :func:`run_instruction` of a whole run. Texts are English, the keys of
the catalogues in ``web/locale``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from particle_dev.connectivity.failures import FAILURES
from particle_dev.station.slot_states import RunStates, SlotMode, SlotState


def N_(text: str) -> str:  # noqa: N802  gettext's own name for a text that is translated later
    """The text itself: marks it for the catalogues."""
    return text


class Picture(StrEnum):
    """Drawings, each ``static/pictures/NAME.svg``."""

    INSERT = "insert"
    REMOVE_GOOD = "remove_good"
    REMOVE_REJECT = "remove_reject"
    UNPLUG = "unplug"
    PRESS = "press"
    SCAN = "scan"
    CABLE = "cable"
    ENGINEER = "engineer"
    WAIT = "wait"
    GOLDEN = "golden"
    DONE = "done"


ALT_TEXTS: Mapping[Picture, str] = MappingProxyType(
    {
        Picture.INSERT: N_("A board goes into the slot"),
        Picture.REMOVE_GOOD: N_("A board goes from the slot to the good tray"),
        Picture.REMOVE_REJECT: N_("A board goes from the slot to the reject tray"),
        Picture.UNPLUG: N_("The plug is pulled"),
        Picture.PRESS: N_("A finger presses a key"),
        Picture.SCAN: N_("A scanner reads a label"),
        Picture.CABLE: N_("A plug and its cable under a magnifier"),
        Picture.ENGINEER: N_("A person with a spanner"),
        Picture.WAIT: N_("An hourglass"),
        Picture.GOLDEN: N_("A board with a star goes into the slot"),
        Picture.DONE: N_("A tray with a tick"),
    }
)
"""What each picture shows, for those who do not see it."""


class Urgency(StrEnum):
    """Whether a person is needed: ``rest`` no, ``soon`` at the next round, ``now``."""

    REST = "rest"
    SOON = "soon"
    NOW = "now"


class Sound(StrEnum):
    """What is played once when the instruction comes up."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One. ``id`` is stable; ``text`` may hold ``{placeholders}`` for ``values``."""

    id: str
    text: str
    picture: Picture
    urgency: Urgency = Urgency.REST
    sound: Sound | None = None
    values: Mapping[str, str | int] = field(default_factory=dict)


_CALL, _FAIL, _NOW, _SOON = Sound.CALL, Sound.FAIL, Urgency.NOW, Urgency.SOON
INSTRUCTIONS: Mapping[str, Instruction] = MappingProxyType(
    {
        one.id: one
        for one in (
            # ---- nothing has gone wrong
            Instruction("insert", N_("Insert the next board."), Picture.INSERT, _SOON),
            Instruction(
                "insert_press", N_("Insert a board, then press Enter or the foot switch."), Picture.PRESS, _SOON
            ),
            Instruction("insert_scan", N_("Insert a board, then scan its label."), Picture.SCAN, _SOON),
            Instruction(
                "insert_again", N_("Take the board out, then insert it once more."), Picture.INSERT, _SOON, _CALL
            ),
            Instruction("starting", N_("Wait. The board is about to begin."), Picture.WAIT),
            Instruction("wait", N_("Wait. Do not touch the board."), Picture.WAIT),
            Instruction(
                "wait_again",
                N_("Wait. This is try {attempt} of {attempts}."),
                Picture.WAIT,
            ),
            Instruction("scan_label", N_("Scan the label of this board."), Picture.SCAN, _NOW, _CALL),
            Instruction("plug_in", N_("Plug the board in now."), Picture.INSERT, _NOW, _CALL),
            Instruction("unplug", N_("Unplug the board now. Press no button on it."), Picture.UNPLUG, _NOW, _CALL),
            Instruction("remove_good", N_("Take the board out: good tray."), Picture.REMOVE_GOOD, _SOON, Sound.PASS),
            Instruction(
                "unplug_good",
                N_("Unplug the board now: good tray. Press no button on it."),
                Picture.REMOVE_GOOD,
                _NOW,
                Sound.PASS,
            ),
            # ---- the board did not pass
            Instruction("remove_reject", N_("Take the board out: reject tray."), Picture.REMOVE_REJECT, _SOON, _FAIL),
            Instruction(
                "unplug_reject",
                N_("Unplug the board now: reject tray. Press no button on it."),
                Picture.REMOVE_REJECT,
                _NOW,
                _FAIL,
            ),
            Instruction(
                "refused",
                N_("Nothing was written. Take the board out: reject tray."),
                Picture.REMOVE_REJECT,
                _SOON,
                _FAIL,
            ),
            Instruction(
                "wrong_board",
                N_("Wrong board in this slot. Take it out and insert the right one."),
                Picture.INSERT,
                _NOW,
                _FAIL,
            ),
            Instruction(
                "wrong_label",
                N_("Label and board do not belong together. Take both out: reject tray."),
                Picture.REMOVE_REJECT,
                _NOW,
                _FAIL,
            ),
            Instruction(
                "check_cable",
                N_("The board was lost. Check plug and cable, then insert it once more."),
                Picture.CABLE,
                _NOW,
                _FAIL,
            ),
            Instruction(
                "too_slow",
                N_("It took too long. Check plug and cable, then insert the board once more."),
                Picture.CABLE,
                _NOW,
                _FAIL,
            ),
            Instruction(
                "check_seat", N_("No board found. Check that it sits right in the slot."), Picture.CABLE, _SOON, _CALL
            ),
            Instruction(
                "keep_apart",
                N_("Keep this board apart: its billing is in doubt. Call an engineer."),
                Picture.ENGINEER,
                _NOW,
                _FAIL,
            ),
            Instruction(
                "connectivity",
                N_("It did not get online. Take the board out: reject tray."),
                Picture.REMOVE_REJECT,
                _SOON,
                _FAIL,
            ),
            # ---- the station, its network or its files
            Instruction(
                "cloud_away",
                N_("The cloud does not answer. Insert no more boards. Call an engineer."),
                Picture.ENGINEER,
                _NOW,
                _FAIL,
            ),
            Instruction(
                "no_more_boards", N_("Insert no more boards. Call an engineer."), Picture.ENGINEER, _NOW, _FAIL
            ),
            Instruction(
                "no_power",
                N_("The power of this slot cannot be switched. Call an engineer."),
                Picture.ENGINEER,
                _NOW,
                _FAIL,
            ),
            Instruction(
                "probe_taken",
                N_("The computer cannot use this board. Call an engineer."),
                Picture.ENGINEER,
                _NOW,
                _FAIL,
            ),
            Instruction(
                "slot_taken",
                N_("Another station works in this slot. Call an engineer."),
                Picture.ENGINEER,
                _NOW,
                _CALL,
            ),
            Instruction(
                "engineer", N_("Leave the board in the slot. Call an engineer."), Picture.ENGINEER, _NOW, _FAIL
            ),
            Instruction(
                "interrupted",
                N_("Stopped. Leave the board in the slot until the station runs again."),
                Picture.WAIT,
                _SOON,
                _CALL,
            ),
            # ---- the slot
            Instruction("locked", N_("Do not use this slot. Call an engineer."), Picture.ENGINEER, _SOON, _CALL),
            Instruction("golden_due", N_("Insert the golden unit into this slot."), Picture.GOLDEN, _NOW, _CALL),
            Instruction(
                "golden_failed",
                N_("The golden unit failed here. Do not use this slot. Call an engineer."),
                Picture.ENGINEER,
                _SOON,
                _CALL,
            ),
            Instruction(
                "worn", N_("The contacts of this slot may be worn. Tell an engineer."), Picture.ENGINEER, _SOON, _CALL
            ),
            # ---- the run
            Instruction("run_goes_on", N_("The run goes on."), Picture.WAIT),
            Instruction("run_ending", N_("The run ends. Insert no more boards."), Picture.WAIT, _SOON),
            Instruction("run_pass", N_("Finished. Every board passed."), Picture.DONE, _SOON, Sound.PASS),
            Instruction(
                "run_fail",
                N_("Finished. Put the boards that did not pass into the reject tray."),
                Picture.REMOVE_REJECT,
                _SOON,
                _FAIL,
            ),
            Instruction(
                "run_incomplete",
                N_("Finished, but not every slot had a board that was done."),
                Picture.CABLE,
                _SOON,
                _CALL,
            ),
            Instruction(
                "records_away", N_("The record database is away. Go on working; nothing is lost."), Picture.WAIT, _SOON
            ),
            Instruction(
                "disk_full",
                N_("The station cannot write its records. Insert no more boards. Call an engineer."),
                Picture.ENGINEER,
                _NOW,
                _CALL,
            ),
            Instruction(
                "station_gone",
                N_("The station does not run. Insert no more boards. Call an engineer."),
                Picture.ENGINEER,
                _NOW,
                _CALL,
            ),
        )
    }
)
"""By id."""

_BRIEF_BY_PICTURE: Mapping[Picture, str] = MappingProxyType(
    {
        Picture.INSERT: N_("Insert board"),
        Picture.REMOVE_GOOD: N_("Good tray"),
        Picture.REMOVE_REJECT: N_("Reject tray"),
        Picture.UNPLUG: N_("Unplug now"),
        Picture.PRESS: N_("Press Enter"),
        Picture.SCAN: N_("Scan label"),
        Picture.CABLE: N_("Check cable"),
        Picture.ENGINEER: N_("Call engineer"),
        Picture.WAIT: N_("Wait"),
        Picture.GOLDEN: N_("Golden unit"),
        Picture.DONE: N_("Finished"),
    }
)
_BRIEF_BY_ID: Mapping[str, str] = MappingProxyType(
    {
        "unplug_good": N_("Unplug: good"),
        "unplug_reject": N_("Unplug: reject"),
        "keep_apart": N_("Keep apart"),
        "wrong_board": N_("Wrong board"),
        "check_seat": N_("Check seat"),
        "insert_again": N_("Insert again"),
        "interrupted": N_("Leave in"),
        "wait_again": N_("Try {attempt} of {attempts}"),
    }
)
ENGINEER = "engineer"
ERRORS: Mapping[str, str] = MappingProxyType(
    {
        # bytes and protocols: nobody at the line can mend these
        "ParticleDevError": ENGINEER,
        "FormatError": ENGINEER,
        "ModuleFormatError": "no_more_boards",
        "ProtocolError": "remove_reject",
        "ControlProtocolError": "remove_reject",
        "DfuProtocolError": "remove_reject",
        "ConsoleProtocolError": "remove_reject",
        "SelfTestProtocolError": "remove_reject",
        # the way to the board
        "TransportError": "check_cable",
        "LinkTimeoutError": "check_cable",
        "LinkStallError": "check_cable",
        "LinkDisconnectedError": "check_cable",
        "LinkAccessError": "probe_taken",
        "LinkUnreachableError": "cloud_away",
        "PowerSwitchError": "no_power",
        # the board
        "DeviceError": "remove_reject",
        "DeviceNotFoundError": "check_cable",
        "DeviceAmbiguousError": ENGINEER,
        "WrongDeviceError": "wrong_board",
        "LabelMismatchError": "wrong_label",
        "DeviceModeError": "check_cable",
        "NoWayToModeError": "remove_reject",
        "ChipLockedError": "refused",
        "LoaderRefusedError": "remove_reject",
        "RequestRefusedError": "remove_reject",
        "RequestUnsupportedError": "remove_reject",
        "FlashError": "remove_reject",
        "PlanRefusedError": "refused",
        "FlashRangeError": ENGINEER,
        "VerifyError": "remove_reject",
        "FlashHashError": "remove_reject",
        "UpdateNotAppliedError": "remove_reject",
        "FirmwareStoreError": "no_more_boards",
        # the cloud
        "CloudError": "cloud_away",
        "ProductVersionError": "no_more_boards",
        "CloudReplyError": "cloud_away",
        "CloudRefusedError": "no_more_boards",
        "CloudAuthError": "no_more_boards",
        "MfaRequiredError": "no_more_boards",
        "CloudDeniedError": "no_more_boards",
        "ScopeMissingError": "no_more_boards",
        "CloudNotFoundError": "remove_reject",
        "CloudDeviceTimeoutError": "connectivity",
        "CloudLimitError": "cloud_away",
        "CloudServerError": "cloud_away",
        "ImportStateError": "no_more_boards",
        "EventSourceError": "no_more_boards",
        "BillingGuardError": "no_more_boards",
        "CapacityError": "no_more_boards",
        "BudgetError": "no_more_boards",
        "ActRefusedError": "keep_apart",
        "GuardStateError": "no_more_boards",
        "RemovalIncompleteError": "keep_apart",
        "ConnectivityError": ENGINEER,
        "StageFailedError": "connectivity",
        # the station
        "StationError": ENGINEER,
        "ConfigError": "no_more_boards",
        "JournalError": "disk_full",
        "RecordsAwayError": "records_away",
        "RecordNotFoundError": ENGINEER,
        "ReleaseError": "no_more_boards",
        "BenchError": ENGINEER,
        "SlotBusyError": "slot_taken",
        "StepTimeoutError": "too_slow",
        "BillingUnprovenError": "keep_apart",
        "StationStoppedError": "interrupted",
        "PageError": ENGINEER,
        "RunFinishedError": "run_pass",
        "PermissionMissingError": "no_more_boards",
    }
)
"""Instruction by the name of an error; a name that is not here, of a newer station, asks for an engineer."""

_CONNECTIVITY: Mapping[str, str] = MappingProxyType({str(f.code): f.operator for f in FAILURES})
_BY_START: Mapping[str, str] = MappingProxyType({"operator": "insert_press", "scan": "insert_scan"})
_BY_LOCK: Mapping[str, str] = MappingProxyType({"golden_due": "golden_due", "golden_failed": "golden_failed"})
_BY_VERDICT: Mapping[str, str] = MappingProxyType(
    {"pass": "run_pass", "fail": "run_fail", "incomplete": "run_incomplete"}
)
_UNPLUGGED: Mapping[str, str] = MappingProxyType({"remove_good": "unplug_good", "remove_reject": "unplug_reject"})


def brief(found: Instruction) -> str:
    """The same in two words, for where 32 slots share a screen."""
    return _BRIEF_BY_ID.get(found.id) or _BRIEF_BY_PICTURE[found.picture]


def instruction(slot: SlotState, start_by: str = "insertion") -> Instruction:
    """What to do at a slot. ``start_by``: insertion, operator or scan, of a continuous run."""
    if slot.ask in INSTRUCTIONS and not _comes_later(slot):
        return INSTRUCTIONS[slot.ask]
    match slot.mode:
        case SlotMode.WORKING if slot.attempts > 1:
            values = {"attempt": slot.attempt, "attempts": slot.attempts}
            return replace(INSTRUCTIONS["wait_again"], values=values)
        case SlotMode.WORKING:
            return INSTRUCTIONS["wait"]
        case SlotMode.WAITING if slot.waits_for == "board":
            return INSTRUCTIONS[_BY_START.get(start_by, "insert")]
        case SlotMode.WAITING if slot.waits_for == "removal":
            # The slot was unlocked, and the unit that led to the lock is still in it, or a board that came meanwhile.
            return _left_in(slot) if slot.holds_unit else INSTRUCTIONS["insert_again"]
        case SlotMode.WAITING:
            return INSTRUCTIONS["starting"]
        case SlotMode.EMPTY:
            return INSTRUCTIONS["check_seat"]
        case SlotMode.LOCKED if slot.must_unplug and slot.holds_unit:
            return _left_in(slot)
        case SlotMode.LOCKED:
            return INSTRUCTIONS[_BY_LOCK.get(slot.lock_code, "locked")]
        case SlotMode.INTERRUPTED:
            return INSTRUCTIONS["interrupted"]
        case SlotMode.PASS:
            return _taken_out(slot, _unplugged(slot, INSTRUCTIONS["remove_good"]), start_by)
        case SlotMode.FAIL | SlotMode.REFUSED:
            return _taken_out(slot, _unplugged(slot, _after_error(slot)), start_by)


def _comes_later(slot: SlotState) -> bool:
    """What the contacts are like, and that the slot is locked, hides nothing that has to be done with its unit now."""
    if slot.ask == "worn":
        return slot.mode is not SlotMode.WAITING
    of_unit = slot.mode in (SlotMode.PASS, SlotMode.FAIL, SlotMode.REFUSED)
    return of_unit and slot.must_unplug and slot.ask in (lock_ask(""), *_BY_LOCK.values())


def _left_in(slot: SlotState) -> Instruction:
    return _unplugged(slot, _after_error(slot) if slot.error else INSTRUCTIONS["remove_good"])


def _taken_out(slot: SlotState, found: Instruction, start_by: str) -> Instruction:
    """What is left to do once the board has gone: nothing, where that was all that was asked for."""
    if not slot.is_taken_out or found.picture not in (Picture.REMOVE_GOOD, Picture.REMOVE_REJECT, Picture.UNPLUG):
        return found
    return INSTRUCTIONS[_BY_START.get(start_by, "insert")]


def _after_error(slot: SlotState) -> Instruction:
    if slot.error is None:
        return INSTRUCTIONS["remove_reject"]
    found = INSTRUCTIONS[ERRORS.get(slot.error, ENGINEER)]
    text = _CONNECTIVITY.get(slot.error_code)
    return replace(found, text=text) if found.id == "connectivity" and text else found


def _unplugged(slot: SlotState, found: Instruction) -> Instruction:
    """The same where the board must lose its power at once, or it goes online by itself."""
    if not slot.must_unplug:
        return found
    return INSTRUCTIONS[_UNPLUGGED.get(found.id, "unplug")]


def run_instruction(states: RunStates, problem: str | None = None) -> Instruction:
    """What to do at the station as a whole. ``problem``: name of the error that ended it or keeps its records away."""
    if problem is not None:
        return INSTRUCTIONS[ERRORS.get(problem, ENGINEER)]
    if states.verdict is not None:
        return INSTRUCTIONS[_BY_VERDICT.get(states.verdict, "run_incomplete")]
    if states.ask in INSTRUCTIONS:
        return INSTRUCTIONS[states.ask]
    return INSTRUCTIONS["run_goes_on"]


def lock_ask(lock_code: str) -> str:
    """The id of what a lock asks of operators, by a code of :mod:`particle_dev.station.slot_health`."""
    return _BY_LOCK.get(lock_code, "locked")


def operator_message(slot: str, message: str, ask: str = "") -> dict[str, str]:
    """Data of an operator_message event of a slot. KeyError: ``ask`` is no instruction, which is a defect."""
    data = {"message": f"slot {slot}: {message}"}
    return data | {"ask": INSTRUCTIONS[ask].id} if ask else data
