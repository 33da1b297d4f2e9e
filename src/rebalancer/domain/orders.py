"""What a venue can do with orders, and what is known of one."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from ..errors import InputError
from .model import Value
from .names import Line, as_line
from .numbers import UNKNOWN, OptionalExact, OptionalPositive

Span = Annotated[timedelta, Field(ge=timedelta(0))]
"""A time span of 0 or more, to the microsecond: orders live in less than a second."""


class Capabilities(Value):
    """What a venue, through its client, really does. What is not proved is False.

    `reduce_only`: it reaches the venue and is obeyed. `dedupes_ids`: a known client order id is refused for ever, not
    only while its order is open. `finds_ids`: an order is found by it. `sends_once`: the client never sends an order
    again on its own. `reads_legs`: the position can be read. `read_lag`: how far behind a read may be. `settle`: the
    longest life of an order, plus `read_lag`, plus the client's own retries: that long after an order was sent, a read
    shows what it did.
    """

    reduce_only: bool = False
    dedupes_ids: bool = False
    finds_ids: bool = False
    sends_once: bool = False
    reads_legs: bool = False
    read_lag: Span = timedelta(0)
    settle: Span = timedelta(seconds=30)

    @model_validator(mode="after")
    def _lag_settles(self) -> Capabilities:
        if self.settle < self.read_lag:
            raise InputError("settle includes read_lag, so it is not shorter")
        return self

    @property
    def may_close(self) -> bool:
        """Whether a close may be sent without a person's approval: sending it twice does no harm."""
        return self.reduce_only or self.dedupes_ids

    @property
    def may_open(self) -> bool:
        """Whether an open may be sent without a person's approval: it happens at most once, and is seen."""
        return self.dedupes_ids or (self.sends_once and self.reads_legs)


class ReportState(StrEnum):
    """What is known of an order."""

    FILLED = "filled"
    PARTIAL = "partial"
    """Ended with a part filled."""
    REJECTED = "rejected"
    """Ended with nothing filled: it was refused, was cancelled, or ran out."""
    LIVE = "live"
    """It is on the venue and may still fill."""
    ABSENT = "absent"
    """The venue does not know it. Alone that is no evidence that it never was there, or will not come."""
    UNKNOWN = "unknown"

    @property
    def terminal(self) -> bool:
        """Whether the order has ended: nothing can happen to it any more."""
        return self in (ReportState.FILLED, ReportState.PARTIAL, ReportState.REJECTED)


class Report(Value):
    """What is known of an order: evidence, from an order query, an update or a fresh read.

    `filled` in tokens is there if it is filled or partial, and may be if it is live; `price` is the average of what was
    filled, `fee_usd` what that cost (negative: a rebate). `order_id` is the venue's own. `why` explains a rejection,
    and always why it is unknown. Raises InputError for a report that contradicts itself.
    """

    state: ReportState
    filled: OptionalPositive = UNKNOWN
    price: OptionalPositive = UNKNOWN
    fee_usd: OptionalExact = UNKNOWN
    order_id: Line | None = None
    why: Line | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Report:
        done = self.state in (ReportState.FILLED, ReportState.PARTIAL)
        if done and self.filled is None:
            raise InputError("a filled order says how much")
        if self.filled is not None and not done and self.state is not ReportState.LIVE:
            raise InputError(f"an order that is {self.state} filled nothing that is known")
        if self.filled is None and (self.price, self.fee_usd) != (None, None):
            raise InputError("what is not filled has no price and no fee")
        if self.state is ReportState.UNKNOWN and self.why is None:
            raise InputError("say why it is unknown")
        return self

    @classmethod
    def unknown(cls, why: object) -> Report:
        """Nothing is known of the order, because of `why`: any text, made one line."""
        return cls(state=ReportState.UNKNOWN, why=as_line(why))

    @classmethod
    def rejected(cls, why: object) -> Report:
        """The order ended with nothing filled, because of `why`: any text, made one line."""
        return cls(state=ReportState.REJECTED, why=as_line(why))

    @classmethod
    def absent(cls) -> Report:
        """The venue does not know the order."""
        return cls(state=ReportState.ABSENT)
