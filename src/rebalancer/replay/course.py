"""The course of a replay: what was held when, and what had been earned by then, from trades and the settled rows alone.

All amounts are grid steps of one leg's notional, exact.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import NamedTuple

from ..costs import Costs
from ..domain.names import Market, Pair
from ..domain.snapshot import MarketSnapshot
from ..domain.times import from_epoch
from ..history.table import FundingHistory, Row, Series
from .baseline import HoldThrough
from .feed import Tick
from .hindsight import Hindsight
from .log import Trade, TradeAction


class Change(NamedTuple):
    """At `at` (epoch seconds) `held` became `target`; None is flat. The legs that were traded cost `cost`."""

    at: int
    held: Pair | None
    target: Pair | None
    cost: int


@dataclass(slots=True)
class PairFigures:
    """What a pair of venues was paid and what its legs cost, for how many seconds it was held, and how many times."""

    funding: int = 0
    cost: int = 0
    held: int = 0
    times: int = 0


class Holding(NamedTuple):
    """A pair that was held: the settlements after `opened`, up to and including those at `left`, paid `funding`."""

    opened: int
    left: int
    pair: Pair
    funding: int


@dataclass(frozen=True)
class Payments:
    """What each market of a history has paid to a short by which time."""

    history: FundingHistory
    _sums: dict[Market, tuple[list[int], list[int]]] = field(default_factory=dict, repr=False)

    def between(self, pair: Pair, start: int, end: int) -> int:
        """What holding the pair was paid after `start`, up to and including `end`."""
        return self._one(pair.short, start, end) - self._one(pair.long, start, end)

    def __post_init__(self) -> None:
        for series in self.history.series:
            sums = [0, *accumulate(row.value for row in series.rows)]
            self._sums[series.market] = [row.at for row in series.rows], sums

    def _one(self, market: Market, start: int, end: int) -> int:
        times, sums = self._sums.get(market, ([], [0]))
        return sums[bisect_right(times, end)] - sums[bisect_right(times, start)]


def of_log(log: Iterable[Trade], costs: Costs) -> list[Change]:
    """The changes that a strategy made."""
    changes = []
    for trade in log:
        opens = trade.action is TradeAction.OPEN
        held, target = (None, trade.pair) if opens else (trade.pair, trade.target)
        if trade.action is not TradeAction.HOLD:
            changes.append(Change(trade.at, held, target, costs.move(held, target).cost))
    return changes


def of_optimum(found: Hindsight) -> list[Change]:
    """The changes that perfect foresight would have made, in order of time."""
    return sorted((Change(*move) for one in found.symbols for move in one.moves), key=lambda change: change.at)


def of_hold_through(history: FundingHistory, costs: Costs, *, every: int) -> list[Change]:
    """The changes that opening the best pair of each symbol once, and keeping it, would have made."""
    opened, closed = [], []
    last = -(-history.end // every) * every
    for symbol in history.symbols:
        rows = sorted(
            ((series, row) for series in history.series if series.market.symbol == symbol for row in series.rows),
            key=lambda pair: pair[1].at,
        )
        found = _opening(symbol, rows, costs, first=-(-history.start // every) * every, every=every)
        if found is not None:
            at, pair = found
            opened.append(Change(at, None, pair, costs.move(None, pair).cost))
            closed.append(Change(last, pair, None, costs.move(pair, None).cost))
    return [*sorted(opened, key=lambda change: change.at), *closed]


def _opening(
    symbol: str, rows: list[tuple[Series, Row]], costs: Costs, *, first: int, every: int
) -> tuple[int, Pair] | None:
    one = HoldThrough(costs)
    for at, came in groupby(rows, key=lambda pair: max(first, -(-pair[1].at // every) * every)):
        one.take(Tick(at, tuple(came), _NOTHING))
        if symbol in one.held:
            return at, one.held[symbol]
    return None


_NOTHING = MarketSnapshot(as_of=from_epoch(0), quotes=())
"""Holding through looks at the rows alone."""


def holdings(changes: Iterable[Change], payments: Payments) -> Iterator[Holding]:
    """What was held, in order of when it was left."""
    since: dict[Pair, int] = {}
    for change in changes:
        if change.held is not None:
            opened = since.pop(change.held)
            funding = payments.between(change.held, opened, change.at)
            yield Holding(opened, change.at, change.held, funding)
        if change.target is not None:
            since[change.target] = change.at


def equity(changes: Iterable[Change], payments: Payments, points: Sequence[int]) -> list[int]:
    """What had been earned, costs paid, after the tick at each of the `points`: ticks in epoch seconds, rising."""
    changes = list(changes)
    earned = [0] * len(points)
    for change in changes:
        earned[bisect_left(points, change.at)] -= change.cost
    for hold in holdings(changes, payments):
        since = hold.opened
        for place in range(bisect_right(points, since), len(points)):
            until = min(hold.left, points[place])
            earned[place] += payments.between(hold.pair, since, until)
            since = until
            if until == hold.left:
                break
    return list(accumulate(earned))


def by_pair(changes: Iterable[Change], payments: Payments, costs: Costs) -> dict[tuple[str, str], PairFigures]:
    """What each pair of venues (long, short) earned over all symbols. A leg's cost is charged to the pair it is of."""
    changes = list(changes)
    found: dict[tuple[str, str], PairFigures] = {}
    for hold in holdings(changes, payments):
        one = found.setdefault(hold.pair[1:], PairFigures())
        one.funding += hold.funding
        one.held += hold.left - hold.opened
        one.times += 1
    for change in changes:
        for pair, other in ((change.held, change.target), (change.target, change.held)):
            if pair is not None:
                kept = () if other is None else (other.long, other.short)
                traded = [
                    leg for leg, same in zip((pair.long, pair.short), kept or (None, None), strict=True) if leg != same
                ]
                found[pair[1:]].cost += sum(costs.leg(leg.venue) for leg in traded)
    return found
