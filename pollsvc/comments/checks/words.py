"""Words that the newsroom listed."""

from __future__ import annotations

from pollsvc.comments.checks.check import Opinion, Submission
from pollsvc.comments.words.matching import WordMatcher

#: Marks that can part the letters of a word which is shown as one.
_MARKS = frozenset("*_`~\\[]")

#: Says of a listed word that it is a part of the writer's name, which goes when they are forgotten.
IN_THE_NAME = "in the name"


class Words:
    """Listed words in the text or the writer's name.

    :param kind: which lists: ``banned`` or ``suspect``.
    """

    version = "2"

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
                f"“{found.word}” ({each.language}) {IN_THE_NAME}, {found.start}–{found.end}"
                for found in each.matcher.find(submission.name, submission.reader)
            ]
        if not entries:
            return Opinion(0, version=version)
        named = ", ".join(dict.fromkeys(entries))
        return Opinion(1, f"On the {self._kind} list: {named}."[:1_000], sorted(spans), version)


def _place_of(part: str, body: str) -> list[tuple[int, int]]:
    """Where a part of what is shown stands in the text as it was typed, with marks between its letters; nothing where more is."""
    letters, places = _without_marks(body)
    wanted, _ = _without_marks(part)
    at = letters.find(wanted) if wanted else -1
    return [(places[at], places[at + len(wanted) - 1] + 1)] if at >= 0 else []


def _without_marks(text: str) -> tuple[str, list[int]]:
    """A text without marks and without where its links lead, and the place of each character. Read once, from left to right."""
    kept: list[str] = []
    places: list[int] = []
    place = 0
    last = text.rfind(")")
    while place < len(text):
        char = text[place]
        if char == "]" and place < last and text.startswith("](", place):
            place = text.index(")", place) + 1
            continue
        char = " " if char.isspace() else char
        if char not in _MARKS and not (char == " " and kept and kept[-1] == " "):
            kept.append(char)
            places.append(place)
        place += 1
    return "".join(kept), places
