"""Close before a venue liquidates a leg."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..domain.names import ReasonCode
from ..domain.numbers import Ratio, ratio
from ..domain.verdict import Fact, Urgency, Verdict
from .base import param
from .grid import Bound, Claims, GridRule


class LiquidationDistance(GridRule):
    """Close when a leg is less than `min_distance` away from its liquidation price, as a share of its mark price.

    Exactly that share (0 to 1) holds; beyond the liquidation price the distance is negative, and the rule fires. The
    mark price is the one that came with the leg, else its quote's. One leg is enough to fire; the rule is quiet only if
    both are known to be far enough. A leg without a reading, a mark or a liquidation price, one that is flat and one on
    the wrong side have no known distance. Reads the legs and mark prices, but no rates.
    """

    min_distance: Ratio = param("0.10", at_most=1)
    reason: ReasonCode = "LIQUIDATION_DISTANCE"
    urgency: Urgency = Urgency.CRITICAL

    claims: ClassVar[Claims] = Claims(
        fired="a leg is close to its liquidation price",
        quiet="both legs are far enough from their liquidation prices",
    )

    @staticmethod
    def applies(liquidation_distance: int, both_distances: int, min_distance: int) -> bool:
        """Both distances are known, or the known one is too small already."""
        return (both_distances > 0) | (liquidation_distance < min_distance)

    @staticmethod
    def fires(liquidation_distance: int, min_distance: int) -> bool:
        """The smaller distance < min_distance."""
        return liquidation_distance < min_distance

    def verdict(self, bound: Bound) -> Verdict:
        """As any rule's, with the distance of each leg that is known."""
        held = bound.ctx.snapshot.held[bound.ctx.position.pair]
        for name, leg in zip(_DISTANCES, held, strict=True):
            if leg.liquidation_distance is not None:
                bound.values[name] = leg.liquidation_distance
        return super().verdict(bound)

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """Each known leg's distance against the least one."""
        known = (name for name in _DISTANCES if name in values)
        return tuple(Fact(f"{name}_ratio", ratio(values[name]), limit=self.min_distance) for name in known)


_DISTANCES = ("long_liquidation_distance", "short_liquidation_distance")
