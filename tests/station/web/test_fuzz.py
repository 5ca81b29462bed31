"""Whatever is sent to any route: no failure of ours, no file but the page's own, and nothing done without a login."""

import string

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from particle_dev.station.web.access import ROLES, Role
from particle_dev.station.web.app import STATIC

LETTERS = st.text(max_size=30)
ODD = st.sampled_from(
    [
        *("..", "%2e%2e", "..%2f..%2f", "..\\", "%00", "%0d%0aX: y", "//evil.example", "etc/passwd", "{slot}", "%ff"),
        *("%", "\x7f", "null", "0", "-1", "9" * 400, "'; drop table units; --", "<script>", "a" * 3000, "\u202e"),
        *("%c0%ae%c0%ae", "1e999", "NaN"),
    ]
)
PIECE = st.one_of(ODD, LETTERS, st.sampled_from(["1", "left", "static", "units", "slots", "events", "login", "start"]))
KNOWN = sorted({path for _, path in ROLES})
SENT = string.ascii_letters + string.digits + "-._~%!$&'()*+,;=:@/?"


@st.composite
def addresses(draw):
    """A known path with its parameters filled in, or one made of pieces; perhaps a query."""
    path = draw(
        st.one_of(st.sampled_from(KNOWN), st.lists(PIECE, max_size=5).map(lambda pieces: "/" + "/".join(pieces)))
    )
    while "{" in path and "}" in path.partition("{")[2]:
        before, _, rest = path.partition("{")
        path = before + draw(PIECE).replace("{", "").replace("}", "") + rest.partition("}")[2]
    query = draw(
        st.lists(st.tuples(st.sampled_from(["q", "next", "page", "from", "recipe", "slot"]), PIECE), max_size=3)
    )
    address = path + ("?" + "&".join(f"{name}={value}" for name, value in query) if query else "")
    return "".join(c if c in SENT else "".join(f"%{b:02x}" for b in c.encode("utf-8", "replace")) for c in address)


HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
NAMES = [
    *("cookie", "accept-language", "accept", "content-type", "range", "if-none-match", "if-modified-since"),
    *("sec-fetch-site", "origin", "x-form-token", "x-forwarded-for", "authorization", "last-event-id"),
]
VALUES = ["application/json", "application/x-www-form-urlencoded", "bytes=0-", "bytes=5-1", "text/html"]
HEADERS = st.dictionaries(st.sampled_from(NAMES), st.one_of(HEADER, st.sampled_from(VALUES)), max_size=5)
BODY = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"", b"{}", b'{"line": "end"}', b"line=end", b'{"line": "\\ud800"}', b"a" * 70_000]),
    st.dictionaries(st.sampled_from(["line", "token", "next", "language"]), LETTERS).map(
        lambda fields: "&".join(f"{k}={v}" for k, v in fields.items()).encode("utf-8", "replace")
    ),
)
UNHURRIED = {
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "deadline": None,
}
SETTINGS = settings(max_examples=150, **UNHURRIED)
OWN_FILES = {path.read_bytes() for path in STATIC.rglob("*") if path.is_file()}


@pytest.fixture
def everything(guarded, live, lines):
    """A run with a journal's worth of states, where streams end at once: an endless answer is none that a test can
    read."""
    guarded.context.desk.lines = lines
    live.close()
    return guarded


def ask(browser, method, address, **request):
    """A path that begins with // is one of this page, not the name of another host."""
    return browser.request(method, f"{str(browser.base_url).rstrip('/')}{address}", **request)


def check(answer):
    assert answer.status_code < 500 or answer.status_code == 503, (answer.request.method, answer.request.url)
    assert answer.headers["x-content-type-options"] == "nosniff"
    if answer.status_code == 200 and answer.request.url.path.startswith("/static") and answer.request.method == "GET":
        assert answer.content in OWN_FILES or answer.headers.get("content-range"), answer.request.url


@SETTINGS
@given(method=st.sampled_from(["GET", "HEAD", "POST", "PUT"]), address=addresses(), headers=HEADERS, body=BODY)
@example("GET", "/static/../app.py", {}, b"")
@example("GET", "/static/%2e%2e/app.py", {}, b"")
@example("GET", "/static//etc/passwd", {}, b"")
@example("GET", "/static/..%5capp.py", {}, b"")
@example("GET", "/static/%00", {}, b"")
@example("GET", "//%0d%0aX:%20y", {}, b"")
def test_strangers_reach_the_login_and_the_pages_own_files(everything, audit, arrivals, method, address, headers, body):
    browser = everything.browser()
    answer = ask(browser, method, address, headers=headers, content=body)
    check(answer)
    assert not arrivals.ending
    path = answer.request.url.path
    if answer.status_code == 200 and not path.startswith("/static/"):
        assert path == "/login"


@SETTINGS
@given(method=st.sampled_from(["GET", "HEAD", "POST"]), address=addresses(), headers=HEADERS, body=BODY)
@example("POST", "/lines", {"content-type": "application/json"}, b'{"line": "\\ud800"}')
@example("POST", "/slots/%ed%a0%80/start", {"content-type": "application/json"}, b"{}")
@example("GET", "/", {"accept-language": ",;q=,-,de;;"}, b"")
def test_people_get_answers(everything, method, address, headers, body):
    browser = everything.browser()
    browser.log_in(everything.tokens[Role.ADMIN])
    token = browser.token("/")
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    if headers.get("cookie"):
        headers = headers | {"cookie": f"{headers['cookie']}; {cookie}"}
    check(ask(browser, method, address, headers=headers | {"x-form-token": token}, content=body))


@settings(max_examples=25, **UNHURRIED)
@given(fields=st.dictionaries(st.sampled_from(["line", "token", "next", "language", "form_token"]), st.text()))
@pytest.mark.parametrize("path", sorted(path for method, path in ROLES if method == "POST"))
def test_people_get_answers_to_whatever_they_say(everything, path, fields):
    browser = everything.browser()
    browser.log_in(everything.tokens[Role.ADMIN])
    path = path.replace("{slot:path}", "1")
    check(browser.post(path, json=fields, headers={"x-form-token": browser.token("/")}))
