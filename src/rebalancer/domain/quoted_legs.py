"""Markets on the grid as their quotes show them: rate, age, schedule and open interest, each None where unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .market import Freshness, Quote
from .missing import SCHEDULE
from .names import Market
from .ranking import Seen

NEVER = 1 << 40
"""Seconds until the next settlement of a leg that accrues continuously, and so never settles."""
_FUTURE = "the quote is from the future"
_STALE = "the quote is older than its limit"


class Leg:
    """One leg's market on the grid: `rate` per 8 h and `age` in seconds, each None where unknown.

    `refusal` is why a quote does not count (stale, or from the future); None if it counts or there is none.
    """

    __slots__ = ("_now", "age", "market", "quote", "rate", "refusal")

    def __init__(self, market: Market, quote: Quote | None, now: int, freshness: Freshness) -> None:
        self.market = market
        self.quote = quote
        self._now = now
        self.age: int | None = None
        self.rate: int | None = None
        self.refusal: str | None = None
        if quote is not None:
            self.age = now - quote.observed_epoch
            if self.age < -freshness.future_seconds:
                self.refusal = _FUTURE
            elif self.age > freshness.age_seconds and self.age > freshness.limit(quote):  # most are no older than any
                self.refusal = _STALE
            else:
                self.rate = quote.rate.steps

    @property
    def open_interest(self) -> int | None:
        """The open interest in whole dollars."""
        if self.quote is None or self.refusal is not None or self.quote.open_interest_usd is None:
            return None
        return int(self.quote.open_interest_usd)

    @property
    def pays_every(self) -> int:
        """Seconds between payments; 0 where funding is continuous, or unknown without a quote."""
        return 0 if self.quote is None else self.quote.pays_seconds

    @property
    def settles_in(self) -> int | None:
        """Seconds to the next settlement, NEVER where funding is continuous. A stale quote's schedule still holds."""
        quote = self.quote
        if quote is None or self.refusal == _FUTURE:
            return None
        if quote.pays_seconds == 0:
            return NEVER
        until = self._until
        return until if until is not None and 0 <= until <= quote.pays_seconds else None

    @property
    def too_far_ahead(self) -> int | None:
        """Seconds to a next settlement that is refused because it is more than one payment interval away."""
        if self.quote is None or self.refusal == _FUTURE or self._until is None:
            return None
        return self._until if 0 < self.quote.pays_seconds < self._until else None

    @property
    def _until(self) -> int | None:
        """Seconds to the next settlement as the quote has it."""
        return None if self.quote is None or self.quote.next_epoch is None else self.quote.next_epoch - self._now

    def why(self, field: str) -> str | None:
        """What the quote itself shows of why `field` is unknown; None if it shows nothing."""
        if field != SCHEDULE or self.refusal == _FUTURE:
            return self.refusal
        if self.too_far_ahead is not None:
            return "it is more than one interval ahead"
        return "it is in the past" if self._until is not None and self._until < 0 else None


class Legs(dict[Market, Leg]):
    """`legs[market]` is the market's leg, made when first asked for, whether it is quoted or not.

    It knows nothing of the book that is made of it, so that both are gone with the snapshot: objects that lead back to
    themselves stay until the garbage collector looks for them.
    """

    def __init__(self, now: int, quotes: Mapping[Market, Quote], freshness: Freshness) -> None:
        super().__init__()
        self._now = now
        self._quotes = quotes
        self._freshness = freshness
        self._symbols: dict[str, list[Market]] = {}
        for market in quotes:
            self._symbols.setdefault(market.symbol, []).append(market)

    def __missing__(self, market: Market) -> Leg:
        leg = self[market] = Leg(market, self._quotes.get(market), self._now, self._freshness)
        return leg

    @property
    def symbols(self) -> Iterable[str]:
        """The symbols that are quoted."""
        return self._symbols.keys()

    def is_known(self, market: Market) -> bool:
        """Whether the rate of a market is known."""
        return self[market].rate is not None

    def known(self, symbol: str) -> list[Seen]:
        """The legs of a symbol whose rates are known, in order of their venues."""
        legs = [self[market] for market in sorted(self._symbols.get(symbol, ()))]
        return [(leg.rate, leg.market.venue, leg.quote) for leg in legs if leg.rate is not None]
