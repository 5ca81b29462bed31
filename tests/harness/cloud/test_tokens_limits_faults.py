"""Who may do what, how often, and what goes wrong by script."""

import json
import re
import socket
import threading

import httpx2
import pytest
from particle_harness.cloud import NoServiceError, SimDevice, faults


def log_in(site, http=None, **fields):
    form = {"grant_type": "password", "username": "me@example.com", "password": "password", **fields}
    return (http or site.client()).post("/oauth/token", data=form)


# -- tokens --------------------------------------------------------------------------------------------------------


def test_tokens_expire_and_are_revoked(site):
    token = log_in(site, expires_in=100).json()["access_token"]
    http = site.client(token)
    current = http.get("/v1/access_tokens/current").json()
    assert current["expires_at"].startswith("2026-01-01T00:01:40")
    site.cloud.clock.sleep(101)
    expired = http.get("/v1/user")
    assert (expired.status_code, expired.json()["error_description"]) == (401, "The access token provided has expired.")
    for_ever = site.client(log_in(site, expires_in=0).json()["access_token"])
    site.cloud.clock.sleep(10 * 365 * 24 * 3600)
    assert for_ever.get("/v1/access_tokens/current").json()["expires_at"] is None
    assert for_ever.delete("/v1/access_tokens/current").json() == {"ok": True}
    assert for_ever.get("/v1/user").status_code == 401


def test_a_request_without_a_good_token_is_refused_as_documented(site):
    nobody = site.client().get("/v1/user")
    assert (nobody.status_code, nobody.json()["error"]) == (400, "invalid_request")
    stranger = site.client("0" * 40).get("/v1/user")
    assert (stranger.status_code, stranger.json()["error"]) == (401, "invalid_token")
    assert site.client().get(f"/v1/user?access_token={site.token}").status_code == 200
    # particle-cli sends this before it has one.
    assert log_in(site, site.client("null")).status_code == 200


def test_one_time_passwords(site):
    site.cloud.population.add_account("mfa@example.com", "password", mfa_secret="123456")
    first = log_in(site, username="mfa@example.com")
    assert (first.status_code, first.json()["error"]) == (403, "mfa_required")
    grant = {"grant_type": "urn:custom:mfa-otp", "mfa_token": first.json()["mfa_token"]}
    assert site.client().post("/oauth/token", data={**grant, "otp": "000000"}).status_code == 403
    assert site.client().post("/oauth/token", data={**grant, "otp": "123456"}).json()["access_token"]


def test_secrets_are_kept_as_hashes(make_site, tmp_path):
    site = make_site(path=tmp_path / "cloud.sqlite")
    site.cloud.population.add_account("other@example.com", "very secret indeed")
    site.cloud.close()
    text = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"very secret indeed" not in text
    assert site.token.encode() not in text


def test_api_users_do_what_their_scopes_say_and_nothing_else(site):
    body = {"friendly_name": "Station 1", "scopes": ["devices:list"]}
    created = site.http.post(f"/v1/products/{site.product.id}/team", json=body).json()["created"]
    token = created["tokens"][0]["token"]
    station = site.client(token)
    assert station.get(site.devices).status_code == 200
    refused = station.post(site.devices, json={"id": "e00fce68aaaaaaaaaaaaaaaa"})
    assert refused.status_code == 403
    assert "devices:import" in refused.json()["error_description"]
    other = site.cloud.population.add_product("Others", "boron", site.owner)
    assert station.get(f"/v1/products/{other.id}/devices").status_code == 403
    closed = station.post("/v1/user/products", json={"product": {"name": "x", "platform_id": 13}})
    assert (closed.status_code, closed.json()["error"]) == (401, "unauthorized")
    wider = {"friendly_name": "Station 1", "scopes": ["devices:list", "devices:import"]}
    path = f"/v1/products/{site.product.id}/team/{created['username']}"
    changed = site.http.put(path, json=wider).json()["created"]
    assert station.get(site.devices).status_code == 401, "the old token has died"
    assert site.client(changed["tokens"][0]["token"]).get(site.devices).status_code == 200
    assert site.http.delete(path).status_code == 204


