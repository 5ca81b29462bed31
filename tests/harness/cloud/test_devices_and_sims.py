"""Import, membership, quarantine, SIMs and sessions of the simulated cloud, over its API without sockets."""

import sqlite3

import pytest
from particle_harness.clock import VirtualClock
from particle_harness.cloud import NoServiceError, SimCloud, SimDevice


def test_import_takes_every_identifier_and_says_what_became_of_each(site):
    made = [site.cloud.population.make_device("boron") for _ in range(5)]
    argon = site.cloud.population.make_device("argon")
    other = site.cloud.population.add_product("Others", "boron", site.owner)
    site.http.post(f"/v1/products/{other.id}/devices", json={"id": made[4].id})
    lines = [made[0].id.upper(), made[1].serial_number, made[2].imei, made[3].iccid, made[4].id, argon.id, "nonsense"]
    text = "\r\n".join([*lines, lines[0], ""])
    answer = site.http.post(site.devices, files={"file": ("file", text)}).json()
    assert answer["updatedDeviceIds"] == [device.id for device in made[:4]]
    assert answer["invalidDeviceIds"] == [made[4].id, argon.id, "nonsense"]
    assert answer["updated"] == 4
    again = site.http.post(site.devices, json={"id": made[0].id}).json()
    assert (again["updated"], again["existingDeviceIds"]) == (0, [made[0].id])


def test_lists_are_paged_filtered_and_sorted(site):
    ids = [f"e00fce68{n:016x}" for n in range(230)]
    site.cloud.population.make_devices("boron", ids)
    site.http.post(site.devices, json={"ids": ids})
    page = site.http.get(site.devices, params={"per_page": 1000, "page": 3, "sortAttr": "deviceId", "sortDir": "asc"})
    assert page.json()["meta"] == {"total_pages": 3, "total_records": 230, "page": 3, "per_page": 100}
    assert [device["id"] for device in page.json()["devices"]] == ids[200:]
    assert len(site.http.get(site.devices).json()["devices"]) == 25
    site.http.put(f"{site.devices}/{ids[7]}", json={"name": "Roof", "groups": ["a", "b"]})
    for query in ({"deviceName": "roo"}, {"groups": "a,b"}, {"deviceId": ids[7][1:].upper()}):
        assert [d["id"] for d in site.http.get(site.devices, params=query).json()["devices"]] == [ids[7]], query


def test_import_activates_the_sim_in_its_time(site):
    slow = site.cloud.population.make_device("boron", sim_class=3)
    site.http.post(site.devices, json={"id": slow.id})
    sim = f"{site.sims}/{slow.iccid}"
    assert site.http.get(sim).json()["status"] == "inactive"
    with pytest.raises(NoServiceError, match="inactive"):
        SimDevice(site.cloud, slow).connect()
    site.cloud.clock.sleep(100)
    assert site.http.get(sim).json()["activations_count"] == 1
    assert site.http.put(sim, json={"action": "deactivate"}).status_code == 200
    site.cloud.clock.sleep(10)
    assert site.http.get(sim).json()["status"] == "deactivated"
    site.http.put(sim, json={"action": "reactivate"})
    site.cloud.clock.sleep(30 * 60)
    assert site.http.get(sim).json()["status"] == "deactivated", "class 3 is slow after a deactivation"
    site.cloud.clock.sleep(30 * 60)
    assert site.http.get(sim).json()["status"] == "active"


@pytest.mark.parametrize("body", [{"import_sims": False}, {}])
def test_sims_stay_out_when_asked_or_plastic(site, body):
    device = site.cloud.population.make_device("electron", plastic_sim=not body)
    product = site.cloud.population.add_product("Electrons", "electron", site.owner)
    site.http.post(f"/v1/products/{product.id}/devices", json={"id": device.id, **body})
    site.cloud.clock.sleep(3600)
    assert site.http.get(f"/v1/products/{product.id}/sims").json()["sims"] == []


