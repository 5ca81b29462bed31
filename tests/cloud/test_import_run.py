"""Imports against the simulated cloud, on a virtual clock.

The simulator is ours; that it answers as Particle's cloud does is what the foreign clients judge (tests/judges).
"""

import pytest

from particle_dev.cloud.account import Whereabouts, read_account
from particle_dev.cloud.import_plan import plan_import, takes_plastic_sims
from particle_dev.cloud.import_report import Outcome
from particle_dev.cloud.import_run import OrderImport, read_roll
from particle_dev.cloud.import_state import ImportState
from particle_dev.cloud.order_file import read_order
from particle_dev.cloud.plans import PlanName
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import product as get_product
from particle_dev.cloud.sim_wait import SimWaitState
from particle_dev.cloud.sims import Sims
from particle_dev.errors import CapacityError, CloudError, ImportStateError, PermissionMissingError, TransportError
from particle_dev.permissions import Permissions

from .sim_site import SimSite

MAY_BILL = Permissions(may_bill=True)


@pytest.fixture
def make_site():
    made = []

    def make(*arguments, **settings):
        made.append(SimSite(*arguments, **settings))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(make_site):
    return make_site(plan="basic", org=True)


def ids(count, first=1):
    # So far apart that the simulator's IMEIs differ, too.
    return [f"e00fce68{n << 16:016x}" for n in range(first, first + count)]


class Importer:
    """What the command line does, without the command line."""

    def __init__(self, site, path, plan=None):
        self.site = site
        self.path = path / "state.jsonl"
        self.plan_name = plan
        self.devices = ProductDevices(site.api, site.product.id)
        self.sims = Sims(site.api, site.product.id)
        self.progress = []

    def plan(self, text):
        order = read_order([("order.txt", text.encode())])
        product = get_product(self.site.api, self.site.product.id)
        roll = read_roll(self.devices, product, order, self.progress.append)
        account = read_account(self.site.api, product, self.plan_name)
        plan = plan_import(product, account, order, roll)
        if takes_plastic_sims(plan.platform):
            plan = plan_import(product, account, order, roll, [sim.iccid for sim in self.sims.list()])
        return plan

    def run(self, text, permissions=MAY_BILL, **options):
        plan = self.plan(text)
        with ImportState(self.path, plan.product.id) as state:
            explain = Whereabouts(self.site.api, plan.product).explain
            job = OrderImport(self.devices, self.sims, state, self.site.clock, self.progress.append, explain)
            return job.run(plan, permissions, **options)

    def members(self):
        return [record.id for record in self.devices.list(sort="deviceId", descending=False)]


@pytest.fixture
def importer(site, tmp_path):
    return Importer(site, tmp_path)


def test_an_order_comes_into_the_product_with_its_sims_active(site, importer):
    site.sim.population.make_devices("boron", ids(120))
    report = importer.run("\n".join(ids(120)))
    assert report.verdict == "done"
    assert (report.added, report.present, report.active_sims) == (120, 0, 120)
    assert importer.members() == ids(120)
    assert not importer.path.exists()
    assert site.sim.ledger.metered_devices() == ()


def test_all_of_an_order_come_into_a_group_those_that_were_there_too(site, importer):
    site.sim.population.make_devices("boron", ids(6))
    importer.run("\n".join(ids(3)))
    allowed = Permissions(may_bill=True, may_update_devices=True)
    report = importer.run("\n".join(ids(6)), allowed, groups=["line-1", "may"])
    assert report.verdict == "done"
    assert {tuple(sorted(r.groups)) for r in importer.devices.list()} == {("line-1", "may")}
    assert site.sent("PUT", "/devices") == 1


def test_a_group_needs_its_permission_before_anything_is_asked_for(site, importer):
    site.sim.population.make_devices("boron", ids(3))
    with pytest.raises(PermissionMissingError, match="line-1"):
        importer.run("\n".join(ids(3)), groups=["line-1"])
    assert importer.members() == []


def test_nothing_is_asked_for_without_permission(site, importer):
    site.sim.population.make_devices("boron", ids(2))
    with pytest.raises(PermissionMissingError) as caught:
        importer.run("\n".join(ids(2)), Permissions())
    assert "--may-bill" in caught.value.hint
    assert site.sent("POST", "/devices") == 0
    assert importer.members() == []


