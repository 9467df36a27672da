from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.errors import StaleVersion
from pollsvc.keys import Keys
from pollsvc.polls.choices import ChoiceEdit, ChoicesFixed
from pollsvc.polls.models import Poll
from pollsvc.polls.service import (
    BallotsIn,
    PollNotFound,
    edit_poll,
)
from tests.conftest import NOW
from tests.factories import ACTOR, ARTICLE_URL, ORIGIN, cast, make_consent_text, make_poll, make_site
from tests.polls.acts import edit, texts
from tests.polls.evidence import NOWHERE, audit_of, ballot_of, field_refused

OTHER_ORIGIN = "https://sports.example"
Act = Callable[..., object]


class TestEditPoll:
    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"question": "Really?"}, id="question"),
            pytest.param({"results_visibility": "never"}, id="results_visibility"),
            pytest.param({"allow_change": True}, id="allow_change"),
            pytest.param({"opens_at": NOW}, id="opens_at"),
            pytest.param({"closes_at": NOW}, id="closes_at"),
            pytest.param({"opens_at": NOW, "closes_at": NOW + timedelta(days=1)}, id="both times"),
            pytest.param({"kind": "multiple"}, id="kind"),
            pytest.param({"kind": "multiple", "max_choices": 2}, id="kind and max_choices"),
        ],
    )
    def test_changes_what_is_given_and_leaves_the_rest(
        self, session: Session, poll: Poll, changes: dict[str, Any]
    ) -> None:
        columns = [column.name for column in Poll.__table__.columns]
        expected = {name: getattr(poll, name) for name in columns} | changes

        edit(session, poll, **changes)

        session.refresh(poll)
        found = {name: getattr(poll, name) for name in columns}
        assert found == expected | {"version": 2, "updated_at": NOW}

    def test_choices(self, session: Session, poll: Poll) -> None:
        edit(session, poll, choices=texts("No", "Perhaps"))

        session.refresh(poll)
        assert [(each.id, each.text) for each in poll.choices] == [(2, "No"), (3, "Perhaps")]

    def test_articles(self, session: Session, poll: Poll) -> None:
        edit(session, poll, article_urls=[f"{ORIGIN}/another"])

        session.refresh(poll)
        assert [article.url for article in poll.articles] == [f"{ORIGIN}/another"]

    def test_consent_text_may_be_changed_and_taken_away(self, session: Session, site: Site) -> None:
        poll = make_poll(session, has_site_text=True)
        newest = make_consent_text(session, site=site)

        assert edit(session, poll, consent_text_id=newest.id).consent_text == newest
        assert edit(session, poll, consent_text_id=None).consent_text is None

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({}, id="nothing"),
            pytest.param({"question": "Should the ferry run at night?"}, id="the same question"),
            pytest.param({"choices": texts("Yes", "No")}, id="the same choices"),
            pytest.param({"article_urls": [f"{ARTICLE_URL}?utm_source=x"]}, id="the same article"),
            pytest.param({"max_choices": 1}, id="what max_choices is shown as"),
            pytest.param({"closes_at": None, "consent_text_id": None}, id="null for null"),
        ],
    )
    def test_no_change_is_silent(self, session: Session, poll: Poll, changes: dict[str, Any]) -> None:
        edit(session, poll, **changes)

        assert poll.version == 1
        assert not audit_of(session, poll, "poll.edited")

    def test_wording_of_before_is_kept_in_the_audit_row(
        self, session: Session, poll: Poll, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])

        edit(session, poll, question="Really?", choices=texts("Aye", "No"))

        [entry] = audit_of(session, poll, "poll.edited")
        before, after = entry.detail["before"], entry.detail["after"]
        assert before["question"] == "Should the ferry run at night?"
        assert before["choices"] == [{"id": 1, "text": "Yes"}, {"id": 2, "text": "No"}]
        assert after["question"] == "Really?"
        assert after["choices"] == [{"id": 1, "text": "Aye"}, {"id": 2, "text": "No"}]
        assert (entry.actor, entry.occurred_at) == (ACTOR, NOW)

    def test_version_that_was_read_is_let_through(self, session: Session, poll: Poll) -> None:
        assert edit(session, poll, version=1, question="Really?").version == 2

    @pytest.mark.parametrize("version", [1, 3])
    def test_other_version_is_stale_and_told_the_current_one(
        self, session: Session, poll: Poll, version: int
    ) -> None:
        edit(session, poll, question="Really?")

        with pytest.raises(StaleVersion) as caught:
            edit(session, poll, version=version, question="Really not?")

        assert caught.value.extra == {"current": {"version": 2}}
        assert poll.question == "Really?"

    def test_poll_is_read_anew_by_who_knew_it_before(
        self, session: Session, poll: Poll, engine: sa.Engine
    ) -> None:
        with Session(engine.execution_options(sqlite_write=True)) as other:
            edit(other, poll, question="Really?")
            other.commit()

        with pytest.raises(StaleVersion):
            edit(session, poll, version=poll.version, question="Really not?")

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            pytest.param({"opens_at": NOW, "closes_at": NOW}, "closes_at", id="times"),
            pytest.param({"max_choices": 2}, "max_choices", id="single with two"),
            pytest.param({"kind": "multiple", "max_choices": 3}, "max_choices", id="more than there are"),
            pytest.param({"choices": texts("Yes", "Yes")}, "choices.1", id="the same choice twice"),
            pytest.param(
                {"choices": [ChoiceEdit(9, "Yes"), ChoiceEdit(2, "No")]}, "choices.0.id", id="unknown choice"
            ),
            pytest.param({"article_urls": [f"{OTHER_ORIGIN}/a"]}, "article_urls.0", id="article of no site"),
            pytest.param({"consent_text_id": NOWHERE}, "consent_text_id", id="unknown text"),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, session: Session, poll: Poll, changes: dict[str, Any], field: str
    ) -> None:
        assert field_refused(lambda: edit(session, poll, **changes)) == field

    def test_move_to_another_site_is_refused(self, session: Session, poll: Poll) -> None:
        make_site(session, name="Sports", origins=[OTHER_ORIGIN])

        field = field_refused(lambda: edit(session, poll, article_urls=[f"{OTHER_ORIGIN}/a"]))

        assert field == "article_urls.0"

    def test_fewer_choices_than_may_be_taken_are_refused(self, session: Session, site: Site) -> None:
        poll = make_poll(session, kind="multiple", max_choices=3, choices=["A", "B", "C"])

        assert field_refused(lambda: edit(session, poll, choices=texts("A", "B"))) == "max_choices"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            pytest.param({"opens_at": NOW, "closes_at": NOW}, "closes_at", id="times"),
            pytest.param({"kind": "single"}, "max_choices", id="kind"),
            pytest.param({"max_choices": 3}, "max_choices", id="max_choices"),
        ],
    )
    @pytest.mark.parametrize("look_up", ["article_urls", "consent_text_id"])
    def test_look_up_does_not_write_what_will_be_refused(
        self, session: Session, site: Site, look_up: str, changes: dict[str, Any], field: str
    ) -> None:
        poll = make_poll(session, kind="multiple", max_choices=2)
        text = make_consent_text(session, site=site)
        session.commit()
        looked_up = {"article_urls": [f"{ORIGIN}/new"], "consent_text_id": text.id}[look_up]

        # They are set in this order: the look-up is the last.
        sent = {**changes, look_up: looked_up}

        assert field_refused(lambda: edit(session, poll, **sent)) == field

    def test_unknown_poll(self, session: Session) -> None:
        with pytest.raises(PollNotFound):
            edit_poll(session, NOWHERE, {}, version=None, actor=ACTOR, now=NOW)


