"""Monitors as processes that are killed, stopped and set against each other: `python processes.py --kills 10 ...`.

A batch is one store, two venues in a process of their own, and some positions that all want out: some because their
rates flipped, some by hand, the rest because the switch is on flatten. Its monitors run until nothing is open, whatever
becomes of them meanwhile. Then the venues' log is judged, and the store.

Children are forked from a process that has imported everything and has no thread. A batch with the same seed has the
same positions, habits, and times between kills; where a kill hits is up to the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import logging
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

from rebalancer import (
    DivergenceFlip,
    FundingSource,
    Lease,
    MarketRequest,
    MarketSnapshot,
    MonitorLimits,
    Needs,
    Position,
    PositionMonitor,
    PositionStatus,
    PositionStore,
    StoreMode,
)
from rebalancer.adapters import SqliteStore
from rebalancer.adapters.clock import SystemClock
from rebalancer.domain.batch import Batch
from rebalancer.errors import StoreError
from rebalancer.monitor import closing
from rebalancer.testing import FakeExecutor, FakeVenue, a_position, a_quote
from rebalancer.testing.fake_venue import Answer, Call, Chance, Fate, Habits, Ids, RemoteVenue, Stamps, TruthLog
from rebalancer.testing.fake_venue.server import FakeVenueServer
from rebalancer.testing.fake_venue.truth import effects, net, problems, read

VENUES = ("lighter", "grvt")
QUANTITY = Decimal("0.1")
LEASE = timedelta(seconds=2)
SHORT = timedelta(seconds=1)
LIMITS = MonitorLimits(
    action_spacing=timedelta(0),
    closes_per_minute=100_000,
    mass_window=SHORT,
    approval_life=SHORT,
    call_deadline=SHORT,
    order_deadline=SHORT,
    lease=LEASE,
    record_every=timedelta(hours=1),
    records_per_tick=5,
)
ENDED = 9


@dataclass(frozen=True)
class Plan:
    """What a batch is. `leased`: whether there is a lease at all. `engine`: ours, or a naive one."""

    seed: int
    positions: int = 50
    workers: int = 1
    kills: bool = True
    stops: bool = False
    leased: bool = True
    engine: str = "ours"
    life: float = 1.0
    """Seconds after which a process is killed or stopped at the latest."""
    most: int = 1_000_000
    """After so many kills and stops they are left alone."""
    exits: bool = False
    """Whether a process is killed at a step of its own, and not at any time."""
    without: tuple[str, ...] = ()
    """Defences that the engine does not have."""
    longest: float = 180.0
    """Seconds after which a batch that is not at its end is a failure: more where the machine does much else."""


@dataclass
class Found:
    """What came of a batch."""

    seed: int
    legs: int = 0
    kills: int = 0
    stops: int = 0
    seconds: float = 0.0
    facts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


# The world ------------------------------------------------------------------------------------------------------------


def habits(random: Random) -> Habits:
    """Reads that lag, answers that are lost, orders that come late, fill in part, are refused or rest."""
    # On each kind of venue a close can be sent twice without harm: this is what makes that so.
    reduce_only, ids = random.choice(((True, Ids.FOREVER), (True, Ids.OPEN), (True, Ids.NONE), (False, Ids.FOREVER)))
    place = [
        ("0.05", Fate(answer=Answer.TIMEOUT)),
        ("0.03", Fate(answer=Answer.TIMEOUT, done=False)),
        ("0.05", Fate(answer=Answer.RESET)),
        ("0.05", Fate(answer=Answer.HINT, after=ms(20))),
        ("0.03", Fate(answer=Answer.TIMEOUT, arrives=ms(25))),
        ("0.03", Fate(answer=Answer.UNAVAILABLE)),
        ("0.03", Fate(share="0.3")),
        ("0.02", Fate(share="0.5", after=ms(20), answer=Answer.TIMEOUT)),
        ("0.02", Fate(reject="no liquidity")),
        ("0.01", Fate(share="0.5", rests=True, answer=Answer.HINT)),
        ("0.01", Fate(share="0", rests=True, answer=Answer.TIMEOUT)),
    ]
    if reduce_only:
        place.append(("0.03", Fate(answer=Answer.TIMEOUT, again=ms(15))))
    asked = [
        ("0.04", Fate(answer=Answer.TIMEOUT)),
        ("0.04", Fate(answer=Answer.UNAVAILABLE)),
        ("0.02", Fate(answer=Answer.NULL)),
    ]
    looked = [
        *asked,
        ("0.02", Fate(answer=Answer.HTML)),
        ("0.02", Fate(answer=Answer.EMPTY)),
        ("0.20", Fate(lag=ms(20))),
    ]
    chances = [Chance(call=Call.PLACE, probability=share, fate=fate) for share, fate in place]
    chances += [Chance(call=Call.FIND, probability=share, fate=fate) for share, fate in asked]
    chances += [
        Chance(call=Call.CANCEL, probability=share, fate=fate) for share, fate in (*asked, ("0.2", Fate(loses=True)))
    ]
    chances += [Chance(call=Call.READ, probability=share, fate=fate) for share, fate in looked]
    return Habits(
        reduce_only=reduce_only,
        ids=ids,
        read_lag=ms(random.choice((0, 10))),
        find_lag=ms(random.choice((0, 10))),
        stamps=random.choice((Stamps.RIGHT, Stamps.NONE)),
        latency=ms(random.choice((0, 1))),
        patience=ms(15),
        fee_bps="2",
        chances=tuple(chances),
    )


def ms(number: int) -> timedelta:
    """So many milliseconds."""
    return timedelta(milliseconds=number)


def symbols(plan: Plan) -> list[str]:
    """The symbols, one for each position."""
    return [f"S{number}" for number in range(plan.positions)]


def serve(plan: Plan, log: Path, port: Callable[[str], object]) -> None:
    """The venues, with both legs of every position, until killed."""

    class Said:
        """Where the server says its port."""

        write = staticmethod(port)
        flush = staticmethod(lambda: None)

    async def run() -> None:
        random, truth, clock = Random(plan.seed), TruthLog(log), SystemClock()
        prices, usual = dict.fromkeys(symbols(plan), 100), habits(random)
        venues = {
            name: FakeVenue(name, prices=prices, clock=clock, habits=usual, seed=plan.seed, log=truth)
            for name in VENUES
        }
        for symbol in symbols(plan):
            venues["lighter"].hold(symbol, QUANTITY)
            venues["grvt"].hold(symbol, -QUANTITY)
        sys.stdout = Said()  # all that is written to
        await FakeVenueServer(venues).serve(0, tied=False)

    asyncio.run(run())


class Rates(FundingSource):
    """Rates of the moment: the divergence of every third symbol has turned."""

    name = "rates"
    supplies = Needs()

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        now = SystemClock().now()
        quotes = tuple(
            a_quote(market.venue, rate(market.venue, market.symbol), symbol=market.symbol, observed_at=now)
            for market in request.markets
        )
        return MarketSnapshot(as_of=now, quotes=quotes)


def rate(venue: str, symbol: str) -> str:
    """The rate of a market."""
    return "0.0001" if (venue == "lighter") != turned(symbol) else "0.0003"


def turned(symbol: str) -> bool:
    """Whether a position wants out because of its rates."""
    return int(symbol[1:]) % 3 == 0


class Later(SystemClock):
    """The clock of a store that is ahead: so a killed holder's lease is over at once."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() + self._by


