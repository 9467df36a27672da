"""The files that a reader's browser loads."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

import pollsvc.embeds

STATIC = Path(pollsvc.embeds.__file__).parent / "static"
EMBED = (STATIC / "embed.js").read_text()
COMMENTS = (STATIC / "comments.js").read_text()


def page_rules(element_css: str) -> str:
    """The element's rules as a page needs them: `:host` is `.pollsvc`, classes carry the prefix, nothing leaks out."""

    def scope(rule: re.Match[str]) -> str:
        selectors = [re.sub(r"\.([a-z])", r".pollsvc-\1", part.strip()) for part in rule[2].split(",")]
        scoped = [
            part.replace(":host", ".pollsvc") if ":host" in part else f".pollsvc {part}" for part in selectors
        ]
        return f"{rule[1]}{', '.join(scoped)} {{"

    return re.sub(r"(?<=[\n{}])( *)([^@{};\n]+?) \{(?=[^{]*\})", scope, "\n" + element_css)


class TestEmbedScript:
    # What an article loads with its comments, and only there, is held to the same size.
    @pytest.mark.parametrize("name", ["embed.js", "comments.js", "comment-forms.js"])
    def test_is_at_most_six_kilobytes_after_gzip(self, name: str) -> None:
        assert len(gzip.compress((STATIC / name).read_bytes(), 9)) <= 6000

    @pytest.mark.parametrize(
        "name", ["embed.js", "correction.js", "consent.js", "comments.js", "comment-forms.js"]
    )
    @pytest.mark.parametrize(
        "word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "console.", "document.write"]
    )
    def test_uses_nothing_that_a_strict_policy_forbids(self, name: str, word: str) -> None:
        assert word not in (STATIC / name).read_text()


class TestWidgetStyle:
    def test_is_the_element_s_own_style(self) -> None:
        match = re.search(r"replaceSync\(`\n(.*?)`\)", EMBED, re.DOTALL)
        assert match
        assert page_rules(match[1]) in (STATIC / "widget.css").read_text()


class TestCommentStyle:
    def test_is_the_element_s_own_style(self) -> None:
        match = re.search(r"replaceSync\(`\n(.*?)`\)", COMMENTS, re.DOTALL)
        assert match
        assert page_rules(match[1]) in (STATIC / "comments.css").read_text()


class TestTemplates:
    def test_hold_no_inline_script_or_style(self) -> None:
        folder = STATIC.parent / "templates" / "embeds"
        for template in folder.glob("*.html"):
            text = template.read_text()
            assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)", text), template.name
