"""The same job without JavaScript: plain forms, in the article and on our own pages."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.chromium import Watcher
from tests.journeys.conftest import Article, Published


@pytest.fixture
def page(watcher: Watcher) -> Page:
    """A browser with scripts switched off."""
    return watcher.page(java_script_enabled=False)


def press(page: Page, button: str) -> None:
    page.get_by_role("button", name=button).click()


def lines_of(page: Page) -> list[str]:
    return page.locator("li p").all_inner_texts()


class TestReader:
    # A form that is answered with 409 or 422 is an error to the console, and the right answer to a browser.
    @pytest.mark.allows_console("status of (409|422)")
    def test_votes_opts_in_sends_a_correction_and_the_newsroom_reads_it(
        self, page: Page, demo: Article
    ) -> None:
        page.goto(demo.url)
        page.get_by_role("radio", name="Yes").check()
        page.get_by_role("checkbox").check()
        page.locator("pollsvc-poll").get_by_label("Email").fill("nobody")
        press(page, "Vote")

        # The vote stands, and the address is asked for once more, beside its field.
        expect(page.get_by_role("status")).to_have_text(
            "Your vote was counted. Your email address was not taken."
        )
        assert lines_of(page) == ["Yes: 99% (635 Votes)", "No: 1% (8 Votes)"]
        expect(page.locator("li").first.get_by_text("Your answer")).to_be_visible()
        expect(page.get_by_label("Email")).to_have_value("nobody")
        expect(page.locator("#retry-email-error")).to_contain_text("This is not an email address")
        page.get_by_label("Email").fill("ada@reader.example")
        press(page, "Try again")
        expect(page.get_by_role("status")).to_have_text(
            "Your vote was counted. Your email address has arrived: thank you."
        )

        # A reload posts nothing again, and a later visit remembers.
        page.reload()
        assert lines_of(page) == ["Yes: 99% (635 Votes)", "No: 1% (8 Votes)"]
        page.goto(demo.poll_url)
        expect(page.get_by_role("status")).to_have_text("Your vote was counted.")

        # The article's HTML is the same for all; the second vote is refused kindly.
        page.get_by_role("link", name="Back to the article").click()
        expect(page).to_have_url(demo.url)
        page.get_by_role("radio", name="No").check()
        press(page, "Vote")
        expect(page.get_by_role("status")).to_have_text("You have already voted. Your first vote stands.")
        assert lines_of(page) == ["Yes: 99% (635 Votes)", "No: 1% (8 Votes)"]

        page.goto(demo.url)
        form = page.locator("pollsvc-correction")
        form.get_by_label("Name").fill("Ada Reader")
        form.get_by_label("Message").fill("The bell is of brass.\nNot of bronze.")
        press(page, "Send correction")
        expect(page.locator("#pollsvc-correction-email-error")).to_have_text("Enter your email address.")
        expect(page.get_by_label("Message")).to_have_value("The bell is of brass.\nNot of bronze.")
        page.get_by_label("Email").fill("ada@reader.example")
        press(page, "Send correction")
        expect(page.get_by_role("heading")).to_have_text("Correction received")
        reference = page.locator("b").inner_text()
        page.reload()
        expect(page.locator("b")).to_have_text(reference)
        page.get_by_role("link", name="our editorial standards")

        (correction,) = demo.newsroom.call("GET", "/v1/corrections")["items"]
        assert correction["reference"] == reference
        assert correction["message"] == "The bell is of brass.\nNot of bronze."
        assert demo.voters() == 643
        (consent,) = demo.newsroom.call("POST", "/v1/consents/search", {"email": "ada@reader.example"})[
            "items"
        ]
        assert consent["article_url"] == demo.url


class TestReaderOfAPublisher:
    """The article stands on another origin, under a policy that allows the service's forms and scripts only."""

    def test_votes_from_the_article_at_once(self, page: Page, article: Published) -> None:
        page.goto(article.url)
        page.get_by_role("radio", name="No").check()
        press(page, "Vote")

        expect(page.get_by_role("status")).to_have_text("Your vote was counted.")
        expect(page).to_have_url(re.compile(re.escape(f"{article.poll_url}?receipt=")))
        expect(page.get_by_role("link", name="Back to the article")).to_have_attribute("href", article.url)
        assert article.voters() == 1

    def test_reads_the_results_before_the_vote(self, page: Page, article: Published) -> None:
        page.goto(article.poll_url)
        expect(page.locator("li").first).to_be_hidden()

        page.get_by_text("See results").click()

        expect(page.locator("li").first).to_be_visible()
        assert lines_of(page) == ["Yes: 0% (0 Votes)", "No: 0% (0 Votes)"]

    def test_is_asked_once_more_where_the_article_hides_its_origin(
        self, page: Page, article: Published
    ) -> None:
        head = '<meta name="referrer" content="no-referrer">'
        article.host.paste(article.embed_html, service=article.service, head=head)
        page.goto(article.url)
        page.get_by_role("radio", name="No").check()
        page.get_by_role("checkbox").check()
        page.get_by_label("Email").fill("ada@reader.example")
        press(page, "Vote")

        expect(page.get_by_role("status")).to_contain_text("Nothing has been sent yet.")
        expect(page.get_by_role("radio", name="No")).to_be_checked()
        expect(page.get_by_role("checkbox")).to_be_checked()
        expect(page.get_by_label("Email")).to_have_value("ada@reader.example")
        assert article.voters() == 0
        press(page, "Vote")

        expect(page.get_by_role("status")).to_have_text(
            "Your vote was counted. Your email address has arrived: thank you."
        )
        assert article.voters() == 1

    def test_is_asked_once_more_by_a_page_of_nobody_s(self, page: Page, article: Published) -> None:
        """A page that posts the form in a reader's name achieves nothing."""
        other = article.host.origin.replace("localhost", "elsewhere.localhost")
        page.goto(f"{other}/harbour")
        page.get_by_role("radio", name="No").check()
        press(page, "Vote")

        expect(page.get_by_role("status")).to_contain_text("Nothing has been sent yet.")
        assert article.voters() == 0

    def test_who_presses_twice_without_cookies_has_one_ballot(self, page: Page, article: Published) -> None:
        page.goto(article.poll_url)
        page.context.clear_cookies()
        page.get_by_role("radio", name="Yes").check()

        page.get_by_role("button", name="Vote").dblclick()

        expect(page.get_by_role("status")).to_have_text("Your vote was counted.")
        assert article.voters() == 1

    def test_who_goes_back_finds_the_result(self, page: Page, article: Published) -> None:
        page.goto(article.poll_url)
        page.get_by_role("radio", name="Yes").check()
        press(page, "Vote")
        expect(page.get_by_role("status")).to_have_text("Your vote was counted.")

        page.go_back()

        expect(page.get_by_role("status")).to_have_text("Your vote was counted.")
        expect(page.get_by_role("button")).to_have_count(0)

    @pytest.mark.allows_console("status of 410")
    def test_learns_that_a_poll_was_withdrawn(self, page: Page, article: Published) -> None:
        page.goto(article.url)
        article.newsroom.call("POST", f"/v1/polls/{article.poll_id}/withdraw", {})
        page.get_by_role("radio", name="Yes").check()
        press(page, "Vote")

        expect(page.get_by_role("main")).to_contain_text("This poll was withdrawn by the newsroom.")
