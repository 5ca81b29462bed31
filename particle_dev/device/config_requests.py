"""Typed requests about claim, keys, server address, features, start-up mode and device protection."""

from __future__ import annotations

from particle_dev.catalog.requests import ControlRequest
from particle_dev.device.requester import Requester
from particle_dev.protocol import messages_config as messages
from particle_dev.protocol.messages_config import (
    Environment,
    Feature,
    ProtectedState,
    ProtectionChallenge,
    SecurityKey,
    ServerAddress,
    ServerProtocol,
    StartupMode,
)
from particle_dev.protocol.secret import Secret


class ConfigRequests:
    """``session.config``. Errors are those of ``session.request``. Nothing here connects."""

    def __init__(self, session: Requester) -> None:
        self._session = session

    def set_claim_code(self, code: Secret[str]) -> None:
        """Store a claim code; whoever made it in the cloud owns the device after its next connection. Raises ValueError
        unless it has 63 characters."""
        self._session.request(ControlRequest.SET_CLAIM_CODE, messages.encode_claim_code(code))

    def is_claimed(self) -> bool:
        """Whether the device believes to have an owner. The cloud may know better."""
        return messages.decode_is_claimed(self._session.request(ControlRequest.IS_CLAIMED))

    def is_setup_done(self) -> bool:
        """Whether the set-up flag is set. A Gen3 device before 4.0.0 without it listens instead of connecting; later
        releases always say yes."""
        return messages.decode_setup_done(self._session.request(ControlRequest.IS_DEVICE_SETUP_DONE))

    def set_setup_done(self, done: bool) -> None:
        """Set or clear the set-up flag. **Set, it lets a Gen3 device before 4.0.0 connect from its next boot on, or
        when it leaves listening mode.** From 4.0.0 on clearing it is refused, and setting it does nothing."""
        self._session.request(ControlRequest.SET_DEVICE_SETUP_DONE, messages.encode_setup_done(done))

    def set_startup_mode(self, mode: StartupMode) -> None:
        """What the next boot does. LISTENING is consumed once, by the first attempt to connect of any boot; power loss
        forgets it, and so does safe mode on Gen3, which connects. A Gen2 device answers and keeps nothing."""
        self._session.request(ControlRequest.SET_STARTUP_MODE, messages.encode_startup_mode(mode))

    def set_feature(self, feature: Feature, enabled: bool) -> None:
        """Switch a feature; it stays so over resets."""
        self._session.request(ControlRequest.SET_FEATURE, messages.encode_set_feature(feature, enabled))

    def feature(self, feature: Feature) -> bool:
        """Whether a feature is on."""
        data = self._session.request(ControlRequest.GET_FEATURE, messages.encode_get_feature(feature))
        return messages.decode_feature(data)

    def set_softap_ssid(self, prefix: str, suffix: str) -> None:
        """Name of the Wi-Fi network that a Gen2 device opens in listening mode. Raises ValueError beyond 25 and 6
        bytes."""
        self._session.request(ControlRequest.SET_SOFTAP_SSID, messages.encode_softap_ssid(prefix, suffix))

    def environment(self) -> Environment:
        """Environment variables of the device."""
        return messages.decode_environment(self._session.request(ControlRequest.ENV_GET))

    def clear_environment(self) -> bool:
        """**Erase** all environment variables. True when it counts only after a reset. Needs ``may_erase``."""
        return messages.decode_environment_cleared(self._session.request(ControlRequest.ENV_CLEAR))

    def protected_state(self) -> ProtectedState:
        """Device protection and service mode. Devices before 6.0.0 have neither and raise RequestUnsupportedError."""
        return messages.decode_protected_state(self._session.request(ControlRequest.GET_PROTECTED_STATE))

    def prepare_unlock(self, server_nonce: bytes) -> ProtectionChallenge | None:
        """Ask a protected device for what the cloud must sign; None when it is not protected. The answer is good for
        60 s. Source: device-os v6.2.0 system/src/control/config.cpp setProtectedState."""
        payload = messages.encode_protection_prepare(server_nonce)
        return messages.decode_protection_challenge(self._session.request(ControlRequest.SET_PROTECTED_STATE, payload))

    def confirm_unlock(self, server_signature: bytes, server_public_key_fingerprint: bytes) -> None:
        """Open the device for 20 resets or 24 hours (service mode) with the cloud's signature."""
        payload = messages.encode_protection_confirm(server_signature, server_public_key_fingerprint)
        self._session.request(ControlRequest.SET_PROTECTED_STATE, payload)

    def end_service_mode(self) -> None:
        """**Lock** a protected device again. Needs ``may_lock``."""
        self._session.request(ControlRequest.SET_PROTECTED_STATE, messages.encode_protection_reset())

    def set_security_key(self, kind: SecurityKey, key: Secret[bytes]) -> None:
        """Replace a key (DER) of a Gen2 device. **The old one is lost**, and with it the device's identity if the cloud
        does not know the new one. Needs ``may_erase``."""
        self._session.request(ControlRequest.SET_SECURITY_KEY, messages.encode_security_key(kind, key))

    def security_key(self, kind: SecurityKey) -> Secret[bytes]:
        """A key (DER) of a Gen2 device."""
        data = self._session.request(ControlRequest.GET_SECURITY_KEY, messages.encode_get_security_key(kind))
        return messages.decode_security_key(data)

    def set_server_address(self, protocol: ServerProtocol, server: ServerAddress) -> None:
        """Where a Gen2 device looks for the cloud."""
        self._session.request(ControlRequest.SET_SERVER_ADDRESS, messages.encode_server_address(protocol, server))

    def server_address(self, protocol: ServerProtocol) -> ServerAddress:
        """Where a Gen2 device looks for the cloud."""
        data = self._session.request(ControlRequest.GET_SERVER_ADDRESS, messages.encode_get_server_address(protocol))
        return messages.decode_server_address(data)

    def set_server_protocol(self, protocol: ServerProtocol) -> None:
        """How a Gen2 device talks to the cloud."""
        self._session.request(ControlRequest.SET_SERVER_PROTOCOL, messages.encode_server_protocol(protocol))

    def server_protocol(self) -> int:
        """How a Gen2 device talks to the cloud: a ServerProtocol, or a number that it lacks."""
        return messages.decode_server_protocol(self._session.request(ControlRequest.GET_SERVER_PROTOCOL))
