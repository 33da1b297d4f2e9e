"""What columns save, and what a year takes beside reading it: `python benchmarks/replay.py`.

First all rules that vectorise, with switches and rotations, on a few symbols of ten venues each: tick by tick as live
deciding does it, in numpy, and compiled. What is timed is scoring one setting on a history in memory, to the funding,
costs and trades of each symbol: tick by tick that includes making the snapshots; through columns, making the columns of
the history is told apart, since that is done once for any number of settings. Compiling is left out, by a run before.
All find the same, and every rule decides somewhere.

Then, where the data set of a year is beside the checkout, one preset on it, the optimum included, against reading and
validating the file.

Ratios are medians of those of interleaved rounds. Nothing here is a gate: machines differ, ratios less so.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from rebalancer import (
    BetterOpportunity,
    CombinedStrategy,
    Cooldown,
    Costs,
    DivergenceFlip,
    EntryPolicy,
    FundingHistory,
    FundingSchedule,
    HeldFor,
    OpenInterestImbalance,
    ProfitErosion,
    SettlementDue,
    TimeLimit,
    presets,
)
from rebalancer.domain.funding import RateKind
from rebalancer.domain.names import Market
from rebalancer.history.table import Row, Series
from rebalancer.replay import Setting, kernel, replay
from rebalancer.replay.lanes import Engine
from rebalancer.replay.program import program
from rebalancer.replay.scores import Scorer

HOUR = 3600
VENUES = tuple(f"venue{number}" for number in range(10))
YEAR = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "hl_binance_bybit_2025-08_2026-08.csv.gz"
COSTS = Costs(leg_bps=2, venues={"venue3": 1, "venue7": "3.5"})
EVERYTHING = CombinedStrategy(
    DivergenceFlip(margin="-0.0001") & HeldFor(at_least=timedelta(hours=3)),
    ProfitErosion(keep="0.2", reason="SEVERE_EROSION") & ~SettlementDue(within=timedelta(hours=2)),
    BetterOpportunity(costs=COSTS, min_improvement="0.001", horizon=timedelta(hours=24)),
    BetterOpportunity(cost_bps=8, min_improvement="0.0005", horizon=timedelta(hours=48), reason="FLAT_FEE_SWITCH")
    & HeldFor(at_least=timedelta(hours=12)),
    FundingSchedule(window=timedelta(minutes=61), mode="when_paying") & ~DivergenceFlip(),
    OpenInterestImbalance(max_ratio=8, min_ratio="0.125") & Cooldown(after=timedelta(hours=1)),
    ProfitErosion(keep="0.5") & HeldFor(at_least=timedelta(hours=4)),
    TimeLimit(max_age=timedelta(hours=24)),
)


def a_history(symbols: int, hours: int) -> FundingHistory:
    """Markets that pay each hour, every 4 or every 8: rates that rest at 1 bp per 8 h, drift and jump, with gaps."""
    draw, series = Random(7), []
    for symbol in range(symbols):
        for place, venue in enumerate(VENUES):
            interval, drift, rows = (1, 8, 4, 8, 1)[place % 5], 0.0, []
            for hour in range(interval, hours + 1, interval):
                drift = 0.9 * drift + draw.gauss(0, 0.4)
                per_8h = 1 - max(0.0, drift + (draw.gauss(0, 4) if draw.random() < 0.05 else 0))
                if draw.random() < 0.99:
                    value, interest = round(per_8h * 10**8 * interval / 8), Decimal(draw.randrange(10**6, 9 * 10**6))
                    rows.append(Row(hour * HOUR, value, interval * HOUR, open_interest_usd=interest))
            series.append(Series(Market(venue, f"S{symbol}"), RateKind.SETTLED, tuple(rows)))
    return FundingHistory.of(series)


def spent(function: Callable[[], Any]) -> tuple[float, Any]:
    """What a call takes, in seconds, and what it gives."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def compare(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """What each way takes, round by round, one after another; what they find must be the same."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        found = []
        for name, way in ways.items():
            seconds, result = spent(way)
            taken[name].append(seconds)
            found.append(result)
        assert all(one == found[0] for one in found)
    return taken


def times(one: list[float], other: list[float]) -> float:
    """How many times as long as the other one takes."""
    return statistics.median(first / second for first, second in zip(one, other, strict=True))


def engines(symbols: int, hours: int, rounds: int) -> None:
    """All rules on ten venues, by each engine."""
    history = a_history(symbols, hours)
    setting = Setting(EVERYTHING, entry=EntryPolicy(), costs=COSTS)
    report = replay(setting.strategy, history, entry=setting.entry, costs=COSTS, engine="scalar")
    silent = set(program(EVERYTHING).reasons) - {trade.reason for trade in report.log}
    assert not silent, f"rules that never decide: {silent}"
    kept = Scorer(history)

    def scored(scorer: Scorer, engine: Engine) -> list[Any]:
        found = scorer.scores([setting], engine=engine)
        return [array.tolist() for array in (found.funding, found.cost, found.trades, found.legs)]

    ways: dict[str, Callable[[], Any]] = {
        "tick by tick": lambda: scored(kept, "scalar"),
        "numpy, columns made": lambda: scored(kept, "numpy"),
        "numpy": lambda: scored(Scorer(history), "numpy"),
    }
    if kernel.available():
        ways["compiled, columns made"] = lambda: scored(kept, "compiled")
        ways["compiled"] = lambda: scored(Scorer(history), "compiled")
    for way in list(ways.values())[1:]:
        way()
    print(f"{len(EVERYTHING.rules)} rules, {symbols} symbols on {len(VENUES)} venues, {hours:,} h, ", end="")
    print(f"{report.trades:,} trades, the same by all; median of {rounds} rounds")
    taken = compare(ways, rounds)
    for name, seconds in taken.items():
        print(f"{name:24} {statistics.median(seconds):10.4f} s {times(taken['tick by tick'], seconds):8.0f} x as fast")


def year(rounds: int) -> None:
    """One preset on the year, the optimum included, against reading and validating the file."""
    if not YEAR.exists():
        print("\nthe data set of a year is not there")
        return
    history = FundingHistory.read(YEAR)
    rows = sum(len(one.rows) for one in history.series)
    reading, replaying = [], []
    for _ in range(rounds):
        seconds, history = spent(partial(FundingHistory.read, YEAR))
        reading.append(seconds)
        seconds, report = spent(partial(replay, presets.combined(), history))
        replaying.append(seconds)
        assert report.optimum_bps is not None
    print(f"\na year of {len(history.symbols)} symbols, {rows:,} rows, presets.combined(); median of {rounds} rounds")
    print(f"read and validate        {statistics.median(reading):10.2f} s")
    print(
        f"replay and optimum       {statistics.median(replaying):10.2f} s {times(replaying, reading):8.2f} x of reading"
    )


def main() -> None:
    """Both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--symbols", type=int, default=5)
    parser.add_argument("--hours", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    engines(given.symbols, given.hours, given.rounds)
    year(given.rounds)


if __name__ == "__main__":
    main()
