"""Every setting: its name, type, default and meaning. The only module that reads the environment.

A setting is the upper-case name of a field below behind ``POLLSVC_``. A missing or wrong one stops the start with a
sentence that says what to do.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from limits import parse_many
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from pollsvc.keys import Keys, new_encryption_key, new_secret
from pollsvc.network import parse_networks

PREFIX = "POLLSVC_"


class ConfigError(Exception):
    """A setting is missing or wrong; the text says which and what to do."""


def _setting(
    meaning: str, parse: Callable[[str], Any], default: Any = None, *, is_secret: bool = False
) -> Any:
    # What is secret stays out of the text that a traceback or a log may show.
    return field(default=default, repr=not is_secret, metadata={"meaning": meaning, "parse": parse})


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _secret(text: str) -> str:
    if len(text) < 32:
        raise ValueError("must have at least 32 characters")
    return text


def _secrets(text: str) -> tuple[str, ...]:
    keys = tuple(_secret(key) for key in _listed(text))
    if not keys:
        raise ValueError("must name at least one key")
    return keys


def _encryption_keys(text: str) -> tuple[str, ...]:
    keys = _listed(text)
    if not keys:
        raise ValueError("must name at least one key")
    for key in keys:
        Fernet(key)
    return keys


def _database_url(text: str) -> str:
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


def _public_url(text: str) -> str:
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


def _redis_url(text: str) -> str:
    parts = urlsplit(text)
    try:
        is_sound = parts.scheme in ("redis", "rediss") and parts.port != 0
    except ValueError:
        is_sound = False
    if not is_sound:
        raise ValueError("must begin with redis:// or rediss://, such as redis://host:6379/0")
    return text


def _limit(text: str) -> str:
    try:
        amounts = [item.amount for item in parse_many(text)]
    except ValueError as error:
        raise ValueError("must be a rate limit such as 600/minute, or 10/second;600/minute") from error
    if min(amounts) < 1:
        raise ValueError("must let at least one request through")
    return text


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise ValueError("must be a whole number above 0")
    return int(text)


def _port(text: str) -> int:
    if _whole(text) > 65_535:
        raise ValueError("must be a port, at most 65535")
    return int(text)


def _log_level(text: str) -> str:
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError("must be debug, info, warning or error")
    return text.lower()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one installation, parsed and checked."""

    instance: Path
    unknown: tuple[str, ...] = ()
    database_url: str = _setting(
        "Where everything is kept: sqlite:///file or postgresql://user:password@host/name. "
        "Default: pollsvc.db in instance/ of the working directory.",
        _database_url,
        "",
        is_secret=True,
    )
    redis_url: str | None = _setting(
        "Where rate limits are counted when several processes run: redis://host:6379/0. Default: memory of each process.",
        _redis_url,
        is_secret=True,
    )
    public_url: str = _setting(
        "The address readers reach this service at. Links, cookie flags and the scheme come from it; an https one is "
        "production and requires the three keys. Default: the address that `pollsvc serve` listens on.",
        _public_url,
        "http://127.0.0.1:8000",
    )
    secret_key: tuple[str, ...] = _setting(
        "Signing keys, comma separated: the first signs, all verify. At least 32 characters each.",
        _secrets,
        (),
        is_secret=True,
    )
    hash_key: str = _setting(
        "Key of voter keys and look-up hashes, at least 32 characters. Never change it: ballots hang on it.",
        _secret,
        "",
        is_secret=True,
    )
    encryption_keys: tuple[str, ...] = _setting(
        "Fernet keys for addresses and unpublished texts, comma separated: the first encrypts, all decrypt.",
        _encryption_keys,
        (),
        is_secret=True,
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = _setting(
        "Networks, comma separated, whose X-Forwarded-For is believed. Default: none.", parse_networks, ()
    )
    metrics_port: int | None = _setting(
        "A port of its own for /metrics on the host that `serve` listens on, without a token. Default: none.",
        _port,
    )
    log_level: str = _setting("debug, info, warning or error.", _log_level, "info")
    database_pool: int = _setting(
        "Database connections of one process at the most, beside 4 for votes and results.", _whole, 16
    )
    limit_staff: str = _setting("Newsroom calls per API token.", _limit, "1200/minute")
    limit_voters: str = _setting("New voter tokens per network.", _limit, "600/minute")
    limit_votes: str = _setting("Votes per network.", _limit, "600/minute")
    limit_votes_per_voter: str = _setting("Votes per voter token.", _limit, "30/minute")
    limit_consents: str = _setting("Newsletter sign-ups per network.", _limit, "20/minute")
    limit_corrections: str = _setting("Corrections per network.", _limit, "20/minute")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], directory: Path | None = None) -> Settings:
        """Read every setting once, and make keys for a first run.

        :param environ: usually ``os.environ``.
        :param directory: what ``instance/`` lies in; the working directory by default.
        :raises ConfigError: if a setting is wrong, or production lacks a key. An unknown one is kept in ``unknown``:
            it may belong to a newer release, so it is worth a warning and no more.
        """
        instance = (directory or Path.cwd()) / "instance"
        known = {PREFIX + f.name.upper(): f for f in fields(cls) if "parse" in f.metadata}
        given: dict[str, Any] = {
            "unknown": tuple(
                sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
            )
        }
        for name, spec in known.items():
            if text := environ.get(name, "").strip():
                try:
                    given[spec.name] = spec.metadata["parse"](text)
                except ValueError as error:
                    sentence = f"{name}: {error}"
                    raise ConfigError(
                        sentence if sentence.endswith((".", "?")) else sentence + "."
                    ) from error
        given.setdefault("database_url", _database_url(f"sqlite:///{instance / 'pollsvc.db'}"))
        return cls(instance=instance, **_with_keys(given, instance))

    @property
    def is_production(self) -> bool:
        """An https address is production."""
        return self.public_url.startswith("https://")

    @cached_property
    def limits(self) -> dict[str, str]:
        """The named limits, by the names that :mod:`pollsvc.web.limits` uses."""
        return {
            f.name.removeprefix("limit_"): getattr(self, f.name)
            for f in fields(self)
            if f.name.startswith("limit_")
        }

    def keys(self) -> Keys:
        """The installation's keys, ready to use."""
        return Keys(self.secret_key, self.hash_key, self.encryption_keys)


