"""The key that a publisher's login signs its tokens with, and which algorithm goes with it.

The algorithm is the key's alone, never the token's: a token that names another is refused (RFC 8725 §3.1).
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

LoginKey = bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_LEAST_SECRET = 32
_LEAST_RSA = 2048
_BEGIN = "-----BEGIN"


def read_login_key(text: str) -> tuple[str, LoginKey]:
    """The algorithm and the key: HS256 for a secret; RS256, ES256 or EdDSA for a public key in PEM.

    :raises ValueError: with what is wrong, if it is none of these or too weak.
    """
    if _BEGIN not in text:
        return "HS256", _secret(text)
    if "PRIVATE KEY" in text:
        raise ValueError("Must be the public key: the private one stays with the login.")
    try:
        key = load_pem_public_key(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("Must be a public key in PEM, or a secret of at least 32 bytes.") from error
    if isinstance(key, RSAPublicKey) and key.key_size >= _LEAST_RSA:
        return "RS256", key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256", key
    if isinstance(key, Ed25519PublicKey):
        return "EdDSA", key
    raise ValueError("Must be an RSA key of at least 2048 bits, an elliptic one on P-256, or Ed25519.")


def _secret(text: str) -> bytes:
    secret = text.encode()
    if len(secret) < _LEAST_SECRET:
        raise ValueError("A secret has at least 32 bytes.")
    return secret
