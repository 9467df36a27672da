from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article, Site
from pollsvc.errors import Invalid, StaleVersion
from pollsvc.keys import Keys
from pollsvc.polls.choices import ChoiceEdit, ChoicesFixed
from pollsvc.polls.models import Poll, Status, TallySlot
from pollsvc.polls.service import (
    BallotsIn,
    PollNotFound,
    PollWithdrawn,
    close_poll,
    edit_poll,
    get_poll,
    get_shown_poll,
    list_article_polls,
    list_polls,
    recount_poll,
    withdraw_poll,
)
from pollsvc.staff.models import AuditEntry
from tests.conftest import NOW
from tests.factories import ACTOR, ARTICLE_URL, ORIGIN, THEN, cast, make_consent_text, make_poll, make_site
from tests.polls.counting import ballot_of, counted_by_ballots, counted_by_slots

NOWHERE = UUID("018f0000-0000-7000-8000-000000000000")
OTHER_ORIGIN = "https://sports.example"
Act = Callable[..., object]


def edit(session: Session, poll: Poll, *, version: int | None = None, **changes: Any) -> Poll:
    return edit_poll(session, poll.id, changes, version=version, actor="an editor", now=NOW)


def texts(*choices: str) -> list[ChoiceEdit]:
    return [ChoiceEdit(None, text) for text in choices]


def audit_of(session: Session, poll: Poll, action: str) -> list[AuditEntry]:
    rows = select(AuditEntry).where(AuditEntry.object_id == str(poll.id), AuditEntry.action == action)
    return list(session.scalars(rows.order_by(AuditEntry.id)))


def field_refused(act: Callable[[], object]) -> str:
    with pytest.raises(Invalid) as caught:
        act()
    [field] = caught.value.fields
    return field


