"""Stations with debug probes, alone and mixed with USB, on virtual boards with real Device OS 2.1.0.

Probe sessions are pyOCD in processes of their own, over TCP; boards and bench are ours.
"""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from particle_harness.user_information import factory_uicr, intel_hex, mbr_stand_in

from particle_dev.catalog.platforms import UsbMode, platform_by_name
from particle_dev.errors import ConfigError, FirmwareStoreError
from particle_dev.station import probe_steps
from particle_dev.station.bench import open_bench
from particle_dev.station.engine import Station
from particle_dev.station.events import EventType, StepStatus, timestamp
from particle_dev.station.observations import Observations
from particle_dev.station.recipe import ProbeChoice, load_recipe

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(300), pytest.mark.usefixtures("own_probes")]
RECIPE = """
[recipe]
name = "blank"
finish = "dfu"
[probe]
{probe}
[firmware.boron]
device_os = "2.1.0"
app = "tinker-0.8.0-rc.27-boron.bin"
restore = "boron.hex"
[firmware.photon]
device_os = "2.1.0"
app = "tinker-0.4.5-photon.bin"
"""
PROBE_STEPS = ["probe", "probe_plan", "probe_flash", "probe_park"]
USB_STEPS = ["identify", "check", "plan", "enter_dfu", "flash", "verify", "park"]


@pytest.fixture
def recipe(tmp_path):
    def make(probe):
        (tmp_path / "recipe.toml").write_text(RECIPE.format(probe=probe))
        uicr = factory_uicr(0, was_protected=False)[:0x400]
        (tmp_path / "boron.hex").write_text(intel_hex([(0, mbr_stand_in()), (0x10001000, uicr)]))
        return load_recipe(tmp_path / "recipe.toml")

    return make


class Line:
    def __init__(self, recipe, store, folder, slot):
        self.recipe, self.store, self.folder, self.slot = recipe, store, folder, slot
        self.events = []
        self.bench = None

    def open(self):
        self.close()
        self.bench = open_bench(
            "virtual",
            options={"clock": "virtual"},
            slots=[{"name": "1", "probe": True, **self.slot}],
            state_dir=self.folder / "boards",
            factory_modules=self.factory_modules,
        )
        return self.bench

    def factory_modules(self, platform):
        release = self.store.device_os_set(platform, "2.1.0")
        return [self.store.read(m.sha256) for m in release.factory_modules]

    def close(self):
        if self.bench is not None:
            self.bench.close()
            self.bench = None

    def run(self, change=lambda bench: bench):
        bench = change(self.open())
        self.events.clear()
        return Station(self.recipe, bench, self.store, self.folder, self.events.append).run()

    @property
    def board(self):
        return self.bench.driver.board("1")

    @property
    def passed_steps(self):
        return [e.step for e in self.events if e.type == EventType.STEP_FINISHED and e.data["status"] == "passed"]


