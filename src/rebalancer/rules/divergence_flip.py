"""Close when the position no longer earns: the divergence has fallen below a margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..domain.names import ReasonCode
from ..domain.numbers import Fraction, fraction
from ..domain.smoothed import Smoothed
from ..domain.verdict import Fact, Urgency
from .base import param
from .grid import Claims, GridRule


class DivergenceFlip(GridRule):
    """Close, critically, when the divergence is below `margin` (a fraction per 8 h, 0 by default).

    A divergence of exactly `margin` holds. Reads the two rates, or with a `signal` the smoothed ones; unknown ones are
    not evaluated.
    """

    margin: Fraction = param("0")
    signal: Smoothed | None = None
    reason: ReasonCode = "DIVERGENCE_FLIPPED"
    urgency: Urgency = Urgency.CRITICAL

    claims: ClassVar[Claims] = Claims(
        fired="the divergence is below the margin",
        quiet="the divergence is at or above the margin",
    )

    @staticmethod
    def fires(divergence: int, margin: int) -> bool:
        """divergence < margin."""
        return divergence < margin

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The divergence against the margin."""
        return (Fact("divergence", fraction(values["divergence"]), limit=self.margin),)
