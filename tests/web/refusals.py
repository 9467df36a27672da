"""How a field refuses a value."""

from typing import Any

import marshmallow as ma
import pytest


def refusal(field: ma.fields.Field[Any], value: Any) -> str:
    """Give the sentence that a value is refused with."""
    with pytest.raises(ma.ValidationError) as refused:
        field.deserialize(value)
    (sentence,) = refused.value.messages
    return str(sentence)
