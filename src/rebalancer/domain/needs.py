"""What a rule reads beyond the position, so that the engine fetches it for all positions at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from .model import Value
from .smoothed import Smoothed


class Needs(Value):
    """What a rule reads beyond the position itself. `needs | needs` is their union.

    `rates` (the default) are the two legs' funding rates; `opportunities` the other pairs of the symbol, and of all
    symbols with `all_symbols`; `schedule` the next settlements; `open_interest`, `volume` and `mark_price` the legs';
    `legs` what we hold of them, as the venues say; `observations` how many past observations of each leg; `smoothed`
    which smoothed rates, each once and in order. Smoothed rates are made of settled ones by whoever asks: no source has
    to supply them.
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
    smoothed: tuple[Smoothed, ...] = ()

    @field_validator("smoothed")
    @classmethod
    def _in_order(cls, signals: tuple[Smoothed, ...]) -> tuple[Smoothed, ...]:
        return tuple(sorted(set(signals), key=lambda signal: signal.order))

    def __or__(self, other: Needs) -> Needs:
        more = {name: max(getattr(self, name), getattr(other, name)) for name in _SUPPLIED}
        return Needs(**more, smoothed=self.smoothed + other.smoothed)

    def lacking(self, supplied: Needs) -> tuple[str, ...]:
        """The names of the needs that `supplied` does not cover."""
        return tuple(name for name in _SUPPLIED if getattr(self, name) > getattr(supplied, name))


_SUPPLIED = tuple(name for name in Needs.model_fields if name != "smoothed")
