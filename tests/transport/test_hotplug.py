"""Wake-ups: udev's where there is one, the clock elsewhere, and the reason in words."""

import builtins
import errno
import sys

import pytest
import pyudev

from particle_dev.errors import TransportError
from particle_dev.transport import hotplug
from particle_dev.transport.hotplug import MISSED_MESSAGE_S, PollingWakeUp, UdevWakeUp, open_wake_up


class Clock:
    def __init__(self):
        self.slept = []

    def sleep(self, duration_s):
        self.slept.append(duration_s)


class Monitor:
    """Gives messages, or fails; remembers how long it was asked to wait."""

    def __init__(self, *messages):
        self.messages, self.waits = list(messages), []

    def poll(self, timeout):
        self.waits.append(timeout)
        message = self.messages.pop(0) if self.messages else None
        if isinstance(message, Exception):
            raise message
        return message


def test_polling_sleeps_on_the_clock_it_was_given():
    clock = Clock()
    wake_up = PollingWakeUp(clock, interval_s=0.25)
    wake_up.wait(10)
    wake_up.wait(0.1)
    assert clock.slept == [0.25, 0.1]
    wake_up.close()


def test_all_messages_that_have_come_are_one_reason_to_look():
    monitor = Monitor("add", "bind", "add")
    UdevWakeUp(monitor).wait(1.5)
    assert monitor.waits == [1.5, 0, 0, 0]


def test_silence_does_not_last_for_ever():
    monitor = Monitor()
    UdevWakeUp(monitor).wait(3600)
    assert monitor.waits == [MISSED_MESSAGE_S]


def test_messages_that_the_kernel_dropped_are_a_reason_to_look():
    UdevWakeUp(Monitor(OSError(errno.ENOBUFS, "No buffer space"))).wait(1)


def test_socket_that_fails():
    with pytest.raises(TransportError, match="Bad file descriptor"):
        UdevWakeUp(Monitor(OSError(errno.EBADF, "Bad file descriptor"))).wait(1)


def test_udev_when_it_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(hotplug, "_UDEV_SOCKET", tmp_path)
    wake_up, why = open_wake_up(Clock())
    assert (wake_up.name, why) == ("udev", "")
    wake_up.wait(0.01)
    wake_up.close()


def test_no_udevd(monkeypatch, tmp_path):
    monkeypatch.setattr(hotplug, "_UDEV_SOCKET", tmp_path / "nothing")
    wake_up, why = open_wake_up(Clock())
    assert (wake_up.name, why) == ("polling", "udevd does not run here")


def test_no_netlink_socket(monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(pyudev.Monitor, "from_netlink", refuse)
    wake_up, why = open_wake_up(Clock())
    assert wake_up.name == "polling"
    assert "Operation not permitted" in why


def test_no_pyudev(monkeypatch):
    real_import = builtins.__import__

    def without(name, *rest):
        if name == "pyudev":
            raise ImportError("No module named 'pyudev'")
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    wake_up, why = open_wake_up(Clock())
    assert wake_up.name == "polling"
    assert "not installed" in why


def test_another_system(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    wake_up, why = open_wake_up(Clock())
    assert (wake_up.name, why) == ("polling", "darwin has no udev")
