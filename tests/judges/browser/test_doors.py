"""Logins, roles and forged requests, as a browser goes about them. A page that is given users asks for a login, on
loopback, too."""

import http.server
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from particle_dev.station.operator_lines import Answer, AnswerId
from particle_dev.station.web.access import Role
from particle_dev.station.web.users import UserFile
from tests.judges.browser.looks import axe_violations, overflows, untranslated
from tests.judges.browser.scenes import every_state

REFUSED = r"status of 4\d\d"


@pytest.fixture
def guarded(shown, tmp_path):
    """A page with three users; ``said``: what was carried out, without who said it."""
    users = UserFile(tmp_path / "users.json")
    tokens = {role.word: users.add(role.word, role) for role in (Role.OPERATOR, Role.ENGINEER, Role.ADMIN)}
    page = shown(every_state(8), users=users.path)
    said = []

    class Lines:
        begins_by_hand = True

        def __getattr__(self, name):
            return lambda word, by: (said.append((name, word)), Answer(AnswerId.ALL_BEGIN, "1"))[1]

    page.listen(Lines())
    return SimpleNamespace(address=page.address, tokens=tokens, said=said, users=users)


def log_in(person, guarded, who):
    person.page.goto(guarded.address)
    person.page.locator("#token").fill(guarded.tokens[who])
    person.page.keyboard.press("Enter")
    person.await_slots(8)


