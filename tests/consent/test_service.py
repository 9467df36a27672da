"""Texts are published as immutable versions, with what was shown."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.service import SiteNotFound
from pollsvc.consent.models import ConsentText
from pollsvc.consent.texts import (
    ConsentTextNotFound,
    get_text,
    list_texts,
    newsletter_text,
    publish_text,
    text_hash,
)
from pollsvc.staff.models import AuditEntry
from tests.factories import ACTOR, ORIGIN, make_consent_text, make_site

BODY = "Send me the newsletter of The Harbour Gazette. I may unsubscribe at any time."


@pytest.fixture
def text(session: Session) -> ConsentText:
    made = make_consent_text(session, site=make_site(session))
    session.commit()
    return made


class TestPublishText:
    def test_versions_of_a_site_are_counted(self, session: Session) -> None:
        site = make_site(session)
        other = make_site(session, name="Post", origins=["https://post.example"])

        versions = [make_consent_text(session, site=each).version for each in (site, site, other, site)]

        assert versions == [1, 2, 1, 3]

    def test_earlier_version_stays_as_it_was(self, session: Session) -> None:
        site = make_site(session)
        first = make_consent_text(session, site=site, body=BODY)

        make_consent_text(session, site=site, body=f"{BODY} And the other one.")

        session.commit()
        session.expire_all()
        assert get_text(session, first.id).body == BODY

    @pytest.mark.parametrize(
        ("links", "shown"),
        [
            pytest.param({}, (f"{ORIGIN}/privacy", f"{ORIGIN}/terms"), id="the site's where left out"),
            pytest.param({"terms_url": None}, (f"{ORIGIN}/privacy", None), id="none where taken away"),
            pytest.param(
                {"privacy_url": "https://law.example/p", "terms_url": "https://law.example/t"},
                ("https://law.example/p", "https://law.example/t"),
                id="its own",
            ),
        ],
    )
    def test_links(
        self, session: Session, links: dict[str, str | None], shown: tuple[str | None, str | None]
    ) -> None:
        text = make_consent_text(session, site=make_site(session), **links)

        assert (text.privacy_url, text.terms_url) == shown

    def test_hash_covers_what_is_shown(self, session: Session) -> None:
        text = make_consent_text(session, site=make_site(session), body=BODY, terms_url=None)

        assert text.body_hash == hashlib.sha256(f"{BODY}\n\n{ORIGIN}/privacy\n\n".encode()).digest()

    def test_leaves_an_audit_row_with_the_hash(self, session: Session, now: datetime) -> None:
        site = make_site(session)

        text = publish_text(session, site_id=site.id, body=BODY, actor="token:1", now=now)

        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "consent_text.published")).one()
        assert (entry.actor, entry.occurred_at, entry.object_id) == ("token:1", now, str(text.id))
        assert entry.detail == {
            "site_id": str(site.id),
            "purpose": "newsletter",
            "version": 1,
            "mode": "explicit",
            "is_material": False,
            "hash": text.body_hash.hex(),
        }

    def test_unknown_site_is_refused(self, session: Session, now: datetime) -> None:
        with pytest.raises(SiteNotFound):
            publish_text(session, site_id=uuid.uuid4(), body=BODY, actor=ACTOR, now=now)


class TestTextHash:
    def test_what_is_shown_elsewhere_hashes_otherwise(self) -> None:
        shown = [
            ("a", None, None),
            ("a", "b", None),
            ("a", None, "b"),
            ("a", "b", "b"),
            ("a\n\nb", None, None),
            ("b", None, None),
        ]

        assert len({text_hash(*each) for each in shown}) == len(shown)

    def test_version_of_a_policy_counts_where_it_is_named(self) -> None:
        versions = [(None, None), ("1", None), (None, "1"), ("2", "1")]

        assert len({text_hash("a", "b", "c", each) for each in versions}) == len(versions)


class TestNewsletterText:
    def test_site_begins_with_one_made_from_its_name_and_links(self, session: Session, now: datetime) -> None:
        site = make_site(session, name="The Harbour Gazette")

        text = newsletter_text(session, site, actor=ACTOR, now=now)

        assert "The Harbour Gazette" in text.body
        assert "unsubscribe at any time" in text.body
        assert (text.version, text.privacy_url, text.terms_url) == (1, site.privacy_url, site.terms_url)

    def test_newest_is_in_force(self, session: Session, now: datetime) -> None:
        site = make_site(session)
        make_consent_text(session, site=site)
        newest = make_consent_text(session, site=site)

        assert newsletter_text(session, site, actor=ACTOR, now=now) is newest

    def test_text_of_another_site_or_purpose_is_not_taken(self, session: Session, now: datetime) -> None:
        site = make_site(session)
        other = make_site(session, name="Post", origins=["https://post.example"])
        taken = [
            make_consent_text(session, site=other),
            make_consent_text(session, site=site, purpose="events"),
        ]

        assert newsletter_text(session, site, actor=ACTOR, now=now) not in taken

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_two_first_polls_at_once_get_one_text(
        self, session: Session, engine: sa.Engine, now: datetime
    ) -> None:
        site = make_site(session)
        session.commit()

        def ask(_number: int) -> uuid.UUID:
            with Session(engine) as own:
                text = newsletter_text(own, site, actor=ACTOR, now=now)
                own.commit()
                return text.id

        with ThreadPoolExecutor(5) as pool:
            ids = set(pool.map(ask, range(10)))

        assert ids == set(session.scalars(select(ConsentText.id)))
        assert len(ids) == 1

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_texts_published_at_once_are_numbered_one_after_the_other(
        self, session: Session, engine: sa.Engine
    ) -> None:
        site = make_site(session)
        session.commit()

        def publish(_number: int) -> int:
            with Session(engine) as own:
                text = make_consent_text(own, site=site)
                own.commit()
                return text.version

        with ThreadPoolExecutor(5) as pool:
            versions = sorted(pool.map(publish, range(10)))

        assert versions == list(range(1, 11))


class TestFindingTexts:
    def test_text_is_found_by_its_id(self, session: Session, text: ConsentText) -> None:
        assert get_text(session, text.id) is text

    def test_unknown_id_is_refused(self, session: Session) -> None:
        with pytest.raises(ConsentTextNotFound):
            get_text(session, uuid.uuid4())

    def test_list_holds_all_or_those_of_a_site(self, session: Session, text: ConsentText) -> None:
        other = make_site(session, name="Post", origins=["https://post.example"])
        of_other = make_consent_text(session, site=other)

        assert set(session.scalars(list_texts())) == {text, of_other}
        assert set(session.scalars(list_texts(other.id))) == {of_other}
