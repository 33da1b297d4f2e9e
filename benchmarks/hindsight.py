"""What the optimum costs, against the programme as a textbook has it: `python benchmarks/hindsight.py`.

Fifty symbols on ten venues, hourly. The naive programme tries, at each tick, every state after every state: O(K^4) in
numpy, symbol by symbol, and keeps the choices that it would need to go back. Each ratio is the median of interleaved
rounds over the same ticks; all find the same optimum. With numba the loops are compiled before anything is measured.
Seconds are of the processor, so that neighbours count less.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from itertools import permutations

import numpy as np

from rebalancer import Costs
from rebalancer.domain.names import Pair
from rebalancer.domain.numbers import BPS
from rebalancer.replay.columns import Columns, SymbolColumns
from rebalancer.replay.search import in_loops, in_numpy
from rebalancer.replay.search_loops import compiled

SYMBOLS = 50
VENUES = tuple(f"venue{number}" for number in range(10))
ROUNDS = 5
COSTS = Costs(leg_bps=2, venues={"venue3": 1, "venue7": "3.5"})
NEVER = -(1 << 60)


def columns(*, ticks: int) -> Columns:
    """Rates that rest, drift and jump, as real ones do; each venue is unknown for a while now and then."""
    draw = np.random.default_rng(7)
    shape = (SYMBOLS, ticks, len(VENUES))
    drift = np.cumsum(draw.integers(-BPS // 80, BPS // 80, shape), axis=1)
    paid = np.where(draw.random(shape) < 0.5, BPS // 8, drift + draw.integers(-BPS // 4, BPS // 4, shape))
    known = np.repeat(draw.random((SYMBOLS, -(-ticks // 24), len(VENUES))) < 0.97, 24, axis=1)[:, :ticks]
    return Columns(
        first=0,
        every=3600,
        ticks=ticks,
        symbols=tuple(
            SymbolColumns(f"S{place:02}", VENUES, paid[place] * known[place], known[place]) for place in range(SYMBOLS)
        ),
    )


def naive(found: Columns, costs: Costs) -> list[int]:
    """The optimum of each symbol: at each tick the best of every state that may have come before."""
    return [_naive(one, costs) for one in found.symbols]


def _naive(one: SymbolColumns, costs: Costs) -> int:
    states: list[Pair | None] = [None, *(Pair(one.symbol, *pair) for pair in permutations(one.venues, 2))]
    place = {venue: number for number, venue in enumerate(one.venues)}
    longs = np.array([0 if state is None else place[state.long_dex] for state in states])
    shorts = np.array([0 if state is None else place[state.short_dex] for state in states])
    cost = np.array([[costs.move(before, after).cost for before in states] for after in states])
    earned = one.paid[:, shorts] - one.paid[:, longs]
    openable = one.known[:, shorts] & one.known[:, longs]
    openable[:, 0] = True
    staying = np.arange(len(states))
    worth = np.full(len(states), NEVER)
    worth[0] = 0
    came_from = np.empty(earned.shape, dtype=np.int16)
    for tick in range(len(earned)):
        worth += earned[tick]
        candidates = worth - cost
        best = candidates.argmax(axis=1)
        largest = candidates[staying, best]
        moved = openable[tick] & (largest > worth)
        came_from[tick] = np.where(moved, best, staying)
        worth = np.where(moved, largest, worth)
    return int((worth - cost[0]).max())


def measure(ticks: int) -> None:
    """The table: seconds, and how many times faster than the naive programme."""
    found = columns(ticks=ticks)
    loops = compiled()
    ways: dict[str, Callable[[], list[int]]] = {
        "naive, numpy": lambda: naive(found, COSTS),
        "numpy": lambda: [one.steps for one in in_numpy(found, COSTS)],
    }
    if loops is not None:
        fast = loops
        ways["numba"] = lambda: [one.steps for one in in_loops(found, COSTS, fast)]
        in_loops(columns(ticks=2), COSTS, loops)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        answers = []
        for name, way in ways.items():
            start = time.process_time()
            answers.append(way())
            taken[name].append(time.process_time() - start)
        assert all(answer == answers[0] for answer in answers)
    print(f"{SYMBOLS} symbols on {len(VENUES)} venues, {ticks:,} ticks, median of {ROUNDS} rounds")
    for name, times in taken.items():
        ratios = [first / other for first, other in zip(taken["naive, numpy"], times, strict=True)]
        print(f"{name:14} {statistics.median(times):9.3f} s {statistics.median(ratios):8.1f} x")


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 8_760)
