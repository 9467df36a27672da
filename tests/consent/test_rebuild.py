"""The table of consents is what its events come to, whatever happened, and is made anew where it is not."""

import random
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.consent.adoption import adopt
from pollsvc.consent.chain import FIELDS
from pollsvc.consent.expiry import clear_link, expire_unanswered, expire_unconfirmed
from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, Kind, Mode, SignUp, State, Subscriber
from pollsvc.consent.proof import read_proof
from pollsvc.consent.rebuilding import Difference, expected_consents, find_differences, rebuild
from pollsvc.consent.renewals import ask_anew
from pollsvc.consent.service import confirm, email_hash, leave, take_back, withdraw
from pollsvc.consent.signing_up import Desk, due_sign_ups, process_sign_up
from pollsvc.consent.states import new_consent, note
from pollsvc.consent.tokens import leaving_token
from pollsvc.keys import Keys
from pollsvc.privacy.suppressions import suppress_address
from tests.consent.acts import ADA, ask, links, sign_up
from tests.consent.happenings import happen, tokens
from tests.consent.logins import SECRET, account_token
from tests.factories import ORIGIN, make_consent_text, make_site


class Walk:
    """Readers, the newsroom and the clock do whatever they can, in an order that a seed gives."""

    def __init__(self, session: Session, keys: Keys, seed: int, now: datetime) -> None:
        self.session, self.keys, self.now = session, keys, now
        self.chance = random.Random(seed)
        self.links = links(keys)
        self.sites = [
            make_site(session, name=name, origins=[f"https://{name}.example"], login_key=SECRET)
            for name in ("news", "post")
        ]
        for site in self.sites:
            make_consent_text(session, site=site)
            make_consent_text(
                session, site=site, purpose="alerts", body=f"E-mail alerts of {site.name}. Leave at any time."
            )
        session.commit()

    def step(self) -> None:
        acts: list[Callable[[], object]] = [
            *[self.sign_up] * 6,
            *[self.confirm] * 6,
            self.leave,
            self.take_back,
            self.withdraw,
            self.expire,
            *[self.renew, self.answer] * 3,
            self.import_one,
            self.erase,
            self.suppress,
            self.release,
            self.sign_up_with_account,
            self.sign_up_at_the_release_before,
        ]
        self.chance.choice(acts)()
        self.session.commit()
        self.now += self.chance.choice(
            [timedelta(microseconds=1), timedelta(minutes=20), timedelta(hours=9), timedelta(days=3)]
        )

    def text(self) -> ConsentText:
        # In an order that a seed repeats, which that of ids is not.
        texts = select(ConsentText).join(Site).order_by(Site.name, ConsentText.purpose, ConsentText.version)
        return self.chance.choice(self.session.scalars(texts).all())

    def consent(self) -> Consent | None:
        consents = select(Consent).join(Subscriber).join(Site, Site.id == Consent.site_id)
        order = (Subscriber.email_hash, Site.name, Consent.purpose)
        found = self.session.scalars(consents.order_by(*order)).all()
        return self.chance.choice(found) if found else None

    def email(self) -> str:
        return f"reader-{self.chance.randrange(4)}@reader.example"

    def article(self, text: ConsentText) -> str:
        site = next(site for site in self.sites if site.id == text.site_id)
        return f"https://{site.name}.example/{self.chance.randrange(3)}"

    def token(self, email: str) -> str:
        return account_token(email=email, exp=int((self.now + timedelta(minutes=10)).timestamp()))

    def decide(self) -> None:
        for waiting in self.session.scalars(due_sign_ups(self.now)).all():
            process_sign_up(self.session, Desk(self.links), waiting.id, self.now)

    def sign_up(self) -> None:
        text, email = self.text(), self.email()
        key = self.chance.choice([None, f"a-key-of-the-page-{self.chance.randrange(3)}"])
        sign_up(
            self.session,
            self.keys,
            text,
            self.now,
            email=email,
            article_url=self.article(text),
            withdrawal_key=key,
            account_token=self.token(email),
            is_suspect=self.chance.random() < 0.2,
        )
        self.decide()

    def sign_up_with_account(self) -> None:
        site = self.chance.choice(self.sites)
        text = make_consent_text(self.session, site=site, mode=Mode.SOFT_OPT_IN)
        email = self.email()
        sign_up(
            self.session,
            self.keys,
            text,
            self.now,
            email=email,
            article_url=self.article(text),
            account_token=self.token(email),
        )
        self.decide()

    def sign_up_at_the_release_before(self) -> None:
        text, email = self.text(), self.email()
        hashed = email_hash(self.keys, email)
        person = self.session.scalar(select(Subscriber).where(Subscriber.email_hash == hashed))
        if person is None:
            person = Subscriber(id=uuid.uuid4(), email=email, email_hash=hashed)
            self.session.add(person)
        article = sign_up(
            self.session,
            self.keys,
            text,
            self.now,
            article_url=self.article(text),
            account_token=self.token(ADA),
        ).article_id
        self.session.execute(sa.delete(SignUp))
        (event,) = happen(
            self.session,
            text,
            consent_id=None,
            evidence=None,
            subscriber_id=person.id,
            article_id=article,
            occurred_at=self.now,
        )
        columns = [ConsentEvent.__table__.c[name] for name in FIELDS]
        row = self.session.execute(select(*columns).where(ConsentEvent.id == event)).mappings().one()
        adopt(self.session, row, self.now)
        self.decide()

    def confirm(self) -> None:
        if found := tokens(self.session)[-6:]:
            confirm(self.session, self.links, self.chance.choice(found), self.now)

    def answer(self) -> None:
        for token in tokens(self.session, "renewal")[-2:]:
            confirm(self.session, self.links, token, self.now)

    def leave(self) -> None:
        if consent := self.consent():
            token = leaving_token(self.keys, consent.id)
            everything = self.chance.random() < 0.2
            leave(
                self.session,
                self.links,
                token,
                method="one_click",
                is_everything=everything,
                now=self.now,
            )

    def take_back(self) -> None:
        take_back(self.session, self.links, f"a-key-of-the-page-{self.chance.randrange(3)}", self.now)

    def withdraw(self) -> None:
        if consent := self.consent():
            withdraw(self.session, self.links, consent, method="newsroom", actor="token:x", now=self.now)

    def expire(self) -> None:
        while expire_unconfirmed(self.session, self.now) is not None:
            pass
        while clear_link(self.session, self.now):
            pass
        expire_unanswered(self.session, self.links, self.now)

    def renew(self) -> None:
        make_consent_text(
            self.session, site=self.chance.choice(self.sites), is_material=self.chance.random() < 0.7
        )
        ask_anew(self.session, self.links, days=8, now=self.now)

    def import_one(self) -> None:
        text, email = self.text(), self.email()
        hashed = email_hash(self.keys, email)
        person = self.session.scalar(select(Subscriber).where(Subscriber.email_hash == hashed))
        if person is None:
            person = Subscriber(id=uuid.uuid4(), email=email, email_hash=hashed)
            self.session.add(person)
            self.session.flush()
        consent = self.session.scalar(
            select(Consent).where(
                Consent.subscriber_id == person.id,
                Consent.site_id == text.site_id,
                Consent.purpose == text.purpose,
            )
        )
        if consent is None:
            first = ConsentEvent(
                consent_id=uuid.uuid4(),
                subscriber_id=person.id,
                text_id=text.id,
                occurred_at=self.now,
                is_suspect=False,
            )
            consent = new_consent(first, text)
            self.session.add(consent)
        note(self.session, consent, Kind.IMPORTED, text=text, method="import", actor="cli", now=self.now)

    def erase(self) -> None:
        consent = self.consent()
        if consent is None or self.chance.random() < 0.6:
            return
        person = consent.subscriber_id
        theirs = self.session.scalars(select(Consent).where(Consent.subscriber_id == person)).all()
        for each in theirs:
            note(self.session, each, Kind.SUPPRESSED, text=each.text, method="page", now=self.now)
            note(self.session, each, Kind.ERASED, text=each.text, method="page", now=self.now)
        self.session.execute(sa.delete(Subscriber).where(Subscriber.id == person))

    def suppress(self) -> None:
        if consent := self.consent():
            note(self.session, consent, Kind.SUPPRESSED, text=consent.text, method="newsroom", now=self.now)

    def release(self) -> None:
        if consent := self.consent():
            note(self.session, consent, Kind.RELEASED, text=consent.text, method="newsroom", now=self.now)


