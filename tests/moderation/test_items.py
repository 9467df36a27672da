"""What waits is listed, and taken in hand by one caller for a time."""

import uuid
from datetime import timedelta

from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.models import Status
from pollsvc.comments.service import report_comment
from pollsvc.comments.status import Change, Standing, change_status
from pollsvc.keys import Keys
from pollsvc.moderation.items import LEASE, claim, queued, read_items
from tests.comments.evidence import comment_of
from tests.factories import (
    ARTICLE_URL,
    MODERATOR,
    ORIGIN,
    THEN,
    decide_comment,
    edit_comment,
    make_comment,
    make_writer,
)

OTHER = f"{ORIGIN}/other"


def ids(session: Session, state: str, url: str | None = None) -> list[uuid.UUID]:
    return sorted(session.scalars(queued(state, url)))


def take(
    session: Session,
    limit: int = 1,
    *,
    actor: str = MODERATOR,
    after: timedelta = timedelta(0),
    url: str | None = None,
) -> list[uuid.UUID]:
    items = claim(session, limit=limit, article_url=url, actor=actor, now=THEN + after)
    return [each.id for each in items]


def held(session: Session, keys: Keys, many: int, **changes: str) -> list[Standing]:
    return [make_comment(session, keys=keys, number=number, **changes) for number in range(1, 1 + many)]  # type: ignore[arg-type]


class TestQueued:
    def test_held_ones_wait_until_they_are_decided(self, session: Session, keys: Keys, site: Site) -> None:
        first, second, third = held(session, keys, 3)
        elsewhere = make_comment(session, keys=keys, article_url=OTHER)
        decide_comment(session, second, "reject")

        assert ids(session, "held") == [first.id, third.id, elsewhere.id]
        assert ids(session, "held", OTHER) == [elsewhere.id]
        assert ids(session, "held", f"{ORIGIN}/unknown") == []

    def test_reported_ones_wait_until_they_are_decided(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        shown = [make_comment(session, keys=keys, number=number, is_approved=True) for number in range(3)]
        for each in shown[1:]:
            reporter = make_writer(keys, number=9)
            report_comment(session, each.id, reporter=reporter, reason="spam", note=None, now=THEN)
        edit_comment(session, shown[2], "Better said.", keys=keys, number=2)

        # An edit takes nothing off the desk: what is reported and held waits as both.
        assert ids(session, "reported") == [shown[1].id, shown[2].id]
        assert ids(session, "held") == [shown[2].id]
        decide_comment(session, shown[1], "reject")
        assert ids(session, "reported") == [shown[2].id]
        assert ids(session, "reported", OTHER) == []

    def test_what_was_turned_down_stays_until_it_is_published_or_removed(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        by_policy, by_staff, spam = held(session, keys, 3)
        elsewhere = make_comment(session, keys=keys, article_url=OTHER)
        rejected = Change(action="judge", after=Status.REJECTED, actor="policy:3")
        judged = change_status(session, by_policy, rejected, THEN)
        for each in (by_staff, elsewhere):
            decide_comment(session, each, "reject")
        called_spam = decide_comment(session, spam, "spam")

        assert ids(session, "rejected") == [by_policy.id, by_staff.id, elsewhere.id]
        assert ids(session, "rejected", OTHER) == [elsewhere.id]
        assert (ids(session, "spam"), ids(session, "spam", OTHER)) == ([spam.id], [])
        decide_comment(session, judged)
        decide_comment(session, called_spam, "remove")
        assert ids(session, "rejected") == [by_staff.id, elsewhere.id]
        assert ids(session, "spam") == []


class TestClaim:
    def test_oldest_go_first_and_to_one_caller(self, session: Session, keys: Keys, site: Site) -> None:
        made = [each.id for each in held(session, keys, 3)]

        first, second, third = take(session, 2), take(session, 2, actor="token:b"), take(session, 2)

        assert (first, second, third) == (made[:2], made[2:], [])
        assert comment_of(session, made[2]).claimed_by == "token:b"
        assert comment_of(session, made[0]).version == 1

    def test_what_was_turned_down_waits_for_nobody(self, session: Session, keys: Keys, site: Site) -> None:
        for each, action in zip(held(session, keys, 2), ("reject", "spam"), strict=True):
            decide_comment(session, each, action)

        assert take(session, 5) == []

    def test_lease_ends(self, session: Session, keys: Keys, site: Site) -> None:
        [made] = held(session, keys, 1)
        take(session)

        assert take(session, after=LEASE - timedelta(seconds=1), actor="token:b") == []
        assert take(session, after=LEASE, actor="token:b") == [made.id]

    def test_what_was_decided_or_edited_meanwhile_is_in_nobodys_hands(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        first, second = held(session, keys, 2)
        take(session, 2)

        decide_comment(session, first)
        edit_comment(session, second, "Better said.", keys=keys, number=2)

        assert take(session, 2, actor="token:b") == [second.id]

    def test_of_one_article_alone(self, session: Session, keys: Keys, site: Site) -> None:
        held(session, keys, 1)
        elsewhere = make_comment(session, keys=keys, article_url=OTHER)

        assert take(session, 5, url=OTHER) == [elsewhere.id]

    def test_item_tells_what_is_needed_to_decide(self, session: Session, keys: Keys, site: Site) -> None:
        made = make_comment(session, keys=keys, name="Ada", body="Well *said*.")

        [item] = claim(session, limit=5, article_url=None, actor=MODERATOR, now=THEN)

        assert (item.id, item.version, item.revision, item.status) == (made.id, 1, 1, "held")
        assert (item.name, item.body, item.because) == ("Ada", "Well *said*.", ["new_commenter"])
        assert (item.article_url, item.parent_id, item.open_reports) == (ARTICLE_URL, None, 0)
        assert (item.claimed_by, item.expires_at) == (MODERATOR, THEN + LEASE)


class TestReadItems:
    def test_comes_in_the_order_asked_for_without_what_is_not_there(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        first, second = held(session, keys, 2)

        found = read_items(session, [second.id, uuid.uuid4(), first.id])

        assert [each.id for each in found] == [second.id, first.id]