class TestEditPollWithBallots:
    @pytest.fixture
    def poll(self, session: Session, site: Site, keys: Keys) -> Poll:
        poll = make_poll(session, kind="multiple", choices=["A", "B", "C"])
        cast(session, keys=keys, poll=poll, choices=[1])
        session.commit()
        return poll

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"kind": "single"}, id="kind"),
            pytest.param({"max_choices": 2}, id="fewer choices on a ballot"),
        ],
    )
    def test_how_ballots_were_cast_stays(self, session: Session, poll: Poll, changes: dict[str, Any]) -> None:
        with pytest.raises(BallotsIn):
            edit(session, poll, **changes)

    @pytest.mark.parametrize(
        "choices",
        [
            pytest.param(texts("A", "B", "C", "D"), id="added"),
            pytest.param(texts("A", "B"), id="removed"),
            pytest.param(texts("B", "A", "C"), id="reordered"),
        ],
    )
    def test_choices_stay(self, session: Session, poll: Poll, choices: list[ChoiceEdit]) -> None:
        with pytest.raises(ChoicesFixed):
            edit(session, poll, choices=choices)

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"question": "Really?"}, id="question"),
            pytest.param({"choices": texts("A", "B", "See")}, id="wording of a choice"),
            pytest.param({"max_choices": 3}, id="what max_choices is shown as"),
            pytest.param({"results_visibility": "after_close"}, id="results_visibility"),
            pytest.param({"allow_change": True}, id="allow_change"),
            pytest.param({"closes_at": NOW}, id="closes_at"),
            pytest.param({"article_urls": [f"{ORIGIN}/b"]}, id="articles"),
        ],
    )
    def test_the_rest_may_change(self, session: Session, poll: Poll, changes: dict[str, Any]) -> None:
        assert edit(session, poll, **changes).version == 2

    def test_kind_and_max_choices_as_they_are_may_be_sent_along(self, session: Session, poll: Poll) -> None:
        edited = edit(session, poll, question="Really?", kind="multiple", max_choices=None)

        assert edited.question == "Really?"

    def test_held_ballot_is_a_ballot(self, session: Session, site: Site) -> None:
        poll = make_poll(session)
        ballot = ballot_of(session, poll, [1])
        ballot.state = "held"
        session.add(ballot)

        with pytest.raises(ChoicesFixed):
            edit(session, poll, choices=texts("Yes", "No", "Perhaps"))
