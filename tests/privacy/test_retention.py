"""Each kind of data has a clock; the worker heeds it, and a command tells how the clocks stand."""

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.consent.links import Links
from pollsvc.consent.models import (
    Confirmation,
    Consent,
    ConsentEvent,
    Kind,
    MailPermit,
    Reason,
    SignUp,
    State,
    Subscriber,
    Suppression,
)
from pollsvc.consent.service import email_hash
from pollsvc.consent.states import note
from pollsvc.corrections.models import Correction
from pollsvc.errands.errand import HOUR as SELDOM
from pollsvc.outbox.delivery import LEASE
from pollsvc.outbox.models import OutboxAttempt, OutboxEvent, OutboxMessage, WebhookEndpoint
from pollsvc.privacy.clocks import is_any_over, read_clocks, wipe_next
from pollsvc.privacy.models import DataRequest, Leftover
from pollsvc.privacy.requests import Answer, answer_request, ask_for_link
from pollsvc.privacy.retention import all_clocks, consent_clocks
from tests.cli.commands import Run
from tests.consent.happenings import happen
from tests.consent.waiting import is_waited_for
from tests.privacy.scene import Scene, correct, count, hand_over, subscribe
from tests.processes import wait_until

DAY = timedelta(days=1)


def wipe_all(session: Session, settings: Settings, now: datetime) -> int:
    """Wipe as the worker does, step by step; give the number of steps."""
    clocks, steps = all_clocks(settings), 0
    while is_any_over(session, clocks, now):
        assert wipe_next(session, clocks, now)
        session.commit()
        steps += 1
    session.commit()
    return steps


def wipe_after(scene: Scene, days: float) -> int:
    scene.session.commit()
    return wipe_all(scene.session, scene.settings, scene.now() + timedelta(days=days))


def leave(scene: Scene) -> None:
    (path,) = set(scene.links("unsubscribe"))
    assert scene.client.post(path).status_code == 200


class TestMails:
    def test_are_forgotten_with_their_attempts_after_their_time(self, scene: Scene) -> None:
        subscribe(scene)
        days = scene.settings.retain_mail_days

        wipe_after(scene, days - 1)
        assert count(scene.session, OutboxMessage, OutboxAttempt) == [1, 1]

        wipe_after(scene, days + 1)
        assert count(scene.session, OutboxMessage, OutboxAttempt) == [0, 0]

    def test_that_were_given_up_are_forgotten_too(self, scene: Scene) -> None:
        subscribe(scene)
        scene.session.execute(update(OutboxMessage).values(state="dead", payload="for ada@reader.example"))

        wipe_after(scene, scene.settings.retain_mail_days + 1)

        assert count(scene.session, OutboxMessage) == [0]

    def test_that_wait_stay(self, scene: Scene) -> None:
        scene.sign_up(scene.text)
        scene.worker.transports = {}
        scene.later(timedelta(seconds=1))
        scene.work()

        wipe_after(scene, 5)

        assert count(scene.session, OutboxMessage) == [1]

    def test_their_files_go_with_them(self, scene: Scene) -> None:
        subscribe(scene)
        assert len(scene.mails()) == 1

        scene.later(scene.settings.retain_mail_days * DAY + DAY)
        scene.work()
        scene.later(SELDOM)
        scene.work()

        assert scene.mails() == []

    def test_half_written_files_go_after_an_hour(self, scene: Scene) -> None:
        subscribe(scene)
        folder = scene.settings.instance / "mail"
        half = folder / ".abc.part"
        half.write_text("To: ada@reader.example")
        scene.later(SELDOM - timedelta(minutes=1))
        scene.work()
        assert half.exists()

        os.utime(half, (0, 0))
        scene.later(SELDOM)
        scene.work()

        assert [path.suffix for path in folder.iterdir()] == [".eml"]


class TestEvents:
    def test_are_forgotten_once_handed_on(self, scene: Scene) -> None:
        subscribe(scene)
        after = scene.settings.retain_mail_days + 1
        scene.session.execute(update(OutboxEvent).values(is_fanned_out=False))
        wipe_after(scene, after)
        assert count(scene.session, OutboxEvent) == [1]

        scene.session.execute(update(OutboxEvent).values(is_fanned_out=True))
        wipe_after(scene, after)

        assert count(scene.session, OutboxEvent) == [0]

    def test_stay_while_a_delivery_waits(self, scene: Scene) -> None:
        subscribe(scene)
        hand_over(scene)
        scene.session.execute(update(OutboxEvent).values(is_fanned_out=True))

        wipe_after(scene, scene.settings.retain_mail_days + 1)

        assert count(scene.session, OutboxEvent) == [1]


