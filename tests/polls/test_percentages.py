from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollsvc.polls.percentages import shares_of_voters, shares_of_votes

COUNTS = st.lists(
    # Small counts make ties, large ones make small shares: both are needed to reach every rule.
    st.one_of(st.integers(0, 12), st.integers(0, 1_000), st.integers(0, 10**12)),
    max_size=12,
)
VOTED = COUNTS.filter(any)


def in_tenths(shares: list[int | float]) -> list[int]:
    return [round(share * 10) for share in shares]


class TestSharesOfVotes:
    @pytest.mark.parametrize(
        ("counts", "shares"),
        [
            pytest.param([634, 8], [99, 1], id="the article this service was made for"),
            pytest.param([8, 634], [1, 99], id="order of the choices does not matter"),
            pytest.param([101, 899], [10, 90], id="the largest remainder and not the first choice"),
            pytest.param([1, 7], [12, 88], id="equal remainders: the larger count first"),
            pytest.param([7, 1], [88, 12], id="equal remainders: the larger count first, wherever it stands"),
            pytest.param([1, 1], [50, 50], id="two halves"),
            pytest.param([1, 1, 1, 1], [25, 25, 25, 25], id="four quarters"),
            pytest.param([3, 0], [100, 0], id="unanimous"),
            pytest.param([5], [100], id="one choice"),
            pytest.param([1, 999_999], [0, 100], id="one in a million rounds to nothing"),
        ],
    )
    def test_whole_percents_where_they_are_fair(self, counts: list[int], shares: list[int]) -> None:
        assert shares_of_votes(counts) == shares
        assert {type(share) for share in shares_of_votes(counts)} == {int}

    @pytest.mark.parametrize(
        ("counts", "shares"),
        [
            pytest.param([5, 5, 5, 985], [0.5, 0.5, 0.5, 98.5], id="tenths are exact"),
            pytest.param([2, 2, 15], [10.5, 10.5, 79.0], id="by largest remainder where rounding makes 99.9"),
            pytest.param(
                [1, 17, 17], [2.8, 48.6, 48.6], id="by largest remainder where rounding makes 100.1"
            ),
            pytest.param([1, 1, 6], [12.5, 12.5, 75.0], id="a whole share shows its decimal too"),
        ],
    )
    def test_tenths_where_equal_counts_would_differ(self, counts: list[int], shares: list[float]) -> None:
        assert shares_of_votes(counts) == shares
        assert sum(in_tenths(shares)) == 1000
        assert {type(share) for share in shares_of_votes(counts)} == {float}

    @pytest.mark.parametrize(
        ("counts", "shares"),
        [
            pytest.param([1, 1, 1], [33.3, 33.3, 33.3], id="thirds add to 99.9"),
            pytest.param([1] * 6, [16.7] * 6, id="sixths add to 100.2"),
            pytest.param([10, 10, 199], [4.6, 4.6, 90.9], id="a tie beside a landslide adds to 100.1"),
            pytest.param([1, 5, 5], [9.1, 45.5, 45.5], id="a tie for the first place"),
        ],
    )
    def test_sum_is_not_forced_where_tenths_differ_too(self, counts: list[int], shares: list[float]) -> None:
        assert shares_of_votes(counts) == shares
        assert {type(share) for share in shares_of_votes(counts)} == {float}

    @pytest.mark.parametrize("choices", [0, 1, 2, 20])
    def test_no_votes_are_zero_percent_each(self, choices: int) -> None:
        assert shares_of_votes([0] * choices) == [0] * choices

    def test_negative_count_is_refused(self) -> None:
        with pytest.raises(ValueError, match="cannot be negative"):
            shares_of_votes([3, -1])

    @given(VOTED)
    def test_whole_percents_add_to_100(self, counts: list[int]) -> None:
        shares = shares_of_votes(counts)
        if isinstance(shares[0], int):
            assert sum(shares) == 100

    @given(st.lists(st.integers(0, 10**12), unique=True, min_size=1, max_size=12).filter(any))
    def test_counts_without_a_tie_add_to_100(self, counts: list[int]) -> None:
        assert sum(shares_of_votes(counts)) == 100

    @given(VOTED)
    def test_tenths_add_to_100_or_are_each_rounded(self, counts: list[int]) -> None:
        shares = shares_of_votes(counts)
        if isinstance(shares[0], float) and sum(in_tenths(shares)) != 1000:
            half = Fraction(1, 2)
            assert in_tenths(shares) == [int(Fraction(1000 * n, sum(counts)) + half) for n in counts]

    @given(COUNTS)
    def test_all_shares_are_of_one_type(self, counts: list[int]) -> None:
        assert len({type(share) for share in shares_of_votes(counts)}) <= 1

    @given(VOTED)
    def test_a_share_is_less_than_one_point_off(self, counts: list[int]) -> None:
        for count, share in zip(counts, shares_of_votes(counts), strict=True):
            unit = 1 if isinstance(share, int) else Fraction(1, 10)
            shown = Fraction(round(share * 10), 10)
            assert abs(shown - Fraction(100 * count, sum(counts))) < unit

    @given(COUNTS)
    def test_equal_counts_show_equal_shares(self, counts: list[int]) -> None:
        shown: dict[int, int | float] = {}
        for count, share in zip(counts, shares_of_votes(counts), strict=True):
            assert shown.setdefault(count, share) == share

    @given(COUNTS)
    def test_a_larger_count_never_shows_a_smaller_share(self, counts: list[int]) -> None:
        ranked = sorted(zip(counts, shares_of_votes(counts), strict=True))
        assert [share for _, share in ranked] == sorted(share for _, share in ranked)

    @given(VOTED.flatmap(lambda counts: st.tuples(st.just(counts), st.permutations(counts))))
    def test_order_of_the_choices_changes_nothing(self, both: tuple[list[int], list[int]]) -> None:
        given_order, other_order = both
        shares = dict(zip(given_order, shares_of_votes(given_order), strict=True))
        assert dict(zip(other_order, shares_of_votes(other_order), strict=True)) == shares

    @pytest.mark.parametrize(("choices", "highest"), [(1, 200), (2, 70), (3, 16), (4, 7), (5, 4)])
    def test_every_small_tally_keeps_the_promises(self, choices: int, highest: int) -> None:
        for counts in product(range(highest + 1), repeat=choices):
            votes = sum(counts)
            if votes == 0:
                continue
            shares = shares_of_votes(counts)
            tenths = in_tenths(shares)
            if isinstance(shares[0], int):
                assert sum(shares) == 100, counts
            ranked = sorted(zip(counts, tenths, strict=True))
            assert len(set(ranked)) == len(set(counts)), counts
            assert [share for _, share in ranked] == sorted(tenths), counts
            assert all(abs(t * votes - 1000 * n) < 10 * votes for n, t in ranked), counts


