"""What the service answers, as values.

Fields that the service adds are ignored; a field of its own that is off is refused with the row it stands in. Rates,
divergences, profits and fees are fractions, whatever their names there say. Every time is aware.
"""

from __future__ import annotations

from decimal import Decimal

from pydantic import model_validator

from ...domain.funding import FundingRate, divergence
from ...domain.missing import Missing
from ...domain.model import Value
from ...domain.names import Symbol, Venue
from ...domain.numbers import FRACTION_PLACES, UNKNOWN, Flag, OptionalRate, OptionalWholeUsd, Rate, fraction, to_grid
from ...domain.times import Instant
from ...errors import InputError


class ServiceRate(Value):
    """A market's rate as the service has it, last fetched by it at `observed_at`.

    `next_funding_at` is None where the service does not know it. Open interest and volume are None where it does not
    know them, or was not asked (only the rate of a single market comes with them).
    """

    venue: Venue
    symbol: Symbol
    rate: FundingRate
    observed_at: Instant
    next_funding_at: Instant | None = None
    open_interest_usd: OptionalWholeUsd = UNKNOWN
    volume_24h_usd: OptionalWholeUsd = UNKNOWN


class VenueRates(Value):
    """A venue's rates. `refused` are the rows that could not be used, and why."""

    venue: Venue
    rates: tuple[ServiceRate, ...]
    refused: tuple[Missing, ...] = ()


class Comparison(Value):
    """Two legs of a symbol: long on the first venue, short on the second."""

    long: ServiceRate
    short: ServiceRate

    @property
    def divergence(self) -> Decimal:
        """Short rate - long rate, per 8 h, signed. Positive: such a position earns."""
        return fraction(divergence(self.long.rate.steps, self.short.rate.steps))


class ServiceVenue(Value):
    """A venue of the service. Fees are fractions of notional, negative where the venue pays.

    An inactive venue's rates are still served, but nobody refreshes them.
    """

    venue: Venue
    active: Flag
    maker_fee: OptionalRate = UNKNOWN
    taker_fee: OptionalRate = UNKNOWN
    fetched_at: Instant | None = None


class ServiceSymbol(Value):
    """What a venue lists of a symbol. Open interest and volume are None where unknown (the service has no zero)."""

    symbol: Symbol
    active: Flag
    open_interest_usd: OptionalWholeUsd = UNKNOWN
    volume_24h_usd: OptionalWholeUsd = UNKNOWN
    observed_at: Instant


class VenueSymbols(Value):
    """A venue's symbols. `refused` are the rows that could not be used, and why."""

    venue: Venue
    symbols: tuple[ServiceSymbol, ...]
    refused: tuple[Missing, ...] = ()


class ServiceOpportunity(Value):
    """A pair that the service listed, at rates per 8 h whose age it does not tell.

    `net_profit` is its own figure: the unsigned divergence less a round trip of maker fees, charged every interval. It
    is not comparable with a divergence; a rebate makes it larger. `least_open_interest_usd` and `least_volume_24h_usd`
    are of the smaller leg, None if one is unknown; the best pair comes without those of each leg.
    """

    symbol: Symbol
    long_dex: Venue
    short_dex: Venue
    long_rate: Rate
    short_rate: Rate
    net_profit: Rate
    long_open_interest_usd: OptionalWholeUsd = UNKNOWN
    short_open_interest_usd: OptionalWholeUsd = UNKNOWN
    least_open_interest_usd: OptionalWholeUsd = UNKNOWN
    least_volume_24h_usd: OptionalWholeUsd = UNKNOWN
    listed_at: Instant

    @model_validator(mode="after")
    def _two_venues(self) -> ServiceOpportunity:
        if self.long_dex == self.short_dex:
            raise InputError("both legs are on one venue")
        return self

    @property
    def divergence(self) -> Decimal:
        """Short rate - long rate, per 8 h, signed. Positive: the pair earns."""
        return fraction(divergence(*(to_grid(rate, FRACTION_PLACES) for rate in (self.long_rate, self.short_rate))))

    def open_interest_on(self, venue: str) -> Decimal | None:
        """The open interest of the leg on `venue`; None if it is unknown, or there is no such leg."""
        legs = {self.long_dex: self.long_open_interest_usd, self.short_dex: self.short_open_interest_usd}
        return legs.get(venue)
