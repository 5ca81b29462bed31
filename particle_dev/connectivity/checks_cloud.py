"""Stages 8 to 14: what goes up and down while the board is online."""

from __future__ import annotations

import zlib

from particle_dev.cloud.budget import CALL_BYTES, Cost, cost_of_test
from particle_dev.cloud.diagnostics import Vitals
from particle_dev.cloud.gate import Radio
from particle_dev.connectivity.checks_online import has_new_handshake
from particle_dev.connectivity.failures import FailureCode
from particle_dev.connectivity.measurements import (
    CLOUD_DISCONNECTS,
    RATE_LIMITED,
    ROUND_TRIP,
    SIGNAL_PERCENT,
    SIGNAL_QUALITY,
    SIGNAL_STRENGTH,
    Judgement,
    limit_text,
    signal_of,
)
from particle_dev.connectivity.outcome import StageFailure, StageSkipped
from particle_dev.connectivity.plan import NONCE_BYTES
from particle_dev.connectivity.run import ConnectivityRun, failed
from particle_dev.connectivity.stages import Stage
from particle_dev.device.selftest import ControlSelfTestLink, SelfTestSession
from particle_dev.errors import (
    CloudDeviceTimeoutError,
    CloudNotFoundError,
    RequestRefusedError,
    SelfTestProtocolError,
)
from particle_dev.protocol.selftest import Outcome, SelfTestReport

EVENT_PREFIX = "pd-test/"
FUNCTION_NAME = "selftest"
"""The cloud function of the self-test's Particle port: firmware/port/particle/src."""
_NO_SELFTEST = "its application has no self-test service (firmware/selftest): leave the stage out, or name a probe"
_VITALS_EVENT = "spark/device/diagnostics/update"


def check_identity(run: ConnectivityRun) -> None:
    """The cloud's record is that of this unit, now."""
    device_os = run.board.ask(lambda session: session.system_version())

    def current() -> str | None:
        record = run.record_now_and_then()
        if record is None:
            return None
        run.evidence |= {
            "online": record.online,
            "product_id": record.product_id,
            "platform_id": record.platform_id,
            "system_firmware_version": record.system_firmware_version,
            "firmware_version": record.firmware_version,
        }
        product = run.cloud.scope.product
        if product is not None and record.product_id != product.id:
            raise StageFailure(FailureCode.CLD_WRONGP, f"product {record.product_id}, not {product.id}")
        is_new = run.was_online or not run.restarted or has_new_handshake(run, record)
        if not record.online or not is_new or record.system_firmware_version not in (None, device_os):
            return None
        wanted = run.plan.options.expected_version
        if wanted is not None and record.firmware_version != wanted:
            raise StageFailure(FailureCode.PRE_FW, f"firmware version {record.firmware_version}, not {wanted}")
        return "as expected"

    run.wait(
        Stage.IDENTITY,
        current,
        lambda: StageFailure(FailureCode.CLD_STALE, f"the record says {dict(run.evidence)}; Device OS is {device_os}"),
        activity="waiting for the cloud's record",
    )


# ---- 9 and 10: events -----------------------------------------------------------------------------------------------


def check_publish(run: ConnectivityRun) -> None:
    """An event of the application, with a nonce, comes on the stream."""
    _require_online(run)
    if not has_selftest(run):
        _wait_for_own_event(run)
        return
    if _publish_echo(run) or (run.stream_gaps and not run.stream_is_down and _publish_echo(run)):
        return
    raise StageFailure(FailureCode.EVT_LOST, _stream_seen(run))


def _publish_echo(run: ConnectivityRun) -> bool:
    """Whether one nonce came; False when the stream may have lost it, or just did."""
    nonce = run.nonce()
    name = f"{EVENT_PREFIX}{nonce}"
    begun_s, gaps = run.clock.monotonic_s(), run.stream_gaps
    # Before: a publish that fails may have been sent.
    run.spend(cost_of_test(publishes_bytes=[NONCE_BYTES], connections=0, is_cellular=_is_cellular(run)))
    report = _selftest(run, Stage.PUBLISH, "publish", {"name": name, "data": nonce})
    _require_passed(report)
    try:
        run.wait(
            Stage.PUBLISH,
            lambda: run.event(name, nonce) or (False if run.stream_gaps > gaps and not run.stream_is_down else None),
            failed(FailureCode.EVT_LOST, ""),
            activity="waiting for the echo on the event stream",
        )
    except StageFailure as failure:
        if failure.code is FailureCode.EVT_LOST:
            return False
        raise
    if run.event(name, nonce) is None:
        return False
    run.measure(ROUND_TRIP, run.clock.monotonic_s() - begun_s, "s")
    run.evidence |= {"event": name, "by": "self-test service"}
    return True


