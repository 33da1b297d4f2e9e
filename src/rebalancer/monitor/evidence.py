"""What a read of a leg proves. Unknown is never flat, and a zero proves flat only if it was read late enough."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from ..domain.intents import Intent, IntentState, Side
from ..domain.legs import Known, LegState, Unknown
from ..domain.names import Market
from ..domain.orders import Capabilities
from ..domain.times import SECOND


@dataclass(frozen=True, slots=True)
class When:
    """An instant on both clocks: the wall clock, which may jump, and seconds that do not."""

    wall: datetime
    steady: float


class LegRead(NamedTuple):
    """A leg's state, and when its read began and ended."""

    state: LegState
    began: When
    ended: When

    @property
    def quantity(self) -> Decimal | None:
        """What is held, signed; None if it could not be read."""
        return self.state.quantity

    def true_at(self, can: Capabilities) -> datetime | None:
        """The latest instant for which the quantity surely was true: what the venue says, else what its lag allows.

        A venue that says a later time than that of its answer has another clock, and is not believed in this.
        """
        if not isinstance(self.state, Known):
            return None
        as_of = self.state.as_of
        if as_of is None or as_of > self.ended.wall:
            return self.began.wall - can.read_lag
        return as_of

    def later_than(self, touch: Touch, by: timedelta, can: Capabilities) -> bool:
        """Whether it is true of an instant at least `by` after the touch, on the wall clock and on the steady one."""
        at = self.true_at(can)
        return at is not None and at >= touch.wall + by and touch.before(self.ended, by)

    def began_after(self, touch: Touch, by: timedelta) -> bool:
        """Whether it began at least `by` after the touch, whatever came of it."""
        return self.began.wall >= touch.wall + by and touch.before(self.began, by)


@dataclass(frozen=True, slots=True)
class Touch:
    """When something was last done on a market. `steady` is None if another process did it, whose clock is gone."""

    wall: datetime
    steady: float | None = None

    def before(self, when: When, by: timedelta) -> bool:
        """Whether it was at least `by` before, as far as the steady clock can tell."""
        return self.steady is None or when.steady - self.steady >= by / SECOND


class Seen(StrEnum):
    """What a read of a leg shows."""

    UNREAD = "unread"
    HELD = "held"
    """There is something on its side."""
    FLAT = "flat"
    """Proved."""
    ZERO = "zero"
    """Nothing to be seen, which proves nothing yet."""
    WRONG_SIDE = "wrong_side"


_UNREAD, _HELD, _SHORT = Seen.UNREAD, Seen.HELD, Side.SHORT
"""What most legs are, looked up once: in Python 3.11 a member of an enumeration takes as long as the rest of `seen`."""


class Evidence:
    """What reads prove, together with what was done before. One for each process; what it forgets is proved again.

    `touched` keeps when this process last did something on a market; a zero that no order of ours explains is kept
    until another one, `settle` later, confirms it.
    """

    def __init__(self) -> None:
        self._touched: dict[Market, float] = {}
        self._zeros: dict[Market, Touch] = {}

    def touch(self, market: Market, at: When) -> None:
        """Something is done on a market now; a zero of before says nothing of what comes after it."""
        self._touched[market] = at.steady
        self._zeros.pop(market, None)

    def last_touch(self, market: Market, intents: Iterable[Intent]) -> Touch | None:
        """When one of a leg's orders was last sent, sent again, cancelled or seen to have ended; None: never."""
        times = [intent.touched_at for intent in intents if intent.touched_at is not None]
        return Touch(max(times), self._touched.get(market)) if times else None

    def seen(self, read: LegRead, market: Market, leg: Side, intents: Iterable[Intent], can: Capabilities) -> Seen:
        """What a read of a leg shows, given the leg's own orders."""
        quantity = read.state.quantity
        if quantity is None:
            return _UNREAD
        if quantity:
            self._zeros.pop(market, None)
            return _HELD if quantity.is_signed() == (leg is _SHORT) else Seen.WRONG_SIDE
        intents = tuple(intents)
        touch = self.last_touch(market, intents)
        if touch is not None and not read.later_than(touch, can.settle, can):
            return Seen.ZERO
        return Seen.FLAT if _explained(intents) or self._confirmed(read, market, can) else Seen.ZERO

    def _confirmed(self, read: LegRead, market: Market, can: Capabilities) -> bool:
        """Whether an earlier zero, `settle` before, said the same; else this is the first."""
        first = self._zeros.get(market)
        if first is None:
            at = read.true_at(can)
            if at is not None:
                self._zeros[market] = Touch(at, read.ended.steady)
            return False
        return read.later_than(first, can.settle, can)

    def lasts(self, read: LegRead, market: Market, can: Capabilities) -> bool:
        """Whether an unproved zero is there for longer than any order, and than a read may be behind, by far."""
        first = self._zeros.get(market)
        return first is not None and first.before(read.ended, 3 * can.settle + SECOND)

    def forget_zeros(self) -> None:
        """Another process was in charge: what was seen before it says nothing."""
        self._zeros.clear()

    def forget(self, markets: Iterable[Market]) -> None:
        """Drop what is known of markets that nobody watches any more."""
        for market in markets:
            self._zeros.pop(market, None)
            self._touched.pop(market, None)

    def let_rest(self, acting: Collection[Market]) -> None:
        """Drop when something was last done on other markets than these: no order is under way there."""
        for market in self._touched.keys() - acting:
            del self._touched[market]

    @property
    def remembered(self) -> frozenset[Market]:
        """The markets of which something is known."""
        return frozenset((*self._zeros, *self._touched))


def _explained(intents: Iterable[Intent]) -> bool:
    """Whether an order of ours may have brought the leg to zero: one that was sent and is not known to have ended."""
    return any(intent.state is IntentState.SENT for intent in intents)


def unread(why: str, began: When, ended: When) -> LegRead:
    """A read that did not come."""
    return LegRead(Unknown(why), began, ended)


Reads = Mapping[Market, LegRead]
