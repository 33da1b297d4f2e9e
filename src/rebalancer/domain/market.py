"""A market as it was seen: quotes, and how old is too old."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, model_validator

from ..errors import InputError
from .funding import MAX_INTERVAL, FundingRate, RateKind
from .model import DERIVED, Value, computed
from .names import Line, Market, Symbol, Venue
from .numbers import UNKNOWN, OptionalPositive, OptionalWholeUsd
from .times import Duration, DurationOrZero, Instant, epoch_seconds, seconds


class Quote(Value):
    """A market's funding rate as seen at `observed_at`, with what else was seen of it.

    `pays_every` is how often the venue pays (the rate's interval unless given; `timedelta(0)` where funding accrues
    continuously; at most 21 days). None means unknown; a zero is a known zero. `origin` names the source.
    """

    venue: Venue
    symbol: Symbol
    rate: FundingRate
    observed_at: Instant
    kind: RateKind = RateKind.INDICATIVE
    pays_every: DurationOrZero = DERIVED
    next_funding_at: Instant | None = None
    open_interest_usd: OptionalWholeUsd = UNKNOWN
    volume_24h_usd: OptionalWholeUsd = UNKNOWN
    mark_price: OptionalPositive = UNKNOWN
    origin: Line | None = None

    @model_validator(mode="after")
    def _derive(self) -> Quote:
        if self.pays_every is DERIVED:
            self.__dict__["pays_every"] = self.rate.interval
        if self.pays_every > MAX_INTERVAL:
            raise InputError("pays_every must be at most 21 days")
        return self

    @computed
    def market(self) -> Market:
        """The market this is a quote of."""
        return Market(self.venue, self.symbol)

    @computed
    def pays_seconds(self) -> int:
        """How often the venue pays, in seconds; 0 where funding is continuous."""
        return seconds(self.pays_every)

    @computed
    def next_epoch(self) -> int | None:
        """When it pays next, in whole seconds since 1970-01-01 UTC."""
        return None if self.next_funding_at is None else epoch_seconds(self.next_funding_at)

    @computed
    def observed_epoch(self) -> int:
        """When it was seen, in whole seconds since 1970-01-01 UTC."""
        return epoch_seconds(self.observed_at)

    @property
    def steps(self) -> int:
        """Its rate per 8 h in grid steps."""
        return self.rate.steps


class Freshness(Value):
    """How old, how early and how far apart quotes may be before they count as unknown.

    `max_age`: the oldest a live quote (forming or indicative) may be. A settled rate may be as old as `max_age` or
    `max_intervals` of its payment intervals, whichever is longer; with `live_by_interval` so may a live one.
    `max_future`: how far after `as_of` a quote may claim to be seen. `max_skew`: how far apart in time two live legs
    may be and still be compared; a settled leg is comparable with any. A leg state that says when it is of may be as
    old and as early as a live quote.
    """

    max_age: Duration = timedelta(seconds=120)
    max_intervals: Annotated[int, Field(ge=1, le=100)] = 2
    live_by_interval: bool = False
    max_future: DurationOrZero = timedelta(seconds=10)
    max_skew: Duration = timedelta(seconds=120)

    @computed
    def age_seconds(self) -> int:
        """`max_age` in seconds."""
        return seconds(self.max_age)

    @computed
    def future_seconds(self) -> int:
        """`max_future` in seconds."""
        return seconds(self.max_future)

    def limit(self, quote: Quote) -> int:
        """The greatest age in seconds at which `quote` still counts."""
        if quote.kind is not RateKind.SETTLED and not self.live_by_interval:
            return self.age_seconds
        return max(self.age_seconds, self.max_intervals * (quote.pays_seconds or seconds(quote.rate.interval)))
