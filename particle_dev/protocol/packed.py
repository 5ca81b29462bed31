"""What is packed in an intact module: an asset, or compressed data. Imports construct, which is slow."""

from __future__ import annotations

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.asset import read_asset_module
from particle_dev.protocol.compressed import expand
from particle_dev.protocol.module_edit import standalone
from particle_dev.protocol.module_traits import Piece


def check_packed(piece: Piece, function: int) -> None:
    """Raise the ModuleFormatError that a device would answer with to what is packed in a piece. It has no offset:
    those of the expanded module are not those of the file."""
    try:
        if function == ModuleFunction.ASSET:
            read_asset_module(standalone(piece))
        else:
            expand(standalone(piece))
    except ModuleFormatError as error:
        error.offset = None
        if error.code == "no_prefix":  # of what comes out; the module itself has one
            error.code, error.message = "bad_compression", f"What it expands to is no module: {error.message}"
        raise
