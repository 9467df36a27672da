"""axe finds nothing wrong with any state of the elements and of our pages, in light and in dark."""

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.chromium import Watcher
from tests.journeys.conftest import Article, Published

AXE = Axe()
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def page(watcher: Watcher) -> Page:
    """A phone."""
    return watcher.page(viewport=PHONE, reduced_motion="reduce")


def findings(page: Page) -> list[str]:
    """Give what axe finds by day and by night, each with where and why."""
    return [finding for scheme in SCHEMES for finding in _findings(page, scheme)]


def _findings(page: Page, scheme: Literal["light", "dark"]) -> Iterator[str]:
    page.emulate_media(color_scheme=scheme)
    found = AXE.run(page).response
    assert found["passes"], "axe looked at nothing"
    for violation in found["violations"]:
        for node in violation["nodes"]:
            yield f"{scheme}: {violation['id']}: {node['target']} {node['failureSummary']}"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestDemoArticle:
    def test_in_each_state_of_its_elements(self, page: Page, demo: Article) -> None:
        poll, form = demo.opened(page), page.locator("pollsvc-correction")
        form.locator(".box").wait_for()
        assert findings(page) == []

        poll.get_by_role("button", name="Vote").click()
        form.get_by_role("button", name="Send correction").click()
        expect(poll.locator("#choices-error")).not_to_be_empty()
        assert findings(page) == []

        poll.get_by_role("radio", name="Yes").check()
        poll.get_by_role("checkbox").check()
        poll.get_by_role("button", name="Vote").click()
        expect(poll.locator("#email-error")).not_to_be_empty()
        assert findings(page) == []

        poll.get_by_label("Email").fill("ada@reader.example")
        poll.get_by_role("button", name="Try again").click()
        form.get_by_label("Name").fill("Ada Reader")
        form.get_by_label("Email").fill("ada@reader.example")
        form.get_by_label("Message").fill("The bell is of brass.")
        form.get_by_role("button", name="Send correction").click()
        expect(poll.get_by_role("status")).to_contain_text("has arrived")
        expect(form.get_by_role("heading")).to_have_text("Correction received")
        assert findings(page) == []

        page.goto(f"{demo.url}demo/privacy")
        assert findings(page) == []


class TestPlainPages:
    @pytest.mark.allows_console("status of (404|409|410|422)")
    def test_of_a_poll_in_each_state(self, page: Page, publish: Callable[..., Published]) -> None:
        article = publish(kind="multiple", choices=["Bell", "Horn", "Drum"], max_choices=2)
        page.goto(article.poll_url)
        page.get_by_text("See results").click()
        assert findings(page) == []

        page.get_by_role("button", name="Vote").click()
        expect(page.get_by_text("Choose an answer first.")).to_be_visible()
        assert findings(page) == []

        page.get_by_role("checkbox", name="Bell").check()
        page.get_by_role("checkbox", name="newsletter").check()
        page.get_by_role("button", name="Vote").click()
        expect(page.get_by_text("Enter your email address.")).to_be_visible()
        assert findings(page) == []

        page.get_by_label("Email").fill("ada@reader.example")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("status")).to_contain_text("has arrived")
        assert findings(page) == []

        article.newsroom.call("POST", f"/v1/polls/{article.poll_id}/withdraw", {})
        page.reload()
        expect(page.get_by_text("withdrawn")).to_be_visible()
        assert findings(page) == []

    def test_that_asks_once_more(self, page: Page, article: Published) -> None:
        # Without its script, so that the plain form stays.
        article.host.paste(article.embed_html.partition("<script")[0], service=article.service)
        page.goto(article.url.replace("localhost", "elsewhere.localhost"))
        page.get_by_role("button", name="Vote").click()
        expect(page.get_by_role("status")).to_contain_text("Nothing has been sent yet.")

        assert findings(page) == []

    @pytest.mark.allows_console("status of 422")
    def test_of_a_correction_in_each_state(self, page: Page, article: Published) -> None:
        page.goto(article.correction_url)
        assert findings(page) == []

        page.get_by_role("button", name="Send correction").click()
        expect(page.get_by_text("Enter your name.")).to_be_visible()
        assert findings(page) == []

        page.get_by_label("Name").fill("Ada Reader")
        page.get_by_label("Email").fill("ada@reader.example")
        page.get_by_label("Message").fill("The bell is of brass.")
        page.get_by_role("button", name="Send correction").click()
        expect(page.get_by_role("heading")).to_have_text("Correction received")
        assert findings(page) == []


class TestTargets:
    """WCAG 2.2, 2.5.8: what is pressed is at least 24 px high and wide, or a link in a sentence."""

    SMALL = """() => [...document.querySelectorAll("pollsvc-poll, body")]
      .flatMap(host => [...(host.shadowRoot || host).querySelectorAll(
        "button, input, textarea, p > a:only-child, .links a, .pollsvc-links a, summary")])
      .filter(each => each.checkVisibility() && !each.closest("label"))
      .filter(each => each.getBoundingClientRect().height < 24 || each.getBoundingClientRect().width < 24)
      .map(each => each.outerHTML)"""

    def test_of_the_element(self, page: Page, article: Published) -> None:
        article.opened(page)

        assert page.evaluate(self.SMALL) == []

    def test_of_the_plain_page(self, page: Page, article: Published) -> None:
        page.goto(article.poll_url)

        assert page.evaluate(self.SMALL) == []
