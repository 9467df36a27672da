"""A row that no key opens, such as after a key was taken away too early, holds up nobody: not its own person's leaving, and
nothing of anybody else's."""

import csv
import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.consent.models import (
    Consent,
    ConsentEvent,
    ConsentSeal,
    SignUp,
    State,
    Subscriber,
    Suppression,
)
from pollsvc.consent.service import email_hash
from pollsvc.corrections.models import Correction
from pollsvc.outbox import hooks
from pollsvc.outbox.models import UNREADABLE, OutboxEvent, OutboxMessage, WebhookEndpoint
from pollsvc.outbox.outgoing import Outgoing
from pollsvc.privacy.clocks import Heeded, is_any_over, wipe_next
from pollsvc.privacy.models import DataRequest
from pollsvc.privacy.retention import all_clocks
from tests.consent.stored import rows_of
from tests.factories import make_article
from tests.privacy.scene import Scene, correct, count
from tests.unreadable import make_unreadable

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
KEY = "k" * 43
OTHER = "bea@reader.example"
SEALED = b"by another key"


def told(scene: Scene) -> list[tuple[str, object]]:
    """Each event about a consent, and the address in it."""
    scene.session.commit()
    events = scene.session.scalars(select(OutboxEvent).order_by(OutboxEvent.id)).all()
    scene.session.commit()
    return [(event.kind, json.loads(str(event.data)).get("email")) for event in events]


def states(scene: Scene) -> list[str]:
    scene.session.commit()
    found = scene.session.scalars(select(Consent.state).order_by(Consent.id)).all()
    scene.session.commit()
    return list(found)


def make_endpoint(scene: Scene, number: int = 0) -> WebhookEndpoint:
    endpoint = hooks.make_endpoint(
        scene.session,
        Outgoing(),
        url=f"https://crm{number}.news.example/in",
        event_types=["consent.*"],
        description=None,
        site_id=None,
        actor="test",
        now=scene.now(),
    )
    scene.session.commit()
    return endpoint


def confirm_link(scene: Scene) -> str:
    (link,) = set(scene.links("consent"))
    return link


@pytest.fixture
def pending(scene: Scene) -> Scene:
    """Somebody signed up, and has the mail; then the key of the address was lost."""
    scene.sign_up(scene.text, withdrawal_key=KEY)
    scene.work()
    make_unreadable(scene.session, "subscriber", "email")
    return scene


@pytest.fixture
def active(scene: Scene) -> Scene:
    """The same, but it was lost after they confirmed."""
    scene.sign_up(scene.text, withdrawal_key=KEY)
    scene.work()
    assert scene.client.post(confirm_link(scene)).status_code == 200
    make_unreadable(scene.session, "subscriber", "email")
    return scene


@pytest.fixture
def two(active: Scene) -> Scene:
    """And another one, whose address can be read."""
    active.sign_up(active.text, OTHER)
    active.work()
    return active


def one_click(scene: Scene) -> int:
    link = scene.links("unsubscribe")[0]
    return scene.client.post(link, data={"List-Unsubscribe": "One-Click"}).status_code


def untick(scene: Scene) -> int:
    return scene.client.post("/v1/consents/withdrawals", json={"withdrawal_key": KEY}).status_code


def withdraw_by_staff(scene: Scene) -> int:
    consent_id = scene.session.scalars(select(Consent.id)).one()
    scene.session.commit()
    return scene.staff.post(f"/v1/consents/{consent_id}/withdraw", json={}).status_code


def suppress(scene: Scene) -> int:
    return scene.staff.post("/v1/suppressions", json={"email": scene.email}).status_code