class TestPaused:
    @pytest.fixture
    def waiting(self, scene: Scene) -> WebhookEndpoint:
        """An endpoint that was paused ten days after a message for it was written."""
        subscribe(scene)
        hand_over(scene)
        endpoint = scene.session.scalars(select(WebhookEndpoint)).one()
        endpoint.state, endpoint.paused_at = "paused", scene.now() + 10 * DAY
        scene.session.commit()
        return endpoint

    def state(self, scene: Scene) -> tuple[str, str | None]:
        scene.session.expire_all()
        message = scene.session.scalars(select(OutboxMessage).where(OutboxMessage.channel == "webhook")).one()
        return message.state, message.reason

    @pytest.mark.usefixtures("waiting")
    def test_endpoint_s_messages_are_given_up_after_their_time_and_then_forgotten(self, scene: Scene) -> None:
        days = scene.settings.retain_mail_days
        wipe_after(scene, 10 + days - 1)
        assert self.state(scene) == ("pending", None)

        wipe_after(scene, 10 + days + 1)
        assert self.state(scene) == ("dead", "Its endpoint was paused for longer than it is kept.")

        wipe_after(scene, 10 + 2 * days + 2)
        assert count(scene.session, OutboxMessage, OutboxEvent) == [0, 0]

    @pytest.mark.usefixtures("waiting")
    def test_endpoint_s_message_is_given_up_though_a_worker_died_with_it(self, scene: Scene) -> None:
        webhook = update(OutboxMessage).where(OutboxMessage.channel == "webhook")
        lease = {"lease": uuid.uuid4(), "leased_until": scene.now() + LEASE}
        scene.session.execute(webhook.values(lease))
        scene.session.commit()
        clock = all_clocks(scene.settings)[0]

        (reading,) = read_clocks(scene.session, [clock], scene.now() + 11 * DAY)
        assert reading.rows == 1
        wipe_after(scene, 10 + scene.settings.retain_mail_days + 1)
        assert self.state(scene) == ("dead", "Its endpoint was paused for longer than it is kept.")

    def test_what_is_being_delivered_to_a_paused_endpoint_is_not_given_up(
        self, scene: Scene, waiting: WebhookEndpoint
    ) -> None:
        later = scene.now() + (10 + scene.settings.retain_mail_days + 1) * DAY
        webhook = update(OutboxMessage).where(OutboxMessage.channel == "webhook")
        scene.session.execute(webhook.values(lease=uuid.uuid4(), leased_until=later + LEASE))
        scene.session.commit()
        clock = all_clocks(scene.settings)[0]

        assert clock.due(scene.session, later) == []
        clock.wipe(scene.session, scene.session.scalars(select(OutboxMessage.id)).all(), later)
        assert self.state(scene) == ("pending", None)

    def test_endpoint_that_is_resumed_at_this_moment_is_sent_what_waited(
        self, scene: Scene, waiting: WebhookEndpoint
    ) -> None:
        now = scene.now() + (10 + scene.settings.retain_mail_days + 1) * DAY
        clock = all_clocks(scene.settings)[0]
        ids = clock.due(scene.session, now)
        assert len(ids) == 1

        waiting.state = "active"
        scene.session.commit()
        clock.wipe(scene.session, ids, now)

        assert self.state(scene) == ("pending", None)


class TestShortLived:
    @pytest.mark.parametrize(
        ("model", "stays", "goes"),
        [
            pytest.param(Confirmation, 7.9, 8.1, id="links that confirm"),
            pytest.param(MailPermit, 0.9, 1.1, id="counts of mails"),
            pytest.param(SignUp, 6.9, 7.1, id="sign-ups that nothing became of"),
            pytest.param(DataRequest, 6.9, 7.1, id="links asked for"),
        ],
    )
    def test_goes_after_its_time(
        self,
        planted: Scene,
        model: type[Confirmation | MailPermit | SignUp | DataRequest],
        stays: float,
        goes: float,
    ) -> None:
        [before] = count(planted.session, model)
        wipe_after(planted, stays)
        assert count(planted.session, model) == [before] != [0]

        wipe_after(planted, goes)
        assert count(planted.session, model) == [0]


