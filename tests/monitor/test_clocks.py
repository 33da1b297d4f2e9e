"""Clocks that jump, machines that sleep, zones, leap days: nothing is early, has an age below zero, or stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import (
    Action,
    Capabilities,
    Clock,
    InputError,
    IntentState,
    Known,
    MonitorLimits,
    Observer,
    PositionMonitor,
    PositionStatus,
    TickReport,
    TimeLimit,
)
from rebalancer.adapters import MemoryStore
from rebalancer.testing import FakeExecutor, ManualClock, a_position
from rebalancer.testing.fake_venue import Answer, Fate, Habits, Stamps

if TYPE_CHECKING:
    from .conftest import World

HOUR = timedelta(hours=1)
SETTLE = timedelta(seconds=30)
ZONES = [
    "UTC",
    "EST5EDT,M3.2.0,M11.1.0",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "LHST-10:30LHDT-11,M10.1.0,M4.1.0",
    "EAST-13:45",
]


class Machine(Clock):
    """The clocks of one machine in a world whose time is true: its wall clock is off by `off`, and while it sleeps
    its steady clock may stand still.
    """

    def __init__(self, true: ManualClock) -> None:
        self._true = true
        self.off = timedelta(0)
        self._lost = 0.0

    def now(self) -> datetime:
        """The true time, as far as this machine knows it."""
        return self._true.now() + self.off

    def monotonic(self) -> float:
        """The true seconds for which it was counted."""
        return self._true.monotonic() - self._lost

    async def sleep(self, seconds: float) -> None:
        """Truly wait."""
        await self._true.sleep(seconds)

    def jump(self, by: timedelta) -> None:
        """Somebody sets the wall clock."""
        self.off += by

    def suspend(self, span: timedelta, *, counted: bool) -> None:
        """The machine sleeps."""
        self._true.advance(span)
        self._lost += 0 if counted else span.total_seconds()


def on_machine(world: World, **given: Any) -> tuple[PositionMonitor, Machine]:
    """A monitor whose clock may go wrong, while that of the venues does not. The rates are as of the machine's now."""
    machine = Machine(world.clock)
    world.rates._clock = machine  # type: ignore[assignment]
    world.store = MemoryStore(mode=world.store.mode, clock=machine)
    return world.monitor(clock=machine, **given), machine


def slow_to_settle(world: World, **more: Any) -> FakeExecutor:
    """Venues whose reads are true only some time after an order."""
    usual = {"reduce_only": True, "finds_ids": True, "sends_once": True, "reads_legs": True, "settle": SETTLE, **more}
    return FakeExecutor(*world.venues.values(), capabilities=dict.fromkeys(world.venues, Capabilities(**usual)))


JUMPS = [timedelta(hours=-5), -HOUR, timedelta(seconds=-90), timedelta(seconds=90), HOUR, timedelta(hours=5)]


@pytest.mark.parametrize("jump", JUMPS, ids=str)
async def test_a_clock_that_jumps_during_a_close_proves_nothing_and_the_close_ends(
    world: World, jump: timedelta
) -> None:
    world.executor = slow_to_settle(world)
    monitor, machine = on_machine(world)
    position = await world.adopted(monitor)
    world.flip()
    late = Fate(answer=Answer.TIMEOUT, after=timedelta(seconds=20))
    world.grvt.plan("place", late)
    world.grvt.plan("find", Fate(answer=Answer.UNAVAILABLE), times=None)
    await world.ticks(monitor, 1, every=1)
    machine.jump(jump)

    await world.ticks(monitor, 3, every=5)
    assert await world.status(position) is PositionStatus.HALF_CLOSED
    world.grvt.unplan()
    for _ in range(10):
        await world.ticks(monitor, 1, every=20)

    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


