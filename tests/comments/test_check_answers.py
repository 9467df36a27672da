"""A check's answer is a verdict, or it is told what is wrong with it."""

import json
from typing import Any

import pytest

from pollsvc.comments.check_answers import QUOTED, BadAnswer, read_answer
from pollsvc.comments.checks.check import Opinion

BODY = "The ferry is late again 🚢, and nobody says why."


def read(answer: Any, *, body: str = BODY, name: str = "Ada") -> Opinion:
    given = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return read_answer(given, body=body, name=name)


class TestReadAnswer:
    def test_score_reason_and_spans_are_an_opinion(self) -> None:
        answer = {"score": 0.7, "reason": "Unkind to ferries.", "spans": [[24, 25], [0, 3]]}

        assert read(answer) == Opinion(0.7, "Unkind to ferries.", [(0, 3), (24, 25)])

    @pytest.mark.parametrize("score", [0, 1, 0.0, 1.0])
    def test_a_score_is_enough(self, score: float) -> None:
        assert read({"score": score, "reason": None, "spans": None}) == read({"score": score})
        assert read({"score": score}) == Opinion(float(score), "", [])

    def test_a_reason_that_nobody_would_see_is_none(self) -> None:
        assert read({"score": 0, "reason": " \u200b "}).reason == ""

    def test_a_span_reaches_to_the_end_of_the_text_counted_in_characters(self) -> None:
        assert read({"score": 1, "spans": [[0, len(BODY)]]}).spans == [(0, len(BODY))]

    @pytest.mark.parametrize(
        ("answer", "wrong"),
        [
            (b"", "no JSON"),
            (b"<html>", "no JSON"),
            (b'{"score": NaN}', "no JSON"),
            (b'{"score": 0.5', "no JSON"),
            (b'{"score": 0.5, "reason": "\xff"}', "no JSON"),
            (b'{"score": 0.5, "reason": "\\ud800"}', "no JSON"),
            (b"[" * 60_000, "no JSON"),
            (b"0.5", "no JSON object"),
            ([], "no JSON object"),
            ({}, "score"),
            ({"score": None}, "score"),
            ({"score": "0.5"}, "score"),
            ({"score": True}, "score"),
            ({"score": -0.01}, "score"),
            ({"score": 1.01}, "score"),
            (b'{"score": 1e999}', "score|no JSON"),
            (b'{"score": 123456789012345678901234567890}', "score"),
            ({"score": 0.5, "label": "fine"}, "other members"),
            ({"score": 0.5, "reason": 7}, "reason"),
            ({"score": 0.5, "reason": "x" * 501}, "reason"),
            ({"score": 0.5, "reason": "one\ntwo"}, "characters"),
            ({"score": 0.5, "reason": "turned \u202e round"}, "characters"),
            ({"score": 0.5, "spans": {}}, "spans"),
            ({"score": 0.5, "spans": [[0, 1]] * 101}, "spans"),
            ({"score": 0.5, "spans": [7]}, "span"),
            ({"score": 0.5, "spans": [[1]]}, "span"),
            ({"score": 0.5, "spans": [[0, 1, 2]]}, "span"),
            ({"score": 0.5, "spans": [[0.0, 1]]}, "span"),
            ({"score": 0.5, "spans": [[False, True]]}, "span"),
            ({"score": 0.5, "spans": [[1, 1]]}, "outside"),
            ({"score": 0.5, "spans": [[-1, 1]]}, "outside"),
            ({"score": 0.5, "spans": [[0, len(BODY) + 1]]}, "outside"),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_anything_else_is_refused_in_words_of_our_own(self, answer: Any, wrong: str) -> None:
        with pytest.raises(BadAnswer, match=wrong) as refused:
            read(answer)

        assert len(str(refused.value)) < 80

    @pytest.mark.parametrize(
        "reason",
        ["It says: NOBODY SAYS WHY", "late again 🚢", "ada is unkind", BODY],
    )
    def test_a_reason_that_quotes_the_text_or_names_its_writer_is_not_kept(self, reason: str) -> None:
        assert read({"score": 1, "reason": reason}).reason == QUOTED

    def test_a_short_text_is_quoted_by_all_of_it(self) -> None:
        assert read({"score": 1, "reason": "Says you fool here"}, body="You fool").reason == QUOTED
        assert read({"score": 1, "reason": "Says you are"}, body="You fool").reason == "Says you are"
