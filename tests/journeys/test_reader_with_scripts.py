"""The main job, in a real browser: a reader votes, opts in and sends a correction; the newsroom reads it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.chromium import Watcher
from tests.journeys.conftest import Article, Published

# Adds up every shift from here on, or since the page was opened; also those that a browser forgives because somebody
# had just clicked. What is already noted comes in a task of its own.
WATCH_SHIFTS = """buffered => {
  window.shifts = 0;
  new PerformanceObserver(list => list.getEntries().forEach(entry => window.shifts += entry.value))
    .observe({type: "layout-shift", buffered});
}"""
SHIFTS = """() => new Promise(done =>
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(window.shifts)))))"""
COUNTED = "Your vote was counted."


def vote(poll: Locator, answer: str) -> None:
    poll.get_by_role("radio", name=answer).check()
    poll.get_by_role("button", name="Vote").click()


def status_of(poll: Locator) -> Locator:
    return poll.get_by_role("status")


def lines_of(poll: Locator) -> list[str]:
    return poll.locator("li p").all_inner_texts()


def refuse(route: Route) -> None:
    route.abort()


def focused(page: Page) -> str:
    """The text of what has the focus, inside the element."""
    return str(page.evaluate("document.activeElement.shadowRoot.activeElement.textContent"))


class TestReader:
    def test_votes_opts_in_sends_a_correction_and_the_newsroom_reads_it(
        self, page: Page, demo: Article
    ) -> None:
        poll = demo.opened(page)

        poll.get_by_role("checkbox").check()
        poll.get_by_label("Email").fill("nobody")
        vote(poll, "Yes")

        # The vote stands, and the address is asked for once more, beside its field.
        expect(status_of(poll)).to_have_text("Your vote was counted. Your email address was not.")
        assert lines_of(poll) == ["Yes: 99% (635 Votes)", "No: 1% (8 Votes)"]
        expect(poll.get_by_label("Email")).to_have_attribute("aria-invalid", "true")
        expect(poll.locator("#email-error")).to_have_text("Enter your full email address.")
        poll.get_by_label("Email").fill("ada@reader.example")
        poll.get_by_role("button", name="Try again").click()
        expect(status_of(poll)).to_have_text(f"{COUNTED} Your email address has arrived: thank you.")

        # A reload remembers.
        poll = demo.opened(page)
        expect(status_of(poll)).to_have_text(COUNTED)
        expect(poll.locator("li").first.get_by_text("Your answer")).to_be_visible()
        assert lines_of(poll) == ["Yes: 99% (635 Votes)", "No: 1% (8 Votes)"]

        form = page.locator("pollsvc-correction")
        form.get_by_label("Name").fill("Ada Reader")
        form.get_by_label("Email").fill("ada@reader.example")
        form.get_by_label("Message").fill("The bell is of brass.\nNot of bronze.")
        form.get_by_role("button", name="Send correction").click()
        expect(form.get_by_role("heading")).to_have_text("Correction received")
        expect(form).to_contain_text("committed to accuracy")
        expect(form.get_by_role("link", name="our editorial standards")).to_have_attribute(
            "href", f"{demo.url}demo/standards"
        )
        assert focused(page) == "Correction received"

        (correction,) = demo.newsroom.call("GET", "/v1/corrections")["items"]
        assert form.get_by_text(correction["reference"]).is_visible()
        assert correction["message"] == "The bell is of brass.\nNot of bronze."
        assert correction["article_url"] == demo.url
        assert demo.voters() == 643
        (consent,) = demo.newsroom.call("POST", "/v1/consents/search", {"email": "ada@reader.example"})[
            "items"
        ]
        assert consent["article_url"] == demo.url

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_sees_nothing_move_from_the_plain_form_to_the_result(self, page: Page, demo: Article) -> None:
        poll = demo.opened(page)
        page.evaluate(WATCH_SHIFTS, True)

        vote(poll, "Yes")
        expect(status_of(poll)).to_have_text(COUNTED)

        assert page.evaluate(SHIFTS) == 0

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    @pytest.mark.parametrize("java_script_enabled", [True, False], ids=["scripts", "no scripts"])
    def test_votes_in_the_demo_by_another_name_of_its_host(
        self, watcher: Watcher, demo: Article, *, java_script_enabled: bool
    ) -> None:
        page = watcher.page(java_script_enabled=java_script_enabled)
        page.goto(demo.url.replace("127.0.0.1", "localhost"))
        if java_script_enabled:
            page.locator("pollsvc-poll .box").wait_for()

        page.get_by_role("radio", name="Yes").check()
        page.get_by_role("button", name="Vote").click()

        expect(page.get_by_role("status").first).to_have_text(COUNTED)
        assert page.locator("li p").all_inner_texts() == ["Yes: 99% (635 Votes)", "No: 1% (8 Votes)"]

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_reads_what_was_promised_before_the_vote_and_after_the_poll_closed(
        self, watcher: Watcher, demo: Article
    ) -> None:
        promised = ["Yes: 99% (634 Votes)", "No: 1% (8 Votes)"]
        poll = demo.opened(watcher.page())
        poll.get_by_role("button", name="See results").click()
        assert lines_of(poll) == promised

        demo.newsroom.call("POST", f"/v1/polls/{demo.poll_id}/close", {})
        # In a fresh profile: a browser may show what it read in the last two seconds.
        poll = demo.opened(watcher.page())

        expect(status_of(poll)).to_have_text("This poll is closed.")
        assert lines_of(poll) == promised


class TestPollElement:
    def test_moves_nothing_on_the_page_and_the_focus_to_the_result(
        self, page: Page, article: Published
    ) -> None:
        poll = article.opened(page)
        place = "document.querySelector('#after').getBoundingClientRect().top"
        before = page.evaluate(place)
        page.evaluate(WATCH_SHIFTS, False)

        vote(poll, "No")
        expect(status_of(poll)).to_have_text(COUNTED)

        # Heights are kept in whole pixels.
        assert page.evaluate(place) == pytest.approx(before, abs=0.5)
        assert page.evaluate(SHIFTS) == 0
        assert focused(page) == "Should the ferry ring?"

    def test_shows_the_results_before_the_vote_and_leads_back_to_it(
        self, page: Page, article: Published
    ) -> None:
        poll = article.opened(page)
        poll.get_by_role("button", name="See results").click()
        assert lines_of(poll) == ["Yes: 0% (0 Votes)", "No: 0% (0 Votes)"]
        assert focused(page) == "Should the ferry ring?"
        poll.get_by_role("button", name="Back to the vote").click()

        vote(poll, "No")

        expect(status_of(poll)).to_have_text(COUNTED)
        assert lines_of(poll) == ["Yes: 0% (0 Votes)", "No: 100% (1 Vote)"]

    @pytest.mark.parametrize("visibility", ["after_vote", "after_close", "never"])
    def test_shows_no_results_before_the_vote_where_they_are_not_for_all(
        self, page: Page, publish: Callable[..., Published], visibility: str
    ) -> None:
        poll = publish(results_visibility=visibility).opened(page)

        expect(poll.get_by_role("button")).to_have_text(["Vote"])

    def test_asks_for_an_answer_beside_the_choices(self, page: Page, article: Published) -> None:
        poll = article.opened(page)

        poll.get_by_role("button", name="Vote").click()

        expect(poll.locator("#choices-error")).to_have_text("Choose an answer first.")
        expect(poll.get_by_role("radio", name="Yes")).to_be_focused()
        assert article.voters() == 0

    @pytest.mark.allows_console("status of 409")
    def test_refuses_a_second_vote_kindly(self, page: Page, article: Published) -> None:
        poll = article.opened(page)
        vote(poll, "Yes")
        expect(status_of(poll)).to_have_text(COUNTED)
        page.evaluate("id => localStorage.removeItem('pollsvc:poll:' + id)", article.poll_id)
        poll = article.opened(page)

        vote(poll, "No")

        expect(status_of(poll)).to_have_text("You have already voted. Your first vote stands.")
        assert lines_of(poll) == ["Yes: 100% (1 Vote)", "No: 0% (0 Votes)"]

    def test_keeps_its_identity_in_the_article_s_storage_and_sets_no_cookie(
        self, page: Page, article: Published
    ) -> None:
        poll = article.opened(page)
        assert page.evaluate("Object.keys(localStorage)") == []

        vote(poll, "Yes")
        expect(status_of(poll)).to_have_text(COUNTED)

        assert sorted(page.evaluate("Object.keys(localStorage)")) == [
            f"pollsvc:poll:{article.poll_id}",
            "pollsvc:voter",
        ]
        assert page.context.cookies() == []

    @pytest.mark.allows_console("status of (409|410)")
    @pytest.mark.parametrize(
        ("action", "sentence"),
        [("close", "This poll is closed."), ("withdraw", "withdrawn")],
    )
    def test_says_what_became_of_the_poll_while_the_page_was_open(
        self, page: Page, article: Published, action: str, sentence: str
    ) -> None:
        poll = article.opened(page)
        article.newsroom.call("POST", f"/v1/polls/{article.poll_id}/{action}", {})

        vote(poll, "Yes")

        expect(status_of(poll)).to_contain_text(sentence)
        assert article.voters() == 0

    @pytest.mark.allows_console("ERR_FAILED")
    def test_keeps_the_answer_when_the_service_is_away(self, page: Page, article: Published) -> None:
        poll = article.opened(page)
        page.route("**/v1/**", refuse)
        vote(poll, "Yes")
        expect(status_of(poll)).to_have_text("We could not be reached. Please try again.")
        expect(poll.get_by_role("radio", name="Yes")).to_be_checked()

        page.unroute("**/v1/**")
        poll.get_by_role("button", name="Vote").click()

        expect(status_of(poll)).to_have_text(COUNTED)

    def test_keeps_what_was_begun_before_the_script_came(self, page: Page, article: Published) -> None:
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/embed.js", hold)
        page.goto(article.url, wait_until="commit")
        page.get_by_role("radio", name="No").check()
        page.get_by_role("checkbox").check()
        poll = page.locator("pollsvc-poll")
        poll.get_by_label("Email").fill("ada@reader.example")

        held[0].continue_()
        poll.locator(".box").wait_for()

        expect(poll.get_by_role("radio", name="No")).to_be_checked()
        expect(poll.get_by_role("checkbox")).to_be_checked()
        expect(poll.get_by_label("Email")).to_have_value("ada@reader.example")

    def test_is_used_by_keyboard_alone(self, page: Page, article: Published) -> None:
        poll = article.opened(page)
        poll.get_by_role("radio", name="Yes").focus()

        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")

        expect(status_of(poll)).to_have_text(COUNTED)
        expect(poll.locator("li").last.get_by_text("Your answer")).to_be_visible()

    def test_works_where_storage_is_denied(self, watcher: Watcher, article: Published) -> None:
        page = watcher.page()
        page.add_init_script(
            "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
        )
        poll = article.opened(page)

        vote(poll, "Yes")

        expect(status_of(poll)).to_have_text(COUNTED)

    def test_shows_hostile_text_as_text(self, page: Page, publish: Callable[..., Published]) -> None:
        hostile = "<img src=x onerror=alert(1)></fieldset>&amp;"
        article = publish(question=hostile, choices=[hostile, "No"])

        poll = article.opened(page)
        vote(poll, hostile)

        expect(poll.get_by_role("heading")).to_have_text(hostile)
        assert lines_of(poll)[0] == f"{hostile}: 100% (1 Vote)"
