"""HTTP over a real socket: a server of this test's own, and httpx2's transport for what no server does.

Both ends are ours or the standard library's; that the Particle cloud is spoken to as it expects is for tests/judges.
"""

import logging
import pickle
import socket
import socketserver
import threading
import traceback
from importlib.util import find_spec

import httpcore2
import httpx2
import pytest

from particle_dev.errors import (
    LinkAccessError,
    LinkDisconnectedError,
    LinkTimeoutError,
    LinkUnreachableError,
    TransportError,
)
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import HttpFile, HttpReply, HttpRequest
from particle_dev.transport.http import HttpxLink, HttpxStream

SECRET = "s3cr3t-0123456789"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{}"


def whole_request(connection):
    data = connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split()[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
    while len(body) < length:
        more = connection.recv(65536)
        data, body = data + more, body + more
    return data


@pytest.fixture
def server():
    """Gives a function that starts a server: it gets a connection's socket and what came first on it."""
    servers = []

    def start(handle):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                handle(self.request, whole_request(self.request))

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        made = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(made)
        return f"http://127.0.0.1:{made.server_address[1]}"

    yield start
    for made in servers:
        made.shutdown()
        made.server_close()


@pytest.fixture
def link(server):
    links = []

    def to(handle):
        links.append(HttpxLink(server(handle)))
        return links[-1]

    yield to
    for made in links:
        made.close()


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_a_request_on_the_wire(link):
    seen = []

    def handle(connection, data):
        seen.append(data)
        connection.sendall(OK)

    request = HttpRequest(
        "PUT",
        ("v1", "devices", "a b/c", 7),
        query={"page": 1, "name": "ü"},
        json={"otp": Secret(SECRET), "list": [Secret("x")]},
        token=Secret("tok"),
    )
    reply = link(handle).send(request, 5)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /v1/devices/a%20b%2Fc/7?page=1&name=%C3%BC HTTP/1.1")
    assert b"Authorization: Bearer tok" in head
    assert body == b'{"otp":"%s","list":["x"]}' % SECRET.encode()
    assert reply == HttpReply(
        200, {"content-length": "2", "content-type": "application/json", "connection": "close"}, b"{}"
    )


def test_a_form_and_a_file(link):
    seen = []

    def handle(connection, data):
        seen.append(data)
        connection.sendall(OK)

    to = link(handle)
    to.send(HttpRequest("POST", ("oauth", "token"), form={"password": Secret("a&b")}), 5)
    to.send(HttpRequest("POST", ("v1",), form={"version": "3"}, files=(HttpFile("file", "a.bin", b"\0\r\n"),)), 5)
    assert seen[0].endswith(b"\r\n\r\npassword=a%26b")
    assert b'name="version"\r\n\r\n3\r\n' in seen[1]
    assert b'name="file"; filename="a.bin"' in seen[1]
    assert b"\r\n\r\n\0\r\n\r\n--" in seen[1]


def test_a_stream_is_read_as_it_arrives_and_can_be_closed_by_another_thread(link):
    release = threading.Event()

    def handle(connection, data):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:ok\n\n")
        release.wait(10)

    stream = link(handle).open_stream(HttpRequest("GET", ("v1", "events")), 5, 30)
    assert (stream.status, stream.read()) == (200, b":ok\n\n")
    threading.Timer(0.05, stream.close).start()
    with pytest.raises(LinkDisconnectedError, match="closed"):
        stream.read()
    release.set()


def test_a_stream_that_ends(link):
    def handle(connection, data):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")

    stream = link(handle).open_stream(HttpRequest("GET", ("v1",)), 5, 5)
    assert stream.read() == b"abc"
    assert stream.read() == b""


def test_a_silent_stream(link):
    release = threading.Event()

    def handle(connection, data):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n:ok\n\n")
        release.wait(10)

    stream = link(handle).open_stream(HttpRequest("GET", ("v1",)), 5, 0.05)
    # On a busy machine the first bytes themselves may come late after their head.
    with pytest.raises(LinkTimeoutError):
        assert [stream.read(), stream.read()] == []
    release.set()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", LinkDisconnectedError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", LinkDisconnectedError),
        (b"nonsense\r\n\r\n", LinkDisconnectedError),
    ],
    ids=["closes", "stops half-way", "speaks no HTTP"],
)
def test_a_server_that_breaks_off(link, answer, error):
    with pytest.raises(error):
        link(lambda connection, _data: connection.sendall(answer)).send(HttpRequest("GET", ("v1",)), 5)


def test_a_server_that_answers_nothing(link):
    release = threading.Event()
    to = link(lambda _connection, _data: release.wait(10))
    with pytest.raises(LinkTimeoutError, match="GET /v1"):
        to.send(HttpRequest("GET", ("v1",)), 0.05)
    release.set()


def test_an_answer_that_trickles_in_does_not_take_for_ever(link):
    stop = threading.Event()

    def handle(connection, data):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        while not stop.wait(0.02):
            connection.sendall(b"x")

    with pytest.raises(LinkTimeoutError):
        link(handle).send(HttpRequest("GET", ("v1",)), 0.2)
    stop.set()


def test_nobody_listens():
    url = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(LinkUnreachableError, match="refused") as caught:
        HttpxLink(url).send(HttpRequest("GET", ("v1",)), 5)
    assert caught.value.where == url