class Everybody(SqliteStore):
    """A store whose lease everybody has at once, so that only the versions of what is written are compared."""

    async def acquire(self, holder: str, ttl: timedelta) -> Lease | None:
        return await super().acquire("all of them", ttl)

    async def release(self, lease: Lease) -> None:
        """It is never given back."""


# What runs in it ------------------------------------------------------------------------------------------------------


def naive_engine() -> ModuleType:
    """The careless bot, by its path."""
    path = Path(__file__).parents[1] / "monitor" / "naive.py"
    spec = importlib.util.spec_from_file_location("naive", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def positions(plan: Plan) -> tuple[Position, ...]:
    """What is held."""
    return tuple(a_position(symbol=symbol, long_quantity=QUANTITY, short_quantity=QUANTITY) for symbol in symbols(plan))


def store_at(plan: Plan, folder: Path, ahead: timedelta = timedelta(0)) -> PositionStore:
    """The store, with patience for a busy machine."""
    kind = SqliteStore if plan.leased else Everybody
    return kind(folder / "positions.db", mode=StoreMode.LIVE, clock=Later(ahead), patience=timedelta(seconds=60))


async def make(plan: Plan, folder: Path) -> None:
    """Put the positions where the engine keeps them."""
    if plan.engine == "naive":
        rows = naive_engine().Rows(folder)
        for position in positions(plan):
            rows.save(position)
        return
    async with store_at(plan, folder) as store:
        lease = await store.acquire("desk", LEASE)
        assert lease is not None
        await store.commit(lease, Batch(positions=positions(plan)))
        await store.release(lease)


class Ends:
    """A store or an executor with which the process ends, at once, before or after a call of its choice."""

    def __init__(self, inner: Any, left: Iterator[int]) -> None:
        self._inner = inner
        self._left = left

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*given: Any, **named: Any) -> Any:
            self._step()
            result = await found(*given, **named)
            self._step()
            return result

        return call

    def _step(self) -> None:
        if next(self._left) == 0:
            os._exit(ENDED)


