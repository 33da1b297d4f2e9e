"""What waits for nothing, what only looks as if it did, and what one position's past says of the next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from rebalancer import (
    AlarmKind,
    BaseRule,
    CombinedStrategy,
    Conflict,
    DivergenceFlip,
    InputError,
    Known,
    LegState,
    LiquidationDistance,
    MonitorLimits,
    Needs,
    PositionStatus,
    RuleContext,
    Verdict,
)
from rebalancer.domain.names import Market
from rebalancer.testing import FakeExecutor, a_position
from rebalancer.testing.fake_venue import Answer, Fate, Habits, Ids

if TYPE_CHECKING:
    from .conftest import World

Worlds = Callable[..., "World"]
THREE = ("BTC", "ETH", "SOL")


class Close(FakeExecutor):
    """An executor whose legs are all close to liquidation, once `near`."""

    near = False

    @property
    def supplies(self) -> Needs:
        return Needs(rates=False, legs=True, mark_price=True)

    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        read = await super().read_legs(markets)
        near = {"liquidation_price": 99_000 if self.near else 10_000}
        return {
            market: state.model_copy(update=near) if isinstance(state, Known) and state.quantity else state
            for market, state in read.items()
        }


async def with_legs_gone(world: World) -> None:
    """The long legs of all positions are gone, which two reads have shown."""
    for symbol in THREE:
        world.lighter.liquidate(symbol)


async def test_flatten_closes_what_is_left_of_positions_whose_legs_are_gone(a_world: Worlds) -> None:
    world = a_world(symbols=THREE)
    monitor = world.monitor()
    positions = [await world.adopted(monitor, symbol) for symbol in THREE]
    await with_legs_gone(world)
    await monitor.flatten()

    await world.ticks(monitor, 4)

    assert {await world.status(position) for position in positions} == {PositionStatus.CLOSED}
    assert (world.held, world.wrong) == ({}, [])


async def test_without_flatten_they_wait_for_a_person(a_world: Worlds) -> None:
    world = a_world(symbols=THREE)
    monitor = world.monitor()
    positions = [await world.adopted(monitor, symbol) for symbol in THREE]
    await with_legs_gone(world)

    reports = await world.ticks(monitor, 4)

    assert {await world.status(position) for position in positions} == {PositionStatus.OPEN}
    assert {alarm.kind for alarm in reports[-1].alarms} == {AlarmKind.LEG_GONE, AlarmKind.NEEDS_APPROVAL}


async def test_a_liquidation_exit_stays_one_when_a_leg_is_gone(a_world: Worlds) -> None:
    world = a_world(symbols=THREE)
    executor = world.executor = Close(world.lighter, world.grvt)
    world.strategy = CombinedStrategy(LiquidationDistance(), DivergenceFlip())
    monitor = world.monitor()
    positions = [await world.adopted(monitor, symbol) for symbol in THREE]
    await with_legs_gone(world)
    executor.near = True

    await world.ticks(monitor, 4)

    assert {await world.status(position) for position in positions} == {PositionStatus.CLOSED}
    assert (world.held, world.wrong) == ({}, [])


async def test_liquidation_is_looked_at_however_many_want_out(a_world: Worlds) -> None:
    symbols = tuple(f"S{number}" for number in range(7))
    world = a_world(symbols=symbols)
    executor = world.executor = Close(world.lighter, world.grvt)
    world.strategy = CombinedStrategy(LiquidationDistance(), DivergenceFlip())
    monitor = world.monitor(limits=MonitorLimits(records_per_tick=1, closes_per_minute=1))
    positions = [await world.adopted(monitor, symbol) for symbol in symbols]
    executor.near = True

    (report,) = await world.ticks(monitor, 1)

    assert set(report.begun) == {position.id for position in positions}


async def test_flatten_does_not_hold_back_a_liquidation_exit_with_a_leg_unread(a_world: Worlds) -> None:
    world = a_world()
    executor = world.executor = Close(world.lighter, world.grvt)
    world.strategy = LiquidationDistance()
    monitor = world.monitor()
    await world.adopted(monitor)
    await monitor.flatten()
    executor.near = True
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=None)

    report = await monitor.check_all_positions()

    assert len(report.begun) == 1


class Flatten(BaseRule):
    """A rule of somebody's, with the name of one of ours."""

    def evaluate(self, ctx: RuleContext) -> Verdict:
        return Verdict.close("it always wants out")


async def test_a_rule_is_exempt_by_what_it_is_and_not_by_its_name(a_world: Worlds) -> None:
    world = a_world(symbols=THREE)
    world.strategy = CombinedStrategy(Flatten())
    monitor = world.monitor()
    for symbol in THREE:
        await world.adopted(monitor, symbol)

    report = await monitor.check_all_positions()

    assert (report.begun, len(report.skipped)) == ((), 3)


