"""One tick, from the positions to what is left on the venues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from rebalancer import (
    Action,
    AlarmKind,
    Batch,
    IntentState,
    Lease,
    MarketRequest,
    MarketSnapshot,
    MonitorLimits,
    Needs,
    PositionStatus,
    Side,
    StoreError,
    StoreMode,
    Switch,
)
from rebalancer.adapters import MemoryStore
from rebalancer.testing import FakeExecutor, a_position
from rebalancer.testing.fake_venue import Answer, Fate

if TYPE_CHECKING:
    from .conftest import World


async def test_a_position_that_holds_is_decided_and_nothing_is_sent(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)

    report = await monitor.check_all_positions()

    assert [decision.action for decision in report.decisions] == [Action.HOLD]
    assert report.active
    assert (report.skipped, report.failures, report.alarms) == ((), (), ())
    assert world.sent == []
    assert await monitor.get_open_positions() == (await world.store.position(position.id),)


async def test_a_flip_closes_both_legs_in_the_same_tick(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()

    report = await monitor.check_all_positions()

    assert report.begun == report.ended == (position.id,)
    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.close_reason == "DIVERGENCE_FLIPPED"


async def test_a_leg_that_is_rejected_leaves_it_half_closed_and_is_tried_again(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(reject="no liquidity"))

    first, *_ = await world.ticks(monitor, 1)
    assert await world.status(position) is PositionStatus.HALF_CLOSED
    assert AlarmKind.HALF_CLOSED in {alarm.kind for alarm in first.alarms}

    await world.ticks(monitor, 1)
    assert await world.status(position) is PositionStatus.CLOSED
    states = {(intent.leg, intent.attempt): intent.state for intent in await world.intents(position)}
    assert states == {
        (Side.LONG, 1): IntentState.FILLED,
        (Side.SHORT, 1): IntentState.REJECTED,
        (Side.SHORT, 2): IntentState.FILLED,
    }
    assert (world.held, world.wrong) == ({}, [])


async def test_in_a_dry_run_a_close_is_recorded_and_changes_nothing(a_world: Callable[..., World]) -> None:
    world = a_world(mode=StoreMode.DRY)
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()

    reports = await world.ticks(monitor, 3)

    assert all("dry run" in report.skipped[0].why for report in reports)
    assert world.sent == []
    assert await world.status(position) is PositionStatus.OPEN
    kept = await world.store.decisions(position.opened_at)
    assert [(one.record.action, one.held) for one in kept] == [(Action.CLOSE, "dry run: nothing is sent")]


async def test_another_process_finishes_what_was_begun(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(answer=Answer.TIMEOUT))
    world.grvt.plan("find", Fate(answer=Answer.UNAVAILABLE))
    await world.ticks(monitor, 1)
    assert await world.status(position) is PositionStatus.HALF_CLOSED

    await world.ticks(world.monitor(), 1)

    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


async def test_a_run_ticks_at_each_full_minute_and_looks_at_a_close_in_between(world: World) -> None:
    monitor = world.monitor(limits=MonitorLimits(call_deadline=timedelta(seconds=10)))
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(reject="no liquidity"), times=3)
    world.clock.advance(timedelta(seconds=7))
    started = world.clock.now()

    running = asyncio.ensure_future(monitor.run(every=timedelta(minutes=1)))
    while await world.status(position) is not PositionStatus.CLOSED:
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait((running,))

    assert world.clock.now() - started < timedelta(minutes=1)
    assert (world.held, world.wrong) == ({}, [])


@pytest.mark.parametrize(
    ("switch", "why"), [(Switch.PAUSE, "the switch is on pause"), (Switch.KILL, "the kill switch is on")]
)
async def test_an_exit_that_the_switch_forbids_in_mid_tick_is_skipped_and_no_failure(
    world: World, switch: Switch, why: str
) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    snapshot = world.rates.snapshot

    async def meanwhile(request: MarketRequest) -> MarketSnapshot:
        await world.store.set_switch(switch)
        return await snapshot(request)

    world.rates.snapshot = meanwhile  # type: ignore[method-assign]

    report = await monitor.check_all_positions()

    (skipped,) = report.skipped
    assert (skipped.position_id, why in skipped.why) == (position.id, True)
    assert (report.begun, report.failures, report.alarms) == ((), (), ())
    assert world.sent == []


async def test_a_store_that_does_not_answer_leaves_it_unknown_who_is_active(world: World) -> None:
    monitor = world.monitor()
    acquire = world.store.acquire

    async def down(*_: object) -> None:
        raise OSError

    world.store.acquire = down  # type: ignore[method-assign, assignment]
    (first,) = await world.ticks(monitor, 1)
    world.store.acquire = acquire  # type: ignore[method-assign]
    (works,) = await world.ticks(monitor, 1)
    world.store.acquire = down  # type: ignore[method-assign, assignment]
    (again,) = await world.ticks(monitor, 1)

    assert [report.active for report in (first, works, again)] == [None, True, None]
    assert {alarm.kind for alarm in first.alarms} == {AlarmKind.STORE}


async def test_a_monitor_whose_store_fails_after_it_was_elected_is_active(world: World) -> None:
    async def down(*_: object) -> None:
        raise OSError

    world.store.live = down  # type: ignore[method-assign, assignment]

    report = await world.monitor().check_all_positions()

    assert report.active is True
    assert report.failures


async def test_with_an_executor_that_reads_no_legs_no_exit_begins(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No exit could ever be proved."""
    await world.adopted(world.monitor())
    monkeypatch.setattr(FakeExecutor, "supplies", Needs(rates=False))
    world.flip()

    (report,) = await world.ticks(world.monitor(), 1)

    assert [one.why for one in report.skipped] == ["a leg was not read in this tick: no close begins"]
    assert world.sent == []


@pytest.mark.parametrize("text", ["the database\nis away", "", "x" * 900])
async def test_whatever_a_store_says_of_one_exit_the_others_begin(a_world: Callable[..., World], text: str) -> None:
    class Refusing(MemoryStore):
        async def commit(self, lease: Lease, batch: Batch) -> None:
            if any(intent.position_id == first.id for intent in batch.intents):
                raise StoreError(text)
            await super().commit(lease, batch)

    world = a_world(symbols=("BTC", "ETH"))
    world.store = Refusing(mode=StoreMode.LIVE, clock=world.clock)
    monitor = world.monitor()
    first, second = sorted([a_position(symbol=symbol) for symbol in ("BTC", "ETH")], key=lambda one: one.id.int)
    for position in (first, second):
        await world.adopted(monitor, position.symbol)
    world.flip()

    (report,) = await world.ticks(monitor, 1)

    assert report.begun == (second.id,)
    assert [failure.what for failure in report.failures] == [str(first.pair)]
    assert await world.status(first) is PositionStatus.OPEN
    assert await world.status(second) is PositionStatus.CLOSED
