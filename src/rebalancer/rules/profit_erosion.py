"""Close when too little of the entry edge is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..domain.numbers import FRACTION_PLACES, RATIO_ONE, RATIO_PLACES, Ratio, fraction, from_grid
from ..domain.smoothed import Smoothed
from ..domain.verdict import Fact
from .base import param
from .grid import Claims, GridRule, parameter


class ProfitErosion(GridRule):
    """Close when the divergence is below `keep` (a share, 0 to 4) of the entry divergence.

    Exactly that share holds. Where the entry divergence is zero or negative there is no edge to erode, and the rule is
    not evaluated. Reads the two rates, or with a `signal` the smoothed ones (the entry divergence stays as it was).
    """

    keep: Ratio = param("0.3", at_most=4)
    signal: Smoothed | None = None

    claims: ClassVar[Claims] = Claims(
        fired="the divergence is below the share of the entry edge to keep",
        quiet="enough of the entry edge is left",
        inapplicable="the entry edge is not positive, so there is nothing to erode",
    )

    @staticmethod
    def applies(entry_divergence: int) -> bool:
        """There was an edge to erode."""
        return entry_divergence > 0

    @staticmethod
    def fires(divergence: int, entry_divergence: int, keep: int) -> bool:
        """divergence < keep x entry divergence, with the ratio's grid multiplied out."""
        return divergence * RATIO_ONE < keep * entry_divergence

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The divergence against the share to keep, and the entry divergence."""
        entry = values["entry_divergence"]
        limit = from_grid(parameter(self, "keep") * entry, RATIO_PLACES + FRACTION_PLACES)
        return (
            Fact("divergence", fraction(values["divergence"]), limit=limit),
            Fact("entry_divergence", fraction(entry)),
            Fact("keep", self.keep),
        )
