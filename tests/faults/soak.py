"""A day of ticks over many positions while a fifth of all calls fail: `python soak.py --positions 10000 --ticks 1440`.

A tick is one simulated minute. Rates, venues and the chance that a call fails come from `--seed`; the store is a real
file in a folder for temporary files, and the time that a tick takes is real. The venues keep the truth: who sent what
for which leg, so that a wrong or second close is found. What was found is the last line, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import logging
import os
import pstats
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import linear_regression
from typing import Any
from uuid import UUID

from rebalancer import (
    Capabilities,
    Executor,
    FundingRate,
    FundingSource,
    Intent,
    Known,
    LegState,
    MarketRequest,
    MarketSnapshot,
    MonitorLimits,
    Needs,
    Observer,
    Position,
    PositionMonitor,
    PositionStatus,
    Quote,
    Report,
    ReportState,
    SourceUnavailableError,
    StoreMode,
    TickReport,
    presets,
)
from rebalancer.adapters import SqliteStore
from rebalancer.domain.batch import Batch
from rebalancer.domain.funding import RateKind
from rebalancer.domain.names import Market
from rebalancer.testing import ManualClock

VENUES = tuple(f"venue{number}" for number in range(10))
PAIRS = tuple(zip(VENUES[::2], VENUES[1::2], strict=True))
SETTLED = frozenset(VENUES[:4])
"""Venues whose rates are those that were paid, once an hour. The others show a live rate, new in each minute."""
SAYS_FUNDING = frozenset(VENUES[4:6])
"""Venues that say what funding a leg got, which changes once an hour."""
OBEYS_REDUCE_ONLY = frozenset(VENUES[::3])
"""Venues that never let a close open the other side. The others know an order's id again, for ever."""
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
TOKENS = Decimal(100)
FAILS = 0.2
"""The share of calls that fail."""
PANIC_EVERY, PANIC_LASTS = 180, 1
"""For one tick, every so many, more than half of the positions seem to want out, which is wrong data."""
WARM = 4 * PANIC_EVERY
"""Ticks after which nothing may grow any more: half a day. By then the ticks that take the most memory, in which every
rate is new and every second position wants out, have been there several times, with the source up and down.
"""
NOISE = 4_096


class Rates(FundingSource):
    """Rates that move a little in each minute, around those with which positions were opened.

    As of a feed, they are there before somebody asks: making 20,000 quotes is no part of a tick.
    """

    name = "soak"
    supplies = Needs(opportunities=True, schedule=True, mark_price=True)

    def __init__(self, clock: ManualClock, symbols: list[str], *, seed: int, fails: float) -> None:
        self._clock = clock
        self._chance = Random(seed)
        self._fails = fails
        self._markets = [Market(venue, symbol) for symbol in symbols for venue in VENUES]
        steps = [self._chance.randrange(-30, 31) for _ in range(NOISE)]
        self._low, self._high = (
            [FundingRate(Decimal(base + step).scaleb(-6), timedelta(hours=8)) for step in steps] for base in (100, 300)
        )
        self._quotes: dict[Market, Quote] = {}
        self._seen: tuple[Quote, ...] = ()
        self._turned: set[Market] = set()
        self._minute = 0
        self.panics = False
        self.took = 0.0
        """Seconds of the processor that the last answer took."""

    def turn(self, market: Market, *, over: bool) -> None:
        """Have the rate of a market be the other leg's, from now on or no longer."""
        (self._turned.add if over else self._turned.discard)(market)
        self._quotes.pop(market, None)

    def pass_minute(self) -> None:
        """Let the rates move."""
        self._minute += 1
        for market in [one for one in self._quotes if one.venue not in SETTLED or self._minute % 60 == 0]:
            del self._quotes[market]

    def look(self) -> None:
        """See them as they are now: that is what is answered until the next look."""
        now = self._clock.now()
        self._seen = tuple(self._quote(number, market, now) for number, market in enumerate(self._markets))

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        began, self.took = time.process_time(), 0.0
        if self._chance.random() < self._fails:
            if self._chance.random() < 0.5:
                raise SourceUnavailableError(self.name, "it is down")
            raise RuntimeError("it broke")
        answer = MarketSnapshot(as_of=self._clock.now(), quotes=self._seen)
        self.took = time.process_time() - began
        return answer

    def _quote(self, number: int, market: Market, now: datetime) -> Quote:
        venue = number % len(VENUES)
        over = (market in self._turned) != (self.panics and venue < 6)
        quote = None if self.panics else self._quotes.get(market)
        if quote is None:
            rates = self._low if (venue % 2 == 0) != over else self._high
            settled = market.venue in SETTLED
            quote = Quote(
                venue=market.venue,
                symbol=market.symbol,
                rate=rates[(number * 31 + self._minute * 17) % NOISE],
                observed_at=now,
                kind=RateKind.SETTLED if settled else RateKind.INDICATIVE,
                pays_every=HOUR,
                mark_price=TOKENS if settled else None,
                origin=self.name,
            )
            if not self.panics:
                self._quotes[market] = quote
        return quote


