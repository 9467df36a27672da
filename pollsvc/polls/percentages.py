"""How counts become the percentages a reader sees.

Inside there are only whole numbers: a float would decide a tie by its last bit. A share is an `int` where the
rule of whole percents applied and a `float` with one decimal where it could not, so JSON shows which it was.
"""

from collections.abc import Sequence


def shares_of_votes(counts: Sequence[int]) -> list[int | float]:
    """Return each choice's percent of all votes, in the order given, for a poll where a voter has one vote.

    Three rules, the first that is fair wins:

    1. whole percents by largest remainder (equal remainders: the larger count first); they add to 100;
    2. where that shows equal counts unequal shares, the same on tenths, for every choice; they add to 100.0;
    3. where that does too, each share rounded half up to one decimal; their sum is not forced.

    Always: equal counts show equal shares, a larger count never shows a smaller share, and a share is less
    than one point from the exact one. Without votes every share is 0. Raises ValueError on a negative count.
    """
    _refuse_negative(counts)
    votes = sum(counts)
    if votes == 0:
        return [0] * len(counts)
    percents = _largest_remainder(counts, votes, 100)
    if _is_fair(counts, percents):
        return [*percents]
    tenths = _largest_remainder(counts, votes, 1000)
    if not _is_fair(counts, tenths):
        tenths = [_rounded_half_up(count, votes, 1000) for count in counts]
    # An integer divided by ten is the float nearest to that decimal, hence prints as it.
    return [share / 10 for share in tenths]


def shares_of_voters(counts: Sequence[int], voters: int) -> list[int | float]:
    """Return each choice's percent of the people who voted, in the order given, where a voter has many votes.

    Each is rounded half up to a whole percent by itself, and the sum means nothing: it may well be above 100.
    Without voters every share is 0. Raises ValueError on a negative number, and on a choice with more votes
    than there are voters: such a tally was not read in one snapshot, and a share above 100 % would be shown.
    """
    _refuse_negative([*counts, voters])
    if any(count > voters for count in counts):
        raise ValueError("A choice cannot have more votes than there are voters.")
    if voters == 0:
        return [0] * len(counts)
    return [_rounded_half_up(count, voters, 100) for count in counts]


def _refuse_negative(counts: Sequence[int]) -> None:
    if any(count < 0 for count in counts):
        raise ValueError("A count cannot be negative.")


def _rounded_half_up(count: int, whole: int, units: int) -> int:
    return (2 * units * count + whole) // (2 * whole)


def _largest_remainder(counts: Sequence[int], whole: int, units: int) -> list[int]:
    """Deal out `units` in proportion to `counts`: whole parts first, the rest to the largest remainders."""
    shares = [units * count // whole for count in counts]
    # Two that tie in both remainder and count are told apart by position: unfair, and found by `_is_fair`.
    by_claim = sorted(range(len(counts)), key=lambda i: (units * counts[i] % whole, counts[i]), reverse=True)
    for i in by_claim[: units - sum(shares)]:
        shares[i] += 1
    return shares


def _is_fair(counts: Sequence[int], shares: Sequence[int]) -> bool:
    """Tell whether equal counts have equal shares."""
    return len(set(zip(counts, shares, strict=True))) == len(set(counts))
