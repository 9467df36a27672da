"""Words that the newsroom listed."""

from __future__ import annotations

import re

from pollsvc.comments.checks.check import Opinion, Submission
from pollsvc.comments.words.matching import WordMatcher

#: What stands between the letters of a word that is shown as one: marks, and where a link leads.
_MARKS = r"(?:\]\([^()\s]*\)|[*_`~\\\[\]])*"


class Words:
    """Listed words in the text or the writer's name.

    :param kind: which lists: ``banned`` or ``suspect``.
    """

    version = "1"

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.name = f"{kind}_words"

    def look(self, submission: Submission) -> Opinion:
        """1 where there is one. Which entry of which list it was is told; how it was spelled stands at the span. Spans are of the
        text; the place of a word in the name is told with it.
        """
        lists = submission.words.get(self._kind, ())
        version = " ".join(each.label for each in lists)
        spans: list[tuple[int, int]] = []
        entries: list[str] = []
        for each in lists:
            # One that could not be made ready is None, and the check fails: that is a verdict too.
            assert isinstance(each.matcher, WordMatcher)
            in_body = each.matcher.find(submission.body, submission.reader)
            spans += [(found.start, found.end) for found in in_body]
            entries += [f"“{found.word}” ({each.language})" for found in in_body]
            known = {found.word for found in in_body}
            for found in each.matcher.find(submission.shown, submission.reader):
                if found.word not in known:
                    # Marks part what readers see as one word.
                    known.add(found.word)
                    spans += _place_of(submission.shown[found.start : found.end], submission.body)
                    entries.append(f"“{found.word}” ({each.language}) as it is shown")
            entries += [
                f"“{found.word}” ({each.language}) in the name, {found.start}–{found.end}"
                for found in each.matcher.find(submission.name, submission.reader)
            ]
        if not entries:
            return Opinion(0, version=version)
        named = ", ".join(dict.fromkeys(entries))
        return Opinion(1, f"On the {self._kind} list: {named}."[:1_000], sorted(spans), version)


def _place_of(part: str, body: str) -> list[tuple[int, int]]:
    """Where a part of what is shown stands in the text as it was typed, with marks between its letters; nothing where more is."""
    pattern = _MARKS.join(r"\s+" if char.isspace() else re.escape(char) for char in part)
    found = re.search(pattern, body)
    return [found.span()] if found else []
