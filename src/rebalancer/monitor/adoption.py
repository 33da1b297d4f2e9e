"""Positions that the host opened: how they are taken over, and how more of the same is added to one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal

from ..domain.batch import LedgerEntry
from ..domain.intents import Side
from ..domain.legs import Known, LegState
from ..domain.lifecycle import changed, market_of, recorded
from ..domain.names import Market
from ..domain.numbers import FRACTION_PLACES, divide_half_even, from_grid, to_grid, total
from ..domain.position import Position, PositionStatus
from ..errors import Conflict, InputError
from .books import believed, funding

_PRICE_PLACES = 12
_NEVER_READ = "a leg was not read yet: nothing is traded until both are"
_LEGS = {Side.LONG: ("long_quantity", "long_entry_price"), Side.SHORT: ("short_quantity", "short_entry_price")}


def adopted(
    position: Position, states: Mapping[Market, LegState], *, old: Collection[Market] = (), trades: bool = True
) -> Position:
    """A position as it is taken over, with what is known of its legs. Unless it `trades`, they need not be known.

    What the host says of a quantity counts as far as the venue shows at least as much. What was read of `old` markets
    may be of before the opening, so that no quantity follows from it. What it got is for `got` to say. Raises
    InputError for a position that is not simply open, or if a leg that was read is not there or on the wrong side.
    """
    if position.status is not PositionStatus.OPEN or position.then is not None or position.parent is not None:
        raise InputError("only a position that is open, and nothing else, can be taken over")
    fields: dict[str, object] = {}
    for leg, (quantity, price) in _LEGS.items():
        market = market_of(position, leg)
        state = states.get(market)
        if not isinstance(state, Known):
            continue
        if state.quantity == 0 or (state.quantity > 0) != (leg is Side.LONG):
            there = "nothing is" if state.quantity == 0 else "the other side is"
            raise InputError(f"the {leg} leg is not there: {there} held of {market}")
        if market in old:
            continue
        tokens, said = state.quantity.copy_abs(), recorded(position, leg)
        fields[quantity] = tokens if said is None else min(said, tokens)
        if getattr(position, price) is None:
            fields[price] = state.entry_price
    read = {market for market, state in states.items() if isinstance(state, Known) and market not in old}
    if trades and not read.issuperset(position.markets):
        fields["attention"] = _NEVER_READ
    return position.model_copy(update=fields) if fields else position


def accrued(position: Position, states: Mapping[Market, LegState], now: datetime) -> tuple[LedgerEntry, ...]:
    """What the venues say that the legs of a position got until now, as far as they do."""
    entries = []
    for market in position.markets:
        state = states.get(market)
        if not isinstance(state, Known) or state.funding_accrued is None:
            continue
        with suppress(InputError):  # absurd: nobody said anything
            amount, at = believed(position, state.funding_accrued), state.as_of or now
            entries.append(funding(position, market.venue, amount, at))
    return tuple(entries)


def got(entries: Collection[LedgerEntry], counted: Decimal, *, said: bool) -> Decimal:
    """What was got: what the venues say, if they say it of both legs (`said`), else what the host has `counted`, if it
    has. The entries are in the ledger in any case: what a venue says is counted from there on, so nothing twice.
    """
    return total(*(entry.amount_usd for entry in entries)) if said or not counted else counted


def merged(held: Position, added: Position) -> Position:
    """A position with more of the same: sizes and tokens add up, entry rates and prices are weighted by them.

    The opening time and the id stay those of `held`. A quantity or price that one of the two lacks is unknown for both.
    Raises InputError for another pair, and Conflict for a position that is not open any more.
    """
    if held.pair != added.pair:
        raise InputError(f"{added.pair} can not be added to {held.pair}")
    if held.status is not PositionStatus.OPEN:
        raise Conflict(f"nothing is added to a position that is {held.status}")
    fields: dict[str, object] = {"size_usd": total(held.size_usd, added.size_usd)}
    for name in ("entry_long_rate", "entry_short_rate", "entry_divergence"):
        rates = getattr(held, name), getattr(added, name)
        fields[name] = _weighted(rates, (held.size_usd, added.size_usd), FRACTION_PLACES)
    for quantity, price in _LEGS.values():
        tokens = getattr(held, quantity), getattr(added, quantity)
        prices = getattr(held, price), getattr(added, price)
        known = None not in tokens
        fields[quantity] = total(*tokens) if known else None
        fields[price] = _weighted(prices, tokens, _PRICE_PLACES) if known and None not in prices else None
    fields["funding_collected_usd"] = total(held.funding_collected_usd, added.funding_collected_usd)
    fields["fees_paid_usd"] = total(held.fees_paid_usd, added.fees_paid_usd)
    return changed(held, **fields)


def _weighted(values: tuple[Decimal, Decimal], weights: tuple[Decimal, Decimal], places: int) -> Decimal:
    """The mean of two values by their weights, half-even on the grid of 10**-places. Exact until it is rounded."""
    steps = [to_grid(value, places) for value in values]
    (one, of_one), (other, of_other) = (weight.as_integer_ratio() for weight in weights)
    first, second = one * of_other, other * of_one
    return from_grid(divide_half_even(steps[0] * first + steps[1] * second, first + second), places)