def test_a_lost_device_is_noticed_two_keep_alives_later(site):
    device = SimDevice(site.cloud, site.member())
    device.connect()
    device.vanish()
    site.cloud.clock.sleep(45 * 60)
    assert site.http.get(f"{site.devices}/{device.id}").json()["online"] is True
    site.cloud.clock.sleep(2 * 60)
    assert site.http.get(f"{site.devices}/{device.id}").json()["online"] is False
    assert ("spark/status", "offline") in site.events()


def test_offline_comes_just_before_the_next_online(site):
    device = SimDevice(site.cloud, site.member())
    device.connect()
    device.vanish()
    device.connect()
    statuses = [data for name, data in site.events() if name == "spark/status"]
    assert statuses == ["online", "offline", "online"]


def test_quarantine_is_for_old_device_os_alone(site):
    old, new = (site.cloud.population.make_device("boron") for _ in range(2))
    for device in (old, new):
        site.http.put(f"/v1/sims/{device.iccid}", json={"action": "activate"})
    site.cloud.clock.sleep(60)
    stranger = SimDevice(site.cloud, old, firmware_product_id=site.product.id, system_version=3301)
    stranger.connect()
    SimDevice(site.cloud, new, firmware_product_id=site.product.id, system_version=4201).connect()
    listed = site.http.get(site.devices, params={"quarantined": "true"}).json()["devices"]
    assert [(device["id"], device["quarantined"]) for device in listed] == [(old.id, True)]
    assert site.http.get(f"{site.devices}/{new.id}").status_code == 404
    assert not stranger.publish("temperature", "21")
    assert site.http.post(site.devices, json={"id": old.id}).json()["updatedDeviceIds"] == [old.id]
    assert site.record(old)["quarantined"] is False


def test_a_denied_device_is_not_quarantined_again(site):
    device = site.cloud.population.make_device("boron")
    site.http.put(f"/v1/sims/{device.iccid}", json={"action": "activate"})
    site.cloud.clock.sleep(60)
    stranger = SimDevice(site.cloud, device, firmware_product_id=site.product.id, system_version=3301)
    stranger.connect()
    assert site.http.request("DELETE", f"{site.devices}/{device.id}", json={"deny": True}).status_code == 204
    stranger.connect()
    assert site.http.get(site.devices).json()["devices"] == []


def test_auto_approve_lets_strangers_in_and_meters_them(site):
    site.product.auto_approve = True
    site.cloud.store.put(site.product)
    device = site.cloud.population.make_device("boron")
    site.http.put(f"/v1/sims/{device.iccid}", json={"action": "activate"})
    site.cloud.clock.sleep(60)
    SimDevice(site.cloud, device, firmware_product_id=site.product.id, system_version=3301).connect()
    assert site.record(device)["product_id"] == site.product.id
    assert device.id in site.cloud.ledger.billable("account:" + site.owner.id, "2026-01")


def test_coverage_keys_and_access(site):
    device = site.member(key_fingerprint="a" * 64)
    online = SimDevice(site.cloud, device)
    with pytest.raises(NoServiceError, match="key"):
        online.connect(key_fingerprint="b" * 64)
    site.cloud.network.no_coverage.add(device.id)
    with pytest.raises(NoServiceError, match="coverage"):
        online.connect(key_fingerprint="a" * 64)
    assert site.record(device)["last_handshake_at"] is None
    site.cloud.network.no_coverage.clear()
    online.connect()
    assert site.record(device)["online"] is True