@dataclass(slots=True)
class Held:
    """What is really held for one leg, and what was done about it."""

    position_id: UUID
    tokens: Decimal
    shown: Known
    orders: dict[str, Report]


class Venues(Executor):
    """Ten venues in memory. They know whose leg each is and who wanted out, and note everything that is wrong."""

    def __init__(self, *, seed: int, fails: float) -> None:
        self._chance = Random(seed)
        self.fails = fails
        self.held: dict[Market, Held] = {}
        self.wants_out: set[UUID] = set()
        self.wrong: list[str] = []
        self.done: Counter[str] = Counter()
        self.took = 0.0

    @property
    def supplies(self) -> Needs:
        """The legs."""
        return Needs(rates=False, legs=True)

    def capabilities(self, venue: str) -> Capabilities:
        reduces = venue in OBEYS_REDUCE_ONLY
        return Capabilities(
            reduce_only=reduces, dedupes_ids=not reduces, finds_ids=True, reads_legs=True, settle=timedelta(seconds=20)
        )

    def hold(self, position: Position) -> None:
        """Have both legs of a position."""
        for market, tokens in ((position.pair.long, TOKENS), (position.pair.short, -TOKENS)):
            self.held[market] = Held(position.id, tokens, _shown(market, tokens, Decimal(0)), {})

    def pay(self) -> None:
        """Pay funding, where the venue says so."""
        for market, leg in self.held.items():
            if market.venue in SAYS_FUNDING and leg.tokens:
                leg.shown = _shown(market, leg.tokens, (leg.shown.funding_accrued or 0) + Decimal("0.05"))

    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        began, self.took = time.process_time(), 0.0
        if self._chance.random() < self.fails:
            self.done["reads that failed"] += 1
            if self._chance.random() < 0.5:
                raise TimeoutError("the venue did not answer")
            return {}
        answer = {market: self.held[market].shown for market in markets}
        self.took += time.process_time() - began
        return answer

    async def send(self, intent: Intent) -> Report:
        self.done["orders"] += 1
        self._judge(intent)
        fate = self._chance.random()
        if fate < self.fails / 4:
            raise TimeoutError("it never arrived")
        if fate < self.fails / 2:
            return self._report(intent, Report.rejected("no liquidity"))
        leg = self.held[intent.market]
        if intent.key in leg.orders and intent.market.venue not in OBEYS_REDUCE_ONLY:
            return Report.unknown("the id is known already")
        filled = intent.quantity or Decimal(0)
        if intent.market.venue in OBEYS_REDUCE_ONLY:
            filled = min(filled, abs(leg.tokens))
        if filled == 0:
            return Report.unknown("there is nothing to reduce")
        if fate < self.fails * 3 / 4:
            filled /= 2
        self._fill(intent, leg, filled)
        state = ReportState.FILLED if filled == intent.quantity else ReportState.PARTIAL
        report = self._report(
            intent, Report(state=state, filled=filled, price=100, fee_usd="0.01", order_id="an order")
        )
        if fate < self.fails:
            raise TimeoutError("it arrived, and its answer did not")
        return report if fate < 0.6 else Report.unknown("it was placed")

    def _judge(self, intent: Intent) -> None:
        leg = self.held[intent.market]
        if not intent.reduce_only:
            self.wrong.append(f"an open was sent: {intent.market}")
        if leg.position_id != intent.position_id:
            self.wrong.append(f"an order for a position that is gone: {intent.market}")
        if intent.position_id not in self.wants_out:
            self.wrong.append(f"a close that nobody wanted: {intent.market}")

    def _fill(self, intent: Intent, leg: Held, filled: Decimal) -> None:
        before = leg.tokens
        leg.tokens += filled if intent.side == "buy" else -filled
        self.done["fills"] += 1
        if abs(leg.tokens) > abs(before) or leg.tokens * before < 0:
            self.wrong.append(f"{intent.market} went from {before} to {leg.tokens}")
        leg.shown = _shown(intent.market, leg.tokens, leg.shown.funding_accrued)

    def _report(self, intent: Intent, report: Report) -> Report:
        self.held[intent.market].orders[intent.key] = report
        return report

    async def find(self, intent: Intent) -> Report:
        if self._chance.random() < self.fails:
            raise TimeoutError("the venue did not answer")
        return self.held[intent.market].orders.get(intent.key, Report.absent())

    async def cancel(self, intent: Intent) -> Report:
        return await self.find(intent)


