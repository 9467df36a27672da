"""The main job, in a real browser: a reader votes, opts in and sends a correction; the newsroom reads it."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.chromium import Watcher
from tests.journeys.conftest import Demo

# Every shift of the page since it was opened, also those that a browser forgives because somebody had just clicked.
SHIFTS = """() => new Promise(done => new PerformanceObserver((list, observer) => {
  observer.disconnect();
  done(list.getEntries().reduce((sum, entry) => sum + entry.value, 0));
}).observe({type: "layout-shift", buffered: true}) || setTimeout(done, 300, 0))"""


def opened(page: Page, url: str) -> Locator:
    """Open the article and wait until its poll is alive."""
    page.goto(url)
    page.wait_for_function("document.querySelector('pollsvc-poll').shadowRoot?.querySelector('.box')")
    return page.locator("pollsvc-poll")


def vote(poll: Locator, answer: str) -> None:
    poll.get_by_role("radio", name=answer).check()
    poll.get_by_role("button", name="Vote").click()


def lines_of(poll: Locator) -> list[str]:
    return poll.locator("li p").all_inner_texts()


def focused(page: Page) -> str:
    """The text of what has the focus, inside the element."""
    return str(page.evaluate("document.activeElement.shadowRoot.activeElement.textContent"))


class TestReader:
    def test_votes_opts_in_sends_a_correction_and_the_newsroom_reads_it(self, page: Page, demo: Demo) -> None:
        poll = opened(page, demo.url)

        poll.get_by_role("checkbox").check()
        poll.get_by_label("Email").fill("nobody")
        vote(poll, "Yes")

        # The vote stands, and the address is asked for once more, beside its field.
        expect(poll.get_by_role("status")).to_have_text("Your vote was counted. Your email address was not.")
        assert lines_of(poll) == ["Yes: 99% (635 Votes)", "No: 1% (8 Votes)"]
        expect(poll.get_by_label("Email")).to_have_attribute("aria-invalid", "true")
        expect(poll.locator("#email-error")).to_have_text("Enter your full email address.")
        poll.get_by_label("Email").fill("ada@reader.example")
        poll.get_by_role("button", name="Try again").click()
        expect(poll.get_by_role("status")).to_have_text(
            "Your vote was counted. Your email address has arrived: thank you."
        )

        # A reload remembers.
        poll = opened(page, demo.url)
        expect(poll.get_by_role("status")).to_have_text("Your vote was counted.")
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
        assert demo.newsroom.call("GET", f"/v1/polls/{demo.poll_id}/tally")["total_voters"] == 643
        (consent,) = demo.newsroom.call("POST", "/v1/consents/search", {"email": "ada@reader.example"})[
            "items"
        ]
        assert consent["article_url"] == demo.url


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestPollElement:
    def test_shows_what_was_promised_to_who_comes_after_it_closed(self, page: Page, demo: Demo) -> None:
        demo.newsroom.call("POST", f"/v1/polls/{demo.poll_id}/close", {})

        poll = opened(page, demo.url)

        expect(poll.get_by_role("status")).to_have_text("This poll is closed.")
        assert lines_of(poll) == ["Yes: 99% (634 Votes)", "No: 1% (8 Votes)"]

    def test_moves_nothing_on_the_page_and_the_focus_to_the_result(self, page: Page, demo: Demo) -> None:
        page.goto(demo.url)
        poll = opened(page, demo.url)
        after = page.locator("pollsvc-poll ~ p").first
        poll.scroll_into_view_if_needed()
        before = after.bounding_box()

        vote(poll, "No")
        expect(poll.get_by_role("status")).to_have_text("Your vote was counted.")

        assert after.bounding_box() == before
        assert page.evaluate(SHIFTS) == 0
        assert focused(page) == "Should Tarrowby keep the ferry bell?"

    def test_asks_for_an_answer_beside_the_choices(self, page: Page, demo: Demo) -> None:
        poll = opened(page, demo.url)

        poll.get_by_role("button", name="Vote").click()

        expect(poll.locator("#choices-error")).to_have_text("Choose an answer first.")
        expect(poll.get_by_role("radio", name="Yes")).to_be_focused()
        assert demo.newsroom.call("GET", f"/v1/polls/{demo.poll_id}/tally")["total_voters"] == 642

    @pytest.mark.allows_console("status of 409")
    def test_refuses_a_second_vote_kindly(self, page: Page, demo: Demo) -> None:
        poll = opened(page, demo.url)
        vote(poll, "Yes")
        expect(poll.get_by_role("status")).to_have_text("Your vote was counted.")
        page.evaluate("id => localStorage.removeItem('pollsvc:poll:' + id)", demo.poll_id)
        poll = opened(page, demo.url)

        vote(poll, "No")

        expect(poll.get_by_role("status")).to_have_text("You have already voted. Your first vote stands.")
        assert lines_of(poll) == ["Yes: 99% (635 Votes)", "No: 1% (8 Votes)"]

    def test_keeps_its_identity_in_the_article_s_storage_and_sets_no_cookie(
        self, page: Page, demo: Demo
    ) -> None:
        poll = opened(page, demo.url)
        assert page.evaluate("Object.keys(localStorage)") == []

        vote(poll, "Yes")
        expect(poll.get_by_role("status")).to_have_text("Your vote was counted.")

        assert sorted(page.evaluate("Object.keys(localStorage)")) == [
            f"pollsvc:poll:{demo.poll_id}",
            "pollsvc:voter",
        ]
        assert page.context.cookies() == []

    @pytest.mark.allows_console("status of (409|410)")
    @pytest.mark.parametrize(
        ("action", "sentence"),
        [
            pytest.param("close", "This poll is closed.", id="closed"),
            pytest.param("withdraw", "The newsroom has withdrawn this poll.", id="withdrawn"),
        ],
    )
    def test_says_what_became_of_the_poll_while_the_page_was_open(
        self, page: Page, demo: Demo, action: str, sentence: str
    ) -> None:
        poll = opened(page, demo.url)
        demo.newsroom.call("POST", f"/v1/polls/{demo.poll_id}/{action}", {})

        vote(poll, "Yes")

        expect(poll.get_by_role("status")).to_have_text(sentence)
        assert demo.newsroom.call("GET", f"/v1/polls/{demo.poll_id}/tally")["total_voters"] == 642

    @pytest.mark.allows_console("ERR_CONNECTION_REFUSED")
    def test_keeps_the_answer_when_the_service_is_away(self, page: Page, demo: Demo) -> None:
        poll = opened(page, demo.url)
        demo.newsroom.server.kill()

        vote(poll, "Yes")

        expect(poll.get_by_role("status")).to_have_text("We could not be reached. Please try again.")
        expect(poll.get_by_role("radio", name="Yes")).to_be_checked()
        demo.newsroom.server.start()
        poll.get_by_role("button", name="Vote").click()
        expect(poll.get_by_role("status")).to_have_text("Your vote was counted.")

    def test_keeps_what_was_begun_before_the_script_came(self, page: Page, demo: Demo) -> None:
        held: list[Any] = []
        page.route("**/embed.js", held.append)
        page.goto(demo.url, wait_until="commit")
        page.get_by_role("radio", name="No").check()
        page.get_by_role("checkbox").check()
        page.locator("pollsvc-poll").get_by_label("Email").fill("ada@reader.example")

        held[0].continue_()
        page.wait_for_function("document.querySelector('pollsvc-poll').shadowRoot?.querySelector('.box')")

        poll = page.locator("pollsvc-poll")
        expect(poll.get_by_role("radio", name="No")).to_be_checked()
        expect(poll.get_by_role("checkbox")).to_be_checked()
        expect(poll.get_by_label("Email")).to_have_value("ada@reader.example")

    def test_is_used_by_keyboard_alone(self, page: Page, demo: Demo) -> None:
        poll = opened(page, demo.url)
        poll.get_by_role("radio", name="Yes").focus()

        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")

        expect(poll.get_by_role("status")).to_have_text("Your vote was counted.")
        expect(poll.locator("li").last.get_by_text("Your answer")).to_be_visible()

    def test_works_where_storage_is_denied(self, watcher: Watcher, demo: Demo) -> None:
        page = watcher.page()
        page.add_init_script(
            "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
        )
        poll = opened(page, demo.url)

        vote(poll, "Yes")

        expect(poll.get_by_role("status")).to_have_text("Your vote was counted.")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestCorrectionElement:
    def test_names_every_missing_field_and_keeps_the_rest(self, page: Page, demo: Demo) -> None:
        opened(page, demo.url)
        form = page.locator("pollsvc-correction")
        form.get_by_label("Name").fill("Ada Reader")

        form.get_by_role("button", name="Send correction").click()

        expect(form.locator("#email-error")).to_have_text("Enter your email address.")
        expect(form.locator("#message-error")).to_have_text("Tell us what is wrong.")
        expect(form.get_by_label("Name")).to_have_value("Ada Reader")
        expect(form.get_by_label("Email")).to_be_focused()
        assert demo.newsroom.call("GET", "/v1/corrections")["items"] == []

    @pytest.mark.allows_console("status of 422")
    def test_shows_what_the_service_finds_beside_the_field(self, page: Page, demo: Demo) -> None:
        opened(page, demo.url)
        form = page.locator("pollsvc-correction")
        form.get_by_label("Name").fill("Ada Reader")
        form.get_by_label("Email").fill("ada@reader")
        form.get_by_label("Message").fill("The bell is of brass.")

        form.get_by_role("button", name="Send correction").click()

        expect(form.locator("#email-error")).to_contain_text("e-mail address")
        expect(form.get_by_label("Email")).to_have_attribute("aria-invalid", "true")
        expect(form.get_by_label("Message")).to_have_value("The bell is of brass.")
