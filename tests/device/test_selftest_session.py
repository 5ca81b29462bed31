"""The self-test session and the runner, against a scripted service; the real one is in test_selftest_boards.py."""

import json
from datetime import UTC, datetime

import pytest

from particle_dev.device.selftest import SelfTestSession, SerialSelfTestLink
from particle_dev.device.selftest_plan import Limit, PlannedTest, SelfTestPlan, plan_for, plan_of_names
from particle_dev.device.selftest_runner import SelfTestRun, Verdict, judge, run_plan
from particle_dev.errors import (
    ConfigError,
    LinkDisconnectedError,
    LinkTimeoutError,
    PermissionMissingError,
    RequestRefusedError,
    SelfTestProtocolError,
)
from particle_dev.permissions import Permissions
from particle_dev.protocol.selftest import Frame, FrameKind, FrameReader, Measurement, Outcome, SelfTestReport


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def monotonic_s(self):
        return self.now_s

    def sleep(self, duration_s):
        self.now_s += duration_s

    def utc_now(self):
        return datetime.fromtimestamp(self.now_s, UTC)


class Service:
    """Answers as the C service does. ``statuses`` are given one for each status request; ``report`` is changed by
    ``changes``."""

    def __init__(self, statuses=(1,), tests=(("adc", False), ("connect", True)), **changes):
        self.statuses, self.tests, self.changes = list(statuses), tests, changes
        self.started, self.aborted = [], 0

    def request(self, payload):
        request = json.loads(payload)
        match request["c"]:
            case "t":
                if request["t"] not in dict(self.tests):
                    return -170, b""
                self.started.append(request)
                return 0, b""
            case "s":
                return (self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]), b""
            case "a":
                self.aborted += 1
                return 0, b""
            case "d":
                tests = [{"name": name, "may_connect": online} for name, online in self.tests]
                return 0, json.dumps({"version": 1, "tests": tests}).encode()
            case "R":
                start = self.started[-1]
                report = {"test": start["t"], "n": start["n"], "result": "passed", "message": "", "lost": 0}
                return 0, json.dumps(report | {"values": []} | self.changes).encode()


class Link:
    """A serial line to a service. ``lose`` are numbers of frames that it does not get; ``prefix`` comes before every
    answer."""

    where = "scripted"

    def __init__(self, clock, service, lose=(), prefix=b"", silent=False):
        self.clock, self.service, self.lose, self.prefix, self.silent = clock, service, lose, prefix, silent
        self.reader, self.incoming, self.got = FrameReader(), b"", []
        self.written = b""

    def write(self, data):
        self.written += data
        for frame in self.reader.feed(data):
            self.got.append(frame)
            if self.silent or len(self.got) in self.lose:
                continue
            if frame.kind == FrameKind.PING:
                answer = Frame(FrameKind.PONG, frame.sequence, b"\1\0")
            else:
                result, reply = self.service.request(frame.payload)
                answer = Frame(FrameKind.REPLY, frame.sequence, result.to_bytes(4, "little", signed=True) + reply)
            self.incoming += self.prefix + answer.encode()

    def read(self, timeout_s):
        if not self.incoming:
            self.clock.sleep(timeout_s)
        data, self.incoming = self.incoming[:5], self.incoming[5:]
        return data

    def close(self):
        pass


@pytest.fixture
def clock():
    return Clock()


def session_on(link, clock, **permissions):
    return SelfTestSession(SerialSelfTestLink(link, clock), clock, Permissions(**permissions))


# ---- serial link ----------------------------------------------------------------------------------------------------


def test_a_silent_board(clock):
    link = Link(clock, Service(), silent=True)
    with pytest.raises(LinkTimeoutError, match="no answer to a ping"):
        session_on(link, clock).describe()
    assert clock.now_s == pytest.approx(6.0)
    assert {f.kind for f in link.got} == {FrameKind.PING}
    # A device in listening mode would take letters as commands, and one of them connects.
    assert not any(chr(b).isalpha() for b in link.written if b < 0x80)


def test_lost_frames_are_sent_again(clock):
    link = Link(clock, Service(), lose=(1, 3, 4))
    assert [t.name for t in session_on(link, clock).describe()] == ["adc", "connect"]
    assert [f.kind for f in link.got] == [FrameKind.PING] * 2 + [FrameKind.REQUEST] * 3
    with pytest.raises(LinkTimeoutError, match="no answer to 4 requests"):
        session_on(Link(clock, Service(), lose=range(2, 9)), clock).describe()


