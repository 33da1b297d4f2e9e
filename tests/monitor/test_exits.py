"""How many exits may begin: spacing, a minute's rate, and the mass exit that waits for a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import (
    Alarm,
    AlarmKind,
    LiquidationDistance,
    MonitorLimits,
    Position,
    PositionMonitor,
    PositionStatus,
    TickReport,
    TimeLimit,
    Urgency,
    presets,
)
from rebalancer.monitor.exits import MASS_EXIT, RATE, SPACING, Exits, Wanted
from rebalancer.testing import AS_OF, a_position
from rebalancer.testing.fake_venue import Answer, Fate

if TYPE_CHECKING:
    from .conftest import World

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
WINDOW = timedelta(minutes=15)


def some(count: int, **fields: Any) -> list[Position]:
    """Positions that were opened long ago, in order of their ids."""
    positions = [a_position(symbol=f"S{number}", **fields) for number in range(count)]
    return sorted(positions, key=lambda position: position.id.int)


def held(exits: Exits, leaving: Sequence[Position], there: Sequence[Position], **wanted: Any) -> list[str]:
    """Why those that want to leave may not."""
    asked = [Wanted(position, Urgency.NORMAL, **wanted) for position in leaving]
    return list(exits.held(asked, there, AS_OF).values())


@pytest.mark.parametrize(
    ("there", "leaving", "waits"),
    [
        (1, 1, False),
        (2, 2, False),
        (3, 2, False),
        (3, 3, True),
        (4, 3, True),
        (5, 3, True),
        (6, 3, False),
        (6, 4, True),
    ],
)
def test_more_than_half_and_more_than_two_wait(there: int, leaving: int, waits: bool) -> None:  # noqa: FBT001
    positions = some(there)

    why = held(Exits(MonitorLimits()), positions[:leaving], positions)

    assert why == ([MASS_EXIT] * leaving if waits else [])


@pytest.mark.parametrize(("ago", "waits"), [(WINDOW - SECOND, True), (WINDOW, False)])
def test_exits_that_began_within_the_window_count(ago: timedelta, waits: bool) -> None:  # noqa: FBT001
    exits, positions = Exits(MonitorLimits()), some(4)
    for position in positions[:2]:
        exits.began(position.id, AS_OF - ago, exempt=False)

    why = held(exits, positions[2:3], positions[2:])

    assert why == ([MASS_EXIT] if waits else [])


def test_what_is_exempt_neither_waits_nor_counts() -> None:
    exits, positions = Exits(MonitorLimits()), some(6)
    exits.began(positions[0].id, AS_OF, exempt=True)

    assert held(exits, positions[1:], positions[1:], exempt=True) == []
    assert held(exits, positions[1:3], positions[1:]) == []


def test_what_can_not_leave_counts_in_a_mass_exit() -> None:
    positions = some(4)
    asked = [Wanted(position, Urgency.NORMAL) for position in positions[:2]]
    hindered = [positions[2].id]

    assert set(Exits(MonitorLimits()).held(asked, positions, AS_OF, hindered=hindered).values()) == {MASS_EXIT}


def test_new_positions_are_no_reason_to_let_more_go() -> None:
    old, new = some(3), [a_position(symbol=f"N{number}", age=timedelta(minutes=5)) for number in range(9)]

    assert held(Exits(MonitorLimits()), old, [*old, *new]) == [MASS_EXIT] * 3


@pytest.mark.parametrize(("ago", "waits"), [(59, True), (60, False)])
def test_a_position_rests_after_an_action(ago: int, waits: bool) -> None:  # noqa: FBT001
    positions = some(1, last_action_at=AS_OF - timedelta(seconds=ago))

    assert held(Exits(MonitorLimits()), positions, positions) == ([SPACING] if waits else [])


def test_an_action_after_now_is_of_a_clock_that_was_set_back_and_holds_nothing_up() -> None:
    positions = some(1, last_action_at=AS_OF + timedelta(hours=1))

    assert held(Exits(MonitorLimits()), positions, positions) == []


@pytest.mark.parametrize("spared", ["exempt", "urgent", "approved"])
def test_rest_and_rate_do_not_count_for_what_is_urgent(spared: str) -> None:
    exits, positions = Exits(MonitorLimits(closes_per_minute=1)), some(1, last_action_at=AS_OF)
    exits.began(a_position(symbol="OTHER").id, AS_OF, exempt=False)

    assert held(exits, positions, positions, **{spared: True}) == []


@pytest.mark.parametrize(("ago", "free"), [(59, 1), (60, 2)])
def test_only_so_many_begin_in_a_minute_and_critical_ones_go_first(ago: int, free: int) -> None:
    exits, positions = Exits(MonitorLimits(closes_per_minute=2)), some(20)
    exits.began(a_position(symbol="OTHER").id, AS_OF - timedelta(seconds=ago), exempt=False)
    asked = [Wanted(positions[0], Urgency.NORMAL), Wanted(positions[1], Urgency.HIGH)]
    asked.append(Wanted(positions[2], Urgency.CRITICAL))

    why = exits.held(asked, positions, AS_OF)

    first = [positions[2], positions[1], positions[0]]
    assert why == {position.id: RATE for position in first[free:]}


def test_exits_after_now_are_of_a_clock_that_was_set_back_and_use_up_no_minute() -> None:
    exits, positions = Exits(MonitorLimits(closes_per_minute=1)), some(20)
    exits.began(a_position(symbol="OTHER").id, AS_OF + timedelta(hours=1), exempt=False)

    assert held(exits, positions[:1], positions) == []


def test_a_minutes_rate_is_kept_with_a_window_that_is_shorter_than_a_minute() -> None:
    exits, positions = Exits(MonitorLimits(closes_per_minute=1, mass_window=10 * SECOND)), some(20)
    exits.began(a_position(symbol="OTHER").id, AS_OF - 20 * SECOND, exempt=False)

    assert held(exits, positions[:1], positions) == [RATE]


def test_a_minutes_exits_count_in_no_mass_exit_of_a_shorter_window() -> None:
    exits, positions = Exits(MonitorLimits(mass_window=10 * SECOND)), some(4)
    for position in positions[:2]:
        exits.began(position.id, AS_OF - 20 * SECOND, exempt=False)

    assert held(exits, positions[2:3], positions[2:]) == []


def test_a_tie_is_broken_by_the_id_whatever_the_order() -> None:
    exits, positions = Exits(MonitorLimits(closes_per_minute=1)), some(20)
    asked = [Wanted(position, Urgency.NORMAL) for position in positions[:3]]

    assert exits.held(asked, positions, AS_OF).keys() == exits.held(asked[::-1], positions, AS_OF).keys()
    assert positions[0].id not in exits.held(asked, positions, AS_OF)


# Through the monitor


async def held_everywhere(world: World, monitor: PositionMonitor, count: int = 4) -> list[Position]:
    """So many positions that are held."""
    return [await world.adopted(monitor, symbol) for symbol in SYMBOLS[:count]]


def approvals(report: TickReport) -> list[Alarm]:
    """What waits for a person."""
    return [alarm for alarm in report.alarms if alarm.kind is AlarmKind.NEEDS_APPROVAL]


async def closed(world: World, positions: Sequence[Position]) -> int:
    """How many of them are closed."""
    return [await world.status(one) for one in positions].count(PositionStatus.CLOSED)


async def test_when_all_divergences_turn_at_once_nothing_leaves_and_each_asks_a_person(
    a_world: Callable[..., World],
) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    positions = await held_everywhere(world, monitor)
    world.flip()

    reports = await world.ticks(monitor, 3)

    assert world.sent == []
    for report in reports:
        assert {one.why for one in report.skipped} == {MASS_EXIT}
        assert {alarm.position_id for alarm in approvals(report)} == {position.id for position in positions}
        assert all(alarm.approve is not None for alarm in approvals(report))


async def test_the_alarm_of_a_mass_exit_gets_louder(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    await held_everywhere(world, monitor)
    world.flip()

    first, *_, last = await world.ticks(monitor, 8, every=5 * 60)

    assert {alarm.level for alarm in approvals(first)} == {"warning"}
    assert {alarm.level for alarm in approvals(last)} == {"critical"}


async def test_an_approval_lets_exactly_one_go(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    positions = await held_everywhere(world, monitor)
    world.flip()
    (report,) = await world.ticks(monitor, 1)
    alarm = approvals(report)[0]

    await monitor.approve(str(alarm.approve))
    await world.ticks(monitor, 5)

    assert await closed(world, positions) == 1
    assert await world.status(next(one for one in positions if one.id == alarm.position_id)) is PositionStatus.CLOSED


async def test_an_approval_counts_in_another_process(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    positions = await held_everywhere(world, monitor)
    world.flip()
    (report,) = await world.ticks(monitor, 1)

    await world.monitor().approve(str(approvals(report)[0].approve))
    await world.ticks(world.monitor(), 1)

    assert await closed(world, positions) == 1


@pytest.mark.parametrize(("after", "goes"), [(timedelta(hours=1), 1), (timedelta(hours=1, seconds=1), 0)])
async def test_an_approval_expires(a_world: Callable[..., World], after: timedelta, goes: int) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor(limits=MonitorLimits(record_every=timedelta(hours=5)))
    positions = await held_everywhere(world, monitor)
    world.flip()
    (report,) = await world.ticks(monitor, 1)
    await monitor.approve(str(approvals(report)[0].approve))
    world.clock.advance(after)

    await world.ticks(monitor, 1)

    assert await closed(world, positions) == goes


async def test_an_approval_is_not_spent_while_the_legs_can_not_be_read(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    positions = await held_everywhere(world, monitor)
    world.flip()
    (report,) = await world.ticks(monitor, 1)
    await monitor.approve(str(approvals(report)[0].approve))
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE))

    await world.ticks(monitor, 1)
    assert await closed(world, positions) == 0
    await world.ticks(monitor, 1)

    assert await closed(world, positions) == 1


async def test_an_approval_outlives_the_hourly_record(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    positions = await held_everywhere(world, monitor)
    world.flip()
    (report,) = await world.ticks(monitor, 1, every=59 * 60 + 50)
    await monitor.approve(str(approvals(report)[0].approve))
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE))
    await world.ticks(monitor, 1, every=20)

    await world.ticks(monitor, 1)

    assert await closed(world, positions) == 1


@pytest.mark.parametrize("restarts", [False, True])
async def test_an_approval_does_not_act_once_the_position_is_content_again(
    a_world: Callable[..., World],
    restarts: bool,  # noqa: FBT001
) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    positions = await held_everywhere(world, monitor)
    world.flip()
    (report,) = await world.ticks(monitor, 1)
    await monitor.approve(str(approvals(report)[0].approve))
    world.rates.of.update({"lighter": "0.0001", "grvt": "0.0003"})
    await world.ticks(monitor, 1)
    world.flip()

    await world.ticks(world.monitor() if restarts else monitor, 2)

    assert await closed(world, positions) == 0


async def test_two_may_always_leave_and_the_third_waits_until_the_window_has_passed(
    a_world: Callable[..., World],
) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    positions = await held_everywhere(world, monitor)
    world.flip("AAA", "BBB")
    await world.ticks(monitor, 1)
    assert await closed(world, positions) == 2
    world.flip("CCC")

    await world.ticks(world.monitor(), 1, every=60)  # another process: what began is read from the store
    assert await closed(world, positions) == 2

    world.clock.advance(WINDOW)
    await world.ticks(world.monitor(), 1)
    assert await closed(world, positions) == 3


async def test_a_person_closes_in_spite_of_a_mass_exit(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    positions = await held_everywhere(world, monitor)
    world.flip()
    await world.ticks(monitor, 1)

    for position in positions:
        await monitor.close(position.id)

    assert await closed(world, positions) == 4


async def test_flatten_closes_everything_at_once_legs_that_are_gone_too(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor(limits=MonitorLimits(closes_per_minute=1))
    positions = await held_everywhere(world, monitor, 6)
    await world.ticks(monitor, 1)
    for symbol in SYMBOLS[:4]:
        world.grvt.liquidate(symbol)
    await monitor.flatten()

    await world.ticks(monitor, 3)

    assert await closed(world, positions) == 6
    assert (world.held, world.wrong) == ({}, [])


async def test_legs_that_are_gone_everywhere_at_once_wait_for_a_person(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    await held_everywhere(world, monitor)
    await world.ticks(monitor, 1)
    for symbol in SYMBOLS[:4]:
        world.grvt.liquidate(symbol)

    reports = await world.ticks(monitor, 3)

    assert world.sent == []
    assert {one.why for one in reports[-1].skipped} == {MASS_EXIT}


async def test_liquidation_is_exempt_from_every_guard(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=SYMBOLS)
    world.strategy = LiquidationDistance() | presets.conservative()
    world.executor = near_liquidation(world)
    monitor = world.monitor(limits=MonitorLimits(closes_per_minute=1))
    positions = await held_everywhere(world, monitor, 6)

    await world.ticks(monitor, 1)

    assert await closed(world, positions) == 6


async def test_an_exit_that_began_is_finished_whatever_the_guards_say(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor(limits=MonitorLimits(closes_per_minute=1))
    positions = await held_everywhere(world, monitor)
    world.flip("AAA")
    world.grvt.plan("place", Fate(reject="no liquidity"), symbol="AAA")
    await world.ticks(monitor, 1)
    world.flip()

    await world.ticks(monitor, 2)

    assert await world.status(positions[0]) is PositionStatus.CLOSED
    assert await closed(world, positions) == 1


async def test_exits_beyond_a_minutes_rate_follow_in_the_next(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=SYMBOLS)
    world.strategy = TimeLimit(max_age=timedelta(hours=1))
    monitor = world.monitor(limits=MonitorLimits(closes_per_minute=2))
    positions = await held_everywhere(world, monitor, 6)
    for position in positions[3:]:  # only some are too old
        await monitor.close(position.id)
    there = [await world.adopted(monitor, symbol, opened_at=AS_OF - MINUTE * 20) for symbol in SYMBOLS[3:]]

    (first, second) = await world.ticks(monitor, 2, every=60)

    assert (len(first.begun), {one.why for one in first.skipped}) == (2, {RATE})
    assert (len(second.begun), second.skipped) == (1, ())
    assert await closed(world, there) == 0


def near_liquidation(world: World) -> object:
    """An executor whose legs are close to their liquidation price."""
    real = world.executor

    class Near(type(real)):  # type: ignore[misc]
        async def read_legs(self, markets: object) -> object:
            legs = await real.read_legs(markets)
            return {
                market: state.model_copy(update={"liquidation_price": state.mark_price}) if state.quantity else state
                for market, state in legs.items()
            }

    return Near(*world.venues.values())


@pytest.mark.parametrize("hindrance", ["a leg is not read", "it rests after an action"])
async def test_exits_that_can_not_begin_do_not_keep_back_those_that_can(
    a_world: Callable[..., World], hindrance: str
) -> None:
    symbols = tuple(f"S{number:02}" for number in range(24))
    world = a_world(symbols=symbols)
    monitor = world.monitor(limits=MonitorLimits(records_per_tick=2, closes_per_minute=2, action_spacing=WINDOW))
    rest = {"last_action_at": world.clock.now() + MINUTE} if hindrance == "it rests after an action" else {}
    ids = sorted(a_position(symbol=symbol).id.int for symbol in symbols)
    first = {symbol for symbol in symbols if a_position(symbol=symbol).id.int in ids[:2]}
    positions = [await world.adopted(monitor, symbol, **(rest if symbol in first else {})) for symbol in symbols]
    await world.ticks(monitor, 1, every=70)
    wanting = sorted(positions, key=lambda one: one.id.int)[:6]
    world.flip(*(one.symbol for one in wanting))
    unread = {one.symbol for one in wanting}
    read = world.executor.read_legs

    async def read_legs(markets: Any) -> Any:
        return {market: state for market, state in (await read(markets)).items() if market.symbol not in unread}

    world.executor.read_legs = read_legs
    await world.ticks(monitor, 4, every=70)  # all of them are held back, and so have a record
    unread.intersection_update(() if rest else first)

    reports = await world.ticks(monitor, 2, every=70)

    assert [len(report.begun) for report in reports] == [2, 2]
    assert {one.symbol for one in wanting if await world.status(one) is PositionStatus.OPEN} == first
