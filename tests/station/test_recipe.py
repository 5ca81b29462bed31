"""Recipes: the shipped one, and every mistake with its line."""

import hashlib
from pathlib import Path

import pytest

from particle_dev.cloud.plans import PlanName
from particle_dev.cloud.strategies import Strategy
from particle_dev.cloud.strategy_order import SAFE_ORDER, STATION_ACTS
from particle_dev.errors import ConfigError
from particle_dev.station.policy import RetryPolicy, SlotRules
from particle_dev.station.recipe import CloudChoice, FirmwareChoice, Limits, load_recipe

SHIP = Path(__file__).parents[2] / "recipes" / "ship.toml"
GOOD = """[recipe]
name = "ship"
description = "d"
finish = "dfu"

[firmware.boron]
device_os = "2.1.0"
app = "tinker.bin"

[limits]
flash_s = 60
"""


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "recipe.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_recipe(path)

    return load


def test_the_shipped_recipe():
    recipe = load_recipe(SHIP)

    assert (recipe.name, recipe.finish) == ("ship", "dfu")
    assert set(recipe.firmware) == {"boron", "bsom", "tracker", "photon"}
    assert recipe.firmware["tracker"] == FirmwareChoice("2.1.0", "tracker-tinker@1.5.4-rc.1.bin")
    assert recipe.limits == Limits()
    assert recipe.sha256 == hashlib.sha256(SHIP.read_bytes()).hexdigest()


def test_the_shipped_recipe_with_a_cloud_flashes_the_same():
    recipe = load_recipe(SHIP.with_name("ship-cloud.toml"))

    assert (recipe.name, recipe.strategy, recipe.cloud) == (
        "ship-cloud",
        Strategy.C,
        CloudChoice("12345", PlanName.BASIC),
    )
    assert (recipe.firmware, recipe.limits) == (load_recipe(SHIP).firmware, Limits())


def test_limits_that_are_not_given_have_defaults(load):
    assert load(GOOD).limits == Limits(flash_s=60.0)
    assert load(GOOD[: GOOD.index("[limits]")]).limits == Limits()


def test_an_alias_is_the_platform(load):
    assert set(load(GOOD.replace("boron", "Boron")).firmware) == {"boron"}


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"),
    [
        ('finish = "dfu"\n', "", 1, "recipe.finish", ["recipe.finish is missing", 'add finish = "dfu"']),
        ("finish =", "finnish =", 4, "recipe.finnish", ["unknown key 'finnish'", "did you mean 'finish'?"]),
        ("app =", "application =", 8, "firmware.boron.application", ["unknown key", "known are app, device_os"]),
        ("[limits]", "[limit]", 10, "limit", ["unknown key 'limit'", "did you mean 'limits'?"]),
        ("flash_s", "flsh_s", 11, "limits.flsh_s", ["did you mean 'flash_s'?"]),
        ("boron", "borno", 6, "firmware.borno", ["unknown platform 'borno'", "did you mean 'boron'?"]),
        ("60", '"60"', 11, "limits.flash_s", ["must be a number of seconds", "'60'"]),
        ("60", "true", 11, "limits.flash_s", ["must be a number of seconds"]),
        ("60", "0", 11, "limits.flash_s", ["above 0"]),
        ("60", "inf", 11, "limits.flash_s", ["above 0"]),
        ('"2.1.0"', "2.1", 7, "firmware.boron.device_os", ["must be text in quotes, not 2.1"]),
        ('app = "tinker.bin"\n', "", 6, "firmware.boron.app", ["firmware.boron.app is missing"]),
        ('"tinker.bin"', '""', 8, "firmware.boron.app", ["firmware.boron.app is empty"]),
        ('finish = "dfu"', 'finish = "run"', 4, "recipe.finish", ["'run' is not known", "start billing"]),
        ("[recipe]", "[[recipe]]", 1, "recipe", ["no table"]),
        ('name = "ship"', "name = ship", 2, None, ["Invalid value"]),
        ('"tinker.bin"', '"tinker.bin', 8, None, ["Illegal character"]),
        ("[firmware.boron]", "[firmware.Boron]\n[firmware.boron]", 6, "firmware.Boron.device_os", ["is missing"]),
    ],
)
def test_mistakes_name_file_line_and_key(load, tmp_path, old, new, line, key, words):
    with pytest.raises(ConfigError) as caught:
        load(GOOD.replace(old, new))

    error = caught.value
    assert (error.file, error.line, error.key) == (str(tmp_path / "recipe.toml"), line, key)
    assert f"recipe.toml, line {line}: " in error.message
    for word in words:
        assert word in str(error)


