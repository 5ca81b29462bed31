"""Stages 0 to 7: from the conditions before to the session with the cloud."""

from __future__ import annotations

from contextlib import suppress

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.budget import cost_of_test
from particle_dev.cloud.facts import time_text
from particle_dev.cloud.gate import Radio
from particle_dev.cloud.records import DeviceRecord
from particle_dev.cloud.strategies import Act, Runs, Strategy, UnitFacts, require_act
from particle_dev.connectivity.checks_dark import hold_dark
from particle_dev.connectivity.checks_wifi import check_association, store_credentials
from particle_dev.connectivity.diagnosis import (
    REGISTERED,
    hopeless_handshake,
    missing_text,
    why_no_address,
    why_no_handshake,
    why_no_network,
    why_no_radio,
    why_no_socket,
)
from particle_dev.connectivity.failures import FailureCode
from particle_dev.connectivity.measurements import CONNECT_TIME
from particle_dev.connectivity.outcome import StageFailure, StageSkipped
from particle_dev.connectivity.run import ConnectivityRun
from particle_dev.connectivity.stages import Stage
from particle_dev.device.control import ControlSession
from particle_dev.errors import (
    CloudError,
    LinkTimeoutError,
    RequestRefusedError,
    RequestUnsupportedError,
    TransportError,
)
from particle_dev.protocol.identifiers import Identifier, IdentifierKind, identify
from particle_dev.protocol.messages import CloudStatus, DeviceMode, InstalledModule
from particle_dev.protocol.messages_network import Interface, InterfaceFlag, InterfaceType
from particle_dev.protocol.messages_radio import CellularIds, Sim, WifiNetwork

ONLY = "only"
"""Evidence of a stage of which a part was left out: what was done."""
_CONNECTED, _NET_CONNECTED = 2, 4
_NET_IDLE = (0, 2)
_CLOUD_STATES = {0: "not connected to the cloud", 1: "connecting to the cloud", 2: "connected to the cloud"}
_SIM_UNREAD = "the modem answers, and cannot read its SIM"
_INTERFACE = {Radio.CELLULAR: InterfaceType.PPP, Radio.WIFI: InterfaceType.WIFI}


# ---- 0: preconditions -----------------------------------------------------------------------------------------------


def check_preconditions(run: ConnectivityRun) -> None:
    """Raises StageFailure, or ActRefusedError when the strategy does not allow a connection now."""
    if run.plan.strategy is Strategy.C:
        # Before all else: it may be about to connect by itself.
        hold_dark(run)
        if run.plan.asks_preconditions:
            _check_board(run)
        else:
            run.evidence[ONLY] = "held in listening mode; the other conditions were left out"
        return
    modules_ok = _check_board(run)
    record = run.cloud.record()
    run.before = record
    if record is None or record.quarantined or record.denied:
        state = "unknown here" if record is None else "quarantined" if record.quarantined else "denied"
        raise StageFailure(FailureCode.PRE_QUAR, f"{run.board.device_id} is {state}")
    _check_membership(run, record)
    sim_active = _check_sim_record(run, record)
    _mark_development(run, record)
    feed = run.cloud.feed
    run.evidence["stream"] = "alive" if feed is not None and feed.is_alive() else "not proven"
    if feed is None or not feed.is_alive():
        raise StageFailure(FailureCode.EVT_LOST, "the event stream brings no event of our own back")
    require_act(run.plan.strategy, _facts(run, record, modules_ok, sim_active), Act.CONNECT)


def _facts(run: ConnectivityRun, record: DeviceRecord, modules_ok: bool, sim_active: bool) -> UnitFacts:
    in_product = run.cloud.scope.product is not None
    target = record.targeted_firmware_release_version
    is_released = record.development or target in (None, run.plan.options.expected_version)
    return UnitFacts(
        consent=run.permissions.may_connect,
        identified=True,
        in_product=in_product,
        approved=in_product,
        in_test_account=not in_product,
        sim_active=sim_active,
        no_credentials=run.plan.radio is Radio.CELLULAR,
        runs=Runs.FINAL,
        set_is_complete=modules_ok,
        read_back=modules_ok,
        gets_what_the_product_releases=is_released or run.plan.options.mark_development,
        stream_watched=True,
        budget_left=True,
    )


