"""The loops around the lanes of the compiled engine, written for numba; as plain Python they are only slow.

They go symbol by symbol and, for each, setting by setting: what a symbol pays stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .board import NOTHING
from .work import END

_HIGHEST = 1 << 62


def find_widest(rates: Any, known: Any, low: int, high: int, lowest: Any, highest: Any, wides: Any) -> None:
    """Write the widest divergence between the markets from `low` up to `high` into `wides`, NOTHING where none is.

    `lowest` and `highest` are room to work in, by tick as `wides`. Each loop runs through ticks, without branches:
    compilers make such loops fast.
    """
    rate, there, ticks = rates[low], known[low], len(wides)
    if high - low == 2:
        other, too = rates[low + 1], known[low + 1]
        for tick in range(ticks):
            apart = rate[tick] - other[tick]
            wides[tick] = max(apart, -apart) if there[tick] & too[tick] else NOTHING
        return
    for tick in range(ticks):
        here, known_here = rate[tick], there[tick]
        lowest[tick] = here if known_here else _HIGHEST
        highest[tick] = here if known_here else -_HIGHEST
        wides[tick] = known_here
    for place in range(low + 1, high):
        rate, there = rates[place], known[place]
        for tick in range(ticks):
            here, known_here = rate[tick], there[tick]
            lowest[tick] = min(lowest[tick], here if known_here else _HIGHEST)
            highest[tick] = max(highest[tick], here if known_here else -_HIGHEST)
            wides[tick] += known_here
    for tick in range(ticks):
        apart = highest[tick] - lowest[tick]
        wides[tick] = apart if wides[tick] > 1 else NOTHING


def tally(room: Any, filled: int, switches: Any, legs: Any, paid: Any, edges: Any, sums: Any) -> None:
    """Add what the positions of one lane earned to `sums`: funding, cost, trades and legs, each by part.

    `switches` says which rules switch, `legs` what a leg of each market costs, `paid` what a short leg was paid up to
    and including a tick; part n is the time from tick `edges[n]` on, before `edges[n + 1]`.
    """
    entered, first, last = True, 0, 0
    for row in range(filled):
        opened, long, short, left, rule = room[row, 1], room[row, 2], room[row, 3], room[row, 4], room[row, 5]
        while edges[first + 1] <= opened:
            first += 1
        while edges[last + 1] <= left:
            last += 1
        if entered:
            sums[1, first] += legs[long] + legs[short]
            sums[2, first] += 1
            sums[3, first] += 2
        entered = rule == END or not switches[rule]
        if entered:
            sums[1, last] += legs[long] + legs[short]
            sums[3, last] += 2
        else:
            to_long, to_short = room[row + 1, 2], room[row + 1, 3]
            if to_long != long:
                sums[1, last] += legs[long] + legs[to_long]
                sums[3, last] += 2
            if to_short != short:
                sums[1, last] += legs[short] + legs[to_short]
                sums[3, last] += 2
        sums[2, last] += 1
        for part in range(first, last + 1):
            since, until = max(opened, edges[part] - 1), min(left, edges[part + 1] - 1)
            if until > since:
                sums[0, part] += paid[short, until] - paid[short, since] - (paid[long, until] - paid[long, since])


def kept(run: Callable[..., int], widest: Callable[..., None]) -> Callable[..., tuple[int, int]]:
    """The loop that keeps the positions, of the `run` of a shape (see `driver`) and `find_widest`."""

    def keep(
        start: int, stop: int, settings: int, room: Any, spare: Any, lows: Any, highs: Any,
        values: Any, known: Any, columns: Any, given: Any,
    ) -> tuple[int, int]:  # fmt: skip
        """Run the lanes from `start` up to `stop`, in order of (symbol, setting), up to one for which there may be no
        room; say which, and how many rows were written.
        """
        filled = 0
        for place in range(start, stop):
            if len(room) - filled < spare.shape[1]:
                return place, filled
            symbol, setting = place // settings, place % settings
            if place == start or setting == 0:
                for rank in range(len(values)):
                    widest(values[rank], known[rank], lows[symbol], highs[symbol], spare[0], spare[1], spare[2 + rank])
            lane = setting * len(lows) + symbol
            bounds = lows[symbol], highs[symbol]
            filled = run(lane, setting, *bounds, spare[2:], room, filled, values, known, columns, *given)
        return stop, filled

    return keep


def summed(run: Callable[..., int], widest: Callable[..., None], add: Callable[..., None]) -> Callable[..., None]:
    """The loop that adds up what was earned, of the `run` of a shape (see `driver`), `find_widest` and `tally`."""

    def total(
        start: int, stop: int, settings: int, room: Any, spare: Any, lows: Any, highs: Any,
        values: Any, known: Any, columns: Any, given: Any,
        switches: Any, legs: Any, paid: Any, edges: Any, sums: Any,
    ) -> None:  # fmt: skip
        """Run the lanes from `start` up to `stop`, in order of (symbol, setting), and add up each of them in `sums`."""
        for place in range(start, stop):
            symbol, setting = place // settings, place % settings
            if place == start or setting == 0:
                for rank in range(len(values)):
                    widest(values[rank], known[rank], lows[symbol], highs[symbol], spare[0], spare[1], spare[2 + rank])
            lane = setting * len(lows) + symbol
            bounds = lows[symbol], highs[symbol]
            filled = run(lane, setting, *bounds, spare[2:], room, 0, values, known, columns, *given)
            add(room, filled, switches, legs[setting], paid, edges, sums[:, setting, symbol])

    return total
