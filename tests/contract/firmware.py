"""Firmware that contracts flash: per platform what a recipe names, from a store."""

from dataclasses import dataclass, field

import pytest

from particle_dev.catalog.platforms import UsbMode
from particle_dev.flash.carry_out import carry_out
from particle_dev.flash.inventory import read_inventory
from particle_dev.flash.offers import Offer, release_offer
from particle_dev.flash.store import FirmwareStore
from particle_dev.flash.update_plan import make_update_plan
from particle_dev.station.recipe import Recipe


@dataclass
class Firmware:
    """``recipe`` for what is shipped, ``following`` for what it is upgraded to."""

    store: FirmwareStore
    recipe: Recipe
    following: Recipe
    shown: str
    offers: dict = field(default_factory=dict)

    def offer(self, platform, recipe):
        """Device OS and application. A platform that the recipe does not name is not tested, which is no pass."""
        choice = recipe.firmware.get(platform.name)
        if choice is None:
            pytest.skip(f"recipe {recipe.name} names no firmware for {platform.name}")
        key = platform.name, recipe.name
        if key not in self.offers:
            offer = self.offers[key] = Offer()
            release_offer(self.store, platform, choice.device_os, offer)
            offer.add_stored(self.store, [self.store.app(platform.name, choice.app)])
        return choice.device_os, self.offers[key]

    def plan(self, board, offer, **options):
        device = board.device()
        return device, make_update_plan(
            read_inventory(board.host, device), list(offer.files), mode=device.mode, **options
        )

    def install(self, board, offer, **options):
        """Carry out what is missing; the events. The board ends in DFU mode, unless ``leave``."""
        device, plan = self.plan(board, offer, **options)
        board.log.add(f"plan: {'; '.join(str(phase.kind) for phase in plan.phases) or 'nothing to do'}")
        read = offer.contents.__getitem__
        return list(carry_out(board.host, device, plan, read, permissions=board.permissions))

    def assert_nothing_is_missing(self, board, offer):
        """By a new look at the board, whatever was said before."""
        _, plan = self.plan(board, offer)
        assert [str(phase.kind) for phase in plan.phases] == []


def stayed_offline(board):
    """What only models tell; real boards are judged by their counters in the contract of shipping."""
    if board.is_virtual:
        truth = board.virtual.truth
        assert (truth.network_attempts, truth.cloud_attempts, truth.first_connected_at_s) == (0, 0, None)


def in_dfu_mode(board):
    assert board.device().mode is UsbMode.DFU
