"""Pages about records in a browser: nothing is cut off, axe finds nothing, all is in the visitor's language, and a
scanner is enough."""

import pytest

from particle_dev.catalog.platforms import PLATFORMS
from particle_dev.station.web.opening import PageSettings, StationPage
from tests.judges.browser.looks import axe_violations, overflows, untranslated
from tests.station.web.sample_records import BAD, SECRET, SERIAL, UNIT, make_records

SIZES = {"screen": (1280, 720), "tablet": (1024, 768), "tablet-upright": (768, 1024)}
LOCALES = {"en": "en-US", "de": "de-DE", "es": "es-ES", "zh": "zh-CN"}
PAGES = {
    "units": "/units",
    "nothing-found": "/units?q=nothing-like-it",
    "unit": f"/units/{UNIT}",
    "go": f"/runs/run-0/unit?key={UNIT}",
    "run": "/runs/run-1",
    "compare": f"/compare?a=run-0/{UNIT}&b={BAD}",
    "compare-what": "/compare",
    "statistics": "/statistics",
}
RECORDED = (
    *(
        "mara",
        "ship",
        "virtual",
        "line one",
        "LinkDisconnectedError",
        "check the cable",
        "no answer",
        "alert",
        "IMEI",
    ),
    *("the device left the bus", "serial number", "system part", "in DFU mode while powered", "this station over USB"),
    *("cloud was not asked", "rssi", "serial.log", "page.html", "journal.jsonl", "python", "script", "nothing-like-it"),
    *("Deutsch", "Español", "English", "written: 800,000 bytes", "IMEI", "boron", "bsom", "particle_dev", SERIAL),
    *sorted((platform.display_name for platform in PLATFORMS), key=len, reverse=True),
)
"""What was recorded, and names that are the same in every language."""


@pytest.fixture(scope="module")
def records(tmp_path_factory, run_script):
    """The address of a page with records."""
    site = tmp_path_factory.mktemp("records")
    make_records(site, run_script)
    with StationPage(PageSettings("127.0.0.1", 0), site, site / "records.sqlite", site, {}) as page:
        yield page.address.rstrip("/")


def unfolded(person):
    person.page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    return person.page


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_cut_off_or_left_in_english(visit, records, size, language):
    width, height = SIZES[size]
    for name, path in PAGES.items():
        person = visit(records + path, width=width, height=height, language=LOCALES[language])
        page = unfolded(person)
        person.shot(f"{name}-{size}-{language}", full_page=True)
        assert overflows(page) == [], path
        english = untranslated(page, language, RECORDED)
        assert not english, (path, english)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, records, axe, scheme):
    for path in PAGES.values():
        person = visit(records + path, bypass_csp=True, color_scheme=scheme)
        assert axe_violations(unfolded(person), axe) == [], path


def test_a_scanner_is_enough_and_its_secret_stays_in_it(visit, records):
    person = visit(records + "/statistics")
    person.page.goto(f"{records}/units/{BAD}")
    person.page.keyboard.press("/")
    person.page.keyboard.type(f"{SERIAL} {SECRET}", delay=1)
    person.page.keyboard.press("Enter")
    person.page.wait_for_url(f"{records}/units/{UNIT}")

    assert person.page.evaluate("document.querySelector('h1').textContent") == UNIT
    assert [url for url in person.requests if SECRET in url] == []


def test_two_goes_are_compared_by_keys_alone(visit, records):
    person = visit(f"{records}/units/{UNIT}")
    for side, position in (("a", 1), ("b", 0)):
        person.page.locator(f"input[name={side}]").nth(position).focus()
        person.page.keyboard.press("Space")
    person.page.get_by_role("button", name="Compare A with B").focus()
    person.page.keyboard.press("Enter")
    person.page.wait_for_url(f"{records}/compare?**")

    assert person.page.locator("tr.differs").count() > 0


def test_a_report_opens_in_a_page_of_its_own(visit, records):
    person = visit(f"{records}/units/{UNIT}")
    person.page.get_by_role("link", name="Report").click()
    person.page.wait_for_url(f"{records}/units/{UNIT}/report")

    assert UNIT in person.page.content()
