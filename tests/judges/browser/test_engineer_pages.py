"""Units, runs, statistics and comparison in the browser, on the records of a run of real stations."""

import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from particle_dev.catalog.platforms import PLATFORMS
from particle_dev.station.records import DATABASE_NAME
from particle_dev.station.web.opening import PageSettings, StationPage
from tests.judges.browser.conftest import RECIPE, ROOT, bench_toml
from tests.judges.browser.looks import axe_violations, overflows, untranslated

LOCALES = {"en": "en-US", "de": "de-DE", "es": "es-ES", "zh": "zh-CN"}
SIZES = {"screen": (1280, 720), "tablet": (1024, 768), "tablet-upright": (768, 1024)}
IDS = [f"e00fce68{n:016x}" for n in (0xA1, 0xA2, 0xA3)]
BROKEN = 'faults = [{ do = "flip_byte", at = "write", address = 0x40000, n = 1 }]'


@pytest.fixture(scope="session")
def recorded(tmp_path_factory, release_store):
    """The folder of a site, and one of a run in which two units passed and one did not."""
    folder = tmp_path_factory.mktemp("recorded")
    bench = folder / "bench.toml"
    lines = {n: f'device_id = "{IDS[n - 1]}"\n{BROKEN if n == 3 else ""}' for n in (1, 2, 3)}
    bench.write_text(bench_toml(["boron"] * 3, 'delays = "none"', lines))
    words = ["station", "run", "--bench", bench, "--recipe", RECIPE, "--store", release_store.root]
    places = ["--out", folder / "run", "--site", folder / "site", "--operator", "mara"]
    command = [sys.executable, "-m", "particle_dev", *map(str, [*words, *places])]
    done = subprocess.run(command, env=os.environ, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    return SimpleNamespace(site=folder / "site", run=folder / "run")


@pytest.fixture
def page(recorded):
    settings = PageSettings("127.0.0.1", 0)
    with StationPage(settings, recorded.site, recorded.run / DATABASE_NAME, recorded.run, {}) as page:
        yield page


@pytest.fixture
def visit(page, visit):
    """Ends before the page does: a browser that still loads would complain."""
    return visit


@pytest.fixture
def pages(page):
    """Paths of all kinds of pages."""
    a, _, c = IDS
    return {
        "units": "units",
        "found": "units?q=e00fce68",
        "nothing-found": "units?q=xyz",
        "unit": f"units/{a}",
        "failed-unit": f"units/{c}",
        "no-such-unit": "units/e00fce680000000000000000",
        "statistics": "statistics",
        "compare": f"compare?a={a}&b={c}",
    }


KINDS = ["units", "found", "nothing-found", "unit", "failed-unit", "no-such-unit", "statistics", "compare"]
MESSAGE = "boron-system-part1@2.1.0.bin: flash at 0x00040000 reads 0x05 instead of 0x04"
GROUPED = ("boron-system-part", ".bin", "flash at", "reads", "instead of")
"""Pieces of the same message, as plots shorten it."""
KINDS_OF_FACTS = ("gate", "counters", "python")
DATA = (
    *("VerifyError", MESSAGE, *GROUPED, "Boron", "boron", "ship", "mara", "browser", "Deutsch", "Español", "English"),
    *KINDS_OF_FACTS,
    platform.platform(),
    *(kind.display_name for kind in PLATFORMS),
    *IDS,
)
"""What is the same in all languages."""


def run_path(person, page):
    person.page.goto(f"{page.address}units/{IDS[2]}")
    return person.page.locator('a[href^="/runs/"]').first.get_attribute("href").lstrip("/")


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_cut_off_and_all_is_translated(visit, page, pages, size, language):
    width, height = SIZES[size]
    person = visit(may_complain="status of 404", width=width, height=height, language=LOCALES[language])
    problems = {}
    for kind, path in [*pages.items(), ("run", run_path(person, page))]:
        person.page.goto(page.address + path)
        person.shot(f"{kind}-{size}-{language}", full_page=True)
        english = [] if language == "en" else untranslated(person.page, language, DATA)
        if found := overflows(person.page) + english:
            problems[kind] = found
    assert problems == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing(visit, page, pages, axe, kind, scheme):
    person = visit(
        page.address + pages[kind], may_complain="status of 404", bypass_csp=True, color_scheme=scheme, language="en-GB"
    )
    assert axe_violations(person.page, axe) == []


def test_axe_finds_nothing_on_a_run(visit, page, axe):
    person = visit(bypass_csp=True)
    person.page.goto(page.address + run_path(person, page))
    assert axe_violations(person.page, axe) == []


def test_a_unit_is_found_by_keys_alone(visit, page):
    """From the navigation to the search box, its last digits as a scanner types them, to the unit and its failure."""
    person = visit(page.address + "units")
    box = person.page.locator("main input[type=search], main input[name=q]").first
    box.focus()
    person.page.keyboard.type(f"{IDS[2]}\n", delay=0)
    person.until("(id) => document.querySelector('main').textContent.includes(id)", IDS[2])
    if "/units/" not in person.page.url:
        person.page.locator(f'main a[href*="{IDS[2]}"]').first.focus()
        person.page.keyboard.press("Enter")
        person.page.wait_for_url(f"**/units/{IDS[2]}")
    assert "mara" in person.page.locator("main").inner_text()


def test_a_unit_that_is_no_name_but_an_attack_harms_nothing(visit, page):
    person = visit(may_complain="status of 4")
    for text in ("<script>window.bad=1</script>", "'; DROP TABLE units; --", "%00", "../../etc/passwd", "🚀" * 300):
        person.page.goto(page.address + "units")
        box = person.page.locator("main input[type=search], main input[name=q]").first
        box.fill(text)
        box.press("Enter")
        person.page.wait_for_load_state()
        assert person.page.evaluate("window.bad") is None
    person.page.goto(f"{page.address}units/{IDS[0]}")
    assert IDS[0] in person.page.content()


def test_a_report_is_shown_within_its_own_policy(visit, page):
    person = visit()
    answer = person.page.goto(f"{page.address}units/{IDS[0]}/report")
    assert answer.status == 200
    assert "sandbox" in answer.headers["content-security-policy"]
    person.shot("unit-report", full_page=True)


def test_an_operator_reaches_the_pages_by_the_navigation(visit, page):
    person = visit(page.address)
    for name in ("Units", "Statistics", "Operator"):
        person.page.locator("nav a", has_text=name).click()
        person.page.wait_for_load_state()
        assert person.page.locator("nav a[aria-current=page]").inner_text() == name
