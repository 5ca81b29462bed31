"""Undo: takes a device out of its product and gives its SIM back, and proves both by reading back.

Only both together end billing, from the next period on; half of it goes on to cost. So this is a transaction of two
steps that is written down before each act and goes on after a crash where it stopped.

Source: product pages of Particle on removal; particle-iot/docs ``src/content/getting-started/cloud/device-claiming.md``
(unclaiming leaves the SIM active; release may be pending).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from particle_dev.catalog.skus import SimClass
from particle_dev.errors import RemovalIncompleteError
from particle_dev.permissions import Effect, Permissions
from particle_dev.transport.base import Clock

FIRST_POLL_S, LONGEST_POLL_S = 5.0, 60.0
PATIENCE_S = 300.0
"""How long a pending release is waited for in one go; it may take up to a day, so come back later."""


class RemovalCloud(Protocol):
    """What the undo needs of a cloud client. Each call raises CloudError when it fails; one that finds nothing to do
    does nothing."""

    def device_is_member(self, product: str, device_id: str) -> bool:
        """Whether the product has the device."""
        ...

    def device_is_claimed(self, product: str, device_id: str) -> bool:
        """Whether somebody owns the device."""
        ...

    def unclaim_device(self, product: str, device_id: str) -> None:
        """Take the device from its owner."""
        ...

    def remove_device(self, product: str, device_id: str) -> None:
        """Take the device out of the product."""
        ...

    def sim_status(self, product: str, iccid: str) -> str | None:
        """Status of a SIM of the product; None: the product has no such SIM."""
        ...

    def release_sim(self, product: str, iccid: str) -> None:
        """Ask for a SIM to be given back, which deactivates it. It may stay pending."""
        ...


class RemovalStep(StrEnum):
    """Steps in their order. Unclaiming comes first: afterwards the product no longer shows the device."""

    UNCLAIM = "unclaim"
    REMOVE_DEVICE = "remove_device"
    RELEASE_SIM = "release_sim"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Removal:
    """One undo and how far it is. ``iccid`` None: the device has no SIM. Keep it before each act."""

    device_id: str
    product: str
    iccid: str | None
    done: tuple[RemovalStep, ...] = ()

    @property
    def next_step(self) -> RemovalStep | None:
        """What comes next; None: it is complete, and the device is not billable from the next period on."""
        steps = [s for s in RemovalStep if s is not RemovalStep.RELEASE_SIM or self.iccid]
        return next((s for s in steps if s not in self.done), None)

    @property
    def is_complete(self) -> bool:
        """Both are gone, and that was read back."""
        return self.next_step is None


def removal_warning(sim_class: SimClass | None) -> str | None:
    """What to tell before a SIM of that class (None: unknown) is released. None: nothing."""
    if sim_class in (SimClass.FAST, SimClass.GENERALLY_FAST):
        return None
    of = "this class" if sim_class is SimClass.SOMETIMES_SLOW else "an unknown class"
    return f"a SIM of {of} may take from tens of minutes to days to come back: release it only for good"


def undo(
    cloud: RemovalCloud,
    removal: Removal,
    permissions: Permissions,
    save: Callable[[Removal], None],
    clock: Clock,
    patience_s: float = PATIENCE_S,
) -> Removal:
    """Carry the undo out, or go on with it. **Takes the device out of the product and releases its SIM**: needs
    ``may_release``. ``save`` is called with the state after each step, and must have kept it when it returns.

    Every step first reads what is there, so a repeated one does no harm. Raises PermissionMissingError before anything
    is done; RemovalIncompleteError when the SIM is still pending after ``patience_s`` or something is still there that
    was removed (``removal`` is what to go on with: the device is to be taken for billable); CloudError.
    """
    permissions.require(Effect.RELEASE, f"removing {removal.device_id} from product {removal.product}")
    while (step := removal.next_step) is not None:
        match step:
            case RemovalStep.UNCLAIM:
                _unclaim(cloud, removal)
            case RemovalStep.REMOVE_DEVICE:
                if cloud.device_is_member(removal.product, removal.device_id):
                    cloud.remove_device(removal.product, removal.device_id)
            case RemovalStep.RELEASE_SIM:
                _release(cloud, removal, clock, patience_s)
            case RemovalStep.VERIFY:
                removal = _verify(cloud, removal, save)
        removal = replace(removal, done=(*removal.done, step))
        save(removal)
    return removal


def _unclaim(cloud: RemovalCloud, removal: Removal) -> None:
    product, device_id = removal.product, removal.device_id
    if cloud.device_is_member(product, device_id) and cloud.device_is_claimed(product, device_id):
        cloud.unclaim_device(product, device_id)


def _release(cloud: RemovalCloud, removal: Removal, clock: Clock, patience_s: float) -> None:
    assert removal.iccid is not None
    if cloud.sim_status(removal.product, removal.iccid) is None:
        return
    cloud.release_sim(removal.product, removal.iccid)
    deadline_s, wait_s = clock.monotonic_s() + patience_s, FIRST_POLL_S
    while cloud.sim_status(removal.product, removal.iccid) is not None:
        if clock.monotonic_s() + wait_s > deadline_s:
            raise RemovalIncompleteError(
                f"the release of SIM {removal.iccid} is still pending after {patience_s:.0f} s",
                device_id=removal.device_id,
                remaining=[RemovalStep.RELEASE_SIM, RemovalStep.VERIFY],
                hint="the device still counts; run the same again later, for a day at most, then ask support",
            )
        clock.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_POLL_S)


def _verify(cloud: RemovalCloud, removal: Removal, save: Callable[[Removal], None]) -> Removal:
    """Read back. What is there again must be removed again: its steps are undone in the state."""
    back = []
    if cloud.device_is_member(removal.product, removal.device_id):
        back.append(RemovalStep.REMOVE_DEVICE)
    if removal.iccid is not None and cloud.sim_status(removal.product, removal.iccid) is not None:
        back.append(RemovalStep.RELEASE_SIM)
    if not back:
        return removal
    again = replace(removal, done=tuple(s for s in removal.done if s not in back))
    save(again)
    raise RemovalIncompleteError(
        f"{removal.device_id}: {' and '.join(back)} did not last: the product has it again",
        device_id=removal.device_id,
        remaining=back,
        hint="the device still counts; see that nothing imports or approves it, and run the same again",
    )
