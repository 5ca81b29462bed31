"""``cloud check`` from the command line, with the client before the simulated cloud."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.root import root
from particle_dev.cloud.firmware import ProductFirmwares
from particle_dev.cloud.integrations import Integrations
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.flash.store import FirmwareStore
from particle_dev.permissions import Permissions
from particle_dev.protocol.module import Product
from particle_dev.protocol.module_build import ModuleParts, Suffix, build
from particle_dev.protocol.secret import Secret
from tests.cloud.sim_site import SimSite

REFERENCE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
MAY = Permissions(may_bill=True, may_update_devices=True)
IDS = [f"e00fce68{n << 16:016x}" for n in range(1, 4)]


def app(product_id, version, padding=400):
    suffix = Suffix().with_product(Product(product_id, version))
    return build(ModuleParts(ModuleFunction.USER_PART, 1, 6, 13, 0xD4000, bytes(padding), suffix))


@pytest.fixture
def site(tmp_path):
    site = SimSite(plan="basic", org=True)
    site.sim.population.make_devices("boron", IDS)
    site.devices = ProductDevices(site.api, site.product.id)
    site.devices.import_devices(IDS[:2], MAY)
    site.firmware = ProductFirmwares(site.api, site.product.id)
    (tmp_path / "app.bin").write_bytes(app(site.product.id, 7))
    FirmwareStore(tmp_path / "store").add_path(tmp_path / "app.bin")
    yield site
    site.close()


@pytest.fixture
def check(site, tmp_path):
    recipe = tmp_path / "ship.toml"

    def check(*options, device_os="2.1.0"):
        recipe.write_text(
            f'[recipe]\nname = "ship"\nfinish = "dfu"\n[firmware.boron]\ndevice_os = "{device_os}"\napp = "app.bin"\n'
        )
        arguments = ["--product", str(site.product.id), "--recipe", str(recipe), "--store", str(tmp_path / "store")]
        result = CliRunner().invoke(root, ["cloud", "check", *arguments, "--json", *options], obj=site.api)
        return result.exit_code, {f["code"]: f for f in json.loads(result.stdout)["findings"]}

    return check


def run_on(site, device_id, version):
    """A device that has connected with this version of the product's firmware."""
    from particle_harness.cloud.tables import Device  # noqa: PLC0415

    device = site.sim.store.get(Device, device_id)
    device.firmware_version, device.firmware_product_id = version, site.product.id
    device.last_handshake_at = site.sim.now_s()
    site.sim.store.put(device)


@pytest.fixture
def good(site):
    """The version that the line flashes runs on a golden device and is the default."""
    site.firmware.upload(app(site.product.id, 7), "seven", product_id=site.product.id)
    run_on(site, IDS[0], 7)
    from particle_harness.cloud.tables import Firmware  # noqa: PLC0415

    firmware = site.sim.store.get(Firmware, f"{site.product.id}:7")
    firmware.product_default = True
    site.sim.store.put(firmware)


@pytest.mark.usefixtures("good")
def test_a_product_without_fault(check):
    exit_code, found = check()
    assert {f["severity"] for f in found.values()} == {"ok"}, found
    assert exit_code == ExitCode.OK


def test_a_new_product_has_neither_firmware_nor_golden_device(check):
    exit_code, found = check()
    assert exit_code == ExitCode.FAILED
    assert found["default_firmware"]["severity"] == "problem"
    assert "not uploaded" in found["default_firmware"]["message"]
    assert found["golden_device"]["severity"] == "problem"


def test_the_command_that_it_prints_for_an_upload_works(site, check, tmp_path, monkeypatch):
    _, found = check()
    fix = found["default_firmware"]["fix"]
    assert "app.bin" in fix
    words = re.search("`(.*)`", fix)[1].replace("FILE", str(tmp_path / "app.bin")).replace("TEXT", "seven").split()
    assert CliRunner().invoke(root, words[1:], obj=site.api).exit_code == ExitCode.OK
    assert "not uploaded" not in check()[1]["default_firmware"]["message"]


