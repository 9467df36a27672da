"""marshmallow fields with the strictness of the contract (DESIGN §4)."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import marshmallow as ma
from marshmallow import ValidationError
from marshmallow.validate import Length, Range

from pollsvc.text import UnfitText, is_blank, normal_address, normalise

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)
# No host holds these, and a browser would read a backslash as the host's end. A user name could pass for a host.
_NOT_IN_AUTHORITY = re.compile(r'[<>"\\^`{|}@]')
_NO_URL = "Must be an http or https address of at most 2000 characters."


class Text(ma.fields.String):
    """Visible text of at most ``longest`` characters, normalised to NFC.

    :param longest: characters after normalisation.
    :param multiline: whether newlines and tabs are part of it.
    """

    def __init__(self, longest: int, *, multiline: bool = False, **kwargs: Any) -> None:
        metadata = {"minLength": 1, **kwargs.pop("metadata", {})}
        super().__init__(validate=Length(max=longest), metadata=metadata, **kwargs)
        self.longest = longest
        self.multiline = multiline

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        loaded = super()._deserialize(value, attr, data, **kwargs)
        # Composing costs the square of a run of marks; a text far over its limit is not worth it.
        if len(loaded) > 4 * self.longest:
            raise ValidationError(f"Longer than maximum length {self.longest}.")
        try:
            text = normalise(loaded, multiline=self.multiline).strip()
        except UnfitText as error:
            raise ValidationError(str(error)) from error
        if is_blank(text):
            raise ValidationError("Must not be empty.")
        return text


class LastingText(Text):
    """A text that stays when the person it may be about is forgotten: no address may stand in it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if "@" in unicodedata.normalize("NFKC", text):
            raise ValidationError(
                "It is kept for good: nothing about a person, such as an address, belongs in it."
            )
        return text


class Whole(ma.fields.Integer):
    """A JSON integer; not a boolean, not a string, not 1.0."""

    def __init__(self, least: int, most: int, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=Range(min=least, max=most), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) is not int:
            raise ValidationError("Must be an integer.")
        return super()._deserialize(value, attr, data, **kwargs)


class Truth(ma.fields.Boolean):
    """A JSON true or false; not 1, not "yes"."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Must be true or false.")
        return value


class Time(ma.fields.AwareDateTime):
    """An RFC 3339 time with its offset, given back in UTC."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="iso", **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        # Python also reads week dates and the like; what stands in the documentation is what is taken.
        if not isinstance(value, str) or not _RFC3339.fullmatch(value):
            raise ValidationError("Must be a time with its offset, such as 2026-03-02T09:30:00Z.")
        try:
            return super()._deserialize(value.upper(), attr, data, **kwargs).astimezone(UTC)
        except OverflowError as error:
            raise ValidationError("Must be a time of the years 1 to 9999.") from error


class WebUrl(ma.fields.String):
    """An absolute http or https address of at most 2,000 characters, without user name or password."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=Length(max=2_000), metadata={"format": "uri"}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        url = super()._deserialize(value, attr, data, **kwargs).strip()
        try:
            # The length first: composing costs the square of a run of marks.
            url = normalise(url, multiline=False) if len(url) <= 2_000 else ""
            parts = urlsplit(url)
            is_sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise ValidationError(_NO_URL) from error
        if not is_sound or _NOT_IN_AUTHORITY.search(parts.netloc) or re.search(r"\s", url):
            raise ValidationError(_NO_URL)
        return url


class Email(ma.fields.String):
    """An e-mail address by email-validator, without a look at DNS, normalised."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=Length(max=254), metadata={"format": "email"}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs).strip()
        if len(text) > 320:
            raise ValidationError("Must be an e-mail address of at most 254 characters.")
        try:
            return normal_address(text)
        except UnfitText as error:
            raise ValidationError(f"Must be an e-mail address. {error}") from error
