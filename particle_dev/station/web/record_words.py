"""Words of records in the visitor's language: verdicts, steps, what was found. Texts of boards and of errors stay as
they were recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from starlette.requests import Request

from particle_dev.station.instructions import N_
from particle_dev.station.timeline import LabelWords
from particle_dev.station.web.formats import duration_text
from particle_dev.station.web.language import language_of
from particle_dev.station.web.slot_view import STEP_WORDS
from particle_dev.station.web.texts import translations
from particle_dev.station.wording import name_text

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "pass": N_("Pass"),
        "fail": N_("Fail"),
        "refused": N_("Refused"),
        "interrupted": N_("Interrupted"),
        "incomplete": N_("Incomplete"),
        "passed": N_("passed"),
        "failed": N_("failed"),
        "unlimited": N_("no limit"),
        "not_started": N_("not started"),
        "started": N_("started"),
        "unknown": N_("unknown"),
        "weak": N_("weak"),
        "since_baseline": N_("since baseline"),
        "offline": N_("offline"),
        "online": N_("online"),
        "inconclusive": N_("inconclusive"),
        "intact": N_("intact"),
        "altered": N_("altered"),
        "unproven": N_("unproven"),
        "read_back": N_("read back"),
        "not_read_back": N_("not read back"),
        "dfu": N_("DFU mode"),
        "device_id": N_("Device ID"),
        "serial_number": N_("Serial number"),
        "verdict": N_("Verdict"),
        "error": N_("Error"),
        "message": N_("Message"),
        "platform": N_("Platform"),
        "attempts": N_("Attempts"),
        "parked": N_("Left in"),
        "billing": N_("Cloud billing"),
        "gate": N_("Prove billing"),
        "missing": N_("Missing"),
        "recipe": N_("Recipe"),
        "recipe_sha256": N_("Recipe, SHA-256"),
        "station": N_("Station"),
        "bench": N_("Bench"),
        "slot": N_("Slot"),
        "operator": N_("Operated by"),
    }
)
_NAMES = {"imei": "IMEI", "iccid": "ICCID", "particle_dev": "particle-dev"}
"""The same in every language."""
SYMBOLS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("pass", "passed", "not_started", "offline", "intact", "read_back"), "pass"),
        **dict.fromkeys(("fail", "failed", "started", "online", "altered"), "fail"),
        "refused": "refused",
        **dict.fromkeys(
            ("interrupted", "incomplete", "unknown", "weak", "since_baseline", "inconclusive", "unproven"),
            "interrupted",
        ),
        "not_read_back": "interrupted",
    }
)
"""Which symbol of ``static/symbols.svg`` stands beside a word, and which colour; words that judge nothing have none."""


def step_namer(request: Request) -> Callable[[str], str]:
    """What steps are called in the visitor's language."""
    gettext = translations(language_of(request)).gettext
    return lambda name: gettext(STEP_WORDS[name]) if name in STEP_WORDS else name_text(name)


def label_words(request: Request) -> LabelWords:
    """How a time-line is labelled in the visitor's language."""
    language = language_of(request)
    slot = translations(language).gettext("Slot")
    duration = partial(duration_text, language=language)
    return LabelWords(step_namer(request), f"{slot} {{}}".format, duration, word_finder(request))


def word_finder(request: Request) -> Callable[[object], str]:
    """Names of the schema as people say them: ``not_started`` is "not started"."""
    gettext = translations(language_of(request)).gettext

    def word(name: object) -> str:
        text = str(name)
        return gettext(WORDS[text]) if text in WORDS else _NAMES.get(text) or name_text(text)

    return word
