"""Plots as SVG, drawn here and not in the browser: they print, need no script, and look alike everywhere.

Colours come by class from the style sheet; what they tell is told by shape or pattern too. Each plot has a title and a
description for those who do not see it, and stands beside a table of the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 1120
_LEFT, _RIGHT = 52, 12
_FLOORS = (0.9, 0.8, 0.6, 0.0)
"""Where the axis of shares may begin: a good line's yield is all above 90 %."""
_CHARACTER = 6.6
"""Width of a character of the plots' font."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values of one kind, one for each label; None: there is none. ``kind`` is a class of the style sheet."""

    name: str
    kind: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class ParetoBar:
    """One line of a Pareto plot; ``cumulative`` is a share. ``texts``: count and share, as they are written."""

    name: str
    count: int
    cumulative: float
    texts: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Scale:
    """Where values stand on an axis from ``low`` to ``high``, drawn from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value; one outside stands at the end."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)


def ticks(high: float, most: int = 5) -> list[float]:
    """Round numbers from 0 to about ``high``."""
    if high <= 0 or not math.isfinite(high):
        return [0.0, 1.0]
    rough = high / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    return [step * number for number in range(math.ceil(high / step * 0.999) + 1)]


def time_plot(
    name: str,
    title: str,
    description: str,
    labels: Sequence[str],
    shares: Sequence[Series],
    counts: Sequence[Series],
) -> Markup:
    """Shares as lines above, counts as stacked bars below, over the same periods. ``name`` is its id on the page."""
    top, share_height, gap, count_height = 10, 120, 26, 96
    height = top + share_height + gap + count_height + 30
    slot = (WIDTH - _LEFT - _RIGHT) / max(1, len(labels))
    parts = [_hatch(name)]
    lowest = min((value for series in shares for value in series.values if value is not None), default=0.0)
    floor = next(share for share in _FLOORS if share <= lowest)
    upper = Scale(floor, 1.0, top + share_height, top)
    for n in range(5):
        share = floor + (1 - floor) * n / 4
        parts += _grid(upper.at(share), f"{share * 100:.3g} %")
    for series in shares:
        parts += _line(series, upper, slot)
    sums = [sum(series.values[n] or 0 for series in counts) for n in range(len(labels))]
    marks = ticks(max(sums, default=0), 3)
    base = top + share_height + gap + count_height
    lower = Scale(0.0, marks[-1], base, base - count_height)
    for mark in marks:
        parts += _grid(lower.at(mark), f"{mark:,.0f}".replace(",", " "))
    for n, label in enumerate(labels):
        x, y = _LEFT + n * slot + slot * 0.12, float(base)
        for series in counts:
            tall = base - lower.at(series.values[n] or 0)
            if tall > 0:
                fill = f"url(#{name}-hatch)" if series.kind == "failed" else ""
                told = f"{label}: {series.name} {series.values[n]:.0f}"
                parts.append(_rect(x, y - tall, slot * 0.76, tall, series.kind, told, fill))
                y -= tall
    parts += _labels(labels, slot, base + 18)
    return _svg(name, title, description, WIDTH, height, parts)


def _grid(y: float, label: str) -> list[str]:
    return [
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
        f'<text class="soft end" x="{_LEFT - 8}" y="{y + 4:.1f}">{escape(label)}</text>',
    ]


def _line(series: Series, scale: Scale, slot: float) -> list[str]:
    points = [(_LEFT + (n + 0.5) * slot, scale.at(value)) for n, value in enumerate(series.values) if value is not None]
    if not points:
        return []
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = [] if len(points) > 62 else [_mark(x, y, series.kind) for x, y in points]
    return [f'<polyline class="line {series.kind}" points="{path}"/>', *marks]


def _mark(x: float, y: float, kind: str) -> str:
    """Squares and circles, so that two lines are told apart without their colours."""
    if kind == "final":
        return f'<rect class="mark {kind}" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'
    return f'<circle class="mark {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'


def _labels(labels: Sequence[str], slot: float, y: float) -> list[str]:
    """As many as have room."""
    widest = max((len(label) for label in labels), default=1) * _CHARACTER + 14
    every = max(1, math.ceil(widest / slot))
    return [
        f'<text class="soft middle" x="{_LEFT + (n + 0.5) * slot:.1f}" y="{y}">{escape(label)}</text>'
        for n, label in enumerate(labels)
        if n % every == 0
    ]


def pareto_plot(name: str, title: str, description: str, bars: Sequence[ParetoBar]) -> Markup:
    """Bars from the most frequent down, and a line of what they make together."""
    row, top, label_width, value_width = 26, 22, 430, 108
    bar_scale = Scale(0.0, max((bar.count for bar in bars), default=1), label_width, WIDTH - value_width)
    sum_scale = Scale(0.0, 1.0, label_width, WIDTH - value_width)
    height = top + row * max(1, len(bars)) + 8
    parts = []
    for share in (0.0, 0.5, 0.8, 1.0):
        x = sum_scale.at(share)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 4}" y2="{height - 8}"/>')
        parts.append(f'<text class="soft middle" x="{x:.1f}" y="{top - 9}">{share * 100:.0f} %</text>')
    points = []
    for n, bar in enumerate(bars):
        y = top + n * row
        label = f"{escape(_cut(bar.name, 62))}<title>{escape(bar.name)}</title>"
        parts.append(f'<text class="end" x="{label_width - 10}" y="{y + 17}">{label}</text>')
        wide = bar_scale.at(bar.count) - label_width
        parts.append(_rect(label_width, y + 4, wide, row - 8, "failed", f"{bar.name}: {bar.texts[0]}"))
        parts.append(f'<text class="strong" x="{WIDTH - value_width + 12}" y="{y + 17}">{escape(bar.texts[0])}</text>')
        parts.append(f'<text class="soft end" x="{WIDTH - 2}" y="{y + 17}">{escape(bar.texts[1])}</text>')
        points.append((sum_scale.at(bar.cumulative), y + row / 2))
    if points:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line sum" points="{path}"/>')
        parts += [f'<circle class="mark sum" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points]
    return _svg(name, title, description, WIDTH, height, parts)


def box_plot(
    low: float,
    quarter: float,
    median: float,
    three_quarters: float,
    high: float,
    axis: tuple[float, float],
    middle: float,
) -> Markup:
    """A box for a cell of a table: whiskers at ``low`` and ``high``, on an axis that all cells share; ``middle`` is
    what they are held against. The numbers stand in the cells beside it."""
    width, height = 170, 20
    scale = Scale(*axis, 2, width - 2)
    left, right = scale.at(quarter), scale.at(three_quarters)
    y = height / 2
    parts = [
        f'<line class="grid" x1="{scale.at(middle):.1f}" x2="{scale.at(middle):.1f}" y1="0" y2="{height}"/>',
        f'<path class="whisker" d="M{scale.at(low):.1f} {y}H{left:.1f}M{right:.1f} {y}H{scale.at(high):.1f}'
        f'M{scale.at(low):.1f} {y - 4}v8M{scale.at(high):.1f} {y - 4}v8"/>',
        f'<rect class="box" x="{left:.1f}" y="{y - 6}" width="{max(1.5, right - left):.1f}" height="12"/>',
        f'<path class="median" d="M{scale.at(median):.1f} {y - 7}v14"/>',
    ]
    return _small(width, height, parts)


def spark_plot(values: Sequence[float | None], axis: tuple[float, float]) -> Markup:
    """A line for a cell of a table, on an axis that all cells share, with its last value marked."""
    width, height = 110, 20
    scale = Scale(*axis, height - 3, 3)
    across = Scale(0, max(1, len(values) - 1), 3, width - 4)
    points = [(across.at(n), scale.at(value)) for n, value in enumerate(values) if value is not None]
    if not points:
        return Markup("")
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    parts = [
        f'<polyline class="line spark" points="{path}"/>',
        f'<circle class="mark spark" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>',
    ]
    return _small(width, height, parts)


def limit_plot(value: float, lower: float | None, upper: float | None) -> Markup:
    """Where a measured value stands between its limits, for a cell of a table; nothing where there are none."""
    bounds = [bound for bound in (lower, upper) if bound is not None]
    if not bounds:
        return Markup("")
    room = max((max(*bounds, value) - min(*bounds, value)) * 0.15, abs(value) * 0.02, 1e-9)
    scale = Scale(min(*bounds, value) - room, max(*bounds, value) + room, 2, 118)
    left = scale.start if lower is None else scale.at(lower)
    right = scale.end if upper is None else scale.at(upper)
    parts = [
        '<rect class="outside" x="2" y="7" width="116" height="6"/>',
        f'<rect class="inside" x="{left:.1f}" y="7" width="{max(1.0, right - left):.1f}" height="6"/>',
        *(f'<path class="bound" d="M{scale.at(bound):.1f} 4v12"/>' for bound in bounds),
        f'<path class="value" d="M{scale.at(value):.1f} 10l-4 -8h8z"/>',
    ]
    return _small(120, 20, parts)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _rect(x: float, y: float, width: float, height: float, kind: str, title: str, fill: str = "") -> str:
    # Only an attribute can name a pattern of this page: a style sheet would look for it in itself.
    filled = f' fill="{fill}"' if fill else ""
    size = f'width="{max(0.0, width):.1f}" height="{height:.1f}"'
    return f'<rect class="count {kind}"{filled} x="{x:.1f}" y="{y:.1f}" {size}><title>{escape(title)}</title></rect>'


def _hatch(name: str) -> str:
    """What did not pass is hatched: the colour alone must not tell it."""
    return (
        f'<defs><pattern id="{escape(name)}-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect class="hatch-ground" width="6" height="6"/>'
        '<rect class="hatch" width="2.4" height="6"/></pattern></defs>'
    )


def _svg(name: str, title: str, description: str, width: int, height: float, parts: Sequence[str]) -> Markup:
    head = (
        f'<svg class="plot" viewBox="0 0 {width} {height:.0f}" role="img" aria-labelledby="{escape(name)}-title '
        f'{escape(name)}-text"><title id="{escape(name)}-title">{escape(title)}</title>'
        f'<desc id="{escape(name)}-text">{escape(description)}</desc>'
    )
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 - numbers of ours, and texts that were escaped


def _small(width: int, height: int, parts: Sequence[str]) -> Markup:
    head = (
        f'<svg class="small" viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true" '
        'focusable="false">'
    )
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 - numbers alone
