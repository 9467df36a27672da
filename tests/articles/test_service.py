"""Sites are made and edited, and articles found, by the rules of DESIGN section 5."""

import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article, ArticleQuota, Site, SiteOrigin
from pollsvc.articles.service import (
    READERS_ARTICLES_A_DAY,
    NameTaken,
    OriginTaken,
    SiteNotFound,
    TooManyArticles,
    create_site,
    edit_site,
    ensure_article,
    find_article,
    get_site,
    is_known_origin,
    list_sites,
    locate_article,
    lock_site,
)
from pollsvc.errors import Invalid
from pollsvc.staff.models import AuditEntry
from tests.factories import ACTOR, ARTICLE_URL, ORIGIN, make_article, make_site

OTHER_ORIGIN = "https://post.example"


def make_other_site(session: Session) -> Site:
    return make_site(session, name="The Ferry Post", origins=[OTHER_ORIGIN])


def origins_of(site: Site) -> list[str]:
    return [row.origin for row in site.origins]


def count(session: Session, model: type[Article | Site | SiteOrigin]) -> int:
    return session.scalars(select(func.count()).select_from(model)).one()


def audit(session: Session, action: str) -> list[AuditEntry]:
    session.flush()
    return list(
        session.scalars(select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id))
    )


class TestCreateSite:
    def test_first_origin_is_canonical_and_the_others_are_aliases(
        self, session: Session, now: datetime
    ) -> None:
        site = create_site(
            session, name="Gazette", origins=[ORIGIN, "https://www.news.example"], actor=ACTOR, now=now
        )

        assert site.canonical_origin == ORIGIN
        assert origins_of(site) == [ORIGIN, "https://www.news.example"]

    def test_origins_are_kept_as_browsers_write_them_and_once_each(
        self, session: Session, now: datetime
    ) -> None:
        given = ["HTTPS://News.Example:443/", "https://news.example", "http://b\u00fccher.example"]

        site = create_site(session, name="Gazette", origins=given, actor=ACTOR, now=now)

        assert origins_of(site) == ["https://news.example", "http://xn--bcher-kva.example"]

    def test_both_schemes_of_a_host_may_be_its_own(self, session: Session, now: datetime) -> None:
        given = ["https://news.example", "http://news.example"]

        site = create_site(session, name="Gazette", origins=given, actor=ACTOR, now=now)

        assert origins_of(site) == given

    def test_leaves_an_audit_row_without_the_address_of_the_desk(
        self, session: Session, now: datetime
    ) -> None:
        site = create_site(
            session,
            name="Gazette",
            origins=[ORIGIN],
            actor="token:1",
            now=now,
            desk_email="desk@news.example",
        )

        (entry,) = audit(session, "site.created")
        assert (entry.actor, entry.object_type, entry.object_id) == ("token:1", "site", str(site.id))
        assert entry.detail == {
            "name": "Gazette",
            "privacy_url": None,
            "terms_url": None,
            "standards_url": None,
            "has_desk_email": True,
            "origins": [ORIGIN],
        }

    def test_origin_of_another_site_is_refused(self, session: Session, now: datetime) -> None:
        make_site(session)

        with pytest.raises(OriginTaken) as caught:
            create_site(
                session, name="Post", origins=[OTHER_ORIGIN, "https://NEWS.example"], actor=ACTOR, now=now
            )

        assert caught.value.fields == {"origins": "https://news.example belongs to another site."}

    def test_other_scheme_of_anothers_host_is_refused(self, session: Session, now: datetime) -> None:
        make_site(session)

        with pytest.raises(OriginTaken):
            create_site(session, name="Post", origins=["http://news.example"], actor=ACTOR, now=now)

    def test_other_port_of_anothers_host_is_another_origin(self, session: Session, now: datetime) -> None:
        make_site(session)

        site = create_site(session, name="Post", origins=["https://news.example:8443"], actor=ACTOR, now=now)

        assert origins_of(site) == ["https://news.example:8443"]

    def test_what_is_no_origin_is_refused_by_its_place(self, session: Session, now: datetime) -> None:
        with pytest.raises(Invalid) as caught:
            create_site(session, name="Post", origins=[OTHER_ORIGIN, f"{ORIGIN}/story"], actor=ACTOR, now=now)

        assert list(caught.value.fields) == ["origins.1"]

    def test_name_of_another_site_is_refused(self, session: Session, now: datetime) -> None:
        make_site(session, name="The Harbour Gazette")

        with pytest.raises(NameTaken) as caught:
            create_site(session, name="The Harbour Gazette", origins=[OTHER_ORIGIN], actor=ACTOR, now=now)

        assert list(caught.value.fields) == ["name"]


