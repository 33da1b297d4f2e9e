"""What a rule reads beyond the position, so that the engine fetches it for all positions at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .model import Value


class Needs(Value):
    """What a rule reads beyond the position itself. `needs | needs` is their union.

    `rates` (the default) are the two legs' funding rates; `opportunities` the other pairs of the symbol, and of all
    symbols with `all_symbols`; `schedule` the next settlements; `open_interest`, `volume` and `mark_price` the legs';
    `legs` what we hold of them, as the venues say; `observations` how many past observations of each leg.
    """

    rates: bool = True
    opportunities: bool = False
    all_symbols: bool = False
    schedule: bool = False
    open_interest: bool = False
    volume: bool = False
    mark_price: bool = False
    legs: bool = False
    observations: Annotated[int, Field(ge=0, le=10_000)] = 0

    def __or__(self, other: Needs) -> Needs:
        return Needs(**{name: max(getattr(self, name), getattr(other, name)) for name in type(self).model_fields})

    def lacking(self, supplied: Needs) -> tuple[str, ...]:
        """The names of the needs that `supplied` does not cover."""
        names = type(self).model_fields
        return tuple(name for name in names if getattr(self, name) > getattr(supplied, name))
