"""The page as a whole: what answers, in which language."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from particle_dev.errors import JournalError
from particle_dev.station.web import operator_page
from particle_dev.station.web.app import make_app


def test_the_operators_page_answers(page):
    answer = page.get("/")
    assert answer.status_code == 200
    assert "<main" in answer.text


def test_static_files_answer(page):
    assert page.get("/static/page.css").headers["content-type"].startswith("text/css")


def test_the_language_is_the_menus_else_the_browsers(page):
    assert '<html lang="en">' in page.get("/").text
    assert '<html lang="de">' in page.get("/", headers={"accept-language": "fr, de-AT;q=0.8"}).text
    page.cookies.set("language", "es")
    assert '<html lang="es">' in page.get("/", headers={"accept-language": "de"}).text


def test_a_defect_is_told_at_the_station_and_not_in_the_browser(context, monkeypatch, caplog):
    def fail(request):
        raise ZeroDivisionError("SECRET")

    monkeypatch.setattr(operator_page, "routes", [Route("/", fail)])
    with TestClient(make_app(context), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        answer = client.get("/")
    assert (answer.status_code, "SECRET" in answer.text) == (500, False)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "ZeroDivisionError: SECRET" in caplog.text
    assert "GET /" in caplog.text


def test_a_station_error_says_what_to_do(context, monkeypatch):
    def fail(request):
        raise JournalError("the database is away", hint="start it")

    monkeypatch.setattr(operator_page, "routes", [Route("/", fail)])
    with TestClient(make_app(context), base_url="http://127.0.0.1") as client:
        answer = client.get("/")
    assert answer.status_code == 503
    assert "the database is away" in answer.text
    assert "start it" in answer.text


def test_a_route_without_a_role_cannot_be_served(context, monkeypatch):
    monkeypatch.setattr(operator_page, "routes", [Route("/forgotten", lambda request: PlainTextResponse(""))])
    with pytest.raises(KeyError, match="forgotten"):
        make_app(context)
