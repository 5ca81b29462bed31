"""Reply payloads: golden bytes of Particle's own encoders and of a recorded Argon."""

import pytest

from particle_dev.catalog.modules import ModuleFunction, ModuleValidity
from particle_dev.errors import ControlProtocolError
from particle_dev.protocol import messages
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.messages import CloudStatus, DeviceMode


def test_recorded_argon():
    recorded = bytes.fromhex("0a18653030666365363830313233343536373839616263646566")
    assert messages.decode_device_id(recorded) == "e00fce680123456789abcdef"
    assert messages.decode_system_version(bytes.fromhex("0a05342e312e30")) == "4.1.0"
    assert messages.decode_device_mode(bytes.fromhex("0801")) is DeviceMode.LISTENING


def test_defaults_are_empty_messages():
    assert messages.decode_device_mode(b"") is DeviceMode.NORMAL
    assert messages.decode_cloud_status(b"") is CloudStatus.DISCONNECTED
    assert messages.decode_cloud_status(bytes.fromhex("0802")) is CloudStatus.CONNECTED


def test_unknown_cloud_status():
    with pytest.raises(ControlProtocolError, match="9"):
        messages.decode_cloud_status(bytes.fromhex("0809"))


def test_module_info_before_5_6_has_numbers_of_its_own():
    reply = pb.ModuleInfoReply(
        modules_deprecated=[
            pb.ModuleInfoReply.LegacyModule(type=1, version=1005, size=46656),
            pb.ModuleInfoReply.LegacyModule(
                type=3,
                index=1,
                version=5,
                size=11408,
                validity=2,
                dependencies=[pb.Dependency(type=2, index=1, version=326)],
            ),
            pb.ModuleInfoReply.LegacyModule(type=6, version=202, validity=1),
        ]
    ).SerializeToString()
    bootloader, app, radio = messages.decode_module_info(reply)
    assert (bootloader.function, bootloader.version, bootloader.valid) == (ModuleFunction.BOOTLOADER, 1005, True)
    assert app.failed == ModuleValidity.DEPENDENCIES
    assert app.dependencies == ((ModuleFunction.SYSTEM_PART, 1, 326),)
    assert (radio.function, radio.failed) == (ModuleFunction.RADIO_STACK, ModuleValidity.INTEGRITY)
    assert [m.size_bytes for m in (bootloader, app, radio)] == [46660, 11412, 0], "with the CRC, as files have it"


def test_module_info_since_5_6():
    reply = pb.ModuleInfoReply(
        modules_deprecated=[pb.ModuleInfoReply.LegacyModule(type=1, version=1)],
        modules=[
            pb.ModuleInfoReply.Module(
                type=4, index=1, version=5600, store=0, checked_flags=0x1E, passed_flags=0x1A, hash=b"h" * 32, size=77
            )
        ],
    ).SerializeToString()
    (system,) = messages.decode_module_info(reply)
    assert (system.function, system.version, system.size_bytes) == (ModuleFunction.SYSTEM_PART, 5600, 77)
    assert system.failed == ModuleValidity.DEPENDENCIES
    assert system.sha256 == b"h" * 32


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x18short"])
def test_no_message(data):
    with pytest.raises(ControlProtocolError):
        messages.decode_device_id(data)


def test_diagnostics_leave_out_what_failed():
    text = b'{"sys:uptime":12,"net:sig":{"err":-210},"cloud:stat":0,"net:connatt":false}'
    assert messages.decode_diagnostics(text) == {"sys:uptime": 12, "cloud:stat": 0}


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000], ids=lambda d: str(d[:4]))
def test_diagnostics_that_are_none(data):
    with pytest.raises(ControlProtocolError):
        messages.decode_diagnostics(data)
