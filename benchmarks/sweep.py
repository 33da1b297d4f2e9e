"""What a sweep costs beyond its work, as a ratio to the ideal in the same run: `python benchmarks/sweep.py`.

1,000 settings that each keep a core busy for 10 ms, on two workers. The ideal is two bare processes that replay half of
them each, one after another, and do nothing else; they run in turn with the sweeps. All that `sweep` does is counted:
making and naming the settings, starting the processes, sending, collecting, and the table. A cluster of Dask is running
before.

The ratio of times is that of a machine that has a core for each worker and nothing else to do. `processor` is the ratio
of processor time, of this process and the workers to that of the work alone: it means something on a busy machine too.
Nothing here is a gate: machines differ, ratios less so.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Any, NamedTuple

from rebalancer import CombinedStrategy, EntryPolicy, FundingHistory, MarketSnapshot, Opportunity, TimeLimit
from rebalancer.domain.funding import RateKind
from rebalancer.domain.names import Market
from rebalancer.domain.targets import TargetFilter
from rebalancer.history.table import Row, Series
from rebalancer.replay import Setting, grid, scores, sweep

TASK = 0.010
TICKS = 2
WORKERS = 2
HISTORY = FundingHistory.of(
    Series(Market(venue, "BTC"), RateKind.SETTLED, tuple(Row(3600 * hour, 0, 3600) for hour in range(1, TICKS + 1)))
    for venue in ("grvt", "lighter")
)


class Busy(EntryPolicy):
    """Opens nothing, and takes its time."""

    number: int = 0

    def should_open(
        self, symbol: str, snapshot: MarketSnapshot, *, targets: TargetFilter = TargetFilter.ANY
    ) -> Opportunity | None:
        """Keep a core busy for this tick's share of the task."""
        end = time.thread_time() + TASK / TICKS
        while time.thread_time() < end:
            pass
        return None


def make(*, number: int) -> Setting:
    """A setting that differs from the others in its number alone."""
    return Setting(CombinedStrategy(TimeLimit()), entry=Busy(number=number))


class Figures(NamedTuple):
    """Of one sweep: its time, that of bare processes, their ratio, and that of processor times."""

    taken: float
    ideal: float
    ratio: float
    processor: float


def work(tasks: int) -> None:
    """What a bare process does."""
    for number in range(tasks):
        scores(HISTORY, [make(number=number)])


def bare(tasks: int) -> None:
    """All tasks, in processes that do nothing else."""
    halves = [get_context("fork").Process(target=work, args=(tasks // WORKERS,)) for _ in range(WORKERS)]
    for one in halves:
        one.start()
    for one in halves:
        one.join()


def clocks(client: Any) -> tuple[float, float]:
    """The time, and the processor time of this process, of those that it started and that ended, and of a cluster."""
    workers = sum(client.run(time.process_time).values()) if client is not None else 0.0
    return time.perf_counter(), sum(os.times()[:4]) + workers


def spent(client: Any, function: Callable[[], Any]) -> tuple[float, float]:
    """What a call takes, by both clocks."""
    started = clocks(client)
    function()
    ended = clocks(client)
    return ended[0] - started[0], ended[1] - started[1]


def figures(tasks: int, client: Any) -> Figures:
    """One sweep, on a cluster or in local processes."""
    ideal, alone = spent(None, lambda: bare(tasks))
    design = grid(number=range(tasks))
    executor = None if client is None else client.get_executor()
    options: dict[str, Any] = {"parts": 1, "optimum": False, "executor": executor, "workers": WORKERS}
    results = []
    taken, processor = spent(client, lambda: results.append(sweep(make, design, HISTORY, **options)))
    assert not results[0].failed
    return Figures(taken, ideal, taken / ideal, processor / alone)


def row(name: str, found: list[Figures]) -> None:
    """The medians of the rounds, and the smallest and largest ratio."""
    taken, ideal, ratio, processor = (statistics.median(column) for column in zip(*found, strict=True))
    spread = f"{min(one.ratio for one in found):.3f} to {max(one.ratio for one in found):.3f}"
    print(f"{name:<24}{taken:>8.2f} s{ideal:>8.2f} s{ratio:>9.3f}{processor:>11.3f}   {spread}")


def main() -> None:
    """One after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{given.tasks:,} tasks of {TASK * 1000:.0f} ms, {WORKERS} workers, median of {given.rounds} rounds")
    print(f"{'':<24}{'taken':>10}{'ideal':>10}{'ratio':>9}{'processor':>11}   ratios")
    row("local processes", [figures(given.tasks, None) for _ in range(given.rounds)])
    with ExitStack() as stack:  # begun last: a process that has threads, as a client of Dask does, is not forked
        client = cluster(stack)
        if client is None:
            print("Dask is not installed")
        else:
            row("Dask, local cluster", [figures(given.tasks, client) for _ in range(given.rounds)])


def cluster(stack: ExitStack) -> Any:
    """A client of a running cluster of two processes; None without Dask."""
    try:
        import distributed
    except ImportError:
        return None
    options = {"n_workers": WORKERS, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    made: Any = distributed  # ships no types
    return stack.enter_context(made.Client(stack.enter_context(made.LocalCluster(**options))))


if __name__ == "__main__":
    main()