class ClosedWhileRead(httpx2.SyncByteStream):
    """The answer that another thread closes while it is read; the read ends with ``error``."""

    def __init__(self, error):
        self.error = error
        self.stream = HttpxStream(httpx2.Response(200, stream=self), "the server", "GET", 30)

    def __iter__(self):
        self.stream.close()
        raise self.error
        yield b""


@pytest.mark.parametrize(
    "error",
    [
        *(httpx2.ReadError("x"), httpx2.StreamClosed(), httpcore2.ReadError("x"), httpcore2.LocalProtocolError("x")),
        *(OSError(9, "Bad file descriptor"), ValueError("unwrapped"), AttributeError("read"), RuntimeError("x")),
    ],
    ids=repr,
)
def test_what_a_socket_says_when_it_is_closed_here(error):
    with pytest.raises(LinkDisconnectedError, match="closed here"):
        ClosedWhileRead(error).stream.read()


def test_a_mistake_of_ours_is_not_taken_for_that():
    with pytest.raises(KeyError, match="ours"):
        ClosedWhileRead(KeyError("ours")).stream.read()


def test_a_link_that_is_closed():
    closed = HttpxLink("http://127.0.0.1:1")
    closed.close()
    with pytest.raises(TransportError):
        closed.send(HttpRequest("GET", ("v1",)), 5)


def test_an_answer_larger_than_any_that_is_meant(link, monkeypatch):
    monkeypatch.setattr("particle_dev.transport.http.MAX_REPLY_BYTES", 1)
    with pytest.raises(TransportError, match="more than 1 bytes"):
        link(lambda connection, _data: connection.sendall(OK)).send(HttpRequest("GET", ("v1",)), 5)


def test_a_redirect_is_not_followed(link):
    moved = b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    reply = link(lambda connection, _data: connection.sendall(moved)).send(HttpRequest("GET", ("v1",)), 5)
    assert reply.status == 302


@pytest.mark.parametrize(
    "url", ["api.particle.io", "ftp://x", "https://", "https://user:pw@x", "https://x?access_token=1", "https://[x"]
)
def test_no_url_of_a_cloud(url):
    with pytest.raises(LinkAccessError) as caught:
        HttpxLink(url)
    assert "pw" not in str(caught.value)


def test_a_token_never_goes_over_the_network_in_the_clear():
    with pytest.raises(LinkAccessError, match="in the clear"):
        HttpxLink("http://api.particle.io")
    for url in ("http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "https://api.particle.io"):
        HttpxLink(url).close()


def test_a_proxy_is_not_asked_for_a_server_of_this_machine(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    url = server(lambda connection, _data: connection.sendall(OK))
    assert HttpxLink(url).send(HttpRequest("GET", ("v1",)), 5).status == 200


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("ALL_PROXY", "socks5://user:pw@127.0.0.1:1080", "socksio"),
        ("HTTPS_PROXY", "http://user:pw@host:port", "HTTPS_PROXY"),
        ("SSL_CERT_FILE", "/nobody/has/this.pem", "SSL_CERT_FILE"),
        ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE"),
    ],
)
def test_an_environment_that_cannot_be_used(monkeypatch, name, value, hint):
    if name == "ALL_PROXY" and find_spec("socksio"):
        pytest.skip("with socksio that is a proxy")
    monkeypatch.setenv(name, value)
    with pytest.raises(LinkAccessError, match="environment") as caught:
        HttpxLink("https://api.particle.io")
    assert hint in str(caught.value)
    assert "pw" not in "".join(traceback.format_exception(caught.value))


def test_secrets_are_in_no_log_no_repr_and_no_traceback(link, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx2").setLevel(logging.DEBUG)
    request = HttpRequest(
        "DELETE",
        ("v1", "access_tokens", Secret(SECRET)),
        json={"a": Secret(SECRET)},
        form=None,
        token=Secret(SECRET),
    )
    ok = link(lambda connection, _data: connection.sendall(OK))
    ok.send(request, 5)
    assert "DELETE /v1/access_tokens/***: 200" in caplog.text
    tracebacks = []
    for bad in (link(lambda _c, _d: None), HttpxLink(f"http://127.0.0.1:{closed_port()}")):
        with pytest.raises(TransportError) as caught:
            bad.send(request, 5)
        pickle.dumps(caught.value)
        tracebacks.append("".join(traceback.format_exception(caught.value)))
    # A token that no header can hold is quoted by the library that refuses it.
    with pytest.raises(TransportError) as caught:
        ok.send(HttpRequest("GET", ("v1",), token=Secret(f"{SECRET}\r\nx")), 5)
    tracebacks.append("".join(traceback.format_exception(caught.value)))
    assert SECRET not in repr(request) + str(request) + caplog.text + "".join(tracebacks)


def test_what_httpx_raises_is_ours_whatever_it_is():
    def raising(error):
        def handle(_request):
            raise error

        return HttpxLink("http://127.0.0.1:1", transport=httpx2.MockTransport(handle))

    for error in (
        httpx2.PoolTimeout("x"),
        httpx2.ProxyError("x"),
        httpx2.UnsupportedProtocol("x"),
        httpx2.WriteError("x"),
    ):
        with pytest.raises(TransportError):
            raising(error).send(HttpRequest("GET", ("v1",)), 5)
