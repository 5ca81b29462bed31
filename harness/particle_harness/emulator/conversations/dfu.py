"""Random conversations with a bootloader in DFU mode, from a seed: tidy downloads and uploads, and everything that a
confused or hostile host might send.

What no host may send, because the firmware then overwrites itself or its RAM, is left out; see ``LEFT_OUT``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from particle_harness.boards import Hardware
from particle_harness.emulator.conversations.acts import Abandoned, Act, Enumerate, Transfer, Wait
from particle_harness.emulator.conversations.setups import STANDARD
from particle_harness.usb.dfu_terms import Command, Request
from particle_harness.usb.transfer import Setup

OUT, IN = 0x21, 0xA1
TRANSFER_BYTES = 4096
CONFIGURATION_ALTERNATE = 1
_CONFIGURATION_BYTES = 0x3000
OWN_STRINGS, MICROSOFT_STRING = 6, 0xEE
"""Then one for each region. An STM32F2's bootloader reads past the end of its table for more."""
LEFT_OUT = (
    "DNLOAD and UPLOAD of more than 4096 bytes: the firmware does not check the length and overruns its buffer",
    "erasing or writing the bootloader's own pages: on Gen 3 it carries the order out and dies",
    "erasing the address just behind a Gen 3 board's serial flash: it is taken, wraps, and destroys the file system",
    "DETACH: the bootloader leaves the bus and returns, which is the host's to notice",
    "halting endpoint 8, or one that there cannot be, on Gen 3: the firmware dies",
    "strings that an STM32F2's bootloader does not have: it reads past the end of its table, or stays silent",
    "the file system in a Gen 3 board's serial flash: a virtual board keeps its configuration elsewhere",
)

_STANDARD = (*STANDARD, Setup(0x02, 1, 0, 0, 0), Setup(0x80, 2, 0, 0, 4))
_VENDOR = (
    Setup(0xC0, 0xEE, 0, 4, 40),
    Setup(0xC0, 0xEE, 0, 4, 16),
    Setup(0xC1, 0xEE, 0, 5, 146),
    Setup(0xC1, 0xEE, 0, 5, 10),
    Setup(0xC0, 0xEE, 0, 5, 146),
    Setup(0xC0, 0xEE, 0, 7, 16),
    Setup(0xC0, 0x50, 0, 20, 24),
    Setup(0x40, 0x50, 0, 3, 0),
    Setup(0xC1, 0x01, 0, 0, 8),
    Setup(0xA1, 7, 0, 0, 8),
    Setup(0xA1, 0x40, 0, 0, 8),
)
_ABANDONED = (
    Setup(IN, Request.GETSTATUS, 0, 0, 6),
    Setup(IN, Request.GETSTATE, 0, 0, 1),
    Setup(0x80, 6, 0x0100, 0, 18),
    Setup(IN, Request.UPLOAD, 0, 0, 64),
    Setup(OUT, Request.DNLOAD, 0, 0, 5),
    Setup(OUT, Request.DNLOAD, 2, 0, 64),
)


@dataclass(frozen=True, slots=True)
class Region:
    """Addresses behind one alternate setting that may be written: ``sectors`` are where they begin."""

    alternate: int
    start_address: int
    end_address: int
    sectors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Terrain:
    """What a family's bootloader offers: ``odd_addresses`` lie at or behind edges, or nowhere, as (alternate setting,
    address); those of ``only_read`` nobody may write."""

    regions: tuple[Region, ...]
    odd_addresses: tuple[tuple[int, int], ...]
    only_read: tuple[tuple[int, int], ...] = ()


def get_status() -> Transfer:
    """GETSTATUS."""
    return Transfer(Setup(IN, Request.GETSTATUS, 0, 0, 6))


def command(code: int, address: int | None = None, block: int = 0) -> Transfer:
    """A DfuSe command by DNLOAD."""
    data = bytes([code]) + (address.to_bytes(4, "little") if address is not None else b"")
    return download(block, data)


