"""What a text asks for decides what it takes: explicit consent, an account's own mail, or no more than a notice."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.consent.addresses import is_disposable
from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, Mode, SignUp
from pollsvc.consent.service import email_hash
from pollsvc.consent.signing_up import Desk, Outcome, due_sign_ups, process_sign_up
from pollsvc.consent.texts import newsletter_text
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxMessage
from pollsvc.setting_values import domains
from tests.conftest import NOW
from tests.consent.logins import PRIVATE, SECRET, account_token, public_pem
from tests.consent.subscribers import links_of
from tests.factories import ACTOR, ARTICLE_URL, ORIGIN, make_consent_text, make_site

NOW_S = int(time.time())
SignUpCall = Callable[..., Any]


@pytest.fixture
def site(session: Session) -> Site:
    return make_site(session, login_key=SECRET)


@pytest.fixture
def text(session: Session, site: Site) -> ConsentText:
    made = make_consent_text(session, site=site, mode=Mode.SOFT_OPT_IN)
    session.commit()
    return made


@pytest.fixture
def sign_up(client: FlaskClient, text: ConsentText) -> SignUpCall:
    """Sign ada up to the text for accounts."""

    def sign_up(**changes: Any) -> Any:
        body = {
            "text_id": str(text.id),
            "email": "ada@reader.example",
            "accepted": True,
            "article_url": ARTICLE_URL,
        }
        return client.post("/v1/consents", json=body | changes)

    return sign_up


def waiting(session: Session) -> int:
    session.commit()
    return session.scalar(select(func.count()).select_from(SignUp)) or 0


def unsigned(**changes: Any) -> str:
    claims = json.loads(base64.urlsafe_b64decode(account_token(**changes).split(".")[1] + "=="))
    parts = [{"alg": "none", "typ": "JWT"}, claims]
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
        + "."
    )


class TestAccounts:
    def test_a_token_of_the_login_makes_the_consent_active_without_a_mail(
        self, sign_up: SignUpCall, session: Session, keys: Keys, site: Site
    ) -> None:
        taken = sign_up(account_token=account_token())
        session.commit()
        [waits] = session.scalars(due_sign_ups(waits_until(session))).all()
        outcome = process_sign_up(session, Desk(links_of(keys)), waits.id, waits.occurred_at)

        events = session.scalars(select(ConsentEvent).order_by(ConsentEvent.id)).all()
        assert (taken.status_code, outcome) == (202, Outcome.ACTIVATED)
        assert session.scalars(select(Consent.state)).one() == "active"
        assert [event.kind for event in events] == ["requested", "confirmed"]
        assert set(events[0].evidence or {}) == {"control", "default_checked", "request_id"}
        assert session.scalars(select(OutboxMessage)).all() == []
        assert "account-17" not in orjson.dumps([event.evidence for event in events]).decode()

    @pytest.mark.parametrize(
        "claims",
        [
            {"email": "ADA@Reader.Example"},
            {"aud": ORIGIN},
            {"aud": ["https://elsewhere.example", ORIGIN]},
            {"exp": NOW_S + 86_000},
            {"exp": NOW_S + 600.5},
            {"nbf": NOW_S - 5, "iat": NOW_S, "name": "Ada"},
            {"sub": "x" * 255},
        ],
        ids=[
            "capitals",
            "origin",
            "origins",
            "a day ahead",
            "half a second",
            "more claims",
            "longest account",
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_good_token_is_taken(self, sign_up: SignUpCall, claims: dict[str, Any]) -> None:
        assert sign_up(account_token=account_token(**claims)).status_code == 202

    @pytest.mark.parametrize("typed", ["ada@bücher.example", "Ada@XN--BCHER-KVA.example"])
    @pytest.mark.parametrize("held", ["ada@BÜCHER.example", "ada@xn--bcher-kva.example"])
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_two_spellings_of_a_domain_are_one_address(
        self, sign_up: SignUpCall, typed: str, held: str
    ) -> None:
        assert sign_up(email=typed, account_token=account_token(email=held)).status_code == 202

    @pytest.mark.parametrize("algorithm", list(PRIVATE))
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_public_key_fixes_the_algorithm(
        self, sign_up: SignUpCall, session: Session, site: Site, algorithm: str
    ) -> None:
        pem = public_pem(PRIVATE[algorithm])
        site.login_key = pem
        session.commit()
        other = next(name for name in PRIVATE if name != algorithm)

        assert sign_up(account_token=account_token(algorithm, PRIVATE[algorithm])).status_code == 202
        assert sign_up(account_token=account_token("HS256", SECRET)).status_code == 422
        assert sign_up(account_token=account_token(other, PRIVATE[other])).status_code == 422
        assert sign_up(account_token=unsigned()).status_code == 422

    @pytest.mark.parametrize(
        "token",
        [
            pytest.param(None, id="none"),
            pytest.param("x.y.z", id="no token"),
            pytest.param("ü", id="no ASCII"),
            pytest.param(account_token()[:-4] + "AAAA", id="another signature"),
            pytest.param(account_token(key="another secret of at least 32 bytes!"), id="another key"),
            pytest.param(account_token("HS512", SECRET * 2), id="another algorithm"),
            pytest.param(unsigned(), id="no signature"),
            pytest.param(account_token(exp=None), id="no exp"),
            pytest.param(account_token(exp=NOW_S - 1), id="expired"),
            pytest.param(account_token(exp=NOW_S + 2 * 86_400), id="valid for two days"),
            pytest.param(account_token(exp=True), id="exp is no number"),
            pytest.param(account_token(exp="soon"), id="exp is a word"),
            pytest.param(account_token(nbf=NOW_S + 3_600), id="not valid yet"),
            pytest.param(account_token(nbf="later"), id="nbf is a word"),
            pytest.param(account_token(sub=None), id="no sub"),
            pytest.param(account_token(sub=""), id="an empty sub"),
            pytest.param(account_token(sub="x" * 256), id="a long sub"),
            pytest.param(account_token(email=None), id="no email"),
            pytest.param(account_token(email="bob@reader.example"), id="another's email"),
            pytest.param(account_token(email=["ada@reader.example"]), id="a list of emails"),
            pytest.param(account_token(aud="https://elsewhere.example"), id="another audience"),
            pytest.param(account_token(aud=[]), id="an empty audience"),
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_bad_token_is_refused_by_its_name_whoever_the_address_is(
        self, sign_up: SignUpCall, session: Session, token: str | None
    ) -> None:
        refused = sign_up(account_token=token)

        assert refused.status_code == 422
        assert [error["field"] for error in refused.get_json()["errors"]] == ["account_token"]
        assert "reader.example" not in refused.text
        assert waiting(session) == 0

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_number_as_sub_is_refused(self, sign_up: SignUpCall) -> None:
        head, _, _ = account_token().split(".")
        claims = {"sub": 17, "email": "ada@reader.example", "exp": NOW_S + 600}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        mac = hmac.new(SECRET.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
        signature = base64.urlsafe_b64encode(mac).decode().rstrip("=")

        refused = sign_up(account_token=f"{head}.{body}.{signature}")

        assert [error["field"] for error in refused.get_json()["errors"]] == ["account_token"]

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_site_that_gave_its_login_up_takes_no_accounts(
        self, sign_up: SignUpCall, session: Session, site: Site
    ) -> None:
        site.login_key = None
        session.commit()

        refused = sign_up(account_token=account_token())

        assert [error["field"] for error in refused.get_json()["errors"]] == ["account_token"]

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_beside_a_text_for_everybody_a_token_says_nothing(
        self, sign_up: SignUpCall, session: Session, site: Site
    ) -> None:
        plain = make_consent_text(session, site=site, mode=Mode.EXPLICIT)
        session.commit()

        assert sign_up(text_id=str(plain.id), account_token="x").status_code == 202
        assert session.scalars(select(SignUp)).one().evidence == {
            "control": "checkbox",
            "default_checked": False,
        }


def waits_until(session: Session) -> Any:
    return session.scalars(select(SignUp.available_at)).one()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestPublishing:
    def test_a_text_for_accounts_needs_a_site_with_a_login(
        self, staff_client: FlaskClient, session: Session
    ) -> None:
        made = make_site(session)
        session.commit()
        body = f"Send me the newsletter of {made.name}. I may unsubscribe at any time."

        refused = staff_client.post(
            "/v1/consent-texts", json={"site_id": str(made.id), "body": body, "mode": "soft_opt_in"}
        )

        [error] = refused.get_json()["errors"]
        assert (refused.status_code, error["field"]) == (422, "mode")
        assert error["detail"].startswith("no_login: ")

    @pytest.mark.parametrize("mode", list(Mode))
    def test_our_own_text_is_of_the_site_s_mode(self, session: Session, mode: Mode) -> None:
        made = make_site(session, login_key=SECRET, consent_mode=mode)

        assert newsletter_text(session, made, actor=ACTOR, now=NOW).mode == mode


class TestNotice:
    def test_a_typed_address_is_mailed_first_and_marked_wherever_it_is_told(
        self, session: Session, sign_up: SignUpCall, staff_client: FlaskClient, site: Site, keys: Keys
    ) -> None:
        notice = make_consent_text(session, site=site, mode=Mode.NOTICE_ONLY)
        session.commit()

        sign_up(text_id=str(notice.id))
        found = staff_client.post("/v1/consents/search", json={"email": "ada@reader.example"}).get_json()
        timeline = staff_client.get(f"/v1/consents/{found['items'][0]['id']}").get_json()

        session.commit()
        for told in (found["items"][0], timeline["consent"]):
            assert (told["state"], told["mode"], told["is_gdpr_consent"]) == ("pending", "notice_only", False)
        assert [message.kind for message in session.scalars(select(OutboxMessage))] == ["confirmation"]


ADDRESSES = [
    ("plain", "ada@reader.example", "ada@reader.example"),
    ("spaces around it", "  ada@reader.example\r\n", "ada@reader.example"),
    ("capitals", "Ada@READER.Example", "Ada@reader.example"),
    ("Unicode domain", "ada@bücher.example", "ada@bücher.example"),
    ("punycode", "ada@xn--bcher-kva.example", "ada@bücher.example"),
    ("full-width", "ada@ｂücher.example", "ada@bücher.example"),
    ("ideographic dot", "ada@bücher。example", "ada@bücher.example"),
    ("decomposed", "ada@bu\u0308cher.example", "ada@bücher.example"),
    ("sharp s", "ada@xn--strae-oqa.example", "ada@straße.example"),
    ("Unicode before the @", "用户@例子.example", "用户@例子.example"),
    ("tagged", "ada+news@reader.example", "ada+news@reader.example"),
    ("a local part of 64", "a" * 64 + "@reader.example", "a" * 64 + "@reader.example"),
    ("no @", "ada.reader.example", None),
    ("two @", "ada@b@reader.example", None),
    ("no domain", "ada@", None),
    ("no dot", "ada@localhost", None),
    ("a local part of 65", "a" * 65 + "@reader.example", None),
    ("255 characters", "ada@" + ".".join(["b" * 49] * 5) + ".example", None),
    ("5,000 letters", "a" * 5_000 + "@reader.example", None),
    ("CR LF", "ada@reader.example\r\nBcc: all@reader.example", None),
    ("LF before the @", "ada\n@reader.example", None),
    ("NUL", "ada\0@reader.example", None),
    ("a comma", "ada@reader.example,bob@reader.example", None),
    ("a name", "Ada <ada@reader.example>", None),
    ("quoted", '"ada lovelace"@reader.example', None),
    ("a number as host", "ada@[127.0.0.1]", None),
    ("turned round", "ada\u202e@reader.example", None),
    ("broken punycode", "ada@xn--a.example", None),
    ("an underscore", "ada@re_ader.example", None),
]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestAddresses:
    @pytest.mark.parametrize(
        ("sent", "kept"), [case[1:] for case in ADDRESSES], ids=[case[0] for case in ADDRESSES]
    )
    def test_one_mailbox_has_one_spelling_and_what_is_none_is_refused(
        self, sign_up: SignUpCall, session: Session, site: Site, sent: str, kept: str | None
    ) -> None:
        plain = make_consent_text(session, site=site, mode=Mode.EXPLICIT)
        session.commit()

        answer = sign_up(text_id=str(plain.id), email=sent)

        session.commit()
        taken = session.scalars(select(SignUp.email)).all()
        assert (answer.status_code, list(taken)) == ((202, [kept]) if kept else (422, []))
        assert kept or [error["field"] for error in answer.get_json()["errors"]] == ["email"]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("ada@bücher.example", "Ada@bücher.example"),
            ("ada@straße.example", "ADA@straße.example"),
        ],
    )
    def test_capitals_make_no_other_person(self, app: Flask, keys: Keys, one: str, other: str) -> None:
        assert email_hash(keys, one) == email_hash(keys, other)
        assert email_hash(keys, "ada@straße.example") != email_hash(keys, "ada@strasse.example")


class TestDisposable:
    @pytest.mark.parametrize(
        ("email", "expected"),
        [
            ("ada@throwaway.example", True),
            ("ada@MX.Throwaway.example", True),
            ("ada@wegwerf-bücher.example", True),
            ("ada@notthrowaway.example", False),
            ("ada@throwaway.example.org", False),
            ("ada@example", False),
        ],
    )
    def test_a_domain_and_its_parts_are_meant_however_they_are_written(
        self, email: str, expected: bool
    ) -> None:
        listed = domains("Throwaway.example., xn--wegwerf-bcher-4ob.example, wegwerf-bücher.example")

        assert is_disposable(email, listed) == expected

    def test_such_an_address_gets_no_mail_and_the_same_answer(
        self, sign_up: SignUpCall, session: Session, site: Site, keys: Keys
    ) -> None:
        plain = make_consent_text(session, site=site, mode=Mode.EXPLICIT)
        session.commit()
        answers = [
            sign_up(text_id=str(plain.id), email=email).get_json()
            for email in ("ada@throwaway.example", "bob@reader.example")
        ]
        session.commit()
        desk = Desk(links_of(keys), frozenset({"throwaway.example"}))
        waits = session.scalars(select(SignUp).order_by(SignUp.id)).all()

        outcomes = [process_sign_up(session, desk, each.id, each.occurred_at) for each in waits]

        assert answers[0] == answers[1]
        assert outcomes == [Outcome.DISPOSABLE, Outcome.MAILED]
        assert len(session.scalars(select(OutboxMessage)).all()) == 1
        assert session.scalars(select(func.count()).select_from(SignUp)).one() == 0
