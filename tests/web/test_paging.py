"""Lists by keyset."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.errors import Invalid
from pollsvc.keys import Keys, new_encryption_key
from pollsvc.staff.models import AuditEntry, StaffToken
from pollsvc.staff.schemas import TokenSchema
from pollsvc.web.paging import Page, page_schema, read_page
from tests.factories import make_token


@pytest.fixture
def five(session: Session) -> list[str]:
    """Five tokens, and an audit row of each."""
    names = [f"token {number}" for number in range(5)]
    for name in names:
        make_token(session, name=name)
    session.commit()
    return names


def read(session: Session, keys: Keys, **query: Any) -> Page[StaffToken]:
    return read_page(session, select(StaffToken), StaffToken.id, {"limit": 2, "cursor": None} | query, keys)


def pages(session: Session, keys: Keys, limit: int) -> Iterator[Page[StaffToken]]:
    cursor = None
    while True:
        page = read(session, keys, limit=limit, cursor=cursor)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


class TestReadPage:
    def test_an_empty_list_is_one_empty_page(self, session: Session, keys: Keys) -> None:
        assert read(session, keys) == Page([], None)

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 100])
    def test_walking_all_pages_gives_each_row_once_newest_first(
        self, session: Session, keys: Keys, five: list[str], limit: int
    ) -> None:
        walked = list(pages(session, keys, limit))

        assert [token.name for page in walked for token in page.items] == five[::-1]
        assert len(walked) == -(-5 // limit)
        assert all(len(page.items) <= limit for page in walked)

    def test_what_is_added_meanwhile_moves_nothing(
        self, session: Session, keys: Keys, five: list[str]
    ) -> None:
        first = read(session, keys)
        make_token(session, name="newer")

        second = read(session, keys, cursor=first.next_cursor)

        assert [token.name for token in second.items] == ["token 2", "token 1"]

    def test_what_the_cursor_stood_on_may_be_gone(
        self, session: Session, keys: Keys, five: list[str]
    ) -> None:
        first = read(session, keys)
        session.delete(first.items[-1])

        second = read(session, keys, cursor=first.next_cursor)

        assert [token.name for token in second.items] == ["token 2", "token 1"]

    def test_an_empty_cursor_is_the_beginning(self, session: Session, keys: Keys, five: list[str]) -> None:
        assert read(session, keys, cursor="") == read(session, keys)

    @pytest.mark.parametrize(
        "cursor",
        ["x", "x.y", "\u00fc", "01a203cc-78e1-7762-8d8b-4a59595984c6", "AAAA.", ".", "a.b.c"],
        ids=ascii,
    )
    def test_a_made_up_cursor_is_refused(
        self, session: Session, keys: Keys, five: list[str], cursor: str
    ) -> None:
        with pytest.raises(Invalid) as refused:
            read(session, keys, cursor=cursor)

        assert refused.value.fields == {"cursor": "Must be a next_cursor of an earlier answer."}

    def test_a_cursor_of_another_list_is_refused(self, session: Session, keys: Keys, five: list[str]) -> None:
        query = {"limit": 2, "cursor": None}
        other = read_page(session, select(AuditEntry), AuditEntry.id, query, keys).next_cursor

        with pytest.raises(Invalid):
            read(session, keys, cursor=other)

    def test_a_signed_cursor_that_holds_no_id_is_refused(self, session: Session, keys: Keys) -> None:
        with pytest.raises(Invalid):
            read(session, keys, cursor=keys.sign(f"cursor {StaffToken.id}", b"short"))


class TestPageSchema:
    def test_is_named_for_its_items(self) -> None:
        assert page_schema(TokenSchema).__name__ == "TokenPageSchema"


class TestOverHttp:
    def test_pages_lead_to_each_other(self, staff_client: FlaskClient, five: list[str]) -> None:
        names: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            answer = staff_client.get("/v1/tokens", query_string={"limit": "2", "cursor": cursor}).json
            assert answer is not None
            names += [item["name"] for item in answer["items"]]
            cursor = answer["next_cursor"]

        assert sorted(names) == sorted([*five, "a desk"])

    def test_a_forged_cursor_is_422(self, staff_client: FlaskClient) -> None:
        response = staff_client.get("/v1/tokens?cursor=forged")

        assert response.status_code == 422
        assert response.json["errors"][0]["field"] == "cursor"  # type: ignore[index]

    def test_a_cursor_of_another_installation_is_422(
        self, staff_client: FlaskClient, five: list[str]
    ) -> None:
        others = Keys(["x" * 32], "y" * 32, [new_encryption_key()])
        cursor = others.sign(f"cursor {StaffToken.id}", bytes(16))

        assert staff_client.get(f"/v1/tokens?cursor={cursor}").status_code == 422
