"""Logins, scopes, API users, and particle-cli's settings files. The cloud is a script of answers."""

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qs

import httpx2
import pytest

from particle_dev.cloud import tokens
from particle_dev.cloud.limits import LOGINS, TOKENS
from particle_dev.cloud.profiles import load_profile, save_login
from particle_dev.cloud.session import open_cloud
from particle_dev.errors import (
    CloudAuthError,
    CloudDeniedError,
    CloudLimitError,
    ConfigError,
    LinkUnreachableError,
    MfaRequiredError,
)
from particle_dev.protocol.secret import Secret

from .conftest import TOKEN

PASSWORD = Secret("hunter22")
GRANT = {"token_type": "bearer", "access_token": "a" * 40, "expires_in": 60, "refresh_token": "r"}
WRONG = {"error": "invalid_grant", "error_description": "User credentials are invalid"}


def form_of(request):
    return {k: v[0] for k, v in parse_qs(request.content.decode()).items()}


def test_logging_in(cloud):
    cloud.answer(GRANT)
    login = tokens.log_in(cloud.api(token=None), "me@example.com", PASSWORD)
    assert login == tokens.Login(Secret("a" * 40), datetime(2026, 1, 1, 0, 1, tzinfo=UTC))
    (request,) = cloud.requests
    assert "authorization" not in request.headers
    assert form_of(request) == {
        "grant_type": "password",
        "username": "me@example.com",
        "password": "hunter22",
        "expires_in": "7776000",
        "client_id": "particle",
        "client_secret": "particle",
    }


def test_a_second_factor(cloud):
    cloud.answer({"error": "mfa_required", "mfa_token": "m", "error_description": "x"}, status=403)
    cloud.answer(GRANT)
    api = cloud.api(token=None)
    tokens.log_in(api, "me", PASSWORD, otp=lambda: Secret("123456"))
    form = form_of(cloud.requests[1])
    assert (form["grant_type"], form["mfa_token"], form["otp"]) == ("urn:custom:mfa-otp", "m", "123456")
    assert "password" not in form
    cloud.answers.clear()
    cloud.answer({"error": "mfa_required", "mfa_token": "m"}, status=403)
    with pytest.raises(MfaRequiredError, match="--otp-file"):
        tokens.log_in(api, "me", PASSWORD)


def test_wrong_passwords_do_not_ban_the_whole_factory(cloud, clock):
    cloud.answer(WRONG, status=400)
    api = cloud.api(token=None)
    for _ in range(9):
        with pytest.raises(CloudAuthError) as caught:
            tokens.log_in(api, "me", PASSWORD)
        assert "hunter22" not in str(caught.value)
    with pytest.raises(CloudLimitError, match="failed logins"):
        tokens.log_in(api, "me", PASSWORD)
    assert len(cloud.requests) == 9
    clock.sleep(1900)
    cloud.answers.clear()
    cloud.answer(GRANT)
    tokens.log_in(api, "me", PASSWORD)


def test_a_network_that_is_down_is_no_wrong_password(cloud):
    cloud.answers = [httpx2.ConnectError("x")]
    api = cloud.api(token=None)
    for _ in range(3):
        with pytest.raises(LinkUnreachableError):
            tokens.log_in(api, "me", PASSWORD)
    assert api.limiter.used(tokens.FAILED_LOGINS) == 0


def current(**fields):
    return {"expires_at": None, "client": "particle", "scopes": [], "orgs": [{"id": "1", "slug": "org"}], **fields}


def test_what_the_token_may(cloud):
    cloud.answer(current(scopes=["devices:list", "sims:*"], expires_at="2026-01-01T01:00:00.000Z"))
    api = cloud.api()
    info = tokens.require_scopes(api, {"devices:list", "sims:get"}, "the check", duration_s=3599)
    assert info.organizations == ("org",)
    with pytest.raises(CloudDeniedError, match="devices:import, events:get") as caught:
        tokens.require_scopes(api, {"devices:list", "events:get", "devices:import"}, "the import")
    assert caught.value.missing_scopes == ("devices:import", "events:get")
    with pytest.raises(CloudAuthError, match="before the import is done"):
        tokens.require_scopes(api, (), "the import", duration_s=3601)


def test_a_user_has_no_scopes_and_may_everything(cloud):
    cloud.answer(current())
    tokens.require_scopes(cloud.api(), tokens.scopes_for(tokens.JOB_SCOPES), "all")


def test_jobs_need_what_they_say():
    assert "devices:import" not in tokens.scopes_for(["check"])
    assert {"devices:import", "devices:get"} <= tokens.scopes_for(["provision"])


def test_revoking_shows_no_token(cloud, caplog):
    caplog.set_level("DEBUG")
    cloud.answer({"ok": True})
    api = cloud.api()
    tokens.revoke_current(api)
    assert (api.limiter.used(TOKENS), api.limiter.used(LOGINS)) == (1, 0)
    assert cloud.sent(0)[:2] == ("DELETE", "/v1/access_tokens/current")
    assert TOKEN not in caplog.text


