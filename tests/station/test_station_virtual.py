"""Whole runs on virtual boards with real Device OS 2.1.0.

The boards are our own models, so this proves our side of the procedure, on firmware that is Particle's. `truth` is
what a board knows about itself and the product cannot see.
"""

import errno
import resource
import shutil
from dataclasses import replace

import pytest
import usb.core
from particle_harness.bench import VirtualSlot
from particle_harness.usb.pyusb_backend import VirtualBackend

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import FirmwareStoreError, JournalError, PowerSwitchError, RunFinishedError, WrongDeviceError
from particle_dev.flash.store import FirmwareStore
from particle_dev.station.bench import open_bench
from particle_dev.station.engine import Station
from particle_dev.station.events import EventType
from particle_dev.station.journal import JOURNAL_NAME
from particle_dev.station.records import DATABASE_NAME, RecordDatabase
from particle_dev.station.report import REPORT_NAME

pytestmark = pytest.mark.firmware
FOUR = ("boron", "bsom", "tracker", "photon")


class Line:
    """A bench of virtual boards and the folder of its run."""

    def __init__(self, recipe, store, folder, slots, **options):
        self.recipe, self.store, self.folder = recipe, store, folder
        self.slots = [{"name": str(n), **slot} for n, slot in enumerate(slots, 1)]
        self.options = {"clock": "virtual", **options}
        self.events = []
        self.bench = None

    def open(self):
        self.close()
        self.bench = open_bench(
            "virtual",
            options=self.options,
            slots=self.slots,
            state_dir=self.folder / "boards",
            factory_modules=self.factory_modules,
        )
        return self.bench

    def close(self):
        if self.bench is not None:
            self.bench.close()
            self.bench = None

    def factory_modules(self, platform):
        release = self.store.device_os_set(platform, "2.1.0")
        return [self.store.read(m.sha256) for m in release.factory_modules]

    def run(self, expected=None):
        bench = self.open()
        return Station(self.recipe, bench, self.store, self.folder, self.events.append, expected).run()

    def board(self, slot="1"):
        return self.bench.driver.board(slot)


