"""The report and its time-line: every fact is in it, nothing outside is needed, nothing hostile gets through."""

import hashlib
import html.parser
import re
from collections import Counter
from xml.etree import ElementTree

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cloud.metering import EVIDENCE_IDS
from particle_dev.errors import FirmwareStoreError, JournalError
from particle_dev.protocol.module_build import ModuleParts, build
from particle_dev.station.events import EventType
from particle_dev.station.fold import fold
from particle_dev.station.report import render_report, write_report
from particle_dev.station.timeline import layout

UNIT = "e00fce68d3a1b2c4f5061728"
OTHERS = ["e00fce6871b6a9d03c52e814", "e00fce6840cf12aa93be5d07", "3c001f000947343432313031"]
DURATIONS_S = (0.21, 0.34, 0.02, 1.62, 17.4, 6.9, 0.31)
STEPS = ("identify", "check", "plan", "enter_dfu", "flash", "verify", "park")


def good_steps(script, slot, unit, steps=STEPS):
    for step, duration_s in zip(STEPS, DURATIONS_S, strict=True):
        if step in steps:
            script.step(slot, unit, step, duration_s=duration_s, evidence={"of": step, "written_bytes": 667648})


@pytest.fixture
def mixed(run_script):
    """Five slots: resumed and passed, refused, failed, interrupted, empty."""
    script = run_script(("1", "2", "3", "4", "5"))
    for slot, unit in zip("1234", [UNIT, *OTHERS], strict=True):
        script.unit(slot, unit, "boron")
    script.emit(EventType.SLOT_EMPTY, "5", data={"reason": "no board on port 1-5"})
    good_steps(script, "1", UNIT, STEPS[:4])
    script.begin("1", UNIT, "flash")
    script.step("2", OTHERS[0], "plan", duration_s=0.01, error=script.error("bootloader 311 is too old"))
    script.finish("2", OTHERS[0], "refused")
    good_steps(script, "3", OTHERS[1], STEPS[:4])
    script.step("3", OTHERS[1], "flash", duration_s=9.0, error=script.error("left the bus"))
    script.finish("3", OTHERS[1], "fail", parked={"mode": "dfu", "power": "on_operator_must_unplug"})
    good_steps(script, "4", OTHERS[2], STEPS[:4])
    script.begin("4", OTHERS[2], "flash")
    script.resume()
    script.unit("1", UNIT)
    good_steps(script, "1", UNIT, ("identify", "enter_dfu", "flash", "verify", "park"))
    script.finish("1", UNIT, modules=[script.module(), script.module("user part", 6, sha256="9e" * 32)])
    script.emit(EventType.OPERATOR_MESSAGE, "3", unit=OTHERS[1], data={"message": "unplug slot 3 now"})
    script.run_finished("fail")
    return fold(script.build())


def text_of(page):
    parts = []
    parser = html.parser.HTMLParser()
    parser.handle_data = parts.append
    parser.feed(re.sub(r"(?s)<style>.*?</style>", "", page))
    return " ".join("".join(parts).split())


def test_every_fact_is_in_the_report(mixed):
    text = text_of(render_report(mixed))

    for fact in [
        "FAIL – 1 of 4 units passed, 1 failed, 1 refused, 1 interrupted, 1 of 5 slots empty",
        "ship", "virtual", "mara", mixed.run_id, "2026-05-04 08:00:00 UTC", "particle_dev 0.1.0", "python 3.11.2",
        "ab" * 32, "recipes/ship.toml", "Slot 5 was skipped: no board on port 1-5", "unplug slot 3 now",
        "was started again", UNIT, *OTHERS, "not started", "unknown", "refused", "interrupted",
        "2.1.0", "v6", "9e" * 6, "9e" * 32, "0x00030000", "667648",
        "boron-system-part1@2.1.0.bin", "in DFU mode while powered",
        "dfu · this station over USB · 2026-05-04 08:00:00 to 08:01:00 UTC",
        "Missing: cloud was not asked (C1)", "Missing: the run ended before this unit was finished",
        "Left in DFU mode, powered off.", "still powered: the operator must unplug it", "Not parked",
        "LinkDisconnectedError: left the bus", "What to do: check the cable",
        "bootloader 311 is too old", "written: 667,648 bytes", "2 attempts", "flash interrupted", "17 s",
    ]:  # fmt: skip
        assert fact in text, fact


