"""The one table of faults: `make faults` runs them all, the suite those that take seconds."""

from functools import partial

from tests.faults import clock, connections, failover, postgresql, redis_away, sqlite_file, workers
from tests.faults.running import Scenario
from tests.faults.scene import (
    on_postgresql,
    on_postgresql_and_redis,
    on_primary_and_standby,
    on_sqlite,
)

#: Fewer than the service, its administrator and readers of the table need, and more than the service's pools.
FEW_CONNECTIONS = 45

SCENARIOS = (
    Scenario("web process killed (PostgreSQL)", on_postgresql, workers.kill_worker, may_drop=True),
    Scenario("web process killed (SQLite)", on_sqlite, workers.kill_worker, may_drop=True),
    Scenario("service told to end (PostgreSQL)", on_postgresql, workers.terminate, ends=True),
    Scenario("service told to end (SQLite)", on_sqlite, workers.terminate, ends=True),
    Scenario("PostgreSQL restarted", on_postgresql, postgresql.restart),
    Scenario("PostgreSQL sessions ended", on_postgresql, postgresql.terminate_sessions),
    Scenario(
        "PostgreSQL full of others' connections",
        partial(on_postgresql, FEW_CONNECTIONS),
        postgresql.take_every_connection,
    ),
    Scenario("poll row locked for 10 s", on_postgresql, partial(postgresql.hold_poll, seconds=10)),
    Scenario("poll row locked for 30 s", on_postgresql, partial(postgresql.hold_poll_for_long, seconds=30)),
    Scenario("Redis killed", partial(on_postgresql_and_redis, redis_away.LIMITS), redis_away.kill),
    Scenario("Redis hanging", partial(on_postgresql_and_redis, redis_away.LIMITS), redis_away.hang),
    Scenario("primary lost, standby promoted", on_primary_and_standby, failover.lose_primary),
    Scenario("SQLite: disk full", sqlite_file.on_small_disk, sqlite_file.fill_disk),
    Scenario("SQLite: files may not grow", on_sqlite, sqlite_file.forbid_growth),
    Scenario("SQLite locked for 10 s", on_sqlite, partial(sqlite_file.hold_lock, seconds=10)),
    Scenario("SQLite locked for 20 s", on_sqlite, partial(sqlite_file.hold_lock_for_long, seconds=20)),
    Scenario("clock back by an hour", clock.on_false_clock, clock.step_back),
    Scenario(f"{connections.SLOW} bodies of a byte a second", on_postgresql, connections.send_slowly),
    Scenario(f"{connections.IDLE} idle connections", connections.on_many_files, connections.stay_idle),
)
