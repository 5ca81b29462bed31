"""The guard's side of a station: the product's stream, proven alive by our own client against the simulated cloud over
HTTP, on the clock of this machine."""

from dataclasses import replace

import pytest
from particle_harness.clock import RealClock
from particle_harness.cloud import SimCloud, SimDevice
from particle_harness.cloud.tables import Sim

from particle_dev.cloud.facts import FactVerdict, stream_fact
from particle_dev.cloud.plans import PlanName
from particle_dev.cloud.session import open_cloud
from particle_dev.cloud.strategies import Act, Strategy
from particle_dev.errors import (
    CloudAuthError,
    CloudDeniedError,
    CloudNotFoundError,
    GuardStateError,
    PermissionMissingError,
)
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.protocol.secret import Secret
from particle_dev.station.guard_setup import DEVICES_NAME, opened_guard
from particle_dev.station.recipe import CloudChoice, FirmwareChoice, Limits, Recipe


@pytest.fixture
def site():
    cloud = SimCloud(RealClock())
    owner = cloud.population.add_account("me@example.com", "password", plan="basic")
    product = cloud.population.add_product("Sensors", "boron", owner)
    device = cloud.population.make_device("boron")
    with cloud.serve() as server:
        yield cloud, product, device, server.url, cloud.population.make_token(owner)
    cloud.close()


def recipe(product, plan=PlanName.BASIC):
    choice = CloudChoice(str(product), plan)
    return Recipe(
        "ship", "", "dfu", {"boron": FirmwareChoice("2.1.0", "x")}, Limits(), "ship.toml", "0" * 64, Strategy.C, choice
    )


@pytest.fixture
def api():
    opened = []

    def make(url, token, tmp_path):
        opened.append(open_cloud(token=Secret(token), api_url=url, limit_place=tmp_path / "limits"))
        return opened[-1]

    yield make
    for one in opened:
        one.link.close()


def test_the_stream_is_a_witness_before_a_board_gets_power(site, api, tmp_path):
    _, product, device, url, token = site
    client = api(url, token, tmp_path)
    with opened_guard(recipe(product.id, PlanName.FREE), client, tmp_path / "site", NOTHING) as guard:
        assert guard.budget is not None
        watch = guard.watch(device.id)
        assert watch.alive_until is not None
        assert (watch.gaps, watch.events) == ((), ())
        now = client.clock.utc_now()
        assert stream_fact(watch, [(watch.since, watch.since)], now).verdict is FactVerdict.PASS
        assert guard.evidence.snapshot(device.id, now).is_member is False


def test_a_connection_shows(site, api, tmp_path):
    cloud, product, device, url, token = site
    client = api(url, token, tmp_path)
    with cloud.session():
        cloud.take_into_product(device, product, "test")
        sim = cloud.store.get(Sim, device.iccid)
        sim.status, sim.owner_product = "active", product.id
        cloud.store.put(sim)
    with opened_guard(recipe(product.id), client, tmp_path / "site", NOTHING) as guard:
        SimDevice(cloud, device).connect()
        watch = guard.watch(device.id)
        for _ in range(100):
            if watch.events:
                break
            client.clock.sleep(0.05)
            watch = guard.watch(device.id)
        now = client.clock.utc_now()
        assert stream_fact(watch, [(watch.since, now)], now).verdict is FactVerdict.FAIL
        snapshot = guard.evidence.snapshot(device.id, now)
        assert snapshot.fact("C1").verdict is FactVerdict.FAIL
        assert snapshot.sim.status == "active"


@pytest.mark.parametrize(
    ("strategy", "acts", "flag"),
    [(Strategy.A, (), "--may-connect"), (Strategy.C, (Act.IDENTIFY, Act.IMPORT), "--may-bill")],
)
def test_what_nobody_allowed_is_refused_before_a_board_is_touched(site, api, tmp_path, strategy, acts, flag):
    _, product, _, url, token = site
    asked = replace(recipe(product.id), strategy=strategy, order=acts)
    with (
        pytest.raises(PermissionMissingError) as caught,
        opened_guard(asked, api(url, token, tmp_path), tmp_path, NOTHING),
    ):
        pass
    assert flag in caught.value.hint


def test_with_consent_strategy_a_opens(site, api, tmp_path):
    _, product, _, url, token = site
    asked = replace(recipe(product.id), strategy=Strategy.A)
    with opened_guard(asked, api(url, token, tmp_path), tmp_path, Permissions(may_connect=True)) as guard:
        assert guard.permissions.may_connect


def test_what_is_wrong_is_told_before_a_board_is_touched(site, api, tmp_path):
    _, product, _, url, token = site
    with (
        pytest.raises((CloudNotFoundError, CloudDeniedError)),
        opened_guard(recipe(99), api(url, token, tmp_path), tmp_path, NOTHING),
    ):
        pass
    with (
        pytest.raises(CloudAuthError),
        opened_guard(recipe(product.id), api(url, "f" * 40, tmp_path), tmp_path, NOTHING),
    ):
        pass
    (tmp_path / DEVICES_NAME).write_text("nonsense\n")
    with (
        pytest.raises(GuardStateError),
        opened_guard(recipe(product.id), api(url, token, tmp_path), tmp_path, NOTHING),
    ):
        pass
