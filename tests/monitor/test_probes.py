"""A probe for each defence: nothing goes wrong with it, and the same scene goes wrong without it.

A probe returns all that is wrong in its scene. `naive.py` has what takes a defence away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from rebalancer import (
    Action,
    AlarmKind,
    Batch,
    CombinedStrategy,
    Conflict,
    Intent,
    IntentState,
    Known,
    Lease,
    LegState,
    MarketRequest,
    MarketSnapshot,
    MonitorLimits,
    Position,
    PositionStatus,
    Report,
    RuleContext,
    Switch,
    Unknown,
    Verdict,
)
from rebalancer.adapters import MemoryStore
from rebalancer.domain.names import Market
from rebalancer.ports import Clock
from rebalancer.rules.base import BaseRule
from rebalancer.rules.liquidation_distance import LiquidationDistance
from rebalancer.testing import FakeExecutor, ManualClock, a_position, an_opportunity
from rebalancer.testing.fake_venue import Answer, Fate, Habits, Ids, Stamps

if TYPE_CHECKING:
    from .conftest import World as World_

    World: TypeAlias = Callable[..., World_]

GRVT = Market("grvt", "BTC")
ON_GRVT = ("grvt", "BTC")
NOT_DONE = Fate(answer=Answer.TIMEOUT, done=False)
FOREVER: Mapping[str, Any] = {"reduce_only": False, "ids": "forever"}
"""A venue that knows an id for ever and does not obey reduce-only."""
FORGETS: Mapping[str, Any] = {"reduce_only": True, "ids": "none", "find_lag": timedelta(minutes=1)}
"""A venue that obeys reduce-only, takes any id, and shows orders late."""
SLOW = Fate(answer=Answer.TIMEOUT, after=timedelta(seconds=8))
"""The order is there, its sender does not know it, and it fills later."""
SETTLE = timedelta(seconds=10)


class Hooked(FakeExecutor):
    """An executor with a hand in between. `reads` changes what is read; `before` and `after` go round a call."""

    def __init__(self, world: World_, **capabilities: Any) -> None:
        claims = {
            name: FakeExecutor(venue).capabilities(name).model_copy(update=capabilities)
            for name, venue in world.venues.items()
        }
        super().__init__(*world.venues.values(), capabilities=claims if capabilities else None)
        self.reads: Callable[[Market, LegState], LegState] = lambda _, state: state
        self.before: Callable[[str, Intent], Awaitable[None]] = _nothing
        self.after: Callable[[str, Intent], Awaitable[None]] = _nothing
        self.sends: list[str] = []

    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        return {market: self.reads(market, state) for market, state in (await super().read_legs(markets)).items()}

    async def send(self, intent: Intent) -> Report:
        self.sends.append(intent.key)
        await self.before("send", intent)
        report = await super().send(intent)
        await self.after("send", intent)
        return report

    async def find(self, intent: Intent) -> Report:
        await self.before("find", intent)
        return await super().find(intent)


async def _nothing(_: str, __: Intent) -> None:
    pass


class Jumps(Clock):
    """A clock whose wall time is off by what a test says."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.off = timedelta(0)

    def now(self) -> datetime:
        return self._clock.now() + self.off

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


class Wrapped(MemoryStore):
    """A store in which the switch is set to kill just before an order is written as sent; `after` happens then."""

    def __init__(self, world: World_) -> None:
        super().__init__(mode=world.store.mode, clock=world.clock)
        self.kills = False
        self.after: Callable[[], object] = lambda: None

    async def commit(self, lease: Lease, batch: Batch) -> None:
        sends = any(intent.state is IntentState.SENT for intent in batch.intents)
        if sends and self.kills:
            await self.set_switch(Switch.KILL)
        await super().commit(lease, batch)
        if sends:
            self.after()


