"""What becomes of a sign-up: who gets a mail and how often, whose link confirms what, and whom a page's key can end."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.consent import service, tokens
from pollsvc.consent.addresses import MAIL_PAUSE, MAILS_A_DAY
from pollsvc.consent.models import (
    Confirmation,
    ConsentEvent,
    ConsentText,
    Kind,
    MailPermit,
    SignUp,
    State,
    Subscriber,
)
from pollsvc.consent.rebuilding import find_differences
from pollsvc.consent.signing_up import (
    CONFIRM_WITHIN,
    Outcome,
    due_sign_ups,
    process_sign_up,
)
from pollsvc.consent.states import note
from pollsvc.keys import Keys
from pollsvc.outbox.delivery import DeliveryFailed, Result, claim, settle
from pollsvc.outbox.models import OutboxEvent, OutboxMessage
from tests.conftest import NOW
from tests.consent.readers import DAY, EMAIL, KEY, MINUTE, OTHER_KEY, Newsletter
from tests.consent.stored import tables_with
from tests.factories import make_consent_text, make_site

Begin = Callable[[Newsletter], object]


@pytest.fixture
def newsletter(session: Session, keys: Keys, now: datetime) -> Newsletter:
    """A site's newsletter."""
    return Newsletter(session, keys, now)


def pending(newsletter: Newsletter) -> None:
    newsletter.sign_up()


def pending_for_an_hour(newsletter: Newsletter) -> None:
    newsletter.sign_up()
    newsletter.pass_time(60 * MINUTE)


def active(newsletter: Newsletter) -> None:
    newsletter.activate()
    newsletter.pass_time(60 * MINUTE)


def withdrawn(newsletter: Newsletter) -> None:
    newsletter.leave(newsletter.activate())
    newsletter.pass_time(60 * MINUTE)


def withdrawn_at_once(newsletter: Newsletter) -> None:
    newsletter.leave(newsletter.activate())


def suppressed(newsletter: Newsletter) -> None:
    newsletter.suppress()


