"""What a position has earned: price, funding and fees, each as far as it is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction

from .intents import Effect, Intent, Side
from .legs import Known, LegState
from .lifecycle import market_of, recorded
from .model import Value
from .names import Line, Market
from .numbers import UNKNOWN, OptionalExact, Usd, divide_half_even, from_grid, total
from .position import Position, PositionStatus

_CENTS = 2
_BPS_PLACES = 2


class Profit(Value):
    """A position's net profit so far, in dollars and in basis points of its size; None where a part is unknown.

    `price_usd` is what both legs gained by their price: of what was closed at the prices of the fills, of the rest at
    the mark. `funding_usd` is what was received, `fees_usd` what was paid (positive). `unknown` says which parts are
    not known, so that `net_usd = price_usd + funding_usd - fees_usd` is None as well.
    """

    net_usd: OptionalExact = UNKNOWN
    net_bps: OptionalExact = UNKNOWN
    price_usd: OptionalExact = UNKNOWN
    funding_usd: Usd
    fees_usd: Usd
    unknown: tuple[Line, ...] = ()


def profit(position: Position, intents: Iterable[Intent] = (), legs: Mapping[Market, LegState] | None = None) -> Profit:
    """The profit of a position with these intents, of which the open part is worth what `legs` say of its mark.

    A leg's gain is (exit price - entry price) x tokens, the other way round for the short one.
    """
    closes = [intent for intent in intents if intent.effect is Effect.CLOSE]
    gains = [_gain(position, leg, closes, legs or {}) for leg in Side]
    unknown = [gain for gain in gains if isinstance(gain, str)]
    fees = position.fees_paid_usd
    if position.status is not PositionStatus.CLOSED:  # then they are in it already
        fees = total(fees, *(intent.fee_usd for intent in closes if intent.fee_usd is not None))
    unknown += [f"the fee of a close of the {one.leg} leg" for one in closes if one.filled and one.fee_usd is None]
    price = None
    if not any(isinstance(gain, str) for gain in gains):
        price = _cents(sum((gain for gain in gains if isinstance(gain, Fraction)), Fraction(0)))
    net = None if unknown or price is None else total(price, position.funding_collected_usd, fees.copy_negate())
    return Profit(
        net_usd=net,
        net_bps=None if net is None else _bps(net, position.size_usd),
        price_usd=price,
        funding_usd=position.funding_collected_usd,
        fees_usd=fees,
        unknown=tuple(dict.fromkeys(unknown)),
    )


def _gain(position: Position, leg: Side, closes: Iterable[Intent], legs: Mapping[Market, LegState]) -> Fraction | str:
    """What a leg gained by its price, or what is not known of it."""
    tokens = recorded(position, leg)
    entry = position.long_entry_price if leg is Side.LONG else position.short_entry_price
    if tokens is None or entry is None:
        return f"the {leg} leg's {'tokens' if tokens is None else 'entry price'}"
    left, gained = Fraction(tokens), Fraction(0)
    for quantity, price in _fills(leg, closes):
        if price is None:
            return f"the price of a close of the {leg} leg"
        left -= Fraction(quantity)
        gained += Fraction(quantity) * (Fraction(price) - Fraction(entry))
    if left > 0:
        state = legs.get(market_of(position, leg))
        mark = state.mark_price if isinstance(state, Known) and position.status is not PositionStatus.CLOSED else None
        if mark is None:
            return f"the {leg} leg's {'exit' if position.status is PositionStatus.CLOSED else 'mark'} price"
        gained += left * (Fraction(mark) - Fraction(entry))
    return gained if leg is Side.LONG else -gained


def _fills(leg: Side, closes: Iterable[Intent]) -> Iterator[tuple[Decimal, Decimal | None]]:
    """What was filled of a leg's closes, and at which price."""
    return ((one.filled, one.price) for one in closes if one.leg is leg and one.filled is not None)


def _cents(dollars: Fraction) -> Decimal:
    return from_grid(divide_half_even(dollars.numerator * 10**_CENTS, dollars.denominator), _CENTS)


def _bps(dollars: Decimal, size: Decimal) -> Decimal:
    """Basis points of a size, to a hundredth of one."""
    share = Fraction(dollars) / Fraction(size) * 10_000
    return from_grid(divide_half_even(share.numerator * 10**_BPS_PLACES, share.denominator), _BPS_PLACES)
