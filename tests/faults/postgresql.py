"""PostgreSQL restarts, drops its sessions, is full of others' connections, or lets a vote wait."""

import time
from contextlib import ExitStack

import psycopg

from tests.faults.load import CLIENTS, Load
from tests.faults.scene import Scene
from tests.postgres import PostgresServer
from tests.processes import wait_until

#: How the service calls itself.
OURS = "application_name = 'pollsvc' AND backend_type = 'client backend'"


def restart(scene: Scene, load: Load) -> None:
    """Stop PostgreSQL as in a crash, and start it again when readers have noticed."""
    postgres = _postgres(scene)
    postgres.stop_at_once()
    load.wait_for_refusals(CLIENTS)
    postgres.start_again()


def terminate_sessions(scene: Scene, _load: Load) -> None:
    """End every session of the service, as an administrator does."""
    with _postgres(scene).connect("faults") as connection:
        pids = [row[0] for row in connection.execute(f"SELECT pid FROM pg_stat_activity WHERE {OURS}")]
        assert pids, "the service had no session"
        # The service closes the others by itself when it sees the first one die.
        connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [pids])
        left = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
        wait_until(lambda: connection.execute(left, [pids]).fetchone() == (0,))


def take_every_connection(scene: Scene, load: Load) -> None:
    """Let somebody else take every connection there is, until readers have noticed."""
    postgres = _postgres(scene)
    with ExitStack() as taken, postgres.connect("faults") as administrator:

        def ours() -> int:
            row = administrator.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS}").fetchone()
            assert row is not None
            return int(str(row[0]))

        def take() -> bool:
            administrator.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")
            try:
                while True:
                    taken.enter_context(postgres.connect("faults"))
            except psycopg.OperationalError:
                return ours() == 0

        wait_until(take)
        load.wait_for_refusals(CLIENTS)


def hold_poll(scene: Scene, load: Load, *, seconds: float) -> None:
    """Lock the poll's row from another session for less than a vote waits: all are counted, late."""
    _hold(scene, seconds)
    assert load.record.statuses()[503] == 0, "a vote was refused that should have waited"


def hold_poll_for_long(scene: Scene, load: Load, *, seconds: float) -> None:
    """Lock the poll's row for longer than a vote waits: readers are told to come again, and are counted when they do."""
    _hold(scene, seconds)
    refused = [tried for tried in load.record.tries if tried.status == 503]
    assert refused, "nobody was refused"
    first = min(refused, key=lambda tried: tried.ended)
    assert first.seconds > 14, f"the first refusal came after {first.seconds:.1f} s"


def _hold(scene: Scene, seconds: float) -> None:
    with _postgres(scene).connect("faults") as connection, connection.transaction():
        connection.execute("SELECT 1 FROM poll WHERE id = %s FOR UPDATE", [scene.poll_id])
        # The time is the fault: there is no other condition to wait for.
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= end, seconds + 1)


def _postgres(scene: Scene) -> PostgresServer:
    assert scene.postgres is not None, "this scenario needs a PostgreSQL"
    return scene.postgres