def table(session: Session) -> list[dict[str, object]]:
    columns = list(Consent.__table__.columns)
    rows = session.execute(select(*columns).order_by(Consent.id)).mappings()
    return [dict(row) for row in rows]


class TestRandomWalk:
    @pytest.mark.parametrize("seed", [2])
    def test_table_equals_what_the_events_come_to(
        self, session: Session, engine: sa.Engine, keys: Keys, now: datetime, seed: int
    ) -> None:
        walk = Walk(session, keys, seed, now)
        states = set()

        for number in range(1, 181):
            walk.step()
            if number % 15 == 0:
                with Session(engine) as fresh:
                    assert list(find_differences(fresh)) == []
                    rows = table(fresh)
                    assert list(expected_consents(fresh)) == rows
                states |= {row["state"] for row in rows}

        # What was not among it was not tried.
        assert set(session.scalars(select(ConsentEvent.kind).distinct())) == set(Kind)
        assert states == set(State)

    def test_emptied_table_comes_back_as_it_was(
        self,
        session: Session,
        engine: sa.Engine,
        keys: Keys,
        now: datetime,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("pollsvc.consent.rebuilding.PAGE", 3)
        walk = Walk(session, keys, 77, now)
        for _ in range(80):
            walk.step()
        before = table(session)
        session.execute(sa.delete(Consent))
        session.commit()

        with Session(engine.execution_options(sqlite_write=True)) as fresh:
            made = rebuild(fresh)
            fresh.commit()

        assert made == len(before) > 3
        assert table(session) == before


@pytest.fixture
def text(session: Session) -> ConsentText:
    return make_consent_text(session, site=make_site(session))


@pytest.fixture
def consent(session: Session, keys: Keys, text: ConsentText, now: datetime) -> uuid.UUID:
    """An active consent."""
    made = ask(session, keys, text, now)
    confirm(session, links(keys), tokens(session)[0], now)
    session.commit()
    session.expunge_all()
    return made.id


def differences(session: Session) -> list[Difference]:
    return list(find_differences(session))


CHANGES = {
    "state": State.WITHDRAWN,
    "purpose": "alerts",
    "origin": "https://other.example",
    "is_suspect": True,
    "request_id": None,
    "withdrawal_hash": b"x" * 32,
    "confirmed_at": None,
    "valid_until": datetime.fromisoformat("2030-01-01T00:00:00+00:00"),
    "changed_at": datetime.fromisoformat("2030-01-01T00:00:00+00:00"),
    "requested_at": datetime.fromisoformat("2020-01-01T00:00:00+00:00"),
    "article_id": None,
}


class TestDifferences:
    @pytest.mark.parametrize("column", CHANGES)
    def test_changed_column_is_named_and_put_right(
        self, session: Session, consent: uuid.UUID, column: str
    ) -> None:
        before = table(session)
        session.execute(sa.update(Consent).values({column: CHANGES[column]}))

        assert differences(session) == [Difference(consent, "changed", (column,))]
        assert rebuild(session) == 1
        assert table(session) == before
        assert differences(session) == []

    def test_missing_row_is_named_and_put_back(self, session: Session, consent: uuid.UUID) -> None:
        before = table(session)
        session.execute(sa.delete(Consent))

        assert differences(session) == [Difference(consent, "missing")]
        assert rebuild(session) == 1
        assert table(session) == before

    @pytest.mark.parametrize("number", [0, 2**128 - 1], ids=["before", "behind"])
    def test_row_of_no_event_is_named_and_taken_away(
        self, session: Session, consent: uuid.UUID, number: int
    ) -> None:
        before = table(session)
        session.execute(sa.insert(Consent).values({**before[0], "id": uuid.UUID(int=number), "purpose": "x"}))

        assert differences(session) == [Difference(uuid.UUID(int=number), "not of any event")]
        assert rebuild(session) == 1
        assert table(session) == before

    def test_row_under_another_id_makes_way(self, session: Session, consent: uuid.UUID) -> None:
        before = table(session)
        session.execute(sa.update(Consent).values(id=uuid.UUID(int=2**128 - 1)))

        assert rebuild(session) == 2
        assert table(session) == before

    def test_of_a_person_who_is_gone_nothing_is_expected(self, session: Session, consent: uuid.UUID) -> None:
        session.execute(sa.delete(Consent))
        session.execute(sa.delete(Subscriber))

        assert differences(session) == []

    def test_right_table_is_left_alone(self, session: Session, consent: uuid.UUID) -> None:
        assert rebuild(session) == 0

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_nobody_writes_to_the_table_meanwhile(
        self, session: Session, engine: sa.Engine, consent: uuid.UUID
    ) -> None:
        rebuild(session)
        with Session(engine) as other:
            other.execute(sa.text("SET lock_timeout = '100ms'"))
            assert len(other.scalars(select(Consent)).all()) == 1
            with pytest.raises(sa.exc.OperationalError, match="lock timeout"):
                other.execute(sa.update(Consent).values(is_suspect=False))


def _run_out(session: Session, links: Links, now: datetime) -> None:
    assert expire_unconfirmed(session, now + timedelta(days=8)) is not None


def _take_back(session: Session, links: Links, now: datetime) -> None:
    assert take_back(session, links, "the-key-of-a-stranger", now)


def _suppress(session: Session, links: Links, now: datetime) -> None:
    hashed = session.scalars(select(Subscriber.email_hash)).one()
    assert suppress_address(session, links, hashed, actor="token:x", now=now)


class TestConsentThatWasGivenOnce:
    @pytest.mark.parametrize("ending", [_run_out, _take_back, _suppress])
    @pytest.mark.parametrize("ended", [Kind.WITHDRAWN, Kind.SUPPRESSED, Kind.EXPIRED])
    def test_asked_for_anew_by_anybody_and_not_confirmed_stands_as_it_stood(
        self,
        session: Session,
        keys: Keys,
        text: ConsentText,
        now: datetime,
        *,
        ended: Kind,
        ending: Callable[[Session, Links, datetime], None],
    ) -> None:
        given = ask(session, keys, text, now, withdrawal_key="the-key-of-its-page")
        confirm(session, links(keys), tokens(session)[0], now)
        note(session, given, ended, text=text, method="x", now=now)
        session.commit()
        before = table(session)
        site = session.get_one(Site, text.site_id)
        notice = make_consent_text(session, site=site, mode="notice_only")
        strange: dict[str, Any] = {"article_url": f"{ORIGIN}/other", "origin": None, "is_suspect": True}
        # Once more, but not where nothing is mailed to the address any more.
        for days in (1,) if ending is _suppress else (1, 10):
            late = now + timedelta(days=days)
            again = sign_up(session, keys, notice, late, withdrawal_key="the-key-of-a-stranger", **strange)
            process_sign_up(session, Desk(links(keys)), again.id, late)
            assert session.get_one(Consent, given.id).text_id == notice.id

            ending(session, links(keys), late)

            session.commit()
            session.expunge_all()
            assert table(session) == before
            assert differences(session) == []
            assert read_proof(session, given.id, late)["mode"] == "explicit"
            assert expire_unconfirmed(session, late + timedelta(days=8)) is None

    def test_taken_back_without_a_word_of_it_is_put_right_when_it_runs_out(
        self, session: Session, keys: Keys, text: ConsentText, consent: uuid.UUID, now: datetime
    ) -> None:
        """As events were written that did not say it yet."""
        withdraw(session, links(keys), session.get_one(Consent, consent), method="x", now=now)
        before = table(session)
        again = sign_up(session, keys, text, now + timedelta(days=1))
        process_sign_up(session, Desk(links(keys)), again.id, now + timedelta(days=1))
        person = session.scalars(select(Subscriber.id)).one()
        happen(session, text, kind="withdrawn", consent_id=consent, subscriber_id=person, evidence={})
        rebuild(session)
        session.expire_all()
        assert session.get_one(Consent, consent).confirmed_at is None

        assert expire_unconfirmed(session, now + timedelta(days=9)) is not None

        assert table(session) == before
