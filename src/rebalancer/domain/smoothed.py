"""Smoothed rates: a market's settlements as one mean, and what a snapshot says of it."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Annotated

from pydantic import Field, model_validator

from ..errors import InputError
from .model import Value
from .names import Market, Symbol, Venue
from .numbers import FRACTION_PLACES, RATIO_ONE, Bps, to_grid
from .times import Duration, DurationOrZero, Instant, epoch_seconds, seconds

MAX_HALF_LIFE = timedelta(days=365)
_Whole = Annotated[int, Field(ge=-(1 << 62), le=1 << 62)]


class Smoothed(Value):
    """A signal: the time-weighted, bias-corrected exponential mean of a market's settled rates, instead of its last.

    `half_life`: the age at which a settlement weighs half, at most a year. `clip_bps`: no settlement counts for more
    than so many basis points per 8 h, up or down; a rare huge print does not persist. `warm_up`: the mean is unknown
    until settlements covering that time were seen. Live rates that were not settled have no part in it.
    """

    half_life: Duration = timedelta(hours=120)
    clip_bps: Annotated[Bps, Field(gt=0, le=10_000)] = Field(default="8", validate_default=True)
    warm_up: DurationOrZero = timedelta(hours=72)

    @model_validator(mode="after")
    def _bounded(self) -> Smoothed:
        if self.half_life > MAX_HALF_LIFE:
            raise InputError("half_life must be at most a year")
        return self

    @cached_property
    def clip(self) -> int:
        """The largest rate per 8 h that counts, in grid steps."""
        return to_grid(self.clip_bps, FRACTION_PLACES - 4)

    @cached_property
    def warm_up_seconds(self) -> int:
        """`warm_up` in seconds."""
        return seconds(self.warm_up)

    @property
    def order(self) -> tuple[timedelta, int, timedelta]:
        """What signals are sorted by."""
        return self.half_life, self.clip, self.warm_up


class SmoothedRate(Value):
    """What is known of one market's mean: `num / den`, exact, in grid steps per 8 h, as of its last settlement.

    That one was at `settled_at` and paid for `interval` seconds; all that counted covered `seen` seconds.
    """

    venue: Venue
    symbol: Symbol
    signal: Smoothed
    num: _Whole
    den: Annotated[int, Field(ge=0, le=RATIO_ONE)]
    settled_at: Instant
    interval: Annotated[int, Field(ge=1)]
    seen: Annotated[int, Field(ge=0)]

    @cached_property
    def market(self) -> Market:
        """The market this is of."""
        return Market(self.venue, self.symbol)

    @cached_property
    def settled_epoch(self) -> int:
        """When it was settled last, in whole seconds since 1970-01-01 UTC."""
        return epoch_seconds(self.settled_at)

    @property
    def steps(self) -> int | None:
        """The mean rate per 8 h in grid steps; None if no settlement had any weight."""
        return self.num * RATIO_ONE // self.den if self.den else None
