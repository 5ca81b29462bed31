"""``particle-dev firmware``. Its commands are imported when they are used."""

from __future__ import annotations

from particle_dev.cli.lazy_group import lazy_group

_COMMANDS = {
    "add": "particle_dev.cli.firmware_store:add",
    "build-bundle": "particle_dev.cli.firmware_bundle:build_bundle",
    "check": "particle_dev.cli.firmware_check:check",
    "compress": "particle_dev.cli.firmware_edit:compress_file",
    "diff": "particle_dev.cli.firmware_diff:diff",
    "expand": "particle_dev.cli.firmware_edit:expand_file",
    "list": "particle_dev.cli.firmware_store:list_modules",
    "set-product": "particle_dev.cli.firmware_edit:set_product_file",
    "split": "particle_dev.cli.firmware_split:split_file",
}


@lazy_group(_COMMANDS)
def firmware() -> None:
    """The store of verified modules, and tools for single files."""