async def wrongs(world: World_, *positions: Position, left: object = None) -> list[str]:
    """What must never be, positions that count as closed with something held, and orders left on the venues."""
    stored = [await world.store.position(position.id) for position in positions]
    found = list(world.wrong)
    for one in stored:
        if one is not None and one.status is PositionStatus.CLOSED:
            held = {market: tokens for market, tokens in world.held.items() if market[1] == one.symbol}
            if held != (left or {}):
                found.append(f"it counts as closed, and {held} is held")
            if resting(world):
                found.append(f"it counts as closed, and {resting(world)} still live")
    return found


def resting(world: World_) -> set[str]:
    """The orders that may still fill."""
    left: dict[str, Any] = {}
    for fact in world.facts:
        if fact["fact"] == "accepted":
            left[fact["order"]] = float(fact["quantity"])
        elif fact["fact"] == "filled":
            left[fact["order"]] -= float(fact["quantity"])
        elif fact["fact"] == "ended":
            left[fact["order"]] = 0
    return {order for order, rest in left.items() if rest > 1e-9}


async def closing(
    world: World_, monitor: Any, fate: Fate = NOT_DONE, find: Answer | None = Answer.UNAVAILABLE
) -> Position:
    """A position that is being closed, of whose order on grvt nothing is known."""
    position = await world.adopted(monitor)
    world.clock.advance(timedelta(minutes=1))
    world.flip()
    world.grvt.plan("place", fate, times=None)
    if find is not None:
        world.grvt.plan("find", Fate(answer=find), times=None)
    await world.ticks(monitor, 1)
    return position


def sees_nothing(**fields: Any) -> Callable[[Market, LegState], LegState]:
    """The leg on grvt is read as zero."""
    return lambda market, state: Known(0, **fields) if market == GRVT else state


async def a_venue_that_answers_503_closes_nothing(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=None)
    await world.ticks(monitor, 3, every=60)
    wrong = [] if await world.status(position) is PositionStatus.OPEN else ["it is not open any more"]
    return [*wrong, *await wrongs(world, position), *(["something was sent"] if world.sent else [])]


