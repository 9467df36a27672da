"""Shapes of polls, votes and tallies."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import ValidationError
from marshmallow.validate import Length, OneOf

from pollsvc.consent.schemas import ConsentTextSchema
from pollsvc.polls.choices import ChoiceEdit
from pollsvc.polls.models import Kind, Status, Visibility
from pollsvc.voters.schemas import VoterTokenField
from pollsvc.web.fields import Text, Time, Truth, WebUrl, Whole
from pollsvc.web.paging import PageQuerySchema

MOST_CHOICES = 50
_CHOICE_ID = {"least": 1, "most": 32_767}


class ChoiceField(ma.fields.Field[ChoiceEdit]):
    """A choice to make or edit: its text, or ``{id, text}`` for one that exists."""

    def __init__(self, **kwargs: Any) -> None:
        text = {"type": "string", "minLength": 1, "maxLength": 200}
        choice_id = {"type": "integer", "minimum": _CHOICE_ID["least"], "maximum": _CHOICE_ID["most"]}
        choice = {
            "type": "object",
            "properties": {"id": choice_id, "text": text},
            "required": ["text"],
            "additionalProperties": False,
        }
        metadata = {"oneOf": [text, choice]}
        super().__init__(metadata=metadata, **kwargs)
        self._text = Text(200, required=True)
        self._id = Whole(**_CHOICE_ID)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> ChoiceEdit:
        if isinstance(value, str):
            return ChoiceEdit(None, str(self._text.deserialize(value)))
        if not isinstance(value, dict) or not set(value) <= {"id", "text"} or "text" not in value:
            raise ValidationError("Must be a text, or an object with text and, for a choice that exists, id.")
        choice_id = self._id.deserialize(value["id"]) if "id" in value else None
        return ChoiceEdit(choice_id, str(self._text.deserialize(value["text"])))


def _choices(**kwargs: Any) -> ma.fields.List[ChoiceEdit]:
    return ma.fields.List(ChoiceField(), validate=Length(2, MOST_CHOICES), **kwargs)


def _article_urls(**kwargs: Any) -> ma.fields.List[str]:
    return ma.fields.List(WebUrl(), validate=Length(1, 50), **kwargs)


class NewPollSchema(ma.Schema):
    """A poll to make."""

    article_urls = _article_urls(required=True)
    question = Text(500, required=True)
    choices = _choices(required=True)
    kind = ma.fields.String(load_default=Kind.SINGLE.value, validate=OneOf([kind.value for kind in Kind]))
    opens_at = Time(load_default=None, allow_none=True)
    closes_at = Time(load_default=None, allow_none=True)
    results_visibility = ma.fields.String(
        load_default=Visibility.ALWAYS.value, validate=OneOf([each.value for each in Visibility])
    )
    allow_change = Truth(load_default=False)
    max_choices = Whole(1, MOST_CHOICES, load_default=None, allow_none=True)
    consent_text_id = ma.fields.UUID(
        allow_none=True, metadata={"description": "Left out: the site's text. null: no consent line."}
    )


class EditPollSchema(ma.Schema):
    """What to change of a poll; what is left out stays."""

    article_urls = _article_urls()
    question = Text(500)
    choices = _choices()
    kind = ma.fields.String(validate=OneOf([kind.value for kind in Kind]))
    opens_at = Time(allow_none=True)
    closes_at = Time(allow_none=True)
    results_visibility = ma.fields.String(validate=OneOf([each.value for each in Visibility]))
    allow_change = Truth()
    max_choices = Whole(1, MOST_CHOICES, allow_none=True)
    consent_text_id = ma.fields.UUID(allow_none=True)
    version = Whole(1, 2**31 - 1, load_default=None, metadata={"description": "The version you read."})


class NewVoteSchema(ma.Schema):
    """A ballot."""

    choices = ma.fields.List(
        Whole(**_CHOICE_ID),
        required=True,
        validate=Length(1, MOST_CHOICES),
        metadata={"uniqueItems": True, "description": "Ids of choices"},
    )
    voter_token = VoterTokenField()

    @ma.validates("choices")
    def _refuse_repeats(self, choices: list[int], **_kwargs: Any) -> None:
        if len(set(choices)) != len(choices):
            raise ValidationError("Names a choice twice.")


class ChoiceSchema(ma.Schema):
    """A choice; ids are 1, 2, 3… and never reused."""

    id = ma.fields.Integer(required=True)
    text = ma.fields.String(required=True)


class CountSchema(ChoiceSchema):
    """How a choice stands."""

    votes = ma.fields.Integer(required=True)
    percent = ma.fields.Raw(
        required=True,
        metadata={"type": "number", "description": "Of votes; of voters where several choices are taken"},
    )


class TallySchema(ma.Schema):
    """How a poll stands."""

    poll_id = ma.fields.String(required=True)
    total_voters = ma.fields.Integer(required=True)
    choices = ma.fields.List(ma.fields.Nested(CountSchema), required=True)
    as_of = ma.fields.AwareDateTime(required=True, metadata={"description": "When the tally last changed"})


class VoteSchema(ma.Schema):
    """What became of a vote; results are null where they are hidden."""

    status = ma.fields.String(required=True, metadata={"enum": ["counted", "already_counted", "changed"]})
    results = ma.fields.Nested(TallySchema, required=True, allow_none=True)


class PollSchema(ma.Schema):
    """A poll as readers see it."""

    id = ma.fields.String(required=True)
    question = ma.fields.String(required=True)
    kind = ma.fields.String(required=True, metadata={"enum": [kind.value for kind in Kind]})
    choices = ma.fields.List(ma.fields.Nested(ChoiceSchema), required=True)
    status = ma.fields.String(required=True, metadata={"enum": [status.value for status in Status]})
    opens_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    closes_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    results_visibility = ma.fields.String(
        required=True, metadata={"enum": [each.value for each in Visibility]}
    )
    allow_change = ma.fields.Boolean(required=True)
    max_choices = ma.fields.Integer(required=True)
    article_urls = ma.fields.List(ma.fields.String(), required=True)
    consent_text = ma.fields.Nested(ConsentTextSchema, required=True, allow_none=True)
    results = ma.fields.Nested(TallySchema, required=True, allow_none=True)


class ArticlePollsSchema(ma.Schema):
    """The polls of an article, open to readers."""

    items = ma.fields.List(ma.fields.Nested(PollSchema), required=True)


class StaffPollSchema(PollSchema):
    """A poll as the newsroom sees it."""

    version = ma.fields.Integer(required=True)
    site_id = ma.fields.String(required=True)
    created_at = ma.fields.AwareDateTime(required=True)
    updated_at = ma.fields.AwareDateTime(required=True)
    closed_at = ma.fields.AwareDateTime(required=True, allow_none=True, attribute="course.closed_at")
    withdrawn_at = ma.fields.AwareDateTime(required=True, allow_none=True, attribute="course.withdrawn_at")


class StaffPollWithSnippetSchema(StaffPollSchema):
    """A poll, and the HTML to paste into its article."""

    embed_html = ma.fields.String(required=True)


class DifferenceSchema(ma.Schema):
    """By how much a count was off before it was rebuilt."""

    choice_id = ma.fields.Integer(required=True)
    votes = ma.fields.Integer(required=True)
    voters = ma.fields.Integer(required=True)


class RecountSchema(TallySchema):
    """The rebuilt tally, and what had been different."""

    differences = ma.fields.List(ma.fields.Nested(DifferenceSchema), required=True)


class ArticleQuerySchema(ma.Schema):
    """Which article."""

    article_url = WebUrl(required=True)


class PollQuerySchema(PageQuerySchema):
    """Which polls."""

    article_url = WebUrl(load_default=None)


class VoterTokenHeaderSchema(ma.Schema):
    """The reader's identity, where the answer depends on it."""

    voter_token = ma.fields.String(
        data_key="X-Voter-Token", load_default=None, metadata={"description": "From POST /v1/voters"}
    )

    class Meta:
        """A request has many other headers."""

        unknown = ma.EXCLUDE
