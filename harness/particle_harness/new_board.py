"""A board as it leaves the factory, or a former owner."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from particle_harness.board_settings import BoardSettings
from particle_harness.boards import Hardware
from particle_harness.factory import furnish
from particle_harness.memories import Memories
from particle_harness.protection import Protection
from particle_harness.state import BoardState
from particle_harness.user_information import factory_uicr, mbr_stand_in
from particle_harness.wifi import FORMER_OWNERS_NETWORK


def leave_factory(
    settings: BoardSettings,
    hardware: Hardware,
    memories: Memories,
    protection: Protection,
    state: BoardState,
    release_modules: Callable[[], Iterable[bytes]],
    bootloader_version: Callable[[], int],
) -> None:
    """Fill the memories of a new board as its settings say; a blank one stays as the chips came."""
    if settings.blank:
        return
    furnish(
        memories.internal,
        memories.external,
        hardware,
        release_modules(),
        old_bootloader=settings.old_bootloader,
        factory_image=settings.factory_image,
        device_os=settings.device_os,
    )
    if settings.online:
        memories.dct.mark_setup_done()
        state.wifi_networks.append(FORMER_OWNERS_NETWORK)
    if settings.protected or settings.service_mode:
        protection.furnish()
    if settings.service_mode:
        protection.open()
    if memories.uicr is not None:
        memories.internal.load(0, mbr_stand_in())
        memories.uicr[:] = factory_uicr(bootloader_version(), was_protected=protection.locked)
    state.dfu_requested = settings.arrives_in_dfu
