"""Plans of self-tests as files."""

import pytest

from particle_dev.device.selftest_plan import Limit, PlannedTest, load_plan
from particle_dev.errors import ConfigError

GOOD = """
[selftest]
name = "carrier board, revision B"
[[test]]
name = "adc"
timeout_s = 10
parameters = { samples = 32, fast = true, mode = "x" }
limits = { A0 = { min = 1600, max = 1700, unit = "mV" }, A1 = { max = 5, unit = "mV" } }
[[test]]
name = "identity"
limits = { hardware = { equals = "B" } }
"""


@pytest.fixture
def load(tmp_path):
    def load_text(text):
        path = tmp_path / "plan.toml"
        path.write_text(text)
        return load_plan(path)

    return load_text


def test_a_plan(load):
    plan = load(GOOD)
    assert plan.name == "carrier board, revision B"
    assert len(plan.sha256) == 64
    limits = {"A0": Limit(1600, 1700, "mV"), "A1": Limit(None, 5, "mV")}
    assert plan.tests == (
        PlannedTest("adc", {"samples": 32, "fast": True, "mode": "x"}, limits, 10.0),
        PlannedTest("identity", {}, {"hardware": Limit(equals="B")}),
    )
    assert [t.time_limit_s(may_connect=False) for t in plan.tests] == [10.0, 60.0]
    assert plan.tests[1].time_limit_s(may_connect=True) == 660.0


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('name = "carrier board, revision B"', "", 2, "name is missing"),
        ("timeout_s = 10", "timeout = 10", 6, "unknown key 'timeout'"),
        ("timeout_s = 10", "timeout_s = 0", 6, "above 0"),
        ("samples = 32", "samples = 1.5", 7, "whole number of 32 bits"),
        ("samples = 32", "samples = 2147483648", 7, "whole number of 32 bits"),
        ('mode = "x"', f'mode = "{"x" * 400}"', 7, "a board takes 384"),
        ("min = 1600", "minimum = 1600", 8, "unknown key 'minimum'"),
        ("min = 1600", "min = 1800", 8, "min 1800 is above max 1700"),
        ("min = 1600", 'min = "1600"', 8, "whole number"),
        ("max = 5, ", "", 8, "limits nothing"),
        (', unit = "mV" }, A1', " }, A1", 8, "unit is missing"),
        ('equals = "B"', 'equals = "B", min = 1', 11, "stands alone"),
    ],
)
def test_mistakes_are_told_with_their_line(load, old, new, line, says):
    assert old in GOOD
    with pytest.raises(ConfigError, match=says) as error:
        load(GOOD.replace(old, new))
    assert error.value.line == line
    assert error.value.hint


def test_a_plan_without_tests(load):
    with pytest.raises(ConfigError, match="no test is named"):
        load('[selftest]\nname = "x"')
