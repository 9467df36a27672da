"""Rows that a statement is given as one parameter come out as what a table would hold."""

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.comments.models import CommentRevision, CommentVerdict
from pollsvc.db import EncryptedText
from pollsvc.given import GivenRows

ROWS = GivenRows(
    "given", {"place": sa.Integer(), "of": sa.Uuid(), "key": sa.LargeBinary(32), "said": sa.Text()}
)


class TestGivenRows:
    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_are_read_back(self, session: Session, number: int) -> None:
        rows = [
            {
                "place": place,
                "of": uuid.uuid4(),
                "key": bytes([place, 255]),
                "said": "“Ça\\va”, 'it' said\n🚢",
            }
            for place in range(number)
        ]

        assert self.read(session, ROWS, rows) == rows

    def test_what_is_none_stays_none(self, session: Session) -> None:
        row = {"place": 1, "of": None, "key": None, "said": None}

        assert self.read(session, ROWS, [row]) == [row]

    def test_are_found_by_what_they_hold(self, session: Session) -> None:
        rows = [
            {"place": place, "of": uuid.uuid4(), "key": bytes([place]) * 32, "said": ""} for place in range(3)
        ]
        given = ROWS.source(session.get_bind().dialect.name)
        found = sa.select(given.c.place).where(
            given.c.key == sa.bindparam("wanted", type_=sa.LargeBinary),
            given.c.of == sa.bindparam("of", type_=sa.Uuid),
        )

        dialect = session.get_bind().dialect
        asked = {**ROWS.parameter(dialect, rows), "wanted": bytes([2]) * 32, "of": rows[2]["of"]}

        assert session.scalars(found, asked).all() == [2]

    def test_encrypted_columns_are_encrypted_on_the_way(self, session: Session) -> None:
        rows = GivenRows.of_table("given", CommentRevision, "number", "body")

        told = rows.parameter(session.get_bind().dialect, [{"number": 1, "body": "A secret."}])

        assert "secret" not in told["given"]
        ciphertext = bytes.fromhex(told["given"].partition(r"\\x")[2].rstrip('"}]'))
        assert EncryptedText().process_result_value(ciphertext, session.get_bind().dialect) == "A secret."

    def test_names_its_columns(self) -> None:
        assert GivenRows.of_table("v", CommentVerdict, "name", "score").columns == "name, score"

    @staticmethod
    def read(session: Session, rows: GivenRows, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        dialect = session.get_bind().dialect
        statement = sa.select(rows.source(dialect.name))
        found = session.execute(statement, rows.parameter(dialect, given)).mappings()
        return sorted((dict(row) for row in found), key=lambda row: row["place"])
