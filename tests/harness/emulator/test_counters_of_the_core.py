"""SysTick and the cycle counter, register by register."""

import pytest
from particle_harness.emulator.core.systick import CLKSOURCE, COUNTFLAG, ENABLE, TICKINT, SysTick
from particle_harness.emulator.core.timeline import Timeline

from .machine import run


@pytest.fixture
def timeline():
    return Timeline(64_000_000)


@pytest.fixture
def wraps():
    return []


@pytest.fixture
def systick(timeline, wraps):
    return SysTick(timeline, lambda: wraps.append(timeline.cycles))


def test_it_reloads_after_zero_and_flags_once(systick, timeline, wraps):
    systick.write_reload(99)
    systick.clear()
    systick.write_control(ENABLE | TICKINT | CLKSOURCE)
    timeline.pass_until(350)
    assert wraps == [100, 200, 300]
    assert systick.value == 50
    assert systick.read_control() & COUNTFLAG
    assert not systick.read_control() & COUNTFLAG


def test_the_external_clock_is_slower_and_a_stopped_counter_keeps_its_value(systick, timeline, wraps):
    systick.write_reload(9)
    systick.clear()
    systick.write_control(ENABLE | TICKINT)
    timeline.pass_until(80)
    assert wraps == [80]
    timeline.pass_until(80 + 8 + 24)
    systick.write_control(0)
    assert systick.value == 6
    timeline.pass_until(10_000)
    assert (systick.value, wraps) == (6, [80])
    systick.write_control(ENABLE | TICKINT)
    timeline.pass_until(10_000 + 6 * 8)
    assert wraps == [80, 10_048]


@pytest.mark.parametrize("control", [ENABLE | CLKSOURCE, ENABLE])
def test_it_stands_at_zero_for_one_count(systick, timeline, control):
    divider = 1 if control & CLKSOURCE else 8
    systick.write_reload(0xFFFFFF)
    systick.clear()
    systick.write_control(control)
    at = [systick.value]
    for count in (1, 2, 0xFFFFFF, 0x1000000, 0x1000001):
        timeline.pass_until(count * divider)
        at.append(systick.value)
        timeline.pass_until(count * divider + divider - 1)
        assert systick.value == at[-1]
    assert at == [0, 0xFFFFFF, 0xFFFFFE, 1, 0, 0xFFFFFF]


def test_a_write_clears_without_an_exception_and_reload_zero_stops(systick, timeline, wraps):
    systick.write_reload(999)
    systick.clear()
    systick.write_control(ENABLE | TICKINT | CLKSOURCE)
    timeline.pass_until(500)
    systick.clear()
    assert not systick.read_control() & COUNTFLAG
    timeline.pass_until(1_400)
    assert wraps == []
    systick.write_reload(0)
    timeline.pass_until(5_000)
    assert wraps == [1_500]
    assert systick.value == 0


def test_cycles_are_counted_while_the_counter_is_on():
    said = run(
        """
        function _start
            ldr r7, =0x40000000
            ldr r6, =0xE0001000
            ldr r0, [r6, #4]
            ldr r1, [r6, #4]
            subs r1, r0
            str r1, [r7]
            movs r0, #1
            str r0, [r6]
            ldr r0, [r6, #4]
            nop
            nop
            ldr r1, [r6, #4]
            subs r1, r0
            str r1, [r7]
            movs r0, #0
            str r0, [r6, #4]
            ldr r1, [r6, #4]
            str r1, [r7]
            stop
        """
    )
    # Two instructions, and a load with its access.
    assert said == [0, 2 + 9, 9]
