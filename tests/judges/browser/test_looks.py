"""Every state of the operators' page: nothing is cut off, axe finds nothing, all is in the visitor's language."""

import pytest

from particle_dev.station.events import EventType
from particle_dev.station.operator_texts import read_operator_texts
from particle_dev.station.slot_states import SlotMode
from tests.judges.browser.looks import axe_violations, overflows, untranslated
from tests.judges.browser.scenes import Scene, all_in, error, every_state

SIZES = {"screen": (1280, 720), "tablet": (1024, 768), "tablet-upright": (768, 1024)}
LOCALES = {"en": "en-US", "de": "de-DE", "es": "es-ES", "zh": "zh-CN"}
PACES = [
    (900, 7000),
    (67_700, 119),
    (999_000, 60),
    (28_500, 9.8),
    (1_250_000, 0.9),
    (67_700, 0.8),
    (999_000, 3),
    (512, 599),
]
"""Bytes per second, and seconds left."""
DATA = ("line-1", "mara", "Boron", "Asset Tracker", "English", "Deutsch", "Español", "ship", "e00fce68")


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("slots", [1, 8, 32])
def test_nothing_is_cut_off(visit, shown, slots, size, language):
    width, height = SIZES[size]
    person = visit(shown(every_state(slots)).address, width=width, height=height, language=LOCALES[language])
    person.await_slots(slots)
    person.shot(f"operator-{slots}-{size}-{language}")
    assert overflows(person.page) == []


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("size", SIZES)
def test_share_speed_and_time_left_fit_at_any_speed(visit, shown, size, language):
    width, height = SIZES[size]
    scene = Scene(8)

    def progress(slot, bytes_per_s, left_s, before_s):
        left = int(bytes_per_s * left_s)
        data = {"activity": "write", "done_bytes": 99 * left - before_s * bytes_per_s, "total_bytes": 100 * left}
        scene.emit(EventType.STEP_PROGRESS, slot, f"e00fce68{int(slot):016x}", "flash", data, after_s=0)

    for slot in scene.slots:
        scene.emit(EventType.STEP_STARTED, slot, scene.unit(slot), "flash")
    for slot, pace in zip(scene.slots, PACES, strict=True):
        progress(slot, *pace, before_s=1)
    page = shown(scene)
    person = visit(page.address, width=width, height=height, language=LOCALES[language])
    person.await_slots(8)
    seen = len(scene.events)
    scene.now_s += 1
    for slot, pace in zip(scene.slots, PACES, strict=True):
        progress(slot, *pace, before_s=0)
    for event in scene.events[seen:]:
        page.handle(event)
    person.until("document.querySelectorAll('[data-slot] [data-text=left]:not(:empty)').length === 8")
    person.shot(f"operator-pace-{size}-{language}")
    assert overflows(person.page) == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("slots", [2, 8])
def test_a_long_reason_leaves_what_to_do_whole(visit, shown, slots, size):
    width, height = SIZES[size]
    reason = error("LabelMismatchError") | {"message": "the label says one Device ID, the board has another one; " * 4}
    scene = Scene(slots)
    for slot in scene.slots:
        scene.end(slot, "fail", reason)
    person = visit(shown(scene).address, width=width, height=height, language=LOCALES["de"])
    person.await_slots(slots)
    person.shot(f"operator-long-reason-{slots}-{size}")
    assert overflows(person.page) == []
    cut = "[...document.querySelectorAll('[data-slot] .next')].filter(n => n.scrollHeight > n.clientHeight + 1).length"
    assert person.page.evaluate(cut) == 0
    lines = (
        "[...document.querySelectorAll('[data-slot] .detail')].filter(n => n.checkVisibility())"
        ".map(n => n.clientHeight / parseFloat(getComputedStyle(n).lineHeight))"
    )
    assert all(count < 2.5 for count in person.page.evaluate(lines))
    assert person.page.locator("[data-slot] .detail").first.get_attribute("title") == reason["message"]


@pytest.mark.parametrize("size", SIZES)
def test_all_slots_are_on_one_screen(visit, shown, size):
    width, height = SIZES[size]
    for slots in (8, 32):
        person = visit(shown(every_state(slots), name=f"run{slots}").address, width=width, height=height)
        person.await_slots(slots)
        seen = person.page.evaluate(
            "[...document.querySelectorAll('[data-slot]')].filter(n => n.getBoundingClientRect().bottom <= innerHeight"
            " && n.getBoundingClientRect().right <= innerWidth).length"
        )
        assert seen == slots


