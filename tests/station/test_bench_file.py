"""Bench files."""

import pytest

from particle_dev.cli.options import opened_bench
from particle_dev.errors import BenchError, ConfigError
from particle_dev.station import usb_bench
from particle_dev.station.bench_file import BenchFile, TestRules, bench_named, load_bench_file

GOOD = """[bench]
driver = "virtual"

[bench.options]
clock = "virtual"

[[slot]]
name = "1"
platform = "Boron"
device_id = "e00fce68d3a1b2c4f5061728"
faults = ["stall"]

[[slot]]
name = "2"
port = "1-2"
"""


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "bench.toml"
        path.write_text(text, encoding="utf-8")
        return load_bench_file(path)

    return load


def test_rules_for_tests(load):
    bench = load(GOOD.replace('port = "1-2"', 'port = "1-2"\nwiring = ["loopback"]'))
    assert bench.rules == TestRules(wiring={"2": frozenset({"loopback"})})
    assert "wiring" not in bench.slots[1]
    listed = load(GOOD + '[test]\nmay_erase = ["e00fce68d3a1b2c4f5061728"]\n').rules
    assert listed == TestRules(are_stated=True, may_erase=frozenset({"e00fce68d3a1b2c4f5061728"}))


@pytest.mark.parametrize(
    "table", ['may_erase = ["all"]', "may_connect = true", "may_lock = []", 'may_erase = ["E00FCE68D3A1B2C4F5061728"]']
)
def test_rules_that_say_nothing(load, table):
    with pytest.raises(ConfigError) as error:
        load(f"{GOOD}[test]\n{table}\n")
    assert error.value.line == GOOD.count("\n") + 2


def test_bench_file(load):
    assert load(GOOD) == BenchFile(
        name="bench",
        driver="virtual",
        options={"clock": "virtual"},
        slots=(
            {"name": "1", "platform": "boron", "device_id": "e00fce68d3a1b2c4f5061728", "faults": ["stall"]},
            {"name": "2", "port": "1-2"},
        ),
    )


def test_a_usb_bench_says_whether_its_boards_have_batteries():
    slots = [{"name": "1", "port": "1-1"}, {"name": "2", "port": "1-2", "battery": True}]

    def batteries(**options):
        bench = usb_bench.open_bench(options=options, slots=slots, state_dir=None, factory_modules=lambda _: ())
        return [slot.battery for slot in bench.slots]

    assert batteries() == [None, True]
    assert batteries(battery=False) == [False, True]
    for options, key in (({"battery": "no"}, "battery"), ({"power": True}, "power")):
        with pytest.raises(ConfigError) as caught:
            batteries(**options)
        assert caught.value.key == f"bench.options.{key}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('driver = "virtual"\n[bench.options]\nclock = "slow"', ", line 4: option clock = 'slow' is not one of"),
        ('driver = "virtual"\noptions = {speed = 1}', ", line 3: unknown bench options ['speed']"),
        ('driver = "virtual"\n[bench.options]\nhands = -1', ", line 4: option hands = -1 is no port"),
        ('driver = "virtual"\nstate_dir = "bench.toml"', ", line 3: the state folder"),
        ('driver = "emulated"\n[bench.options]\nimages = 5', ", line 4: option images = 5 is no folder"),
        ('driver = "usb"\n[bench.options]\n\nbattery = 1', ", line 5: battery = 1 is neither true nor false"),
        ('driver = "usb"\n[[slot]]\nname = "A"\nport = "1-1"\nbattery = 1', ": slot A: battery = 1 is neither"),
        ('driver = "usb"\n[[slot]]\nname = "A"', ": slot A: port is missing"),
        ('driver = "labgrid"\n[bench.options]\nreacquire_s = "x"', ", line 4: reacquire_s = 'x' is no number"),
        ('\ndriver = "toaster"', ", line 3: no bench driver named 'toaster'"),
    ],
)
def test_what_a_driver_complains_about_has_its_place_in_the_file(load, tmp_path, text, says):
    with pytest.raises((BenchError, ConfigError)) as error, opened_bench(load(f"[bench]\n{text}\n"), lambda _: ()):
        pass
    assert str(error.value).startswith(f"{tmp_path / 'bench.toml'}{says}")
    assert error.value.hint


def test_bench_by_name_and_shortest_file(load):
    assert bench_named("usb") == BenchFile("usb", "usb", {}, ())
    # By its file: locks and wear of slots are kept by the bench's name, and two benches may have one driver.
    assert load('[bench]\ndriver = "usb"\n') == BenchFile("bench", "usb", {}, ())
    assert load('[bench]\ndriver = "usb"\nname = "line-1"\n').name == "line-1"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"),
    [
        ("driver", "drvier", 2, "bench.drvier", ["unknown key 'drvier'", "did you mean 'driver'?"]),
        ("[[slot]]", "[[slots]]", 7, "slots", ["did you mean 'slot'?"]),
        ('driver = "virtual"', "", 1, "bench.driver", ["bench.driver is missing"]),
        ('driver = "virtual"', "driver = 3", 2, "bench.driver", ["must be text"]),
        ('"2"', "2", 14, "slot.name", ["slot.name must be text in quotes, not 2"]),
        ('"2"', '""', 14, "slot.name", ["slot.name is empty"]),
        ('name = "2"', "", 13, "slot.name", ["slot.name is missing"]),
        ('"2"', '"1"', 14, "slot.name", ["two slots have name '1'"]),
        ('"1-2"', '"1-2"\ndevice_id = "e00fce68d3a1b2c4f5061728"', 16, "slot.device_id", ["two slots have device_id"]),
        ('"1-2"', "12", 15, "slot.port", ["must be text"]),
        ('"Boron"', '"bron"', 9, "slot.platform", ["unknown platform", "did you mean 'boron'?"]),
        ("e00fce68d", "E00FCE68D", 10, "slot.device_id", ["24 hexadecimal digits"]),
        ("[bench.options]", "[bench.option]", 4, "bench.option", ["did you mean 'options'?"]),
    ],
)
def test_mistakes_name_file_line_and_key(load, tmp_path, old, new, line, key, words):
    with pytest.raises(ConfigError) as caught:
        load(GOOD.replace(old, new))

    error = caught.value
    assert (error.file, error.line, error.key) == (str(tmp_path / "bench.toml"), line, key)
    for word in words:
        assert word in str(error)


def test_slots_must_be_an_array_of_tables(load):
    with pytest.raises(ConfigError, match=r"line 3: 'slot' must be written as \[\[slot\]\] tables"):
        load('[bench]\ndriver = "usb"\n[slot]\nname = "1"\n')


def test_inline_tables_have_the_line_of_their_key(load):
    with pytest.raises(ConfigError, match=r"line 3: slot\.name is missing"):
        load('bench.driver = "usb"\n\nslot = [{ port = "1" }]\n')
