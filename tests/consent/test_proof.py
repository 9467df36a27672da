"""The proof tells what was shown and what happened, to the newsroom only, and stays when the person was forgotten."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Page
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.consent.expiry import expire_unconfirmed
from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, Kind, Subscriber
from pollsvc.consent.proof import (
    ProofLinkInvalid,
    page_token,
    read_page_token,
    read_proof,
)
from pollsvc.consent.service import confirm, take_back, withdraw
from pollsvc.consent.signing_up import CONFIRM_WITHIN, Desk, process_sign_up
from pollsvc.consent.states import ConsentNotFound, note
from pollsvc.keys import Keys
from pollsvc.staff.models import AuditEntry
from tests.consent.acts import ADA, ask, links, sign_up
from tests.consent.happenings import seal_all, tokens
from tests.factories import ARTICLE_URL, ORIGIN, THEN, make_consent_text, make_site
from tests.live_server import LiveServer


@pytest.fixture
def text(session: Session) -> ConsentText:
    return make_consent_text(
        session,
        site=make_site(session),
        privacy_version="2026-01",
        contact="privacy@news.example",
        withdrawal="I may leave at any time",
    )


@pytest.fixture
def consent(session: Session, keys: Keys, text: ConsentText, now: datetime) -> Consent:
    """Asked for, confirmed an hour later, sealed."""
    made = ask(session, keys, text, now, evidence={"widget": "3"})
    confirm(session, links(keys), tokens(session)[0], now + timedelta(hours=1))
    seal_all(session, now)
    session.commit()
    return made


def erase(session: Session, consent: Consent, now: datetime) -> None:
    note(session, consent, Kind.ERASED, text=consent.text, method="page", now=now)
    session.execute(sa.delete(Subscriber))
    session.commit()


class TestReadProof:
    def test_tells_word_for_word_what_was_shown(
        self, session: Session, consent: Consent, text: ConsentText, now: datetime
    ) -> None:
        (shown,) = read_proof(session, consent.id, now)["texts"]

        assert (shown["body"], shown["hash"]) == (text.body, text.body_hash.hex())
        assert (shown["privacy_url"], shown["privacy_version"]) == (f"{ORIGIN}/privacy", "2026-01")

    def test_tells_when_where_and_how(self, session: Session, consent: Consent, now: datetime) -> None:
        requested, sent, confirmed = read_proof(session, consent.id, now)["events"]

        assert (requested["event_type"], requested["event_time"]) == ("requested", now)
        assert (requested["article_url"], requested["origin"]) == (ARTICLE_URL, ORIGIN)
        assert requested["evidence"]["default_checked"] is False
        assert requested["evidence"]["widget"] == "3"
        assert (confirmed["event_time"], confirmed["collection_method"]) == (
            now + timedelta(hours=1),
            "mail_link",
        )
        for name in ("message_id", "token_hash"):
            assert confirmed["evidence"][name] == sent["evidence"][name] != ""
        assert [event["event_state"] for event in (requested, sent, confirmed)] == [
            "pending",
            "pending",
            "active",
        ]

    def test_carries_the_seal_of_each_event(self, session: Session, consent: Consent, now: datetime) -> None:
        events = read_proof(session, consent.id, now)["events"]

        assert [event["seal"]["position"] for event in events] == [1, 2, 3]
        assert all(len(event["seal"]["hash"]) == 64 for event in events)

    def test_event_that_is_not_sealed_yet_has_none(
        self, session: Session, keys: Keys, consent: Consent, now: datetime
    ) -> None:
        withdraw(session, links(keys), consent, method="page", now=now)

        assert read_proof(session, consent.id, now)["events"][-1]["seal"] is None

    def test_what_is_not_known_is_not_filled(self, session: Session, keys: Keys, now: datetime) -> None:
        site = make_site(session, privacy_url=None, terms_url=None)  # type: ignore[arg-type]
        consent = ask(session, keys, make_consent_text(session, site=site), now)

        proof = read_proof(session, consent.id, now)

        assert proof["privacy_notice"] == "not_filled"
        assert proof["purposes"][0]["jurisdiction"] == "not_filled"
        assert proof["party_identification"][0]["party_contact"] == "not_filled"

    def test_text_that_counts_is_the_one_it_stands_on(
        self, session: Session, keys: Keys, consent: Consent, text: ConsentText, now: datetime
    ) -> None:
        newer = make_consent_text(session, site=session.get_one(Site, text.site_id), mode="notice_only")
        note(session, consent, Kind.RENEWED, text=newer, method="mail_link", now=now)

        proof = read_proof(session, consent.id, now)

        assert (proof["mode"], proof["is_gdpr_consent"]) == ("notice_only", False)
        assert proof["lawful_basis"] == "notice only: not consent in the sense of the GDPR"
        assert [each["version"] for each in proof["texts"]] == [1, 2]

    def test_stays_when_the_person_was_erased(
        self, session: Session, consent: Consent, text: ConsentText, now: datetime
    ) -> None:
        identity = consent.id
        erase(session, consent, now)

        proof = read_proof(session, identity, now)

        assert (proof["email"], proof["is_erased"], proof["state"]) == (None, True, "forgotten")
        assert proof["texts"][0]["body"] == text.body
        assert [event["event_type"] for event in proof["events"]][-1] == "erased"

    def test_of_a_sign_up_that_ran_out_erases_nobody_who_has_another_consent(
        self, session: Session, keys: Keys, consent: Consent, text: ConsentText, now: datetime
    ) -> None:
        alerts = make_consent_text(session, site=session.get_one(Site, text.site_id), purpose="alerts")
        # A day later, when another mail is allowed.
        asked = now + timedelta(days=1)
        identity = ask(session, keys, alerts, asked).id
        later = asked + CONFIRM_WITHIN + timedelta(hours=1)
        assert expire_unconfirmed(session, later) is not None

        proof = read_proof(session, identity, later)

        assert (proof["email"], proof["is_erased"], proof["state"]) == (ADA, False, "forgotten")

    def test_of_nothing_is_not_found(self, session: Session, now: datetime) -> None:
        with pytest.raises(ConsentNotFound):
            read_proof(session, uuid.uuid4(), now)

    def test_that_begins_with_an_import_tells_so(
        self, session: Session, keys: Keys, text: ConsentText, now: datetime
    ) -> None:
        person, identity = uuid.uuid4(), uuid.uuid4()
        session.add(
            ConsentEvent(
                kind="imported",
                consent_id=identity,
                subscriber_id=person,
                text_id=text.id,
                text_hash=text.body_hash,
                method="import",
                actor="token:1",
                is_suspect=False,
                occurred_at=now,
            )
        )

        proof = read_proof(session, identity, now)

        assert (proof["state"], proof["purposes"][0]["collection_method"]) == ("active", "import")
        assert proof["events"][0]["entity_id"] == "token:1"


class TestRoute:
    def test_gives_the_proof_and_a_page(
        self, staff_client: FlaskClient, client: FlaskClient, consent: Consent
    ) -> None:
        answer = staff_client.get(f"/v1/consents/{consent.id}/proof")

        assert answer.status_code == 200
        assert answer.json is not None
        assert answer.json["record_id"] == str(consent.id)
        assert answer.json["email"] == ADA
        assert answer.json["events"][0]["event_time"] == "2026-03-02T09:30:00+00:00"
        page = client.get(answer.json["page_url"].removeprefix("http://localhost"))
        assert page.status_code == 200
        assert answer.headers["Cache-Control"] == page.headers["Cache-Control"] == "private, no-store"

    def test_each_look_leaves_an_audit_row(
        self, staff_client: FlaskClient, session: Session, consent: Consent
    ) -> None:
        staff_client.get(f"/v1/consents/{consent.id}/proof")

        looks = select(AuditEntry).where(AuditEntry.action == "consent.proof_read")
        (entry,) = session.scalars(looks)
        assert (entry.object_type, entry.object_id, entry.detail) == ("consent", str(consent.id), {})

    def test_unknown_one_is_404_and_leaves_none(self, staff_client: FlaskClient, session: Session) -> None:
        answer = staff_client.get(f"/v1/consents/{uuid.uuid4()}/proof")

        assert answer.status_code == 404
        assert answer.json is not None
        assert answer.json["code"] == "consent_not_found"
        assert "consent.proof_read" not in session.scalars(select(AuditEntry.action)).all()

    @pytest.mark.parametrize("scope", ["consents:manage", "polls:write"])
    def test_needs_the_scope(
        self, staff_client_with: Callable[..., FlaskClient], consent: Consent, scope: str
    ) -> None:
        assert staff_client_with(scope).get(f"/v1/consents/{consent.id}/proof").status_code == 403


class TestPage:
    def look(self, client: FlaskClient, keys: Keys, consent_id: uuid.UUID) -> str:
        answer = client.get(f"/proof/{page_token(keys, consent_id, datetime.now(UTC))}")
        assert answer.status_code == 200
        return answer.text

    def test_shows_what_was_shown_and_every_event(
        self, client: FlaskClient, keys: Keys, consent: Consent, text: ConsentText
    ) -> None:
        html = self.look(client, keys, consent.id)

        for expected in (text.body, ADA, "2 March 2026, 09:30:00 UTC", "Confirmed", text.body_hash.hex()):
            assert expected in html
        assert "Not consent in the sense of the GDPR" not in html

    def test_keeps_itself_to_its_reader(self, client: FlaskClient, keys: Keys, consent: Consent) -> None:
        answer = client.get(f"/proof/{page_token(keys, consent.id, datetime.now(UTC))}")

        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["X-Robots-Tag"].startswith("noindex")
        assert "style=" not in answer.text
        assert "<script" not in answer.text

    def test_shows_that_the_address_was_erased(
        self, client: FlaskClient, session: Session, keys: Keys, consent: Consent, now: datetime
    ) -> None:
        identity = consent.id
        erase(session, consent, now)

        html = self.look(client, keys, identity)

        assert ADA not in html
        assert "<b>erased</b>" in html

    def test_marks_a_notice_as_no_consent(
        self, client: FlaskClient, session: Session, keys: Keys, now: datetime
    ) -> None:
        text = make_consent_text(session, site=make_site(session), mode="notice_only")
        consent = ask(session, keys, text, now)
        session.commit()

        assert "Not consent in the sense of the GDPR" in self.look(client, keys, consent.id)

    @pytest.mark.parametrize(
        "kind", ["renewal_sent", "renewed", "expired", "imported", "suppressed", "released", "withdrawn"]
    )
    def test_has_a_word_for_each_event(
        self, client: FlaskClient, session: Session, keys: Keys, consent: Consent, kind: str
    ) -> None:
        evidence = {"valid_until": THEN.isoformat()} if kind == "renewal_sent" else {}
        note(session, consent, Kind(kind), text=consent.text, method="x<y", now=THEN, evidence=evidence)
        session.commit()

        html = self.look(client, keys, consent.id)

        assert "x&lt;y" in html

    def test_says_that_it_stands_again_as_before(
        self, client: FlaskClient, session: Session, keys: Keys, consent: Consent, now: datetime
    ) -> None:
        withdraw(session, links(keys), consent, method="page", now=now)
        again = sign_up(session, keys, consent.text, now, withdrawal_key="the-key-of-the-page")
        process_sign_up(session, Desk(links(keys)), again.id, now + timedelta(days=1))
        assert take_back(session, links(keys), "the-key-of-the-page", now + timedelta(days=1))
        session.commit()

        html = self.look(client, keys, consent.id)

        since = f"withdrawn since <code>{now.isoformat()}</code>, on the text of version 1"
        assert f"<dt>Again as before</dt><dd>{since}</dd>" in " ".join(html.split())
        assert "confirmed_at" not in html

    def test_writes_words_of_the_newsroom_as_text(
        self, client: FlaskClient, session: Session, keys: Keys, now: datetime
    ) -> None:
        site = make_site(session, name="News <b>& more")
        consent = ask(session, keys, make_consent_text(session, site=site), now)
        session.commit()

        html = self.look(client, keys, consent.id)

        assert "<b>& more" not in html
        assert "News &lt;b&gt;&amp; more" in html

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_after_an_hour_the_link_is_no_more(
        self, client: FlaskClient, keys: Keys, consent: Consent
    ) -> None:
        old = page_token(keys, consent.id, datetime.now(UTC) - timedelta(hours=1, seconds=5))

        answer = client.get(f"/proof/{old}")

        assert answer.status_code == 404
        assert answer.mimetype == "text/html"

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_changes_nothing(self, app: Flask, client: FlaskClient, keys: Keys, consent: Consent) -> None:
        assert client.post(f"/proof/{page_token(keys, consent.id, datetime.now(UTC))}").status_code == 405


class TestToken:
    def test_leads_back(self, keys: Keys, now: datetime) -> None:
        identity = uuid.uuid4()

        token = page_token(keys, identity, now)

        assert read_page_token(keys, token, now + timedelta(hours=1)) == identity

    @pytest.mark.parametrize("token", ["", "x", "x.y", "ä.ö", pytest.param("a" * 5_000, id="long")])
    def test_of_others_leads_nowhere(self, keys: Keys, now: datetime, token: str) -> None:
        with pytest.raises(ProofLinkInvalid):
            read_page_token(keys, token, now)

    def test_made_for_something_else_leads_nowhere(self, keys: Keys, now: datetime) -> None:
        data = links(keys).data(b"h" * 32, now).rpartition("/")[2]

        with pytest.raises(ProofLinkInvalid):
            read_page_token(keys, data, now)

    def test_lasts_an_hour(self, keys: Keys, now: datetime) -> None:
        with pytest.raises(ProofLinkInvalid):
            read_page_token(keys, page_token(keys, uuid.uuid4(), now), now + timedelta(hours=1, seconds=1))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestOnPaper:
    def test_page_fits_a_phone_and_prints_without_colour(
        self,
        live_server: Callable[..., LiveServer],
        page: Page,
        session: Session,
        keys: Keys,
        consent: Consent,
    ) -> None:
        server = live_server()
        page.set_viewport_size({"width": 320, "height": 700})

        page.goto(f"{server.url}/proof/{page_token(keys, consent.id, datetime.now(UTC))}")

        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert page.get_by_role("heading", level=1).inner_text() == "Proof of consent"
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert len(page.pdf(format="A4")) > 10_000
