"""Many threads that poll the bus share looks at it, and nobody gets one that began before he asked."""

import threading

from particle_dev.transport.usb import PyusbHost

WAIT_S = 20


class SlowBus(PyusbHost):
    """Looks are numbered; each waits until it is let go."""

    def __init__(self):
        super().__init__(backend=object())
        self.looks = 0
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)

    def _look(self):
        self.looks += 1
        number = self.looks
        self.begun.release()
        assert self.let_go.acquire(timeout=WAIT_S)
        return (number,)


def ask(bus, answers):
    thread = threading.Thread(target=lambda: answers.append(bus.enumerate()))
    thread.start()
    return thread


def test_who_asks_during_a_look_gets_the_next_one():
    bus, first, later = SlowBus(), [], []
    threads = [ask(bus, first)]
    assert bus.begun.acquire(timeout=WAIT_S)
    threads += [ask(bus, later) for _ in range(8)]
    while sum(t.is_alive() for t in threads) < 9:
        pass
    bus.let_go.release()
    assert bus.begun.acquire(timeout=WAIT_S)
    bus.let_go.release(20)
    for thread in threads:
        thread.join(WAIT_S)
    assert first == [(1,)]
    assert all(answer[0] > 1 for answer in later)
    assert bus.looks <= 9


def test_one_after_the_other_looks_anew():
    bus = SlowBus()
    bus.let_go.release(3)
    assert [bus.enumerate() for _ in range(3)] == [(1,), (2,), (3,)]


def test_a_look_that_failed_is_not_handed_on():
    class Broken(PyusbHost):
        failures = 1

        def _look(self):
            if self.failures:
                self.failures -= 1
                raise OSError("no bus")
            return ("found",)

    bus = Broken(backend=object())
    try:
        bus.enumerate()
    except OSError:
        pass
    else:
        raise AssertionError
    assert bus.enumerate() == ("found",)
