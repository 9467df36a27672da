"""Signals that a form was filled by a program. None refuses; each marks."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from pollsvc.keys import Keys, new_encryption_key
from pollsvc.web.forms import OLDEST, YOUNGEST, is_suspect, issue_form_token

SECOND = timedelta(seconds=1)


def form(keys: Keys, shown_at: datetime, **fields: Any) -> Mapping[str, Any]:
    return {"website": "", "form_token": issue_form_token(keys, shown_at), **fields}


class TestIsSuspect:
    @pytest.mark.parametrize("age", [YOUNGEST, timedelta(minutes=5), OLDEST], ids=str)
    def test_a_form_that_took_a_person_s_time_is_not(self, keys: Keys, now: datetime, age: timedelta) -> None:
        assert not is_suspect(form(keys, now - age), keys, now)

    @pytest.mark.parametrize(
        "age",
        [timedelta(0), SECOND, YOUNGEST - SECOND, OLDEST + SECOND, timedelta(days=400), -timedelta(hours=1)],
        ids=str,
    )
    def test_a_form_sent_too_soon_too_late_or_before_it_was_shown_is(
        self, keys: Keys, now: datetime, age: timedelta
    ) -> None:
        assert is_suspect(form(keys, now - age), keys, now)

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"website": "https://spam.example"}, id="honeypot filled"),
            pytest.param({"website": " "}, id="honeypot filled with a space"),
            pytest.param({"form_token": ""}, id="token empty"),
            pytest.param({"form_token": None}, id="token null"),
            pytest.param({"form_token": "x"}, id="token made up"),
            pytest.param({"form_token": "x.y"}, id="token with a made-up signature"),
            pytest.param({"form_token": "\u00fc" * 10_000}, id="token of other characters"),
        ],
    )
    def test_a_form_whose_signals_are_wrong_is(
        self, keys: Keys, now: datetime, fields: Mapping[str, Any]
    ) -> None:
        assert is_suspect(form(keys, now - timedelta(minutes=5), **fields), keys, now)

    def test_a_form_without_signals_is(self, keys: Keys, now: datetime) -> None:
        assert is_suspect({}, keys, now)

    def test_a_honeypot_of_null_is_an_empty_one(self, keys: Keys, now: datetime) -> None:
        assert not is_suspect(form(keys, now - timedelta(minutes=5), website=None), keys, now)

    def test_a_changed_token_is(self, keys: Keys, now: datetime) -> None:
        token = issue_form_token(keys, now - timedelta(minutes=5))
        changed = ("B" if token[0] == "A" else "A") + token[1:]

        assert is_suspect({"form_token": changed}, keys, now)

    def test_a_token_of_another_installation_is(self, keys: Keys, now: datetime) -> None:
        others = Keys(["x" * 32], "y" * 32, [new_encryption_key()])

        assert is_suspect(form(others, now - timedelta(minutes=5)), keys, now)

    def test_a_token_signed_for_another_purpose_is(self, keys: Keys, now: datetime) -> None:
        shown_at = int((now - timedelta(minutes=5)).timestamp()).to_bytes(6, "big")

        assert is_suspect({"form_token": keys.sign("voter", shown_at)}, keys, now)


class TestShowFormToken:
    def test_gives_the_time_of_now_signed(self, client: FlaskClient, keys: Keys) -> None:
        response = client.get("/v1/form-token")

        shown_at = int.from_bytes(keys.unsign("form", response.json["form_token"]), "big")  # type: ignore[index]
        assert abs(datetime.fromtimestamp(shown_at, UTC) - datetime.now(UTC)) < timedelta(seconds=10)

    def test_is_kept_by_no_cache(self, client: FlaskClient) -> None:
        assert client.get("/v1/form-token").headers["Cache-Control"] == "private, no-store"
