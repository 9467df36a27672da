"""What docs/webhooks.md shows to receivers works on what is really sent."""

import base64
import json
import shutil
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pollsvc.outbox.delivery import MOST_ATTEMPTS
from pollsvc.outbox.hook_schemas import EVENT_TYPES
from pollsvc.outbox.hooks import new_secret
from pollsvc.outbox.models import OutboxEvent, WebhookEndpoint
from pollsvc.outbox.service import EVENT_KINDS
from pollsvc.outbox.webhooks import Parcel, pack
from tests.documented import blocks

PAGE = Path(__file__).parent.parent.parent / "docs" / "webhooks.md"
OLD, NEW, OTHER = new_secret(), new_secret(), new_secret()


def parcel(age: timedelta = timedelta(0)) -> Parcel:
    """A request as it is sent while a secret is changed."""
    now = datetime.now(UTC)
    endpoint = WebhookEndpoint(
        url="https://hooks.example/", secret=NEW, previous_secret=OLD, previous_until=now + timedelta(hours=1)
    )
    data = '{"question":"Gr\u00fc\u00dfe?"}'
    event = OutboxEvent(key=uuid.uuid4(), kind="poll.closed", data=data, occurred_at=now)
    return pack(endpoint, event, now - age)


def in_python(secret: str, sent: Parcel) -> Any:
    (code,) = blocks("Verify in Python", "python", PAGE)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["receive"](secret, sent.body.encode(), sent.headers)


def in_javascript(secret: str, sent: Parcel) -> Any:
    (code,) = blocks("Verify in JavaScript", "javascript", PAGE)
    body = base64.b64encode(sent.body.encode()).decode()
    call = f"receive({json.dumps(secret)}, Buffer.from({json.dumps(body)}, 'base64'), {json.dumps(sent.headers)})"
    script = f"{code}\nconsole.log(JSON.stringify({call}));"
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


LANGUAGES = [
    in_python,
    pytest.param(
        in_javascript,
        marks=[] if shutil.which("node") else pytest.mark.skip("no Node here"),
    ),
]


@pytest.mark.parametrize("receive", LANGUAGES)
class TestVerification:
    @pytest.mark.parametrize("secret", [OLD, NEW], ids=["former secret", "new secret"])
    def test_takes_what_was_sent(self, receive: Any, secret: str) -> None:
        told = receive(secret, parcel())

        assert (told["type"], told["data"]) == ("poll.closed", {"question": "Gr\u00fc\u00dfe?"})

    def test_refuses_another_secret(self, receive: Any) -> None:
        assert receive(OTHER, parcel()) is None

    def test_refuses_another_body(self, receive: Any) -> None:
        sent = parcel()

        assert receive(NEW, Parcel(sent.url, sent.body.replace("closed", "edited"), sent.headers)) is None

    def test_refuses_what_is_old(self, receive: Any) -> None:
        assert receive(NEW, parcel(timedelta(minutes=6))) is None

    @pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_refuses_what_is_not_signed(self, receive: Any, missing: str) -> None:
        sent = parcel()
        del sent.headers[missing]

        assert receive(NEW, sent) is None


class TestEvents:
    def test_each_kind_is_described(self) -> None:
        text = PAGE.read_text()

        assert [kind for kind in EVENT_KINDS if f"`{kind}`" not in text] == []

    def test_each_can_be_asked_for_by_itself_by_its_object_and_with_all(self) -> None:
        assert set(EVENT_KINDS) < set(EVENT_TYPES)
        assert set(EVENT_TYPES) - set(EVENT_KINDS) == {
            "*",
            "comment.*",
            "consent.*",
            "correction.*",
            "poll.*",
        }


class TestRetries:
    def test_are_as_many_as_described(self) -> None:
        assert f"After {MOST_ATTEMPTS} attempts" in PAGE.read_text()
