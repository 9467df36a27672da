"""Shapes of what the newsroom sets about comments: lists of words, bans. Policies have theirs in `policy_schemas`."""

from __future__ import annotations

from typing import Any
from unicodedata import is_normalized

import marshmallow as ma

from pollsvc.comments.bans import WAYS
from pollsvc.comments.lists import KINDS, MOST_TOLD
from pollsvc.comments.models import DECISION_REASONS
from pollsvc.text import is_blank
from pollsvc.web.fields import Text, Time, Whole
from pollsvc.web.paging import PageQuerySchema

#: Entries of a list, and characters of one.
MOST_ENTRIES = 100_000
LONGEST_ENTRY = 100
#: Too short for the marks in a row that a text may not have.
_SHORT = 30
_VERSION = {
    "description": "Of the list as you saw it, 0 where there was none; left out: whatever it says by now."
}


class Entries(ma.fields.List[Any]):
    """Words and phrases, each once, in the order given; the first few that break a rule are named."""

    def __init__(self, **kwargs: Any) -> None:
        self._entry = Text(LONGEST_ENTRY)
        super().__init__(self._entry, validate=ma.validate.Length(max=MOST_ENTRIES), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        if len(value) > MOST_ENTRIES:
            raise ma.ValidationError(f"Longer than maximum length {MOST_ENTRIES}.")
        entries: dict[str, None] = {}
        wrong: dict[int, Any] = {}
        for number, given in enumerate(value):
            try:
                entries[self._read(given)] = None
            except ma.ValidationError as error:
                wrong[number] = error.messages
                if len(wrong) == MOST_TOLD:
                    break
        if wrong:
            raise ma.ValidationError(wrong)
        return list(entries)

    def _read(self, given: Any) -> str:
        # Nearly all of a long list is short, printable and composed already: of these nothing is refused or changed, and the
        # field's own rules would take ten times as long. What is printable holds no control, and no white space but U+0020.
        if (
            isinstance(given, str)
            and len(given) <= _SHORT
            and given.isprintable()
            and is_normalized("NFC", given)
            and not is_blank(given)
        ):
            return given.strip()
        entry: str = self._entry.deserialize(given)
        return entry


class NewWordListSchema(ma.Schema):
    """What a list is to say."""

    words = Entries(
        required=True,
        metadata={
            "description": "Words and phrases, literally: no sign in them is a pattern. Of the lists of domains, domains."
        },
    )
    exceptions = Entries(
        load_default=list,
        metadata={"description": "Words and phrases, or domains, in which a find does not count."},
    )
    version = Whole(0, 2**31 - 1, load_default=None, allow_none=True, metadata=_VERSION)


class DeleteWordListSchema(ma.Schema):
    """Which state of a list is to go."""

    version = Whole(1, 2**31 - 1, load_default=None, allow_none=True, metadata=_VERSION)


class WordListSizeSchema(ma.Schema):
    """A list, without its words."""

    kind = ma.fields.String(required=True, metadata={"enum": list(KINDS)})
    language = ma.fields.String(required=True, metadata={"description": "und: it holds in every language."})
    version = ma.fields.Integer(required=True, metadata={"description": "Grows by one with each change."})
    words = ma.fields.Integer(required=True, metadata={"description": "How many."})
    exceptions = ma.fields.Integer(required=True, metadata={"description": "How many."})
    updated_at = ma.fields.AwareDateTime(required=True)
    updated_by = ma.fields.String(required=True)


class WordListSizesSchema(ma.Schema):
    """All lists, by kind and language."""

    items = ma.fields.List(ma.fields.Nested(WordListSizeSchema), required=True)


class WordListSchema(WordListSizeSchema):
    """A list."""

    words = ma.fields.List(ma.fields.String(), required=True)  # type: ignore[assignment]
    exceptions = ma.fields.List(ma.fields.String(), required=True)  # type: ignore[assignment]


class NewBanSchema(ma.Schema):
    """Whom to ban: whoever wrote a comment, or what comes with the address that was typed there."""

    comment_id = ma.fields.UUID(required=True)
    by = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(WAYS),
        metadata={
            "description": "writer: what they send is refused. email: what comes with that address is held."
        },
    )
    reason_code = ma.fields.String(required=True, validate=ma.validate.OneOf(DECISION_REASONS))
    ends_at = Time(
        load_default=None, allow_none=True, metadata={"description": "Left out or null: until it is lifted."}
    )


class BanQuerySchema(PageQuerySchema):
    """Which bans."""

    in_force = ma.fields.Boolean(load_default=None, truthy={"true"}, falsy={"false"})


class BanSchema(ma.Schema):
    """A ban."""

    id = ma.fields.UUID(required=True)
    comment_id = ma.fields.UUID(
        required=True,
        allow_none=True,
        metadata={"description": "The comment that it was made for; null once its writer was forgotten."},
    )
    by = ma.fields.String(required=True, metadata={"enum": list(WAYS)})
    writer = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The id of the comment's writer at the desk; null of a ban by address."},
    )
    reason_code = ma.fields.String(required=True, metadata={"enum": list(DECISION_REASONS)})
    ends_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    lifted_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    created_by = ma.fields.String(required=True)
    created_at = ma.fields.AwareDateTime(required=True)
