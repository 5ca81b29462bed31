"""What the door refuses, and what every answer carries."""

import asyncio
import json
import threading

import pytest

from particle_dev.station.web.access import Role, Visitor
from particle_dev.station.web.admission import Admission
from particle_dev.station.web.app import make_app
from particle_dev.station.web.door import HEADERS
from particle_dev.station.web.requests import MOST_BODY_BYTES, RefusedRequestError, fields_of


@pytest.mark.parametrize("host", ["127.0.0.1:8088", "localhost:8088", "LOCALHOST", "[::1]:8088", "192.0.2.7"])
def test_the_stations_own_names_and_addresses_are_let_in(page, host):
    assert page.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "a@localhost", "localhost/x"],
)
def test_a_foreign_name_that_leads_here_is_not(page, host):
    answer = page.get("/", headers={"host": host})
    assert answer.status_code == 421


def test_no_other_methods(page):
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FOO"):
        answer = page.request(method, "/")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD, POST"


def test_a_route_answers_its_own_methods_alone(page):
    assert page.act("/").status_code == 405
    assert page.get("/start").status_code == 405


def test_a_body_that_says_it_is_too_large_is_not_read(page):
    answer = page.post("/lines", content=b"x" * (MOST_BODY_BYTES + 1), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_a_body_that_does_not_say_how_large_it_is_is_cut_off(page):
    read = 0

    def endless():
        nonlocal read
        for _ in range(1000):
            read += 4096
            yield b"x" * 4096

    answer = page.post("/lines", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 40, "1 2", "²"])
def test_lengths_that_are_none(page, length):
    answer = page.post("/lines", content=b"", headers={"content-length": length.encode()})
    assert answer.status_code in (400, 413)


def post(page, *, token=None, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    token = page.token("/") if token is None else token
    return page.post("/start", json={}, headers={"x-form-token": token, **names})


def test_a_post_takes_the_form_token_of_this_very_browser(page, context):
    other = type(page)(context)
    assert post(page).status_code == 409, "no run goes on: it was let in"
    assert post(page, token="").status_code == 403
    assert post(page, token="0" * 64).status_code == 403
    assert post(page, token=other.token("/")).status_code == 403


def test_a_post_that_another_site_made_a_browser_send_is_refused(page):
    assert post(page, origin="http://127.0.0.1:8088", sec_fetch_site="same-origin").status_code == 409
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:8088"},
        {"origin": "http://127.0.0.1:9000"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ):
        assert post(page, **headers).status_code == 403, headers


def test_a_form_of_before_a_restart_is_explained_to_people(page):
    answer = page.post("/language", data={"form_token": "old", "language": "de"}, headers={"accept": "text/html"})
    assert answer.status_code == 403
    assert "out of date" in answer.text
    assert "language" not in answer.cookies


def test_every_answer_has_the_headers(page):
    answers = [
        page.get("/"),
        page.get("/static/page.css"),
        page.get("/static/../app.py"),
        page.get("/nothing"),
        page.get("/", headers={"host": "evil.example"}),
        page.act("/start"),
        page.request("PUT", "/"),
        page.head("/events"),
    ]
    for answer in answers:
        for name in HEADERS:
            assert name.lower() in answer.headers, (answer.request.url, name)
    assert all("unsafe" not in a.headers["content-security-policy"] for a in answers)
    assert answers[0].headers["cache-control"] == "no-store"
    assert answers[1].headers["cache-control"] == "no-cache"


def test_the_cookie_is_for_this_site_and_not_for_scripts(page):
    cookie = page.get("/").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "set-cookie" not in page.get("/").headers, "the same browser keeps its own"


def test_over_tls_the_cookie_never_goes_in_clear_text(audit, live, site):
    assert "; Secure" in Admission(audit, secure=True).set_cookie("x")
    assert "Secure" not in Admission(audit).set_cookie("x")


def test_refusals_are_written_down_but_do_not_fill_the_disk(page, audit):
    for _ in range(50):
        page.get("/", headers={"host": "evil.example"})
    lines = [json.loads(line) for line in audit.path.read_text().splitlines()]
    assert 1 <= len(lines) <= 10
    assert {line["what"] for line in lines} == {"refused"}
    assert lines[0]["result"] == "another host"
    assert lines[0]["role"] == Role.NOBODY.word


@pytest.mark.parametrize(
    ("kind", "body", "fields"),
    [
        ("application/x-www-form-urlencoded", b"line=a+b%20c&line=d", {"line": "a b c"}),
        ("application/x-www-form-urlencoded; charset=utf-8", "line=é".encode(), {"line": "é"}),
        ("application/x-www-form-urlencoded", b"", {}),
        ("application/json", b'{"line": "a"}', {"line": "a"}),
    ],
)
def test_fields_of_forms_and_json(kind, body, fields):
    assert fields_of({"content-type": kind}, body) == fields


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"line=a", 415),
        ("multipart/form-data; boundary=x", b"--x", 415),
        ("", b"", 415),
        ("application/json", b"", 400),
        ("application/json", b"[1]", 400),
        ("application/json", b'{"line": 1}', 400),
        ("application/json", b"[" * 50_000, 400),
        ("application/json", b"\xff", 400),
        ("application/x-www-form-urlencoded", b"\xff=1", 400),
        ("application/x-www-form-urlencoded", b"&".join(b"a=%d" % n for n in range(200)), 400),
    ],
)
def test_what_is_neither(kind, body, status):
    with pytest.raises(RefusedRequestError) as caught:
        fields_of({"content-type": kind}, body)
    assert caught.value.status == status


