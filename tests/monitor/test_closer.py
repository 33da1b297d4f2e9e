"""Closes on their way to the end: every kind of venue, everything that can come between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import (
    AlarmKind,
    Capabilities,
    Intent,
    IntentState,
    LedgerKind,
    PositionStatus,
    Side,
    Switch,
    TickReport,
)
from rebalancer.rules.liquidation_distance import LiquidationDistance
from rebalancer.testing import FakeExecutor, a_position
from rebalancer.testing.fake_venue import Answer, Fate, Habits, Stamps

if TYPE_CHECKING:
    from .conftest import World

Worlds = Callable[..., Any]
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
VENUES: dict[str, dict[str, Any]] = {
    "reduces and dedupes": {"reduce_only": True, "ids": "forever"},
    "reduces and compares open orders": {"reduce_only": True, "ids": "open"},
    "reduces": {"reduce_only": True, "ids": "none"},
    "dedupes": {"reduce_only": False, "ids": "forever"},
}
WEAK = Capabilities(reads_legs=True, settle=timedelta(0))
FATES = {
    "fills": Fate(),
    "fills in part": Fate(share="0.3"),
    "is rejected": Fate(reject="no liquidity"),
    "fills late": Fate(answer=Answer.TIMEOUT, after=8 * SECOND),
    "arrives late": Fate(answer=Answer.RESET, arrives=8 * SECOND),
    "is lost": Fate(answer=Answer.TIMEOUT, done=False),
    "rests": Fate(answer=Answer.HINT, share="0.3", rests=True),
    "only a hint": Fate(answer=Answer.HINT),
    "503": Fate(answer=Answer.UNAVAILABLE),
}


def kinds(report: TickReport) -> set[AlarmKind]:
    return {alarm.kind for alarm in report.alarms}


def capable(world: World, **capabilities: Any) -> None:
    """Have the executor claim this of its venues."""
    world.executor = FakeExecutor(
        *world.venues.values(),
        capabilities={
            name: FakeExecutor(venue).capabilities(name).model_copy(update=capabilities)
            for name, venue in world.venues.items()
        },
    )


async def of_grvt(world: World, position: Any) -> list[Intent]:
    intents = (intent for intent in await world.intents(position) if intent.leg is Side.SHORT)
    return sorted(intents, key=lambda intent: intent.attempt)


async def ended(world: World, monitor: Any, position: Any, *, ticks: int = 30, every: float = 5) -> None:
    """Ticks until a position is closed."""
    for _ in range(ticks):
        await world.ticks(monitor, 1, every=every)
        if await world.status(position) is PositionStatus.CLOSED:
            break


async def begun(world: World, monitor: Any, *fates: Fate, **fields: Any) -> Any:
    """A close that has begun a minute after everything was held; the orders on grvt have these fates."""
    position = await world.adopted(monitor, **fields)
    world.clock.advance(MINUTE)
    world.flip()
    for fate in fates:
        world.grvt.plan("place", fate)
    await world.ticks(monitor, 1)
    return position


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize(
    ("fate", "finds"),
    [*((fate, True) for fate in FATES), *((fate, False) for fate in ("fills late", "arrives late", "is lost"))],
)
async def test_every_close_ends_flat_by_orders_that_close_nothing_else(
    venue: str,
    fate: str,
    finds: bool,  # noqa: FBT001
    a_world: Worlds,
) -> None:
    world = a_world(habits=Habits(**VENUES[venue], find_lag=3 * SECOND, read_lag=2 * SECOND))
    capable(world, settle=12 * SECOND, finds_ids=finds)
    if not finds:  # an order that rests where nobody can find it has no settle, and is not tried here
        world.grvt.plan("find", Fate(answer=Answer.UNAVAILABLE), times=None)
    world.hold()
    world.clock.advance(MINUTE)
    monitor = world.monitor()
    position = await monitor.adopt(a_position())
    world.flip()
    world.grvt.plan("place", FATES[fate])

    await ended(world, monitor, position)
    world.clock.advance(MINUTE)

    assert (await world.status(position), world.held, world.wrong) == (PositionStatus.CLOSED, {}, [])
    assert world.closes[str(position.id), "short"].quantity == Decimal("0.1")


# Parts


async def test_a_part_that_filled_is_not_closed_again(world: World) -> None:
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(share="0.3"), Fate(share="0.5"))
    await world.ticks(monitor, 3)
    intents = await of_grvt(world, position)
    assert [(one.state, str(one.quantity), str(one.filled)) for one in intents] == [
        (IntentState.PARTIAL, "0.1", "0.03"),
        (IntentState.PARTIAL, "0.07", "0.035"),
        (IntentState.FILLED, "0.035", "0.035"),
    ]
    assert (world.held, world.wrong) == ({}, [])


async def test_attempts_wait_longer_and_longer_and_are_an_alarm_at_last(world: World) -> None:
    monitor = world.monitor()
    position = await begun(world, monitor, *[Fate(reject="no liquidity")] * 40)
    reports = await world.ticks(monitor, 80, every=4)
    sent = [one.sent_at for one in await of_grvt(world, position) if one.sent_at is not None]
    gaps = [(later - before) / SECOND for before, later in pairwise(sent)]
    assert gaps[0] <= 5
    assert 24 < max(gaps) <= 64
    assert max(gaps) in gaps[-4:]
    assert len(sent) < 15
    assert AlarmKind.STALLED not in kinds(reports[3])
    assert AlarmKind.STALLED in kinds(reports[-1])
    assert await world.status(position) is PositionStatus.HALF_CLOSED


# Orders that rest


async def test_an_order_that_rests_is_cancelled_at_its_deadline_and_the_rest_is_closed(world: World) -> None:
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(answer=Answer.HINT, share="0.3", rests=True))
    await world.ticks(monitor, 5)
    assert [one.state for one in await of_grvt(world, position)] == [IntentState.SENT]
    await world.ticks(monitor, 3)
    states = [(one.state, str(one.filled)) for one in await of_grvt(world, position)]
    assert states == [(IntentState.PARTIAL, "0.03"), (IntentState.FILLED, "0.07")]
    assert (world.held, world.wrong, await world.status(position)) == ({}, [], PositionStatus.CLOSED)


async def test_a_cancel_that_loses_the_race_is_a_fill(world: World) -> None:
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(answer=Answer.HINT, share="0.3", rests=True))
    world.grvt.plan("cancel", Fate(loses=True))
    await world.ticks(monitor, 8)
    assert [(one.state, str(one.filled)) for one in await of_grvt(world, position)] == [(IntentState.FILLED, "0.1")]
    assert (world.held, world.wrong) == ({}, [])


@pytest.mark.parametrize(
    "fate", [Fate(answer=Answer.UNAVAILABLE), Fate(answer=Answer.TIMEOUT, done=False), Fate(after=3 * SECOND)]
)
async def test_a_cancel_of_which_nothing_is_known_is_tried_again(world: World, fate: Fate) -> None:
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(answer=Answer.HINT, share="0.3", rests=True))
    world.grvt.plan("cancel", fate)
    await world.ticks(monitor, 12)
    assert (world.held, world.wrong, await world.status(position)) == ({}, [], PositionStatus.CLOSED)


# Orders of which nothing is known


@pytest.mark.parametrize("venue", ["reduces and dedupes", "dedupes"])
async def test_an_order_that_is_lost_is_sent_again_under_its_own_key(a_world: Worlds, venue: str) -> None:
    world = a_world(habits=Habits(**VENUES[venue]))
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(answer=Answer.TIMEOUT, done=False))
    await world.ticks(monitor, 1)
    intents = await of_grvt(world, position)
    assert [(one.attempt, one.state) for one in intents] == [(1, IntentState.FILLED)]
    ids = [fact["id"] for fact in world.sent if fact["venue"] == "grvt"]
    assert ids == [intents[0].key]
    assert world.held == {}


async def test_where_ids_are_forgotten_a_resend_waits_for_settle(a_world: Worlds) -> None:
    world = a_world(habits=Habits(**VENUES["reduces"]))
    capable(world, settle=12 * SECOND)
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(answer=Answer.TIMEOUT, done=False))
    await world.ticks(monitor, 2)
    assert [one for one in world.sent if one["venue"] == "grvt"] == []
    await world.ticks(monitor, 2)
    assert [one["id"] for one in world.sent if one["venue"] == "grvt"] == [(await of_grvt(world, position))[0].key]


async def test_a_fill_that_nobody_reported_is_found_by_the_zero_that_it_leaves(a_world: Worlds) -> None:
    world = a_world()
    capable(world, settle=12 * SECOND, finds_ids=False)
    world.grvt.plan("find", Fate(answer=Answer.NULL), times=None)
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(answer=Answer.TIMEOUT))
    await world.ticks(monitor, 2)
    assert [one.state for one in await of_grvt(world, position)] == [IntentState.SENT]
    await world.ticks(monitor, 2)
    (intent,) = await of_grvt(world, position)
    assert (intent.state, intent.filled) == (IntentState.FILLED, None)
    assert intent.flat_at is not None
    assert await world.status(position) is PositionStatus.CLOSED


@pytest.mark.parametrize("stamps", Stamps)
async def test_reads_that_lag_end_nothing_too_early(a_world: Worlds, stamps: Stamps) -> None:
    world = a_world(habits=Habits(stamps=stamps, read_lag=8 * SECOND))
    world.hold()
    world.clock.advance(MINUTE)
    monitor = world.monitor()
    position = await monitor.adopt(a_position())
    world.flip()
    world.grvt.plan("find", Fate(answer=Answer.UNAVAILABLE), times=None)
    world.grvt.plan("place", Fate(answer=Answer.TIMEOUT, share="0.5"))
    await ended(world, monitor, position, ticks=10, every=3)
    world.grvt.unplan()
    await ended(world, monitor, position, every=3)
    assert (world.held, world.wrong, await world.status(position)) == ({}, [], PositionStatus.CLOSED)


# Alarms and persons


async def test_an_unread_leg_that_is_closing_waits_with_an_alarm_and_goes_on_when_it_is_read(a_world: Worlds) -> None:
    world = a_world(habits=Habits(**VENUES["dedupes"]))
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(reject="no liquidity"))
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=3)
    reports = await world.ticks(monitor, 3)
    assert all(AlarmKind.UNREAD in kinds(report) for report in reports)
    assert len([one for one in world.sent if one["venue"] == "grvt"]) == 1
    await world.ticks(monitor, 1)
    assert await world.status(position) is PositionStatus.CLOSED


async def test_a_close_that_was_planned_and_never_sent_waits_until_both_legs_are_read(world: World) -> None:
    able, world.executor = (
        world.executor,
        FakeExecutor(*world.venues.values(), capabilities=dict.fromkeys(world.venues, WEAK)),
    )
    monitor = world.monitor()
    position = await begun(world, monitor)
    world.executor = able
    monitor = world.monitor()
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=2)
    await world.ticks(monitor, 2)
    assert world.sent == []
    await world.ticks(monitor, 1)
    assert await world.status(position) is PositionStatus.CLOSED


async def test_once_a_close_has_begun_an_unread_leg_does_not_hold_up_the_other_one(world: World) -> None:
    monitor = world.monitor()
    world.lighter.plan("place", Fate(reject="no liquidity"))
    await begun(world, monitor, Fate(share="0.5"))
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE))
    await world.ticks(monitor, 1)
    assert world.held == {("grvt", "BTC"): Decimal("-0.05")}


async def test_orders_that_were_rejected_began_nothing_so_an_unread_leg_holds_the_close(world: World) -> None:
    monitor = world.monitor()
    world.lighter.plan("place", Fate(reject="no liquidity"))
    position = await begun(world, monitor, Fate(reject="no liquidity"))
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=3)

    await world.ticks(monitor, 3)
    assert world.held == {("lighter", "BTC"): Decimal("0.1"), ("grvt", "BTC"): Decimal("-0.1")}

    await world.ticks(monitor, 1)
    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


async def test_a_close_with_one_supervised_leg_begins_when_that_is_approved(world: World) -> None:
    true = world.executor.capabilities("grvt")
    weak = true.model_copy(update={"reduce_only": False, "dedupes_ids": False})
    world.executor = FakeExecutor(world.lighter, world.grvt, capabilities={"grvt": weak})
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()

    (report, *_) = await world.ticks(monitor, 2)
    assert world.sent == []

    (waiting,) = [alarm for alarm in report.alarms if alarm.kind is AlarmKind.NEEDS_APPROVAL]
    await monitor.approve(str(waiting.approve))
    await world.ticks(monitor, 1)
    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


async def test_a_half_close_is_finished_without_a_read_where_orders_only_reduce(world: World) -> None:
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(reject="no liquidity"))
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=None)
    await world.ticks(monitor, 2)
    assert (world.held, world.wrong) == ({}, [])
    assert await world.status(position) is PositionStatus.CLOSED


@pytest.mark.parametrize("venue", ["reduces", "dedupes"])
async def test_before_a_liquidation_an_unread_leg_is_closed_only_by_an_order_that_reduces(
    a_world: Worlds, venue: str
) -> None:
    world = a_world(habits=Habits(**VENUES[venue]))
    executor = world.executor = Near(world.lighter, world.grvt)
    world.strategy = LiquidationDistance()
    monitor = world.monitor()
    position = await world.adopted(monitor)
    executor.near = True
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=None)
    await world.ticks(monitor, 2)
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.close_reason == "LIQUIDATION_DISTANCE"
    assert world.held == ({} if venue == "reduces" else {("grvt", "BTC"): Decimal("-0.1")})


class Near(FakeExecutor):
    """Its legs on lighter are close to their liquidation once it says so."""

    near = False

    async def read_legs(self, markets: Any) -> Any:
        legs = dict(await super().read_legs(markets))
        for market, state in legs.items():
            if self.near and market.venue == "lighter" and hasattr(state, "mark_price"):
                legs[market] = state.model_copy(update={"liquidation_price": state.mark_price})
        return legs


async def test_a_leg_on_the_wrong_side_that_is_closing_is_left_alone_with_an_alarm(world: World) -> None:
    monitor = world.monitor()
    await begun(world, monitor, Fate(reject="no liquidity"))
    world.grvt.change("BTC", "0.15")
    (report,) = await world.ticks(monitor, 1)
    assert AlarmKind.UNEXPECTED_LEG in kinds(report)
    assert world.held == {("grvt", "BTC"): Decimal("0.05")}


async def test_an_order_of_a_supervised_venue_waits_for_a_person_and_is_sent_once_approved(world: World) -> None:
    capable(world, reduce_only=False, dedupes_ids=False)
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    (report,) = await world.ticks(monitor, 1)
    waiting = {alarm.approve for alarm in report.alarms if alarm.kind is AlarmKind.NEEDS_APPROVAL}
    assert waiting == {intent.key for intent in await world.intents(position)}
    for key in waiting:
        assert key is not None
        await monitor.approve(key)
    assert world.sent == []
    await world.ticks(monitor, 1)
    assert (world.held, await world.status(position)) == ({}, PositionStatus.CLOSED)


# The switch


async def test_on_pause_what_was_begun_is_finished(world: World) -> None:
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(reject="no liquidity"))
    await monitor.pause()
    await world.ticks(monitor, 2)
    assert (world.held, await world.status(position)) == ({}, PositionStatus.CLOSED)


async def test_a_kill_sends_nothing_and_still_learns_what_became_of_an_order(world: World) -> None:
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(answer=Answer.TIMEOUT, after=20 * SECOND))
    await monitor.kill()
    before = len(world.sent)
    reports = await world.ticks(monitor, 8)
    assert {report.switch for report in reports} == {Switch.KILL}
    assert len(world.sent) == before
    assert await world.status(position) is PositionStatus.CLOSED


async def test_a_kill_plans_no_other_attempt_and_a_resume_goes_on(world: World) -> None:
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(reject="no liquidity"))
    await monitor.kill()
    reports = await world.ticks(monitor, 5, every=60)
    assert all(AlarmKind.HALF_CLOSED in kinds(report) for report in reports)
    assert len([one for one in world.sent if one["venue"] == "grvt"]) == 1
    await monitor.resume()
    await world.ticks(monitor, 1)
    assert await world.status(position) is PositionStatus.CLOSED


async def test_a_kill_cancels_nothing(world: World) -> None:
    monitor = world.monitor()
    await begun(world, monitor, Fate(answer=Answer.HINT, share="0.3", rests=True))
    await monitor.kill()
    await world.ticks(monitor, 8, every=60)
    assert [fact for fact in world.facts if fact["fact"] == "ended" and fact["venue"] == "grvt"] == []


# Money


async def test_fees_are_booked_once_for_each_order(a_world: Worlds) -> None:
    world = a_world(habits=Habits(fee_bps="5"))
    monitor = world.monitor()
    position = await begun(world, monitor, Fate(share="0.5"))
    await world.ticks(monitor, 3)
    fees = [entry for entry in await world.store.ledger(position.id) if entry.kind is LedgerKind.FEE]
    assert sorted((entry.venue, str(entry.amount_usd)) for entry in fees) == [
        ("grvt", "-2.5"),
        ("grvt", "-2.5"),
        ("lighter", "-5"),
    ]
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.fees_paid_usd == 10


# One pass does not disturb another


async def test_nothing_is_sent_twice_by_ticks_that_come_at_once(world: World) -> None:
    monitor = world.monitor()
    await world.adopted(monitor)
    world.flip()
    await asyncio.gather(*(monitor.check_all_positions() for _ in range(3)))
    assert len(world.sent) == 2
