"""What settings earned on a history, by symbol and part of time: the integers that a sweep is made of.

Settings that vectorise run through columns, many at once. The reference is for the others: each is replayed, and its
log is paid out from the settled rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from ..costs import Costs
from ..domain.names import Pair
from ..domain.times import epoch_seconds, read_instant, seconds
from ..entry.policy import Entry, EntryPolicy
from ..errors import HistoryError, InputError
from ..history.table import FundingHistory, Series
from ..rules.combined import CombinedStrategy
from .board import Board
from .columns import MOST, numpy
from .engine import HOUR, replay
from .lanes import Engine, Lane, check_engine, column_engine, lane, sums
from .log import Trade, TradeAction
from .program import NoColumnsError

if TYPE_CHECKING:
    from .columns import Steps


@dataclass(frozen=True, slots=True, init=False)
class Setting:
    """What is replayed: a strategy, when it opens, and what its trades cost.

    As in `replay`, `entry` is by default the policy that matches the strategy, and a leg costs 2 bp.
    """

    strategy: CombinedStrategy
    entry: Entry
    costs: Costs

    def __init__(self, strategy: CombinedStrategy, *, entry: Entry | None = None, costs: Costs | None = None) -> None:
        if not isinstance(strategy, CombinedStrategy):
            raise InputError(f"a {type(strategy).__name__} is not a strategy: wrap rules as CombinedStrategy(rule)")
        object.__setattr__(self, "strategy", strategy)
        object.__setattr__(self, "entry", entry if entry is not None else EntryPolicy.matching(strategy))
        object.__setattr__(self, "costs", costs if costs is not None else Costs.flat(leg_bps=2))

    def __reduce__(self) -> tuple[object, ...]:
        return _setting, (self.strategy, self.entry, self.costs)


def _setting(strategy: CombinedStrategy, entry: Entry, costs: Costs) -> Setting:
    return Setting(strategy, entry=entry, costs=costs)


@dataclass(frozen=True, slots=True)
class Scores:
    """What was earned: int64 arrays of shape (settings x symbols x parts), symbols sorted, parts in order of time.

    `net` = `funding` - `cost`, in grid steps (1e-12) of one leg's notional; `cost` is above 0 where trading cost money.
    `trades` and `legs` count trades and the legs that they traded. As in a report, a switch to another symbol is the
    left symbol's.
    """

    symbols: tuple[str, ...]
    net: Steps
    funding: Steps
    cost: Steps
    trades: Steps
    legs: Steps


def scores(
    history: FundingHistory, settings: Sequence[Setting], *, every: timedelta = HOUR, cuts: Sequence[datetime] = ()
) -> Scores:
    """What each setting earns on the history, exactly as `replay` has it, by symbol and by part.

    The parts are the times between the `cuts` (aware and rising), by one replay through the whole history: a position
    may be held across a cut. Funding and costs are counted in the part in which they were paid: what happens at a tick
    exactly at a cut belongs to the part that begins there, and the closes at the end belong to the last.

    Needs the extra `replay`. Raises HistoryError for a history without settled rates, since only those pay, and
    InputError for cuts that do not rise.
    """
    return Scorer(history, every=every, cuts=cuts).scores(settings)


class Scorer:
    """`scores` of one history, again and again: its columns are made once, when they are first needed.

    Its strategies are compiled as soon as the ticks that it was asked for, in all lanes, make that worth its time; from
    the beginning, if so many settings are `expected`.
    """

    def __init__(
        self,
        history: FundingHistory,
        *,
        every: timedelta = HOUR,
        cuts: Sequence[datetime] = (),
        expected: int = 0,
    ) -> None:
        if not history.settled:
            raise HistoryError("a score needs settled rates: only those pay")
        if not isinstance(every, timedelta) or every < timedelta(seconds=1) or every.microseconds:
            raise InputError("every must be a whole number of seconds above 0")
        self._history = history.decisive()
        self._every, self._cuts = every, tuple(cuts)
        self._edges = _edges(cuts)
        self._expected = expected
        self._asked = 0

    def __reduce__(self) -> tuple[object, ...]:
        return _scorer, (self._history, self._every, self._cuts, self._expected)

    @cached_property
    def _board(self) -> Board:
        return Board.of(self._history, every=seconds(self._every))

    @cached_property
    def _book(self) -> _Book:
        return _Book(self._history, self._edges, every=self._every)

    def scores(self, settings: Sequence[Setting], *, engine: Engine = "auto") -> Scores:
        """What each setting earns; `engine` as in `replay`."""
        check_engine(engine)
        symbols = self._history.symbols
        found = numpy().zeros((4, len(settings), len(symbols), len(self._edges) + 1), dtype="int64")
        lanes: dict[int, Lane] = {}
        for place, setting in enumerate(settings):
            try:
                lanes[place] = _lane(setting, engine)
            except NoColumnsError as error:
                if engine not in {"auto", "scalar"}:
                    raise InputError(f"this replay can not be {engine}: {error}") from error
                found[:, place] = self._book.score(setting)
        if lanes:
            self._fill(found, lanes, engine)
        funding, cost, trades, legs = found
        return Scores(symbols, net=funding - cost, funding=funding, cost=cost, trades=trades, legs=legs)

    def _fill(self, found: Steps, lanes: dict[int, Lane], engine: Engine) -> None:
        board = self._board
        self._asked += len(lanes)
        ticks = [-(-(edge - board.first) // board.every) for edge in self._edges]
        cells = max(self._asked, self._expected) * len(board.symbols) * board.ticks
        found[:, list(lanes)] = sums(board, list(lanes.values()), ticks, engine=column_engine(engine, cells))


def _scorer(history: FundingHistory, every: timedelta, cuts: tuple[datetime, ...], expected: int) -> Scorer:
    return Scorer(history, every=every, cuts=cuts, expected=expected)


def _lane(setting: Setting, engine: Engine) -> Lane:
    if engine == "scalar":
        raise NoColumnsError("asked for")
    return lane(setting.strategy, setting.entry, setting.costs)


def _edges(cuts: Sequence[datetime]) -> list[int]:
    edges = [epoch_seconds(read_instant(cut)) for cut in cuts]
    if any(later <= earlier for earlier, later in pairwise(edges)):
        raise InputError("cuts must rise: each later than the one before")
    return edges


_Parts = list[list[int]]
"""Figures by symbol and part."""


class _Figures(NamedTuple):
    funding: _Parts
    cost: _Parts
    trades: _Parts
    legs: _Parts


class _Paid:
    """What a market had paid to a short leg by an instant, in grid steps."""

    def __init__(self, series: Series) -> None:
        if sum(abs(row.value) for row in series.rows) >= MOST:
            raise HistoryError(f"{series.market}: its rates are too large to be added up in 64 bits")
        self._times = [row.at for row in series.rows]
        self._sums = [0, *accumulate(row.value for row in series.rows)]

    def between(self, after: int, until: int) -> int:
        """What was paid later than `after` and not later than `until`."""
        return self._sums[bisect_right(self._times, until)] - self._sums[bisect_right(self._times, after)]


class _Book:
    """The settled rows of a history, ready to pay out the positions of any log."""

    def __init__(self, history: FundingHistory, edges: Sequence[int], *, every: timedelta) -> None:
        self.symbols = history.symbols
        self._history = history
        self._every = every
        self._edges = edges
        self._paid = {series.market: _Paid(series) for series in history.series}

    def score(self, setting: Setting) -> _Figures:
        """Replay a setting, and add up its log."""
        report = replay(
            setting.strategy,
            self._history,
            entry=setting.entry,
            costs=setting.costs,
            every=self._every,
            engine="scalar",
        )
        figures = _Figures(*([[0] * (len(self._edges) + 1) for _ in self.symbols] for _ in range(4)))
        places = {symbol: place for place, symbol in enumerate(self.symbols)}
        opened: dict[Pair, int] = {}
        for trade in report.log:
            place, part = places[trade.pair.symbol], bisect_right(self._edges, trade.at)
            figures.cost[place][part] += trade.cost
            figures.trades[place][part] += 1
            figures.legs[place][part] += trade.legs
            if trade.action is not TradeAction.OPEN:
                for part, earned in self._earned(trade, opened.pop(trade.pair)):
                    figures.funding[place][part] += earned
            now_held = trade.pair if trade.action is TradeAction.OPEN else trade.target
            if now_held is not None:
                opened[now_held] = trade.at
        return figures

    def _earned(self, trade: Trade, opened: int) -> Iterator[tuple[int, int]]:
        """What the position that a trade ended was paid in each part, from its opening on."""
        every, pair = seconds(self._every), trade.pair
        ticks = [-(-edge // every) * every for edge in self._edges]  # a row is paid at the first tick not before it
        for part, until in enumerate([*ticks, None]):
            last = trade.at if until is None else min(until - every, trade.at)
            if last > opened:
                short, long = self._paid[pair.short], self._paid[pair.long]
                yield part, short.between(opened, last) - long.between(opened, last)
                opened = last
