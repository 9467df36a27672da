"""Each named constraint of consent refuses what it should, proof cannot be changed, and nothing leads to a ballot."""

import uuid
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, Subscriber
from pollsvc.db import Model
from pollsvc.keys import Keys
from pollsvc.polls.ballots import cast_vote, new_ballot
from pollsvc.polls.models import Ballot, Poll
from pollsvc.voters.service import voter_key
from tests.consent.acts import ask
from tests.consent.stored import rows_of, tables_with
from tests.factories import (
    THEN,
    make_consent_text,
    make_correction,
    make_poll,
    make_site,
    make_voter,
)

FOREIGN_KEY = r"FOREIGN KEY constraint failed|fk_{}"


@pytest.fixture
def text(session: Session) -> ConsentText:
    return make_consent_text(session, site=make_site(session))


def add_text(session: Session, text: ConsentText, **changes: Any) -> None:
    row = {name: getattr(text, name) for name in ConsentText.__table__.columns.keys()}  # noqa: SIM118 (a Table's columns iterate as columns)
    session.execute(insert(ConsentText).values(row | {"id": uuid.uuid4(), "version": 2} | changes))


def add_event(session: Session, text: ConsentText, **changes: Any) -> None:
    row = {
        "id": uuid.uuid4(),
        "kind": "requested",
        "subscriber_id": uuid.uuid4(),
        "text_id": text.id,
        "text_hash": text.body_hash,
        "method": "checkbox",
        "is_suspect": False,
        "occurred_at": THEN,
    }
    session.execute(insert(ConsentEvent).values(row | changes))


class TestConsentText:
    def test_version_of_a_site_and_purpose_is_one_text(self, session: Session, text: ConsentText) -> None:
        with pytest.raises(
            IntegrityError, match=r"uq_consent_text_site_id_purpose_version|consent_text\.version"
        ):
            add_text(session, text, version=1)

    def test_versions_begin_at_one(self, session: Session, text: ConsentText) -> None:
        with pytest.raises(IntegrityError, match="ck_consent_text_version_from_one"):
            add_text(session, text, version=0)

    def test_belongs_to_a_site(self, session: Session, text: ConsentText) -> None:
        with pytest.raises(IntegrityError, match=FOREIGN_KEY.format("consent_text_site_id")):
            add_text(session, text, site_id=uuid.uuid4())


class TestSubscriber:
    def test_address_has_one_row(self, session: Session) -> None:
        add = insert(Subscriber).values(email="ada@reader.example", email_hash=b"a" * 32)
        session.execute(add.values(id=uuid.uuid4()))

        with pytest.raises(IntegrityError, match=r"uq_subscriber_email_hash|subscriber\.email_hash"):
            session.execute(add.values(id=uuid.uuid4()))


class TestConsentEvent:
    def test_kind_is_known(self, session: Session, text: ConsentText) -> None:
        with pytest.raises(IntegrityError, match="ck_consent_event_known_kind"):
            add_event(session, text, kind="guessed")

    def test_text_exists(self, session: Session, text: ConsentText) -> None:
        with pytest.raises(IntegrityError, match=FOREIGN_KEY.format("consent_event_text_id")):
            add_event(session, text, text_id=uuid.uuid4())

    def test_article_exists(self, session: Session, text: ConsentText) -> None:
        with pytest.raises(IntegrityError, match=FOREIGN_KEY.format("consent_event_article_id")):
            add_event(session, text, article_id=uuid.uuid4())

    def test_outlives_the_row_of_the_person(
        self, session: Session, keys: Keys, text: ConsentText, now: datetime
    ) -> None:
        consent = ask(session, keys, text, now)
        subscriber_id = consent.subscriber_id
        session.execute(sa.delete(Consent))
        session.execute(sa.delete(Subscriber))

        assert set(session.scalars(select(ConsentEvent.subscriber_id))) == {subscriber_id}


class TestAppendOnly:
    @pytest.mark.parametrize("table", ["consent_text", "consent_event", "audit_entry"])
    @pytest.mark.parametrize(
        "statement",
        ["UPDATE {table} SET {column} = {column}", "DELETE FROM {table}"],
        ids=["UPDATE", "DELETE"],
    )
    def test_what_proves_something_is_neither_changed_nor_deleted(
        self, session: Session, keys: Keys, text: ConsentText, table: str, statement: str
    ) -> None:
        ask(session, keys, text, THEN)
        session.commit()
        before = rows_of(session, table)

        with pytest.raises(IntegrityError, match=f"{table} is append-only"):
            session.execute(sa.text(statement.format(table=table, column="id")))

        session.rollback()
        assert rows_of(session, table) == before != []


