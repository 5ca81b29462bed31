"""In which language a visitor reads the page."""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from types import MappingProxyType

from starlette.requests import Request

LANGUAGES: Mapping[str, str] = MappingProxyType({"en": "English", "de": "Deutsch", "es": "Español", "zh": "中文"})
"""Languages by code, each by its own name."""
COOKIE = "language"


def language_of(request: Request) -> str:
    """The language of the menu, else the first one of the browser's that there is, else English."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    for part in request.headers.get("accept-language", "").split(","):
        code = part.split(";")[0].strip().lower().split("-")[0]
        if code in LANGUAGES:
            return code
    return "en"


def translations(language: str) -> gettext.NullTranslations:
    """The texts of a language. KeyError: there is none of that code."""
    LANGUAGES[language]
    return gettext.NullTranslations()
