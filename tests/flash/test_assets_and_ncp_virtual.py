"""Assets, network processors and whole sets with them onto virtual boards, by plan, session and command line."""

import hashlib
import json
import zipfile

import pytest
from particle_harness.boards import hardware
from particle_harness.esp32.image import esp_image
from particle_harness.factory import (
    app_stand_in,
    bootloader_stand_in,
    build_module,
    install,
    known_release,
    softdevice_stand_in,
    system_stand_ins,
)

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.catalog.platforms import UsbMode
from particle_dev.cli.main import main
from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import wait_for_device
from particle_dev.errors import (
    PermissionMissingError,
    PlanRefusedError,
    RequestRefusedError,
    TransportError,
    UpdateNotAppliedError,
)
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.carry_out import carry_out
from particle_dev.flash.control_update import update_over_control
from particle_dev.flash.inventory import inventory_by_control, inventory_by_dfu
from particle_dev.flash.progress import ModuleProven
from particle_dev.flash.update_plan import make_update_plan
from particle_dev.permissions import Effect, Permissions
from particle_dev.protocol.asset import Asset, dependency_tlv, make_asset_module
from particle_dev.protocol.bundle import make_bundle
from particle_dev.protocol.compressed import compress
from particle_dev.protocol.module import parse
from particle_dev.protocol.module_edit import add_extensions
from particle_dev.station.bench import open_bench

MAY_CONNECT = Permissions(may_connect=True)
ASSETS = [Asset(name, hashlib.shake_256(name.encode()).digest(30_000)) for name in ("picture.png", "song.ogg")]
ESP32 = 0x21


def ground(kind, release):
    bootloader = bootloader_stand_in(kind, known_release(release)[1])
    return [bootloader, softdevice_stand_in(kind)] if kind.is_gen3 else [bootloader]


def with_assets(app, assets=ASSETS):
    return add_extensions(app, [dependency_tlv(asset) for asset in assets])


def ncp_firmware(kind, version=8):
    values = {"start_address": 0, "size_bytes": 300_000, "mcu_target": ESP32}
    return build_module(kind, ModuleFunction.NCP_FIRMWARE, 0, version, **values)


class Desk:
    """One board that runs a release of stand-ins, and what is offered to it."""

    def __init__(self, platform, release, modules, **slot):
        self.kind = hardware(platform)
        self.bench = open_bench(
            "virtual",
            options={"clock": "virtual"},
            slots=[{"name": "1", "platform": platform, "factory": "online", "device_os": release, **slot}],
            factory_modules=lambda _name: ground(self.kind, release),
        )
        self.slot = self.bench.slots[0]
        self.host = self.slot.host
        self.board = self.bench.driver.board("1")
        self.offer(modules)

    def offer(self, modules):
        self.contents = {hashlib.sha256(data).hexdigest(): data for data in modules}
        self.files = [ModuleFile(parse(d), sha256, f"{sha256[:8]}.bin") for sha256, d in self.contents.items()]

    @property
    def device(self):
        return wait_for_device(self.host, self.slot.port_path, 60)

    def plan(self, **options):
        device, assets = self.device, None
        if device.mode is UsbMode.DFU:
            with DfuSession(self.host, device) as session:
                inventory = inventory_by_dfu(session)
        else:
            with ControlSession(self.host, device) as session:
                inventory = inventory_by_control(session)
                try:
                    assets = session.asset_info()
                except RequestRefusedError:
                    assets = None
        return make_update_plan(inventory, self.files, mode=device.mode, assets=assets, **options)

    def update(self, plan=None, permissions=MAY_CONNECT):
        plan = plan or self.plan()
        return list(carry_out(self.host, self.device, plan, self.contents.__getitem__, permissions=permissions))

    def one(self, data, permissions=MAY_CONNECT, **options):
        self.offer([data])
        return update_over_control(self.host, self.device, self.files[0], data, permissions=permissions, **options)

    def stored(self):
        return {asset.identity for asset in self.board.boot_view().assets(5901)}

    def restart(self):
        self.board.reset_pin()
        self.board.clock.sleep(3)

    def holds_what_was_offered(self):
        """In the memories of the board itself, whichever they are."""
        for data in self.contents.values():
            module = parse(data)
            if module.function == ModuleFunction.ASSET:
                continue
            if module.function == ModuleFunction.NCP_FIRMWARE:
                if self.board.state.ncp_sha256 != hashlib.sha256(data[24:]).hexdigest():
                    return False
            elif self.board.internal.read(module.start_address, len(data)) != data:
                return False
        return True


