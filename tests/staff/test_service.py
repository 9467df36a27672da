"""Tokens are made, found and revoked, and the audit log is written, by these rules."""

import hashlib
import uuid
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.staff import service
from pollsvc.staff.models import AuditEntry, StaffToken
from pollsvc.staff.service import LAST_USE_GRAIN, TokenNotFound

SECOND = timedelta(seconds=1)


def create(session: Session, now: datetime, expires_at: datetime | None = None) -> tuple[StaffToken, str]:
    return service.create_token(
        session, name="a desk", scopes=["polls:write"], actor="test", now=now, expires_at=expires_at
    )


def entries(session: Session) -> list[AuditEntry]:
    session.flush()
    return list(session.scalars(select(AuditEntry).order_by(AuditEntry.id)))


class TestCreateToken:
    def test_the_secret_holds_256_random_bits_and_can_be_found_by_scanners(
        self, session: Session, now: datetime
    ) -> None:
        secrets = {create(session, now)[1] for _ in range(3)}

        assert len(secrets) == 3
        for secret in secrets:
            assert secret.startswith("pollsvc_")
            assert len(secret) == len("pollsvc_") + 43

    def test_only_its_hash_is_stored(self, session: Session, now: datetime) -> None:
        token, secret = create(session, now)

        assert token.token_hash == hashlib.sha256(secret.encode()).digest()
        session.commit()
        rows = [
            *session.execute(select(StaffToken.__table__)),
            *session.execute(select(AuditEntry.__table__)),
        ]
        stored = repr([tuple(row) for row in rows])
        assert "a desk" in stored
        assert secret not in stored
        assert secret.removeprefix("pollsvc_") not in stored

    def test_scopes_are_kept_once_each_and_in_order(self, session: Session, now: datetime) -> None:
        token, _ = service.create_token(
            session, name="x", scopes=["polls:write", "admin", "polls:write"], actor="test", now=now
        )

        assert token.scopes == ["admin", "polls:write"]

    def test_leaves_its_audit_row_without_the_secret(self, session: Session, now: datetime) -> None:
        expires_at = now + timedelta(days=1)
        token, secret = create(session, now, expires_at)

        (entry,) = entries(session)
        assert (entry.actor, entry.action, entry.occurred_at) == ("test", "token.created", now)
        assert (entry.object_type, entry.object_id) == ("token", str(token.id))
        assert entry.detail == {
            "name": "a desk",
            "scopes": ["polls:write"],
            "expires_at": expires_at.isoformat(),
        }
        assert secret not in repr(entry.detail)


class TestFindToken:
    def test_finds_the_token_of_a_secret(self, session: Session, now: datetime) -> None:
        token, secret = create(session, now)

        assert service.find_token(session, secret, now) is token

    @pytest.mark.parametrize("secret", ["", "pollsvc_", "pollsvc_unknown", "x", "\u00fc", "pollsvc_\u00fc"])
    def test_finds_none_for_what_is_no_secret(self, session: Session, now: datetime, secret: str) -> None:
        create(session, now)

        assert service.find_token(session, secret, now) is None

    def test_finds_none_by_hash_or_id(self, session: Session, now: datetime) -> None:
        token, secret = create(session, now)

        for known in (token.token_hash.hex(), str(token.id), secret.removeprefix("pollsvc_"), secret.upper()):
            assert service.find_token(session, known, now) is None

    @pytest.mark.parametrize(("age", "is_found"), [(-SECOND, True), (timedelta(0), False), (SECOND, False)])
    def test_a_token_ends_at_its_time(
        self, session: Session, now: datetime, age: timedelta, is_found: bool
    ) -> None:
        _, secret = create(session, now, expires_at=now)

        assert (service.find_token(session, secret, now + age) is not None) == is_found

    def test_a_revoked_token_is_none_even_for_a_clock_that_is_behind(
        self, session: Session, now: datetime
    ) -> None:
        token, secret = create(session, now)
        service.revoke_token(session, token.id, actor="test", now=now + timedelta(hours=1))

        assert service.find_token(session, secret, now) is None