class TestCreatePoll:
    def test_choices_are_numbered_in_the_order_given(self, session: Session, site: Site) -> None:
        poll = make_poll(session, choices=["Yes", "No", "Perhaps"])

        assert [(each.id, each.text) for each in poll.choices] == [(1, "Yes"), (2, "No"), (3, "Perhaps")]

    def test_article_need_not_exist_beforehand(self, session: Session, site: Site) -> None:
        make_poll(session, article_urls=[f"{ORIGIN}/brand-new"])

        assert session.scalars(select(Article.url)).all() == [f"{ORIGIN}/brand-new"]

    def test_one_article_by_many_addresses_is_one_article(self, session: Session, site: Site) -> None:
        spellings = [ARTICLE_URL, f"{ARTICLE_URL}/?utm_source=mail#top", f"{ARTICLE_URL}?fbclid=1"]

        poll = make_poll(session, article_urls=spellings)

        assert [article.url for article in poll.articles] == [ARTICLE_URL]

    def test_articles_come_in_the_order_they_are_read_in(self, session: Session, site: Site) -> None:
        make_poll(session, article_urls=[f"{ORIGIN}/first"])
        make_poll(session, article_urls=[f"{ORIGIN}/second"])

        poll = make_poll(session, article_urls=[f"{ORIGIN}/second", f"{ORIGIN}/first"])

        made = [article.url for article in poll.articles]
        session.refresh(poll)
        assert made == [article.url for article in poll.articles]

    def test_article_may_have_several_polls(self, session: Session, site: Site) -> None:
        polls = [make_poll(session), make_poll(session)]

        assert list_article_polls(session, ARTICLE_URL) == polls

    @pytest.mark.parametrize(
        ("urls", "field"),
        [
            pytest.param([f"{OTHER_ORIGIN}/a"], "article_urls.0", id="a host that no site owns"),
            pytest.param([ARTICLE_URL, f"{OTHER_ORIGIN}/a"], "article_urls.1", id="the second one's host"),
            pytest.param(["https://[news/"], "article_urls.0", id="no address"),
        ],
    )
    def test_article_of_no_site_is_refused(
        self, session: Session, site: Site, urls: list[str], field: str
    ) -> None:
        assert field_refused(lambda: make_poll(session, article_urls=urls)) == field

    def test_articles_of_two_sites_are_refused(self, session: Session, site: Site) -> None:
        make_site(session, name="Sports", origins=[OTHER_ORIGIN])
        urls = [ARTICLE_URL, f"{ORIGIN}/b", f"{OTHER_ORIGIN}/c"]

        assert field_refused(lambda: make_poll(session, article_urls=urls)) == "article_urls.2"

    def test_site_text_is_the_newest(self, session: Session, site: Site) -> None:
        make_consent_text(session, site=site, body="Old.")
        newest = make_consent_text(session, site=site, body="New.")

        poll = make_poll(session, has_site_text=True)

        assert poll.consent_text == newest

    def test_site_without_a_text_gets_one(self, session: Session, site: Site) -> None:
        poll = make_poll(session, has_site_text=True)

        assert poll.consent_text is not None
        assert site.name in poll.consent_text.body
        assert (poll.consent_text.privacy_url, poll.consent_text.terms_url) == (
            site.privacy_url,
            site.terms_url,
        )

    def test_superseded_text_may_be_chosen(self, session: Session, site: Site) -> None:
        old = make_consent_text(session, site=site)
        make_consent_text(session, site=site)

        assert make_poll(session, consent_text_id=old.id).consent_text == old

    def test_poll_may_have_no_consent_line(self, session: Session, site: Site) -> None:
        assert make_poll(session, consent_text_id=None).consent_text is None

    def test_text_of_another_site_is_refused(self, session: Session, site: Site) -> None:
        other = make_site(session, name="Sports", origins=[OTHER_ORIGIN])
        text = make_consent_text(session, site=other)

        assert field_refused(lambda: make_poll(session, consent_text_id=text.id)) == "consent_text_id"

    def test_text_that_is_none_is_refused(self, session: Session, site: Site) -> None:
        assert field_refused(lambda: make_poll(session, consent_text_id=NOWHERE)) == "consent_text_id"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            pytest.param({"opens_at": NOW, "closes_at": NOW}, "closes_at", id="ends as it begins"),
            pytest.param(
                {"opens_at": NOW, "closes_at": NOW - timedelta(hours=1)}, "closes_at", id="ends before"
            ),
            pytest.param({"kind": "single", "max_choices": 2}, "max_choices", id="single with two"),
            pytest.param({"kind": "multiple", "max_choices": 3}, "max_choices", id="more than there are"),
            pytest.param({"choices": ["Yes", "yes"]}, "choices.1", id="two choices that say the same"),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, session: Session, site: Site, changes: dict[str, Any], field: str
    ) -> None:
        assert field_refused(lambda: make_poll(session, **changes)) == field

    @pytest.mark.parametrize(
        ("changes", "most"),
        [
            pytest.param({}, 1, id="single"),
            pytest.param({"max_choices": 1}, 1, id="single that says so"),
            pytest.param({"kind": "multiple"}, 2, id="multiple takes all"),
            pytest.param({"kind": "multiple", "max_choices": 1}, 1, id="multiple that takes one"),
            pytest.param({"kind": "multiple", "max_choices": 2}, 2, id="multiple that says all"),
        ],
    )
    def test_max_choices(self, session: Session, site: Site, changes: dict[str, Any], most: int) -> None:
        assert make_poll(session, **changes).most_choices == most

    def test_audit_row_says_who_and_what(self, session: Session, site: Site) -> None:
        poll = make_poll(session, question="Shall we?", closes_at=NOW)

        [entry] = audit_of(session, poll, "poll.created")
        assert (entry.actor, entry.occurred_at, entry.object_type) == (ACTOR, THEN, "poll")
        assert entry.detail == {
            "question": "Shall we?",
            "choices": [{"id": 1, "text": "Yes"}, {"id": 2, "text": "No"}],
            "kind": "single",
            "results_visibility": "always",
            "allow_change": False,
            "max_choices": None,
            "opens_at": None,
            "closes_at": "2026-03-02T09:30:00+00:00",
            "article_urls": [ARTICLE_URL],
            "consent_text_id": None,
        }


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
        assert (entry.actor, entry.occurred_at) == ("an editor", NOW)

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

        # The names come in the order of the call: the look-up is the last.
        refused = field_refused(lambda: edit(session, poll, **changes, **{look_up: looked_up}))

        assert refused == field

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


class TestClosePoll:
    def test_ends_the_vote(self, session: Session, poll: Poll) -> None:
        close_poll(session, poll.id, actor=ACTOR, now=NOW)

        session.refresh(poll)
        assert (poll.closed_at, poll.version, poll.updated_at) == (NOW, 2, NOW)
        assert poll.status_at(NOW) == Status.CLOSED

    def test_leaves_an_audit_row(self, session: Session, poll: Poll) -> None:
        close_poll(session, poll.id, actor="an editor", now=NOW)

        [entry] = audit_of(session, poll, "poll.closed")
        assert (entry.actor, entry.occurred_at) == ("an editor", NOW)

    def test_second_time_is_silent(self, session: Session, poll: Poll) -> None:
        close_poll(session, poll.id, actor=ACTOR, now=NOW)

        close_poll(session, poll.id, actor=ACTOR, now=NOW + timedelta(hours=1))

        assert (poll.closed_at, poll.version) == (NOW, 2)
        assert len(audit_of(session, poll, "poll.closed")) == 1

    def test_poll_that_ended_by_itself_may_be_closed_by_hand(self, session: Session, site: Site) -> None:
        poll = make_poll(session, closes_at=THEN)

        assert close_poll(session, poll.id, actor=ACTOR, now=NOW).closed_at == NOW