class TestSharesOfVoters:
    @pytest.mark.parametrize(
        ("counts", "voters", "shares"),
        [
            pytest.param([3, 2, 1], 3, [100, 67, 33], id="sum is not forced to 100"),
            pytest.param([1, 1, 1], 3, [33, 33, 33], id="thirds stay whole percents"),
            pytest.param([1, 199], 200, [1, 100], id="a half rounds up"),
            pytest.param([1], 201, [0], id="less than a half rounds down"),
            pytest.param([0, 4], 4, [0, 100], id="none and all"),
            pytest.param([0, 0], 0, [0, 0], id="no voters"),
            pytest.param([], 0, [], id="no choices"),
        ],
    )
    def test_each_is_rounded_half_up(self, counts: list[int], voters: int, shares: list[int]) -> None:
        assert shares_of_voters(counts, voters) == shares

    @pytest.mark.parametrize(("counts", "voters"), [([-1], 3), ([0], -1)], ids=["count", "voters"])
    def test_negative_number_is_refused(self, counts: list[int], voters: int) -> None:
        with pytest.raises(ValueError, match="cannot be negative"):
            shares_of_voters(counts, voters)

    @pytest.mark.parametrize("voters", [0, 4])
    def test_more_votes_than_voters_is_refused(self, voters: int) -> None:
        with pytest.raises(ValueError, match="more votes than there are voters"):
            shares_of_voters([1, 5], voters)

    @given(st.integers(1, 10**12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n)))))
    def test_a_share_is_the_nearest_whole_percent(self, tally: tuple[int, list[int]]) -> None:
        voters, counts = tally
        for count, share in zip(counts, shares_of_voters(counts, voters), strict=True):
            assert isinstance(share, int)
            assert Fraction(-1, 2) < Fraction(share) - Fraction(100 * count, voters) <= Fraction(1, 2)
