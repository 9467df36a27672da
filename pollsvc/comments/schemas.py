"""Shapes of comments, as readers send and see them."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from pollsvc.comments.models import REPORT_REASONS, Status
from pollsvc.comments.threads import Order
from pollsvc.voters.schemas import VoterTokenField
from pollsvc.web.fields import Email, Text, WebUrl, Whole
from pollsvc.web.forms import FormSignalsSchema
from pollsvc.web.paging import PageQuerySchema

LONGEST_BODY = 5_000
LONGEST_NAME = 100
_STATUSES = [str(status) for status in Status]
_TOKEN = {"description": "A token of the publisher's login, in place of a voter token, name and email."}


def _body(**kwargs: Any) -> Text:
    return Text(
        LONGEST_BODY,
        multiline=True,
        required=True,
        metadata={"description": "Plain text; simple Markdown and http(s) addresses are shown as such."},
        **kwargs,
    )


class NewCommentSchema(FormSignalsSchema):
    """A comment to write."""

    article_url = WebUrl(required=True)
    parent_id = ma.fields.UUID(load_default=None, allow_none=True)
    name = Text(LONGEST_NAME, load_default=None)
    email = Email(load_default=None)
    body = _body()
    voter_token = VoterTokenField()
    account_token = ma.fields.String(
        load_default=None, allow_none=True, validate=ma.validate.Length(max=4_000), metadata=_TOKEN
    )

    @ma.validates_schema
    def _needs_somebody(self, data: dict[str, Any], **_: object) -> None:
        if data.get("account_token") is not None:
            return
        missing = {
            name: ["Missing data for required field."] for name in ("name", "email") if data[name] is None
        }
        if missing:
            raise ma.ValidationError(missing)


class EditCommentSchema(FormSignalsSchema):
    """What a comment is to say instead."""

    body = _body()
    version = Whole(1, 2**31 - 1, required=True)


class NewReportSchema(FormSignalsSchema):
    """What is wrong with a comment."""

    reason = ma.fields.String(required=True, validate=ma.validate.OneOf(REPORT_REASONS))
    note = Text(1_000, load_default=None, allow_none=True, multiline=True)
    voter_token = VoterTokenField()


class WriterHeadersSchema(ma.Schema):
    """Who asks: one of both."""

    class Meta:
        """Other headers are none of ours."""

        unknown = ma.EXCLUDE

    voter_token = ma.fields.String(
        data_key="X-Voter-Token", load_default=None, metadata={"description": "From POST /v1/voters"}
    )
    account_token = ma.fields.String(
        data_key="X-Account-Token", load_default=None, validate=ma.validate.Length(max=4_000), metadata=_TOKEN
    )


class ReceivedCommentSchema(ma.Schema):
    """What became of a comment. One that was turned down automatically looks held."""

    id = ma.fields.UUID(required=True)
    status = ma.fields.String(required=True, metadata={"enum": _STATUSES})
    version = ma.fields.Integer(required=True)


class ReceivedReportSchema(ma.Schema):
    """That a report arrived, or was there already."""

    message = ma.fields.String(required=True)


class ThreadQuerySchema(PageQuerySchema):
    """Which part of which thread."""

    article_url = WebUrl(required=True)
    parent_id = ma.fields.UUID(
        load_default=None,
        metadata={"description": "The replies to this comment; left out: those at the top."},
    )
    order = ma.fields.String(
        load_default=None,
        validate=ma.validate.OneOf([str(order) for order in Order]),
        metadata={"description": "Left out: newest at the top, oldest below a comment."},
    )


class ShownCommentSchema(ma.Schema):
    """A comment in its thread."""

    id = ma.fields.UUID(required=True)
    parent_id = ma.fields.UUID(required=True, allow_none=True)
    depth = ma.fields.Integer(required=True)
    status = ma.fields.String(
        required=True,
        metadata={
            "enum": ["published", "held", "removed"],
            "description": "held: it is being looked at again; removed: it is gone. Both stand for their replies.",
        },
    )
    name = ma.fields.String(required=True, allow_none=True)
    body = ma.fields.String(required=True, allow_none=True, metadata={"description": "As it was written."})
    html = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "As it is shown: p br em strong code pre blockquote ul ol li a."},
    )
    is_featured = ma.fields.Boolean(required=True)
    is_account = ma.fields.Boolean(required=True)
    replies = ma.fields.Integer(
        required=True, metadata={"description": "Published comments anywhere below it."}
    )
    created_at = ma.fields.AwareDateTime(required=True)
    edited_at = ma.fields.AwareDateTime(required=True, allow_none=True)


class ThreadSchema(ma.Schema):
    """A page of a thread, and how the article takes comments."""

    items = ma.fields.List(ma.fields.Nested(ShownCommentSchema), required=True)
    next_cursor = ma.fields.String(required=True, allow_none=True)
    comments = ma.fields.String(required=True, metadata={"enum": ["open", "premoderated", "closed", "off"]})
    total = ma.fields.Integer(required=True, metadata={"description": "Published comments of the article."})
    article_url = ma.fields.String(required=True, metadata={"description": "Its canonical address."})
    reply_depth = ma.fields.Integer(
        required=True, metadata={"description": "How deep replies nest: a comment of this depth takes none."}
    )


class ChainSchema(ma.Schema):
    """One comment below all that it hangs below."""

    article_url = ma.fields.String(required=True)
    items = ma.fields.List(ma.fields.Nested(ShownCommentSchema), required=True)


class CountsQuerySchema(ma.Schema):
    """Which articles; the parameter repeats."""

    article_url = ma.fields.List(WebUrl(), required=True, validate=ma.validate.Length(1, 50))


class ArticleCountSchema(ma.Schema):
    """How many comments an article shows."""

    article_url = ma.fields.String(required=True, metadata={"description": "As it was asked for."})
    total = ma.fields.Integer(required=True)


class CountsSchema(ma.Schema):
    """Counts, one for each address in the order asked for."""

    items = ma.fields.List(ma.fields.Nested(ArticleCountSchema), required=True)


class OwnQuerySchema(PageQuerySchema):
    """Below which article; all where left out."""

    article_url = WebUrl(load_default=None)


class ReasonSchema(ma.Schema):
    """Why a comment is not shown."""

    code = ma.fields.String(required=True)
    text = ma.fields.String(required=True)


class OwnCommentSchema(ma.Schema):
    """A comment, for its writer."""

    id = ma.fields.UUID(required=True)
    article_url = ma.fields.String(required=True)
    parent_id = ma.fields.UUID(required=True, allow_none=True)
    name = ma.fields.String(required=True, allow_none=True)
    body = ma.fields.String(required=True, allow_none=True)
    html = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "As it is shown, or would be."}
    )
    status = ma.fields.String(required=True, metadata={"enum": _STATUSES})
    version = ma.fields.Integer(required=True)
    revision = ma.fields.Integer(required=True)
    reason = ma.fields.Nested(ReasonSchema, required=True, allow_none=True)
    created_at = ma.fields.AwareDateTime(required=True)
    edited_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    can_edit_until = ma.fields.AwareDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "null: it cannot be edited (any more), or its article takes no comments."},
    )
