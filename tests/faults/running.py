"""One scenario, from the first vote to the verdict."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from tests.faults.load import Load, Stuck
from tests.faults.scene import Scene
from tests.faults.verdict import Verdict, judge


@dataclass(frozen=True)
class Pace:
    """How long a scenario goes on beside its fault.

    :param before: votes counted before the fault.
    :param after: votes counted after it.
    """

    before: int
    after: int


FULL = Pace(before=400, after=400)
BRIEF = Pace(before=60, after=60)


@dataclass(frozen=True)
class Scenario:
    """A fault and what it happens to.

    :param name: in the words of the table.
    :param stage: opens what it happens to.
    :param fault: does it, and returns when it is over; an AssertionError of it is a broken promise.
    :param may_drop: whether connections may be dropped, because a process is killed.
    :param ends: whether the service ends in it.
    """

    name: str
    stage: Callable[[], AbstractContextManager[Scene]]
    fault: Callable[[Scene, Load], None]
    may_drop: bool = False
    ends: bool = False


def run(scenario: Scenario, pace: Pace = FULL) -> Verdict:
    """Let a fault happen under load, and judge what came of it."""
    flaws: list[str] = []
    with scenario.stage() as scene:
        healed = time.monotonic()
        with Load(scene.server.address, scene.poll_id, scene.settings.keys(), ends=scenario.ends) as load:
            try:
                load.wait_for_votes(pace.before)
                scenario.fault(scene, load)
                healed = time.monotonic()
                if not scenario.ends:
                    load.wait_for_counted_since(healed)
                    load.wait_for_votes(pace.after)
            except (Stuck, AssertionError) as error:
                flaws.append(str(error))
        verdict = judge(
            scenario.name,
            load.record,
            scene.settings,
            scene.poll_id,
            may_drop=scenario.may_drop or scenario.ends,
            ends=scenario.ends,
            healed=healed,
            flaws=tuple(flaws),
        )
        return replace(verdict, log=scene.server.stderr)
