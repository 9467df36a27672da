"""Capitals, and letters drawn out."""

from __future__ import annotations

import re
from string import ascii_letters, ascii_uppercase

from pollsvc.comments.checks.check import Opinion, Submission
from pollsvc.comments.words.folding import firsts

_WORD = re.compile(r"\w+")
#: The same sign four times and more. No word in any language has four; lines of dashes and dots are no shouting.
_STRETCHED = re.compile(r"([^\W\d_]|[!?])\1{3,}")
#: Fewer letters than this are a name or an abbreviation.
_LEAST_LETTERS = 12


class Shouting:
    """The share of capitals in scripts that have both cases, or of signs drawn out, whichever is more."""

    name = "shouting"
    version = "1"

    def look(self, submission: Submission) -> Opinion:
        """From 0 to 1: 1 where everything is in capitals."""
        body = submission.body
        upper, cased = _count_cased(body)
        capitals = upper / cased if cased >= _LEAST_LETTERS else 0.0
        drawn_out = [match.span() for match in _STRETCHED.finditer(body)] if bytes(3) in firsts(body) else []
        stretched = min(1.0, sum(end - start for start, end in drawn_out) / max(len(body), 1) * 2)
        if capitals >= stretched:
            reason = f"Capitals among the letters: {round(capitals * 100)} %." if capitals else ""
            return Opinion(capitals, reason, _capitals(body) if capitals > 0.5 else ())
        return Opinion(stretched, "Letters or signs are drawn out.", drawn_out)


def _count_cased(body: str) -> tuple[int, int]:
    """How many letters are capitals, and how many have two cases."""
    if body.isascii():
        letters = body.encode()
        others = len(letters.translate(None, ascii_uppercase.encode()))
        return len(letters) - others, len(letters) - len(letters.translate(None, ascii_letters.encode()))
    chars = set(body)
    upper = sum(body.count(char) for char in chars if char.isupper())
    return upper, upper + sum(body.count(char) for char in chars if char.islower())


def _capitals(body: str) -> list[tuple[int, int]]:
    return [match.span() for match in _WORD.finditer(body) if match[0].isupper() and len(match[0]) > 1]
