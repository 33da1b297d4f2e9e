"""Holding through on columns: each symbol learns row by row until it opens, then earns what its pair is paid."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import groupby, repeat

from ..costs import Costs
from ..domain.names import Pair
from ..domain.snapshot import MarketSnapshot
from ..domain.times import from_epoch
from ..history.table import FundingHistory, Row, Series
from .baseline import HoldThrough
from .board import Board
from .feed import Tick


def hold_through(history: FundingHistory, board: Board, costs: Costs) -> HoldThrough:
    """Holding through a history to its end, the symbols one by one."""
    every = HoldThrough(costs)
    by_symbol: dict[str, list[Series]] = {}
    for series in history.series:
        by_symbol.setdefault(series.market.symbol, []).append(series)
    places = {market: place for place, market in enumerate(board.markets)}
    for symbol, several in by_symbol.items():
        opened = _opened(several, board, costs)
        if opened is not None:
            tick, pair, cost = opened
            long, short = board.paid[places[pair.long]], board.paid[places[pair.short]]
            earned = int(short[-1]) - int(short[tick]) - int(long[-1]) + int(long[tick])
            every.earned[symbol] = cost + earned
    return every


def _opened(several: list[Series], board: Board, costs: Costs) -> tuple[int, Pair, int] | None:
    """When (in ticks) a symbol is opened, as which pair, and what its trades earn: their costs, as a negative."""
    each = (zip(repeat(series), series.rows) for series in several)
    rows: Iterator[tuple[Series, Row]] = merge(*each, key=lambda pair: pair[1].at)
    symbol, one = several[0].market.symbol, HoldThrough(costs)
    for tick, came in groupby(rows, key=lambda pair: max(0, -((board.first - pair[1].at) // board.every))):
        at = board.first + board.every * tick
        one.take(Tick(at, tuple(came), _NOTHING))
        pair = one.held.get(symbol)
        if pair is not None:
            return tick, pair, one.earned[symbol]
    return None


_NOTHING = MarketSnapshot(as_of=from_epoch(0), quotes=())
"""Holding through looks at the rows alone."""
