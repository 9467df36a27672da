from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article, Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll, Status, TallySlot
from pollsvc.polls.service import (
    PollNotFound,
    PollWithdrawn,
    close_poll,
    get_poll,
    get_shown_poll,
    list_article_polls,
    list_polls,
    recount_poll,
    withdraw_poll,
)
from tests.conftest import NOW
from tests.factories import ACTOR, ARTICLE_URL, ORIGIN, THEN, cast, make_consent_text, make_poll, make_site
from tests.polls.evidence import NOWHERE, audit_of, counted_by_ballots, counted_by_slots, field_refused

OTHER_ORIGIN = "https://sports.example"
Act = Callable[..., object]


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

        assert list_article_polls(session, ARTICLE_URL) == [poll.id for poll in polls]

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
        make_consent_text(session, site=site)
        newest = make_consent_text(session, site=site)

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

        assert list_article_polls(session, f"{ARTICLE_URL}?utm_source=mail") == [poll.id for poll in here]

    def test_withdrawn_is_left_out_and_closed_is_not(self, session: Session, poll: Poll) -> None:
        closed = make_poll(session)
        close_poll(session, closed.id, actor=ACTOR, now=NOW)
        withdraw_poll(session, poll.id, actor=ACTOR, now=NOW)

        assert list_article_polls(session, ARTICLE_URL) == [closed.id]

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