@pytest.fixture
def desk():
    opened = []

    def make(*arguments, **slot):
        opened.append(Desk(*arguments, **slot))
        return opened[-1]

    yield make
    for each in opened:
        each.bench.close()


@pytest.mark.parametrize("platform", ["boron", "tracker", "p2", "msom"])
def test_asset_over_control(desk, platform):
    d = desk(platform, "5.9.0", [])
    done = d.one(make_asset_module(ASSETS[0]))
    assert done.written
    assert done.evidence == "control request 91: name and SHA-256"
    assert d.stored() == {(ASSETS[0].name, ASSETS[0].sha256)}
    with ControlSession(d.host, done.device) as session:
        (asset,) = session.asset_info().available
    assert (asset.size_bytes, asset.storage_size_bytes) == (len(ASSETS[0].data), len(d.contents[d.files[0].sha256]))
    assert not d.one(make_asset_module(ASSETS[0]), Permissions()).written


def test_asset_that_finds_no_room(desk):
    d = desk("boron", "5.9.0", [])
    big = [Asset(f"big{n}", hashlib.shake_256(bytes([n])).digest(590_000)) for n in range(2)]
    app = with_assets(app_stand_in(d.kind, 5901, linked_for=5901), big)
    install(d.board.internal, d.kind, app)
    d.restart()
    assert d.one(make_asset_module(big[0])).written
    with pytest.raises(UpdateNotAppliedError, match="big0"):
        d.one(make_asset_module(big[1]))


@pytest.mark.parametrize(("platform", "release"), [("argon", "2.1.0"), ("argon", "4.1.0"), ("tracker", "4.1.0")])
def test_network_processor_over_control(desk, platform, release):
    d = desk(platform, release, [])
    before_s = d.host.clock.monotonic_s()
    done = d.one(ncp_firmware(d.kind))
    assert done.written
    assert d.holds_what_was_offered()
    assert d.host.clock.monotonic_s() - before_s > d.board.timing.ncp_update_s > 30
    with ControlSession(d.host, done.device) as session:
        ncp = [m for m in session.module_info() if m.function == ModuleFunction.NCP_FIRMWARE]
    assert [m.version for m in ncp] == [8]
    assert not d.one(ncp_firmware(d.kind), Permissions()).written


def test_a_tracker_that_no_longer_programs_it_keeps_what_it_has(desk):
    d = desk("tracker", "5.9.0", [])
    with pytest.raises(UpdateNotAppliedError):
        d.one(ncp_firmware(d.kind))
    assert d.board.state.ncp_version == 7
    d.offer([ncp_firmware(d.kind, 8)])
    with pytest.raises(PlanRefusedError, match=r"Device OS 5\.9\.0 has no slot for it"):
        d.plan()


def test_older_device_os_that_programs_it_comes_first(desk):
    """5.9.0 does not, 4.2.0 does and needs the new version."""
    kind = hardware("tracker")
    needs_it = {"need1": (ModuleFunction.NCP_FIRMWARE, 0, 8), "start_address": 0x30000, "size_bytes": 400_000}
    system = build_module(kind, ModuleFunction.SYSTEM_PART, 1, 4201, **needs_it)
    d = desk("tracker", "5.9.0", [ncp_firmware(kind), system, app_stand_in(kind, 4201, linked_for=4201)])
    d.update()
    assert d.holds_what_was_offered()
    assert d.board.decide_boot().runs in ("app", "listening")


