"""What trading costs: per leg and venue, and so for opening, closing, switching and rotating."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self, overload

from pydantic import AfterValidator, BeforeValidator

from .domain.model import Value
from .domain.names import Pair, Venue
from .domain.numbers import FRACTION_PLACES, Bps, Number, plain, to_grid
from .errors import InputError


def _items(venues: object) -> object:
    return tuple(venues.items()) if isinstance(venues, Mapping) else venues


def _sorted_once(venues: tuple[tuple[str, Decimal], ...]) -> tuple[tuple[str, Decimal], ...]:
    """Sorted, so that equal costs are equal whatever their order; each venue in one letter case, and once."""
    if len(dict(venues)) != len(venues):
        raise InputError("a venue is named twice")
    return tuple(sorted(venues))


if TYPE_CHECKING:

    class _VenueBps:
        """To a type checker: takes a mapping of venue to bp, reads as a tuple of pairs."""

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> tuple[tuple[str, Decimal], ...]: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...
        def __set__(self, instance: Any, value: Mapping[str, Number] | tuple[tuple[str, Number], ...]) -> None: ...

else:
    _VenueBps = Annotated[tuple[tuple[Venue, Bps], ...], BeforeValidator(_items), AfterValidator(_sorted_once)]


_NO_EXCEPTIONS: Any = ()


class Move(NamedTuple):
    """How many legs a change of state trades, and what that costs in grid steps of one leg's notional."""

    legs: int
    cost: int


class Costs(Value):
    """What trading one leg costs, in basis points of its notional: fee, half spread and slippage together.

    `leg_bps` holds for every venue that `venues` (a mapping such as `{"lighter": 0}`) does not name. Negative figures
    are rebates.
    """

    leg_bps: Bps
    venues: _VenueBps = _NO_EXCEPTIONS

    def __repr__(self) -> str:
        venues = ", ".join(f"{venue!r}: {plain(bps)}" for venue, bps in self.venues)
        return f"Costs(leg_bps={plain(self.leg_bps)}{f', venues={{{venues}}}' if venues else ''})"

    @classmethod
    def flat(cls, *, leg_bps: Number) -> Self:
        """The same cost for a leg on every venue."""
        return cls(leg_bps=leg_bps)

    @cached_property
    def _by_venue(self) -> dict[str, int]:
        return {venue: to_grid(bps, FRACTION_PLACES - 4) for venue, bps in self.venues}

    @cached_property
    def _default(self) -> int:
        return to_grid(self.leg_bps, FRACTION_PLACES - 4)

    def leg(self, venue: str) -> int:
        """What trading one leg on `venue` costs, in grid steps."""
        return self._by_venue.get(venue, self._default)

    def move(self, held: Pair | None, target: Pair | None) -> Move:
        """What going from `held` to `target` trades and costs; None is flat.

        A leg that both states share (same venue, symbol and side) is not traded: a rotation trades two legs, any
        other switch four.
        """
        legs = _legs(held) ^ _legs(target)
        return Move(len(legs), sum(self.leg(venue) for venue, _, _ in legs))

    @cached_property
    def cheapest_opening(self) -> int:
        """No opening costs less than this, in grid steps."""
        return 2 * min((self._default, *self._by_venue.values()))

    @cached_property
    def cheapest_switch(self) -> int:
        """No switch costs less than this, in grid steps: two legs where legs cost, four where they pay rebates."""
        return min(self.cheapest_opening, 2 * self.cheapest_opening)


def _legs(pair: Pair | None) -> frozenset[tuple[str, str, str]]:
    if pair is None:
        return frozenset()
    return frozenset(((pair.long_dex, pair.symbol, "long"), (pair.short_dex, pair.symbol, "short")))
