"""A comment by the element, from its first word to why it is not shown, in a real browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.chromium import Watcher
from tests.consent.logins import account_token
from tests.journeys.conftest import Published
from tests.journeys.discussion import ELEMENT, Discussion
from tests.journeys.host_page import POLICY
from tests.journeys.test_reader_accessibility import PHONE, findings

BODY = "The bell has a *crack*.\nI saw it."
STRICT = (
    f"{POLICY}; require-trusted-types-for 'script'; trusted-types; style-src 'none'; script-src-attr 'none'"
)
# Every tag and entity that a comment may hold, and what it may not.
EVERYTHING = (
    "a **b** *c* `d<i>` & <script>alert(1)</script> \"q\" 'r' \xa0.\nhttps://x.example/?a=1&b=2\n\n> e\n\n- f\n    1. g\n\n"
    "```\n<h1>&amp;</h1>\n```\n\n[h](https://x.example/%22) [i](javascript:alert(1)) [j](/k)"
)


@pytest.fixture
def page(watcher: Watcher) -> Page:
    """The writer's phone."""
    return fresh(watcher.page(viewport=PHONE, reduced_motion="reduce"))


@pytest.fixture
def below(article: Published) -> Discussion:
    """The comments of an article on a page as strict as there may be."""
    discussion = Discussion(article)
    discussion.paste(policy=STRICT)
    return discussion


def fresh(page: Page) -> Page:
    """Have a browser keep nothing (routing sees to that): a thread may be two seconds old, and a story is quicker."""
    page.route("**/v1/comments**", lambda route: route.continue_())
    return page


def press(where: Locator, button: str) -> None:
    where.get_by_role("button", name=button, exact=True).click()


def fill(form: Locator, label: str, body: str, **fields: str) -> None:
    form.get_by_label(label, exact=True).fill(body)
    for name, text in fields.items():
        form.get_by_label(name).fill(text)


def comment(element: Locator, text: str) -> Locator:
    """Give what one comment says itself, without what hangs below it."""
    return element.locator(".says").filter(has_text=text)


class TestStory:
    # The reader's own page is on another site than the service, so that cookies play no part.
    def test_from_the_first_word_to_the_reason(self, page: Page, below: Discussion, watcher: Watcher) -> None:
        other = fresh(watcher.page(viewport=PHONE))
        mine = below.opened(page)

        # Nothing is sent before everything is there.
        press(mine, "Send comment")
        expect(mine.locator("#new-body-error")).to_have_text("Write something first.")
        expect(mine.get_by_label("Comment")).to_be_focused()
        assert findings(page) == []

        # Written, it waits, and nobody else sees it.
        fill(mine, "Comment", BODY, Name="Ada Reader", Email="ada@reader.example")
        press(mine, "Send comment")
        expect(comment(mine, "crack")).to_contain_text("Waiting: The newsroom reads it before it is shown.")
        expect(comment(mine, "crack")).to_be_focused()
        expect(mine.get_by_label("Comment")).to_have_value("")
        expect(below.opened(other).get_by_text("Nobody has commented yet.")).to_be_visible()
        expect(comment(below.opened(page), "Waiting")).to_contain_text("The bell has a crack.")
        expect(mine.get_by_label("Name")).to_have_value("Ada Reader")
        expect(mine.get_by_label("Email")).to_have_value("")

        # Approved, everybody reads it.
        first = below.held(BODY)
        below.decide(first, "approve")
        theirs = below.opened(other)
        expect(theirs.get_by_role("heading")).to_have_text("1 comment")
        expect(comment(below.opened(page), "crack")).not_to_contain_text("Waiting")

        # Answered, likewise.
        press(comment(theirs, "crack"), "Reply")
        expect(theirs.get_by_label("Reply")).to_be_focused()
        reply = comment(theirs, "crack").locator("form")
        fill(reply, "Reply", "It always had.", Name="Ben", Email="ben@reader.example")
        press(reply, "Send reply")
        expect(comment(theirs, "It always had.")).to_contain_text("Waiting")
        below.decide(below.held("It always had."), "approve")
        mine = below.opened(page)
        press(mine, "Show 1 reply")
        expect(comment(mine, "It always had.")).to_be_focused()

        # Edited, it is held again.
        press(comment(mine, "crack"), "Edit")
        press(comment(mine, "crack"), "Take back")
        expect(comment(mine, "crack")).to_contain_text("That cannot be undone.")
        assert findings(page) == []
        press(comment(mine, "crack"), "Cancel")
        press(comment(mine, "crack"), "Edit")
        fill(mine, "Your comment", "The bell has two cracks.")
        press(mine, "Save")
        expect(comment(mine, "two cracks")).to_contain_text("Waiting")
        expect(mine.get_by_role("status").filter(has_text="Your comment was changed.")).to_be_visible()
        theirs = below.opened(other)
        expect(comment(theirs, "This comment is being looked at again.")).to_be_visible()
        below.decide(first, "approve")

        # Reported, it reaches the desk; rejected, its writer learns why.
        theirs = below.opened(other)
        press(comment(theirs, "two cracks"), "Report")
        press(theirs, "Send report")
        expect(theirs.get_by_text("Choose a reason.")).to_be_visible()
        assert findings(other) == []
        theirs.get_by_label("Insult or abuse").check()
        press(theirs, "Send report")
        expect(comment(theirs, "Your report has arrived")).to_be_visible()
        assert first in below.reports()
        below.decide(first, "reject", reason_code="abuse")
        mine = below.opened(page)
        expect(comment(mine, "two cracks")).to_contain_text("Not shown: The newsroom found it abusive.")
        expect(comment(mine, "two cracks").get_by_role("button", name="Edit")).to_have_count(0)
        assert findings(page) == []

        # Taken back, it is nobody's any more.
        press(comment(mine, "two cracks"), "Take back")
        press(mine, "Take it back")
        expect(comment(mine, "You took this comment back.")).to_be_focused()
        expect(comment(below.opened(page), "two cracks")).to_have_count(0)


