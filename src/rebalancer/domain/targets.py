"""Which candidates may be opened now."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from .model import Value
from .names import Pair, Symbol, Venue


class TargetFilter(Value):
    """Which pairs a SWITCH may go to: only on `venues` (None: on any), not to a symbol of `blocked_symbols` (such as
    one that is cooling down), and not to a pair of `taken` (held by another position).

    `TargetFilter.ANY` allows all.
    """

    ANY: ClassVar[TargetFilter]

    venues: tuple[Venue, ...] | None = None
    blocked_symbols: tuple[Symbol, ...] = ()
    taken: tuple[Pair, ...] = ()

    @cached_property
    def _taken(self) -> frozenset[Pair]:
        return frozenset(self.taken)

    def refusal(self, pair: Pair) -> str | None:
        """Why `pair` may not be opened now, or None if it may."""
        if self.venues is not None and not {pair.long_dex, pair.short_dex} <= set(self.venues):
            return "a venue is not allowed"
        if pair.symbol in self.blocked_symbols:
            return "the symbol is blocked"
        if pair in self._taken:
            return "another position holds the pair"
        return None

    def without(self, *pairs: Pair) -> TargetFilter:
        """The same filter with `pairs` taken as well."""
        taken = (*self.taken, *pairs)  # of positions and candidates, which are validated
        return type(self).model_construct(venues=self.venues, blocked_symbols=self.blocked_symbols, taken=taken)


TargetFilter.ANY = TargetFilter.model_construct(venues=None, blocked_symbols=(), taken=())  # its schema can wait