def test_hostile_names_are_escaped(run_script):
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    script = run_script((evil,))
    script.unit(evil, evil, evil)
    script.step(evil, evil, evil, evidence={evil: evil}, error=script.error(evil, evil=evil))
    script.finish(evil, evil, "fail", modules=[script.module(evil, file_name=evil, sha256=evil)])
    script.emit(EventType.OPERATOR_MESSAGE, evil, unit=evil, data={"message": evil})

    page = render_report(fold(script.build()))

    assert page.count("&lt;script&gt;") > 10
    tags = Counter()
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, _attributes: tags.update([tag])
    parser.feed(page)
    assert not {"script", "img", "iframe", "object", "link"} & set(tags)


def test_the_file_needs_nothing_else(mixed):
    page = render_report(mixed)

    assert not re.search(r"https?:|//[a-z]|url\(|@import|\bsrc\s*=|<script|<link", page)
    assert set(re.findall(r'href="([^"]*)"', page)) == {f"#unit-{number}" for number in (1, 2, 3, 4)}
    ids = re.findall(r'id="([^"]*)"', page)
    assert len(ids) == len(set(ids)) == 4


APP = build(ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(2000)))
SHA256 = hashlib.sha256(APP).hexdigest()


def test_modules_that_the_store_has_are_drawn_once_and_shown_by_each_unit(run_script):
    script = run_script(("1", "2"))
    modules = [script.module(), script.module("user part", 6, sha256=SHA256, file_name="<app>.bin")]
    for slot, unit in zip("12", OTHERS, strict=False):
        script.unit(slot, unit, "boron")
        script.finish(slot, unit, modules=modules)
    asked = []

    def read(sha256):
        asked.append(sha256)
        if sha256 != SHA256:
            raise FirmwareStoreError("not there")
        return APP

    page = render_report(fold(script.build()), read)

    assert sorted(asked) == sorted({module["sha256"] for module in modules})
    name = f"map-{SHA256[:16]}"
    assert (page.count("Byte maps of the modules"), page.count(f'href="#{name}"')) == (2, 2)
    (symbol,) = re.findall(rf'(?s)<symbol id="{name}".*?</symbol>', page)
    drawing = ElementTree.fromstring(symbol)
    assert drawing.get("viewBox").startswith("0 0 960 ")
    texts = ["".join(text.itertext()) for text in drawing.iter("text")]
    assert {"prefix", "body", "product id and version", "0x000B4000"} <= set(texts)
    assert texts[0] == f"<app>.bin: {len(APP)} bytes"
    assert not re.search(r"https?:|\bsrc\s*=", page)


def test_names_of_modules_that_are_no_hash_reach_no_store(run_script):
    script = run_script(("1",))
    script.unit("1", UNIT, "boron")
    script.finish("1", UNIT, modules=[script.module(sha256="../../" + "a" * 58)])

    def read(sha256):
        raise AssertionError(sha256)

    assert "Byte maps" not in render_report(fold(script.build()), read)


def test_abbreviations_are_explained(mixed, run_script):
    text = text_of(render_report(mixed))
    assert "DFU in DFU mode, or unable to boot anything but the bootloader" in text
    assert "enter DFU into DFU mode (firmware upgrade over USB)" in text
    assert "counters the device" not in text, "only what the report says"
    assert {"counters", "dfu"} <= set(EVIDENCE_IDS)
    assert "Words" not in text_of(render_report(fold(run_script(("1",)).build())))


