"""The publisher's login, as it signs tokens for its accounts."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET = "a secret of the publisher's login, of 32 bytes"
PRIVATE: Mapping[str, Any] = {
    "RS256": rsa.generate_private_key(65_537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
WEAK: Mapping[str, Any] = {
    "RSA of 1024 bits": rsa.generate_private_key(65_537, 1024),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
}


def public_pem(private: Any) -> str:
    return str(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def account_token(algorithm: str = "HS256", key: Any = SECRET, **changes: Any) -> str:
    """A token as a login makes it; `changes` are claims, None takes one away."""
    claims = {
        "sub": "account-17",
        "email": "ada@reader.example",
        "exp": int((datetime.now(UTC) + timedelta(minutes=10)).timestamp()),
    }
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm)
