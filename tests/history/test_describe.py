"""The description of a history: exact statistics, on hand-made markets and against plain arithmetic."""

from __future__ import annotations

import math
import statistics as plain
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import FundingHistory, RateKind
from rebalancer.domain.names import Market
from rebalancer.history import statistics
from rebalancer.history.describe import HistoryDescription, MarketDescription, PairDescription
from rebalancer.history.table import Row, Series
from rebalancer.testing import sample_history

HOUR = 3600
BP = 100_000_000
STEPS = st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=30)


def a_series(venue: str, *rows: tuple[int, int, int], symbol: str = "BTC", kind: RateKind = RateKind.SETTLED) -> Series:
    """Rows of hour, hours of interval, and basis points per 8 h."""
    return Series(
        Market(venue, symbol),
        kind,
        tuple(Row(at * HOUR, bps * BP * hours // 8, hours * HOUR) for at, hours, bps in rows),
    )


def described(*series: Series) -> HistoryDescription:
    return FundingHistory.of(series).describe()


def market(*rows: tuple[int, int, int]) -> MarketDescription:
    (one,) = described(a_series("a", *rows)).markets
    return one


def pair(*series: Series) -> PairDescription:
    (one,) = described(*series).pairs
    return one


def hourly(venue: str, *bps: int, first: int = 1) -> Series:
    return a_series(venue, *((first + hour, 1, value) for hour, value in enumerate(bps)))


def at(hour: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


def test_a_market_says_how_many_rows_from_when_to_when() -> None:
    one = market((8, 8, 1), (16, 8, 2), (24, 8, 1))
    assert (one.symbol, one.venue, one.kind) == ("BTC", "a", RateKind.SETTLED)
    assert (one.rows, one.first, one.last) == (3, at(8), at(24))


def test_intervals_are_counted_and_their_changes_dated() -> None:
    one = market((8, 8, 1), (16, 8, 1), (17, 1, 1), (18, 1, 1), (19, 1, 1), (24, 8, 1))
    assert [(count.interval // timedelta(hours=1), count.rows) for count in one.intervals] == [(1, 3), (8, 3)]
    assert [(change.at, change.before, change.after) for change in one.changes] == [
        (at(17), timedelta(hours=8), timedelta(hours=1)),
        (at(24), timedelta(hours=1), timedelta(hours=8)),
    ]
    assert one.overlaps == 1


def test_coverage_is_the_share_of_its_span_that_rows_stand_for() -> None:
    one = market((8, 8, 1), (24, 8, 1), (48, 8, 1))
    assert (one.gaps, one.longest_gap, one.gap_time) == (2, timedelta(hours=16), timedelta(hours=24))
    assert one.coverage == Decimal("0.4")


def test_a_single_row_covers_all_of_its_span() -> None:
    assert market((8, 8, 1)).coverage == 1


def test_rates_at_rest_and_at_0_are_counted_per_8_h() -> None:
    one = market((8, 8, 1), (16, 8, 1), (17, 1, 1), (18, 1, 0), (19, 1, -3))
    assert (one.mode, one.at_mode, one.zero) == (Decimal("0.0001"), Decimal("0.6"), Decimal("0.2"))
    assert (one.smallest, one.median, one.largest) == (Decimal("-0.0003"), Decimal("0.0001"), Decimal("0.0001"))


def test_a_divergence_is_that_of_the_second_venue_less_that_of_the_first() -> None:
    one = pair(hourly("a", 1, 1, 1, 1), hourly("b", 3, 3, 0, 1))
    assert (one.symbol, one.long_dex, one.short_dex, one.overlap_hours) == ("BTC", "a", "b", 4)
    assert (one.mean, one.mean_size) == (Decimal("0.000075"), Decimal("0.000125"))
    assert one.deviation == Decimal("0.000129903811")
    assert (one.positive, one.negative) == (Decimal("0.5"), Decimal("0.25"))
    assert (one.largest, one.largest_at) == (Decimal("0.0002"), at(1))


def test_the_largest_divergence_may_be_below_0() -> None:
    one = pair(hourly("a", 0, 9, 0, first=50), hourly("b", 3, 0, 0, first=50))
    assert (one.largest, one.largest_at) == (Decimal("-0.0009"), at(51))


def test_a_rate_over_8_hours_counts_for_each_of_them_and_no_other() -> None:
    one = pair(a_series("a", (8, 8, 1), (16, 8, 5)), hourly("b", *[1] * 8, *[2] * 8, *[99] * 8))
    assert one.overlap_hours == 16
    assert (one.mean, one.mean_size) == (Decimal("-0.00015"), Decimal("0.00015"))


def test_hours_in_a_gap_of_either_venue_do_not_count() -> None:
    one = pair(a_series("a", (1, 1, 1), (2, 1, 1), (5, 1, 1)), hourly("b", 1, 2, 50, 50, 4))
    assert (one.overlap_hours, one.mean) == (3, fraction_of(4, 3))


def fraction_of(bps: int, number: int) -> Decimal:
    return Decimal(round(Fraction(bps * BP, number))) / 10**12


def test_where_two_rows_stand_for_an_hour_the_later_one_counts() -> None:
    one = pair(
        a_series("a", (17, 1, 1), (18, 1, 1), (24, 8, 3)), a_series("b", *((hour, 1, 0) for hour in range(15, 25)))
    )
    assert (one.overlap_hours, one.mean_size) == (8, Decimal("0.0003"))


def test_a_live_rate_counts_from_when_it_was_seen_for_two_intervals() -> None:
    live = a_series("a", (4, 1, 1), kind=RateKind.FORMING), a_series("b", (3, 2, 2), kind=RateKind.FORMING)
    assert pair(*live).overlap_hours == 3


def test_markets_of_different_kinds_are_no_pair() -> None:
    found = described(hourly("a", 1), a_series("b", (1, 1, 1), kind=RateKind.FORMING))
    assert found.pairs == ()
    assert found.kinds == (RateKind.FORMING, RateKind.SETTLED)


@pytest.mark.parametrize("first", [3, 50])
def test_a_pair_that_never_overlaps_has_no_figures(first: int) -> None:
    one = pair(hourly("a", 1, 1), hourly("b", 1, 1, first=first))
    assert one == PairDescription(symbol="BTC", long_dex="a", short_dex="b", overlap_hours=0)
    assert one.mean is one.half_life_hours is None


def test_every_pair_of_each_symbol_is_described() -> None:
    found = sample_history(days=3).describe()
    assert len(found.markets) == 16
    assert len(found.pairs) == 4 * 6
    assert {one.overlap_hours for one in found.pairs} == {72}
    assert HistoryDescription.model_validate_json(found.model_dump_json()) == found


def test_the_half_life_is_found_again_in_a_series_that_was_made_with_it() -> None:
    random, phi, value, values = Random(5), 2 ** (-1 / 12), 0.0, []
    for _ in range(20_000):
        value = phi * value + random.gauss(0, 1)
        values.append(round(value * 1000))
    found = pair(
        Series(Market("a", "BTC"), RateKind.SETTLED, tuple(Row(h * HOUR, 0, HOUR) for h in range(1, 20_001))),
        Series(Market("b", "BTC"), RateKind.SETTLED, tuple(Row(h * HOUR, v, HOUR) for h, v in enumerate(values, 1))),
    )
    assert found.half_life_hours is not None
    assert 11 < found.half_life_hours < 13


def test_hours_on_both_sides_of_a_gap_do_not_follow_one_another() -> None:
    """Halving every hour, and beginning anew after each gap of an hour: the half-life is one hour."""
    rows = [(day * 14 + hour + 1, 1, 2 ** (12 - hour)) for day in range(10) for hour in range(13)]
    zeros = hourly("a", *[0] * 140)
    found = pair(zeros, a_series("b", *((at, hours, bps) for at, hours, bps in rows)))
    assert found.half_life_hours == 1


@pytest.mark.parametrize(
    "values",
    [[1, 2] * 47, [5] * 200, list(range(200)), [1, -1] * 100],
    ids=["too few", "never changes", "runs away", "swings"],
)
def test_there_is_no_half_life_where_it_can_not_be_estimated(values: list[int]) -> None:
    kept = values[:48] if values[:4] == [1, 2, 1, 2] else values
    assert statistics.half_life(kept[:-1], kept[1:]) is None


def test_a_half_life_needs_48_pairs_of_hours() -> None:
    values = [10**6 // 2**place for place in range(12)] * 5
    assert statistics.half_life(values[:47], values[1:48]) is None
    assert statistics.half_life(values[:48], values[1:49]) is not None


def test_the_half_life_is_the_formula_to_the_last_digit(hostile_context: None) -> None:
    values = [random.randint(-1000, 1000) for random in [Random(1)] for _ in range(100)]
    smooth = [sum(values[place : place + 10]) for place in range(90)]
    x, y = smooth[:-1], smooth[1:]
    slope = plain.linear_regression(x, y).slope
    assert statistics.half_life(x, y) == pytest.approx(-math.log(2) / math.log(slope) * 10**6, abs=1)


@given(STEPS)
def test_the_deviation_is_rounded_from_the_exact_root(values: list[int]) -> None:
    mean = Fraction(sum(values), len(values))
    square = sum((value - mean) ** 2 for value in values) / len(values)
    found = statistics.deviation(values)
    assert (found - Fraction(1, 2)) ** 2 <= square or found == 0
    assert square <= (found + Fraction(1, 2)) ** 2


@given(STEPS)
def test_mean_and_median_are_rounded_once(values: list[int]) -> None:
    assert statistics.mean(values) == round(Fraction(sum(values), len(values)))
    assert statistics.middle(values) == round(Fraction(plain.median(map(Fraction, values))))


def test_of_several_modes_the_smallest_is_taken() -> None:
    assert statistics.most_common([3, 1, 3, 1, 2]) == (1, 2)