def _check_board(run: ConnectivityRun) -> bool:
    """Its modules, as its own Device OS checks them. In DFU mode there is nothing to ask, and the boot follows."""
    options = run.plan.options
    if run.board.device.mode is UsbMode.DFU:
        run.evidence["mode"] = "dfu"
        return True
    modules = run.board.ask(lambda session: session.module_info()) or ()
    run.evidence["modules"] = [_title(m) for m in modules]
    run.observed.missing_modules = _incomplete(modules)
    if run.observed.missing_modules:
        run.observed.in_safe_mode = True
        raise StageFailure(FailureCode.CLD_SAFE, missing_text(run.observed.missing_modules))
    app = next((m for m in modules if m.function == ModuleFunction.USER_PART and m.store == 0), None)
    if app is not None and app.sha256:
        run.evidence["app_sha256"] = app.sha256.hex()
    wanted = options.expected_app_sha256
    if wanted is not None and (app is None or app.sha256 is None or app.sha256.hex() != wanted.lower()):
        found = app.sha256.hex() if app is not None and app.sha256 else "not told"
        raise StageFailure(FailureCode.PRE_FW, f"the application is {found}, not {wanted}")
    device_os = run.board.ask(lambda session: session.system_version())
    run.evidence["device_os"] = device_os
    if options.expected_device_os is not None and device_os != options.expected_device_os:
        raise StageFailure(FailureCode.PRE_FW, f"Device OS is {device_os}, not {options.expected_device_os}")
    return True


def _title(module: InstalledModule) -> str:
    return f"{ModuleFunction(module.function).label} {module.index} {module.version}"


def _incomplete(modules: tuple[InstalledModule, ...]) -> tuple[str, ...]:
    """Modules in their places that the device itself finds bad."""
    return tuple(
        f"{_title(m)} fails its check of {m.failed.name or m.failed}" for m in modules if m.store == 0 and m.failed
    )


def _check_membership(run: ConnectivityRun, record: DeviceRecord) -> None:
    platform_id = run.board.device.platform.id
    run.evidence |= {"product_id": record.product_id, "development": record.development}
    if record.platform_id not in (None, platform_id):
        raise StageFailure(
            FailureCode.PRE_PLAT, f"the cloud has it as platform {record.platform_id}, the board is {platform_id}"
        )
    product = run.cloud.scope.product
    if product is not None and record.product_id != product.id:
        raise StageFailure(FailureCode.CLD_WRONGP, f"it is in product {record.product_id}, not in {product.id}")
    if product is None and record.product_id not in (None, platform_id):
        raise StageFailure(FailureCode.CLD_WRONGP, f"it is in product {record.product_id} already, not in the account")


def _check_sim_record(run: ConnectivityRun, record: DeviceRecord) -> bool:
    """Raises StageFailure unless the SIM of a cellular board is active."""
    if run.plan.radio is not Radio.CELLULAR or not record.iccid:
        return False
    sim = run.cloud.sim(record.iccid)
    if sim is None:
        raise StageFailure(FailureCode.SIM_OWN, f"SIM {record.iccid} is not in this product or account")
    run.evidence["sim_status"] = sim.status
    if sim.status != "active":
        raise StageFailure(FailureCode.SIM_PEND, f"SIM {sim.iccid} is {sim.status}")
    return True