def test_a_platform_twice_is_refused(load):
    twice = GOOD.replace("[limits]", '[firmware.Boron]\ndevice_os = "1"\napp = "a"\n[limits]')
    with pytest.raises(ConfigError, match="line 10: firmware of boron is given twice"):
        load(twice)


def test_no_firmware_is_refused(load):
    with pytest.raises(ConfigError, match=r"table \[firmware\] is missing"):
        load('[recipe]\nname = "x"\nfinish = "dfu"\n')
    with pytest.raises(ConfigError, match="no platform has firmware"):
        load('[recipe]\nname = "x"\nfinish = "dfu"\n[firmware]\n')


def test_syntax_error_at_the_end_has_the_last_line(load):
    with pytest.raises(ConfigError) as caught:
        load('[recipe]\nname = "x"\ndescription = """\n')
    assert caught.value.line == 4


def test_what_is_no_text_is_refused(load, tmp_path):
    with pytest.raises(ConfigError, match="line 2: no UTF-8"):
        load(b'[recipe]\nname = "\xff"\n')
    with pytest.raises(ConfigError, match="cannot read"):
        load_recipe(tmp_path)
    with pytest.raises(ConfigError, match="cannot read"):
        load_recipe(tmp_path / "absent.toml")


CLOUD = (
    GOOD.replace('finish = "dfu"', 'finish = "dfu"\nstrategy = "C"')
    + '\n[cloud]\nproduct = "sensors-v1"\nplan = "basic"\n'
)


def test_strategy_and_cloud(load):
    recipe = load(CLOUD + 'profile = "factory"\n')
    assert recipe.strategy == "C"
    assert recipe.cloud == CloudChoice("sensors-v1", PlanName.BASIC, "factory")
    assert load(CLOUD.replace('"sensors-v1"', "12345")).cloud.product == "12345"
    assert (load(GOOD).strategy, load(GOOD).cloud) == (None, None)


@pytest.mark.parametrize(
    ("old", "new", "key", "word"),
    [
        ('"C"', '"D"', "recipe.strategy", "'D' is not known"),
        ('product = "sensors-v1"', "", "cloud.product", "is missing"),
        ('"basic"', '"fre"', "cloud.plan", "did you mean 'free'"),
        ('product = "sensors-v1"', 'produkt = "x"', "cloud.produkt", "did you mean 'product'"),
        ('plan = "basic"\n', "", "cloud.plan", "is missing"),
    ],
)
def test_mistakes_in_strategy_and_cloud(load, old, new, key, word):
    with pytest.raises(ConfigError) as caught:
        load(CLOUD.replace(old, new))
    assert caught.value.key == key
    assert word in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("strategy", ["A", "B"])
def test_what_connects_needs_the_cloud(load, strategy):
    with pytest.raises(ConfigError, match="needs the cloud"):
        load(GOOD.replace('finish = "dfu"', f'finish = "dfu"\nstrategy = "{strategy}"'))


# ---- acts ------------------------------------------------------------------------------------------------------------

ACTS = """[recipe]
name = "ship"
description = "d"
finish = "dfu"
strategy = "{strategy}"
acts = [
{acts}
]

[firmware.boron]
device_os = "2.1.0"
app = "tinker.bin"

[cloud]
product = 12345
plan = "basic"
"""


def with_acts(strategy, *acts):
    return ACTS.format(strategy=strategy, acts="\n".join(f'  "{act}",  # "{act}", a step' for act in acts))


@pytest.mark.parametrize(
    ("strategy", "acts", "line", "words"),
    [
        ("C", ["identify", "connect", "flash_final", "power_off", "gate"], 8, "does not 'connect'"),
        ("A", ["identify", "connect", "flash_final", "disconnect", "power_off", "gate"], 8, "not known"),
        (
            "A",
            ["identify", "flash_final", "import", "connect", "disconnect", "power_off", "gate"],
            8,
            "no approved member",
        ),
        ("A", ["identify", "flash_final", "connect", "power_off", "gate"], 11, "see it offline"),
        ("B", ["identify", "flash_final", "power_off", "import", "gate"], 10, "not on record"),
        ("B", ["identify", "take_baseline", "flash_final", "unclaim", "power_off", "import", "gate"], 10, "has power"),
        ("B", ["identify", "connect", "flash_final", "power_off", "gate"], 8, "does not 'connect'"),
        ("C", ["identify", "flash_final", "gate", "power_off"], 9, "still has power"),
        ("C", ["identify", "flash_final", "flash_final", "power_off", "gate"], 9, "twice"),
        ("C", ["identify", "flash", "power_off", "gate"], 8, "does not 'flash'"),
    ],
)
def test_an_unsafe_order_is_refused_with_its_line(load, strategy, acts, line, words):
    with pytest.raises(ConfigError) as caught:
        load(with_acts(strategy, *acts))
    assert words in caught.value.message
    assert (caught.value.line, caught.value.key) == (line, "recipe.acts")
    assert caught.value.hint