class TestEditSite:
    def test_changes_what_is_named_and_nothing_else(self, session: Session, now: datetime) -> None:
        site = make_site(session)

        edited = edit_site(session, site.id, {"terms_url": None}, actor=ACTOR, now=now)

        assert (edited.terms_url, edited.privacy_url) == (None, f"{ORIGIN}/privacy")
        assert origins_of(edited) == [ORIGIN]

    def test_audit_row_holds_what_was_and_what_became(self, session: Session, now: datetime) -> None:
        site = make_site(session)

        edit_site(session, site.id, {"name": "The Harbour News"}, actor="token:1", now=now)

        (entry,) = audit(session, "site.edited")
        assert (entry.actor, entry.occurred_at, entry.object_id) == ("token:1", now, str(site.id))
        assert entry.detail["before"]["name"] == "The Harbour Gazette"
        assert entry.detail["after"]["name"] == "The Harbour News"

    def test_new_address_of_the_desk_leaves_a_row_without_either(
        self, session: Session, now: datetime
    ) -> None:
        site = make_site(session)

        edit_site(session, site.id, {"desk_email": "corrections@news.example"}, actor=ACTOR, now=now)

        (entry,) = audit(session, "site.edited")
        assert entry.detail["is_desk_email_changed"] is True
        assert "@" not in str(entry.detail)

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({}, id="nothing"),
            pytest.param({"name": "The Harbour Gazette"}, id="its own name"),
            pytest.param({"origins": [ORIGIN]}, id="its own origin"),
            pytest.param({"desk_email": "desk@news.example"}, id="its own desk"),
        ],
    )
    def test_what_is_so_already_leaves_no_row(
        self, session: Session, now: datetime, changes: dict[str, object]
    ) -> None:
        site = make_site(session)

        edit_site(session, site.id, changes, actor=ACTOR, now=now)

        assert audit(session, "site.edited") == []

    def test_order_of_the_origins_says_which_is_canonical(self, session: Session, now: datetime) -> None:
        site = make_site(session, origins=[ORIGIN, OTHER_ORIGIN])

        edit_site(session, site.id, {"origins": [OTHER_ORIGIN, ORIGIN]}, actor=ACTOR, now=now)

        session.expire_all()
        assert get_site(session, site.id).canonical_origin == OTHER_ORIGIN

    @pytest.mark.parametrize(
        ("origins", "address"),
        [
            pytest.param([OTHER_ORIGIN, ORIGIN], ARTICLE_URL, id="the old origin became an alias"),
            pytest.param(
                [OTHER_ORIGIN], f"{OTHER_ORIGIN}/harbour/new-ferry", id="the old origin was given up"
            ),
            pytest.param(
                ["http://news.example:8080", ORIGIN], "http://news.example:8080/harbour/new-ferry", id="port"
            ),
        ],
    )
    def test_articles_follow_the_site_to_a_new_canonical_origin(
        self, session: Session, now: datetime, origins: list[str], address: str
    ) -> None:
        site = make_site(session)
        article = make_article(session)

        edit_site(session, site.id, {"origins": origins}, actor=ACTOR, now=now)

        session.expire_all()
        found = find_article(session, address)
        assert found is not None
        assert (found.id, found.url) == (article.id, f"{origins[0]}/harbour/new-ferry")

    def test_articles_of_another_site_stay(self, session: Session, now: datetime) -> None:
        site = make_site(session)
        make_other_site(session)
        make_article(session, url=f"{OTHER_ORIGIN}/story")

        edit_site(session, site.id, {"origins": ["https://new.example"]}, actor=ACTOR, now=now)

        session.expire_all()
        assert find_article(session, f"{OTHER_ORIGIN}/story") is not None

    def test_origin_that_was_given_up_is_free_for_another_site(self, session: Session, now: datetime) -> None:
        site, other = make_site(session), make_other_site(session)
        make_article(session)
        edit_site(session, site.id, {"origins": ["https://new.example"]}, actor=ACTOR, now=now)

        edit_site(session, other.id, {"origins": [OTHER_ORIGIN, ORIGIN]}, actor=ACTOR, now=now)

        assert ensure_article(session, ARTICLE_URL, now, by_reader=False).site_id == other.id

    def test_origin_of_another_site_is_refused(self, session: Session, now: datetime) -> None:
        make_site(session)
        other = make_other_site(session)

        with pytest.raises(OriginTaken):
            edit_site(session, other.id, {"origins": [OTHER_ORIGIN, ORIGIN]}, actor=ACTOR, now=now)

    def test_name_of_another_site_is_refused(self, session: Session, now: datetime) -> None:
        make_site(session, name="The Harbour Gazette")
        other = make_other_site(session)

        with pytest.raises(NameTaken):
            edit_site(session, other.id, {"name": "The Harbour Gazette"}, actor=ACTOR, now=now)

    def test_unknown_site_is_refused(self, session: Session, now: datetime) -> None:
        with pytest.raises(SiteNotFound):
            edit_site(session, uuid.uuid4(), {"name": "Gazette"}, actor=ACTOR, now=now)


