"""``pollsvc consent`` and ``pollsvc verify``: what proves consent, checked and made anew."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click

from pollsvc.commands.starting import now, read_settings
from pollsvc.config import PREFIX
from pollsvc.consent.chain import verify_chain
from pollsvc.consent.rebuilding import find_differences
from pollsvc.consent.rebuilding import rebuild as rebuild_consents
from pollsvc.consent.receipts import ReceiptInvalid, check_receipt, fingerprint, public_key
from pollsvc.opening import open_database
from pollsvc.patience import lift_patience


class _Seal(click.ParamType[tuple[int, bytes]]):
    """A position and its hash, as the walk prints them."""

    name = "position:hash"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, bytes]:
        found = re.fullmatch(r"([1-9][0-9]{0,17}):([0-9a-f]{64})", str(value).strip())
        if found is None:
            self.fail("Must be a position, a colon and 64 hexadecimal digits.", param, ctx)
        return int(found[1]), bytes.fromhex(found[2])


class _Key(click.ParamType[str]):
    """A public key, as ``pollsvc consent key`` prints it."""

    name = "key"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", str(value).strip()):
            self.fail("Must be 64 hexadecimal digits, as `pollsvc consent key` prints them.", param, ctx)
        return str(value).strip().lower()


@click.group()
def consent() -> None:
    """What proves consent: its chain, its table, the key of its receipts."""


@consent.command()
@click.option(
    "--expect",
    "expected",
    type=_Seal(),
    help="POSITION:HASH of an earlier walk or a proof, which must still stand there.",
)
def verify(*, expected: tuple[int, bytes] | None) -> None:
    """Walk the chain over all events; exit status 1 and the first bad position on a difference."""
    with open_database(read_settings(), is_writing=False) as session:
        # Every event is read: millions take longer than a reader would wait.
        lift_patience(session)
        verdict = verify_chain(session, now(), expected=expected)
    if verdict.waiting:
        click.echo(f"{verdict.waiting} events wait for their seal: does the worker run?", err=True)
    if verdict.bad_position is not None:
        click.echo(f"position {verdict.bad_position}: {verdict.fault}")
        sys.exit(1)
    click.echo(f"{verdict.sealed}:{verdict.head.hex()}")
    click.echo(f"Every one of {verdict.sealed} seals holds.", err=True)


@consent.command()
@click.option("--check", "is_check", is_flag=True, help="Only compare; exit status 1 on a difference.")
def rebuild(*, is_check: bool) -> None:
    """Make the table of consents anew from their events, where it differs from what they come to."""
    settings = read_settings()
    differing = 0
    with open_database(settings, is_writing=False) as session:
        session.commit()
        # One moment for all that is read, however long it takes.
        options = (
            {"isolation_level": "REPEATABLE READ"} if session.get_bind().dialect.name != "sqlite" else {}
        )
        session.connection(execution_options=options)
        lift_patience(session)
        for found in find_differences(session):
            differing += 1
            click.echo(f"consent {found.consent_id}: {found.fact} {' '.join(found.columns)}".rstrip())
    if not differing:
        click.echo("Every consent stands as its events say.", err=True)
        return
    if is_check:
        click.echo(f"{differing} differences", err=True)
        sys.exit(1)
    with open_database(settings) as session:
        lift_patience(session)
        made = rebuild_consents(session)
        session.commit()
    click.echo(f"{made} consents made anew.", err=True)


@consent.command()
def key() -> None:
    """Print the public key that receipts are checked with, alone; its fingerprint goes to stderr."""
    own = public_key(read_settings().keys())
    click.echo(own)
    click.echo(f"SHA-256 {fingerprint(own)}", err=True)


@click.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--public-key", "given", type=_Key(), help="Whose receipt it is; this installation's if left out."
)
def verify_receipt(*, file: Path, given: str | None) -> None:
    """Check a reader's receipt, without the installation or its database; exit status 1 and the reason if it is not sound."""
    signer = given or _own_key()
    try:
        receipt = check_receipt(file.read_bytes(), signer)
    except ReceiptInvalid as error:
        click.echo(str(error))
        sys.exit(1)
    click.echo(f"Sound. Asked for at {receipt['requested_at']} on {receipt['site_origin']}:")
    click.echo(receipt["shown"]["body"])


def _own_key() -> str:
    # An installation makes its keys at its first run. Here none is wanted: nothing could have been signed with them.
    if not os.environ.get(PREFIX + "HASH_KEY") and not Path("instance", "keys.json").exists():
        raise click.ClickException(
            "There is no installation here. Give the publisher's key: --public-key KEY"
        )
    return public_key(read_settings().keys())
