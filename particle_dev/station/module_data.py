"""A module of a unit as JSON data of events."""

from __future__ import annotations

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.station.events import JsonObject


def module_data(file: ModuleFile, address: int) -> JsonObject:
    """A module for ``unit_finished``; read back later."""
    module = file.module
    return {
        "function": ModuleFunction(module.function).label,
        "index": module.index,
        "version": module.version,
        "sha256": file.sha256,
        "size_bytes": module.size_bytes,
        "address": address,
        "file_name": file.file_name,
        "read_back_sha256": None,
    }