def _with_keys(given: dict[str, Any], instance: Path) -> dict[str, Any]:
    """Fill in keys that were not given: from ``instance/keys.json``, made at the first run; never in production."""
    missing = [name for name in ("secret_key", "hash_key", "encryption_keys") if name not in given]
    if not missing:
        return given
    if given.get("public_url", "").startswith("https://"):
        named = ", ".join(PREFIX + name.upper() for name in missing)
        raise ConfigError(
            f"An https POLLSVC_PUBLIC_URL is production and needs {named}: `pollsvc keys` prints fresh ones."
        )
    path = instance / "keys.json"
    try:
        if not path.exists():
            _write_once(path, json.dumps(fresh_keys(), indent=1))
        made = json.loads(path.read_text())
        return {
            "secret_key": _secrets(made["secret_key"]),
            "hash_key": _secret(made["hash_key"]),
            "encryption_keys": _encryption_keys(made["encryption_keys"]),
        } | given
    except OSError as error:
        raise ConfigError(
            f"The keys of this installation cannot be kept in {path}: {error.strerror}."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} does not hold the keys of this installation. Put back a copy; without it, ballots and addresses are lost."
        ) from error


def fresh_keys() -> dict[str, str]:
    """New keys for an installation, by setting name in lower case."""
    return {"secret_key": new_secret(), "hash_key": new_secret(), "encryption_keys": new_encryption_key()}


def _write_once(path: Path, text: str) -> None:
    """Write a file that only we may read; where two processes race for it, the first one's text stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A name of its own even among containers that share the folder, where every process has the same number.
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass
    finally:
        Path(scratch).unlink()
