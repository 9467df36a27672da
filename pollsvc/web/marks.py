"""What decorators write on a view, for the edge to read and for the documentation to tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import current_app

#: Where flask-smorest's decorators gather what the documentation is made of; they copy it from one to the next.
_DOCUMENTED = "_apidoc"


def mark(view: Callable[..., Any], name: str, value: object) -> None:
    """Write a fact on a view; decorators put around it later carry it along."""
    view.__dict__[f"__{name}__"] = value
    # The dictionary is made anew, so that decorators further in keep theirs.
    view.__dict__[_DOCUMENTED] = {**view.__dict__.get(_DOCUMENTED, {}), name: value}


def marked(endpoint: str | None, name: str) -> Any:
    """The fact on an endpoint's view, or None."""
    return marked_on(current_app.view_functions.get(endpoint or ""), name)


def marked_on(view: Callable[..., Any] | None, name: str) -> Any:
    """The fact on a view, or None."""
    return getattr(view, f"__{name}__", None)
