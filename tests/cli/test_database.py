"""Commands about the database."""

import stat
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import TallySlot
from tests.cli.commands import NextRelease, Run, installed
from tests.factories import make_ballots, make_poll, make_site
from tests.ports import free_port


class TestUpgrade:
    def test_a_first_run_makes_database_and_keys_that_only_the_owner_can_read(self, tmp_path: Path) -> None:
        done = installed(tmp_path, "db", "upgrade")

        assert (done.returncode, done.stdout) == (0, "")
        assert str(tmp_path / "instance" / "pollsvc.db") in done.stderr
        assert stat.S_IMODE((tmp_path / "instance").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "instance" / "keys.json").stat().st_mode) == 0o600

    def test_a_second_one_keeps_the_keys(self, run: Run, here: Path) -> None:
        no_keys = dict.fromkeys(("POLLSVC_SECRET_KEY", "POLLSVC_HASH_KEY", "POLLSVC_ENCRYPTION_KEYS"), None)
        run("db", "upgrade", **no_keys)
        made = (here / "instance" / "keys.json").read_text()

        again = run("db", "upgrade", **no_keys)

        assert again.exit_code == 0
        assert (here / "instance" / "keys.json").read_text() == made

    def test_it_keeps_what_is_there(self, run_on: Run, session: Session) -> None:
        make_site(session)
        session.commit()

        done = run_on("db", "upgrade")

        assert done.exit_code == 0
        assert session.scalar(select(func.count()).select_from(Site)) == 1

    def test_another_hash_key_is_refused_with_what_to_do(self, run_on: Run) -> None:
        done = run_on("db", "upgrade", POLLSVC_HASH_KEY="quite another key of thirty-two characters")

        assert done.exit_code == 1
        assert "POLLSVC_HASH_KEY is not the one" in done.stderr
        assert "Put the old key back" in done.stderr

    def test_the_password_of_the_database_is_not_told(self, run: Run) -> None:
        url = f"postgresql://desk:swordfish@127.0.0.1:{free_port()}/pollsvc"

        done = run("db", "upgrade", POLLSVC_DATABASE_URL=url)

        assert done.exit_code == 1
        assert "The database does not answer" in done.stderr
        assert "swordfish" not in done.output

    def test_a_database_of_a_newer_release_is_left_alone(self, run: Run, next_release: NextRelease) -> None:
        with next_release():
            assert run("db", "upgrade").exit_code == 0

        done = run("db", "upgrade")

        assert done.exit_code == 1
        assert "newer release" in done.stderr


class TestReconcile:
    def test_counts_that_agree_end_with_0(self, run_on: Run, session: Session, keys: Keys) -> None:
        make_site(session)
        make_ballots(session, keys=keys, poll=make_poll(session), counts=[2, 1])
        session.commit()

        done = run_on("db", "reconcile")

        assert (done.exit_code, done.stdout) == (0, "")
        assert "Every tally equals its ballots." in done.stderr

    def test_a_tampered_slot_is_named_and_ends_with_1(
        self, run_on: Run, session: Session, keys: Keys
    ) -> None:
        make_site(session)
        poll = make_poll(session)
        make_ballots(session, keys=keys, poll=poll, counts=[1, 1])
        session.execute(update(TallySlot).where(TallySlot.choice_id == 2).values(n=TallySlot.n + 5))
        session.commit()

        done = run_on("db", "reconcile")

        assert done.exit_code == 1
        assert done.stdout == f"poll {poll.id} choice 2: +5 votes, +0 voters\n"

    def test_a_lost_slot_is_a_difference(self, run_on: Run, session: Session, keys: Keys) -> None:
        make_site(session)
        poll = make_poll(session)
        make_ballots(session, keys=keys, poll=poll, counts=[1, 0])
        session.query(TallySlot).delete()
        session.commit()

        done = run_on("db", "reconcile")

        assert done.exit_code == 1
        assert done.stdout == f"poll {poll.id} choice 1: -1 votes, -1 voters\n"

    def test_an_empty_database_is_no_proof(self, run: Run) -> None:
        done = run("db", "reconcile")

        assert done.exit_code == 1
        assert "is empty. Run: pollsvc db upgrade" in done.stderr