# -- limits --------------------------------------------------------------------------------------------------------


def test_ten_failed_logins_ban_the_address_for_half_an_hour(make_site):
    site = make_site(retry_after=True)
    for _ in range(10):
        assert log_in(site, password="wrong").status_code == 400
    banned = log_in(site)
    assert banned.status_code == 429
    assert int(banned.headers["Retry-After"]) == 1801
    elsewhere = site.client()
    elsewhere.headers["X-Forwarded-For"] = "192.0.2.7"
    assert log_in(site, elsewhere).status_code == 200
    site.cloud.clock.sleep(1801)
    assert log_in(site).status_code == 200


@pytest.mark.parametrize(
    ("path", "most", "window_s", "status"),
    [
        ("/oauth/token", 100, 300, 429),
        ("/v1/access_tokens", 100, 300, 429),
        ("/v1/serial_numbers/B31K0", 50, 3600, 429),
        ("/v1/user", 10_000, 300, 429),
    ],
)
def test_rates_are_limited_in_sliding_windows(site, path, most, window_s, status):
    def ask():
        if path == "/oauth/token":
            return log_in(site).status_code
        return site.http.get(path, auth=("me@example.com", "password") if path.endswith("tokens") else None).status_code

    if most > 1000:
        # Ten thousand real requests would take ten seconds.
        for _ in range(most - 2):
            site.cloud.limits.take("requests", "127.0.0.1")
    codes = {ask() for _ in range(min(most, 2) if most > 1000 else most)}
    assert status not in codes
    assert ask() == status
    site.cloud.clock.sleep(window_s + 1)
    assert ask() in codes


def test_streams_are_limited_by_opens_and_by_number(site):
    path = f"/v1/products/{site.product.id}/events"
    for _ in range(100):
        with site.http.stream("GET", path) as stream:
            assert stream.status_code == 200
    with site.http.stream("GET", path) as stream:
        assert stream.status_code == 529
    site.cloud.clock.sleep(301)
    assert site.cloud.hub.listeners == 0
    streams = []
    for _ in range(100):
        context = site.http.stream("GET", path)
        streams.append((context, context.__enter__()))
    site.cloud.clock.sleep(301)
    with site.http.stream("GET", path) as stream:
        assert stream.status_code == 529, "a hundred are open"
    for context, _ in streams:
        context.__exit__(None, None, None)
    assert site.cloud.hub.listeners == 0


# -- streams -------------------------------------------------------------------------------------------------------


def lines_of(stream, count):
    chunks = stream.iter_raw()
    return [next(chunks) for _ in range(count)]


def test_each_stream_has_what_it_should(site):
    device = site.member()
    online = SimDevice(site.cloud, device)
    paths = {
        f"/v1/products/{site.product.id}/events": ["a/1", "b"],
        f"/v1/products/{site.product.slug}/events/a": ["a/1"],
        f"/v1/products/{site.product.id}/events/a%2F1": ["a/1"],
        f"/v1/products/{site.product.id}/devices/{device.id}/events/b": ["b"],
        "/v1/devices/events": [],
    }
    online.connect()
    for path, wanted in paths.items():
        with site.http.stream("GET", path) as stream:
            chunks = stream.iter_raw()
            assert next(chunks) == b":ok\n\n"
            online.publish("a/1", "x")
            online.publish("b", None)
            site.http.post("/v1/devices/events", json={"name": "mine"})
            names = []
            last = {"/v1/devices/events": "mine"}.get(path, wanted[-1] if wanted else "")
            while last not in names:
                name, data = next(chunks).decode().removesuffix("\n\n").split("\n")
                names.append(name.removeprefix("event: "))
                body = json.loads(data.removeprefix("data: "))
                assert body["published_at"].endswith("Z")
            assert [name for name in names if name != "mine"] == wanted, path


def test_an_empty_line_keeps_a_stream_alive(make_site):
    site = make_site(keep_alive_s=0.01)
    with site.http.stream("GET", "/v1/devices/events") as stream:
        assert lines_of(stream, 3) == [b":ok\n\n", b"\n", b"\n"]


