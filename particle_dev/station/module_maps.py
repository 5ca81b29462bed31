"""Byte maps of the modules of a run: each drawn once, shown by every unit that got the module."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from markupsafe import Markup

from particle_dev.errors import FirmwareStoreError, ModuleFormatError
from particle_dev.protocol.module import parse
from particle_dev.station.byte_map_svg import draw_byte_map
from particle_dev.station.run_record import RunRecord

ReadModule: TypeAlias = Callable[[str], bytes]
"""The bytes of a module file by its SHA-256, as :meth:`FirmwareStore.read` gives them; raises FirmwareStoreError."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModuleMap(NamedTuple):
    """A picture for ``<symbol>`` and ``<use>``."""

    id: str
    view_box: str
    body: Markup


def module_maps(record: RunRecord, read_module: ReadModule) -> dict[str, ModuleMap]:
    """Maps by SHA-256, in the order of units; those that ``read_module`` does not have are left out."""
    maps: dict[str, ModuleMap] = {}
    names = {module.sha256: module.file_name for unit in record.units for module in unit.modules}
    for sha256 in filter(_SHA256.fullmatch, names):
        try:
            data = read_module(sha256)
            picture = draw_byte_map(parse(data), data, title=names[sha256])
        except (FirmwareStoreError, ModuleFormatError):
            continue
        # The picture escapes what it is given.
        body = Markup(picture.body)  # noqa: S704
        maps[sha256] = ModuleMap(f"map-{sha256[:16]}", f"0 0 {picture.width} {picture.height}", body)
    return maps


def no_modules(sha256: str) -> bytes:
    """A reader without a store."""
    raise FirmwareStoreError(f"there is no store to read {sha256} from", hint="give the store that the run used")
