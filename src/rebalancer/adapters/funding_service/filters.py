"""Which opportunities are wanted: as the service's own filters, and checked again on this side."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, TypedDict

from pydantic import PlainValidator

from ...domain.model import Value
from ...domain.names import Symbol, Venue, read_venue, split_names
from ...domain.numbers import UNKNOWN, Number, OptionalRate, OptionalWholeUsd, plain
from .answers import ServiceOpportunity


def read_venues(listed: str | Sequence[str]) -> tuple[str, ...]:
    """Venues from a list of names, or from a text such as `lighter,grvt`; InputError for a name that is none."""
    names = split_names(listed) if isinstance(listed, str) else listed
    return tuple(read_venue(name) for name in names)


Venues = Annotated[tuple[str, ...], PlainValidator(read_venues)]


class Filters(TypedDict, total=False):
    """What `OpportunityFilter` takes, to a type checker."""

    symbol: str | None
    min_profit: Number | None
    min_divergence: Number | None
    min_oi_usd: Number | None
    max_oi_usd: Number | None
    min_volume_usd: Number | None
    dexes: str | Sequence[str]
    whitelist_dexes: str | Sequence[str]
    exclude_dexes: str | Sequence[str]
    required_dex: str | None


class OpportunityFilter(Value):
    """Which opportunities are wanted. What can not be shown to hold, because a figure is unknown, does not hold.

    `min_profit` is of the service's own net profit, `min_divergence` of the divergence per 8 h (the service's default
    is 1 bp); both fractions. `min_oi_usd`, `max_oi_usd` and `min_volume_usd` are of the smaller leg, `max_oi_usd` of
    the leg on `required_dex` if that is given. `dexes`: a leg is on one of them; `whitelist_dexes`: both legs are;
    `exclude_dexes`: none is; `required_dex`: one is on it.
    """

    symbol: Symbol | None = None
    min_profit: OptionalRate = UNKNOWN
    min_divergence: OptionalRate = UNKNOWN
    min_oi_usd: OptionalWholeUsd = UNKNOWN
    max_oi_usd: OptionalWholeUsd = UNKNOWN
    min_volume_usd: OptionalWholeUsd = UNKNOWN
    dexes: Venues = ()
    whitelist_dexes: Venues = ()
    exclude_dexes: Venues = ()
    required_dex: Venue | None = None

    def params(self) -> dict[str, str]:
        """The service's own filters that say the same."""
        given = {
            "symbol": self.symbol,
            "min_profit": self.min_profit,
            "min_divergence": self.min_divergence,
            "min_oi": self.min_oi_usd,
            "max_oi": self.max_oi_usd,
            "min_volume": self.min_volume_usd,
            "dexes": ",".join(self.dexes) or None,
            "whitelist_dexes": ",".join(self.whitelist_dexes) or None,
            "exclude_dexes": ",".join(self.exclude_dexes) or None,
            "required_dex": self.required_dex,
        }
        return {
            name: plain(value) if isinstance(value, Decimal) else str(value)
            for name, value in given.items()
            if value is not None
        }

    def admits(self, listed: ServiceOpportunity) -> bool:
        """Whether an opportunity is wanted. The service's own filters let unknown figures pass; these do not."""
        return self._figures_hold(listed) and self._venues_hold({listed.long_dex, listed.short_dex}, listed.symbol)

    def _figures_hold(self, listed: ServiceOpportunity) -> bool:
        least = listed.least_open_interest_usd
        capped = least if self.required_dex is None else listed.open_interest_on(self.required_dex)
        return (
            _at_least(listed.net_profit, self.min_profit)
            and _at_least(listed.divergence, self.min_divergence)
            and _at_least(least, self.min_oi_usd)
            and _at_least(listed.least_volume_24h_usd, self.min_volume_usd)
            and (self.max_oi_usd is None or (capped is not None and capped <= self.max_oi_usd))
        )

    def _venues_hold(self, legs: set[str], symbol: str) -> bool:
        return (
            self.symbol in (None, symbol)
            and (not self.dexes or bool(legs & set(self.dexes)))
            and (not self.whitelist_dexes or legs <= set(self.whitelist_dexes))
            and not legs & set(self.exclude_dexes)
            and (self.required_dex is None or self.required_dex in legs)
        )


def _at_least(figure: Decimal | None, limit: Decimal | None) -> bool:
    return limit is None or (figure is not None and figure >= limit)


def by_preference(listed: Sequence[ServiceOpportunity], preferred: Sequence[str]) -> list[ServiceOpportunity]:
    """Pairs with both legs on `preferred` venues first, then those with one, each in the order given."""
    return sorted(listed, key=lambda one: -((one.long_dex in preferred) + (one.short_dex in preferred)))
