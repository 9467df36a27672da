"""A reader sends a correction by the element, in a real browser."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.conftest import Published

CORRECTION = '<pollsvc-correction></pollsvc-correction><script async src="{service}/embed.js"></script>'


class TestCorrectionElement:
    @pytest.fixture
    def form(self, page: Page, article: Published) -> Locator:
        article.host.paste(CORRECTION.format(service=article.service), service=article.service)
        page.goto(article.url)
        form = page.locator("pollsvc-correction")
        form.get_by_label("Name").fill("Ada Reader")
        return form

    def test_sends_it_for_the_page_it_stands_on(self, form: Locator, article: Published) -> None:
        form.get_by_label("Email").fill("ada@reader.example")
        form.get_by_label("Message").fill("The bell is of brass.")

        form.get_by_role("button", name="Send correction").click()

        expect(form.get_by_role("heading")).to_have_text("Correction received")
        received = article.newsroom.call("GET", "/v1/corrections")["items"]
        assert article.url in {each["article_url"] for each in received}

    def test_names_every_missing_field_and_keeps_the_rest(self, form: Locator) -> None:
        form.get_by_role("button", name="Send correction").click()

        expect(form.locator("#email-error")).to_have_text("Enter your email address.")
        expect(form.locator("#message-error")).to_have_text("Tell us what is wrong.")
        expect(form.get_by_label("Name")).to_have_value("Ada Reader")
        expect(form.get_by_label("Email")).to_be_focused()

    @pytest.mark.allows_console("status of 422")
    def test_shows_what_the_service_finds_beside_the_field(self, form: Locator) -> None:
        form.get_by_label("Email").fill("ada@reader")
        form.get_by_label("Message").fill("The bell is of brass.")

        form.get_by_role("button", name="Send correction").click()

        expect(form.locator("#email-error")).to_contain_text("e-mail address")
        expect(form.get_by_label("Email")).to_have_attribute("aria-invalid", "true")
        expect(form.get_by_label("Message")).to_have_value("The bell is of brass.")
