"""Smoothed rates while a monitor runs: settlement by settlement, across restarts, warm from a source's past."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import islice

from ..domain.funding import RateKind
from ..domain.market import Quote
from ..domain.names import Market
from ..domain.smoothed import Smoothed, SmoothedRate
from ..domain.snapshot import MarketSnapshot
from ..domain.times import from_epoch, seconds
from ..errors import SourceError
from ..history.smoothing import Means, Settlement
from .fetch import Fetched, Fetcher

LOOKS_BACK = 6
"""Half-lives of the longest signal: what is older weighs less than 2 %."""
ASKS_AGAIN = 600
"""Seconds after which a source is asked again for what it did not have."""
LATE = 120
"""Seconds that a venue, or who tells of it, may take to publish a settlement."""
REMEMBERS = 86_400
"""Seconds for which a market is remembered that is neither quoted nor held."""
ASKS = 200_000 * 3_600
"""Seconds of settlements that one question is for, at most, summed over its markets; the others wait for the next."""
WRITES = 5_000
"""Markets that are written in a tick, at most: of many thousands that settle together, the rest is in the next."""

_log = logging.getLogger("rebalancer.monitor")


class Smoother:
    """Keeps the smoothed rates of all markets that are quoted or held, which the store has too.

    They are made of the settled quotes that are believed, each counted once. What a market settled before it was seen,
    or while nobody looked, the source is asked for; what it does not have is a gap. All times are the snapshots' own.
    """

    def __init__(self, signals: Sequence[Smoothed], fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._means = Means(signals)
        self._look_back = LOOKS_BACK * max(seconds(signal.half_life) for signal in signals)
        self._asked: dict[Market, int] = {}
        self._there: dict[Market, int] = {}
        self._unwritten: dict[Market, None] = {}

    def know(self, stored: Iterable[SmoothedRate]) -> None:
        """Go on from what was stored, as far as it is not older than what is known here."""
        self._means.know(stored)

    async def learn(self, fetched: Fetched, held: Iterable[Market]) -> None:
        """Take in what a tick says of settlements, and ask for those that are missing. Without an answer it waits."""
        if fetched.error is not None:
            return
        snapshot = fetched.snapshot
        there = dict.fromkeys((*held, *snapshot.by_market))
        self._forget(there, snapshot.now)
        await self._ask(self._lacking(there, snapshot), snapshot.now)
        latest = snapshot.now + snapshot.freshness.future_seconds
        for quote in snapshot.quotes:
            if _settles(quote) and quote.observed_epoch <= latest:
                self._take(quote)

    def rates(self) -> tuple[SmoothedRate, ...]:
        """All that is known."""
        return self._means.rates()

    def unwritten(self) -> tuple[SmoothedRate, ...]:
        """What the store does not have yet: as much of it as is written in one tick."""
        return tuple(rate for market in islice(self._unwritten, WRITES) for rate in self._means.of(market))

    def wrote(self, rates: Iterable[SmoothedRate]) -> None:
        """These are in the store now."""
        for rate in rates:
            self._unwritten.pop(rate.market, None)

    def _take(self, quote: Quote) -> None:
        """Count a settled quote, if it was not counted yet."""
        if not self._repeats(quote) and self._means.settle(quote.market, _settlement(quote)):
            self._unwritten[quote.market] = None

    def _repeats(self, quote: Quote) -> bool:
        """Whether it is the last settlement once more, as somebody else stamped it a little later.

        Where funding is continuous, and every look sees another instant, one counts in an interval.
        """
        last = self._means.last(quote.market)
        apart = min(LATE, quote.pays_seconds // 2) if quote.pays_seconds else _interval(quote)
        return last is not None and last[0] < quote.observed_epoch < last[0] + apart

    def _lacking(self, there: Iterable[Market], snapshot: MarketSnapshot) -> list[Market]:
        """The markets to ask for now, those with a gap first; others that were asked for in vain only without any.

        So what is asked for again and again, a market that is new on its venue, does not keep the rest waiting.
        """
        now, quotes = snapshot.now, snapshot.by_market
        gaps: list[Market] = []
        new: list[Market] = []
        again: list[Market] = []
        for market in there:
            warm, asked = self._means.warm(market), self._asked.get(market)
            if asked is not None and 0 <= now - asked < ASKS_AGAIN:
                continue
            if not warm or self._lacks(market, quotes.get(market), now):
                (gaps if warm else new if asked is None else again).append(market)
        return [*gaps, *new] or again

    def _lacks(self, market: Market, quote: Quote | None, now: int) -> bool:
        """Whether a settlement is missing between the last that is known, and the present one or now."""
        last = self._means.last(market)
        if last is None:
            return True
        at, interval = last
        if quote is not None and _settles(quote) and at < quote.observed_epoch <= now:
            return quote.observed_epoch - _interval(quote) > at + LATE
        return now - interval > at + LATE

    async def _ask(self, lacking: Sequence[Market], now: int) -> None:
        """Ask once for the settlements of markets, of as many as is not too much. That it fails stops nothing."""
        markets: list[Market] = []
        since = now
        for market in lacking:
            last = self._means.last(market) if self._means.warm(market) else None
            earliest = min(since, max(now - self._look_back, 0 if last is None else last[0]))
            if not markets or (len(markets) + 1) * (now - earliest) <= ASKS:
                markets.append(market)
                since = earliest
        if not markets:
            return
        self._asked |= dict.fromkeys(markets, now)
        try:
            found = await self._fetcher.settlements(markets, from_epoch(since))
        except SourceError as error:
            _log.warning("the past settlements of %d markets could not be had: %s", len(markets), error)
            return
        past: dict[Market, list[Settlement]] = {}
        for quote in found:
            if quote.observed_epoch <= now and not self._repeats(quote):
                past.setdefault(quote.market, []).append(_settlement(quote))
        for market, settlements in past.items():
            if self._means.learn(market, settlements):
                self._unwritten[market] = None

    def _forget(self, there: Iterable[Market], now: int) -> None:
        """Drop what was neither quoted nor held for long."""
        for market in self._means.markets:
            self._there.setdefault(market, now)
        self._there |= dict.fromkeys(there, now)
        for market in [market for market, at in self._there.items() if now - at > REMEMBERS]:
            self._means.forget(market)
            for kept in (self._there, self._asked, self._unwritten):
                kept.pop(market, None)


def _settles(quote: Quote) -> bool:
    return quote.kind is RateKind.SETTLED


def _interval(quote: Quote) -> int:
    """For how many seconds a settled quote was paid."""
    return quote.pays_seconds or seconds(quote.rate.interval)


def _settlement(quote: Quote) -> Settlement:
    return Settlement(quote.observed_epoch, quote.rate.steps, _interval(quote))
