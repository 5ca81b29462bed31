"""What a firmware module says about itself, as values; :mod:`particle_dev.protocol.module` reads them."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction

_EXTENSION_HEADER_SIZE_BYTES = 4


class ExtensionType(IntEnum):
    """Types of TLV extensions (END and erased flash are not delivered)."""

    PRODUCT_DATA = 0x0001
    DYNAMIC_LOCATION = 0x0002
    DEPENDENCY = 0x0003
    HASH = 0x0010
    NAME = 0x0011
    ASSET_DEPENDENCY = 0x0012
    SECURITY_MODE = 0x0013
    ASSET_TYPE = 0x0014


# Named tuples, because importing and using dataclasses takes a tenth of the run time of `inspect`.
class Dependency(NamedTuple):
    """Another module that must be present with at least ``version``."""

    function: ModuleFunction
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    version: int


class Crc32Check(NamedTuple):
    """CRC-32 of the module without its last 4 bytes, as stored there and as computed."""

    stored: int
    computed: int

    @property
    def ok(self) -> bool:
        """Whether both are equal; a device refuses the module otherwise."""
        return self.stored == self.computed


class Sha256Check(NamedTuple):
    """SHA-256 of the suffix, as stored and as computed over what such a module hashes.

    Devices never check it, they report it as the firmware's identity.
    """

    stored: bytes
    computed: bytes

    @property
    def ok(self) -> bool:
        """Whether both are equal."""
        return self.stored == self.computed


class Product(NamedTuple):
    """Product of a user part or mono firmware; without a product ID of its own, ``id`` is the platform ID."""

    id: int
    version: int


class Extension(NamedTuple):
    """A TLV of prefix or suffix; ``offset`` is the file offset of its 4-byte header."""

    type: int
    offset: int
    payload: bytes

    @property
    def length_bytes(self) -> int:
        """Length as the TLV states it, header included."""
        return len(self.payload) + _EXTENSION_HEADER_SIZE_BYTES


class Problem(NamedTuple):
    """Why a file is not an intact module: stable ``code``, file ``offset`` where there is one, a sentence."""

    code: str
    offset: int | None
    message: str


class Module(NamedTuple):
    """A module as its file describes it. Trust the fields only when :attr:`ok`.

    ``start_address`` is where file byte 0 belongs, ``end_address`` (exclusive) is where the CRC follows.
    ``payload_offset`` is where the bytes that go to the start address begin: behind the prefix when the only
    flag is ``DROP_MODULE_INFO``, else 0. ``sha256`` is None without a suffix; ``product`` is None for other
    kinds than user part and mono firmware and for firmware that belongs to no product.
    """

    size_bytes: int
    file_size_bytes: int
    prefix_offset: int
    payload_offset: int
    start_address: int
    end_address: int
    mcu_target: int
    flags: ModuleFlag
    version: int
    platform_id: int
    function: ModuleFunction
    index: int  # type: ignore[assignment]  # see Dependency
    dependencies: tuple[Dependency, ...]
    crc32: Crc32Check
    sha256: Sha256Check | None
    product: Product | None
    suffix_size_bytes: int
    extensions: tuple[Extension, ...]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether the file is exactly one intact module of a known platform."""
        return not self.problems
