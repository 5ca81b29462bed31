"""Stages 2 and 3: the radio, and the SIM."""

from __future__ import annotations

from particle_dev.catalog.platforms import UsbMode
from particle_dev.cloud.gate import Radio
from particle_dev.connectivity.diagnosis import why_no_radio
from particle_dev.connectivity.failures import FailureCode
from particle_dev.connectivity.outcome import StageFailure, StageSkipped
from particle_dev.connectivity.run import ConnectivityRun
from particle_dev.connectivity.stages import Stage
from particle_dev.errors import LinkTimeoutError, RequestRefusedError, RequestUnsupportedError
from particle_dev.protocol.identifiers import Identifier, IdentifierKind, identify
from particle_dev.protocol.messages_radio import CellularIds, Sim, WifiNetwork

_SIM_UNREAD = "the modem answers, and cannot read its SIM"


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