@pytest.mark.parametrize("reason", ["LIQUIDATION_DISTANCE", "FLATTEN", "LEG_GONE", "BLIND", "CLOSED_EXTERNALLY"])
async def test_a_person_can_not_borrow_a_reason_of_the_monitor(world: World, reason: str) -> None:
    world.executor = Close(world.lighter, world.grvt)
    world.strategy = LiquidationDistance()
    monitor = world.monitor()
    position = await world.adopted(monitor)
    with pytest.raises(InputError, match="the monitor's own"):
        await monitor.close(position.id, reason)
    assert await world.status(position) is PositionStatus.OPEN


async def test_a_hand_close_is_refused_while_a_leg_can_not_be_read(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE))

    with pytest.raises(Conflict, match="was not read"):
        await monitor.close(position.id)

    assert await world.status(position) is PositionStatus.OPEN
    assert (await monitor.close(position.id)).status is PositionStatus.CLOSED


async def test_a_surplus_beside_a_leg_that_is_gone_is_not_traded(a_world: Worlds) -> None:
    world = a_world(habits=Habits(ids=Ids.NONE))
    true = world.executor.capabilities("grvt")
    blind = true.model_copy(update={"finds_ids": False, "settle": timedelta(seconds=5)})
    world.executor = FakeExecutor(world.lighter, world.grvt, capabilities={"grvt": blind})
    monitor = world.monitor()
    await world.adopted(monitor)
    world.lighter.liquidate("BTC")
    world.grvt.change("BTC", "-0.05")
    world.grvt.plan("place", Fate(answer=Answer.TIMEOUT))
    world.grvt.plan("find", Fate(answer=Answer.UNAVAILABLE), times=None)

    reports = await world.ticks(monitor, 30)

    assert world.held == {("grvt", "BTC"): Decimal("-0.05")}
    assert AlarmKind.ORDER_UNKNOWN in {alarm.kind for alarm in reports[-1].alarms}


async def test_a_zero_that_one_position_left_says_nothing_of_the_next(world: World) -> None:
    monitor = world.monitor()
    await world.adopted(monitor)
    world.lighter.close("BTC")
    world.grvt.close("BTC")
    await world.ticks(monitor, 2)
    following = await world.adopted(monitor, opened_at=world.clock.now())
    for venue in world.venues.values():
        venue.plan("read", Fate(lag=timedelta(seconds=3)))

    await world.ticks(monitor, 1)

    assert await world.status(following) is PositionStatus.OPEN


class Stale(FakeExecutor):
    """Reads that say when the position last changed, and not when they were true."""

    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        read = await super().read_legs(markets)
        at = a_position().opened_at
        return {market: state.model_copy(update={"as_of": at}) for market, state in read.items()}


@pytest.mark.parametrize("wanted", [False, True])
async def test_a_zero_that_is_never_proved_is_an_alarm(world: World, wanted: bool) -> None:  # noqa: FBT001
    slow = world.executor.capabilities("grvt").model_copy(update={"settle": timedelta(seconds=5)})
    world.executor = Stale(world.lighter, world.grvt, capabilities=dict.fromkeys(world.venues, slow))
    monitor = world.monitor()
    position = await world.adopted(monitor)
    if wanted:
        for venue in world.venues.values():
            venue.plan("place", Fate(reject="no liquidity"))
        world.flip()
        await world.ticks(monitor, 1)
    for venue in world.venues.values():
        venue.close("BTC")

    reports = await world.ticks(monitor, 20, every=60)

    assert await world.status(position) is not PositionStatus.CLOSED
    kind = AlarmKind.STALLED if wanted else AlarmKind.UNEXPECTED_LEG
    assert kind in {alarm.kind for alarm in reports[-1].alarms}


async def test_a_supervised_order_that_was_lost_asks_for_another_approval(a_world: Worlds) -> None:
    world = a_world(habits=Habits(reduce_only=False, ids=Ids.NONE))
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    await world.ticks(monitor, 1)
    world.grvt.plan("place", Fate(answer=Answer.TIMEOUT, done=False))
    for intent in await world.store.intents():
        await monitor.approve(intent.key)

    reports = await world.ticks(monitor, 10)
    waiting = [alarm for alarm in reports[-1].alarms if alarm.kind is AlarmKind.NEEDS_APPROVAL]
    assert [alarm.approve for alarm in waiting] == [intent.key for intent in await world.store.intents()]

    await monitor.approve(str(waiting[0].approve))
    await world.ticks(monitor, 1)
    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])
