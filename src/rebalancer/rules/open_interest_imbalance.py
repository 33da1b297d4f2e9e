"""Close when the open interest of the two venues has drifted apart."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from ..domain.names import ReasonCode
from ..domain.numbers import RATIO_ONE, Ratio, ratio
from ..domain.verdict import Fact
from .base import param
from .grid import Claims, GridRule, parameter


class OpenInterestImbalance(GridRule):
    """Close when the long venue's open interest is above `max_ratio` or below `min_ratio` of the short venue's.

    Exactly a ratio holds. A known zero on one side fires; on both sides there is no ratio, and the rule is not
    evaluated. Reads the two legs' open interest in whole dollars. The ratios are above 0 and at most 90.
    """

    max_ratio: Ratio = param("3", above=0)
    min_ratio: Ratio = param("0.33", above=0)
    reason: ReasonCode = "OI_IMBALANCE"

    claims: ClassVar[Claims] = Claims(
        fired="the open interest of the two venues is out of balance",
        quiet="the open interest of the two venues is in balance",
        inapplicable="neither venue has open interest, so there is no ratio",
    )

    @staticmethod
    def applies(long_open_interest: int, short_open_interest: int) -> bool:
        """There is open interest on at least one side."""
        return (long_open_interest > 0) | (short_open_interest > 0)

    @staticmethod
    def fires(long_open_interest: int, short_open_interest: int, max_ratio: int, min_ratio: int) -> bool:
        """long > max x short, or long < min x short, with the ratios' grid multiplied out."""
        long = long_open_interest * RATIO_ONE
        return (long > max_ratio * short_open_interest) | (long < min_ratio * short_open_interest)

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The long side against the least ratio if it breaks that, else against the greatest; and the short side."""
        long, short = values["long_open_interest"], values["short_open_interest"]
        too_small = long * RATIO_ONE < parameter(self, "min_ratio") * short
        side = "min_ratio" if too_small else "max_ratio"
        limit = ratio(parameter(self, side) * short)
        return (
            Fact("long_open_interest_usd", Decimal(long), limit=limit),
            Fact("short_open_interest_usd", Decimal(short)),
            Fact(side, getattr(self, side)),
        )