def _mark_development(run: ConnectivityRun, record: DeviceRecord) -> None:
    """Keep the cloud from flashing the unit meanwhile, where that is asked for and not so already."""
    if not run.plan.options.mark_development or record.development or run.cloud.scope.product is None:
        return
    members, device_id = run.cloud.members, run.board.device_id
    members.set_development(device_id, True)
    run.evidence["marked_development"] = True
    run.take_back_later("development mark", lambda: members.set_development(device_id, False, run.permissions))


# ---- 1: boot --------------------------------------------------------------------------------------------------------


def check_boot(run: ConnectivityRun) -> None:
    """A reset, and the right board answers."""
    board, limit_s = run.board, run.plan.give_up_s(Stage.BOOT)
    in_dfu = board.device.mode is UsbMode.DFU
    if in_dfu and not run.plan.connects:
        raise StageSkipped("it is in DFU mode, and strategy C boots nothing that could connect")
    if in_dfu or (run.plan.options.restart and run.plan.connects):
        begun_s = run.clock.monotonic_s()
        # Its application may connect by itself from here on, whatever stages follow.
        disconnect_later(run)
        board.restart(limit_s)
        run.measure("boot_time", run.clock.monotonic_s() - begun_s, "s")
        run.restarted, run.was_online = True, False
        run.connecting_since_s = run.clock.monotonic_s()
    answered = run.wait(
        Stage.BOOT,
        lambda: board.ask(lambda session: session.device_id()),
        lambda: StageFailure(FailureCode.BRD_BOOT, "no control request is answered"),
        activity="waiting for the board",
    )
    if answered != board.device_id:
        raise StageFailure(FailureCode.BRD_SWAP, f"control request 20 says {answered}, not {board.device_id}")
    open_log(run)
    counters = run.read_diagnostics()
    run.evidence |= {"device_id": answered, "reset_reason": counters.get("sys:reset"), "log": board.has_log}
    run.was_online = not run.restarted and counters.get("cloud:stat") == _CONNECTED


def open_log(run: ConnectivityRun) -> None:
    """Read the board's log from here on, where it has one."""
    run.board.open_log()
    if run.board.has_log:
        run.take_back_later("log handler", run.board.stop_log)


# ---- 2 and 3: radio and SIM -----------------------------------------------------------------------------------------


def check_radio(run: ConnectivityRun) -> None:
    """The modem answers, or access points are in the air."""
    if run.board.device.mode is UsbMode.DFU:
        raise StageSkipped("it is in DFU mode, where no radio can be asked")
    if run.plan.radio is Radio.WIFI:
        _check_scan(run)
        return
    try:
        ids = _ask_modem(run)
    except StageFailure as failure:
        if failure.code is not FailureCode.SIM_DEAD or Stage.SIM not in run.plan.stages:
            raise
        # The modem is alive, which is this stage; what it says of its SIM is the next one's.
        run.evidence["sim"] = _SIM_UNREAD
        return
    run.iccid = ids.iccid
    run.evidence |= {"iccid": ids.iccid, "imei": ids.imei}
    known = run.before.iccid if run.before else None
    if known and known != ids.iccid:
        raise StageFailure(FailureCode.SIM_DEAD, f"the board has SIM {ids.iccid}, the cloud says {known}")
    _read_access_point(run)


def _ask_modem(run: ConnectivityRun) -> CellularIds:
    """ICCID and IMEI; the modem is powered by that."""

    def ask() -> CellularIds | None:
        try:
            return run.board.ask(lambda session: session.cellular.ids())
        except RequestUnsupportedError as error:
            raise StageSkipped(error.message) from error
        except RequestRefusedError as error:
            code = why_no_radio(error.result_code, run.observed)
            run.evidence["answer"] = f"control request 554: {error.message}"
            seen = _SIM_UNREAD if code is FailureCode.SIM_DEAD else "the modem does not start or does not answer"
            raise StageFailure(code, seen) from error
        except LinkTimeoutError as error:
            run.evidence["answer"] = f"control request 554: {error.message}"
            raise StageFailure(why_no_radio(None, run.observed), "the modem does not answer in time") from error

    return run.wait(
        Stage.RADIO,
        ask,
        lambda: StageFailure(why_no_radio(None, run.observed), "the modem does not answer in time"),
        activity="powering the modem",
    )


