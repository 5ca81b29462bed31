"""What a browser is told of a run and of a slot: words in its language, nothing left to work out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from gettext import NullTranslations
from math import ceil
from types import MappingProxyType

from particle_dev.station.events import JsonObject
from particle_dev.station.instructions import ALT_TEXTS, N_, Instruction, brief, instruction, run_instruction
from particle_dev.station.operator_texts import OperatorTexts
from particle_dev.station.slot_states import RunStates, SlotMode, SlotState
from particle_dev.station.web.formats import coarse_duration_text, percent_text, speed_text
from particle_dev.station.web.texts import translations
from particle_dev.station.wording import name_text, platform_text

MODE_WORDS: Mapping[SlotMode, str] = MappingProxyType(
    {
        SlotMode.WAITING: N_("Waiting"),
        SlotMode.WORKING: N_("Working"),
        SlotMode.PASS: N_("Pass"),
        SlotMode.FAIL: N_("Fail"),
        SlotMode.REFUSED: N_("Refused"),
        SlotMode.INTERRUPTED: N_("Interrupted"),
        SlotMode.EMPTY: N_("Empty"),
        SlotMode.LOCKED: N_("Locked"),
    }
)
STEP_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "probe": N_("Look by probe"),
        "probe_plan": N_("Plan by probe"),
        "probe_flash": N_("Write by probe"),
        "probe_park": N_("Hand over"),
        "identify": N_("Identify"),
        "check": N_("Check"),
        "plan": N_("Plan"),
        "enter_dfu": N_("Enter DFU mode"),
        "copy": N_("Copy bootloader"),
        "flash": N_("Write"),
        "verify": N_("Read back"),
        "cloud_before": N_("Ask the cloud"),
        "import": N_("Import"),
        "connect": N_("Connect"),
        "connectivity": N_("Test connectivity"),
        "park": N_("Park"),
        "gate": N_("Prove billing"),
        "label": N_("Scan the label"),
    }
)


_AT_WORK = (SlotMode.WORKING, SlotMode.LOCKED)


def sentence(text: str) -> str:
    """With a capital letter and an end; what is written within a longer text has neither."""
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".?!。？！" else "。" if text[-1:] > "\u2e80" else ".")


def instruction_view(found: Instruction, texts: NullTranslations, own: OperatorTexts) -> JsonObject:
    """What to do, in words and as a picture, those of ``own`` before the station's; ``urgency`` and ``sound`` (or None)
    are for machines."""
    text = own.instructions.get(found.id) or texts.gettext(found.text).format(**found.values)
    picture = f"/pictures/{found.id}" if found.id in own.pictures else f"/static/pictures/{found.picture}.svg"
    return {
        "id": found.id,
        "text": sentence(text),
        "brief": texts.gettext(brief(found)).format(**found.values),
        "picture": picture,
        "alt": texts.gettext(ALT_TEXTS[found.picture]),
        "urgency": str(found.urgency),
        "sound": found.sound and str(found.sound),
    }


def slot_view(
    slot: SlotState, language: str, own: OperatorTexts, start_by: str = "", *, by_hand: bool, hears: bool
) -> JsonObject:
    """One slot. ``do``: what to do next, with the run's ``own`` words and pictures. ``mode`` and ``percent`` are for
    machines, the rest is shown as it is; "" is nothing to show. ``by_hand``: operators may begin work in slots;
    ``hears``: somebody carries out what they say."""
    texts = translations(language)
    _ = texts.gettext
    share, speed, left_s = slot.share_done, slot.bytes_per_s, slot.left_s
    step = ""
    if slot.mode is SlotMode.WORKING and slot.step:
        step = _(STEP_WORDS[slot.step]) if slot.step in STEP_WORDS else name_text(slot.step)
    return {
        "slot": slot.name,
        "mode": str(slot.mode),
        "word": _(MODE_WORDS[slot.mode]),
        "platform": platform_text(slot.platform).split(" / ")[0] if slot.platform else "",
        "unit": slot.unit or "",
        "step": step,
        "percent": None if share is None else round(100 * min(share, 1.0)),
        "share": "" if share is None else _share_text(round(min(share, 1.0), 2), language),
        "speed": "" if speed is None or speed <= 0 else _speed_text(float(f"{speed:.3g}"), language),
        "left": "" if left_s is None or left_s <= 0 else _left_text(ceil(left_s), language),
        "attempt": f"{slot.attempt} / {slot.attempts}" if slot.attempts > 1 else "",
        "message": slot.message,
        "do": instruction_view(instruction(slot, start_by), texts, own),
        "passed": slot.passed,
        "not_passed": slot.not_passed,
        "locked": slot.mode is SlotMode.LOCKED and hears,
        "may_begin": by_hand and slot.mode not in _AT_WORK,
    }


def run_view(run: RunStates, language: str, own: OperatorTexts, *, by_hand: bool, hears: bool) -> JsonObject:
    """The run itself, with the names of its slots in the order of the bench. ``hears``: there is something that
    operators may say."""
    texts = translations(language)
    _ = texts.gettext
    about = [run.bench, run.operator, run.release or (_("strategy {word}").format(word=run.strategy))]
    return {
        "run_id": run.run_id,
        "by_hand": by_hand,
        "hears": hears,
        "title": own.title or run.recipe,
        "notes": list(own.notes),
        "about": " · ".join(part for part in about if part) if run.run_id else "",
        "verdict": run.verdict,
        "message": run.message,
        "do": instruction_view(run_instruction(run), texts, own),
        "passed": run.passed,
        "not_passed": run.not_passed,
        "slots": list(run.slots),
    }


# Ten times a second in 32 slots for each browser: most numbers come again.
_speed_text = lru_cache(4096)(speed_text)
_share_text = lru_cache(4096)(percent_text)


@lru_cache(4096)
def _left_text(left_s: int, language: str) -> str:
    return translations(language).gettext("{time} left").format(time=coarse_duration_text(left_s, language))
