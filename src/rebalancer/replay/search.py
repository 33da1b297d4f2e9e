"""The search for the hindsight optimum over several symbols at once, in numpy, on the grid.

Every worth is shifted left by the bits of a tag that says how it was come by. The largest worth then brings its tag
with it, and tags are made so that of equal worths the larger tag is the better choice: to stay, then fewer legs, then
the first venue. Arrays have the symbols last, so that each step runs over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import HistoryError
from .columns import numpy
from .search_loops import FLAT, LONG, SHORT, before, compiled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..costs import Costs
    from .columns import Columns, Mask, Steps, SymbolColumns
    from .search_loops import Loops

NEVER = -(1 << 61)
"""What a state is worth that can not be reached, as a shifted number. No payments bring it near what can be reached."""
LIMIT = 1 << 58
"""No shifted sum may reach this."""
STATES = 1 << 13
"""States of all symbols that are searched at once: their worths stay in the nearer caches."""
MEMORY = 1 << 27
"""Bytes that their choices may take, where there are several."""
LARGE = 1 << 25
"""States x ticks from which compiling the loops takes less time than it saves."""


class Found(NamedTuple):
    """The best schedule of a symbol: what it earns in grid steps, and its moves as (tick, state before, state after).

    A state is long venue x K + short venue, with K = `most`, or -1: flat.
    """

    steps: int
    moves: list[tuple[int, int, int]]
    most: int


@dataclass(frozen=True, slots=True)
class Tags:
    """What the low bits of a worth say, for `most` venues: the kind of move, then the venue left, the first highest."""

    most: int
    places: int
    """How many bits a venue takes."""
    bits: int

    @classmethod
    def of(cls, most: int) -> Tags:
        """Tags in one byte where that is enough."""
        places = max(most - 1, 1).bit_length()
        return cls(most, places, 8 if places <= 5 else 16)

    @property
    def kind(self) -> str:
        """The type of an array of tags."""
        return "uint8" if self.bits == 8 else "uint16"

    @property
    def stay(self) -> int:
        """The tag of what was not moved."""
        return (1 << self.bits) - 1

    @property
    def flat(self) -> int:
        """The tag of what came from flat."""
        return FLAT << self.places

    def before(self, state: int, tag: int, left_short: Any) -> int:
        """The state that a move to `state` left. `left_short`: by long venue, the tag of its short leg."""
        return before(state, tag, left_short, self.most, self.places)

    def kinds(self) -> tuple[int, int, int, int]:
        """The tags of staying, and of what came from flat, by its short leg and by its long leg, without the venue."""
        return self.stay, self.flat, SHORT << self.places, LONG << self.places


def schedules(columns: Columns, costs: Costs) -> list[Found]:
    """The best schedule of each symbol, by loops where numba is there to compile them and worth it, else in numpy.

    Raises HistoryError where a sum, shifted, would not fit into 64 bits.
    """
    largest = max(2 * int(abs(one.paid).sum(axis=0).max()) for one in columns.symbols)
    dearest = max(costs.leg(venue) for one in columns.symbols for venue in one.venues)
    bits = Tags.of(max(len(one.venues) for one in columns.symbols)).bits
    if largest + 8 * dearest >= LIMIT >> bits:
        raise HistoryError("the rates are too large to be added up in 64 bits")
    size = columns.ticks * sum(len(one.venues) ** 2 for one in columns.symbols)
    loops = compiled() if size >= LARGE or compiled.cache_info().currsize else None
    return in_numpy(columns, costs) if loops is None else in_loops(columns, costs, loops)


def in_loops(columns: Columns, costs: Costs, loops: Loops) -> list[Found]:
    """Symbol by symbol, with these loops."""
    np, rooms = numpy(), {}
    found = []
    for one in columns.symbols:
        tags = Tags.of(len(one.venues))
        if tags.most not in rooms:  # to be used again: fresh memory is slow
            states = tags.most * tags.most + 1
            sized = (np.empty((columns.ticks, width), dtype=tags.kind) for width in (states, tags.most))
            rooms[tags.most] = (np.empty(columns.ticks, dtype=np.int64), *sized)
        found.append(_looped(one, costs, loops, *rooms[tags.most]))
    return found


def in_numpy(columns: Columns, costs: Costs) -> list[Found]:
    """Several symbols at once."""
    found = {
        one.symbol: best for batch in _batches(columns) for one, best in zip(batch, searched(batch, costs), strict=True)
    }
    return [found[one.symbol] for one in columns.symbols]


def _batches(columns: Columns) -> Iterator[list[SymbolColumns]]:
    """Symbols with about as many venues, no more at once than fit well into caches and memory."""
    left = sorted(columns.symbols, key=lambda one: len(one.venues))
    while left:
        states = len(left[-1].venues) ** 2
        room = max(1, min(STATES // states, MEMORY // (states * columns.ticks)))
        yield left[-room:]
        del left[-room:]


def changes(paid: Steps, known: Mask) -> Steps:
    """The ticks at which anything was paid or became known or unknown (axis 0 of both). At others no move is better."""
    np = numpy()
    changed: Any = paid.any(axis=tuple(range(1, paid.ndim)))
    changed[0] = True
    changed[1:] |= (known[1:] != known[:-1]).any(axis=tuple(range(1, known.ndim)))
    found: Steps = np.flatnonzero(changed)
    return found


def _looped(one: SymbolColumns, costs: Costs, loops: Loops, at: Steps, how: Any, short: Any) -> Found:
    np = numpy()
    tags = Tags.of(len(one.venues))
    most = tags.most
    leg = np.array([costs.leg(venue) for venue in one.venues], dtype=np.int64) << tags.bits
    held = np.full(most * most, NEVER | tags.stay, dtype=np.int64)
    flat, ticks = loops.forward(one.paid, one.known, tags.bits, leg, tags.kinds(), held, at, how, short)
    how, short = how[:ticks], short[:ticks]
    closed = (held & ~tags.stay) - (leg[:, None] + leg[None, :]).reshape(-1)
    last = int(closed.argmax())
    ending = last if closed[last] > flat else -1
    moves = np.empty((ticks, 3), dtype=np.int64)
    count = loops.back(how, short, ending, tags.kinds(), tags.places, moves)
    made = [(int(at[tick]), left, state) for tick, left, state in moves[count - 1 :: -1].tolist()] if count else []
    return _found(max(int(closed[last]), int(flat)) >> tags.bits, made, ending, len(one.paid) - 1, most)


def _found(steps: int, moves: list[tuple[int, int, int]], ending: int, last: int, most: int) -> Found:
    """With the close of what is held in the end, at the last tick."""
    return Found(steps, moves if ending < 0 else [*moves, (last, ending, -1)], most)


def searched(symbols: Sequence[SymbolColumns], costs: Costs) -> Iterator[Found]:
    """The best schedule of each symbol. Padded to the largest number of venues: best of symbols with as many."""
    np = numpy()
    most, lanes = max(len(one.venues) for one in symbols), len(symbols)
    tags = Tags.of(most)
    ticks = len(symbols[0].paid)
    paid = np.zeros((ticks, most, lanes), dtype=np.int64)
    known = np.zeros((ticks, most, lanes), dtype=bool)
    leg = np.zeros((most, lanes), dtype=np.int64)
    for lane, one in enumerate(symbols):
        there = len(one.venues)
        paid[:, :there, lane] = one.paid
        known[:, :there, lane] = one.known
        leg[:there, lane] = [costs.leg(venue) for venue in one.venues]
    at = changes(paid, known)
    if len(at) < ticks:
        paid, known = paid[at], known[at]
    paid <<= tags.bits
    search = _Search(tags, paid, known, leg << tags.bits)
    closed, flat = search.forward()
    worth = closed.reshape(-1, lanes)
    last = worth.argmax(axis=0)
    largest = worth[last, np.arange(lanes)]
    ending = np.where(largest > flat, last, -1)
    best = np.maximum(largest, flat) >> tags.bits
    for steps, state, moves in zip(best.tolist(), ending.tolist(), search.back(ending, at.tolist()), strict=True):
        yield _found(steps, moves, state, ticks - 1, most)


class _Search:
    """Arrays are by tick, long venue, short venue and symbol, as far as they have these axes."""

    def __init__(self, tags: Tags, paid: Steps, known: Mask, leg: Steps) -> None:
        np = numpy()
        self._tags, self._paid, self._known, self._leg = tags, paid, known, leg
        ticks, most, lanes = paid.shape
        self._how = np.empty((ticks, most * most + 1, lanes), dtype=tags.kind)
        """By state, the last one flat: how it was come by."""
        self._short = np.empty((ticks, most, lanes), dtype=tags.kind)
        """By long venue: the short leg that is best left."""

    def forward(self) -> tuple[Steps, Steps]:
        """What each state is worth closed after the last tick, and what flat is; both shifted."""
        np, tags, leg = numpy(), self._tags, self._leg
        ticks, most, lanes = self._paid.shape
        stay, untagged = tags.stay, ~tags.stay
        first = most - 1 - np.arange(most, dtype=np.int64)[:, None]
        by_long_tag, by_short_tag = first | LONG << tags.places, first | SHORT << tags.places
        shape = most, most, lanes
        long, short = (np.broadcast_to(one, shape).copy() for one in (leg[:, None, :], leg[None, :, :]))
        leave_long, leave_short = long + (stay - by_long_tag)[:, None, :], short + (stay - by_short_tag)[None, :, :]
        leave_last = leg - first
        held = np.full(shape, NEVER | stay, dtype=np.int64)
        flat = np.zeros(lanes, dtype=np.int64)
        moved, spare = np.empty_like(held), np.empty_like(held)
        blocked, seen = np.empty(shape, dtype=bool), None
        for tick in range(ticks):
            paid, known, how = self._paid[tick], self._known[tick], self._how[tick]
            if seen is None or not np.array_equal(known, seen):
                blocked, seen = ~(known[:, None, :] & known[None, :, :]), known
                blocked[range(most), range(most)] = True
            held += paid[None, :, :]
            held -= paid[:, None, :]
            by_long = np.subtract(held, leave_long, out=spare).max(axis=0)  # of each short leg, the long leg left
            by_short = np.subtract(held, leave_short, out=spare).max(axis=1)
            self._short[tick] = by_short  # the tag alone fits
            closed = ((by_short & untagged) - leave_last).max(axis=0)
            flat = np.maximum(flat | tags.flat, closed)
            how[-1] = flat
            np.maximum(by_long, flat - leg, out=by_long)
            np.subtract(by_long[None, :, :], long, out=moved)
            np.subtract(by_short[:, None, :], short, out=spare)
            np.maximum(moved, spare, out=moved)
            np.copyto(moved, NEVER, where=blocked)
            np.maximum(held, moved, out=held)
            how[:-1] = held.reshape(-1, lanes)
            held |= stay
            flat &= untagged
        held &= untagged
        return held - long - short, flat

    def back(self, ending: Steps, at: Sequence[int]) -> list[list[tuple[int, int, int]]]:
        """The moves that lead to the `ending` states (-1: flat) after the last tick, by symbol and in order of time."""
        np, tags = numpy(), self._tags
        lanes = np.arange(len(ending))
        stays = np.full(self._how.shape[1], tags.stay, dtype=self._how.dtype)
        stays[-1] = tags.flat
        states = ending.copy()
        moves: list[list[tuple[int, int, int]]] = [[] for _ in ending]
        for tick in range(len(at) - 1, -1, -1):
            tag = self._how[tick][states, lanes]
            for lane in np.flatnonzero(tag != stays[states]).tolist():
                after = int(states[lane])
                left = tags.before(after, int(tag[lane]), self._short[tick, :, lane])
                moves[lane].append((at[tick], left, after))
                states[lane] = left
        return [one[::-1] for one in moves]
