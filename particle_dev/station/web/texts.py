"""The page's texts in the languages of its visitors, from the gettext catalogues below ``locale``.

The catalogues are read as people edit them (``.po``); English is what the sources say. ``make texts`` brings new texts
of the sources into them.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALE_FOLDER = Path(__file__).parent / "locale"
DOMAIN = "station"
LANGUAGES: Mapping[str, str] = MappingProxyType({"en": "English", "de": "Deutsch", "es": "Español", "zh": "中文"})
"""Languages by code, each by its own name."""
LOCALES: Mapping[str, str] = MappingProxyType({"en": "en", "de": "de", "es": "es", "zh": "zh_Hans"})
"""Their locales: which catalogue, and how numbers and times are written."""


def language_tag(language: str) -> str:
    """For ``lang`` in HTML: ``zh-Hans``, by which a browser picks its font."""
    return LOCALES[language].replace("_", "-")


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The texts of a language; one that is not translated is English. KeyError: there is no language of that code."""
    locale = LOCALES[language]
    if language == "en":
        return gettext.NullTranslations()
    with catalogue_path(locale).open("rb") as file:
        catalogue = read_po(file, locale=locale, domain=DOMAIN, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def catalogue_path(locale: str) -> Path:
    """The ``.po`` file of a locale."""
    return LOCALE_FOLDER / locale / "LC_MESSAGES" / f"{DOMAIN}.po"