@pytest.mark.parametrize("strategy", Strategy)
def test_what_a_station_does_of_the_safe_order_is_allowed(load, strategy):
    acts = [act for act in SAFE_ORDER[strategy] if act in STATION_ACTS[strategy]]
    text = with_acts(strategy, *acts) + ('[test_account]\nprofile = "tests"\n' if "unclaim" in acts else "")
    assert load(text).acts == tuple(acts)


def test_an_act_that_is_needed_is_missed(load):
    for acts in (["identify", "flash_final", "gate"], ["identify", "flash_final", "power_off"]):
        with pytest.raises(ConfigError, match="is missing"):
            load(with_acts("C", *acts))
    with pytest.raises(ConfigError, match="must come first"):
        load(with_acts("C", "flash_final", "identify", "power_off", "gate"))


def test_a_test_account_and_its_act_go_together(load):
    move = ["identify", "take_baseline", "flash_final", "power_off", "unclaim", "import", "gate"]
    with pytest.raises(ConfigError, match="in which the units were tested"):
        load(with_acts("B", *move))
    with pytest.raises(ConfigError, match="no act uses"):
        load(with_acts("C", "identify", "flash_final", "power_off", "gate") + '[test_account]\nprofile = "x"\n')
    assert load(with_acts("B", *move) + '[test_account]\nprofile = "tests"\n').test_profile == "tests"


def test_applications_that_wait_are_named_by_their_hash(load):
    text = with_acts("C", "identify", "flash_final", "power_off", "gate")
    assert load(text + f'semi_automatic_apps = ["{"AB" * 32}"]\n').cloud.semi_automatic_apps == {"ab" * 32}
    with pytest.raises(ConfigError, match="SHA-256"):
        load(text + 'semi_automatic_apps = ["tinker.bin"]\n')


# ---- second goes and slots -------------------------------------------------------------------------------------


def test_second_goes_and_slot_rules(load):
    recipe = load(
        GOOD
        + """
[retries]
attempts = 3
pause_s = 1.5
errors = ["LinkStallError", "VerifyError"]

[slots]
lock_after_failures = 3
lock_below_yield = 0.8
golden_every_units = 200
"""
    )
    assert recipe.retries == RetryPolicy(3, 1.5, ("LinkStallError", "VerifyError"))
    assert recipe.slot_rules == SlotRules(lock_after_failures=3, lock_below_yield=0.8, golden_every_units=200)
    assert (load(GOOD).retries, load(GOOD).slot_rules) == (RetryPolicy(), None)


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("[retries]\nattempt = 2", 14, "unknown key 'attempt'", "did you mean 'attempts'?"),
        ("[retries]\nattempts = 0", 14, "whole number above 0", "attempts = 3"),
        ("[retries]\nattempts = 50", 14, "retries.attempts is 50", "at most 10"),
        ('[retries]\nerrors = ["LinkStalError"]', 14, "'LinkStalError' is no error", "did you mean 'LinkStallError'?"),
        ('[retries]\nerrors = [\n"LinkStallError",\n"WrongDeviceError"]', 16, "never tried again", "did you mean"),
        ("[retries]\nerrors = 7", 14, "list of texts", "TransportError"),
        ("[slots]\nlock_below_yield = 80", 14, "between 0.0 and 1.0", "0.5"),
        ("[slots]\nlock_after_failure = 2", 14, "unknown key", "did you mean 'lock_after_failures'?"),
        ("[slots]\nyield_units = 101", 14, "yield_units is 101: it would never hold", "100 units"),
        ("[slots]\nlock_after_failures = 101", 14, "it would never hold", "100 units"),
        ("[slots]\ngolden_every_units = true", 14, "whole number", "golden_every_units = 3"),
    ],
)
def test_mistakes_about_second_goes_and_slots(load, text, line, message, hint):
    with pytest.raises(ConfigError) as caught:
        load(GOOD + "\n" + text + "\n")
    assert (caught.value.line, message in caught.value.message, hint in caught.value.hint) == (line, True, True), (
        caught.value.message,
        caught.value.hint,
    )