async def test_a_wall_clock_that_jumps_forward_does_not_make_a_zero_late_enough(a_world: Callable[..., World]) -> None:
    """The venue does not say of when its reads are, and shows the time before the position was opened."""
    world = a_world(habits=Habits(stamps=Stamps.NONE))
    lag = timedelta(seconds=20)
    world.executor = slow_to_settle(world, read_lag=lag, settle=2 * lag)
    monitor, machine = on_machine(world)
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(answer=Answer.TIMEOUT, arrives=lag))
    world.grvt.plan("find", Fate(answer=Answer.UNAVAILABLE), times=None)
    await world.ticks(monitor, 1, every=1)
    machine.jump(HOUR)
    world.grvt.plan("read", Fate(lag=lag), times=None)

    await world.ticks(monitor, 2, every=1)

    assert await world.status(position) is PositionStatus.HALF_CLOSED
    await world.ticks(monitor, 3, every=40)
    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


@pytest.mark.parametrize("jump", [-HOUR, timedelta(hours=-5)], ids=str)
async def test_a_retry_does_not_wait_until_a_clock_that_was_set_back_is_there_again(
    world: World, jump: timedelta
) -> None:
    monitor, machine = on_machine(world)
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(reject="no liquidity"), times=3)
    await world.ticks(monitor, 3, every=5)
    assert await world.status(position) is PositionStatus.HALF_CLOSED
    machine.jump(jump)

    await world.ticks(monitor, 3, every=30)

    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


@pytest.mark.parametrize("jump", [-HOUR, timedelta(hours=-5)], ids=str)
async def test_an_order_that_rests_is_not_given_more_time_by_a_clock_that_is_set_back(
    world: World, jump: timedelta
) -> None:
    monitor, machine = on_machine(world)
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(rests=True, share="0.5"))
    await world.ticks(monitor, 1, every=5)
    machine.jump(jump)

    await world.ticks(monitor, 3, every=30)

    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


@pytest.mark.parametrize("jump", JUMPS, ids=str)
async def test_a_clock_that_jumps_between_ticks_closes_nothing_that_is_young(world: World, jump: timedelta) -> None:
    world.strategy = TimeLimit(max_age=timedelta(hours=24))
    monitor, machine = on_machine(world)
    position = await world.adopted(monitor)

    for by in (jump, -jump, jump):
        machine.jump(by)
        report = await monitor.check_all_positions()
        assert [decision.action for decision in report.decisions] == [Action.HOLD]

    assert await world.status(position) is PositionStatus.OPEN


async def test_before_it_was_opened_a_position_has_no_age_and_no_time_limit(world: World) -> None:
    world.strategy = TimeLimit(max_age=timedelta(hours=1))
    monitor, machine = on_machine(world)
    position = await world.adopted(monitor, opened_at=world.clock.now() - timedelta(minutes=59))
    machine.jump(timedelta(days=-400))

    (report,) = await world.ticks(monitor, 1)

    (decision,) = report.decisions
    assert decision.action is Action.HOLD
    assert [fact.name for fact in decision.warnings] == ["opened_after_now_seconds"]
    assert all(fact.value >= 0 for verdict in decision.verdicts for fact in verdict.facts)
    machine.jump(timedelta(days=400))
    await world.ticks(monitor, 2, every=60)
    assert await world.status(position) is PositionStatus.CLOSED


