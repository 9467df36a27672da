"""``pollsvc site``: the publications whose articles carry polls."""

from __future__ import annotations

import click
import marshmallow as ma

from pollsvc.articles.models import CONSENT_MODES
from pollsvc.articles.schemas import LOCALE
from pollsvc.articles.service import create_site
from pollsvc.commands.starting import ACTOR, Checked, now, read_settings
from pollsvc.consent.texts import newsletter_text
from pollsvc.opening import open_database
from pollsvc.web.fields import Email, Text, WebUrl

_ADDRESS = Checked("url", WebUrl())


@click.group()
def site() -> None:
    """Sites, whose articles carry polls."""


@site.command("add")
@click.option("--name", required=True, type=Checked("text", Text(200)), help="What readers call it.")
@click.option(
    "--origin",
    "origins",
    required=True,
    multiple=True,
    help="Such as https://news.example; the first is canonical.",
)
@click.option("--privacy-url", type=_ADDRESS, help="Its privacy policy.")
@click.option("--terms-url", type=_ADDRESS, help="Its terms of use.")
@click.option("--standards-url", type=_ADDRESS, help="Its editorial standards.")
@click.option("--desk-email", type=Checked("email", Email()), help="Who reads corrections.")
@click.option(
    "--locale",
    default="en",
    show_default=True,
    type=Checked("locale", ma.fields.String(validate=LOCALE)),
    help="Of its mails.",
)
@click.option(
    "--consent-mode",
    default="explicit",
    show_default=True,
    type=click.Choice(CONSENT_MODES),
    help="Of its texts.",
)
def add_site(name: str, origins: tuple[str, ...], **links: str | None) -> None:
    """Add a site; it begins with a newsletter text made from its name and links."""
    with open_database(read_settings()) as session:
        made = create_site(session, name=name, origins=origins, actor=ACTOR, now=now(), **links)
        newsletter_text(session, made, actor=ACTOR, now=now())
        session.commit()
        click.echo(made.id)
