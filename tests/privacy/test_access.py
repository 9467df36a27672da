"""What is kept about a person is shown whole, and leaves a row."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from pollsvc.consent.addresses import MAIL_PAUSE
from pollsvc.consent.models import ConsentText, Mode, SignUp
from pollsvc.consent.service import email_hash
from pollsvc.consent.signing_up import CONFIRM_WITHIN
from pollsvc.outbox.models import WebhookAcknowledgement, WebhookEndpoint
from pollsvc.privacy.access import BALLOTS
from pollsvc.staff.models import AuditEntry
from tests.conftest import NOW
from tests.consent.logins import SECRET
from tests.factories import ARTICLE_URL, make_article, make_consent_text
from tests.privacy.scene import Scene


def show(scene: Scene, email: str | None = None) -> dict[str, Any]:
    return scene.post("/v1/privacy/access", {"email": email or scene.email}, 200, by=scene.staff)


class TestShowPerson:
    def test_gives_each_consent_with_its_text_word_for_word(self, planted: Scene) -> None:
        kept = show(planted)

        (consent,) = kept["consents"]
        assert (consent["state"], consent["purpose"]) == ("active", "newsletter")
        assert consent["text"]["body"] == planted.text.body
        assert consent["text"]["hash"] == planted.text.body_hash.hex()

    @pytest.mark.parametrize(
        ("mode", "is_consent"), [(Mode.EXPLICIT, True), (Mode.SOFT_OPT_IN, False), (Mode.NOTICE_ONLY, False)]
    )
    def test_says_what_is_no_consent_in_the_sense_of_the_gdpr(
        self, scene: Scene, mode: Mode, *, is_consent: bool
    ) -> None:
        scene.site.login_key = SECRET
        text = make_consent_text(scene.session, site=scene.site, mode=mode)
        waits = SignUp(
            text_id=text.id,
            email=scene.email,
            email_hash=email_hash(scene.keys, scene.email),
            article_id=make_article(scene.session).id,
            method="checkbox",
            evidence={},
            is_suspect=False,
            occurred_at=NOW,
            arrived_at=NOW,
            available_at=NOW,
        )
        scene.session.add(waits)
        scene.session.commit()

        (sign_up,) = show(scene)["sign_ups"]

        assert (sign_up["text"]["mode"], sign_up["text"]["is_gdpr_consent"]) == (mode, is_consent)

    def test_gives_what_happened_in_order(self, planted: Scene) -> None:
        (consent,) = show(planted)["consents"]

        assert [each["kind"] for each in consent["events"]] == ["requested", "confirmation_sent", "confirmed"]
        assert consent["events"][0]["article_url"] == ARTICLE_URL
        assert consent["events"][0]["text"]["body"] == planted.text.body

    def test_gives_what_happened_to_one_that_ran_out(self, planted: Scene) -> None:
        planted.later(MAIL_PAUSE + timedelta(minutes=1))
        planted.work()
        planted.later(CONFIRM_WITHIN + timedelta(hours=1))
        planted.work()

        kept = show(planted)

        (former,) = kept["former_consents"]
        assert [each["purpose"] for each in kept["consents"]] == ["newsletter"]
        assert [each["kind"] for each in former["events"]] == ["requested", "confirmation_sent", "expired"]

    def test_names_the_systems_that_were_told(self, planted: Scene) -> None:
        (consent,) = show(planted)["consents"]
        assert show(planted)["recipients"] == []
        endpoint = planted.session.scalars(select(WebhookEndpoint)).one()
        endpoint.url = "https://crm.news.example/hooks/a-secret"
        planted.session.add(
            WebhookAcknowledgement(
                endpoint_id=endpoint.id,
                consent_id=uuid.UUID(consent["id"]),
                kind="consent.confirmed",
                event_id=1,
                occurred_at=NOW,
                acknowledged_at=NOW,
            )
        )
        planted.session.commit()

        assert show(planted)["recipients"] == [
            {
                "host": "crm.news.example",
                "consent_id": consent["id"],
                "kind": "consent.confirmed",
                "taken_at": NOW.isoformat(),
            }
        ]

    def test_gives_what_waits(self, planted: Scene) -> None:
        (sign_up,) = show(planted)["sign_ups"]

        assert sign_up["email"] == planted.email.upper().replace("@READER.EXAMPLE", "@reader.example")
        alerts = planted.session.get_one(ConsentText, planted.alerts.id)
        assert sign_up["text"]["body"] == alerts.body

    def test_gives_corrections_without_the_newsroom_s_notes(self, planted: Scene) -> None:
        (correction,) = show(planted)["corrections"]

        assert planted.words["correction name"] == correction["name"]
        assert planted.words["correction message"] in correction["message"]
        assert planted.words["correction quote"] == correction["quote"]
        assert planted.words["correction note"] not in str(show(planted))

    def test_gives_what_was_sent(self, planted: Scene) -> None:
        sent = [(each["channel"], each["kind"], each["state"]) for each in show(planted)["mails"]]

        assert sent == [
            ("mail", "confirmation", "delivered"),
            ("mail", "correction", "delivered"),
            ("webhook", "consent.confirmed", "pending"),
            ("mail", "data_link", "delivered"),
        ]

    def test_says_why_no_vote_is_in_it(self, planted: Scene) -> None:
        assert show(planted)["ballots"] == BALLOTS

    def test_has_the_same_shape_for_nobody(self, planted: Scene) -> None:
        nobody = show(planted, "nobody@reader.example")

        assert set(nobody) == set(show(planted))
        assert (nobody["email"], nobody["consents"], nobody["corrections"], nobody["suppression"]) == (
            None,
            [],
            [],
            None,
        )

    def test_leaves_an_audit_row_without_the_address(self, planted: Scene) -> None:
        show(planted)
        planted.session.commit()

        entry = planted.session.scalars(select(AuditEntry).where(AuditEntry.action == "person.shown")).one()
        assert (entry.object_type, entry.object_id, entry.detail) == ("address", "", {})
