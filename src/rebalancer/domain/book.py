"""What a snapshot knows, on the grid: legs, pairs and ranked candidates. Unknown is None, and says why.

A `Book` is made once per snapshot and fills itself as it is asked; every number in it is an integer on the grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .funding import divergence
from .market import Freshness, Quote
from .missing import OPPORTUNITIES, RATE, Missing
from .names import Market, Pair
from .opportunity import Opportunity
from .quoted_legs import Leg, Legs
from .ranking import Candidate, Ranking, rank, skewed
from .smoothed import Smoothed, SmoothedRate
from .smoothed_book import SmoothedBook, SmoothedLegs
from .times import epoch_seconds, seconds


class PairReading:
    """A directed pair on the grid: the values that rules read, each None where unknown."""

    __slots__ = ("divergence", "long", "short", "skewed")

    def __init__(self, long: Leg, short: Leg, *, max_skew: int) -> None:
        self.long = long
        self.short = short
        self.skewed = skewed(long.quote, short.quote, max_skew)
        self.divergence = _divergence(long, short, skewed=self.skewed)

    @property
    def settles_in(self) -> int | None:
        """Seconds to the settlement of the leg that settles earlier, of those whose schedule is known."""
        return _earlier(self.long.settles_in, self.short.settles_in)

    @property
    def both_scheduled(self) -> int:
        """1 if both legs' schedules are known, else 0."""
        return int(self.long.settles_in is not None and self.short.settles_in is not None)

    @property
    def net_payment(self) -> int | None:
        """What the position receives at its next settlement."""
        return _net_payment(self.long, self.short, self.long.settles_in, self.short.settles_in)

    @property
    def long_open_interest(self) -> int | None:
        """The open interest of the long leg's market."""
        return self.long.open_interest

    @property
    def short_open_interest(self) -> int | None:
        """The open interest of the short leg's market."""
        return self.short.open_interest


def _divergence(long: Leg, short: Leg, *, skewed: bool) -> int | None:
    if long.rate is None or short.rate is None or skewed:
        return None
    return divergence(long.rate, short.rate)


def _earlier(long: int | None, short: int | None) -> int | None:
    """The earlier of the known times; None if neither is known."""
    if long is None or short is None:
        return short if long is None else long
    return min(long, short)


def _net_payment(long: Leg, short: Leg, long_in: int | None, short_in: int | None) -> int | None:
    """What the position receives at its next settlement, in grid steps x seconds: rate per 8 h x payment interval.

    Both legs pay if they settle at the same instant. None unless both schedules and both rates are known.
    """
    if long_in is None or short_in is None or long.rate is None or short.rate is None:
        return None
    received = short.rate * short.pays_every if short_in <= long_in else 0
    paid = long.rate * long.pays_every if long_in <= short_in else 0
    return received - paid