def _read_access_point(run: ConnectivityRun) -> None:
    """An access point name of its own explains what follows, should nothing follow."""
    try:
        point = run.board.ask(lambda session: session.cellular.access_point(Sim.INTERNAL))
    except RequestRefusedError:
        return
    if point is not None and not point.use_defaults and point.apn:
        run.observed.apn = point.apn
        run.evidence["apn"] = point.apn


def _check_scan(run: ConnectivityRun) -> None:
    board = run.board

    def scan() -> tuple[WifiNetwork, ...] | None:
        try:
            return board.ask(lambda session: session.wifi.scan())
        except RequestUnsupportedError as error:
            raise StageSkipped(error.message) from error
        except RequestRefusedError as error:
            raise StageFailure(FailureCode.MODEM_DEAD, f"control request 506: {error.message}") from error

    found = run.wait(
        Stage.RADIO,
        scan,
        lambda: StageFailure(FailureCode.MODEM_DEAD, "control request 506 gives no answer"),
        activity="scanning for access points",
    )
    run.observed.scanned = tuple(network.ssid for network in found)
    run.evidence["access_points"] = len(found)
    if found:
        run.measure("strongest_access_point", max(n.rssi_dbm for n in found), "dBm")
    credentials = run.plan.options.wifi
    wanted = credentials.ssid if credentials else _preferred(run)
    run.observed.ssid = wanted
    hidden = credentials is not None and credentials.hidden
    if not found or (wanted is not None and not hidden and wanted not in run.observed.scanned):
        air = ", ".join(sorted(filter(None, run.observed.scanned))) or "none"
        missing = "no network is in the air" if wanted is None else f"{wanted} is not in the air; networks found: {air}"
        raise StageFailure(FailureCode.WIFI_NOAP, missing)


def _preferred(run: ConnectivityRun) -> str | None:
    try:
        known = run.board.ask(lambda session: session.wifi.known_networks())
    except RequestRefusedError:
        return None
    return known[0].ssid if known else None


def check_sim(run: ConnectivityRun) -> None:
    """An ICCID that is one, and a SIM that is active."""
    if run.board.device.mode is UsbMode.DFU:
        raise StageSkipped("it is in DFU mode, where no SIM can be asked")
    iccid = run.iccid or _ask_modem(run).iccid
    run.evidence["iccid"] = iccid
    if not isinstance(identify(iccid, IdentifierKind.ICCID), Identifier):
        raise StageFailure(FailureCode.SIM_DEAD, f"ICCID {iccid!r}")
    if not run.has_cloud:
        return
    sim = run.cloud.sim(iccid)
    if sim is None:
        if run.plan.connects:
            raise StageFailure(FailureCode.SIM_OWN, f"SIM {iccid} is not in this product or account")
        run.evidence["sim_status"] = "not in this product or account"
        return
    run.evidence["sim_status"] = sim.status
    if run.plan.connects and sim.status != "active":
        raise StageFailure(FailureCode.SIM_PEND, f"SIM {iccid} is {sim.status}")
    if sim.last_device_id not in (None, run.board.device_id):
        run.evidence["last_device_id"] = sim.last_device_id


# ---- 4 to 7: network, address, socket, handshake --------------------------------------------------------------------


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
    if counters.get("cloud:stat") == _CONNECTED:
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
    if observed.diagnostics.get("cloud:stat") == _CONNECTED:
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
    if status is CloudStatus.CONNECTED or run.observed.diagnostics.get("cloud:stat") == _CONNECTED:
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
        return missing_text(_incomplete(modules))
    return f"cloud:err = {run.observed.handshake_error}"
