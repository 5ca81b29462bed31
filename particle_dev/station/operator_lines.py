"""What operators say during a run: lines on standard input, from a scanner, a foot-switch, or the station's page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TextIO

from particle_dev.errors import StationError
from particle_dev.station.arrivals import Arrivals, StartBy
from particle_dev.station.instructions import N_
from particle_dev.station.label_scans import LabelScans
from particle_dev.station.slot_health import HealthFile, unlocked


class AnswerId(StrEnum):
    """What became of a line."""

    BEGINS = "begins"
    ALL_BEGIN = "all_begin"
    NONE_FREE = "none_free"
    AT_WORK = "at_work"
    SCAN_BOARD = "scan_board"
    PUT_IN = "put_in"
    NO_LABEL = "no_label"
    ENDING = "ending"
    UNLOCKED = "unlocked"
    NO_SLOT = "no_slot"
    NOT_UNLOCKED = "not_unlocked"
    ONE_ROUND = "one_round"
    SCAN_LABEL = "scan_label"
    LABEL_READ = "label_read"
    NONE_ASKED = "none_asked"


ANSWER_TEXTS: Mapping[AnswerId, str] = MappingProxyType(
    {
        AnswerId.BEGINS: N_("slot {what} begins"),
        AnswerId.ALL_BEGIN: N_("begins: slot {what}"),
        AnswerId.NONE_FREE: N_("no slot is free"),
        AnswerId.AT_WORK: N_("slot {what} is at work"),
        AnswerId.SCAN_BOARD: N_("slot {what}: now scan its board"),
        AnswerId.PUT_IN: N_("put {what} in"),
        AnswerId.NO_LABEL: N_(
            "that is no slot and no label with a Device ID. Enter: begin in all slots; SLOT: begin there; "
            "a label: its board; unlock SLOT; end"
        ),
        AnswerId.ENDING: N_("no more units are begun"),
        AnswerId.UNLOCKED: N_("slot {what} is back in use"),
        AnswerId.NO_SLOT: N_("there is no slot {what}"),
        AnswerId.NOT_UNLOCKED: "{what}",
        AnswerId.SCAN_LABEL: N_("slot {what}: now scan its label"),
        AnswerId.LABEL_READ: N_("the label of slot {what} was read"),
        AnswerId.NONE_ASKED: N_("no label is asked for now"),
        AnswerId.ONE_ROUND: N_("this run takes the boards that are in the slots, once; it began by itself"),
    }
)
"""English, with ``{what}``."""
_GOOD = frozenset(
    {
        AnswerId.BEGINS,
        AnswerId.ALL_BEGIN,
        AnswerId.SCAN_BOARD,
        AnswerId.PUT_IN,
        AnswerId.ENDING,
        AnswerId.UNLOCKED,
        AnswerId.SCAN_LABEL,
        AnswerId.LABEL_READ,
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a line. ``what``: slots, a Device ID, or why not. Never the line itself: labels may hold
    secrets."""

    id: AnswerId
    what: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the operator got what was asked for."""
        return self.id in _GOOD

    def __str__(self) -> str:
        return ANSWER_TEXTS[self.id].format(what=self.what)


class OperatorLines:
    """Carries out what operators say, whoever carries it here; from any thread.

    ``arrivals`` None: a run of one round, in which nothing is begun by hand. ``health`` None: no slot is ever locked.
    ``scans`` None: no label is ever asked for. While one is, what is scanned is that label; a slot that is named before
    begins by the label, or is asked for its label first.
    """

    def __init__(
        self,
        arrivals: Arrivals | None,
        slots: Iterable[str],
        start_by: StartBy,
        health: HealthFile | None,
        scans: LabelScans | None = None,
    ) -> None:
        self._arrivals = arrivals
        self._slots = tuple(slots)
        self._start_by = start_by
        self._health = health
        self._scans = scans
        self._named_by: dict[str, str] = {}

    @property
    def takes_labels(self) -> bool:
        """Whether labels of units are scanned back."""
        return self._scans is not None

    @property
    def begins_by_hand(self) -> bool:
        """Whether an operator may begin work in a slot."""
        return self._arrivals is not None

    def listen(self, stream: TextIO, say: Callable[[str], None], at_end: str = "") -> None:
        """Carry out the lines of a stream in a thread and ``say`` the answers, until it ends; its end ends nothing
        else. ``at_end`` is said then, where it is worth a word."""

        def read() -> None:
            for line in stream:
                say(str(self.carry_out(line)))
            if at_end:
                say(at_end)

        threading.Thread(target=read, name="operator", daemon=True).start()

    def carry_out(self, line: str, by: str = "") -> Answer:
        """One line: nothing, ``end``, ``unlock SLOT``, the name of a slot, or what a scanner read. ``by``: who says it;
        a label is of the slot that the same person named before."""
        match line.split():
            case []:
                return self.start_all()
            case ["end"]:
                return self.end()
            case ["unlock", _, *_]:
                # A slot may be named "left 2".
                return self.unlock(line.split(maxsplit=1)[1].strip())
        return self.scan(line, by)

    def start_all(self) -> Answer:
        """Begin in all slots that are free."""
        if self._arrivals is None:
            return Answer(AnswerId.ONE_ROUND)
        begun = [name for name in self._arrivals.idle() if self._arrivals.start(name)]
        return Answer(AnswerId.ALL_BEGIN, ", ".join(begun)) if begun else Answer(AnswerId.NONE_FREE)

    def start(self, name: str, by: str = "") -> Answer:
        """Begin in a slot; where labels begin, the next one scanned is that of its board."""
        if name not in self._slots:
            return Answer(AnswerId.NO_SLOT, name)
        return self.scan(name, by)

    def scan(self, text: str, by: str = "") -> Answer:
        """The name of a slot, or the text of a label."""
        if self._scans is not None and (answer := self._scan_back(self._scans, text, by)):
            return answer
        if self._arrivals is None:
            return Answer(AnswerId.NONE_ASKED if self.takes_labels else AnswerId.ONE_ROUND)
        return self._begin(self._arrivals, text, by)

    def _scan_back(self, scans: LabelScans, text: str, by: str) -> Answer | None:
        said = text.strip()
        # A slot may be named "slot1": the whole text comes first.
        named = next((n for n in (said, said.removeprefix("slot").strip(" :")) if n in self._slots), None)
        if named is not None and scans.turn_to(named):
            self._named_by.pop(by, None)
            return Answer(AnswerId.SCAN_LABEL, named)
        asked = scans.offer(text) if named is None and by not in self._named_by else None
        return Answer(AnswerId.LABEL_READ, asked) if asked is not None else None

    def _begin(self, arrivals: Arrivals, text: str, by: str) -> Answer:
        name = text.strip()
        if name in self._slots and self._start_by is not StartBy.SCAN:
            return Answer(AnswerId.BEGINS if arrivals.start(name) else AnswerId.AT_WORK, name)
        found, named = arrivals.scan(text, by), self._named_by.pop(by, "")
        if found is None:
            return Answer(AnswerId.NO_LABEL)
        if not found:
            return Answer(AnswerId.AT_WORK, named)
        if found not in self._slots:
            return Answer(AnswerId.PUT_IN, found)
        if name.rsplit(maxsplit=1)[-1] != found:
            return Answer(AnswerId.BEGINS, found)
        self._named_by[by] = found
        return Answer(AnswerId.SCAN_BOARD, found)

    def unlock(self, name: str) -> Answer:
        """Put a locked slot back into use."""
        if name not in self._slots or self._health is None:
            return Answer(AnswerId.NO_SLOT, name)
        try:
            self._health.change(name, unlocked)
        except StationError as error:
            return Answer(AnswerId.NOT_UNLOCKED, str(error))
        if self._arrivals is not None:
            self._arrivals.tell_news(name)
        return Answer(AnswerId.UNLOCKED, name)

    def end(self) -> Answer:
        """Begin no more units."""
        if self._arrivals is None:
            return Answer(AnswerId.ONE_ROUND)
        self._arrivals.end()
        return Answer(AnswerId.ENDING)


def is_engineers(line: str) -> bool:
    """Whether a line asks for what takes an engineer where people log in: the end of the run, a slot unlocked."""
    words = line.split()
    return words == ["end"] or (len(words) > 1 and words[0] == "unlock")