async def a_zero_of_before_the_order_proves_nothing(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    position = await closing(world, monitor)
    world.grvt.plan("read", Fate(lag=timedelta(hours=1)), times=None)
    await world.ticks(monitor, 3)
    return await wrongs(world, position)


async def a_single_zero_without_an_order_closes_nothing(a_world: World, _: ModuleType) -> list[str]:
    world = a_world(habits=Habits(stamps=Stamps.NOW))
    monitor = world.monitor()
    await world.adopted(monitor)
    world.grvt.plan("read", Fate(lag=timedelta(hours=1)))
    await world.ticks(monitor, 3)
    return [str(fact) for fact in world.sent]


async def a_zero_dated_in_the_future_proves_nothing(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    executor = world.executor = Hooked(world, read_lag=timedelta(minutes=5), settle=timedelta(minutes=5))
    monitor = world.monitor()
    position = await closing(world, monitor)
    executor.reads = sees_nothing(as_of=world.clock.now() + timedelta(hours=1))
    await world.ticks(monitor, 4, every=110)
    return await wrongs(world, position)


async def a_zero_without_a_time_is_as_old_as_reads_may_be(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    executor = world.executor = Hooked(world, read_lag=timedelta(minutes=5), settle=timedelta(minutes=5))
    monitor = world.monitor()
    position = await closing(world, monitor)
    executor.reads = sees_nothing()
    await world.ticks(monitor, 5, every=110)
    return await wrongs(world, position)


async def a_wall_clock_that_jumps_forward_proves_nothing(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    clock = Jumps(world.clock)
    executor = world.executor = Hooked(world, settle=timedelta(minutes=5))
    monitor = world.monitor(clock=clock)
    position = await closing(world, monitor)
    executor.reads = sees_nothing()
    clock.off = timedelta(hours=1)
    await world.ticks(monitor, 3)
    return await wrongs(world, position)


async def the_other_side_is_not_flat(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    position = await closing(world, monitor)
    world.grvt.change("BTC", "0.15")
    await world.ticks(monitor, 3)
    return await wrongs(world, position)


async def the_other_side_is_left_alone(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    await world.adopted(monitor)
    world.grvt.change("BTC", "0.2")
    world.flip()
    await world.ticks(monitor, 3)
    return [str(fact) for fact in world.sent]


async def an_order_that_rests_is_cancelled_before_its_leg_counts_as_closed(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    position = await closing(world, monitor, Fate(answer=Answer.HINT, share="0.5", rests=True), find=None)
    world.grvt.change("BTC", "0.05")
    world.grvt.plan("find", Fate(answer=Answer.UNAVAILABLE), times=5)
    wrong = []
    for _tick in range(12):
        await world.ticks(monitor, 1)
        wrong += await wrongs(world, position)
    return wrong if await world.status(position) is PositionStatus.CLOSED else ["it does not end"]


async def an_order_that_was_only_taken_in_is_not_filled(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    position = await closing(world, monitor, Fate(answer=Answer.HINT, done=False), find=None)
    await world.ticks(monitor, 2)
    return await wrongs(world, position)


async def a_part_is_not_the_whole(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    position = await closing(world, monitor, Fate(share="0.5"), find=None)
    await world.ticks(monitor, 2)
    return await wrongs(world, position)


async def a_rejected_order_closes_nothing(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    position = await closing(world, monitor, Fate(reject="no margin"), find=None)
    await world.ticks(monitor, 2)
    return await wrongs(world, position)


async def an_order_that_comes_late_is_not_doubled_by_another_key(a_world: World, _: ModuleType) -> list[str]:
    world = a_world(habits=Habits(**FOREVER))
    monitor = world.monitor()
    position = await closing(world, monitor, Fate(answer=Answer.TIMEOUT, arrives=timedelta(seconds=8)), find=None)
    world.grvt.unplan()
    await world.ticks(monitor, 5)
    return await wrongs(world, position)


async def an_order_that_is_not_found_is_waited_for(a_world: World, _: ModuleType) -> list[str]:
    world = a_world(habits=Habits(**FORGETS))
    world.executor = Hooked(world, settle=SETTLE)
    monitor = world.monitor()
    position = await closing(world, monitor, SLOW, find=None)
    await world.ticks(monitor, 5)
    return await wrongs(world, position)


async def an_order_that_may_rest_is_not_sent_again(a_world: World, _: ModuleType) -> list[str]:
    world = a_world(habits=Habits(**{**FORGETS, "find_lag": timedelta(0)}))
    monitor = world.monitor()
    position = await closing(world, monitor, Fate(answer=Answer.TIMEOUT, share="0.5", rests=True))
    await world.ticks(monitor, 3)
    world.grvt.unplan()
    await world.ticks(monitor, 10)
    done = await world.status(position) is PositionStatus.CLOSED
    return [*([] if done else ["it does not end"]), *await wrongs(world, position)]


async def a_resend_does_not_eat_what_is_not_ours(a_world: World, _: ModuleType) -> list[str]:
    world = a_world(habits=Habits(ids=Ids.OPEN, find_lag=timedelta(minutes=2)))
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.grvt.change("BTC", "-0.1")
    world.flip()
    world.grvt.plan("place", Fate(answer=Answer.TIMEOUT))
    await world.ticks(monitor, 40)
    wrong = await wrongs(world, position, left={ON_GRVT: world.held.get(ON_GRVT)})
    return wrong if world.held.get(ON_GRVT) is not None else [*wrong, "the surplus was traded"]


async def a_leg_that_shrinks_under_way_is_not_turned_round(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(arrives=timedelta(seconds=2)))
    world.grvt.change("BTC", "0.06", after=timedelta(seconds=1))
    await world.ticks(monitor, 3)
    return await wrongs(world, position)


async def a_close_waits_until_both_legs_are_read(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    await world.adopted(monitor)
    world.flip()
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=None)
    await world.ticks(monitor, 3)
    return [str(fact) for fact in world.sent]


async def an_unread_leg_is_not_traded_where_an_order_can_turn_it(a_world: World, _: ModuleType) -> list[str]:
    world = a_world(habits=Habits(**FOREVER))
    executor = world.executor = Hooked(world)
    world.strategy = LiquidationDistance()
    monitor = world.monitor()
    position = await world.adopted(monitor)

    def reads(market: Market, state: LegState) -> LegState:
        if market == GRVT:
            return Unknown("503")
        return state.model_copy(update={"liquidation_price": state.mark_price}) if isinstance(state, Known) else state

    executor.reads = reads
    world.grvt.change("BTC", "0.06")
    await world.ticks(monitor, 3)
    begun = await world.status(position) is PositionStatus.HALF_CLOSED
    return [*([] if begun else ["liquidation does not close what was read"]), *await wrongs(world, position)]


async def a_surplus_is_left_alone(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    await world.adopted(monitor)
    world.grvt.change("BTC", "-0.1")
    world.flip()
    await world.ticks(monitor, 3)
    return list(world.wrong) + ([] if ON_GRVT in world.held else ["the surplus was traded"])


async def no_more_is_closed_than_was_just_read(a_world: World, _: ModuleType) -> list[str]:
    world = a_world(habits=Habits(**FOREVER))
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.grvt.change("BTC", "0.06")
    world.flip()
    await world.ticks(monitor, 3)
    return await wrongs(world, position)


async def what_is_filled_is_not_closed_again(a_world: World, _: ModuleType) -> list[str]:
    world = a_world(habits=Habits(**FOREVER))
    monitor = world.monitor()
    position = await closing(world, monitor, Fate(share="0.5"), find=None)
    world.grvt.unplan()
    world.grvt.plan("read", Fate(lag=timedelta(seconds=30)), times=None)
    await world.ticks(monitor, 3)
    return await wrongs(world, position)


async def a_read_of_before_an_order_is_not_traded_on(a_world: World, _: ModuleType) -> list[str]:
    world = a_world(habits=Habits(**FOREVER, read_lag=timedelta(seconds=5)))
    monitor = world.monitor()
    world.hold()
    world.clock.advance(timedelta(seconds=10))
    position = await monitor.adopt(a_position())
    world.grvt.change("BTC", "0.06")
    world.clock.advance(timedelta(seconds=10))
    world.flip()
    await world.ticks(monitor, 30, every=1)
    return await wrongs(world, position)


async def a_crash_while_an_order_is_sent_does_not_double_it(a_world: World, _: ModuleType) -> list[str]:
    world = a_world(habits=Habits(**FORGETS))
    executor = world.executor = Hooked(world, settle=SETTLE)
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", SLOW)
    crashed = asyncio.Event()

    async def crash(_: str, intent: Intent) -> None:
        if intent.venue == "grvt":
            crashed.set()
            await asyncio.Event().wait()

    executor.after = crash
    ticking = asyncio.ensure_future(monitor.check_all_positions())
    await crashed.wait()
    ticking.cancel()
    await asyncio.wait((ticking,))
    world.clock.advance(timedelta(seconds=1))
    world.executor = Hooked(world, settle=SETTLE)
    await world.ticks(world.monitor(), 5)
    return await wrongs(world, position)


async def two_monitors_without_a_lease_send_once(a_world: World, naive: ModuleType) -> list[str]:
    world = a_world(habits=Habits(**FORGETS))
    world.executor = Hooked(world, settle=SETTLE)
    monitors = world.monitor(), world.monitor()
    position = await closing(world, monitors[0], Fate(reject="no liquidity"), find=None)
    world.grvt.unplan()
    world.grvt.plan("place", SLOW, times=None)
    world.clock.advance(timedelta(minutes=1))
    with naive.without("one lease"):
        await asyncio.gather(*(monitor.check_all_positions() for monitor in monitors))
        await world.ticks(monitors[0], 4)
    return await wrongs(world, position)


async def one_monitor_is_active(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    active, other = world.monitor(), world.monitor()
    await world.adopted(active)
    async with active._loop.term():
        report = await other.check_all_positions()
    return ["both are active"] if report.active else []


async def a_monitor_that_was_stopped_writes_nothing_later(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    stopped, other = world.monitor(), world.monitor()
    position = await world.adopted(stopped)
    world.flip()
    asked, goes_on = asyncio.Event(), asyncio.Event()
    snapshot = world.rates.snapshot

    async def slow(request: MarketRequest) -> MarketSnapshot:
        answer = await snapshot(request)
        asked.set()
        await goes_on.wait()
        return answer

    world.rates.snapshot = slow  # type: ignore[method-assign]  # a source that hangs, once
    ticking = asyncio.ensure_future(stopped.check_all_positions())
    await asked.wait()
    world.rates.snapshot = snapshot  # type: ignore[method-assign]  # as it was
    world.rates.of.update({"lighter": "0.0001", "grvt": "0.0003"})
    world.clock.advance(timedelta(minutes=2))
    await other.check_all_positions()
    goes_on.set()
    await ticking
    return [] if await world.status(position) is PositionStatus.OPEN else ["a stopped monitor began an exit"]


async def a_monitor_that_slept_before_its_order_sends_nothing(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    store = world.store = Wrapped(world)
    monitor = world.monitor()
    await world.adopted(monitor)
    world.flip()
    store.after = lambda: world.clock.advance(timedelta(minutes=2))
    await world.ticks(monitor, 1)
    return [str(fact) for fact in world.sent]


async def a_kill_during_a_tick_stops_the_next_send(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    executor = world.executor = Hooked(world)
    monitor = world.monitor()
    await closing(world, monitor, find=None)
    before = len(executor.sends)

    async def kill(call: str, _: Intent) -> None:
        if call == "find":
            await world.store.set_switch(Switch.KILL)

    executor.before = kill
    await world.ticks(monitor, 2)
    return executor.sends[before:]


async def a_kill_file_that_comes_during_the_commit_stops_the_send(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    store = world.store = Wrapped(world)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kill"
        monitor = world.monitor(kill_file=file)
        await world.adopted(monitor)
        world.flip()
        store.after = file.touch
        await world.ticks(monitor, 2)
    return [str(fact) for fact in world.sent]


async def a_kill_at_the_moment_of_the_commit_stops_the_send(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    store = world.store = Wrapped(world)
    monitor = world.monitor()
    await world.adopted(monitor)
    world.flip()
    store.kills = True
    await world.ticks(monitor, 2)
    return [str(fact) for fact in world.sent]


async def on_pause_no_exit_begins(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    await world.adopted(monitor)
    world.flip()
    await monitor.pause()
    await world.ticks(monitor, 2)
    return [str(fact) for fact in world.sent]


async def when_all_want_out_none_goes(a_world: World, _: ModuleType) -> list[str]:
    world = a_world(symbols=("BTC", "ETH", "SOL", "XRP"))
    monitor = world.monitor()
    for symbol in ("BTC", "ETH", "SOL", "XRP"):
        await world.adopted(monitor, symbol)
    world.flip()
    await world.ticks(monitor, 3, every=120)
    return [str(fact) for fact in world.sent]


async def a_position_that_was_just_changed_stays(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.hold()
    await monitor.merge(position.id, a_position(long_quantity="0.1", short_quantity="0.1"))
    world.flip()
    await world.ticks(monitor, 2)
    return [str(fact) for fact in world.sent]


async def exits_begin_one_after_the_other(a_world: World, _: ModuleType) -> list[str]:
    symbols = ("BTC", "ETH", "SOL", "XRP", "ADA")
    world = a_world(symbols=symbols)
    monitor = world.monitor(limits=MonitorLimits(closes_per_minute=1))
    for symbol in symbols:
        await world.adopted(monitor, symbol)
    world.flip("BTC", "ETH")
    report = await monitor.check_all_positions()
    return [] if len(report.begun) == 1 else [f"{len(report.begun)} exits began at once"]


async def an_old_approval_of_an_exit_is_none(a_world: World, _: ModuleType) -> list[str]:
    symbols = ("BTC", "ETH", "SOL", "XRP")
    world = a_world(symbols=symbols)
    monitor = world.monitor()
    for symbol in symbols:
        await world.adopted(monitor, symbol)
    world.flip()
    report = await monitor.check_all_positions()
    name = next(alarm.approve for alarm in report.alarms if alarm.kind is AlarmKind.NEEDS_APPROVAL)
    assert name is not None
    await monitor.approve(name)
    world.clock.advance(timedelta(minutes=61))
    await world.ticks(monitor, 1)
    return [str(fact) for fact in world.sent]


def supervised(world: World_, **more: Any) -> Hooked:
    """An executor whose venues obey nothing and know no id, and which has no time to settle."""
    executor = world.executor = Hooked(world, reduce_only=False, dedupes_ids=False, **more)
    return executor


async def to_approve(world: World_, monitor: Any) -> str:
    """The order on grvt that waits for a person."""
    world.flip()
    await world.ticks(monitor, 1)
    keys = {intent.venue: intent.key for intent in await world.store.intents()}
    await monitor.approve(keys["lighter"])
    return keys["grvt"]


async def a_supervised_venue_gets_no_order_by_itself(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    executor = supervised(world)
    monitor = world.monitor()
    await world.adopted(monitor)
    world.flip()
    await world.ticks(monitor, 3)
    return executor.sends


async def an_old_approval_of_an_order_is_none(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    executor = supervised(world)
    monitor = world.monitor()
    await world.adopted(monitor)
    await monitor.approve(await to_approve(world, monitor))
    world.clock.advance(timedelta(minutes=61))
    await world.ticks(monitor, 2)
    return executor.sends


async def an_order_is_approved_for_one_send(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    executor = supervised(world)
    monitor = world.monitor()
    await world.adopted(monitor)
    key = await to_approve(world, monitor)
    world.grvt.plan("place", NOT_DONE, times=None)
    await monitor.approve(key)
    await world.ticks(monitor, 4)
    sends = [one for one in executor.sends if one == key]
    return sends[1:] if sends else ["what was approved was not sent"]


class Switches(BaseRule):
    """Always wants to be elsewhere."""

    def evaluate(self, ctx: RuleContext, /) -> Verdict:
        target = an_opportunity(observed_at=ctx.snapshot.as_of)
        return Verdict.switch(target, "another pair is better")


async def a_switch_never_becomes_a_close(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    world.strategy = CombinedStrategy(Switches())
    monitor = world.monitor()
    await world.adopted(monitor)
    reports = await world.ticks(monitor, 2)
    assert {decision.action for report in reports for decision in report.decisions} <= {Action.SWITCH}
    return [str(fact) for fact in world.sent]


async def two_positions_do_not_own_one_market(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    monitor = world.monitor()
    await world.adopted(monitor)
    try:
        await monitor.adopt(a_position(age=timedelta(hours=6)))
    except Conflict:
        return []
    return ["two positions own one market"]


async def a_call_that_hangs_does_not_stop_the_tick(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    executor = world.executor = Hooked(world)
    monitor = world.monitor()
    monitor._engine.desk._deadline = timedelta(milliseconds=20)  # a test has less time than anybody else
    await world.adopted(monitor)
    world.flip()

    async def hang(_: str, intent: Intent) -> None:
        if intent.venue == "lighter":
            await asyncio.Event().wait()

    executor.before = hang
    try:
        await asyncio.wait_for(monitor.check_all_positions(), 0.5)
    except TimeoutError:
        return ["the tick hangs"]
    return [] if ON_GRVT not in world.held else ["the other venue waits as well"]


async def another_process_ends_what_was_begun(a_world: World, _: ModuleType) -> list[str]:
    world = a_world()
    position = await closing(world, world.monitor(), Fate(reject="no liquidity"), find=None)
    world.grvt.unplan()
    await world.ticks(world.monitor(), 2)
    return [] if await world.status(position) is PositionStatus.CLOSED else ["half closed for ever"]


Probe = Callable[[Callable[..., Any], ModuleType], Awaitable[list[str]]]
PROBES: Mapping[str, Probe] = {
    "unknown is not flat": a_venue_that_answers_503_closes_nothing,
    "a zero counts only after settle": a_zero_of_before_the_order_proves_nothing,
    "an unexplained zero needs another one": a_single_zero_without_an_order_closes_nothing,
    "a time from the future is not believed": a_zero_dated_in_the_future_proves_nothing,
    "a read without a time is as old as its lag": a_zero_without_a_time_is_as_old_as_reads_may_be,
    "both clocks must agree": a_wall_clock_that_jumps_forward_proves_nothing,
    "the wrong side is not flat": the_other_side_is_not_flat,
    "the wrong side is not traded": the_other_side_is_left_alone,
    "an order that lives is cancelled first": an_order_that_rests_is_cancelled_before_its_leg_counts_as_closed,
    "an answer to placing is a hint": an_order_that_was_only_taken_in_is_not_filled,
    "only the whole leg is proof": a_part_is_not_the_whole,
    "an end is no proof": a_rejected_order_closes_nothing,
    "an unknown order keeps its key": an_order_that_comes_late_is_not_doubled_by_another_key,
    "not found is no evidence": an_order_that_is_not_found_is_waited_for,
    "who can say is asked before a resend": an_order_that_may_rest_is_not_sent_again,
    "a resend must fit what is left": a_resend_does_not_eat_what_is_not_ours,
    "closes are reduce-only": a_leg_that_shrinks_under_way_is_not_turned_round,
    "a close begins with every leg read": a_close_waits_until_both_legs_are_read,
    "an unread leg is traded only reduce-only": an_unread_leg_is_not_traded_where_an_order_can_turn_it,
    "surplus is not traded": a_surplus_is_left_alone,
    "no more than was just read": no_more_is_closed_than_was_just_read,
    "less what was filled already": what_is_filled_is_not_closed_again,
    "another attempt is for what was read since": a_read_of_before_an_order_is_not_traded_on,
    "stored as sent before it is sent": a_crash_while_an_order_is_sent_does_not_double_it,
    "planned to sent is a compare-and-set": two_monitors_without_a_lease_send_once,
    "one lease": one_monitor_is_active,
    "a lease that passed on writes nothing": a_monitor_that_was_stopped_writes_nothing_later,
    "the lease is looked at after the commit": a_monitor_that_slept_before_its_order_sends_nothing,
    "the switch is looked at before each send": a_kill_during_a_tick_stops_the_next_send,
    "the kill file is looked at after the commit": a_kill_file_that_comes_during_the_commit_stops_the_send,
    "the switch is part of the commit": a_kill_at_the_moment_of_the_commit_stops_the_send,
    "pause begins nothing": on_pause_no_exit_begins,
    "a mass exit waits": when_all_want_out_none_goes,
    "a position rests after an action": a_position_that_was_just_changed_stays,
    "so many closes a minute": exits_begin_one_after_the_other,
    "an approval of an exit lapses": an_old_approval_of_an_exit_is_none,
    "a weak venue is supervised": a_supervised_venue_gets_no_order_by_itself,
    "an approval of an order lapses": an_old_approval_of_an_order_is_none,
    "an approval is for one send": an_order_is_approved_for_one_send,
    "a switch is no close": a_switch_never_becomes_a_close,
    "a market has one owner": two_positions_do_not_own_one_market,
    "a call has a deadline": a_call_that_hangs_does_not_stop_the_tick,
    "what was begun is finished by whoever comes": another_process_ends_what_was_begun,
}


@pytest.mark.parametrize("defence", PROBES)
async def test_nothing_goes_wrong(defence: str, a_world: Callable[..., Any], naive: ModuleType) -> None:
    assert await PROBES[defence](a_world, naive) == []


@pytest.mark.parametrize("defence", PROBES)
async def test_without_its_defence_a_probe_fails(
    defence: str, a_world: Callable[..., Any], naive: ModuleType, without: Callable[..., Any]
) -> None:
    with without(defence):
        assert await PROBES[defence](a_world, naive) != []


def test_every_defence_has_a_probe(naive: ModuleType) -> None:
    assert set(PROBES) == set(naive.WEAKNESSES)