async def work(plan: Plan, folder: Path, port: int, ahead: timedelta, life: int) -> None:
    """A monitor that goes on until nothing is open. What was filled in part it tries again soon, to save time."""
    closing.FIRST_RETRY, closing.LAST_RETRY = timedelta(milliseconds=50), SHORT
    usual = habits(Random(plan.seed))
    executor = FakeExecutor(*(RemoteVenue(name, port=port, habits=usual) for name in VENUES))
    given: dict[str, Any] = {
        "strategy": DivergenceFlip(),
        "source": Rates(),
        "executor": executor,
        "clock": SystemClock(),
    }
    if plan.engine == "naive":
        naive = naive_engine()
        await until_flat(naive.NaiveMonitor(rows=naive.Rows(folder), **given))
        return
    ends = Random(f"life {life} of {plan.seed}").randrange(20 * plan.positions) if plan.exits else -1
    left = count(ends, -1)
    given["executor"] = Ends(executor, left)
    with naive_engine().without(*plan.without) if plan.without else nullcontext():
        async with store_at(plan, folder, ahead) as store:
            await until_flat(PositionMonitor(store=Ends(store, left), limits=LIMITS, **given))  # type: ignore[arg-type]


async def until_flat(monitor: Any) -> None:
    """Ticks, now and then a close by hand, and flatten when only such are left as hold."""
    by_hand = 0
    while True:
        report = await monitor.check_all_positions()
        living = [one for one in await monitor.get_open_positions() if one.status is not PositionStatus.CLOSED]
        if not living:
            return
        hold = [one for one in living if one.status is PositionStatus.OPEN and not turned(one.symbol)]
        for one in hold[:2]:
            by_hand += 1
            with suppress(StoreError):  # another one was before it
                await monitor.close(one.id)
        if not report.begun and (by_hand > 5 or len(living) == len(hold)):
            await monitor.flatten()
        await asyncio.sleep(0.005 if report.begun or report.ended else 0.08)


# Who lets it run, and ends it -----------------------------------------------------------------------------------------


def forked(what: Callable[[Callable[[str], object]], object]) -> tuple[int, int]:
    """A child that does this, with a way to say something, and where to read that. It ends with 0 if nothing raised."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    os.close(reading)
    try:
        logging.disable(logging.CRITICAL)
        what(lambda text: os.write(writing, text.encode()))
        os._exit(0)
    except BaseException:  # whatever it is, it must not go on as a copy of its parent
        logging.disable(logging.NOTSET)
        logging.getLogger("faults").exception("a child failed")
        os._exit(1)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it in an event loop of its own."""
    asyncio.run(coroutine)


class Herd:
    """The monitors of a batch."""

    def __init__(self, plan: Plan, folder: Path, port: int, found: Found) -> None:
        self._plan = plan
        self._folder = folder
        self._port = port
        self._found = found
        self._random = Random(f"kills {plan.seed}")
        self._ahead = timedelta(0)
        self._alive: set[int] = set()
        self._stopped: dict[int, float] = {}
        self._lives = 0

    def until_done(self) -> None:
        """Let them run until each has ended by itself."""
        began = time.monotonic()
        for _ in range(self._plan.workers):
            self._start()
        due = began + self._pause()
        while self._alive:
            time.sleep(0.002)
            self._reap()
            now = time.monotonic()
            for child in [child for child, until in self._stopped.items() if until <= now]:
                del self._stopped[child]
                os.kill(child, signal.SIGCONT)
            if now >= due and self._alive:
                self._strike(self._random.choice(sorted(self._alive)), now)
                due = now + self._pause()
            if now - began > self._plan.longest:
                self._found.wrong.append("it did not come to its end")
                for child in self._alive:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                return

    def _pause(self) -> float:
        return self._random.uniform(0, self._plan.life)

    def _start(self) -> None:
        plan, folder, port, ahead, life = self._plan, self._folder, self._port, self._ahead, self._lives
        self._lives += 1
        child, reading = forked(lambda _: run(work(plan, folder, port, ahead, life)))
        os.close(reading)
        self._alive.add(child)

    def _reap(self) -> None:
        for child in sorted(self._alive):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                self._alive.discard(child)
                self._stopped.pop(child, None)
                if os.waitstatus_to_exitcode(status) == ENDED:
                    self._killed()
                elif status:
                    self._found.wrong.append(f"a monitor ended with status {status}")

    def _strike(self, child: int, now: float) -> None:
        plan = self._plan
        if self._found.kills + self._found.stops >= plan.most:
            return
        if plan.stops and child not in self._stopped and (not plan.kills or self._random.random() < 0.5):
            os.kill(child, signal.SIGSTOP)
            self._stopped[child] = now + self._random.uniform(0, 1.5 * LEASE.total_seconds())
            self._found.stops += 1
        elif plan.kills:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            self._alive.discard(child)
            self._stopped.pop(child, None)
            self._killed()

    def _killed(self) -> None:
        """Another one begins, with a store that holds the lease of the dead one for over."""
        self._found.kills += 1
        if self._plan.workers == 1:
            self._ahead += LEASE
        self._start()