@pytest.mark.parametrize("platform", ["argon", "tracker"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (esp_image(299_936, chip_id=9), "esp_wrong_chip"),
        (esp_image(299_936)[:-1] + b"?", "esp_hash"),
        (bytes(299_936), "esp_no_image"),
    ],
    ids=["chip", "hash", "no image"],
)
def test_a_bad_image_in_a_module_with_a_right_crc_is_refused_before_anything_is_sent(desk, platform, body, code):
    d = desk(platform, "4.1.0", [])
    data = build_module(
        d.kind, ModuleFunction.NCP_FIRMWARE, 0, 8, start_address=0, size_bytes=300_000, mcu_target=ESP32, body=body
    )
    assert [p.code for p in parse(data).problems] == [code]
    d.offer([data])
    device, before_s = d.device, d.host.clock.monotonic_s()
    with pytest.raises(PlanRefusedError, match="nothing was sent"):
        update_over_control(d.host, device, d.files[0], data, permissions=MAY_CONNECT)
    assert d.host.clock.monotonic_s() == before_s, "no request was made, which takes time"
    assert d.board.state.ncp_version == 7


def test_unplugged_while_it_is_programmed_and_again(desk):
    d = desk("argon", "4.1.0", [ncp_firmware(hardware("argon"))])
    board = d.board
    clock = d.host.clock

    class Unplugging:
        """Takes the power away half a minute after the board's answer."""

        def __getattr__(self, name):
            return getattr(clock, name)

        def sleep(self, duration_s):
            clock.sleep(duration_s)
            if board.state.events and board.state.events[0][1] == "install_update" and not self.done:
                self.done = True
                clock.sleep(30)
                board.power_off()
                board.power_on()

        done = False

    host = type(d.host)(**{f: getattr(d.host, f) for f in d.host.__slots__} | {"clock": Unplugging()})
    (file,) = d.files
    data = d.contents[file.sha256]
    with pytest.raises(UpdateNotAppliedError):
        update_over_control(host, d.device, file, data, permissions=MAY_CONNECT)
    assert board.state.ncp_version == 7
    assert d.one(data).written


def release_set(kind, release, *, app_version=9):
    version, bootloader_version = known_release(release)
    return [
        bootloader_stand_in(kind, bootloader_version),
        *system_stand_ins(kind, version, bootloader_version),
        app_stand_in(kind, version, version=app_version, linked_for=version),
    ]


def kinds(plan):
    return [phase.kind for phase in plan.phases]


@pytest.mark.parametrize("in_dfu", [False, True], ids=["running", "in DFU mode"])
@pytest.mark.parametrize(
    ("platform", "before", "after"),
    [("boron", "4.1.0", "5.9.0"), ("p2", "5.9.0", "6.2.0"), ("msom", "5.9.0", "6.2.0"), ("tracker", "5.9.0", "6.2.0")],
)
def test_whole_release_with_an_application_and_its_assets(desk, platform, before, after, in_dfu):
    kind = hardware(platform)
    *rest, app = release_set(kind, after)
    d = desk(platform, before, [*rest, with_assets(app), *map(make_asset_module, ASSETS)])
    if in_dfu:
        d.board.state.dfu_requested = True
        d.restart()
    plan = d.plan()
    assert Effect.CONNECT in plan.permissions_needed
    with pytest.raises(PermissionMissingError):
        d.update(plan, Permissions())
    events = d.update(plan)
    assert {e.sha256 for e in events if isinstance(e, ModuleProven)} == set(d.contents)
    assert d.holds_what_was_offered()
    assert d.stored() == {(a.name, a.sha256) for a in ASSETS}
    assert d.device.mode is UsbMode.DFU
    assert d.board.decide_boot().runs in ("app", "listening")
    assert not d.board.decide_boot().safe_mode
    d.restart()
    assert kinds(d.plan()) == []


@pytest.mark.parametrize(
    ("platform", "before", "after"),
    [("tracker", "4.1.0", "4.2.0"), ("argon", "3.3.0", "4.2.0"), ("tracker", "6.2.0", "4.2.0")],
)
def test_whole_release_with_a_network_processor(desk, platform, before, after):
    kind = hardware(platform)
    ncp = ncp_firmware(kind)
    d = desk(platform, before, [*release_set(kind, after), ncp])
    plan = d.plan()
    events = d.update(plan)
    assert {e.sha256 for e in events if isinstance(e, ModuleProven)} | {f.sha256 for f in plan.satisfied} == set(
        d.contents
    )
    assert d.holds_what_was_offered()
    assert d.board.decide_boot().runs in ("app", "listening")


