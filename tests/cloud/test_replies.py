"""Errors in all the shapes that were recorded from the cloud or read in its clients, and typed reading of JSON."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.cloud.replies import JsonObject, error_of, error_texts, json_of, retry_after_s
from particle_dev.errors import (
    CloudAuthError,
    CloudDeniedError,
    CloudDeviceTimeoutError,
    CloudError,
    CloudLimitError,
    CloudNotFoundError,
    CloudRefusedError,
    CloudReplyError,
    CloudServerError,
    MfaRequiredError,
)
from particle_dev.transport.base import HttpReply, HttpRequest

INVALID_TOKEN = {"error": "invalid_token", "error_description": "The access token provided has expired."}


def reply(status, body, content_type="application/json", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status, {"content-type": content_type, **headers}, data)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            400,
            {"error": "invalid_request", "error_description": "The access token was not found"},
            CloudAuthError,
            "was not found",
        ),
        (
            400,
            {"error": "invalid_grant", "error_description": "User credentials are invalid"},
            CloudAuthError,
            "credentials",
        ),
        (400, {"ok": False, "error": "Timed out."}, CloudDeviceTimeoutError, "Timed out."),
        (
            400,
            {"error": "unauthorized", "error_description": "API users are not allowed to call this endpoint"},
            CloudRefusedError,
            "API users",
        ),
        (
            401,
            {"error": "unauthorized", "error_description": "API users are not allowed to call this endpoint"},
            CloudDeniedError,
            "API users",
        ),
        (401, INVALID_TOKEN, CloudAuthError, "has expired"),
        (403, {"error": "Permission Denied", "info": "I didn't recognize that"}, CloudDeniedError, "I didn't"),
        (403, {"error": "insufficient_scope"}, CloudDeniedError, "insufficient_scope"),
        (404, {"ok": False, "error": "Product not found."}, CloudNotFoundError, "Product not found."),
        (404, {"ok": False, "errors": ["device does not exist"]}, CloudNotFoundError, "does not exist"),
        (404, {"ok": False, "errors": [["Core isn't online", 404]]}, CloudDeviceTimeoutError, "isn't online"),
        (408, {"error": "Timed out."}, CloudDeviceTimeoutError, "Timed out."),
        (429, b"", CloudLimitError, "429"),
        (529, b"<html>", CloudLimitError, "529"),
        (
            500,
            {"ok": False, "code": 500, "errors": [{"error": "Timed out, didn't hear back from device service"}]},
            CloudDeviceTimeoutError,
            "didn't hear back",
        ),
        (500, {"error": {"status": "broken"}}, CloudServerError, "broken"),
        (502, b"<html>Bad Gateway</html>", CloudServerError, "502"),
        (503, b"", CloudServerError, "503"),
        (404, b"<html>not here</html>", CloudReplyError, "no JSON"),
        (418, {"message": "teapot"}, CloudRefusedError, "teapot"),
        (400, [1], CloudRefusedError, "400"),
        (400, "text", CloudRefusedError, "400"),
        (400, b"", CloudRefusedError, "400"),
    ],
)
def test_every_shape_of_error(status, body, kind, words):
    content_type = "text/html" if isinstance(body, bytes) and body.startswith(b"<") else "application/json"
    error = error_of(reply(status, body, content_type), "GET /v1/x")
    assert type(error) is kind
    assert words in error.message
    assert "GET /v1/x" in error.message
    assert error.hint


def test_a_login_that_wants_a_second_factor():
    error = error_of(reply(403, {"error": "mfa_required", "mfa_token": "abc", "error_description": "x"}), "POST /o")
    assert isinstance(error, MfaRequiredError)
    assert error.mfa_token.reveal() == "abc"
    assert "abc" not in str(error) + repr(error.fields())


def test_words_are_told_once():
    assert error_texts({"error": "a_b", "error_description": "x", "errors": ["x"]}) == ("a_b", "x")
    assert error_texts({"error": "a_b"}) == ("a_b", "a_b")
    assert error_texts({"error": "Permission Denied", "info": "i"}) == ("", "i, Permission Denied")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "errors", "error_description", "info", "status", "message", "mfa_token"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.integers(400, 599), JSON)
def test_any_answer_is_an_error_that_can_be_told(status, body):
    error = error_of(reply(status, body), "GET /v1/x")
    assert isinstance(error, CloudError)
    assert "GET /v1/x" in error.message or isinstance(error, MfaRequiredError)
    assert error.hint
    json.dumps(error.fields(), default=str)


def test_json_that_is_nested_without_end():
    with pytest.raises(CloudReplyError):
        json_of(reply(200, b"[" * 200_000), "GET /v1/x")


def test_long_words_are_shortened():
    assert len(error_of(reply(400, {"error": "x" * 5000}), "GET /").message) < 400


@pytest.mark.parametrize("body", [b'{"a": 1', b"\xff\xfe{}", b'"\x01'])
def test_json_that_is_cut_off_or_damaged(body):
    with pytest.raises(CloudReplyError, match="cut off or damaged"):
        json_of(reply(200, body), "GET /v1/x")


def test_no_content():
    assert json_of(reply(204, b""), "DELETE /") is None
    assert json_of(reply(202, b" "), "DELETE /") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 2026 00:02:00 GMT", 120.0),
        ("Thu, 01 Jan 2026 00:02:00", 120.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("-1", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after(value, expected):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after_s(reply(429, b"", **{"retry-after": value}), now) == expected


@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_a_wrong_clock_here_changes_no_retry_after(hours):
    headers = {"retry-after": "Thu, 01 Jan 2026 00:02:00 GMT", "date": "Thu, 01 Jan 2026 00:00:30 GMT"}
    assert retry_after_s(reply(429, b"", **headers), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)) == 90


def read(**data):
    return JsonObject(data, "GET /v1/x", "device")


def test_reading():
    data = read(a="x", n=3, f=True, t="2026-01-01T00:00:00.000Z", l=["a"], o={"b": 1}, z=None)
    assert (data.text("q", "a"), data.integer("n"), data.flag("f"), data.texts("l")) == ("x", 3, True, ("a",))
    assert data.time("t") == datetime(2026, 1, 1, tzinfo=UTC)
    assert (data.time("z"), data.optional_text("z"), data.flag("z"), data.texts("z")) == (None, None, False, ())
    assert data.object("o").integer("b") == 1
    assert data.optional_secret("a").reveal() == "x"


def test_halves_of_characters_are_no_trouble_later():
    """A name that was cut off in the middle of an emoji; JSON can hold that, and nothing else."""
    data = read(**json.loads(r'{"name": "shed \ud83d", "groups": ["\udc00", "\ud83d\ude00"]}'))
    assert data.text("name") == "shed \ufffd"
    assert data.texts("groups") == ("\ufffd", "\U0001f600")
    assert error_texts(json.loads(r'{"error": "no \ud83d"}'))[1] == "no \ufffd"
    assert HttpRequest("GET", ("v1", "\udcff", "\ud83d")).shown() == "GET /v1/%3F/%3F"


@pytest.mark.parametrize(
    "act",
    [
        lambda: read(last_handshake_at="yesterday").time("last_handshake_at"),
        lambda: read(last_handshake_at=0).time("last_handshake_at"),
        lambda: read(last_handshake_at="").time("last_handshake_at"),
        lambda: read(n=True).integer("n"),
        lambda: read(n="3").integer("n"),
        lambda: read(f=1).flag("f"),
        lambda: read().text("id"),
        lambda: read(l=[1]).texts("l"),
        lambda: read(o=[]).object("o"),
        lambda: read(o={}).objects("o"),
        lambda: JsonObject([], "GET /"),
    ],
)
def test_a_wrong_type_is_never_read_as_nothing(act):
    with pytest.raises(CloudReplyError) as caught:
        act()
    assert "yesterday" not in str(caught.value)
