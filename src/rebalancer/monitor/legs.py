"""What the reads of a tick say of open positions: recorded now, gone, closed by somebody else, or amiss."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..domain.intents import Side
from ..domain.legs import Known
from ..domain.lifecycle import changed, recorded
from ..domain.names import made
from ..domain.orders import Capabilities
from ..domain.position import Position, PositionStatus
from .evidence import Evidence, LegRead, Reads, Seen

GONE_EXTERNALLY = "CLOSED_EXTERNALLY"
_SIDES = _LONG, _SHORT = Side.LONG, Side.SHORT
_HELD, _FLAT = Seen.HELD, Seen.FLAT
_NAMES = {Side.LONG: ("long_quantity", "long_entry_price"), Side.SHORT: ("short_quantity", "short_entry_price")}


class Leg(NamedTuple):
    """A leg of an open position as it was read, and what that shows."""

    read: LegRead
    seen: Seen


class Looked(NamedTuple):
    """An open position after its legs were looked at.

    `position` is as it shall be stored; it is closed if both legs are gone. `gone` is the leg that is proved gone while
    the other one is there. `amiss` is what else is not as it should be.
    """

    position: Position
    legs: dict[Side, Leg]
    gone: Side | None = None
    amiss: str | None = None

    @property
    def attention(self) -> str | None:
        """What a person should know of it."""
        if self.gone is None:
            return self.amiss
        return "; ".join(filter(None, (f"the {self.gone} leg is gone", self.amiss)))

    @property
    def unread(self) -> bool:
        """Whether a leg could not be read."""
        return any(leg.seen is Seen.UNREAD for leg in self.legs.values())

    @property
    def wrong(self) -> bool:
        """Whether a leg is on the wrong side."""
        return any(leg.seen is Seen.WRONG_SIDE for leg in self.legs.values())


def look(position: Position, reads: Reads, evidence: Evidence, capabilities: Callable[[str], Capabilities]) -> Looked:
    """What the reads show of an open position."""
    of_long, of_short = position.markets
    read_long, read_short = reads[of_long], reads[of_short]
    long = evidence.seen(read_long, of_long, _LONG, (), capabilities(of_long.venue))
    short = evidence.seen(read_short, of_short, _SHORT, (), capabilities(of_short.venue))
    legs = {_LONG: made(Leg, (read_long, long)), _SHORT: made(Leg, (read_short, short))}
    known = position.long_quantity is not None and position.short_quantity is not None
    if long is short is _HELD:
        if not known:
            return Looked(record(position, legs, capabilities), legs)
        return made(Looked, (position, legs, None, _amiss(position, legs)))
    if long is short is _FLAT:
        nothing = {"long_quantity": None, "short_quantity": None}
        ended = changed(position, status=PositionStatus.CLOSED, close_reason=GONE_EXTERNALLY, attention=None, **nothing)
        return Looked(ended, legs)
    if known and (long, short) in ((_FLAT, _HELD), (_HELD, _FLAT)):
        gone = _LONG if long is _FLAT else _SHORT
        return Looked(position, legs, gone=gone, amiss=_amiss(position, legs))
    return Looked(position, legs, amiss=_amiss(position, legs) or _unproved(position, legs, evidence, capabilities))


def _unproved(
    position: Position, legs: dict[Side, Leg], evidence: Evidence, capabilities: Callable[[str], Capabilities]
) -> str | None:
    """The leg of which nothing is to be seen for long, without that the reads prove it."""
    for (leg, (read, seen)), market in zip(legs.items(), position.markets, strict=True):
        if seen is Seen.ZERO and evidence.lasts(read, market, capabilities(market.venue)):
            return f"nothing is to be seen of the {leg} leg, and its reads are too old to prove that it is gone"
    return None


def record(position: Position, legs: dict[Side, Leg], capabilities: Callable[[str], Capabilities]) -> Position:
    """The position with the legs that are there: those that nobody recorded before, as they surely are by now."""
    fields: dict[str, object] = {}
    for (leg, (quantity, price)), market in zip(_NAMES.items(), position.markets, strict=True):
        read = legs[leg].read
        state, now = read.state, of_now(position, read, capabilities(market.venue))
        if isinstance(state, Known) and recorded(position, leg) is None and now:
            fields[quantity] = state.quantity.copy_abs()
            if getattr(position, price) is None:
                fields[price] = state.entry_price
    return changed(position, **fields) if fields else position


def of_now(position: Position, read: LegRead, can: Capabilities) -> bool:
    """Whether a read shows the leg as it is since the host opened it, or more of it."""
    at = read.true_at(can)
    return at is not None and at >= max(position.opened_at, position.last_action_at or position.opened_at)


def _amiss(position: Position, legs: dict[Side, Leg]) -> str | None:
    """What is not as it should be, of the leg that is worst; None if nothing is."""
    quantities = position.long_quantity, position.short_quantity
    for (leg, (read, seen)), tokens in zip(legs.items(), quantities, strict=True):
        if seen is _HELD:
            there = read.state.quantity
            if tokens is not None and there is not None and there.copy_abs() > tokens:
                return f"the {leg} leg is larger than recorded: the rest is not traded"
        elif seen is _FLAT:
            if tokens is None:
                return f"the {leg} leg is not there, and was never read: nothing is traded"
        elif seen is Seen.WRONG_SIDE:
            return f"the {leg} leg is on the wrong side: it is not traded"
    return None
