"""The HTML that a publisher pastes."""

from __future__ import annotations

from typing import Any


def embed_html(poll: dict[str, Any]) -> str:
    """The snippet of a poll."""
    return f'<pollsvc-poll poll="{poll["id"]}"></pollsvc-poll>'
