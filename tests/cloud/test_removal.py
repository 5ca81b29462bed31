"""Undo: both halves, in their order, proven by reading back, and resumed after any interruption.

The cloud here is our own; that the real one answers so is not proven.
"""

from dataclasses import replace

import pytest
from particle_harness.clock import VirtualClock

from particle_dev.catalog.skus import SimClass
from particle_dev.cloud.removal import PATIENCE_S, Removal, RemovalStep, removal_warning, undo
from particle_dev.errors import CloudError, PermissionMissingError, RemovalIncompleteError
from particle_dev.permissions import NOTHING, Permissions

MAY_RELEASE = Permissions(may_release=True)
ICCID = "8934076500002589174"


class Cloud:
    """A product with one device and its SIM. ``fail_at``: that call (counted from 1) raises; ``after`` it acted."""

    def __init__(self, clock, *, claimed=False, pending_s=0.0, fail_at=None, after=False):
        self.member, self.claimed, self.sim = True, claimed, "active"
        self.clock, self.pending_s, self.released_at_s = clock, pending_s, None
        self.calls, self.acts = 0, []
        self.fail_at, self.after = fail_at, after

    def call(self, act=None):
        self.calls += 1
        fails = self.calls == self.fail_at
        if fails and not self.after:
            raise CloudError("500", hint="again")
        if act:
            self.acts.append(act)
        return fails

    def finish(self, fails):
        if fails:
            raise CloudError("500", hint="again")

    def device_is_member(self, product, device_id):
        self.finish(self.call())
        return self.member

    def device_is_claimed(self, product, device_id):
        self.finish(self.call())
        return self.claimed

    def unclaim_device(self, product, device_id):
        fails = self.call("unclaim")
        assert self.member, "after the removal the product no longer sees it"
        self.claimed = False
        self.finish(fails)

    def remove_device(self, product, device_id):
        fails = self.call("remove")
        self.member = False
        self.finish(fails)

    def sim_status(self, product, iccid):
        self.finish(self.call())
        if self.released_at_s is not None and self.clock.monotonic_s() >= self.released_at_s + self.pending_s:
            return None
        return "updating" if self.released_at_s is not None else self.sim

    def release_sim(self, product, iccid):
        fails = self.call("release")
        self.released_at_s = self.clock.monotonic_s() if self.released_at_s is None else self.released_at_s
        self.finish(fails)


@pytest.fixture
def clock():
    return VirtualClock()


def removal(**fields):
    return replace(Removal("e00fce68" + "0" * 16, "12345", ICCID), **fields)


def test_needs_the_permission(clock):
    cloud = Cloud(clock)
    with pytest.raises(PermissionMissingError, match="--may-release"):
        undo(cloud, removal(), NOTHING, lambda _: None, clock)
    assert cloud.calls == 0


@pytest.mark.parametrize("claimed", [True, False])
def test_order(clock, claimed):
    cloud, saved = Cloud(clock, claimed=claimed), []
    done = undo(cloud, removal(), MAY_RELEASE, saved.append, clock)
    assert done.is_complete
    assert cloud.acts == [*(["unclaim"] if claimed else []), "remove", "release"]
    assert [s.done[-1] for s in saved] == list(RemovalStep)
    assert (cloud.member, cloud.sim_status("", "")) == (False, None)


def test_a_device_without_a_sim(clock):
    cloud = Cloud(clock)
    assert undo(cloud, removal(iccid=None), MAY_RELEASE, lambda _: None, clock).is_complete
    assert "release" not in cloud.acts


def test_a_pending_release_is_waited_for(clock):
    assert undo(Cloud(clock, pending_s=120), removal(), MAY_RELEASE, lambda _: None, clock).is_complete
    assert 120 <= clock.monotonic_s() < 200


def test_a_release_that_takes_longer_is_told_and_gone_on_with(clock):
    cloud, saved = Cloud(clock, pending_s=3600), []
    with pytest.raises(RemovalIncompleteError, match="still pending") as caught:
        undo(cloud, removal(), MAY_RELEASE, saved.append, clock)
    assert caught.value.remaining == ("release_sim", "verify")
    assert clock.monotonic_s() <= PATIENCE_S
    assert not saved[-1].is_complete
    clock.sleep(3600)
    assert undo(cloud, saved[-1], MAY_RELEASE, saved.append, clock).is_complete
    assert cloud.acts == ["remove", "release"], "nothing was asked twice"


def test_what_is_there_again_is_found_and_done_again(clock):
    cloud, saved = Cloud(clock), []

    def save(state):
        saved.append(state)
        if state.done[-1] is RemovalStep.RELEASE_SIM and len(saved) < 5:
            cloud.member = True  # somebody imports it again

    with pytest.raises(RemovalIncompleteError, match="did not last") as caught:
        undo(cloud, removal(), MAY_RELEASE, save, clock)
    assert caught.value.remaining == ("remove_device",)
    assert undo(cloud, saved[-1], MAY_RELEASE, save, clock).is_complete
    assert not cloud.member


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", range(1, 10))
def test_an_interruption_at_any_call_costs_only_a_second_run(clock, call, after):
    cloud, kept = Cloud(clock, claimed=True, fail_at=call, after=after), [removal()]
    try:
        undo(cloud, kept[-1], MAY_RELEASE, kept.append, clock)
    except CloudError:
        assert not kept[-1].is_complete
        assert undo(cloud, kept[-1], MAY_RELEASE, kept.append, clock).is_complete
    assert not cloud.member
    assert cloud.sim_status("", "") is None


def test_half_of_it_is_not_complete():
    assert removal(done=(RemovalStep.UNCLAIM, RemovalStep.REMOVE_DEVICE)).next_step is RemovalStep.RELEASE_SIM
    whole = (RemovalStep.UNCLAIM, RemovalStep.REMOVE_DEVICE, RemovalStep.RELEASE_SIM)
    assert not removal(done=whole).is_complete, "not read back"


@pytest.mark.parametrize(
    ("sim_class", "warns"),
    [(SimClass.FAST, False), (SimClass.GENERALLY_FAST, False), (SimClass.SOMETIMES_SLOW, True), (None, True)],
)
def test_warning_about_sims_that_come_back_slowly(sim_class, warns):
    assert bool(removal_warning(sim_class)) is warns
