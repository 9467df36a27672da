"""What a comment passes. Each check is one small class that looks at a submission and gives its verdict.

All of them run on each revision, and none of them decides: what their verdicts lead to is the policy's
(:mod:`pollsvc.comments.policies`). A check that needs no more than what :class:`~pollsvc.comments.checks.check.Submission`
holds is added by writing its class and naming it in :func:`all_checks`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pollsvc.comments.checks.check import Check
from pollsvc.comments.checks.forms import Form
from pollsvc.comments.checks.links import Links
from pollsvc.comments.checks.repeats import Repeats
from pollsvc.comments.checks.shouting import Shouting
from pollsvc.comments.checks.standing import (
    ApprovalTakenBack,
    BannedAddress,
    NewCommenter,
    Premoderation,
    RecentRejections,
    Velocity,
)
from pollsvc.comments.checks.words import Words


def all_checks() -> Sequence[Check]:
    """Every check, in the order in which they are told of."""
    return (
        Premoderation(),
        ApprovalTakenBack(),
        BannedAddress(),
        NewCommenter(),
        RecentRejections(),
        Velocity(),
        Form(),
        Words("banned"),
        Words("suspect"),
        Links(),
        Repeats(),
        Shouting(),
    )
