"""particle-cli 3.43.1 at the simulated cloud: what its own end-to-end tests expect of the real one.

Source of the texts: particle-iot/particle-cli test/e2e/{login,logout,whoami,product,cloud,publish,subscribe}.e2e.js.
"""

import json
import re
import threading

from particle_harness.cloud import SimDevice


def argons(site, count):
    return [site.cloud.population.make_device("argon") for _ in range(count)]


def test_login_whoami_logout(site):
    assert "Successfully completed login!" in site.cli(
        "login", "--username", "me@example.com", "--password", "password"
    )
    assert re.fullmatch("[0-9a-f]{40}", site.config["access_token"])
    assert "me@example.com" in site.cli("whoami")
    assert "You have been logged out" in site.cli("logout")
    assert "not logged in" in site.cli("whoami", code=1)
    assert "User credentials are invalid" in site.cli(
        "login", "--username", "me@example.com", "--password", "wrong", code=1
    )


def test_login_with_one_time_password_and_with_token(site):
    guarded = site.cloud.population.add_account("mfa@example.com", "password", mfa_secret="123456")
    arguments = ("login", "--username", "mfa@example.com", "--password", "password", "--otp")
    assert "Successfully completed login!" in site.cli(*arguments, "123456")
    assert "mfa@example.com" in site.cli("whoami")
    site.cli("logout")
    token = site.cloud.population.make_token(guarded)
    site.cli("login", "--token", token)
    assert "mfa@example.com" in site.cli("whoami")
    assert "use --force" in site.cli("token", "revoke", token)
    site.cli("token", "revoke", token, "--force")
    assert "mfa@example.com" not in site.cli("whoami", code=1)


def test_product_devices(site, tmp_path):
    site.log_in()
    product = str(site.product.id)
    devices = argons(site, 5)
    boron = site.cloud.population.make_device("boron")
    assert "Success!" in site.cli("product", "device", "add", product, devices[0].id)
    order = tmp_path / "order.txt"
    order.write_text("\r\n".join([*(d.id.upper() for d in devices[1:4]), boron.id, "", "nonsense"]) + "\r\n")
    text = site.cli("product", "device", "add", product, "--file", order)
    assert "Success!" in text
    assert "Skipped Invalid IDs" in text
    assert boron.id in text
    assert "Skipped Invalid IDs" in site.cli("product", "device", "add", product, boron.id, code=1)
    listed = json.loads(site.cli("product", "device", "list", product, "--json"))
    assert {d["id"] for d in listed["data"]} == {d.id for d in devices[:4]}
    page = json.loads(site.cli("product", "device", "list", product, "--page", "2", "--limit", "3", "--json"))
    assert len(page["data"]) == 1
    shown = json.loads(site.cli("product", "device", "list", product, devices[1].id, "--json"))
    assert shown["data"]["id"] == devices[1].id
    assert shown["data"]["last_handshake_at"] is None
    assert "Device not found for this product" in site.cli("product", "device", "list", product, devices[4].id, code=1)
    assert "Permission denied" in site.cli("product", "device", "list", "12345678", code=1)
    assert "Success!" in site.cli("product", "device", "remove", product, devices[0].id)
    assert devices[0].id not in site.cli("product", "device", "list", product)


def test_claims_functions_and_variables(site):
    site.log_in()
    device, foreign = argons(site, 2)
    online = SimDevice(site.cloud, device, functions={"led": len}, variables={"volts": 3.3})
    online.connect()
    SimDevice(site.cloud, foreign).connect()
    other = site.cloud.population.add_account("other@example.com")
    foreign.owner_id = other.id
    foreign.online = True
    site.cloud.store.put(foreign)
    assert "Successfully claimed device" in site.cli("cloud", "claim", device.id)
    # It asks a question then, to which nobody answers.
    assert "belongs to someone else" in site.cli("cloud", "claim", foreign.id, code=None)
    assert "Successfully renamed device" in site.cli("cloud", "name", device.id, "Roof")
    text = site.cli("cloud", "list")
    assert "Roof" in text
    assert "led" in text
    assert "volts (double)" in text
    assert site.cli("call", device.id, "led", "abc").strip().endswith("3")
    assert "Function `none` not found" in site.cli("call", device.id, "none", "x", code=1)
    assert "3.3" in site.cli("get", device.id, "volts")
    assert "Variable not found" in site.cli("get", device.id, "none", code=1)
    assert "led" in site.cli("function", "list")
    assert "volts" in site.cli("variable", "list")
    site.cli("cloud", "nyan", device.id, "on")
    assert online.signals
    assert "Okay!" in site.cli("cloud", "remove", device.id, "--yes")
    assert "Roof" not in site.cli("cloud", "list")


def test_function_and_variable_of_a_product_device(site):
    site.log_in()
    product = str(site.product.id)
    (device,) = argons(site, 1)
    site.cli("product", "device", "add", product, device.id)
    SimDevice(site.cloud, device, functions={"led": len}, variables={"volts": 3.3}).connect()
    assert site.cli("call", device.id, "led", "ab", "--product", product).strip().endswith("2")
    assert "3.3" in site.cli("get", device.id, "volts", "--product", product)


def test_publish_and_subscribe(site):
    site.log_in()
    product = str(site.product.id)
    (device,) = argons(site, 1)
    site.cli("product", "device", "add", product, device.id)
    listening = site.start("subscribe", "spark/", "--product", product, "--max", "2")
    own = site.start("subscribe", "--max", "1")
    wait_for_listeners(site, 2)
    SimDevice(site.cloud, device).connect()
    text, _ = listening.communicate(timeout=60)
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert [event["name"] for event in events] == ["spark/status", "spark/device/last_reset"]
    assert {event["coreid"] for event in events} == {device.id}
    assert "Published private event: hello" in site.cli("publish", "hello", "world")
    text, _ = own.communicate(timeout=60)
    assert '"name":"hello"' in text
    assert "Published" in site.cli("publish", "hello", "world", "--product", product)
    assert ("hello", product) in {(e.name, str(e.product_id)) for e in site.cloud.hub.history}


def wait_for_listeners(site, count):
    opened = threading.Event()
    while site.cloud.hub.listeners < count:
        assert not opened.wait(0.05)


def test_flash_over_the_air(site, tmp_path):
    site.log_in()
    product = str(site.product.id)
    (device,) = argons(site, 1)
    site.cli("product", "device", "add", product, device.id)
    online = SimDevice(site.cloud, device)
    online.connect()
    file = tmp_path / "firmware.bin"
    file.write_bytes(bytes(range(256)) * 40)
    site.cli("cloud", "flash", device.id, file, "--product", product)
    assert online.received == [file.read_bytes()]
    record = next(site.cloud.store.find(type(device), id=device.id))
    assert record.development, "particle-cli marks the device"


def test_webhooks(site, tmp_path):
    site.log_in()
    site.cli("webhook", "create", "temperature", "http://127.0.0.1:9/hook")
    listed = site.cli("webhook", "list")
    assert "temperature" in listed
    hook = re.search(r"\b[0-9a-f]{24}\b", listed)[0]
    assert "Successfully deleted" in site.cli("webhook", "delete", hook)
    assert hook not in site.cli("webhook", "list")
