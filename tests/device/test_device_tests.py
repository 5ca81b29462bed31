"""Sessions with the runner of a Device OS test application. The application is a script that answers as
device-os-test-runner expects of one; the real service of firmware/selftest is run in tests/plugin.
"""

import json
import sys

import pytest

from particle_dev.device.device_tests import DeviceTestSession
from particle_dev.errors import (
    LinkTimeoutError,
    PermissionMissingError,
    RequestRefusedError,
    SelfTestProtocolError,
    WrongDeviceError,
)
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol.device_tests import (
    RunnerStatus,
    SystemMode,
    decode_log,
    decode_names,
    decode_status,
    init_request,
    start_request,
)
from particle_dev.station.bench import open_bench

PROGRAM = """
import json, sys
answers = json.loads({answers!r})
for line in sys.stdin:
    text = line.strip()
    print(text, file=open({calls!r}, "a"))
    request = json.loads(text) if text else {{}}
    queue = answers.get(request.get("c", ""), [[0, ""]])
    result, reply = queue.pop(0) if len(queue) > 1 else queue[0]
    print(result, reply, flush=True)
"""


@pytest.fixture
def session(tmp_path):
    """``session({"s": [[4, ""], [1, ""]]}, **options)``: a session with an application that gives these answers."""
    opened = []

    def make(answers, permissions=NOTHING, **options):
        script, calls = tmp_path / "app.py", tmp_path / "calls"
        script.write_text(PROGRAM.format(answers=json.dumps(answers), calls=str(calls)))
        bench = open_bench(
            "virtual",
            options={"clock": "virtual"},
            slots=[{"name": "1", "platform": "p2", "application": [f"program:{sys.executable} {script}"]}],
            factory_modules=lambda _name: [],
        )
        slot = bench.slots[0]
        made = DeviceTestSession(slot.host, slot.port_path, permissions, **options)
        made.calls = lambda: [json.loads(c) if c else None for c in calls.read_text().splitlines()]
        made.board = bench.driver.board("1")
        opened.append((made, bench))
        return made

    yield make
    for made, bench in opened:
        made.close()
        bench.close()


def test_names_are_sorted(session):
    assert session({"l": [[0, '["b","a"]']]}).names() == ("a", "b")


def test_a_test_that_passes(session):
    made = session({"s": [[4, ""], [4, ""], [1, ""]]}, stays_offline=True)
    result = made.run("adc")
    assert (result.status, result.log) == (RunnerStatus.PASSED, "")
    assert made.calls() == [None, {"c": "t", "t": "adc"}, {"c": "s"}, {"c": "s"}, {"c": "s"}]


@pytest.mark.parametrize(("code", "status"), [(2, RunnerStatus.FAILED), (3, RunnerStatus.SKIPPED)])
def test_its_log_is_asked_for_unless_it_passed(session, code, status):
    made = session({"s": [[code, ""]], "L": [[0, '"Assertion failed: 1 == 2"']]}, stays_offline=True)
    assert made.run("adc").log == "Assertion failed: 1 == 2"
    assert made.run("adc").status is status


def test_an_application_that_resets_to_change_its_mode_is_waited_for(session):
    """The link is opened anew, and nothing is asked before a ping is answered."""
    made = session({"i": [[6, ""]], "s": [[1, ""]]}, stays_offline=True)
    assert made.run("adc", mode=SystemMode.MANUAL, threaded=True).status is RunnerStatus.PASSED
    assert made.calls() == [None, {"c": "i", "m": "m", "t": 1}, None, {"c": "t", "t": "adc"}, {"c": "s"}]


def test_another_board_that_comes_back_is_not_taken(session):
    made = session({"i": [[6, ""]]}, stays_offline=True)
    made.board.state.device_id = "0a10aced2021000000000001"
    made.board.power_off()
    made.board.power_on()
    with pytest.raises(WrongDeviceError):
        made.run("adc", mode=SystemMode.MANUAL)


@pytest.mark.parametrize("options", [{}, {"mode": SystemMode.AUTOMATIC}])
def test_what_may_connect_needs_a_permission(session, options):
    made = session({"s": [[1, ""]]}, stays_offline=bool(options))
    with pytest.raises(PermissionMissingError):
        made.run("wifi", **options)


def test_with_the_permission_it_runs(session):
    made = session({"s": [[1, ""]]}, Permissions(may_connect=True))
    assert made.run("wifi").status is RunnerStatus.PASSED


def test_a_test_that_does_not_end(session):
    with pytest.raises(LinkTimeoutError, match="has not ended after 5 s"):
        session({"s": [[4, ""]]}, stays_offline=True).run("adc", timeout_s=5)


def test_a_board_that_restarted_meanwhile_is_no_pass(session):
    with pytest.raises(SelfTestProtocolError, match="says waiting after device test adc was started: it restarted"):
        session({"s": [[5, ""]]}, stays_offline=True).run("adc")


@pytest.mark.parametrize(
    ("code", "hint"), [(-120, "has no device tests"), (-170, "no test of that name"), (-1, "prints")]
)
def test_refusals(session, code, hint):
    with pytest.raises(RequestRefusedError) as caught:
        session({"t": [[code, ""]]}, stays_offline=True).run("adc")
    assert hint in caught.value.hint


def test_requests():
    assert init_request() == b'{"c":"i"}'
    assert init_request(SystemMode.SAFE_MODE, threaded=False) == b'{"c":"i","m":"S","t":0}'
    assert start_request('a"b') == b'{"c":"t","t":"a\\"b"}'


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'["a", ""]', b"\xff"])
def test_a_list_that_is_none(data):
    with pytest.raises(SelfTestProtocolError):
        decode_names(data)


def test_logs_are_for_people_whatever_comes():
    assert decode_log(b'"a\\nb"') == "a\nb"
    assert decode_log(b"no json \xff") == "no json \\xff"
    assert decode_log(b"") == ""


def test_an_unknown_status():
    with pytest.raises(SelfTestProtocolError, match="status 9"):
        decode_status(9)
