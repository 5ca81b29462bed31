"""The page as a whole: what answers, in which language."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from particle_dev.station.web import pages
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


def test_a_route_without_a_role_cannot_be_served(context, monkeypatch):
    monkeypatch.setattr(pages, "routes", [Route("/forgotten", lambda request: PlainTextResponse(""))])
    with pytest.raises(KeyError, match="forgotten"):
        make_app(context)
