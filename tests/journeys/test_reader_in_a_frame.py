"""A poll in a frame, on a publisher's page of another origin."""

from collections.abc import Callable

import pytest
from playwright.sync_api import FrameLocator, Page, expect
from sqlalchemy.orm import Session

from pollsvc.keys import Keys
from tests.chromium import Watcher
from tests.embeds.visits import new_poll
from tests.journeys.conftest import Published
from tests.journeys.host_page import HostPage
from tests.live_server import LiveServer
from tests.polls.evidence import tiers_of

SNIPPET = (
    '<pollsvc-poll poll="{poll}" mode="frame"></pollsvc-poll><script async src="{service}/embed.js"></script>'
)
HEIGHT = (
    "document.querySelector('pollsvc-poll').shadowRoot.querySelector('iframe').getBoundingClientRect().height"
)


@pytest.fixture
def framed(page: Page, article: Published) -> FrameLocator:
    """The frame, as high as the poll in it."""
    article.host.paste(SNIPPET.format(poll=article.poll_id, service=article.service), service=article.service)
    page.goto(article.url)
    frame = page.locator("pollsvc-poll iframe")
    expect(frame).to_have_attribute("title", "Readers’ poll")
    inside = page.frame_locator("pollsvc-poll iframe")
    inside.get_by_role("button", name="Vote").wait_for()
    fitted(page, inside)
    return inside


def fitted(page: Page, inside: FrameLocator) -> float:
    """Wait until the frame is as high as what it holds, and give that height."""
    height = inside.locator("html").evaluate("root => Math.ceil(root.getBoundingClientRect().height)")
    expect(page.locator("pollsvc-poll iframe")).to_have_css("height", f"{height}px")
    return float(height)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestCookieOfItsOwn:
    def test_remembers_the_reader_where_third_party_cookies_are_blocked(
        self, page: Page, live_server: Callable[..., LiveServer], session: Session, keys: Keys
    ) -> None:
        # Over https by its settings, so that the cookie is Partitioned. Chromium takes it from 127.0.0.1 as it is.
        server = live_server(POLLSVC_PUBLIC_URL="https://polls.example")
        with HostPage() as host:
            poll = new_poll(session, site={"origins": [host.origin, server.address]}, article_urls=[host.url])
            host.paste(SNIPPET.format(poll=poll.id, service=server.address), service=server.address)
            page.goto(host.url)
            inside = page.frame_locator("pollsvc-poll iframe")
            inside.get_by_role("radio", name="Yes").check()
            inside.get_by_role("button", name="Vote").click()
            expect(inside.get_by_role("status")).to_have_text("Your vote was counted.")

            page.reload()

            expect(inside.get_by_role("status")).to_have_text("Your vote was counted.")
            expect(inside.get_by_role("button")).to_have_count(0)
        assert tiers_of(session, keys) == ["frame"]
        (cookie,) = page.context.cookies()
        assert cookie["name"] == "__Host-pollsvc_voter"


class TestFrame:
    def test_votes_and_is_as_high_as_its_content_throughout(
        self, page: Page, article: Published, framed: FrameLocator
    ) -> None:
        high = fitted(page, framed)

        framed.get_by_role("radio", name="Yes").check()
        framed.get_by_role("button", name="Vote").click()

        expect(framed.get_by_role("status")).to_have_text("Your vote was counted.")
        assert fitted(page, framed) < high
        assert article.voters() == 1

    @pytest.mark.allows_console("status of 422")
    def test_grows_with_an_error(self, page: Page, framed: FrameLocator) -> None:
        low = fitted(page, framed)

        framed.get_by_role("button", name="Vote").click()

        expect(framed.get_by_text("Choose an answer first.")).to_be_visible()
        assert fitted(page, framed) > low

    def test_lets_nobody_else_set_its_height(self, page: Page, framed: FrameLocator) -> None:
        high = fitted(page, framed)

        page.evaluate("""async () => {
          const message = {pollsvc: "height", height: 9};
          postMessage(message, "*");
          const frame = document.body.appendChild(document.createElement("iframe"));
          frame.contentWindow.parent.postMessage(message, "*");
          // Messages come in their order: after this one both have been looked at.
          await new Promise(done => {
            addEventListener("message", ({data}) => data === "last" && done());
            postMessage("last", "*");
          });
        }""")

        assert page.evaluate(HEIGHT) == high

    @pytest.mark.parametrize(
        "message",
        [
            "null",
            "'height'",
            "{pollsvc: 'height', height: -1}",
            "{pollsvc: 'height', height: 'x'}",
            "{height: 9}",
        ],
    )
    def test_overlooks_what_is_no_height(self, page: Page, framed: FrameLocator, message: str) -> None:
        high = fitted(page, framed)

        page.evaluate("""() => { window.seen = new Promise(done =>
          addEventListener("message", ({data}) => data === "last" && done())); }""")
        framed.locator("html").evaluate(
            f"() => {{ parent.postMessage({message}, '*'); parent.postMessage('last', '*'); }}"
        )
        page.evaluate("() => window.seen")

        assert page.evaluate(HEIGHT) == high

    def test_fills_the_article_s_column_and_shows_no_way_back(self, page: Page, framed: FrameLocator) -> None:
        column = page.locator("#after").bounding_box()
        box = framed.locator(".pollsvc-box").bounding_box()

        assert column
        assert box
        assert (box["x"], box["width"]) == (column["x"], column["width"])
        expect(framed.get_by_role("link", name="Back to the article")).to_be_hidden()

    @pytest.mark.allows_console("frame-ancestors")
    def test_is_empty_on_a_page_of_another_site(self, watcher: Watcher, article: Published) -> None:
        page = watcher.page()
        article.host.paste(
            SNIPPET.format(poll=article.poll_id, service=article.service), service=article.service
        )
        with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
            page.goto(article.url.replace("localhost", "elsewhere.localhost"))

        assert page.frame_locator("pollsvc-poll iframe").get_by_role("button").count() == 0