def test_importing_again_asks_for_nothing_and_needs_no_permission(site, importer):
    site.sim.population.make_devices("boron", ids(30))
    importer.run("\n".join(ids(30)))
    before = site.sent("POST", "/devices")
    report = importer.run("\n".join(ids(30)), Permissions())
    assert (report.verdict, report.added, report.present) == ("done", 0, 30)
    assert site.sent("POST", "/devices") == before


@pytest.mark.parametrize("name", ["serial_number", "imei", "iccid"])
def test_devices_by_other_names(site, importer, name):
    devices = site.sim.population.make_devices("boron", ids(3))
    text = "\n".join(f"{name}: {getattr(device, name)}" for device in devices)
    report = importer.run(text)
    assert (report.verdict, report.added) == ("done", 3)
    assert importer.run(text).present == 3


def test_every_refused_device_is_told_with_its_line_and_where_it_is(site, importer):
    people = site.sim.population
    people.make_devices("boron", ids(2))
    other = people.add_product("Gadget", "boron", site.owner, org=site.org)
    elsewhere, unknown = ids(2, first=50)
    people.make_device("boron", elsewhere)
    ProductDevices(site.api, other.id).import_devices([elsewhere], MAY_BILL)
    report = importer.run("\n".join([*ids(2), elsewhere, unknown]))
    assert report.verdict == "failed"
    assert report.added == 2
    assert [(b.entry.line, b.outcome) for b in report.bad] == [(3, Outcome.INVALID), (4, Outcome.INVALID)]
    assert f"it is in product Gadget ({other.id})" in report.bad[0].message
    assert "does not know it" in report.bad[1].message
    assert all(b.hint for b in report.bad)


def test_a_board_of_another_platform_is_refused_by_the_cloud_where_its_id_does_not_tell(site, importer):
    site.sim.population.make_device("tracker", ids(1)[0])
    (bad,) = importer.run(ids(1)[0]).bad
    assert bad.outcome is Outcome.INVALID


def test_a_label_that_belongs_to_another_board_is_found_after_the_import(site, importer):
    one, other = site.sim.population.make_devices("boron", ids(2))
    report = importer.run(f"{one.id} {other.serial_number}\n")
    (bad,) = report.bad
    assert bad.outcome is Outcome.CONTRADICTED
    assert one.serial_number in bad.message
    assert report.verdict == "failed"


class TestFreePlan:
    @pytest.fixture
    def site(self, make_site):
        return make_site()

    def test_the_limit_is_that_of_the_whole_account(self, site, importer):
        people = site.sim.population
        people.make_devices("boron", ids(101))
        other = people.add_product("Gadget", "boron", site.owner)
        ProductDevices(site.api, other.id).import_devices(ids(60), MAY_BILL)
        own = people.make_device("argon")
        own.owner_id = site.owner.id
        site.sim.store.put(own)
        plan = importer.plan("\n".join(ids(40, first=61)))
        assert plan.account.capacity.devices == 61
        with pytest.raises(CapacityError):
            importer.run("\n".join(ids(40, first=61)))
        assert importer.members() == []
        assert importer.run("\n".join(ids(39, first=61))).added == 39

    def test_devices_count_at_once(self, site, importer):
        site.sim.population.make_devices("boron", ids(2))
        assert importer.plan("\n".join(ids(2))).consequences()[0].startswith("2 devices count")
        importer.run("\n".join(ids(2)))
        assert site.sim.ledger.metered_devices() == tuple(ids(2))

    def test_an_api_user_does_not_see_the_account_so_there_is_no_room(self, site, tmp_path):
        site.sim.population.make_devices("boron", ids(1))
        scopes = (
            "products:get",
            "products:list",
            "devices:list",
            "devices:get",
            "devices:import",
            "sims:list",
            "sims:get",
        )
        _, token = site.sim.population.add_api_user(site.product, *scopes)
        site.api = site.api_for(token)
        with pytest.raises(CapacityError):
            Importer(site, tmp_path).run(ids(1)[0])
        assert Importer(site, tmp_path, PlanName.ENTERPRISE).run(ids(1)[0]).added == 1


