"""What mails say: templates in ``outbox/templates``, in the languages of ``outbox/locales`` (gettext catalogs).

A template is two files: ``NAME.txt``, whose first line is the subject, and ``NAME.html``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from gettext import NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_HERE = Path(__file__).parent
LOCALES = _HERE / "locales"
TEMPLATES = _HERE / "templates"
#: The language of the templates themselves.
OWN_LANGUAGE = "en"


def languages() -> tuple[str, ...]:
    """The languages that mail can be written in."""
    return (OWN_LANGUAGE, *sorted(path.stem for path in LOCALES.glob("*.po")))


def write_letter(template: str, locale: str, params: Mapping[str, Any]) -> tuple[str, str, str]:
    """Fill a template.

    :param locale: a language we have no catalog of is written in English.
    :returns: subject, text and HTML.
    :raises LookupError: if there is no such template.
    :raises ValueError: if a parameter is missing.
    """
    environment = _environment(locale if locale in languages() else OWN_LANGUAGE)
    filled = {"language": locale if locale in languages() else OWN_LANGUAGE, **params}
    text = environment.get_template(f"{template}.txt").render(filled)
    html = environment.get_template(f"{template}.html").render(filled)
    subject, _, body = text.partition("\n")
    return subject.strip(), body.strip() + "\n", html


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        # A text is no HTML, and an apostrophe is to stay one.
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(_catalog(language), newstyle=True)  # type: ignore[attr-defined]
    return environment


def _catalog(language: str) -> NullTranslations:
    path = LOCALES / f"{language}.po"
    if not path.exists():
        return NullTranslations()
    # Compiled when first used: a catalog in two forms could differ.
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return Translations(compiled)
