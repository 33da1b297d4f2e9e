"""A directed pair that could be opened, with the two rates that make it interesting."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property

from pydantic import model_validator

from ..errors import InputError
from .funding import divergence
from .model import Value
from .names import Line, Pair, Symbol, Venue
from .numbers import FRACTION_PLACES, Rate, fraction, to_grid
from .times import Instant


class Opportunity(Value):
    """Long `symbol` on `long_dex` and short on `short_dex`, at rates per 8 h seen at `observed_at` (the older leg's).

    `origin` names the source that listed it. Raises InputError if both legs are on one venue.
    """

    symbol: Symbol
    long_dex: Venue
    short_dex: Venue
    long_rate: Rate
    short_rate: Rate
    observed_at: Instant
    origin: Line | None = None

    @model_validator(mode="after")
    def _two_venues(self) -> Opportunity:
        if self.long_dex == self.short_dex:
            raise InputError("long_dex and short_dex must be two venues")
        return self

    @cached_property
    def pair(self) -> Pair:
        """The directed pair."""
        return Pair(self.symbol, self.long_dex, self.short_dex)

    @cached_property
    def steps(self) -> int:
        """The divergence per 8 h in grid steps."""
        return divergence(to_grid(self.long_rate, FRACTION_PLACES), to_grid(self.short_rate, FRACTION_PLACES))

    @property
    def divergence(self) -> Decimal:
        """Short rate - long rate, per 8 h. Positive: the pair earns."""
        return fraction(self.steps)