class TestSignUp:
    @pytest.mark.parametrize(
        ("before", "outcome", "mails"),
        [
            pytest.param(lambda _: None, Outcome.MAILED, 1, id="new"),
            pytest.param(pending, Outcome.ALREADY_MAILED, 0, id="pending"),
            pytest.param(pending_for_an_hour, Outcome.MAILED, 1, id="pending for an hour"),
            pytest.param(active, Outcome.ALREADY_ACTIVE, 0, id="active"),
            pytest.param(withdrawn, Outcome.MAILED, 1, id="withdrawn"),
            pytest.param(withdrawn_at_once, Outcome.DEFERRED, 0, id="withdrawn a moment after its mail"),
            pytest.param(suppressed, Outcome.SUPPRESSED, 0, id="suppressed"),
        ],
    )
    def test_of_an_address_is_decided_by_how_it_stands(
        self, newsletter: Newsletter, before: Begin, outcome: Outcome, mails: int
    ) -> None:
        before(newsletter)
        mailed = newsletter.happened().count("confirmation_sent")

        assert newsletter.sign_up() == outcome

        assert newsletter.happened().count("confirmation_sent") - mailed == mails

    def test_to_a_text_of_the_first_release_is_mailed_in_the_site_s_name(
        self, newsletter: Newsletter
    ) -> None:
        first = ConsentText(
            site_id=newsletter.text.site_id,
            purpose="first",
            version=1,
            body="Send me the newsletter.",
            body_hash=bytes(32),
            created_at=newsletter.now,
            created_by="the first release",
        )
        newsletter.session.add(first)
        newsletter.session.flush()

        newsletter.sign_up(text=first)

        [letter] = newsletter.letters()
        written = json.loads(letter.payload or "")
        assert written["sender"] == written["params"]["site_name"] == "The Harbour Gazette"

    def test_leaves_no_row_behind_once_decided(self, newsletter: Newsletter) -> None:
        newsletter.sign_up()
        newsletter.suppress("bea@reader.example")
        newsletter.sign_up("bea@reader.example")

        assert newsletter.waiting() == []

    def test_of_a_suppressed_address_leaves_nothing_of_it(self, newsletter: Newsletter) -> None:
        newsletter.suppress()

        newsletter.sign_up()

        assert tables_with(newsletter.session, EMAIL.encode()) == set()
        assert newsletter.session.scalars(select(Subscriber)).all() == []
        assert newsletter.happened() == []

    @pytest.mark.parametrize("spelling", ["ada@bin.example", "ADA@BIN.Example"])
    def test_of_a_disposable_domain_sends_nothing(
        self, session: Session, keys: Keys, now: datetime, spelling: str
    ) -> None:
        newsletter = Newsletter(session, keys, now, disposable="bin.example")

        assert newsletter.sign_up(spelling) == Outcome.DISPOSABLE

        assert newsletter.letters() == []
        assert session.scalars(select(Subscriber)).all() == []

    def test_of_a_domain_under_a_disposable_one_is_like_any(
        self, session: Session, keys: Keys, now: datetime
    ) -> None:
        newsletter = Newsletter(session, keys, now, disposable="bin.example")

        assert newsletter.sign_up("ada@not-bin.example") == Outcome.MAILED

    def test_that_another_worker_decided_is_nothing_to_decide(self, newsletter: Newsletter) -> None:
        sign_up = newsletter.take()
        newsletter.decide(sign_up)

        assert newsletter.decide(sign_up) is None

        assert len(newsletter.letters()) == 1

    def test_is_the_same_person_s_in_capitals(self, newsletter: Newsletter) -> None:
        newsletter.activate()

        assert newsletter.sign_up(EMAIL.upper()) == Outcome.ALREADY_ACTIVE

    def test_in_other_capitals_is_mailed_to_the_address_as_we_know_it(self, newsletter: Newsletter) -> None:
        newsletter.activate()
        newsletter.leave(newsletter.consent())
        newsletter.pass_time(MAIL_PAUSE)

        newsletter.sign_up(EMAIL.upper())

        assert [json.loads(letter.payload or "")["to"] for letter in newsletter.letters()] == [EMAIL]

    def test_of_two_purposes_is_two_consents_of_one_person(self, newsletter: Newsletter) -> None:
        alerts = make_consent_text(
            newsletter.session, site=make_other_site(newsletter.session), purpose="alerts"
        )
        newsletter.activate()
        newsletter.pass_time(MAIL_PAUSE)

        newsletter.session.commit()
        article = "https://other.example/a"
        assert newsletter.sign_up(text=alerts, article_url=article) == Outcome.MAILED

        assert len(newsletter.session.scalars(select(Subscriber)).all()) == 1
        assert newsletter.happened().count("requested") == 2


def make_other_site(session: Session) -> Site:
    return make_site(session, name="The Other", origins=["https://other.example"])


class TestActive:
    """Signing up somebody who is active changes nothing and mails nothing, whoever did it."""

    def test_stays_as_it_was(self, newsletter: Newsletter) -> None:
        consent = newsletter.activate(key=KEY)
        before = {name: getattr(consent, name) for name in consent.__table__.columns.keys()}  # noqa: SIM118
        happened = newsletter.happened()
        newsletter.pass_time(DAY)

        newsletter.sign_up(key=OTHER_KEY)

        newsletter.session.refresh(consent)
        assert {name: getattr(consent, name) for name in before} == before
        assert newsletter.happened() == happened

    def test_is_not_ended_by_the_key_of_who_signed_them_up_again(self, newsletter: Newsletter) -> None:
        consent = newsletter.activate(key=KEY)
        newsletter.pass_time(DAY)
        newsletter.sign_up(key=OTHER_KEY)

        assert not newsletter.take_back(OTHER_KEY)

        assert newsletter.consent().state == State.ACTIVE
        assert newsletter.take_back(KEY)
        assert consent.state == State.WITHDRAWN

    def test_is_not_ended_while_such_a_sign_up_waits(self, newsletter: Newsletter) -> None:
        newsletter.activate()
        newsletter.take(key=OTHER_KEY)

        newsletter.take_back(OTHER_KEY)

        assert newsletter.consent().state == State.ACTIVE
        assert newsletter.waiting() == []


