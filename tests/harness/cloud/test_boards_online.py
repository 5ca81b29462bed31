"""Virtual boards in the simulated network: who gets online, is metered, and pulls product firmware into its flash.

Both halves are ours; what a board tells is built by the same rules as its control requests, which recordings judge.
"""

import pytest
from particle_harness.bench import open_bench
from particle_harness.bench_toml import stand_ins
from particle_harness.boards import hardware
from particle_harness.cloud.network import CELLULAR
from particle_harness.factory import app_stand_in

from particle_dev.errors import BenchError
from particle_dev.protocol.module import Product
from particle_dev.protocol.module_edit import set_product


@pytest.fixture
def bench_of():
    opened = []

    def make(cloud, *slots, **options):
        options = {"clock": "virtual", "delays": "none", "cloud": cloud, **options}
        opened.append(open_bench(options=options, slots=slots, state_dir=None, factory_modules=stand_ins))
        return opened[-1]

    yield make
    for bench in opened:
        bench.close()


def boron(**keys):
    return {"name": "1", "platform": "boron", "factory": "online", **keys}


def wait(board, seconds):
    board.clock.sleep(seconds)
    board.advance()


def test_a_board_with_an_active_sim_gets_online_and_is_metered(site, bench_of):
    bench = bench_of(site.cloud, boron())
    board = bench.board("1")
    device_id = board.state.device_id
    wait(board, 120)
    assert not site.cloud.ledger.metered(device_id), "its SIM is not active"
    assert board.state.net_status == 3
    assert not board.truth.went_online
    assert site.http.post(site.devices, json={"id": device_id}).json()["updated"] == 1
    board.clock.sleep(3600)
    record = site.http.get(f"{site.devices}/{device_id}").json()
    assert record["online"] is True
    assert record["system_firmware_version"] == "2.0.1"
    assert board.truth.went_online
    assert site.cloud.ledger.has_connected(device_id)
    assert [data for name, data in site.events() if name == "spark/status"] == ["online"]


def test_a_board_in_dfu_mode_or_without_power_stays_offline(site, bench_of):
    bench = bench_of(site.cloud, boron(arrives_in="dfu"))
    board = bench.board("1")
    site.http.post(site.devices, json={"id": board.state.device_id})
    wait(board, 24 * 3600)
    site.http.get(site.devices)
    assert not site.cloud.ledger.metered(board.state.device_id)
    board.power_off()
    wait(board, 24 * 3600)
    assert not site.cloud.ledger.metered(board.state.device_id)
    board.power_on()
    wait(board, 3600)
    assert site.cloud.ledger.metered(board.state.device_id)


def test_wifi_boards_need_an_access_point_they_know(site, bench_of):
    bench = bench_of(site.cloud, {"name": "1", "platform": "argon", "factory": "online"})
    board = bench.board("1")
    board.state.wifi_networks[:] = [{"ssid": "Bench", "security": 3, "password": "wrong", "hidden": False}]
    wait(board, 3600)
    assert not site.cloud.ledger.metered(board.state.device_id)
    board.state.wifi_networks[0]["password"] = "bench-password"
    wait(board, 7200)
    assert site.cloud.ledger.metered(board.state.device_id)


def test_no_coverage_no_session_and_a_lost_one_is_noticed_late(site, bench_of):
    bench = bench_of(site.cloud, boron())
    board = bench.board("1")
    site.http.post(site.devices, json={"id": board.state.device_id})
    site.cloud.network.coverage[CELLULAR] = False
    wait(board, 3600)
    assert not site.cloud.ledger.metered(board.state.device_id)
    site.cloud.network.coverage[CELLULAR] = True
    wait(board, 2 * 3600)
    path = f"{site.devices}/{board.state.device_id}"
    assert site.http.get(path).json()["online"] is True
    board.power_off()
    board.clock.sleep(40 * 60)
    assert site.http.get(path).json()["online"] is True
    board.clock.sleep(10 * 60)
    assert site.http.get(path).json()["online"] is False


def test_safe_mode_connects_and_tells_its_modules(site, bench_of):
    bench = bench_of(site.cloud, boron())
    board = bench.board("1")
    site.http.post(site.devices, json={"id": board.state.device_id})
    board.state.safe_mode_requested = True
    board.reset_pin()
    wait(board, 3600)
    site.http.get(site.devices)
    assert board.state.safe_mode
    assert site.cloud.ledger.metered(board.state.device_id)
    assert any(name == "spark/status/safe-mode" and '"m":' in data for name, data in site.events())


def test_functions_signals_pings_and_vitals_of_a_board(site, bench_of):
    bench = bench_of(site.cloud, boron())
    board = bench.board("1")
    path = f"{site.devices}/{board.state.device_id}"
    site.http.post(site.devices, json={"id": board.state.device_id})
    wait(board, 3600)
    assert site.http.post(f"{path}/digitalwrite", json={"args": "D7 HIGH"}).json()["return_value"] == 1
    assert site.http.post(f"{path}/digitalread", json={"args": "D7"}).json()["return_value"] == 1
    site.http.put(path, json={"signal": "1"})
    assert board.state.signalling
    assert site.http.put(f"{path}/ping").json()["online"] is True
    vitals = f"/v1/products/{site.product.id}/diagnostics/{board.state.device_id}"
    site.http.post(f"{vitals}/update")
    assert site.http.get(f"{vitals}/last").json()["diagnostics"]["payload"]["device"]["system"]["uptime"] > 3000
    board.reset_pin()
    assert site.http.put(f"{path}/ping").json()["online"] is False


