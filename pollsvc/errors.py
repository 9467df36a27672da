"""The kinds of failure a rule can raise.

A rule raises an error that is named for the fact (``PollClosed``) and carries a stable ``code``. One table, in
:mod:`pollsvc.web.errors`, gives each *kind* below its HTTP status; nothing ever matches on text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class PollsvcError(Exception):
    """A rule was broken.

    :param detail: what happened and what to do about it, for a person; the class's own sentence by default.
    :param fields: the fields of the input that broke the rule, each with a sentence.
    :param extra: further members of the problem document, such as ``current`` of a stale version.
    """

    code: ClassVar[str]
    detail: str = "The request could not be carried out."

    def __init__(
        self,
        detail: str | None = None,
        *,
        fields: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.detail = detail or type(self).detail
        self.fields = dict(fields or {})
        self.extra = dict(extra or {})
        super().__init__(self.detail)


class Invalid(PollsvcError):
    """The input breaks a rule; the fields that do are named."""

    code = "invalid"


class NotAuthenticated(PollsvcError):
    """Nobody, or nobody we know, is asking."""

    code = "not_authenticated"


class NotAllowed(PollsvcError):
    """We know who is asking; they may not."""

    code = "not_allowed"


class NotFound(PollsvcError):
    """There is no such thing, or not for this caller."""

    code = "not_found"


class Gone(PollsvcError):
    """It was here, and was taken away on purpose."""

    code = "gone"


class Conflict(PollsvcError):
    """The request is right, but the thing is in a state that refuses it."""

    code = "conflict"


class TooMany(PollsvcError):
    """A limit was reached."""

    code = "too_many"
    retry_after: int = 60


class Unavailable(PollsvcError):
    """A part is busy or down; nothing was stored and the same request may be sent again."""

    code = "unavailable"
    retry_after: int = 2


class StaleVersion(Conflict):
    """The thing changed since the caller read it."""

    code = "stale_version"
    detail = "This has changed since you read it. Read it again, then decide."


def one_field(name: str, sentence: str) -> Invalid:
    """An :class:`Invalid` about a single field."""
    return Invalid(sentence, fields={name: sentence})


__all__: Sequence[str] = [
    "Conflict",
    "Gone",
    "Invalid",
    "NotAllowed",
    "NotAuthenticated",
    "NotFound",
    "PollsvcError",
    "StaleVersion",
    "TooMany",
    "Unavailable",
    "one_field",
]
