"""The box of the newsletter beside a poll: it tells how it stands, takes back what it gave, and never stops a vote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect

from tests.chromium import Watcher
from tests.journeys.conftest import Article, Published
from tests.journeys.mailbox import Mailbox
from tests.journeys.steps import ARRIVED, EMAIL, SIGNED_UP, TAKEN_BACK, Reader


@pytest.fixture
def reader(demo: Article, page: Page) -> Reader:
    """A reader with scripts."""
    return Reader(page, demo, Mailbox(demo.mails, EMAIL))


def height_of(poll: Locator) -> float:
    """How much of the page an element takes."""
    box = poll.bounding_box()
    assert box
    return box["height"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestBox:
    def test_keeps_a_key_and_no_address(self, reader: Reader) -> None:
        reader.signs_up()

        stored = dict(reader.page.evaluate("({...localStorage})"))

        (place,) = [name for name in stored if name.startswith("pollsvc:consent:")]
        assert len(stored[place].strip('"')) == 43
        assert EMAIL not in str(stored)
        assert "reader.example" not in str(stored)

    def test_sends_a_key_of_its_own_with_each_sign_up(self, reader: Reader) -> None:
        sent: list[dict[str, Any]] = []

        def note(request: Request) -> None:
            if request.url.endswith("/v1/consents"):
                sent.append(dict(request.post_data_json or {}))

        reader.page.on("request", note)
        poll = reader.signs_up()
        poll.get_by_role("checkbox").uncheck()
        expect(poll.get_by_role("status")).to_contain_text(TAKEN_BACK)
        poll.get_by_role("checkbox").check()
        poll.get_by_label("Email").fill(EMAIL)
        poll.get_by_role("button", name="Sign up").click()
        expect(poll.get_by_role("status")).to_have_text(ARRIVED)

        assert len({body["withdrawal_key"] for body in sent}) == 2
        assert [body["placement"] for body in sent] == ["beside_vote", "after_vote"]
        assert {body["widget"].partition(" ")[0] for body in sent} == {"consent.js"}

    def test_sends_the_account_token_that_the_page_has_when_it_signs_up(self, reader: Reader) -> None:
        poll = reader.demo.opened(reader.page)
        poll.evaluate("element => element.setAttribute('account-token', 'of the login')")

        with reader.page.expect_request("**/v1/consents") as sent:
            reader.ticks_and_votes(poll)

        assert (sent.value.post_data_json or {})["account_token"] == "of the login"

    @pytest.mark.allows_console("ERR_FAILED|status of (429|500)")
    @pytest.mark.parametrize(
        ("fault", "sentence"),
        [
            pytest.param(
                lambda route: route.abort(), "We could not be reached. Please try again.", id="away"
            ),
            pytest.param(
                lambda route: route.fulfill(status=500, json={}),
                "We could not be reached. Please try again.",
                id="broken",
            ),
            pytest.param(
                lambda route: route.fulfill(
                    status=429,
                    json={},
                    headers={
                        "Retry-After": "7",
                        "Access-Control-Allow-Origin": "*",
                        "Access-Control-Expose-Headers": "Retry-After",
                    },
                ),
                "We are very busy. Please try again in 7 seconds.",
                id="busy",
            ),
        ],
    )
    def test_is_restored_where_taking_back_fails(
        self, reader: Reader, fault: Callable[[Route], None], sentence: str
    ) -> None:
        poll = reader.signs_up()
        reader.page.route("**/v1/consents/withdrawals", fault)

        poll.get_by_role("checkbox").click()

        expect(poll.get_by_role("status")).to_have_text(f"You are still signed up. {sentence}")
        expect(poll.get_by_role("checkbox", name=SIGNED_UP)).to_be_checked()
        reader.page.unroute("**/v1/consents/withdrawals")
        poll.get_by_role("checkbox").click()
        expect(poll.get_by_role("status")).to_contain_text(TAKEN_BACK)

    def test_moves_nothing_below_the_poll(self, demo: Article, watcher: Watcher) -> None:
        page = watcher.page(viewport={"width": 390, "height": 844})
        reader = Reader(page, demo, Mailbox(demo.mails, EMAIL))
        poll = demo.opened(page)
        before = height_of(poll)

        reader.signs_up()
        expect(poll.get_by_role("checkbox", name=SIGNED_UP)).to_be_checked()
        assert height_of(poll) == before

        # The plain form, which is as high, stands there until the script has run.
        poll = demo.opened(page)
        expect(poll.get_by_role("checkbox", name=SIGNED_UP)).to_be_checked()
        assert height_of(poll) == before

    def test_is_worked_by_keyboard_alone(self, reader: Reader) -> None:
        poll = reader.signs_up()
        poll.get_by_role("checkbox").focus()

        reader.page.keyboard.press("Space")

        expect(poll.get_by_role("status")).to_contain_text(TAKEN_BACK)
        expect(poll.get_by_role("checkbox")).to_be_focused()
        reader.page.keyboard.press("Space")
        reader.page.keyboard.press("Tab")
        reader.page.keyboard.press("Tab")
        reader.page.keyboard.press("Tab")
        expect(poll.get_by_label("Email")).to_be_focused()

    @pytest.mark.allows_console("ERR_FAILED")
    def test_that_was_given_up_after_a_lost_answer_is_taken_back(self, reader: Reader) -> None:
        """The answer was lost, and the sign-up was not: who unticks then must get no mail."""
        taken: list[str] = []

        def lose(route: Route) -> None:
            route.fetch()
            route.abort()

        reader.page.on(
            "request", lambda request: taken.append(request.url) if "withdrawals" in request.url else None
        )
        reader.page.route("**/v1/consents", lose)
        poll = reader.demo.opened(reader.page)
        poll.get_by_role("radio", name="Yes").check()
        poll.get_by_role("checkbox").check()
        poll.get_by_label("Email").fill(EMAIL)
        poll.get_by_role("button", name="Vote").click()
        expect(poll.get_by_role("status")).to_have_text("Your vote was counted. Your email address was not.")

        with reader.page.expect_response("**/v1/consents/withdrawals"):
            poll.get_by_role("checkbox").uncheck()

        expect(poll.get_by_label("Email")).to_be_hidden()
        items = reader.demo.newsroom.call("POST", "/v1/consents/search", {"email": EMAIL})["items"]
        assert [each["state"] for each in items] in ([], ["withdrawn"])


class TestBoxOfAText:
    def test_is_another_one_at_another_text(self, page: Page, publish: Callable[..., Published]) -> None:
        first, second = publish(), publish()
        poll = first.opened(page)
        poll.get_by_role("radio", name="Yes").check()
        poll.get_by_role("checkbox").check()
        poll.get_by_label("Email").fill(EMAIL)
        poll.get_by_role("button", name="Vote").click()
        expect(poll.get_by_role("status")).to_have_text(ARRIVED)

        poll = second.opened(page)

        expect(poll.get_by_role("checkbox")).not_to_be_checked()

    def test_is_shown_ticked_at_the_next_poll_of_the_same_text_and_signs_nobody_up_again(
        self, page: Page, publish: Callable[..., Published]
    ) -> None:
        article = publish()
        poll = article.opened(page)
        poll.get_by_role("radio", name="Yes").check()
        poll.get_by_role("checkbox").check()
        poll.get_by_label("Email").fill(EMAIL)
        poll.get_by_role("button", name="Vote").click()
        expect(poll.get_by_role("status")).to_have_text(ARRIVED)
        body = {"article_urls": [article.url], "question": "And a horn?", "choices": ["Yes", "No"]}
        article.host.paste(
            article.newsroom.call("POST", "/v1/polls", body)["embed_html"], service=article.service
        )
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))

        poll = article.opened(page)
        expect(poll.get_by_role("checkbox", name=SIGNED_UP)).to_be_checked()
        poll.get_by_role("radio", name="Yes").check()
        poll.get_by_role("button", name="Vote").click()
        expect(poll.get_by_role("status")).to_have_text("Your vote was counted.")

        expect(poll.get_by_role("checkbox", name=SIGNED_UP)).to_be_checked()
        assert not [url for url in asked if url.endswith("/v1/consents")]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestVoteWithoutTheLine:
    """The vote never depends on the newsletter: neither on its file nor on its service."""

    @pytest.mark.allows_console("ERR_FAILED|status of 404")
    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(lambda route: route.abort(), id="away"),
            pytest.param(lambda route: route.fulfill(status=404, body="no"), id="missing"),
            pytest.param(
                lambda route: route.fulfill(content_type="text/javascript", body="throw 0"), id="broken"
            ),
        ],
    )
    def test_counts(self, demo: Article, page: Page, fault: Callable[[Route], None]) -> None:
        page.route("**/embed/consent.js", fault)
        poll = demo.opened(page)
        expect(poll.get_by_role("checkbox")).to_have_count(0)

        poll.get_by_role("radio", name="Yes").check()
        poll.get_by_role("button", name="Vote").click()

        expect(poll.get_by_role("status")).to_have_text("Your vote was counted.")

    def test_does_not_wait_for_it_for_ever(self, demo: Article, page: Page) -> None:
        page.clock.install()
        page.route("**/embed/consent.js", lambda _: None)
        with page.expect_request("**/embed/consent.js"):
            page.goto(demo.url)
        expect(page.get_by_role("button", name="Vote")).to_be_visible()

        page.clock.fast_forward(5_000)

        poll = page.locator("pollsvc-poll")
        poll.locator(".box").wait_for()
        poll.get_by_role("radio", name="Yes").check()
        poll.get_by_role("button", name="Vote").click()
        expect(poll.get_by_role("status")).to_have_text("Your vote was counted.")
