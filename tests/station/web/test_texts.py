"""The page in four languages: catalogues hold every text of the sources, whole."""

import string
from datetime import UTC, datetime

import pytest

from particle_dev.station.web.formats import (
    coarse_duration_text,
    duration_text,
    number_text,
    percent_text,
    speed_text,
    time_text,
)
from particle_dev.station.web.language import accepted
from particle_dev.station.web.texts import LANGUAGES, LOCALES, catalogue_path, language_tag, translations
from tests.station.web import catalogues


@pytest.fixture(scope="module")
def sources():
    return {message.id for message in catalogues.texts_of_sources() if message.id}


def messages(locale):
    return [message for message in catalogues.read(locale) if message.id]


def strings(message):
    return message.string if isinstance(message.string, tuple | list) else (message.string,)


def placeholders(text):
    braces = {name for _, name, _, _ in string.Formatter().parse(text.replace("%(", "(")) if name}
    return braces | {part.split(")")[0] for part in text.split("%(")[1:]}


def test_the_search_finds_texts_of_python_templates_and_tables(sources):
    assert {"Insert the next board.", "Skip to content", "unplug it now"} <= sources


@pytest.mark.parametrize("locale", catalogues.TRANSLATED)
def test_every_text_of_the_sources_is_translated(sources, locale):
    catalogue = {m.id: m for m in messages(locale)}
    missing = sources - set(catalogue)
    assert missing == set(), "run `make texts` and translate what it prints"
    assert [key for key, m in catalogue.items() if catalogues.is_empty(m) or m.fuzzy] == []


@pytest.mark.parametrize("locale", catalogues.TRANSLATED)
def test_no_text_is_left_over(sources, locale):
    assert {m.id for m in messages(locale)} - sources == set(), "`make texts` takes them out"


@pytest.mark.parametrize("locale", catalogues.TRANSLATED)
def test_placeholders_are_those_of_the_source(locale):
    for message in messages(locale):
        ids = message.id if isinstance(message.id, tuple | list) else (message.id,)
        for text in strings(message):
            assert placeholders(text) == placeholders(ids[-1]), message.id


def test_no_language_has_the_words_of_another():
    german, spanish, chinese = (
        {m.id: strings(m) for m in messages(locale) if strings(m)[0] != m.id} for locale in catalogues.TRANSLATED
    )
    for one, other in ((german, spanish), (german, chinese), (spanish, chinese)):
        same = {key for key in one if one[key] == other.get(key) and len(one[key][0]) > 12}
        assert same == set()


@pytest.mark.parametrize("locale", catalogues.TRANSLATED)
def test_texts_end_as_the_source_does(locale):
    for message in messages(locale):
        ids = message.id if isinstance(message.id, tuple | list) else (message.id,)
        for text in strings(message):
            assert text == text.strip()
            assert text[-1:].replace("。", ".") == ids[0][-1:] or not ids[0].endswith("."), message.id


@pytest.mark.parametrize("locale", catalogues.TRANSLATED)
def test_plurals_are_as_many_as_the_language_has(locale):
    catalogue = catalogues.read(locale)
    assert catalogue.num_plurals == {"de": 2, "es": 3, "zh_Hans": 1}[locale]
    for message in catalogue:
        if isinstance(message.id, tuple | list):
            assert len(message.string) == catalogue.num_plurals


@pytest.mark.parametrize("locale", catalogues.TRANSLATED)
def test_files_are_as_make_texts_writes_them(locale):
    assert catalogue_path(locale).read_bytes() == catalogues.written(catalogues.read(locale))


def test_chinese_is_in_chinese(sources):
    texts = translations("zh")
    for text in sources:
        id_text = text if isinstance(text, str) else text[0]
        shown = texts.gettext(text) if isinstance(text, str) else texts.ngettext(*text, 2)
        if any(c.islower() for c in id_text.replace("Device", "")):
            assert any("\u3400" <= c <= "\u9fff" for c in shown), text


def test_english_is_what_the_sources_say():
    assert translations("en").gettext("Pass") == "Pass"
    assert translations("en").ngettext("{n} unit", "{n} units", 2) == "{n} units"


def test_translations():
    assert [translations(language).gettext("Locked") for language in LANGUAGES] == [
        "Locked",
        "Gesperrt",
        "Bloqueado",
        "已锁定",
    ]
    assert set(LANGUAGES) == set(LOCALES)
    assert language_tag("zh") == "zh-Hans"
    with pytest.raises(KeyError):
        translations("tlh")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr, es;q=0.5, en;q=0.3", "es"),
        ("en;q=0.3, zh-Hans-CN;q=0.9", "zh"),
        ("ZH-tw", "zh"),
        ("de;q=0, es;q=0.1", "es"),
        ("de;q=nonsense, es", "es"),
        ("fr", "en"),
        ("*", "en"),
        (";;;,,,=", "en"),
    ],
)
def test_the_browser_says_what_it_likes_best(header, language):
    assert accepted(header) == language


def test_numbers_and_times_as_each_language_writes_them():
    at = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
    assert [number_text(12345.6, language, 1) for language in LANGUAGES] == [
        "12,345.6",
        "12.345,6",
        "12.345,6",
        "12,345.6",
    ]
    assert percent_text(0.973, "en", 1) == "97.3%"
    assert percent_text(0.97, "de") == "97\xa0%"
    assert speed_text(1_250_000, "de") == "1,2 MB/s"
    assert speed_text(999, "en") == "999 B/s"
    assert time_text("2026-05-04T08:00:00.000Z", "de") == time_text(at, "de") == "04.05.2026, 08:00:00 UTC"
    assert [coarse_duration_text(n, "en") for n in (1, 119, 120, 121)] == ["1 s", "119 s", "2 min", "3 min"]
    for text in (number_text, percent_text, speed_text, duration_text, time_text):
        assert text(None, "en") == "-"


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [(0.04, "0.04 s"), (1.24, "1.2 s"), (38.2, "38 s"), (245, "4 min 05 s"), (7380, "2 h 03 min")],
)
def test_durations(duration_s, text):
    assert duration_text(duration_s, "en") == text
    assert duration_text(245, "zh") == "4 分 05 秒"
