"""What venues do: how often they pay, and how large a rate they allow. Facts change, so each has a date and a source."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cached_property
from typing import Self

from pydantic import model_validator

from ..errors import InputError
from .model import Value
from .names import Line, Market, Symbol, Venue
from .numbers import UNKNOWN, OptionalRate
from .times import DurationOrZero


class VenueFacts(Value):
    """How a venue pays funding: of all its perpetuals, or with `symbol` of that one.

    `pays_every`: how often (`timedelta(0)`: continuously). `rate_cap`: the largest rate per 8 h, of either sign, that
    the venue itself allows; None where it states none. `as_of` and `source` say when and where that was read.
    """

    venue: Venue
    symbol: Symbol | None = None
    pays_every: DurationOrZero
    rate_cap: OptionalRate = UNKNOWN
    as_of: date
    source: Line


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


def _fact(venue: str, hours: int, source: str, *, rate_cap: str | None = None) -> VenueFacts:
    return VenueFacts(
        venue=venue, pays_every=timedelta(hours=hours), rate_cap=rate_cap, as_of=date(2026, 11, 1), source=source
    )


VENUES = VenueTable(
    facts=(
        _fact("aster", 8, "its funding-info endpoint; some symbols pay every 4 h or 1 h"),
        _fact("backpack", 1, "its markets endpoint, interval per market"),
        _fact("edgex", 4, "its contract metadata; some contracts pay every hour"),
        _fact("grvt", 8, "its instruments endpoint; some pay every 1 h or 4 h"),
        _fact("hyperliquid", 1, "its documentation on funding: hourly, at most 4 % an hour", rate_cap="0.32"),
        _fact("lighter", 1, "its documentation on funding: hourly"),
        _fact("paradex", 0, "its documentation on funding: accrues continuously"),
    )
)
"""What is known of venues that pay on chain or to an order book of their own. Override with `VENUES.with_facts(...)`."""
