"""Switch when another pair earns enough more to pay for the move."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar, Literal

from pydantic import model_validator

from ..costs import Costs
from ..domain.numbers import (
    EIGHT_HOURS,
    FRACTION_PLACES,
    UNKNOWN,
    Fraction,
    OptionalBps,
    divide_half_even,
    fraction,
    to_grid,
)
from ..domain.smoothed import Smoothed
from ..domain.times import Duration, seconds
from ..domain.verdict import Fact
from ..errors import InputError
from .base import param
from .grid import Claims
from .target import Pricing, TargetRule

DEFAULT_COST_BPS = Decimal(8)


class BetterOpportunity(TargetRule):
    """Switch to the best other pair if, over `horizon`, it gains more than `min_improvement` after costs.

    gain = (its divergence - ours) x horizon / 8 h - cost, as a fraction of notional; exactly `min_improvement` holds.
    The cost of a switch is `cost_bps` (8 bp unless given), or with `costs` the legs that it trades: two for a rotation,
    else four. Giving both is an error. What the held pair cost to open is sunk. `scope="any"` considers other symbols
    too. With a `signal` both divergences are those of smoothed rates. Without a candidate the rule is quiet.
    """

    costs: Costs | None = None
    cost_bps: OptionalBps = UNKNOWN
    min_improvement: Fraction = param("0.001")
    horizon: Duration = param(timedelta(hours=24))
    scope: Literal["symbol", "any"] = "symbol"
    signal: Smoothed | None = None

    claims: ClassVar[Claims] = Claims(
        fired="another pair gains more than a switch must gain",
        quiet="no other pair gains more than a switch must gain",
    )

    @model_validator(mode="after")
    def _one_kind_of_cost(self) -> BetterOpportunity:
        if self.costs is None and "cost_bps" not in self.model_fields_set:
            self.__dict__["cost_bps"] = DEFAULT_COST_BPS
        if self.costs is None and self.cost_bps is None:
            raise InputError("give cost_bps or costs: what a switch costs")
        if self.costs is not None and self.cost_bps is not None:
            raise InputError("give either cost_bps or costs, not both")
        if self.horizon > timedelta(days=21):
            raise InputError("horizon must be at most 21 days")
        return self

    @staticmethod
    def gain(candidate_divergence: int, divergence: int, switch_cost: int, horizon: int) -> int:
        """(candidate - ours) x horizon - cost x 8 h: grid steps x seconds, so that nothing is divided."""
        return (candidate_divergence - divergence) * horizon - switch_cost * EIGHT_HOURS

    @staticmethod
    def fires(gain: int, min_improvement: int) -> bool:
        """gain > min_improvement, in grid steps x seconds."""
        return gain > min_improvement * EIGHT_HOURS

    @property
    def all_symbols(self) -> bool:
        """Whether candidates of other symbols count."""
        return self.scope == "any"

    def pricing(self) -> Pricing:
        """What a switch costs: the flat figure, or the legs that it trades."""
        if self.costs is not None:
            return Pricing.by_leg(self.costs)
        return Pricing.flat(to_grid(self.cost_bps or Decimal(0), FRACTION_PLACES - 4))

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The best candidate's gain over the horizon against the improvement asked for, and what it is made of."""
        return (
            Fact("gain", fraction(divide_half_even(values["gain"], EIGHT_HOURS)), limit=self.min_improvement),
            Fact("candidate_divergence", fraction(values["candidate_divergence"])),
            Fact("divergence", fraction(values["divergence"])),
            Fact("switch_cost", fraction(values["switch_cost"])),
            Fact("horizon_seconds", seconds(self.horizon)),
        )
