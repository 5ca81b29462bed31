"""The report of one test: an HTML file that needs nothing else, not even JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import jinja2

from particle_dev.connectivity.measurements import limit_text
from particle_dev.connectivity.outcome import ConnectivityResult
from particle_dev.connectivity.pictures import signal_svg, timeline_svg
from particle_dev.connectivity.plan import ConnectivityPlan
from particle_dev.connectivity.stages import SPECS

REPORT_NAME = "connectivity.html"


def render_report(result: ConnectivityResult, plan: ConnectivityPlan) -> str:
    """The report as HTML; everything that came off devices or out of the cloud is escaped."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters.update(limit=limit_text, words=lambda text: str(text).replace("_", " "), plain=plain_text)
    source = resources.files("particle_dev.connectivity").joinpath("templates/connectivity.html").read_text("utf-8")
    return environment.from_string(source).render(
        result=result,
        specs=SPECS,
        plan=plan,
        left_out={SPECS[stage]: why for stage, why in plan.left_out.items()},
        timeline=timeline_svg(result),
        signal=signal_svg(result.samples, result.duration_s),
    )


def plain_text(value: object) -> str:
    """A JSON value as people write it: ``yes``, ``a, b``, ``name: value``."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return ", ".join(f"{name}: {plain_text(item)}" for name, item in value.items()) or "–"
        case list() | tuple():
            return ", ".join(map(plain_text, value)) or "–"
        case _:
            return str(value)
