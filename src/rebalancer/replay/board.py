"""What every market of a history shows at every tick, as int64 columns on the grid with masks of what is known.

Markets are in order of (symbol, venue), so that the markets of a symbol stand together, and the order of their places
is the order in which ties between pairs are decided.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..costs import Costs
from ..domain.funding import MAX_INTERVAL, RateKind, divergence
from ..domain.names import Market
from ..domain.numbers import EIGHT_HOURS, ONE
from ..domain.smoothed import Smoothed
from ..domain.times import seconds
from ..errors import HistoryError
from ..history.read import MAX_INTEREST
from ..history.smoothing import Decay, learnt
from ..history.table import FundingHistory, Series
from ..history.view import MAX_INTERVALS
from ..rules.values import NEVER_SEEN, UNSCHEDULED
from .columns import MOST, numpy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .columns import Mask, Steps

    Places = NDArray[np.int32]


NOTHING = -2 * ONE
"""The widest divergence where there is no pair: below any limit, and small enough for the rules' functions."""
_NEVER = 1 << 62
between: Any = divergence
"""The divergence of two rates, which may be columns."""


class Widest(NamedTuple):
    """The pair with the largest divergence, by symbol and tick: its divergence (NOTHING where no pair is known), and
    its legs, as places of markets. Ties go by (long, short).
    """

    divergence: Steps
    long: Places
    short: Places


class MeanColumns(NamedTuple):
    """Smoothed rates per 8 h, 0 where not `known`; and when a market was settled last (epoch seconds, or NEVER_SEEN).
    Arrays of (markets x ticks).
    """

    rates: Steps
    known: Mask
    at: Steps