async def test_a_limit_is_met_to_the_second_across_a_leap_day(world: World) -> None:
    world.strategy = TimeLimit(max_age=timedelta(hours=48))
    world.clock.advance(datetime(2028, 2, 28, 12, tzinfo=UTC) - world.clock.now())
    monitor = world.monitor()
    await world.adopted(monitor, opened_at=world.clock.now())
    world.clock.advance(timedelta(hours=48) - timedelta(seconds=1))

    (early, due) = await world.ticks(monitor, 2, every=1)

    assert [decision.action for decision in early.decisions] == [Action.HOLD]
    assert [decision.action for decision in due.decisions] == [Action.CLOSE]
    assert due.decisions[0].as_of == datetime(2028, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted"])
@pytest.mark.parametrize("asleep", ["while it reads", "between storing an order and sending it"])
async def test_a_machine_that_slept_past_its_lease_sends_nothing(
    world: World,
    asleep: str,
    counted: bool,  # noqa: FBT001
) -> None:
    """Meanwhile another process has the lease, and does the work."""
    monitor, machine = on_machine(world)
    position = await world.adopted(monitor)
    world.flip()
    real, store, orders = world.executor, world.store, []
    other = world.monitor(clock=machine)

    async def sleep() -> None:
        machine.suspend(timedelta(minutes=5), counted=counted)
        await other.check_all_positions()

    class Sleepy(FakeExecutor):
        async def read_legs(self, markets: Any) -> Any:
            if asleep == "while it reads":
                await sleep()
            return await real.read_legs(markets)

        async def send(self, intent: Any) -> Any:
            orders.append(intent)
            return await real.send(intent)

    class SleepyStore:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def commit(self, lease: Any, batch: Any) -> None:
            await store.commit(lease, batch)
            if asleep != "while it reads" and any(one.state is IntentState.SENT for one in batch.intents):
                await sleep()

    sleepy = world.monitor(clock=machine, executor=Sleepy(*world.venues.values()), store=SleepyStore())

    report = await sleepy.check_all_positions()

    assert orders == []
    assert report.failures
    await world.ticks(other, 2, every=60)
    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


async def test_what_a_venue_says_of_the_future_is_not_believed_to_be_late(world: World) -> None:
    """It says a time past `settle`, while it shows the state of before the order."""
    world.executor = slow_to_settle(world, dedupes_ids=True)
    real = world.executor

    class Ahead(FakeExecutor):
        async def read_legs(self, markets: Any) -> Any:
            legs = await real.read_legs(markets)
            future = world.clock.now() + HOUR
            return {
                market: Known(0 if world.sent and market.venue == "grvt" else leg.quantity, as_of=future)
                for market, leg in legs.items()
            }

    world.executor = Ahead(*world.venues.values(), capabilities=real._claimed)
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(answer=Answer.TIMEOUT, arrives=timedelta(seconds=20)))
    world.grvt.plan("find", Fate(answer=Answer.UNAVAILABLE), times=None)

    await world.ticks(monitor, 1, every=5)
    for _ in range(2):  # other processes, which have nothing but what is stored and what is said
        await world.ticks(world.monitor(), 1, every=5)

    assert await world.status(position) is PositionStatus.HALF_CLOSED
    await world.ticks(monitor, 3, every=20)
    assert await world.status(position) is PositionStatus.CLOSED
    assert world.held == {}


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A process in this zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("hour", ["2026-03-29T00:30", "2026-10-25T00:30", "2026-03-08T06:30", "2026-11-01T05:30"])
async def test_the_zone_of_the_machine_changes_nothing(a_world: Callable[..., World], hour: str) -> None:
    """Two hours across a change of the clocks, here or somewhere else: the limit of 90 minutes is met to the second."""
    world = a_world(habits=Habits(latency=timedelta(milliseconds=20)))
    world.strategy = TimeLimit(max_age=timedelta(minutes=90))
    world.clock.advance(datetime.fromisoformat(f"{hour}+00:00") - world.clock.now())
    monitor = world.monitor()
    opened = world.clock.now()
    position = await world.adopted(monitor, opened_at=opened)
    while await world.status(position) is PositionStatus.OPEN:
        (report,) = await world.ticks(monitor, 1, every=600)
        assert world.clock.now() - opened < timedelta(hours=2)

    assert timedelta(minutes=90) <= report.as_of - opened < timedelta(minutes=91)
    assert str(report.decisions[0].as_of.tzinfo) == "UTC"
    stored = await world.store.position(position.id)
    assert stored is not None
    times = [stored.opened_at, stored.last_check, stored.last_action_at]
    times += [at for one in await world.intents(position) for at in (one.planned_at, one.sent_at, one.touched_at)]
    assert all(at is not None and at.utcoffset() == timedelta(0) for at in times)


# The loop


