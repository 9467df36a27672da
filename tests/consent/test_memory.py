"""An export and an import take as much memory for many rows as for few."""

import json
import subprocess
import sys
from pathlib import Path

from sqlalchemy.orm import Session

from tests.conftest import ENVIRON
from tests.factories import make_article, make_consent_text, make_site, make_token
from tests.live_server import clean_environ

ROOT = Path(__file__).parent.parent.parent
#: Both more than a page of the export and a batch of the import.
FEW, MANY = 2_500, 11_000
#: MiB. A list of as many rows as MANY has more takes some four.
MOST = 2.5


def test_is_the_same_for_many_as_for_few(session: Session, database_url: str, tmp_path: Path) -> None:
    text = make_consent_text(session, site=make_site(session))
    make_article(session)
    token = make_token(session)
    session.commit()
    environ = {**ENVIRON, "POLLSVC_DATABASE_URL": database_url, "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [sys.executable, "-m", "tests.consent.measured", token, str(text.id), str(FEW), str(MANY)],
        cwd=tmp_path,
        env=clean_environ(environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    more = {name: taken["many"] - taken["few"] for name, taken in measured.items()}
    assert {name: by for name, by in more.items() if by > MOST} == {}
