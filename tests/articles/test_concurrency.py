"""Many submissions and edits at once: the database decides, exactly and kindly."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article, ArticleQuota, Site
from pollsvc.articles.service import (
    READERS_ARTICLES_A_DAY,
    OriginTaken,
    TooManyArticles,
    create_site,
    edit_site,
    ensure_article,
    get_site,
    lock_site,
)
from tests.databases import wait_for_a_waiter
from tests.factories import ACTOR, ARTICLE_URL, ORIGIN, make_site


def count_articles(session: Session) -> int:
    return session.scalars(select(func.count()).select_from(Article)).one()


def fill_day(session: Session, site: Site, now: datetime, *, left: int = 0) -> None:
    session.add(ArticleQuota(site_id=site.id, day=now.date(), n=READERS_ARTICLES_A_DAY - left))
    session.flush()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestManyAtOnce:
    def test_cap_of_the_day_is_exact(self, session: Session, engine: sa.Engine, now: datetime) -> None:
        fill_day(session, make_site(session), now, left=10)
        session.commit()

        def submit(number: int) -> str:
            with Session(engine) as own:
                try:
                    ensure_article(own, f"{ORIGIN}/story-{number}", now, by_reader=True)
                except TooManyArticles:
                    return "refused"
                own.commit()
                return "made"

        with ThreadPoolExecutor(8) as pool:
            outcomes = Counter(pool.map(submit, range(40)))

        assert outcomes == {"made": 10, "refused": 30}
        assert count_articles(session) == 10
        assert session.scalars(select(ArticleQuota.n)).all() == [READERS_ARTICLES_A_DAY]

    def test_first_submissions_for_one_article_make_one_row(
        self, session: Session, engine: sa.Engine, now: datetime
    ) -> None:
        make_site(session)
        session.commit()

        def submit(number: int) -> uuid.UUID:
            with Session(engine) as own:
                article = ensure_article(own, f"{ARTICLE_URL}?utm_term={number}", now, by_reader=True)
                own.commit()
                return article.id

        with ThreadPoolExecutor(8) as pool:
            ids = set(pool.map(submit, range(24)))

        assert ids == set(session.scalars(select(Article.id)))
        assert len(ids) == 1
        assert session.scalars(select(ArticleQuota.n)).all() == [1]

    def test_origin_taken_at_the_same_moment_is_refused_kindly(
        self, session: Session, engine: sa.Engine, now: datetime
    ) -> None:
        make_site(session)

        def take() -> str:
            with Session(engine) as own, pytest.raises(OriginTaken) as caught:
                create_site(own, name="The Ferry Post", origins=[ORIGIN], actor=ACTOR, now=now)
            return caught.value.fields["origins"]

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(take)
            wait_for_a_waiter(engine)
            session.commit()

            assert waiting.result(10) == "One of these origins belongs to another site."

    def test_edits_of_one_site_come_one_after_the_other(
        self, session: Session, engine: sa.Engine, now: datetime
    ) -> None:
        site = make_site(session)
        session.commit()

        def add_alias(number: int) -> None:
            with Session(engine) as own:
                known = [row.origin for row in lock_site(own, site.id).origins]
                added = {"origins": [*known, f"https://alias-{number}.example"]}
                edit_site(own, site.id, added, actor=ACTOR, now=now)
                own.commit()

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(add_alias, range(10)))

        session.expire_all()
        assert sorted(row.position for row in get_site(session, site.id).origins) == list(range(11))
