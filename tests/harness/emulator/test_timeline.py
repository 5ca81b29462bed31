"""Alarms of virtual time."""

from particle_harness.emulator.core.timeline import Timeline


def test_alarms_are_called_in_order_of_cycle_and_then_of_setting():
    timeline, called = Timeline(1_000), []
    for name, cycles in (("b", 5), ("a", 3), ("c", 5), ("d", 9)):
        timeline.after(cycles, lambda name=name: called.append(name))
    timeline.cycles = 5
    timeline.run_due()
    assert called == ["a", "b", "c"]
    assert timeline.next_due == 9


def test_what_an_alarm_sets_for_now_is_called_too():
    timeline, called = Timeline(1_000), []
    timeline.after(0, lambda: timeline.after(0, lambda: called.append("second")))
    timeline.run_due()
    assert called == ["second"]


def test_cancelled_alarms_do_not_pile_up():
    timeline = Timeline(1_000)
    kept = timeline.after(1_000_000, lambda: None)
    for _ in range(10_000):
        timeline.after(2_000_000, lambda: None).cancel()
    assert len(timeline._alarms) < 200
    assert timeline.next_due == kept.cycle == 1_000_000
