"""Strategy C: the board is held in listening mode from the first moment to the last, and its counters prove it.

This is not a stage that somebody can leave out: whichever stages a test has, it begins and ends with it.
"""

from __future__ import annotations

from particle_dev.catalog.platforms import UsbMode
from particle_dev.connectivity.failures import FailureCode
from particle_dev.connectivity.outcome import StageFailure, StageSkipped
from particle_dev.connectivity.run import ConnectivityRun
from particle_dev.connectivity.stages import Stage
from particle_dev.errors import RequestRefusedError, RequestUnsupportedError
from particle_dev.protocol.messages import DeviceMode

HOLD_S = 10.0
"""Before Device OS 4.0.0 listening mode follows the answer to its request (a proposal)."""
NO_ATTEMPT = "no attempt to connect"
_COUNTERS = ("cloud:stat", "cloud:connatt", "net:connatt")


def hold_dark(run: ConnectivityRun) -> None:
    """Put the board into listening mode, in which nothing connects, and see that nothing has tried to.

    Raises StageFailure PRE-DARK when something has, or when the board does not stay in that mode; StageSkipped when its
    Device OS cannot tell its mode, or has not all those counters (Gen 3 before 2.0.0 counts no network). A board in DFU
    mode runs nothing that could connect.
    """
    if run.board.device.mode is UsbMode.DFU:
        run.evidence["mode"] = "dfu"
        return
    try:
        _hold(run)
    except StageFailure as found:
        if found.code is FailureCode.BRD_RESET:
            # It boots anew, and no one holds it: that first, then the failure.
            run.board.expect_new_boot()
            _hold(run)
        raise
    run.evidence["mode"] = str(DeviceMode.LISTENING)


def _hold(run: ConnectivityRun) -> None:
    try:
        _enter_listening_mode(run)
    except StageSkipped:
        # One that has tried to connect is named before all else.
        _require_no_attempt(run)
        raise
    _require_no_attempt(run)


def _enter_listening_mode(run: ConnectivityRun) -> None:
    board = run.board
    try:
        if board.ask(lambda session: session.device_mode()) is DeviceMode.LISTENING:
            return
    except RequestUnsupportedError as error:
        board.ask(lambda session: session.start_listening())
        raise StageSkipped(f"told to stay in listening mode, and cannot say that it does: {error.message}") from error
    begun_s = run.clock.monotonic_s()
    _ask_for_listening_mode(run)

    def is_held() -> bool | None:
        if board.ask(lambda session: session.device_mode()) is DeviceMode.LISTENING:
            return True
        if run.clock.monotonic_s() - begun_s > HOLD_S / 2:
            _ask_for_listening_mode(run)
        return None

    run.wait(
        Stage.PRECONDITIONS,
        is_held,
        lambda: StageFailure(FailureCode.PRE_DARK, "it does not go into listening mode, so nothing holds its radio"),
        activity="waiting for listening mode",
        limit_s=HOLD_S,
    )


def _ask_for_listening_mode(run: ConnectivityRun) -> None:
    try:
        run.board.ask(lambda session: session.start_listening())
    except RequestUnsupportedError:
        raise
    except RequestRefusedError:
        # Some releases refuse it when they listen already: the mode that is asked for next tells.
        return


def _require_no_attempt(run: ConnectivityRun) -> None:
    counters = run.wait(
        Stage.PRECONDITIONS,
        lambda: run.read_diagnostics() or None,
        lambda: StageFailure(
            FailureCode.PRE_DARK, "it does not tell its counters, so nothing proves that it did not try"
        ),
        activity="waiting for its counters",
        limit_s=HOLD_S,
    )
    tried = {name: counters[name] for name in _COUNTERS if counters.get(name)}
    if tried:
        run.evidence["counters"] = tried
        told = ", ".join(f"{_WORDS[name]} {value}" for name, value in tried.items())
        raise StageFailure(FailureCode.PRE_DARK, f"counters of this boot: {told}")
    missing = ", ".join(_WORDS[name] for name in _COUNTERS if name not in counters)
    if missing:
        raise StageSkipped(f"not proven that it did not try before: its Device OS does not tell {missing}")
    run.evidence["counters"] = NO_ATTEMPT


_WORDS = {
    "cloud:stat": "state of its cloud connection (cloud:stat)",
    "cloud:connatt": "attempts to reach the cloud (cloud:connatt)",
    "net:connatt": "attempts to join a network (net:connatt)",
}
