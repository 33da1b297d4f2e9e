"""How a fake venue behaves: always, in one call, or with a probability. All of it can be written as JSON."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import Field, model_validator

from ...domain.intents import OrderSide
from ...domain.model import Value
from ...domain.names import Line, Symbol
from ...domain.numbers import RATIO_ONE, RATIO_PLACES, Exact, Ratio, to_grid
from ...domain.orders import Span
from ...errors import InputError

_NOW = timedelta(0)
Name = Annotated[str, Field(min_length=1, max_length=100)]


class Call(StrEnum):
    """What a client asks of a venue."""

    PLACE = "place"
    FIND = "find"
    CANCEL = "cancel"
    READ = "read"


class Answer(StrEnum):
    """What the client sees."""

    TRUE = "true"
    """What is so."""
    HINT = "hint"
    """Only that the request came in."""
    TIMEOUT = "timeout"
    """Nothing, until the client gives up after `patience`."""
    RESET = "reset"
    """A connection that is cut."""
    UNAVAILABLE = "503"
    HTML = "html"
    """A page for a person, with status 200."""
    EMPTY = "empty"
    """An empty list."""
    NULL = "null"
    """A null where a position or an order should be."""


class Ids(StrEnum):
    """With which orders a client order id is compared; one that is known is turned away."""

    FOREVER = "forever"
    OPEN = "open"
    NONE = "none"


class Stamps(StrEnum):
    """What a read says of the time at which it was true."""

    RIGHT = "right"
    NONE = "none"
    NOW = "now"
    """The present, whatever the lag: a lie."""


class Fate(Value):
    """What becomes of one call, and what its client sees of it. By default all goes well.

    `answer` is what the client sees; `done` whether the venue does what it was asked. For an order: it arrives after
    `arrives`; then it is refused for the reason `reject`, or `share` of it fills after `after`, and the rest ends or
    `rests`. `again` later the same order comes in once more, as from a client that tries again on its own. For a
    cancellation: it takes effect after `after`, and if it `loses` the race the order is filled first. For a read or a
    query: it shows the state of `lag` ago instead of the usual one.
    """

    answer: Answer = Answer.TRUE
    done: bool = True
    arrives: Span = _NOW
    after: Span = _NOW
    share: Ratio = Field(default="1", le=1, validate_default=True)
    rests: bool = False
    reject: Line | None = None
    again: Span | None = None
    loses: bool = False
    lag: Span | None = None

    @property
    def life(self) -> timedelta:
        """How long after it was sent an order may still do something, unless it rests."""
        return self.arrives + self.after + (self.again or _NOW)


class Chance(Value):
    """With `probability`, a call has this fate."""

    call: Call
    probability: Ratio = Field(le=1)
    fate: Fate


class Habits(Value):
    """How a venue behaves unless a call is planned to go otherwise.

    `reduce_only`: whether it obeys it. `ids`: which client order ids it turns away. A read shows the positions of
    `read_lag` ago, a query the order of `find_lag` ago; `stamps` is what a read says of its time. `latency` passes
    before an answer, `patience` before a client gives up. Fills are `slippage_bps` worse than the mark price, and cost
    `fee_bps`. `chances` are drawn from the venue's seed, call by call.
    """

    reduce_only: bool = True
    ids: Ids = Ids.FOREVER
    read_lag: Span = _NOW
    find_lag: Span = _NOW
    stamps: Stamps = Stamps.RIGHT
    latency: Span = _NOW
    patience: Span = _NOW
    slippage_bps: Exact = Field(default="0", validate_default=True)
    fee_bps: Exact = Field(default="0", validate_default=True)
    chances: tuple[Chance, ...] = ()

    @model_validator(mode="after")
    def _probable(self) -> Habits:
        for call in Call:
            steps = (to_grid(chance.probability, RATIO_PLACES) for chance in self.chances if chance.call is call)
            if sum(steps) > RATIO_ONE:
                raise InputError(f"the probabilities of {call} are above 1 together")
        return self

    @property
    def longest_lag(self) -> timedelta:
        """How far behind a read may be; planned fates apart."""
        drawn = (chance.fate.lag or _NOW for chance in self.chances if chance.call is Call.READ)
        return max(self.read_lag, *drawn, _NOW)

    @property
    def settle(self) -> timedelta:
        """How long after an order was sent a read surely shows what it did; planned fates and resting orders apart."""
        lives = (chance.fate.life for chance in self.chances if chance.call is Call.PLACE)
        return max(lives, default=_NOW) + self.longest_lag


class Tag(Value):
    """What the sender says an order is for: which leg of which position, and whether it opens or closes it."""

    position: Name
    leg: Name
    effect: Name


class OrderRequest(Value):
    """An order as a client sends it. `tag` is for the log alone: the venue never reads it."""

    id: Name
    symbol: Symbol
    side: OrderSide
    quantity: Annotated[Exact, Field(gt=0)]
    reduce_only: bool = False
    tag: Tag | None = None


class Reply(NamedTuple):
    """An answer as it comes over the wire: a status, and JSON or text."""

    status: int
    body: object
