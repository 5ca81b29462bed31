"""Which self-tests a board must pass, with limits of the line's own: a TOML file, or simply all that the board has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from particle_dev.errors import ConfigError
from particle_dev.protocol.selftest import Parameter, SelfTestDescription, start_request
from particle_dev.toml_file import TomlFile, TomlTable

DEFAULT_TIMEOUT_S = 60.0
ONLINE_TIMEOUT_S = 660.0
"""For tests that connect: a first registration of a modem takes up to 10 minutes."""
_INT32 = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True)
class Limit:
    """What a value of the report must be: a number from ``min`` to ``max`` (inclusive; None: no bound) in ``unit``, or
    the text ``equals``."""

    min: int | None = None
    max: int | None = None
    unit: str | None = None
    equals: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedTest:
    """One test. Every value that ``limits`` names must be in the report and keep its limit, besides the board's own.
    ``timeout_s`` None: 60 s, for tests that can go online 11 minutes."""

    name: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    limits: Mapping[str, Limit] = field(default_factory=dict)
    timeout_s: float | None = None

    def time_limit_s(self, *, may_connect: bool) -> float:
        """``timeout_s``, or what suits a test that goes online, or one that does not."""
        return self.timeout_s or (ONLINE_TIMEOUT_S if may_connect else DEFAULT_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class SelfTestPlan:
    """Tests in their order. ``sha256`` is that of the file, None without one."""

    name: str
    tests: tuple[PlannedTest, ...]
    sha256: str | None = None


def plan_of_names(names: Iterable[str]) -> SelfTestPlan:
    """These tests without parameters, judged by the board's own limits."""
    return SelfTestPlan("chosen tests", tuple(PlannedTest(name) for name in names))


def plan_for(tests: Sequence[SelfTestDescription]) -> SelfTestPlan:
    """All tests of the board that stay offline."""
    return SelfTestPlan("all tests that stay offline", tuple(PlannedTest(t.name) for t in tests if not t.may_connect))


def load_plan(path: Path) -> SelfTestPlan:
    """The plan in a TOML file::

        [selftest]
        name = "carrier board, revision B"
        [[test]]
        name = "adc"
        timeout_s = 10
        parameters = { samples = 32 }
        limits = { A0 = { min = 1600, max = 1700, unit = "mV" } }
        [[test]]
        name = "identity"
        limits = { hardware = { equals = "B" } }

    Raises ConfigError (file, line, key) when it cannot be read, has an unknown key or a wrong value.
    """
    file = TomlFile(path)
    file.root.allow_only(["selftest", "test"])
    head = file.root.table("selftest")
    head.allow_only(["name"])
    tests = tuple(_test(table) for table in file.root.tables("test"))
    if not tests:
        raise file.root.error(None, "no test is named", hint="add a table [[test]] for each, with its name")
    return SelfTestPlan(head.text("name"), tests, file.sha256)


def _test(table: TomlTable) -> PlannedTest:
    table.allow_only(["name", "timeout_s", "parameters", "limits"])
    name = table.text("name")
    parameters = _parameters(table.table("parameters", required=False))
    try:
        start_request(name, 1, parameters, may_connect=True)
    except ValueError as error:
        raise table.error("parameters", str(error), hint="shorten the parameters") from error
    limits = table.table("limits", required=False)
    return PlannedTest(
        name,
        parameters,
        {key: _limit(limits.table(key)) for key in limits.values},
        table.seconds("timeout_s", DEFAULT_TIMEOUT_S) if "timeout_s" in table.values else None,
    )


def _parameters(table: TomlTable) -> dict[str, Parameter]:
    for key, value in table.values.items():
        if not isinstance(value, bool | int | str) or (type(value) is int and value not in _INT32):
            message = f"parameter {key!r} must be text, a whole number of 32 bits, true or false, not {value!r}"
            raise table.error(key, message, hint="a board takes nothing else")
    return dict(table.values)


def _limit(table: TomlTable) -> Limit:
    table.allow_only(["min", "max", "unit", "equals"])
    if "equals" in table.values:
        if len(table.values) > 1:
            raise table.error("equals", "equals stands alone", hint="a text has no min, max or unit")
        return Limit(equals=table.text("equals"))
    limit = Limit(_bound(table, "min"), _bound(table, "max"), table.text("unit"))
    if limit.min is None and limit.max is None:
        raise table.error(None, "a limit without min, max and equals limits nothing", hint="add min = … or max = …")
    if limit.min is not None and limit.max is not None and limit.min > limit.max:
        raise table.error("min", f"min {limit.min} is above max {limit.max}", hint="exchange them")
    return limit


def _bound(table: TomlTable, key: str) -> int | None:
    value = table.values.get(key)
    if value is not None and (type(value) is not int or value not in _INT32):
        raise table.error(key, f"{key} must be a whole number, not {value!r}", hint="choose the unit accordingly")
    return value


def check_names(plan: SelfTestPlan, tests: Sequence[SelfTestDescription]) -> None:
    """Raise ConfigError when the board has no test of a name."""
    known = [t.name for t in tests]
    for test in plan.tests:
        if test.name not in known:
            raise ConfigError(
                f"the board has no self-test {test.name!r}", key=test.name, hint=f"it has {', '.join(known) or 'none'}"
            )