def download(block: int, data: bytes) -> Transfer:
    """DNLOAD."""
    return Transfer(Setup(OUT, Request.DNLOAD, block, 0, len(data)), data)


def upload(block: int, length: int) -> Transfer:
    """UPLOAD."""
    return Transfer(Setup(IN, Request.UPLOAD, block, 0, length))


def request(code: Request) -> Transfer:
    """A request without data."""
    return Transfer(Setup(OUT, code, 0, 0, 0))


def set_alternate(number: int) -> Transfer:
    """SET_INTERFACE."""
    return Transfer(Setup(0x01, 11, number, 0, 0))


def to_idle(kind: Hardware) -> Iterator[Transfer]:
    """To dfuIDLE, also from dfuERROR, in which only an nRF52840 can be: there CLRSTATUS alone would lead from one half
    of the states to dfuIDLE and from the other half away."""
    if kind.is_gen3:
        yield upload(1, 16)
        yield request(Request.CLRSTATUS)
    else:
        yield request(Request.ABORT)
    yield get_status()


def reading_configuration() -> Iterator[Transfer]:
    """The device configuration, from dfuIDLE to dfuIDLE. The end of its window is left out: behind the data, an
    Electron shows the beginning of its next flash page."""
    yield set_alternate(CONFIGURATION_ALTERNATE)
    yield command(Command.SET_ADDRESS, 0)
    yield get_status()
    yield get_status()
    yield request(Request.ABORT)
    for block in range(_CONFIGURATION_BYTES // TRANSFER_BYTES):
        yield upload(2 + block, TRANSFER_BYTES)
    yield request(Request.ABORT)


class Conversation:
    """Makes sequences of acts. The same seed and terrain give the same sequence."""

    def __init__(self, terrain: Terrain, random: Random) -> None:
        self._terrain = terrain
        self._random = random
        self._moves: Sequence[tuple[int, Callable[[], Iterator[Act]]]] = (
            (14, self._tidy_command),
            (8, self._tidy_block),
            (6, self._tidy_upload),
            (10, self._to_idle),
            (14, self._lone_request),
            (6, self._odd_command),
            (4, self._odd_block),
            (5, self._odd_upload),
            (6, self._alternate),
            (9, self._descriptor),
            (6, self._standard),
            (2, self._vendor),
            (2, self._abandoned),
            (1, self._enumerate),
        )

    def acts(self, length: int) -> list[Act]:
        """At least that many acts; at last the device is brought to dfuIDLE and, now and then, the host leaves DFU
        mode."""
        acts: list[Act] = [Enumerate()]
        weights = [weight for weight, _ in self._moves]
        while len(acts) < length:
            move = self._random.choices(self._moves, weights)[0][1]
            acts.extend(move())
        acts.extend(self._to_idle())
        if self._random.random() < 0.15:
            acts.extend(self._leave())
        return acts

    # ---- moves that a sane host makes -------------------------------------------------------------------------------

    def _place(self) -> tuple[Region, int]:
        region = self._random.choice(self._terrain.regions)
        if self._random.random() < 0.6:
            return region, self._random.choice(region.sectors)
        return region, self._random.randrange(region.start_address, region.end_address)

    def _tidy_command(self) -> Iterator[Act]:
        region, address = self._place()
        if self._random.random() < 0.5:
            yield set_alternate(region.alternate)
        code = self._random.choice((Command.SET_ADDRESS, Command.SET_ADDRESS, Command.ERASE))
        yield command(code, address)
        yield from (get_status() for _ in range(self._random.choice((1, 2, 2, 2, 3))))

    def _tidy_block(self) -> Iterator[Act]:
        region, address = self._place()
        yield set_alternate(region.alternate)
        yield command(Command.SET_ADDRESS, address)
        yield get_status()
        yield get_status()
        for block in range(2, 2 + self._random.choice((1, 1, 1, 2))):
            size = self._random.choice((1, 3, 4, 16, 60, 64, 65, 128, 250, 512, TRANSFER_BYTES))
            yield download(block, self._random.randbytes(size))
            yield get_status()
            yield get_status()

    def _tidy_upload(self) -> Iterator[Act]:
        region, address = self._place()
        yield set_alternate(region.alternate)
        yield command(Command.SET_ADDRESS, address)
        yield get_status()
        yield get_status()
        yield request(Request.ABORT)
        for block in range(2, 2 + self._random.choice((1, 1, 2))):
            yield upload(block, self._random.choice((1, 6, 63, 64, 65, 128, 512, TRANSFER_BYTES)))
        if self._random.random() < 0.7:
            yield request(Request.ABORT)

    def _to_idle(self) -> Iterator[Act]:
        yield get_status()
        yield request(self._random.choice((Request.CLRSTATUS, Request.CLRSTATUS, Request.ABORT)))
        if self._random.random() < 0.7:
            yield get_status()

    def _alternate(self) -> Iterator[Act]:
        yield set_alternate(self._random.choice((0, 1, 2, 3, 5, 0x100)))
        yield Transfer(Setup(0x81, 10, 0, 0, 1))

    def _enumerate(self) -> Iterator[Act]:
        yield Enumerate()

    def _leave(self) -> Iterator[Act]:
        yield download(self._random.choice((0, 2)), b"")
        yield get_status()
        yield Wait(1.0)

    # ---- moves that none makes --------------------------------------------------------------------------------------

    def _lone_request(self) -> Iterator[Act]:
        code = self._random.choice((Request.GETSTATUS, Request.GETSTATE, Request.CLRSTATUS, Request.ABORT))
        if code is Request.GETSTATUS:
            yield get_status()
        elif code is Request.GETSTATE:
            yield Transfer(Setup(IN, code, 0, 0, 1))
        else:
            yield request(code)

    def _odd_command(self) -> Iterator[Act]:
        alternate, address = self._random.choice(self._terrain.odd_addresses)
        yield set_alternate(alternate)
        match self._random.randrange(5):
            case 0 | 1:
                yield command(self._random.choice((Command.SET_ADDRESS, Command.ERASE)), address)
            case 2:
                codes = (Command.SET_ADDRESS, Command.ERASE, Command.READ_UNPROTECT, 0x01, 0x33, 0x99, 0xFA, 0xFB, 0xFF)
                yield command(self._random.choice(codes))
            case 3:
                code = self._random.choice((Command.SET_ADDRESS, Command.ERASE))
                yield download(0, bytes([code]) + self._random.randbytes(self._random.choice((1, 2, 3, 5, 7))))
            case _:
                yield command(Command.SET_ADDRESS, address, block=1)
        yield from (get_status() for _ in range(self._random.choice((1, 2, 3))))

    def _odd_block(self) -> Iterator[Act]:
        alternate, address = self._random.choice(self._terrain.odd_addresses)
        yield set_alternate(alternate)
        yield command(Command.SET_ADDRESS, address)
        yield get_status()
        yield get_status()
        yield download(self._random.choice((1, 2, 2)), self._random.randbytes(self._random.choice((1, 4, 8, 64))))
        yield get_status()
        yield get_status()

    def _odd_upload(self) -> Iterator[Act]:
        if self._random.random() < 0.5:
            alternate, address = self._random.choice(self._terrain.odd_addresses + self._terrain.only_read)
            yield set_alternate(alternate)
            yield command(Command.SET_ADDRESS, address)
            yield get_status()
            yield get_status()
            yield request(Request.ABORT)
        yield upload(self._random.choice((0, 0, 1, 2)), self._random.choice((0, 1, 2, 3, 4, 16, 64)))
        yield get_status()

    def _descriptor(self) -> Iterator[Act]:
        kind = self._random.choice((1, 2, 3, 3, 3, 0x21, 4, 6, 7, 0x0F))
        strings = (*range(OWN_STRINGS + len(self._terrain.regions)), MICROSOFT_STRING)
        index = self._random.choice(strings) if kind == 3 else 0
        length = self._random.choice((1, 2, 4, 8, 9, 10, 18, 36, 64, 255, 512))
        recipient = 0x81 if kind == 0x21 and self._random.random() < 0.5 else 0x80
        language = 0x0409 if kind == 3 and index else 0
        yield Transfer(Setup(recipient, 6, kind << 8 | index, language, length))

    def _standard(self) -> Iterator[Act]:
        yield Transfer(self._random.choice(_STANDARD))

    def _vendor(self) -> Iterator[Act]:
        yield Transfer(self._random.choice(_VENDOR))

    def _abandoned(self) -> Iterator[Act]:
        match self._random.randrange(4):
            case 0:
                size = self._random.choice((65, 128, 130, 250, 512))
                setup, data = Setup(OUT, Request.DNLOAD, 2, 0, size), self._random.randbytes(size)
                yield Abandoned(setup, data, self._random.randrange(1, -(-size // 64)))
            case 1:
                yield Abandoned(Setup(IN, Request.UPLOAD, 2, 0, 512), packets=self._random.randrange(1, 8))
            case _:
                yield Abandoned(self._random.choice(_ABANDONED))
        yield get_status()


def gen2_terrain(serial_flash_bytes: int = 0) -> Terrain:
    """STM32F205: sectors of 128 KiB from 0x08020000; the configuration in 16 KiB; a P1's serial flash."""
    internal = Region(0, 0x08020000, 0x08100000, tuple(range(0x08020000, 0x08100000, 0x20000)))
    regions = [internal, Region(1, 0, 0x3000, tuple(range(0, 0x3000, 0x1000)))]
    odd = [
        (0, 0), (0, 0x07FFFFFC), (0, 0x08000000), (0, 0x0800C000), (0, 0x08010000), (0, 0x0801FFFC), (0, 0x080FFFF0),
        (0, 0x08100000), (0, 0x20000000), (0, 0xFFFFFFF0), (1, 0x3FF0), (1, 0x4000), (1, 0x10000), (1, 0x08020000),
    ]  # fmt: skip
    if serial_flash_bytes:
        regions.append(Region(2, 0, serial_flash_bytes, tuple(range(0, serial_flash_bytes, 0x1000))))
        odd += [(2, serial_flash_bytes - 16), (2, serial_flash_bytes), (2, 0x08020000)]
    return Terrain(tuple(regions), tuple(odd))


def gen3_terrain(serial_flash_bytes: int) -> Terrain:
    """nRF52840: pages of 4 KiB below the bootloader; the configuration, a file in the serial flash; what lies behind
    that file system."""
    start, end = 0x80000000 + serial_flash_bytes // 2, 0x80000000 + serial_flash_bytes
    regions = (
        Region(0, 0x30000, 0xF4000, tuple(range(0x30000, 0xF4000, 0x1000))),
        Region(1, 0, 0x3000, tuple(range(0, 0x3000, 0x1000))),
        Region(2, start, end, tuple(range(start, end, 0x1000))),
    )
    odd = (
        (0, 0), (0, 0xFFC), (0, 0x100000), (0, 0x08020000), (0, 0x80000000), (0, 0xFFFFFFF0), (1, 0x3FF0), (1, 0x4000),
        (1, 0x10000), (2, 0), (2, 0x7FFFFFF0), (2, end - 16), (2, end + 0x1000), (2, 0xFFFFFFF0),
    )  # fmt: skip
    return Terrain(regions, odd, ((0, 0xF4000), (0, 0xFFFF0), (0, 0x1000), (2, end)))


def terrain_of(kind: Hardware) -> Terrain:
    """That of a board."""
    outside = kind.external_flash_size_bytes
    return gen3_terrain(outside) if kind.is_gen3 else gen2_terrain(outside)
