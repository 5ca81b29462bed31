"""The pictures of a report, as SVG without any script: the time-line of the stages, and the signal over time."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from particle_dev.connectivity.measurements import SignalSample
from particle_dev.connectivity.outcome import ConnectivityResult, StageResult, StageStatus
from particle_dev.connectivity.stages import SPECS

WIDTH = 1100
_LEFT, _RIGHT, _ROW, _BAR = 260, 140, 24, 16
_STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600)
_MOST_TICKS = 12
_PLOT_HEIGHT = 220
_PLOT_TOP, _PLOT_BOTTOM = 16, 30


def timeline_svg(result: ConnectivityResult) -> str:
    """One row per stage that was begun: a bar from its begin to its end."""
    rows = [r for r in result.stages if r.status is not StageStatus.NOT_RUN]
    total_s = max(result.duration_s, 0.1)
    height = _ROW * len(rows) + 40
    parts = [_open(WIDTH, height, "time-line of the stages")]
    bottom = _ROW * len(rows) + 8
    for at_s in ticks(total_s):
        x = _x(at_s, total_s)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="soft" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{at_s:g} s</text>')
    for number, row in enumerate(rows):
        parts.append(_bar(row, 4 + number * _ROW, total_s))
    return "\n".join([*parts, "</svg>"])


def _bar(row: StageResult, y: float, total_s: float) -> str:
    x, end = _x(row.at_s, total_s), _x(row.at_s + row.duration_s, total_s)
    width = max(2.0, end - x)
    title = html.escape(f"{SPECS[row.stage].number} {SPECS[row.stage].title}")
    code = f" {row.failure.code}" if row.failure else ""
    label = html.escape(f"{row.duration_s:.1f} s{code}")
    return (
        f'<text x="0" y="{y + 13}">{title}</text>'
        f'<rect class="{row.status}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2">'
        f"<title>{title}: {label}, {row.status}</title></rect>"
        f'<text class="soft" x="{x + width + 6:.1f}" y="{y + 13}">{label}</text>'
    )


def signal_svg(samples: Sequence[SignalSample], duration_s: float) -> str:
    """Signal strength in dBm over the seconds of the test; empty when the board told none."""
    points = [(s.at_s, s.strength_dbm) for s in samples if s.strength_dbm is not None]
    if not points:
        return ""
    total_s = max(duration_s, 0.1)
    low = min(-125.0, math.floor(min(v for _, v in points) / 5) * 5)
    high = max(-45.0, math.ceil(max(v for _, v in points) / 5) * 5)

    def y(value: float) -> float:
        return _PLOT_TOP + (high - value) / (high - low) * (_PLOT_HEIGHT - _PLOT_TOP - _PLOT_BOTTOM)

    parts = [_open(WIDTH, _PLOT_HEIGHT, "signal strength over time")]
    for at_s in ticks(total_s):
        x = _x(at_s, total_s)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" y1="{_PLOT_TOP}" x2="{x:.1f}" y2="{_PLOT_HEIGHT - _PLOT_BOTTOM}"/>'
            f'<text class="soft" x="{x:.1f}" y="{_PLOT_HEIGHT - 10}" text-anchor="middle">{at_s:g} s</text>'
        )
    for value, text in ((-85.0, "−85 dBm good"), (-120.0, "−120 dBm unusable")):
        parts.append(
            f'<line class="limit" x1="{_LEFT}" y1="{y(value):.1f}" x2="{WIDTH - _RIGHT}" y2="{y(value):.1f}"/>'
            f'<text class="soft" x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{text}</text>'
        )
    drawn = " ".join(f"{_x(at_s, total_s):.1f},{y(value):.1f}" for at_s, value in points)
    parts.append(f'<polyline class="signal" points="{drawn}"/>')
    parts += [
        f'<circle class="signal-point" cx="{_x(at_s, total_s):.1f}" cy="{y(value):.1f}" r="2.5">'
        f"<title>{value:g} dBm at {at_s:g} s</title></circle>"
        for at_s, value in points
    ]
    return "\n".join([*parts, "</svg>"])


def ticks(total_s: float) -> list[float]:
    """Where an axis of that length is marked."""
    step_s = next((s for s in _STEPS_S if total_s / s <= _MOST_TICKS), total_s / _MOST_TICKS)
    return [number * step_s for number in range(math.floor(total_s / step_s + 1e-9) + 1)]


def _x(at_s: float, total_s: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(at_s, total_s) / total_s


def _open(width: int, height: int, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}" '
        'font-family="sans-serif" font-size="12.5">'
    )
