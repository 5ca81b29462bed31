"""Whatever stands in a bench file where something else belongs: a sentence that names file and key, no traceback."""

import json

import pytest
from particle_harness.bench_toml import open_bench_file
from particle_harness.emulator import bench as emulated
from particle_harness.emulator.boards import chips

from particle_dev.errors import BenchError, ConfigError

DRIVERS = ("virtual", "emulated")
TEXT, SWITCH, TEXTS, TABLES, TABLE, NUMBER, FOLDER = "text", "switch", "texts", "tables", "table", "number", "folder"
VALUES = {
    "5": NUMBER,
    "1": NUMBER,
    "0": NUMBER,
    "-1": NUMBER,
    "1.5": NUMBER,
    "nan": NUMBER,
    "true": SWITCH,
    "false": SWITCH,
    '"yes"': TEXT,
    '""': "empty",
    "2026-11-29": "date",
    "[]": "empty list",
    "[5]": "numbers",
    "[[]]": "lists",
    "[true]": "switches",
    '["yes"]': TEXTS,
    '["yes", 5]': "mixed",
    "[{}]": TABLES,
    "[{do = 5}]": TABLES,
    '[{do = "unplug", at = ["dfu_transfer"]}]': TABLES,
    '[{do = "unplug", at = "dfu_transfer", n = "x"}]': TABLES,
    f'[{{do = "unplug", at = "dfu_transfer", replug_after_s = 1{"0" * 400}}}]': TABLES,
    "{}": TABLE,
    "{a = 1}": TABLE,
}
"""By TOML text, what it is."""
SLOT_KEYS = {
    "virtual": {
        "name": TEXT, "platform": TEXT, "device_id": TEXT, "device_os": TEXT, "bootloader": TEXT, "factory": TEXT,
        "arrives_in": TEXT, "silicon": TEXT, "connected": SWITCH, "factory_image": SWITCH, "protected": SWITCH,
        "service_mode": SWITCH, "blank": SWITCH, "probe": SWITCH, "battery": SWITCH, "application": TEXTS,
        "network": TEXTS, "semi_automatic_apps": TEXTS, "faults": TABLES,
    },
    "emulated": {
        "name": TEXT, "platform": TEXT, "device_id": TEXT, "device_os": TEXT, "connected": SWITCH, "blank": SWITCH,
        "probe": SWITCH, "battery": SWITCH, "mode_button": SWITCH, "faults": TABLES,
    },
}  # fmt: skip
OPTIONS = {
    "virtual": {"clock": TEXT, "delays": TEXT, "power_control": SWITCH, "network_scale": NUMBER, "cloud": TEXT,
                "hands": NUMBER},
    "emulated": {"clock": TEXT, "power_control": SWITCH, "images": FOLDER, "begin_from": FOLDER},
}  # fmt: skip
BENCH_KEYS = {"name": TEXT, "driver": TEXT, "state_dir": TEXT, "options": TABLE}
_FITS_LISTS = ("empty list",)


def fits(kind, value):
    """Whether a value may be right: what is of its kind, and lists with nothing in them."""
    if VALUES[value] == kind:
        return True
    return (kind in (TEXTS, TABLES) and VALUES[value] in _FITS_LISTS) or (kind == FOLDER and VALUES[value] == TEXT)


def wrong(kind):
    return [value for value in VALUES if not fits(kind, value)]


def cases(keys_of):
    return [(driver, key, kind) for driver in DRIVERS for key, kind in keys_of(driver).items()]


@pytest.fixture(autouse=True)
def nothing_is_run(monkeypatch):
    """All this is refused before an image is read or a chip is made."""
    monkeypatch.setattr(emulated, "ImageSource", None)
    monkeypatch.setattr(chips, "emulated_chip", None)


def refused(tmp_path, text):
    file = tmp_path / "bench.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises((BenchError, ConfigError)) as error:
        open_bench_file(file)
    assert str(error.value).startswith(str(file))
    assert error.value.hint
    return str(error.value).removeprefix(str(file))


def names(message, key):
    """A fault is named by itself."""
    return key in message or (key == "faults" and "fault" in message)


@pytest.mark.parametrize(("driver", "key", "kind"), cases(SLOT_KEYS.get))
def test_wrong_values_in_a_slot_are_named(tmp_path, driver, key, kind):
    for value in wrong(kind):
        slot = {"name": '"left"', "platform": '"boron"'} | {key: value}
        lines = "".join(f"{k} = {v}\n" for k, v in slot.items())
        message = refused(tmp_path, f'[bench]\ndriver = "{driver}"\n[[slot]]\n{lines}')
        assert names(message, key), message


