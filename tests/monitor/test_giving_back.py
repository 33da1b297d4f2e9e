"""The lease is given back when a monitor ends, so that the next one need not wait for it to run out."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from rebalancer import Lease
from rebalancer.adapters import MemoryStore

if TYPE_CHECKING:
    from .conftest import World


class Answering(MemoryStore):
    """Elects, and takes its time to say so."""

    slow = False

    async def acquire(self, holder: str, ttl: timedelta) -> Lease | None:
        lease = await super().acquire(holder, ttl)
        if self.slow:
            self.slow = False
            await asyncio.sleep(60)
        return lease


async def test_a_monitor_that_is_cancelled_while_it_asks_for_the_lease_gives_it_back(world: World) -> None:
    store = world.store = Answering(mode=world.store.mode, clock=world.clock)
    async with world.monitor() as monitor:
        store.slow = True
        tick = asyncio.ensure_future(monitor.check_all_positions())
        while store.slow:
            await asyncio.sleep(0)
        tick.cancel()
        await asyncio.wait((tick,))

    assert (await world.monitor().check_all_positions()).active