class TestCorrections:
    def test_lose_what_a_person_wrote_after_their_time(self, scene: Scene) -> None:
        correct(scene)
        days = scene.settings.retain_correction_days
        wipe_after(scene, days - 1)
        assert scene.session.scalars(select(Correction.erased_at)).all() == [None]

        wipe_after(scene, days + 1)

        scene.session.expire_all()
        stub = scene.session.scalars(select(Correction)).one()
        assert (stub.name, stub.email, stub.message, stub.quote, stub.note) == ("", "", "", None, None)
        assert (stub.status, bool(stub.erased_at)) == ("handled", True)
        assert count(scene.session, Leftover) == [1]

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_lose_the_link_that_is_mailed_to_the_writer_at_this_moment(
        self, scene: Scene, engine: sa.Engine
    ) -> None:
        correct(scene)
        ask_for_link(scene.session, email_hash(scene.keys, scene.email), scene.now())
        scene.session.commit()
        (request,) = scene.session.scalars(select(DataRequest.id)).all()
        links = Links("http://localhost", "localhost", scene.keys)
        late = scene.now() + timedelta(days=scene.settings.retain_correction_days + 1)
        scene.session.rollback()

        def forget() -> None:
            with Session(engine) as session:
                (clock,) = (each for each in all_clocks(scene.settings) if "corrections" in each.kind)
                clock.wipe(session, clock.due(session, late), late)
                session.commit()

        with ThreadPoolExecutor(1) as pool:
            assert answer_request(scene.session, links, request, scene.now()) == Answer.MAILED
            forgotten = pool.submit(forget)
            wait_until(lambda: forgotten.done() or is_waited_for(engine))
            scene.session.commit()
            forgotten.result()

        assert count(scene.session, OutboxMessage) == [0]

    def test_stay_while_nobody_decided(self, scene: Scene) -> None:
        correct(scene)
        scene.session.execute(update(Correction).values(status="new"))

        wipe_after(scene, 5_000)

        assert scene.session.scalars(select(Correction.erased_at)).all() == [None]


class TestAddresses:
    def test_of_who_left_are_forgotten_after_the_time_for_proof(self, scene: Scene) -> None:
        subscribe(scene)
        leave(scene)
        days = scene.settings.retain_proof_days
        wipe_after(scene, days - 1)
        assert count(scene.session, Subscriber, Consent) == [1, 1]

        wipe_after(scene, days + 1)

        assert count(scene.session, Subscriber, Consent) == [0, 0]
        last = scene.session.scalars(select(ConsentEvent).order_by(ConsentEvent.id.desc())).first()
        assert last
        assert (last.kind, last.method, last.actor) == (Kind.ERASED, "retention", "system")
        assert scene.session.scalars(select(Suppression.reason)).all() == [Reason.WITHDRAWN]

    def test_of_who_left_are_suppressed_also_where_a_stranger_signed_them_up_since(
        self, scene: Scene
    ) -> None:
        subscribe(scene)
        leave(scene)
        scene.later(timedelta(hours=1))
        scene.sign_up(scene.text)
        scene.work()
        scene.later(8 * DAY)
        scene.work()
        assert (
            scene.session.scalars(select(ConsentEvent.kind).order_by(ConsentEvent.id)).all()[-1]
            == Kind.EXPIRED
        )

        # Counted from when they left.
        wipe_after(scene, scene.settings.retain_proof_days - 8)

        assert count(scene.session, Subscriber, Consent) == [0, 0]
        assert scene.session.scalars(select(Suppression.reason)).all() == [Reason.WITHDRAWN]

    def test_of_who_never_answered_are_forgotten_without_a_suppression(self, scene: Scene) -> None:
        subscribe(scene)
        consent = scene.session.scalars(select(Consent)).one()
        note(scene.session, consent, Kind.EXPIRED, text=consent.text, method="renewal", now=scene.now())
        assert consent.state == State.EXPIRED

        wipe_after(scene, scene.settings.retain_proof_days + 1)

        assert count(scene.session, Subscriber, Suppression) == [0, 0]

    def test_stay_while_another_consent_stands(self, scene: Scene) -> None:
        subscribe(scene)
        leave(scene)
        scene.later(timedelta(hours=1))
        scene.sign_up(scene.alerts)
        scene.work()

        wipe_after(scene, scene.settings.retain_proof_days + 1)

        assert count(scene.session, Subscriber) == [1]

    def test_stay_while_they_sign_up_again(self, scene: Scene) -> None:
        subscribe(scene)
        leave(scene)
        scene.sign_up(scene.text)
        # As if it had arrived just then.
        late = scene.now() + (scene.settings.retain_proof_days + 1) * DAY
        scene.session.execute(update(SignUp).values(available_at=late, arrived_at=late))

        wipe_after(scene, scene.settings.retain_proof_days + 1)

        assert count(scene.session, Subscriber, SignUp) == [1, 1]

    def test_do_not_follow_the_erased(self, planted: Scene) -> None:
        planted.post("/v1/privacy/erasures", {"email": planted.email}, 200, by=planted.staff)

        wipe_after(planted, 5_000)

        assert planted.session.scalars(select(Suppression.reason)).all() == [Reason.ERASED]


