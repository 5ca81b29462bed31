"""The self-test application of virtual boards answers as the C service does, which it stands for where a session with
the simulated cloud is needed: the same requests to both, the C service built for this machine."""

import json

import pytest
from particle_harness.application_program import ApplicationProgram
from particle_harness.selftest_application import SelfTestApplication


class Here:
    """The Python application on a board that connects at once."""

    def __init__(self):
        self.now_s = 0.0
        self.connected = False
        self.published = []
        self.app = SelfTestApplication(lambda: self.now_s, lambda: self.connected, self.set_cloud, self.publish, print)

    def set_cloud(self, connect):
        self.connected = connect

    def publish(self, name, data):
        self.published.append((name, data))
        return self.connected

    def __call__(self, payload):
        return self.app.request(payload)


@pytest.fixture
def both(selftest_ports):
    program = ApplicationProgram(f"{selftest_ports / 'selftest_host'} --requests")
    return Here(), lambda payload: program.answer(payload, 1.0)


def ask(service, **request):
    result, reply = service(json.dumps(request).encode())
    return result, json.loads(reply) if reply else None


def finished(service):
    """Status and report once the test has ended, without times."""
    for _ in range(100):
        status, _ = ask(service, c="s")
        if status != 4:
            break
    _, report = ask(service, c="R")
    for value in report["values"]:
        if value["name"] == "time":
            value["value"] = 0
    return status, report


def test_the_tests_it_has_are_tests_of_the_service(both):
    mine, theirs = (ask(service, c="d")[1] for service in both)
    assert mine["version"] == theirs["version"]
    known = {test["name"]: test for test in theirs["tests"]}
    assert [known[test["name"]] for test in mine["tests"]] == mine["tests"]


@pytest.mark.parametrize(
    "requests",
    [
        [{"c": "s"}],
        [{"c": "t", "t": "nothing", "n": 1}],
        [{"c": "t", "t": "publish", "n": 2}],
        [{"c": "t", "t": "publish", "n": 3, "may_connect": True}],
        [{"c": "t", "t": "subscribe", "n": 3, "may_connect": True}],
        [{"c": "t", "t": "function", "n": 3, "may_connect": True}],
        [{"c": "t", "t": "disconnect", "n": 4}],
        [{"c": "t", "t": "connect", "n": 5, "may_connect": True}],
        [{"c": "t", "t": "connect", "n": 6}],
        [{"c": "a"}],
    ],
)
def test_the_same_answers(both, requests):
    for request in requests:
        mine, theirs = (ask(service, **request) for service in both)
        assert mine == theirs
        if request["c"] == "t" and mine[0] == 0:
            assert finished(both[0]) == finished(both[1])


def test_online(both):
    for service in both:
        assert ask(service, c="t", t="connect", n=1, may_connect=True)[0] == 0
        assert finished(service)[1]["result"] == "passed"
    publish = {"c": "t", "t": "publish", "n": 2, "may_connect": True, "p": {"name": "a", "data": "b"}}
    reports = []
    for service in both:
        assert ask(service, **publish)[0] == 0
        reports.append(finished(service))
    assert reports[0] == reports[1]
    for test in ("subscribe", "function"):
        answers = []
        for service in both:
            assert ask(service, c="t", t=test, n=3, may_connect=True)[0] == 0
            running = ask(service, c="s")[0]
            ask(service, c="a")
            answers.append((running, finished(service)))
        assert answers[0] == answers[1], test


@pytest.mark.parametrize("payload", [b"", b"no JSON", b"[]", b'{"c":"?"}'])
def test_what_is_no_request(both, payload):
    mine, theirs = (service(payload) for service in both)
    assert mine == theirs
