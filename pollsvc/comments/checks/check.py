"""What a check is, what it is given, and what it gives."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import structlog

from pollsvc.comments.checks.word_lists import ListedWords
from pollsvc.comments.words.squeezing import Reader

log = structlog.get_logger("pollsvc")

State = Literal["done", "failed", "pending"]
#: Seconds after which what a check says no longer counts. Readers wait for each of them, and none can be stopped half way: what
#: asks others, or thinks for long, is asked over HTTP, by the worker.
LONGEST = 3


@dataclass(frozen=True)
class WriterFacts:
    """What is known of a writer by their voter identity or account; nothing by an address, which is only typed.

    :param approved: comments whose standing text somebody of the newsroom approved; counted up to a few.
    :param rejected: comments of the last days that were rejected or called spam.
    :param lately: comments of the last minutes.
    :param is_address_banned: whether the address that was typed is one whose comments are held.
    """

    approved: int
    rejected: int
    lately: int
    is_address_banned: bool


@dataclass(frozen=True)
class Likeness:
    """A text that came before.

    :param score: how alike it is, up to 1 where the letters are the same.
    :param is_own: whether the same writer sent it.
    """

    score: float
    is_own: bool


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A revision of a comment, as the checks see it.

    :param body: the text, normalised.
    :param name: what its writer calls themselves.
    :param shown: what of it can be read: the letters without the marks, where they differ.
    :param links: where its links lead, in their order.
    :param typed: how each of them stands in the body.
    :param is_premoderated: whether the article's comments are all read before they are shown.
    :param was_approved: whether it changes a text that somebody of the newsroom had approved.
    :param is_suspect: whether a program seems to have filled the form.
    :param likenesses: texts of the last days that are the same or nearly so.
    :param words: the lists that hold for its article, by kind.
    :param own_hosts: hosts of the site itself.
    :param reader: reads its texts for lists of words, each once.
    """

    body: str
    name: str
    links: Sequence[str]
    typed: Sequence[str]
    is_premoderated: bool
    was_approved: bool
    is_suspect: bool
    writer: WriterFacts
    likenesses: Sequence[Likeness] = ()
    words: Mapping[str, Sequence[ListedWords]] = field(default_factory=dict)
    own_hosts: frozenset[str] = frozenset()
    shown: str = ""
    reader: Reader = field(default_factory=Reader, compare=False)


class Opinion(NamedTuple):
    """What a check makes of a submission.

    :param score: from 0, harmless, to 1.
    :param reason: why, for the newsroom; never a word of the text.
    :param spans: the places in the body that it is about: offsets in characters, end exclusive.
    :param version: of what it looked with beside itself, such as a list; empty where there is nothing.
    """

    score: float
    reason: str = ""
    spans: Sequence[tuple[int, int]] = ()
    version: str = ""


class Verdict(NamedTuple):
    """An opinion, with whose it is and how it came about."""

    name: str
    version: str
    state: State
    score: float
    reason: str
    spans: Sequence[tuple[int, int]]
    milliseconds: float


class Check(Protocol):
    """One thing to look at. It keeps nothing between submissions, and never decides."""

    @property
    def name(self) -> str:
        """What policies call it, such as ``links``."""
        ...

    @property
    def version(self) -> str:
        """Changes with what it does, so that an old verdict can be told from a new one."""
        ...

    def look(self, submission: Submission) -> Opinion:
        """Give an opinion. Whatever it raises is a verdict too: that it failed."""
        ...


def run_checks(
    checks: Iterable[Check], submission: Submission, clock: Callable[[], float] = time.perf_counter
) -> list[Verdict]:
    """Let every check look, whatever the others said. One that fails, or takes longer than :data:`LONGEST`, is told as failed;
    the policy says what that means.

    :param clock: seconds.
    """
    return [_run(check, submission, clock) for check in checks]


def _run(check: Check, submission: Submission, clock: Callable[[], float]) -> Verdict:
    began, state, version = clock(), "done", check.version
    try:
        opinion = _plain(check.look(submission))
    except Exception as error:  # noqa: BLE001 (a comment must not be lost because a check has a fault)
        log.warning("check failed", check=check.name, kind=type(error).__name__)
        state, opinion = "failed", Opinion(0, f"It failed: {type(error).__name__}.")
    took = clock() - began
    if took > LONGEST:
        log.warning("check too slow", check=check.name, seconds=round(took, 1))
        state, opinion = "failed", Opinion(0, f"It took {took:.1f} s, and may take {LONGEST}.")
    if opinion.version:
        version = f"{version} {opinion.version}"
    return Verdict(
        check.name,
        version,
        "failed" if state == "failed" else "done",
        opinion.score,
        opinion.reason,
        opinion.spans,
        took * 1000,
    )


def _plain(opinion: Opinion) -> Opinion:
    """An opinion in nothing but numbers and text, as it is stored: what a check computes with may be of other kinds.

    :raises ValueError, TypeError: if the score is no number, or a span is none.
    """
    score = float(opinion.score)
    if math.isnan(score):
        raise ValueError("a score that is no number")
    spans = [(int(start), int(end)) for start, end in opinion.spans]
    return Opinion(min(max(score, 0.0), 1.0), str(opinion.reason), spans, str(opinion.version))
