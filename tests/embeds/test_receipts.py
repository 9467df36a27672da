"""Receipts: sealed, for one thing, for ten minutes."""

from datetime import datetime, timedelta

import orjson
import pytest

from pollsvc.embeds.receipts import issue_receipt, read_receipt
from pollsvc.keys import Keys, new_encryption_key

FACTS = {"choices": [1], "outcome": "counted", "sign_up": None}


class TestReceipt:
    @pytest.mark.parametrize("seconds", [0, 1, 599, 600])
    def test_gives_the_facts_back_for_ten_minutes(self, keys: Keys, now: datetime, seconds: int) -> None:
        receipt = issue_receipt(keys, now, "poll 1", FACTS)

        assert read_receipt(keys, now + timedelta(seconds=seconds), "poll 1", receipt) == FACTS

    @pytest.mark.parametrize("seconds", [601, 100_000])
    def test_is_nothing_after_that(self, keys: Keys, now: datetime, seconds: int) -> None:
        receipt = issue_receipt(keys, now, "poll 1", FACTS)

        assert read_receipt(keys, now + timedelta(seconds=seconds), "poll 1", receipt) is None

    def test_is_of_no_use_for_another_subject(self, keys: Keys, now: datetime) -> None:
        receipt = issue_receipt(keys, now, "poll 1", FACTS)

        assert read_receipt(keys, now, "poll 2", receipt) is None

    def test_of_another_installation_is_nothing(self, keys: Keys, now: datetime) -> None:
        other = Keys(["s" * 32], "h" * 32, [new_encryption_key()])

        assert read_receipt(keys, now, "poll 1", issue_receipt(other, now, "poll 1", FACTS)) is None

    def test_outlives_a_new_encryption_key(self, now: datetime) -> None:
        old, new = new_encryption_key(), new_encryption_key()
        receipt = issue_receipt(Keys(["s" * 32], "h" * 32, [old]), now, "poll 1", FACTS)

        assert read_receipt(Keys(["s" * 32], "h" * 32, [new, old]), now, "poll 1", receipt) == FACTS

    @pytest.mark.parametrize("text", [None, "", "made up", "ü", "\ud800", "gAAAA", "A" * 10_000])
    def test_that_is_none_is_nothing(self, keys: Keys, now: datetime, text: str | None) -> None:
        assert read_receipt(keys, now, "poll 1", text) is None

    @pytest.mark.parametrize(
        "inside",
        [
            pytest.param(b"The ferry has two decks.", id="a reader's message"),
            pytest.param(orjson.dumps(["message", "poll 1", FACTS]), id="of another kind"),
            pytest.param(orjson.dumps(["receipt"]), id="half of one"),
        ],
    )
    def test_is_not_what_else_we_encrypted(self, keys: Keys, now: datetime, inside: bytes) -> None:
        sealed = keys.cipher.encrypt_at_time(inside, int(now.timestamp())).decode()

        assert read_receipt(keys, now, "poll 1", sealed) is None
