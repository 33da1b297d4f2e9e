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
from typing import TYPE_CHECKING, Any, NamedTuple

from ..costs import Costs
from ..domain.names import Pair
from ..domain.numbers import FRACTION_PLACES, from_grid
from ..domain.times import from_epoch, seconds
from ..errors import HistoryError, InputError
from ..history.table import FundingHistory
from .columns import MOST, Columns, SymbolColumns, numpy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from .columns import Mask, Steps

HOUR = timedelta(hours=1)
_NEVER = -(MOST << 1)
"""What a state is worth that can not be reached. No payments bring it near anything that can."""
_BATCH = 64
"""Symbols that are searched at once."""
_KEEP, _LONG, _SHORT, _FLAT, _BOTH = range(5)
"""How a pair came to be held at a tick: it was before, one leg was changed, it was opened, or both were changed."""


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
    if any(costs.leg(venue) < 0 for venue in history.venues):
        raise InputError(
            "with rebates, trading without end would earn without end: the optimum needs costs of 0 or more"
        )
    batches = (columns.symbols[place : place + _BATCH] for place in range(0, len(columns.symbols), _BATCH))
    return Hindsight(tuple(one for batch in batches for one in _Search(batch, columns, costs).best()))


class _Choice(NamedTuple):
    """How each state of each symbol was reached at a tick: arrays by symbol, and by long and short venue."""

    how: Any
    long_from: Any
    """By symbol and short venue: the long venue that is best left."""
    short_from: Any
    """By symbol and long venue: the short venue that is best left."""
    pair_from: Any
    """By symbol: the pair that is best left, as long venue x K + short venue."""
    closed: Any
    """By symbol: whether flat was reached by closing that pair."""


class _Search:
    """The search for several symbols at once. Arrays are padded to the largest number of venues, `K`.

    Changing a leg to the same venue is among the choices; as it costs and changes nothing, it is never the best one.
    """

    def __init__(self, symbols: Sequence[SymbolColumns], columns: Columns, costs: Costs) -> None:
        np = self._np = numpy()
        self._symbols = symbols
        self._columns = columns
        self._costs = costs
        self._most = max(len(one.venues) for one in symbols)
        shape = len(symbols), self._most
        leg = np.zeros(shape, dtype=np.int64)
        self._paid = np.zeros((columns.ticks, *shape), dtype=np.int64)
        self._known = np.zeros((columns.ticks, *shape), dtype=bool)
        for place, one in enumerate(symbols):
            there = len(one.venues)
            leg[place, :there] = [costs.leg(venue) for venue in one.venues]
            self._paid[:, place, :there] = one.paid
            self._known[:, place, :there] = one.known
        self._long, self._short = leg[:, :, None], leg[:, None, :]
        self._different = ~np.eye(self._most, dtype=bool)

    def best(self) -> Iterator[SymbolOptimum]:
        """The optimum of each symbol."""
        np, count = self._np, len(self._symbols)
        held = np.full((count, self._most, self._most), _NEVER, dtype=np.int64)
        flat = np.zeros(count, dtype=np.int64)
        choices = []
        for paid, known in zip(self._paid, self._known, strict=True):
            held += paid[:, None, :] - paid[:, :, None]
            held, flat, choice = self._moved(held, flat, known[:, :, None] & known[:, None, :] & self._different)
            choices.append(choice)
        closed = (held - self._long - self._short).reshape(count, -1)
        for place in range(count):
            last = int(closed[place].argmax())
            ends_flat = int(flat[place]) >= int(closed[place, last])
            best = int(flat[place]) if ends_flat else int(closed[place, last])
            yield SymbolOptimum(
                self._symbols[place].symbol, best, self._traced(place, choices, None if ends_flat else last)
            )

    def _moved(self, held: Steps, flat: Steps, openable: Mask) -> tuple[Steps, Steps, _Choice]:
        """What every state is worth after the trades of a tick. Ties go to fewer legs, then to the first venue."""
        np = self._np
        by_long, by_short = held - self._long, held - self._short
        by_both = (by_long - self._short).reshape(len(flat), -1)
        long_from, short_from, pair_from = by_long.argmax(1), by_short.argmax(2), by_both.argmax(1)
        left_long = np.take_along_axis(by_long, long_from[:, None, :], 1)
        left_short = np.take_along_axis(by_short, short_from[:, :, None], 2)
        left_both = np.take_along_axis(by_both, pair_from[:, None], 1)[:, 0]
        how = np.zeros(held.shape, dtype=np.int8)
        best = held.copy()
        opened = flat[:, None, None] - self._long - self._short
        for name, worth in (
            (_LONG, left_long - self._long),
            (_SHORT, left_short - self._short),
            (_FLAT, opened),
            (_BOTH, left_both[:, None, None] - self._long - self._short),
        ):
            better = openable & (worth > best)
            how[better] = name
            np.copyto(best, np.broadcast_to(worth, best.shape), where=better)
        closed = left_both > flat
        return best, np.maximum(flat, left_both), _Choice(how, long_from, short_from, pair_from, closed)

    def _traced(self, place: int, choices: Sequence[_Choice], pair: int | None) -> tuple[Move, ...]:
        """The trades that lead to `pair` (None: flat) after the last tick, and its close at the end."""
        most = self._most
        at = self._columns.first + self._columns.every * (len(choices) - 1)
        moves = [] if pair is None else [self._move(place, at, pair, None)]
        for choice in reversed(choices):
            before = pair
            if pair is None:
                before = int(choice.pair_from[place]) if choice.closed[place] else None
            else:
                long, short = divmod(pair, most)
                how = choice.how[place, long, short]
                if how == _LONG:
                    before = int(choice.long_from[place, short]) * most + short
                elif how == _SHORT:
                    before = long * most + int(choice.short_from[place, long])
                elif how == _FLAT:
                    before = None
                elif how == _BOTH:
                    before = int(choice.pair_from[place])
            if before != pair:
                moves.append(self._move(place, at, before, pair))
            pair = before
            at -= self._columns.every
        return tuple(reversed(moves))

    def _move(self, place: int, at: int, held: int | None, target: int | None) -> Move:
        before, after = (None if state is None else self._pair(place, state) for state in (held, target))
        return Move(at, before, after, self._costs.move(before, after).cost)

    def _pair(self, place: int, state: int) -> Pair:
        one = self._symbols[place]
        long, short = divmod(state, self._most)
        return Pair(one.symbol, one.venues[long], one.venues[short])