class Book(dict[Pair, PairReading]):
    """`book[pair]` is the pair's reading, made when first asked for."""

    def __init__(
        self,
        now: int,
        quotes: Mapping[Market, Quote],
        *,
        freshness: Freshness,
        missing: Iterable[Missing] = (),
        opportunities: Iterable[Opportunity] = (),
        smoothed: Iterable[SmoothedRate] = (),
    ) -> None:
        super().__init__()
        self.now = now
        self._freshness = freshness
        self._max_skew = seconds(freshness.max_skew)
        self._missing = tuple(missing)
        self._listed = tuple(opportunities)
        self._means = tuple(smoothed)
        self._smoothed: dict[Smoothed, SmoothedBook] = {}
        self._legs = Legs(now, quotes, freshness)
        self._ranked: dict[str | None, tuple[Candidate, ...]] = {}
        self._rates = Ranking(self._legs.symbols, self._legs.known, max_skew=self._max_skew)

    def __missing__(self, pair: Pair) -> PairReading:
        reading = self[pair] = PairReading(self._legs[pair.long], self._legs[pair.short], max_skew=self._max_skew)
        return reading

    def leg(self, market: Market) -> Leg:
        """The leg of a market, whether it is quoted or not."""
        return self._legs[market]

    def ranked(self, symbol: str | None) -> tuple[Candidate, ...]:
        """Every directed pair of `symbol` (None: of all symbols) whose divergence is known, the largest first.

        They follow from the quotes; a pair that a service listed counts only where the quotes do not know it. Ties are
        in order of (symbol, long, short).
        """
        ranked = self._ranked.get(symbol)
        if ranked is None:
            if self._listed:
                quoted = list(self._rates.pairs(symbol))
                candidates = sorted((*quoted, *self._unquoted(symbol, {pair for _, pair in quoted})), key=rank)
            else:
                candidates = self._rates.ranked(symbol)
            ranked = self._ranked[symbol] = tuple(candidates)
        return ranked

    def widest(self, symbol: str | None) -> int | None:
        """A divergence that no candidate of `symbol` (None: of any) exceeds; None if there is none at all."""
        if symbol is None or self._listed:
            ranked = self.ranked(symbol)
            return ranked[0][0] if ranked else None
        return self._rates.widest(symbol)

    def best_first(self, symbol: str | None) -> Iterable[Candidate]:
        """The same as `ranked`, for who looks at the first few only: each candidate is made when it is asked for."""
        return self.ranked(symbol) if symbol is None or self._listed else self._rates.best_first(symbol)

    def smoothed(self, signal: Smoothed) -> SmoothedBook:
        """The markets and pairs by their smoothed rates."""
        book = self._smoothed.get(signal)
        if book is None:
            legs = SmoothedLegs(
                signal, self._means, now=self.now, freshness=self._freshness, quoted=self._legs.is_known
            )
            book = self._smoothed[signal] = SmoothedBook(legs)
        return book

    def _unquoted(self, symbol: str | None, known: set[Pair]) -> Iterator[Candidate]:
        """The candidates that a service listed and the quotes do not know."""
        for listed in self._listed:
            if (symbol is None or listed.symbol == symbol) and listed.pair not in known and self._fresh(listed):
                known.add(listed.pair)
                yield listed.steps, listed.pair

    def _fresh(self, listed: Opportunity) -> bool:
        age = self.now - epoch_seconds(listed.observed_at)
        return -self._freshness.future_seconds <= age <= self._freshness.age_seconds

    def opportunity(self, pair: Pair) -> Opportunity:
        """The candidate `pair` as a value of its own, with the rates it was ranked by."""
        long, short = self.leg(pair.long), self.leg(pair.short)
        if long.quote is None or short.quote is None or self[pair].divergence is None:
            return next(listed for listed in self._listed if listed.pair == pair and self._fresh(listed))
        older = min(long.quote, short.quote, key=lambda quote: quote.observed_epoch)
        return Opportunity(
            symbol=pair.symbol,
            long_dex=pair.long_dex,
            short_dex=pair.short_dex,
            long_rate=long.quote.rate.per_8h,
            short_rate=short.quote.rate.per_8h,
            observed_at=older.observed_at,
            origin=older.origin,
        )

    def gap(self, market: Market, field: str) -> Missing:
        """Why `field` of a market is unknown: what the quote shows, else what the source said, else that none did."""
        leg = self.leg(market)
        why = leg.why(field) or self.reported(field, market) or self._unreported(leg)
        return Missing(field=field, venue=market.venue, symbol=market.symbol, why=why)

    @staticmethod
    def _unreported(leg: Leg) -> str:
        return "there is no quote of this market" if leg.quote is None else "its quote does not say"

    def reported(self, field: str, market: Market) -> str | None:
        """What the source said of why `field` of a market is unknown."""
        for missing in self._missing:
            if (
                missing.field == field
                and missing.venue in (market.venue, None)
                and missing.symbol in (market.symbol, None)
            ):
                return missing.why
        return None

    def rate_gaps(self, pair: Pair) -> tuple[Missing, ...]:
        """Why the pair's divergence is unknown; empty if it is known."""
        if self[pair].skewed and self.leg(pair.long).rate is not None and self.leg(pair.short).rate is not None:
            return (Missing(field=RATE, symbol=pair.symbol, why="the legs were seen too far apart in time"),)
        return tuple(self.gap(market, RATE) for market in (pair.long, pair.short) if self.leg(market).rate is None)

    def opportunity_gaps(self, symbol: str | None) -> tuple[Missing, ...]:
        """What the source said about opportunities it could not have, of `symbol` (None: of any); an empty list is then
        no proof of none.
        """
        about = (gap for gap in self._missing if gap.field == OPPORTUNITIES)
        return tuple(gap for gap in about if symbol is None or gap.symbol in (symbol, None))
