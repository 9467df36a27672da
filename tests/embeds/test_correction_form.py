"""The plain form of a correction, and which article it is about."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.articles.models import Article, Site
from tests.embeds.pages import faults_of, form_of
from tests.embeds.visits import SITE
from tests.factories import ARTICLE_URL, make_site

PAGE = "/embed/corrections"


@pytest.fixture(autouse=True)
def site(session: Session) -> Site:
    made = make_site(session, origins=[SITE, "https://m.news.example"])
    session.commit()
    return made


def show(client: FlaskClient, article_url: str = ARTICLE_URL) -> TestResponse:
    return client.get(PAGE, query_string={"article_url": article_url})


class TestForm:
    def test_asks_for_name_email_and_message(self, client: FlaskClient) -> None:
        answer = show(client)

        assert (answer.status_code, answer.mimetype) == (200, "text/html")
        form = form_of(answer.text)
        assert (form.action, form.method, form.buttons) == (PAGE, "post", 1)
        assert {name: form.fields[name] for name in ("name", "email", "message")} == {
            "name": [""],
            "email": [""],
            "message": [""],
        }
        assert faults_of(answer.text) == []

    @pytest.mark.parametrize(
        "given",
        [
            pytest.param(f"{ARTICLE_URL}?utm_source=x#top", id="tracked"),
            pytest.param("https://m.news.example/harbour/new-ferry", id="of an alias"),
            pytest.param(f"{ARTICLE_URL}/", id="with a slash"),
        ],
    )
    def test_is_about_the_canonical_article(self, client: FlaskClient, given: str) -> None:
        page = show(client, given).text

        assert form_of(page).fields["article_url"] == [ARTICLE_URL]
        assert f'href="{ARTICLE_URL}" target="_top"' in page

    def test_creates_no_article(self, client: FlaskClient, session: Session) -> None:
        show(client)

        assert session.scalars(select(Article)).all() == []

    def test_is_the_reader_s_alone_and_framed_by_the_site(self, client: FlaskClient) -> None:
        headers = show(client).headers

        assert headers["Cache-Control"] == "private, no-store"
        assert "frame-ancestors https://m.news.example https://news.example" in headers[
            "Content-Security-Policy"
        ].split("; ")

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            pytest.param(
                "https://elsewhere.example/a", "No site here owns elsewhere.example.", id="of no site"
            ),
            pytest.param("javascript:alert(1)", "does not begin with http", id="a script"),
            pytest.param("", "Which article is it about?", id="empty"),
            pytest.param("https://news.example/" + "a" * 3000, "more than 2,000 characters", id="too long"),
            pytest.param('https://"><script>.example/', "not a valid domain name", id="hostile"),
        ],
    )
    def test_about_an_address_of_no_article_is_a_page_with_422(
        self, client: FlaskClient, given: str, sentence: str
    ) -> None:
        answer = show(client, given)

        assert (answer.status_code, answer.mimetype) == (422, "text/html")
        assert sentence in answer.text
        assert "<script>" not in answer.text.replace('<script defer src="/embed/frame.js"></script>', "")

    def test_without_an_address_is_a_page_with_422(self, client: FlaskClient) -> None:
        assert client.get(PAGE).status_code == 422
