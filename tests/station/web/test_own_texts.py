"""What a release tells operators in its own words and pictures is on the page."""

from dataclasses import replace

import pytest

from particle_dev.station.operator_texts import read_operator_texts
from particle_dev.station.web.stream import Follower

from .conftest import Browser
from .test_live import Run

PNG = b"\x89PNG\r\n\x1a\n picture"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "en.toml").write_text(
        'title = "Sensor 3"\nnotes = ["Wear <b>gloves</b>."]\n[instructions]\nwait = "Hands off"\n'
        '[pictures]\nwait = "wait.png"\n'
    )
    (folder / "de.toml").write_text('title = "Sensor drei"\n')
    (folder / "wait.png").write_bytes(PNG)
    return folder


@pytest.fixture
def told(context, folder):
    return replace(context, texts=read_operator_texts(folder))


def test_title_notes_and_instructions_are_the_releases_own(live, told):
    Run(live).begin("1")
    frame = Follower(told, "en").frame()
    assert (frame["run"]["title"], frame["run"]["notes"]) == ("Sensor 3", ["Wear <b>gloves</b>."])
    todo = frame["slots"][0]["do"]
    assert (todo["text"], todo["picture"]) == ("Hands off.", "/pictures/wait")
    assert frame["slots"][1]["do"]["picture"].startswith("/static/")


def test_a_language_without_a_file_has_the_english_ones(live, told):
    Run(live).begin("1")
    assert Follower(told, "es").frame()["run"]["title"] == "Sensor 3"
    german = Follower(told, "de").frame()
    assert (german["run"]["title"], german["run"]["notes"]) == ("Sensor drei", [])
    assert german["slots"][0]["do"]["picture"].startswith("/static/")


def test_pictures_are_served_by_instruction_and_nothing_else_is(told, folder):
    with Browser(told) as browser:
        answer = browser.get("/pictures/wait")
        assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
        for path in ("/pictures/en.toml", "/pictures/..%2fen.toml", "/pictures/wait.png", "/pictures/insert"):
            assert browser.get(path).status_code == 404, path
        (folder / "wait.png").unlink()
        assert browser.get("/pictures/wait").status_code == 404
