"""What a site says of its consent texts and of its login, which nobody gets to read again."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.logins import read_login_key
from pollsvc.articles.models import Site
from pollsvc.staff.models import AuditEntry
from tests.consent.logins import PRIVATE, SECRET, WEAK, public_pem
from tests.consent.stored import rows_of
from tests.factories import ORIGIN
from tests.unreadable import make_unreadable

SITE = {"name": "The Harbour Gazette", "origins": [ORIGIN]}


def make(client: FlaskClient, **changes: Any) -> Any:
    return client.post("/v1/sites", json=SITE | changes)


def details(session: Session) -> list[dict[str, Any]]:
    session.commit()
    entries = select(AuditEntry.detail).where(AuditEntry.object_type == "site").order_by(AuditEntry.id)
    return list(session.scalars(entries))


class TestLocaleAndMode:
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_they_are_english_and_explicit_where_nothing_is_said(self, staff_client: FlaskClient) -> None:
        made = make(staff_client).get_json()

        assert (made["locale"], made["consent_mode"], made["has_login_key"]) == ("en", "explicit", False)

    def test_they_are_kept_changed_and_audited(self, staff_client: FlaskClient, session: Session) -> None:
        made = make(staff_client, locale="pt-BR", consent_mode="notice_only").get_json()
        path = f"/v1/sites/{made['id']}"

        edited = staff_client.patch(path, json={"locale": "de", "consent_mode": "explicit"}).get_json()

        assert (made["locale"], made["consent_mode"]) == ("pt-BR", "notice_only")
        assert (edited["locale"], edited["consent_mode"]) == ("de", "explicit")
        assert staff_client.get(path).get_json() == edited
        after = details(session)[-1]["after"]
        assert (after["locale"], after["consent_mode"]) == ("de", "explicit")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("locale", "EN"),
            ("locale", "english"),
            ("locale", "de_DE"),
            ("locale", None),
            ("locale", "de\n"),
            ("consent_mode", "implied"),
            ("consent_mode", None),
            ("login_key", "short"),
            ("login_key", "x" * 31),
            ("login_key", "x" * 4_001),
            ("login_key", 7),
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_what_is_none_is_refused_by_its_name(
        self, staff_client: FlaskClient, name: str, value: object
    ) -> None:
        refused = make(staff_client, **{name: value})

        assert refused.status_code == 422
        assert {error["field"] for error in refused.get_json()["errors"]} == {name}


class TestLoginKey:
    def test_it_is_never_answered_and_never_audited(
        self, staff_client: FlaskClient, session: Session
    ) -> None:
        made = make(staff_client, login_key=SECRET)
        path = f"/v1/sites/{made.get_json()['id']}"
        other = staff_client.patch(path, json={"login_key": SECRET[::-1]})
        same = staff_client.patch(path, json={"login_key": SECRET[::-1]})
        gone = staff_client.patch(path, json={"login_key": None})

        answers = [made, other, same, gone, staff_client.get(path), staff_client.get("/v1/sites")]
        found = [answer.get_json()["has_login_key"] for answer in (made, other, gone)]
        told = details(session)
        assert found == [True, True, False]
        assert not any(key in answer.text for answer in answers for key in (SECRET, SECRET[::-1]))
        assert len(told) == 3
        assert [entry["is_login_key_changed"] for entry in told[1:]] == [True, True]
        assert (told[2]["before"]["has_login_key"], told[2]["after"]["has_login_key"]) == (True, False)
        assert SECRET not in str(told)

    def test_the_database_sees_it_encrypted_only(self, staff_client: FlaskClient, session: Session) -> None:
        make(staff_client, login_key=SECRET)

        session.commit()
        assert session.scalars(select(Site)).one().login_key == SECRET
        assert not any(SECRET.encode() in value for row in rows_of(session, "site") for value in row)

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_accounts_need_it(self, staff_client: FlaskClient, session: Session) -> None:
        refused = make(staff_client, consent_mode="soft_opt_in")
        made = make(staff_client, consent_mode="soft_opt_in", login_key=SECRET).get_json()
        path = f"/v1/sites/{made['id']}"
        kept = staff_client.patch(path, json={"login_key": None})
        both = staff_client.patch(path, json={"login_key": None, "consent_mode": "explicit"})

        assert [answer.status_code for answer in (refused, kept, both)] == [422, 422, 200]
        assert refused.get_json()["errors"][0]["field"] == "consent_mode"
        assert kept.get_json()["errors"][0]["field"] == "consent_mode"

    @pytest.mark.parametrize("algorithm", list(PRIVATE))
    def test_a_public_key_names_its_algorithm(self, algorithm: str) -> None:
        assert read_login_key(public_pem(PRIVATE[algorithm]))[0] == algorithm

    def test_a_secret_is_for_hs256(self) -> None:
        assert read_login_key(SECRET) == ("HS256", SECRET.encode())

    @pytest.mark.parametrize("name", list(WEAK))
    def test_a_weak_or_unusual_key_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="Must be an RSA key"):
            read_login_key(public_pem(WEAK[name]))

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----", "the private one stays"),
            ("-----BEGIN RSA PRIVATE KEY-----", "the private one stays"),
            ("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----", "public key in PEM"),
            ("-----BEGIN CERTIFICATE-----\nMC4=\n-----END CERTIFICATE-----", "public key in PEM"),
            ("ü" * 15, "at least 32 bytes"),
        ],
    )
    def test_what_is_no_public_key_is_refused(self, text: str, told: str) -> None:
        with pytest.raises(ValueError, match=told):
            read_login_key(text)


class TestWhatNoKeyOpens:
    """A site's desk_email or login_key reads as None then, and is there all the same."""

    @pytest.mark.parametrize("name", ["desk_email", "login_key"])
    def test_can_be_taken_away(self, staff_client: FlaskClient, session: Session, name: str) -> None:
        made = make(staff_client, desk_email="desk@news.example", login_key=SECRET).get_json()
        make_unreadable(session, "site", name)

        answer = staff_client.patch(f"/v1/sites/{made['id']}", json={name: None})

        assert answer.status_code == 200
        assert details(session)[-1][f"is_{name}_changed"]
        assert session.scalars(select(getattr(Site, name).is_(None))).one()

    @pytest.mark.parametrize("name", ["desk_email", "login_key"])
    def test_stays_where_it_is_left_out(self, staff_client: FlaskClient, session: Session, name: str) -> None:
        made = make(staff_client, desk_email="desk@news.example", login_key=SECRET).get_json()
        make_unreadable(session, "site", name)

        staff_client.patch(f"/v1/sites/{made['id']}", json={"name": "The Ferry Post"})

        assert not details(session)[-1][f"is_{name}_changed"]
        assert session.scalars(select(getattr(Site, name).is_not(None))).one()

    def test_a_site_of_accounts_can_be_edited_but_not_left_without_a_login(
        self, staff_client: FlaskClient, session: Session
    ) -> None:
        made = make(staff_client, consent_mode="soft_opt_in", login_key=SECRET).get_json()
        make_unreadable(session, "site", "login_key")
        path = f"/v1/sites/{made['id']}"

        edited = staff_client.patch(path, json={"name": "The Ferry Post"})
        left = staff_client.patch(path, json={"login_key": None})

        assert [edited.status_code, left.status_code] == [200, 422]