class TestFindingSites:
    def test_site_is_found_by_its_id(self, session: Session) -> None:
        site = make_site(session)

        assert get_site(session, site.id) is site

    @pytest.mark.parametrize("find", [get_site, lock_site])
    def test_unknown_id_is_refused(
        self, session: Session, find: Callable[[Session, uuid.UUID], Site]
    ) -> None:
        with pytest.raises(SiteNotFound):
            find(session, uuid.uuid4())

    def test_list_holds_every_site(self, session: Session) -> None:
        sites = {make_site(session).id, make_other_site(session).id}

        assert {site.id for site in session.scalars(list_sites())} == sites

    @pytest.mark.parametrize(
        ("origin", "is_known"),
        [
            ("https://news.example", True),
            ("https://www.news.example", True),
            ("http://news.example", False),
            ("https://news.example:8443", False),
            ("https://NEWS.example", False),
            ("null", False),
        ],
    )
    def test_origin_is_known_exactly_as_browsers_send_it(
        self, session: Session, origin: str, is_known: bool
    ) -> None:
        make_site(session, origins=[ORIGIN, "https://www.news.example"])

        assert is_known_origin(session, origin) is is_known


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
        assert count(session, Article) == 0

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

        assert count(session, Article) == 2

    def test_host_that_no_site_owns_makes_nothing(self, session: Session, now: datetime) -> None:
        with pytest.raises(Invalid):
            ensure_article(session, ARTICLE_URL, now, by_reader=True)

        assert count(session, Article) == 0


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
        assert count(session, Article) == 10
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
                known = origins_of(lock_site(own, site.id))
                added = {"origins": [*known, f"https://alias-{number}.example"]}
                edit_site(own, site.id, added, actor=ACTOR, now=now)
                own.commit()

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(add_alias, range(10)))

        session.expire_all()
        assert sorted(row.position for row in get_site(session, site.id).origins) == list(range(11))


def wait_for_a_waiter(engine: sa.Engine) -> None:
    """Wait until some transaction waits for another one's lock."""
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + 10
    with engine.connect() as connection:
        while not connection.scalar(waiting):
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(0.01)
