"""When passes happen, who is active, and what a person can do meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import (
    AlarmKind,
    Fenced,
    InputError,
    MonitorLimits,
    Observer,
    Position,
    PositionMonitor,
    PositionStatus,
    StoreError,
    TickReport,
)
from rebalancer.monitor.loop import HAND_OVER
from rebalancer.testing import ManualClock, a_position
from rebalancer.testing.fake_venue import Fate

if TYPE_CHECKING:
    from .conftest import World

MINUTE = timedelta(minutes=1)


class Listens(Observer):
    """It takes note."""

    def __init__(self) -> None:
        self.reports: list[TickReport] = []

    async def observe(self, report: TickReport) -> None:
        self.reports.append(report)


async def until(done: Callable[[], bool], *, turns: int = 100_000) -> None:
    """Let everything go on until it is so."""
    for _ in range(turns):
        if done():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to be")


async def closed_in(world: World, position: Position) -> None:
    """Let everything go on until it is closed."""
    for _ in range(10_000):
        if await world.status(position) is PositionStatus.CLOSED:
            return
        await asyncio.sleep(0)
    raise AssertionError("it was never closed")


async def stop(running: asyncio.Future[None]) -> None:
    running.cancel()
    await asyncio.wait((running,))


async def test_of_two_monitors_one_is_active_and_the_other_looks_at_nothing(world: World) -> None:
    first, second = world.monitor(), world.monitor()
    position = await world.adopted(first)
    running = asyncio.ensure_future(first.run(every=MINUTE))
    await asyncio.sleep(0)
    await until(lambda: world.rates.asked == 1)
    asked = world.rates.asked

    report = await second.check_all_positions()

    assert not report.active
    assert (report.decisions, report.alarms, report.failures) == ((), (), ())
    assert world.rates.asked == asked
    with pytest.raises(Fenced, match="another monitor is active"):
        await second.close(position.id)
    await stop(running)
    assert (await second.check_all_positions()).active


async def test_a_run_gives_the_lease_back_for_a_moment_between_two_ticks(world: World) -> None:
    """So that a person can act from another process, without stopping this one."""
    first, second = world.monitor(), world.monitor()
    position = await world.adopted(first)
    running = asyncio.ensure_future(first.run(every=MINUTE))
    closed = None
    for _ in range(5_000):
        try:
            closed = await second.close(position.id)
            break
        except Fenced:
            await asyncio.sleep(0)

    assert closed is not None
    assert closed.status is not PositionStatus.OPEN
    await closed_in(world, position)
    await stop(running)
    assert (world.held, world.wrong) == ({}, [])


async def test_a_run_that_is_cancelled_gives_the_lease_back_at_once(world: World) -> None:
    first, second = world.monitor(), world.monitor()
    await world.adopted(first)
    running = asyncio.ensure_future(first.run(every=MINUTE))
    await until(lambda: world.rates.asked >= 1)
    now = world.clock.now()

    await stop(running)

    assert running.cancelled()
    assert (await second.check_all_positions()).active
    assert world.clock.now() - now < timedelta(seconds=60)


async def test_a_monitor_that_dies_is_followed_by_another_once_its_lease_has_ended(world: World) -> None:
    dead, second = world.monitor(), world.monitor()
    await world.adopted(dead)
    await world.store.acquire("somebody who died", timedelta(seconds=60))

    active = [(await second.check_all_positions()).active]
    world.clock.advance(timedelta(seconds=60))
    active.append((await second.check_all_positions()).active)

    assert active == [False, True]


async def test_a_close_under_way_is_looked_at_between_two_ticks_without_deciding(world: World) -> None:
    listens = Listens()
    monitor = world.monitor(observers=[listens])
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(reject="no liquidity"), times=2)
    running = asyncio.ensure_future(monitor.run(every=timedelta(hours=1)))
    began = world.clock.now()
    await closed_in(world, position)
    await stop(running)
    await monitor.aclose()

    assert world.clock.now() - began < MINUTE
    assert world.rates.asked == 1
    assert await world.status(position) is PositionStatus.CLOSED
    assert [report.as_of for report in listens.reports] == sorted({report.as_of for report in listens.reports})
    assert all(not report.decisions for report in listens.reports[1:])
    assert [report.decided for report in listens.reports] == [True, *([False] * (len(listens.reports) - 1))]


async def test_the_lease_is_renewed_between_two_ticks_that_are_far_apart(world: World) -> None:
    first, second = world.monitor(), world.monitor()
    await world.adopted(first)
    running = asyncio.ensure_future(first.run(every=timedelta(hours=1)))
    start = world.clock.now()
    led = []
    while world.clock.now() - start < timedelta(minutes=25):
        await asyncio.sleep(0)
        lease = await world.store.acquire("a third", timedelta(seconds=1))
        led.append(lease is not None)
        if lease is not None:
            await world.store.release(lease)

    await stop(running)
    assert led.count(True) < len(led) / 2  # only while it was given back
    assert (await second.check_all_positions()).active


async def test_a_renewal_that_fails_is_logged_and_ends_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    class Flaky:
        """A store whose lease can be had once, and then for some time not."""

        asked = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(world.store, name)

        async def acquire(self, holder: str, ttl: timedelta) -> Any:
            self.asked += 1
            if 2 <= self.asked <= 4:
                raise OSError("password=hunter2")
            return await world.store.acquire(holder, ttl)

    caplog.set_level(logging.WARNING)
    monitor = world.monitor(store=Flaky())
    await world.adopted(world.monitor())

    running = asyncio.ensure_future(monitor.run(every=MINUTE))
    await until(lambda: world.rates.asked >= 3)

    assert not running.done()
    await stop(running)
    assert "was not renewed" in caplog.text
    assert "hunter2" not in caplog.text


async def test_calls_wait_for_each_other(world: World) -> None:
    """A tick, a close and an adoption at once: one after the other, and none is refused."""
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()

    report, again, closed = await asyncio.gather(
        monitor.check_all_positions(), monitor.check_all_positions(), monitor.close(position.id)
    )

    assert report.begun == (position.id,)
    assert again.begun == ()
    assert closed.status is PositionStatus.CLOSED
    assert len([fact for fact in world.facts if fact["fact"] == "accepted"]) == 2


async def test_a_store_that_fails_for_a_while_is_an_alarm_that_lasts_until_it_works(world: World) -> None:
    class Down:
        """A store that is down when told."""

        down = False

        def __getattr__(self, name: str) -> Any:
            if self.down:
                raise StoreError("it is down")
            return getattr(world.store, name)

    store = Down()
    monitor: PositionMonitor = world.monitor(store=store)
    await world.adopted(monitor)
    world.rates.of["grvt"] = None
    await world.ticks(monitor, 1)
    store.down = True

    reports = await world.ticks(monitor, 3, every=200)
    store.down = False
    (after,) = await world.ticks(monitor, 1)

    kinds = {alarm.kind: alarm.level for alarm in reports[-1].alarms}
    assert kinds[AlarmKind.STORE] == "error"
    assert AlarmKind.BLIND in kinds  # that nobody looked is no reason to be silent
    assert {alarm.kind for alarm in after.alarms} == {AlarmKind.BLIND}


async def test_a_hand_close_of_what_is_not_there_is_refused_and_leaves_no_lease(world: World) -> None:
    monitor = world.monitor()
    from uuid import uuid4

    with pytest.raises(InputError, match="no position of this id"):
        await monitor.close(uuid4())

    assert (await world.monitor().check_all_positions()).active


@pytest.mark.parametrize("name", ["nothing", "3f0e8f9c-0000-0000-0000-000000000000", "a" * 64])
async def test_approving_what_does_not_wait_is_refused(world: World, name: str) -> None:
    with pytest.raises(InputError, match=r"nothing of this name|no exit of this name"):
        await world.monitor().approve(name)


async def test_a_run_takes_no_real_time_and_leaves_no_task(world: World) -> None:
    monitor = world.monitor(limits=MonitorLimits(lease=timedelta(seconds=20)))
    await world.adopted(monitor)
    running = asyncio.ensure_future(monitor.run(every=MINUTE))
    await until(lambda: world.rates.asked >= 30)
    await stop(running)
    await monitor.aclose()

    assert isinstance(world.clock, ManualClock)
    assert asyncio.all_tasks() == {asyncio.current_task()}


IN_A_CALL = ContextVar("IN_A_CALL", default=False)


class Meets:
    """An executor whose reads wait for `go`, if they are made by `call`."""

    def __init__(self, world: World) -> None:
        self.reads, self.go = asyncio.Event(), asyncio.Event()
        self._read = world.executor.read_legs
        world.executor.read_legs = self._waits

    async def call(self, what: Awaitable[Position]) -> Position:
        IN_A_CALL.set(True)
        return await what

    async def _waits(self, markets: Any) -> Any:
        if IN_A_CALL.get():
            self.reads.set()
            await self.go.wait()
        return await self._read(markets)


def sleeps_until(world: World, meets: Meets) -> None:
    """Have a run sleep until a call reads, and let that go on while others may have the lease."""
    sleep = world.clock.sleep

    async def sleeps(seconds: float) -> None:
        if seconds > 5:  # no venue takes that long: it is the run
            world.clock.slept.append(seconds)
            await meets.reads.wait()
        if seconds == HAND_OVER.total_seconds() and not meets.go.is_set():
            meets.go.set()
            for _ in range(500):
                await asyncio.sleep(0)
        await sleep(seconds)

    world.clock.sleep = sleeps  # type: ignore[method-assign]


@pytest.mark.parametrize("what", ["adopt", "close"])
@pytest.mark.parametrize("ends", ["the lease is handed over", "the run is cancelled", "it is closed"])
async def test_no_call_of_this_process_loses_the_lease_while_it_goes_on(
    a_world: Callable[..., World], what: str, ends: str
) -> None:
    """Neither by the moment in which a run lets others have it, nor by the end of the run."""
    world = a_world(symbols=("BTC", "ETH"))
    meets, monitor = Meets(world), world.monitor()
    position = await world.adopted(monitor)
    world.hold("ETH")
    sleeps_until(world, meets)
    running = asyncio.ensure_future(monitor.run(every=MINUTE))
    await until(lambda: any(seconds > 5 for seconds in world.clock.slept))
    if ends == "it is closed":
        await stop(running)
    call = monitor.adopt(a_position(symbol="ETH")) if what == "adopt" else monitor.close(position.id)
    called = asyncio.ensure_future(meets.call(call))
    await until(meets.reads.is_set)

    closing = None
    if ends == "the run is cancelled":
        await stop(running)
    if ends == "it is closed":
        closing = asyncio.ensure_future(monitor.aclose())
        await asyncio.sleep(0)
    if ends != "the lease is handed over":
        meets.go.set()

    assert (await called).status is (PositionStatus.OPEN if what == "adopt" else PositionStatus.CLOSED)
    if closing is not None:
        await closing
    await stop(running)
    assert (await world.monitor().check_all_positions()).active


async def test_a_run_that_ends_under_a_call_gives_the_lease_back_at_the_end_of_that(world: World) -> None:
    meets, monitor, other = Meets(world), world.monitor(), world.monitor()
    position = await world.adopted(monitor)
    running = asyncio.ensure_future(monitor.run(every=MINUTE))
    await until(lambda: bool(world.clock.slept))
    called = asyncio.ensure_future(meets.call(monitor.close(position.id)))
    await until(meets.reads.is_set)

    await stop(running)
    under = await other.check_all_positions()
    meets.go.set()
    await called

    assert not under.active
    assert (await other.check_all_positions()).active
