"""The page on real sockets, in a thread of its own."""

import http.client
import json
import re
import socket
import ssl
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from particle_dev.errors import ConfigError, PageError
from particle_dev.station.events import EventType, new_event
from particle_dev.station.web import stream
from particle_dev.station.web.access import Role
from particle_dev.station.web.opening import PageSettings, StationPage
from particle_dev.station.web.requests import FORM
from particle_dev.station.web.server import Certificate, is_loopback

from .test_live import START


@pytest.fixture
def opened(site, tmp_path):
    """Makes a page that is served until the test ends."""
    pages = []

    def opened(host="127.0.0.1", port=0, **settings):
        page = StationPage(PageSettings(host, port, **settings), site, None, tmp_path / "run", {})
        page.__enter__()
        pages.append(page)
        return page

    yield opened
    for page in reversed(pages):
        page.__exit__(None, None, None)


def place(page):
    return page.address.split("/")[2]


@pytest.fixture
def get():
    """Sends a request; connections stay open until the test ends."""
    with ExitStack() as stack:

        def get(page, path="/", method="GET", connection=None, body=None, **headers):
            connection = connection or http.client.HTTPConnection(place(page), timeout=30)
            stack.callback(connection.close)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            stack.callback(answer.close)
            return answer

        yield get


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(stream, "TICK_S", 0.005)


def frames(answer):
    for line in answer:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def start(slots):
    data = {"recipe": {"name": "ship"}, "bench": {"name": "line"}, "slots": slots}
    return new_event(EventType.RUN_STARTED, run_id="r", at=START, data=data)


def test_three_browsers_follow_a_run_and_the_end_of_the_page_ends_their_streams(opened, get, quick):
    page = opened()
    page.handle(start(["1", "2"]))
    streams = [get(page, "/events") for _ in range(3)]
    told = [frames(stream) for stream in streams]
    for frame in told:
        assert next(frame)["run"]["slots"] == ["1", "2"]
    page.handle(new_event(EventType.OPERATOR_MESSAGE, run_id="r", at=START, slot="2", data={"message": "look"}))
    for frame in told:
        assert [slot["message"] for slot in next(frame)["slots"]] == ["look"]
    assert streams[0].headers["content-type"].startswith("text/event-stream")
    closing = threading.Thread(target=page.__exit__, args=(None, None, None))
    closing.start()
    for frame in told:
        assert list(frame) == []
    closing.join()


def test_the_end_of_a_run_is_told_though_the_page_ends_with_it(opened, get):
    page = opened()
    page.handle(start(["1"]))
    told = frames(get(page, "/events"))
    next(told)
    page.handle(new_event(EventType.RUN_FINISHED, run_id="r", at=START, data={"verdict": "pass", "report": None}))
    page.__exit__(None, None, None)
    assert [frame["run"]["verdict"] for frame in told] == ["pass"]


def test_a_browser_that_reads_nothing_holds_nobody_up(opened, get, quick):
    page = opened()
    page.handle(start(["1"]))
    with socket.create_connection(place(page).split(":")) as deaf:
        deaf.sendall(f"GET /events HTTP/1.1\r\nHost: {place(page)}\r\n\r\n".encode())
        other = frames(get(page, "/events"))
        next(other)
        for n in range(100):
            # In all more than any buffer of a socket takes.
            message = {"message": f"{n} " + "x" * 100_000}
            page.handle(new_event(EventType.OPERATOR_MESSAGE, run_id="r", at=START, slot="1", data=message))
            assert next(other)["slots"][0]["message"].startswith(f"{n} ")


def test_a_head_request_for_the_stream_ends(opened, get):
    assert get(opened(), "/events", "HEAD").read() == b""


def test_an_address_that_is_taken_or_none_of_ours_is_said(opened, users):
    port = int(place(opened()).partition(":")[2])
    with pytest.raises(PageError, match=rf"cannot serve the page on 127\.0\.0\.1:{port}: Address already in use"):
        opened(port=port)
    users.add("anna", Role.OPERATOR)
    with pytest.raises(PageError, match=r"cannot serve the page on 192\.0\.2\.1:0: Cannot assign requested address"):
        opened("192.0.2.1")


