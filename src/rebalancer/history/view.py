"""A history as it was known at one instant after another: never a row too early."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from datetime import timedelta

from ..domain.funding import RateKind
from ..domain.market import Freshness, Quote
from ..domain.names import Market
from ..domain.smoothed import Smoothed
from ..domain.snapshot import MarketSnapshot
from ..domain.times import SECOND, from_epoch
from .smoothing import Means, Settlement
from .table import FundingHistory, Row, Series

MAX_INTERVALS = 2
"""A rate older than this many of its intervals is unknown."""

FRESHNESS = Freshness(
    max_age=SECOND, max_intervals=MAX_INTERVALS, live_by_interval=True, max_skew=timedelta(days=36_500)
)
"""Two intervals for every kind of rate, at a tick and at the past instants that a rule asks about."""


class HistoryView:
    """What a history had said by an instant that only moves on: `advance` to it, then take the `snapshot`.

    `observations` is how many past instants at which a pair could be evaluated the snapshots carry, for every pair;
    `smoothed` are the smoothed rates that they carry, of every market.
    """

    def __init__(self, history: FundingHistory, *, observations: int = 0, smoothed: Iterable[Smoothed] = ()) -> None:
        self._rows = history.rows()
        self._place = 0
        self._latest: dict[Market, tuple[Quote, int]] = {}
        self._past = Past(observations)
        self._means = Means(smoothed)
        self.observations = observations

    @property
    def exhausted(self) -> bool:
        """Whether the last row has come."""
        return self._place == len(self._rows)

    def advance(self, at: int) -> tuple[tuple[Series, Row], ...]:
        """Take in the rows up to `at` (epoch seconds, not before the last one's), and say which came."""
        rows, came = self._rows, self._place
        while self._place < len(rows) and rows[self._place][1].at <= at:
            series, row = rows[self._place]
            quote = series.quote(row)
            self._latest[series.market] = quote, row.at + MAX_INTERVALS * row.interval
            if self.observations:
                self._past.see(quote, self._latest)
            if series.kind is RateKind.SETTLED:
                self._means.settle(series.market, Settlement(row.at, row.per_8h, row.interval))
            self._place += 1
        return tuple(rows[came : self._place])

    def snapshot(self, at: int) -> MarketSnapshot:
        """Each market's last quote, as of `at`: the instant that the view has been advanced to."""
        return MarketSnapshot(
            as_of=from_epoch(at),
            quotes=tuple(quote for quote, _ in self._latest.values()),
            observations=self._past.quotes(),
            smoothed=self._means.rates(),
            freshness=FRESHNESS,
        )


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
