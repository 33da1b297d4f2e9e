"""What a tick made is gone with it: nothing of it waits until the garbage collector looks for it.

A tick of thousands of positions makes a hundred MiB. What leads back to itself stays until it is collected, and while
that is done nothing else is.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from rebalancer import Rule, presets
from rebalancer.testing.fake_venue import Answer, Fate

if TYPE_CHECKING:
    from .conftest import World

STRATEGIES = {
    "conservative": presets.conservative(),
    "aggressive": presets.aggressive(),
    "adaptive": presets.adaptive(),
}
NO_ANSWER = Fate(answer=Answer.TIMEOUT)


def flip_and_lose(world: World) -> None:
    world.flip()
    world.lighter.plan("place", NO_ANSWER)


HAPPENS: dict[str, Callable[[World], object]] = {
    "nothing": lambda world: None,
    "the source is down": lambda world: setattr(world.rates, "down", True),
    "a rate is unknown": lambda world: world.rates.of.update(grvt=None),
    "legs can not be read": lambda world: world.lighter.plan("read", NO_ANSWER),
    "a leg is gone": lambda world: world.lighter.close("BTC"),
    "the rates flip": lambda world: world.flip(),
    "an order is lost": flip_and_lose,
}


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("happens", HAPPENS.values(), ids=HAPPENS)
async def test_a_tick_leaves_nothing_to_be_collected(
    world: World, strategy: Rule, happens: Callable[[World], object]
) -> None:
    world.strategy = strategy
    monitor = world.monitor()
    await world.adopted(monitor)
    await world.ticks(monitor, 2)
    happens(world)

    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(3):
            await monitor.check_all_positions()
            world.clock.advance(timedelta(seconds=30))
        gc.collect()
        left = [type(one) for one in gc.garbage if type(one).__module__.startswith("rebalancer.")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

    assert left == []