# --- promise 7, as far as the schema goes ----------------------------------------------------------------------------

#: Tables that hold what a person gave of themselves.
PERSONAL = (
    "subscriber",
    "consent",
    "consent_event",
    "sign_up",
    "confirmation",
    "mail_permit",
    "outbox_message",
    "outbox_event",
    "correction",
)


@pytest.fixture
def readers_acted(session: Session, keys: Keys, now: datetime) -> Poll:
    """Two readers voted, subscribed and sent a correction within one hour."""
    poll = make_poll(session, consent_text_id=make_consent_text(session, site=make_site(session)).id)
    assert poll.consent_text is not None
    for number in (1, 2):
        at = now.replace(minute=10 * number, second=number, microsecond=number)
        ballot = new_ballot(keys, poll_id=poll.id, choices=[number], voter=make_voter(number=number), now=at)
        cast_vote(session, ballot)
        ask(session, keys, poll.consent_text, at, email=f"reader-{number}@reader.example")
        make_correction(session, keys=keys, email=f"reader-{number}@reader.example", now=at)
    session.commit()
    return poll


class TestUnlinkability:
    def test_only_the_ballot_holds_what_comes_from_the_voter(
        self, session: Session, keys: Keys, readers_acted: Poll
    ) -> None:
        voters = [make_voter(number=number) for number in (1, 2)]
        ballot_keys = [voter_key(keys, readers_acted.id, voter) for voter in voters]

        assert tables_with(session, *ballot_keys) == {"ballot"}
        assert tables_with(session, *(voter.identity for voter in voters)) == set()

    def test_ballot_shares_no_value_with_what_a_person_gave(
        self, session: Session, readers_acted: Poll
    ) -> None:
        # Yes and no are everywhere.
        truths = {b"0", b"1", b"False", b"True"}
        of_ballots = {value for row in rows_of(session, "ballot") for value in row} - truths
        of_people = {value for table in PERSONAL for row in rows_of(session, table) for value in row}

        assert len(of_ballots) > 4
        assert of_ballots & of_people == set()

    def test_times_of_ballots_are_one_hour(self, session: Session, readers_acted: Poll) -> None:
        hours = set(session.scalars(select(Ballot.voted_hour)))

        (hour,) = hours
        assert (hour.minute, hour.second, hour.microsecond) == (0, 0, 0)

    def test_ballot_has_one_time_and_no_id_of_its_own(self) -> None:
        columns = Ballot.__table__.columns

        assert [column.name for column in columns if "time" in str(column.type).lower()] == ["voted_hour"]
        assert {column.name for column in columns} == {
            "poll_id",
            "voter_key",
            "choices",
            "tier",
            "is_tier_sealed",
            "state",
            "voted_hour",
            "is_mixed",
        }

    def test_no_column_elsewhere_is_named_for_a_voter(self) -> None:
        named = {
            str(column)
            for table in Model.metadata.tables.values()
            for column in table.columns
            if "voter" in column.name or "ballot" in column.name
        }

        # tally_slot.voters is a count.
        assert named == {"ballot.voter_key", "tally_slot.voters"}

    def test_no_foreign_key_leads_from_a_person_towards_a_ballot(self) -> None:
        reached = {table: foreign_tables(table) for table in PERSONAL}

        assert set().union(*reached.values()) == {
            "consent_text",
            "article",
            "site",
            "subscriber",
            "webhook_endpoint",
            "outbox_event",
        }
        assert foreign_tables("ballot") & set(PERSONAL) == set()

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_ballot_has_no_rowid_that_would_keep_the_order(self, session: Session) -> None:
        with pytest.raises(OperationalError, match="no such column"):
            session.execute(sa.text("SELECT rowid FROM ballot"))


def foreign_tables(table: str) -> set[str]:
    """Give every table that foreign keys lead to, near and far."""
    near = {key.column.table.name for key in Model.metadata.tables[table].foreign_keys} - {table}
    return near.union(*(foreign_tables(name) for name in near))
