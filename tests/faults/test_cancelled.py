"""A call of the monitor is cancelled wherever it waits: no task is left, and whoever goes on closes each leg once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Kit, Trial

FEWER = 11
"""The suite cancels at every eleventh instant, from another one on for each test; the campaign at each."""

LAST = 200
"""A run is not cancelled later than that: all is closed long before."""


async def ticks_twice(monitor: Any, trial: Trial) -> None:
    """Two ticks."""
    await monitor.check_all_positions()
    trial.world.clock.advance(timedelta(seconds=5))
    await monitor.check_all_positions()


async def closes(monitor: Any, trial: Trial) -> None:
    """A close by hand."""
    await monitor.close(trial.position.id)


async def adopts(monitor: Any, trial: Trial) -> None:
    """A position that is taken over once more, then a tick."""
    await monitor.adopt(trial.position)
    await monitor.check_all_positions()


async def runs(monitor: Any, trial: Trial) -> None:
    """A run, which never ends by itself."""
    await monitor.run(every=timedelta(minutes=1))


CALLS: dict[str, tuple[str, Callable[[Any, Trial], Awaitable[None]]]] = {
    "a tick": ("a venue that forgets ids", ticks_twice),
    "a tick with a resting order": ("an order that rests", ticks_twice),
    "a close by hand": ("a close by hand", closes),
    "taking over": ("a rejected leg", adopts),
    "a tick on a slow venue": ("reads that lag for minutes", ticks_twice),
    "a run": ("a leg that fills in part", runs),
}


async def cancelled(kit: Kit, name: str, at: int, *, same: bool, engine: Any = None) -> tuple[bool, list[str]]:
    """Whether it was cancelled before its end; what is wrong then, and when the same monitor or a fresh one goes on.

    It is cancelled when the event loop has gone round that often.
    """
    script, call = CALLS[name]
    trial = kit.trial(kit.scripts[script], 0, lambda steps, step: None, engine)
    monitor = await trial.begin()
    around = asyncio.all_tasks()
    task = asyncio.ensure_future(call(monitor, trial))
    for _ in range(at):
        await asyncio.sleep(0)
    early = task.cancel()
    await asyncio.wait((task,))
    left = asyncio.all_tasks() - around - {task}
    wrong = [f"a task is left: {one}" for one in left]
    wrong += [f"it was sent, and is not stored: {key}" for key in await trial.unstored()]
    if not early:
        task.result()
    following = monitor if same else trial.fresh()
    if await following.get_open_positions():
        await kit.scripts[script].act(following, trial.world, trial.position)  # at once: its lease was given back
    return early, wrong + await trial.faults(following)


async def survey(kit: Kit, name: str, *, same: bool, first: int = 0, every: int = 1) -> dict[int, list[str]]:
    """What is wrong, by the instant at which it was cancelled."""
    wrong = {}
    for at in count(first, every):
        early, faults = await cancelled(kit, name, at, same=same)
        if faults:
            wrong[at] = faults
        if not early or at > LAST:
            break
    return wrong


@pytest.mark.parametrize("same", [True, False], ids=["the same monitor goes on", "another one goes on"])
@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_is_cancelled_leaves_no_task_and_nothing_half_done(kit: Kit, name: str, same: bool) -> None:  # noqa: FBT001
    first = (2 * list(CALLS).index(name) + same) % FEWER
    assert await survey(kit, name, same=same, first=first, every=FEWER) == {}


async def test_a_careless_bot_that_is_cancelled_sends_again_what_it_has_sent(kit: Kit) -> None:
    wrong: list[str] = []
    for at in range(60):
        wrong += (await cancelled(kit, "a tick on a slow venue", at, same=True, engine=kit.careless))[1]
    assert any("the long leg was closed by" in one for one in wrong)


@pytest.mark.campaign
@pytest.mark.parametrize("same", [True, False], ids=["the same monitor goes on", "another one goes on"])
@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_is_cancelled_at_any_instant_leaves_nothing_half_done(
    kit: Kit,
    name: str,
    same: bool,  # noqa: FBT001
) -> None:
    assert await survey(kit, name, same=same) == {}
