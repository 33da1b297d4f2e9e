"""What leg states say of a position, on the grid: the values that rules read of them, each None where unknown."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from .legs import Known, LegState, Unknown
from .missing import LEG, LIQUIDATION_PRICE, MARK_PRICE, Missing
from .names import Market, Pair
from .numbers import RATIO_ONE, divide_half_even
from .times import epoch_seconds

if TYPE_CHECKING:
    from .book import Book
    from .market import Freshness

FARTHEST = 1_000 * RATIO_ONE
"""Distances beyond 1,000 times the mark price, to either side, count as this."""


def in_proportion(one: Decimal, other: Decimal) -> tuple[int, int]:
    """Two integers that stand to each other as the numbers do. Exact, whatever the ambient decimal context."""
    (numerator, denominator), (numerator_of_other, denominator_of_other) = map(Decimal.as_integer_ratio, (one, other))
    return numerator * denominator_of_other, numerator_of_other * denominator


class HeldLeg:
    """One leg on its side: 1 for the long leg, -1 for the short one.

    `known` is what was read of it, if that counts. `open` is 1 if it holds tokens on its side and 0 if it is flat.
    `liquidation_distance` is how far the mark price (its own, else its quote's) is from the liquidation price, as a
    share of the mark price in ratio steps; negative beyond it. A leg on the wrong side has neither of the two.
    """

    __slots__ = ("_book", "_refusal", "known", "liquidation_distance", "mark_price", "market", "open")

    def __init__(self, market: Market, side: int, state: LegState | None, *, book: Book, freshness: Freshness) -> None:
        self._book = book
        self._refusal = _refusal(state, book.now, freshness)
        self.market = market
        self.known = state if isinstance(state, Known) and self._refusal is None else None
        self.open = None if self.known is None else _open(self.known.quantity, side)
        self.mark_price = _mark_price(self.known, book, market)
        self.liquidation_distance: int | None = None
        if self.known is not None and self.known.liquidation_price is not None and self.mark_price and self.open:
            mark, liquidation = in_proportion(self.mark_price, self.known.liquidation_price)
            distance = side * divide_half_even((mark - liquidation) * RATIO_ONE, mark)
            self.liquidation_distance = max(-FARTHEST, min(distance, FARTHEST))

    def gap(self, field: str) -> Missing:
        """Why `field` of the leg is unknown: what its state shows, else what a source said, else that none did."""
        otherwise = "no leg state was read" if self.known is None else "its leg state does not say"
        return self._because(field, self._refusal or self._book.reported(field, self.market) or otherwise)

    def open_gaps(self) -> tuple[Missing, ...]:
        """Why `open` is unknown; empty if it is known."""
        if self.known is None:
            return (self.gap(LEG),)
        return (self._because(LEG, "it is on the wrong side"),) if self.open is None else ()

    def distance_gaps(self) -> tuple[Missing, ...]:
        """Why the distance to liquidation is unknown; empty if it is known."""
        if self.known is None or self.open is None:
            return self.open_gaps()
        if self.open == 0:
            return (self._because(LIQUIDATION_PRICE, "the leg is flat"),)
        gaps = []
        if self.known.liquidation_price is None:
            gaps.append(self.gap(LIQUIDATION_PRICE))
        if self.mark_price is None:
            gaps.append(self._book.gap(self.market, MARK_PRICE))
        return tuple(gaps)

    def _because(self, field: str, why: str) -> Missing:
        return Missing(field=field, venue=self.market.venue, symbol=self.market.symbol, why=why)


def _refusal(state: LegState | None, now: int, freshness: Freshness) -> str | None:
    """Why a leg's state does not count; None if it does, or if there is none."""
    if isinstance(state, Unknown):
        return state.reason
    if state is None or state.as_of is None:
        return None
    age = now - epoch_seconds(state.as_of)
    if age < -freshness.future_seconds:
        return "the leg state is from the future"
    return "the leg state is older than its limit" if age > freshness.age_seconds else None


def _open(quantity: Decimal, side: int) -> int | None:
    """1 if the quantity is on its side, 0 if it is zero, None on the wrong side."""
    if quantity == 0:
        return 0
    return 1 if (quantity > 0) == (side > 0) else None


def _mark_price(known: Known | None, book: Book, market: Market) -> Decimal | None:
    """The mark price that came with the leg's own state, else that of the market's quote."""
    if known is not None and known.mark_price is not None:
        return known.mark_price
    leg = book.leg(market)
    return None if leg.quote is None or leg.refusal is not None else leg.quote.mark_price


class HeldPair(NamedTuple):
    """Both legs of a pair as they are held."""

    long: HeldLeg
    short: HeldLeg

    @property
    def liquidation_distance(self) -> int | None:
        """The smaller one of the legs' distances, of those that are known."""
        known = [leg.liquidation_distance for leg in self if leg.liquidation_distance is not None]
        return min(known, default=None)

    @property
    def both_distances(self) -> int:
        """1 if both legs' distances are known, else 0."""
        return int(all(leg.liquidation_distance is not None for leg in self))

    @property
    def quantity_difference(self) -> int | None:
        """(larger - smaller) / larger of the legs' tokens, in ratio steps; 0 if both are flat."""
        if self.long.known is None or self.short.known is None or None in (self.long.open, self.short.open):
            return None
        tokens = in_proportion(self.long.known.quantity.copy_abs(), self.short.known.quantity.copy_abs())
        larger = max(tokens)
        return divide_half_even((larger - min(tokens)) * RATIO_ONE, larger) if larger else 0


class Held(dict[Pair, HeldPair]):
    """`held[pair]` is how the pair is held, made when first asked for."""

    def __init__(self, states: Mapping[Market, LegState], *, book: Book, freshness: Freshness) -> None:
        super().__init__()
        self._states = states
        self._book = book
        self._freshness = freshness

    def __missing__(self, pair: Pair) -> HeldPair:
        held = self[pair] = HeldPair(self._leg(pair.long, 1), self._leg(pair.short, -1))
        return held

    def _leg(self, market: Market, side: int) -> HeldLeg:
        return HeldLeg(market, side, self._states.get(market), book=self._book, freshness=self._freshness)
