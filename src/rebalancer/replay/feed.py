"""A history as it would have been seen: tick by tick, never a row too early."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from ..domain.market import Freshness, Quote
from ..domain.names import Market
from ..domain.snapshot import MarketSnapshot
from ..domain.times import SECOND, from_epoch
from ..history.table import FundingHistory, Row, Series

MAX_INTERVALS = 2
"""A rate older than this many of its intervals is unknown."""

FRESHNESS = Freshness(
    max_age=SECOND, max_intervals=MAX_INTERVALS, live_by_interval=True, max_skew=timedelta(days=36_500)
)
"""Two intervals for every kind of rate, at a tick and at the past instants that a rule asks about."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One instant `at`: the rows that came since the tick before, and the snapshot after them."""

    at: int
    rows: tuple[tuple[Series, Row], ...]
    snapshot: MarketSnapshot


class Feed:
    """The ticks of a history, `every` seconds on the clock, from its first row to its last.

    `observations` is how many past instants at which a pair could be evaluated the snapshots carry, for every pair.
    """

    def __init__(self, history: FundingHistory, *, every: int, observations: int = 0) -> None:
        self._history = history
        self.every = every
        self._observations = observations
        self.first = -(-history.start // every) * every
        self.last = -(-history.end // every) * every

    def __len__(self) -> int:
        return (self.last - self.first) // self.every + 1

    def __iter__(self) -> Iterator[Tick]:
        rows = self._history.rows()
        latest: dict[Market, tuple[Quote, int]] = {}
        past = Past(self._observations)
        place = 0
        for at in range(self.first, self.last + 1, self.every):
            came = place
            while place < len(rows) and rows[place][1].at <= at:
                series, row = rows[place]
                quote = series.quote(row)
                latest[series.market] = quote, row.at + MAX_INTERVALS * row.interval
                if self._observations:
                    past.see(quote, latest)
                place += 1
            snapshot = MarketSnapshot(
                as_of=from_epoch(at),
                quotes=tuple(quote for quote, _ in latest.values()),
                observations=past.quotes(),
                freshness=FRESHNESS,
            )
            yield Tick(at, tuple(rows[came:place]), snapshot)


class Past:
    """The last instants at which each pair of markets could be evaluated: `times` of them, with both quotes."""

    def __init__(self, times: int) -> None:
        self._times = times
        self._seen: dict[tuple[Market, Market], deque[tuple[Quote, Quote]]] = {}

    def see(self, quote: Quote, latest: Mapping[Market, tuple[Quote, int]]) -> None:
        """Take in a market's new quote beside the latest of the others of its symbol, where those are fresh."""
        at = quote.observed_epoch
        for market, (other, until) in latest.items():
            if market.symbol == quote.symbol and market != quote.market and until >= at:
                pair = (market, quote.market) if market < quote.market else (quote.market, market)
                seen = self._seen.setdefault(pair, deque(maxlen=self._times))
                if seen and max(one.observed_epoch for one in seen[-1]) == at:
                    seen.pop()  # the other market's quote of this very instant came first
                seen.append((other, quote))

    def quotes(self) -> tuple[Quote, ...]:
        """The distinct quotes of these instants."""
        distinct = {id(quote): quote for seen in self._seen.values() for both in seen for quote in both}
        return tuple(distinct.values())