def test_p2_set_with_firmware_of_its_second_processor(desk):
    kind = hardware("p2")
    km0 = build_module(kind, ModuleFunction.BOOTLOADER, 2, 10, start_address=0x08014000, size_bytes=81_000)
    d = desk("p2", "5.9.0", [*release_set(kind, "6.2.0"), km0])
    d.update()
    assert d.holds_what_was_offered()
    assert d.board.decide_boot().runs in ("app", "listening")


def test_encrypted_firmware_needs_the_permission_to_burn_a_fuse(desk):
    kind = hardware("p2")
    module = build_module(
        kind, ModuleFunction.BOOTLOADER, 2, 10, start_address=0x08014000, size_bytes=81_000, flags=0x09
    )
    d = desk("p2", "5.9.0", [module])
    plan = d.plan()
    assert plan.permissions_needed == (Effect.CONNECT, Effect.BURN)
    with pytest.raises(PermissionMissingError, match="fuse"):
        d.update(plan)
    with pytest.raises(PermissionMissingError, match="fuse"):
        d.one(module)
    assert not d.board.state.km0_encrypted
    d.update(plan, Permissions(may_connect=True, may_burn_efuses=True))
    assert d.board.state.km0_encrypted
    assert d.board.internal.read(0x08014000, len(module) - 24) == module[24:]


def test_assets_that_nobody_asks_for_are_refused_together(desk):
    d = desk("p2", "5.9.0", list(map(make_asset_module, ASSETS)))
    with pytest.raises(PlanRefusedError, match="would remove it with the next asset"):
        d.plan()


@pytest.mark.parametrize("n", [5, 100, 200])
def test_unplugged_between_assets_and_again(desk, n):
    *_, app = release_set(hardware("boron"), "5.9.0")
    modules = [with_assets(app), *map(make_asset_module, ASSETS)]
    fault = {"do": "unplug", "at": "control_transfer", "n": n, "replug_after_s": 1.0}
    d = desk("boron", "5.9.0", modules, faults=[fault])
    with pytest.raises(TransportError):
        d.update()
    d.board.clock.sleep(5)
    d.update()
    assert d.stored() == {(a.name, a.sha256) for a in ASSETS}
    assert d.board.decide_boot().runs in ("app", "listening")


@pytest.mark.parametrize("platform", ["boron", "p2"])
def test_compressed_application_over_control(desk, platform):
    d = desk(platform, "5.9.0", [])
    app = build_module(
        d.kind,
        ModuleFunction.USER_PART,
        2 if d.kind.is_gen3 else 1,
        99,
        start_address=0xB4000 if d.kind.is_gen3 else 0x085F8000,
        size_bytes=0x8000,
        need1=(ModuleFunction.SYSTEM_PART, 1, 5901),
        body=bytes(0x7F00),
    )
    with ControlSession(d.host, d.device, MAY_CONNECT) as session:
        session.update_firmware(compress(app))
    d.board.clock.sleep(10)
    d.board.advance()
    assert d.board.internal.read(parse(app).start_address, len(app)) == app
    assert d.board.state.runs == "app", d.board.state.reasons


@pytest.mark.firmware
@pytest.mark.parametrize("platform", ["boron", "p2"])
def test_bundle_by_the_command_line(platform, tmp_path, capsys, monkeypatch, release_store):
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(release_store.root))
    app = app_stand_in(hardware(platform), 5901, version=12, linked_for=5901)
    bundle = tmp_path / "product.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, data in make_bundle(app, ASSETS, application_name="product.bin").items():
            archive.writestr(name, data)
    bench = tmp_path / "bench.toml"
    bench.write_text(
        '[bench]\ndriver = "virtual"\nstate_dir = "boards"\n[bench.options]\nclock = "virtual"\n[[slot]]\nname = "1"\n'
        f'platform = "{platform}"\ndevice_os = "5.9.0"\nfactory = "online"\n'
    )

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    status, _, err = run("flash", bundle, "--bench", bench)
    assert (status, "--may-connect" in err) == (5, True), err
    status, out, err = run("flash", bundle, "--bench", bench, "--may-connect")
    assert status == 0, err
    assert "picture.png" in out
    state = json.loads((tmp_path / "boards" / "1" / "board.json").read_text())
    assert state["runs"] == "dfu"