def test_streams_of_what_is_not_yours_are_refused(site):
    other = site.client(site.cloud.population.make_token(site.cloud.population.add_account("other@example.com")))
    assert other.get(f"/v1/products/{site.product.id}/events").status_code == 403
    assert other.get(f"/v1/devices/{'0' * 24}/events").status_code == 403
    assert site.http.get(f"/v1/products/{site.product.id}/devices/{'0' * 24}/events").status_code == 404


# -- faults --------------------------------------------------------------------------------------------------------


def test_requests_fail_by_script(site):
    site.cloud.add_fault({"do": "status", "on": "GET /v1/user", "status": 529, "n": 2, "count": 2, "retry_after_s": 7})
    answers = [site.http.get("/v1/user") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 529, 529, 200]
    assert answers[1].headers["Retry-After"] == "7"
    for shape, key in (("errors", "errors"), ("code", "code"), ("error", "error_description")):
        site.cloud.add_fault({"do": "status", "status": 500, "shape": shape})
        assert key in site.http.get("/v1/user").json()
    site.cloud.add_fault({"do": "html"})
    page = site.http.get("/v1/user")
    assert (page.status_code, page.headers["content-type"].split(";")[0]) == (502, "text/html")
    site.cloud.add_fault({"do": "truncate"})
    with pytest.raises(json.JSONDecodeError):
        site.http.get("/v1/user").json()
    site.cloud.add_fault({"do": "empty"})
    assert site.http.get("/v1/user").content == b""
    site.cloud.add_fault({"do": "expire_token"})
    assert "expired" in site.http.get("/v1/user").text
    site.cloud.add_fault({"do": "slow", "delay_s": 40})
    before_s = site.cloud.now_s()
    assert site.http.get("/v1/user").status_code == 200
    assert site.cloud.now_s() - before_s == 40
    site.cloud.add_fault({"do": "drop"})
    with pytest.raises(ConnectionResetError):
        site.http.get("/v1/user")
    assert site.cloud.faults.remaining() == ()


def test_records_lie_by_script(site):
    device = site.member()
    online = SimDevice(site.cloud, device)
    online.connect()
    site.cloud.add_fault({"do": "hide_connection", "device_id": device.id.upper(), "count": 0})
    site.cloud.add_fault({"do": "lie_online", "device_id": device.id, "online": False, "count": 0})
    record = site.record(device)
    assert (record["last_handshake_at"], record["last_heard"], record["online"]) == (None, None, False)
    assert site.cloud.ledger.has_connected(device.id), "the ledger does not lie"
    site.cloud.faults.clear()
    assert site.record(device)["online"] is True


def test_devices_and_sims_fail_by_script(site):
    device, other = site.member(), site.cloud.population.make_device("boron")
    site.cloud.add_fault({"do": "invalid_id", "device_id": other.id})
    site.cloud.add_fault({"do": "sim_stuck", "iccid": other.iccid})
    assert site.http.post(site.devices, json={"id": other.id}).json()["invalidDeviceIds"] == [other.id]
    site.http.post(site.devices, json={"id": other.id})
    site.cloud.clock.sleep(23 * 3600)
    assert site.http.get(f"{site.sims}/{other.iccid}").json()["status"] == "inactive"
    site.cloud.clock.sleep(2 * 3600)
    assert site.http.get(f"{site.sims}/{other.iccid}").json()["status"] == "active"
    online = SimDevice(site.cloud, device, variables={"volts": 3.3})
    for kind in ("key_mismatch", "pause"):
        site.cloud.add_fault({"do": kind, "device_id": device.id})
        with pytest.raises(NoServiceError):
            online.connect()
    online.connect()
    site.cloud.add_fault({"do": "no_answer"})
    assert site.http.get(f"{site.devices}/{device.id}/volts").status_code == 408
    assert site.http.get(f"{site.devices}/{device.id}/volts").status_code == 200
    site.cloud.add_fault({"do": "release_pending"})
    assert site.http.delete(f"{site.sims}/{device.iccid}").status_code == 202


