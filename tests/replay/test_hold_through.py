"""Holding through, the measure of every strategy, against a second implementation of its definition."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, localcontext
from functools import cache

import pytest

from rebalancer import CombinedStrategy, Costs, FundingHistory, RateKind, TimeLimit
from rebalancer.domain.names import Market
from rebalancer.domain.numbers import BPS
from rebalancer.history.table import Row, Series
from rebalancer.replay import ReplayReport, replay
from rebalancer.testing import sample_history

HOUR = 3600
START = 1_767_225_600
COSTS = Costs(leg_bps="2.5", venues={"grvt": "0.5", "paradex": "-0.25"})
EVER = CombinedStrategy(TimeLimit(max_age=timedelta(days=365)))
MILLION = 10**6


@cache
def weight(age: int) -> int:
    """What is left of an observation after `age` seconds, in millionths: half after 24 h."""
    with localcontext(prec=50):
        return round(MILLION * Decimal(2) ** (Decimal(-age) / (24 * HOUR)))


def mean(rows: list[Row]) -> int:
    """The exponential mean of the rates per 8 h, as the design's smoothing has it."""
    num = den = 0
    last = rows[0].at
    for place, row in enumerate(rows):
        kept = weight(row.at - last) if place else 0
        new, last = MILLION - weight(row.interval), row.at
        num = (num * kept + new * row.per_8h) // MILLION
        den = den * kept // MILLION + new
    return num * MILLION // den


def held_through(history: FundingHistory, symbol: str, costs: Costs) -> int:
    """The best pair of exponential means, at the first full hour where it is above 1 bp, kept to the end."""
    markets = [series for series in history.series if series.market.symbol == symbol]
    for at in range(-(-history.start // HOUR) * HOUR, history.end + HOUR, HOUR):
        known = {series.market.venue: [row for row in series.rows if row.at <= at] for series in markets}
        means = {
            venue: mean(rows)
            for venue, rows in known.items()
            if sum(row.interval for row in rows) >= 24 * HOUR and at <= rows[-1].at + 2 * rows[-1].interval
        }
        pairs = [(means[long] - means[short], long, short) for long in means for short in means if long != short]
        if pairs and min(pairs)[0] < -BPS:
            _, long, short = min(pairs)
            earned = -2 * (costs.leg(long) + costs.leg(short))
            for series in markets:
                sign = {long: -1, short: 1}.get(series.market.venue, 0)
                earned += sign * sum(row.value for row in series.rows if row.at > at)
            return earned
    return 0


def hold_through(report: ReplayReport) -> dict[str, Decimal | None]:
    return {one.symbol: one.hold_through_bps for one in report.symbols}


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_second_implementations_to_the_last_step(seed: int) -> None:
    history = sample_history(seed=seed, days=4)
    report = replay(EVER, history, costs=COSTS)
    expected = {symbol: held_through(history, symbol, COSTS) for symbol in history.symbols}
    assert any(expected.values())
    assert hold_through(report) == {symbol: Decimal(steps) / BPS for symbol, steps in expected.items()}


def a_market(venue: str, *rates: float, hours: int = 1) -> Series:
    """BTC at these basis points per interval, from the first interval of the year on."""
    rows = (
        Row(START + place * hours * HOUR, int(Decimal(str(rate)) * BPS), hours * HOUR)
        for place, rate in enumerate(rates, start=1)
    )
    return Series(Market(venue, "BTC"), RateKind.SETTLED, tuple(rows))


def earned(*markets: Series, leg_bps: int = 0) -> Decimal | None:
    return replay(EVER, FundingHistory.of(markets), costs=Costs.flat(leg_bps=leg_bps)).hold_through_bps


def test_a_pair_is_opened_once_both_markets_were_seen_for_24_hours() -> None:
    """It is opened at hour 24, so it earns hours 25 and 26."""
    assert earned(a_market("a", *[0] * 26), a_market("b", *[1] * 26)) == 2
    assert earned(a_market("a", *[0] * 24), a_market("b", *[1] * 24)) == 0
    assert earned(a_market("a", *[0] * 26), a_market("b", 8, 8, 8, hours=8)) == 0


def test_the_slower_market_counts_for_the_hours_that_it_covers() -> None:
    assert earned(a_market("a", *[0] * 32), a_market("b", 8, 8, 8, 9, hours=8)) == 9


def test_a_mean_divergence_above_one_basis_point_is_opened() -> None:
    still = a_market("a", *[0] * 40)
    assert earned(still, a_market("b", *[0.124] * 40)) == 0
    assert earned(still, a_market("b", *[0.126] * 40)) == 16 * Decimal("0.126")


def test_what_was_opened_is_kept_however_it_turns_out() -> None:
    """And what the third market would pay does not matter any more."""
    market = a_market("b", *[1] * 24, *[-50] * 10)
    assert earned(a_market("a", *[0] * 34), market, a_market("c", *[0] * 24, *[90] * 10)) == -500


def test_both_legs_are_opened_and_closed_at_cost() -> None:
    assert earned(a_market("a", *[0] * 26), a_market("b", *[1] * 26), leg_bps=3) == 2 - 4 * 3


def test_the_lower_mean_is_held_long_and_ties_go_by_name() -> None:
    pays = a_market("c", *[-1] * 24, -7)
    assert earned(pays, a_market("b", *[0] * 24, 5), a_market("a", *[0] * 24, 3)) == 7 + 3


def test_a_market_that_went_stale_is_not_opened() -> None:
    assert earned(a_market("a", *[0] * 24), a_market("b", *[0] * 26, *[5] * 20)) == 0


def test_a_market_is_fresh_for_two_of_its_intervals() -> None:
    assert earned(a_market("a", *[0] * 24), a_market("b", *[0] * 25, 5, 1)) == 1


def test_what_is_never_opened_costs_nothing() -> None:
    assert earned(a_market("a", *[0] * 40), leg_bps=3) == 0
