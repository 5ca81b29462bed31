"""Requests: what is tried again, how long is waited, what is never sent twice. The cloud is a script of answers."""

import random

import httpx2
import pytest

from particle_dev.cloud.api import BackOff
from particle_dev.cloud.limits import REQUESTS
from particle_dev.errors import (
    CloudAuthError,
    CloudLimitError,
    CloudNotFoundError,
    CloudRefusedError,
    CloudReplyError,
    CloudServerError,
    LinkDisconnectedError,
    LinkTimeoutError,
    LinkUnreachableError,
)


def test_who_asks(cloud):
    cloud.answer({"ok": True})
    assert cloud.api().call("GET", ("v1", "user"), query={"a": True, "b": None, "c": 3}) == {"ok": True}
    (request,) = cloud.requests
    assert request.headers["authorization"].startswith("Bearer f00d")
    assert str(request.url.query, "ascii") == "a=true&c=3"
    assert request.headers["user-agent"].startswith("particle-dev/")


def test_nobody_is_logged_in(cloud):
    with pytest.raises(CloudAuthError, match="no access token"):
        cloud.api(token=None).call("GET", ("v1", "user"))
    assert cloud.requests == []


@pytest.mark.parametrize("token", ["with space", "ü" * 40, "two\nlines"])
def test_a_token_that_is_none(cloud, token):
    with pytest.raises(CloudAuthError) as caught:
        cloud.api(token=token)
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    ("first", "method", "repeatable", "tries"),
    [
        (httpx2.Response(500), "GET", None, 2),
        (httpx2.Response(502, text="<html>"), "DELETE", None, 2),
        (httpx2.Response(500), "POST", None, 1),
        (httpx2.Response(500), "PUT", True, 2),
        (httpx2.ReadTimeout("x"), "GET", None, 2),
        (httpx2.ReadError("x"), "POST", None, 1),
        (httpx2.ConnectError("x"), "POST", None, 2),
        (httpx2.ConnectTimeout("x"), "POST", None, 2),
        (httpx2.Response(429), "POST", None, 2),
        (httpx2.Response(401, json={"error": "invalid_token"}), "GET", None, 1),
        (httpx2.Response(403, json={}), "GET", None, 1),
        (httpx2.Response(408, json={"error": "Timed out."}), "GET", None, 1),
        (httpx2.Response(200, text="<html>"), "GET", None, 1),
    ],
)
def test_what_is_sent_again(cloud, first, method, repeatable, tries):
    cloud.answers = [first, httpx2.Response(200, json={})]
    try:
        cloud.api().call(method, ("v1", "x"), repeatable=repeatable)
        done = True
    except Exception:  # noqa: BLE001  its kind is for other tests
        done = False
    assert (len(cloud.requests), done) == (tries, tries == 2)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx2.Response(503), CloudServerError),
        (httpx2.ConnectError("x"), LinkUnreachableError),
        (httpx2.ReadTimeout("x"), LinkTimeoutError),
        (httpx2.RemoteProtocolError("x"), LinkDisconnectedError),
    ],
)
def test_the_last_error_is_told_after_waits_that_grow(cloud, clock, answer, error):
    cloud.answers = [answer]
    with pytest.raises(error):
        cloud.api(back_off=BackOff(first_s=10, longest_s=40, attempts=5)).call("GET", ("v1",))
    assert len(cloud.requests) == 5
    assert 5 < clock.monotonic_s() <= 10 + 20 + 40 + 40


def test_jitter_is_full():
    rng = random.Random(3)
    delays = [BackOff(first_s=4, longest_s=60).delay_s(2, rng) for _ in range(500)]
    assert min(delays) < 0.5
    assert 7.5 < max(delays) <= 8
    assert BackOff().delay_s(5000, rng) <= 60


def test_the_cloud_says_how_long_to_wait(cloud, clock):
    cloud.answers = [httpx2.Response(429, headers={"retry-after": "42"}), httpx2.Response(200, json={})]
    cloud.api().call("POST", ("v1",))
    assert 42 <= clock.monotonic_s() <= 42 * 1.25


@pytest.mark.parametrize("told", ["0", "Thu, 01 Jan 2015 00:00:00 GMT"])
def test_a_wait_of_no_time_is_none_that_was_told(cloud, clock, told):
    """Who asks again at once is refused for longer."""
    cloud.answers = [httpx2.Response(429, headers={"retry-after": told}), httpx2.Response(200, json={})]
    cloud.api().call("POST", ("v1",))
    assert clock.monotonic_s() >= 60


