"""The primary PostgreSQL is lost, and a synchronous standby takes over."""

from tests.faults.load import CLIENTS, Load
from tests.faults.scene import Scene


def lose_primary(scene: Scene, load: Load) -> None:
    """Kill the primary for good, as by a power cut, and promote the standby when readers have noticed."""
    assert scene.postgres is not None
    assert scene.standby is not None
    scene.postgres.kill()
    load.wait_for_refusals(CLIENTS)
    scene.standby.promote()
