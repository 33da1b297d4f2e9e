"""One tick, from the positions to what is left on the venues."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from rebalancer import Action, AlarmKind, IntentState, MonitorLimits, PositionStatus, Side, StoreMode
from rebalancer.testing.fake_venue import Fate

if TYPE_CHECKING:
    from .conftest import World


async def test_a_position_that_holds_is_decided_and_nothing_is_sent(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)

    report = await monitor.check_all_positions()

    assert [decision.action for decision in report.decisions] == [Action.HOLD]
    assert report.active and not report.skipped and not report.failures and not report.alarms
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
    assert stored is not None and stored.close_reason == "DIVERGENCE_FLIPPED"


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
    world.grvt.plan("place", Fate(answer="timeout"))
    world.grvt.plan("find", Fate(answer="503"))
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

    import asyncio

    running = asyncio.ensure_future(monitor.run(every=timedelta(minutes=1)))
    while await world.status(position) is not PositionStatus.CLOSED:
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait((running,))

    assert world.clock.now() - started < timedelta(minutes=1)
    assert (world.held, world.wrong) == ({}, [])
