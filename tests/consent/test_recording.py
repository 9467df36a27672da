"""Consents are recorded so that each can be proven, and found by address."""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from pollsvc.articles.service import get_site
from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, SignUp, Subscriber
from pollsvc.consent.service import (
    email_hash,
    find_subscriber,
    search_consents,
)
from pollsvc.consent.signing_up import Desk, process_sign_up
from pollsvc.errors import Invalid
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxMessage
from pollsvc.staff.models import AuditEntry
from tests.consent.acts import ADA, ask, links, sign_up
from tests.consent.stored import tables_with
from tests.factories import ACTOR, ARTICLE_URL, ORIGIN, make_article, make_consent_text, make_site

Agree = Callable[..., SignUp]


@pytest.fixture
def text(session: Session) -> ConsentText:
    made = make_consent_text(session, site=make_site(session))
    session.commit()
    return made


@pytest.fixture
def agree(session: Session, keys: Keys, text: ConsentText, now: datetime) -> Agree:
    """Tick the box at the text, as Ada on the article unless told otherwise: `agree(email=...)`."""

    def tick(**changes: Any) -> SignUp:
        return sign_up(session, keys, text, now, **changes)

    return tick


def count(session: Session, model: type[Consent | ConsentEvent | SignUp | Subscriber | OutboxMessage]) -> int:
    return session.scalars(select(func.count()).select_from(model)).one()


class TestTakeSignUp:
    def test_row_says_what_was_shown_when_where_and_how(
        self, session: Session, agree: Agree, text: ConsentText, now: datetime
    ) -> None:
        sign_up_id = agree(is_suspect=True).id

        session.commit()
        session.expire_all()
        stored = session.scalars(select(SignUp)).one()
        assert (stored.id, stored.method, stored.text_id) == (sign_up_id, "checkbox", text.id)
        assert (stored.article.url, stored.origin) == (ARTICLE_URL, ORIGIN)
        assert (stored.occurred_at, stored.is_suspect) == (now, True)

    def test_looks_nobody_up(self, session: Session, agree: Agree) -> None:
        agree()

        assert [count(session, each) for each in (SignUp, Consent, ConsentEvent, Subscriber)] == [1, 0, 0, 0]

    def test_superseded_text_is_recorded_with_its_own_hash(
        self, session: Session, keys: Keys, text: ConsentText, now: datetime
    ) -> None:
        make_consent_text(session, site=get_site(session, text.site_id))

        ask(session, keys, text, now)

        requested = session.scalars(select(ConsentEvent).where(ConsentEvent.kind == "requested")).one()
        assert (requested.text_id, requested.text_hash) == (text.id, text.body_hash)

    @pytest.mark.parametrize(
        ("header", "recorded"),
        [
            pytest.param(ORIGIN, ORIGIN, id="as browsers send it"),
            pytest.param("https://news.example:443", ORIGIN, id="default port"),
            pytest.param("https://elsewhere.example", "https://elsewhere.example", id="of nobody we know"),
            pytest.param(None, None, id="none"),
            pytest.param("null", None, id="of a sandbox"),
            pytest.param("https://news.example/?email=ada@reader.example", None, id="more than an origin"),
            pytest.param("x" * 100_000, None, id="long"),
        ],
    )
    def test_origin_is_recorded_where_it_is_one(
        self, agree: Agree, header: str | None, recorded: str | None
    ) -> None:
        assert agree(origin=header).origin == recorded

    @pytest.mark.parametrize(
        ("one", "other", "is_same"),
        [
            pytest.param("ada@reader.example", "ADA@reader.example", True, id="case"),
            pytest.param(
                "j\u00f6rg@reader.example", "J\u00d6RG@reader.example", True, id="case of an umlaut"
            ),
            pytest.param(
                "ada@stra\u00dfe.example", "ada@strasse.example", False, id="sharp s is not two of them"
            ),
            pytest.param("ada@reader.example", "ada+news@reader.example", False, id="tag"),
            pytest.param("ada@reader.example", "a.da@reader.example", False, id="dot"),
            pytest.param("ada@reader.example", "ada@reader.example.org", False, id="longer"),
        ],
    )
    def test_one_person_has_one_hash(self, agree: Agree, one: str, other: str, is_same: bool) -> None:
        first = agree(email=one)
        second = agree(email=other)

        assert (first.email_hash == second.email_hash) is is_same

    def test_address_is_stored_encrypted_beside_its_keyed_hash_only(
        self, session: Session, agree: Agree, keys: Keys
    ) -> None:
        agree(email="Canary@Reader.example")
        session.commit()
        session.expire_all()

        unkeyed = [
            hashlib.sha256(b"canary@reader.example").digest(),
            hashlib.md5(b"canary@reader.example").digest(),
        ]
        assert tables_with(session, b"Canary", b"canary", *unkeyed) == set()
        stored = session.scalars(select(SignUp)).one()
        assert stored.email == "Canary@Reader.example"
        assert stored.email_hash == keys.digest("email", b"canary@reader.example")

    def test_unknown_text_is_refused(self, agree: Agree) -> None:
        with pytest.raises(Invalid) as caught:
            agree(text_id=uuid.uuid4())

        assert list(caught.value.fields) == ["text_id"]

    def test_text_of_another_site_is_refused(self, session: Session, agree: Agree) -> None:
        make_site(session, name="Post", origins=["https://post.example"])

        with pytest.raises(Invalid) as caught:
            agree(article_url="https://post.example/story")

        assert list(caught.value.fields) == ["text_id"]
        assert count(session, SignUp) == 0

    def test_article_of_nobody_is_refused(self, agree: Agree) -> None:
        with pytest.raises(Invalid) as caught:
            agree(article_url="https://other.example/story")

        assert list(caught.value.fields) == ["article_url"]

    def test_known_and_new_address_run_the_same_statements(self, session: Session, agree: Agree) -> None:
        agree()
        session.commit()

        runs = []
        for email in (ADA, "new@reader.example"):
            session.expunge_all()
            with watched_statements() as statements:
                agree(email=email)
                session.commit()
            runs.append(statements)

        assert runs[0] == runs[1]
        assert any("INSERT INTO sign_up" in statement for statement in runs[0])

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_one_address_many_times_at_once_has_one_consent_and_one_mail(
        self, session: Session, engine: sa.Engine, keys: Keys, text: ConsentText, now: datetime
    ) -> None:
        make_article(session)
        session.commit()

        def tick(number: int) -> None:
            with Session(engine) as own:
                waiting = sign_up(own, keys, text, now, email="ADA@reader.example" if number % 2 else ADA)
                own.commit()
                process_sign_up(own, Desk(links(keys)), waiting.id, now)
                own.commit()

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(tick, range(20)))

        found = [count(session, each) for each in (SignUp, Subscriber, Consent, OutboxMessage)]
        assert found == [0, 1, 1, 1]