@pytest.fixture
def line(recipe, release_store, tmp_path):
    made = []

    def make(probe, **slot):
        made.append(Line(recipe(probe), release_store, tmp_path / "run", {"platform": "boron", **slot}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def never_online(board):
    truth = board.truth
    return (truth.network_attempts, truth.cloud_attempts, truth.app_boots) == (0, 0, 0)


def test_a_blank_board_by_probe_then_usb(line, release_store):
    shop = line('boards = "blank"', blank=True)
    record = shop.run()
    (unit,) = record.units
    assert record.verdict == "pass", unit.error
    assert shop.passed_steps == PROBE_STEPS + USB_STEPS
    assert unit.device_id == shop.board.state.device_id
    steps = {s.name: s for s in unit.steps}
    assert steps["probe"].evidence["device_id_by"] == {"debug probe": unit.device_id}
    by = {"debug probe": unit.device_id, "usb serial number": unit.device_id}
    assert steps["identify"].evidence["device_id_by"] == by
    assert str(unit.billing.verdict) == "not_started"
    assert {e.id for e in unit.billing.evidence} == {"dfu", "halted"}
    assert (unit.parked.mode, unit.parked.power) == ("dfu", "off")
    assert never_online(shop.board)
    release = release_store.device_os_set("boron", "2.1.0")
    for module in release.system_parts:
        data = release_store.read(module.sha256)
        assert data in bytes(shop.board.internal.cells)
    assert "halted by a debug probe" in (shop.folder / "report.html").read_text()


def test_held_halted_to_the_end(line):
    shop = line('boards = "all"\nthen = "nothing"', blank=True)
    record = shop.run()
    (unit,) = record.units
    assert record.verdict == "pass", unit.error
    assert shop.passed_steps == PROBE_STEPS
    assert (unit.parked.mode, unit.parked.power) == ("halted", "off")
    assert {m.function for m in unit.modules} >= {"bootloader", "system part", "user part"}
    assert all(m.read_back_sha256 for m in unit.modules)
    assert never_online(shop.board)
    assert shop.board.truth.dfu_entries == 0


def test_a_board_that_is_on_usb_goes_by_usb_alone(line):
    shop = line('boards = "blank"')
    record = shop.run()
    assert record.verdict == "pass", record.units[0].error
    assert shop.passed_steps == USB_STEPS


@pytest.mark.parametrize("platform", ["boron", "photon"])
def test_a_running_board_is_asked_over_usb_before_it_is_halted(line, platform):
    shop = line('boards = "all"', platform=platform)
    record = shop.run()
    (unit,) = record.units
    assert record.verdict == "pass", unit.error
    assert {e.id for e in unit.billing.evidence} == {"counters", "dfu", "halted"}
    assert shop.board.truth.app_boots == 1, "the old application ran on arrival, the new one never"


def test_what_ran_unseen_is_no_pass(line):
    shop = line('boards = "all"')

    def elsewhere(bench):
        """The USB cable of another board lies in this slot's port."""
        return replace(bench, slots=tuple(replace(s, port_path="1-9") for s in bench.slots))

    record = shop.run(elsewhere)
    (unit,) = record.units
    assert record.verdict == "fail"
    assert str(unit.verdict) == "refused"
    assert "nobody asked it" in unit.error["message"]
    assert str(unit.billing.verdict) == "unknown"
    assert shop.board.truth.erases == 0


def test_the_usb_cable_of_another_board(line):
    """The probe is on one board, the USB port of the slot has another: nothing more is done."""
    fault = {"do": "wrong_device_id", "at": "re_enumeration", "n": 1}
    shop = line('boards = "all"', blank=True, faults=[fault])
    record = shop.run()
    (unit,) = record.units
    assert (str(unit.verdict), unit.error["type"]) == ("fail", "WrongDeviceError")
    assert "usb serial number says" in unit.error["message"]
    assert unit.error["message"].endswith(f"expected {unit.device_id}")


def test_a_locked_board_is_refused_and_stays(line):
    shop = line('boards = "all"')
    bench = shop.open()
    board = bench.driver.board("1")
    board.chip.uicr[0x208] = 0
    board.chip.pin_reset()
    assert board.chip.locked
    before = bytes(board.internal.cells)
    record = Station(shop.recipe, bench, shop.store, shop.folder, shop.events.append).run()
    (unit,) = record.units
    assert (str(unit.verdict), unit.error["type"]) == ("refused", "ChipLockedError")
    assert bytes(board.internal.cells) == before


def test_power_cut_while_the_probe_writes_then_the_same_again(line):
    cut = {"do": "unplug", "at": "flash_write", "n": 60_000, "replug_after_s": 1.0}
    shop = line('boards = "all"', blank=True, faults=[cut])
    first = shop.run()
    (unit,) = first.units
    assert first.verdict == "fail"
    assert str(unit.billing.verdict) == "unknown"
    assert [s.name for s in unit.attempts[-1].steps if s.error] == ["probe_flash"]
    second = shop.run()
    (unit,) = second.units
    assert second.verdict == "pass", (unit.error, unit.billing.missing)
    assert str(unit.billing.verdict) == "not_started"
    assert never_online(shop.board)


def test_an_empty_socket_with_a_probe(line):
    """A probe that finds no chip is no empty slot: what is broken, nobody can tell."""
    shop = line('boards = "blank"', blank=True)

    def without_power(bench):
        bench.driver.board("1").power_off()
        return replace(bench, slots=tuple(replace(s, power=None) for s in bench.slots))

    record = shop.run(without_power)
    (unit,) = record.units
    assert record.verdict == "fail"
    assert unit.device_id is None
    assert unit.error["hint"]


def test_the_restore_file_must_be_there_before_a_board_is_touched(line, tmp_path):
    shop = line('boards = "blank"', blank=True)
    (tmp_path / "boron.hex").unlink()
    with pytest.raises(FirmwareStoreError, match="no restore file"):
        shop.run()


def test_a_halted_board_leaves_no_usb_for_a_recipe_that_asks_the_cloud(recipe):
    cloud = '\n[cloud]\nproduct = "1"\nplan = "basic"'
    assert recipe('boards = "all"' + cloud).cloud.product == "1"
    with pytest.raises(ConfigError, match="needs a loss of power that is seen on USB"):
        recipe('then = "nothing"' + cloud)


def test_a_blank_board_whose_reset_line_is_held(line, monkeypatch):
    shop = line('boards = "blank"\nunder_reset = true', blank=True)
    bench = shop.open()
    chip, resets = bench.driver.board("1").chip, []
    pin_reset = chip.pin_reset
    monkeypatch.setattr(chip, "pin_reset", lambda: resets.append(1) or pin_reset())
    record = Station(shop.recipe, bench, shop.store, shop.folder, shop.events.append).run()
    (unit,) = record.units
    assert record.verdict == "pass", unit.error
    assert resets, "the probe has used the reset line"
    assert str(unit.billing.verdict) == "not_started"
    assert never_online(shop.board)


def test_a_running_board_is_asked_before_its_reset_line_is_held(line):
    """What it did until then, its counters tell: a reset clears them."""
    shop = line('boards = "all"\nunder_reset = true')
    record = shop.run()
    (unit,) = record.units
    assert record.verdict == "pass", unit.error
    assert {e.id for e in unit.billing.evidence} == {"counters", "dfu", "halted"}
    assert shop.board.truth.app_boots == 1, "the old application ran on arrival, the new one never"


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        ('boards = "some"', "probe.boards 'some' is not known"),
        ('then = "self-test"', "probe.then 'self-test' is not known"),
        ("frequency_hz = 5", "probe.frequency_hz is 5"),
        ('under_reset = "yes"', "probe.under_reset is 'yes'"),
        ("wait_s = 0", "above 0"),
        ("speed = 3", "speed"),
    ],
)
def test_recipes_that_are_refused(recipe, probe, message):
    with pytest.raises(ConfigError, match=message):
        recipe(probe)