@pytest.mark.parametrize(("driver", "key", "kind"), cases(OPTIONS.get))
def test_wrong_values_of_an_option_are_named(tmp_path, driver, key, kind):
    slot = '[[slot]]\nname = "left"\nplatform = "boron"\n'
    for value in wrong(kind):
        options = f"[bench.options]\n{key} = {value}\n"
        said = refused(tmp_path, f'[bench]\ndriver = "{driver}"\n{options}{slot}')
        assert said.startswith(", line 4: ")
        assert key in said


@pytest.mark.parametrize(("driver", "key", "kind"), cases(lambda _driver: BENCH_KEYS))
def test_wrong_values_of_the_bench_are_named(tmp_path, driver, key, kind):
    for value in wrong(kind):
        table = {"driver": f'"{driver}"'} | {key: value}
        lines = "".join(f"{k} = {v}\n" for k, v in table.items())
        assert key in refused(tmp_path, f'[bench]\n{lines}[[slot]]\nname = "left"\nplatform = "boron"\n')


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", ['"\\u0000"', f'"{"x" * 5000}"'])
def test_folders_that_no_file_system_has_are_named(tmp_path, monkeypatch, driver, name):
    monkeypatch.setattr(emulated, "ImageSource", lambda *_: None)
    slot = '[[slot]]\nname = "left"\nplatform = "boron"\n'
    keeps = f'[bench]\ndriver = "{driver}"\nstate_dir = {name}\n{slot}'
    said = refused(tmp_path, keeps)
    assert said.startswith(", line 3: the state folder")
    assert "name another" in said
    if driver == "emulated":
        begins = f'[bench]\ndriver = "emulated"\n[bench.options]\nbegin_from = {name}\n{slot}'
        assert refused(tmp_path, begins).startswith(", line 4: there are no boards to begin from")


@pytest.mark.parametrize("port", ["", "x", "99999"])
def test_a_cloud_is_a_link(tmp_path, port):
    options = f'[bench.options]\ncloud = "http://127.0.0.1:{port}/#token"\n'
    slot = '[[slot]]\nname = "left"\nplatform = "boron"\n'
    said = refused(tmp_path, f'[bench]\ndriver = "virtual"\n{options}{slot}')
    assert said.startswith(", line 4: cloud =")


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("slot = 5\n[bench]\ndriver = {driver}", "slot"),
        ("slot = [5]\n[bench]\ndriver = {driver}", "slot"),
        ('slot = "left"\n[bench]\ndriver = {driver}', "slot"),
        ("[bench]\ndriver = {driver}\n[slot]\nname = 5", "slot"),
        ("bench = 5", "bench"),
        ("[[bench]]\ndriver = {driver}", "bench"),
        ("[bench]", "driver"),
        ("", "bench"),
        ("[bench]\ndriver = {driver}\n[[slot]]\n", "name"),
        ('[bench]\ndriver = {driver}\n[[slot]]\nname = "left"', "platform"),
        ("[bench]\ndriver = {driver}\ndrivers = 1", "drivers"),
        ('[bench]\ndriver = {driver}\n[[slot]]\nname = "left"\nplatform = "boron"\nflavour = 1', "flavour"),
        ("[bench]\ndriver = {driver}\noptions = {{flavour = 1}}", "flavour"),
    ],
)
def test_tables_of_the_wrong_shape(tmp_path, driver, text, wanted):
    assert wanted in refused(tmp_path, text.format(driver=json.dumps(driver)) + "\n")


def test_a_good_file_opens(tmp_path):
    file = tmp_path / "bench.toml"
    keys = (
        "connected = true\nprobe = false\napplication = []\nnetwork = []\nfaults = []\nbattery = false\n"
        'device_os = "2.1.0"\nfactory_image = false\nsemi_automatic_apps = []\nsilicon = "AAD0"\n'
    )
    slot = f'[[slot]]\nname = "left"\nplatform = "boron"\nwiring = ["loopback"]\n{keys}'
    file.write_text(f'[bench]\ndriver = "virtual"\n{slot}', encoding="utf-8")
    bench = open_bench_file(file)
    assert [slot.name for slot in bench.slots] == ["left"]
    bench.close()
