"""The step ``label``: a unit's label is made, and scanned back when the recipe asks for that.

Labels without a secret lie in ``attachments/UNIT/`` of the run's folder and go into the records. One with the mobile
secret lies in ``labels/``, its owner's alone, and goes nowhere: whoever has its picture has the secret.
"""

from __future__ import annotations

from particle_dev.errors import JournalError, LabelMismatchError, PlanRefusedError
from particle_dev.protocol.identifiers import Identifier, IdentifierKind, identify
from particle_dev.protocol.secret import Secret
from particle_dev.station.attaching import attach
from particle_dev.station.events import JsonObject, StepStatus
from particle_dev.station.label_choice import LabelChoice, LabelHolds
from particle_dev.station.labels import LabelContent, ScanResult, compare_scan, label_svg, label_zpl
from particle_dev.station.run import Run
from particle_dev.whole_file import write_whole

STEP = "label"
PRIVATE_FOLDER = "labels"
"""In the folder of the run."""


def require_content(run: Run) -> None:
    """Before anything is erased: whether what the label is to say can be known at all. Raises PlanRefusedError."""
    choice = run.context.recipe.label
    if choice is None or choice.holds is not LabelHolds.SERIAL_NUMBER or run.context.recipe.cloud is not None:
        return
    _identifier(run, choice)


def label(run: Run, evidence: JsonObject) -> None:
    """Make the label of a unit and, when the recipe asks, wait until it was scanned. A scan of an earlier attempt of
    this run stands. Raises LabelMismatchError, StepTimeoutError, StationStoppedError, PlanRefusedError (what it is to
    say is not known), JournalError (it cannot be written), CloudError, TransportError."""
    choice = run.context.recipe.label
    assert choice is not None
    content = _content(run, choice)
    files = _write(run, choice, content)
    said = {"holds": str(choice.holds), "symbol": str(choice.layout.symbology), "says": content.identifier.value}
    evidence |= {"label": said, "scanned_back": False}
    if not choice.scan_back:
        return
    if _scanned_before(run, said):
        evidence |= {"scanned_back": True, "attempt": {"by": "a scan before this run was resumed"}}
        return
    result = _scan(run, content, f"put the label on {run.device_id}, then scan it ({files})")
    while result.scanned is None:
        # Another code of the box, or a word that somebody typed: no label says anything wrong yet.
        result = _scan(run, content, f"{result.message}; scan the label of {run.device_id}", again=True)
    if not result.matches:
        raise LabelMismatchError(
            f"slot {run.slot.name}: {result.message}",
            expected=content.identifier.value,
            actual=result.scanned,
            hint="look whether the label of another unit is on it; put the right one on, and run the unit again",
        )
    evidence |= {"scanned_back": True, "attempt": {"by": "a scan"}}


def _scan(run: Run, content: LabelContent, message: str, *, again: bool = False) -> ScanResult:
    scans = run.context.scans
    scanned = scans.wait(
        run.slot.name, run.limits.label_s, lambda: run.say(message, "scan_label"), run.check_stopped, again=again
    )
    return compare_scan(content, scanned.reveal())


def _content(run: Run, choice: LabelChoice) -> LabelContent:
    secret: Secret[str] | None = None
    if choice.holds is LabelHolds.SERIAL_NUMBER_AND_SECRET:
        record = run.guard.record()
        secret = record.mobile_secret if record else None
        if not secret:
            raise PlanRefusedError(
                f"the cloud knows no mobile secret of {run.device_id}",
                reasons=["its record has none"],
                hint='old boards have none: holds = "serial_number" in the recipe\'s [label]',
            )
    return LabelContent(_identifier(run, choice), secret, choice.lines)


def _identifier(run: Run, choice: LabelChoice) -> Identifier:
    if choice.holds is LabelHolds.DEVICE_ID:
        return Identifier(IdentifierKind.DEVICE_ID, run.device_id or "")
    found = identify(_serial_number(run) or "", IdentifierKind.SERIAL_NUMBER)
    if not isinstance(found, Identifier):
        raise PlanRefusedError(
            f"the serial number of {run.device_id} is not known",
            reasons=["it tells it in normal mode only, and came in DFU mode or has none"],
            hint='holds = "device_id" in the recipe\'s [label]; or name its product in [cloud], whose record has it',
        )
    return found


def _serial_number(run: Run) -> str | None:
    """As the unit told it in this attempt or an earlier one; else as the cloud's record has it."""
    prior = run.context.prior.get(run.device_id or "")
    told = [step.evidence.get("serial_number") for step in prior.steps] if prior else []
    number = run.serial_number or next((str(number) for number in told if number), None)
    if number is None and run.guard.asks_cloud:
        record = run.guard.record()
        number = record.serial_number if record else None
    return number


def _write(run: Run, choice: LabelChoice, content: LabelContent) -> str:
    """The files of the label; where they lie, for the operator."""
    made = {
        "label.svg": label_svg(content, choice.layout).encode("utf-8"),
        "label.zpl": label_zpl(content, choice.layout).encode("utf-8"),
    }
    if content.mobile_secret is None:
        for name, data in made.items():
            attach(run.context.folder, run.device_id, name, data)
        return f"attachments/{run.device_id}/label.zpl"
    folder = run.context.folder / PRIVATE_FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for name, data in made.items():
            write_whole(folder / f"{run.device_id}-{name}", data, mode=0o600)
    except OSError as error:
        raise JournalError(
            f"cannot write a label in {folder}: {error.strerror}", path=str(folder), hint="make room, then run again"
        ) from error
    return f"{PRIVATE_FOLDER}/{run.device_id}-label.zpl"


def _scanned_before(run: Run, said: JsonObject) -> bool:
    prior = run.context.prior.get(run.device_id or "")
    steps = [s for s in prior.steps if s.name == STEP and s.status is StepStatus.PASSED] if prior else []
    return any(s.evidence.get("scanned_back") is True and s.evidence.get("label") == said for s in steps)
