"""Promise 7: no SQL joins a ballot with an address, when readers acted in the same hour. Every way is tried.

Readers vote, sign up, comment and send corrections over HTTP, one right after the other: the n-th ballot stands beside the
n-th address.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.comments.models import Comment
from pollsvc.config import Settings
from pollsvc.consent.models import Consent, SignUp
from pollsvc.consent.service import email_hash
from pollsvc.corrections.models import Correction
from pollsvc.db import Model
from pollsvc.embeds.identity import FIELD
from pollsvc.keys import Keys
from pollsvc.polls.models import TallyClock
from pollsvc.voters.service import voter_key
from pollsvc.worker import Worker
from tests.conftest import ENVIRON
from tests.factories import ARTICLE_URL, make_consent_text, make_poll, make_site, make_voter, make_voter_token
from tests.privacy.analyst import (
    OF_NOBODY,
    OF_VOTES,
    PERSONAL,
    Row,
    best_attribute,
    best_guess,
    neighbours_met,
    rows_of,
    spelled,
    whose_rows,
)

READERS = range(1, 41)
#: Of 40 in fair disorder one is right on average, and more than 12 are once in 10^9.
RIGHT_BY_CHANCE = 12
#: Two fair orders of 40 are as alike as this once in 10^8.
ALIKE_BY_CHANCE = 0.78

#: The origin of the service's own pages, which its plain forms come from.
OURS = ENVIRON["POLLSVC_PUBLIC_URL"]
AN_HOUR = timedelta(minutes=62)

on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


class Newspaper:
    """A poll, readers who act, a worker that looks, and what an analyst sees."""

    def __init__(self, app: Flask, settings: Settings, session: Session, keys: Keys) -> None:
        self.client: FlaskClient = app.test_client()
        self._settings, self._keys = settings, keys
        self.session = session
        self.readers = READERS
        site = make_site(session)
        self.text = make_consent_text(session, site=site)
        self.poll = make_poll(session, consent_text_id=self.text.id)
        session.commit()

    @property
    def is_postgresql(self) -> bool:
        """Whether the database numbers what it writes."""
        return self.session.get_bind().dialect.name == "postgresql"

    def vote(self, reader: int, choice: int, *, status: int = 201) -> None:
        """Vote."""
        vote = {"choices": [choice], "voter_token": make_voter_token(self._keys, number=reader)}
        self._send(f"/v1/polls/{self.poll.id}/votes", vote, status)

    def act(self, reader: int) -> None:
        """Vote and, right after it, sign up and comment; every other reader also sends a correction, whatever the vote was for.

        Half of them do so by the element, and half by the plain form.
        """
        choice = 1 + reader // 2 % 2
        consent = {"text_id": str(self.text.id), "email": email_of(reader), "article_url": ARTICLE_URL}
        if reader // 4 % 2:
            self.vote(reader, choice)
            self._send("/v1/consents", consent | {"accepted": True}, 202)
        else:
            token = make_voter_token(self._keys, number=reader)
            fields = {"choices": choice, "accepted": "true", FIELD: token, **consent}
            form = self.client.post(f"/embed/polls/{self.poll.id}", data=fields, headers={"Origin": OURS})
            assert form.status_code == 303, form.text
            # The next reader has a browser of their own.
            self.client.delete_cookie("pollsvc_voter")
        token = make_voter_token(self._keys, number=reader)
        comment = {"article_url": ARTICLE_URL, "email": email_of(reader), "voter_token": token}
        self._send("/v1/comments", comment | {"name": "A Reader", "body": said_by(reader)}, 202)
        if reader % 2:
            correction = {
                "article_url": ARTICLE_URL,
                "name": "A Reader",
                "email": email_of(reader),
                "message": "The ferry has two decks.",
            }
            self._send("/v1/corrections", correction, 201)

    def _send(self, path: str, body: dict[str, Any], status: int) -> None:
        response = self.client.post(path, json=body)
        assert response.status_code == status, response.text

    def look(
        self, *, later: timedelta = timedelta(), errands: int | None = None, is_delivering: bool = True
    ) -> None:
        """Let the worker look, as one that was just started.

        :param errands: how many of them, from the first; the mails are then left too.
        """
        self.session.rollback()
        worker = Worker(self._settings, lambda: datetime.now(UTC) + later)
        worker.errands = worker.errands[:errands]
        if errands or not is_delivering:
            worker.transports = {}
        worker.look()
        worker.close()

    def ballots(self) -> list[tuple[int, Row]]:
        """Give the ballots with their readers."""
        voters = {
            spelled(voter_key(self._keys, self.poll.id, make_voter(number=reader))): reader
            for reader in self.readers
        }
        return [(voters[spelled(row["voter_key"])], row) for row in rows_of(self.session, "ballot")]

    def people(self) -> dict[str, list[tuple[int, Row]]]:
        """Give the rows about people with their readers, by table."""
        hashes = {email_hash(self._keys, email_of(reader)): reader for reader in self.readers}
        known = {hashed.hex(): reader for hashed, reader in hashes.items()}
        for hashed, found in self.session.execute(select(SignUp.email_hash, SignUp.id)):
            known[found.hex] = hashes[hashed]
        for comment in self.session.scalars(select(Comment)):
            known[comment.id.hex] = hashes[comment.email_hash or b""]
        for correction in self.session.scalars(select(Correction)):
            known[correction.id.hex] = hashes[correction.email_hash]
        for consent in self.session.scalars(select(Consent)):
            reader = hashes[consent.subscriber.email_hash]
            known |= {consent.id.hex: reader, consent.subscriber_id.hex: reader}
        rows = whose_rows(self.session, known)
        self.session.rollback()
        return rows

    def numbers_of_votes(self) -> dict[str, int]:
        """Count how many different numbers of transactions the rows of votes carry."""
        self.session.rollback()
        found = {table: self._numbers(("xmin", "cmin"), table) for table in OF_VOTES}
        # A vote also leaves its number as a lock, on the choice that it was for.
        return found | {"locked by votes": self._numbers(("xmax",), "choice", "poll")}

    def _numbers(self, names: tuple[str, ...], *tables: str) -> int:
        rows = [row for table in tables for row in rows_of(self.session, table)]
        return len({tuple(row.get(name) for name in names) for row in rows})


def readers_in(rows: Sequence[tuple[int, Row]]) -> int:
    return len({reader for reader, _ in rows})


def email_of(reader: int) -> str:
    return f"reader-{reader}@reader.example"


def said_by(reader: int) -> str:
    """Give a text that is like nobody else's."""
    return sha256(email_of(reader).encode()).hexdigest()