def _wait_for_own_event(run: ConnectivityRun) -> None:
    """An application without the self-test service: the next event that it publishes by itself."""
    prefix = run.plan.options.event_prefix
    if prefix is None:
        raise StageSkipped(_NO_SELFTEST)
    since = len(run.events)
    run.spend(cost_of_test(publishes_bytes=[NONCE_BYTES], connections=0, is_cellular=_is_cellular(run)))
    found = run.wait(
        Stage.PUBLISH,
        lambda: next((e for e in run.events[since:] if e.name.startswith(prefix)), None),
        lambda: StageFailure(FailureCode.EVT_LOST, f"no event {prefix}*; {_stream_seen(run)}"),
        activity=f"waiting for an event {prefix}*",
    )
    run.evidence |= {"event": found.name, "by": "its own application"}


def check_subscribe(run: ConnectivityRun) -> None:
    """An event of ours reaches the application, and its echo comes back."""
    _require_online(run)
    if not has_selftest(run):
        raise StageSkipped(_NO_SELFTEST)
    nonce = run.nonce()
    name = f"{EVENT_PREFIX}{nonce}"
    begun_s = run.clock.monotonic_s()
    session = _session(run)
    run.spend(
        cost_of_test(
            publishes_bytes=[NONCE_BYTES],
            received_bytes=[NONCE_BYTES],
            connections=0,
            is_cellular=_is_cellular(run),
        )
    )
    session.start("subscribe", {"name": name}, may_connect=True)
    run.cloud.publish(name, nonce)
    echo = f"{name}/echo"
    run.wait(
        Stage.SUBSCRIBE,
        lambda: run.event(echo, nonce),
        lambda: StageFailure(FailureCode.EVT_LOST, _subscribe_seen(run, session)),
        activity="waiting for the event to come back",
    )
    run.measure(ROUND_TRIP, run.clock.monotonic_s() - begun_s, "s")
    run.evidence |= {"event": name, "echo": echo}


def _subscribe_seen(run: ConnectivityRun, session: SelfTestSession) -> str:
    """Whether the way down or the way up lost it."""
    try:
        arrived = int(session.status()) == 1
    except (RequestRefusedError, SelfTestProtocolError):
        arrived = False
    lost = "its echo did not come" if arrived else "it did not reach the application"
    return f"{lost}; {_stream_seen(run)}"


def _stream_seen(run: ConnectivityRun) -> str:
    feed = run.cloud.feed
    if run.stream_is_down:
        return "the event stream is down"
    alive = "alive" if feed is not None and feed.is_alive() else "not proven to be alive"
    return f"the event stream is {alive}, {run.stream_gaps} gaps in this test"


# ---- 11 and 12: functions and variables -----------------------------------------------------------------------------


def check_function(run: ConnectivityRun) -> None:
    """A function of the application gives what it should."""
    _require_online(run)
    probe = run.plan.options.function
    if probe is not None:
        value = _call(run, probe.name, probe.argument)
        run.evidence |= {"function": probe.name, "argument": probe.argument, "return_value": value}
        if probe.expected is not None and value != probe.expected:
            raise StageFailure(FailureCode.FN_VALUE, f"{probe.name} returned {value}, not {probe.expected}")
        return
    if not has_selftest(run):
        raise StageSkipped(_NO_SELFTEST)
    nonce = run.nonce()
    session = _session(run)
    session.start("function", may_connect=True)
    value = _call(run, FUNCTION_NAME, nonce)
    expected = zlib.crc32(nonce.encode()) & 0x7FFFFFFF
    run.evidence |= {"function": FUNCTION_NAME, "argument": nonce, "return_value": value}
    if value != expected:
        raise StageFailure(FailureCode.FN_VALUE, f"{FUNCTION_NAME}({nonce}) returned {value}, not {expected}")
    run.wait(
        Stage.FUNCTION,
        lambda: True if int(session.status()) == 1 else None,
        failed(FailureCode.FN_408, "the application does not report the call over USB"),
        activity="waiting for the application to report the call",
    )
    argument = next((v.value for v in session.report().values if v.name == "argument"), None)
    if argument != nonce:
        raise StageFailure(FailureCode.FN_VALUE, f"the application was called with {argument!r}, not {nonce!r}")


def _call(run: ConnectivityRun, name: str, argument: str) -> int:
    """The function's value; a device that does not answer is asked once more."""
    begun_s = run.clock.monotonic_s()
    try:
        value = _call_once(run, name, argument)
    except CloudDeviceTimeoutError:
        run.evidence["retried"] = True
        value = _call_once(run, name, argument)
    except CloudNotFoundError as error:
        raise StageFailure(FailureCode.FN_404, error.message) from error
    run.measure("function_time", run.clock.monotonic_s() - begun_s, "s")
    return value


def _call_once(run: ConnectivityRun, name: str, argument: str) -> int:
    run.spend(_call_cost(run))
    return run.cloud.call_function(name, argument)


