"""A small world in which a process can be ended, or something can fail, at every single step that it takes."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial, wraps
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import DivergenceFlip, MonitorLimits, Position, PositionStatus
from rebalancer.testing import a_position
from rebalancer.testing.fake_venue import Answer, Fate, Habits, Ids

if TYPE_CHECKING:
    from ..monitor.conftest import World

QUANTITY = Decimal("0.1")
SETTLES = timedelta(seconds=2)
TICKS = 60
"""After so many ticks, ten seconds apart, a monitor must have come to its end."""


def by_path(name: str) -> ModuleType:
    """A module of the tests of the monitor."""
    path = Path(__file__).parents[1] / "monitor" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"faults_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Gone(BaseException):
    """The process is not there any more."""


class Steps:
    """Counts what a process does with store and venues: a step before each call, and one after it.

    At step number `at` it does `act`, with the step's name; it says whether it came to that in `reached`.
    """

    def __init__(self, at: int, act: Callable[[Steps, str], None]) -> None:
        self.at = at
        self.count = 0
        self.dead = False
        """From then on every call fails, as if there were no process to make it."""
        self.reached: str | None = None
        self._act = act

    def step(self, name: str) -> None:
        if self.dead:
            raise Gone
        self.count += 1
        if self.count == self.at:
            self.reached = name
            self._act(self, name)

    def watch(self, inner: Any) -> Any:
        """The same store or executor, its calls counted."""
        return Watched(inner, self)


class Watched:
    """Something whose asynchronous methods are steps."""

    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner = inner
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        @wraps(found)
        async def watched(*given: Any, **named: Any) -> Any:
            self._steps.step(f"before {name}")
            result = await found(*given, **named)
            self._steps.step(f"after {name}")
            return result

        return watched


@dataclass(frozen=True)
class Script:
    """What happens: `habits` of the venues, what is `arranged` once a position is held, and what its monitor does.

    `outside` is the leg that somebody else closes.
    """

    habits: Habits
    arrange: Callable[[World], None]
    act: Callable[[Any, World, Position], Awaitable[object]]
    outside: str | None = None


async def ticks(monitor: Any, world: World, position: Position) -> None:
    """Tick until it is closed."""
    for _ in range(TICKS):
        await monitor.check_all_positions()
        if not await monitor.get_open_positions():
            return
        world.clock.advance(timedelta(seconds=3))


async def by_hand(monitor: Any, world: World, position: Position) -> None:
    """Close it by hand, and tick until it is."""
    await monitor.close(position.id)
    await ticks(monitor, world, position)


async def flattened(monitor: Any, world: World, position: Position) -> None:
    """Flatten, and tick until it is closed."""
    await monitor.flatten()
    await ticks(monitor, world, position)


def flips(*fates: tuple[str, Fate]) -> Callable[[World], None]:
    """The rates turn, and the next calls to one of the venues go this way."""

    def arrange(world: World) -> None:
        world.flip()
        for call, fate in fates:
            world.grvt.plan(call, fate)

    return arrange


def loses_a_leg(world: World) -> None:
    """Somebody else closes the short leg."""
    world.grvt.close("BTC")


FOREVER = Habits(read_lag=timedelta(seconds=1), latency=timedelta(milliseconds=10))
FORGETS = FOREVER.model_copy(update={"ids": Ids.NONE})
SLOW = FORGETS.model_copy(update={"read_lag": timedelta(minutes=3)})
TURNS = FOREVER.model_copy(update={"reduce_only": False})
REST = Fate(share="0.5", rests=True, answer=Answer.HINT)
SCRIPTS = {
    "a plain close": Script(FOREVER, flips(), ticks),
    "a venue that forgets ids": Script(FORGETS, flips(("place", Fate(answer=Answer.RESET))), ticks),
    "reads that lag for minutes": Script(SLOW, flips(), ticks),
    "a venue without reduce-only": Script(TURNS, flips(("place", Fate(answer=Answer.TIMEOUT))), ticks),
    "a rejected leg": Script(FOREVER, flips(("place", Fate(reject="no liquidity"))), ticks),
    "a leg that fills in part": Script(FORGETS, flips(("place", Fate(share="0.3"))), ticks),
    "accepted and timed out": Script(
        FORGETS,
        flips(("place", Fate(answer=Answer.TIMEOUT, after=SETTLES)), ("find", Fate(answer=Answer.UNAVAILABLE))),
        ticks,
    ),
    "never came in": Script(FORGETS, flips(("place", Fate(answer=Answer.TIMEOUT, done=False))), ticks),
    "an order that rests": Script(FORGETS, flips(("place", REST), ("cancel", Fate(answer=Answer.TIMEOUT))), ticks),
    "a leg that is gone": Script(FOREVER, loses_a_leg, ticks, outside="short"),
    "a close by hand": Script(FOREVER, lambda world: None, by_hand),
    "flatten": Script(FOREVER, lambda world: None, flattened),
}


class Trial:
    """A script once more from its beginning, in a new world, with a monitor whose steps are counted."""

    def __init__(self, make: Callable[..., World], script: Script, steps: Steps, monitor: Any = None) -> None:
        self.script = script
        self.steps = steps
        self.world = make(habits=script.habits)
        self.world.strategy = DivergenceFlip()
        self._make = monitor() if monitor else self.world.monitor
        self.position = a_position(long_quantity=QUANTITY, short_quantity=QUANTITY)

    async def begin(self, *, store: bool = True, executor: bool = True) -> Any:
        """A position that is held and taken over, and a monitor whose steps are counted from now on."""
        self.world.hold()
        self.world.clock.advance(timedelta(minutes=10))  # so that a read that lags shows it
        first = self.fresh()
        self.position = await first.adopt(self.position)
        self.world.clock.advance(timedelta(minutes=2))
        self.script.arrange(self.world)
        watch = self.steps.watch
        return self._monitor(
            watch(self.world.store) if store else self.world.store,
            watch(self.world.executor) if executor else self.world.executor,
        )

    def fresh(self) -> Any:
        """A monitor after a restart."""
        return self._monitor(self.world.store, self.world.executor)

    def _monitor(self, store: Any, executor: Any) -> Any:
        world = self.world
        given = {"strategy": world.strategy, "source": world.rates, "clock": world.clock}
        limits = MonitorLimits(order_deadline=timedelta(seconds=5))
        return self._make(**given, store=store, executor=executor, limits=limits)

    async def faults(self, monitor: Any) -> list[str]:
        """What is wrong in the end, if this monitor goes on: nothing may be."""
        for _ in range(TICKS):
            await monitor.check_all_positions()
            if not await monitor.get_open_positions():
                break
            self.world.clock.advance(timedelta(seconds=10))
        self.world.clock.advance(timedelta(minutes=5))
        return [*self._of_venues(), *await self._of_store()]

    def _of_venues(self) -> list[str]:
        found = [*self.world.wrong, *(f"{held} is left of {market}" for market, held in self.world.held.items())]
        for leg in ("long", "short"):
            done = self.world.closes.get((str(self.position.id), leg))
            filled = None if done is None else done.quantity
            if filled != (None if leg == self.script.outside else QUANTITY):
                found.append(f"the {leg} leg was closed by {done}")
        return found

    async def _of_store(self) -> list[str]:
        store, position = self.world.store, self.position
        if await store.position(position.id) is None:
            return []  # it was never kept here: that of a careless bot
        stored = await store.position(position.id)
        status = None if stored is None else stored.status
        decided = [one for one in await store.decisions(position.opened_at) if one.record.action == "CLOSE"]
        found = [] if status is PositionStatus.CLOSED else [f"the store has it as {status}"]
        found += [f"an intent is {one.state}" for one in await store.intents()]
        return found if decided else [*found, "no decision to close it is there"]

    async def unstored(self) -> list[str]:
        """The orders that came to a venue and of which the store does not know that they were sent."""
        intents = {one.key: one for one in await self.world.store.intents(self.position.id)}
        return [
            fact["id"] for fact in self.world.sent if fact["id"] not in intents or intents[fact["id"]].sent_at is None
        ]


async def ended_by(driver: Callable[[], Coroutine[Any, Any, object]], steps: Steps) -> None:
    """Let a process run until it is dead, or at its end."""
    running = asyncio.ensure_future(driver())
    while not running.done() and not steps.dead:
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait((running,))
    if not running.cancelled() and not steps.dead and running.exception() is not None:
        raise running.exception() or AssertionError


def dies(steps: Steps, name: str) -> None:
    """The process ends here: nothing that it does from now on has any effect."""
    steps.dead = True
    raise Gone


class Kit:
    """What the tests of this folder share."""

    def __init__(self) -> None:
        self.worlds: Callable[..., World] = by_path("conftest").World
        self.scripts = SCRIPTS
        self.naive = by_path("naive")

    def trial(self, script: Script, at: int, act: Callable[[Steps, str], None], monitor: Any = None) -> Trial:
        """A new trial in which `act` is done at step `at`."""
        return Trial(self.worlds, script, Steps(at, act), monitor)

    async def crashed(self, script: Script, at: int, monitor: Any = None) -> tuple[str | None, list[str]]:
        """The step at which a process died (None: it came to its end before), and what is wrong in the end."""
        trial = self.trial(script, at, dies, monitor)
        doomed = await trial.begin()
        await ended_by(lambda: script.act(doomed, trial.world, trial.position), trial.steps)  # type: ignore[arg-type,return-value]
        trial.world.clock.advance(timedelta(minutes=2))  # its lease is over
        following = trial.fresh()
        await script.act(following, trial.world, trial.position)  # a person says again what may not have been heard
        return trial.steps.reached, await trial.faults(following)

    async def crashes(
        self, script: Script, monitor: Any = None, *, first: int = 1, every: int = 1, most: int = 1_000
    ) -> dict[str, list[str]]:
        """What is wrong, by the step at which a process died: for every step that it takes, or some of them.

        `monitor` makes what makes a monitor, for each trial; None: ours. It ends when `most` are found.
        """
        wrong = {}
        for at in count(first, every):
            step, faults = await self.crashed(script, at, monitor)
            if faults:
                wrong[f"{at}: {step}"] = faults
            if step is None:
                assert at > 2, "it did nothing at all"
            if step is None or len(wrong) >= most:
                break
        return wrong

    def careless(self) -> Any:
        """What makes a careless bot, one whose rows survive it."""
        return partial(self.naive.NaiveMonitor, rows=self.naive.Rows())


@pytest.fixture(scope="session")
def kit() -> Kit:
    """Worlds, scripts and trials."""
    return Kit()