def test_events_are_lost_doubled_late_and_wrong_by_script(site):
    online = SimDevice(site.cloud, site.member())
    online.connect()
    for kind in ("lose", "duplicate", "reorder", "clock_skew", "wrong_product"):
        fault = {"do": kind, "n": {"lose": 1, "duplicate": 1, "reorder": 2}.get(kind, 4)}
        site.cloud.add_fault(fault | ({"seconds": -3600} if kind == "clock_skew" else {"product_id": 5}))
    with site.http.stream("GET", f"/v1/products/{site.product.id}/events/e") as stream:
        chunks = stream.iter_raw()
        next(chunks)
        for number in range(1, 6):
            online.publish(f"e{number}", None)
        text = b"".join(next(chunks) for _ in range(5)).decode()
    events = [block.split("\n") for block in text.strip().split("\n\n")]
    assert [name for name, _ in events] == ["event: e2", "event: e2", "event: e4", "event: e3", "event: e5"]
    skewed = json.loads(events[2][1].removeprefix("data: "))
    assert skewed["productID"] == 5
    assert skewed["published_at"] < json.loads(events[0][1].removeprefix("data: "))["published_at"]


def test_streams_break_by_script(make_site):
    site = make_site(keep_alive_s=0.01)
    online = SimDevice(site.cloud, site.member())
    online.connect()
    path = f"/v1/products/{site.product.id}/events"
    site.cloud.add_fault({"do": "close_stream", "events": 1})
    with site.http.stream("GET", path) as stream:
        chunks = stream.iter_raw()
        next(chunks)
        online.publish("a", None)
        online.publish("b", None)
        text = b"".join(chunks)
        assert b"event: a" in text
        assert b"event: b" not in text
    site.cloud.add_fault({"do": "half_event"})
    with site.http.stream("GET", path) as stream:
        chunks = stream.iter_raw()
        next(chunks)
        online.publish("a", None)
        half = next(chunk for chunk in chunks if chunk != b"\n")
        assert not half.endswith(b"\n")
        closer = threading.Timer(0.05, site.cloud.hub.close_all)
        closer.start()
        assert list(chunks) == []
    site.cloud.add_fault({"do": "silent_stream"})
    with site.http.stream("GET", path) as stream:
        chunks = stream.iter_raw()
        next(chunks)
        closer = threading.Timer(0.05, site.cloud.hub.close_all)
        closer.start()
        assert list(chunks) == [], "not one byte"


def test_faults_that_mean_nothing_are_refused(site):
    with pytest.raises(ValueError, match="known"):
        site.cloud.add_fault({"do": "explode"})
    with pytest.raises(ValueError, match="unknown keys"):
        site.cloud.add_fault({"do": "html", "loud": True})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("n", 0), ("n", "3"), ("n", True), ("count", -1), ("count", "3"), ("on", "GET"), ("on", 3)),
        *(("status", "x"), ("status", 99999), ("shape", "html"), ("retry_after_s", 1.5), ("retry_after_s", -1)),
        *(("delay_s", float("inf")), ("seconds", "3"), ("events", -1), ("online", "no"), ("device_id", None)),
        *(("delay_s", 1e300), ("delay_s", 86_401), ("delay_s", float("nan")), ("delay_s", True), ("seconds", 1e300)),
        *(("seconds", float("nan")), ("seconds", -86_401)),
    ],
)
def test_a_fault_that_could_not_be_is_refused_and_not_waited_for(site, key, value):
    """One that never hits would be a test that cannot fail."""
    with pytest.raises(ValueError, match=f"fault 'status': {key} is "):
        site.cloud.add_fault({"do": "status", key: value})
    assert site.cloud.faults.remaining() == ()


