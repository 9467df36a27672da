"""Articles are found by canonical address, and made by the first who needs them."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article, ArticleQuota, Site
from pollsvc.articles.service import (
    READERS_ARTICLES_A_DAY,
    TooManyArticles,
    ensure_article,
    find_article,
    locate_article,
)
from pollsvc.errors import Invalid
from tests.factories import ARTICLE_URL, ORIGIN, make_article, make_site

OTHER_ORIGIN = "https://post.example"


def make_other_site(session: Session) -> Site:
    return make_site(session, name="The Ferry Post", origins=[OTHER_ORIGIN])


def count_articles(session: Session) -> int:
    return session.scalars(select(func.count()).select_from(Article)).one()


def fill_day(session: Session, site: Site, now: datetime, *, left: int = 0) -> None:
    session.add(ArticleQuota(site_id=site.id, day=now.date(), n=READERS_ARTICLES_A_DAY - left))
    session.flush()


class TestLocateArticle:
    def test_alias_leads_to_the_canonical_origin(self, session: Session) -> None:
        site = make_site(session, origins=[ORIGIN, "https://m.news.example:8443"])

        located = locate_article(session, "http://m.news.example:8443/harbour/new-ferry/amp?utm_source=x")

        assert located == (site, ARTICLE_URL)

    @pytest.mark.parametrize(
        "url",
        [
            pytest.param("https://other.example/story", id="another host"),
            pytest.param("https://www.news.example/story", id="a host below"),
            pytest.param("https://example/story", id="a host above"),
            pytest.param("https://news.example.evil.example/story", id="a host that begins alike"),
            pytest.param("https://evilnews.example/story", id="a host that ends alike"),
            pytest.param("https://news.example:8443/story", id="another port"),
        ],
    )
    def test_host_that_no_site_owns_is_refused(self, session: Session, url: str) -> None:
        make_site(session)

        with pytest.raises(Invalid, match="No site here owns") as caught:
            locate_article(session, url)

        assert list(caught.value.fields) == ["article_url"]

    def test_what_is_no_address_is_refused_with_the_reason(self, session: Session) -> None:
        with pytest.raises(Invalid, match="user name") as caught:
            locate_article(session, "https://reader@news.example/story")

        assert list(caught.value.fields) == ["article_url"]


class TestFindArticle:
    def test_unknown_address_is_found_nowhere_and_makes_nothing(self, session: Session) -> None:
        make_site(session)

        assert find_article(session, ARTICLE_URL) is None
        assert count_articles(session) == 0

    def test_known_address_is_found(self, session: Session) -> None:
        make_site(session)
        article = make_article(session)

        assert find_article(session, f"{ARTICLE_URL}/?fbclid=x#top") is article


class TestEnsureArticle:
    def test_first_makes_the_row_and_the_next_finds_it(self, session: Session, now: datetime) -> None:
        site = make_site(session)

        made = ensure_article(session, f"{ARTICLE_URL}?utm_medium=x", now, by_reader=True)
        found = ensure_article(session, "http://NEWS.example/harbour/new-ferry/", now, by_reader=True)

        assert (made.url, made.site_id, made.created_at) == (ARTICLE_URL, site.id, now)
        assert found is made

    def test_only_readers_first_submissions_count_against_the_day(
        self, session: Session, now: datetime
    ) -> None:
        make_site(session)
        ensure_article(session, f"{ORIGIN}/by-staff", now, by_reader=False)
        ensure_article(session, f"{ORIGIN}/by-reader", now, by_reader=True)
        ensure_article(session, f"{ORIGIN}/by-reader", now, by_reader=True)

        assert session.scalars(select(ArticleQuota.n)).all() == [1]

    def test_day_that_is_full_refuses_readers_new_articles_only(
        self, session: Session, now: datetime
    ) -> None:
        site = make_site(session)
        known = make_article(session)
        fill_day(session, site, now)

        with pytest.raises(TooManyArticles), session.begin_nested():
            ensure_article(session, f"{ORIGIN}/new", now, by_reader=True)

        assert ensure_article(session, ARTICLE_URL, now, by_reader=True) is known
        assert ensure_article(session, f"{ORIGIN}/by-staff", now, by_reader=False).site_id == site.id

    def test_next_day_and_other_sites_begin_anew(self, session: Session, now: datetime) -> None:
        fill_day(session, make_site(session), now)
        make_other_site(session)

        ensure_article(session, f"{ORIGIN}/new", now + timedelta(days=1), by_reader=True)
        ensure_article(session, f"{OTHER_ORIGIN}/new", now, by_reader=True)

        assert count_articles(session) == 2

    def test_host_that_no_site_owns_makes_nothing(self, session: Session, now: datetime) -> None:
        with pytest.raises(Invalid):
            ensure_article(session, ARTICLE_URL, now, by_reader=True)

        assert count_articles(session) == 0