class TestFindSubscriber:
    def test_whatever_the_case(self, session: Session, keys: Keys, text: ConsentText, now: datetime) -> None:
        consent = ask(session, keys, text, now)

        assert find_subscriber(session, keys, ADA.upper()) == consent.subscriber_id

    def test_unknown_address_is_found_nowhere(self, session: Session, keys: Keys) -> None:
        assert find_subscriber(session, keys, ADA) is None


class TestSearchConsents:
    def test_finds_what_this_address_agreed_to(
        self, session: Session, keys: Keys, text: ConsentText, now: datetime
    ) -> None:
        consent = ask(session, keys, text, now)
        ask(session, keys, text, now, email="other@reader.example")

        found = session.scalars(search_consents(session, keys, "ADA@reader.example", actor=ACTOR, now=now))

        (only,) = found
        assert (only.id, only.state, only.purpose) == (consent.id, "pending", "newsletter")
        assert only.article_url == ARTICLE_URL

    def test_consent_given_elsewhere_has_no_article(
        self, session: Session, keys: Keys, text: ConsentText, now: datetime
    ) -> None:
        consent = ask(session, keys, text, now)
        consent.article_id = None
        session.flush()
        session.expire_all()

        found = session.scalars(search_consents(session, keys, ADA, actor=ACTOR, now=now))

        assert [each.article_url for each in found] == [None]

    def test_audit_row_holds_the_subscriber_and_never_the_address(
        self, session: Session, keys: Keys, text: ConsentText, now: datetime
    ) -> None:
        consent = ask(session, keys, text, now)

        search_consents(session, keys, ADA, actor="token:1", now=now)

        assert searched(session) == [("token:1", "subscriber", str(consent.subscriber_id), {})]

    def test_search_for_an_unknown_address_names_nobody(
        self, session: Session, keys: Keys, now: datetime
    ) -> None:
        found = session.scalars(search_consents(session, keys, ADA, actor="token:1", now=now)).all()

        assert found == []
        assert searched(session) == [("token:1", "subscriber", "", {})]
        assert tables_with(session, ADA.encode(), email_hash(keys, ADA)) == set()


def searched(session: Session) -> list[tuple[str, str, str, dict[str, Any]]]:
    session.flush()
    rows = session.scalars(select(AuditEntry).where(AuditEntry.action == "consents.searched"))
    return [(row.actor, row.object_type, row.object_id, row.detail) for row in rows]


@contextmanager
def watched_statements() -> Iterator[list[str]]:
    """Gather the SQL that any engine is sent."""
    statements: list[str] = []

    def note(*given: Any) -> None:
        statements.append(given[2])

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)
