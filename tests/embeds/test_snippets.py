"""The HTML that a publisher pastes."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.consent.models import Mode
from pollsvc.embeds.snippets import comments_html
from tests.consent.logins import SECRET
from tests.embeds.pages import faults_of, form_of
from tests.embeds.visits import SITE, new_poll
from tests.factories import ARTICLE_URL, make_consent_text, make_site

HOSTILE = "</legend></pollsvc-poll><script>alert('1')</script>\"&amp;"


def create(staff_client: FlaskClient, **changes: Any) -> dict[str, Any]:
    body = {"article_urls": [ARTICLE_URL], "question": "Ring?", "choices": ["Yes", "No"], **changes}
    answer = staff_client.post("/v1/polls", json=body)
    assert answer.status_code == 201
    assert answer.json
    return dict(answer.json)


class TestEmbedHtml:
    @pytest.fixture(autouse=True)
    def site(self, session: Session) -> Site:
        made = make_site(session)
        session.commit()
        return made

    def test_is_the_element_with_a_form_inside_and_the_script(self, staff_client: FlaskClient) -> None:
        poll = create(staff_client)

        html = poll["embed_html"]

        assert html.startswith(f'<pollsvc-poll poll="{poll["id"]}">')
        assert html.endswith('<script async src="http://localhost/embed.js"></script>')
        form = form_of(html)
        assert (form.action, form.method) == (f"http://localhost/embed/polls/{poll['id']}", "post")

    def test_has_its_tags_in_order(self, staff_client: FlaskClient) -> None:
        assert faults_of(create(staff_client)["embed_html"]) == []

    def test_holds_no_token_for_it_may_be_cached_for_a_year(self, staff_client: FlaskClient) -> None:
        form = form_of(create(staff_client)["embed_html"])

        assert form.fields.keys() == {"text_id", "email", "article_url", "website"}

    def test_offers_no_text_for_accounts_which_a_plain_form_cannot_know(
        self, client: FlaskClient, session: Session, site: Site, staff_client: FlaskClient
    ) -> None:
        site.login_key = SECRET
        make_consent_text(session, site=site, mode=Mode.SOFT_OPT_IN)
        session.commit()
        poll = create(staff_client)

        forms = [poll["embed_html"], client.get(f"/embed/polls/{poll['id']}").text]

        assert poll["consent_text"] is not None
        for form in map(form_of, forms):
            assert not {"text_id", "accepted", "email"} & form.fields.keys()

    def test_is_the_same_whenever_it_is_asked_for(self, staff_client: FlaskClient) -> None:
        poll = create(staff_client)

        again = staff_client.patch(f"/v1/polls/{poll['id']}", json={"question": "Ring?"})

        assert again.json
        assert again.json["embed_html"] == poll["embed_html"]

    def test_names_the_first_article(self, staff_client: FlaskClient) -> None:
        html = create(staff_client, article_urls=[f"{SITE}/b?utm_source=x", f"{SITE}/a"])["embed_html"]

        assert form_of(html).fields["article_url"] == [f"{SITE}/b"]

    def test_has_no_inline_script_or_style(self, staff_client: FlaskClient) -> None:
        html = create(staff_client)["embed_html"]

        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?! async src=)", html)

    def test_escapes_what_editors_wrote(self, staff_client: FlaskClient) -> None:
        html = create(staff_client, question=HOSTILE, choices=[HOSTILE, "No"])["embed_html"]

        assert html.count("<script") == 1
        assert html.count("</pollsvc-poll>") == 1
        assert faults_of(html) == []

    def test_has_no_consent_line_where_the_poll_has_none(self, staff_client: FlaskClient) -> None:
        html = create(staff_client, consent_text_id=None)["embed_html"]

        assert form_of(html).fields.keys() == {"article_url", "website"}

    def test_leaves_the_box_unticked_and_no_answer_chosen(self, staff_client: FlaskClient) -> None:
        assert " checked" not in create(staff_client)["embed_html"]

    def test_votes_when_it_is_posted_from_the_article(
        self, staff_client: FlaskClient, client: FlaskClient
    ) -> None:
        form = form_of(create(staff_client)["embed_html"])

        answer = client.post(form.action, data=form.filled(choices="1"), headers={"Origin": SITE})

        assert answer.status_code == 303
        assert "Your vote was counted." in client.get(answer.headers["Location"]).text


class TestCommentsHtml:
    @pytest.fixture
    def html(self, app: Flask, session: Session) -> str:
        make_site(session)
        session.commit()
        with app.test_request_context():
            return comments_html(ARTICLE_URL, base="https://polls.example")

    def test_is_the_element_with_a_link_and_a_form_inside_and_the_script(self, html: str) -> None:
        page = "https://polls.example/embed/comments"

        assert html.startswith("<pollsvc-comments>")
        assert html.endswith('<script async src="https://polls.example/embed.js"></script>')
        link = f'<a href="{page}?article_url=https%3A%2F%2Fnews.example%2Fharbour%2Fnew-ferry">Read and write comments</a>'
        assert link in html
        form = form_of(html)
        assert (form.action, form.method) == (page, "post")
        assert faults_of(html) == []

    def test_holds_no_token_for_it_may_be_cached_for_a_year(self, html: str) -> None:
        assert form_of(html).fields.keys() == {"body", "name", "email", "article_url", "website"}

    def test_comments_when_it_is_posted_from_the_article(self, html: str, client: FlaskClient) -> None:
        sent = form_of(html).filled(body="It rings.", name="Ada", email="ada@reader.example")

        answer = client.post("/embed/comments", data=sent, headers={"Origin": SITE})

        assert answer.status_code == 303
        assert "Your comment is waiting" in client.get(answer.headers["Location"]).text


class TestTwoSnippets:
    def test_on_one_page_share_no_id(self, staff_client: FlaskClient, session: Session) -> None:
        new_poll(session)
        first, second = (create(staff_client, question=question)["embed_html"] for question in ("A?", "B?"))

        assert faults_of(first + second) == []
