"""What a check over HTTP may answer: ``{"score": 0.7, "reason": "…", "spans": [[0, 4]]}``, and nothing else."""

from __future__ import annotations

from typing import Any

import orjson

from pollsvc.comments.checks.check import Opinion
from pollsvc.text import UnfitText, is_blank, normalise

LONGEST_REASON = 500
MOST_SPANS = 100
#: So many characters in a row of the text are a quotation.
_QUOTATION = 12
#: What stands in place of a reason that quotes: verdicts never hold a word of the text, which may be erased.
QUOTED = "Its reason quoted the comment, and is not kept."


class BadAnswer(ValueError):
    """This is no verdict. The message says what is wrong, in one sentence and in none of the answer's words."""


def read_answer(answer: bytes, *, body: str, name: str) -> Opinion:
    """Read what a check answered.

    :param body: the text that it was asked about: spans lie in it, and a reason does not quote it.
    :param name: its writer's, which a reason does not name either.
    :raises BadAnswer: if it is anything else than a verdict.
    """
    try:
        given = orjson.loads(answer)
    except orjson.JSONDecodeError as error:
        raise BadAnswer("The answer is no JSON.") from error
    if not isinstance(given, dict):
        raise BadAnswer("The answer is no JSON object.")
    if not given.keys() <= {"score", "reason", "spans"}:
        raise BadAnswer("The answer has other members than score, reason and spans.")
    score = _score(given.get("score"))
    return Opinion(score, _reason(given.get("reason"), body, name), _spans(given.get("spans"), len(body)))


def _score(given: Any) -> float:
    if type(given) not in (int, float) or not 0 <= given <= 1:
        raise BadAnswer("The score is no number from 0 to 1.")
    return float(given)


def _reason(given: Any, body: str, name: str) -> str:
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > LONGEST_REASON:
        raise BadAnswer(f"The reason is no text of at most {LONGEST_REASON} characters.")
    try:
        reason = normalise(given, multiline=False).strip()
    except UnfitText as error:
        raise BadAnswer("The reason holds characters that no text may hold.") from error
    if is_blank(reason):
        return ""
    return QUOTED if _quotes(reason, body) or _names(reason, name) else reason


def _quotes(reason: str, body: str) -> bool:
    said, text = reason.casefold(), body.casefold()
    length = min(_QUOTATION, len(text))
    return any(said[at : at + length] in text for at in range(len(said) - length + 1))


def _names(reason: str, name: str) -> bool:
    return len(name) > 1 and name.casefold() in reason.casefold()


def _spans(given: Any, length: int) -> list[tuple[int, int]]:
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MOST_SPANS:
        raise BadAnswer(f"The spans are no list of at most {MOST_SPANS}.")
    spans = []
    for span in given:
        if not isinstance(span, list) or [type(each) for each in span] != [int, int]:
            raise BadAnswer("A span is no pair of whole numbers.")
        start, end = span
        if not 0 <= start < end <= length:
            raise BadAnswer("A span lies outside of the text.")
        spans.append((start, end))
    return sorted(spans)
