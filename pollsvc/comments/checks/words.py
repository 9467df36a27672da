"""Words that the newsroom listed."""

from __future__ import annotations

from pollsvc.comments.checks.check import Opinion, Submission
from pollsvc.comments.words.matching import WordMatcher


class Words:
    """Listed words in the text or the writer's name.

    :param kind: which lists: ``banned`` or ``suspect``.
    """

    version = "1"

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.name = f"{kind}_words"

    def look(self, submission: Submission) -> Opinion:
        """1 where there is one. Which entry of which list it was is told; how it was spelled stands at the span."""
        lists = submission.words.get(self._kind, ())
        version = " ".join(each.label for each in lists)
        spans: list[tuple[int, int]] = []
        entries: list[str] = []
        for each in lists:
            assert isinstance(each.matcher, WordMatcher)
            in_body = each.matcher.find(submission.body)
            spans += [(found.start, found.end) for found in in_body]
            entries += [f"“{found.word}” ({each.language})" for found in in_body]
            # Marks can part what readers see as one word: there is no place in the text for it.
            seen = {found.word for found in each.matcher.find(submission.shown)} - {
                found.word for found in in_body
            }
            entries += [f"“{word}” ({each.language}) as it is shown" for word in sorted(seen)]
            entries += [
                f"“{found.word}” ({each.language}) in the name"
                for found in each.matcher.find(submission.name)
            ]
        if not entries:
            return Opinion(0, version=version)
        named = ", ".join(dict.fromkeys(entries))
        return Opinion(1, f"On the {self._kind} list: {named}."[:1_000], sorted(spans), version)
