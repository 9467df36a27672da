"""A process that writes, decides and reports without end: `python -m tests.comments.writing_process URL NUMBER`.

Its settings come from the environment.
It tells each comment that is committed on a line of its own, and ends when it is killed.
"""

import os
import sys
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.comments.service import report_comment
from pollsvc.config import Settings
from pollsvc.db import engine_options, prepare_engine
from tests.comments.submitting import make_box
from tests.factories import THEN, decide_comment, make_writer, new_comment


def main(url: str, number: int) -> None:
    keys = Settings.from_environ(os.environ, Path("/nowhere")).keys()
    opened = sa.create_engine(**engine_options(url, 2))
    prepare_engine(opened, keys)
    engine, box = opened.execution_options(sqlite_write=True), make_box(opened, keys)
    parent = None
    for turn in range(1_000_000):
        with Session(engine, expire_on_commit=False) as session:
            body = f"Word {turn} of {number}."
            made, _ = box.submit(new_comment(keys, number=number, parent=parent, body=body))
            print(made.id, flush=True)
            actions = ["approve", "reject", "remove", "spam"]
            parent = decide_comment(session, made, actions[turn % 4 if turn % 3 else 0])
            session.commit()
            if parent.status == "published":
                reporter = make_writer(keys, number=number + 100)
                report_comment(session, made.id, reporter=reporter, reason="spam", note=None, now=THEN)
                session.commit()
        if parent.status != "published" or len(parent.ancestors) == 3:
            parent = None


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
