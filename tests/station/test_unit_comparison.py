"""Two goes side by side."""

import pytest

from particle_dev.station.fold import fold
from particle_dev.station.record_look import Go
from particle_dev.station.unit_comparison import Form, Topic, compare

ONE = "e00fce68d3a1b2c4f5061728"
TWO = "3c001f000947343432313031"


@pytest.fixture
def go(run_script):
    def make(unit=ONE, *, flash_s=8.0, rssi=-71, lower=-100, version=2101, error=None, slot="1", platform="boron"):
        script = run_script((slot,))
        script.unit(slot, unit, platform)
        measured = {"measurements": [{"name": "rssi", "value": rssi, "units": "dBm", "lower": lower}]}
        script.step(slot, unit, "identify", evidence=measured)
        script.step(slot, unit, "flash", duration_s=flash_s, error=error)
        if not error:
            script.step(slot, unit, "verify")
        script.finish(slot, unit, "fail" if error else "pass", modules=[script.module(version=version)])
        run = fold(script.build())
        return Go(run, run.units[0], "a" * 16, {"device_id": unit}, ())

    return make


def lines(left, right):
    return {(part.topic, line.name): line for part in compare(left, right) for line in part.lines}


def differences(left, right):
    return {key[1] for key, line in lines(left, right).items() if line.differs}


def test_equal_goes_at_two_units_do_not_differ(go):
    assert differences(go(ONE), go(TWO)) == set()
    names = lines(go(ONE), go(TWO))[Topic.UNIT, "device_id"]
    assert (names.left, names.right, names.form) == (ONE, TWO, Form.CODE)


def test_every_topic_has_lines(go):
    assert all(part.lines for part in compare(go(), go()))
    assert [part.topic for part in compare(go(), go())] == list(Topic)


def test_a_failure_is_seen_in_verdict_error_and_steps(go, run_script):
    bad = go(TWO, error=run_script().error("the device left the bus"))

    assert {"verdict", "error", "message", "flash", "verify"} <= differences(go(), bad)
    flash = lines(go(), bad)[Topic.STEPS, "flash"]
    assert (flash.left_word, flash.right_word, flash.form) == ("passed", "failed", Form.DURATION)
    verify = lines(bad, go())[Topic.STEPS, "verify"]
    assert (verify.left, verify.left_word, verify.right_word) == (None, "", "passed")


@pytest.mark.parametrize(("other_s", "differs"), [(8.4, False), (9.9, False), (10.2, True), (5.0, True)])
def test_a_step_differs_when_it_takes_a_quarter_longer(go, other_s, differs):
    assert ("flash" in differences(go(), go(flash_s=other_s))) is differs


def test_a_short_step_does_not_differ_by_fractions_of_a_second(go):
    assert "flash" not in differences(go(flash_s=0.1), go(flash_s=0.5))


def test_measurements_differ_by_their_judgement_and_limits(go):
    assert "identify: rssi" not in differences(go(), go(rssi=-80))
    assert "identify: rssi" in differences(go(), go(rssi=-120))
    assert "identify: rssi" in differences(go(), go(lower=-90))
    line = lines(go(), go(rssi=-120))[Topic.MEASUREMENTS, "identify: rssi"]
    assert (line.left, line.right, line.left_word, line.right_word) == ("-71 dBm", "-120 dBm", "passed", "failed")
    assert line.note == "-100 …"


def test_modules_slots_and_platforms_differ(go):
    assert {"slot", "platform"} <= differences(go(), go(TWO, slot="2", platform="bsom"))
    assert differences(go(), go(version=2102)) == {"system part 1"}


def test_the_order_is_that_of_both_sides(go, run_script):
    bad = go(TWO, error=run_script().error())
    steps = next(part for part in compare(bad, go()) if part.topic is Topic.STEPS)
    assert [line.name for line in steps.lines] == ["identify", "flash", "verify"]