def check_variable(run: ConnectivityRun) -> None:
    """A variable of the application has the value that it should."""
    _require_online(run)
    probe = run.plan.options.variable
    assert probe is not None
    begun_s = run.clock.monotonic_s()
    run.spend(_call_cost(run))
    try:
        value = run.cloud.variable(probe.name)
    except CloudNotFoundError as error:
        raise StageFailure(FailureCode.FN_404, error.message) from error
    run.measure("variable_time", run.clock.monotonic_s() - begun_s, "s")
    run.evidence |= {"variable": probe.name, "value": value}
    if probe.expected is not None and str(value) != probe.expected:
        raise StageFailure(FailureCode.FN_VALUE, f"{probe.name} is {value!r}, not {probe.expected!r}")


# ---- 13 and 14: vitals and ping -------------------------------------------------------------------------------------


def check_vitals(run: ConnectivityRun) -> None:
    """Signal and counters are within limits, by the device's own account, and the cloud gets them, too."""
    _require_online(run)
    counters = run.read_diagnostics()
    sample = signal_of(counters, run.now_s())
    if sample is not None:
        for name, value, unit in (
            (SIGNAL_STRENGTH, sample.strength_dbm, "dBm"),
            (SIGNAL_QUALITY, sample.quality_db, "dB"),
            (SIGNAL_PERCENT, sample.percent, "%"),
        ):
            if value is not None:
                run.measure(name, value, unit)
    for name, key in ((CLOUD_DISCONNECTS, "cloud:dconn"), (RATE_LIMITED, "pub:limit")):
        if key in counters:
            # Changing the network ended a session, which is no fault.
            wanted = run.wanted_disconnects if key == "cloud:dconn" else 0
            run.measure(name, max(0, counters[key] - wanted), "count")
    before, since = run.cloud.last_vitals(), len(run.events)
    run.cloud.refresh_vitals()
    run.evidence["cloud_proof"] = run.wait(
        Stage.VITALS,
        lambda: _new_vitals(run, before, since),
        lambda: StageFailure(FailureCode.VIT_OLD, "the cloud has no vitals newer than the test"),
        activity="waiting for vitals",
    )
    broken = [m for m in run.measurements if m.judgement is Judgement.FAILED]
    if broken:
        raise StageFailure(FailureCode.MEA_LIMIT, "; ".join(f"{m} ({limit_text(m.limit)})" for m in broken))


def _new_vitals(run: ConnectivityRun, before: Vitals | None, since: int) -> str | None:
    if run.event(_VITALS_EVENT, since=since):
        return "event"
    if run.record_now_and_then() is None:
        return None
    found = run.cloud.last_vitals()
    known = before.updated_at if before else None
    return "the cloud's last vitals" if found is not None and found.updated_at not in (None, known) else None


def check_ping(run: ConnectivityRun) -> None:
    """The device answers the cloud."""
    begun_s = run.clock.monotonic_s()
    if not run.cloud.ping():
        raise StageFailure(FailureCode.PNG_LOST, "ping: online false")
    run.measure("ping_time", run.clock.monotonic_s() - begun_s, "s")


# ---- the application on the board -----------------------------------------------------------------------------------


def has_selftest(run: ConnectivityRun) -> bool:
    """Whether the application is, or has, the self-test service."""
    if run.has_selftest is None:
        try:
            run.has_selftest = any(test.name == "publish" for test in _session(run).describe())
        except (RequestRefusedError, SelfTestProtocolError):
            run.has_selftest = False
    return run.has_selftest


def _session(run: ConnectivityRun) -> SelfTestSession:
    return SelfTestSession(ControlSelfTestLink(run.board.session()), run.clock, run.permissions)


def _selftest(run: ConnectivityRun, stage: Stage, test: str, parameters: dict[str, str | int | bool]) -> SelfTestReport:
    return _session(run).run(test, parameters, may_connect=True, timeout_s=run.plan.give_up_s(stage))


def _require_passed(report: SelfTestReport) -> None:
    if report.outcome is Outcome.PASSED:
        return
    code = FailureCode.CLD_OFF if report.message == "not connected" else FailureCode.FN_408
    raise StageFailure(code, f"self-test {report.test}: {report.outcome}, {report.message}")


def _require_online(run: ConnectivityRun) -> None:
    counters = run.read_diagnostics()
    if counters.get("cloud:stat", 2) != 2:
        raise StageFailure(FailureCode.CLD_OFF, f"cloud:stat = {counters.get('cloud:stat')}")


def _call_cost(run: ConnectivityRun) -> Cost:
    """Of one call or read; what the cloud tries again by itself is not seen here."""
    return Cost(1, CALL_BYTES if _is_cellular(run) else 0)


def _is_cellular(run: ConnectivityRun) -> bool:
    return run.plan.radio is Radio.CELLULAR
