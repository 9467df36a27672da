"""The vote's own SQL without the service: PostgreSQL's load generator on the statement that the service sends."""

import os
import re
import subprocess
import uuid
from collections.abc import Mapping

from pollsvc.db import PLAN_BY_KEY
from pollsvc.polls import statements
from tests.bench.load import Figures
from tests.bench.rows import Row
from tests.bench.setups import Running

#: Ballots of one statement, as a busy worker sends them.
BATCH = 8


def measure_sql(service: Running, poll_id: uuid.UUID, *, clients: int, seconds: float) -> list[Row]:
    """Measure ballots a second that PostgreSQL takes, one in a statement and several."""
    return [_measure(service, poll_id, ballots, clients=clients, seconds=seconds) for ballots in (1, BATCH)]


def script(poll_id: uuid.UUID, ballots: int) -> str:
    """Give the statement of :mod:`pollsvc.polls.statements` as a pgbench script; its voters are new each time."""
    series = f"generate_series(1, {ballots})"
    values: Mapping[str, str] = {
        "poll_ids": f"ARRAY(SELECT CAST('{poll_id}' AS uuid) FROM {series})",
        "voter_keys": f"ARRAY(SELECT sha256(CAST(random()::text || g AS bytea)) FROM {series} AS g)",
        "choices": f"ARRAY(SELECT '{{1}}' FROM {series})",
        "tiers": f"ARRAY(SELECT 'storage' FROM {series})",
        "times": f"ARRAY(SELECT now() FROM {series})",
        "second": "date_trunc('second', now())",
    }
    sql = " ".join(statements.CAST_TRYING.text.split())
    for name, value in values.items():
        sql = re.sub(rf":{name}\b", value, sql)
    return f"\\set slot random(0, 15)\n{sql};\n"


def _measure(service: Running, poll_id: uuid.UUID, ballots: int, *, clients: int, seconds: float) -> Row:
    assert service.postgres
    file, log = service.folder / "vote.sql", service.folder / "pgbench"
    file.write_text(script(poll_id, ballots))
    command = [str(service.postgres.program("pgbench")), "--no-vacuum", "--protocol=prepared", "--jobs=2"]
    command += [f"--client={clients}", f"--time={seconds:.0f}", f"--file={file}"]
    command += ["--log", f"--log-prefix={log}", *service.postgres.address("bench")]
    environment = {**os.environ, "PGOPTIONS": f"-c synchronous_commit=on {PLAN_BY_KEY}"}
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    # Each line of the log: client, transaction, microseconds, file, time.
    took = sorted(
        int(line.split()[2]) / 1_000 for path in service.folder.glob("pgbench.*") for line in path.open()
    )
    for path in service.folder.glob("pgbench.*"):
        path.unlink()
    figures = Figures(
        statuses={201: len(took) * ballots},
        failed=0,
        seconds=seconds,
        p50=took[len(took) // 2],
        p99=took[len(took) * 99 // 100],
        used_up=False,
    )
    what = "pgbench, the vote's statement" + (f", {ballots} ballots in each" if ballots > 1 else "")
    return Row("votes", what, "PostgreSQL alone", clients, (figures,))
