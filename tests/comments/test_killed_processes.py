"""Processes that are killed while they write leave counts that equal a recount, and every comment that they were told of."""

import subprocess
import sys
from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.counts import find_differences
from pollsvc.comments.models import Comment, CommentRevision
from tests.conftest import ENVIRON
from tests.live_server import clean_environ

ROOT = Path(__file__).parent.parent.parent
#: Comments that each of them tells of before all are killed; another number each, so that they die at different places.
TOLD = (9, 16)


class TestKilledProcesses:
    def test_counts_equal_a_recount(self, database_url: str, session: Session, site: Site) -> None:
        writers = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.comments.writing_process", database_url, str(number)],
                cwd=ROOT,
                env=clean_environ(ENVIRON | {"PYTHONPATH": str(ROOT)}),
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(1, 1 + len(TOLD))
        ]
        told = []
        for writer, lines in zip(writers, TOLD, strict=True):
            assert writer.stdout
            told += [writer.stdout.readline().strip() for _ in range(lines)]
            writer.kill()
        for writer in writers:
            rest, _ = writer.communicate()
            told += rest.split("\n")[:-1]

        assert find_differences(session) == []
        known = set(session.scalars(select(Comment.id)))
        assert {UUID(each) for each in told} <= known
        assert known == set(session.scalars(select(CommentRevision.comment_id)))