def test_a_usb_bench_names_the_probe_of_a_slot():
    slots = [{"name": "A", "port": "1-2", "platform": "boron", "probe": "0123"}, {"name": "B", "port": "1-3"}]
    bench = open_bench("usb", slots=slots)
    assert [(s.probe_id, s.platform) for s in bench.slots] == [("0123", "boron"), (None, None)]
    bench.close()
    for wrong in (5, "0123"):
        with pytest.raises(ConfigError, match="is no text, or two slots have it"):
            open_bench("usb", slots=[*slots, {"name": "C", "port": "1-4", "probe": wrong}])
    assert platform_by_name("boron")


# ---- DFU mode of an earlier attempt -------------------------------------------------------------------------------

SENT_AT = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
SEEN_AT = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)


def sent(name="probe_park", address=7, off_at=None):
    """What an earlier attempt recorded that sent the board into DFU mode."""
    step = SimpleNamespace(
        name=name,
        status=StepStatus.PASSED,
        started_at=timestamp(SENT_AT),
        duration_s=1.0,
        evidence={"attempt": {"usb_address": address}},
    )
    return SimpleNamespace(attempts=[SimpleNamespace(steps=[step], switched_off_at=off_at and timestamp(off_at))])


@pytest.mark.parametrize(
    ("prior", "since"),
    [
        (sent(), SENT_AT),
        (sent("enter_dfu"), SENT_AT),
        (sent(address=6), SEEN_AT),
        (sent(off_at=SENT_AT.replace(minute=30)), SEEN_AT),
    ],
    ids=["same enumeration", "by USB", "it left and came back", "its power was off"],
)
def test_a_probe_believes_dfu_mode_as_usb_does(monkeypatch, prior, since):
    """A board that left DFU mode after an earlier attempt may have run: being there again does not fill the gap."""
    device = SimpleNamespace(mode=UsbMode.DFU, device_id="e00f", usb=SimpleNamespace(address=7))
    monkeypatch.setattr(probe_steps, "wait_for_device", lambda _host, _port, _wait_s: device)
    clock = SimpleNamespace(utc_now=lambda: SEEN_AT.replace(second=5))
    slot = SimpleNamespace(host=SimpleNamespace(clock=clock), port_path="1-1")
    run = SimpleNamespace(slot=slot, observed=Observations(slot))
    probe_steps.ask_over_usb(run, ProbeChoice(), SEEN_AT, {"e00f": prior})
    (piece,) = run.observed.evidence
    assert (piece.id, piece.since) == ("dfu", since)
