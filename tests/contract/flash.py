"""Firmware gets onto a board and is proven there, by each way; what must not be flashed changes nothing."""

import hashlib

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.device.mode_changes import change_mode
from particle_dev.device.modes import Target
from particle_dev.device.swd import swd_session
from particle_dev.errors import PermissionMissingError, PlanRefusedError, RequestRefusedError
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.control_update import update_over_control
from particle_dev.flash.inventory import read_inventory
from particle_dev.flash.offers import Offer
from particle_dev.flash.progress import ModuleProven
from particle_dev.flash.swd_execute import PieceProven, carry_out_swd
from particle_dev.flash.swd_image import module_segments
from particle_dev.flash.swd_inventory import chip_state
from particle_dev.flash.swd_plan import make_swd_plan
from particle_dev.permissions import NOTHING
from particle_dev.protocol.module import parse
from tests.contract.firmware import in_dfu_mode, stayed_offline

pytestmark = [pytest.mark.particle_each_board, pytest.mark.may_erase]


def test_over_dfu(particle_board, firmware):
    """Device OS and application; nothing runs, and the board ends where it stays offline."""
    _, offer = firmware.offer(particle_board.platform, firmware.recipe)
    events = firmware.install(particle_board, offer)
    proven = {event.sha256 for event in events if isinstance(event, ModuleProven)}
    assert proven
    in_dfu_mode(particle_board)
    firmware.assert_nothing_is_missing(particle_board, offer)
    stayed_offline(particle_board)


def test_a_second_time_there_is_nothing_to_do(particle_board, firmware):
    _, offer = firmware.offer(particle_board.platform, firmware.recipe)
    firmware.install(particle_board, offer)
    assert firmware.plan(particle_board, offer)[1].phases == ()
    stayed_offline(particle_board)


@pytest.mark.may_connect
def test_an_application_by_the_running_system(particle_board, firmware):
    """By control request: the running system installs it and starts it."""
    _, offer = firmware.offer(particle_board.platform, firmware.recipe)
    firmware.install(particle_board, offer, leave=True)
    device = particle_board.device()
    (app,) = (f for f in offer.files if f.module.function == ModuleFunction.USER_PART)
    if device.mode is not UsbMode.NORMAL:
        pytest.fail(f"{device} did not leave DFU mode")
    done = update_over_control(
        particle_board.host, device, app, offer.contents[app.sha256], permissions=particle_board.permissions
    )
    assert done.device.device_id == particle_board.device_id


@pytest.mark.particle_link("usb", "swd")
def test_over_a_debug_probe(particle_board, firmware):
    """The application's pages, by SWD; the core stands meanwhile."""
    _, offer = firmware.offer(particle_board.platform, firmware.recipe)
    firmware.install(particle_board, offer)
    platform = particle_board.platform
    segments = module_segments(platform, offer.files, offer.contents.__getitem__)
    with swd_session(particle_board.slot.probe_id, platform) as session:
        identity = session.identity()
        assert identity.device_id == particle_board.device_id
        replaced = {s.part.key for s in segments if s.part}
        state = chip_state(session, identity, platform, replaced=replaced)
        plan = make_swd_plan(state, segments, particle_board.permissions)
        events = list(
            carry_out_swd(
                session,
                plan,
                permissions=particle_board.permissions,
                save_backup=lambda pages: f"{len(pages)} pages, in memory",
            )
        )
    assert [e for e in events if isinstance(e, PieceProven)]
    stayed_offline(particle_board)


def test_a_damaged_module_is_refused_before_anything_is_erased(particle_board, firmware):
    _, offer = firmware.offer(particle_board.platform, firmware.recipe)
    before = read_inventory(particle_board.host, particle_board.in_dfu_mode())
    app = next(f for f in offer.files if f.module.function == ModuleFunction.USER_PART)
    damaged = bytearray(offer.contents[app.sha256])
    damaged[len(damaged) // 2] ^= 0xFF
    sha256 = hashlib.sha256(damaged).hexdigest()
    bad = Offer([ModuleFile(parse(bytes(damaged)), sha256, "damaged.bin")], {sha256: bytes(damaged)})
    with pytest.raises(PlanRefusedError, match=r"damaged\.bin"):
        firmware.plan(particle_board, bad)
    assert read_inventory(particle_board.host, particle_board.device()) == before


def test_what_boots_the_board_is_refused_without_permission(particle_board, firmware):
    device = particle_board.device()
    for target in (Target.NORMAL, Target.SAFE):
        with pytest.raises((PermissionMissingError, RequestRefusedError)):
            change_mode(particle_board.host, device, target, NOTHING)
    assert particle_board.device().usb.address == device.usb.address
