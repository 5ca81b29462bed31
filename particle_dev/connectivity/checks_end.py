"""Stages 15 to 17: an update over the air, a clean goodbye, and everything back as it was."""

from __future__ import annotations

from particle_dev.cloud.budget import cost_of_test
from particle_dev.cloud.gate import Radio
from particle_dev.cloud.strategies import Strategy
from particle_dev.connectivity.checks_board import open_log
from particle_dev.connectivity.checks_dark import hold_dark
from particle_dev.connectivity.diagnosis import SAFE_MODE_EVENTS
from particle_dev.connectivity.failures import FailureCode
from particle_dev.connectivity.outcome import StageFailure
from particle_dev.connectivity.run import ConnectivityRun
from particle_dev.connectivity.stages import Stage
from particle_dev.device.discovery import device_at
from particle_dev.protocol.messages import CloudStatus

_FLASH_STATUS, _STATUS = "spark/flash/status", "spark/status"


def check_ota(run: ConnectivityRun) -> None:
    """Lock the unit to a version, and see it arrive. Needs ``may_update_devices``."""
    version = run.plan.options.ota_version
    assert version is not None
    members, device_id = run.cloud.members, run.board.device_id
    since = len(run.events)
    begun_s = run.clock.monotonic_s()
    if run.before is not None and run.before.desired_firmware_version != version:
        previous = run.before.desired_firmware_version
        run.take_back_later("firmware lock", lambda: _restore_lock(run, previous))
    members.lock_firmware(device_id, version, run.permissions, flash_now=True)
    run.spend(cost_of_test(ota_bytes=run.plan.options.ota_size_bytes, is_cellular=run.plan.radio is Radio.CELLULAR))
    run.evidence["version"] = version
    # Its resets are wanted, so the board must not be asked for its counters meanwhile.
    run.pause_diagnostics = True
    try:
        _await_new_boot(run, since)
        run.measure("update_time", run.clock.monotonic_s() - begun_s, "s")
        run.wait(
            Stage.OTA,
            lambda: _runs_new_version(run, version, since),
            lambda: StageFailure(FailureCode.OTA_STALL, _update_seen(run, since)),
            activity="waiting for the new version to come online",
        )
    finally:
        run.pause_diagnostics = False
    run.measure("update_online_time", run.clock.monotonic_s() - begun_s, "s")


def _restore_lock(run: ConnectivityRun, previous: int | None) -> None:
    members, device_id = run.cloud.members, run.board.device_id
    if previous is None:
        members.unlock_firmware(device_id, run.permissions)
    else:
        members.lock_firmware(device_id, previous, run.permissions)


def _await_new_boot(run: ConnectivityRun, since: int) -> None:
    """The board takes the file, resets, and answers again."""
    before = run.board.device

    def has_left() -> str | None:
        if status := _failed_update(run, since):
            raise StageFailure(FailureCode.OTA_STALL, status)
        seen = device_at(run.board.host, before.usb.port_path)
        return "reset" if seen is None or seen.usb.address != before.usb.address else None

    run.wait(
        Stage.OTA,
        has_left,
        lambda: StageFailure(FailureCode.OTA_STALL, _update_seen(run, since)),
        activity="waiting for the update",
    )
    run.board.follow_reset(run.plan.give_up_s(Stage.BOOT), before)
    run.forget("log handler")
    open_log(run)


def _failed_update(run: ConnectivityRun, since: int) -> str:
    """What the cloud says of an update that failed; empty: nothing."""
    statuses = [(e.data or "").strip() for e in run.events[since:] if e.name == _FLASH_STATUS]
    return "spark/flash/status failed" if "failed" in statuses else ""


def _runs_new_version(run: ConnectivityRun, version: int, since: int) -> str | None:
    if any(e.name in SAFE_MODE_EVENTS for e in run.events[since:]):
        raise StageFailure(FailureCode.OTA_SAFE, "safe mode after the update")
    record = run.record_now_and_then()
    if record is None or not record.online:
        return None
    run.evidence["firmware_version"] = record.firmware_version
    statuses = [(e.data or "").strip() for e in run.events[since:] if e.name == _FLASH_STATUS]
    if "success" in statuses and "started" in statuses[statuses.index("success") :]:
        raise StageFailure(
            FailureCode.OTA_LOOP,
            f"the cloud sends the next update after version {version}; the product has another one",
        )
    return "record" if record.firmware_version == version else None


def _update_seen(run: ConnectivityRun, since: int) -> str:
    told = [f"{e.name} {(e.data or '').strip()}" for e in run.events[since:] if e.name in (_FLASH_STATUS, _STATUS)]
    return f"events: {', '.join(told) or 'none'}"


def check_goodbye(run: ConnectivityRun) -> None:
    """The board ends its session, and the cloud notices at once."""
    since = len(run.events)
    begun_s = run.clock.monotonic_s()
    run.board.ask(lambda session: session.disconnect_from_cloud())
    run.wait(
        Stage.GOODBYE,
        lambda: _is_disconnected(run),
        lambda: StageFailure(FailureCode.BYE_LOST, "the board stays connected"),
        activity="waiting for the board to disconnect",
    )
    run.evidence["cloud_proof"] = run.wait(
        Stage.GOODBYE,
        lambda: _cloud_sees_goodbye(run, since),
        lambda: StageFailure(FailureCode.BYE_LOST, "the cloud still has it online"),
        activity="waiting for the cloud to notice",
    )
    run.measure("goodbye_time", run.clock.monotonic_s() - begun_s, "s")
    run.forget("goodbye")


def _is_disconnected(run: ConnectivityRun) -> bool | None:
    status = run.board.ask(lambda session: session.cloud_status())
    return True if status is CloudStatus.DISCONNECTED else None


def _cloud_sees_goodbye(run: ConnectivityRun, since: int) -> str | None:
    if run.event(_STATUS, "offline", since):
        return "spark/status offline"
    record = run.record_now_and_then()
    return "the device's record" if record is not None and not record.online else None


def check_restore(run: ConnectivityRun) -> None:
    """Nothing of the test is left; strategy C: nothing connected, and nothing is going to."""
    taken_back = [name for name, _ in reversed(run.cleanup)]
    left = run.take_back()
    run.evidence |= {"taken_back": taken_back, "left": left}
    if run.plan.strategy is Strategy.C:
        # Also after a reset in the middle, and when something is left.
        hold_dark(run)
    if left:
        raise StageFailure(FailureCode.RST_LEFT, "; ".join(left))
