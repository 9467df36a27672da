"""The newsroom's lists, each with the automaton that finds its words; made once for each version and process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from pollsvc.comments.policy_models import WordList
from pollsvc.comments.words.matching import WordMatcher

#: The language of lists that hold everywhere: undetermined (BCP 47).
EVERYWHERE = "und"


@dataclass(frozen=True)
class ListedWords:
    """One version of one list, ready to look with."""

    kind: str
    language: str
    version: int
    matcher: WordMatcher

    @property
    def label(self) -> str:
        """What a verdict names it by, such as ``en:7``."""
        return f"{self.language}:{self.version}"


class WordLists:
    """The lists as this process last saw them. Each look asks the database which versions stand, and reads what is new."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], ListedWords] = {}
        self._lock = threading.Lock()

    def of_language(self, session: Session, locale: str) -> Mapping[str, Sequence[ListedWords]]:
        """The lists for texts on a site of a language, by kind: that language's and those that hold everywhere.

        :param locale: such as ``pt-BR``; its language is what counts.
        """
        languages = (locale.partition("-")[0], EVERYWHERE)
        standing = session.execute(
            select(WordList.kind, WordList.language, WordList.version).where(WordList.language.in_(languages))
        ).all()
        stale = [
            (kind, language) for kind, language, version in standing if not self._has(kind, language, version)
        ]
        if stale:
            self._read(session, stale)
        lists: dict[str, list[ListedWords]] = {}
        for kind, language, _ in standing:
            if (kind, language) in self._known:
                lists.setdefault(kind, []).append(self._known[kind, language])
        return lists

    def _has(self, kind: str, language: str, version: int) -> bool:
        known = self._known.get((kind, language))
        return known is not None and known.version >= version

    def _read(self, session: Session, wanted: Sequence[tuple[str, str]]) -> None:
        # One at a time: building a long list takes a second, which all threads need not spend.
        with self._lock:
            rows = session.scalars(
                select(WordList).where(tuple_(WordList.kind, WordList.language).in_(wanted))
            ).all()
            for row in rows:
                if not self._has(row.kind, row.language, row.version):
                    matcher = WordMatcher(row.words, row.exceptions)
                    self._known[row.kind, row.language] = ListedWords(
                        row.kind, row.language, row.version, matcher
                    )
