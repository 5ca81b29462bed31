"""What an order would change in a product: pure, from records. No cloud."""

import pytest

from particle_dev.cloud.import_plan import Account, Roll, plan_import
from particle_dev.cloud.order_file import read_order
from particle_dev.cloud.plans import PLANS, Capacity, PlanName
from particle_dev.cloud.records import DeviceRecord, Product
from particle_dev.errors import CapacityError

A, B, C = "e00fce68000000000000000a", "e00fce68000000000000000b", "e00fce68000000000000000c"
SERIAL = "P044AF12345ABCD"
ICCID = "8934076500002589174"
ELECTRON_ID = "300034000951343334363138"
BORON, ELECTRON, P2 = (Product(1234, "Widget", "widget", platform_id) for platform_id in (13, 10, 32))


def account(plan=PlanName.BASIC, devices=0, metered=None):
    return Account("me@example.com", plan is not PlanName.FREE, Capacity(PLANS[plan], devices), metered)


def plan_of(text, *members, product=BORON, of=None, sims=()):
    order = read_order([("order.txt", text.encode())])
    roll = Roll(order.entries)
    for member in members:
        roll.take(member)
    return plan_import(product, of or account(), order, roll, sims)


def test_devices_are_new_or_there():
    plan = plan_of(f"{A}\n{B}\n{C}\n", DeviceRecord(B, iccid=ICCID), DeviceRecord("e00fce680000000000000099"))
    assert [e.device_id for e in plan.add] == [A, C]
    assert [m.device_id for m in plan.present_members] == [B]
    assert plan.problems == ()
    assert not plan.changes_nothing


def test_a_member_is_found_by_any_of_its_names():
    names = f"{SERIAL}\n353162071113006\n{ICCID}\n"
    members = (
        DeviceRecord(A, serial_number=SERIAL.lower()),
        DeviceRecord(B, imei="353162071113006"),
        DeviceRecord(C, last_iccid=ICCID),
    )
    plan = plan_of(names, *members)
    assert plan.changes_nothing
    assert [m.device_id for m in plan.present_members] == [A, B, C]


@pytest.mark.parametrize(
    ("line", "product"),
    [
        (A, P2),
        (A, ELECTRON),
        ("0a10aced202194944a0abcde", BORON),
        (ELECTRON_ID, BORON),
        ("P046AF12345ABCD", BORON),
        ("P052AF12345ABCD", ELECTRON),
        (f"Device ID,SKU\n{A},B404XMTY", BORON),
    ],
)
def test_a_device_of_another_platform_is_a_problem_of_its_line(line, product):
    plan = plan_of(line, product=product)
    assert plan.add == ()
    (problem,) = plan.problems
    assert problem.code == "wrong_platform"
    assert problem.file == "order.txt"
    assert problem.hint


@pytest.mark.parametrize(
    ("line", "product"),
    [
        (A, BORON),
        (ELECTRON_ID, ELECTRON),
        ("0a10aced202194944a0abcde", P2),
        ("E31TAB123456ABC", ELECTRON),
        ("E40TAB123456ABC", ELECTRON),
        ("P024AF12345ABCD", Product(1, "Track", "track", 26)),
        ("P031AF12345ABCD", Product(1, "Track", "track", 26)),
        (f"Device ID,SKU\n{A},SOMETHING", BORON),
        ("P999AF12345ABCD", BORON),
        (A, Product(1, "New", "new", 999)),
    ],
)
def test_lines_of_one_platform_share_a_product(line, product):
    plan = plan_of(line, product=product)
    assert (len(plan.add), plan.problems) == (1, ())


def test_what_waits_in_quarantine_is_not_approved_in_passing():
    plan = plan_of(f"{A}\n{B}\n", DeviceRecord(A, quarantined=True), DeviceRecord(B, denied=True))
    assert plan.changes_nothing
    assert [(p.line, p.code) for p in plan.problems] == [(1, "quarantined"), (2, "quarantined")]


