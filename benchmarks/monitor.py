"""What a tick of the monitor costs: `python benchmarks/monitor.py`.

Positions hold, on ten venues that read their legs, with a store in a fresh file. The source answers from memory and is
timed on its own. The ticks of all sizes are interleaved; each figure is the median of those after the first, which is
what a start costs. "A restart" is the first tick of a new process over what the one before has kept. Nothing here is a
gate.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import tempfile
import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path

from rebalancer import (
    Capabilities,
    Executor,
    FundingSource,
    Intent,
    Known,
    LegState,
    MarketRequest,
    MarketSnapshot,
    Needs,
    Position,
    PositionMonitor,
    Report,
    StoreMode,
    presets,
)
from rebalancer.adapters import SqliteStore
from rebalancer.domain.batch import Batch
from rebalancer.domain.names import Market
from rebalancer.testing import ManualClock, a_position, a_quote, a_rate

SIZES = (10, 500, 10_000)
TICKS = 9
VENUES = tuple(f"venue{number}" for number in range(10))
LONG, SHORT = Known(100), Known(-100)
LOW, HIGH = a_rate("0.0001"), a_rate("0.0003")


class Rates(FundingSource):
    """New quotes of all markets at each look, and how long they took."""

    name = "benchmark"
    supplies = Needs(opportunities=True)

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.took = 0.0

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        start, now = time.perf_counter(), self._clock.now()
        quotes = tuple(
            a_quote(venue, HIGH if VENUES.index(venue) % 2 else LOW, symbol=symbol, observed_at=now)
            for venue, symbol in request.markets
        )
        answer = MarketSnapshot(as_of=now, quotes=quotes)
        self.took = time.perf_counter() - start
        return answer


class Legs(Executor):
    """Everybody's legs, as they should be."""

    @property
    def supplies(self) -> Needs:
        """The legs."""
        return Needs(rates=False, legs=True)

    def capabilities(self, venue: str) -> Capabilities:
        """A good venue."""
        return Capabilities(reduce_only=True, finds_ids=True, reads_legs=True) if venue in VENUES else Capabilities()

    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        """All of them."""
        return {market: SHORT if VENUES.index(market.venue) % 2 else LONG for market in markets}

    async def send(self, intent: Intent) -> Report:
        """Nobody leaves."""
        raise AssertionError(intent.key)

    find = cancel = send


def positions(count: int, clock: ManualClock) -> tuple[Position, ...]:
    """So many positions, five of a symbol."""
    pairs = tuple(zip(VENUES[::2], VENUES[1::2], strict=True))
    return tuple(
        a_position(
            symbol=f"S{number // len(pairs)}",
            long_dex=pairs[number % len(pairs)][0],
            short_dex=pairs[number % len(pairs)][1],
            opened_at=clock.now(),
            long_quantity=100,
            short_quantity=100,
        )
        for number in range(count)
    )


class World:
    """A monitor with so many positions, and what its ticks took: wall, processor, source."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        self.rates = Rates(self.clock)
        self.took: list[tuple[float, float, float]] = []
        self.start()

    def start(self) -> None:
        """Begin, as a process does."""
        self.store = SqliteStore(self.path, mode=StoreMode.LIVE, clock=self.clock)
        self.monitor = PositionMonitor(
            strategy=presets.conservative(),
            source=self.rates,
            store=self.store,
            executor=Legs(),
            clock=self.clock,
        )

    async def stop(self) -> None:
        """End, as a process does."""
        await self.monitor.aclose()
        await self.store.aclose()

    async def hold(self, count: int) -> None:
        """Have so many positions."""
        lease = await self.store.acquire("benchmark", timedelta(hours=1))
        assert lease is not None
        await self.store.commit(lease, Batch(positions=positions(count, self.clock)))
        await self.store.release(lease)

    async def tick(self) -> None:
        """One minute later."""
        self.clock.advance(timedelta(minutes=1))
        wall, cpu = time.perf_counter(), time.process_time()
        report = await self.monitor.check_all_positions()
        self.took.append((time.perf_counter() - wall, time.process_time() - cpu, self.rates.took))
        assert (report.failures, report.alarms, report.skipped) == ((), (), ()), report


async def measure(folder: Path) -> list[tuple[int, World]]:
    """Ticks of all sizes in turn, then a restart of each."""
    worlds = [(size, World(folder / f"{size}.db")) for size in SIZES]
    for size, world in worlds:
        await world.hold(size)
    for _ in range(TICKS):
        for _, world in worlds:
            await world.tick()
    for _, world in worlds:
        await world.stop()
        world.start()
        await world.tick()
        await world.stop()
    return worlds


def main() -> None:
    """One table."""
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        worlds = asyncio.run(measure(Path(folder)))
    print(f"{'positions':>9} {'a tick':>10} {'processor':>10} {'of source':>10} {'a position':>11} {'restart':>10}")
    for size, world in worlds:
        wall, cpu, source = (statistics.median(column) for column in zip(*world.took[1:-1], strict=True))
        shown = (wall * 1000, cpu * 1000, source * 1000)
        each = f"{wall / size * 1e6:8.0f} us"
        print(f"{size:>9,}", *(f"{ms:7.0f} ms" for ms in shown), each, f"{world.took[-1][0] * 1000:7.0f} ms")


if __name__ == "__main__":
    main()
