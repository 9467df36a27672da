"""The receipt of a sign-up: what was shown, when and where, signed, for the reader to keep.

It holds no address. Anybody can check it with the installation's public key, without the installation
(``pollsvc verify``). docs/consent.md describes its form.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pollsvc.consent.models import Consent, Mode
from pollsvc.consent.texts import text_hash
from pollsvc.keys import Keys

KIND = "pollsvc-consent-receipt-1"
FILE_NAME = "consent-receipt.json"
#: What each mode of a text stands on.
LEGAL_BASIS = {
    Mode.EXPLICIT: "consent, GDPR Art. 6(1)(a)",
    Mode.SOFT_OPT_IN: "soft opt-in, ePrivacy Directive Art. 13(2)",
    Mode.NOTICE_ONLY: "notice only: not consent in the sense of the GDPR",
}


class ReceiptInvalid(ValueError):
    """The receipt is not what was signed; the text says why."""


def public_key(keys: Keys) -> str:
    """The key that this installation's receipts are checked with: 32 bytes in hex."""
    return _signer(keys).public_key().public_bytes_raw().hex()


def fingerprint(key: str) -> str:
    """SHA-256 of a public key, in hex, to compare by eye."""
    return hashlib.sha256(bytes.fromhex(key)).hexdigest()


def write_receipt(keys: Keys, consent: Consent, *, leave_url: str, method: str, now: datetime) -> str:
    """The signed receipt of a request, as the file that the reader gets.

    :param consent: as it stands on the request, with its text and its article.
    :param leave_url: where it ends by one press.
    :param method: how it was asked for.
    """
    shown = consent.text
    key = public_key(keys)
    signed = {
        "kind": KIND,
        "issued_at": _time(now),
        "record_id": str(consent.id),
        "request_id": str(consent.request_id) if consent.request_id else None,
        "requested_at": _time(consent.requested_at),
        "collection_method": method,
        "site_id": str(consent.site_id),
        "purpose": consent.purpose,
        "mode": shown.mode,
        "lawful_basis": LEGAL_BASIS[Mode(shown.mode)],
        "is_gdpr_consent": shown.mode == Mode.EXPLICIT,
        "controller": shown.controller,
        "contact": shown.contact,
        "language": shown.locale,
        **_where(consent),
        "shown": {
            "text_id": str(shown.id),
            "version": shown.version,
            "body": shown.body,
            "privacy_url": shown.privacy_url,
            "privacy_version": shown.privacy_version,
            "terms_url": shown.terms_url,
            "terms_version": shown.terms_version,
            "hash": shown.body_hash.hex(),
        },
        "leave_url": leave_url,
        "public_key": key,
        "public_key_fingerprint": fingerprint(key),
    }
    return _file(signed, _signer(keys).sign(_canonical(signed)).hex())


def _where(consent: Consent) -> dict[str, str | None]:
    """The article, by its site and the hash of its address.

    Neither the address nor a foreign origin itself: whoever signs somebody up writes them as they like, and this goes into
    a mail to that person. The proof has both.
    """
    article = consent.article
    if article is None:
        return {"site_origin": None, "article_sha256": None, "origin": None}
    is_ours = consent.origin in {each.origin for each in article.site.origins}
    return {
        "site_origin": article.site.canonical_origin,
        "article_sha256": hashlib.sha256(article.url.encode()).hexdigest(),
        "origin": consent.origin if is_ours else None,
    }


def check_receipt(file: bytes, key: str) -> dict[str, Any]:
    """What a receipt says, if it is as it was signed with the key that belongs to this public one.

    :param key: 32 bytes in hex.
    :raises ReceiptInvalid: if it is not, with the reason.
    """
    try:
        parsed = json.loads(file.decode())
        signed, signature = parsed["receipt"], bytes.fromhex(parsed["signature"])
        is_receipt = signed["kind"] == KIND
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReceiptInvalid("This is no receipt: it cannot be read.") from error
    if not is_receipt:
        raise ReceiptInvalid(f"This is no receipt of the kind {KIND}.")
    if signed.get("public_key") != key:
        raise ReceiptInvalid("It was signed with another key than this one.")
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, _canonical(signed))
    except InvalidSignature as error:
        raise ReceiptInvalid("It was changed: the signature does not belong to what it says.") from error
    # What the signature says nothing of: spaces, and a name that stands there twice.
    if _file(signed, signature.hex()).encode() != file:
        raise ReceiptInvalid("It was changed: the file is not written as it was sent.")
    shown = signed["shown"]
    versions = (shown["privacy_version"], shown["terms_version"])
    if text_hash(shown["body"], shown["privacy_url"], shown["terms_url"], versions).hex() != shown["hash"]:
        raise ReceiptInvalid("The hash in it is not that of the text in it.")
    found: dict[str, Any] = signed
    return found


def _file(signed: object, signature: str) -> str:
    document = {"receipt": signed, "signature": signature}
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def _canonical(value: object) -> bytes:
    """JSON in the one spelling that is signed (RFC 8785): sorted names, no spaces, UTF-8."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ReceiptInvalid("It was changed: it holds what is no text.") from error


def _signer(keys: Keys) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(keys.derive("consent receipts"))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
