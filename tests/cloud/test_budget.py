"""Data operations and data: what a test costs, refusal at 90 %, and the book that stations share."""

import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.cloud.account_usage import REFRESH_S, AccountUsage
from particle_dev.cloud.budget import NOTHING_SPENT, Budget, BudgetBook, Cost, budget_of, cost_of_test
from particle_dev.cloud.plans import PLANS, PlanName
from particle_dev.errors import BudgetError, GuardStateError
from tests.cloud.sim_site import SimSite

FREE = PLANS[PlanName.FREE]
MAY, JUNE = datetime(2026, 5, 20, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)


def test_the_example_test():
    """A publish and its echo, a function, a variable: 2 operations, and up to 6 for calls, tried three times."""
    cost = cost_of_test(publishes_bytes=[40], received_bytes=[40], functions=1, variables=1)
    assert cost.operations == 8
    assert 6_000 < cost.cellular_bytes < 10_000


@pytest.mark.parametrize(("size_bytes", "operations"), [(0, 1), (1024, 1), (1025, 2), (4096, 4)])
def test_large_events_cost_more(size_bytes, operations):
    assert cost_of_test(publishes_bytes=[size_bytes]).operations == operations


def test_updates_over_the_air_cost_data_and_no_operations():
    cost = cost_of_test(ota_bytes=373_462)
    assert cost.operations == 0
    assert cost.cellular_bytes > 373_462


def test_wifi_costs_no_cellular_data():
    assert cost_of_test(publishes_bytes=[1], ota_bytes=10_000, is_cellular=False) == Cost(1, 0)


def test_refusal_at_90_percent():
    budget = budget_of(FREE).after(Cost(89_000, 0))
    budget.require(Cost(1_000, 0))
    with pytest.raises(BudgetError, match="90%") as caught:
        budget.require(Cost(1_001, 0))
    assert (caught.value.resource, caught.value.spent, caught.value.limit) == ("data operations", 89_000, 100_000)
    with pytest.raises(BudgetError, match="cellular"):
        budget_of(FREE).require(Cost(0, 90_000_001))


def test_what_costs_nothing_is_never_refused():
    budget_of(FREE).after(Cost(200_000, 10**9)).require(NOTHING_SPENT)


def test_budgets_of_plans():
    assert budget_of(PLANS[PlanName.BASIC], 250).max_operations == 3 * 720_000
    assert budget_of(PLANS[PlanName.BASIC]).max_cellular_bytes == 540_000_000
    assert budget_of(PLANS[PlanName.ENTERPRISE]).max_operations is None
    budget_of(PLANS[PlanName.ENTERPRISE]).require(Cost(10**9, 10**12))


def book(tmp_path, **options):
    return BudgetBook(tmp_path / "budget.json", Budget(1_000, None), **options)


def test_the_book_keeps_what_was_spent(tmp_path):
    assert book(tmp_path).spent(MAY) == NOTHING_SPENT
    book(tmp_path).spend(Cost(500, 7), MAY)
    assert book(tmp_path).spend(Cost(400, 0), MAY).spent == Cost(900, 7)
    with pytest.raises(BudgetError):
        book(tmp_path).spend(Cost(1, 0), MAY)
    assert book(tmp_path).spent(MAY) == Cost(900, 7), "nothing was booked"


def test_what_was_not_spent_is_given_back(tmp_path):
    book(tmp_path).give_back(Cost(1, 1), MAY)
    assert book(tmp_path).spent(MAY) == NOTHING_SPENT
    book(tmp_path).spend(Cost(10, 700), MAY)
    book(tmp_path).give_back(Cost(8, 0), MAY)
    assert book(tmp_path).spent(MAY) == Cost(2, 700)
    book(tmp_path).spend(Cost(10, 0), JUNE)
    book(tmp_path).give_back(Cost(2, 700), MAY)
    assert book(tmp_path).spent(JUNE) == Cost(10, 0), "the booking was of another month"


