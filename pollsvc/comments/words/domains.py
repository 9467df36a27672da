"""Lists of domains, by which links are told apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pollsvc.articles.urls import host_of


class Domains:
    """Domains, each with all that lies below it.

    :param domains: such as ``spam.example``; an address of the internet protocol stands for itself.
    :param exceptions: domains below them that do not count.
    :raises ValueError: if an entry is none; the sentence names it.
    """

    def __init__(self, domains: Sequence[str], exceptions: Sequence[str] = ()) -> None:
        self._listed, self._exceptions = dict(_read(domains)), dict(_read(exceptions))

    def holds(self, host: str) -> str | None:
        """The entry, as given, that a canonical host is or lies below; the nearest one, and None where an exception is nearer."""
        for domain in _above(host):
            if domain in self._exceptions:
                return None
            if domain in self._listed:
                return self._listed[domain]
        return None


def _read(entries: Iterable[str]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        host = host_of(f"https://{entry}/")
        # A whole top-level domain is more likely a slip of the pen than meant, and so is a part of an address of numbers; what is
        # no host at all has none either.
        is_slip = _is_address(host) and host != entry
        if is_slip or ("." not in host and ":" not in host) or set(entry) & set("/?#@\\ "):
            raise ValueError(f"“{entry}” is no domain such as spam.example.")
        yield host, entry


def _above(host: str) -> Iterator[str]:
    yield host
    while "." in host and not _is_address(host):
        host = host.partition(".")[2]
        yield host


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit()