def test_log_output_and_late_answers_around(clock):
    late = Frame(FrameKind.REPLY, 200, b"\0\0\0\0{}").encode()
    link = Link(clock, Service(), prefix=b"0000001 [app] INFO: x\r\n" + late)
    assert len(session_on(link, clock).describe()) == 2


def test_what_else_came_is_told(clock):
    link = Link(clock, Service(), silent=True)
    link.incoming = b"I am another firmware\r\n\0" * 3
    with pytest.raises(LinkTimeoutError, match="69 bytes of something else"):
        session_on(link, clock).describe()


# ---- session --------------------------------------------------------------------------------------------------------


def test_a_run(clock):
    service = Service(statuses=[4, 4, 1])
    report = session_on(Link(clock, service), clock).run("adc", {"samples": 4})
    assert (report.outcome, report.run) == (Outcome.PASSED, 1)
    assert service.started == [{"c": "t", "t": "adc", "n": 1, "p": {"samples": 4}}]


def test_a_test_that_does_not_end_is_ended(clock):
    service = Service(statuses=[4])
    with pytest.raises(LinkTimeoutError, match="has not ended after 5 s"):
        session_on(Link(clock, service), clock).run("adc", timeout_s=5.0)
    assert service.aborted == 1
    assert 5.0 <= clock.now_s < 6.0


def test_a_board_that_restarts(clock):
    with pytest.raises(SelfTestProtocolError, match="restarted during self-test adc"):
        session_on(Link(clock, Service(statuses=[4, 5])), clock).run("adc")


@pytest.mark.parametrize("change", [{"n": 77}, {"test": "gpio"}])
def test_the_report_of_another_run_is_not_taken(clock, change):
    with pytest.raises(SelfTestProtocolError, match="instead of run 1"):
        session_on(Link(clock, Service(**change)), clock).run("adc")


def test_an_unknown_test_and_status(clock):
    with pytest.raises(RequestRefusedError, match="no such test"):
        session_on(Link(clock, Service()), clock).run("nothing")
    with pytest.raises(SelfTestProtocolError, match="status -250"):
        session_on(Link(clock, Service(statuses=[-250])), clock).run("adc")


def test_going_online_needs_the_permission(clock):
    service = Service()
    with pytest.raises(PermissionMissingError, match="starts billing"):
        session_on(Link(clock, service), clock).run("connect", may_connect=True)
    assert service.started == []
    session_on(Link(clock, service), clock, may_connect=True).run("connect", may_connect=True)
    assert service.started[0]["may_connect"] is True


def test_an_interrupt_ends_the_test(clock):
    service = Service()
    with pytest.raises(KeyboardInterrupt), session_on(Link(clock, service), clock) as session:
        session.start("adc")
        raise KeyboardInterrupt
    assert service.aborted == 1


def test_an_interrupt_stays_one_when_the_board_is_silent(clock):
    link = Link(clock, Service())
    with pytest.raises(KeyboardInterrupt), session_on(link, clock) as session:
        session.start("adc")
        link.silent = True
        raise KeyboardInterrupt


# ---- runner ---------------------------------------------------------------------------------------------------------


def run(clock, service, plan=None, **permissions):
    session = session_on(Link(clock, service), clock, **permissions)
    tests = session.describe()
    return run_plan(session, plan or plan_for(tests), tests, clock)


def test_all_pass(clock):
    done = run(clock, Service())
    assert [(r.name, r.verdict) for r in done.results] == [("adc", Verdict.PASSED)]
    assert done.verdict is Verdict.PASSED


def test_without_permission_nothing_online_is_started(clock):
    service = Service()
    done = run(clock, service, plan_of_names(["adc", "connect"]))
    assert [r.verdict for r in done.results] == [Verdict.PASSED, Verdict.NOT_ALLOWED]
    assert (done.verdict, len(service.started)) == (Verdict.NOT_ALLOWED, 1)
    assert run(clock, service, plan_of_names(["connect"]), may_connect=True).verdict is Verdict.PASSED


def test_a_restart_fails_one_test_only(clock):
    done = run(clock, Service(statuses=[5, 1]), plan_of_names(["adc", "adc"]))
    assert [r.verdict for r in done.results] == [Verdict.FAILED, Verdict.PASSED]
    assert "restarted" in done.results[0].reasons[0]
    assert done.verdict is Verdict.FAILED


