"""``pollsvc comments``: whether comments stand where their policies led, and what is counted of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from pollsvc.commands.starting import read_settings
from pollsvc.comments import counts
from pollsvc.comments.counts import Difference
from pollsvc.comments.replaying import find_misjudged
from pollsvc.opening import open_database
from pollsvc.patience import lift_patience


@click.group()
def comments() -> None:
    """Comments: replay the policies, count anew."""


@comments.command()
def replay() -> None:
    """Decide anew about every text by the policy that did and the verdicts that it had; exit status 1 on a difference."""
    number = 0
    with open_database(read_settings(), is_writing=False) as session:
        lift_patience(session)
        for found in find_misjudged(session):
            number += 1
            click.echo(
                f"comment {found.comment_id} revision {found.revision} policy {found.policy_version}: "
                f"{_told(*found.stored)}, by its verdicts {_told(*found.replayed)}"
            )
    click.echo(f"{number} differences" if number else "Every outcome is its policy's.", err=True)
    sys.exit(1 if number else 0)


@comments.command()
def recount() -> None:
    """Count the comments anew, and print what was different."""
    with open_database(read_settings()) as session:
        lift_patience(session)
        differences = counts.recount(session)
        session.commit()
    print_differences(differences)
    click.echo(
        f"{len(differences)} counts were put right." if differences else "Every count was right.", err=True
    )


def print_differences(differences: Iterable[Difference]) -> None:
    """Print a line for each count that is not what the comments say."""
    for each in differences:
        of = "article" if each.what == "comments" else "comment"
        kind = f" {each.status}" if each.status else ""
        click.echo(f"{of} {each.subject}: {each.counted}{kind} {each.what} counted, {each.found} found")


def _told(outcome: str, because: Iterable[str]) -> str:
    return f"{outcome} ({', '.join(because) or 'no vote'})"