class Seen(Observer):
    """What ticks there were."""

    def __init__(self) -> None:
        self.reports: list[TickReport] = []

    async def observe(self, report: TickReport) -> None:
        self.reports.append(report)


async def run_until(monitor: PositionMonitor, done: Callable[[], bool], **every: timedelta) -> None:
    """Run it so long."""
    running = asyncio.ensure_future(monitor.run(**every))
    for _ in range(200_000):
        if done() or running.done():
            break
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait((running,))
    await monitor.aclose()
    assert done()


async def test_ticks_are_at_full_minutes_after_the_first(world: World) -> None:
    seen = Seen()
    world.clock.advance(timedelta(seconds=7, milliseconds=300))
    began = world.clock.now()

    await run_until(world.monitor(observers=[seen]), lambda: len(seen.reports) >= 5, every=timedelta(minutes=1))

    first, *then = [report.as_of for report in seen.reports]
    assert first == began
    full = began.replace(second=0, microsecond=0)
    assert then == [full + timedelta(minutes=number) for number in range(1, len(then) + 1)]


@pytest.mark.parametrize("jump", [-HOUR, timedelta(hours=-30), HOUR, timedelta(seconds=-1)], ids=str)
async def test_a_clock_that_is_set_does_not_stop_the_ticks_nor_make_two_at_once(world: World, jump: timedelta) -> None:
    seen = Seen()
    monitor, machine = on_machine(world, observers=[seen])
    true: list[datetime] = []

    class Jumps(Observer):
        async def observe(self, report: TickReport) -> None:
            true.append(report.as_of - machine.off)
            if len(true) == 3:
                machine.jump(jump)

    monitor = world.monitor(clock=machine, observers=[seen, Jumps()])

    await run_until(monitor, lambda: len(true) >= 7, every=timedelta(minutes=1))

    gaps = [later - before for before, later in pairwise(true)]
    assert all(timedelta(seconds=30) <= gap <= timedelta(seconds=90) for gap in gaps)
    assert {report.as_of.second for report in seen.reports[-2:]} == {0}  # aligned to the clock as it is now


async def test_a_tick_that_takes_longer_than_the_time_between_two_is_not_overlapped(world: World) -> None:
    seen, source, running, overlaps = Seen(), world.rates.snapshot, 0, []

    async def slow(request: Any) -> Any:
        nonlocal running
        running += 1
        overlaps.append(running)
        await world.clock.sleep(90)
        running -= 1
        return await source(request)

    world.rates.snapshot = slow  # type: ignore[method-assign]
    world.hold()
    monitor = world.monitor(observers=[seen])
    await monitor.adopt(a_position())

    await run_until(monitor, lambda: len(seen.reports) >= 4, every=timedelta(minutes=1))

    starts = [report.as_of for report in seen.reports]
    gaps = {later - before for before, later in pairwise(starts[1:])}
    assert gaps == {timedelta(minutes=2)}
    assert set(overlaps) == {1}
    assert all(start.second == 0 for start in starts[1:])


async def test_two_runs_at_once_and_too_short_a_time_are_refused(world: World) -> None:
    monitor = world.monitor()
    with pytest.raises(InputError, match="at least a second"):
        await monitor.run(every=timedelta(milliseconds=999))
    running = asyncio.ensure_future(monitor.run())
    await asyncio.sleep(0)
    with pytest.raises(InputError, match="runs already"):
        await monitor.run()
    running.cancel()
    await asyncio.wait((running,))


async def test_alarms_keep_their_beginning_when_the_clock_is_set_back(world: World) -> None:
    monitor, machine = on_machine(world, limits=MonitorLimits())
    await world.adopted(monitor)
    world.rates.down = True
    (first,) = await world.ticks(monitor, 1, every=10)
    machine.jump(-HOUR)

    (second,) = await world.ticks(monitor, 1)

    assert [alarm.level for alarm in (*first.alarms, *second.alarms)] == ["warning", "warning"]
    assert second.alarms[0].since <= second.as_of
