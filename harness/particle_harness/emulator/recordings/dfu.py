"""A conversation with a bootloader in DFU mode as a file: what a board answers to a fixed list of requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from particle_dev.errors import BenchError
from particle_harness.boards import Hardware
from particle_harness.emulator.conversations.acts import Transfer
from particle_harness.emulator.conversations.dfu import (
    CONFIGURATION_ALTERNATE,
    MICROSOFT_STRING,
    OWN_STRINGS,
    TRANSFER_BYTES,
    Region,
    command,
    download,
    get_status,
    reading_configuration,
    request,
    set_alternate,
    terrain_of,
    to_idle,
    upload,
)
from particle_harness.emulator.recordings.form import FORM, Recordable, entry_of, pattern, sparse
from particle_harness.module_reader import read_prefix
from particle_harness.usb.dfu_terms import Command, Request
from particle_harness.usb.transfer import Setup

_UNKNOWN_COMMANDS = (0x33, 0x99)
_INTERNAL = 0

# ---- the conversation -----------------------------------------------------------------------------------------------


def conversation(kind: Hardware) -> Iterator[Transfer]:
    """What the host sends; at last it leaves DFU mode. **Erases and writes in the regions of modules.**"""
    yield from _descriptors(len(terrain_of(kind).regions))
    yield from _standard_requests(kind)
    yield from _dfu_basics()
    for region in terrain_of(kind).regions:
        if region.alternate == CONFIGURATION_ALTERNATE:
            yield from _configuration()
        else:
            yield from _memory(region)
    yield from _mistakes(kind)
    yield from _block_after_a_mistake(kind)
    yield download(0, b"")
    yield get_status()


def _in(kind: int, code: int, value: int, index: int, length: int) -> Transfer:
    return Transfer(Setup(kind, code, value, index, length))


def _descriptors(regions: int) -> Iterator[Transfer]:
    for length in (8, 18, 64):
        yield _in(0x80, 6, 0x0100, 0, length)
    for length in (9, 255, 512):
        yield _in(0x80, 6, 0x0200, 0, length)
    for index in (*range(OWN_STRINGS + regions), MICROSOFT_STRING):
        yield _in(0x80, 6, 0x0300 | index, 0x0409 if index else 0, 255)
    for descriptor in (0x06, 0x07, 0x0F, 0x21):
        yield from (_in(0x80, 6, descriptor << 8, 0, length) for length in (9, 10, 255))
    yield _in(0x81, 6, 0x2100, 0, 9)
    yield _in(0xC0, 0xEE, 0, 4, 40)
    yield _in(0xC1, 0xEE, 0, 5, 146)
    yield _in(0xC0, 0xEE, 0, 7, 16)


def _standard_requests(kind: Hardware) -> Iterator[Transfer]:
    yield _in(0x80, 0, 0, 0, 2)
    yield _in(0x82, 0, 0, 0, 2)
    yield _in(0x80, 8, 0, 0, 1)
    for value in (1, 0, 1):
        yield _in(0x00, 9, value, 0, 0)
        yield _in(0x80, 8, 0, 0, 1)
    for number in (*range(len(terrain_of(kind).regions) + 1), 0x100, 0):
        yield set_alternate(number)
        yield _in(0x81, 10, 0, 0, 1)
    yield _in(0x00, 3, 1, 0, 0)
    yield _in(0x80, 0, 0, 0, 2)
    yield _in(0x00, 1, 1, 0, 0)
    yield _in(0x80, 12, 0, 0, 2)
    yield _in(0xC0, 0x50, 0, 20, 24)


def _dfu_basics() -> Iterator[Transfer]:
    yield get_status()
    yield _in(0xA1, Request.GETSTATE, 0, 0, 1)
    for length in (64, 3, 2):
        yield upload(0, length)
        yield get_status()
        yield request(Request.ABORT)
    yield get_status()
    yield request(Request.CLRSTATUS)
    yield get_status()
    yield request(Request.CLRSTATUS)
    yield get_status()


def _done(transfer: Transfer) -> Iterator[Transfer]:
    yield transfer
    yield get_status()
    yield get_status()


def _memory(region: Region) -> Iterator[Transfer]:
    sector, other = region.sectors[1], region.sectors[2]
    yield set_alternate(region.alternate)
    yield from _done(command(Command.ERASE, sector))
    yield from _done(command(Command.ERASE, other))
    yield from _done(command(Command.SET_ADDRESS, sector))
    yield from _done(download(2, pattern(TRANSFER_BYTES)))
    yield from _done(command(Command.SET_ADDRESS, other))
    yield from _done(download(2, pattern(7)))
    yield from _done(command(Command.SET_ADDRESS, sector))
    yield request(Request.ABORT)
    yield upload(2, TRANSFER_BYTES)
    yield upload(2, 64)
    yield get_status()
    yield request(Request.ABORT)
    yield from _done(command(Command.SET_ADDRESS, other))
    yield request(Request.ABORT)
    yield upload(2, 16)
    yield request(Request.ABORT)
    yield from _done(command(Command.ERASE, sector))
    yield from _done(command(Command.SET_ADDRESS, sector))
    yield request(Request.ABORT)
    yield upload(2, 64)
    yield request(Request.ABORT)


def _configuration() -> Iterator[Transfer]:
    yield from reading_configuration()
    yield from _done(command(Command.ERASE, 0))
    # The claim code's place. Source: device-os v2.1.0
    # platform/MCU/STM32F2xx/SPARK_Firmware_Driver/inc/dct.h.
    yield from _done(command(Command.SET_ADDRESS, 1762))
    yield from _done(download(2, pattern(63)))
    yield request(Request.ABORT)
    yield from reading_configuration()


def _mistakes(kind: Hardware) -> Iterator[Transfer]:
    terrain = terrain_of(kind)
    for alternate, address in terrain.odd_addresses:
        yield set_alternate(alternate)
        for mistake in (command(Command.ERASE, address), command(Command.SET_ADDRESS, address)):
            yield from _done(mistake)
            yield from to_idle(kind)
    yield set_alternate(_INTERNAL)
    for mistake in (
        command(Command.ERASE),
        command(Command.SET_ADDRESS),
        command(Command.READ_UNPROTECT),
        *(command(code) for code in _UNKNOWN_COMMANDS),
        command(_UNKNOWN_COMMANDS[-1], 0),
        download(1, pattern(16)),
    ):
        yield from _done(mistake)
        yield from to_idle(kind)


def _block_after_a_mistake(kind: Hardware) -> Iterator[Transfer]:
    """An address is kept over a command that is none; a block goes there, in the middle of which nobody clears a
    status."""
    region = terrain_of(kind).regions[_INTERNAL]
    sector = region.sectors[1]
    yield set_alternate(region.alternate)
    yield from _done(command(Command.ERASE, sector))
    yield from _done(command(Command.SET_ADDRESS, sector))
    yield from _done(command(_UNKNOWN_COMMANDS[-1], 0))
    yield from to_idle(kind)
    yield from _done(download(2, pattern(64)))
    yield request(Request.CLRSTATUS)
    yield get_status()
    yield request(Request.CLRSTATUS)
    yield get_status()
    yield request(Request.ABORT)
    yield upload(2, 64)
    yield get_status()
    yield request(Request.ABORT)
    yield from _done(command(Command.SET_ADDRESS, sector))


# ---- recording ------------------------------------------------------------------------------------------------------


def record(board: Recordable) -> dict[str, Any]:
    """Hold the conversation with a board that is in DFU mode. **It loses what is in its regions of modules.** Raises
    BenchError when the board is not in DFU mode or leaves in the middle."""
    present = board.on_bus()
    if present is None:
        raise BenchError("the board is not on the bus", hint="a board without system parts stays in DFU mode")
    address, identity = present
    kind = board.hardware
    usb = kind.platform.usb_dfu
    if usb is None or int.from_bytes(identity.device[10:12], "little") != usb.pid:
        raise BenchError(f"the {kind.name} is not in DFU mode", hint="a board without system parts stays there")
    bootloader = read_prefix(board.internal.read, kind.bootloader_address, kind.mcu)
    configuration = _read_configuration(board, address)
    log = [entry_of(board, address, transfer) for transfer in conversation(kind)]
    return {
        "form": FORM,
        "platform": kind.name,
        "bootloader_version": bootloader.version if bootloader else 0,
        "device_id": identity.strings[identity.device[16]][2:].decode("utf-16-le"),
        "configuration": sparse(configuration) if configuration.strip(b"\x00") else None,
        "log": log,
    }


def _read_configuration(board: Recordable, address: int) -> bytes:
    pieces = []
    for transfer in reading_configuration():
        reply = board.control(address, transfer.setup, transfer.data)
        if transfer.setup.b_request == Request.UPLOAD:
            pieces.append(reply)
    return b"".join(pieces)
