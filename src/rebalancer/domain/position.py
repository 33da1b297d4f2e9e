"""A delta-neutral position: long a perpetual on one venue, short the same one on another."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID, uuid5

from pydantic import Field, model_validator

from ..errors import InputError
from .funding import divergence
from .model import DERIVED, Value, computed
from .names import Line, Market, Pair, ReasonCode, Symbol, Venue
from .numbers import (
    FRACTION_PLACES,
    UNKNOWN,
    Divergence,
    Notional,
    OptionalPositive,
    Rate,
    Usd,
    fraction,
    to_grid,
)
from .opportunity import Opportunity
from .times import Instant, epoch_seconds

ENTRY_TOLERANCE = 20_000
"""2e-8 in grid steps: how far a host's stored entry divergence may be from its own two rates without a warning."""

_NAMESPACE = UUID("6f1d3a52-7a0e-5b0c-9a53-2f4f0d1c8b6e")


class PositionStatus(StrEnum):
    """Where a position is in its life."""

    OPENING = "opening"
    OPEN = "open"
    PENDING_CLOSE = "pending_close"
    HALF_CLOSED = "half_closed"
    CLOSED = "closed"


class Position(Value):
    """Long `symbol` on `long_dex`, short the same on `short_dex`, `size_usd` of notional on each leg.

    `entry_long_rate` and `entry_short_rate` are the rates per 8 h when it was opened. `entry_divergence` is their
    difference, short - long, unless given: then it is the entry edge that rules use, and a disagreement with the two
    rates is a warning fact of each decision. `opened_at` is aware. `id` is derived from pair and opening time unless
    given. Raises InputError for a value that is off, such as a naive time or one venue on both legs.
    """

    symbol: Symbol
    long_dex: Venue
    short_dex: Venue
    size_usd: Notional
    entry_long_rate: Rate
    entry_short_rate: Rate
    entry_divergence: Divergence = DERIVED
    opened_at: Instant
    id: UUID = DERIVED
    status: PositionStatus = PositionStatus.OPEN
    attention: Line | None = None
    then: Opportunity | None = None
    deadline: Instant | None = None
    parent: UUID | None = None
    last_check: Instant | None = None
    last_action_at: Instant | None = None
    long_quantity: OptionalPositive = UNKNOWN
    short_quantity: OptionalPositive = UNKNOWN
    long_entry_price: OptionalPositive = UNKNOWN
    short_entry_price: OptionalPositive = UNKNOWN
    funding_collected_usd: Usd = Field(default="0", validate_default=True)
    fees_paid_usd: Usd = Field(default="0", validate_default=True)
    close_reason: ReasonCode | None = None
    version: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _two_venues(self) -> Position:
        if self.long_dex == self.short_dex:
            raise InputError("long_dex and short_dex must be two venues")
        return self

    @model_validator(mode="after")
    def _derive(self) -> Position:
        if self.entry_divergence is DERIVED:
            self.__dict__["entry_divergence"] = fraction(self._rates_apart())
        if self.id is DERIVED:  # the same position gets the same id in every process
            name = "|".join((self.symbol, self.long_dex, self.short_dex, str(self.opened_at)))
            self.__dict__["id"] = uuid5(_NAMESPACE, name)
        return self

    def _rates_apart(self) -> int:
        """short - long of the entry rates, in grid steps."""
        long_rate, short_rate = (
            to_grid(rate, FRACTION_PLACES) for rate in (self.entry_long_rate, self.entry_short_rate)
        )
        return divergence(long_rate, short_rate)

    @computed
    def pair(self) -> Pair:
        """The directed pair that is held."""
        return Pair(self.symbol, self.long_dex, self.short_dex)

    @computed
    def markets(self) -> tuple[Market, Market]:
        """Where its long leg is, and where its short one."""
        return self.pair.long, self.pair.short

    @computed
    def entry_steps(self) -> int:
        """The entry divergence in grid steps."""
        return to_grid(self.entry_divergence, FRACTION_PLACES)

    @computed
    def opened_epoch(self) -> int:
        """The opening time in whole seconds since 1970-01-01 UTC."""
        return epoch_seconds(self.opened_at)

    @computed
    def last_action_epoch(self) -> int | None:
        """The time of the last action in whole seconds since 1970-01-01 UTC; None: there was none yet."""
        return None if self.last_action_at is None else epoch_seconds(self.last_action_at)

    @computed
    def entry_gap(self) -> int:
        """How far the entry divergence is from the two entry rates, in grid steps; see `ENTRY_TOLERANCE`."""
        return abs(self.entry_steps - self._rates_apart())
