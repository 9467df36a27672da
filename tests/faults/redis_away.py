"""Redis is killed, or hangs: limits are counted in the memory of each process meanwhile, and more strictly."""

import http.client

from tests.faults.load import CLIENTS, Load
from tests.faults.scene import WORKERS, Scene
from tests.redis_server import RedisServer

#: New voter tokens that Redis would let through a minute; each process lets through a quarter by itself.
VOTERS = 40
QUARTER = VOTERS // 4
LIMITS = {"POLLSVC_LIMIT_VOTERS": f"{VOTERS}/minute"}


def kill(scene: Scene, load: Load) -> None:
    """Kill Redis, and bring it back when votes have gone on without it."""
    redis = _redis(scene)
    redis.stop()
    _go_on_without(scene, load)
    redis.start()


def hang(scene: Scene, load: Load) -> None:
    """Let Redis take connections and answer nothing, as behind a broken network."""
    redis = _redis(scene)
    redis.pause()
    _go_on_without(scene, load)
    redis.resume()


def _go_on_without(scene: Scene, load: Load) -> None:
    load.wait_for_votes(2 * CLIENTS)
    statuses = [_status_of_new_voter(scene.server.port) for _ in range(WORKERS * QUARTER + 1)]
    passed, refused = statuses.count(201), statuses.count(429)
    assert passed + refused == len(statuses), f"new voters were answered {sorted(set(statuses))}"
    assert passed >= QUARTER, f"only {passed} new voters passed"
    assert refused > 0, "the limit in memory is not stricter than the one in Redis"


def _status_of_new_voter(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/v1/voters", "{}", {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def _redis(scene: Scene) -> RedisServer:
    assert scene.redis is not None, "this scenario needs a Redis"
    return scene.redis
