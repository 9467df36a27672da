"""axe, fingertips, small screens and the keyboard: the pages behind mails' links, and the box in each of its states."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.chromium import Watcher
from tests.journeys.conftest import Article
from tests.journeys.mailbox import Mailbox
from tests.journeys.steps import EMAIL, TAKEN_BACK, Reader
from tests.journeys.test_reader_accessibility import findings

#: WCAG 2.2, 2.5.8.
SMALLEST = 24


def small_targets(page: Page) -> Iterator[str]:
    """Give what can be pressed and is smaller than a fingertip needs."""
    for control in page.locator("button, a, input:not([type=hidden])").all():
        box = control.bounding_box()
        if control.is_visible() and box and min(box["width"], box["height"]) < SMALLEST:
            yield f"{control.inner_text()} {box}"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestAccess:
    @pytest.mark.parametrize("path", ["/consent/", "/unsubscribe/"])
    def test_to_the_pages_behind_a_mail_s_links(self, demo: Article, watcher: Watcher, path: str) -> None:
        page = watcher.page(viewport={"width": 320, "height": 640}, reduced_motion="reduce")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(demo.service + path + "a" * 43)

        for _ in range(3 if path == "/unsubscribe/" else 2):
            assert findings(page) == []
            assert list(small_targets(page)) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
            if (button := page.get_by_role("button")).count():
                button.click()
                expect(page.get_by_role("status")).to_contain_text("If this link was valid")

        assert [url for url in asked if not url.startswith(demo.service)] == []

    def test_to_the_button_is_without_scrolling_on_a_phone_and_with_the_keyboard(
        self, demo: Article, watcher: Watcher
    ) -> None:
        page = watcher.page(viewport={"width": 360, "height": 560})
        page.goto(f"{demo.service}/unsubscribe/{'a' * 43}")

        box = page.get_by_role("button").bounding_box()
        page.keyboard.press("Tab")

        assert box
        assert box["y"] + box["height"] < 560
        assert box["height"] >= 44
        expect(page.get_by_role("button", name="Leave")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("you have left")

    def test_to_each_state_of_the_box(self, demo: Article, watcher: Watcher) -> None:
        page = watcher.page(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
        reader = Reader(page, demo, Mailbox(demo.mails, EMAIL))
        poll = reader.signs_up()
        assert findings(page) == []

        poll.get_by_role("checkbox").uncheck()
        expect(poll.get_by_role("status")).to_contain_text(TAKEN_BACK)
        assert findings(page) == []

        poll.get_by_role("checkbox").check()
        poll.get_by_label("Email").fill("nobody")
        poll.get_by_role("button", name="Sign up").click()
        expect(poll.locator("#email-error")).not_to_be_empty()
        assert findings(page) == []

    def test_to_the_plain_page_s_button(self, demo: Article, watcher: Watcher) -> None:
        page = watcher.page(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
        page.goto(demo.poll_url)
        page.get_by_role("radio", name="Yes").check()
        page.get_by_role("checkbox").check()
        page.get_by_label("Email").fill(EMAIL)
        page.get_by_role("button", name="Vote").click()
        expect(page.get_by_role("button", name="Take the sign-up back")).to_be_visible()

        assert findings(page) == []
        assert list(small_targets(page)) == []