@pytest.mark.usefixtures("good")
def test_another_file_under_the_same_version(site, check, tmp_path):
    (tmp_path / "other.bin").write_bytes(app(site.product.id, 7, padding=404))
    (tmp_path / "store").rename(tmp_path / "old-store")
    (tmp_path / "other.bin").rename(tmp_path / "app.bin")
    FirmwareStore(tmp_path / "store").add_path(tmp_path / "app.bin")
    exit_code, found = check()
    assert exit_code == ExitCode.FAILED
    assert "another file" in found["default_firmware"]["message"]


@pytest.mark.usefixtures("good")
def test_auto_approve(site, check):
    site.product.auto_approve = True
    site.sim.store.put(site.product)
    exit_code, found = check()
    assert (exit_code, found["auto_approve"]["severity"]) == (ExitCode.FAILED, "problem")


@pytest.mark.usefixtures("good")
def test_members_of_another_platform(site, check):
    """The cloud takes none in any more; members of earlier days may be there."""
    (stranger,) = site.sim.population.make_devices("argon", ["e00fce68aaaaaaaaaaaaaaaa"])
    with site.sim.session():
        site.sim.take_into_product(stranger, site.product, "test")
    exit_code, found = check()
    assert exit_code == ExitCode.FAILED
    assert [f["devices"] for f in found.values() if f["severity"] == "problem"] == [[stranger.id]]


@pytest.mark.usefixtures("good")
def test_development_marks(site, check):
    site.devices.set_development(IDS[1], True)
    exit_code, found = check()
    assert (exit_code, found["development"]["devices"]) == (ExitCode.FAILED, [IDS[1]])
    assert check("--bench-device", IDS[1].upper())[0] == ExitCode.OK


@pytest.mark.usefixtures("good")
def test_webhooks_in_two_places_and_of_the_account(site, check):
    url = Secret("https://example.com/hook?key=hunter22")
    Integrations(site.api).create_webhook("temp", url)
    exit_code, found = check()
    assert (exit_code, found["owner_webhook"]["severity"]) == (ExitCode.FAILED, "problem")
    Integrations(site.api, product_ref=site.product.id).create_webhook("temperature", url)
    _, found = check()
    assert "doubled_webhook" in found
    assert "hunter22" not in json.dumps(found)


@pytest.mark.usefixtures("good")
def test_firmware_without_product_id_needs_members(check, tmp_path):
    order = tmp_path / "order.txt"
    exit_code, found = check(device_os="6.2.0")
    assert (exit_code, found["wildcard"]["severity"]) == (ExitCode.INCOMPLETE, "unknown")
    order.write_text("\n".join(IDS[:2]))
    assert check("--ids", str(order), device_os="6.2.0")[0] == ExitCode.OK
    order.write_text("\n".join(IDS))
    exit_code, found = check("--ids", str(order), device_os="6.2.0")
    assert (exit_code, found["wildcard"]["devices"]) == (ExitCode.FAILED, IDS[2:])


@pytest.mark.usefixtures("good")
def test_what_a_token_may_not_see_is_no_pass(site, check):
    _, token = site.sim.population.add_api_user(site.product, "products:get")
    site.api = site.api_for(token)
    result = CliRunner().invoke(root, ["cloud", "check", "--product", str(site.product.id), "--json"], obj=site.api)
    found = {f["code"]: f["severity"] for f in json.loads(result.stdout)["findings"]}
    assert result.exit_code == ExitCode.INCOMPLETE
    assert found == {"auto_approve": "ok"} | dict.fromkeys(
        ["wrong_platform", "wildcard", "default_firmware", "development", "integrations"], "unknown"
    )


def test_text_says_what_to_do(site):
    result = CliRunner().invoke(root, ["cloud", "check", "--product", str(site.product.id)], obj=site.api)
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "ok       product Widget, Settings: unknown devices are quarantined (auto_approve)" in result.stdout
    assert "UNKNOWN  recipe: not checked: what the line flashes is not told" in result.stdout
    assert "what to do: give its recipe with --recipe" in result.stdout


def test_json_is_as_documented(site, check):
    section = REFERENCE[REFERENCE.index("### `cloud check") :]
    documented = json.loads(re.search(r"```json\n(.*?)```", section, re.DOTALL)[1])
    _, found = check()
    assert set(documented["findings"][0]) == set(found["golden_device"])
    assert set(re.findall(r"`(\w+)`", section[section.index("`code` one of") :].split("\n\n")[0])) >= set(found)
