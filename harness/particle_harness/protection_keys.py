"""Keys and signatures of protected boards and of the cloud that opens them. Needs the package ``cryptography``.

Keys are made from fixed text, so that a test can sign as the cloud would.
Source: device-os v6.2.0 system/src/control/config.cpp setProtectedState (what is signed), getPublicKeyFingerprint.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

_ECDSA = ECDSA(Prehashed(SHA256()))


def device_key(device_id: str) -> EllipticCurvePrivateKey:
    """The key of a virtual board."""
    return _key_from(f"virtual device {device_id}")


def server_key() -> EllipticCurvePrivateKey:
    """The key of the cloud that opens virtual boards."""
    return _key_from("virtual cloud")


def private_der(key: EllipticCurvePrivateKey) -> bytes:
    """As the configuration of a board holds it."""
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def public_der(key: EllipticCurvePrivateKey) -> bytes:
    """As the configuration of a board holds it."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: EllipticCurvePrivateKey) -> bytes:
    """SHA-256 of the public key in DER."""
    return hashlib.sha256(public_der(key)).digest()


def device_signature(
    private_key_der: bytes, device_id: str, device_nonce: bytes, server_nonce: bytes
) -> tuple[bytes, bytes]:
    """What a device signs with its key, and the fingerprint of that key."""
    key = load_der_private_key(private_key_der, password=None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key.sign(_digest(b"device", device_id, device_nonce, server_nonce), _ECDSA), fingerprint(key)


def server_signature(device_id: str, server_nonce: bytes, device_nonce: bytes, device_key_fingerprint: bytes) -> bytes:
    """What the cloud signs to open a board."""
    return server_key().sign(_digest(b"server", device_id, server_nonce, device_nonce, device_key_fingerprint), _ECDSA)


def cloud_has_signed(
    public_key_der: bytes,
    signature: bytes,
    device_id: str,
    server_nonce: bytes,
    device_nonce: bytes,
    device_key_fingerprint: bytes,
) -> bool:
    """Whether the signature is good."""
    key = load_der_public_key(public_key_der)
    assert isinstance(key, EllipticCurvePublicKey)
    try:
        key.verify(signature, _digest(b"server", device_id, server_nonce, device_nonce, device_key_fingerprint), _ECDSA)
    except InvalidSignature:
        return False
    return True


def _digest(who: bytes, device_id: str, *parts: bytes) -> bytes:
    text = who + bytes.fromhex(device_id) + b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    return hashlib.sha256(text).digest()


def _key_from(text: str) -> EllipticCurvePrivateKey:
    return derive_private_key(int.from_bytes(hashlib.sha256(text.encode()).digest()[:31]), SECP256R1())