def test_a_wrong_key_keeps_a_board_out_until_the_cloud_learns_it(site, bench_of):
    bench = bench_of(site.cloud, boron())
    board = bench.board("1")
    site.http.post(site.devices, json={"id": board.state.device_id})
    board.dct.write(3106, bytes(range(192)))
    wait(board, 3600)
    assert not site.cloud.ledger.metered(board.state.device_id)
    assert ("spark/device/key/error", "handshake failed") in site.events()
    site.http.post(f"/v1/provisioning/{board.state.device_id}", data={"publicKey": "-----BEGIN PUBLIC KEY-----"})
    wait(board, 2 * 3600)
    assert site.cloud.ledger.metered(board.state.device_id)


def test_a_claim_code_over_usb_claims_the_board(site, bench_of):
    bench = bench_of(site.cloud, boron())
    board = bench.board("1")
    site.http.post(site.devices, json={"id": board.state.device_id})
    code = site.http.post("/v1/device_claims").json()["claim_code"]
    board.dct.write(1762, code.encode())
    wait(board, 3600)
    assert [device["id"] for device in site.http.get("/v1/devices").json()] == [board.state.device_id]


def product_app(site, board, version):
    kind = hardware("boron")
    return set_product(app_stand_in(kind, board._system.version), Product(site.product.id, version))


@pytest.mark.parametrize("lock", [True, False])
def test_a_board_pulls_its_product_firmware_over_the_air(site, bench_of, lock):
    bench = bench_of(site.cloud, boron(), {"name": "golden", "platform": "boron", "factory": "online"})
    board, golden = bench.board("1"), bench.board("golden")
    for one in (board, golden):
        site.http.post(site.devices, json={"id": one.state.device_id})
    new = product_app(site, board, 7)
    for path_data in ({"version": "8"}, {"version": "7", "title": "Seven"}):
        answer = site.http.post(site.firmware, data=path_data, files={"file": ("firmware.bin", new)})
    assert answer.status_code == 201, answer.text
    release = {"version": 7, "product_default": True, "intelligent": True}
    refused = site.http.put(f"{site.firmware}/release", json=release)
    assert refused.status_code == 400, "no member has run it"
    wait(golden, 3600)
    site.http.put(f"{site.devices}/{golden.state.device_id}", json={"desired_firmware_version": 7, "flash": True})
    wait(golden, 3600)
    assert site.http.get(f"{site.devices}/{golden.state.device_id}").json()["firmware_version"] == 7
    path = f"{site.devices}/{board.state.device_id}"
    if lock:
        site.http.put(path, json={"desired_firmware_version": 7})
    else:
        assert site.http.put(f"{site.firmware}/release", json=release).json()["product_default"] is True
    board.reset_pin()
    wait(board, 60)
    wait(board, 60)
    record = site.http.get(path).json()
    assert (record["firmware_version"], record["firmware_product_id"]) == (7, site.product.id)
    assert board.internal.read(0xD4000, len(new)) == new
    statuses = [data for name, data in site.events() if name == "spark/flash/status"]
    assert statuses[:2] == ["started ", "success "]


def test_development_devices_are_left_alone(site, bench_of):
    bench = bench_of(site.cloud, boron())
    board = bench.board("1")
    path = f"{site.devices}/{board.state.device_id}"
    site.http.post(site.devices, json={"id": board.state.device_id})
    site.http.post(site.firmware, data={"version": "7"}, files={"file": ("f.bin", product_app(site, board, 7))})
    site.http.put(path, json={"development": True, "desired_firmware_version": 7})
    wait(board, 3600)
    assert site.http.get(path).json()["firmware_version"] == 0
    site.http.put(path, json={"development": False})
    board.reset_pin()
    wait(board, 60)
    wait(board, 60)
    assert site.http.get(path).json()["firmware_version"] == 7


def test_boards_of_another_process_come_over_the_link(site, bench_of):
    with site.cloud.serve() as server:
        bench = bench_of(f"{server.url}/#{site.cloud.link_token}", boron())
        board = bench.board("1")
        device_id = board.state.device_id
        path = f"{site.devices}/{device_id}"
        assert site.http.post(site.devices, json={"id": device_id}).json()["updated"] == 1
        wait(board, 30)
        assert not site.cloud.ledger.metered(device_id)
        site.cloud.clock.sleep(60)
        site.cloud.advance()
        wait(board, 60)
        assert site.cloud.ledger.metered(device_id)
        assert site.http.post(f"{path}/digitalwrite", json={"args": "D7 HIGH"}).json()["return_value"] == 1
        board.power_off()
        site.cloud.clock.sleep(3600)
        assert site.http.get(path).json()["online"] is False


@pytest.mark.parametrize("cloud", ["http://127.0.0.1:9/", "ftp://x/#a", "nonsense", "http://127.0.0.1:9/#token"])
def test_a_bench_without_its_cloud_does_not_open(bench_of, cloud):
    with pytest.raises(BenchError, match="cloud"):
        bench_of(cloud, boron())


def test_the_link_refuses_other_tokens(site, bench_of):
    with site.cloud.serve() as server, pytest.raises(BenchError, match="token"):
        bench_of(f"{server.url}/#{'0' * 40}", boron())