@contextmanager
def other_site(html):
    """Somebody else's page, on another name of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode() if self.path == "/" else b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.2", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.2:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_nothing_is_seen_without_a_login(visit, guarded):
    person = visit(guarded.address, may_complain=REFUSED)
    assert person.page.locator("#token").is_visible()
    assert person.page.locator("[data-slot]").count() == 0
    for path in ("events", "units", "statistics", "compare"):
        answer = person.page.request.get(guarded.address + path, max_redirects=0)
        assert answer.status in (303, 401)
        assert "e00fce68" not in answer.text()


def test_a_wrong_token_is_told_and_the_right_one_lets_in(visit, guarded):
    person = visit(guarded.address, may_complain=REFUSED)
    person.page.locator("#token").fill("mara.WRONG-TOKEN")
    person.page.keyboard.press("Enter")
    person.page.wait_for_selector(".problem")
    assert person.page.locator(".problem").inner_text() == "Nobody has this token."
    log_in(person, guarded, "operator")
    assert person.page.evaluate("document.cookie") == ""
    cookie = next(c for c in person.context.cookies() if c["name"].startswith("station"))
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert guarded.tokens["operator"] not in person.page.content()


def test_roles_see_what_they_may_do(visit, guarded):
    people = {}
    for who in ("operator", "engineer"):
        person = people[who] = visit(may_complain=REFUSED)
        log_in(person, guarded, who)
        person.shot(f"role-{who}")
    assert people["operator"].page.locator("#end, .unlock").count() == 0
    assert people["engineer"].page.locator("#end").is_visible()
    links = people["operator"].page.locator("nav a").all_inner_texts()
    assert "Statistics" not in links
    assert people["operator"].page.goto(guarded.address + "statistics").status == 403
    assert people["engineer"].page.goto(guarded.address + "statistics").status == 200
    people["operator"].shot("role-forbidden")


def test_an_operator_may_begin_but_not_end(visit, guarded):
    person = visit(may_complain=REFUSED)
    log_in(person, guarded, "operator")
    person.page.keyboard.press("Enter")
    person.until("document.getElementById('answer').textContent.startsWith('Begins')")
    assert guarded.said == [("carry_out", "")]
    person.page.keyboard.type("end\n")
    person.until("document.getElementById('answer').textContent === 'Only an engineer may do that.'")
    assert guarded.said == [("carry_out", "")]


def test_who_logs_out_or_is_removed_is_out(visit, guarded):
    person, other = visit(may_complain="."), visit(may_complain=".")
    log_in(person, guarded, "engineer")
    log_in(other, guarded, "operator")
    person.page.locator(".logout button").click()
    person.page.wait_for_selector("#token")
    person.page.goto(guarded.address)
    assert person.page.locator("#token").is_visible()
    guarded.users.remove("operator")
    other.page.goto(guarded.address)
    assert other.page.locator("#token").is_visible()


@pytest.mark.parametrize("path", ["start", "end", "lines", "slots/1/start", "slots/4/unlock", "logout", "language"])
def test_another_site_can_forge_nothing(visit, guarded, path):
    """The visitor is logged in as an administrator while a page of another site sends a form, and a fetch."""
    person = visit(may_complain=".")
    log_in(person, guarded, "admin")
    target = guarded.address + path
    form = f"<form method=post action='{target}'><input name=line value=end><input name=language value=de></form>"
    script = f"<script>fetch('{target}', {{method: 'POST', mode: 'no-cors', credentials: 'include', body: 'line=end'}})"
    with other_site(f"{form}{script}.finally(() => document.forms[0].submit())</script>") as address:
        with person.page.expect_response(
            lambda answer: answer.url == target and answer.request.is_navigation_request()
        ) as refused:
            person.page.goto(address)
        assert refused.value.status in (401, 403)
    assert guarded.said == []
    person.page.goto(guarded.address)
    person.await_slots(8)
    assert person.page.locator("html").get_attribute("lang") == "en"


def test_a_link_on_another_site_leads_in_and_ends_no_login(visit, guarded):
    person = visit(may_complain=REFUSED)
    log_in(person, guarded, "engineer")
    with other_site(f"<a href='{guarded.address}units'>units</a>") as address:
        person.page.goto(address)
        person.page.locator("a").click()
        person.page.wait_for_selector("nav a[aria-current=page]")
    assert person.page.locator("#token").count() == 0
    person.page.goto(guarded.address)
    person.await_slots(8)


def test_another_site_cannot_frame_or_read_it(visit, guarded):
    person = visit(may_complain=".")
    log_in(person, guarded, "admin")
    frame = f"<iframe src='{guarded.address}'></iframe>"
    steal = f"fetch('{guarded.address}', {{credentials: 'include'}}).then(a => a.text())"
    keep = ".then(t => { window.stolen = t }, () => { window.failed = 1 })"
    with other_site(f"{frame}<script>{steal}{keep}</script>") as at:
        person.page.goto(at)
        person.until("window.failed === 1")
        assert person.page.evaluate("window.stolen") is None
        frame = next(f for f in person.page.frames if f != person.page.main_frame)
        assert "slot" not in frame.content()


def test_a_form_without_its_token_does_nothing(visit, guarded):
    person = visit(may_complain=REFUSED)
    log_in(person, guarded, "admin")
    status = person.page.evaluate(
        "async () => (await fetch('/lines', { method: 'POST', body: JSON.stringify({ line: 'end' }),"
        " headers: { 'Content-Type': 'application/json' } })).status"
    )
    assert status == 403
    assert guarded.said == []


@pytest.mark.parametrize(("language", "locale"), [("en", "en-GB"), ("de", "de-CH"), ("es", "es-MX"), ("zh", "zh-TW")])
def test_login_and_errors_are_readable_by_all(visit, guarded, axe, language, locale):
    person = visit(guarded.address, may_complain=REFUSED, language=locale, bypass_csp=True, width=768, height=1024)
    person.shot(f"login-{language}")
    for after in ("login", "wrong", "forbidden", "missing"):
        if after == "wrong":
            person.page.locator("#token").fill("x.y")
            person.page.keyboard.press("Enter")
            person.page.wait_for_selector(".problem")
        if after == "forbidden":
            person.page.locator("#token").fill(guarded.tokens["operator"])
            person.page.keyboard.press("Enter")
            person.await_slots(8)
            person.page.goto(guarded.address + "statistics")
        if after == "missing":
            person.page.goto(guarded.address + "nowhere")
        assert axe_violations(person.page, axe) == [], after
        assert overflows(person.page) == [], after
        assert language == "en" or untranslated(person.page, language, ("operator", "line-1", "Deutsch")) == [], after
        person.shot(f"{after}-{language}")
