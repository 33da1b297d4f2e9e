"""A person acts from a second process while a monitor runs, in a time that is driven by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

from rebalancer import Fenced, PositionMonitor, PositionStatus, StoreMode, TimeLimit
from rebalancer.adapters import MemoryStore
from rebalancer.adapters.sources import StaticSource
from rebalancer.cli.store import NoHands
from rebalancer.domain.intents import IntentState
from rebalancer.domain.legs import Unknown
from rebalancer.testing import AS_OF, FakeExecutor, FakeVenue, ManualClock, a_position


class Meanwhile(ManualClock):
    """A clock in whose pauses somebody does something, until that works. `done_at` is when it did."""

    def __init__(self, act: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._act = act
        self.done_at: datetime | None = None

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if self.done_at is None and self.now() > AS_OF + timedelta(seconds=1):
            with suppress(Fenced):
                await self._act()
                self.done_at = self.now()


async def test_what_was_planned_by_hand_is_sent_as_soon_as_the_monitor_leads_again() -> None:
    async def close() -> None:
        await hand.close(position.id)

    clock = Meanwhile(close)
    venues = [FakeVenue(name, prices={"BTC": 100_000}, clock=clock) for name in ("lighter", "grvt")]
    for venue, quantity in zip(venues, ("0.1", "-0.1"), strict=True):
        venue.hold("BTC", quantity)
    store = MemoryStore(mode=StoreMode.LIVE, clock=clock)
    source = StaticSource((), clock=clock)
    hand, monitor = (
        PositionMonitor(strategy=TimeLimit(), source=source, store=store, executor=executor, clock=clock)
        for executor in (NoHands(store.mode), FakeExecutor(*venues))
    )
    position = await monitor.adopt(a_position())
    running = asyncio.ensure_future(monitor.run(every=timedelta(hours=1)))
    while clock.done_at is None or clock.now() < clock.done_at + timedelta(minutes=1):
        await asyncio.sleep(0)
    running.cancel()
    intents = await store.intents(position.id)
    assert [intent.state for intent in intents] == [IntentState.FILLED, IntentState.FILLED]
    stored = await store.position(position.id)
    assert stored is not None
    assert stored.status is PositionStatus.CLOSED


async def test_hands_that_are_none_read_and_send_nothing() -> None:
    hands, market = NoHands(StoreMode.LIVE), a_position().pair.long
    assert hands.mode is StoreMode.LIVE
    assert not hands.supplies.legs
    assert not hands.capabilities("lighter").may_close
    assert isinstance((await hands.read_legs([market]))[market], Unknown)
