"""When to open a position, and which pair."""

from __future__ import annotations

from typing import Protocol

from ..domain.model import Value
from ..domain.needs import Needs
from ..domain.numbers import FRACTION_PLACES, Fraction, to_grid
from ..domain.opportunity import Opportunity
from ..domain.snapshot import MarketSnapshot
from ..domain.targets import TargetFilter
from ..rules.algebra import proposer
from ..rules.base import Rule, param
from ..rules.combined import CombinedStrategy
from ..rules.net_carry import NetCarry


class Entry(Protocol):
    """Anything that says which pair of a symbol to open: an `EntryPolicy`, a `NetCarry`, or your own."""

    @property
    def needs(self) -> Needs:
        """What it reads."""

    def should_open(
        self, symbol: str, snapshot: MarketSnapshot, *, targets: TargetFilter = TargetFilter.ANY
    ) -> Opportunity | None:
        """The pair of `symbol` to open now, or None."""


class EntryPolicy(Value):
    """Open the pair of a symbol with the largest divergence, if it is above `above` (per 8 h, 1 bp by default)."""

    above: Fraction = param("0.0001")

    @staticmethod
    def matching(strategy: Rule) -> Entry:
        """The entry that goes with a strategy: that of its first `NetCarry`, else the policy with its default."""
        rules = strategy.rules if isinstance(strategy, CombinedStrategy) else (strategy,)
        return next((rule for rule in map(proposer, rules) if isinstance(rule, NetCarry)), EntryPolicy())

    @property
    def needs(self) -> Needs:
        """The candidates of the symbol."""
        return Needs(rates=False, opportunities=True)

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