@pytest.mark.parametrize("told", ["9" * 12, "9" * 400])
def test_a_wait_without_end_is_an_hour(cloud, told):
    cloud.answers = [httpx2.Response(429, headers={"retry-after": told})]
    with pytest.raises(CloudLimitError, match="rate limit") as caught:
        cloud.api().call("GET", ("v1",))
    assert caught.value.wait_s == 3600
    assert "run it again in 3600 s" in caught.value.hint


def test_a_storm_of_refusals(cloud, clock):
    """Waits grow, all that share the limit wait, and one call does not wait for ever."""
    cloud.answers = [httpx2.Response(529)]
    api = cloud.api()
    with pytest.raises(CloudLimitError) as caught:
        api.call("GET", ("v1",))
    assert (caught.value.limit, caught.value.status) == ("requests", 529)
    assert "HTTP status 529" in caught.value.message, "what the cloud said, not that a count is full"
    assert "run it again in" in caught.value.hint
    assert len(cloud.requests) == 3
    assert clock.monotonic_s() <= 330
    with pytest.raises(CloudLimitError, match="The cloud has refused requests a while ago"):
        api.limiter.acquire((REQUESTS,), max_wait_s=60)


def test_a_limit_of_our_own_stops_before_sending(cloud):
    cloud.answer({})
    api = cloud.api(max_wait_s=0)
    for _ in range(9000):
        api.limiter.acquire((REQUESTS,), max_wait_s=0)
    with pytest.raises(CloudLimitError) as caught:
        api.call("GET", ("v1",))
    assert caught.value.status is None
    assert cloud.requests == []


def test_a_delete_that_was_done_although_its_answer_was_lost(cloud):
    cloud.answers = [httpx2.ReadError("x"), httpx2.Response(404, json={"error": "Device not found"})]
    assert cloud.api().call("DELETE", ("v1", "devices", "a")) is None


@pytest.mark.parametrize("first", [httpx2.Response(429), httpx2.ConnectError("x")], ids=["refused", "not reached"])
def test_a_delete_of_nothing_is_no_success_because_its_first_try_was_not_heard(cloud, first):
    cloud.answers = [first, httpx2.Response(404, json={"error": "Device not found"})]
    with pytest.raises(CloudNotFoundError):
        cloud.api().call("DELETE", ("v1", "devices", "a"))


@pytest.mark.parametrize(("count", "per_page"), [(0, 3), (1, 3), (3, 3), (4, 3), (9, 3), (10, 3)])
@pytest.mark.parametrize("tells_pages", [True, False])
def test_pages_without_a_wasted_request(cloud, count, per_page, tells_pages):
    items = [{"id": n} for n in range(count)]
    pages = [items[n : n + per_page] for n in range(0, count, per_page)] or [[]]

    def answer(request):
        page = int(request.url.params["page"])
        body = {"things": pages[page - 1] if page <= len(pages) else []}
        if tells_pages:
            body["meta"] = {"total_pages": len(pages)}
        return httpx2.Response(200, json=body)

    cloud.answers = [answer]
    assert [i.integer("id") for i in cloud.api().pages(("v1",), "things")] == list(range(count))
    if tells_pages:
        assert len(cloud.requests) == len(pages)


def test_pages_are_read_when_they_are_needed(cloud):
    cloud.answer({"things": [{"id": 1}], "meta": {"total_pages": 5}})
    next(cloud.api().pages(("v1",), "things"))
    assert len(cloud.requests) == 1


def test_an_html_page_with_status_200(cloud):
    cloud.answers = [httpx2.Response(200, html="<html>Sign in to the network</html>")]
    with pytest.raises(CloudReplyError, match="no JSON"):
        cloud.api().get_object(("v1",))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_redirect_is_no_success(cloud, method):
    cloud.answers = [httpx2.Response(302, headers={"location": "https://login.example.com"})]
    with pytest.raises(CloudReplyError, match="another place"):
        cloud.api().call(method, ("v1",))
    assert len(cloud.requests) == 1


def test_an_answer_of_200_that_refuses(cloud):
    cloud.answer({"ok": False, "errors": ["device does not exist"]})
    with pytest.raises(CloudRefusedError, match="does not exist"):
        cloud.api().call("DELETE", ("v1",))


def test_json_that_is_no_object(cloud):
    cloud.answer([])
    with pytest.raises(CloudReplyError, match="the whole answer"):
        cloud.api().get_object(("v1",))