def batch(plan: Plan) -> Found:
    """One batch, from its beginning to the verdict."""
    found, began = Found(plan.seed, legs=2 * plan.positions), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    venue, reading = forked(lambda say: serve(plan, folder / "truth.jsonl", say))
    try:
        with os.fdopen(reading) as pipe:
            port = json.loads(pipe.readline())["port"]
        maker, reading = forked(lambda _: run(make(plan, folder)))
        os.close(reading)
        assert os.waitpid(maker, 0)[1] == 0
        Herd(plan, folder, port, found).until_done()
        time.sleep(0.1)  # whatever is still under way comes in
    finally:
        os.kill(venue, signal.SIGKILL)
        os.waitpid(venue, 0)
    judge(plan, folder, found)
    found.seconds = time.monotonic() - began
    if found.wrong and plan.engine == "ours":
        kept = folder.with_name(f"{folder.name}-seed-{plan.seed}")
        folder.rename(kept)
        found.wrong.append(f"all of it is in {kept}")
    else:
        shutil.rmtree(folder)
    return found


def judge(plan: Plan, folder: Path, found: Found) -> None:
    """What is wrong in the venues' log, and in the store."""
    facts = read(folder / "truth.jsonl")
    found.facts.update(fact["fact"] for fact in facts)
    found.wrong += problems(facts)
    found.wrong += [f"{held} is left of {symbol} on {venue}" for (venue, symbol), held in net(facts).items() if held]
    found.wrong += [f"order {order} may still fill" for order in resting(facts)]
    closed = effects(facts, "close")
    for position in positions(plan):
        for leg in ("long", "short"):
            done = closed.get((str(position.id), leg))
            if done is None or done.quantity != QUANTITY:
                found.wrong.append(f"the {leg} leg of {position.symbol} was closed by {done}")
    if plan.engine == "ours":
        asyncio.run(judge_store(plan, folder, found))


def resting(facts: list[dict[str, Any]]) -> set[str]:
    """The orders that have not ended, apart from those of a client that sent one a second time on its own."""
    left = {fact["order"]: Decimal(fact["quantity"]) for fact in facts if fact["fact"] == "accepted"}
    for fact in facts:
        if fact["fact"] == "filled":
            left[fact["order"]] -= Decimal(fact["quantity"])
    ended = {fact["order"] for fact in facts if fact["fact"] == "ended"}
    return {order for order, quantity in left.items() if quantity and order not in ended}


async def judge_store(plan: Plan, folder: Path, found: Found) -> None:
    """Everything is closed, by intents that ended, and why is there."""
    async with store_at(plan, folder) as store:
        found.wrong += [f"the store has {one.symbol} as {one.status}" for one in await store.live()]
        found.wrong += [f"an intent of {one.symbol} is {one.state}" for one in await store.intents()]
        # A decision of the same second may be there as one that was held: then it is not kept a second time.
        decided = {
            one.record.position_id
            for one in await store.decisions(positions(plan)[0].opened_at)
            if one.record.action == "CLOSE"
        }
        for position in positions(plan):
            if position.id not in decided:
                found.wrong.append(f"no decision to close {position.symbol} is there")
            stored = await store.position(position.id)
            if stored is None or stored.status is not PositionStatus.CLOSED or stored.close_reason is None:
                found.wrong.append(f"{position.symbol} is lost")


