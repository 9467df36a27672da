"""What leaves the building is written once, with the change that it tells of."""

import orjson
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pollsvc.outbox.figures import show_outbox
from pollsvc.outbox.models import OutboxEvent, OutboxMessage
from pollsvc.outbox.service import (
    announce,
    forget_subject,
    get_message,
    list_messages,
    new_message_id,
    post_mail,
)
from tests.conftest import NOW
from tests.outbox.messages import LETTER, make_mail


class TestPostMail:
    def test_waits_from_now_on(self, session: Session) -> None:
        message = make_mail(session, subject="subscriber:a")

        assert (message.state, message.attempts, message.available_at) == ("pending", 0, NOW)
        assert (message.channel, message.kind, message.lane) == ("mail", "confirmation", "mail subscriber:a")
        assert orjson.loads(message.payload or "")["to"] == LETTER.to

    def test_the_same_key_is_one_mail(self, session: Session) -> None:
        first = make_mail(session, 1)
        second = make_mail(session, 1, to="other@reader.example")

        assert first is second
        assert session.scalar(select(func.count()).select_from(OutboxMessage)) == 1

    def test_a_key_is_unique_whoever_writes_it(self, session: Session) -> None:
        make_mail(session, 1)
        copy = make_mail(session, 2)

        copy.delivery_key = "test 1"

        with pytest.raises(IntegrityError):
            session.flush()

    def test_goes_with_its_transaction(self, session: Session) -> None:
        make_mail(session)
        session.rollback()

        assert session.scalar(select(func.count()).select_from(OutboxMessage)) == 0

    def test_a_lane_of_its_own_is_kept(self, session: Session) -> None:
        post_mail(
            session,
            LETTER,
            subject="correction:a",
            delivery_key="k",
            message_id="<a@b>",
            now=NOW,
            lane="desk",
        )

        assert session.scalars(select(OutboxMessage.lane)).one() == "desk"

    def test_its_payload_is_encrypted(self, session: Session) -> None:
        make_mail(session)

        kept = session.connection().exec_driver_sql("SELECT payload FROM outbox_message").scalar_one()

        assert b"reader.example" not in bytes(kept)

    def test_message_ids_differ(self) -> None:
        assert len({new_message_id("polls.example") for _ in range(100)}) == 100


class TestForgetSubject:
    def test_takes_messages_and_events_of_one_subject(self, session: Session) -> None:
        kept, gone = (
            make_mail(session, 1, subject="subscriber:a"),
            make_mail(session, 2, subject="subscriber:b"),
        )
        for subject in ("subscriber:a", "subscriber:b"):
            announce(session, "consent.confirmed", site_id=None, subject=subject, data={}, now=NOW)
        session.flush()
        name = gone.message_id

        assert forget_subject(session, "subscriber:b") == [name]

        session.expire_all()
        assert session.scalars(select(OutboxMessage.id)).all() == [kept.id]
        assert session.scalars(select(OutboxEvent.subject)).all() == ["subscriber:a"]


class TestFind:
    def test_lists_by_state_and_channel(self, session: Session) -> None:
        made = make_mail(session)

        assert session.scalars(list_messages()).all() == [made]
        assert session.scalars(list_messages("dead", "mail")).all() == []

    def test_one_by_its_number(self, session: Session) -> None:
        made = make_mail(session)

        assert get_message(session, made.id) is made


class TestFigures:
    def test_a_database_that_fails_is_no_number(self, session: Session) -> None:
        from pollsvc.web.metrics import MESSAGES  # noqa: PLC0415

        session.connection().exec_driver_sql("ALTER TABLE outbox_message RENAME TO away")

        show_outbox(session, NOW)

        value = MESSAGES.labels("mail", "pending")._value.get()
        assert value != value  # noqa: PLR0124 (no number is like no other)
        show_outbox(session, NOW)
        assert MESSAGES.labels("mail", "pending")._value.get() == 0
