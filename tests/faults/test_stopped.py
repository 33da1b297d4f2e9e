"""A monitor that is stopped while it holds the lease, and goes on later, must know by itself that its time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import Fenced, IntentState, Lease, MonitorLimits, StoreMode
from rebalancer.adapters import MemoryStore
from rebalancer.domain.batch import Batch
from rebalancer.monitor.keeper import Keeper
from rebalancer.testing import FakeExecutor, ManualClock
from rebalancer.testing.fake_venue import Answer, Fate, Habits, Ids

if TYPE_CHECKING:
    from ..monitor.conftest import World
    from .conftest import Kit

MINUTE = timedelta(minutes=1)


class StopsWhenSent:
    """A store after whose commit of a sent intent the process does not go on for a while: `meanwhile` happens then."""

    def __init__(self, inner: Any, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._inner = inner
        self._meanwhile: Callable[[], Awaitable[None]] | None = meanwhile
        self.refused: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit(self, lease: Lease, batch: Batch) -> None:
        try:
            await self._inner.commit(lease, batch)
        except Fenced as error:
            self.refused.append(str(error))
            raise
        meanwhile = self._meanwhile
        if meanwhile is not None and any(intent.state is IntentState.SENT for intent in batch.intents):
            self._meanwhile = None
            await meanwhile()


class Counting(FakeExecutor):
    """An executor that counts what it sends."""

    sends = 0

    async def send(self, intent: Any) -> Any:
        self.sends += 1
        return await super().send(intent)


async def stopped(world: World, meanwhile: Callable[[], Awaitable[None]]) -> tuple[Counting, StopsWhenSent]:
    """What a monitor sent that was stopped between a commit and the order, and what the store refused."""
    first = world.monitor()
    await world.adopted(first)
    world.clock.advance(2 * MINUTE)
    world.flip()
    executor = Counting(world.lighter, world.grvt)
    store = StopsWhenSent(world.store, meanwhile)
    await world.monitor(store=store, executor=executor).check_all_positions()
    return executor, store


async def test_a_holder_that_was_stopped_past_its_lease_between_commit_and_send_does_not_send(kit: Kit) -> None:
    world = kit.worlds()

    async def meanwhile() -> None:
        world.clock.advance(2 * MINUTE)
        await world.ticks(world.monitor(), 3)
        assert world.held == {}  # the other one has closed both legs

    executor, _ = await stopped(world, meanwhile)
    assert executor.sends == 0
    assert (world.held, world.wrong) == ({}, [])
    assert await world.store.live() == ()


async def test_it_is_the_look_at_its_own_clock_that_keeps_it_from_sending(kit: Kit) -> None:
    world = kit.worlds()

    async def meanwhile() -> None:
        world.clock.advance(2 * MINUTE)
        await world.ticks(world.monitor(), 3)

    with kit.naive.without("the lease is looked at after the commit"):
        executor, _ = await stopped(world, meanwhile)
    assert executor.sends > 0


async def test_what_a_holder_writes_after_another_was_elected_is_refused(kit: Kit) -> None:
    world = kit.worlds()

    async def meanwhile() -> None:
        """The store's clock was set forward: it elects another, and this one's own clock knows nothing of it."""
        store: Any = world.store
        store._clock = ManualClock(world.clock.now() + 2 * MINUTE)
        assert await store.acquire("another", MINUTE) is not None

    executor, store = await stopped(world, meanwhile)
    assert executor.sends <= 2
    assert store.refused

    world.store._clock = world.clock  # type: ignore[attr-defined]
    world.clock.advance(4 * MINUTE)
    await world.ticks(world.monitor(), 3)
    assert (world.held, world.wrong) == ({}, [])
    assert await world.store.live() == ()


# What many that send at once do with one lease ------------------------------------------------------------------------


class Slow(MemoryStore):
    """A store that takes its time to elect."""

    asked = 0

    async def acquire(self, holder: str, ttl: timedelta) -> Lease | None:
        self.asked += 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return await super().acquire(holder, ttl)


@pytest.fixture
def keeper() -> tuple[Keeper, Slow, ManualClock]:
    clock = ManualClock()
    store = Slow(mode=StoreMode.LIVE, clock=clock)
    return Keeper(store, clock=clock, holder="desk", lease=MINUTE, deadline=MINUTE), store, clock


async def test_what_is_written_while_the_lease_is_renewed_is_written(keeper: tuple[Keeper, Slow, ManualClock]) -> None:
    mine, _, clock = keeper
    assert await mine.lead()
    clock.advance(MINUTE * 0.9)
    renewing = asyncio.ensure_future(mine.hold_for(MINUTE / 2))
    await asyncio.sleep(0)
    await mine.commit(Batch())
    await renewing


async def test_of_many_that_send_at_once_one_renews_the_lease(keeper: tuple[Keeper, Slow, ManualClock]) -> None:
    mine, store, clock = keeper
    assert await mine.lead()
    clock.advance(MINUTE * 0.9)
    await asyncio.gather(*(mine.hold_for(MINUTE / 2) for _ in range(20)))
    assert store.asked == 2


async def test_a_lease_that_hardly_lasts_for_a_send_is_renewed_before_what_is_sent_is_written(kit: Kit) -> None:
    world = kit.worlds()
    first = world.monitor()
    await world.adopted(first)
    world.flip()
    clock = world.clock
    spent: list[bool] = []

    class TakesTime:
        """Reads the leg until the lease lasts for ten and a half seconds more, and takes a second to write."""

        def __getattr__(self, name: str) -> Any:
            return getattr(world.store, name)

        async def commit(self, lease: Lease, batch: Batch) -> None:
            sends = any(intent.state is IntentState.SENT for intent in batch.intents)
            begins = any(intent.state is IntentState.PLANNED for intent in batch.intents)
            await world.store.commit(lease, batch)
            if begins and not spent:
                spent.append(True)
                clock.advance(timedelta(seconds=49.5))
            elif sends:
                clock.advance(timedelta(seconds=1))

    limits = MonitorLimits(lease=MINUTE, call_deadline=timedelta(seconds=10))
    report = await world.monitor(store=TakesTime(), limits=limits).check_all_positions()
    assert report.failures == ()
    assert len(world.sent) == 2


# Orders that may rest on the venue ------------------------------------------------------------------------------------


async def test_an_order_that_may_rest_is_not_sent_again_before_the_venue_says_that_it_does_not_know_it(
    kit: Kit,
) -> None:
    world = kit.worlds(habits=Habits(ids=Ids.NONE))
    monitor = world.monitor()
    await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(share="0", rests=True, answer=Answer.TIMEOUT))
    world.grvt.plan("find", Fate(answer=Answer.UNAVAILABLE), times=None)
    await world.ticks(monitor, 12)
    assert len([fact for fact in world.sent if fact["venue"] == "grvt"]) == 1

    world.grvt.unplan()
    await world.ticks(monitor, 12)
    assert (world.held, world.wrong) == ({}, [])
    assert await world.store.live() == ()


async def test_a_leg_that_somebody_else_closed_ends_no_order_that_may_still_rest(kit: Kit) -> None:
    world = kit.worlds()
    monitor = world.monitor()
    await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(share="0", rests=True, answer=Answer.TIMEOUT))
    world.grvt.plan("find", Fate(answer=Answer.UNAVAILABLE), times=None)
    await world.ticks(monitor, 1)
    world.grvt.close("BTC")
    await world.ticks(monitor, 3)
    assert await world.store.live() == ()
    assert [fact["why"] for fact in world.facts if fact["fact"] == "ended" and fact["venue"] == "grvt"] == ["cancelled"]
