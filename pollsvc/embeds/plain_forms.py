"""Plain HTML forms: read strictly, and shown again as they were filled in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, TypeVar

import marshmallow as ma
from flask import request
from marshmallow import ValidationError
from marshmallow.validate import Length, Range
from werkzeug.exceptions import UnsupportedMediaType

from pollsvc.errors import Invalid
from pollsvc.polls.schemas import MOST_CHOICES
from pollsvc.web.api import DEFAULT_CAP
from pollsvc.web.errors import flatten
from pollsvc.web.forms import FormSignalsSchema, is_suspect, issue_form_token
from pollsvc.web.marks import mark
from pollsvc.web.state import keys, now

View = TypeVar("View", bound=Callable[..., Any])

#: Whose pages are forms that know their reader by cookie or field.
BLUEPRINTS = ("embeds", "comment_pages")
#: What is said beside a field that was left empty; the elements say the same.
ASK = {
    "choices": "Choose an answer first.",
    "name": "Enter your name.",
    "email": "Enter your email address.",
    "message": "Tell us what is wrong.",
    "body": "Write something first.",
    "reason": "Choose a reason.",
}
NO_CHOICE = "This is not an answer of this poll. Choose again."
BAD_EMAIL = "This is not an email address we can write to. It needs an @ between two parts."


@dataclass(frozen=True)
class PlainForm:
    """A form as it was posted.

    :param sent: every field as it was typed, to be shown again.
    :param values: the fields as the schema took them; none where one broke a rule.
    :param errors: a sentence for each field that broke a rule.
    """

    sent: dict[str, Any]
    values: dict[str, Any]
    errors: dict[str, str]

    def refused(self, **errors: str) -> PlainForm:
        """The same form with other errors."""
        return replace(self, errors=errors)

    @property
    def is_suspect(self) -> bool:
        """Whether a program seems to have filled it."""
        return is_suspect(self.sent, keys(), now())

    @property
    def form_token(self) -> str:
        """When the form was first shown, to be sent along again; from now on where it came without."""
        return self.sent.get("form_token") or issue_form_token(keys(), now())


#: How browsers send a form.
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


class VoteFormSchema(FormSignalsSchema):
    """A ballot and, beside it, a sign-up. The sign-up is checked when it is recorded: the vote stands without it."""

    choices = ma.fields.List(
        ma.fields.Integer(validate=Range(1, 32_767)), required=True, validate=Length(1, MOST_CHOICES)
    )
    accepted = ma.fields.String(load_default="")
    email = ma.fields.String(load_default="")
    text_id = ma.fields.String(load_default="")
    article_url = ma.fields.String(load_default="")
    voter_token = ma.fields.String(load_default="")
    receipt = ma.fields.String(load_default="")


class WithdrawalFormSchema(FormSignalsSchema):
    """A sign-up to take back, on the page that shows the vote beside it."""

    withdrawal_key = ma.fields.String(load_default="")
    receipt = ma.fields.String(load_default="")


def plain_form(schema: type[ma.Schema], *, cap: int = DEFAULT_CAP) -> Callable[[View], View]:
    """Hand a view its form as its first argument, read by a schema, of at most ``cap`` bytes.

    :raises Invalid: if the form holds a field that no page of ours has.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return view(_read(schema()), *args, **kwargs)

        mark(wrapped, "body_cap", cap)
        mark(wrapped, "body_schema", schema)
        return wrapped  # type: ignore[return-value]

    return decorate


def _read(schema: ma.Schema) -> PlainForm:
    if request.mimetype and request.mimetype not in _FORM_TYPES:
        raise UnsupportedMediaType
    sent: dict[str, Any] = {}
    for name, texts in request.form.lists():
        is_list = isinstance(schema.fields.get(name), ma.fields.List)
        sent[name] = texts if is_list else texts[0]
    try:
        return PlainForm(sent, schema.load(sent), {})
    except ValidationError as error:
        errors = {found["field"].partition(".")[0]: found["detail"] for found in flatten(error.messages)}
        if unknown := sorted(errors.keys() - schema.fields.keys()):
            raise Invalid(
                "This form has a field that we do not know.", fields=dict.fromkeys(unknown, "")
            ) from error
        return PlainForm(sent, {}, {name: _told(name, sent, errors[name]) for name in errors})


def _told(name: str, sent: dict[str, Any], sentence: str) -> str:
    """A schema's sentence, as a person beside the field would put it."""
    text = sent.get(name) or ""
    if name in ASK and not (text if isinstance(text, list) else text.strip()):
        return ASK[name]
    if name == "choices":
        return NO_CHOICE
    if name == "reason":
        return ASK[name]
    return BAD_EMAIL if name == "email" else sentence
