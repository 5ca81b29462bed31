import pytest

from particle_dev.catalog.requests import ControlRequest
from particle_dev.errors import PermissionMissingError
from particle_dev.permissions import NOTHING, Effect, Permissions
from particle_dev.protocol.messages_config import encode_protection_confirm, encode_protection_prepare
from particle_dev.protocol.request_effects import effects_of

R = ControlRequest
EXPECTED = {
    R.RESET: {Effect.CONNECT},
    R.FACTORY_RESET: {Effect.CONNECT, Effect.ERASE},
    R.SAFE_MODE: {Effect.CONNECT},
    R.STOP_LISTENING: {Effect.CONNECT},
    R.CLOUD_CONNECT: {Effect.CONNECT},
    R.FINISH_FIRMWARE_UPDATE: {Effect.CONNECT},
    R.WIFI_JOIN_NEW_NETWORK: {Effect.CONNECT},
    R.WIFI_JOIN_KNOWN_NETWORK: {Effect.CONNECT},
    R.WIFI_REMOVE_KNOWN_NETWORK: {Effect.ERASE},
    R.WIFI_CLEAR_KNOWN_NETWORKS: {Effect.ERASE},
    R.ENV_CLEAR: {Effect.ERASE},
    R.SET_SECURITY_KEY: {Effect.ERASE},
    R.SET_PROTECTED_STATE: {Effect.LOCK},
}


@pytest.mark.parametrize("request_type", list(ControlRequest), ids=lambda r: r.name)
def test_effects_of_an_empty_payload(request_type):
    assert set(effects_of(request_type, b"")) == EXPECTED.get(request_type, set())


def test_validation_alone_is_harmless():
    assert effects_of(R.FINISH_FIRMWARE_UPDATE, b"\x08\x01") == ()
    assert effects_of(R.FINISH_FIRMWARE_UPDATE, b"\x08\x00") == (Effect.CONNECT,)
    assert effects_of(R.FINISH_FIRMWARE_UPDATE, b"\xff") == (Effect.CONNECT,)


def test_opening_a_device_is_not_locking_it():
    assert effects_of(R.SET_PROTECTED_STATE, encode_protection_prepare(bytes(32))) == ()
    assert effects_of(R.SET_PROTECTED_STATE, encode_protection_confirm(b"s", bytes(32))) == ()
    assert effects_of(R.SET_PROTECTED_STATE, b"\xff") == (Effect.LOCK,)


@pytest.mark.parametrize(
    ("payload", "burns"),
    [
        (b'{"SET_PERMANENT_BURN":{}}', True),
        (b'{"BURN_DATA":{}}', True),
        (b'{"IS_READY":{}, "BURN_DATA":{},}', True),
        (rb'{"BURN\u005fDATA":{}}', True),
        (b'{"VALIDATE_BURNED_DATA":{}}', False),
        (b'{"IS_READY":{}}', False),
        (b'{"BURNIN_TEST":{}}', False),
        (b"", False),
    ],
)
def test_burning(payload, burns):
    assert effects_of(R.APP_CUSTOM, payload) == ((Effect.BURN,) if burns else ())


@pytest.mark.parametrize("effect", list(Effect))
def test_each_permission_allows_its_own_effect_only(effect):
    for other in Effect:
        permissions = Permissions(**{other: True})
        if other is effect:
            permissions.require(effect, "this")
        else:
            with pytest.raises(PermissionMissingError) as error:
                permissions.require(effect, "this")
            assert error.value.permission == effect
    with pytest.raises(PermissionMissingError, match="--may-connect"):
        NOTHING.require_connect("this")
