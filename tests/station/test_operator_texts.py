"""Words and pictures that a release has for operators."""

import pytest

from particle_dev.errors import ConfigError
from particle_dev.station import operator_texts
from particle_dev.station.operator_texts import OperatorTexts, read_operator_texts, texts_for
from particle_dev.station.web.texts import LANGUAGES

GERMAN = """
title = "Sensor 3, Linie 2"
notes = ["Handschuhe tragen.", "24 je Ablage."]
[instructions]
insert = "Mit der Antenne nach links einlegen."
[pictures]
insert = "insert.png"
"""


def test_a_release_says_it_in_its_own_words(tmp_path):
    (tmp_path / "de.toml").write_text(GERMAN)
    (tmp_path / "en.toml").write_text('title = "Sensor 3, line 2"')
    (tmp_path / "insert.png").write_bytes(b"\x89PNG")
    texts = read_operator_texts(tmp_path)
    german = texts_for(texts, "de")
    assert (german.title, german.notes) == ("Sensor 3, Linie 2", ("Handschuhe tragen.", "24 je Ablage."))
    assert german.instructions == {"insert": "Mit der Antenne nach links einlegen."}
    assert german.pictures == {"insert": tmp_path / "insert.png"}
    assert texts_for(texts, "zh").title == "Sensor 3, line 2"


def test_without_texts_there_are_none(tmp_path):
    assert read_operator_texts(tmp_path / "nothing") == {}
    assert texts_for({}, "de") == OperatorTexts()


@pytest.mark.parametrize(
    ("name", "text", "line", "says"),
    [
        ("fr", 'title = "x"', 1, "known are de, en, es, zh"),
        ("de", "[instructions]\ninsrt = 'x'", 2, "did you mean 'insert'?"),
        ("de", "[instructions]\ninsert = ''", 2, "instructions.insert is empty"),
        ("de", f"[instructions]\ninsert = '{'x' * 161}'", 2, "at most 160"),
        ("de", f"title = '{'x' * 161}'", 1, "at most 160"),
        ("de", "notes = 'x'", 1, "list of texts"),
        ("de", "notes = ['1', '2', '3', '4', '5', '6']", 1, "at most 5"),
        ("de", f"notes = [\n'1',\n'{'x' * 161}']", 3, "at most 160"),
        ("de", "[pictures]\ninsert = '../x.png'", 2, "no picture beside this file"),
        ("de", "[pictures]\ninsert = 'x.svg'", 2, "no picture beside this file"),
        ("de", "[pictures]\ninsert = 'x.png'", 2, "there is no "),
        ("de", "colour = 'x'", 1, "unknown key 'colour'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, name, text, line, says):
    (tmp_path / f"{name}.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_operator_texts(tmp_path)
    assert (caught.value.file, caught.value.line) == (str(tmp_path / f"{name}.toml"), line)
    assert says in str(caught.value)


def test_its_languages_are_those_of_the_page():
    assert sorted(LANGUAGES) == sorted(operator_texts.LANGUAGES)