class TestWhoseAddressNobodyCanRead:
    @pytest.mark.parametrize("act", [one_click, untick, withdraw_by_staff, suppress])
    def test_can_leave_by_every_door_and_it_is_told(self, active: Scene, act: Callable[[Scene], int]) -> None:
        assert act(active) == 200

        assert states(active) == [State.WITHDRAWN]
        assert told(active) == [("consent.confirmed", active.email), ("consent.withdrawn", None)]

    def test_can_confirm_and_it_is_told(self, pending: Scene) -> None:
        assert pending.client.post(confirm_link(pending)).status_code == 200

        assert states(pending) == [State.ACTIVE]
        assert told(pending) == [("consent.confirmed", None)]

    def test_is_erased(self, active: Scene) -> None:
        active.post("/v1/privacy/erasures", {"email": active.email}, 200, by=active.staff)

        assert count(active.session, Subscriber, Consent) == [0, 0]
        assert ("consent.erased", None) in told(active)

    def test_ends_by_the_clock(self, active: Scene) -> None:
        active.session.execute(sa.update(Consent).values(valid_until=active.now()))
        active.session.commit()

        active.work()

        assert states(active) == [State.EXPIRED]
        assert told(active)[-1] == ("consent.expired", None)

    def test_is_proven_and_not_called_erased(self, active: Scene) -> None:
        consent_id = active.session.scalars(select(Consent.id)).one()
        active.session.commit()

        proof = active.get(f"/v1/consents/{consent_id}/proof")

        assert (proof["email"], proof["is_erased"], proof["state"]) == (None, False, "active")
        page = active.client.get(str(proof["page_url"]))
        assert page.status_code == 200
        assert "no key of this installation opens it" in page.text

    def test_is_shown_what_can_be_read(self, active: Scene) -> None:
        correct(active)
        make_unreadable(active.session, "correction", "message")

        kept = active.post("/v1/privacy/access", {"email": active.email}, 200, by=active.staff)

        assert kept["email"] is None
        assert [each["state"] for each in kept["consents"]] == ["active"]
        (report,) = kept["corrections"]
        assert (report["email"], report["message"]) == (active.email, None)
        (link,) = set(active.links("data"))
        copy = active.client.post(f"{link}/copy")
        assert (copy.status_code, json.loads(copy.data)["email"]) == (200, None)

    def test_is_readable_again_after_signing_up_anew(self, active: Scene) -> None:
        active.sign_up(active.alerts)
        active.later(HOUR)
        active.work()

        active.session.commit()
        assert active.session.scalars(select(Subscriber.email)).one() == active.email


class TestSignUps:
    def test_unreadable_one_is_deleted_after_seven_days(self, scene: Scene) -> None:
        scene.sign_up(scene.text)
        make_unreadable(scene.session, "sign_up", "email")
        for _ in range(7):
            scene.work()
            assert count(scene.session, SignUp) == [1]
            scene.later(DAY)

        scene.work()

        assert count(scene.session, SignUp) == [0]

    def test_unreadable_one_is_decided_when_a_key_opens_it(self, scene: Scene) -> None:
        scene.sign_up(scene.text)
        make_unreadable(scene.session, "sign_up", "email")
        scene.work()
        scene.session.execute(sa.update(SignUp).values(email=scene.email))
        scene.later(HOUR)

        scene.work()

        assert states(scene) == [State.PENDING]

    def test_unreadable_one_does_not_keep_a_person_longer(self, active: Scene) -> None:
        assert one_click(active) == 200
        active.sign_up(active.alerts)
        make_unreadable(active.session, "sign_up", "email")
        for days in (7, active.settings.retain_proof_days):
            active.work()
            active.later(timedelta(days=days))

        active.work()

        assert count(active.session, Subscriber, SignUp) == [0, 0]

    def test_the_newsroom_searches_beside_an_unreadable_one(self, two: Scene) -> None:
        two.sign_up(two.alerts, OTHER)
        make_unreadable(two.session, "sign_up", "email")

        found = two.post("/v1/consents/search", {"email": OTHER}, 200, by=two.staff)

        assert [each["state"] for each in found["items"]] == ["pending"]
        assert count(two.session, SignUp) == [1]


class TestSignUpsOfTheFirstRelease:
    @pytest.fixture
    def of_the_first_release(self, scene: Scene) -> Scene:
        """An event without a consent, of a person whose address no key opens, from a year ago."""
        session, person = scene.session, uuid.uuid4()
        hashed = email_hash(scene.keys, scene.email)
        session.add(Subscriber(id=person, email=scene.email, email_hash=hashed))
        session.add(
            ConsentEvent(
                kind="requested",
                consent_id=None,
                subscriber_id=person,
                text_id=scene.text.id,
                text_hash=scene.text.body_hash,
                article_id=make_article(session).id,
                method="checkbox",
                is_suspect=False,
                occurred_at=scene.now() - 365 * DAY,
            )
        )
        session.commit()
        make_unreadable(session, "subscriber", "email")
        return scene

    def test_are_sealed_and_wait_for_a_key(self, of_the_first_release: Scene) -> None:
        scene = of_the_first_release

        scene.work()

        assert count(scene.session, ConsentEvent, ConsentSeal, SignUp, Subscriber) == [1, 1, 1, 0]
        assert SEALED in [value for row in rows_of(scene.session, "sign_up") for value in row]

    def test_are_asked_when_a_key_opens_them(self, of_the_first_release: Scene) -> None:
        scene = of_the_first_release
        scene.work()
        scene.later(6 * DAY)
        scene.work()
        scene.session.execute(sa.update(SignUp).values(email=scene.email))
        scene.later(HOUR)

        scene.work()

        assert states(scene) == [State.PENDING]

    def test_go_after_seven_days_too(self, of_the_first_release: Scene) -> None:
        scene = of_the_first_release
        scene.work()
        scene.later(7 * DAY + HOUR)

        scene.work()

        assert count(scene.session, SignUp) == [0]


