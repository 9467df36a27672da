"""The pages of a reader's own data: a GET changes nothing, and every press is answered alike."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from pollsvc.consent.links import DATA_WITHIN, Links
from pollsvc.consent.models import Consent, Subscriber, Suppression
from pollsvc.consent.service import email_hash
from pollsvc.corrections.models import Correction
from pollsvc.outbox.models import OutboxMessage
from pollsvc.privacy.models import DataRequest
from pollsvc.staff.models import AuditEntry
from tests.embeds.pages import _read, faults_of, form_of, has_form
from tests.privacy.scene import Scene, correct, count, subscribe

FORGED = "/data/AAAA.BBBB"


def link(scene: Scene, *, age: timedelta = timedelta(), email: str | None = None) -> str:
    links = Links("", "", scene.keys)
    return links.data(email_hash(scene.keys, email or scene.email), datetime.now(UTC) - age)


def old(scene: Scene) -> str:
    return link(scene, age=DATA_WITHIN + timedelta(minutes=1))


def press(scene: Scene, path: str) -> TestResponse:
    answer = scene.client.post(path)
    assert answer.status_code == 200
    return answer


class TestLink:
    def test_of_a_mail_offers_to_show_and_to_erase(self, scene: Scene) -> None:
        subscribe(scene)
        (path,) = set(scene.links("data"))

        page = scene.client.get(path)

        assert page.status_code == 200
        assert [(form.method, form.action) for form in _read(page.text).forms] == [
            ("post", f"{path}/copy"),
            ("post", f"{path}/erase"),
        ]
        assert all(form.fields == {} and form.buttons == 1 for form in _read(page.text).forms)
        assert faults_of(page.text) == []
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["Cache-Control"] == "private, no-store"

    def test_shows_nothing_personal_and_changes_nothing(self, planted: Scene) -> None:
        before = count(planted.session, Consent, Correction, DataRequest, AuditEntry)

        for method in ("GET", "HEAD"):
            page = planted.client.open(link(planted), method=method)
            assert [word for word in planted.words.values() if word in page.text] == []

        assert count(planted.session, Consent, Correction, DataRequest, AuditEntry) == before

    @pytest.mark.parametrize("kind", ["expired", "forged"])
    def test_that_is_of_no_use_offers_a_new_one(self, scene: Scene, kind: str) -> None:
        path = old(scene) if kind == "expired" else FORGED

        form = form_of(scene.client.get(path).text)

        assert (form.action, form.fields, form.buttons) == (f"{path}/link", {}, 1)

    def test_works_to_its_last_day(self, scene: Scene) -> None:
        path = link(scene, age=DATA_WITHIN - timedelta(minutes=1))

        assert "Erase everything" in scene.client.get(path).text

    def test_of_another_purpose_is_none(self, scene: Scene) -> None:
        stolen = scene.keys.sign("voter", bytes(38))

        assert "too old" in scene.client.get(f"/data/{stolen}").text


class TestCopy:
    def test_is_a_file_with_everything(self, planted: Scene) -> None:
        answer = press(planted, f"{link(planted)}/copy")

        assert answer.mimetype == "application/json"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="my-data.json"'
        assert answer.headers["Cache-Control"] == "private, no-store"
        kept = json.loads(answer.data)
        assert kept["email"] == planted.email
        assert [each["state"] for each in kept["consents"]] == ["active"]
        assert planted.words["correction message"] in kept["corrections"][0]["message"]

    @pytest.mark.parametrize("kind", ["expired", "forged"])
    def test_is_not_given_for_a_link_of_no_use(self, planted: Scene, kind: str) -> None:
        answer = press(planted, f"{old(planted) if kind == 'expired' else FORGED}/copy")

        assert answer.mimetype == "text/html"
        assert "too old" in answer.text

    def test_is_given_again_after_an_erasure(self, planted: Scene) -> None:
        path = link(planted)
        press(planted, f"{path}/erase/now")

        kept = json.loads(press(planted, f"{path}/copy").data)

        assert (kept["email"], kept["consents"], kept["corrections"]) == (None, [], [])
        assert kept["suppression"]["reason"] == "erased"


class TestErase:
    def test_is_asked_once_more_first(self, planted: Scene) -> None:
        path = link(planted)

        page = press(planted, f"{path}/erase")

        form = form_of(page.text)
        assert (form.action, form.buttons) == (f"{path}/erase/now", 1)
        # What goes if nothing else is chosen.
        assert form.fields == {"comments": ["remove_text"]}
        assert faults_of(page.text) == []
        assert count(planted.session, Subscriber, Suppression) == [1, 0]

    def test_forgets_everything(self, planted: Scene) -> None:
        press(planted, f"{link(planted)}/erase/now")
        planted.work()
        planted.rewrite_tables()

        assert planted.found() == {}
        entry = planted.session.scalars(select(AuditEntry).where(AuditEntry.action == "person.erased")).one()
        assert entry.actor == "reader"

    def test_answers_alike_whatever_the_link_was(self, planted: Scene) -> None:
        paths = [
            old(planted),
            FORGED,
            link(planted),
            link(planted),
            link(planted, email="nobody@reader.example"),
        ]

        asked = {press(planted, f"{path}/erase").text.replace(path, "") for path in paths}
        done = {press(planted, f"{path}/erase/now").text for path in paths}

        assert (len(asked), len(done)) == (1, 1)
        assert not has_form(done.pop())

    @pytest.mark.parametrize("kind", ["expired", "forged"])
    def test_changes_nothing_by_a_link_of_no_use(self, planted: Scene, kind: str) -> None:
        press(planted, f"{old(planted) if kind == 'expired' else FORGED}/erase/now")

        assert count(planted.session, Subscriber, Suppression) == [1, 0]

    def test_leaves_the_votes(self, planted: Scene) -> None:
        results = planted.results()

        press(planted, f"{link(planted)}/erase/now")

        assert planted.results() == results


class TestNewLink:
    def test_goes_to_the_address_of_the_old_one(self, scene: Scene) -> None:
        correct(scene)

        press(scene, f"{old(scene)}/link")
        scene.work()

        (mail,) = scene.mails()
        assert mail["To"] == scene.email
        (path,) = set(scene.links("data"))
        assert "Show what is kept" in scene.client.get(path).text

    def test_is_answered_alike_whatever_the_link_was(self, planted: Scene) -> None:
        paths = [old(planted), link(planted), FORGED, link(planted, email="nobody@reader.example")]

        assert len({press(planted, f"{path}/link").text for path in paths}) == 1


class TestForm:
    def test_asks_for_an_address(self, scene: Scene) -> None:
        page = scene.client.get("/data")

        form = form_of(page.text)
        assert (form.action, form.method, form.fields) == ("/data", "post", {"email": [""]})
        assert faults_of(page.text) == []

    def test_only_writes_a_row_and_answers_every_address_alike(self, planted: Scene) -> None:
        waiting = count(planted.session, DataRequest)[0]

        pages = {
            planted.client.post("/data", data={"email": email}).text
            for email in (planted.email, "nobody@reader.example")
        }

        assert len(pages) == 1
        assert count(planted.session, DataRequest)[0] == waiting + 2

    @pytest.mark.parametrize("email", ["", "ada", "ada@", "a\r\nBcc: all@reader.example", "x" * 400])
    def test_says_what_is_wrong_with_an_address(self, scene: Scene, email: str) -> None:
        answer = scene.client.post("/data", data={"email": email})

        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text
        assert count(scene.session, DataRequest) == [0]

    def test_leads_to_a_page_that_shows_what_is_kept(self, scene: Scene) -> None:
        correct(scene)
        scene.client.post("/data", data={"email": scene.email})
        scene.work()
        (path,) = set(scene.links("data"))

        kept = json.loads(press(scene, f"{path}/copy").data)

        assert [each["email"] for each in kept["corrections"]] == [scene.email]
        assert count(scene.session, OutboxMessage, DataRequest) == [1, 0]
