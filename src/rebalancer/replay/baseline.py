"""What a strategy is measured against: open the best pair once, and hold through."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

from ..costs import Costs
from ..domain.funding import divergence
from ..domain.names import Pair
from ..domain.numbers import BPS
from ..domain.times import seconds
from ..history.smoothing import Decay, Mean
from ..history.table import Row, Series
from ..history.view import MAX_INTERVALS
from .feed import Tick

HALF_LIFE = timedelta(hours=24)
SEEN = timedelta(hours=24)


class HoldThrough:
    """Holding through, symbol by symbol, from one tick to the next.

    The pair with the largest divergence of exponential mean rates (half-life 24 h, unclipped, both markets seen for
    24 h and fresh; ties by (long, short)) is opened at the first tick where that exceeds 1 bp per 8 h, and kept.
    """

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self._decay = Decay(HALF_LIFE)
        self._means: dict[str, dict[str, Mean]] = {}
        self._fresh_until: dict[str, dict[str, int]] = {}
        self.held: dict[str, Pair] = {}
        """The pair that each symbol holds."""
        self.earned: dict[str, int] = {}
        """What each symbol has earned so far, closing costs included, in grid steps of one leg's notional."""

    def take(self, tick: Tick) -> None:
        """Pay what was settled up to the tick, then open where the mean divergence is large enough."""
        for series, row in tick.rows:
            pair = self.held.get(series.market.symbol)
            if pair is None:
                self._learn(series, row)
            else:
                self.earned[pair.symbol] += paid(pair, series, row)
        for symbol in self._means.keys() - self.held.keys():
            pair = self._best(symbol, tick.at)
            if pair is not None:
                self.held[symbol] = pair
                self.earned[symbol] = -2 * self._costs.move(None, pair).cost

    def _learn(self, series: Series, row: Row) -> None:
        venue, symbol = series.market
        means = self._means.setdefault(symbol, {})
        means.setdefault(venue, Mean(self._decay)).settle(row.at, row.per_8h, row.interval)
        self._fresh_until.setdefault(symbol, {})[venue] = row.at + MAX_INTERVALS * row.interval

    def _best(self, symbol: str, at: int) -> Pair | None:
        until = self._fresh_until[symbol]
        means = {
            venue: mean.rate
            for venue, mean in self._means[symbol].items()
            if mean.seen >= seconds(SEEN) and until[venue] >= at
        }
        pairs = [
            (-divergence(long_rate, short_rate), Pair(symbol, long, short))
            for (long, long_rate), (short, short_rate) in permutations(means.items(), 2)
        ]
        largest, pair = min(pairs, default=(0, None))
        return pair if -largest > BPS else None


def paid(pair: Pair, series: Series, row: Row) -> int:
    """What a settlement pays a holder of `pair`, in grid steps of one leg's notional: longs pay, shorts receive."""
    if series.market.venue == pair.long_dex:
        return -row.value
    return row.value if series.market.venue == pair.short_dex else 0
