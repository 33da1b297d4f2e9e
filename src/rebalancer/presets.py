"""The strategies that the project names, and the well-known configuration.

`adaptive` is the recommended one; the others are the literal strategies, which trade on noise.

| preset | rules, in order of priority |
|---|---|
| `adaptive` | what should carry most over 168 h, by 5-day means of settled rates, after the costs of the move |
| `combined` | flip, erosion below 0.2, better opportunity, 168 h |
| `conservative` | flip, erosion below 0.2, better opportunity above 0.002, erosion below 0.5, 168 h |
| `aggressive` | flip, erosion below 0.2, better opportunity above 0.0005, erosion below 0.7, 48 h |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import model_validator

from .costs import Costs
from .domain.model import Value
from .domain.numbers import RATIO_ONE, RATIO_PLACES, Bps, Count, Flag, Fraction, Hours, Ratio, to_grid
from .domain.verdict import Urgency
from .errors import InputError
from .rules.base import Rule, param
from .rules.better_opportunity import BetterOpportunity
from .rules.combined import CombinedStrategy
from .rules.divergence_flip import DivergenceFlip
from .rules.net_carry import NetCarry
from .rules.profit_erosion import ProfitErosion
from .rules.time_limit import TimeLimit

if TYPE_CHECKING:
    from .domain.market import Freshness

_SEVERE = "0.2"

CONFIGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "conservative": {},
        "aggressive": {
            "min_erosion_threshold": "0.7",
            "min_profit_improvement": "0.0005",
            "max_position_age_hours": "48",
        },
    }
)
"""What the presets made of a `RebalanceConfig` change of its defaults."""


def _severe_erosion() -> ProfitErosion:
    return ProfitErosion(keep=_SEVERE, reason="SEVERE_EROSION", urgency=Urgency.HIGH)


class RebalanceConfig(Value):
    """The configuration that the bots know, key by key. The defaults are those of the conservative preset.

    `min_erosion_threshold`: the share of the entry edge to keep, above 0.2 (where severe erosion exits anyway) and at
    most 4. `rebalance_cost_bps`: what a switch costs. `min_profit_improvement`: what a switch must gain over 24 h after
    costs, as a fraction of notional. `max_position_age_hours`: the greatest age. `enable_better_opportunity`: whether
    to switch at all. `check_interval_seconds`: how often positions are checked, and so how old data may be.
    An unknown key is an error that suggests the nearest.
    """

    min_erosion_threshold: Ratio = param("0.5", above=_SEVERE, at_most=4)
    rebalance_cost_bps: Bps = param(8)
    min_profit_improvement: Fraction = param("0.002")
    max_position_age_hours: Hours = param(168)
    enable_better_opportunity: Flag = param(default=True)
    check_interval_seconds: Count = param(60, at_least=1, at_most=86_400)

    @model_validator(mode="after")
    def _whole_seconds(self) -> RebalanceConfig:
        if to_grid(self.max_position_age_hours, RATIO_PLACES) * 3600 % RATIO_ONE:
            raise InputError("max_position_age_hours must be a whole number of seconds")
        return self

    @property
    def max_age(self) -> timedelta:
        """The greatest age of a position."""
        return timedelta(seconds=to_grid(self.max_position_age_hours, RATIO_PLACES) * 3600 // RATIO_ONE)

    def strategy(self, *, costs: Costs | None = None) -> CombinedStrategy:
        """Flip, severe erosion, better opportunity, erosion, time limit. `costs` replaces `rebalance_cost_bps`."""
        rules: list[Rule] = [DivergenceFlip(), _severe_erosion()]
        if self.enable_better_opportunity:
            flat = self.rebalance_cost_bps if costs is None else None
            improvement = self.min_profit_improvement
            rules.append(BetterOpportunity(costs=costs, cost_bps=flat, min_improvement=improvement))
        rules.append(ProfitErosion(keep=self.min_erosion_threshold))
        rules.append(TimeLimit(max_age=self.max_age))
        return CombinedStrategy(*rules)

    def freshness(self) -> Freshness:
        """Live quotes may be two check intervals old, and two legs as far apart."""
        from .domain.market import Freshness  # only a host that makes snapshots needs it

        two_checks = timedelta(seconds=2 * self.check_interval_seconds)
        return Freshness(max_age=two_checks, max_skew=two_checks)


def adaptive(*, costs: Costs | None = None, max_unknown: timedelta | None = None) -> CombinedStrategy:
    """Hold what should carry most after the costs of getting there, flat included, by smoothed settled rates.

    One set of numbers for all costs, venues and years: `NetCarry` with its defaults. With `max_unknown` a position is
    closed once a leg's rate has been unknown for that long.
    """
    return CombinedStrategy(NetCarry(costs=costs or Costs.flat(leg_bps=2), max_unknown=max_unknown))


def combined(*, costs: Costs | None = None) -> CombinedStrategy:
    """The literal combination: flip, severe erosion, better opportunity, and a weekly exit. Loses on noisy rates."""
    return CombinedStrategy(
        DivergenceFlip(),
        _severe_erosion(),
        BetterOpportunity(costs=costs),
        TimeLimit(max_age=timedelta(hours=168), reason="WEEKLY_REBALANCE"),
    )


def conservative(*, costs: Costs | None = None) -> CombinedStrategy:
    """Leaves below half of the entry edge, switches for more than 20 bp in 24 h, and after a week. Loses on noise."""
    return RebalanceConfig().strategy(costs=costs)


def aggressive(*, costs: Costs | None = None) -> CombinedStrategy:
    """Leaves below 70 % of the entry edge, switches for more than 5 bp in 24 h, and after 48 h. Loses on noise."""
    return RebalanceConfig.model_validate(CONFIGS["aggressive"]).strategy(costs=costs)