def test_a_new_month_begins_anew_and_an_old_one_does_not_come_back(tmp_path):
    book(tmp_path).spend(Cost(900, 0), MAY)
    assert book(tmp_path).spent(JUNE) == NOTHING_SPENT
    book(tmp_path).spend(Cost(10, 0), JUNE)
    assert book(tmp_path).spent(MAY) == Cost(10, 0), "the clock was set back: what was spent stays spent"
    assert book(tmp_path, first_day=15).spent(datetime(2026, 6, 16, tzinfo=UTC)) == NOTHING_SPENT


def test_what_others_spent_counts(tmp_path):
    with pytest.raises(BudgetError):
        book(tmp_path).spend(Cost(1, 0), MAY, base=Cost(900, 0))


INFINITE = b'{"month": "2026-05-01", "operations": 1e999, "cellular_bytes": 0}'


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff\xfe\x00", bytes(40), INFINITE, b"[" * 100_000],
    ids=["cut", "no text", "zeros", "infinite", "deep"],
)
def test_a_damaged_book_is_no_empty_book(tmp_path, content):
    (tmp_path / "budget.json").write_bytes(content)
    with pytest.raises(GuardStateError, match="holds no budget"):
        book(tmp_path).spend(Cost(1, 0), MAY)


def test_stations_at_once_never_spend_more_than_there_is(tmp_path):
    refused = []

    def station():
        mine = book(tmp_path)
        for _ in range(20):
            try:
                mine.spend(Cost(30, 0), MAY)
            except BudgetError:
                refused.append(1)

    threads = [threading.Thread(target=station) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert book(tmp_path).spent(MAY).operations == 900
    assert len(refused) == 80 - 30


@given(st.lists(st.integers(0, 10_000), max_size=5), st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_more_of_anything_never_costs_less(publishes, functions, variables, cellular):
    small = cost_of_test(publishes_bytes=publishes, functions=functions, variables=variables, is_cellular=cellular)
    large = cost_of_test(
        publishes_bytes=[*publishes, 1], functions=functions + 1, variables=variables + 1, is_cellular=cellular
    )
    assert large.operations > small.operations
    assert large.cellular_bytes >= small.cellular_bytes


# ---- what the account has used, as the cloud counts it ---------------------------------------------------------------


@pytest.fixture
def account_site():
    site = SimSite(plan="basic", org=True)
    yield site
    site.close()


def test_the_cloud_is_asked_once_in_ten_minutes(account_site):
    usage = AccountUsage(account_site.api, "acme", budget_of(PLANS[PlanName.BASIC]))
    first = usage()
    assert (first.max_operations, first.max_cellular_bytes) == (720_000, 540_000_000)
    assert first.spent == Cost(0, 0)
    for _ in range(50):
        usage()
    assert account_site.sent("GET", "/service_agreements") == 1
    account_site.clock.sleep(REFRESH_S + 1)
    usage()
    assert account_site.sent("GET", "/service_agreements") == 2


def test_what_a_token_may_not_read_is_no_empty_budget(account_site):
    account_site.sim.add_fault({"do": "status", "status": 403, "on": "GET /v1/orgs/*/service_agreements", "count": 0})
    with pytest.raises(BudgetError, match="not known") as caught:
        AccountUsage(account_site.api, "acme", budget_of(PLANS[PlanName.BASIC]))()
    assert "service_agreements:list" in caught.value.hint
    contract = AccountUsage(account_site.api, "acme", budget_of(PLANS[PlanName.ENTERPRISE]))
    assert contract().max_operations is None, "there is nothing to compare with"


def test_what_the_account_has_used_counts_beside_the_book(tmp_path):
    told = Budget(1_000, None, Cost(890, 0))
    kept = BudgetBook(tmp_path / "budget.json", Budget(1, None), usage=lambda: told)
    kept.spend(Cost(10, 0), datetime(2026, 5, 4, tzinfo=UTC))
    with pytest.raises(BudgetError, match="900 data operations"):
        kept.spend(Cost(1, 0), datetime(2026, 5, 4, tzinfo=UTC))
    assert kept.spent(datetime(2026, 5, 4, tzinfo=UTC)) == Cost(10, 0)
