"""The connectivity test as a step of a station, strategy A: a failure has its code in the record, and the unit is
parked as any other is.

Board and cloud are our own models, as in test_station_cloud.
"""

import pytest

from particle_dev.cloud.budget import BudgetBook, budget_of
from particle_dev.cloud.metering import BillingVerdict
from particle_dev.cloud.plans import PLANS, PlanName
from particle_dev.cloud.strategies import Strategy
from particle_dev.connectivity.cloud_link import CloudLink, CloudScope
from particle_dev.connectivity.measurements import Limit
from particle_dev.connectivity.plan import ConnectivityOptions
from particle_dev.connectivity.stages import Stage
from particle_dev.errors import ConfigError
from particle_dev.permissions import Permissions
from particle_dev.station.recipe import load_recipe
from tests.connectivity.world import HubFeed
from tests.station.guard_world import World

ECHOES = frozenset({Stage.PUBLISH, Stage.SUBSCRIBE, Stage.FUNCTION})


@pytest.fixture
def world(tmp_path):
    made = []

    def make(*args, **options):
        made.append(World(tmp_path, *args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def run(w, folder, **options):
    """The unit's record after one run by strategy A with a connectivity test."""

    def link(device_id):
        scope = CloudScope(w.api, w.evidence.product, w.evidence)
        return CloudLink(scope, device_id, HubFeed(w.cloud, device_id))

    guard = w.guard(
        Strategy.A,
        budget=BudgetBook(folder / "budget.json", budget_of(PLANS[PlanName.BASIC])),
        permissions=Permissions(may_connect=True),
        link=link,
    )
    return w.run(guard, connectivity=ConnectivityOptions(without=ECHOES, **options))


def step(unit, name="connectivity"):
    return next(s for s in unit.steps if s.name == name)


def test_a_unit_that_passes(world, tmp_path):
    w = world("boron", arrives_in="dfu")
    unit = run(w, tmp_path)
    assert (str(unit.verdict), unit.gate.verdict) == ("pass", BillingVerdict.STARTED), unit.error
    evidence = step(unit).evidence
    assert set(evidence["stages"].values()) == {"passed"}
    assert evidence["left_out"]["publish"] == "left out on demand"
    assert evidence["attempt"]["verdict"] == "pass"
    assert "connect" not in [s.name for s in unit.steps]
    assert not w.board.state.powered
    assert w.states.state(w.device_id).first_connected_by.startswith("connectivity test")


def test_a_unit_that_fails_a_stage(world, tmp_path):
    w = world("boron", arrives_in="dfu", network=["no_coverage"])
    unit = run(w, tmp_path)
    assert str(unit.verdict) == "fail"
    assert unit.error["type"] == "StageFailedError"
    assert (unit.error["fields"]["stage"], unit.error["fields"]["code"]) == ("network", "REG-TMO")
    assert unit.error["hint"]
    assert not w.is_metered


def test_a_value_outside_of_the_recipes_limit(world, tmp_path):
    w = world("boron", arrives_in="dfu")
    unit = run(w, tmp_path, limits={"signal_strength": Limit(min=-80)})
    assert unit.error["fields"]["code"] == "MEA-LIMIT"
    assert w.is_metered


RECIPE = """
[recipe]
name = "tested online"
finish = "dfu"
strategy = "{strategy}"
[cloud]
product = 10001
plan = "basic"
[firmware.boron]
device_os = "2.1.0"
app = "app.bin"
[connectivity]
{keys}
"""


def test_the_recipe(tmp_path):
    path = tmp_path / "recipe.toml"
    keys = (
        'without = ["publish"]\nevent = "temp"\nfirst_connection = true\nlimits = { signal_strength = { min = -110 } }'
    )
    path.write_text(RECIPE.format(strategy="A", keys=keys))
    options = load_recipe(path).connectivity
    assert options == ConnectivityOptions(
        without=frozenset({Stage.PUBLISH}),
        event_prefix="temp",
        first_connection=True,
        limits={"signal_strength": Limit(min=-110)},
    )


@pytest.mark.parametrize(
    ("strategy", "keys"),
    [
        ("C", ""),
        ("A", 'without = ["everything"]'),
        ("A", "first_connection = 1"),
        ("A", "limits = { colour = { min = 1 } }"),
        ("A", 'limits = { signal_strength = { min = "low" } }'),
        ("A", "unknown = 1"),
    ],
)
def test_a_recipe_that_means_nothing(tmp_path, strategy, keys):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(strategy=strategy, keys=keys))
    with pytest.raises(ConfigError):
        load_recipe(path)
