"""Funding rates, and the one place where the sign of a divergence is decided."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, model_validator

from ..errors import InputError
from .model import Value, computed
from .numbers import EIGHT_HOURS, FRACTION_PLACES, ONE, Number, RawRate, divide_half_even, fraction, to_grid
from .times import read_duration, seconds, write_duration

MAX_INTERVAL = timedelta(days=21)


def divergence(long_rate: int, short_rate: int) -> int:
    """short - long, in grid steps of a fraction per 8 h. Positive: such a position earns."""
    return short_rate - long_rate


class RateKind(StrEnum):
    """What a rate is. Kinds are never mixed within one market."""

    SETTLED = "settled"
    """What was paid at `observed_at`."""
    FORMING = "forming"
    """What the venue says it would pay next, as seen at `observed_at`."""
    INDICATIVE = "indicative"
    """Anything else that indicates the rate, such as an hourly mean."""


def _interval(value: object) -> timedelta:
    interval = read_duration(value)
    if not timedelta(0) < interval <= MAX_INTERVAL:
        raise InputError("a funding interval must be above 0 and at most 21 days")
    return interval


class FundingRate(Value):
    """A signed funding rate over an interval: the fraction of notional that longs pay to shorts.

    `value` is rounded half-even onto the grid of 1e-12; `interval` is never assumed. Raises InputError if the rate is
    beyond 1 (100 %) per 8 h, or the interval is not above 0 and at most 21 days.
    """

    value: RawRate
    interval: Annotated[timedelta, PlainValidator(_interval), PlainSerializer(write_duration, when_used="json")]

    def __init__(self, value: Number, interval: timedelta) -> None:
        super().__init__(value=value, interval=interval)

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # JSON is validated without this signature

    @model_validator(mode="after")
    def _within_bounds(self) -> FundingRate:
        if abs(self.steps) > ONE:
            raise InputError("beyond 100 % per 8 h: is it a percent, or is its interval wrong?")
        return self

    @computed
    def steps(self) -> int:
        """The rate per 8 h in grid steps: grid value x 28,800 s / interval, half-even."""
        return divide_half_even(to_grid(self.value, FRACTION_PLACES) * EIGHT_HOURS, seconds(self.interval))

    @property
    def per_8h(self) -> Decimal:
        """The rate per 8 h, as it is compared everywhere."""
        return fraction(self.steps)
