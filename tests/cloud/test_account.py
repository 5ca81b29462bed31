"""Who owns a product and how much of the plan is used, against the simulated cloud; and where a device is."""

import pytest

from particle_dev.cloud.account import EXPLAINED, Whereabouts, count_sandbox, read_account
from particle_dev.cloud.order_file import OrderEntry
from particle_dev.cloud.plans import PlanName
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import product as get_product
from particle_dev.cloud.records import DeviceRecord, Product
from particle_dev.permissions import Permissions

from .sim_site import SimSite

MAY_BILL = Permissions(may_bill=True)
IDS = [f"e00fce68{n << 16:016x}" for n in range(1, 6)]


@pytest.fixture
def make_site():
    made = []

    def make(**settings):
        made.append(SimSite(**settings))
        made[-1].sim.population.make_devices("boron", IDS)
        return made[-1]

    yield make
    for site in made:
        site.close()


def account(site, plan=None):
    return read_account(site.api, get_product(site.api, site.product.id), plan)


def product(number, count):
    return Product(number, "x", "x", 13, device_count=count)


@pytest.mark.parametrize(
    ("own", "products", "count"),
    [
        ([], [], 0),
        ([DeviceRecord("a", platform_id=13, product_id=13)], [product(1, 5), product(2, 7)], 13),
        ([DeviceRecord("a", platform_id=13, product_id=1)], [product(1, 5)], 5),
        ([DeviceRecord("a", platform_id=13, product_id=999)], [product(1, 5)], 5),
        ([DeviceRecord("a", platform_id=13)], [], 1),
        ([], [product(1, 5), product(2, None)], None),
    ],
)
def test_devices_of_the_free_plan(own, products, count):
    assert count_sandbox(own, products) == count


def test_a_sandbox_is_its_users_on_the_free_plan(make_site):
    site = make_site()
    ProductDevices(site.api, site.product.id).import_devices(IDS[:3], MAY_BILL)
    found = account(site)
    assert (found.owner, found.is_organization) == ("me@example.com", False)
    assert (found.capacity.plan.name, found.capacity.devices, found.metered) == (PlanName.FREE, 3, 3)


def test_an_organization_pays_for_its_products_by_what_has_connected(make_site):
    site = make_site(plan="basic", org=True)
    ProductDevices(site.api, site.product.id).import_devices(IDS[:3], MAY_BILL)
    found = account(site)
    assert (found.owner, found.is_organization) == ("Acme", True)
    assert (found.capacity.plan.name, found.capacity.devices, found.metered) == (PlanName.BASIC, None, 0)
    assert account(site, PlanName.ENTERPRISE).capacity.plan.name is PlanName.ENTERPRISE


@pytest.mark.parametrize("scopes", [("products:get",), ("products:get", "products:list", "devices:list")])
def test_an_api_user_knows_neither_owner_nor_number(make_site, scopes):
    site = make_site()
    _, token = site.sim.population.add_api_user(site.product, *scopes)
    site.api = site.api_for(token)
    found = account(site)
    assert "does not see" in found.owner
    assert (found.capacity.devices, found.metered) == (None, None)


class TestWhereabouts:
    @pytest.fixture
    def site(self, make_site):
        site = make_site(plan="basic", org=True)
        site.other = site.sim.population.add_product("Gadget", "boron", site.owner)
        ProductDevices(site.api, site.other.id).import_devices(IDS[:1], MAY_BILL)
        return site

    def whereabouts(self, site):
        return Whereabouts(site.api, get_product(site.api, site.product.id))

    def test_a_device_in_another_product_is_found_by_either_name(self, site):
        found = self.whereabouts(site)
        serial_number = ProductDevices(site.api, site.other.id).get(IDS[0]).serial_number
        for entry in (OrderEntry("a", 1, device_id=IDS[0]), OrderEntry("a", 1, serial_number=serial_number)):
            assert found.explain(entry) == f"it is in product Gadget ({site.other.id})"
        assert found.explain(OrderEntry("a", 1, device_id=IDS[1])) is None

    def test_not_every_one_of_many_is_looked_for(self, site):
        found = self.whereabouts(site)
        for _ in range(EXPLAINED):
            found.explain(OrderEntry("a", 1, device_id=IDS[1]))
        before = len(site.requests)
        assert found.explain(OrderEntry("a", 1, device_id=IDS[0])) is None
        assert len(site.requests) == before