class TestWithdrawPoll:
    def test_takes_the_poll_off_and_keeps_its_ballots(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])

        withdraw_poll(session, poll.id, actor=ACTOR, now=NOW)

        session.refresh(poll)
        assert (poll.withdrawn_at, poll.version) == (NOW, 2)
        assert counted_by_ballots(session, poll.id) == counted_by_slots(session, poll.id) == {1: (1, 1)}

    def test_leaves_an_audit_row_once(self, session: Session, poll: Poll) -> None:
        withdraw_poll(session, poll.id, actor="an editor", now=NOW)

        withdraw_poll(session, poll.id, actor="another", now=NOW)

        assert [entry.actor for entry in audit_of(session, poll, "poll.withdrawn")] == ["an editor"]


class TestRecountPoll:
    def test_repairs_and_tells_and_notes(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        session.add(TallySlot(poll_id=poll.id, choice_id=2, slot=3, n=5, voters=4))

        [difference] = recount_poll(session, poll.id, actor="an editor", now=NOW)

        assert (difference.choice_id, difference.votes, difference.voters) == (2, 5, 4)
        assert counted_by_slots(session, poll.id) == {1: (1, 1)}
        [entry] = audit_of(session, poll, "poll.recounted")
        assert entry.actor == "an editor"
        assert entry.detail == {"differences": [{"choice_id": 2, "votes": 5, "voters": 4}]}

    def test_right_tally_is_found_right(self, session: Session, poll: Poll, keys: Keys) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])

        assert recount_poll(session, poll.id, actor=ACTOR, now=NOW) == []

        assert audit_of(session, poll, "poll.recounted")[0].detail == {"differences": []}
        assert poll.version == 1


class TestUnknownPoll:
    @pytest.mark.parametrize("act", [close_poll, withdraw_poll, recount_poll])
    def test_cannot_be_changed(self, session: Session, act: Act) -> None:
        with pytest.raises(PollNotFound):
            act(session, NOWHERE, actor=ACTOR, now=NOW)

    @pytest.mark.parametrize("get", [get_poll, get_shown_poll])
    def test_cannot_be_read(self, session: Session, get: Act) -> None:
        with pytest.raises(PollNotFound):
            get(session, NOWHERE)


class TestGetShownPoll:
    def test_withdrawn_is_gone_for_readers_and_there_for_the_newsroom(
        self, session: Session, poll: Poll
    ) -> None:
        withdraw_poll(session, poll.id, actor=ACTOR, now=NOW)

        assert get_poll(session, poll.id) is poll
        with pytest.raises(PollWithdrawn):
            get_shown_poll(session, poll.id)

    def test_closed_is_shown(self, session: Session, poll: Poll) -> None:
        close_poll(session, poll.id, actor=ACTOR, now=NOW)

        assert get_shown_poll(session, poll.id) is poll


class TestListArticlePolls:
    def test_are_those_of_the_article_oldest_first(self, session: Session, site: Site) -> None:
        here = [make_poll(session), make_poll(session, article_urls=[f"{ORIGIN}/other", ARTICLE_URL])]
        make_poll(session, article_urls=[f"{ORIGIN}/other"])

        assert list_article_polls(session, f"{ARTICLE_URL}?utm_source=mail") == here

    def test_withdrawn_is_left_out_and_closed_is_not(self, session: Session, poll: Poll) -> None:
        closed = make_poll(session)
        close_poll(session, closed.id, actor=ACTOR, now=NOW)
        withdraw_poll(session, poll.id, actor=ACTOR, now=NOW)

        assert list_article_polls(session, ARTICLE_URL) == [closed]

    def test_article_without_a_row_has_none_and_gets_no_row(self, session: Session, site: Site) -> None:
        assert list_article_polls(session, ARTICLE_URL) == []
        assert session.scalars(select(Article)).all() == []

    def test_host_of_no_site_is_refused(self, session: Session, site: Site) -> None:
        assert field_refused(lambda: list_article_polls(session, f"{OTHER_ORIGIN}/a")) == "article_url"


class TestListPolls:
    def test_holds_every_poll_withdrawn_ones_too(self, session: Session, poll: Poll) -> None:
        withdraw_poll(session, poll.id, actor=ACTOR, now=NOW)

        assert session.scalars(list_polls(session)).all() == [poll]

    def test_of_an_article(self, session: Session, poll: Poll) -> None:
        make_poll(session, article_urls=[f"{ORIGIN}/other"])

        assert session.scalars(list_polls(session, ARTICLE_URL)).all() == [poll]

    def test_of_an_article_without_a_row_is_empty(self, session: Session, poll: Poll) -> None:
        assert session.scalars(list_polls(session, f"{ORIGIN}/unknown")).all() == []

    def test_host_of_no_site_is_refused(self, session: Session, site: Site) -> None:
        assert field_refused(lambda: list_polls(session, f"{OTHER_ORIGIN}/a")) == "article_url"