class TestSims:
    def test_a_slow_sim_is_parked_and_found_active_by_the_next_run(self, site, importer):
        site.sim.population.make_devices("boron", ids(2))
        site.sim.add_fault({"do": "sim_stuck", "iccid": iccid_of(site, ids(1)[0])})
        started = site.clock.monotonic_s()
        report = importer.run("\n".join(ids(2)))
        assert (report.verdict, report.active_sims) == ("incomplete", 1)
        (slow,) = report.slow_sims
        assert (slow.state, slow.wait.device_id) == (SimWaitState.PARKED, ids(1)[0])
        assert slow.hint
        assert 290 < site.clock.monotonic_s() - started < 400
        site.clock.sleep(24 * 3600)
        report = importer.run("\n".join(ids(2)), Permissions())
        assert (report.verdict, report.active_sims) == ("done", 2)
        assert not importer.path.exists()

    def test_one_that_is_still_inactive_after_a_day_has_failed(self, site, importer, monkeypatch):
        site.sim.population.make_devices("boron", ids(1))
        monkeypatch.setattr("particle_harness.cloud.rules.sims.STUCK_S", 10 * 24 * 3600.0)
        site.sim.add_fault({"do": "sim_stuck", "iccid": iccid_of(site, ids(1)[0])})
        importer.run(ids(1)[0])
        site.clock.sleep(24 * 3600)
        for _ in range(2):
            report = importer.run(ids(1)[0])
            assert report.verdict == "failed"
            assert "support" in report.slow_sims[0].hint

    def test_patience_waits_to_the_end(self, site, importer):
        site.sim.population.make_devices("boron", ids(1))
        site.sim.add_fault({"do": "sim_stuck", "iccid": iccid_of(site, ids(1)[0])})
        before = len(site.requests)
        assert importer.run(ids(1)[0], patient=True).verdict == "done"
        assert 23.9 * 3600 < site.clock.monotonic_s() < 24.5 * 3600
        assert len(site.requests) - before < 150

    def test_a_sim_of_the_slow_class_that_was_active_before_is_parked_soon(self, site, importer):
        device = site.sim.population.make_device("boron", ids(1)[0], serial_number="B40TAB123456ABC", sim_class=3)
        importer.run(device.id)
        importer.sims.deactivate(device.iccid)
        site.clock.sleep(60)
        importer.devices.remove(device.id)
        importer.sims.release(device.iccid)
        site.clock.sleep(60)
        started = site.clock.monotonic_s()
        report = importer.run(device.id)
        (slow,) = report.slow_sims
        assert slow.wait.reactivated
        assert "days" in slow.hint
        assert site.clock.monotonic_s() - started < 120
        site.clock.sleep(3600)
        assert importer.run(device.id).verdict == "done"

    def test_one_that_somebody_switched_off_is_not_waited_for(self, site, importer):
        (device,) = site.sim.population.make_devices("boron", ids(1))
        importer.run(device.id)
        importer.sims.deactivate(device.iccid)
        site.clock.sleep(60)
        started = site.clock.monotonic_s()
        report = importer.run(device.id)
        assert "sims activate" in report.slow_sims[0].hint
        assert site.clock.monotonic_s() == started

    def test_many_sims_are_looked_at_in_few_requests(self, site, importer):
        site.sim.population.make_devices("boron", ids(400))
        before = len(site.requests)
        assert importer.run("\n".join(ids(400))).active_sims == 400
        assert len(site.requests) - before < 30

    def test_boards_without_sim_need_none(self, make_site, tmp_path):
        site = make_site("argon", plan="basic", org=True)
        site.sim.population.make_devices("argon", ids(3))
        report = Importer(site, tmp_path).run("\n".join(ids(3)))
        assert (report.verdict, report.active_sims) == ("done", 0)


def iccid_of(site, device_id):
    from particle_harness.cloud.tables import Device  # noqa: PLC0415

    return site.sim.store.get(Device, device_id).iccid