def _shown(market: Market, tokens: Decimal, funding: Decimal | None) -> Known:
    """A leg as its venue shows it."""
    return Known(tokens, entry_price=100, funding_accrued=funding if market.venue in SAYS_FUNDING else None)


class Listener(Observer):
    """An observer that fails as often as everything else."""

    def __init__(self, *, seed: int, fails: float) -> None:
        self._chance = Random(seed)
        self._fails = fails
        self.told = 0

    async def observe(self, report: TickReport) -> None:
        if self._chance.random() < self._fails:
            raise RuntimeError("it broke")
        self.told += 1


class Soak:
    """The world, the monitor, and what is measured of it."""

    def __init__(self, path: Path, *, positions: int, seed: int, leave: int, limits: MonitorLimits) -> None:
        self.limits = limits
        self.leave = leave
        self.clock = ManualClock()
        self.chance = Random(seed)
        self.path = path
        self.symbols = [f"S{number}" for number in range(-(-positions // len(PAIRS)))]
        self.count = len(self.symbols) * len(PAIRS)
        self.rates = Rates(self.clock, self.symbols, seed=seed + 1, fails=FAILS)
        self.venues = Venues(seed=seed + 2, fails=FAILS)
        self.listener = Listener(seed=seed + 3, fails=FAILS)
        self.turned: dict[UUID, Position] = {}
        self.to_adopt: list[Position] = []
        self.seen: Counter[str] = Counter()

    def monitor(self) -> PositionMonitor:
        """A monitor on this world, as after a start of the process."""
        self.store = SqliteStore(self.path, mode=StoreMode.LIVE, clock=self.clock)
        return PositionMonitor(
            strategy=presets.conservative(),
            source=self.rates,
            store=self.store,
            executor=self.venues,
            clock=self.clock,
            limits=self.limits,
            observers=[self.listener],
        )

    def a_position(self, symbol: str, pair: tuple[str, str]) -> Position:
        """A position that the host opened just now."""
        return Position(
            symbol=symbol,
            long_dex=pair[0],
            short_dex=pair[1],
            size_usd=10_000,
            entry_long_rate="0.0001",
            entry_short_rate="0.0003",
            opened_at=self.clock.now(),
            long_quantity=TOKENS,
            short_quantity=TOKENS,
        )

    async def open_all(self) -> None:
        """Have all positions, as a host that took a while to open them."""
        self.positions = [self.a_position(symbol, pair) for symbol in self.symbols for pair in PAIRS]
        for position in self.positions:
            self.venues.hold(position)
        async with SqliteStore(self.path, mode=StoreMode.LIVE, clock=self.clock) as store:
            lease = await store.acquire("the soak", HOUR)
            assert lease is not None
            await store.commit(lease, Batch(positions=tuple(self.positions)))
            await store.release(lease)
        self.clock.advance(HOUR)

    async def pass_minute(self, monitor: PositionMonitor, tick: int) -> None:
        """What happens between two ticks: rates move, funding is paid, some want out, others are opened instead."""
        self.clock.advance(MINUTE)
        self.rates.pass_minute()
        self.rates.panics = tick % PANIC_EVERY >= PANIC_EVERY - PANIC_LASTS
        if tick % 60 == 0:
            self.venues.pay()
        for place in self.chance.sample(range(self.count), self.chance.randrange(2 * self.leave + 1)):
            position = self.positions[place]
            if position.id not in self.turned:
                self.turned[position.id] = position
                self.venues.wants_out.add(position.id)
                self.rates.turn(position.pair.long, over=True)
                self.rates.turn(position.pair.short, over=True)
        await self._open_again(monitor)
        self.rates.look()

    async def _open_again(self, monitor: PositionMonitor) -> None:
        """Open another position where one has ended."""
        for old in self.to_adopt:
            position = self.a_position(old.symbol, (old.long_dex, old.short_dex))
            self.venues.wants_out.discard(old.id)
            self.turned.pop(old.id, None)
            for market in (old.pair.long, old.pair.short):
                self.rates.turn(market, over=False)
            self.venues.hold(position)
            await monitor.adopt(position)  # what is stored is larger: kept here, it would seem to be a tick's
            place = next(place for place, one in enumerate(self.positions) if one.id == old.id)
            self.positions[place] = position
        self.to_adopt = []

    def take_note(self, report: TickReport) -> None:
        """Look at what a tick says it did."""
        self.seen["exits"] += len(report.begun)
        self.seen["ended"] += len(report.ended)
        self.seen["held back"] += len(report.skipped)
        self.seen["failures"] += len(report.failures)
        self.seen["most under way"] = max(self.seen["most under way"], len(report.closing) + len(report.begun))
        by_id = {position.id: position for position in self.positions} if report.ended else {}
        for gone in report.ended:
            position = by_id[gone]
            for market in (position.pair.long, position.pair.short):
                if self.venues.held[market].tokens:
                    self.venues.wrong.append(f"{market} was said to be closed and is not")
            self.to_adopt.append(position)
        if report.active is not True or not report.took >= timedelta(0):
            self.venues.wrong.append("a tick that was not one")

    def sizes(self, monitor: PositionMonitor) -> dict[str, int]:
        """How much every part of the monitor remembers."""
        engine, loop = monitor._engine, monitor._loop  # nobody else has to know
        decider = engine.decider
        return {
            "alarms": len(loop._alarms._lasting),
            "alarms logged": len(loop._alarms._logged),
            "waiting for observers": sum(len(line._waiting) for line in loop._outbox._lines),
            "zeros": len(engine.evidence._zeros),
            "touched": len(engine.evidence._touched),
            "last decisions": len(engine.journal._last),
            "turns": len(engine.journal._turns),
            "books": len(engine.books._booked),
            "accounts": sum(map(len, engine.books._booked.values())),
            "observations": sum(map(len, decider._memory._seen.values())),
            "exits": len(engine.leaving._exits._began),
            "quotes": sum(map(len, decider._fetcher._seen.values())),
            "known to the store": len(self.store._known),
            "tasks": len(asyncio.all_tasks()),
        }


def pace() -> float:
    """Seconds that a fixed piece of work takes now: a virtual machine's speed changes with what its neighbours do."""
    began, seen = time.perf_counter(), {}
    for number in range(20_000):
        seen[number % 997, number] = number
    return time.perf_counter() - began


def at_one_pace(took: list[float], paces: list[float]) -> list[float]:
    """The ticks after the first, as if the machine had always been as fast as in the best tenth of them."""
    usual = share(paces, 0.1)
    return [one * usual / paced for one, paced in zip(took[1:], paces[1:], strict=True)]


def rss() -> float:
    """The memory that this process has, in MiB, after what is not used any more was given back."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def share(values: list[float], at: float) -> float:
    """The value that a share `at` of the values is not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * at))]


