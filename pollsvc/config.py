"""Every setting: its name, type, default and meaning. The only module that reads the environment.

A setting is the upper-case name of a field below behind ``POLLSVC_``. A missing or wrong one stops the start with a
sentence that says what to do.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from pollsvc import setting_values as values
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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one installation, parsed and checked."""

    instance: Path
    unknown: tuple[str, ...] = ()
    database_url: str = _setting(
        "Where everything is kept: sqlite:///file or postgresql://user:password@host/name. "
        "Default: pollsvc.db in instance/ of the working directory.",
        values.database_url,
        "",
        is_secret=True,
    )
    redis_url: str | None = _setting(
        "Where rate limits are counted when several processes run: redis://host:6379/0. Default: memory of each process.",
        values.redis_url,
        is_secret=True,
    )
    public_url: str = _setting(
        "The address readers reach this service at. Links, cookie flags and the scheme come from it; an https one is "
        "production and requires the three keys. Default: the address that `pollsvc serve` listens on.",
        values.public_url,
        "http://127.0.0.1:8000",
    )
    secret_key: tuple[str, ...] = _setting(
        "Signing keys, comma separated: the first signs, all verify. At least 32 characters each.",
        values.secrets,
        (),
        is_secret=True,
    )
    hash_key: str = _setting(
        "Key of voter keys and look-up hashes, at least 32 characters. Never change it: ballots hang on it.",
        values.secret,
        "",
        is_secret=True,
    )
    encryption_keys: tuple[str, ...] = _setting(
        "Fernet keys for addresses and unpublished texts, comma separated: the first encrypts, all decrypt.",
        values.encryption_keys,
        (),
        is_secret=True,
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = _setting(
        "Networks, comma separated, whose X-Forwarded-For is believed. Default: none.", parse_networks, ()
    )
    metrics_port: int | None = _setting(
        "A port of its own for /metrics on the host that `serve` listens on, without a token. Default: none.",
        values.port,
    )
    log_level: str = _setting("debug, info, warning or error.", values.log_level, "info")
    database_pool: int = _setting(
        "Database connections of one process at the most, beside 5 for votes, comments and results.",
        values.whole,
        16,
    )
    limit_staff: str = _setting("Newsroom calls per API token.", values.limit, "1200/minute")
    limit_voters: str = _setting("New voter tokens per network.", values.limit, "600/minute")
    limit_votes: str = _setting("Votes per network.", values.limit, "600/minute")
    limit_votes_per_voter: str = _setting("Votes per voter token.", values.limit, "30/minute")
    limit_consents: str = _setting("Newsletter sign-ups per network.", values.limit, "20/minute")
    limit_corrections: str = _setting("Corrections per network.", values.limit, "20/minute")
    limit_comments: str = _setting("Comments, edits and reports per network.", values.limit, "60/minute")
    limit_comments_per_voter: str = _setting(
        "Comments, edits and reports per voter token, or account of a login.", values.limit, "10/minute"
    )
    limit_links: str = _setting(
        "Presses of a button behind a mail's link, and sign-ups taken back, per network.",
        values.limit,
        "600/minute",
    )
    smtp_url: str | None = _setting(
        "Where mail is handed over: smtp://user:password@host:587 (STARTTLS) or smtps://…:465. "
        "Default: mails become files in instance/mail/.",
        values.smtp_url,
        is_secret=True,
    )
    mail_from: str | None = _setting(
        "The address that mail comes from. Default: pollsvc@ and the host of the public URL.",
        values.mail_address,
    )
    queue_url: str | None = _setting(
        "What wakes the worker: sqlite:///file, postgresql://… or redis://…. "
        "Default: Redis where it is set, else the kind of the database.",
        values.queue_url,
        is_secret=True,
    )
    private_hosts: frozenset[str] = _setting(
        "Hosts, comma separated, that webhooks reach although they lie in a private network, over http too. Default: none.",
        values.hosts,
        frozenset(),
    )
    disposable_domains: frozenset[str] = _setting(
        "Domains, comma separated or one a line in @/a/file, whose addresses get no mail. Default: none.",
        values.domains,
        frozenset(),
    )
    comment_depth: int = _setting("How deep replies to comments nest; 0: there are none.", values.depth, 4)
    comment_edit_minutes: int = _setting(
        "Minutes in which a comment can be edited; 0: not at all.", values.minutes, 15
    )
    renewal_days: int = _setting("Days to answer when a text changed in substance.", values.whole, 30)
    retain_mail_days: int = _setting(
        "Days that the record of a delivery, and a mail's file, are kept.", values.whole, 30
    )
    retain_correction_days: int = _setting(
        "Days after its decision that a correction's name, address and texts are kept.", values.whole, 365
    )
    retain_comment_days: int = _setting(
        "Days after its removal or rejection that a comment's name, address and texts are kept; a report, after it was settled.",
        values.whole,
        90,
    )
    retain_proof_days: int = _setting(
        "Days after a withdrawal or an expiry that the address is kept beside its proof.", values.whole, 1_095
    )

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
        given.setdefault("database_url", values.database_url(f"sqlite:///{instance / 'pollsvc.db'}"))
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
            "secret_key": values.secrets(made["secret_key"]),
            "hash_key": values.secret(made["hash_key"]),
            "encryption_keys": values.encryption_keys(made["encryption_keys"]),
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
