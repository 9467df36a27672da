"""The same story without JavaScript: plain pages, one button each."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.chromium import Watcher
from tests.journeys.conftest import Published
from tests.journeys.discussion import Discussion
from tests.journeys.test_reader_accessibility import PHONE, findings

BODY = "The bell has a *crack*.\nI saw it."


def press(page: Page, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()


def comment(page: Page, text: str) -> Locator:
    return page.locator(".pollsvc-says").filter(has_text=text)


class TestStory:
    @pytest.mark.allows_console("status of 422")
    def test_from_the_first_word_to_the_reason(self, article: Published, watcher: Watcher) -> None:
        below, start = Discussion(article), article.comments_url
        page = watcher.page(java_script_enabled=False, viewport=PHONE)
        other = watcher.page(java_script_enabled=False)
        # axe is a script: it looks at the same page, with the answer to a form too, by its text.
        looking = watcher.page(viewport=PHONE)

        def look(at: Page) -> list[str]:
            html = at.content()
            looking.route(at.url, lambda route: route.fulfill(body=html, content_type="text/html"))
            looking.goto(at.url)
            looking.unroute_all()
            return findings(looking)

        page.goto(start)
        press(page, "Send comment")
        expect(page.locator("#pollsvc-comment-email-error")).to_have_text("Enter your email address.")
        assert look(page) == []
        page.get_by_label("Comment").fill(BODY)
        page.get_by_label("Name").fill("Ada Reader")
        page.get_by_label("Email").fill("ada@reader.example")
        press(page, "Send comment")
        expect(page.get_by_role("status")).to_contain_text("Your comment is waiting")
        expect(comment(page, "crack")).to_contain_text("Waiting")
        assert look(page) == []
        other.goto(start)
        expect(other.get_by_text("Nobody has commented yet.")).to_be_visible()

        first = below.held(BODY)
        below.decide(first, "approve")
        other.reload()
        expect(other.get_by_role("heading", name="1 comment")).to_be_visible()
        comment(other, "crack").get_by_role("link", name="Reply").click()
        assert look(other) == []
        other.get_by_label("Reply").fill("It always had.")
        other.get_by_label("Name").fill("Ben")
        other.get_by_label("Email").fill("ben@reader.example")
        press(other, "Send reply")
        expect(other.get_by_role("status")).to_contain_text("Your comment is waiting")
        below.decide(below.held("It always had."), "approve")
        page.goto(start)
        page.get_by_role("link", name="1 reply").click()
        expect(comment(page, "It always had.")).to_be_visible()

        comment(page, "crack").get_by_role("link", name="Edit").click()
        assert look(page) == []
        page.get_by_label("Your comment").fill("The bell has two cracks.")
        press(page, "Save")
        expect(page.get_by_role("status")).to_contain_text("Your comment was changed, and is waiting")
        other.goto(start)
        expect(comment(other, "This comment is being looked at again.")).to_be_visible()
        below.decide(first, "approve")

        other.reload()
        comment(other, "two cracks").get_by_role("link", name="Report").click()
        press(other, "Send report")
        expect(other.get_by_text("Choose a reason.")).to_be_visible()
        assert look(other) == []
        other.get_by_label("Insult or abuse").check()
        press(other, "Send report")
        expect(other.get_by_role("status")).to_contain_text("Your report has arrived")
        assert first in below.reports()
        below.decide(first, "reject", reason_code="abuse")

        page.goto(start)
        expect(comment(page, "two cracks")).to_contain_text("Not shown: The newsroom found it abusive.")
        comment(page, "two cracks").get_by_role("link", name="Take back").click()
        press(page, "Take it back")
        expect(page.get_by_role("status")).to_contain_text("Your comment is taken back.")
        expect(comment(page, "two cracks")).to_have_count(0)
