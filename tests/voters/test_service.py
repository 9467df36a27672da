"""Who is a voter: a signed random identity."""

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from pollsvc.keys import Keys
from pollsvc.voters.service import (
    LIFETIME,
    Tier,
    Voter,
    VoterTokenExpired,
    VoterTokenInvalid,
    VoterTokenMissing,
    issue_token,
    open_tier,
    read_token,
    seal_tier,
    voter_key,
)

SECOND = timedelta(seconds=1)
POLL = uuid.UUID(int=1)


def keys_with(*secrets: str, hash_key: str = "h" * 32) -> Keys:
    return Keys(secrets, hash_key, [Fernet.generate_key().decode()])


class TestIssueToken:
    def test_gives_a_new_identity_each_time(self, keys: Keys, now: datetime) -> None:
        tokens = [issue_token(keys, now).voter_token for _ in range(50)]

        assert len({read_token(keys, token, now, Tier.STORAGE).identity for token in tokens}) == 50

    def test_lasts_400_days(self, keys: Keys, now: datetime) -> None:
        issued = issue_token(keys, now + timedelta(microseconds=999_999))

        assert issued.expires_at == now + timedelta(days=400) == now + LIFETIME

    def test_is_at_most_400_characters_that_fit_anywhere(self, keys: Keys, now: datetime) -> None:
        token = issue_token(keys, now).voter_token

        assert len(token) <= 400
        assert token.isascii()
        assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")

    def test_tells_nothing_but_its_end(self, keys: Keys, now: datetime) -> None:
        identity = bytes(16)

        assert issue_token(keys, now, identity).voter_token == issue_token(keys, now, identity).voter_token

    def test_of_an_identity_keeps_it_for_longer(self, keys: Keys, now: datetime) -> None:
        old = issue_token(keys, now)
        later = now + timedelta(days=399)
        identity = read_token(keys, old.voter_token, later, Tier.STORAGE).identity

        renewed = issue_token(keys, later, identity)

        assert read_token(keys, renewed.voter_token, later, Tier.STORAGE).identity == identity
        assert renewed.expires_at == later + LIFETIME


class TestReadToken:
    @pytest.mark.parametrize("tier", Tier)
    def test_gives_identity_and_tier(self, keys: Keys, now: datetime, tier: Tier) -> None:
        token = issue_token(keys, now, b"i" * 16).voter_token

        assert read_token(keys, token, now, tier) == Voter(b"i" * 16, tier)

    @pytest.mark.parametrize("token", [None, ""])
    def test_of_none_is_missing(self, keys: Keys, now: datetime, token: str | None) -> None:
        with pytest.raises(VoterTokenMissing):
            read_token(keys, token, now, Tier.STORAGE)

    @pytest.mark.parametrize("age", [LIFETIME, LIFETIME + SECOND, timedelta(days=4_000)], ids=str)
    def test_past_its_end_is_expired(self, keys: Keys, now: datetime, age: timedelta) -> None:
        token = issue_token(keys, now).voter_token

        with pytest.raises(VoterTokenExpired):
            read_token(keys, token, now + age, Tier.STORAGE)

    def test_a_second_before_its_end_is_good(self, keys: Keys, now: datetime) -> None:
        token = issue_token(keys, now).voter_token

        assert read_token(keys, token, now + LIFETIME - SECOND, Tier.STORAGE).tier is Tier.STORAGE

    @pytest.mark.parametrize(
        "token", [" ", ".", "a.b", "a.b.c", "x" * 400, "\u00fc", "\ud800", "\x00", "null", "=.="], ids=ascii
    )
    def test_made_up_is_invalid(self, keys: Keys, now: datetime, token: str) -> None:
        with pytest.raises(VoterTokenInvalid):
            read_token(keys, token, now, Tier.STORAGE)

    def test_with_a_letter_changed_anywhere_is_invalid(self, keys: Keys, now: datetime) -> None:
        token = issue_token(keys, now).voter_token
        # Save the last, which in base64 carries bits that mean nothing.
        for place, letter in enumerate(token[:-1]):
            changed = token[:place] + ("A" if letter != "A" else "B") + token[place + 1 :]
            with pytest.raises(VoterTokenInvalid):
                read_token(keys, changed, now, Tier.STORAGE)

    @pytest.mark.parametrize("purpose", ["cursor", "form", "receipt"])
    def test_signed_for_something_else_is_invalid(self, keys: Keys, now: datetime, purpose: str) -> None:
        end = int((now + LIFETIME).timestamp()).to_bytes(6, "big")

        with pytest.raises(VoterTokenInvalid):
            read_token(keys, keys.sign(purpose, end + bytes(16)), now, Tier.STORAGE)

    def test_of_another_installation_is_invalid(self, keys: Keys, now: datetime) -> None:
        token = issue_token(keys_with("o" * 32), now).voter_token

        with pytest.raises(VoterTokenInvalid):
            read_token(keys, token, now, Tier.STORAGE)

    def test_under_an_old_key_is_good_while_the_key_is_listed(self, now: datetime) -> None:
        old, new = "o" * 32, "n" * 32
        token = issue_token(keys_with(old), now).voter_token

        assert len(read_token(keys_with(new, old), token, now, Tier.STORAGE).identity) == 16
        with pytest.raises(VoterTokenInvalid):
            read_token(keys_with(new), token, now, Tier.STORAGE)

    @given(st.text(max_size=100))
    def test_of_any_text_is_invalid_or_missing(self, token: str) -> None:
        with pytest.raises((VoterTokenInvalid, VoterTokenMissing)):
            read_token(keys_with("s" * 32), token, datetime(2026, 3, 2, tzinfo=UTC), Tier.STORAGE)