def test_elsewhere_than_on_loopback_the_page_needs_users(opened, users, get):
    with pytest.raises(PageError, match="has no users"):
        opened("0.0.0.0")
    users.add("anna", Role.OPERATOR)
    page = opened("0.0.0.0")
    assert "--page-tls" in page.warning
    answer = get(page, connection=http.client.HTTPConnection("127.0.0.1", int(place(page).partition(":")[2])))
    assert (answer.status, answer.headers["location"]) == (303, "/login?next=/")


def test_users_may_be_asked_for_on_loopback_too(opened, users, tmp_path, get):
    with pytest.raises(PageError, match="has no users"):
        opened(users=tmp_path / "none")
    (tmp_path / "damaged").write_text("{")
    with pytest.raises(ConfigError, match="no file of users"):
        opened(users=tmp_path / "damaged")
    users.add("anna", Role.OPERATOR)
    page = opened(users=users.path)
    assert page.warning == ""
    assert get(page).status == 303


def test_a_name_of_this_computer_can_be_given(opened, get):
    page = opened(names=("Station7.example",))
    assert get(page, Host="station7.example:1").status == 200
    assert get(page, Host="station8.example").status == 421


@pytest.fixture
def certificate(tmp_path):
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    draft = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    draft = draft.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    files = Certificate(tmp_path / "chain.pem", tmp_path / "key.pem")
    files.chain.write_bytes(draft.sign(key, hashes.SHA256()).public_bytes(pem))
    files.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return files


def test_over_tls(opened, certificate, get):
    page = opened(certificate=certificate)
    assert page.address.startswith("https://")
    context = ssl.create_default_context(cafile=certificate.chain)
    context.check_hostname = False
    answer = get(page, connection=http.client.HTTPSConnection(place(page), context=context))
    assert answer.status == 200
    assert "; Secure" in answer.headers["set-cookie"]


def test_a_certificate_that_is_none(opened, certificate, tmp_path):
    for wrong in (Certificate(tmp_path / "none", certificate.key), Certificate(certificate.chain, certificate.chain)):
        with pytest.raises(PageError, match="cannot use the certificate"):
            opened(certificate=wrong)


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        *(("127.0.0.1", True), ("127.0.0.2", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("192.0.2.1", False), ("station7", False), ("::", False)),
    ],
)
def test_loopback(host, is_it):
    assert is_loopback(host) == is_it


def test_the_stream_of_who_is_shut_out_ends(opened, get, quick, users):
    token = users.add("anna", Role.OPERATOR)
    page = opened(users=users.path)
    page.handle(start(["1"]))
    form = get(page, "/login")
    cookie = form.headers["set-cookie"].partition(";")[0]
    form_token = re.search(rb'name="form-token" content="(\w+)"', form.read())[1].decode()
    body = urlencode({"token": token, "form_token": form_token})
    answer = get(page, "/login", "POST", body=body, Cookie=cookie, **{"Content-Type": FORM})
    cookie = answer.headers["set-cookie"].partition(";")[0]
    told = frames(get(page, "/events", Cookie=cookie))
    assert next(told)["run"]["slots"] == ["1"]
    users.remove("anna")
    assert list(told) == []


def test_the_second_part_of_an_answer_waits_for_no_acknowledgement(opened):
    listener = opened()._server._socket
    assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_page_of_a_quiet_run_hears_that_the_station_is_there(opened, get, quick):
    """As an event: of a comment the page would know nothing, and a station that hangs closes no connection."""
    page = opened()
    page.handle(start(["1"]))
    stream = get(page, "/events")
    heard = (line for line in stream if line.strip())
    assert any(line == b"event: alive\n" for line in heard)
    assert next(heard) == b"data:\n"
    stream.close()
