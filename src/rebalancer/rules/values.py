"""The values that a built-in rule's functions may name as their parameters, and how each is read and missed.

Every value is an integer on the grid, or None where it is unknown. `code` reads it in compiled rules, in terms of the
`position`, the `snapshot`, the pair's reading `at`, and the rule's `signal` and `costs`; `gaps` tells why it is
unknown. `column` reads the same value of columns: there, it is the second way of saying it, and a test holds the two
together.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ..domain.missing import OPEN_INTEREST, SCHEDULE, Missing
from ..domain.names import Market, Pair
from ..domain.quoted_legs import NEVER

if TYPE_CHECKING:
    from types import CodeType

    from ..costs import Costs
    from ..domain.position import Position
    from ..domain.smoothed import Smoothed
    from ..domain.snapshot import MarketSnapshot


@cache
def _compiled(code: str) -> CodeType:
    """Each `code` of this file is compiled once."""
    return compile(code, __file__, "eval")


class Column(NamedTuple):
    """How a value is read of columns: its `value`, and where it is `known` (None: everywhere), as expressions.

    They name the instants `now` and `opened`, the `entry` divergence, and of each leg its `long_rate` per 8 h (0 where
    unknown), whether that is `long_known`, the seconds in which it is `long_due` (UNSCHEDULED where unknown), how many
    seconds it `long_pays` for, and its `long_interest` in dollars (below 0 where unknown); of its smoothed rate by the
    rule's signal the `long_mean` (0 where unknown), whether that is `long_mean_known`, and `long_mean_at`, the instant
    of its last settlement (NEVER_SEEN without one); with `between(long_rate, short_rate)`, the divergence, and
    `smaller(a, b)`. `leaving` is what closing costs by the rule's costs.
    """

    value: str
    known: str | None = None


class Source(NamedTuple):
    """How a value is read (`code`), which fields of `Needs` it takes, and why it is unknown (None: it never is).

    `column` is how it is read of columns; None if a history does not have it.
    """

    code: str
    needs: tuple[str, ...] = ()
    gaps: Callable[[MarketSnapshot, Pair, Smoothed | None], tuple[Missing, ...]] | None = None
    column: Column | None = None

    def read(
        self,
        position: Position,
        snapshot: MarketSnapshot,
        signal: Smoothed | None = None,
        costs: Costs | None = None,
    ) -> int | None:
        """The value, by the same `code` that compiled rules read it with."""
        at = snapshot.book[position.pair]
        known = {"position": position, "snapshot": snapshot, "at": at, "signal": signal, "costs": costs}
        value: int | None = eval(_compiled(self.code), {}, known)  # the code is a constant of this file
        return value

    @property
    def nullable(self) -> bool:
        """Whether the value may be unknown, wholly or in part."""
        return self.gaps is not None


def _rate_gaps(snapshot: MarketSnapshot, pair: Pair, _: Smoothed | None) -> tuple[Missing, ...]:
    return snapshot.book.rate_gaps(pair)


def _schedule_gaps(snapshot: MarketSnapshot, pair: Pair, _: Smoothed | None) -> tuple[Missing, ...]:
    book = snapshot.book
    return tuple(
        book.gap(market, SCHEDULE) for market in (pair.long, pair.short) if book.leg(market).settles_in is None
    )


def _payment_gaps(snapshot: MarketSnapshot, pair: Pair, _: Smoothed | None) -> tuple[Missing, ...]:
    rates = (gap for gap in snapshot.book.rate_gaps(pair) if gap.venue is not None)
    return (*_schedule_gaps(snapshot, pair, None), *rates)


def _long_interest_gaps(snapshot: MarketSnapshot, pair: Pair, _: Smoothed | None) -> tuple[Missing, ...]:
    return _interest_gaps(snapshot, pair.long)


def _short_interest_gaps(snapshot: MarketSnapshot, pair: Pair, _: Smoothed | None) -> tuple[Missing, ...]:
    return _interest_gaps(snapshot, pair.short)


def _interest_gaps(snapshot: MarketSnapshot, market: Market) -> tuple[Missing, ...]:
    book = snapshot.book
    return (book.gap(market, OPEN_INTEREST),) if book.leg(market).open_interest is None else ()


def _long_leg_gaps(snapshot: MarketSnapshot, pair: Pair, _: Smoothed | None) -> tuple[Missing, ...]:
    return snapshot.held[pair].long.open_gaps()


def _short_leg_gaps(snapshot: MarketSnapshot, pair: Pair, _: Smoothed | None) -> tuple[Missing, ...]:
    return snapshot.held[pair].short.open_gaps()


def _leg_gaps(snapshot: MarketSnapshot, pair: Pair, _: Smoothed | None) -> tuple[Missing, ...]:
    return _long_leg_gaps(snapshot, pair, None) + _short_leg_gaps(snapshot, pair, None)


def _distance_gaps(snapshot: MarketSnapshot, pair: Pair, _: Smoothed | None) -> tuple[Missing, ...]:
    return tuple(gap for leg in snapshot.held[pair] for gap in leg.distance_gaps())


def _smoothed_gaps(snapshot: MarketSnapshot, pair: Pair, signal: Smoothed | None) -> tuple[Missing, ...]:
    return snapshot.book.smoothed(signal).gaps(pair) if signal is not None else ()


def _unseen(snapshot: MarketSnapshot, pair: Pair, signal: Smoothed | None) -> tuple[Missing, ...]:
    return snapshot.book.smoothed(signal).unseen(pair) if signal is not None else ()


UNSCHEDULED = NEVER << 1
"""In columns: seconds until the next settlement of a leg whose schedule is unknown."""

NEVER_SEEN = -NEVER
"""In columns: when a market was settled last of which no settlement was seen."""

_HELD = "snapshot.held[position.pair]"
_SINCE_ACTION = f"{NEVER} if position.last_action_epoch is None else snapshot.now - position.last_action_epoch"

_RATES = "long_known & short_known"
_SCHEDULES = "(long_due < UNSCHEDULED) & (short_due < UNSCHEDULED)"
_PAYMENT = "short_rate * short_pays * (short_due <= long_due) - long_rate * long_pays * (long_due <= short_due)"

VALUES = {
    "age": Source(
        "snapshot.now - position.opened_epoch if snapshot.now > position.opened_epoch else 0",
        column=Column("now - opened"),
    ),
    "since_action": Source(_SINCE_ACTION, column=Column("NEVER")),  # a replayed position ends with its first action
    "entry_divergence": Source("position.entry_steps", column=Column("entry")),
    "divergence": Source("at.divergence", ("rates",), _rate_gaps, Column("between(long_rate, short_rate)", _RATES)),
    "settles_in": Source(
        "at.settles_in",
        ("schedule",),
        _schedule_gaps,
        Column("smaller(long_due, short_due)", "(long_due < UNSCHEDULED) | (short_due < UNSCHEDULED)"),
    ),
    "both_scheduled": Source("at.both_scheduled", ("schedule",), _schedule_gaps, Column(f"({_SCHEDULES}) * 1")),
    "net_payment": Source(
        "at.net_payment", ("rates", "schedule"), _payment_gaps, Column(_PAYMENT, f"{_RATES} & {_SCHEDULES}")
    ),
    "long_open_interest": Source(
        "at.long_open_interest", ("open_interest",), _long_interest_gaps, Column("long_interest", "long_interest >= 0")
    ),
    "short_open_interest": Source(
        "at.short_open_interest",
        ("open_interest",),
        _short_interest_gaps,
        Column("short_interest", "short_interest >= 0"),
    ),
    "long_open": Source(f"{_HELD}.long.open", ("legs",), _long_leg_gaps),
    "short_open": Source(f"{_HELD}.short.open", ("legs",), _short_leg_gaps),
    "quantity_difference": Source(f"{_HELD}.quantity_difference", ("legs",), _leg_gaps),
    "liquidation_distance": Source(f"{_HELD}.liquidation_distance", ("legs", "mark_price"), _distance_gaps),
    "both_distances": Source(f"{_HELD}.both_distances", ("legs", "mark_price"), _distance_gaps),
    "leaving_cost": Source("costs.move(position.pair, None).cost", column=Column("leaving")),
}
"""age: seconds since the opening, 0 if that is after now · since_action: seconds since the last action, NEVER if there
was none, negative if that is after now · entry_divergence, divergence: per 8 h · settles_in: seconds to the next
settlement of the leg that settles earlier, of those whose schedule is known · both_scheduled: 1 if both schedules are
known, else 0 · net_payment: received at that settlement, rate per 8 h x seconds · open interest: USD · long_open,
short_open: 1 if the leg holds tokens, 0 if it is flat · quantity_difference: (larger - smaller) / larger of the legs'
tokens, ratio · liquidation_distance: the smaller one of the legs' distances to liquidation as a share of the mark
price, ratio, of those that are known · both_distances: 1 if both are known, else 0 · leaving_cost: what closing costs
by the rule's `costs`.
Of a candidate, `gain` may also name its `candidate_divergence` and the `switch_cost`."""

_MEANS = "snapshot.book.smoothed(signal)"

SMOOTHED = {
    "divergence": Source(
        f"{_MEANS}.divergence(position.pair)",
        gaps=_smoothed_gaps,
        column=Column("between(long_mean, short_mean)", "long_mean_known & short_mean_known"),
    ),
    "both_known": Source(
        f"{_MEANS}.both_known(position.pair)", column=Column("(long_mean_known & short_mean_known) * 1")
    ),
    "settled_ago": Source(
        f"{_MEANS}.settled_ago(position.pair)",
        gaps=_unseen,
        column=Column(
            "now - smaller(long_mean_at, short_mean_at)", "(long_mean_at > NEVER_SEEN) & (short_mean_at > NEVER_SEEN)"
        ),
    ),
}
"""The same for a rule with a signal: the smoothed divergence per 8 h · both_known: 1 if it is known, else 0 ·
settled_ago: seconds since the older one of the legs' last settlements. A candidate's divergence is the smoothed one."""

LEAVING_COST = "leaving_cost"
READABLE = VALUES.keys() | SMOOTHED.keys()