class TestEndpoints:
    @pytest.fixture
    def endpoints(self, scene: Scene) -> tuple[str, str]:
        """Two, of which no key opens the first."""
        first = make_endpoint(scene, 0)
        make_unreadable(scene.session, "webhook_endpoint", "url", "secret")
        return str(first.id), str(make_endpoint(scene, 1).id)

    @pytest.mark.parametrize("column", ["url", "secret", "previous_secret"])
    def test_the_others_are_told(self, scene: Scene, column: str) -> None:
        first = make_endpoint(scene, 0)
        make_unreadable(scene.session, "webhook_endpoint", column)
        second = make_endpoint(scene, 1)
        sent: list[uuid.UUID | None] = []

        def take(message: OutboxMessage, now: datetime) -> int:
            sent.append(message.endpoint_id)
            return 200

        scene.worker.transports = {"mail": scene.worker.transports["mail"], "webhook": take}
        scene.sign_up(scene.text)
        scene.work()
        scene.client.post(confirm_link(scene))

        scene.work()

        assert {first.id, second.id} == set(sent)

    def test_are_listed_with_what_is_wrong(self, scene: Scene, endpoints: tuple[str, str]) -> None:
        shown = {each["id"]: each for each in scene.get("/v1/webhooks")["items"]}

        lost, sound = (shown[each] for each in endpoints)
        assert (lost["url"], lost["unreadable_because"]) == (None, UNREADABLE)
        assert (sound["url"], sound["unreadable_because"]) == ("https://crm1.news.example/in", None)
        assert scene.get(f"/v1/webhooks/{endpoints[0]}")["url"] is None

    def test_are_removed(self, scene: Scene, endpoints: tuple[str, str]) -> None:
        assert scene.staff.delete(f"/v1/webhooks/{endpoints[0]}", json={}).status_code == 200

        assert [each["id"] for each in scene.get("/v1/webhooks")["items"]] == [endpoints[1]]

    def test_are_mended_by_a_new_address_and_a_new_secret(
        self, scene: Scene, endpoints: tuple[str, str]
    ) -> None:
        path = f"/v1/webhooks/{endpoints[0]}"
        edit = {"url": "https://new.news.example/in", "version": 1}

        assert scene.staff.patch(path, json=edit).status_code == 200
        assert scene.staff.post(f"{path}/secret", json={}).status_code == 200

        assert scene.get(path)["unreadable_because"] is None

    def test_what_is_sent_there_is_tried_again_and_pauses_nothing(
        self, scene: Scene, endpoints: tuple[str, str]
    ) -> None:
        scene.session.execute(sa.delete(WebhookEndpoint).where(WebhookEndpoint.id == uuid.UUID(endpoints[1])))
        scene.session.commit()
        scene.sign_up(scene.text)
        scene.work()
        scene.client.post(confirm_link(scene))

        scene.work()

        scene.session.commit()
        message = scene.session.scalars(select(OutboxMessage).where(OutboxMessage.channel == "webhook")).one()
        assert (message.state, message.reason) == ("pending", UNREADABLE)
        assert scene.get(f"/v1/webhooks/{endpoints[0]}")["failures"] == 0

    def test_are_recipients_without_a_name(self, scene: Scene) -> None:
        make_endpoint(scene)
        scene.worker.transports = {
            "mail": scene.worker.transports["mail"],
            "webhook": lambda _message, _now: 200,
        }
        scene.sign_up(scene.text)
        scene.work()
        scene.client.post(confirm_link(scene))
        scene.work()
        make_unreadable(scene.session, "webhook_endpoint", "url")

        kept = scene.post("/v1/privacy/access", {"email": scene.email}, 200, by=scene.staff)

        assert [each["host"] for each in kept["recipients"]] == [None]

    def test_what_no_key_opens_of_an_event_is_outstanding_still(self, active: Scene) -> None:
        endpoint = make_endpoint(active)
        active.worker.transports = {}
        active.work()
        make_unreadable(active.session, "outbox_event", "data")

        owed = active.get(f"/v1/webhooks/{endpoint.id}/outstanding")["items"]

        assert [(each["kind"], each["delivery"]) for each in owed] == [("consent.confirmed", None)]


