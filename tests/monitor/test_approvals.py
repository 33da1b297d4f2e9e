"""What a person may let go: only what waits, under the name that it has now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from rebalancer import AlarmKind, InputError, IntentState, Position, PositionMonitor, PositionStatus
from rebalancer.testing.fake_venue import Fate

if TYPE_CHECKING:
    from .conftest import World

SYMBOLS = ("AAA", "BBB", "CCC")
HOLDS = {"lighter": "0.0001", "grvt": "0.0003"}


async def a_mass_exit(a_world: Callable[..., World]) -> tuple[World, PositionMonitor, list[Position], list[str]]:
    """Three positions that want out at once, and the names under which they wait."""
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    positions = [await world.adopted(monitor, symbol) for symbol in SYMBOLS]
    world.flip()
    return world, monitor, positions, await names(world, monitor)


async def names(world: World, monitor: PositionMonitor) -> list[str]:
    """The names under which exits wait after another tick."""
    (report,) = await world.ticks(monitor, 1)
    waiting = [alarm for alarm in report.alarms if alarm.kind is AlarmKind.NEEDS_APPROVAL]
    return [alarm.approve for alarm in waiting if alarm.approve is not None]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("again", [False, True])
async def test_a_name_of_before_lets_nothing_go(
    a_world: Callable[..., World],
    restarts: bool,  # noqa: FBT001
    again: bool,  # noqa: FBT001
) -> None:
    world, monitor, positions, before = await a_mass_exit(a_world)
    world.rates.of.update(HOLDS)
    await world.ticks(monitor, 2, every=600)
    if again:
        world.flip()
        assert not set(before) & set(await names(world, monitor))

    with pytest.raises(InputError, match="nothing of this name waits"):
        await (world.monitor() if restarts else monitor).approve(before[0])

    await world.ticks(monitor, 1)
    assert [await world.status(position) for position in positions] == [PositionStatus.OPEN] * 3


async def test_the_name_of_a_position_that_is_closed_lets_nothing_go(a_world: Callable[..., World]) -> None:
    _, monitor, positions, waiting = await a_mass_exit(a_world)
    for position in positions:
        await monitor.close(position.id)

    for name in waiting:
        with pytest.raises(InputError, match="not open any more"):
            await monitor.approve(name)


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_tick_without_data_ends_no_approval(
    a_world: Callable[..., World],
    restarts: bool,  # noqa: FBT001
) -> None:
    world, monitor, positions, waiting = await a_mass_exit(a_world)
    await monitor.approve(waiting[0])
    world.rates.down = True
    await world.ticks(monitor, 2)
    world.rates.down = False

    await world.ticks(world.monitor() if restarts else monitor, 1)

    statuses = [await world.status(position) for position in positions]
    assert statuses.count(PositionStatus.CLOSED) == 1


async def test_a_clock_that_is_set_back_ends_no_approval(a_world: Callable[..., World]) -> None:
    world, monitor, positions, waiting = await a_mass_exit(a_world)
    await monitor.approve(waiting[0])
    world.clock.advance(-timedelta(seconds=3))

    await world.ticks(monitor, 1)

    statuses = [await world.status(position) for position in positions]
    assert statuses.count(PositionStatus.CLOSED) == 1


async def test_an_order_that_needs_no_approval_can_not_be_approved(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(reject="no liquidity"), times=9)
    await world.ticks(monitor, 2)
    (waits,) = [intent for intent in await world.intents(position) if intent.state is IntentState.PLANNED]

    with pytest.raises(InputError, match="nothing of this name waits"):
        await monitor.approve(waits.key)

    (after,) = [intent for intent in await world.intents(position) if intent.key == waits.key]
    assert after.approved_at is None
