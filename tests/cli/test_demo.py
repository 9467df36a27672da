"""The demo article's content."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.polls.models import Ballot, Poll
from pollsvc.polls.tallies import read_tally
from pollsvc.staff.models import StaffToken
from pollsvc.staff.service import find_token, revoke_token
from tests.cli.commands import Run
from tests.conftest import NOW


class TestDemo:
    def test_a_second_one_keeps_data_and_token(self, run_on: Run, session: Session, here: Path) -> None:
        first = run_on("demo")
        ballots = session.scalar(select(func.count()).select_from(Ballot))
        session.commit()

        second = run_on("demo")

        assert (first.exit_code, second.exit_code) == (0, 0)
        assert first.stdout == second.stdout
        assert ballots == 642
        assert session.scalar(select(func.count()).select_from(Ballot)) == 642
        poll_id = session.scalars(select(Ballot.poll_id).distinct()).one()
        counts = [(count.text, count.votes, count.percent) for count in read_tally(session, poll_id).choices]
        assert counts == [("Yes", 634, 99), ("No", 8, 1)]
        token = (here / "instance" / "demo-token").read_text().strip()
        assert f'curl -H "Authorization: Bearer {token}" http://localhost/v1/polls\n' in second.stdout
        assert stat.S_IMODE((here / "instance" / "demo-token").stat().st_mode) == 0o600

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_follows_to_another_port(self, run_on: Run, session: Session) -> None:
        run_on("demo", POLLSVC_PUBLIC_URL=None)

        done = run_on("demo", "--port", "9000", POLLSVC_PUBLIC_URL=None)

        assert "http://127.0.0.1:9000/v1/polls\n" in done.stdout
        poll = session.scalars(select(Poll)).one()
        site = session.scalars(select(Site)).one()
        assert [article.url for article in poll.articles] == ["http://127.0.0.1:9000/"]
        assert poll.consent_text
        assert {poll.consent_text.privacy_url, site.privacy_url} == {"http://127.0.0.1:9000/demo/privacy"}
        assert [row.origin for row in site.origins] == [
            "http://127.0.0.1:9000",
            "http://localhost:9000",
            "http://127.0.0.1:8000",
            "http://localhost:8000",
        ]

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_lost_or_revoked_token_is_made_anew(self, run_on: Run, session: Session, here: Path) -> None:
        run_on("demo")
        token_id = session.scalars(select(StaffToken.id)).one()
        revoke_token(session, token_id, actor="test", now=datetime.now(UTC))
        session.commit()

        done = run_on("demo")

        token = (here / "instance" / "demo-token").read_text().strip()
        assert token in done.stdout
        assert find_token(session, token, NOW) is not None

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_another_hash_key_is_refused_before_a_ballot_is_cast(self, run_on: Run, session: Session) -> None:
        done = run_on("demo", POLLSVC_HASH_KEY="quite another key of thirty-two characters")

        assert done.exit_code == 1
        assert session.scalar(select(func.count()).select_from(Ballot)) == 0
