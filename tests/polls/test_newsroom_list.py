"""GET /v1/polls"""

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.polls.models import Poll
from tests.factories import (
    ARTICLE_URL,
    ORIGIN,
    make_poll,
)
from tests.polls.http import create, statements_sent, told
from tests.web.problems import fields_of

OTHER_ORIGIN = "https://sports.example"


class TestListPolls:
    def test_newest_first_page_by_page(self, staff_client: FlaskClient, site: Site, session: Session) -> None:
        made = [str(make_poll(session).id) for _ in range(5)]
        session.commit()

        found, cursor = [], None
        for _ in range(3):
            page = told(staff_client.get("/v1/polls", query_string={"limit": 2, "cursor": cursor or ""}))
            found += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]

        assert (found, cursor) == (made[::-1], None)

    def test_items_are_what_the_newsroom_sees(self, staff_client: FlaskClient, site: Site) -> None:
        made = told(create(staff_client), 201)
        del made["embed_html"]

        assert told(staff_client.get("/v1/polls")) == {"items": [made], "next_cursor": None}

    def test_of_an_article(self, staff_client: FlaskClient, poll: Poll, session: Session) -> None:
        make_poll(session, article_urls=[f"{ORIGIN}/other"])
        session.commit()

        page = told(staff_client.get("/v1/polls", query_string={"article_url": f"{ARTICLE_URL}?fbclid=1"}))

        assert [item["id"] for item in page["items"]] == [str(poll.id)]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            pytest.param({"limit": 0}, "limit", id="limit 0"),
            pytest.param({"limit": 101}, "limit", id="limit 101"),
            pytest.param({"limit": "x"}, "limit", id="limit x"),
            pytest.param({"cursor": "x"}, "cursor", id="forged cursor"),
            pytest.param({"article_url": f"{OTHER_ORIGIN}/a"}, "article_url", id="host of no site"),
            pytest.param({"status": "open"}, "status", id="unknown parameter"),
        ],
    )
    def test_refusals(self, staff_client: FlaskClient, site: Site, query: dict[str, str], field: str) -> None:
        response = staff_client.get("/v1/polls", query_string=query)

        assert (response.status_code, fields_of(response)) == (422, [field])

    def test_takes_as_many_statements_for_many_polls_as_for_two(
        self, staff_client: FlaskClient, site: Site, session: Session
    ) -> None:
        def statements() -> int:
            with statements_sent() as sent:
                told(staff_client.get("/v1/polls"))
            return len(sent)

        statements()  # the first call notes the token's use
        for number in range(2):
            make_poll(session, article_urls=[ARTICLE_URL, f"{ORIGIN}/{number}"], has_site_text=True)
        session.commit()
        few = statements()
        for number in range(2, 9):
            make_poll(session, article_urls=[ARTICLE_URL, f"{ORIGIN}/{number}"], has_site_text=True)
        session.commit()

        assert statements() == few
