"""When to open a position, and which pair."""

from __future__ import annotations

from typing import Self

from ..domain.model import Value
from ..domain.numbers import FRACTION_PLACES, Fraction, to_grid
from ..domain.opportunity import Opportunity
from ..domain.snapshot import MarketSnapshot
from ..domain.targets import TargetFilter
from ..rules.base import Rule, param


class EntryPolicy(Value):
    """Open the pair of a symbol with the largest divergence, if it is above `above` (per 8 h, 1 bp by default)."""

    above: Fraction = param("0.0001")

    @classmethod
    def matching(cls, strategy: Rule) -> Self:  # noqa: ARG003
        """The entry that goes with a strategy."""
        return cls()

    def should_open(
        self, symbol: str, snapshot: MarketSnapshot, *, targets: TargetFilter = TargetFilter.ANY
    ) -> Opportunity | None:
        """The pair of `symbol` to open now, or None. Ties go by (long, short); exactly `above` stays out."""
        limit = to_grid(self.above, FRACTION_PLACES)
        for divergence, pair in snapshot.book.ranked(symbol):
            if divergence <= limit:
                break
            if targets.refusal(pair) is None:
                return snapshot.book.opportunity(pair)
        return None
