"""Everything that is known about one comment, above all why it stands where it does."""

import uuid

import pytest
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.checks import all_checks
from pollsvc.comments.policy_models import Ban
from pollsvc.comments.service import report_comment
from pollsvc.comments.status import CommentNotFound
from pollsvc.comments.writers import writer_name
from pollsvc.consent.service import email_hash
from pollsvc.keys import Keys
from pollsvc.moderation.dossiers import describe_comment
from tests.factories import MODERATOR, THEN, decide_comment, edit_comment, make_comment, make_writer


class TestDescribeComment:
    def test_tells_rule_version_and_place(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys, body="at https://a.example and https://b.example")

        found = describe_comment(session, made.id, THEN)

        [revision] = found["revisions"]
        assert (revision["outcome"], revision["policy_version"]) == ("hold", 0)
        assert found["because"] == revision["because"] == ["links", "new_commenter"]
        verdicts = {each.name: each for each in revision["verdicts"]}
        assert set(verdicts) == {check.name for check in all_checks()}
        links = verdicts["links"]
        assert (links.version, links.state, round(links.score, 2)) == ("3", "done", 0.67)
        assert [found["body"][start:end] for start, end in links.spans] == [
            "https://a.example",
            "https://b.example",
        ]

    def test_tells_what_became_of_it(self, session: Session, keys: Keys, site: Site) -> None:
        top = make_comment(session, keys=keys, number=2, is_approved=True)
        made = make_comment(session, keys=keys, parent=top, is_approved=True)
        report_comment(
            session, made.id, reporter=make_writer(keys, number=3), reason="abuse", note="Rude.", now=THEN
        )
        edited = edit_comment(session, made, "Better said.", keys=keys)
        decide_comment(session, edited, "reject", reason_code="abuse", note="Still rude.")
        session.expire_all()

        found = describe_comment(session, made.id, THEN)

        assert (found["status"], found["body"], found["reason_code"]) == ("rejected", "Better said.", "abuse")
        assert (found["email"], found["depth"], found["decided_by"]) == (
            "reader-1@reader.example",
            1,
            MODERATOR,
        )
        assert [each["body"] for each in found["revisions"]] == ["Well said, 1.", "Better said."]
        assert [each.action for each in found["changes"]] == ["submit", "approve", "edit", "reject"]
        assert [(each.reason, each.note, each.settled_at) for each in found["reports"]] == [
            ("abuse", "Rude.", THEN)
        ]
        assert [each.id for each in found["above"]] == [top.id]

    def test_tells_who_wrote_it_without_saying_who(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys)
        make_comment(session, keys=keys, body="Another.", is_approved=True)
        writer, other = make_writer(keys), make_writer(keys, number=2)
        defaults = {"reason_code": "abuse", "created_by": MODERATOR, "created_at": THEN}
        mine = [
            Ban(writer_key=writer.key, **defaults),
            Ban(email_hash=email_hash(keys, "reader-1@reader.example"), **defaults),
        ]
        session.add_all(
            [
                *mine,
                Ban(writer_key=other.key, **defaults),
                Ban(writer_key=writer.key, lifted_at=THEN, **defaults),
            ]
        )
        session.flush()

        found = describe_comment(session, made.id, THEN)["writer"]

        assert found["id"] == writer_name(writer.key)
        assert found["comments"] == {"held": 1, "published": 1}
        assert set(found["bans"]) == {each.id for each in mine}

    def test_account_without_an_address_bears_nobody_elses_bans(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        made = make_comment(session, keys=keys, email=None)
        key = make_writer(keys, number=2).key
        session.add(Ban(writer_key=key, reason_code="abuse", created_by=MODERATOR, created_at=THEN))
        session.flush()

        assert describe_comment(session, made.id, THEN)["writer"]["bans"] == []

    def test_unknown_comment_is_not_found(self, session: Session) -> None:
        with pytest.raises(CommentNotFound):
            describe_comment(session, uuid.uuid4(), THEN)
