"""The search for one symbol as loops over its states, written for numba to compile; as plain Python it is only slow.

It chooses as the search in numpy does, tag by tag, so that both find the same moves.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from .columns import Mask, Steps

BOTH, FLAT, SHORT, LONG = range(4)
"""How a pair came to be held where it was not before: both legs were changed, it was opened, or one leg was changed."""

FORBIDDEN = 1 << 62
"""What entering a leg costs whose rate is unknown: then even a state that can not be reached is worth more."""


def before(state: int, tag: int, left_short: Any, most: int, places: int) -> int:
    """The state that a move to `state` left, as its tag says. `left_short`: by long venue, the tag of its short leg."""
    kind = tag >> places
    venue = most - 1 - (tag & ((1 << places) - 1))
    if kind == LONG:
        return venue * most + state % most
    if kind == SHORT:
        return state // most * most + venue
    if kind == FLAT:
        return -1
    return venue * most + most - 1 - (int(left_short[venue]) & ((1 << places) - 1))


def forward(
    paid: Steps,
    known: Mask,
    bits: int,
    leg: Steps,
    tags: tuple[int, int, int, int],
    held: Steps,
    at: Steps,
    how: Any,
    short: Any,
) -> tuple[int, int]:
    """What flat is worth in the end, and at how many ticks something changed: at others no move is better.

    `held` becomes what each pair is worth, `at` those ticks, and `how` and `short` say how all came to be at them.

    `paid` and `known` are by tick and venue; `leg`, by venue, and worths are shifted by `bits`. `tags`: that of staying
    and the kinds of what came from flat, by its short leg, and by its long leg. `held` is by state; `how` by place in
    `at` and state, flat being the last one; `short` by place and long venue. There is room for every tick.
    """
    stay, from_flat, by_its_short, by_its_long = tags
    ticks, most = paid.shape
    flat, place = 0, 0
    never = held[0]
    by_long, by_short, entering, leaving, pays = leg.copy(), leg.copy(), leg.copy(), leg.copy(), leg.copy()
    for venue in range(most):
        leaving[venue] += stay - (by_its_short | (most - 1 - venue))
    for tick in range(ticks):
        same = tick > 0
        for venue in range(most):
            same = same and paid[tick, venue] == 0 and known[tick, venue] == known[tick - 1, venue]
            by_long[venue] = never
            pays[venue] = paid[tick, venue] << bits
            entering[venue] = leg[venue] if known[tick, venue] else FORBIDDEN
        if same:
            continue
        closed = never
        row = 0
        for long_leg in range(most):
            less = pays[long_leg]
            last = most - 1 - long_leg
            cost = leg[long_leg] + stay - (by_its_long | last)
            largest = never
            for short_leg in range(most):
                worth = held[row + short_leg] + pays[short_leg] - less
                held[row + short_leg] = worth
                by_long[short_leg] = max(by_long[short_leg], worth - cost)
                largest = max(largest, worth - leaving[short_leg])
            by_short[long_leg] = largest
            short[place, long_leg] = largest & stay
            closed = max(closed, (largest & ~stay) - leg[long_leg] + last)
            row += most
        flat = max(flat | from_flat, closed)
        how[place, row] = flat & stay
        for short_leg in range(most):
            worth = max(by_long[short_leg], flat - leg[short_leg])
            by_long[short_leg] = worth if known[tick, short_leg] else -FORBIDDEN
        row = 0
        for long_leg in range(most):
            if known[tick, long_leg]:
                cost, opened = leg[long_leg], by_short[long_leg]
                for short_leg in range(most):
                    moved = max(by_long[short_leg] - cost, opened - entering[short_leg])
                    held[row + short_leg] = max(held[row + short_leg], moved)
                held[row + long_leg] = never
            row += most
        for state in range(row):  # loops of one kind of step are those that a compiler makes fast
            how[place, state] = held[state] & stay
        for state in range(row):
            held[state] |= stay
        flat &= ~stay
        at[place] = tick
        place += 1
    return flat, place


def backward(left_by: Callable[..., int]) -> Callable[..., int]:
    """The loop that goes back over the moves; `left_by` is `before`, or what numba made of it."""

    def back(how: Any, short: Any, ending: int, tags: tuple[int, int, int, int], places: int, moves: Steps) -> int:
        """How many moves lead to the state `ending` after the last tick; `moves` receives them, the last one first.

        A move is its tick, the state before and the state after; -1 is flat. There is room for one at each tick.
        """
        ticks, most = short.shape
        state, count = ending, 0
        for tick in range(ticks - 1, -1, -1):
            tag = int(how[tick, state])
            if tag != (tags[0] if state >= 0 else tags[1]):
                left = left_by(state, tag, short[tick], most, places)
                moves[count, 0] = tick
                moves[count, 1] = left
                moves[count, 2] = state
                state = left
                count += 1
        return count

    return back


class Loops(NamedTuple):
    """The two loops of a search."""

    forward: Callable[..., tuple[int, int]]
    back: Callable[..., int]


INTERPRETED = Loops(forward, backward(before))
"""As plain Python."""


@cache
def compiled() -> Loops | None:
    """The loops as numba compiles them, which takes a few seconds once; None without numba."""
    try:
        import numba
    except ImportError:
        return None
    return Loops(numba.njit(forward), numba.njit(backward(numba.njit(before))))
