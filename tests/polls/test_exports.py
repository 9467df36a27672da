import csv
import io

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll
from pollsvc.polls.service import withdraw_poll
from tests.conftest import NOW
from tests.factories import ACTOR, cast, make_ballots, make_poll
from tests.polls.http import told


def rows_of(client: FlaskClient, poll: Poll) -> list[list[str]]:
    response = client.get(f"/v1/polls/{poll.id}/export.csv")
    assert response.status_code == 200, response.text
    return list(csv.reader(io.StringIO(response.text)))


class TestExportCsv:
    def test_has_a_row_for_each_choice(
        self, staff_client: FlaskClient, poll: Poll, session: Session, keys: Keys
    ) -> None:
        make_ballots(session, keys=keys, poll=poll, counts=[3, 1])
        session.commit()

        assert rows_of(staff_client, poll) == [
            ["poll_id", "question", "choice_id", "choice", "votes", "percent", "total_voters", "as_of"],
            [str(poll.id), poll.question, "1", "Yes", "3", "75", "4", "2026-03-01T08:00:00+00:00"],
            [str(poll.id), poll.question, "2", "No", "1", "25", "4", "2026-03-01T08:00:00+00:00"],
        ]

    def test_is_a_file_for_its_reader_alone(self, staff_client: FlaskClient, poll: Poll) -> None:
        headers = staff_client.get(f"/v1/polls/{poll.id}/export.csv").headers

        assert headers["Content-Type"] == "text/csv; charset=utf-8"
        assert headers["Content-Disposition"] == f'attachment; filename="poll-{poll.id}.csv"'
        assert headers["Cache-Control"] == "private, no-store"

    @pytest.mark.parametrize(
        "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\u200b=1", "＝1", '=HYPERLINK("https://x","y")']
    )
    def test_formulas_are_defused(
        self, staff_client: FlaskClient, site: Site, session: Session, text: str
    ) -> None:
        poll = make_poll(session, question=text, choices=[text, "No"])
        session.commit()

        header, first, _ = rows_of(staff_client, poll)

        cells = dict(zip(header, first, strict=True))
        assert (cells["question"], cells["choice"]) == (f"'{text}", f"'{text}")

    def test_quotes_commas_and_other_scripts_come_through(
        self, staff_client: FlaskClient, site: Site, session: Session
    ) -> None:
        texts = ['"Yes", he said', "נא, תודה"]
        poll = make_poll(session, choices=texts)
        session.commit()

        _, *rows = rows_of(staff_client, poll)

        assert [row[3] for row in rows] == texts


class TestExportJson:
    def test_holds_the_poll_and_its_tally(
        self, staff_client: FlaskClient, site: Site, session: Session, keys: Keys
    ) -> None:
        poll = make_poll(session, results_visibility="never")
        cast(session, keys=keys, poll=poll, choices=[2])
        session.commit()
        [listed] = told(staff_client.get("/v1/polls"))["items"]

        answer = told(staff_client.get(f"/v1/polls/{poll.id}/export.json"))

        assert answer == {
            "poll": listed,
            "tally": {
                "poll_id": str(poll.id),
                "total_voters": 1,
                "choices": [
                    {"id": 1, "text": "Yes", "votes": 0, "percent": 0},
                    {"id": 2, "text": "No", "votes": 1, "percent": 100},
                ],
                "as_of": "2026-03-01T08:00:00+00:00",
            },
        }


class TestExportOfAWithdrawnPoll:
    @pytest.mark.parametrize("form", ["csv", "json"])
    def test_is_still_to_be_had(
        self, staff_client: FlaskClient, poll: Poll, session: Session, form: str
    ) -> None:
        withdraw_poll(session, poll.id, actor=ACTOR, now=NOW)
        session.commit()

        assert staff_client.get(f"/v1/polls/{poll.id}/export.{form}").status_code == 200
