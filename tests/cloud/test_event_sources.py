"""Webhook and Pub/Sub. The webhook is posted to over a real socket by httpx2; Google's own client pulls from a server
of its published gRPC interface that runs here, since there is no emulator to be had. That Particle posts what the
documentation says is not shown."""

import random
import socket
import sys
import threading
from concurrent import futures
from contextlib import contextmanager
from datetime import UTC, datetime

import grpc
import httpx2
import pytest
from google.cloud import pubsub_v1

from particle_dev.cloud.event_hub import EventHub
from particle_dev.cloud.events import CloudEvent, StreamEnded, StreamGap
from particle_dev.cloud.pubsub_source import PubSubSource
from particle_dev.cloud.webhook_receiver import KEY_HEADER, WebhookSource
from particle_dev.errors import EventSourceError, LinkAccessError, TransportError
from particle_dev.protocol.secret import Secret
from particle_dev.transport.pubsub import PubSubQueue, PulledMessage

KEY = "0123456789abcdef"
SUBSCRIPTION = "projects/p/subscriptions/s"


def utc_now():
    return datetime(2026, 1, 1, tzinfo=UTC)


# ---- webhook ----------------------------------------------------------------------------------------------------

POSTED = {
    "name": "temp",
    "data": "21",
    "coreid": "e00fce68aaaaaaaaaaaaaaaa",
    "published_at": "2026-01-01T00:00:00.000Z",
    "version": "3",
}


@pytest.fixture
def receiver():
    source = WebhookSource(Secret(KEY))
    hub = EventHub(source, utc_now)
    queue = hub.subscribe()
    with hub:
        source._running.wait(5)
        yield source, queue


def post(source, body=POSTED, key=KEY, **options):
    if "content" not in options:
        options["json"] = body
    headers = {KEY_HEADER: key} | options.pop("headers", {})
    with httpx2.Client(trust_env=False) as client:
        return client.post(f"http://127.0.0.1:{source.port}/", headers=headers, **options).status_code


def test_a_post_is_an_event_and_again_a_duplicate(receiver):
    source, queue = receiver
    assert [post(source), post(source)] == [200, 200]
    assert queue.get(5) == CloudEvent("temp", "21", POSTED["coreid"], POSTED["published_at"], version=3)
    assert queue.get(0.01) is None


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"key": "wrong"}, 403),
        ({"key": ""}, 403),
        ({"content": b"{"}, 400),
        ({"body": {"name": "x"}}, 400),
        ({"content": b"x" * 70_000}, 413),
        ({"content": iter([b"chunked"])}, 411),
    ],
)
def test_posts_that_are_refused(receiver, options, status):
    source, queue = receiver
    assert post(source, **options) == status
    assert source.refused == 1
    assert post(source, POSTED | {"version": ""}) == 200
    assert queue.get(5).version is None


def test_it_listens_on_this_machine_only(receiver):
    source, _ = receiver
    assert source._server.server_address[0] == "127.0.0.1"
    with pytest.raises(EventSourceError, match="cannot be listened on"):
        WebhookSource(Secret(KEY), port=source.port)


def test_one_that_never_ran_can_be_stopped():
    WebhookSource(Secret(KEY)).stop()


def test_a_client_that_says_nothing_does_not_stop_others(receiver):
    source, queue = receiver
    with socket.create_connection(("127.0.0.1", source.port)):
        assert post(source) == 200
    assert queue.get(5).name == "temp"


# ---- Pub/Sub ----------------------------------------------------------------------------------------------------