@pytest.fixture
def newspaper(make_app: Callable[..., Flask], settings: Settings, session: Session, keys: Keys) -> Newspaper:
    """A newspaper whose limits let one network do all this."""
    limits = dict.fromkeys(
        ("limit_votes", "limit_consents", "limit_corrections", "limit_comments"), "100000/minute"
    )
    return Newspaper(make_app(**limits), settings, session, keys)


def at_once(newspaper: Newspaper) -> None:
    """All readers act before the worker looks; it also delivers their mails."""
    for reader in newspaper.readers:
        newspaper.act(reader)
    newspaper.look()


def mixed_only(newspaper: Newspaper) -> None:
    """The worker has mixed, and decided nothing yet."""
    for reader in newspaper.readers:
        newspaper.act(reader)
    newspaper.look(errands=1)


def after_each(newspaper: Newspaper) -> None:
    """The worker looks after each reader."""
    for reader in newspaper.readers:
        newspaper.act(reader)
        newspaper.look(is_delivering=False)


def an_hour_later(newspaper: Newspaper) -> None:
    """The worker was away, and looks when the hour is over."""
    for reader in newspaper.readers:
        newspaper.act(reader)
    newspaper.look(later=AN_HOUR, is_delivering=False)


def now_and_then(newspaper: Newspaper) -> None:
    """The worker looks while readers act, and when the hour is over."""
    for reader in newspaper.readers:
        newspaper.act(reader)
        if reader in (10, 11, 30):
            newspaper.look(is_delivering=False)
    newspaper.look(later=AN_HOUR, is_delivering=False)


