"""What a run says of tests on boards: which proofs are virtual, what the bench kept from running, what was not run.

Imports pytest alone, as the plugin does.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Generator, Mapping
from typing import Any

import pytest

EXIT_NOT_RUN = 6
"""Nothing failed, but a test on boards was not run: particle-dev's own exit status for what is incomplete."""
PROPERTY_NOT_RUN, PROPERTY_VIRTUAL = "particle_not_run", "particle_virtual"
_PROPERTY_IN_SHORT = "particle_in_short"


class Tally:
    """What became of the tests on boards, as reports tell it: also those of workers. A plugin of its own, for reports
    come without their config."""

    def __init__(self) -> None:
        self.virtual: list[str] = []
        self.real: list[str] = []
        self.not_run: dict[str, str] = {}
        self.errors: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts."""
        properties = dict(report.user_properties)
        if PROPERTY_NOT_RUN in properties:
            self.not_run[report.nodeid] = str(properties[PROPERTY_NOT_RUN])
        elif _is_bench_error(report):
            self.errors[report.nodeid] = _summary_of(report)
        elif report.when == "call" and PROPERTY_VIRTUAL in properties and report.passed:
            (self.virtual if properties[PROPERTY_VIRTUAL] == "yes" else self.real).append(report.nodeid)


def _is_bench_error(report: Any) -> bool:
    """Whether a test was not begun, or not ended, for something that the bench is to blame for."""
    of_tests = isinstance(report, pytest.TestReport) and report.when != "call"
    return of_tests and report.failed and _PROPERTY_IN_SHORT in dict(report.user_properties)


def _summary_of(report: pytest.TestReport) -> str:
    longrepr: Any = report.longrepr
    return str(longrepr.reprcrash.message)


def shorten(report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException], summary: str) -> None:
    """Put error code and class into the line of the summary; around the test itself they are all there is to say."""
    if report.when != "call":
        shown: Any = excinfo.getrepr(style="value", chain=False)
        shown.reprtraceback.reprentries[-1].lines = [summary]
        report.longrepr = shown
        report.user_properties = [*report.user_properties, (_PROPERTY_IN_SHORT, "yes")]
    longrepr: Any = report.longrepr
    if getattr(longrepr, "reprcrash", None) is not None:
        longrepr.reprcrash.message = summary


def _was_not_run(report: Any) -> bool:
    return PROPERTY_NOT_RUN in dict(getattr(report, "user_properties", ()))


class CausesOnce:
    """Takes errors of the bench and what was not run out of pytest's own lists, where each test would repeat the cause;
    they stay in its count."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, None, None]:
        """Gives them back afterwards."""
        stats = terminalreporter.stats
        taken_out = {"error": _is_bench_error, "skipped": _was_not_run}
        whole = {category: stats[category] for category in taken_out if category in stats}
        for category, reports in whole.items():
            stats[category] = [report for report in reports if not taken_out[category](report)]
        try:
            yield
        finally:
            stats.update(whole)


def print_summary(terminalreporter: Any, config: pytest.Config, tally: Tally) -> None:
    """The section "Particle boards"; none when no test was on boards."""
    if not (tally.virtual or tally.real or tally.not_run or tally.errors):
        return
    terminalreporter.section("Particle boards")
    if tally.virtual:
        terminalreporter.line(f"{len(tally.virtual)} passed on virtual boards: proofs about models, not about hardware")
    if tally.real:
        terminalreporter.line(f"{len(tally.real)} passed on real boards")
    columns = config.get_terminal_writer().fullwidth
    if tally.errors:
        terminalreporter.line(f"{_tests(len(tally.errors))} ended by an error of the bench (exit status 1):")
        _print_by_cause(terminalreporter, tally.errors, columns)
    if tally.not_run:
        terminalreporter.line(f"{len(tally.not_run)} not run, which is no pass (exit status {EXIT_NOT_RUN}):")
        _print_by_cause(terminalreporter, tally.not_run, columns)


def _print_by_cause(terminalreporter: Any, causes: Mapping[str, str], columns: int) -> None:
    """Each cause once, with its tests: their files and how many of each, with -v their names."""
    for cause in dict.fromkeys(causes.values()):
        nodes = [node for node, why in causes.items() if why == cause]
        files = Counter(node.partition("::")[0] for node in nodes)
        of_files = ", ".join(file if n == 1 else f"{file} ({n})" for file, n in files.items())
        terminalreporter.line(_filled(cause, columns, "  "))
        for line in nodes if len(nodes) == 1 or terminalreporter.verbosity > 0 else [of_files]:
            terminalreporter.line(_filled(line, columns, "      "))


def _filled(text: str, columns: int, indent: str) -> str:
    return textwrap.fill(
        " ".join(text.split()),
        max(columns - 1, 40),
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _tests(number: int) -> str:
    return "1 test was" if number == 1 else f"{number} tests were"
