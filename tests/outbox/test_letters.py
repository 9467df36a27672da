"""Every sentence of every mail is in every language, and nothing else is."""

from pathlib import Path
from typing import Any, cast

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from pollsvc.outbox.letters import LOCALES, OWN_LANGUAGE, TEMPLATES, languages, write_letter
from tests.outbox.messages import PARAMS

CATALOGS = sorted(LOCALES.glob("*.po"))


def forms(message: object) -> tuple[str, ...]:
    """Give a sentence's forms: one, or one for one thing and one for several."""
    return (
        (message,)
        if isinstance(message, str)
        else tuple(each for each in cast("Any", message) if each is not None)
    )


def sentences() -> set[tuple[str, ...]]:
    """Give what the templates ask to have translated."""
    methods = [("**.txt", "jinja2.ext:babel_extract"), ("**.html", "jinja2.ext:babel_extract")]
    # As the templates are read: with the same white space control, which decides what a sentence is.
    options = {pattern: {"trim_blocks": "true", "lstrip_blocks": "true"} for pattern, _ in methods}
    found = extract_from_dir(TEMPLATES, methods, options)
    return {forms(message) for _, _, message, *_ in found}


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.stem)
class TestCatalogs:
    def test_each_sentence_is_translated_and_no_other(self, path: Path) -> None:
        with path.open("rb") as file:
            catalog = read_po(file, locale=path.stem)

        translated = {forms(message.id) for message in catalog if message.id and all(forms(message.string))}

        assert len(sentences()) > 10
        assert sorted(sentences() - translated) == []
        assert sorted(translated - sentences()) == []

    def test_a_translation_names_what_the_sentence_names(self, path: Path) -> None:
        with path.open("rb") as file:
            catalog = read_po(file, locale=path.stem)

        assert [str(message.id) for message in catalog if list(message.check(catalog))] == []

    def test_no_guess_is_left(self, path: Path) -> None:
        with path.open("rb") as file:
            assert [str(message.id) for message in read_po(file) if message.id and message.fuzzy] == []


class TestWriteLetter:
    def test_german_is_one_of_the_languages(self) -> None:
        assert languages()[0] == OWN_LANGUAGE
        assert "de" in languages()

    @pytest.mark.parametrize(
        ("locale", "subject", "language"),
        [
            ("en", "Please confirm: The Harbour Gazette", "en"),
            ("de", "Bitte bestätigen: The Harbour Gazette", "de"),
            ("xx", "Please confirm: The Harbour Gazette", "en"),
            ("../de", "Please confirm: The Harbour Gazette", "en"),
        ],
    )
    def test_is_in_the_language_asked_for_or_english(self, locale: str, subject: str, language: str) -> None:
        found, text, html = write_letter("confirmation", locale, PARAMS)

        assert found == subject
        assert f'<html lang="{language}">' in html
        assert PARAMS["confirm_url"] in text

    @pytest.mark.parametrize("path", sorted(TEMPLATES.glob("[!_]*.txt")), ids=lambda path: path.stem)
    def test_each_template_has_two_forms(self, path: Path) -> None:
        assert path.with_suffix(".html").exists()

    def test_no_percent_is_taken_for_a_name(self) -> None:
        params = {**PARAMS, "site_name": "100 %(site)s {{ 7 * 7 }}"}

        subject, _, html = write_letter("confirmation", "de", params)

        assert subject == "Bitte bestätigen: 100 %(site)s {{ 7 * 7 }}"
        assert "100 %(site)s {{ 7 * 7 }}" in html

    def test_no_line_is_left_empty_twice_in_a_text(self) -> None:
        _, text, _ = write_letter("confirmation", "en", PARAMS)

        assert "\n\n\n" not in text