@dataclass(frozen=True)
class Board:
    """`ticks` instants from `first` on, `every` seconds apart. Columns are arrays of (markets x ticks).

    `rates` are per 8 h, 0 where not `known`. `paid` is what a short leg was paid up to and including a tick, in grid
    steps of its notional. `ends` is by market the first tick at which it had ended; `ticks` if it never does.
    `low` and `high` bound the markets of each symbol. `series` (without it, there are no schedules and no open
    interest) are where the other columns come from, when they are first asked for.
    """

    first: int
    every: int
    ticks: int
    markets: tuple[Market, ...]
    rates: Steps
    known: Mask
    paid: Steps
    ends: Steps
    series: tuple[Series, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, history: FundingHistory, *, every: int) -> Board:
        """The columns of a history. Raises HistoryError for figures that do not fit into 64 bits, or beyond bounds."""
        np = numpy()
        first = -(-history.start // every) * every
        ticks = -(-history.end // every) - first // every + 1
        series = tuple(sorted(history.series, key=lambda one: (one.market.symbol, one.market.venue)))
        markets = tuple(one.market for one in series)
        if twice := next((one for one, other in pairwise(markets) if one == other), None):
            raise HistoryError(f"two series of {twice}")
        board = cls(
            first,
            every,
            ticks,
            markets,
            rates=np.zeros((len(series), ticks), dtype=np.int64),
            known=np.zeros((len(series), ticks), dtype=bool),
            paid=np.zeros((len(series), ticks), dtype=np.int64),
            ends=np.full(len(series), ticks, dtype=np.int64),
            series=series,
        )
        total, symbol = 0, ""
        for place, one in enumerate(series):
            total = (total if one.market.symbol == symbol else 0) + board._fill(place, one, history.end)
            symbol = one.market.symbol
            if total >= MOST:
                raise HistoryError(f"{symbol}: its rates are too large to be added up in 64 bits")
        return board

    def _fill(self, place: int, series: Series, end: int) -> int:
        """Fill the columns of one market; what it pays in all, each payment as if it were positive."""
        np = numpy()
        at, value, interval = self._rows[place] = _numbers(series)
        last = self._last(place)
        np.logical_and(last >= 0, (at + MAX_INTERVALS * interval)[last] >= self._times, out=self.known[place])
        np.multiply(_per_8h(series, value, interval)[last], self.known[place], out=self.rates[place])
        if series.kind is RateKind.SETTLED:
            up_to = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(value)))
            np.copyto(self.paid[place], up_to[last + 1])
        if at[-1] + interval[-1] <= end:
            self.ends[place] = min(self.ticks, (int(at[-1]) - self.first) // self.every + 1)
        return sum(np.abs(value).tolist())

    @cached_property
    def _rows(self) -> dict[int, tuple[Steps, Steps, Steps]]:
        """By market: when its rows were, what they paid, and for how long."""
        return {}

    @cached_property
    def _times(self) -> Steps:
        """The instants of the ticks, in epoch seconds."""
        np = numpy()
        times: Steps = self.first + self.every * np.arange(self.ticks, dtype=np.int64)
        return times

    def _last(self, place: int) -> Steps:
        """By tick, the place of a market's last row; -1 before the first one."""
        np = numpy()
        last: Steps = np.searchsorted(self._rows[place][0], self._times, side="right") - 1
        return last

    @cached_property
    def due(self) -> Steps:
        """Seconds to the next settlement: an interval after the last one; UNSCHEDULED where that is past or unknown."""
        np = numpy()
        due: Steps = np.full(self.rates.shape, UNSCHEDULED, dtype=np.int64)
        for place, one in enumerate(self.series):
            if one.kind is RateKind.SETTLED:
                at, _, interval = self._rows[place]
                last = self._last(place)
                until = (at + interval)[last] - self._times
                np.copyto(due[place], until, where=(last >= 0) & (until >= 0))
        return due

    @cached_property
    def pays(self) -> Steps:
        """For how many seconds the market pays at a time; 0 before its first row."""
        np = numpy()
        pays: Steps = np.zeros(self.rates.shape, dtype=np.int64)
        for place in range(len(self.series)):
            last = self._last(place)
            np.copyto(pays[place], self._rows[place][2][last], where=last >= 0)
        return pays

    @cached_property
    def interest(self) -> Steps:
        """The open interest in whole dollars; -1 where unknown."""
        np = numpy()
        interest: Steps = np.full(self.rates.shape, -1, dtype=np.int64)
        for place, one in enumerate(self.series):
            if any(not 0 <= (row.open_interest_usd or 0) <= MAX_INTEREST for row in one.rows):
                raise HistoryError(f"{one.market}: open interest must be at least 0 and at most 1e11")
            values = [-1 if row.open_interest_usd is None else int(row.open_interest_usd) for row in one.rows]
            np.copyto(interest[place], np.array(values, dtype=np.int64)[self._last(place)], where=self.known[place])
        return interest

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, sorted."""
        return tuple(dict.fromkeys(market.symbol for market in self.markets))

    @cached_property
    def low(self) -> Steps:
        """By symbol, the place of its first market."""
        np = numpy()
        starts = [0, *(place for place, (one, other) in enumerate(pairwise(self.markets), 1) if one[1] != other[1])]
        low: Steps = np.array(starts, dtype=np.int64)
        return low

    @cached_property
    def high(self) -> Steps:
        """By symbol, the place after its last market."""
        np = numpy()
        high: Steps = np.append(self.low[1:], len(self.markets))
        return high

    def means(self, signal: Smoothed) -> MeanColumns:
        """The smoothed rates of a signal, learnt from the rows in Python's integers: in 64 bits they would wrap."""
        found = self._means.get(signal)
        if found is None:
            found = self._means[signal] = self._learnt(signal)
        return found

    @cached_property
    def _means(self) -> dict[Smoothed, MeanColumns]:
        return {}

    def _learnt(self, signal: Smoothed) -> MeanColumns:
        np, shape = numpy(), self.rates.shape
        at = np.full(shape, NEVER_SEEN, dtype=np.int64)
        found = MeanColumns(np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool), at)
        decay = Decay(signal.half_life)
        for place, series in enumerate(self.series):
            if series.kind is RateKind.SETTLED:
                last = self._last(place)
                rates, weights, seen = learnt(series, signal, decay)
                seen_there = (last >= 0) & (np.array(seen, dtype=np.int64)[last] >= signal.warm_up_seconds)
                known = found.known[place] = self.known[place] & seen_there & (np.array(weights)[last] > 0)
                np.multiply(np.array(rates, dtype=np.int64)[last], known, out=found.rates[place])
                np.copyto(at[place], self._rows[place][0][last], where=last >= 0)
        return found

    def ranked(self, signal: Smoothed | None) -> tuple[Steps, Mask]:
        """What pairs are ranked by, and where it is known: the means of a signal, or (None) the last rates."""
        return (self.rates, self.known) if signal is None else self.means(signal)[:2]

    def widest(self, signal: Smoothed | None) -> Widest:
        """The widest pair of each symbol, tick by tick, by what `ranked` says."""
        found = self._widest.get(signal)
        if found is None:
            found = self._widest[signal] = self._find_widest(*self.ranked(signal))
        return found

    @cached_property
    def _widest(self) -> dict[Smoothed | None, Widest]:
        return {}

    def _find_widest(self, rates: Steps, known: Mask) -> Widest:
        np = numpy()
        shape = len(self.symbols), self.ticks
        found = Widest(np.empty(shape, dtype=np.int64), *(np.empty(shape, dtype=np.int32) for _ in range(2)))
        for place, (low, high) in enumerate(zip(self.low.tolist(), self.high.tolist(), strict=True)):
            widest = _wider if high - low == 2 else _widest
            divergence, long, short = widest(rates[low:high], known[low:high])
            found.divergence[place] = divergence
            np.add(long, low, out=found.long[place], casting="same_kind")
            np.add(short, low, out=found.short[place], casting="same_kind")
        return found

    def legs(self, costs: Costs) -> Steps:
        """By market, what trading a leg costs in grid steps."""
        np = numpy()
        legs: Steps = np.array([costs.leg(market.venue) for market in self.markets], dtype=np.int64)
        return legs


