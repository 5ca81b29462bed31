"""Stages 4 to 7: the network, an address, and the session with the cloud."""

from __future__ import annotations

from contextlib import suppress

from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.budget import cost_of_test
from particle_dev.cloud.facts import time_text
from particle_dev.cloud.gate import Radio
from particle_dev.cloud.records import DeviceRecord
from particle_dev.connectivity.checks_wifi import check_association, store_credentials
from particle_dev.connectivity.diagnosis import (
    REGISTERED,
    hopeless_handshake,
    incomplete,
    missing_text,
    why_no_address,
    why_no_handshake,
    why_no_network,
    why_no_socket,
)
from particle_dev.connectivity.failures import FailureCode
from particle_dev.connectivity.measurements import CONNECT_TIME
from particle_dev.connectivity.outcome import StageFailure
from particle_dev.connectivity.run import ConnectivityRun
from particle_dev.connectivity.stages import Stage
from particle_dev.device.control import ControlSession
from particle_dev.errors import CloudError, RequestRefusedError, RequestUnsupportedError, TransportError
from particle_dev.protocol.messages import CloudStatus, DeviceMode
from particle_dev.protocol.messages_network import Interface, InterfaceFlag, InterfaceType

_NET_CONNECTED = 4
_NET_IDLE = (0, 2)
_CLOUD_STATES = {0: "not connected to the cloud", 1: "connecting to the cloud", 2: "connected to the cloud"}
_INTERFACE = {Radio.CELLULAR: InterfaceType.PPP, Radio.WIFI: InterfaceType.WIFI}


def begin_connecting(run: ConnectivityRun) -> None:
    """Let the board go online, unless it is on its way. **Starts billing**; needs ``may_connect``."""
    run.permissions.require_connect("a connectivity test")
    board = run.board
    if run.connecting_since_s is None:
        run.connecting_since_s = run.clock.monotonic_s()
    disconnect_later(run)
    joined = store_credentials(run)
    counters = run.read_diagnostics()
    if joined:
        run.was_online, run.wanted_disconnects = False, counters.get("cloud:dconn", 0)
    if counters.get("cloud:stat") == CloudStatus.CONNECTED:
        return
    mode = board.ask(lambda session: session.device_mode())
    if mode is DeviceMode.LISTENING:
        board.ask(lambda session: session.stop_listening())
    if counters.get("cloud:stat", 0) == 0 and (joined or counters.get("net:stat", 0) in _NET_IDLE):
        board.ask(lambda session: session.connect_to_cloud())


def disconnect_later(run: ConnectivityRun) -> None:
    """What the test lets connect it disconnects in the end."""
    if not any(name == "goodbye" for name, _ in run.cleanup):
        run.take_back_later("goodbye", lambda: _stop_connecting(run))


def _stop_connecting(run: ConnectivityRun) -> None:
    """A clean end of a session, and of attempts at one."""
    if run.board.device.mode is not UsbMode.NORMAL:
        return
    run.board.ask(lambda session: session.disconnect_from_cloud())
    run.board.ask(lambda session: session.stop_connecting())


def check_network(run: ConnectivityRun) -> None:
    """Registered, or associated."""
    begin_connecting(run)
    cellular = run.plan.radio is Radio.CELLULAR
    proof = run.wait(
        Stage.NETWORK,
        lambda: _network_proof(run),
        lambda: StageFailure(why_no_network(run.observed, cellular=cellular), _network_seen(run)),
        activity="registering" if cellular else "associating",
    )
    run.evidence["proof"] = proof
    if run.observed.registration is not None:
        run.evidence["cereg"] = run.observed.registration
    if not cellular:
        check_association(run)


def _network_proof(run: ConnectivityRun) -> str | None:
    observed = run.observed
    if observed.diagnostics.get("net:stat") == _NET_CONNECTED:
        return "net:stat 4"
    if observed.logged("IFACE_UP -> IFACE_LINK_UP"):
        return "log: IFACE_LINK_UP"
    return "log: +CEREG" if observed.registration in REGISTERED else None


def _network_seen(run: ConnectivityRun) -> str:
    observed = run.observed
    registration = "no log of AT commands" if observed.registration is None else f"+CEREG: 2,{observed.registration}"
    timed_out = "; network registration timeout" if observed.logged("network registration timeout") else ""
    return f"net:stat = {observed.diagnostics.get('net:stat')}, {registration}{timed_out}"


def check_ip(run: ConnectivityRun) -> None:
    """An interface with an address."""
    found = run.wait(
        Stage.IP,
        lambda: _address(run),
        lambda: StageFailure(why_no_address(run.observed), _address_seen(run)),
        activity="waiting for an IP address",
    )
    run.evidence |= found


def _address(run: ConnectivityRun) -> dict[str, object] | None:
    is_up = run.observed.diagnostics.get("net:stat") == _NET_CONNECTED
    try:
        interface = run.board.ask(lambda session: _interface(run, session))
    except RequestUnsupportedError:
        return {"proof": "net:stat 4"} if is_up else None
    if interface is None or not interface.link_up:
        return None
    ipv4 = interface.ipv4
    return {
        "interface": interface.name,
        "address": str(ipv4.addresses[0].address) if ipv4.addresses else None,
        "gateway": str(ipv4.gateway) if ipv4.gateway else None,
        "dns": [str(address) for address in ipv4.dns],
    }


