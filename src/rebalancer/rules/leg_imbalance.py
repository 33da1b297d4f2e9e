"""Close when the two legs no longer hedge each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..domain.names import ReasonCode
from ..domain.numbers import Ratio, ratio
from ..domain.verdict import Fact, Urgency, Verdict
from .base import param
from .grid import Bound, Claims, GridRule


class LegImbalance(GridRule):
    """Close when the legs differ in tokens by more than `max_difference` (below 1) of the larger one.

    Exactly that share holds. A leg that is known to be flat differs wholly, and the rule fires; with both flat it is
    not evaluated, since the position is gone. A leg on the wrong side is for a person to look at, and is never acted
    on: the rule is not evaluated, and says which. Reads the legs.
    """

    max_difference: Ratio = param("0.05", at_most="0.999999")
    reason: ReasonCode = "LEG_IMBALANCE"
    urgency: Urgency = Urgency.HIGH

    claims: ClassVar[Claims] = Claims(
        fired="the legs are out of balance",
        quiet="the legs are in balance",
        inapplicable="both legs are flat, so there is nothing to decide",
    )

    @staticmethod
    def applies(long_open: int, short_open: int) -> bool:
        """At least one leg holds tokens."""
        return (long_open > 0) | (short_open > 0)

    @staticmethod
    def fires(quantity_difference: int, max_difference: int) -> bool:
        """(larger - smaller) / larger > max_difference."""
        return quantity_difference > max_difference

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The difference against the greatest one."""
        return (Fact("quantity_difference_ratio", ratio(values["quantity_difference"]), limit=self.max_difference),)

    def verdict(self, bound: Bound) -> Verdict:
        """As any rule's, with the two quantities."""
        verdict, legs = super().verdict(bound), bound.ctx.legs
        tokens = Fact("long_quantity_tokens", legs.long.quantity), Fact("short_quantity_tokens", legs.short.quantity)
        return verdict.model_copy(update={"facts": verdict.facts + tokens})
