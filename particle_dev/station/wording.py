"""Words of a record for people: the same in the table on the terminal and in the report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from particle_dev.catalog.device_os import releases_by_system_version
from particle_dev.catalog.platforms import platform_by_name
from particle_dev.station.events import timestamp
from particle_dev.station.run_record import ModuleRecord, RunRecord, UnitRecord

UNKNOWN = "-"


STEP_TEXTS = {
    "probe": "a debug probe halts the core: which board it is, what is on it, and what could have run before",
    "probe_plan": "what goes where; every file is read and checked",
    "probe_flash": "erase and write what is not right yet, proven by CRCs of the chip and read back",
    "probe_park": "into DFU mode for USB to go on, or left halted",
    "identify": "which board is in the slot; attempts to connect are stopped",
    "check": "what is on it, and whether it has been online since it booted",
    "plan": "which modules go where; every file is read and checked",
    "enter_dfu": "into DFU mode (firmware upgrade over USB), where no application runs",
    "copy": "the bootloader copies itself and the radio stack; no system or application runs",
    "flash": "erase and write what is not right yet",
    "verify": "read every byte back and compare",
    "cloud_before": "what the cloud knows of it, before anything is erased",
    "connect": "boots its application, until the cloud knows of the connection; billing starts",
    "connectivity": "boots its application and tests its whole way online, stage by stage; billing starts",
    "park": "end in DFU mode, without power where the bench can switch it",
    "label": "its label is made, and scanned back where the recipe asks for that",
    "gate": "when it has no power and the cloud's record has settled: has its billing ever started?",
}
"""What the steps of a unit do."""
_OUTCOMES = {"fail": "failed", "refused": "refused", "interrupted": "interrupted"}


def outcome_text(record: RunRecord) -> str:
    """``3 of 4 units passed, 1 refused, 1 of 5 slots empty, 1 of 5 slots locked``."""
    counts = record.counts()
    parts = [f"{counts.pop('pass', 0)} of {len(record.units)} units passed"]
    parts += [f"{count} {_OUTCOMES[verdict]}" for verdict, count in counts.items()]
    locked = sum(bool(slot.lock) for slot in record.empty_slots)
    for count, word in ((len(record.empty_slots) - locked, "empty"), (locked, "locked")):
        if count:
            parts.append(f"{count} of {len(record.slots)} slots {word}")
    return ", ".join(parts)


def duration_text(duration_s: float | None) -> str:
    """``< 0.01 s``, ``0.04 s``, ``1.2 s``, ``38 s``, ``4 min 05 s`` or ``2 h 03 min``."""
    if duration_s is None:
        return UNKNOWN
    if duration_s < 0.005:
        return "< 0.01 s"
    if duration_s < 0.095:
        return f"{duration_s:.2f} s"
    if duration_s < 9.95:
        return f"{duration_s:.1f} s"
    whole_s = round(duration_s)
    if whole_s < 120:
        return f"{whole_s} s"
    if whole_s < 7200:
        return f"{whole_s // 60} min {whole_s % 60:02} s"
    return f"{whole_s // 3600} h {whole_s % 3600 // 60:02} min"


def time_text(at: str | datetime | None) -> str:
    """``2026-05-04 08:00:00 UTC`` of a time or time stamp."""
    text = timestamp(at) if isinstance(at, datetime) else at
    return f"{text[:19].replace('T', ' ')} UTC" if text else UNKNOWN


def period_text(since: datetime, until: datetime) -> str:
    """``2026-05-04 08:00:00 to 08:01:00 UTC``."""
    first, last = time_text(since), time_text(until)
    return last if first == last else f"{first.removesuffix(' UTC')} to {last.removeprefix(first[:11])}"


def slot_text(slot: str | None, text: str) -> str:
    """``slot 3: text``, once only."""
    place = f"slot {slot}: "
    return text if slot is None or text.startswith(place) else place + text


def name_text(name: str) -> str:
    """A name of the schema as people say it: ``not_started`` is "not started", ``enter_dfu`` "enter DFU"."""
    return name.replace("_", " ").replace("dfu", "DFU")


def evidence_text(evidence: Mapping[str, Any]) -> str:
    """The plain facts among a step's evidence in one line: ``uptime: 12.4 s · erased: 704,512 bytes``."""
    facts = []
    for key, value in evidence.items():
        name, _, unit = key.rpartition("_")
        if isinstance(value, dict):
            facts.append(evidence_text(value))
        elif isinstance(value, bool):
            facts.append(f"{name_text(key)}: {'yes' if value else 'no'}")
        elif isinstance(value, int | float) and unit in ("s", "bytes") and not name.endswith("_per"):
            facts.append(f"{name_text(name)}: {value:,} {unit}")
        elif isinstance(value, int | float | str):
            facts.append(f"{name_text(key)}: {value}")
    return " · ".join(filter(None, facts))


def platform_text(name: str | None) -> str:
    """Display name of a platform, e.g. ``B-SoM``."""
    platform = platform_by_name(name) if name else None
    return platform.display_name if platform else name or "unknown"


def version_text(module: ModuleRecord) -> str:
    """Version of a module: a system part by its Device OS release, others by number."""
    releases = releases_by_system_version(module.version) if module.function == "system part" else ()
    return " / ".join(release.name for release in releases) or f"v{module.version}"


def unit_versions(unit: UnitRecord) -> tuple[str, str]:
    """Device OS and app that are known to be on a unit."""
    by_function = {module.function: version_text(module) for module in unit.modules}
    return by_function.get("system part", UNKNOWN), by_function.get("user part", UNKNOWN)