class TestLimit:
    """At most one mail to an address in a quarter of an hour, and five in a day: whoever asks, from wherever."""

    def ask(self, newsletter: Newsletter) -> Outcome | None:
        """Sign up, and take it back, so that each sign-up would need a mail of its own."""
        outcome = newsletter.sign_up(key=KEY)
        if outcome == Outcome.MAILED:
            newsletter.take_back(KEY)
        return outcome

    def test_is_a_pause_to_the_second(self, newsletter: Newsletter) -> None:
        self.ask(newsletter)
        newsletter.pass_time(MAIL_PAUSE - timedelta(seconds=1))

        assert self.ask(newsletter) == Outcome.DEFERRED

        newsletter.pass_time(timedelta(seconds=1))
        (waiting,) = newsletter.waiting()
        assert waiting.available_at == newsletter.now
        assert newsletter.decide(waiting.id) == Outcome.MAILED
        assert newsletter.waiting() == []

    def test_is_five_in_any_day(self, newsletter: Newsletter) -> None:
        began = newsletter.now
        for _ in range(MAILS_A_DAY):
            assert self.ask(newsletter) == Outcome.MAILED
            newsletter.pass_time(MAIL_PAUSE)

        assert self.ask(newsletter) == Outcome.DEFERRED

        (waiting,) = newsletter.waiting()
        assert waiting.available_at == began + DAY
        newsletter.now = began + DAY
        assert newsletter.decide(waiting.id) == Outcome.MAILED

    def test_is_each_address_s_own(self, newsletter: Newsletter) -> None:
        for number in range(20):
            assert newsletter.sign_up(f"reader{number}@reader.example") == Outcome.MAILED

    def test_leaves_a_deferred_one_alone_until_its_time(self, newsletter: Newsletter) -> None:
        self.ask(newsletter)
        self.ask(newsletter)

        assert newsletter.session.scalars(due_sign_ups(newsletter.now)).all() == []
        assert len(newsletter.session.scalars(due_sign_ups(newsletter.now + MAIL_PAUSE)).all()) == 1

    def test_makes_one_mail_of_many_sign_ups(self, newsletter: Newsletter) -> None:
        for _ in range(10):
            newsletter.sign_up()

        assert len(newsletter.letters()) == 1
        assert newsletter.waiting() == []

    @pytest.mark.parametrize("same", [True, False], ids=["one sign-up", "two sign-ups"])
    def test_holds_for_two_workers_at_once(
        self, newsletter: Newsletter, engine: sa.Engine, *, same: bool
    ) -> None:
        for round_ in range(8):
            email = f"reader{round_}@reader.example"
            first = newsletter.take(email)
            second = first if same else newsletter.take(email)
            at_once = threading.Barrier(2)
            outcomes: list[Outcome | None] = []

            def decide(
                sign_up: object,
                at_once: threading.Barrier = at_once,
                outcomes: list[Outcome | None] = outcomes,
            ) -> None:
                with Session(engine.execution_options(sqlite_write=True)) as session:
                    at_once.wait(10)
                    outcomes.append(process_sign_up(session, newsletter.desk, sign_up, newsletter.now))  # type: ignore[arg-type]
                    session.commit()

            workers = [threading.Thread(target=decide, args=(each,)) for each in (first, second)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(30)

            other = None if same else Outcome.ALREADY_MAILED
            assert sorted(outcomes, key=str) == sorted([Outcome.MAILED, other], key=str)
            newsletter.session.rollback()
            assert len(newsletter.letters()) == round_ + 1

        permits = newsletter.session.scalars(select(MailPermit)).all()
        assert len(permits) == 8


class TestConfirmation:
    def test_ends_the_wait_once(self, newsletter: Newsletter) -> None:
        newsletter.sign_up()
        (token,) = newsletter.tokens()

        assert newsletter.confirm(token)
        assert not newsletter.confirm(token)

        assert newsletter.consent().state == State.ACTIVE
        assert newsletter.happened() == ["requested", "confirmation_sent", "confirmed"]
        kinds = newsletter.session.scalars(select(OutboxEvent.kind)).all()
        assert kinds == ["consent.confirmed"]

    def test_is_kept_as_a_hash(self, newsletter: Newsletter) -> None:
        newsletter.sign_up()
        (token,) = newsletter.tokens()

        confirmation = newsletter.session.scalars(select(Confirmation)).one()
        assert confirmation.token_hash == tokens.token_hash(token)
        # The mail itself waits encrypted.
        assert tables_with(newsletter.session, token.encode()) == set()

    @pytest.mark.parametrize(
        ("late", "confirms"),
        [(CONFIRM_WITHIN - MINUTE, True), (CONFIRM_WITHIN, False), (CONFIRM_WITHIN + DAY, False)],
        ids=["in time", "at its end", "a day late"],
    )
    def test_works_for_seven_days(self, newsletter: Newsletter, late: timedelta, *, confirms: bool) -> None:
        newsletter.sign_up()
        newsletter.pass_time(late)

        assert newsletter.confirm(newsletter.tokens()[0]) == confirms

        assert newsletter.consent().state == (State.ACTIVE if confirms else State.PENDING)

    @pytest.mark.parametrize(
        "token",
        ["", "x", "é", "a" * 43, "../../etc/passwd", "\x00", "%00", "'; DROP TABLE consent; --", "a" * 5_000],
        ids=lambda token: ascii(token[:12]),
    )
    def test_by_a_token_of_nobody_s_does_nothing(self, newsletter: Newsletter, token: str) -> None:
        newsletter.sign_up()

        assert not newsletter.confirm(token)

        assert newsletter.consent().state == State.PENDING

    def test_of_another_s_confirms_that_one_only(self, newsletter: Newsletter) -> None:
        newsletter.sign_up("bea@reader.example")
        newsletter.sign_up()

        newsletter.confirm(newsletter.tokens()[0])

        assert newsletter.consent("bea@reader.example").state == State.ACTIVE
        assert newsletter.consent().state == State.PENDING

    @pytest.mark.parametrize("by", ["key", "mail"])
    def test_of_one_taken_back_meanwhile_does_nothing(self, newsletter: Newsletter, by: str) -> None:
        newsletter.sign_up(key=KEY)
        (token,) = newsletter.tokens()
        if by == "key":
            newsletter.take_back(KEY)
        else:
            newsletter.leave(newsletter.consent())

        assert not newsletter.confirm(token)

        assert newsletter.consent().state == State.WITHDRAWN

    def test_of_one_taken_back_does_not_confirm_the_next(self, newsletter: Newsletter) -> None:
        newsletter.sign_up(key=KEY)
        (first,) = newsletter.tokens()
        newsletter.take_back(KEY)
        newsletter.pass_time(MAIL_PAUSE)
        newsletter.sign_up()
        second = newsletter.tokens()[-1]

        assert not newsletter.confirm(first)
        assert newsletter.consent().state == State.PENDING

        assert newsletter.confirm(second)
        assert newsletter.consent().state == State.ACTIVE

    @pytest.mark.parametrize("pressed", [0, 1], ids=["earlier", "later"])
    def test_of_two_mails_is_of_what_the_pressed_one_showed(
        self, newsletter: Newsletter, pressed: int
    ) -> None:
        """A mail that came later, whoever asked for it, does not make the earlier one's link a lie."""
        newer = make_consent_text(
            newsletter.session, site=newsletter.session.get_one(Site, newsletter.text.site_id)
        )
        asked = [newsletter.now, newsletter.now + MAIL_PAUSE]
        texts, keys_of = [newsletter.text, newer], [KEY, OTHER_KEY]
        links, requests = [], []
        for number in (0, 1):
            newsletter.now = asked[number]
            article = f"https://news.example/{number}"
            newsletter.sign_up(key=keys_of[number], text=texts[number], article_url=article)
            links.append(newsletter.tokens()[-1])
            requests.append(newsletter.consent().request_id)
        newsletter.pass_time(MINUTE)

        assert newsletter.confirm(links[pressed])
        assert not newsletter.confirm(links[1 - pressed])

        consent = newsletter.consent()
        assert (consent.state, consent.text_id) == (State.ACTIVE, texts[pressed].id)
        assert (consent.article_url, consent.request_id) == (
            f"https://news.example/{pressed}",
            requests[pressed],
        )
        assert (consent.requested_at, consent.confirmed_at) == (asked[pressed], newsletter.now)
        confirmed = newsletter.session.scalars(
            select(ConsentEvent).where(ConsentEvent.kind == "confirmed")
        ).one()
        assert (confirmed.text_id, confirmed.article_id) == (consent.text_id, consent.article_id)
        assert confirmed.origin == "https://news.example"
        assert (confirmed.evidence or {})["withdrawal_hash"] == tokens.token_hash(keys_of[pressed]).hex()
        assert list(find_differences(newsletter.session)) == []
        assert not newsletter.take_back(keys_of[1 - pressed])
        assert newsletter.take_back(keys_of[pressed])

    def test_is_suspect_as_its_own_request_was(self, newsletter: Newsletter, session: Session) -> None:
        newsletter.sign_up()
        (first,) = newsletter.tokens()
        newsletter.pass_time(MAIL_PAUSE)
        later = newsletter.take()
        session.execute(sa.update(SignUp).values(is_suspect=True))
        session.commit()
        newsletter.decide(later)
        assert newsletter.consent().is_suspect

        newsletter.confirm(first)

        assert not newsletter.consent().is_suspect
        assert list(find_differences(session)) == []

    @pytest.mark.parametrize("kind", [Kind.WITHDRAWN, Kind.SUPPRESSED, Kind.EXPIRED])
    def test_from_before_an_end_does_not_confirm_what_was_asked_for_since(
        self, newsletter: Newsletter, kind: Kind
    ) -> None:
        newsletter.activate()
        newsletter.leave(newsletter.consent())
        newsletter.pass_time(MAIL_PAUSE)
        newsletter.sign_up()
        before = newsletter.tokens()[-1]
        note(
            newsletter.session,
            newsletter.consent(),
            kind,
            text=newsletter.text,
            method="x",
            now=newsletter.now,
        )
        newsletter.pass_time(MAIL_PAUSE)
        newsletter.sign_up()

        assert not newsletter.confirm(before)
        assert newsletter.consent().state == State.PENDING

        assert newsletter.confirm(newsletter.tokens()[-1])

    def test_once_left_does_not_come_back_by_the_old_link(self, newsletter: Newsletter) -> None:
        consent = newsletter.activate()
        (token,) = newsletter.tokens()
        newsletter.leave(consent)

        assert not newsletter.confirm(token)

        assert newsletter.consent().state == State.WITHDRAWN

    def test_by_two_presses_at_once_confirms_once(self, newsletter: Newsletter, engine: sa.Engine) -> None:
        newsletter.sign_up()
        (token,) = newsletter.tokens()
        at_once = threading.Barrier(4)
        confirmed: list[bool] = []

        def press() -> None:
            with Session(engine.execution_options(sqlite_write=True)) as session:
                mine = Newsletter.__new__(Newsletter)
                mine.session, mine.links, mine.now = session, newsletter.links, newsletter.now
                at_once.wait(10)
                confirmed.append(mine.confirm(token))

        fingers = [threading.Thread(target=press) for _ in range(4)]
        for finger in fingers:
            finger.start()
        for finger in fingers:
            finger.join(30)

        assert sorted(confirmed) == [False, False, False, True]
        newsletter.session.rollback()
        assert newsletter.happened().count("confirmed") == 1


class TestMailsThatWait:
    """While the mail server is away, a consent's mails do not gather: only the newest waits."""

    def test_make_way_for_a_newer_one_of_the_same_consent(self, newsletter: Newsletter) -> None:
        newsletter.sign_up("bea@reader.example")
        newsletter.sign_up()
        beas, first = newsletter.letters()
        kept, gone = beas.id, first.id
        newsletter.pass_time(MAIL_PAUSE)

        newsletter.sign_up()

        left = [letter.id for letter in newsletter.letters()]
        assert len(left) == 2
        assert kept in left
        assert gone not in left

    @pytest.mark.parametrize(
        "state",
        [
            {"lease": uuid.UUID(int=1), "leased_until": NOW},
            {"state": "delivered"},
            {"state": "dead"},
            {"kind": "renewal"},
        ],
        ids=["on its way", "delivered", "given up", "of another kind"],
    )
    def test_are_left_alone_once_they_are_more_than_waiting(
        self, newsletter: Newsletter, state: dict[str, object]
    ) -> None:
        newsletter.sign_up()
        newsletter.session.execute(sa.update(OutboxMessage).values(state))
        newsletter.session.commit()
        newsletter.pass_time(MAIL_PAUSE)

        newsletter.sign_up()

        assert len(newsletter.letters()) == 2

    @pytest.mark.parametrize("by", ["key", "mail"])
    def test_do_not_go_to_who_left_meanwhile(self, newsletter: Newsletter, by: str) -> None:
        newsletter.sign_up("bea@reader.example")
        newsletter.sign_up(key=KEY)
        beas, _ = (letter.id for letter in newsletter.letters())

        if by == "key":
            newsletter.take_back(KEY)
        else:
            newsletter.leave(newsletter.consent())

        assert [letter.id for letter in newsletter.letters()] == [beas]

    def test_nor_do_those_under_way_go_there_again(self, newsletter: Newsletter) -> None:
        newsletter.sign_up()
        session = newsletter.session
        message = claim(session, uuid.uuid4(), newsletter.now, "mail")
        assert message
        session.commit()
        session.refresh(message)
        session.expunge(message)

        newsletter.leave(newsletter.consent())

        busy = Result(451, DeliveryFailed("The mail server answered 451.", status=451), 1)
        assert settle(session, message, busy, newsletter.now, 0.0) is None
        session.commit()
        assert newsletter.letters() == []

    def test_of_the_same_person_s_other_consent_stay(self, newsletter: Newsletter) -> None:
        other = make_consent_text(newsletter.session, site=make_other_site(newsletter.session))
        newsletter.session.commit()
        newsletter.sign_up()
        newsletter.pass_time(MAIL_PAUSE)

        newsletter.sign_up(text=other, article_url="https://other.example/a")

        assert len(newsletter.letters()) == 2


class TestTakingBack:
    """The page that signed somebody up takes that back, before and after the worker and the mail; no other page can."""

    @pytest.mark.parametrize("when", ["waiting", "pending", "active"])
    def test_works_at_each_step(self, newsletter: Newsletter, when: str) -> None:
        sign_up = newsletter.take(key=KEY)
        if when != "waiting":
            newsletter.decide(sign_up)
        if when == "active":
            newsletter.confirm(newsletter.tokens()[0])

        assert newsletter.take_back(KEY)

        assert newsletter.waiting() == []
        assert newsletter.decide(sign_up) is None
        if when != "waiting":
            assert newsletter.consent().state == State.WITHDRAWN

    def test_of_one_deferred_sends_no_mail_later(self, newsletter: Newsletter) -> None:
        newsletter.sign_up(key=KEY)
        newsletter.take_back(KEY)
        assert newsletter.sign_up(key=OTHER_KEY) == Outcome.DEFERRED

        assert newsletter.take_back(OTHER_KEY)

        assert newsletter.waiting() == []
        # Nor does the first, which had not left yet.
        assert newsletter.letters() == []

    @pytest.mark.parametrize("key", [OTHER_KEY, "", KEY.upper(), KEY[:-1]])
    def test_by_another_key_does_nothing(self, newsletter: Newsletter, key: str) -> None:
        newsletter.activate(key=KEY)

        assert not newsletter.take_back(key)

        assert newsletter.consent().state == State.ACTIVE

    def test_of_a_sign_up_without_a_key_needs_the_mail_s_link(self, newsletter: Newsletter) -> None:
        newsletter.activate()

        assert not newsletter.take_back("")

        assert newsletter.leave(newsletter.consent())

    def test_twice_is_done_once(self, newsletter: Newsletter) -> None:
        newsletter.activate(key=KEY)

        assert newsletter.take_back(KEY)
        assert not newsletter.take_back(KEY)

        assert newsletter.happened().count("withdrawn") == 1

    def test_tells_the_publisher_of_one_that_was_active_only(self, newsletter: Newsletter) -> None:
        newsletter.sign_up(key=KEY)
        newsletter.take_back(KEY)
        assert newsletter.session.scalars(select(OutboxEvent)).all() == []
        newsletter.pass_time(MAIL_PAUSE)
        newsletter.activate(key=OTHER_KEY)

        newsletter.take_back(OTHER_KEY)

        kinds = newsletter.session.scalars(select(OutboxEvent.kind).order_by(OutboxEvent.id)).all()
        assert kinds == ["consent.confirmed", "consent.withdrawn"]

    def test_key_is_kept_as_a_hash(self, newsletter: Newsletter) -> None:
        newsletter.take("bea@reader.example", key=OTHER_KEY)
        newsletter.activate(key=KEY)

        assert tables_with(newsletter.session, KEY.encode(), OTHER_KEY.encode()) == set()

    def test_ends_when_the_address_signs_up_anew_elsewhere(self, newsletter: Newsletter) -> None:
        """The mailbox's owner confirmed the later request: the earlier page's key is of no use for it."""
        newsletter.sign_up(key=OTHER_KEY)
        newsletter.pass_time(MAIL_PAUSE)
        newsletter.sign_up(key=KEY)
        newsletter.confirm(newsletter.tokens()[-1])

        assert not newsletter.take_back(OTHER_KEY)

        assert newsletter.consent().state == State.ACTIVE


class TestLeaving:
    @pytest.mark.parametrize("token", ["", "made-up", "a.b-c_0"])
    def test_a_link_that_nobody_was_sent_ends_nothing(self, newsletter: Newsletter, token: str) -> None:
        consent = newsletter.activate()

        changed = service.leave(
            newsletter.session, newsletter.links, token, method="page", now=newsletter.now
        )

        assert not changed
        assert newsletter.consent().state == consent.state == "active"

    def test_never_expires_and_repeats(self, newsletter: Newsletter) -> None:
        consent = newsletter.activate()
        newsletter.pass_time(3_650 * DAY)

        assert newsletter.leave(consent)
        assert not newsletter.leave(consent)

        assert newsletter.happened().count("withdrawn") == 1

    @pytest.mark.parametrize(("is_everything", "left"), [(False, 1), (True, 2)], ids=["one", "all"])
    def test_of_one_list_or_of_all(self, newsletter: Newsletter, *, is_everything: bool, left: int) -> None:
        other = make_consent_text(newsletter.session, site=make_other_site(newsletter.session))
        newsletter.session.commit()
        newsletter.activate(email="bea@reader.example")
        consent = newsletter.activate()
        newsletter.pass_time(MAIL_PAUSE)
        newsletter.sign_up(text=other, article_url="https://other.example/a")

        newsletter.leave(consent, is_everything=is_everything)

        assert newsletter.happened().count("withdrawn") == left
        assert newsletter.consent("bea@reader.example").state == State.ACTIVE

    @pytest.mark.parametrize("is_everything", [False, True], ids=["one", "all"])
    def test_drops_what_waits_of_the_same_address_and_list(
        self, newsletter: Newsletter, *, is_everything: bool
    ) -> None:
        """Decided later, a sign-up from before would undo it."""
        other = make_consent_text(newsletter.session, site=make_other_site(newsletter.session))
        consent = newsletter.activate()
        newsletter.leave(consent)
        newsletter.take()
        elsewhere = newsletter.take(text=other, article_url="https://other.example/a")
        beas = newsletter.take("bea@reader.example")

        newsletter.leave(consent, is_everything=is_everything)

        left = {each.id for each in newsletter.waiting()}
        assert left == ({beas} if is_everything else {beas, elsewhere})

    @pytest.mark.parametrize(
        "spoil", [str.upper, lambda token: token[:-1], lambda token: "B" + token[1:], lambda _: ""]
    )
    def test_by_a_forged_token_does_nothing(
        self, newsletter: Newsletter, keys: Keys, spoil: Callable[[str], str]
    ) -> None:
        consent = newsletter.activate()
        forged = spoil(tokens.leaving_token(keys, consent.id))

        assert tokens.read_leaving_token(keys, forged) is None

    def test_by_the_token_of_another_installation_does_nothing(
        self, newsletter: Newsletter, keys: Keys
    ) -> None:
        consent = newsletter.activate()
        raw = consent.id.bytes + keys.digest("elsewhere", consent.id.bytes)[:16]

        token = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        assert tokens.read_leaving_token(keys, token) is None

    def test_says_how(self, newsletter: Newsletter) -> None:
        newsletter.leave(newsletter.activate(), method="one_click")

        (method,) = newsletter.session.execute(
            sa.text("SELECT method FROM consent_event WHERE kind = 'withdrawn'")
        ).scalars()
        assert method == "one_click"