@pytest.fixture
def line(ship_recipe, release_store, tmp_path):
    made = []

    def make(*slots, store=release_store, folder="run", **options):
        slots = [{"platform": s} if isinstance(s, str) else s for s in slots]
        made.append(Line(ship_recipe, store, tmp_path / folder, slots, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def undisturbed(ship_recipe, release_store, tmp_path_factory):
    """Records of undisturbed runs of one board, by platform."""
    units = {}
    for platform in ("boron", "photon"):
        folder = tmp_path_factory.mktemp("undisturbed") / "run"
        line = Line(ship_recipe, release_store, folder, [{"platform": platform}])
        record = line.run()
        line.close()
        assert record.verdict == "pass"
        units[platform] = record.units[0]
    return units


def never_online(board):
    truth = board.truth
    return (truth.network_attempts, truth.cloud_attempts, truth.first_connected_at_s) == (0, 0, None)


def failed_step(unit):
    return next(s for s in reversed(unit.attempts[-1].steps) if s.error)


# ---- the main job ---------------------------------------------------------------------------------------------


def test_four_boards_from_tray_to_shipped(line, release_store):
    shop = line(*FOUR)
    record = shop.run()
    assert record.verdict == "pass"
    assert [u.platform for u in record.units] == list(FOUR)
    for unit in record.units:
        board = shop.board(unit.slot)
        assert unit.device_id == board.state.device_id
        assert str(unit.billing.verdict) == "not_started"
        assert {e.id for e in unit.billing.evidence} == {"counters", "dfu"}
        assert unit.billing.missing == ()
        assert (unit.parked.mode, unit.parked.power) == ("dfu", "off")
        for module in unit.modules:
            assert module.read_back_sha256 == module.sha256
            data = release_store.read(module.sha256)
            assert board.internal.read(module.address, len(data)) == data
        assert {m.version for m in unit.modules if m.function == "system part"} == {2101}
        assert never_online(board)
        assert board.truth.app_boots == 1, "the old application ran once, on arrival; the new one never"


def test_the_customer_gets_a_consistent_set(line):
    shop = line(*FOUR)
    shop.run()
    for slot in "1234":
        decision = shop.board(slot).decide_boot()
        assert decision.runs in ("app", "listening")
        assert not decision.safe_mode, decision.reasons


def test_run_leaves_journal_database_and_report(line):
    shop = line("boron")
    record = shop.run()
    database = RecordDatabase(shop.folder / DATABASE_NAME)
    (stored,) = database.units()
    database.close()
    assert stored.unit.device_id == record.units[0].device_id
    assert record.units[0].device_id in (shop.folder / REPORT_NAME).read_text()
    steps = [e.step for e in shop.events if e.type == EventType.STEP_FINISHED]
    assert steps == ["identify", "check", "plan", "enter_dfu", "flash", "verify", "park"]


def test_a_board_that_may_not_be_opened_ends_no_other_slot(line, monkeypatch):
    def refuse(backend, device):
        if device.board.port_path == "1-1":
            raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)
        return open_device(backend, device)

    open_device = VirtualBackend.open_device
    monkeypatch.setattr(VirtualBackend, "open_device", refuse)
    shop = line("boron", "photon", power_control=False)
    record = shop.run()
    (empty,) = record.empty_slots
    assert (empty.slot, "access denied" in empty.reason) == ("1", True)
    assert [(u.slot, str(u.verdict)) for u in record.units] == [("2", "pass")]
    assert record.verdict == "incomplete"
    assert any("doctor --install" in m.message for m in record.messages)


def test_finished_run_is_not_taken_for_another_tray(line):
    shop = line("boron")
    shop.run()
    lines = (shop.folder / JOURNAL_NAME).read_bytes()
    shop.slots[0]["device_id"] = "e00fce68" + "a" * 16
    with pytest.raises(RunFinishedError, match="new --out"):
        shop.run()
    assert (shop.folder / JOURNAL_NAME).read_bytes() == lines


def test_run_that_died_before_its_records_completes_them(line):
    shop = line("boron")
    shop.run()
    (shop.folder / REPORT_NAME).unlink()
    assert shop.run().verdict == "pass"
    assert (shop.folder / REPORT_NAME).exists()


def test_slot_that_passed_must_not_hold_another_board_on_resume(line):
    faults = [{"do": "unplug", "at": "dfu_transfer", "n": 300}]
    shop = line("boron", {"platform": "photon", "faults": faults}, power_control=False)
    assert shop.run().verdict == "fail"
    shop.slots[0]["device_id"] = "e00fce68" + "a" * 16
    with pytest.raises(WrongDeviceError, match="new --out"):
        shop.run()
    assert_untouched_since(shop)


def assert_untouched_since(shop):
    """The boards of the second run: nothing was erased on the one that does not belong there."""
    events = [e for e in shop.events if e.type == EventType.RUN_RESUMED]
    assert events == []


def test_what_was_not_proven_is_not_in_the_record(line):
    shop = line({"platform": "boron", "faults": [{"do": "unplug", "at": "dfu_transfer", "n": 600}]})
    assert shop.run().units[0].modules == ()


def test_bench_without_power_control_tells_the_operator(line):
    shop = line("boron", power_control=False)
    record = shop.run()
    assert record.verdict == "pass"
    assert record.units[0].parked.power == "on_operator_must_unplug"
    assert any("unplug" in m.message for m in record.messages)


def test_board_that_arrives_in_dfu_mode(line, undisturbed):
    shop = line({"platform": "boron", "arrives_in": "dfu"})
    record = shop.run()
    assert record.verdict == "pass"
    assert [m.sha256 for m in record.units[0].modules] == [m.sha256 for m in undisturbed["boron"].modules]
    assert never_online(shop.board())


# ---- refused before anything is erased ------------------------------------------------------------------------


def assert_untouched(board):
    assert board.truth.erases == 0
    assert board.truth.programs == 0


def test_bootloader_too_old(line):
    shop = line({"platform": "boron", "bootloader": "old", "arrives_in": "dfu"}, "photon")
    record = shop.run()
    refused, passed = record.units
    assert (str(refused.verdict), str(passed.verdict)) == ("refused", "pass")
    assert "bootloader" in failed_step(refused).error["message"]
    assert "v1005" in failed_step(refused).error["message"]
    assert_untouched(shop.board("1"))
    assert record.verdict == "fail"


def test_altered_firmware_in_the_store(line, release_store, tmp_path):
    shutil.copytree(release_store.root, tmp_path / "store")
    store = FirmwareStore(tmp_path / "store")
    (part,) = (
        m
        for m in store.device_os_set("photon", "2.1.0").modules
        if (m.function, m.index) == (ModuleFunction.SYSTEM_PART, 2)
    )
    path = tmp_path / "store" / "modules" / f"{part.sha256}.bin"
    data = bytearray(path.read_bytes())
    data[100_000] ^= 1
    path.write_bytes(data)
    shop = line("boron", "photon", store=store)
    record = shop.run()
    passed, refused = record.units
    assert (str(passed.verdict), str(refused.verdict)) == ("pass", "refused")
    assert str(path) in failed_step(refused).error["message"]
    assert_untouched(shop.board("2"))


def test_firmware_that_the_store_lacks_is_told_before_any_board_is_touched(line, tmp_path):
    shop = line("boron", "photon")
    firmware = dict(shop.recipe.firmware)
    firmware["photon"] = replace(firmware["photon"], app="nosuch.bin")
    firmware["bsom"] = replace(firmware["bsom"], device_os="2.2.0")
    complete = shop.recipe
    shop.recipe = replace(complete, firmware=firmware)
    with pytest.raises(FirmwareStoreError) as caught:
        shop.run()
    assert "no application nosuch.bin for photon" in caught.value.message
    assert "not all of Device OS 2.2.0 for bsom" in caught.value.message
    assert f"--store {shop.store.root}" in caught.value.hint
    assert shop.events == []
    assert_untouched(shop.board("1"))
    shop.recipe = complete
    assert shop.run().verdict == "pass"


def test_platform_without_firmware_in_the_recipe(line):
    shop = line("argon", "boron")
    record = shop.run()
    refused, passed = record.units
    assert str(refused.verdict) == "refused"
    assert str(passed.verdict) == "pass"
    assert "Argon" in failed_step(refused).error["message"]
    assert_untouched(shop.board("1"))


def test_other_device_id_than_the_bench_file_says(line):
    shop = line("boron")
    record = shop.run(expected={"1": "e00fce68" + "f" * 16})
    assert failed_step(record.units[0]).error["type"] == "WrongDeviceError"
    assert_untouched(shop.board())


def test_board_that_has_been_online_is_refused_and_said_so(line):
    shop = line({"platform": "boron", "factory": "online"})
    shop.open()
    clock = shop.bench.slots[0].host.clock
    shop.bench.slots[0].power.on()
    clock.sleep(60)
    shop.board().advance()
    assert shop.board().truth.first_connected_at_s is not None
    record = Station(shop.recipe, shop.bench, shop.store, shop.folder, shop.events.append).run()
    unit = record.units[0]
    assert str(unit.verdict) == "refused"
    assert str(unit.billing.verdict) == "started"
    assert_untouched(shop.board())


# ---- faults on the way ----------------------------------------------------------------------------------------


def test_empty_slot_is_no_pass(line):
    record = line("boron", {"platform": "bsom", "connected": False}).run()
    assert record.verdict == "incomplete"
    assert [s.slot for s in record.empty_slots] == ["2"]


class StuckSwitch:
    """A power switch that fails at the calls named."""

    def __init__(self, inner, *broken):
        self.inner, self.broken = inner, broken

    def on(self):
        self._do("on")

    def off(self):
        self._do("off")

    def _do(self, action):
        if action in self.broken:
            raise PowerSwitchError("hub 1-1 port 2: stuck", where="hub 1-1 port 2", hint="look")
        getattr(self.inner, action)()


@pytest.fixture
def stuck(monkeypatch):
    """Lets power switches of virtual slots fail at these calls."""

    def at(*broken):
        made = VirtualSlot.__init__

        def init(self, *arguments, **keywords):
            made(self, *arguments, **keywords)
            self.power = StuckSwitch(self.power, *broken)

        monkeypatch.setattr(VirtualSlot, "__init__", init)

    return at


def test_a_switch_that_gives_no_power_leaves_an_empty_slot(line, stuck):
    stuck("on")
    record = line("boron").run()
    assert record.verdict == "incomplete"
    assert [(s.slot, "stuck" in s.reason) for s in record.empty_slots] == [("1", True)]


def test_a_switch_that_does_not_take_it_away_is_no_pass(line, stuck):
    """The unit waits in DFU mode; nobody is told that it is off."""
    stuck("off")
    shop = line("boron")
    record = shop.run()
    assert record.verdict == "fail"
    assert failed_step(record.units[0]).error["type"] == "PowerSwitchError"
    assert record.units[0].parked is None
    assert never_online(shop.board())


def test_a_unit_that_did_not_pass_and_cannot_be_switched_off_is_not_said_to_be_off(line, stuck):
    stuck("off")
    shop = line({"platform": "photon", "faults": [{"do": "vanish", "at": "re_enumeration"}]})
    record = shop.run()
    assert record.verdict == "fail"
    assert record.units[0].attempts[-1].switched_off_at is None
    messages = [e.data["message"] for e in shop.events if e.type is EventType.OPERATOR_MESSAGE]
    assert [m for m in messages if "stuck" in m] and [m for m in messages if ": unplug " in m]


def transfers_of_a_whole_run(platform, line):
    shop = line(platform, folder=f"count-{platform}")
    shop.run()
    return shop.board().truth.dfu_transfers


# Up to 49 runs of a station.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("platform", ["boron", "photon"])
@pytest.mark.parametrize("do", ["unplug", "stall"])
def test_fault_at_any_dfu_transfer_costs_only_a_second_run(line, undisturbed, platform, do):
    total = transfers_of_a_whole_run(platform, line)
    for k in range(24):
        n = 1 + k * (total - 1) // 23
        fault = {"do": do, "at": "dfu_transfer", "n": n}
        shop = line({"platform": platform, "faults": [fault]}, folder=f"{platform}-{do}-{n}")
        first = shop.run()
        if first.verdict != "pass":
            error = failed_step(first.units[0]).error
            assert error["hint"], error
            assert str(first.units[0].billing.verdict) != "started"
            second = shop.run()
            assert second.verdict == "pass", (n, second.units[0].error, second.units[0].billing.missing)
            record = second
        else:
            record = first
        assert record.units[0].comparable() == undisturbed[platform].comparable(), n
        assert never_online(shop.board()), n
        shop.close()
        shutil.rmtree(shop.folder)


def test_wrong_board_after_re_enumeration(line):
    fault = {"do": "wrong_device_id", "at": "re_enumeration", "n": 1}
    shop = line({"platform": "boron", "faults": [fault]}, "photon")
    record = shop.run()
    failed, passed = record.units
    assert str(passed.verdict) == "pass"
    error = failed_step(failed).error
    assert error["type"] == "WrongDeviceError"
    assert error["fields"]["expected"] == failed.device_id != error["fields"]["actual"]
    assert_untouched(shop.board("1"))


def test_board_that_never_comes_back(line):
    shop = line({"platform": "boron", "faults": [{"do": "vanish", "at": "re_enumeration", "n": 1}]}, "photon")
    record = shop.run()
    assert [str(u.verdict) for u in record.units] == ["fail", "pass"]
    assert failed_step(record.units[0]).error["type"] == "DeviceModeError"


def test_bit_that_does_not_program_is_found_with_its_address(line):
    fault = {"do": "flip_byte", "at": "write", "address": 0x30010}
    shop = line({"platform": "boron", "faults": [fault]})
    first = shop.run()
    error = failed_step(first.units[0]).error
    assert (error["type"], error["fields"]["address"]) == ("VerifyError", 0x30010)
    assert str(first.units[0].billing.verdict) == "unknown", "it was not parked"
    assert shop.run().verdict == "pass"


def test_full_disk_stops_the_station_before_anything_unrecorded_happens(line, monkeypatch):
    shop = line("boron", "photon")
    shop.open()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal = shop.folder / JOURNAL_NAME
    station = Station(shop.recipe, shop.bench, shop.store, shop.folder, shop.events.append)
    # Files that are mapped already may still change; nothing can grow beyond the first events.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(JournalError) as error:
            station.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(journal) in str(error.value)
    assert "make room" in error.value.hint
    assert_untouched(shop.board("1"))
    shop.events.clear()
    assert shop.run().verdict == "pass"


def test_other_recipe_in_the_same_folder(line, tmp_path):
    shop = line("boron")
    shop.run()
    text = (shop.folder / JOURNAL_NAME).read_text()
    (shop.folder / JOURNAL_NAME).write_text(text.replace(shop.recipe.sha256, "0" * 64))
    with pytest.raises(JournalError, match="differs"):
        shop.run()


def stay_away(shop, duration_s):
    """Time passes while the board lies unplugged."""
    shop.bench.slots[0].host.clock.sleep(duration_s)
    shop.board().power_off()


def test_gap_that_nobody_watched_is_unknown_and_no_pass(line):
    """Unplugged before the parking brake was set, and back a minute later: it may have run elsewhere meanwhile."""
    shop = line({"platform": "boron", "faults": [{"do": "unplug", "at": "dfu_transfer", "n": 10}]})
    assert shop.run().verdict == "fail"
    stay_away(shop, 60)
    unit = shop.run().units[0]
    assert (str(unit.verdict), str(unit.billing.verdict)) == ("fail", "unknown")
    assert "nobody watched" in unit.billing.missing[0]


def test_after_the_parking_brake_a_gap_does_no_harm(line):
    """The same later on: without its system part the board could boot nothing but DFU mode."""
    shop = line({"platform": "boron", "faults": [{"do": "unplug", "at": "dfu_transfer", "n": 600}]})
    assert shop.run().verdict == "fail"
    assert shop.board().decide_boot().runs == "dfu"
    stay_away(shop, 3600)
    record = shop.run()
    assert record.verdict == "pass"
    assert str(record.units[0].billing.verdict) == "not_started"
    assert never_online(shop.board())


@pytest.mark.parametrize("platform", ["boron", "photon"])
def test_every_boot_during_the_flash_ends_in_dfu_mode(line, platform):
    """Asked of the virtual board after each block: would a loss of power now be harmless?"""
    shop = line(platform)
    shop.open()
    endings = []

    def look(event):
        if event.type == EventType.STEP_PROGRESS and event.step == "flash":
            endings.append(shop.board().decide_boot().runs)

    Station(shop.recipe, shop.bench, shop.store, shop.folder, look).run()
    assert len(endings) > 100
    assert set(endings[:-1]) == {"dfu"}
    assert endings[-1] == "listening", "the last block completes the set"


# ---- a bootloader too old for the set, which copies its own successor -----------------------------------------------

OLDER = {"platform": "boron", "device_os": "2.0.0"}


def boots_of_anything(board):
    truth = board.truth
    return truth.app_boots + truth.safe_mode_boots


def test_bootloader_that_can_copies_its_successor_and_nothing_else_runs(line, release_store):
    shop = line(OLDER)
    shop.open()
    endings = []

    def look(event):
        if event.type == EventType.STEP_PROGRESS and event.step in ("copy", "flash"):
            endings.append(shop.board().decide_boot().runs)

    record = Station(shop.recipe, shop.bench, shop.store, shop.folder, look).run()
    unit, board = record.units[0], shop.board()
    assert (str(unit.verdict), str(unit.billing.verdict), unit.billing.missing) == ("pass", "not_started", ())
    assert [s.name for s in unit.steps] == ["identify", "check", "plan", "enter_dfu", "copy", "flash", "verify", "park"]
    (bootloader,) = (m for m in unit.modules if m.function == "bootloader")
    assert (bootloader.version, bootloader.read_back_sha256) == (1005, bootloader.sha256)
    data = release_store.read(bootloader.sha256)
    assert board.internal.read(bootloader.address, len(data)) == data
    assert boots_of_anything(board) == 1, "the old application ran once, on arrival"
    assert never_online(board)
    assert set(endings[:-1]) == {"dfu"}
    decision = board.decide_boot()
    assert (decision.runs, decision.safe_mode) == ("listening", False)


@pytest.mark.parametrize("do", ["unplug", "stall"])
def test_fault_at_any_transfer_of_a_run_with_copies_costs_only_a_second_run(line, do):
    undisturbed = line(OLDER, folder="undisturbed")
    expected = undisturbed.run().units[0].comparable()
    total = undisturbed.board().truth.dfu_transfers
    # The copies are the first part.
    points = sorted({5 + k * total // 40 for k in range(6)} | {total // 2, total - 1})
    for n in points:
        shop = line({**OLDER, "faults": [{"do": do, "at": "dfu_transfer", "n": n}]}, folder=f"copies-{do}-{n}")
        record = shop.run()
        if record.verdict != "pass":
            assert failed_step(record.units[0]).error["hint"]
            record = shop.run()
        assert record.verdict == "pass", (n, record.units[0].error, record.units[0].billing.missing)
        assert record.units[0].comparable() == expected, n
        assert never_online(shop.board()), n
        assert boots_of_anything(shop.board()) <= 2, n
        shop.close()
        shutil.rmtree(shop.folder)


def test_bootloader_that_only_the_running_system_could_replace_is_refused(line):
    """One that copies no bootloader, and an STM32F2, whose system would have to run."""
    shop = line(
        {"platform": "boron", "bootloader": "old", "arrives_in": "dfu"}, {"platform": "photon", "device_os": "1.4.4"}
    )
    record = shop.run()
    for unit, slot in zip(record.units, "12", strict=True):
        error = failed_step(unit).error
        assert (str(unit.verdict), error["type"], failed_step(unit).name) == (
            "refused",
            "PermissionMissingError",
            "plan",
        )
        assert "bootloader 0 v1005" in error["message"]
        assert "no station does that" in error["hint"], "no flag of this command would help"
        assert "`particle-dev flash --may-connect`, which can start billing" in error["hint"]
        assert_untouched(shop.board(slot))
