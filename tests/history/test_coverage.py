"""What time rows stand for: gaps, overlaps, and changes of interval."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import RateKind
from rebalancer.domain.names import Market
from rebalancer.history.coverage import Between, changes, gaps, overlaps, stands_for
from rebalancer.history.table import Row, Series

HOUR = 3600


def a_series(*rows: tuple[int, int], kind: RateKind = RateKind.SETTLED) -> Series:
    """Rows of a rate of 0: hour and hours of interval."""
    return Series(Market("bybit", "INJ"), kind, tuple(Row(at * HOUR, 0, hours * HOUR) for at, hours in rows))


def hours(found: Iterable[Between]) -> list[tuple[int, int]]:
    return [(one.start // HOUR, one.end // HOUR) for one in found]


def test_rows_an_interval_apart_leave_no_gap_and_do_not_overlap() -> None:
    series = a_series((8, 8), (16, 8), (24, 8))
    assert (list(gaps(series)), list(overlaps(series)), list(changes(series))) == ([], [], [])


def test_a_missing_row_is_a_gap_as_long_as_its_interval() -> None:
    assert hours(gaps(a_series((8, 8), (24, 8)))) == [(8, 16)]


def test_a_row_that_says_it_covers_the_missing_time_leaves_no_gap() -> None:
    assert list(gaps(a_series((4, 4), (12, 8)))) == []


def test_an_interval_that_becomes_shorter_leaves_no_gap() -> None:
    series = a_series((8, 8), (16, 8), (17, 1), (18, 1))
    assert (list(gaps(series)), list(overlaps(series))) == ([], [])
    assert [(before.interval // HOUR, after.at // HOUR) for before, after in changes(series)] == [(8, 17)]


def test_a_row_whose_interval_reaches_behind_the_row_before_overlaps_it() -> None:
    series = a_series((17, 1), (18, 1), (24, 8), (32, 8))
    assert hours(overlaps(series)) == [(16, 18)]
    assert list(gaps(series)) == []


@pytest.mark.parametrize("kind", [RateKind.SETTLED, RateKind.INDICATIVE])
def test_a_settled_rate_stands_for_the_time_before_it(kind: RateKind) -> None:
    series = a_series((8, 8), kind=kind)
    assert stands_for(series, series.rows[0]) == (0, 8 * HOUR)


def test_a_live_rate_stands_for_two_intervals_after_it() -> None:
    series = a_series((8, 1), kind=RateKind.FORMING)
    assert stands_for(series, series.rows[0]) == (8 * HOUR, 10 * HOUR)


def test_live_rates_have_gaps_after_two_intervals_and_never_overlap() -> None:
    series = a_series((1, 1), (2, 1), (4, 1), (7, 1), kind=RateKind.FORMING)
    assert hours(gaps(series)) == [(6, 7)]
    assert list(overlaps(series)) == []


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=20))
def test_gaps_are_exactly_the_hours_between_rows_that_no_interval_holds(steps: list[tuple[int, int]]) -> None:
    at, rows = 100, []
    for step, interval in steps:
        at += step
        rows.append((at, interval))
    held = {hour for at, interval in rows for hour in range(at - interval + 1, at + 1)}
    missing = [hour for hour in range(rows[0][0] + 1, rows[-1][0] + 1) if hour not in held]
    found = [hour for start, end in hours(gaps(a_series(*rows))) for hour in range(start + 1, end + 1)]
    assert found == missing
