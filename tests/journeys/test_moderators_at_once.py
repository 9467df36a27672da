"""Moderators and readers at once, through two processes: one of them wins each version, and no item has two in hand."""

import http.client
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.comments.counts import find_differences
from pollsvc.comments.models import Comment, CommentChange
from pollsvc.comments.status import Standing
from pollsvc.keys import Keys
from pollsvc.staff.models import AuditEntry, StaffToken
from tests.factories import ARTICLE_URL, make_comment, make_site, make_token, make_voter_token
from tests.live_server import LiveServer

MODERATORS = 6
ACTIONS = ("approve", "reject", "spam", "remove")


@dataclass(frozen=True)
class Answer:
    """What somebody was told."""

    status: int
    body: dict[str, Any]


def post(address: str, path: str, body: object, token: str = "") -> Answer:
    """Send JSON over a connection of its own; one that is dropped is an error, not an answer."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)) as connection:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        return Answer(response.status, json.loads(response.read()))


@pytest.fixture
def address(live_server: Callable[..., LiveServer]) -> str:
    """A server of two processes; each connection leads to one of them."""
    settings = {
        "POLLSVC_LIMIT_COMMENTS": "1000000/minute",
        "POLLSVC_LIMIT_COMMENTS_PER_VOTER": "1000000/minute",
        "POLLSVC_LOG_LEVEL": "warning",
    }
    return live_server("--workers", "2", **settings).address


@pytest.fixture
def tokens(session: Session) -> list[str]:
    """The tokens of six moderators, and a site."""
    make_site(session)
    made = [
        make_token(session, name=f"desk {number}", scopes=["comments:moderate"])
        for number in range(MODERATORS)
    ]
    session.commit()
    return made


@pytest.mark.slow
class TestModeratorsAtOnce:
    def test_one_wins_each_version_no_item_is_in_two_hands_and_counts_stay_right(
        self, address: str, tokens: list[str], session: Session, keys: Keys
    ) -> None:
        held = self.make_held(session, keys, 50)

        with ThreadPoolExecutor(MODERATORS) as pool:
            claims = list(pool.map(self.claim_all, tokens, [address] * MODERATORS))
            decided = list(pool.map(lambda at: self.decide_all(held, tokens, address, at), range(MODERATORS)))

        claimed = [each for batch in claims for each in batch]
        assert sorted(claimed) == sorted(str(each.id) for each in held)
        actors = {f"token:{each}": each for each in session.scalars(select(StaffToken.id))}
        for place, comment in enumerate(held):
            answers = [told[place] for told in decided]
            [won] = [each for each in answers if each.status == 200]
            lost = [each for each in answers if each.status != 200]
            assert [(each.status, each.body["code"]) for each in lost] == [(409, "stale_version")] * len(lost)
            [current] = [json.loads(each) for each in {json.dumps(each.body["current"]) for each in lost}]
            assert (current["status"], current["version"]) == (won.body["status"], 2)
            assert current["decided_by"] in actors
            assert won.body["id"] == str(comment.id)
        logged = Counter(session.scalars(select(CommentChange.comment_id).where(CommentChange.version == 2)))
        assert logged == Counter(each.id for each in held)
        audited = Counter(
            session.scalars(select(AuditEntry.object_id).where(AuditEntry.object_type == "comment"))
        )
        assert audited == Counter(str(each.id) for each in held)
        assert find_differences(session) == []
        session.commit()
        self.reply_below_what_is_rejected(address, tokens, session, keys)

    def reply_below_what_is_rejected(
        self, address: str, tokens: list[str], session: Session, keys: Keys
    ) -> None:
        """The second act, on the servers of the first: to start others takes longer than both."""
        tops = [make_comment(session, keys=keys, number=number, is_approved=True) for number in range(60, 68)]
        replies = [make_comment(session, keys=keys, number=20, parent=top) for top in tops]
        session.commit()
        voters = [make_voter_token(keys, number=number) for number in range(30, 34)]
        acts = [
            act
            for place, (top, reply) in enumerate(zip(tops, replies, strict=True))
            for act in (
                self.decision(top, "reject", tokens[0], address),
                self.decision(reply, "approve", tokens[1], address),
                *[self.answer(top, voters[place % 4], address) for _ in range(2)],
            )
        ]

        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(lambda act: act(), acts))

        assert {each.status for each in told} <= {200, 202, 409}
        assert {each.body["code"] for each in told if each.status == 409} <= {"parent_closed"}
        for place in range(len(tops)):
            rejected, approved, *answers = told[4 * place : 4 * place + 4]
            assert (rejected.body["status"], approved.body["status"]) == ("rejected", "published")
            assert len({each.body["id"] for each in answers if each.status == 202}) <= 1
        assert find_differences(session) == []
        below = dict(session.execute(select(Comment.id, Comment.replies)).all())
        assert [below[each.id] for each in tops] == [1] * len(tops)

    @staticmethod
    def make_held(session: Session, keys: Keys, many: int) -> list[Standing]:
        made = [make_comment(session, keys=keys, number=number) for number in range(1, 1 + many)]
        session.commit()
        return made

    @staticmethod
    def claim_all(token: str, address: str) -> list[str]:
        claimed: list[str] = []
        while items := post(address, "/v1/moderation/claims", {"limit": 4}, token).body["items"]:
            claimed += [each["id"] for each in items]
        return claimed

    @staticmethod
    def decide_all(held: list[Standing], tokens: list[str], address: str, at: int) -> list[Answer]:
        body = {"action": ACTIONS[at % 4], "version": 1}
        path = "/v1/moderation/comments/{}/decisions"
        return [post(address, path.format(each.id), body, tokens[at]) for each in held]

    @staticmethod
    def decision(seen: Standing, action: str, token: str, address: str) -> Callable[[], Answer]:
        body = {"action": action, "version": seen.version}
        return lambda: post(address, f"/v1/moderation/comments/{seen.id}/decisions", body, token)

    @staticmethod
    def answer(parent: Standing, voter: str, address: str) -> Callable[[], Answer]:
        form = {"name": "Ada", "email": "ada@reader.example", "body": "Indeed.", "voter_token": voter}
        body = {"article_url": ARTICLE_URL, "parent_id": str(parent.id), **form}
        return lambda: post(address, "/v1/comments", body)