def test_functions_variables_and_signals(site):
    device = site.member()
    online = SimDevice(site.cloud, device, functions={"led": len}, variables={"volts": 3.3, "name": "x"})
    path = f"{site.devices}/{device.id}"
    assert site.http.post(f"{path}/led", json={"args": "on"}).status_code == 408
    online.connect()
    assert site.http.post(f"{path}/led", data={"arg": "abc"}).json()["return_value"] == 3
    assert site.http.get(f"{path}/volts").json()["result"] == 3.3
    assert site.http.post(f"{path}/none", json={}).json()["error"] == "Function none not found"
    assert site.http.get(f"{path}/none").json()["error"] == "Variable not found"
    assert site.http.put(path, json={"signal": "1"}).json() == {"id": device.id, "connected": True, "signaling": True}
    assert online.signals
    assert site.http.put(f"{path}/ping").json()["online"] is True
    online.answers = False
    assert site.http.put(f"{path}/ping", json={}).json() == {"online": False, "ok": True}
    assert site.http.get(f"{path}/volts").status_code == 408
    assert site.record(device)["variables"] == {"volts": "double", "name": "string"}


def test_diagnostics_come_from_the_device(site):
    device = site.member()
    path = f"/v1/products/{site.product.id}/diagnostics/{device.id}"
    assert site.http.get(f"{path}/last").status_code == 404
    SimDevice(site.cloud, device).connect()
    assert site.http.post(f"{path}/update").json() == {"ok": True}
    assert site.http.get(f"{path}/last").json()["diagnostics"]["payload"]["device"]["system"]["uptime"] == 10
    assert len(site.http.get(path).json()["diagnostics"]) == 1


def test_claims(site):
    device = site.cloud.population.make_device("argon")
    online = SimDevice(site.cloud, device)
    assert site.http.post("/v1/devices", json={"id": device.id}).status_code == 404
    code = site.http.post("/v1/device_claims", json={}).json()["claim_code"]
    assert len(code) == 63
    online.connect(claim_code=code)
    assert [d["id"] for d in site.http.get("/v1/devices").json()] == [device.id]
    other = site.client(site.cloud.population.make_token(site.cloud.population.add_account("other@example.com")))
    refused = other.post("/v1/devices", json={"id": device.id})
    assert "That belongs to someone else." in refused.text
    assert other.get(f"/v1/devices/{device.id}").status_code == 403
    assert site.http.delete(f"/v1/devices/{device.id}").json() == {"ok": True}
    assert other.post("/v1/devices", json={"id": device.id}).json()["ok"] is True


def test_a_released_sim_takes_its_device_down(site):
    device = site.member()
    SimDevice(site.cloud, device).connect()
    status = site.http.get(f"{site.sims}/{device.iccid}/status").json()
    assert status["meta"]["state"] == "pending"
    site.cloud.clock.sleep(10)
    status = site.http.get(f"{site.sims}/{device.iccid}/status").json()
    assert status["sim_status"]["data_connection"] is True
    assert site.http.get(f"{site.sims}/{device.iccid}/data_usage").json()["usage_by_day"]
    assert site.http.delete(f"{site.sims}/{device.iccid}").status_code == 204
    assert site.http.get(f"{site.sims}/{device.iccid}").status_code == 404
    site.cloud.clock.sleep(3600)
    assert site.record(device)["online"] is False


def test_a_cloud_is_taken_up_from_its_file(tmp_path, make_site):
    file = tmp_path / "cloud.sqlite"
    site = make_site(path=file)
    device = site.member()
    SimDevice(site.cloud, device).connect()
    site.cloud.close()
    again = SimCloud(VirtualClock(7200.0), path=file)
    assert again.ledger.metered(device.id)
    assert again.new_id() != device.id
    again.clock.sleep(3600)
    again.advance()
    assert not next(iter(again.store.find(type(device), id=device.id))).online, "sessions end with the server"
    again.close()


def test_a_file_of_another_version_is_refused(tmp_path):
    file = tmp_path / "cloud.sqlite"
    with sqlite3.connect(file) as old:
        old.execute("CREATE TABLE product (id INTEGER PRIMARY KEY, slug TEXT)")
    old.close()
    with pytest.raises(ValueError, match="another version"):
        SimCloud(VirtualClock(), path=file)
