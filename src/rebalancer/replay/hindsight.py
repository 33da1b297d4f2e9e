"""The hindsight optimum: the best schedule that perfect foresight could have traded, by dynamic programming.

A state is flat, or a directed pair of a symbol's K venues. What is earned until a tick, ending in a state, is the best
of what was earned until the tick before in any state, plus what that state was paid, less the legs that are traded to
get from it to this one. Since a leg's cost depends on its venue alone, the best state to come from is the best one to
leave by its long leg, by its short leg, or by both: O(K^2) for each tick instead of O(K^4).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from ..costs import Costs
from ..domain.names import Pair
from ..domain.numbers import FRACTION_PLACES, from_grid
from ..domain.times import from_epoch, seconds
from ..errors import HistoryError, InputError, MissingExtraError
from ..history.table import FundingHistory
from .columns import Columns
from .search import schedules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .columns import SymbolColumns
    from .search import Found

HOUR = timedelta(hours=1)


class Move(NamedTuple):
    """A trade of the optimum at `at` (epoch seconds): from one pair to another; None is flat. `cost` in grid steps."""

    at: int
    held: Pair | None
    target: Pair | None
    cost: int

    @property
    def time(self) -> datetime:
        """When, in UTC."""
        return from_epoch(self.at)


@dataclass(frozen=True, slots=True)
class SymbolOptimum:
    """The best of one symbol: what it earns, costs paid, in grid steps of one leg's notional, and its trades."""

    symbol: str
    steps: int
    moves: tuple[Move, ...]

    @property
    def net_bps(self) -> Decimal:
        """What it earns, in basis points."""
        return from_grid(self.steps, FRACTION_PLACES - 4)


@dataclass(frozen=True, slots=True)
class Hindsight:
    """The best of every symbol of a history, one slot of one unit each."""

    symbols: tuple[SymbolOptimum, ...]

    @property
    def net_bps(self) -> Decimal:
        """What all symbols earn, in basis points of one leg's notional; never below 0, as one need not trade."""
        return from_grid(sum(one.steps for one in self.symbols), FRACTION_PLACES - 4)


def hindsight(history: FundingHistory, *, costs: Costs | None = None, every: timedelta = HOUR) -> Hindsight:
    """The optimum of a history: the most that opens, closes, switches and rotations could have earned.

    The ticks, the order of events and the costs (2 bp a leg by default) are those of `replay`: settlements pay what was
    opened before, a pair is opened or switched to only where both of its rates are known, and what is open at the end
    is closed at cost. Needs the extra `replay`. Raises HistoryError for a history without settled rates, since only
    those pay, and InputError for costs below 0.
    """
    if not history.settled:
        raise HistoryError("the optimum needs settled rates: only those pay")
    if not isinstance(every, timedelta) or every < timedelta(seconds=1) or every.microseconds:
        raise InputError("every must be a whole number of seconds above 0")
    columns = Columns.of(history.decisive(), every=seconds(every))
    costs = costs or Costs.flat(leg_bps=2)
    if any(costs.leg(venue) < 0 for venue in history.decisive().venues):
        raise InputError(
            "with rebates, trading without end would earn without end: the optimum needs costs of 0 or more"
        )
    found = schedules(columns, costs)
    return Hindsight(
        tuple(
            SymbolOptimum(one.symbol, best.steps, tuple(_moves(one, best, columns, costs)))
            for one, best in zip(columns.symbols, found, strict=True)
        )
    )


def optimum(history: FundingHistory, *, costs: Costs, every: timedelta) -> Hindsight | None:
    """The optimum for a report. None: nothing was settled, rebates, no numpy, or sums that do not fit into 64 bits."""
    if not history.settled or any(costs.leg(venue) < 0 for venue in history.decisive().venues):
        return None
    try:
        return hindsight(history, costs=costs, every=every)
    except (MissingExtraError, HistoryError):
        return None


def _moves(one: SymbolColumns, found: Found, columns: Columns, costs: Costs) -> Iterator[Move]:
    for tick, before, after in found.moves:
        held, target = (
            None if state < 0 else Pair(one.symbol, *(one.venues[leg] for leg in divmod(state, found.most)))
            for state in (before, after)
        )
        yield Move(columns.first + tick * columns.every, held, target, costs.move(held, target).cost)
