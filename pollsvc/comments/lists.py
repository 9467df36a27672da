"""The newsroom's lists of words: each change is a version of its own, and leaves a row in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from sqlalchemy import Text, cast, func, select
from sqlalchemy.orm import Session

from pollsvc.comments.checks.word_lists import DOMAIN_KINDS, MATCHERS
from pollsvc.comments.policy_models import WordList
from pollsvc.comments.words.domains import Domains
from pollsvc.comments.words.matching import WordMatcher
from pollsvc.db import insert_into
from pollsvc.errors import Invalid, NotFound, StaleVersion
from pollsvc.staff.service import record

#: What a list's words do: see the checks that bear these names.
KINDS = tuple(MATCHERS)
#: Entries that a refusal names: whoever sends a hundred thousand wrong ones need not read of each.
MOST_TOLD = 20


class ListNotFound(NotFound):
    """There is no list of this kind in this language."""

    code = "list_not_found"
    detail = "There is no list of this kind in this language."


@dataclass(frozen=True)
class ListSize:
    """A list, without its words.

    :param words: how many entries it has.
    :param exceptions: how many phrases in which a find does not count.
    """

    kind: str
    language: str
    version: int
    words: int
    exceptions: int
    updated_at: datetime
    updated_by: str


_SIZES = select(
    WordList.kind,
    WordList.language,
    WordList.version,
    func.json_array_length(WordList.words).label("words"),
    func.json_array_length(WordList.exceptions).label("exceptions"),
    WordList.updated_at,
    WordList.updated_by,
).where(cast(WordList.words, Text) != "null")


def read_sizes(session: Session) -> Sequence[ListSize]:
    """Every list, by kind and language."""
    rows = session.execute(_SIZES.order_by(WordList.kind, WordList.language))
    return [ListSize(*row) for row in rows]


def size_of(words: WordList) -> ListSize:
    """A list that was read, without its words."""
    return ListSize(
        words.kind,
        words.language,
        words.version,
        len(words.words or ()),
        len(words.exceptions),
        words.updated_at,
        words.updated_by,
    )


def get_list(session: Session, kind: str, language: str) -> WordList:
    """A list with its words.

    :raises ListNotFound: if there is none, or it was deleted.
    """
    found = session.get(WordList, (kind, language))
    if found is None or found.words is None:
        raise ListNotFound
    return found


def check_entries(kind: str, words: Sequence[str], exceptions: Sequence[str]) -> None:
    """Refuse entries that would find nothing: whoever lists them believes in them.

    :raises Invalid: if there are such; the fields are those of the first few, as ``words.3``.
    """
    why_not = _why_no_domain if kind in DOMAIN_KINDS else _why_no_word
    wrong = (
        (f"{field}.{place}", sentence)
        for field, entries in (("words", words), ("exceptions", exceptions))
        for place, entry in enumerate(entries)
        if (sentence := why_not(entry))
    )
    if fields := dict(islice(wrong, MOST_TOLD)):
        raise Invalid(fields=fields)


def _why_no_domain(entry: str) -> str | None:
    try:
        Domains([entry])
    except ValueError as error:
        return str(error)
    return None


def _why_no_word(entry: str) -> str | None:
    # Where there is a letter or a number, something remains of it.
    if any(map(str.isalnum, entry)) or WordMatcher([entry]).find(entry):
        return None
    return "Nothing of it could be found in a text."


def replace_list(
    session: Session,
    kind: str,
    language: str,
    *,
    words: Sequence[str],
    exceptions: Sequence[str],
    version: int | None,
    actor: str,
    now: datetime,
) -> WordList:
    """Let a list say this from now on, whether there was one or not. What it says already changes nothing.

    :param words: normalised, each once; without any the list finds nothing.
    :param version: of the list as the caller saw it, 0 where there was none; None: whatever it says by now.
    :raises StaleVersion: if it changed since; ``current`` tells its version.
    """
    found = _locked(session, kind, language)
    if found is None:
        # Two may make it at this moment: the key decides, and the other one finds it.
        row = insert_into(session, WordList).values(
            kind=kind,
            language=language,
            version=1,
            words=None,
            exceptions=[],
            updated_at=now,
            updated_by=actor,
        )
        is_made = session.scalar(row.on_conflict_do_nothing().returning(WordList.version)) is not None
        found = _read_locked(session, kind, language)
    else:
        is_made = False
    _compare(found, version)
    if not is_made and found.words == list(words) and found.exceptions == list(exceptions):
        return found
    before, gone = size_of(found), set(found.words or ())
    found.version += 0 if is_made else 1
    found.words, found.exceptions = list(words), list(exceptions)
    found.updated_at, found.updated_by = now, actor
    detail = {
        "version": found.version,
        "words": {"before": before.words, "after": len(words)},
        "exceptions": {"before": before.exceptions, "after": len(exceptions)},
        "added": len(set(words) - gone),
        "taken_away": len(gone - set(words)),
    }
    _record(session, found, "word_list.replaced", detail)
    return found


def delete_list(
    session: Session, kind: str, language: str, *, version: int | None, actor: str, now: datetime
) -> WordList:
    """Take a list away. Its row stays for the number: a list of this name that comes later goes on counting.

    :param version: of the list as the caller saw it; None: whatever it says by now.
    :raises ListNotFound: if there is none.
    :raises StaleVersion: if it changed since; ``current`` tells its version.
    """
    found = _locked(session, kind, language)
    if found is None or found.words is None:
        raise ListNotFound
    _compare(found, version)
    before = size_of(found)
    # Processes keep what they built by its version, which must therefore never stand for something else.
    found.version += 1
    found.words, found.exceptions = None, []
    found.updated_at, found.updated_by = now, actor
    detail = {
        "version": found.version,
        "words": {"before": before.words, "after": 0},
        "exceptions": {"before": before.exceptions, "after": 0},
    }
    _record(session, found, "word_list.deleted", detail)
    return found


def _compare(found: WordList, version: int | None) -> None:
    stands = 0 if found.words is None else found.version
    if version is not None and version != stands:
        raise StaleVersion(extra={"current": {"version": stands}})


def _record(session: Session, found: WordList, action: str, detail: dict[str, object]) -> None:
    subject = ("word_list", f"{found.kind}/{found.language}")
    record(
        session, actor=found.updated_by, action=action, subject=subject, now=found.updated_at, detail=detail
    )


def _locked(session: Session, kind: str, language: str) -> WordList | None:
    return session.get(WordList, (kind, language), with_for_update=True, populate_existing=True)


def _read_locked(session: Session, kind: str, language: str) -> WordList:
    return session.get_one(WordList, (kind, language), with_for_update=True, populate_existing=True)
