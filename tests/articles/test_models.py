"""Each named constraint of sites and articles refuses what it should, whatever the rules above it forget."""

import uuid
from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article, ArticleQuota, Site, SiteOrigin
from tests.factories import ARTICLE_URL, ORIGIN, THEN, make_article, make_site

# PostgreSQL names the constraint; SQLite names the columns of a unique one, and a foreign key not at all.
FOREIGN_KEY = r"FOREIGN KEY constraint failed|fk_{}"


def add_origin(session: Session, site_id: uuid.UUID, **changes: Any) -> None:
    row = {"origin": "https://alias.example", "authority": "alias.example", "site_id": site_id, "position": 1}
    session.execute(insert(SiteOrigin).values(row | changes))


def add_article(session: Session, site_id: uuid.UUID, url: str) -> None:
    session.execute(insert(Article).values(id=uuid.uuid4(), site_id=site_id, url=url, created_at=THEN))


class TestSite:
    def test_name_belongs_to_one(self, session: Session) -> None:
        make_site(session, name="The Harbour Gazette")

        with pytest.raises(IntegrityError, match=r"uq_site_name|site\.name"):
            session.execute(insert(Site).values(id=uuid.uuid4(), name="The Harbour Gazette", created_at=THEN))


class TestSiteOrigin:
    def test_leads_to_one_site(self, session: Session) -> None:
        make_site(session)
        other = make_site(session, name="The Ferry Post", origins=["https://post.example"])

        with pytest.raises(IntegrityError, match=r"pk_site_origin|site_origin\.origin"):
            add_origin(session, other.id, origin=ORIGIN)

    def test_only_one_is_canonical(self, session: Session) -> None:
        site = make_site(session)

        with pytest.raises(IntegrityError, match=r"uq_site_origin_site_id_position|site_origin\.position"):
            add_origin(session, site.id, position=0)

    def test_position_is_not_negative(self, session: Session) -> None:
        site = make_site(session)

        with pytest.raises(IntegrityError, match="ck_site_origin_position_not_negative"):
            add_origin(session, site.id, position=-1)

    def test_belongs_to_a_site(self, session: Session) -> None:
        with pytest.raises(IntegrityError, match=FOREIGN_KEY.format("site_origin_site_id")):
            add_origin(session, uuid.uuid4())


class TestArticle:
    def test_address_has_one_row(self, session: Session) -> None:
        article = make_article_of_a_site(session)

        with pytest.raises(IntegrityError, match=r"uq_article_url|article\.url"):
            add_article(session, article.site_id, ARTICLE_URL)

    def test_belongs_to_a_site(self, session: Session) -> None:
        with pytest.raises(IntegrityError, match=FOREIGN_KEY.format("article_site_id")):
            add_article(session, uuid.uuid4(), ARTICLE_URL)


class TestArticleQuota:
    def test_day_of_a_site_has_one_row(self, session: Session) -> None:
        today = {"site_id": make_site(session).id, "day": date(2026, 3, 2), "n": 1}
        session.execute(insert(ArticleQuota).values(today))

        with pytest.raises(IntegrityError, match=r"pk_article_quota|article_quota\.day"):
            session.execute(insert(ArticleQuota).values(today))

    def test_belongs_to_a_site(self, session: Session) -> None:
        with pytest.raises(IntegrityError, match=FOREIGN_KEY.format("article_quota_site_id")):
            session.execute(insert(ArticleQuota).values(site_id=uuid.uuid4(), day=date(2026, 3, 2), n=1))


def make_article_of_a_site(session: Session) -> Article:
    make_site(session)
    return make_article(session)