@pytest.mark.parametrize("kind", faults.KINDS)
@pytest.mark.parametrize("seconds", [-1, 1e300, -1e300, pytest.param(10**400, id="10**400")])
def test_no_fault_takes_a_time_that_nothing_can_take(site, kind, seconds):
    """But a clock may be late."""
    table = {"do": kind, "seconds": seconds}
    if (kind, seconds) == ("clock_skew", -1):
        site.cloud.add_fault(table)
        assert [fault.seconds for fault in site.cloud.faults.remaining()] == [-1]
        return
    with pytest.raises(ValueError, match=f"fault '{kind}': seconds is "):
        site.cloud.add_fault(table)
    assert site.cloud.faults.remaining() == ()


@pytest.mark.parametrize("keys", [{}, {"events": 0}, {"seconds": 0}, {"events": 0, "seconds": 0.0}])
def test_a_stream_that_nothing_would_close_is_refused(site, keys):
    with pytest.raises(ValueError, match="'close_stream' needs events from 1 on, or seconds above 0"):
        site.cloud.add_fault({"do": "close_stream", **keys})
    assert site.cloud.faults.remaining() == ()


def test_every_fault_is_documented():
    assert all(f"``{kind}``" in (faults.__doc__ or "") for kind in faults.KINDS)


# -- HTTP ----------------------------------------------------------------------------------------------------------


def test_chunked_bodies_keep_alive_head_and_bodies_of_delete(site):
    device = site.member()
    with site.cloud.serve() as server, socket.create_connection((server.host, server.port)) as raw:
        head = f"Host: x\r\nAuthorization: Bearer {site.token}\r\n"
        body = json.dumps({"notes": "chunked"})
        half = len(body) // 2
        requests = [
            f"PUT {site.devices}/{device.id} HTTP/1.1\r\n{head}Content-Type: application/json\r\n"
            f"Transfer-Encoding: chunked\r\n\r\n{half:x}\r\n{body[:half]}\r\n{len(body) - half:x}\r\n{body[half:]}\r\n"
            "0\r\n\r\n",
            f"HEAD {site.devices}/{device.id} HTTP/1.1\r\n{head}\r\n",
            f"DELETE {site.devices}/{device.id} HTTP/1.1\r\n{head}Content-Type: application/json\r\n"
            "Content-Length: 2\r\n\r\n{}",
            f"GET /v1/nothing HTTP/1.1\r\n{head}Connection: close\r\n\r\n",
        ]
        raw.sendall("".join(requests).encode())
        answer = b""
        while part := raw.recv(65536):
            answer += part
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"200", b"204", b"404"]
    assert answer.count(b"{") == 2, "HEAD and 204 have no body, the other two are JSON"
    assert b'"notes": "chunked"' in answer


def test_unknown_paths_and_wrong_bodies_are_answered_in_json(site):
    for answer in (
        site.http.get("/v1/nothing"),
        site.http.patch("/v1/user"),
        site.http.post(site.devices, content=b"{", headers={"Content-Type": "application/json"}),
        site.http.post(site.devices, content=b"[]", headers={"Content-Type": "application/json"}),
        site.http.get(site.devices, params={"page": 0}),
    ):
        assert answer.status_code in (400, 404, 405)
        assert answer.json()["error_description"]


def test_a_prefix_with_a_slash_comes_through_the_server(site):
    online = SimDevice(site.cloud, site.member())
    with site.cloud.serve() as server:
        headers = {"Authorization": f"Bearer {site.token}"}
        path = f"{server.url}/v1/products/{site.product.id}/events/spark%2Fstatus"
        with httpx2.stream("GET", path, headers=headers, timeout=10) as stream:
            chunks = stream.iter_raw()
            assert next(chunks) == b":ok\n\n"
            online.connect()
            assert next(chunks).startswith(b"event: spark/status\n")


def test_a_server_that_ends_closes_its_streams(site):
    with site.cloud.serve() as server:
        headers = {"Authorization": f"Bearer {site.token}"}
        with httpx2.stream("GET", f"{server.url}/v1/devices/events", headers=headers, timeout=10) as stream:
            chunks = stream.iter_raw()
            assert next(chunks) == b":ok\n\n"
            server.stop()
            assert b"".join(chunks) in (b"", b"\n")