class TestCorrections:
    @pytest.fixture
    def report(self, scene: Scene) -> Scene:
        """One, decided, of which no key opens anything."""
        correct(scene)
        make_unreadable(scene.session, "correction", "name", "email", "message", "quote", "note")
        return scene

    def is_empty(self, scene: Scene) -> bool:
        values = [value for row in rows_of(scene.session, "correction") for value in row]
        scene.session.commit()
        return SEALED not in values

    def test_are_listed(self, report: Scene) -> None:
        (shown,) = report.get("/v1/corrections")["items"]

        assert (shown["status"], shown["name"], shown["message"], shown["quote"]) == (
            "handled",
            None,
            None,
            None,
        )

    def test_are_emptied_by_an_erasure(self, report: Scene) -> None:
        erased = report.post("/v1/privacy/erasures", {"email": report.email}, 200, by=report.staff)["erased"]

        assert erased["corrections"] == 1
        assert self.is_empty(report)

    def test_are_emptied_by_their_clock(self, report: Scene) -> None:
        report.later(timedelta(days=report.settings.retain_correction_days))

        report.work()

        assert self.is_empty(report)
        report.session.commit()
        assert report.session.scalars(select(Correction.erased_at)).one() is not None


class TestClocks:
    def test_one_that_fails_does_not_stop_those_behind_it(
        self, scene: Scene, capsys: pytest.CaptureFixture[str]
    ) -> None:
        scene.sign_up(scene.text)

        def fail(session: Session, _ids: object, _now: object) -> None:
            session.execute(sa.delete(Suppression))
            raise ValueError("cannot be forgotten")

        def cannot_be_read(_session: Session, _ids: object, _now: object) -> None:
            raise AssertionError("is not reached")

        nowhere = sa.table("no_such_table", sa.column("id"), sa.column("since"))
        broken = (
            Heeded("broken", "never", DAY, select(nowhere.c.id, nowhere.c.since), cannot_be_read),
            Heeded("failing", "arrived", DAY, select(SignUp.id, SignUp.arrived_at.label("since")), fail),
        )
        clocks = (*broken, *all_clocks(scene.settings))
        later = scene.now() + 8 * DAY
        hashed = email_hash(scene.keys, OTHER)
        scene.session.add(Suppression(email_hash=hashed, reason="objected", since=scene.now()))
        scene.session.commit()

        assert is_any_over(scene.session, clocks, later)
        assert wipe_next(scene.session, clocks, later)

        # What the failing one did in part is taken back.
        assert count(scene.session, SignUp, Suppression) == [0, 1]


class TestLists:
    def test_export_as_csv_goes_on_behind_it(self, two: Scene) -> None:
        answer = two.staff.get("/v1/consents/export.csv")

        assert [row["email"] for row in csv.DictReader(answer.text.splitlines())] == ["", OTHER]

    def test_export_as_json_lines_goes_on_behind_it(self, two: Scene) -> None:
        answer = two.staff.get("/v1/consents/export.jsonl")

        assert [json.loads(line)["email"] for line in answer.text.splitlines()] == [None, OTHER]

    def test_import_goes_on_behind_it(self, active: Scene) -> None:
        answer = active.staff.post(
            f"/v1/consents/import?text_id={active.text.id}",
            data=f"email\n{active.email}\n{OTHER}\n",
            content_type="text/csv",
        )

        last = json.loads(answer.text.splitlines()[-1])
        assert (last["totals"]["unchanged"], last["totals"]["imported"]) == (1, 1)


class TestLinksAskedFor:
    def test_unreadable_one_waits_and_the_others_are_mailed(self, two: Scene) -> None:
        two.later(DAY)
        for email in (two.email, OTHER):
            assert two.client.post("/data", data={"email": email}).status_code == 200

        two.work()

        assert count(two.session, DataRequest) == [1]
        assert [mail["To"] for mail in two.mails()][-1] == OTHER

    def test_unreadable_one_is_mailed_when_a_key_opens_it(self, active: Scene) -> None:
        active.client.post("/data", data={"email": active.email})
        active.work()
        active.session.execute(sa.update(Subscriber).values(email=active.email))
        active.later(HOUR)

        active.work()

        assert count(active.session, DataRequest) == [0]
        assert len(active.mails()) == 2

    def test_unreadable_one_is_given_up_after_seven_days(self, active: Scene) -> None:
        active.client.post("/data", data={"email": active.email})
        for _ in range(8):
            active.work()
            active.later(DAY)

        assert count(active.session, DataRequest) == [0]
        assert len(active.mails()) == 1
