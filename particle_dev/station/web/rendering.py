"""Pages from templates."""

from __future__ import annotations

from functools import cache, partial

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse

from particle_dev.station.web.access import Role
from particle_dev.station.web.context import context_of, visitor_of
from particle_dev.station.web.formats import FORMATS
from particle_dev.station.web.language import LANGUAGES, language_of, translations
from particle_dev.station.web.texts import language_tag


def render(request: Request, template: str, *, status_code: int = 200, **values: object) -> HTMLResponse:
    """The page of a template of ``templates/``, in the visitor's language. Whatever comes off devices, files or people
    is escaped. Templates have ``_()`` and ``ngettext()``, ``language``, ``visitor``, ``here`` (the path),
    ``form_token`` (for every form that is posted) beside ``values``, and the filters of
    :mod:`particle_dev.station.web.formats`."""
    language = language_of(request)
    visitor = visitor_of(request)
    text = (
        _environment(language)
        .get_template(template)
        .render(
            language=language,
            language_tag=language_tag(language),
            languages=LANGUAGES,
            visitor=visitor,
            Role=Role,
            form_token=request.scope["form_token"],
            asks_for_login=context_of(request).admission.asks_for_login,
            here=request.url.path,
            **values,
        )
    )
    return HTMLResponse(text, status_code=status_code)


def warm_up() -> None:
    """Read catalogues and compile the operators' page, so that the first visitor need not wait for that."""
    for language in LANGUAGES:
        _environment(language).get_template("operator.html")


@cache
def _environment(language: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("particle_dev.station.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    for name, write in FORMATS.items():
        environment.filters[name] = partial(write, language=language)
    environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    return environment