def _interface(run: ConnectivityRun, session: ControlSession) -> Interface | None:
    kind = _INTERFACE[run.plan.radio]
    entries = [entry for entry in session.network.interfaces() if entry.type == kind]
    found = [session.network.interface(entry.index) for entry in entries]
    return next((i for i in found if InterfaceFlag.UP in i.flags), found[0] if found else None)


def _address_seen(run: ConnectivityRun) -> str:
    apn = f", access point name {run.observed.apn!r} is stored" if run.observed.apn else ""
    return f"no interface has an address; net:stat = {run.observed.diagnostics.get('net:stat')}{apn}"


def check_cloud_socket(run: ConnectivityRun) -> None:
    """The cloud is being connected to."""
    run.evidence["proof"] = run.wait(
        Stage.CLOUD_SOCKET,
        lambda: _socket_proof(run),
        lambda: StageFailure(why_no_socket(run.observed), _cloud_seen(run)),
        activity="connecting to the cloud",
    )
    run.evidence["attempts"] = run.observed.diagnostics.get("cloud:connatt")


def _socket_proof(run: ConnectivityRun) -> str | None:
    observed = run.observed
    if observed.diagnostics.get("cloud:stat") == CloudStatus.CONNECTED:
        return "cloud:stat 2"
    if observed.logged("Cloud socket connected"):
        return "log: Cloud socket connected"
    # While names are being resolved, cloud:stat is 1, too: with a log, only the log counts.
    connecting = observed.diagnostics.get("cloud:stat") == 1 and observed.diagnostics.get("cloud:connatt", 0) >= 1
    return "cloud:stat 1; the board has no log" if connecting and not observed.has_log else None


def _cloud_seen(run: ConnectivityRun) -> str:
    counters = run.observed.diagnostics
    state = _CLOUD_STATES.get(counters.get("cloud:stat", -1), "state of its cloud connection not told")
    attempts, last_error = counters.get("cloud:connatt"), counters.get("cloud:err")
    told = [state]
    if attempts is not None:
        told.append(f"{attempts} attempt{'' if attempts == 1 else 's'} to reach the cloud")
    if last_error:
        told.append(f"latest error {last_error}")
    lines = [m.text for m in run.observed.log if "nternet" in m.text or "handshake failed" in m.text]
    return f"{', '.join(told)}; the log says: {lines[-1] if lines else 'nothing about it'}"


def check_handshake(run: ConnectivityRun) -> None:
    """A session, seen from both sides."""
    begin_connecting(run)
    seen_by_board = False

    def both_sides() -> str | None:
        nonlocal seen_by_board
        if code := hopeless_handshake(run.observed):
            raise StageFailure(code, _handshake_seen(run, code))
        seen_by_board = seen_by_board or _board_is_online(run)
        return _cloud_sees_it(run) if seen_by_board else None

    def why_not() -> StageFailure:
        if seen_by_board:
            return StageFailure(FailureCode.CLD_STALE, "the board is connected, and the cloud does not tell so")
        with suppress(CloudError, TransportError):
            # A token that may not read it leaves the other causes.
            run.observed.is_paused = run.cloud.allowance_is_spent()
        return StageFailure(why_no_handshake(run.observed), _cloud_seen(run))

    run.evidence["cloud_proof"] = run.wait(Stage.HANDSHAKE, both_sides, why_not, activity="waiting for the handshake")
    if run.connecting_since_s is not None and not run.was_online:
        run.measure(CONNECT_TIME, run.clock.monotonic_s() - run.connecting_since_s, "s")
        run.spend(cost_of_test(is_cellular=run.plan.radio is Radio.CELLULAR))
    run.note_connected()
    if run.plan.options.wifi is not None:
        # Also where the stage of the network is left out, or it has moved since.
        check_association(run)


def _board_is_online(run: ConnectivityRun) -> bool:
    try:
        status = run.board.ask(lambda session: session.cloud_status())
    except RequestRefusedError:
        status = None
    if status is CloudStatus.CONNECTED or run.observed.diagnostics.get("cloud:stat") == CloudStatus.CONNECTED:
        run.note_connected()
        return True
    return False


def _cloud_sees_it(run: ConnectivityRun) -> str | None:
    if run.event("spark/status", "online"):
        return "spark/status online"
    record = run.record_now_and_then()
    if record is None or not record.online:
        return None
    return "the device's record" if run.was_online or has_new_handshake(run, record) else None


def has_new_handshake(run: ConnectivityRun, record: DeviceRecord) -> bool:
    """Whether the cloud knows of a handshake that it did not know of before the test."""
    before = time_text(run.before.last_handshake_at) if run.before else None
    return record.last_handshake_at is not None and time_text(record.last_handshake_at) != before


def _handshake_seen(run: ConnectivityRun, code: FailureCode) -> str:
    if code is FailureCode.CLD_SAFE:
        modules = run.board.ask(lambda session: session.module_info()) or ()
        return missing_text(incomplete(modules))
    return f"cloud:err = {run.observed.handshake_error}"
