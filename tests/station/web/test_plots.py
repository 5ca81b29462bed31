"""Plots: valid SVG, in bounds, with nothing of a label taken for markup."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_dev.station.web.plots import (
    WIDTH,
    ParetoBar,
    Scale,
    Series,
    box_plot,
    limit_plot,
    pareto_plot,
    spark_plot,
    ticks,
    time_plot,
)

TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=80)
SHARE = st.one_of(st.none(), st.floats(0, 1))
FINITE = st.floats(-1e9, 1e9)


def drawn(svg):
    """The plot as elements; every place in it must be on it."""
    root = ElementTree.fromstring(str(svg))
    _, _, width, height = map(float, root.get("viewBox").split())
    for element in root.iter():
        for name, most in (("x", width), ("x1", width), ("x2", width), ("cx", width), ("y", height), ("cy", height)):
            if element.get(name) is not None:
                assert -1 <= float(element.get(name)) <= most + 1, (element.tag, element.attrib)
        if element.get("points"):
            for point in element.get("points").split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height
    return root


@given(st.lists(st.tuples(TEXT, SHARE, st.integers(0, 10**6), st.integers(0, 10**6)), max_size=40), TEXT)
def test_a_time_plot_is_whole(rows, title):
    labels = [row[0] for row in rows]
    shares = [Series("Final", "final", [row[1] for row in rows])]
    counts = [Series("passed", "passed", [row[2] for row in rows]), Series("not", "failed", [row[3] for row in rows])]
    root = drawn(time_plot("p", title, "text", labels, shares, counts))

    bars = [e for e in root.iter() if e.tag == "rect" and "count" in (e.get("class") or "")]
    assert len(bars) <= 2 * len(rows)
    assert sum(1 for e in root.iter() if e.get("fill") == "url(#p-hatch)") == sum(
        1 for e in bars if "failed" in e.get("class")
    )
    assert root.find("title").text == (title or None)


@given(st.lists(st.tuples(TEXT, st.integers(1, 10**6), st.floats(0, 1)), max_size=20))
def test_a_pareto_plot_is_whole(rows):
    bars = [ParetoBar(name, count, share, (str(count), "5 %")) for name, count, share in rows]
    root = drawn(pareto_plot("p", "title", "text", bars))
    widths = [float(e.get("width")) for e in root.iter() if e.tag == "rect"]
    assert len(widths) == len(rows)
    assert all(0 <= width <= WIDTH for width in widths)


@given(st.lists(st.floats(0.001, 1e6), min_size=5, max_size=5).map(sorted), st.floats(0.001, 1e6))
def test_boxes_stay_in_their_cell(values, middle):
    drawn(box_plot(*values, (values[0], values[-1]), middle))


@given(st.lists(st.one_of(st.none(), st.floats(0.001, 1e6)), max_size=40))
def test_sparks_stay_in_their_cell(values):
    known = [value for value in values if value is not None]
    svg = spark_plot(values, (min(known, default=0), max(known, default=1)))
    assert bool(svg) is bool(known)
    if svg:
        drawn(svg)


@given(FINITE, st.one_of(st.none(), FINITE), st.one_of(st.none(), FINITE))
def test_limits_stay_in_their_cell(value, lower, upper):
    svg = limit_plot(value, lower, upper)
    assert bool(svg) is (lower is not None or upper is not None)
    if svg:
        drawn(svg)


def test_text_is_no_markup():
    bars = [ParetoBar('<script>alert("x")</script> & more', 3, 1.0, ("<3", "<b>"))]
    text = str(pareto_plot('"p', "<title>", "</desc>", bars))
    assert "<script" not in text
    assert "<b>" not in text
    ElementTree.fromstring(text)


@given(st.floats(0.01, 1e9))
def test_ticks_are_few_round_and_reach_the_top(high):
    found = ticks(high)
    assert found[0] == 0
    assert found[-1] >= high * 0.998
    assert 2 <= len(found) <= 7


@pytest.mark.parametrize("high", [0, -1, float("inf"), float("nan")])
def test_an_axis_of_nothing_is_an_axis(high):
    assert ticks(high) == [0.0, 1.0]


def test_a_scale_keeps_what_is_outside_at_its_ends():
    scale = Scale(0, 10, 100, 200)
    assert [scale.at(value) for value in (-5, 0, 5, 10, 99)] == [100, 100, 150, 200, 200]
    assert Scale(3, 3, 0, 10).at(3) == 5
