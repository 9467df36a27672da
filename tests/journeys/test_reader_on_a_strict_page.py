"""The elements on pages whose policies allow next to nothing."""

import pytest
from playwright.sync_api import Page, Request, expect

from tests.journeys.conftest import Published
from tests.journeys.host_page import POLICY

CORRECTION = "<pollsvc-correction></pollsvc-correction>"
COMMENTS = "<pollsvc-comments></pollsvc-comments>"
NONCE = "default-src 'none'; script-src 'nonce-r4nd0m'; connect-src {service}; form-action {service}"


def send_correction(page: Page) -> None:
    form = page.locator("pollsvc-correction")
    form.get_by_label("Name").fill("Ada Reader")
    form.get_by_label("Email").fill("ada@reader.example")
    form.get_by_label("Message").fill("The bell is of brass.")
    form.get_by_role("button", name="Send correction").click()
    expect(form.get_by_role("heading")).to_have_text("Correction received")


def vote(page: Page, article: Published) -> None:
    poll = article.opened(page)
    poll.get_by_role("radio", name="Yes").check()
    poll.get_by_role("button", name="Vote").click()
    expect(poll.get_by_role("status")).to_have_text("Your vote was counted.")


class TestPolicy:
    """A refusal of the policy is a word on the console, which fails a test."""

    @pytest.mark.parametrize(
        "policy",
        [
            pytest.param(POLICY, id="the service's address"),
            pytest.param(f"{POLICY}; require-trusted-types-for 'script'; trusted-types", id="trusted types"),
            pytest.param(NONCE, id="a nonce"),
            pytest.param(f"{NONCE}; script-src-attr 'none'; style-src 'none'", id="a nonce and no style"),
            pytest.param(
                NONCE.replace("'nonce-r4nd0m'", "'nonce-r4nd0m' 'strict-dynamic'"), id="a nonce, handed on"
            ),
        ],
    )
    def test_is_kept_by_poll_correction_and_comments(
        self, page: Page, article: Published, policy: str
    ) -> None:
        embed = article.embed_html.replace("<script ", '<script nonce="r4nd0m" ') + CORRECTION + COMMENTS
        article.host.paste(embed, service=article.service, policy=policy)

        vote(page, article)
        send_correction(page)
        expect(page.get_by_role("button", name="Send comment")).to_be_visible()

        assert article.voters() == 1

    def test_may_keep_the_correction_s_file_out_and_the_plain_form_stays(
        self, page: Page, article: Published
    ) -> None:
        page.route(
            "**/embed/correction.js",
            lambda route: route.fulfill(content_type="text/javascript", body="throw 0"),
        )
        form = "<pollsvc-correction><form><button>Plain</button></form></pollsvc-correction>"
        article.host.paste(article.embed_html + form, service=article.service)

        article.opened(page)

        expect(page.get_by_role("button", name="Plain")).to_be_visible()


class TestNetwork:
    def test_nobody_but_article_and_service_is_asked_for_anything(
        self, page: Page, article: Published
    ) -> None:
        asked: list[str] = []

        def note(request: Request) -> None:
            asked.append(request.url)

        page.on("request", note)
        article.host.paste(article.embed_html + CORRECTION, service=article.service)
        vote(page, article)
        send_correction(page)

        assert [url for url in asked if not url.startswith((article.service, article.host.origin))] == []

    def test_no_address_names_the_reader_or_the_answer(self, page: Page, article: Published) -> None:
        asked: list[str] = []

        def note(request: Request) -> None:
            asked.append(request.url)

        page.on("request", note)
        vote(page, article)

        paths = {url.removeprefix(article.service) for url in asked if url.startswith(article.service)}
        poll = f"/v1/polls/{article.poll_id}"
        assert paths == {"/embed.js", "/embed/consent.js", poll, "/v1/voters", f"{poll}/votes"}


class TestScript:
    def test_twice_on_a_page_with_two_polls_does_not_mix_them_up(
        self, page: Page, article: Published
    ) -> None:
        second = article.newsroom.call(
            "POST",
            "/v1/polls",
            {"article_urls": [article.url], "question": "And at night?", "choices": ["Yes", "No"]},
        )
        article.host.paste(article.embed_html + second["embed_html"], service=article.service)
        page.goto(article.url)
        polls = page.locator("pollsvc-poll")
        expect(polls.locator(".box")).to_have_count(2)

        polls.last.get_by_role("radio", name="No").check()
        polls.last.get_by_role("button", name="Vote").click()

        expect(polls.last.get_by_role("status")).to_have_text("Your vote was counted.")
        expect(polls.first.get_by_role("button", name="Vote")).to_be_visible()
        assert article.voters() == 0
