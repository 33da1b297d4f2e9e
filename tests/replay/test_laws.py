"""What holds of every replay: the future changes nothing before it, and live deciding is the same deciding."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from itertools import takewhile
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import (
    Action,
    CombinedStrategy,
    Confirmed,
    DivergenceFlip,
    FundingHistory,
    FundingRate,
    FundingSchedule,
    HeldFor,
    MarketSnapshot,
    Position,
    ProfitErosion,
    Quote,
    RateKind,
    Smoothed,
    SmoothedRate,
    TimeLimit,
)
from rebalancer.domain.names import Market, Pair
from rebalancer.domain.numbers import fraction
from rebalancer.domain.times import from_epoch
from rebalancer.history.table import Row, Series
from rebalancer.plugins import PluginManager
from rebalancer.replay import Trade, TradeAction, replay
from rebalancer.testing import sample_history

PRESETS = PluginManager().registry.presets

HOUR = 3600
DAYS = 5
STRATEGIES = {
    **{name: PRESETS.create(name) for name in PRESETS},
    "confirmed": CombinedStrategy(Confirmed(DivergenceFlip(), times=3), TimeLimit(max_age=timedelta(hours=30))),
    "scheduled": FundingSchedule(window=timedelta(hours=2), mode="when_paying")
    | (ProfitErosion(keep="0.5") & HeldFor(at_least=timedelta(hours=6))),
}


@cache
def a_history(seed: int = 7) -> FundingHistory:
    """Five days of the sample, in which one market goes missing for a while and another one ends."""
    series = list(sample_history(seed=seed, days=DAYS).series)
    gone, ended = series[0], series[-1]
    series[0] = Series(gone.market, gone.kind, (*gone.rows[:3], *gone.rows[9:]))
    series[-1] = Series(ended.market, ended.kind, ended.rows[:50])
    return FundingHistory.of(series)


def decisions(name: str, history: FundingHistory) -> list[Trade]:
    """Every decision of a replay but the forced closing at the end."""
    lines: list[Trade] = []
    replay(STRATEGIES[name], history, log=lines.append, holds=True)
    return list(takewhile(lambda line: line.action is not TradeAction.END, lines))


whole = cache(decisions)


def until(history: FundingHistory, at: int) -> FundingHistory:
    """Its rows up to `at`."""
    cut = ((series, tuple(row for row in series.rows if row.at <= at)) for series in history.series)
    return FundingHistory.of(Series(series.market, series.kind, rows) for series, rows in cut if rows)


def scrambled(history: FundingHistory, at: int, random: Random) -> FundingHistory:
    """Its rows up to `at`, then others."""
    return FundingHistory.of(
        Series(
            series.market,
            series.kind,
            tuple(
                row if row.at <= at else Row(row.at, random.randint(-(10**9), 10**9), row.interval)
                for row in series.rows
                if row.at <= at or random.random() < 0.7
            ),
        )
        for series in history.series
    )


cuts = st.integers(10, DAYS * 24 - 1).map(lambda hours: a_history().start + hours * HOUR)


@given(st.sampled_from(list(STRATEGIES)), cuts)
@settings(max_examples=20)
def test_a_history_that_ends_earlier_is_decided_the_same_up_to_there(name: str, at: int) -> None:
    part = until(a_history(), at)
    assert decisions(name, part) == [line for line in whole(name, a_history()) if line.at <= part.end]


@given(st.sampled_from(list(STRATEGIES)), cuts, st.integers(0, 2**32))
@settings(max_examples=20)
def test_no_decision_knows_the_future(name: str, at: int, seed: int) -> None:
    changed = decisions(name, scrambled(a_history(), at, Random(seed)))
    assert [line for line in changed if line.at <= at] == [line for line in whole(name, a_history()) if line.at <= at]


@given(st.sampled_from(list(STRATEGIES)), st.permutations(range(16)))
@settings(max_examples=5)
def test_the_order_of_the_series_changes_nothing(name: str, order: list[int]) -> None:
    series = a_history().series
    assert decisions(name, FundingHistory.of(series[place] for place in order)) == whole(name, a_history())


class ByHand:
    """Snapshots as a live caller would make them of the same rows."""

    def __init__(self, history: FundingHistory) -> None:
        self.rows = {series.market: series.rows for series in history.series}
        self.times = {market: [row.at for row in rows] for market, rows in self.rows.items()}

    def quotes(self, at: int, latest: int) -> Iterator[Quote]:
        """The last quotes of each market by then, `latest` of each."""
        for market, rows in self.rows.items():
            place = bisect_right(self.times[market], at)
            for row in rows[max(0, place - latest) : place]:
                yield a_quote(market, row)

    def snapshot(self, at: int) -> MarketSnapshot:
        return MarketSnapshot(
            as_of=from_epoch(at),
            quotes=tuple(self.quotes(at, 1)),
            observations=tuple(self.quotes(at, 3)),
            smoothed=tuple(self.smoothed(at)),
        )

    def smoothed(self, at: int) -> Iterator[SmoothedRate]:
        """The means of the rows by then, by the formula."""
        signal, million = Smoothed(), 10**6
        clip = 8 * 10**8
        for market, rows in self.rows.items():
            num = den = seen = last = 0
            past = rows[: bisect_right(self.times[market], at)]
            for row in past:
                kept = round(million * 2 ** (-(row.at - last) / (120 * HOUR))) if last else 0
                weight = million - round(million * 2 ** (-row.interval / (120 * HOUR)))
                num = (num * kept + weight * max(-clip, min(clip, row.per_8h))) // million
                den = den * kept // million + weight
                seen, last = seen + row.interval, row.at
            if past:
                yield SmoothedRate(
                    venue=market.venue,
                    symbol=market.symbol,
                    signal=signal,
                    num=num,
                    den=den,
                    settled_at=from_epoch(last),
                    interval=past[-1].interval,
                    seen=seen,
                )


def a_quote(market: Market, row: Row) -> Quote:
    interval = timedelta(seconds=row.interval)
    return Quote(
        venue=market.venue,
        symbol=market.symbol,
        rate=FundingRate(fraction(row.value), interval),
        observed_at=from_epoch(row.at),
        kind=RateKind.SETTLED,
        next_funding_at=from_epoch(row.at) + interval,
    )


def a_position(pair: Pair, snapshot: MarketSnapshot) -> Position:
    long, short = snapshot.by_market[pair.long], snapshot.by_market[pair.short]
    return Position(
        symbol=pair.symbol,
        long_dex=pair.long_dex,
        short_dex=pair.short_dex,
        size_usd=1,
        entry_long_rate=long.rate.per_8h,
        entry_short_rate=short.rate.per_8h,
        opened_at=snapshot.as_of,
    )


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_strategy_decides_the_same_on_snapshots_made_by_hand(name: str) -> None:
    """The rules' own limit on age does what the replay does with rates that are too old."""
    history, strategy = a_history(), STRATEGIES[name]
    hand = ByHand(history)
    held: dict[str, Position] = {}
    actions = set()
    for line in whole(name, history):
        snapshot = hand.snapshot(line.at)
        if line.action is TradeAction.OPEN:
            held[line.pair.symbol] = a_position(line.pair, snapshot)
            continue
        position = held.pop(line.pair.symbol)
        decision = strategy.decide(position, snapshot)
        target = decision.target.pair if decision.target else None
        assert (decision.action, decision.reason, target) == (Action(line.action), line.reason, line.target)
        assert line.divergence == snapshot.book[position.pair].divergence
        assert line.entry_divergence == position.entry_steps
        if line.action is TradeAction.HOLD:
            held[line.pair.symbol] = position
        elif line.target is not None:
            held[line.target.symbol] = a_position(line.target, snapshot)
        actions.add(line.action)
    assert {TradeAction.HOLD, TradeAction.SWITCH if name == "adaptive" else TradeAction.CLOSE} <= actions


def test_the_histories_of_these_tests_have_switches_and_unknown_rates() -> None:
    lines = [line for name in STRATEGIES for line in whole(name, a_history())]
    assert any(line.action is TradeAction.SWITCH for line in lines)
    assert any(line.divergence is None for line in lines)
    assert all(json.loads(line.to_json()) for line in lines)