# Campaigns ------------------------------------------------------------------------------------------------------------


def campaign(arguments: argparse.Namespace) -> dict[str, Any]:
    """Batches, some at a time, until there were as many kills and legs as asked for."""
    began, random = time.monotonic(), Random(arguments.seed)
    total, done = Found(arguments.seed), 0
    running: dict[int, Plan] = {}
    slowest = 0.0

    def enough() -> bool:
        late = bool(arguments.minutes) and time.monotonic() - began > 60 * arguments.minutes
        return bool(late or (total.kills >= arguments.kills and total.legs >= arguments.legs))

    while running or not enough():
        while len(running) < arguments.lanes and not enough():  # begun batches are brought to their end
            plan = Plan(
                seed=random.randrange(10**9),
                positions=arguments.positions,
                workers=arguments.workers,
                kills=arguments.kills > 0 and not arguments.exits,
                exits=arguments.exits,
                without=tuple(arguments.without),
                stops=arguments.stops,
                leased=not arguments.without_lease,
                engine=arguments.engine,
                life=arguments.life,
                most=arguments.most,
                longest=arguments.longest,
            )
            _, reading = forked(partial(say_of, plan))
            running[reading] = plan
        for reading in select.select(list(running), [], [])[0]:
            plan = running.pop(reading)
            with os.fdopen(reading) as pipe:
                text = pipe.read()
            os.wait()
            found = Found(**json.loads(text)) if text else Found(plan.seed, wrong=["the batch failed"])
            done += 1
            total.legs += found.legs
            total.kills += found.kills
            total.stops += found.stops
            total.facts.update(found.facts)
            total.wrong += [f"seed {plan.seed}: {wrong}" for wrong in found.wrong]
            slowest = max(slowest, found.seconds)
            if arguments.progress and (done % arguments.progress == 0 or found.wrong):
                tell(total, done, time.monotonic() - began)
    took = time.monotonic() - began
    tell(total, done, took)
    return {**total.__dict__, "batches": done, "seconds": took, "slowest": slowest}


def say_of(plan: Plan, say: Callable[[str], object]) -> None:
    """What came of a batch."""
    say(json.dumps(batch(plan).__dict__))


def tell(total: Found, batches: int, took: float) -> None:
    """How far it is."""
    cpu = os.times().children_user + os.times().children_system
    sys.stdout.write(
        f"{took:7.1f} s: {batches} batches, {total.kills} kills, {total.stops} stops, {total.legs} legs, "
        f"{len(total.wrong)} wrong; {total.legs / took:.1f} legs/s, {total.kills / took:.2f} kills/s, "
        f"{1000 * cpu / max(1, total.legs):.1f} ms of processor a leg\n"
    )
    sys.stdout.writelines(f"    {wrong}\n" for wrong in total.wrong[-5:])
    sys.stdout.flush()


def main(words: list[str] | None = None) -> int:
    """Run a campaign as the arguments say, and fail if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="at least so many; 0: none is killed")
    parser.add_argument("--legs", type=int, default=100, help="at least so many")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--positions", type=int, default=50, help="in each batch")
    parser.add_argument("--workers", type=int, default=1, help="monitors at a time on one store")
    parser.add_argument("--stops", action="store_true", help="stop some past their lease, and let them go on")
    parser.add_argument("--exits", action="store_true", help="kill them at a step of theirs: around a call they make")
    parser.add_argument("--without-lease", action="store_true")
    parser.add_argument("--without", action="append", default=[], help="a defence that the engine does not have")
    parser.add_argument("--engine", choices=("ours", "naive"), default="ours")
    parser.add_argument("--life", type=float, default=1.0, help="seconds between kills at most")
    parser.add_argument("--most", type=int, default=1_000_000, help="kills and stops in a batch")
    parser.add_argument("--lanes", type=int, default=1, help="batches at a time")
    parser.add_argument("--minutes", type=float, default=0, help="stop after so long in any case")
    parser.add_argument("--longest", type=float, default=180.0, help="seconds that a batch may take")
    parser.add_argument("--progress", type=int, default=0, help="say how far it is after so many batches")
    parser.add_argument("--result", help="a file for the figures, as JSON")
    arguments = parser.parse_args(words)
    arguments.seed = Random().randrange(10**9) if arguments.seed is None else arguments.seed
    sys.stdout.write(f"seed {arguments.seed}\n")
    found = campaign(arguments)
    if arguments.result:
        Path(arguments.result).write_text(json.dumps(found), encoding="utf-8")
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
