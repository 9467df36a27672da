"""Signing, keyed hashing and encryption."""

from itertools import combinations

import pytest
from cryptography.fernet import Fernet, InvalidToken
from hypothesis import given
from hypothesis import strategies as st

from pollsvc.keys import BadToken, Keys, new_encryption_key, new_secret

OLD, NEW = "old-signing-key-".ljust(32, "x"), "new-signing-key-".ljust(32, "x")
CIPHER = new_encryption_key()


def keys_with(*secrets: str, hash_key: str = "h" * 32, ciphers: tuple[str, ...] = (CIPHER,)) -> Keys:
    return Keys(secrets, hash_key, ciphers)


class TestSign:
    @given(st.binary(max_size=300))
    def test_gives_the_payload_back(self, payload: bytes) -> None:
        keys = keys_with(OLD)

        assert keys.unsign("voter", keys.sign("voter", payload)) == payload

    def test_fits_a_url_and_a_cookie(self) -> None:
        token = keys_with(OLD).sign("voter", bytes(range(256)))

        assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")

    def test_is_by_the_first_key(self) -> None:
        token = keys_with(NEW, OLD).sign("voter", b"x")

        assert keys_with(NEW).unsign("voter", token) == b"x"
        with pytest.raises(BadToken):
            keys_with(OLD).unsign("voter", token)


class TestUnsign:
    def test_is_by_any_key(self) -> None:
        token = keys_with(OLD).sign("voter", b"x")

        assert keys_with(NEW, OLD).unsign("voter", token) == b"x"

    def test_of_a_key_that_left_the_list_fails(self) -> None:
        with pytest.raises(BadToken):
            keys_with(NEW).unsign("voter", keys_with(OLD).sign("voter", b"x"))

    def test_of_another_purpose_fails(self) -> None:
        keys = keys_with(OLD)

        with pytest.raises(BadToken):
            keys.unsign("receipt", keys.sign("voter", b"x"))

    @pytest.mark.parametrize(
        "token", ["", ".", "x", "x.", ".x", "x.y", "\u00fc.\u00fc", "\x00", "a" * 100_000]
    )
    def test_of_what_was_never_signed_fails(self, token: str) -> None:
        with pytest.raises(BadToken):
            keys_with(OLD).unsign("voter", token)

    def test_of_a_payload_that_was_changed_fails(self) -> None:
        keys = keys_with(OLD)
        body, _, signature = keys.sign("voter", b"payload").partition(".")

        for changed in (f"{body}A.{signature}", f"A{body}.{signature}", f"{body}.{body}.{signature}"):
            with pytest.raises(BadToken):
                keys.unsign("voter", changed)

    @given(st.text())
    def test_of_any_text_fails(self, token: str) -> None:
        with pytest.raises(BadToken):
            keys_with(OLD).unsign("voter", token)


class TestDigest:
    def test_is_the_same_each_time(self) -> None:
        assert keys_with(OLD).digest("email", b"x") == keys_with(NEW).digest("email", b"x")
        assert len(keys_with(OLD).digest("email", b"x")) == 32

    def test_differs_with_everything_that_goes_in(self) -> None:
        keys = keys_with(OLD)
        digests = [
            keys.digest("email", b"ab", b"c"),
            keys.digest("email", b"a", b"bc"),
            keys.digest("email", b"abc"),
            keys.digest("email", b"ab", b"c", b""),
            keys.digest("email"),
            keys.digest("emaila", b"b", b"c"),
            keys.digest("ballot", b"ab", b"c"),
            keys_with(OLD, hash_key="i" * 32).digest("email", b"ab", b"c"),
        ]

        assert all(one != other for one, other in combinations(digests, 2))


class TestFingerprint:
    def test_tells_hash_keys_apart_without_holding_them(self) -> None:
        one, other = keys_with(OLD, hash_key="1" * 32), keys_with(OLD, hash_key="2" * 32)

        assert one.fingerprint() == keys_with(NEW, hash_key="1" * 32).fingerprint() != other.fingerprint()
        assert "1" * 32 not in one.fingerprint()


class TestCipher:
    def test_encrypts_by_the_first_and_decrypts_by_any(self) -> None:
        newer = new_encryption_key()
        old, both, new = (
            keys_with(OLD, ciphers=each).cipher for each in ((CIPHER,), (newer, CIPHER), (newer,))
        )

        assert both.decrypt(old.encrypt(b"x")) == b"x"
        assert new.decrypt(both.encrypt(b"x")) == b"x"
        with pytest.raises(InvalidToken):
            old.decrypt(both.encrypt(b"x"))


class TestFreshKeys:
    def test_are_long_and_differ(self) -> None:
        secrets = {new_secret() for _ in range(20)}

        assert len(secrets) == 20
        assert min(map(len, secrets)) >= 43

    def test_of_encryption_are_fernet_s(self) -> None:
        cipher = Fernet(new_encryption_key())

        assert cipher.decrypt(cipher.encrypt(b"x")) == b"x"
