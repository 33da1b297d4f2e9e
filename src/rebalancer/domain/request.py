"""One question for the data of all positions at once."""

from __future__ import annotations

from functools import cached_property

from .model import Value
from .names import Market, Symbol, Venue
from .needs import Needs


class MarketRequest(Value):
    """What a source is asked for: once a tick, for all positions together.

    `markets` are those that must be had: the legs of the positions. `symbols` are those whose candidates are wanted
    (None: all), on `venues` (None: on all that the source has). `needs` says what of each market.
    """

    markets: tuple[Market, ...] = ()
    symbols: tuple[Symbol, ...] | None = ()
    venues: tuple[Venue, ...] | None = None
    needs: Needs = Needs()

    @cached_property
    def held(self) -> frozenset[Market]:
        """The markets that must be had."""
        return frozenset(self.markets)

    @cached_property
    def _symbols(self) -> frozenset[Symbol]:
        return frozenset(self.symbols or ())

    def wants(self, market: Market) -> bool:
        """Whether a quote of `market` belongs into the answer: it is held, or a candidate's."""
        return market in self.held or self.wants_candidate(market)

    def wants_candidate(self, market: Market) -> bool:
        """Whether `market` may be a leg of a candidate."""
        openable = self.venues is None or market.venue in self.venues
        return openable and (self.symbols is None or market.symbol in self._symbols)