class Stub(grpc.GenericRpcHandler):
    """google.pubsub.v1.Subscriber with one subscription: messages come again until they are acknowledged."""

    def __init__(self):
        self.messages = {}
        self.acknowledged = []
        self.lock = threading.Lock()

    def put(self, ack_id, data, **attributes):
        with self.lock:
            self.messages[ack_id] = pubsub_v1.types.PubsubMessage(data=data, attributes=attributes)

    def service(self, details):
        types = pubsub_v1.types
        calls = {
            "Pull": (self.pull, types.PullRequest, types.PullResponse),
            "Acknowledge": (self.acknowledge, types.AcknowledgeRequest, None),
        }
        act, request, answer = calls[details.method.rpartition("/")[2]]
        return grpc.unary_unary_rpc_method_handler(
            act,
            request_deserializer=request.deserialize,
            response_serializer=answer.serialize if answer else lambda _: b"",
        )

    def pull(self, request, context):
        if request.subscription != SUBSCRIPTION:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such subscription")
        with self.lock:
            waiting = list(self.messages.items())[: request.max_messages]
        return pubsub_v1.types.PullResponse(
            received_messages=[pubsub_v1.types.ReceivedMessage(ack_id=a, message=m) for a, m in waiting]
        )

    def acknowledge(self, request, context):
        with self.lock:
            for ack_id in request.ack_ids:
                self.messages.pop(ack_id, None)
                self.acknowledged.append(ack_id)


@contextmanager
def served(stub):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    server.add_generic_rpc_handlers((stub,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@pytest.fixture
def stub(monkeypatch):
    stub = Stub()
    with served(stub) as address:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
        yield stub


def test_google_s_client_pulls_from_the_interface(stub):
    stub.put("1", b"21", event="temp", device_id="d1", published_at="2026-01-01T00:00:00.000Z")
    stub.put("2", b"", event="spark/status", device_id="d2")
    stub.put("3", b"", something="else")
    source = PubSubSource(PubSubQueue(SUBSCRIPTION), utc_now, random.Random(1))
    hub = EventHub(source, utc_now)
    queue = hub.subscribe()
    with hub:
        assert queue.get(10) == CloudEvent("temp", "21", "d1", "2026-01-01T00:00:00.000Z")
        assert queue.get(10).data is None
        stub.put("4", b"22", event="temp", device_id="d1", published_at="2026-01-01T00:00:01.000Z")
        assert queue.get(10).data == "22"
    assert isinstance(queue.get(0), StreamEnded)
    assert sorted(set(stub.acknowledged)) == ["1", "2", "3", "4"]
    assert source.malformed == 1


def test_nothing_waits(stub):
    queue = PubSubQueue(SUBSCRIPTION)
    assert queue.pull(1, 1) == []
    queue.close()


def test_a_subscription_that_is_none(stub):
    with pytest.raises(LinkAccessError, match="NotFound"):
        PubSubQueue("projects/p/subscriptions/other").pull(1, 1)
    for name in ("s", "projects/p/topics/s", "projects//subscriptions/s"):
        with pytest.raises(LinkAccessError, match="no name of a subscription"):
            PubSubQueue(name)


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.cloud.pubsub_v1", None)
    monkeypatch.delattr("google.cloud.pubsub_v1", raising=False)
    with pytest.raises(LinkAccessError, match="not installed") as caught:
        PubSubQueue(SUBSCRIPTION)
    assert "particle-dev[pubsub]" in caught.value.hint


class Scripted:
    where = SUBSCRIPTION

    def __init__(self, *answers):
        self.answers = list(answers)
        self.acknowledged = []
        self.closed = False

    def pull(self, max_messages, timeout_s):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def acknowledge(self, ack_ids):
        self.acknowledged += ack_ids

    def close(self):
        self.closed = True


def test_a_break_is_told_and_nothing_is_lost():
    message = PulledMessage("1", b"x", {"event": "e", "device_id": "d"})
    queue = Scripted(TransportError("down", where="x"), [message], TransportError("down", where="x"))
    pauses = []
    source = PubSubSource(queue, utc_now, random.Random(1), pause=lambda s: (pauses.append(s), len(pauses) == 2)[1])
    hub = EventHub(source, utc_now)
    consumer = hub.subscribe()
    with hub:
        items = list(consumer)
    assert [type(i) for i in items] == [StreamGap, CloudEvent, StreamGap, StreamGap, StreamEnded]
    assert items[2].until is not None
    assert queue.acknowledged == ["1"]
    assert queue.closed
    assert len(pauses) == 2


def test_a_subscription_that_is_lost_ends_it():
    queue = Scripted(LinkAccessError("no", where="x", hint="y"))
    source = PubSubSource(queue, utc_now, random.Random(1))
    hub = EventHub(source, utc_now)
    consumer = hub.subscribe()
    with hub:
        (end,) = list(consumer)
    assert isinstance(end.error, LinkAccessError)