class TestWorker:
    def test_heeds_the_clocks_each_hour(self, scene: Scene) -> None:
        scene.work()
        correct(scene)
        scene.session.execute(update(Correction).values(decided_at=scene.now() - 1_000 * DAY))
        scene.work()
        assert scene.session.scalars(select(Correction.erased_at)).all() == [None]

        scene.later(SELDOM)
        scene.work()

        assert scene.session.scalars(select(Correction.erased_at)).all() != [None]

    def test_goes_in_small_steps(self, scene: Scene) -> None:
        now = scene.now()
        hashes = [number.to_bytes(32, "big") for number in range(1_201)]
        scene.session.add_all(
            DataRequest(email_hash=each, requested_at=now, available_at=now) for each in hashes
        )

        assert wipe_after(scene, 8) == 3

    def test_that_was_slow_forgets_nobody_twice(self, scene: Scene) -> None:
        """Another worker was faster, or the person came back, between the look and the step."""
        subscribe(scene)
        leave(scene)
        now = scene.now() + (scene.settings.retain_proof_days + 1) * DAY
        clock = all_clocks(scene.settings)[-1]
        scene.session.commit()
        ids = clock.due(scene.session, now)
        assert len(ids) == 1
        scene.session.commit()
        scene.sign_up(scene.text)
        clock.wipe(scene.session, ids, now)
        assert count(scene.session, Subscriber, SignUp) == [1, 1]

        scene.session.execute(delete(SignUp))
        clock.wipe(scene.session, ids, now)
        clock.wipe(scene.session, ids, now)

        assert count(scene.session, Subscriber, Leftover) == [0, 1]


class TestSteps:
    def test_end_where_nothing_is_over(self, planted: Scene) -> None:
        assert not wipe_next(planted.session, all_clocks(planted.settings), planted.now())


class TestReading:
    def test_counts_what_runs_and_what_is_over(self, planted: Scene) -> None:
        days = planted.settings.retain_correction_days

        by_kind = {
            each.clock.kind: each
            for each in read_clocks(
                planted.session, all_clocks(planted.settings), planted.now() + timedelta(days=days, hours=1)
            )
        }

        reading = by_kind["what readers wrote in corrections"]
        assert (reading.rows, reading.overdue, reading.delay > timedelta(minutes=59)) == (1, 1, True)
        assert by_kind["addresses beside their proof"].rows == 0

    def test_tells_of_consents_that_nobody_confirmed_or_renewed(self, scene: Scene) -> None:
        subscribe(scene)
        scene.session.execute(update(Consent).values(valid_until=scene.now() + DAY))
        scene.session.commit()
        scene.later(timedelta(hours=1))
        scene.sign_up(scene.alerts)
        scene.work()

        def overdue(days: float) -> list[tuple[int, int]]:
            readings = read_clocks(scene.session, consent_clocks(), scene.now() + days * DAY)
            return [(each.rows, each.overdue) for each in readings]

        assert overdue(0.9) == [(1, 0), (1, 0)]
        assert overdue(1.1) == [(1, 0), (1, 1)]
        assert overdue(7.1) == [(1, 1), (1, 1)]
        # A link that was mailed later keeps it.
        scene.session.execute(update(Confirmation).values(created_at=scene.now() + DAY))
        assert overdue(7.1) == [(1, 0), (1, 1)]

    def test_of_nothing_has_no_oldest(self, scene: Scene) -> None:
        readings = read_clocks(scene.session, all_clocks(scene.settings), scene.now())

        assert {(each.rows, each.oldest, each.overdue, each.delay) for each in readings} == {
            (0, None, 0, timedelta())
        }

    def test_follows_the_settings(self, scene: Scene) -> None:
        short = replace(
            scene.settings,
            retain_mail_days=1,
            retain_correction_days=2,
            retain_proof_days=3,
            retain_comment_days=4,
        )

        assert {clock.keep for clock in all_clocks(short)} == {DAY, 2 * DAY, 3 * DAY, 4 * DAY, 7 * DAY}


class TestReport:
    def test_shows_every_clock_and_what_became_of_sign_ups(self, planted: Scene, run_on: Run) -> None:
        result = run_on("retention", "report")

        assert result.exit_code == 0, result.output
        for clock in (*all_clocks(planted.settings), *consent_clocks()):
            assert clock.kind in result.stdout
        assert "The Harbour Gazette: 1 asked, 1 confirmed, 0 expired" in result.stdout

    def test_counts_a_sign_up_of_the_first_release_once(self, planted: Scene, run_on: Run) -> None:
        """The worker makes an ordinary one of it, and both events stay."""
        happen(planted.session, planted.text, consent_id=None)
        planted.session.commit()

        result = run_on("retention", "report")

        assert "The Harbour Gazette: 1 asked, 1 confirmed, 0 expired" in result.stdout

    def test_fails_where_nobody_heeds_a_clock(self, scene: Scene, run_on: Run) -> None:
        correct(scene)
        scene.session.execute(update(Correction).values(decided_at=scene.now() - 1_000 * DAY))
        scene.session.commit()

        result = run_on("retention", "report")

        assert result.exit_code == 1
        assert "Overdue by 635 days: what readers wrote in corrections" in result.stderr
