"""What keeping positions costs: `python benchmarks/stores.py`.

Each figure is the median of three rounds, on a fresh file in the folder for temporary files. A light decision is one
that held. Nothing here is a gate.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable
from datetime import timedelta
from pathlib import Path

from rebalancer import Position
from rebalancer.adapters.stores import MemoryStore, SqliteStore
from rebalancer.domain.batch import Batch, Lease, StoredDecision, StoreMode
from rebalancer.domain.record import DecisionRecord
from rebalancer.ports import PositionStore
from rebalancer.testing import AS_OF
from rebalancer.testing.store_checks import a_decision
from rebalancer.testing.stores import an_open_position

COUNT, SINGLE, ROUNDS = 10_000, 500, 3


def checked(positions: list[Position], tick: int) -> tuple[Position, ...]:
    """The positions after a check."""
    return tuple(one.model_copy(update={"last_check": AS_OF + timedelta(minutes=tick)}) for one in positions)


async def timed(work: Awaitable[object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    await work
    return time.perf_counter() - start


async def single(store: PositionStore, lease: Lease, positions: tuple[Position, ...]) -> None:
    """A commit for each position."""
    for one in positions:
        await store.commit(lease, Batch(positions=(one,)))


async def measure(store: PositionStore, records: list[DecisionRecord], took: dict[str, list[float]]) -> None:
    """One round."""
    positions = [an_open_position(symbol=f"S{number}") for number in range(COUNT)]
    async with store:
        lease = await store.acquire("benchmark", timedelta(hours=1))
        assert lease is not None

        async def note(what: str, work: Awaitable[object]) -> None:
            took.setdefault(what, []).append(await timed(work))

        await note("10,000 new positions, one commit", store.commit(lease, Batch(positions=tuple(positions))))
        await note("10,000 updates, one commit", store.commit(lease, Batch(positions=checked(positions, 1))))
        light = tuple(StoredDecision(record=record) for record in records)
        batch = Batch(positions=checked(positions, 2), decisions=light)
        await note("10,000 updates and decisions, one commit", store.commit(lease, batch))
        await note("500 updates, 500 commits", single(store, lease, checked(positions[:SINGLE], 3)))
        await note("live() of 10,000, known", store.live())


async def measure_anew(path: Path, took: dict[str, list[float]]) -> None:
    """Reading what another process wrote."""
    async with SqliteStore(path, mode=StoreMode.DRY) as store:
        for what in ("live() of 10,000, first", "live() of 10,000, known"):
            took.setdefault(what, []).append(await timed(store.live()))


def main() -> None:
    """One table for each store."""
    in_memory: dict[str, list[float]] = {}
    in_file: dict[str, list[float]] = {}
    records = [a_decision(an_open_position(symbol=f"S{number}")).record for number in range(COUNT)]
    for _ in range(ROUNDS):
        asyncio.run(measure(MemoryStore(), records, in_memory))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "positions.db"
            asyncio.run(measure(SqliteStore(path, mode=StoreMode.DRY), records, in_file))
            asyncio.run(measure_anew(path, in_file))
    for name, took in (("MemoryStore", in_memory), ("SqliteStore", in_file)):
        print(f"\n{name}")
        for what, seconds in took.items():
            print(f"{what:45} {statistics.median(seconds):8.2f} s")


if __name__ == "__main__":
    main()