class TestIsUseDue:
    @pytest.mark.parametrize(
        ("age", "is_due"),
        [(None, True), (timedelta(0), False), (LAST_USE_GRAIN - SECOND, False), (LAST_USE_GRAIN, True)],
        ids=str,
    )
    def test_is_after_a_minute(
        self, session: Session, now: datetime, age: timedelta | None, is_due: bool
    ) -> None:
        token, _ = create(session, now)
        token.last_used_at = None if age is None else now - age

        assert service.is_use_due(token, now) is is_due


class TestNoteUse:
    def test_writes_the_time_of_this_token_alone(self, session: Session, now: datetime) -> None:
        (used, _), (other, _) = create(session, now), create(session, now)

        service.note_use(session, used.id, now)

        session.expire_all()
        assert (used.last_used_at, other.last_used_at) == (now, None)

    def test_leaves_no_audit_row(self, session: Session, now: datetime) -> None:
        token, _ = create(session, now)

        service.note_use(session, token.id, now)

        assert len(entries(session)) == 1


class TestRevokeToken:
    def test_leaves_its_audit_row(self, session: Session, now: datetime) -> None:
        token, _ = create(session, now)

        revoked = service.revoke_token(session, token.id, actor="chief", now=now + SECOND)

        assert revoked.revoked_at == now + SECOND
        *_, entry = entries(session)
        assert (entry.actor, entry.action, entry.object_id) == ("chief", "token.revoked", str(token.id))
        assert entry.detail == {}

    def test_twice_changes_nothing_and_writes_nothing(self, session: Session, now: datetime) -> None:
        token, _ = create(session, now)
        service.revoke_token(session, token.id, actor="chief", now=now)

        again = service.revoke_token(session, token.id, actor="deputy", now=now + SECOND)

        assert again.revoked_at == now
        assert len(entries(session)) == 2

    def test_by_a_host_whose_clock_is_behind_works_too(self, session: Session, now: datetime) -> None:
        token, _ = create(session, now)

        service.revoke_token(session, token.id, actor="chief", now=now - SECOND)

        session.flush()
        assert token.revoked_at == now

    def test_of_an_unknown_token_is_an_error(self, session: Session, now: datetime) -> None:
        with pytest.raises(TokenNotFound):
            service.revoke_token(session, uuid.uuid4(), actor="chief", now=now)


class TestListTokens:
    def test_includes_the_revoked(self, session: Session, now: datetime) -> None:
        (revoked, _), (other, _) = create(session, now), create(session, now)
        service.revoke_token(session, revoked.id, actor="chief", now=now)

        assert set(session.scalars(service.list_tokens())) == {revoked, other}


class TestRecord:
    def test_needs_no_detail(self, session: Session, now: datetime) -> None:
        service.record(session, actor="test", action="poll.closed", subject=("poll", 7), now=now)

        (entry,) = entries(session)
        assert (entry.object_type, entry.object_id, entry.detail) == ("poll", "7", {})

    def test_goes_with_the_change_that_is_undone(self, session: Session, now: datetime) -> None:
        service.record(session, actor="test", action="poll.closed", subject=("poll", 7), now=now)

        session.rollback()

        assert entries(session) == []


class TestListAudit:
    @pytest.mark.parametrize(
        ("object_type", "object_id", "found"),
        [
            (None, None, ["poll 1", "poll 2", "site 1"]),
            ("poll", None, ["poll 1", "poll 2"]),
            (None, "1", ["poll 1", "site 1"]),
            ("poll", "1", ["poll 1"]),
            ("poll", "3", []),
            ("POLL", None, []),
        ],
    )
    def test_is_of_what_is_asked_for(
        self,
        session: Session,
        now: datetime,
        object_type: str | None,
        object_id: str | None,
        found: list[str],
    ) -> None:
        for subject in (("poll", 1), ("poll", 2), ("site", 1)):
            service.record(session, actor="test", action="x.y", subject=subject, now=now)
        session.flush()

        listed = session.scalars(service.list_audit(object_type, object_id))

        assert sorted(f"{entry.object_type} {entry.object_id}" for entry in listed) == found