def test_one_bar_per_step_and_labels_that_do_not_overlap(mixed):
    svg = ElementTree.fromstring(re.search(r"(?s)<svg.*?</svg>", render_report(mixed))[0])

    bars = [rect for rect in svg.iter("rect") if rect.get("class", "").startswith("bar ")]
    steps = [step for unit in mixed.units for attempt in unit.attempts for step in attempt.steps]
    assert len(bars) == len(steps) == 21
    kinds = Counter(bar.get("class").removeprefix("bar ") for bar in bars)
    assert kinds == {"look": 10, "mode": 4, "write": 1, "verify": 1, "park": 1, "failed": 2, "interrupted": 2}
    boxes = [
        (float(text.get("x")), float(text.get("y")), len(text.text) * 6.6)
        for text in svg.iter("text")
        if text.get("class") in (None, "in-bar")
    ]
    assert len(boxes) == len(steps)
    for number, (x, y, width) in enumerate(boxes):
        assert x + width < layout(mixed).width
        for other_x, other_y, other_width in boxes[number + 1 :]:
            apart = abs(y - other_y) >= 12 or x + width <= other_x or other_x + other_width <= x
            assert apart, (x, y, other_x, other_y)


def test_no_leader_crosses_a_label(mixed):
    for row in layout(mixed).rows:
        labels = [bar for bar in row.bars if bar.lane]
        for leader in labels:
            for label in labels:
                if label.lane < leader.lane:
                    assert not label.x < leader.x < label.x + len(label.label) * 6.6 + 7


def test_time_runs_along_the_axis_without_the_pause(mixed):
    timeline = layout(mixed)

    assert [row.slot for row in timeline.rows] == [f"Slot {number}" for number in range(1, 6)]
    ticks_s = [float(tick.label.removesuffix(" s")) for tick in timeline.ticks]
    assert ticks_s[0] == 0 and 3 <= len(ticks_s) <= 13
    per_second = (timeline.ticks[-1].x - timeline.left) / ticks_s[-1]
    assert (timeline.right - timeline.left) / per_second < 60, "the pause of 600 s is no work"
    (resumed,) = timeline.resumes
    assert resumed.label == "resumed 2026-05-04 08:10:11 UTC"
    flash = next(bar for bar in timeline.rows[0].bars if bar.label == "flash 17 s")
    assert flash.width == pytest.approx(17.4 * per_second, abs=0.1)
    assert flash.x > resumed.x
    interrupted = next(bar for bar in timeline.rows[0].bars if bar.kind == "interrupted")
    assert interrupted.x + interrupted.width == pytest.approx(resumed.x, abs=0.1)


def test_a_run_without_units_has_a_report(run_script):
    page = render_report(fold(run_script(("1",)).build()))

    assert "INCOMPLETE – 0 of 0 units passed" in text_of(page)


def test_crowded_resumes_keep_their_lines_and_drop_labels_that_would_overlap(run_script):
    script = run_script()
    for _ in range(5):
        script.unit("1", UNIT)
        script.begin("1", UNIT, "flash")
        script.pass_time("1", 0.01)
        script.resume()
    script.good_unit("1", UNIT)

    resumes = layout(fold(script.build())).resumes

    assert len(resumes) == 5
    assert [bool(mark.label) for mark in resumes] == [True, False, False, False, False]


def test_a_resume_near_the_end_has_its_label_on_the_left(run_script):
    script = run_script()
    script.good_unit("1", UNIT)
    script.resume()
    record = fold(script.build())

    (mark,) = layout(record).resumes

    assert mark.label_is_left and mark.label
    assert mark.label_x < mark.x
    (label,) = re.findall(r'<text class="resume-label" ([^>]*)>', render_report(record))
    assert 'text-anchor="end"' in label


def test_the_file_is_replaced_whole_or_not_at_all(mixed, tmp_path, run_script):
    path = tmp_path / "report.html"
    path.write_text("old")

    write_report(mixed, path)

    assert path.read_text("utf-8") == render_report(mixed)
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(JournalError) as caught:
        write_report(mixed, tmp_path / "folder")
    assert caught.value.path == str(tmp_path / "folder")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["folder", "report.html"]
    with pytest.raises(JournalError, match="cannot write report"):
        write_report(mixed, tmp_path / "nowhere" / "report.html")


def test_long_evidence_cannot_widen_a_slot_s_card(run_script):
    script = run_script()
    script.good_unit("1", UNIT)
    html = render_report(fold(script.build()))

    assert '<table class="steps">' in html
    assert ".steps { table-layout: fixed; } .steps td, .evidence li, .notice { overflow-wrap: anywhere; }" in html
