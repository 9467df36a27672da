"""Fields with the strictness of the contract: tables of what is taken and what is not."""

import time
from datetime import UTC, datetime

import marshmallow as ma
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollsvc.web.fields import Text, Time, Truth, Whole
from tests.web.refusals import refusal


class TestText:
    @pytest.mark.parametrize(
        ("given", "taken"),
        [
            pytest.param("Should it?", "Should it?", id="plain"),
            pytest.param("  Should it?\t", "Should it?", id="white space around"),
            pytest.param("e\u0301", "\u00e9", id="composed"),
            pytest.param("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", None, id="joiners"),
            pytest.param("\u2068shalom\u2069", None, id="isolates"),
            pytest.param("\U0001f469\u200d\U0001f680", None, id="emoji"),
            pytest.param("<b>", None, id="markup is text"),
            pytest.param("x" * 20, None, id="the longest"),
            pytest.param("e\u0301" * 20, "\u00e9" * 20, id="the longest when composed"),
            pytest.param(" " * 30 + "x", "x", id="white space does not count"),
        ],
    )
    def test_is_taken(self, given: str, taken: str | None) -> None:
        multiline = "\t" in given

        assert Text(20, multiline=multiline).deserialize(given) == (given if taken is None else taken)

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            pytest.param("", "Must not be empty.", id="empty"),
            pytest.param("   ", "Must not be empty.", id="spaces"),
            pytest.param("\u200b\u2060", "Must not be empty.", id="nothing to see"),
            pytest.param("x" * 21, "Longer than maximum length 20.", id="a character too many"),
            pytest.param("x" * 81, "Longer than maximum length 20.", id="far too long"),
            pytest.param("a\nb", "Line breaks", id="line break"),
            pytest.param("a\x00b", "Control characters", id="NUL"),
            pytest.param("a\x1bb", "Control characters", id="escape"),
            pytest.param("a\x85b", "Control characters", id="C1"),
            pytest.param("a\u202eb", "direction", id="override"),
            pytest.param("a\ud800b", "surrogates", id="lone surrogate"),
            pytest.param(5, "Not a valid string.", id="number"),
            pytest.param(True, "Not a valid string.", id="true"),
            pytest.param(["x"], "Not a valid string.", id="list"),
            pytest.param(None, "Field may not be null.", id="null"),
        ],
    )
    def test_is_refused(self, given: object, sentence: str) -> None:
        assert sentence in refusal(Text(20), given)

    def test_lines_are_kept_where_there_may_be_some(self) -> None:
        assert Text(20, multiline=True).deserialize("one\r\ntwo\rthree\n") == "one\ntwo\nthree"

    def test_a_run_of_marks_costs_no_time(self) -> None:
        began = time.perf_counter()

        refusal(Text(500), "a" + "\u0301\u0323" * 100_000)

        assert time.perf_counter() - began < 0.2

    @given(st.text())
    def test_what_is_taken_is_stable_and_within_its_length(self, given: str) -> None:
        field = Text(20, multiline=True)
        try:
            taken = field.deserialize(given)
        except ma.ValidationError:
            return
        assert 1 <= len(taken) <= 20
        assert field.deserialize(taken) == taken


class TestWhole:
    @pytest.mark.parametrize("value", [1, 5, 10])
    def test_is_taken(self, value: int) -> None:
        assert Whole(1, 10).deserialize(value) == value

    @pytest.mark.parametrize("value", [True, False, "5", "", 5.0, 5.5, [5], {}, 1e3, b"5"], ids=repr)
    def test_what_is_no_integer_is_refused(self, value: object) -> None:
        assert refusal(Whole(0, 10), value) == "Must be an integer."

    @pytest.mark.parametrize("value", [0, -1, 11, 2**63])
    def test_what_lies_outside_is_refused(self, value: int) -> None:
        assert "Must be greater than or equal to 1" in refusal(Whole(1, 10), value)

    def test_null_is_refused_unless_it_is_allowed(self) -> None:
        assert refusal(Whole(1, 10), None) == "Field may not be null."
        assert Whole(1, 10, allow_none=True).deserialize(None) is None


class TestTruth:
    @pytest.mark.parametrize("value", [True, False])
    def test_is_taken(self, value: bool) -> None:
        assert Truth().deserialize(value) is value

    @pytest.mark.parametrize("value", [1, 0, "true", "yes", "on", "", 1.0, [], None], ids=repr)
    def test_is_refused(self, value: object) -> None:
        assert refusal(Truth(), value) in ("Must be true or false.", "Field may not be null.")


class TestTime:
    @pytest.mark.parametrize(
        ("given", "taken"),
        [
            ("2026-03-02T09:30:00Z", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
            ("2026-03-02t09:30:00z", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
            ("2026-03-02T09:30:00+00:00", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
            ("2026-03-02T09:30:00-00:00", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
            ("2026-03-02T00:30:00+02:00", datetime(2026, 3, 1, 22, 30, tzinfo=UTC)),
            ("2026-03-02T09:30:00.5Z", datetime(2026, 3, 2, 9, 30, 0, 500_000, tzinfo=UTC)),
            ("2026-03-02T09:30:00.123456789Z", datetime(2026, 3, 2, 9, 30, 0, 123_456, tzinfo=UTC)),
            ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
            ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ],
    )
    def test_is_taken_and_given_back_in_utc(self, given: str, taken: datetime) -> None:
        loaded = Time().deserialize(given)

        assert (loaded, loaded.tzinfo) == (taken, UTC)

    @pytest.mark.parametrize(
        "value",
        [
            "2026-03-02T09:30:00",
            "2026-03-02",
            "2026-W10-1T09:30:00Z",
            "20260302T093000Z",
            "2026-03-02 09:30:00Z",
            "2026-03-02T09:30Z",
            "2026-03-02T09:30:00+0200",
            "2026-03-02T09:30:00+02",
            "2026-02-30T09:30:00Z",
            "2026-03-02T24:00:00Z",
            "2026-03-02T09:60:00Z",
            "2026-03-02T09:30:00+24:00",
            "2026-03-02T09:30:00+99:99",
            "\u0662026-03-02T09:30:00Z",
            " 2026-03-02T09:30:00Z",
            "2026-03-02T09:30:00Z\n",
            "now",
            "",
            1_772_443_800,
            True,
            [],
        ],
        ids=repr,
    )
    def test_is_refused(self, value: object) -> None:
        assert refusal(Time(), value) in (
            "Must be a time with its offset, such as 2026-03-02T09:30:00Z.",
            "Not a valid datetime.",
        )

    @pytest.mark.parametrize("value", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"])
    def test_a_year_that_utc_does_not_have_is_refused(self, value: str) -> None:
        assert refusal(Time(), value) == "Must be a time of the years 1 to 9999."