def test_a_label_that_the_cloud_knows_for_another_board():
    plan = plan_of(f"{A} {SERIAL}\n", DeviceRecord(A, serial_number="P044AF99999ABCD"))
    assert [(p.line, p.code) for p in plan.problems] == [(1, "names_of_two_devices")]
    assert "P044AF99999ABCD" in plan.problems[0].message


def test_problems_come_in_the_order_of_the_lines():
    plan = plan_of(f"{A}\n0a10aced202194944a0abcde\n{B}x\nP046AF12345ABCD\n")
    assert [p.line for p in plan.problems] == [2, 3, 4]


class TestPlasticSims:
    def test_a_list_of_cards(self):
        plan = plan_of(f"{ICCID}\n89014103273027966570\n", product=ELECTRON, sims=[ICCID])
        assert plan.sims == ("89014103273027966570",)
        assert plan.add == ()
        assert plan.present_members == (None, None)

    def test_a_device_with_its_card(self):
        plan = plan_of(f"{ELECTRON_ID} {ICCID}\n", product=ELECTRON)
        assert plan.sims == (ICCID,)
        assert [e.device_id for e in plan.add] == [ELECTRON_ID]

    @pytest.mark.parametrize(
        ("serial", "cards"), [("E26TAB123456ABC", 1), ("P035AB123456ABC", 1), ("E40TAB123456ABC", 0)]
    )
    def test_an_embedded_sim_comes_along(self, serial, cards):
        assert len(plan_of(f"{serial} {ICCID}\n", product=ELECTRON).sims) == cards

    def test_on_other_platforms_an_iccid_names_the_device(self):
        plan = plan_of(f"{ICCID}\n")
        assert plan.sims == ()
        assert [e.asked for e in plan.add] == [("iccid", ICCID)]

    def test_devices_without_their_cards_are_noted(self):
        (note,) = plan_of("E26TAB123456ABC\n", product=ELECTRON).notes()
        assert note.startswith("1 devices take plastic SIM cards")
        assert plan_of(f"E26TAB123456ABC {ICCID}\n", product=ELECTRON).notes() == ()


class TestWhatItCosts:
    def test_on_the_free_plan_devices_count_at_once(self):
        told = plan_of(f"{A}\n{B}\n", of=account(PlanName.FREE)).consequences()
        assert told[0] == "2 devices count against the free plan at once"

    def test_one_device_is_spoken_of_as_one(self):
        told = plan_of(f"{A}\n").consequences()
        assert told[0].startswith("the device counts from its first connection")
        assert told[1].startswith("its SIM is activated")
        free = plan_of(f"{A}\n", of=account(PlanName.FREE)).consequences()
        assert free[0] == "1 device counts against the free plan at once"

    def test_on_others_from_the_first_connection_on(self):
        assert "first connection" in plan_of(f"{A}\n").consequences()[0]

    def test_sims_are_activated_where_there_are_any(self):
        assert any("SIM is activated" in told for told in plan_of(A).consequences())
        assert not any("SIM" in told for told in plan_of("0a10aced202194944a0abcde", product=P2).consequences())

    def test_nothing_to_add_costs_nothing(self):
        assert plan_of(A, DeviceRecord(A)).consequences() == ()

    def test_blocks_before_and_after(self):
        plan = plan_of(f"{A}\n{B}\n", of=account(metered=199))
        assert plan.blocks == (2, 3)
        assert "blocks: 2 now, 3 once all of them have connected" in plan.consequences()
        assert plan_of(A, of=account(PlanName.ENTERPRISE, metered=199)).blocks is None

    def test_the_account_has_room_for_all_or_for_none(self):
        plan_of(f"{A}\n{B}\n", of=account(PlanName.FREE, devices=98)).require_room()
        with pytest.raises(CapacityError):
            plan_of(f"{A}\n{B}\n", of=account(PlanName.FREE, devices=99)).require_room()
        with pytest.raises(CapacityError):
            plan_of(A, of=account(PlanName.FREE, devices=None)).require_room()
        plan_of(A, DeviceRecord(A), of=account(PlanName.FREE, devices=100)).require_room()