class TestNoOrderTells:
    def test_no_guess_is_better_than_chance(self, newspaper: Newspaper) -> None:
        self.assert_nothing_is_told(newspaper, at_once)

    @pytest.mark.slow
    @on_postgresql
    @pytest.mark.parametrize("story", [mixed_only, after_each, an_hour_later, now_and_then])
    def test_no_guess_is_better_than_chance_whenever_the_worker_looks(
        self, newspaper: Newspaper, story: Callable[[Newspaper], None]
    ) -> None:
        self.assert_nothing_is_told(newspaper, story)

    @staticmethod
    def assert_nothing_is_told(newspaper: Newspaper, story: Callable[[Newspaper], None]) -> None:
        story(newspaper)
        ballots, people = newspaper.ballots(), newspaper.people()
        numbers = newspaper.numbers_of_votes()
        signed_up = (
            ("sign_up",)
            if story is mixed_only
            else ("subscriber", "consent", "consent_event", "confirmation")
        )
        full = (*signed_up, "comment", "comment_revision", "comment_verdict", "comment_change")
        assert {table: readers_in(people[table]) for table in full} == dict.fromkeys(full, len(READERS))

        best = best_guess(ballots, people)

        assert best.right <= RIGHT_BY_CHANCE, best
        assert abs(best.correlation) < ALIKE_BY_CHANCE, best
        told = best_attribute(ballots, people)
        assert told.correlation < ALIKE_BY_CHANCE, told
        assert numbers == dict.fromkeys((*OF_VOTES, "locked by votes"), 1)
        # By going to the ballots next to each row of a person one is met, as by drawing any.
        assert max(neighbours_met(ballots, rows) for rows in people.values()) <= 1.001

    @on_postgresql
    def test_before_the_worker_looked_each_is_met(self, newspaper: Newspaper) -> None:
        """That is what the test above would see, were there no worker."""
        for reader in READERS:
            newspaper.act(reader)
        ballots, people = newspaper.ballots(), newspaper.people()

        best = best_guess(ballots, people)

        assert (best.right, best.correlation) == (len(READERS), 1)
        assert neighbours_met(ballots, people["sign_up"]) == len(READERS)

    @on_postgresql
    def test_who_changes_a_vote_and_signs_up_is_one_of_those_of_the_hour(
        self, newspaper: Newspaper, session: Session
    ) -> None:
        newspaper.poll.allow_change = True
        session.commit()
        newspaper.readers = range(1, 9)
        for reader in newspaper.readers:
            newspaper.act(reader)
        newspaper.look(is_delivering=False)

        newspaper.vote(4, 2, status=200)
        assert newspaper.numbers_of_votes()["ballot"] == 2
        newspaper.look(is_delivering=False)

        assert newspaper.numbers_of_votes() == dict.fromkeys((*OF_VOTES, "locked by votes"), 1)


DOZEN = 12


def a_dozen_acts(newspaper: Newspaper) -> None:
    newspaper.readers = range(1, DOZEN + 1)
    for reader in newspaper.readers:
        newspaper.act(reader)
    newspaper.look(is_delivering=False)


class TestNothingShared:
    def test_every_table_is_known_to_be_about_people_or_not(self) -> None:
        assert set(Model.metadata.tables) == {*PERSONAL, *OF_VOTES, *OF_NOBODY}

    def test_no_value_of_a_vote_stands_in_a_persons_rows(
        self, newspaper: Newspaper, session: Session
    ) -> None:
        a_dozen_acts(newspaper)
        of_votes = {
            spelled(value)
            for table in OF_VOTES
            for row in rows_of(session, table)
            for name, value in row.items()
            if name in Model.metadata.tables[table].columns and not isinstance(value, int)
        }
        of_people = [
            " ".join(map(spelled, row.values())) for rows in newspaper.people().values() for _, row in rows
        ]

        long = {value for value in of_votes if len(value) > 5}
        assert len(long) > DOZEN
        assert {value for value in long for row in of_people if value in row} == set()

    def test_no_time_of_a_ballot_or_a_count_is_finer_than_the_hour(
        self, newspaper: Newspaper, session: Session
    ) -> None:
        a_dozen_acts(newspaper)

        times = {
            name: list(session.scalars(select(column)))
            for table in OF_VOTES
            for name, column in Model.metadata.tables[table].columns.items()
            if "time" in str(column.type).lower()
        }

        assert times.keys() == {"voted_hour", "changed_at"}
        assert {(at.minute, at.second, at.microsecond) for at in times["voted_hour"]} == {(0, 0, 0)}
        # Of a poll as a whole: it belongs to no ballot and no choice.
        assert len(times["changed_at"]) == 1

    def test_clock_tells_the_second_in_which_some_reader_voted(
        self, newspaper: Newspaper, session: Session
    ) -> None:
        """And no more: the last of them, whoever that is, and whatever the vote was for."""
        a_dozen_acts(newspaper)

        [clock] = session.scalars(select(TallyClock.changed_at))

        assert clock.microsecond == 0
        assert set(Model.metadata.tables["tally_clock"].columns.keys()) == {"poll_id", "changed_at"}

    @pytest.mark.parametrize("table", ["consent", "consent_event", "correction", "comment"])
    def test_foreign_keys_lead_from_each_person_to_all_ballots_alike(
        self, newspaper: Newspaper, session: Session, table: str
    ) -> None:
        a_dozen_acts(newspaper)

        met = sa.text(
            f"SELECT person.id, count(DISTINCT ballot.voter_key) FROM {table} AS person "
            "JOIN poll_article ON poll_article.article_id = person.article_id "
            "JOIN ballot ON ballot.poll_id = poll_article.poll_id GROUP BY person.id"
        )

        assert {ballots for _, ballots in session.execute(met)} == {DOZEN}

    def test_no_foreign_key_leads_from_a_vote_to_a_person(self) -> None:
        reached, new = set(OF_VOTES), set(OF_VOTES)
        while new:
            keys = [key for table in new for key in Model.metadata.tables[table].foreign_keys]
            new = {key.column.table.name for key in keys} - reached
            reached |= new

        assert reached & set(PERSONAL) == set()