class TestElement:
    def test_builds_what_the_service_cleaned_and_nothing_else(self, page: Page, below: Discussion) -> None:
        comment_id = below.write("</bdi><b>Eve</b>", EVERYTHING)
        html = below.article.newsroom.call("GET", f"/v1/comments/{comment_id}")["items"][0]["html"]

        element = below.opened(page)

        expect(element.locator(".by bdi")).to_have_text("</bdi><b>Eve</b>")
        built = element.locator(".text").evaluate("text => text.innerHTML")
        assert built.replace(' target="_blank"', "") == html

    def test_shows_a_long_thread_in_each_order_by_pages(self, page: Page, below: Discussion) -> None:
        first = below.write("First", "The first of all.")
        for number in range(21):
            below.write(f"Reader {number}", f"It rang {number} times.")
        below.write("Second", "It was.", parent=first)
        element = below.opened(page)
        tops = element.locator(".thread > li")
        expect(tops).to_have_count(20)

        press(element, "Show more")
        expect(tops).to_have_count(22)
        expect(comment(element, "It rang 0 times.")).to_be_focused()
        press(element, "Most replied")
        expect(tops.first).to_contain_text("The first of all.")
        press(element, "Newest")
        expect(tops.first).to_contain_text("It rang 20 times.")
        press(element, "Oldest")
        expect(tops.first).to_contain_text("The first of all.")
        expect(element.get_by_role("button", name="Oldest")).to_have_attribute("aria-pressed", "true")

    @pytest.mark.parametrize("form", ["#pollsvc-comment-{}", "?pollsvc_comment={}"])
    def test_follows_a_link_to_one_comment(self, page: Page, below: Discussion, form: str) -> None:
        first = below.write("First", "The first of all.")
        below.write("Other", "Something else.")
        reply = below.write("Second", "It was.", parent=first)

        element = below.opened(page, form.format(reply))

        expect(comment(element, "It was.")).to_be_focused()
        expect(element.locator(".linked")).to_have_count(1)
        expect(element.get_by_text("Something else.")).to_have_count(0)
        assert findings(page) == []
        press(element, "Show the whole discussion")
        expect(element.get_by_role("heading")).to_be_focused()
        expect(element.get_by_text("Something else.")).to_be_visible()
        # And each comment links to itself.
        element.get_by_role("link").first.click()
        expect(element.locator(".linked")).to_have_count(1)

    @pytest.mark.allows_console("status of 404")
    def test_shows_the_whole_where_a_link_leads_nowhere(
        self, page: Page, below: Discussion, publish: Callable[..., Published]
    ) -> None:
        below.write("First", "The first of all.")
        elsewhere = Discussion(publish()).write("Else", "Of another paper.")
        for comment_id in (elsewhere, "0198f2b0-0000-7000-8000-000000000000"):
            element = below.opened(page, f"?pollsvc_comment={comment_id}")

            expect(element.get_by_role("status").filter(has_text="is not here")).to_be_visible()
            expect(element.get_by_text("The first of all.")).to_be_visible()

    @pytest.mark.parametrize(
        ("mode", "sentence"),
        [("closed", "are closed."), ("premoderated", "are read before they are shown.")],
    )
    def test_says_how_the_article_takes_comments(
        self, page: Page, below: Discussion, mode: str, sentence: str
    ) -> None:
        below.write("First", "The first of all.")
        below.set_mode(mode)

        element = below.opened(page)

        expect(element.locator(".hint").first).to_contain_text(sentence)
        taking = 1 if mode == "premoderated" else 0
        expect(element.get_by_role("button", name="Send comment")).to_have_count(taking)
        expect(element.get_by_role("button", name="Reply")).to_have_count(taking)

    def test_is_not_there_where_comments_are_off(self, page: Page, below: Discussion) -> None:
        below.write("First", "The first of all.")
        below.set_mode("off")
        below.paste(ELEMENT.replace("></pollsvc", "><form><button>Plain</button></form></pollsvc"))
        page.goto(below.article.url)

        expect(page.locator("pollsvc-comments")).to_be_hidden()

    @pytest.mark.allows_console("status of (401|503)")
    def test_tries_again_when_it_is_asked_to_and_takes_a_new_identity_once(
        self, page: Page, below: Discussion
    ) -> None:
        below.write("First", "The first of all.")
        turned_away: list[str] = []

        def turn_away(route: Route) -> None:
            turned_away.append(route.request.url)
            headers = {
                "Retry-After": "1",
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Expose-Headers": "*",
            }
            route.fulfill(status=503, headers=headers, json={"title": "Busy"})

        page.route(re.compile(r"/v1/comments\?"), turn_away)
        element = below.opened(page)
        expect(element.get_by_role("status").filter(has_text="Please try again in 1 second.")).to_be_visible()
        page.unroute(re.compile(r"/v1/comments\?"))
        press(element, "Try again")
        expect(element.get_by_text("The first of all.")).to_be_visible()
        assert len(turned_away) == 1

        page.evaluate("localStorage['pollsvc:voter'] = JSON.stringify({token: 'forged', half: 9e15})")
        page.reload()
        fill(element, "Comment", "Hello.", Name="Ada", Email="ada@reader.example")
        press(element, "Send comment")
        expect(comment(element, "Hello.")).to_contain_text("Waiting")

    def test_knows_a_reader_by_the_account_that_the_page_has_a_token_of(
        self, page: Page, below: Discussion
    ) -> None:
        below.let_accounts_in()
        below.paste(
            ELEMENT.replace("-comments>", f'-comments account-token="{account_token(name="Ada")}">', 1)
        )
        element = below.opened(page)
        expect(element.get_by_label("Comment")).to_be_visible()
        expect(element.get_by_label("Email")).to_have_count(0)

        fill(element, "Comment", "As myself.")
        press(element, "Send comment")
        press(comment(element, "As myself."), "Edit")
        fill(element, "Your comment", "As ever.")
        press(element, "Save")
        expect(comment(element, "As ever.")).to_contain_text("Ada")

        assert page.evaluate("localStorage['pollsvc:voter']") is None
        expect(comment(below.opened(page), "As ever.")).to_contain_text("Waiting")

    def test_keeps_what_was_begun_in_the_plain_form(self, page: Page, below: Discussion) -> None:
        begun = '<form><textarea name="body">Begun</textarea><input name="name" value="Ada"></form>'
        below.paste(ELEMENT.replace("></pollsvc", f">{begun}</pollsvc"))

        element = below.opened(page)

        expect(element.get_by_label("Comment")).to_have_value("Begun")
        expect(element.get_by_label("Name")).to_have_value("Ada")