def test_eight_slots_are_read_from_two_metres(visit, shown):
    """A letter of 10 mm height is read from two metres; on a screen of 300 mm height with 720 lines that is 24."""
    person = visit(shown(every_state(8)).address)
    person.await_slots(8)
    sizes = person.page.evaluate(
        "['.word', '.name'].map(s => Math.min(...[...document.querySelectorAll(`[data-slot] ${s}`)]"
        ".map(n => parseFloat(getComputedStyle(n).fontSize))))"
    )
    assert min(sizes) >= 24


@pytest.mark.parametrize("language", LOCALES)
def test_axe_finds_nothing_in_any_state(visit, shown, axe, language):
    for slots in (1, 8, 32):
        person = visit(
            shown(every_state(slots), name=f"run{slots}").address, language=LOCALES[language], bypass_csp=True
        )
        person.await_slots(slots)
        assert axe_violations(person.page, axe) == []


@pytest.mark.parametrize("mode", SlotMode)
def test_axe_finds_nothing_in_one_state(visit, shown, axe, mode):
    person = visit(shown(all_in(str(mode), 2)).address, bypass_csp=True)
    person.await_slots(2)
    assert set(person.modes().values()) == {str(mode)}
    assert axe_violations(person.page, axe) == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_in_dark_and_light(visit, shown, axe, scheme):
    person = visit(shown(every_state(12)).address, bypass_csp=True, color_scheme=scheme)
    person.await_slots(12)
    person.shot(f"operator-12-{scheme}")
    assert axe_violations(person.page, axe) == []


def test_forced_colours_keep_symbol_word_and_picture(visit, shown):
    person = visit(shown(every_state(8)).address, forced_colors="active")
    person.await_slots(8)
    person.shot("operator-8-forced-colours")
    assert person.page.locator("[data-slot] .symbol:visible").count() == 8
    assert person.page.locator("[data-slot] .word:visible").count() == 8


@pytest.mark.parametrize("language", ["de", "es", "zh"])
def test_nothing_is_left_in_english(visit, shown, language):
    person = visit(shown(every_state(32)).address, language=LOCALES[language])
    person.await_slots(32)
    assert person.page.locator("html").get_attribute("lang").split("-")[0] == language
    assert untranslated(person.page, language, DATA) == []


def test_the_search_for_english_finds_it(visit, shown):
    person = visit(shown(every_state(8)).address)
    person.await_slots(8)
    assert len(untranslated(person.page, "de", DATA)) > 20
    assert len(untranslated(person.page, "zh", DATA)) > 20


def test_the_search_for_what_is_cut_off_finds_it(visit, shown):
    person = visit(shown(every_state(8)).address)
    person.await_slots(8)
    person.page.evaluate("document.querySelector('[data-slot] .word').textContent = 'x'.repeat(200)")
    assert overflows(person.page) != []


def test_axe_finds_what_is_wrong(visit, shown, axe):
    person = visit(shown(every_state(8)).address, bypass_csp=True)
    person.await_slots(8)
    person.page.evaluate("document.querySelector('[data-slot] img').removeAttribute('alt')")
    assert any("image-alt" in found for found in axe_violations(person.page, axe))


def test_every_picture_has_words(visit, shown):
    person = visit(shown(every_state(12)).address)
    person.await_slots(12)
    pictures = person.page.locator("[data-slot] img:visible")
    assert pictures.count() == 12
    assert all(pictures.nth(n).get_attribute("alt") for n in range(12))
    assert person.page.evaluate("[...document.querySelectorAll('[data-slot] img')].every(i => i.naturalWidth > 0)")


def test_the_first_paint_is_measured(visit, shown):
    """Figures are of tests/bench/bench_page.py; here only that there is one to read."""
    person = visit(shown(every_state(32)).address)
    person.await_slots(32)
    paint = person.page.evaluate("performance.getEntriesByType('paint').map(p => [p.name, Math.round(p.startTime)])")
    assert "first-contentful-paint" in dict(paint)
    print(dict(paint))


def test_a_release_speaks_in_its_own_words_and_pictures(visit, shown, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "de.toml").write_text(
        'title = "Sensor 3, Linie 2"\nnotes = ["Handschuhe tragen."]\n'
        '[instructions]\ninsert = "Mit der Antenne nach links einlegen."\n[pictures]\ninsert = "left.png"\n'
    )
    visit().page.screenshot(path=tmp_path / "texts" / "left.png")
    person = visit(shown(all_in("waiting", 8), texts=read_operator_texts(tmp_path / "texts")).address, language="de-DE")
    person.await_slots(8)
    person.shot("operator-8-release-texts")
    text = person.page.locator("body").inner_text()
    for said in ("Sensor 3, Linie 2", "Handschuhe tragen.", "Mit der Antenne nach links einlegen."):
        assert said in text
    assert person.page.locator('[data-slot="1"] img').evaluate("picture => picture.naturalWidth") > 200
    assert overflows(person.page) == []
