"""Legs as venues show them: what was read of each, or why it could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Discriminator, Tag

from .model import Value, computed
from .names import Line, Market, Symbol, Venue
from .numbers import UNKNOWN, Exact, Number, OptionalExact, OptionalPositive
from .times import Moment


class Known(Value):
    """A leg that was read: its `quantity` in tokens, positive if it is long, negative if it is short.

    A zero is a known zero. Prices are in dollars a token and `funding_accrued` in dollars, received if positive; None
    is unknown. `as_of` is the instant that all this is true of; without it, that of the snapshot.
    """

    quantity: Exact
    as_of: Moment | None = None
    entry_price: OptionalPositive = UNKNOWN
    mark_price: OptionalPositive = UNKNOWN
    liquidation_price: OptionalPositive = UNKNOWN
    funding_accrued: OptionalExact = UNKNOWN

    def __init__(
        self,
        quantity: Number,
        *,
        as_of: datetime | None = None,
        entry_price: Number | None = None,
        mark_price: Number | None = None,
        liquidation_price: Number | None = None,
        funding_accrued: Number | None = None,
    ) -> None:
        super().__init__(
            quantity=quantity,
            as_of=as_of,
            entry_price=entry_price,
            mark_price=mark_price,
            liquidation_price=liquidation_price,
            funding_accrued=funding_accrued,
        )

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # JSON is validated without this signature


class Unknown(Value):
    """A leg that could not be read, and the `reason`. It is never flat: nothing is known of it."""

    reason: Line
    quantity: ClassVar[None] = None
    """As that of a leg that was read, which nobody knows here."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason)

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # as above


LegState = Known | Unknown
"""What is known of a leg: the answer of a venue, or why there is none."""


def _kind(state: object) -> str:
    """Which of the two a state from outside is, so that an error is about that one alone."""
    unknown = isinstance(state, Unknown) or (isinstance(state, Mapping) and "reason" in state)
    return "unknown" if unknown else "known"


class LegReading(Value):
    """The `state` of our leg in a market."""

    venue: Venue
    symbol: Symbol
    state: Annotated[
        Annotated[Known, Tag("known")] | Annotated[Unknown, Tag("unknown")],
        Discriminator(_kind),
    ]

    @computed
    def market(self) -> Market:
        """The market that the leg is in."""
        return Market(self.venue, self.symbol)
