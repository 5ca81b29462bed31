"""The Wi-Fi network that a test is told to use: stored for it, joined for certain, and forgotten again.

Source: device-os v6.2.0 system/src/control/wifi_new.cpp, hal/network/ncp/wifi/wifi_network_manager.cpp: a board joins
the strongest of the networks that it knows, a network of the same name is written over, the eleventh takes the place of
the last, and passwords are not told.
"""

from __future__ import annotations

from collections.abc import Callable

from particle_dev.catalog.platforms import UsbMode
from particle_dev.connectivity.diagnosis import why_no_network
from particle_dev.connectivity.failures import FailureCode
from particle_dev.connectivity.outcome import StageFailure
from particle_dev.connectivity.run import ConnectivityRun
from particle_dev.connectivity.stages import Stage
from particle_dev.errors import ConnectivityError, RequestRefusedError, RequestUnsupportedError
from particle_dev.protocol.messages_radio import KnownNetwork, WifiCredentials, WifiNetwork

MAX_KNOWN_NETWORKS = 10
CREDENTIALS = "Wi-Fi credentials"
"""Of what is taken back."""
_ASSOCIATION_S = 10.0
"""For a board to tell the network that it has joined (a proposal)."""


def refuse_what_cannot_be_restored(run: ConnectivityRun) -> None:
    """Raise ConnectivityError when storing the network of the test would lose one that the board has. Nothing is done;
    a board in DFU mode cannot be asked yet."""
    credentials = run.plan.options.wifi
    if credentials is None or not run.plan.connects or run.board.device.mode is not UsbMode.NORMAL:
        return
    _require_room(_known(run), credentials)


def _known(run: ConnectivityRun) -> tuple[KnownNetwork, ...]:
    # Not ask(): no answer is not an empty list.
    return run.board.session().wifi.known_networks()


def _require_room(known: tuple[KnownNetwork, ...], credentials: WifiCredentials) -> None:
    if any(network.ssid == credentials.ssid for network in known):
        raise ConnectivityError(
            f"the board has a network {credentials.ssid!r} stored, and its password cannot be read, so it could not be "
            "put back after a test with another one",
            hint="leave --wifi-ssid out to test with what is stored, or take that network off the board before",
        )
    if len(known) >= MAX_KNOWN_NETWORKS:
        raise ConnectivityError(
            f"the board has {len(known)} networks stored, and one more would take the place of the last",
            hint="leave --wifi-ssid out to test with what is stored, or take a network off the board before",
        )


def store_credentials(run: ConnectivityRun) -> bool:
    """Store the network of the test, if there is one, and join it. True: it has just been joined.

    Raises ConnectivityError as :func:`refuse_what_cannot_be_restored`, StageFailure when the board is not let in.
    """
    credentials = run.plan.options.wifi
    if credentials is None or any(name == CREDENTIALS for name, _ in run.cleanup):
        return False
    known = _known(run)
    _require_room(known, credentials)
    run.observed.ssid = credentials.ssid
    # Before: whether a request that gets no answer was carried out is not known.
    run.take_back_later(CREDENTIALS, lambda: _forget(run, credentials.ssid))
    try:
        run.board.ask(lambda session: session.wifi.store(credentials))
    except RequestUnsupportedError:
        # Older Device OS stores a network only after it has let the board in.
        _join(run, lambda: run.board.ask(lambda session: session.wifi.join(credentials)))
        return True
    if known:
        # By itself it would as well join one of those, and the test would pass by that.
        _join(run, lambda: run.board.ask(lambda session: session.wifi.join_known(credentials.ssid)))
    return bool(known)


def _join(run: ConnectivityRun, act: Callable[[], object]) -> None:
    try:
        act()
    except RequestRefusedError as error:
        code = why_no_network(run.observed, cellular=False)
        raise StageFailure(code, f"{run.observed.ssid} did not let the board in: {error.message}") from error


def _forget(run: ConnectivityRun, ssid: str) -> None:
    run.board.session().wifi.forget(ssid)


def check_association(run: ConnectivityRun) -> None:
    """Note the network that the board is in; it must be the one of the test, where that has one.

    Raises StageFailure WIFI-OTHER when it is not, or does not tell.
    """
    wanted = run.plan.options.wifi
    if wanted is None:
        network = _current(run)
    else:
        network = run.wait(
            Stage.NETWORK,
            lambda: _current(run),
            lambda: StageFailure(FailureCode.WIFI_OTHER, f"it does not say that it is in {wanted.ssid}"),
            activity="asking for the network that it is in",
            limit_s=_ASSOCIATION_S,
        )
    if network is None:
        return
    run.evidence |= {"ssid": network.ssid, "channel": network.channel}
    if wanted is not None and network.ssid != wanted.ssid:
        raise StageFailure(FailureCode.WIFI_OTHER, f"it is in {network.ssid}, not in {wanted.ssid}")
    run.measure("rssi", network.rssi_dbm, "dBm")


def _current(run: ConnectivityRun) -> WifiNetwork | None:
    try:
        return run.board.ask(lambda session: session.wifi.current_network())
    except RequestRefusedError:
        return None