def test_api_users(cloud):
    made = {"username": "line+1@api.particle.io", "is_programmatic": True, "scopes": ["devices:list"]}
    cloud.answer({"ok": True, "created": made | {"tokens": [{"token": "t" * 40}]}})
    cloud.answer({"team": [made, {"username": "me"}]})
    cloud.answer({"ok": True, "updated": made | {"tokens": [{"token": "u" * 40}]}})
    cloud.answer()
    api = cloud.api()
    user = tokens.create_api_user(api, "Line 1", {"devices:list"}, product=100)
    assert user.token.reveal() == "t" * 40
    assert "t" * 40 not in repr(user)
    assert [m.is_programmatic for m in tokens.team(api, organization="org")] == [True, False]
    assert tokens.change_scopes(api, user.username, {"sims:get"}, product=100).token.reveal() == "u" * 40
    tokens.remove_api_user(api, user.username, product=100)
    assert [cloud.sent(n)[:2] for n in range(4)] == [
        ("POST", "/v1/products/100/team"),
        ("GET", "/v1/orgs/org/team"),
        ("PUT", "/v1/products/100/team/line%2B1%40api.particle.io"),
        ("DELETE", "/v1/products/100/team/line%2B1%40api.particle.io"),
    ]


def test_who_is_it(cloud):
    cloud.answer({"username": "me@example.com", "account_info": {}})
    assert tokens.user_name(cloud.api()) == "me@example.com"


def test_an_expired_token(cloud):
    cloud.answer({"error": "invalid_token", "error_description": "The access token provided has expired."}, status=401)
    with pytest.raises(CloudAuthError, match="cloud login"):
        tokens.user_name(cloud.api())
    assert len(cloud.requests) == 1


# ---- particle-cli's files ---------------------------------------------------------------------------------------


def write(folder, name, data):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(data if isinstance(data, str) else json.dumps(data))


def test_no_files(tmp_path):
    profile = load_profile(folder=tmp_path / "none")
    assert (profile.name, profile.api_url, profile.access_token) == ("particle", "https://api.particle.io", None)
    assert not (tmp_path / "none").exists()


def test_the_profile_in_use(tmp_path):
    write(tmp_path, "profile.json", {"name": "sim"})
    write(tmp_path, "sim.config.json", {"apiUrl": "http://127.0.0.1:9", "access_token": TOKEN, "username": "me"})
    profile = load_profile(folder=tmp_path)
    assert (profile.name, profile.api_url, profile.username) == ("sim", "http://127.0.0.1:9", "me")
    assert profile.access_token.reveal() == TOKEN
    assert TOKEN not in repr(profile)
    assert load_profile("other", tmp_path).access_token is None


def test_a_token_goes_to_its_own_cloud_only(tmp_path):
    write(tmp_path, "particle.config.json", {"access_token": TOKEN})
    profile = load_profile(folder=tmp_path)
    assert open_cloud(profile, limit_place=tmp_path / "l").token.reveal() == TOKEN
    assert open_cloud(profile, api_url="https://API.example.com", limit_place=tmp_path / "l").token is None
    other = open_cloud(profile, api_url="https://x.example", token=Secret("t"), limit_place=tmp_path / "l")
    assert other.token.reveal() == "t"


def test_a_machine_s_part_of_the_limits(tmp_path, monkeypatch):
    profile = load_profile(folder=tmp_path)
    assert open_cloud(profile, limit_place=tmp_path / "l").limiter.allowed(LOGINS) == 90
    monkeypatch.setenv("PARTICLE_DEV_LIMIT_SHARE", "0.3")
    assert open_cloud(profile, limit_place=tmp_path / "l").limiter.allowed(LOGINS) == 30
    assert open_cloud(profile, limit_place=tmp_path / "l", limit_share=0.5).limiter.allowed(LOGINS) == 50
    for text in ("0", "1.1", "-1", "nan", "a third"):
        monkeypatch.setenv("PARTICLE_DEV_LIMIT_SHARE", text)
        with pytest.raises(ConfigError, match="LIMIT_SHARE"):
            open_cloud(profile, limit_place=tmp_path / "l")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("profile.json", "{"),
        ("profile.json", "[]"),
        ("profile.json", "[" * 100_000),
        ("particle.config.json", f'{{"access_token": "{TOKEN}"'),
        ("particle.config.json", '{"access_token": 7}'),
        ("particle.config.json", b"\xff\xfe".decode("latin-1")),
    ],
)
def test_files_that_are_damaged(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load_profile(folder=tmp_path)
    assert TOKEN not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden"])
def test_names_that_are_paths(tmp_path, name):
    with pytest.raises(ConfigError):
        load_profile(name, tmp_path)


def test_saving_a_login_keeps_other_settings(tmp_path):
    write(tmp_path, "particle.config.json", {"flashWarningShownOn": 1, "access_token": "old"})
    profile = load_profile(folder=tmp_path)
    save_login(profile, Secret("new"), "me")
    assert json.loads(profile.file.read_text()) == {"flashWarningShownOn": 1, "access_token": "new", "username": "me"}
    assert stat.S_IMODE(profile.file.stat().st_mode) == 0o600
    save_login(profile, None, None)
    assert json.loads(profile.file.read_text()) == {"flashWarningShownOn": 1}
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be"):
        save_login(replace(profile, file=tmp_path / "file" / "x"), Secret("a"), None)
