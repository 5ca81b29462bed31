"""Bring the texts of the sources into the page's catalogues: `make texts`. Prints what is to be translated."""

import io
import sys
import tomllib
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

from particle_dev.station.web.texts import LOCALES, catalogue_path

ROOT = Path(__file__).parents[3]
PLACES = ("particle_dev/station", "particle_dev/connectivity")
KEYWORDS = DEFAULT_KEYWORDS | {"Failure": (4,)}
TRANSLATED = [locale for language, locale in LOCALES.items() if language != "en"]


def texts_of_sources():
    """A catalogue without translations."""
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    methods = [(m["pattern"], m["method"]) for m in mappings]
    options = {m["pattern"]: {k: v for k, v in m.items() if k not in ("pattern", "method")} for m in mappings}
    catalogue = Catalog()
    for place in PLACES:
        for _file, _line, text, _comments, context in extract_from_dir(ROOT / place, methods, options, KEYWORDS):
            catalogue.add(text, context=context)
    return catalogue


def read(locale):
    path = catalogue_path(locale)
    if not path.exists():
        return Catalog(locale=locale)
    with path.open("rb") as file:
        return read_po(file, locale=locale, abort_invalid=True)


def written(catalogue):
    """A catalogue as its file has it: sorted, with nothing that changes from day to day."""
    body = io.BytesIO()
    write_po(body, catalogue, width=0, omit_header=True, sort_output=True, no_location=True, ignore_obsolete=True)
    header = (
        f"# Texts of the station's page: {catalogue.locale.english_name}. `make texts` adds those that are new.\n"
        'msgid ""\nmsgstr ""\n'
        f'"Language: {catalogue.locale}\\n"\n'
        f'"Plural-Forms: {catalogue.plural_forms}\\n"\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n'
        '"Content-Transfer-Encoding: 8bit\\n"\n\n'
    )
    return header.encode() + body.getvalue().lstrip()


def is_empty(message):
    strings = message.string if isinstance(message.string, list | tuple) else [message.string]
    return not all(strings)


def main():
    sources = texts_of_sources()
    for locale in TRANSLATED:
        catalogue = read(locale)
        catalogue.update(sources, no_fuzzy_matching=True)
        path = catalogue_path(locale)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(catalogue))
        empty = [message.id for message in catalogue if message.id and is_empty(message)]
        print(f"{path.relative_to(ROOT)}: {len(empty)} texts to translate", *empty, sep="\n  ")


if __name__ == "__main__":
    sys.exit(main())
