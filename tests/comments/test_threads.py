"""A thread shows what is published, page by page, and the places of what is gone where something hangs below."""

import uuid
from collections.abc import Sequence
from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.articles.urls import parse_article_url
from pollsvc.comments.service import withdraw_comment
from pollsvc.comments.status import Standing
from pollsvc.comments.threads import (
    Discussion,
    Order,
    Place,
    ShownComment,
    find_discussion,
    read_chain,
    read_thread,
)
from pollsvc.keys import Keys
from tests.factories import (
    ARTICLE_URL,
    ORIGIN,
    THEN,
    decide_comment,
    edit_comment,
    make_article,
    make_comment,
    make_writer,
)


def pages(
    session: Session, article_id: uuid.UUID, order: Order, *, parent: Standing | None = None, limit: int = 2
) -> list[list[uuid.UUID]]:
    """Read a thread to its end."""
    place: Place | None = None
    found = []
    while True:
        items, place = read_thread(
            session.connection(),
            article_id,
            parent_id=parent.id if parent else None,
            order=order,
            after=place,
            limit=limit,
        )
        found.append([each.id for each in items])
        if place is None:
            return found


def all_of(session: Session, article_id: uuid.UUID) -> Sequence[ShownComment]:
    return read_thread(
        session.connection(), article_id, parent_id=None, order=Order.OLDEST, after=None, limit=50
    )[0]


@pytest.fixture
def tops(session: Session, keys: Keys, site: Site) -> list[Standing]:
    """Five published comments, the second with two replies and the fourth with one."""
    made = [make_comment(session, keys=keys, number=number, is_approved=True) for number in range(5)]
    for parent, number in ((made[1], 6), (made[1], 7), (made[3], 8)):
        make_comment(session, keys=keys, number=number, parent=parent, is_approved=True)
    return made


