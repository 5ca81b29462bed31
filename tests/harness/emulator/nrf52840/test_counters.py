"""TIMER and RTC count virtual time, and the interconnect counts with them."""

import pytest
from particle_harness.emulator.nrf52840.counters import Rtc, Timer
from particle_harness.emulator.nrf52840.ppi import EventGenerator

from .rig import INTENSET, SHORTS, Rig

START, STOP, COUNT, CLEAR, CAPTURE = 0x000, 0x004, 0x008, 0x00C, 0x040
COMPARE, MODE, BITMODE, PRESCALER, CC = 0x140, 0x504, 0x508, 0x510, 0x540


@pytest.fixture
def rig():
    return Rig()


@pytest.fixture
def timer(rig):
    return rig.add(Timer(0x40008000, rig.timeline, rig.line, rig.wires, "TIMER0", 4))


@pytest.fixture
def rtc(rig):
    return rig.add(Rtc(0x4000B000, rig.timeline, rig.line, rig.wires, "RTC0"))


def captured(timer):
    timer.trigger(CAPTURE + 12)
    return timer[CC + 12]


@pytest.mark.parametrize(("prescaler", "ticks"), [(0, 16_000), (4, 1_000), (9, 31)])
def test_timer_counts_16_mhz_divided_by_its_prescaler(rig, timer, prescaler, ticks):
    timer[PRESCALER] = prescaler
    timer.trigger(START)
    rig.pass_s(0.001)
    assert captured(timer) == ticks


def test_timer_compares_at_the_very_cycle_and_interrupts(rig, timer):
    timer[BITMODE], timer[PRESCALER], timer[CC] = 3, 4, 1000
    timer[INTENSET] = 1 << 16
    timer.trigger(START)
    rig.pass_cycles(1000 * 64 - 1)
    assert not timer[COMPARE]
    assert not rig.line.level
    rig.pass_cycles(1)
    assert rig.line.level
    assert timer.take(COMPARE)
    assert not rig.line.level


def test_timer_starts_anew_by_its_shortcut(rig, timer):
    timer[BITMODE], timer[CC], timer[SHORTS] = 3, 250, 1
    timer.trigger(START)
    compares = []
    for _ in range(4):
        rig.pass_s(0.00025)
        compares.append(timer.take(COMPARE))
    assert compares == [True] * 4
    assert captured(timer) == 0


def test_timer_stops_by_its_shortcut_and_keeps_its_value(rig, timer):
    timer[CC], timer[SHORTS] = 10, 1 << 8
    timer.trigger(START)
    rig.pass_s(0.001)
    assert captured(timer) == 10


def test_timer_wraps_at_its_width(rig, timer):
    timer[BITMODE] = 1
    timer.trigger(START)
    rig.pass_s(0.000300)
    assert captured(timer) == 300 - 256


def test_a_counter_counts_events_through_the_interconnect(rig, timer):
    egu = rig.add(EventGenerator(0x40014000, rig.timeline, rig.line, rig.wires, "EGU0"))
    timer[MODE], timer[CC] = 2, 3
    rig.wires.write(0x510, 4, 0x40014100)
    rig.wires.write(0x514, 4, 0x40008000 + COUNT)
    egu.trigger(0)
    rig.wires.write(0x504, 4, 1)
    for _ in range(3):
        egu.trigger(0)
    assert captured(timer) == 3
    assert timer.take(COMPARE)


def test_channel_groups_switch_channels(rig, timer):
    timer[MODE] = 1
    egu = rig.add(EventGenerator(0x40014000, rig.timeline, rig.line, rig.wires, "EGU0"))
    rig.wires.write(0x510, 4, 0x40014100)
    rig.wires.write(0x514, 4, 0x40008000 + COUNT)
    rig.wires.write(0x800, 4, 1)
    rig.wires.write(0x000, 4, 1)
    egu.trigger(0)
    rig.wires.write(0x004, 4, 1)
    egu.trigger(0)
    assert captured(timer) == 1


@pytest.mark.parametrize("prescaler", [0, 31, 4095])
def test_rtc_counts_32768_hz_divided_by_prescaler_plus_one(rig, rtc, prescaler):
    rtc[0x508] = prescaler
    rtc.trigger(START)
    rig.pass_s(10)
    assert rtc[0x504] == 10 * 32768 // (prescaler + 1)


def test_rtc_ticks_where_it_is_asked_to(rig, rtc):
    rtc[0x508] = 31
    rtc.trigger(START)
    rig.pass_s(0.01)
    assert not rtc[0x100]
    rtc[INTENSET] = 1
    ticks = 0
    for _ in range(32):
        rig.pass_cycles(64_000_000 * 32 // 32768)
        ticks += rtc.take(0x100)
    assert ticks == 32


def test_rtc_compares_after_so_many_ticks(rig, rtc):
    rtc[CC + 4] = 3277
    rtc[INTENSET] = 1 << 17
    rtc.trigger(START)
    rig.pass_s(0.09999)
    assert not rig.line.level
    rig.pass_s(0.0001)
    assert rig.line.level
    assert rtc[0x504] == 3279


def test_rtc_overflows(rig, rtc):
    rtc[0x344] = 1 << 1
    rtc.trigger(0x00C)
    rtc.trigger(START)
    rig.pass_s(0.001)
    assert rtc[0x104]
    assert rtc[0x504] == 32 - 16
