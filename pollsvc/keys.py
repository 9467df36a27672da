"""Signing, keyed hashing and encryption, from the three keys of the installation.

* The *secret keys* sign what comes back to us (voter tokens, receipts, cursors): the first signs, all verify.
* The *hash key* makes look-up hashes and voter keys. Ballots and suppressions hang on it, so it is never rotated.
* The *encryption keys* protect addresses and unpublished texts: the first encrypts, all decrypt.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadSignature, Signer


class BadToken(ValueError):
    """The token was not made by us for this purpose, or was changed on its way."""


class Keys:
    """What can be signed, hashed and encrypted with the keys of one installation.

    :param secret_keys: signing keys, newest first.
    :param hash_key: the key of look-up hashes.
    :param encryption_keys: Fernet keys (url-safe base64 of 32 bytes), newest first.
    """

    def __init__(self, secret_keys: Sequence[str], hash_key: str, encryption_keys: Sequence[str]) -> None:
        # itsdangerous signs with the last key of its list; ours are given newest first.
        self._secrets = [key.encode() for key in reversed(secret_keys)]
        self._hash_key = hash_key.encode()
        self._signers: dict[str, Signer] = {}
        # A request's token is looked at twice, by its limit and by what it is for. As many as may be under way are kept.
        self._verified = lru_cache(maxsize=256)(self._verify)
        ciphers = [Fernet(key) for key in encryption_keys]
        self.cipher, self._first_cipher = MultiFernet(ciphers), ciphers[0]

    def renew(self, encrypted: bytes) -> bytes | None:
        """The same, encrypted with the first key; None where it is already.

        :raises InvalidToken: if none of our keys decrypts it.
        """
        try:
            self._first_cipher.decrypt(encrypted)
        except InvalidToken:
            return self.cipher.rotate(encrypted)
        return None

    def sign(self, purpose: str, payload: bytes) -> str:
        """Sign up to a few hundred bytes; URL-safe, and of no use for another purpose."""
        body = base64.urlsafe_b64encode(payload).rstrip(b"=")
        return self._signer(purpose).sign(body).decode("ascii")

    def unsign(self, purpose: str, token: str) -> bytes:
        """Give the payload back.

        :raises BadToken: if the token was not made by :meth:`sign` with this purpose and one of our keys.
        """
        return self._verified(purpose, token)

    def _verify(self, purpose: str, token: str) -> bytes:
        try:
            body = self._signer(purpose).unsign(token.encode("ascii"))
            return base64.b64decode(body + b"=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except (BadSignature, ValueError) as error:
            raise BadToken(purpose) from error

    def digest(self, purpose: str, *parts: bytes) -> bytes:
        """A keyed SHA-256 hash (32 bytes) of the parts, of no use for another purpose.

        Each part is preceded by its length, so that ("ab", "c") and ("a", "bc") differ.
        """
        told = b"".join(len(part).to_bytes(4, "big") + part for part in (purpose.encode(), *parts))
        return hmac.digest(self._hash_key, told, "sha256")

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes made of the hash key (HKDF, RFC 5869), of no use for another purpose."""
        hkdf = HKDF(hashes.SHA256(), length=32, salt=None, info=f"pollsvc.{purpose}".encode())
        return hkdf.derive(self._hash_key)

    def fingerprint(self) -> str:
        """What the database remembers of the hash key, to notice a start with another one."""
        return self.digest("fingerprint").hex()

    def _signer(self, purpose: str) -> Signer:
        # Deriving a signing key costs more than signing: there are a handful of purposes, made once each.
        signer = self._signers.get(purpose)
        if signer is None:
            signer = Signer(
                self._secrets, salt=f"pollsvc.{purpose}", key_derivation="hmac", digest_method=hashlib.sha256
            )
            self._signers[purpose] = signer
        return signer


def new_secret() -> str:
    """256 random bits, for a signing or hash key."""
    return secrets.token_urlsafe(32)


def new_encryption_key() -> str:
    """A fresh Fernet key."""
    return Fernet.generate_key().decode("ascii")