@pytest.mark.parametrize("sent_by", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    "mode", ["no-cors image", "cors empty", "navigate iframe", "navigate object", "no-cors script"]
)
def test_nothing_is_loaded_into_another_sites_page(page, audit, sent_by, mode):
    how, where = mode.split()
    headers = {"sec-fetch-site": sent_by, "sec-fetch-mode": how, "sec-fetch-dest": where}
    for method in ("GET", "HEAD"):
        assert page.request(method, "/units/x/report.pdf", headers=headers).status_code == 403
    assert json.loads(audit.path.read_text().splitlines()[0])["result"] == "loaded by another site"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/statistics", 403), ("PUT", "/", 405)])
def test_what_waits_for_the_log_is_not_in_the_loop_of_the_streams(guarded, monkeypatch, method, path, status):
    """The loop serves others while a request is refused, by its role or by the door."""
    admission, threads, said = guarded.context.admission, set(), []

    def visitor(_key):
        threads.add(threading.get_ident())
        return Visitor("a", Role.OPERATOR)

    async def receive():
        raise AssertionError("it has no body")

    async def send(message):
        said.append(message)

    monkeypatch.setattr(admission, "visitor", visitor)
    monkeypatch.setattr(admission, "refused", lambda *_: threads.add(threading.get_ident()))
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"scheme": "http", "headers": [(b"host", b"127.0.0.1")], "client": ("127.0.0.1", 1), "root_path": ""}
    asyncio.run(make_app(guarded.context)(scope, receive, send))
    assert said[0]["status"] == status
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("sent_by", ["cross-site", "same-site"])
def test_who_comes_from_another_site_gets_no_cookie_and_asks_once_more(page, sent_by):
    """The browser left its own cookie out; a new one would take the old one's place, and end a login."""
    page.cookies.clear()
    link = {"sec-fetch-site": sent_by, "sec-fetch-mode": "navigate"}
    for answer in (
        page.get("/units", headers=link),
        page.post("/lines", headers=link),
        page.get("/nowhere", headers=link),
    ):
        assert "set-cookie" not in answer.headers
    assert 'http-equiv="refresh"' in page.get("/", headers=link).text
    again = page.get("/", headers=link | {"sec-fetch-site": "same-origin"})
    assert "set-cookie" in again.headers
    assert "refresh" not in again.text
