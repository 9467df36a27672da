"""The newsroom's lists, each with the automaton that finds its words; made once for each version and process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, select, tuple_

from pollsvc.comments.policy_models import WordList
from pollsvc.comments.words.domains import Domains
from pollsvc.comments.words.matching import WordMatcher

log = structlog.get_logger("pollsvc")

#: What looks for the entries of a list, by its kind. The checks that bear their names say what a find means.
MATCHERS: Mapping[str, Callable[[Sequence[str], Sequence[str], str], WordMatcher | Domains]] = {
    "banned": WordMatcher,
    "suspect": WordMatcher,
    "banned_domains": lambda domains, exceptions, _: Domains(domains, exceptions),
    "trusted_domains": lambda domains, exceptions, _: Domains(domains, exceptions),
}
#: Those of them that are about where links lead.
DOMAIN_KINDS = tuple(kind for kind in MATCHERS if kind.endswith("_domains"))
#: The language of lists that hold everywhere: undetermined (BCP 47).
EVERYWHERE = "und"


@dataclass(frozen=True)
class ListedWords:
    """One version of one list, ready to look with.

    :param matcher: None where it could not be made.
    """

    kind: str
    language: str
    version: int
    matcher: WordMatcher | Domains | None

    @property
    def label(self) -> str:
        """What a verdict names it by, such as ``en:7``."""
        return f"{self.language}:{self.version}"


class WordLists:
    """The lists as this process last saw them. Each look is told which versions stand, and reads what is new."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], ListedWords] = {}
        self._lock = threading.Lock()

    def of_language(
        self, connection: Connection, standing: Sequence[tuple[str, str, int]], locale: str
    ) -> Mapping[str, Sequence[ListedWords]]:
        """The lists for texts on a site of a language, by kind: that language's and those that hold everywhere.

        :param standing: kind, language and version of each list that stands.
        :param locale: such as ``pt-BR``; its language is what counts.
        """
        languages = (locale.partition("-")[0], EVERYWHERE)
        wanted = [each for each in standing if each[1] in languages]
        stale = [
            (kind, language) for kind, language, version in wanted if not self._has(kind, language, version)
        ]
        if stale:
            self._read(connection, stale)
        lists: dict[str, list[ListedWords]] = {}
        for kind, language, _ in wanted:
            if (kind, language) in self._known:
                lists.setdefault(kind, []).append(self._known[kind, language])
        return lists

    def _has(self, kind: str, language: str, version: int) -> bool:
        known = self._known.get((kind, language))
        return known is not None and known.version >= version

    def _read(self, connection: Connection, wanted: Sequence[tuple[str, str]]) -> None:
        # One at a time: building a long list takes a second, which all threads need not spend.
        with self._lock:
            columns = WordList.kind, WordList.language, WordList.version, WordList.words, WordList.exceptions
            rows = select(*columns).where(tuple_(WordList.kind, WordList.language).in_(wanted))
            for row in connection.execute(rows).all():
                if not self._has(row.kind, row.language, row.version):
                    self._known[row.kind, row.language] = _ready(*row)


def _ready(
    kind: str, language: str, version: int, words: list[str] | None, exceptions: list[str]
) -> ListedWords:
    matcher: WordMatcher | Domains | None = None
    try:
        matcher = MATCHERS[kind](words or [], exceptions, language)
    except Exception as error:  # noqa: BLE001 (a comment must not be lost because of a list)
        told = {"kind": kind, "language": language, "version": version}
        log.error("list unusable", **told, error=type(error).__name__)  # noqa: TRY400 (words of a list do not belong in a log)
    return ListedWords(kind, language, version, matcher)
