"""The same job by four libraries: `make peers`, which gives them an environment of their own.

Hold the spread of two venues' rates where it is above `ABOVE`, either way round; leave it under 0.3 of the entry, on a
flip, or after 72 h; a round trip costs 8 bp. The peers trade one unit of a price that moves by what is paid, so that
what they earn is the funding. All must open as many positions on each pair, and earn the same.

What is measured begins with each library's own arrays in memory and ends with the number of positions and what was
earned, pair by pair. vectorbt runs as its documentation advises where an exit depends on the entry: one order function,
compiled by numba, over all pairs at once; compiling is left out, of theirs and of ours. Ours, compiled, runs on all
processors, the others on one. backtesting.py and bt go bar by bar and pair by pair: a few pairs are run, and their time
is multiplied.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple

import backtesting
import bt
import numpy as np
import pandas as pd
import vectorbt as vbt
from numba import njit
from vectorbt.portfolio import nb
from vectorbt.portfolio.enums import NoOrder

from rebalancer import Costs, DivergenceFlip, EntryPolicy, ProfitErosion, TimeLimit
from rebalancer.domain.names import Market
from rebalancer.domain.numbers import ONE
from rebalancer.replay.board import Board
from rebalancer.replay.lanes import ColumnEngine, lane, sums

HOURS = 8_760
ABOVE = 0.0001
KEEP = 0.3
LONGEST = 72
LEG = 0.0002
BASE = 100.0
"""What the spread costs at first. A price must stay positive; what is earned does not depend on it."""
CASH = 1e6


@dataclass(frozen=True)
class Job:
    """`rates` per 8 h in grid steps, venues x pairs x hours: what is paid each hour is an eighth, exactly."""

    rates: Any

    @classmethod
    def of(cls, pairs: int, *, hours: int) -> Job:
        """Two venues a pair, drawn to resemble a year of settled rates of 164 pairs of 21 symbols on five real markets.

        Real, and of 500 pairs drawn: positions that this job opens on a pair, 295 and 288 (quartiles 98, 255, 419 and
        131, 212, 402), each held for 12.8 and 12.4 h; hours with more than 1 bp between the venues, 0.245 and 0.254;
        of these, again so and the same way round after 1, 8 and 24 h, 0.84, 0.33, 0.25 and 0.82, 0.31, 0.24; hours in
        which the spread changes, 0.31 and 0.30; autocorrelation of the spread, cut at 5 bp, after 1, 8 and 24 h, 0.88,
        0.35, 0.21 and 0.86, 0.38, 0.24; hours without a spread, 0.20 and 0.17.

        In 39 of 100 pairs one venue pays hourly; the others pay every 8 h. A rate rests at 1 bp or is below it, by half
        what lasts and half what does not, with wide tails, and more on some pairs than on others. Nothing can be opened
        at the first and at the last hour.
        """
        draw = np.random.default_rng(7)
        shape = 2, pairs
        size = 1.1 * np.exp(draw.normal(0, 0.5, pairs))
        hourly = np.array([draw.random(pairs) < 0.39, np.zeros(pairs, dtype=bool)])
        keep = np.where(hourly, 0.97, 0.8)
        lasting, rates = np.zeros(shape), np.zeros((*shape, hours), dtype=np.int64)
        for hour in range(hours):
            changes = np.where(hourly, draw.random(shape) < 0.7, hour % 8 == 0)
            moved = keep * lasting + np.sqrt(1 - keep**2) * draw.normal(0, 1, shape)
            lasting = np.where(changes, moved, lasting)
            below = size * (0.5**0.5 * (lasting + draw.standard_t(3, shape) / 3**0.5) + 0.2)
            rate = np.round((1 - np.maximum(below, 0)) * 1e-4 * (ONE // 8)).astype(np.int64) * 8
            rates[:, :, hour] = np.where(changes, rate, rates[:, :, hour - 1])
        rates[:, :, [0, -1]] = 0
        return cls(rates)

    def few(self, pairs: int) -> Any:
        """The places of a few of the pairs, from those that are seldom above to those that often are."""
        order = np.argsort((np.abs(self.rates[1] - self.rates[0]) > ABOVE * ONE).sum(axis=1), kind="stable")
        every = len(order) // pairs
        return order[every // 2 :: every][:pairs]

    def prepare(self) -> None:
        """Make the arrays of all."""
        _ = self.spread, self.price, self.board

    @cached_property
    def spread(self) -> Any:
        """The rate of the second venue less that of the first, per 8 h: hours x pairs, as the peers want it."""
        return np.ascontiguousarray(((self.rates[1] - self.rates[0]) / ONE).T)

    @cached_property
    def price(self) -> Any:
        """A price that moves by what the spread is paid."""
        return BASE + np.cumsum(self.spread / 8, axis=0)

    @cached_property
    def board(self) -> Board:
        """The job as our engine wants it."""
        _, pairs, hours = self.rates.shape
        rates = self.rates.transpose(1, 0, 2).reshape(2 * pairs, hours)
        width = len(str(pairs))
        return Board(
            first=0,
            every=3600,
            ticks=hours,
            markets=tuple(Market(venue, f"S{pair:0{width}}") for pair in range(pairs) for venue in ("a", "b")),
            rates=rates,
            known=np.ones(rates.shape, dtype=bool),
            paid=np.cumsum(rates // 8, axis=1),
            ends=np.full(2 * pairs, hours),
        )


class Result(NamedTuple):
    """By pair: how many positions were opened, and what they earned."""

    trades: Any
    earned: Any


Numbers = tuple[float, float, float]
"""Of a setting: above what a pair is opened, the share to keep, and the hours after which it is left."""
DEFAULT: Numbers = (ABOVE, KEEP, LONGEST)


def ours(job: Job, settings: list[Numbers], engine: ColumnEngine) -> list[Result]:
    """The job by this library. The board is a new one each time, so that nothing is known from the last one."""
    made, costs = replace(job.board), Costs.flat(leg_bps=LEG * 10_000)
    lanes = [
        lane(
            ProfitErosion(keep=keep) | DivergenceFlip() | TimeLimit(max_age=timedelta(hours=longest)),
            EntryPolicy(above=above),
            costs,
        )
        for above, keep, longest in settings
    ]
    funding, cost, trades, _ = sums(made, lanes, [], engine=engine)[..., 0]
    return [Result(*found) for found in zip(trades // 2, (funding - cost) / ONE, strict=True)]


@njit  # type: ignore[untyped-decorator]
def _order(c: Any, spread: Any, entry: Any, opened: Any, above: float, keep: float, longest: float, fee: float) -> Any:
    now = spread[c.i, c.col]
    if c.position_now == 0:
        if abs(now) <= above:
            return NoOrder
        entry[c.col], opened[c.col] = now, c.i
        return nb.order_nb(1.0 if now > 0 else -1.0, c.close[c.i, c.col], fixed_fees=fee)
    held = now if entry[c.col] > 0 else -now
    if held < keep * abs(entry[c.col]) or held < 0 or c.i - opened[c.col] >= longest:
        return nb.order_nb(-c.position_now, c.close[c.i, c.col], fixed_fees=fee)
    return NoOrder


def by_vectorbt(job: Job, settings: list[Numbers]) -> list[Result]:
    """The job by vectorbt: all pairs at once, setting by setting."""
    spread, price = job.spread, job.price
    pairs = spread.shape[1]
    results = []
    for above, keep, longest in settings:
        state = np.zeros(pairs), np.zeros(pairs, dtype=np.int64)
        portfolio = vbt.Portfolio.from_order_func(
            price, _order, spread, *state, above, keep, float(longest), 2 * LEG, init_cash=CASH, freq="1h"
        )
        trades = portfolio.trades.count()
        earned = portfolio.final_value() - CASH
        results.append(Result(np.asarray(trades), np.asarray(earned)))
    return results


class Spread(backtesting.Strategy):  # type: ignore[misc]
    """The job of one pair by backtesting.py."""

    def init(self) -> None:
        """Nothing is worked out before."""
        self.entry, self.opened = 0.0, 0

    def next(self) -> None:
        """Decide one bar."""
        now, bar = self.data.Spread[-1], len(self.data)
        if not self.position:
            if abs(now) > ABOVE:
                self.entry, self.opened = now, bar
                (self.buy if now > 0 else self.sell)(size=1)
            return
        held = now if self.entry > 0 else -now
        if held < KEEP * abs(self.entry) or held < 0 or bar - self.opened >= LONGEST:
            self.position.close()


def by_backtesting(job: Job) -> Result:
    """The job by backtesting.py, pair by pair."""
    trades, earned = [], []
    spread, price = job.spread, job.price
    index = pd.date_range("2025-01-01", periods=len(price), freq="h")
    for pair in range(price.shape[1]):
        close = price[:, pair]
        bars = {"Open": close, "High": close, "Low": close, "Close": close, "Spread": spread[:, pair]}
        test = backtesting.Backtest(
            pd.DataFrame(bars, index=index),
            Spread,
            cash=CASH,
            commission=lambda _size, _price: 2 * LEG,
            trade_on_close=True,
            finalize_trades=True,
        )
        found = test.run()
        trades.append(found["# Trades"])
        earned.append(found["Equity Final [$]"] - CASH)
    return Result(np.array(trades), np.array(earned))


class Decide(bt.Algo):  # type: ignore[misc]
    """The job of one pair by bt."""

    def __init__(self, spread: Any) -> None:
        super().__init__()
        self.spread, self.bar, self.held, self.entry, self.opened, self.trades = spread, -1, 0, 0.0, 0, 0

    def __call__(self, target: Any) -> bool:
        """Decide one bar."""
        self.bar += 1
        now = self.spread[self.bar]
        if not self.held:
            if abs(now) > ABOVE:
                self.held, self.entry, self.opened = 1 if now > 0 else -1, now, self.bar
                self.trades += 1
                target.transact(self.held, child="pair")
            return True
        held = now * self.held
        if held < KEEP * abs(self.entry) or held < 0 or self.bar - self.opened >= LONGEST:
            target.transact(-self.held, child="pair")
            self.held = 0
        return True


def by_bt(job: Job) -> Result:
    """The job by bt, pair by pair."""
    trades, earned = [], []
    spread, price = job.spread, job.price
    index = pd.date_range("2025-01-01", periods=len(price), freq="h")
    for pair in range(price.shape[1]):
        strategy = bt.Strategy("spread", [Decide(spread[:, pair])], children=["pair"])
        data = pd.DataFrame({"pair": price[:, pair]}, index=index)
        test = bt.Backtest(
            strategy,
            data,
            initial_capital=CASH,
            integer_positions=False,
            commissions=lambda _size, _price: 2 * LEG,
            progress_bar=False,
        )
        test.run()
        trades.append(test.strategy.stack.algos[0].trades)  # it ran a copy
        earned.append(float(test.strategy.values.iloc[-1]) - CASH)
    return Result(np.array(trades), np.array(earned))


class Spent(NamedTuple):
    """Seconds, as the clock on the wall has them, and those of all processors: neighbours count less in these."""

    wall: float
    processor: float

    @classmethod
    def by(cls, function: Callable[[], Any]) -> tuple[Spent, Any]:
        """What a call takes, the median of as many calls as take half a second, and what it gives."""
        taken: list[Spent] = []
        while sum(one.wall for one in taken) < 0.5:
            wall, processor = time.perf_counter(), time.process_time()
            result = function()
            taken.append(cls(time.perf_counter() - wall, time.process_time() - processor))
        return cls(*map(statistics.median, zip(*taken, strict=True))), result

    def times(self, count: float) -> Spent:
        """That so many times over."""
        return Spent(self.wall * count, self.processor * count)


def same(name: str, one: Result, other: Result) -> None:
    """Raise unless two libraries opened as many positions on each pair and earned the same."""
    if not (one.trades == other.trades).all() or not np.allclose(one.earned, other.earned, atol=1e-5, rtol=0):
        differ = int((one.trades != other.trades).sum())
        raise SystemExit(f"{name}: {differ} pairs differ in trades: {one.trades[:5]} {other.trades[:5]}")


def year(pairs: int, few: int, rounds: int) -> None:
    """One setting on many pairs, by all libraries."""
    job = Job.of(pairs, hours=HOURS)
    some = job.few(few)
    small = Job(job.rates[:, some])
    for one in (job, small):
        one.prepare()
    every = np.arange(pairs)
    ways: dict[str, tuple[Callable[[], Result], Any]] = {
        "vectorbt": (lambda: by_vectorbt(job, [DEFAULT])[0], every),
        "ours, numpy": (lambda: ours(job, [DEFAULT], "numpy")[0], every),
        "ours, numba": (lambda: ours(job, [DEFAULT], "compiled")[0], every),
        "backtesting.py": (lambda: by_backtesting(small), some),
        "bt": (lambda: by_bt(small), some),
    }
    by_vectorbt(small, [DEFAULT])
    ours(small, [DEFAULT], "compiled")
    taken: dict[str, list[Spent]] = {name: [] for name in ways}
    for _ in range(rounds):
        results = {}
        for name, (way, places) in ways.items():
            took, results[name] = Spent.by(way)
            taken[name].append(took.times(pairs / len(places)))
        ours_found = results["ours, numpy"]
        for name, (_, places) in ways.items():
            same(name, Result(ours_found.trades[places], ours_found.earned[places]), results[name])
    opened = int(ours_found.trades.sum())
    print(f"{pairs} pairs x {HOURS:,} h, {opened:,} positions, the same by all; median of {rounds} rounds;")
    print(f"backtesting.py and bt: {few} pairs, times {pairs / few:g}")
    table(taken)


def settings(pairs: int, count: int, rounds: int) -> None:
    """Many settings on some pairs, by vectorbt and by us."""
    job = Job.of(pairs, hours=HOURS)
    job.prepare()
    grid: list[Numbers] = [
        (round(ABOVE + place % 10 * 1e-5, 12), round(0.1 + place // 10 * 0.08, 6), 24 + place % 7 * 24)
        for place in range(count)
    ]
    taken: dict[str, list[Spent]] = {"vectorbt": [], "ours, numpy": [], "ours, numba": []}
    ours(job, grid[:1], "compiled")
    by_vectorbt(job, grid[:1])
    for _ in range(rounds):
        results = {}
        for name, way in (
            ("vectorbt", lambda: by_vectorbt(job, grid)),
            ("ours, numpy", lambda: ours(job, grid, "numpy")),
            ("ours, numba", lambda: ours(job, grid, "compiled")),
        ):
            took, results[name] = Spent.by(way)
            taken[name].append(took)
        for name, found in results.items():
            for one, other in zip(results["ours, numpy"], found, strict=True):
                same(name, one, other)
    print(f"\n{pairs} pairs x {HOURS:,} h x {count} settings; median of {rounds} rounds")
    table(taken)


def table(taken: dict[str, list[Spent]]) -> None:
    """Seconds, and how many times as long it took as ours by numpy and by numba; then the same of processors."""
    print(f"{'':<16}{'seconds':>10}{'of numpy':>12}{'of numba':>12}{'processor':>14}{'of numpy':>12}{'of numba':>12}")
    for name, times in taken.items():
        line = f"{name:<16}"
        for column, width in (("wall", 10), ("processor", 14)):
            mine = [getattr(one, column) for one in times]
            line += f"{statistics.median(mine):>{width}.3f}"
            for engine in ("numpy", "numba"):
                ours_took = [getattr(one, column) for one in taken[f"ours, {engine}"]]
                ratio = statistics.median(one / other for one, other in zip(mine, ours_took, strict=True))
                line += f"{ratio:>10.1f} x"
        print(line)


def main() -> None:
    """Both jobs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--few", type=int, default=5, help="pairs for the libraries that go bar by bar")
    parser.add_argument("--sweep-pairs", type=int, default=50)
    parser.add_argument("--settings", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    year(given.pairs, given.few, given.rounds)
    settings(given.sweep_pairs, given.settings, given.rounds)


if __name__ == "__main__":
    main()