class TestReadThread:
    def test_comes_page_by_page_in_each_order(self, session: Session, tops: list[Standing]) -> None:
        places = {
            Order.OLDEST: [[0, 1], [2, 3], [4]],
            Order.NEWEST: [[4, 3], [2, 1], [0]],
            Order.MOST_REPLIED: [[1, 3], [4, 2], [0]],
        }

        found = {order: pages(session, tops[0].article_id, order) for order in Order}

        ids = {order: [[tops[at].id for at in page] for page in places[order]] for order in Order}
        assert found == ids
        # A page that is just full is the last one.
        assert [len(page) for page in pages(session, tops[0].article_id, Order.OLDEST, limit=5)] == [5]
        replies = pages(session, tops[0].article_id, Order.OLDEST, parent=tops[1], limit=1)
        assert [len(page) for page in replies] == [1, 1]

    def test_holds_no_comment_of_another_article(
        self, session: Session, keys: Keys, tops: list[Standing]
    ) -> None:
        other = make_comment(session, keys=keys, article_url=f"{ORIGIN}/other", is_approved=True)
        reply = make_comment(session, keys=keys, number=2, parent=other, is_approved=True)

        for order in Order:
            assert pages(session, other.article_id, order) == [[other.id]]
            assert pages(session, other.article_id, order, parent=other) == [[reply.id]]
            assert pages(session, other.article_id, order, parent=tops[1]) == [[]]
            mine = [each for page in pages(session, tops[0].article_id, order) for each in page]
            assert sorted(mine) == [each.id for each in tops]

    def test_what_nobody_sees_has_no_place(self, session: Session, keys: Keys, site: Site) -> None:
        held = make_comment(session, keys=keys)
        for number, action in enumerate(["reject", "spam", "remove"]):
            decide_comment(session, make_comment(session, keys=keys, number=2 + number), action)

        assert pages(session, held.article_id, Order.NEWEST) == [[]]

    def test_what_is_gone_keeps_its_place_above_replies_and_nothing_else(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        ways = ["reject", "spam", "remove", "edit", "withdraw"]
        statuses = ["held" if way == "edit" else "removed" for way in ways]
        for number, way in enumerate(ways):
            top = make_comment(session, keys=keys, number=number, is_approved=True)
            make_comment(session, keys=keys, number=9, parent=top, is_approved=True)
            self.take_away(session, keys, top, way, number)

        found = all_of(session, top.article_id)

        assert [(each.status, each.replies) for each in found] == [(status, 1) for status in statuses]
        assert {(each.name, each.body, each.html) for each in found} == {(None, None, None)}
        assert {(each.is_featured, each.is_account) for each in found} == {(False, False)}

    def test_place_goes_with_the_last_reply(self, session: Session, keys: Keys, site: Site) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        reply = make_comment(session, keys=keys, number=2, parent=top, is_approved=True)
        decide_comment(session, top, "reject")
        assert pages(session, top.article_id, Order.NEWEST) == [[top.id]]

        decide_comment(session, reply, "reject")

        assert pages(session, top.article_id, Order.NEWEST) == [[]]

    def test_names_and_bodies_stand_as_they_were_written(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        make_comment(session, keys=keys, name="<i>אבג</i> \u2067x", body="a < b & *c*", is_approved=True)

        [shown] = all_of(session, make_article(session).id)

        assert (shown.name, shown.body) == ("<i>אבג</i> \u2067x", "a < b & *c*")
        assert shown.html == "<p>a &lt; b &amp; <em>c</em></p>"

    @staticmethod
    def take_away(session: Session, keys: Keys, seen: Standing, way: str, number: int) -> None:
        if way == "edit":
            edit_comment(session, seen, "Better said.", keys=keys, number=number)
        elif way == "withdraw":
            withdraw_comment(session, seen.id, writer=make_writer(keys, number=number), now=THEN)
        else:
            decide_comment(session, seen, way)


class TestFindDiscussion:
    def test_tells_article_and_count(self, session: Session, tops: list[Standing], now: datetime) -> None:
        found = find_discussion(session.connection(), parse_article_url(ARTICLE_URL), now)

        assert found == Discussion(ARTICLE_URL, tops[0].article_id, "open", 8)

    def test_article_without_comments_has_none(self, session: Session, site: Site, now: datetime) -> None:
        address = parse_article_url(ARTICLE_URL)
        assert find_discussion(session.connection(), address, now) == Discussion(ARTICLE_URL, None, "open", 0)
        made = make_article(session)
        session.flush()

        found = find_discussion(session.connection(), address, now)

        assert found == Discussion(ARTICLE_URL, made.id, "open", 0)

    def test_one_that_is_off_tells_of_none(
        self, session: Session, tops: list[Standing], now: datetime
    ) -> None:
        make_article(session).comments = "off"
        session.flush()

        found = find_discussion(session.connection(), parse_article_url(ARTICLE_URL), now)

        assert found is not None
        assert (found.mode, found.total) == ("off", 0)

    def test_article_of_nobody_is_none(self, session: Session, site: Site, now: datetime) -> None:
        address = parse_article_url("https://nobody.example/x")

        assert find_discussion(session.connection(), address, now) is None


class TestReadChain:
    def test_comment_comes_below_all_that_it_hangs_below(
        self, session: Session, keys: Keys, tops: list[Standing]
    ) -> None:
        reply = make_comment(session, keys=keys, parent=tops[1], is_approved=True)
        below = make_comment(session, keys=keys, number=9, parent=reply, is_approved=True)
        decide_comment(session, reply, "reject")
        edit_comment(session, tops[1], "Better said.", keys=keys)

        chain = read_chain(session.connection(), below.id)

        assert [each.id for each in chain] == [tops[1].id, reply.id, below.id]
        assert [each.status for each in chain] == ["held", "removed", "published"]
        assert {(each.name, each.body, each.html) for each in chain[:2]} == {(None, None, None)}

    def test_what_nobody_sees_has_none(self, session: Session, keys: Keys, site: Site) -> None:
        held = make_comment(session, keys=keys)

        assert read_chain(session.connection(), held.id) == []
        assert read_chain(session.connection(), uuid.uuid4()) == []