class TestPlasticSims:
    ELECTRONS = [f"30003400095134333436{n:04d}" for n in range(3)]  # noqa: RUF012

    @pytest.fixture
    def site(self, make_site):
        return make_site("electron", plan="basic", org=True)

    def test_cards_are_imported_by_themselves_and_once(self, site, importer):
        devices = site.sim.population.make_devices("electron", self.ELECTRONS, plastic_sim=True, sim_class=2)
        text = "Device ID,ICCID\n" + "\n".join(f"{d.id},{d.iccid}" for d in devices)
        report = importer.run(text)
        assert (report.verdict, report.added, report.sim_cards, report.active_sims) == ("done", 3, 3, 3)
        assert site.sent("POST", "/sims") == 1
        assert importer.run(text, Permissions()).verdict == "done"
        assert site.sent("POST", "/sims") == 1

    def test_a_list_of_iccids_alone(self, site, importer):
        devices = site.sim.population.make_devices("electron", self.ELECTRONS, plastic_sim=True, sim_class=2)
        report = importer.run("\n".join(d.iccid for d in devices))
        assert (report.verdict, report.sim_cards, report.active_sims) == ("done", 3, 3)

    def test_a_card_that_does_not_come_is_parked_and_not_asked_for_again(self, site, importer):
        report = importer.run("8934076500002589174")
        assert report.verdict == "incomplete"
        assert "is not in the product yet" in report.slow_sims[0].message
        assert importer.run("8934076500002589174").verdict == "incomplete"
        assert site.sent("POST", "/sims") == 1


class TestInterruption:
    """Killed after any request: the next run finishes, and nothing is doubled."""

    @pytest.mark.parametrize("at", range(0, 12))
    def test_the_next_run_finishes(self, site, tmp_path, at, monkeypatch):
        monkeypatch.setattr("particle_dev.cloud.import_run.BATCH", 10)
        site.sim.population.make_devices("boron", ids(40))
        importer = Importer(site, tmp_path)
        text = "\n".join(ids(40))
        killed = Killer(site, at)
        with killed, pytest.raises(Killed):
            importer.run(text)
        report = importer.run(text)
        assert report.verdict == "done"
        assert report.added + report.present == 40
        assert importer.members() == ids(40)
        added = [entry for entry in site.sim.ledger.entries() if entry.event == "added"]
        assert len(added) == 40

    @pytest.mark.parametrize("what", ["status", "html", "truncate", "empty", "drop", "slow", "expire_token"])
    def test_what_goes_wrong_in_the_cloud_stops_it_and_the_next_run_finishes(self, site, tmp_path, monkeypatch, what):
        monkeypatch.setattr("particle_dev.cloud.import_run.BATCH", 10)
        site.sim.population.make_devices("boron", ids(40))
        importer = Importer(site, tmp_path)
        text = "\n".join(ids(40))
        path = f"POST /v1/products/{site.product.id}/devices"
        # As often as the client tries again by itself.
        count = 5 if what in ("status", "html", "drop", "slow") else 1
        site.sim.add_fault({"do": what, "on": path, "n": 2, "count": count, "delay_s": 300})
        try:
            importer.run(text)
        except (CloudError, TransportError) as error:
            assert error.hint
            with ImportState(importer.path, site.product.id) as state:
                assert state.asked == set(ids(20)[10:])
        else:
            assert what == "slow"
        if what == "expire_token":
            site.api = site.api_for(site.sim.population.make_token(site.owner))
            importer = Importer(site, tmp_path)
        report = importer.run(text)
        assert report.verdict == "done"
        assert importer.members() == ids(40)
        added = [entry for entry in site.sim.ledger.entries() if entry.event == "added"]
        assert len(added) == 40

    def test_what_was_asked_before_a_kill_and_has_come_is_not_remembered_for_ever(self, site, importer):
        site.sim.population.make_devices("boron", ids(3))
        with ImportState(importer.path, site.product.id) as state:
            state.ask(ids(3))
        importer.devices.import_devices(ids(3), MAY_BILL)
        assert importer.run("\n".join(ids(3))).verdict == "done"
        assert not importer.path.exists()

    def test_two_imports_at_once_are_refused(self, site, importer):
        site.sim.population.make_devices("boron", ids(1))
        with ImportState(importer.path, site.product.id), pytest.raises(ImportStateError):
            importer.run(ids(1)[0])


class Killed(BaseException):
    """As ``kill -9``: nothing catches it."""


class Killer:
    """Ends the program after a number of further requests: half of the time before the answer arrives."""

    def __init__(self, site, at):
        self.site, self.left, self.inner = site, at, None

    def __enter__(self):
        self.inner = self.site.api.link.send
        self.site.api.link.send = self.send

    def __exit__(self, *_):
        self.site.api.link.send = self.inner

    def send(self, request, timeout_s):
        if self.left == 0:
            raise Killed
        self.left -= 1
        reply = self.inner(request, timeout_s)
        if self.left == 0 and request.method == "POST":
            raise Killed
        return reply
