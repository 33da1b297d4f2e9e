"""A history as it would have been seen: tick by tick, never a row too early."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from ..domain.market import Freshness, Quote
from ..domain.missing import RATE, Missing
from ..domain.names import Market
from ..domain.snapshot import MarketSnapshot
from ..domain.times import SECOND, from_epoch
from ..history.table import FundingHistory, Row, Series

MAX_INTERVALS = 2
"""A rate older than this many of its intervals is unknown."""

_ANY_AGE = timedelta(days=36_500)
_SETTLED = Freshness(max_age=SECOND, max_intervals=MAX_INTERVALS)  # also for the past that a rule asks about
_LIVE = Freshness(max_age=_ANY_AGE, max_skew=_ANY_AGE)  # the feed itself drops what is too old


@dataclass(frozen=True, slots=True)
class Tick:
    """One instant `at`: the rows that came since the tick before, and the snapshot after them."""

    at: int
    rows: tuple[tuple[Series, Row], ...]
    snapshot: MarketSnapshot


class Feed:
    """The ticks of a history, `every` seconds on the clock, from its first row to its last.

    `observations` is how many past quotes of each market the snapshots carry.
    """

    def __init__(self, history: FundingHistory, *, every: int, observations: int = 0) -> None:
        self._history = history
        self.every = every
        self._observations = observations
        self._freshness = _SETTLED if history.settled else _LIVE
        self.first = -(-history.start // every) * every
        self.last = -(-history.end // every) * every

    def __len__(self) -> int:
        return (self.last - self.first) // self.every + 1

    def __iter__(self) -> Iterator[Tick]:
        rows = self._history.rows()
        latest: dict[Market, tuple[Quote, int]] = {}
        past: dict[Market, deque[Quote]] = {}
        place = 0
        for at in range(self.first, self.last + 1, self.every):
            came = place
            while place < len(rows) and rows[place][1].at <= at:
                series, row = rows[place]
                quote = series.quote(row)
                latest[series.market] = quote, row.at + MAX_INTERVALS * row.interval
                if self._observations:
                    past.setdefault(series.market, deque(maxlen=self._observations)).append(quote)
                place += 1
            yield Tick(at, tuple(rows[came:place]), self._snapshot(at, latest, past))

    def _snapshot(
        self, at: int, latest: dict[Market, tuple[Quote, int]], past: dict[Market, deque[Quote]]
    ) -> MarketSnapshot:
        fresh, missing = [], []
        for market, (quote, until) in latest.items():
            if at <= until:
                fresh.append(quote)
            else:
                missing.append(_stale(market))
        return MarketSnapshot(
            as_of=from_epoch(at),
            quotes=tuple(fresh),
            missing=tuple(missing),
            observations=tuple(quote for quotes in past.values() for quote in quotes),
            freshness=self._freshness,
        )


def _stale(market: Market) -> Missing:
    why = "the last rate is older than two of its intervals"
    return Missing(field=RATE, venue=market.venue, symbol=market.symbol, why=why)
