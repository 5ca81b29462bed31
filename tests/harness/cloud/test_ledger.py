"""Metering rules and the ledger. Plans and grace: see billing in Particle's documentation; no real cloud was asked."""

import pytest
from particle_harness.cloud import SimDevice
from particle_harness.cloud.rules.metering import Counted, Plan, blocks_of, counts_in, has_room, is_paused
from particle_harness.cloud.tables import Account

MONTH_S = 31 * 24 * 3600


def test_basic_plan_meters_from_the_first_connection_on(site):
    device = site.member()
    assert not site.cloud.ledger.metered(device.id)
    SimDevice(site.cloud, device).connect()
    assert site.cloud.ledger.metered(device.id)
    assert site.cloud.ledger.has_connected(device.id)
    assert [entry.event for entry in site.cloud.ledger.entries(device.id)] == [
        "added",
        "first connection",
        "metering started",
    ]


def test_free_plan_meters_as_soon_as_a_device_is_added(make_site):
    site = make_site(plan="free")
    device = site.member()
    assert site.cloud.ledger.metered(device.id)
    assert not site.cloud.ledger.has_connected(device.id)


def test_a_device_that_was_online_once_is_metered_when_it_joins(site):
    device = site.cloud.population.make_device("argon")
    argons = site.cloud.population.add_product("Argons", "argon", site.owner)
    SimDevice(site.cloud, device).connect()
    assert site.cloud.ledger.metered(device.id)
    assert site.cloud.ledger.billable("account:" + site.owner.id, "2026-01") == ()
    site.http.post(f"/v1/products/{argons.id}/devices", json={"id": device.id})
    assert site.cloud.ledger.billable("account:" + site.owner.id, "2026-01") == (device.id,)


def test_removal_alone_stops_nothing_while_the_sim_is_owned(site):
    device = site.member()
    SimDevice(site.cloud, device).connect()
    site.http.request("DELETE", f"{site.devices}/{device.id}")
    site.cloud.clock.sleep(MONTH_S)
    assert site.cloud.ledger.counts_now(device.id)
    assert site.http.delete(f"{site.sims}/{device.iccid}").status_code == 204
    site.cloud.clock.sleep(MONTH_S)
    assert not site.cloud.ledger.counts_now(device.id)
    assert site.cloud.ledger.metered(device.id), "what was metered once stays so"


def test_an_organization_pays_for_its_product(site):
    org = site.cloud.population.add_org("factory", site.owner, plan="enterprise")
    product = site.cloud.population.add_product("Trackers", "tracker", site.owner, org=org)
    device = site.cloud.population.make_device("tracker")
    site.http.post(f"/v1/products/{product.id}/devices", json={"id": device.id})
    site.cloud.clock.sleep(60)
    SimDevice(site.cloud, device).connect()
    assert site.cloud.ledger.billable(f"org:{org.id}", "2026-01") == (device.id,)
    usage = site.http.get("/v1/orgs/factory/service_agreements").json()["data"][0]["attributes"]
    assert usage["current_usage_summary"]["connectivity"]["all"]["billable_devices"] == 1


@pytest.mark.parametrize(
    ("month", "billing", "calendar"),
    [
        ("2026-01", True, True),
        ("2026-02", False, False),
        ("2026-06", False, False),
        ("2026-07", True, False),
        ("2026-08", True, True),
    ],
)
def test_grace_of_the_enterprise_plan_by_both_readings(month, billing, calendar):
    silent = Counted(Plan.ENTERPRISE, "2025-12", "2026-01", None, ("2026-01",))
    assert counts_in(month, silent) is billing
    assert counts_in(month, silent, calendar_months=True) is calendar


def test_months_of_the_other_plans():
    connected = Counted(Plan.BASIC, "2026-01", "2026-03", "2026-05")
    assert [m for m in range(1, 9) if counts_in(f"2026-0{m}", connected)] == [3, 4, 5]
    added = Counted(Plan.FREE, "2026-02", None, None)
    assert [m for m in range(1, 5) if counts_in(f"2026-0{m}", added)] == [2, 3, 4]
    assert not counts_in("2026-03", Counted(Plan.BASIC, "2026-01", None, None))


def test_room_blocks_and_pause():
    assert has_room(Plan.FREE, 99, 1)
    assert not has_room(Plan.FREE, 99, 2)
    assert has_room(Plan.BASIC, 99, 1000)
    assert [blocks_of(Plan.BASIC, n) for n in (0, 1, 100, 101)] == [0, 1, 1, 2]
    assert is_paused(Plan.FREE, 100_000, 0)
    assert is_paused(Plan.FREE, 0, 100_000_000)
    assert not is_paused(Plan.BASIC, 10_000_000, 0)


def test_the_free_plan_takes_a_hundred_devices_over_all_products(make_site):
    site = make_site(plan="free")
    argons = site.cloud.population.add_product("Argons", "argon", site.owner)
    ids = [f"e00fce68{n:016x}" for n in range(101)]
    site.cloud.population.make_devices("boron", ids[:60])
    site.cloud.population.make_devices("argon", ids[60:])
    assert site.http.post(site.devices, json={"ids": ids[:60]}).json()["updated"] == 60
    other = f"/v1/products/{argons.id}/devices"
    refused = site.http.post(other, json={"ids": ids[60:]})
    assert (refused.status_code, refused.json()["error"]) == (403, "Device limit reached")
    assert site.http.get(other).json()["devices"] == [], "all of them or none"
    assert site.http.post(other, json={"ids": ids[60:100]}).json()["updated"] == 40


def test_a_paused_account_hears_nothing(make_site):
    site = make_site(plan="free")
    device = SimDevice(site.cloud, site.member())
    device.connect()
    usage = site.cloud.ledger.usage("account:" + site.owner.id)
    usage.data_operations = 100_000
    site.cloud.store.put(usage)
    assert not device.publish("temperature", "21")


def test_publishing_counts_one_operation_for_each_1024_bytes(site):
    device = SimDevice(site.cloud, site.member())
    device.connect()
    for size_bytes in (0, 1024, 1025):
        assert device.publish("data", "x" * size_bytes)
    assert device.publish("spark/device/last_reset", "pin_reset")
    assert site.cloud.ledger.usage("account:" + site.owner.id).data_operations == 4


def test_accounts_have_no_plan_of_their_own_invention(site):
    with pytest.raises(ValueError, match="gold"):
        site.cloud.population.add_account("x@example.com", plan="gold")
    assert site.cloud.store.count(Account) == 1
