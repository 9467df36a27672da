"""What the database itself refuses."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from pollsvc.staff.models import AuditEntry, StaffToken
from pollsvc.staff.service import record
from tests.factories import make_token


@pytest.fixture
def entry(session: Session, now: datetime) -> AuditEntry:
    record(session, actor="test", action="poll.closed", subject=("poll", 7), now=now, detail={"a": 1})
    session.commit()
    return session.scalars(select(AuditEntry)).one()


class TestAuditEntry:
    def test_is_never_changed(self, session: Session, entry: AuditEntry) -> None:
        with pytest.raises(DBAPIError, match="audit_entry is append-only"):
            session.execute(update(AuditEntry).values(actor="somebody else"))

    def test_is_never_changed_through_its_object(self, session: Session, entry: AuditEntry) -> None:
        entry.detail = {"a": 2}

        with pytest.raises(DBAPIError, match="audit_entry is append-only"):
            session.flush()

    def test_is_never_deleted(self, session: Session, entry: AuditEntry) -> None:
        with pytest.raises(DBAPIError, match="audit_entry is append-only"):
            session.execute(delete(AuditEntry))

    def test_comes_back_as_it_was_written(self, session: Session, entry: AuditEntry, now: datetime) -> None:
        session.expire_all()

        assert (entry.occurred_at, entry.detail) == (now, {"a": 1})


class TestStaffToken:
    def test_two_cannot_share_a_secret(self, session: Session) -> None:
        make_token(session, name="first")
        make_token(session, name="second")
        first, _ = session.scalars(select(StaffToken))

        with pytest.raises(IntegrityError, match=r"uq_staff_token_token_hash|staff_token\.token_hash"):
            session.execute(update(StaffToken).values(token_hash=first.token_hash))

    def test_is_not_revoked_before_it_was_made(self, session: Session) -> None:
        make_token(session)
        token = session.scalars(select(StaffToken)).one()
        token.revoked_at = token.created_at - timedelta(seconds=1)

        with pytest.raises(IntegrityError, match="ck_staff_token_revoked_after_created"):
            session.flush()
