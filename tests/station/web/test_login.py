"""Users, tokens, roles and the end of logins."""

import stat

import filelock
import pytest

from particle_dev.errors import ConfigError
from particle_dev.station.web.access import ROLES, Role
from particle_dev.station.web.app import VIEWS
from particle_dev.station.web.audit import check_audit
from particle_dev.station.web.sessions import (
    MOST_SESSIONS,
    SHIFT_S,
    WINDOW_S,
    WRONG_LOGINS,
    WRONG_LOGINS_IN_ALL,
    Sessions,
)
from particle_dev.station.web.users import UserFile

ROUTES = [
    (method, route.path) for view in VIEWS for route in view.routes for method in sorted(route.methods - {"HEAD"})
]
PATHS = {"{slot}": "1"}


def address(path):
    for name, value in PATHS.items():
        path = path.replace(name, value)
    return path


# ---- users -----------------------------------------------------------------------------------------------------


def test_a_token_is_its_users_and_nowhere_in_the_file(users):
    token = users.add("anna", Role.ENGINEER)
    assert (users.visitor(token).name, users.visitor(token).role) == ("anna", Role.ENGINEER)
    secret = token.partition(".")[2]
    assert secret.count("-") == 3
    assert len(secret.replace("-", "")) == 20
    assert secret not in users.path.read_text()
    assert secret.replace("-", "") not in users.path.read_text()
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600


def test_a_token_typed_in_small_letters_and_without_dashes_is_the_same(users):
    name, _, secret = users.add("anna", Role.OPERATOR).partition(".")
    assert users.visitor(f" {name}.{secret.lower().replace('-', ' ')}\n").name == "anna"


@pytest.mark.parametrize("token", ["", ".", "anna", "anna.", "bob.AAAAA", "anna.AAAAA-AAAAA-AAAAA-AAAAA", "\0", "é.é"])
def test_other_texts_are_nobodys(users, token):
    users.add("anna", Role.OPERATOR)
    assert users.visitor(token) is None


def test_a_user_without_a_name_does_not_get_in_by_a_user_who_is_not_there(users):
    assert users.visitor("nobody.") is None
    assert users.visitor("nobody." + "0" * 64) is None


def test_a_new_token_ends_the_old_one(users):
    old = users.add("anna", Role.OPERATOR)
    new = users.add("anna", Role.ADMIN)
    assert users.visitor(old) is None
    assert users.visitor(new).role is Role.ADMIN


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 41, "é", "a.b", "-a", "a\n"])
def test_names_that_are_none(users, name):
    with pytest.raises(ConfigError, match="no name"):
        users.add(name, Role.OPERATOR)
    assert not users.path.exists()


def test_nobody_is_removed_who_is_not_there(users):
    users.add("anna", Role.OPERATOR)
    with pytest.raises(ConfigError, match="no user 'bob'"):
        users.remove("bob")
    users.remove("anna")
    assert users.users() == {}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"users": {"a": {}}}', '{"users": {"a": {"role": "king"}}}', "\xff"]
)
def test_a_file_that_is_none(tmp_path, content):
    path = tmp_path / "users"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match="no file of users"):
        UserFile(path).users()


@pytest.mark.parametrize("act", ["add", "remove"])
def test_two_who_change_the_users_at_once_lose_nobody(users, monkeypatch, act):
    """The other one comes in just before the lock is taken."""
    users.add("anna", Role.OPERATOR)
    users.add("carla", Role.OPERATOR)
    real = filelock.FileLock.__enter__

    def after_another(lock):
        monkeypatch.setattr(filelock.BaseFileLock, "__enter__", real)
        UserFile(users.path).add("bob", Role.OPERATOR)
        UserFile(users.path).remove("carla")
        return real(lock)

    monkeypatch.setattr(filelock.BaseFileLock, "__enter__", after_another)
    users.add("dora", Role.OPERATOR) if act == "add" else users.remove("anna")
    assert set(users.users()) == ({"anna", "bob", "dora"} if act == "add" else {"bob"})
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600


# ---- logging in --------------------------------------------------------------------------------------------------


def test_without_a_login_nothing_is_shown(guarded):
    browser = guarded.browser()
    answer = browser.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/")
    assert browser.get("/events").status_code == 401
    assert browser.act("/start").status_code == 401


def test_a_token_lets_in_and_the_cookie_is_a_new_one(guarded):
    browser = guarded.browser()
    browser.get("/login")
    before = dict(browser.cookies)
    answer = browser.log_in(guarded.tokens[Role.OPERATOR])
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert dict(browser.cookies) != before
    assert "operator" in browser.get("/").text
    stranger = guarded.browser()
    stranger.cookies.update(before)
    assert stranger.get("/").status_code == 303


