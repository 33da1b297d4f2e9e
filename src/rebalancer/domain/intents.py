"""Intents: every order is one, stored before it is sent, under a key that never changes."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from ..errors import InputError
from .model import DERIVED, Value
from .names import Line, Market, Symbol, Venue
from .numbers import UNKNOWN, OptionalExact, OptionalPositive
from .times import Moment

Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""The name of an intent, and of its order on the venue."""


class Side(StrEnum):
    """A leg of a position."""

    LONG = "long"
    SHORT = "short"


class OrderSide(StrEnum):
    """What an order does."""

    BUY = "buy"
    SELL = "sell"


class Effect(StrEnum):
    """What an order is for."""

    OPEN = "open"
    CLOSE = "close"


class IntentState(StrEnum):
    """Where an intent is. The last four are terminal."""

    PLANNED = "planned"
    """Decided and stored; never sent."""
    SENT = "sent"
    """Stored as sent before it was sent: there may be an order. Past its deadline it is shown as unknown."""
    FILLED = "filled"
    PARTIAL = "partial"
    """Ended with a part filled."""
    REJECTED = "rejected"
    VOID = "void"
    """Never sent, or an open that did nothing."""

    @property
    def terminal(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self not in (IntentState.PLANNED, IntentState.SENT)


class Intent(Value):
    """One order for one leg: to open it, or to close it.

    `version` is the position's when it was decided. `quantity` (tokens, above 0) is fixed when it is sent. `filled` is
    what is known to be filled, `price` at what average, `fee_usd` for which fee. `flat_at` is the instant for which its
    leg was proved flat, if it was: that ends a close whatever its order did, and makes a sent open void. `deadline` is
    when a planned one is given up, or a sent one is shown as unknown. `approved_at` is when a person let it go, on a
    supervised venue. `touched_at` is when the venue was last told anything of it: sent, sent again, cancelled.
    `revision` counts changes.

    `key` is `sha256(position id, version, effect, leg, attempt)`: the same intent has the same key in every process. A
    key given must be that one.
    """

    position_id: UUID
    version: Annotated[int, Field(ge=0)]
    effect: Effect
    leg: Side
    attempt: Annotated[int, Field(ge=1)] = 1
    venue: Venue
    symbol: Symbol
    state: IntentState = IntentState.PLANNED
    quantity: OptionalPositive = UNKNOWN
    filled: OptionalPositive = UNKNOWN
    price: OptionalPositive = UNKNOWN
    fee_usd: OptionalExact = UNKNOWN
    order_id: Line | None = None
    planned_at: Moment
    approved_at: Moment | None = None
    sent_at: Moment | None = None
    touched_at: Moment | None = None
    flat_at: Moment | None = None
    deadline: Moment | None = None
    revision: Annotated[int, Field(ge=0)] = 0
    key: Key = DERIVED

    @model_validator(mode="after")
    def _named(self) -> Intent:
        parts = (self.position_id, self.version, self.effect, self.leg, self.attempt)
        key = sha256("|".join(map(str, parts)).encode()).hexdigest()
        if self.key is DERIVED:
            self.__dict__["key"] = key
        elif self.key != key:
            raise InputError("the key is not the one of this intent")
        return self

    @model_validator(mode="after")
    def _coherent(self) -> Intent:
        """What a state means. (That a stored intent never shows more than its evidence is worth a few comparisons.)"""
        state, filled, flat = self.state, self.filled is not None, self.flat_at is not None
        if state is IntentState.PLANNED and (filled or self.sent_at or self.order_id):
            raise InputError("a planned intent has no order yet")
        if state is IntentState.SENT and (self.quantity is None or self.sent_at is None):
            raise InputError("a sent intent has a quantity and the time at which it was sent")
        if state in (IntentState.REJECTED, IntentState.VOID) and filled:
            raise InputError("an intent of which something is filled is filled or partial")
        if state is IntentState.PARTIAL and not filled:
            raise InputError("a partial intent says how much is filled")
        if state is IntentState.FILLED and not filled and not flat:
            raise InputError("a filled intent says how much is filled, or for when its leg was proved flat")
        if state is IntentState.VOID and self.sent_at and not (flat and self.effect is Effect.OPEN):
            raise InputError("an intent that was sent is void only if it opens, and its leg was proved flat")
        if flat and (not state.terminal or (filled and self.effect is Effect.OPEN)):
            raise InputError("a leg is flat when a close has ended, or when an open did nothing")
        return self

    def then(self, state: IntentState, **fields: Any) -> Intent:
        """The next revision of it, in `state`, with some `fields` replaced."""
        return self.model_copy(update={"state": state, "revision": self.revision + 1, **fields})

    @cached_property
    def market(self) -> Market:
        """The market that it trades on."""
        return Market(self.venue, self.symbol)

    @property
    def side(self) -> OrderSide:
        """Whether it buys or sells."""
        buys = (self.leg is Side.LONG) == (self.effect is Effect.OPEN)
        return OrderSide.BUY if buys else OrderSide.SELL

    @property
    def reduce_only(self) -> bool:
        """Whether it may only make a position smaller: every close."""
        return self.effect is Effect.CLOSE
