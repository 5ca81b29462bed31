"""A differential test: conversations from a seed until so many transfers are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from particle_harness.emulator.conversations.acts import Act
from particle_harness.emulator.differential.comparison import Difference, KnownDifference, Side, compare, shrink

_SEQUENCES_PER_PAIR = 12
"""Then both start anew, which keeps what has to be repeated for a difference short."""


@dataclass(slots=True)
class Report:
    """What was compared, and the differences that nobody knew of, each by its shortest sequence."""

    transfers: int = 0
    sequences: int = 0
    differences: list[Difference] = field(default_factory=list)


class Comparable(Protocol):
    """Firmware and its model, and what is said to both."""

    @property
    def known(self) -> Sequence[KnownDifference]:
        """What may differ, with reasons."""
        ...

    def pair(self) -> tuple[Side, SideThatEnds]:
        """The model and the firmware, in the same state: the one that every sequence starts from."""
        ...

    def conversation(self, seed: int) -> list[Act]:
        """A sequence; the same seed makes the same one."""
        ...


class SideThatEnds(Side, Protocol):
    """The firmware's side."""

    @property
    def is_over(self) -> bool:
        """Nothing more can be compared with it."""
        ...


def run(subject: Comparable, transfers: int, *, first_seed: int = 1, most_differences: int = 3) -> Report:
    """Compare until so many transfers are done, or so many differences found."""
    report, seed = Report(), first_seed
    pair, history = None, list[Act]()
    while report.transfers < transfers and len(report.differences) < most_differences:
        if pair is None:
            pair, history = subject.pair(), []
        acts = subject.conversation(seed)
        seed += 1
        difference, done = compare(*pair, acts, subject.known)
        report.transfers += done
        report.sequences += 1
        history += acts
        if difference is not None:
            report.differences.append(_smallest(subject, difference, history))
        if difference is not None or pair[1].is_over or report.sequences % _SEQUENCES_PER_PAIR == 0:
            pair = None
    return report


def _smallest(subject: Comparable, found: Difference, history: Sequence[Act]) -> Difference:
    def again(acts: Sequence[Act]) -> Difference | None:
        return compare(*subject.pair(), acts, subject.known)[0]

    alone = again(found.acts)
    if alone is None:
        # What came before has a part in it.
        alone = again(history)
    return shrink(alone, again) if alone is not None else found
