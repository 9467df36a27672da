"""How the text of a setting is read: each function gives the value, or raises ValueError with the rule that it breaks."""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import idna
from cryptography.fernet import Fernet
from limits import parse_many
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


def listed(text: str) -> tuple[str, ...]:
    """Parts between commas, without the spaces around them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def secret(text: str) -> str:
    """A key that signs or hashes."""
    if len(text) < 32:
        raise ValueError("must have at least 32 characters")
    return text


def secrets(text: str) -> tuple[str, ...]:
    """Such keys, comma separated."""
    keys = tuple(secret(key) for key in listed(text))
    if not keys:
        raise ValueError("must name at least one key")
    return keys


def encryption_keys(text: str) -> tuple[str, ...]:
    """Fernet keys, comma separated."""
    keys = listed(text)
    if not keys:
        raise ValueError("must name at least one key")
    for key in keys:
        Fernet(key)
    return keys


def database_url(text: str) -> str:
    """A SQLAlchemy URL of a database that we work with, its file by an absolute path."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        # Without its text, which may quote a piece of a password.
        raise ValueError("must be a SQLAlchemy URL such as postgresql://user:password@host/name") from error
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    elif url.drivername == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ValueError("must name a file: an in-memory database is lost with its process")
        url = url.set(database=str(Path(str(url.database)).absolute()))
    else:
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return url.render_as_string(hide_password=False)


def public_url(text: str) -> str:
    """Scheme and host, as a browser writes an origin."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https address such as https://polls.example.org")
    if parts.path.rstrip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be a scheme and a host only: pollsvc owns the whole host name")
    if not re.fullmatch(r"[a-z0-9.:\[\]_-]+", parts.netloc.lower()):
        raise ValueError("must name its host in ASCII, an international one as xn--...")
    # Browsers leave the default port out of an Origin, and ours is compared with theirs.
    is_default = parts.port in (None, {"http": 80, "https": 443}[parts.scheme])
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" if is_default else f"{parts.scheme}://{host}:{parts.port}"


def redis_url(text: str) -> str:
    """The URL of a Redis."""
    parts = urlsplit(text)
    try:
        is_sound = parts.scheme in ("redis", "rediss") and parts.port != 0
    except ValueError:
        is_sound = False
    if not is_sound:
        raise ValueError("must begin with redis:// or rediss://, such as redis://host:6379/0")
    return text


def limit(text: str) -> str:
    """One rate limit or several."""
    try:
        amounts = [item.amount for item in parse_many(text)]
    except ValueError as error:
        raise ValueError("must be a rate limit such as 600/minute, or 10/second;600/minute") from error
    if min(amounts) < 1:
        raise ValueError("must let at least one request through")
    return text


def whole(text: str) -> int:
    """A whole number above 0."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise ValueError("must be a whole number above 0")
    return int(text)


def depth(text: str) -> int:
    """How deep something nests: 0 to 20."""
    if not re.fullmatch(r"[0-9]{1,2}", text) or int(text) > 20:
        raise ValueError("must be a whole number from 0 to 20")
    return int(text)


def minutes(text: str) -> int:
    """Minutes, of a week at the most."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 10_080:
        raise ValueError("must be a whole number from 0 to 10080")
    return int(text)


def port(text: str) -> int:
    """A TCP port."""
    if whole(text) > 65_535:
        raise ValueError("must be a port, at most 65535")
    return int(text)


def log_level(text: str) -> str:
    """How much is logged."""
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError("must be debug, info, warning or error")
    return text.lower()


def smtp_url(text: str) -> str:
    """Where mail is handed over: ``smtp://`` for STARTTLS, ``smtps://`` for TLS from the first byte."""
    parts = urlsplit(text)
    try:
        is_sound = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_sound = False
    if not is_sound:
        raise ValueError("must begin with smtp:// or smtps://, such as smtp://user:password@mail.example:587")
    given = parse_qs(parts.query)
    if given.keys() - {"starttls"} or given.get("starttls", ["required"])[-1] not in (
        "required",
        "optional",
        "never",
    ):
        raise ValueError("takes one option, ?starttls=required, optional or never")
    return text


def mail_address(text: str) -> str:
    """An address that mail comes from."""
    try:
        address = Address(addr_spec=text)
    except (ValueError, HeaderParseError, IndexError) as error:
        raise ValueError("must be an e-mail address such as polls@news.example") from error
    if not address.domain or not text.isascii():
        raise ValueError("must be an e-mail address such as polls@news.example")
    return text


def queue_url(text: str) -> str:
    """Where wake-ups are kept: a file of SQLite, PostgreSQL or Redis."""
    if text.startswith(("redis://", "rediss://")):
        return redis_url(text)
    return database_url(text)


def hosts(text: str) -> frozenset[str]:
    """Host names, comma separated, in lower case."""
    return frozenset(name.lower().rstrip(".") for name in listed(text))


def domains(text: str) -> frozenset[str]:
    """Domains, comma separated, or those of a file: ``@/etc/pollsvc/disposable.txt``, one a line."""
    if text.startswith("@"):
        try:
            lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"names a file that cannot be read: {text[1:]}") from error
        names = frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    else:
        names = hosts(text)
    return frozenset(map(ascii_domain, names))


def ascii_domain(domain: str) -> str:
    """A domain as DNS knows it, however it was written: ``bücher.example`` is ``xn--bcher-kva.example``."""
    try:
        return idna.encode(domain.lower().rstrip("."), uts46=True).decode()
    except idna.IDNAError:
        return domain.lower()
