"""What venues do: how often they pay, over what they quote, how large a rate they allow.

Facts change, so each has a date and a source.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Self

from pydantic import StrictBool, model_validator

from ..errors import InputError
from .model import Value
from .names import Line, Market, Symbol, Venue
from .numbers import UNKNOWN, OptionalRate
from .times import EPOCH, Duration, DurationOrZero

_DAY = timedelta(days=1)


class VenueFacts(Value):
    """How a venue pays funding: of all its perpetuals, or with `symbol` of that one.

    `pays_every`: how often (`timedelta(0)`: continuously). `varies`: whether some perpetuals pay at another interval,
    so that `pays_every` is only the usual one. `aligned`: whether it pays at whole multiples of `pays_every` since
    00:00 UTC. `rate_interval`: over what it quotes its rates, where that is not how often it pays. `rate_cap`: the
    largest rate per 8 h, of either sign, that the venue itself allows on all its perpetuals; None where it states
    none. `as_of` and `source` say when and where that was read. Raises InputError if `aligned` and not a whole number
    of payments a day.
    """

    venue: Venue
    symbol: Symbol | None = None
    pays_every: DurationOrZero
    varies: StrictBool = False
    aligned: StrictBool = False
    rate_interval: Duration | None = None
    rate_cap: OptionalRate = UNKNOWN
    as_of: date
    source: Line

    @model_validator(mode="after")
    def _aligned_to_days(self) -> Self:
        if self.aligned and (not self.pays_every or _DAY % self.pays_every):
            raise InputError("aligned payments divide the day: 1 h, 4 h or 8 h, say")
        return self

    @property
    def quoted_over(self) -> timedelta | None:
        """Over what its rates are quoted; None where these facts do not settle it for every perpetual."""
        if self.rate_interval is not None:
            return self.rate_interval
        return None if self.varies or not self.pays_every else self.pays_every

    def next_payment(self, after: datetime) -> datetime | None:
        """When it pays next after an instant; None where these facts do not say."""
        if not self.aligned or self.varies:
            return None
        return after - (after - EPOCH) % self.pays_every + self.pays_every


class VenueTable(Value):
    """Facts by venue, and by market where a perpetual differs from the others of its venue.

    Raises InputError for two facts about the same.
    """

    facts: tuple[VenueFacts, ...] = ()

    @model_validator(mode="after")
    def _no_two_about_one(self) -> Self:
        if len(self._by_place) != len(self.facts):
            raise InputError("two facts about one venue, or one market: keep one")
        return self

    @cached_property
    def _by_place(self) -> dict[tuple[str, str | None], VenueFacts]:
        return {(facts.venue, facts.symbol): facts for facts in self.facts}

    def of(self, market: Market) -> VenueFacts | None:
        """The facts about a market: its own, else its venue's; None if the table has neither."""
        return self._by_place.get((market.venue, market.symbol)) or self._by_place.get((market.venue, None))

    def with_facts(self, *facts: VenueFacts) -> VenueTable:
        """The same table with `facts` in the place of what it says about the same venue or market."""
        by_place = self._by_place | {(one.venue, one.symbol): one for one in facts}
        return VenueTable(facts=tuple(by_place.values()))


_READ = date(2026, 11, 23)
_HOUR = timedelta(hours=1)


def _fact(venue: str, hours: int, source: str, **more: Any) -> VenueFacts:
    return VenueFacts(venue=venue, pays_every=hours * _HOUR, as_of=_READ, source=source, **more)


VENUES = VenueTable(
    facts=(
        _fact("aster", 8, "its documentation on funding: 8 h unless its funding-info endpoint says less", varies=True),
        _fact("backpack", 1, "its announcement of hourly funding; interval and bounds per market", varies=True),
        _fact(
            "edgex", 4, "its contract metadata: minutes per contract, 240 on most, and caps per contract", varies=True
        ),
        _fact("extended", 1, "its documentation on funding payments: every hour; caps per group of markets"),
        _fact("grvt", 8, "its help page on funding: 1 h, 4 h or 8 h per market; caps per market", varies=True),
        _fact(
            "hyperliquid",
            1,
            "its documentation on funding: paid every hour, at most 4 % an hour",
            aligned=True,
            rate_cap="0.32",
        ),
        _fact(
            "lighter",
            1,
            "its documentation on funding: paid at each hour mark; its funding-rates endpoint quotes per 8 h",
            aligned=True,
            rate_interval=8 * _HOUR,
        ),
        _fact(
            "pacifica",
            1,
            "its documentation on funding: paid each hour, at most 4 % an hour",
            aligned=True,
            rate_cap="0.32",
        ),
        _fact(
            "paradex",
            0,
            "its documentation on funding: accrues every second; period and cap per market",
            varies=True,
        ),
    )
)
"""What is known of venues with an order book of their own on chain. Override with `VENUES.with_facts(...)`."""
