"""The many addresses by which readers and editors name one article, over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.articles.models import Article, ArticleQuota, Site
from pollsvc.articles.service import READERS_ARTICLES_A_DAY
from tests.factories import ARTICLE_URL, ORIGIN, make_article, make_poll, make_site


def fields_of(response: TestResponse) -> list[str]:
    return [error["field"] for error in response.get_json()["errors"]]


def count_articles(session: Session) -> int:
    session.commit()
    return session.scalars(select(func.count()).select_from(Article)).one()


@pytest.fixture
def site(session: Session) -> Site:
    """A site that was committed, with an alias."""
    made = make_site(session, origins=[ORIGIN, "https://m.news.example"])
    session.commit()
    return made


# Each of these names the article at ARTICLE_URL of a site whose alias is m.news.example.
SAME_ARTICLE = [
    pytest.param("https://news.example/harbour/new-ferry", id="as it is"),
    pytest.param("http://news.example/harbour/new-ferry", id="scheme"),
    pytest.param("HTTPS://news.example/harbour/new-ferry", id="scheme in capitals"),
    pytest.param("https://News.EXAMPLE/harbour/new-ferry", id="host in capitals"),
    pytest.param("https://news.example./harbour/new-ferry", id="host with its last dot"),
    pytest.param("https://news.example:443/harbour/new-ferry", id="port"),
    pytest.param("http://news.example:80/harbour/new-ferry", id="scheme and port"),
    pytest.param("https://news.example/harbour/new-ferry#comments", id="fragment"),
    pytest.param("https://news.example/harbour/new-ferry/", id="trailing slash"),
    pytest.param("https://news.example/harbour/new-ferry?utm_source=x&utm_campaign=y", id="utm"),
    pytest.param("https://news.example/harbour/new-ferry?fbclid=IwAR0", id="fbclid"),
    pytest.param(
        "https://news.example/harbour/new-ferry?pollsvc_comment=0198f2b0", id="our link to a comment"
    ),
    pytest.param("https://news.example/harbour/new-ferry?gclid=abc", id="gclid"),
    pytest.param("https://news.example/harbour/new-ferry?GCLID=abc", id="gclid in capitals"),
    pytest.param("https://news.example/harbour/new-ferry/amp", id="AMP suffix"),
    pytest.param("https://news.example/harbour/new-ferry/amp/", id="AMP suffix and slash"),
    pytest.param("https://news.example/harbour/new-ferry?amp", id="AMP parameter"),
    pytest.param("https://news.example/harbour/new-ferry?amp=1", id="AMP parameter with a value"),
    pytest.param("https://m.news.example/harbour/new-ferry", id="alias"),
    pytest.param("http://M.news.example:80/harbour/new-ferry/?fbclid=x#top", id="alias and all"),
    pytest.param("https://news.example/harb%6Fur/new%2Dferry", id="percent-encoding"),
    pytest.param("https://news.example/./harbour/../harbour/new-ferry", id="dot segments"),
    pytest.param("https://news.example//harbour/new-ferry", id="doubled slash"),
    pytest.param(" https://news.example/harbour/new-ferry\n", id="white space around"),
]

OTHER_ARTICLE = [
    pytest.param("https://news.example/Harbour/new-ferry", id="path in capitals"),
    pytest.param("https://news.example/harbour/new-ferry-2", id="longer path"),
    pytest.param("https://news.example/harbour", id="shorter path"),
    pytest.param("https://news.example/harbour/new-ferry?page=2", id="another parameter"),
    pytest.param("https://news.example/harbour%2Fnew-ferry", id="encoded slash"),
    pytest.param("https://news.example/amp/harbour/new-ferry", id="AMP at the beginning"),
]

NO_ARTICLE = [
    pytest.param("https://other.example/harbour/new-ferry", id="host of nobody"),
    pytest.param("https://www.news.example/harbour/new-ferry", id="host that is no alias"),
    pytest.param("https://news.example:8443/harbour/new-ferry", id="port of nobody"),
    pytest.param("https://news.example@other.example/harbour", id="host as a user name"),
    pytest.param("https://user@news.example/harbour", id="user name"),
    pytest.param("ftp://news.example/harbour", id="scheme"),
    pytest.param("//news.example/harbour", id="no scheme"),
    pytest.param("/harbour/new-ferry", id="a path"),
    pytest.param("javascript:alert(1)", id="script"),
    pytest.param("https://news.example\\harbour", id="backslash"),
    pytest.param("https://news.example/a b", id="space"),
    pytest.param("https://news.example/\u0000", id="NUL"),
    pytest.param("https://news.example/\u202ehtml", id="direction override"),
    pytest.param("https://[news.example/harbour", id="bracket"),
    pytest.param("https://news.example:99999/harbour", id="port out of range"),
    pytest.param("https://", id="no host"),
    pytest.param("https://news.example/" + "a" * 1980, id="2,001 characters"),
    pytest.param("https://news.example/" + "\u00e9" * 400, id="2,000 characters when encoded"),
    pytest.param("", id="nothing"),
]


class TestFindingArticles:
    @pytest.mark.parametrize("url", SAME_ARTICLE)
    def test_each_address_of_an_article_shows_its_poll(
        self, client: FlaskClient, session: Session, site: Site, url: str
    ) -> None:
        poll = make_poll(session, article_urls=[ARTICLE_URL])
        session.commit()

        answer = client.get("/v1/articles/polls", query_string={"article_url": url})

        assert answer.status_code == 200
        assert [item["id"] for item in answer.get_json()["items"]] == [str(poll.id)]

    @pytest.mark.parametrize("url", OTHER_ARTICLE)
    def test_address_of_another_article_does_not(
        self, client: FlaskClient, session: Session, site: Site, url: str
    ) -> None:
        make_poll(session, article_urls=[ARTICLE_URL])
        session.commit()

        answer = client.get("/v1/articles/polls", query_string={"article_url": url})

        assert (answer.status_code, answer.get_json()["items"]) == (200, [])

    @pytest.mark.parametrize("url", NO_ARTICLE)
    def test_address_that_no_site_owns_is_refused_by_name(
        self, client: FlaskClient, session: Session, site: Site, url: str
    ) -> None:
        answer = client.get("/v1/articles/polls", query_string={"article_url": url})

        assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid")
        assert fields_of(answer) == ["article_url"]
        assert count_articles(session) == 0

    def test_submissions_by_any_address_are_about_one_article(
        self, client: FlaskClient, staff_client: FlaskClient, session: Session, site: Site
    ) -> None:
        report = {"name": "Ada", "email": "ada@reader.example", "message": "Two decks, not three."}

        for url in (ARTICLE_URL, f"http://M.news.example{ARTICLE_URL.removeprefix(ORIGIN)}/amp?utm_id=1#x"):
            assert client.post("/v1/corrections", json=report | {"article_url": url}).status_code == 201

        listed = staff_client.get("/v1/corrections").get_json()["items"]
        assert [item["article_url"] for item in listed] == [ARTICLE_URL] * 2
        assert count_articles(session) == 1

    def test_host_in_its_own_letters_is_found(
        self, client: FlaskClient, staff_client: FlaskClient, session: Session
    ) -> None:
        paper = {"name": "Blatt", "origins": ["https://b\u00fccher.example"]}
        assert staff_client.post("/v1/sites", json=paper).status_code == 201

        for host in ("b\u00fccher.example", "B\u00dcCHER.example", "xn--bcher-kva.example"):
            url = f"https://{host}/caf\u00e9"
            assert client.get("/v1/articles/polls", query_string={"article_url": url}).status_code == 200

    @pytest.mark.parametrize(
        "path", ["/v1/articles/polls", "/v1/polls"], ids=["by a reader", "by the newsroom"]
    )
    def test_asking_makes_no_article(
        self, staff_client: FlaskClient, session: Session, site: Site, path: str
    ) -> None:
        answer = staff_client.get(path, query_string={"article_url": ARTICLE_URL})

        assert (answer.status_code, answer.get_json()["items"]) == (200, [])
        assert count_articles(session) == 0


class TestDayOfNewArticles:
    @pytest.fixture
    def full(self, session: Session, site: Site) -> None:
        """Today is full, and so is tomorrow, should midnight come between."""
        make_article(session)
        today = datetime.now(UTC).date()
        for day in (today, today + timedelta(days=1)):
            session.add(ArticleQuota(site_id=site.id, day=day, n=READERS_ARTICLES_A_DAY))
        session.commit()

    @pytest.mark.usefixtures("full")
    def test_readers_new_article_is_refused_for_today(self, client: FlaskClient, session: Session) -> None:
        response = client.post("/v1/corrections", json=report_on(f"{ORIGIN}/unheard-of"))

        assert (response.status_code, response.get_json()["code"]) == (429, "too_many_articles")
        assert int(response.headers["Retry-After"]) > 0
        assert count_articles(session) == 1

    @pytest.mark.usefixtures("full")
    def test_known_article_and_the_newsroom_are_not_held_up(
        self, client: FlaskClient, staff_client: FlaskClient
    ) -> None:
        poll = {
            "article_urls": [f"{ORIGIN}/unheard-of"],
            "question": "Should the ferry run at night?",
            "choices": ["Yes", "No"],
        }

        assert client.post("/v1/corrections", json=report_on(ARTICLE_URL)).status_code == 201
        assert staff_client.post("/v1/polls", json=poll).status_code == 201


def report_on(url: str) -> dict[str, str]:
    return {
        "article_url": url,
        "name": "Ada Reader",
        "email": "ada@reader.example",
        "message": "The ferry has two decks, not three.",
    }
