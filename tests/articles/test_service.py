"""Sites are made and edited by the rules of DESIGN section 5."""

import uuid
from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.articles.service import (
    NameTaken,
    OriginTaken,
    SiteNotFound,
    create_site,
    edit_site,
    ensure_article,
    find_article,
    get_site,
    is_known_origin,
    list_sites,
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
            "locale": "en",
            "consent_mode": "explicit",
            "comments": "open",
            "comments_close_days": None,
            "has_desk_email": True,
            "has_login_key": False,
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
