"""What is known of all markets at one instant, which is "now" to every rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from datetime import datetime
from functools import cached_property
from typing import Any, Self, TypeVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from ..errors import InputError
from .book import Book
from .funding import FundingRate
from .held import Held
from .legs import LegReading, LegState
from .market import Freshness, Quote
from .missing import Missing
from .model import Value
from .names import Market
from .opportunity import Opportunity
from .position import Position
from .smoothed import SmoothedRate
from .times import Instant, epoch_seconds, from_epoch

_Item = TypeVar("_Item", bound=Hashable)


class MarketSnapshot(Value):
    """Everything a decision may read of the markets, as of the instant `as_of`, which is "now" to every rule.

    `quotes` has at most one quote a market; `missing` says what could not be had and why. `opportunities` are pairs
    that a service listed beside those that follow from the quotes. `observations` are past quotes, for rules with
    memory; `smoothed` are the markets' smoothed rates, at most one a market and signal. `legs` are what we hold, as the
    venues say: at most one reading a market. `freshness` says how old is too old. Raises InputError for two quotes, leg
    readings or smoothed rates of one market.
    """

    as_of: Instant
    quotes: tuple[Quote, ...]
    missing: tuple[Missing, ...] = ()
    opportunities: tuple[Opportunity, ...] = ()
    observations: tuple[Quote, ...] = ()
    legs: tuple[LegReading, ...] = ()
    smoothed: tuple[SmoothedRate, ...] = ()
    freshness: Freshness = Field(default_factory=Freshness)

    @model_validator(mode="after")
    def _one_of_each_market(self) -> Self:
        if len(self.by_market) != len(self.quotes):
            raise InputError(f"two quotes of {_repeated(quote.market for quote in self.quotes)}")
        if self.legs and len(self.leg_states) != len(self.legs):
            raise InputError(f"two leg readings of {_repeated(leg.market for leg in self.legs)}")
        if len({(mean.market, mean.signal) for mean in self.smoothed}) != len(self.smoothed):
            raise InputError(f"two smoothed rates of {_repeated((one.market, one.signal) for one in self.smoothed)[0]}")
        return self

    @model_serializer(mode="wrap")
    def _what_is_there(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As ever where no leg was read and nothing smoothed: the same bytes as before there were such fields."""
        fields: dict[str, Any] = written(self)
        for name in ("legs", "smoothed"):
            if not getattr(self, name):
                fields.pop(name, None)
        return fields

    @classmethod
    def of(
        cls,
        position: Position,
        *,
        long_rate: FundingRate,
        short_rate: FundingRate,
        as_of: datetime,
    ) -> Self:
        """The snapshot of a caller who has just the two legs' rates, seen at `as_of`."""
        legs = ((position.long_dex, long_rate), (position.short_dex, short_rate))
        quotes = tuple(Quote(venue=venue, symbol=position.symbol, rate=rate, observed_at=as_of) for venue, rate in legs)
        return cls(as_of=as_of, quotes=quotes)

    @cached_property
    def by_market(self) -> dict[Market, Quote]:
        """The quotes by their market."""
        return {quote.market: quote for quote in self.quotes}

    @cached_property
    def leg_states(self) -> dict[Market, LegState]:
        """The states of the legs by their market."""
        return {leg.market: leg.state for leg in self.legs}

    @cached_property
    def now(self) -> int:
        """`as_of` in whole seconds since 1970-01-01 UTC."""
        return epoch_seconds(self.as_of)

    @cached_property
    def book(self) -> Book:
        """What is known of legs, pairs and candidates on the grid; computed once per snapshot."""
        return Book(
            self.now,
            self.by_market,
            freshness=self.freshness,
            missing=self.missing,
            opportunities=self.opportunities,
            smoothed=self.smoothed,
        )

    @cached_property
    def held(self) -> Held:
        """What the leg states say of a pair on the grid; computed once per snapshot."""
        return Held(self.leg_states, book=self.book, freshness=self.freshness)

    def observed(self, markets: Collection[Market]) -> tuple[Quote, ...]:
        """The distinct observations of `markets`, past and present, in order of time; at one time the present is last.

        Polls that saw the same rate at the same instant count once. One from the future beyond tolerance does not
        count, nor one of another kind than the market's quote: kinds are never mixed in one market.
        """
        latest = self.now + self.freshness.future_seconds
        seen = {
            (quote.observed_epoch, quote.market, quote.rate.steps): (present, quote)
            for present, quotes in enumerate((self.observations, self.quotes))
            for quote in quotes
            if quote.market in markets
            and quote.observed_epoch <= latest
            and quote.kind is self.by_market.get(quote.market, quote).kind
        }
        ordered = sorted((at, market, present, steps) for (at, market, steps), (present, _) in seen.items())
        return tuple(seen[at, market, steps][1] for at, market, _, steps in ordered)

    def at(self, instant: int, quotes: Iterable[Quote]) -> Self:
        """What a snapshot with these quotes alone would have been at an earlier `instant` (epoch seconds)."""
        return type(self)(as_of=from_epoch(instant), quotes=tuple(quotes), freshness=self.freshness)


def _repeated(items: Iterable[_Item]) -> _Item:
    """The first one that occurs twice."""
    counted = Counter(items)
    return next(item for item, times in counted.items() if times > 1)