async def run(path: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The soak, and what was found."""
    ticks, every, profiled = given.ticks, given.every, given.profiled
    limits = MonitorLimits(records_per_tick=given.records)
    soak = Soak(path, positions=given.positions, seed=given.seed, leave=given.leave, limits=limits)
    await soak.open_all()
    monitor = soak.monitor()
    wall, cpu, of_source, paces, memory, objects, sizes = [], [], [], [], {}, {}, {}
    profile = cProfile.Profile()
    for tick in range(1, ticks + 1):
        await soak.pass_minute(monitor, tick)
        if tick == ticks - profiled + 1:
            profile.enable()
        before = pace()
        began, worked = time.perf_counter(), time.process_time()
        report = await monitor.check_all_positions()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - worked)
        of_source.append(soak.rates.took)
        paces.append((before + pace()) / 2)
        soak.take_note(report)
        if tick % every == 0 or tick in (1, ticks):
            memory[tick], objects[tick], sizes[tick] = rss(), sys.getallocatedblocks(), soak.sizes(monitor)
            recent = wall[-every:]
            print(  # noqa: T201  # it is a script
                f"tick {tick:5}: last {wall[-1]:.2f} s (cpu {cpu[-1]:.2f}), of {len(recent)}: median "
                f"{share(recent, 0.5):.2f}, max {max(recent):.2f} s; p99 of all {share(wall[1:] or wall, 0.99):.2f}, "
                f"at one pace {share(at_one_pace(wall, paces) or wall, 0.99):.2f} s; {memory[tick]:.0f} MiB, "
                f"{objects[tick]:,} objects, {dict(soak.seen)}, {len(report.alarms)} alarms, "
                f"wrong: {len(soak.venues.wrong)}",
                flush=True,
            )
    if profiled:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(70)
    restart = await _finish(soak, monitor)
    warm = [tick for tick in memory if tick >= min(WARM, ticks // 2)]
    growth = linear_regression(warm, [memory[tick] for tick in warm]).slope * 1000 if len(warm) > 1 else 0.0
    with closing(sqlite3.connect(path)) as file:
        kept = file.execute("SELECT count(*) FROM decisions").fetchone()[0]
        booked = file.execute("SELECT count(*) FROM ledger").fetchone()[0]
    return {
        "positions": soak.count,
        "ticks": ticks,
        "seed": given.seed,
        "p50": round(share(wall[1:], 0.5), 3),
        "p99": round(share(wall[1:], 0.99), 3),
        "max": round(max(wall[1:]), 3),
        "first": round(wall[0], 3),
        "pace_ms": [round(1000 * share(paces, at), 1) for at in (0.1, 0.5, 0.9)],
        "p50_at_one_pace": round(share(at_one_pace(wall, paces), 0.5), 3),
        "p99_at_one_pace": round(share(at_one_pace(wall, paces), 0.99), 3),
        "cpu_p50": round(share(cpu[1:], 0.5), 3),
        "cpu_p99": round(share(cpu[1:], 0.99), 3),
        "source_cpu_p50": round(share(of_source[1:], 0.5), 3),
        **restart,
        "rss": {str(tick): round(mib, 1) for tick, mib in memory.items()},
        "growth_mib_per_1000": round(growth, 2),
        "objects": {str(tick): objects[tick] for tick in (warm[0], warm[-1])},  # what grows beside them is room between
        "sizes": {str(tick): sizes[tick] for tick in (warm[0], warm[-1])},
        "file_mib": round(path.stat().st_size / 2**20, 1),
        "decisions": kept,
        "ledger": booked,
        "told": soak.listener.told,
        **soak.seen,
        **soak.venues.done,
        "wrong": soak.venues.wrong[:20],
    }


async def _finish(soak: Soak, monitor: PositionMonitor) -> dict[str, float]:
    """Nothing fails any more, and the process starts anew: what was begun ends, and whoever wants out is out."""
    await monitor.aclose()
    await soak.store.aclose()
    soak.venues.fails = soak.rates._fails = 0.0  # it is ours
    soak.rates.panics = False
    monitor = soak.monitor()
    took: dict[str, float] = {}
    wanting = set(soak.turned)
    for _ in range(60):
        soak.clock.advance(MINUTE)
        soak.rates.pass_minute()
        soak.rates.look()
        began, worked = time.perf_counter(), time.process_time()
        report = await monitor.check_all_positions()
        took = took or {
            "restart": round(time.perf_counter() - began, 3),
            "restart_cpu": round(time.process_time() - worked, 3),
        }
        soak.take_note(report)
        wanting -= set(report.ended)
        wanting -= {position.id for position in soak.to_adopt}
        if not wanting and not report.closing:
            break
    living = {position.id: position for position in await monitor.get_open_positions()}
    for position_id in wanting:
        soak.venues.wrong.append(f"{soak.turned[position_id].pair} never got out")
    for position in living.values():
        if position.status is not PositionStatus.OPEN:
            soak.venues.wrong.append(f"{position.pair} is {position.status} in the end")
    for market, leg in soak.venues.held.items():
        if leg.position_id in living and abs(leg.tokens) != TOKENS:
            soak.venues.wrong.append(f"{market} of an open position has {leg.tokens}")
    await monitor.aclose()
    await soak.store.aclose()
    return took


def main() -> None:
    """Run it in a folder of its own."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--positions", type=int, default=10_000)
    words.add_argument("--ticks", type=int, default=1_440)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--every", type=int, default=20, help="ticks between two lines of progress")
    words.add_argument("--profiled", type=int, default=0, help="profile so many ticks at the end")
    words.add_argument("--leave", type=int, default=3, help="positions that want out in a tick, on average")
    words.add_argument("--records", type=int, default=MonitorLimits().records_per_tick, help="records_per_tick")
    words.add_argument("--folder", type=Path, help="where the store's file is made (a new folder for temporary files)")
    given = words.parse_args()
    gc.set_threshold(500_000)  # as the docs advise a process with thousands of positions
    logging.getLogger("rebalancer").setLevel(logging.CRITICAL + 1)  # alarms without end are what it is about
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = asyncio.run(run(Path(folder) / "positions.db", given))
    print(json.dumps(found))  # noqa: T201  # as above
    sys.exit(bool(found["wrong"]))


if __name__ == "__main__":
    main()