def _wider(rates: Steps, known: Mask) -> tuple[Steps, Any, Any]:
    """The same as `_widest` of two markets: the first is long, unless the second pays less."""
    np = numpy()
    apart = between(rates[0], rates[1])
    turned = apart < 0
    return np.where(known[0] & known[1], np.abs(apart), NOTHING), turned, ~turned


def _widest(rates: Steps, known: Mask) -> tuple[Steps, Any, Any]:
    """Of one symbol: the divergence of its widest pair, and its legs, the first of the largest ones."""
    np = numpy()
    ticks = rates.shape[1]
    lowest, highest = np.full(ticks, _NEVER), np.full(ticks, -_NEVER)
    long, short, second, seen = np.zeros((4, ticks), dtype=np.int64)
    for place, (rate, there) in enumerate(zip(rates, known, strict=True)):
        lower, higher = there & (rate < lowest), there & (rate > highest)
        for best, leg, better in ((lowest, long, lower), (highest, short, higher)):
            np.copyto(best, rate, where=better)
            np.copyto(leg, place, where=better)
        np.copyto(second, place, where=there & (seen == 1))
        seen += there
    pair = seen > 1
    np.copyto(short, second, where=pair & (lowest == highest))  # all are equal: the first pair is of the first two
    return np.where(pair, between(lowest, highest), NOTHING), long, short


_NUMBERS = attrgetter("at", "value", "interval")


def _numbers(series: Series) -> tuple[Steps, Steps, Steps]:
    """When the rows of a market were, what they paid, and for how long."""
    np = numpy()
    try:
        count = 3 * len(series.rows)
        rows = np.fromiter(chain.from_iterable(map(_NUMBERS, series.rows)), dtype=np.int64, count=count)
    except OverflowError as error:
        raise HistoryError(f"{series.market}: a rate {_TOO_LARGE}") from error
    at, value, interval = rows.reshape(-1, 3).T.copy()
    return at, value, interval


def _per_8h(series: Series, value: Steps, interval: Steps) -> Steps:
    """The rates per 8 h, half-even. HistoryError beyond 100 %: then no product of the rules' functions wraps."""
    np = numpy()
    most = ONE * seconds(MAX_INTERVAL) // EIGHT_HOURS
    if (value > most).any() or (value < -most).any():
        raise HistoryError(f"{series.market}: a rate {_TOO_LARGE}")
    per_8h: Steps
    per_8h, rest = np.divmod(value * EIGHT_HOURS, interval)
    per_8h += (2 * rest > interval) | ((2 * rest == interval) & (per_8h % 2 == 1))
    if (np.abs(per_8h) > ONE).any():
        raise HistoryError(f"{series.market}: a rate {_TOO_LARGE}")
    return per_8h


_TOO_LARGE = "is beyond 100 % per 8 h: is it a percent?"
