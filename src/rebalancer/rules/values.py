"""The values that a built-in rule's functions may name as their parameters, and how each is read and missed.

Every value is an integer on the grid, or None where it is unknown. `code` reads it in compiled rules, in terms of the
`position`, the `snapshot` and the pair's reading `at`; `gaps` tells why it is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..domain.missing import OPEN_INTEREST, SCHEDULE, Missing
from ..domain.names import Pair

if TYPE_CHECKING:
    from ..domain.book import Book
    from ..domain.position import Position
    from ..domain.snapshot import MarketSnapshot


class Source(NamedTuple):
    """How a value is read (`code`), which fields of `Needs` it takes, and why it is unknown (None: it never is)."""

    code: str
    needs: tuple[str, ...] = ()
    gaps: Callable[[Book, Pair], tuple[Missing, ...]] | None = None

    def read(self, position: Position, snapshot: MarketSnapshot) -> int | None:
        """The value, by the same `code` that compiled rules read it with."""
        known = {"position": position, "snapshot": snapshot, "at": snapshot.book[position.pair]}
        value: int | None = eval(self.code, {}, known)  # the code is a constant of this file
        return value

    @property
    def nullable(self) -> bool:
        """Whether the value may be unknown, wholly or in part."""
        return self.gaps is not None


def _rate_gaps(book: Book, pair: Pair) -> tuple[Missing, ...]:
    return book.rate_gaps(pair)


def _schedule_gaps(book: Book, pair: Pair) -> tuple[Missing, ...]:
    return tuple(
        book.gap(market, SCHEDULE) for market in (pair.long, pair.short) if book.leg(market).settles_in is None
    )


def _payment_gaps(book: Book, pair: Pair) -> tuple[Missing, ...]:
    return _schedule_gaps(book, pair) + tuple(gap for gap in book.rate_gaps(pair) if gap.venue is not None)


def _long_interest_gaps(book: Book, pair: Pair) -> tuple[Missing, ...]:
    return (book.gap(pair.long, OPEN_INTEREST),) if book.leg(pair.long).open_interest is None else ()


def _short_interest_gaps(book: Book, pair: Pair) -> tuple[Missing, ...]:
    return (book.gap(pair.short, OPEN_INTEREST),) if book.leg(pair.short).open_interest is None else ()


VALUES = {
    "age": Source("snapshot.now - position.opened_epoch if snapshot.now > position.opened_epoch else 0"),
    "entry_divergence": Source("position.entry_steps"),
    "divergence": Source("at.divergence", ("rates",), _rate_gaps),
    "settles_in": Source("at.settles_in", ("schedule",), _schedule_gaps),
    "both_scheduled": Source("at.both_scheduled", ("schedule",), _schedule_gaps),
    "net_payment": Source("at.net_payment", ("rates", "schedule"), _payment_gaps),
    "long_open_interest": Source("at.long_open_interest", ("open_interest",), _long_interest_gaps),
    "short_open_interest": Source("at.short_open_interest", ("open_interest",), _short_interest_gaps),
}
"""age: seconds since the opening, 0 if that is after now · entry_divergence, divergence: per 8 h · settles_in: seconds
to the next settlement of the leg that settles earlier, of those whose schedule is known · both_scheduled: 1 if both
schedules are known, else 0 · net_payment: received at that settlement, rate per 8 h x seconds · open interest: USD.
Of a candidate, `gain` may also name its `candidate_divergence` and the `switch_cost`."""