class TestVoterKey:
    def test_is_the_same_for_the_same_voter_and_poll(self, keys: Keys) -> None:
        voter, again = Voter(b"i" * 16, Tier.STORAGE), Voter(b"i" * 16, Tier.FORM)

        assert voter_key(keys, POLL, voter) == voter_key(keys, POLL, again)
        assert len(voter_key(keys, POLL, voter)) == 32

    def test_differs_between_polls_so_that_ballots_cannot_be_linked(self, keys: Keys) -> None:
        voter = Voter(b"i" * 16, Tier.STORAGE)

        assert voter_key(keys, POLL, voter) != voter_key(keys, uuid.UUID(int=2), voter)

    def test_differs_between_voters(self, keys: Keys) -> None:
        voters = [Voter(bytes([number]) * 16, Tier.STORAGE) for number in range(20)]

        assert len({voter_key(keys, POLL, voter) for voter in voters}) == 20

    def test_outlives_the_signing_keys(self) -> None:
        voter = Voter(b"i" * 16, Tier.STORAGE)

        assert voter_key(keys_with("a" * 32), POLL, voter) == voter_key(keys_with("b" * 32), POLL, voter)

    def test_hangs_on_the_hash_key(self) -> None:
        voter = Voter(b"i" * 16, Tier.STORAGE)
        one, other = keys_with("a" * 32, hash_key="1" * 32), keys_with("a" * 32, hash_key="2" * 32)

        assert voter_key(one, POLL, voter) != voter_key(other, POLL, voter)


class TestSealTier:
    @pytest.mark.parametrize("tier", Tier)
    def test_is_opened_with_the_key(self, keys: Keys, tier: Tier) -> None:
        sealed = [seal_tier(keys, bytes([number]) * 32, tier) for number in range(50)]

        assert {open_tier(keys, bytes([number]) * 32, each) for number, each in enumerate(sealed)} == {tier}

    @pytest.mark.parametrize("tier", Tier)
    def test_is_any_of_them_alike(self, keys: Keys, tier: Tier) -> None:
        sealed = Counter(seal_tier(keys, number.to_bytes(32, "big"), tier) for number in range(5_000))

        # 1,000 each, give or take 28; more than six times that comes once in 10^9.
        assert set(sealed) == set(Tier)
        assert all(abs(count - 1_000) < 180 for count in sealed.values())

    def test_tells_nothing_under_another_key(self) -> None:
        sealed = [seal_tier(keys_with("s" * 32), bytes([each]) * 32, Tier.FORM) for each in range(200)]
        other = keys_with("s" * 32, hash_key="o" * 32)

        assert len({open_tier(other, bytes([n]) * 32, each) for n, each in enumerate(sealed)}) == len(Tier)
