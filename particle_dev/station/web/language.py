"""In which language a visitor reads the page."""

from __future__ import annotations

from starlette.requests import Request

from particle_dev.station.web.texts import LANGUAGES, translations

__all__ = ["COOKIE", "LANGUAGES", "language_of", "translations"]

COOKIE = "language"
DEFAULT = "en"


def language_of(request: Request) -> str:
    """The language of the menu, else the one of the browser's that it likes best, else English."""
    chosen = request.cookies.get(COOKIE, "")
    return chosen if chosen in LANGUAGES else accepted(request.headers.get("accept-language", ""))


def accepted(header: str) -> str:
    """The best language of an Accept-Language header, by its weights; among equals the first. English, if none is
    there."""
    best, best_weight = DEFAULT, 0.0
    for part in header.split(","):
        tag, _, weight_text = part.partition(";")
        code = tag.strip().lower().split("-")[0]
        weight = _weight(weight_text)
        if code in LANGUAGES and weight > best_weight:
            best, best_weight = code, weight
    return best


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