@pytest.mark.parametrize(
    ("after", "leads_to"),
    [
        ("/units", "/units"),
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_after_the_login_nobody_is_led_elsewhere(guarded, after, leads_to):
    browser = guarded.browser()
    data = {"token": guarded.tokens[Role.OPERATOR], "form_token": browser.token(), "next": after}
    assert browser.post("/login", data=data).headers["location"] == leads_to


def test_logging_out_ends_it_on_the_server(guarded):
    browser = guarded.browser()
    browser.log_in(guarded.tokens[Role.OPERATOR])
    cookies = dict(browser.cookies)
    assert browser.post("/logout", data={"form_token": browser.token("/")}).status_code == 303
    browser.cookies.update(cookies)
    assert browser.get("/").status_code == 303


def test_logging_out_is_written_down_for_those_who_were_in(guarded, audit):
    browser = guarded.browser()
    browser.log_in(guarded.tokens[Role.OPERATOR])
    for _ in range(2):
        browser.post("/logout", data={"form_token": browser.token()})
    acts, wrong = check_audit(audit.path)
    assert wrong == ()
    assert [(a["who"], a["what"], a["result"]) for a in acts[2:]] == [("operator", "logout", "ended")]


def test_who_leaves_is_out_even_where_that_cannot_be_written_down(guarded, audit, caplog):
    browser = guarded.browser()
    browser.log_in(guarded.tokens[Role.OPERATOR])
    token = browser.token("/")
    audit.path.unlink()
    audit.path.mkdir()
    assert browser.post("/logout", data={"form_token": token}).status_code == 303
    assert browser.get("/").status_code == 303
    assert "the logout of operator is not in the audit log" in caplog.text


def test_another_login_of_the_same_browser_ends_the_one_before(guarded):
    browser = guarded.browser()
    browser.log_in(guarded.tokens[Role.ADMIN])
    before = dict(browser.cookies)
    browser.log_in(guarded.tokens[Role.OPERATOR])
    assert "operator" in browser.get("/").text
    stranger = guarded.browser()
    stranger.cookies.update(before)
    assert stranger.get("/").status_code == 303


def test_a_login_ends_after_a_shift(guarded, clock):
    browser = guarded.browser()
    browser.log_in(guarded.tokens[Role.OPERATOR])
    clock.now_s += SHIFT_S - 1
    assert browser.get("/").status_code == 200
    clock.now_s += 2
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize("change", ["removed", "new token", "new role", "damaged"])
def test_a_login_ends_with_its_user(guarded, users, change):
    browser = guarded.browser()
    browser.log_in(guarded.tokens[Role.OPERATOR])
    if change == "removed":
        users.remove("operator")
    elif change == "damaged":
        users.path.write_text("{")
    else:
        users.add("operator", Role.ADMIN if change == "new role" else Role.OPERATOR)
    assert browser.get("/").status_code == 303


def test_wrong_tokens_are_counted_by_address_and_the_right_one_has_to_wait_too(guarded, clock):
    browser = guarded.browser()
    for _ in range(WRONG_LOGINS):
        assert browser.log_in("operator.AAAAA").status_code == 401
    assert browser.log_in(guarded.tokens[Role.OPERATOR]).status_code == 429
    clock.now_s += WINDOW_S + 1
    assert browser.log_in(guarded.tokens[Role.OPERATOR]).status_code == 303


def test_wrong_tokens_from_many_addresses_are_counted_too(guarded):
    admission = guarded.context.admission
    for n in range(WRONG_LOGINS_IN_ALL):
        admission.log_in("operator.AAAAA", f"192.0.2.{n}", "")
    assert admission.must_wait("198.51.100.1")


def test_no_login_is_kept_beyond_the_most(clock):
    sessions = Sessions(lambda: clock.now_s)
    keys = [sessions.begin(None, "") for _ in range(MOST_SESSIONS + 1)]
    assert sessions.get(keys[0]) is None
    assert sessions.get(keys[1]) is not None


def test_no_page_holds_a_secret(guarded, users, live, lines):
    live.close()
    guarded.context.desk.lines = lines
    browser = guarded.browser()
    browser.log_in(guarded.tokens[Role.ADMIN])
    browser.act("/lines", line="P046AC MOBILESECRET12345")
    secrets = ["MOBILESECRET12345", *browser.cookies.values()]
    for token, user in zip(guarded.tokens.values(), users.users().values(), strict=True):
        secrets += [token, token.partition(".")[2], user.hash, user.salt]
    pages = [browser.get(address(path)).text for method, path in ROUTES if method == "GET"]
    pages += [browser.log_in("operator.WRONGWRONG").text, guarded.context.admission.audit.path.read_text()]
    assert not [secret for secret in [*secrets, "WRONGWRONG"] for text in pages if secret in text]


# ---- roles -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_has_a_role_and_only_logging_in_and_the_language_take_none(method, path):
    role = ROLES[method, path]
    if role is Role.NOBODY:
        assert path in ("/login", "/logout", "/language")


def test_the_table_names_no_route_that_is_none():
    assert set(ROLES) - set(ROUTES) == {("GET", "/static")}


@pytest.mark.parametrize("role", [Role.NOBODY, Role.OPERATOR, Role.ENGINEER, Role.ADMIN])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_each_role_is_let_in_by_the_table_and_not_otherwise(guarded, live, method, path, role):
    live.close()
    browser = guarded.browser()
    if role is not Role.NOBODY:
        browser.log_in(guarded.tokens[role])
    answer = browser.act(address(path)) if method == "POST" else browser.get(address(path))
    is_refused = answer.status_code in (401, 403) or answer.headers.get("location", "").startswith("/login?")
    if (method, path) == ("POST", "/login"):
        is_refused = False  # There 401 says that no token was given.
    assert is_refused == (role < ROLES[method, path])


def test_a_typed_line_does_what_an_engineer_may_only_for_one(guarded, lines):
    guarded.context.desk.lines = lines
    operator, engineer = guarded.browser(), guarded.browser()
    operator.log_in(guarded.tokens[Role.OPERATOR])
    engineer.log_in(guarded.tokens[Role.ENGINEER])
    for line in ("end", " end ", "unlock 1", "unlock  left\n", "end\t"):
        assert operator.act("/lines", line=line).status_code == 403, line
        assert engineer.act("/lines", line=line).status_code == 200, line