def test_a_board_that_goes_silent_leaves_the_rest_undone(clock):
    service = Service()
    link = Link(clock, service)
    session = session_on(link, clock)
    tests = session.describe()

    def silence(_result):
        link.silent = True

    done = run_plan(session, plan_of_names(["adc"] * 4), tests, clock, silence)
    assert [r.verdict for r in done.results] == [Verdict.PASSED, Verdict.FAILED, Verdict.NOT_RUN, Verdict.NOT_RUN]
    assert isinstance(done.results[1].error, LinkTimeoutError)


def test_a_board_that_is_unplugged(clock):
    link = Link(clock, Service())
    session = session_on(link, clock)
    tests = session.describe()

    def gone(_data):
        raise LinkDisconnectedError("gone", where="scripted")

    link.write = gone
    done = run_plan(session, plan_of_names(["adc", "adc"]), tests, clock)
    assert [r.verdict for r in done.results] == [Verdict.FAILED, Verdict.NOT_RUN]


def test_a_test_that_only_takes_too_long_does_not_stop_the_others(clock):
    plan = SelfTestPlan("p", (PlannedTest("adc", timeout_s=1.0), PlannedTest("adc")))
    done = run(clock, Service(statuses=[4] * 12 + [1]), plan)
    assert [r.verdict for r in done.results] == [Verdict.FAILED, Verdict.PASSED]


def test_names_that_the_board_does_not_have_start_nothing(clock):
    service = Service()
    with pytest.raises(ConfigError, match="no self-test 'gpio'"):
        run(clock, service, plan_of_names(["adc", "gpio"]))
    assert service.started == []


def test_nothing_is_no_pass(clock):
    assert SelfTestRun(SelfTestPlan("p", ()), ()).verdict is Verdict.NOT_RUN
    assert run(clock, Service(tests=())).verdict is Verdict.NOT_RUN


A0 = Measurement("A0", 1650, "mV", 0, 3300)
PART = Measurement("part", "B")


@pytest.mark.parametrize(
    ("outcome", "values", "limits", "verdict", "reason"),
    [
        (Outcome.PASSED, [A0], {}, Verdict.PASSED, None),
        (Outcome.PASSED, [A0], {"A0": Limit(1600, 1700, "mV")}, Verdict.PASSED, None),
        (Outcome.PASSED, [A0], {"A0": Limit(1600, None, "mV")}, Verdict.PASSED, None),
        (Outcome.PASSED, [A0], {"A0": Limit(None, 1649, "mV")}, Verdict.FAILED, "wants … to 1649"),
        (Outcome.PASSED, [A0], {"A0": Limit(1651, None, "mV")}, Verdict.FAILED, "wants 1651 to …"),
        (Outcome.PASSED, [A0], {"A0": Limit(1, 2, "V")}, Verdict.FAILED, "in mV, the plan's limit in V"),
        (Outcome.PASSED, [A0], {"A1": Limit(1, 2, "V")}, Verdict.FAILED, "A1 is not in the report"),
        (Outcome.PASSED, [PART], {"part": Limit(equals="B")}, Verdict.PASSED, None),
        (Outcome.PASSED, [PART], {"part": Limit(equals="C")}, Verdict.FAILED, "is 'B', not 'C'"),
        (Outcome.PASSED, [PART], {"part": Limit(1, 2, "V")}, Verdict.FAILED, "is the text 'B'"),
        (Outcome.PASSED, [Measurement("A0", 9, "mV", 0, 8)], {}, Verdict.FAILED, "board's limits"),
        (Outcome.FAILED, [A0], {}, Verdict.FAILED, "no reason given"),
        (Outcome.NOT_SUPPORTED, [], {"A0": Limit(1, 2, "V")}, Verdict.NOT_SUPPORTED, "no access"),
        (Outcome.NOT_ALLOWED, [], {}, Verdict.NOT_ALLOWED, "no reason"),
        (Outcome.CANCELLED, [], {}, Verdict.FAILED, "ended early"),
    ],
)
def test_judgement(outcome, values, limits, verdict, reason):
    report = SelfTestReport("adc", 1, outcome, "", 0, tuple(values))
    got, reasons = judge(report, PlannedTest("adc", limits=limits))
    assert got is verdict
    assert (not reasons) if reason is None else any(reason in r for r in reasons)


def test_lost_values_are_no_pass():
    verdict, reasons = judge(SelfTestReport("adc", 1, Outcome.PASSED, "", 2, (A0,)), PlannedTest("adc"))
    assert (verdict, reasons) == (Verdict.FAILED, ("2 values had no room in the report",))
