"""What every command begins with."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import click
import marshmallow as ma

from pollsvc.config import Settings

#: Who the audit log names for what is done by a command.
ACTOR = "cli"


def read_settings(defaults: dict[str, str] | None = None) -> Settings:
    """The settings, and a note about each that this release does not know."""
    given = {name: value for name, value in os.environ.items() if value.strip()}
    settings = Settings.from_environ({**(defaults or {}), **given})
    for name in settings.unknown:
        click.echo(f"Note: {name} is no setting of this release.", err=True)
    return settings


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class Checked(click.ParamType[Any]):
    """An option that the API's own field checks: what is refused there is refused here."""

    def __init__(self, name: str, field: ma.fields.Field[Any]) -> None:
        self.name = name
        self._field = field

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._field.deserialize(value)
        except ma.ValidationError as error:
            self.fail(" ".join(map(str, error.messages)), param, ctx)
