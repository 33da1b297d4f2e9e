"""What the commands about positions share: the store's file, names that are cut short, and acting in one's turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from ..adapters.clock import SystemClock
from ..adapters.executors import DryRunExecutor
from ..adapters.sources import StaticSource
from ..adapters.stores import SqliteStore, mode_of
from ..domain.batch import StoreMode
from ..domain.position import Position
from ..errors import Fenced, InputError, StoreError
from ..monitor.position_monitor import PositionMonitor
from ..ports import Executor
from ..rules.time_limit import TimeLimit
from .common import aside, say

T = TypeVar("T")

ENVIRONMENT = "REBALANCER_STORE"
LEAST = 4
"""Characters of an id that is cut short."""
SHOWN = 8
"""Characters of an id in tables."""
LISTED = 5
"""Names that are offered for one that was not found."""
POLL = 0.1
"""Seconds between two attempts to act: a monitor gives way for a fraction of a second at least."""

StoreFile = Annotated[
    Path, typer.Option("--store", metavar="FILE", envvar=ENVIRONMENT, show_envvar=True, help="The store's file.")
]
Wait = Annotated[
    int, typer.Option("--wait", min=0, metavar="SECONDS", help="How long to wait for a monitor to give way.")
]


def with_store(path: Path, use: Callable[[SqliteStore], Awaitable[T]]) -> T:
    """What `use` makes of the store in a file that is there, whatever mode it was made for."""

    async def used() -> T:
        async with SqliteStore(path, mode=mode_of(path)) as store:
            return await use(store)

    with aside():
        return asyncio.run(used())


class NoHands(DryRunExecutor):
    """Reads nothing and sends nothing, for a store of any mode: what begins is planned, and left to a monitor."""

    def __init__(self, mode: StoreMode) -> None:
        super().__init__()
        self._mode = mode

    @property
    def mode(self) -> StoreMode:
        """The store's."""
        return self._mode


def a_hand(store: SqliteStore, executor: Executor | None = None) -> PositionMonitor:
    """A monitor for what a person does. It decides nothing; without an executor it sends nothing either."""
    nothing = StaticSource(())
    return PositionMonitor(strategy=TimeLimit(), source=nothing, store=store, executor=executor or NoHands(store.mode))


async def in_turn(act: Callable[[], Awaitable[T]], *, wait: int) -> T:
    """What `act` returns, as soon as no monitor is active: one gives way for a moment between two of its ticks."""
    clock = SystemClock()
    until, told = clock.monotonic() + wait, False
    while True:
        try:
            return await act()
        except Fenced as error:
            if clock.monotonic() >= until:
                raise StoreError(
                    f"a monitor is active, and did not give way within {wait} s: nothing was done. Try again with a "
                    "longer --wait; a monitor that was killed keeps its turn for a minute"
                ) from error
        if not told:
            say(f"a monitor is active: waiting until it gives way between two ticks, for at most {wait} s")
            told = True
        await clock.sleep(POLL)


def short(name: UUID | str) -> str:
    """The beginning of an id or of an order's key: enough to name it."""
    return str(name)[:SHOWN]


def the_one(name: str, known: Mapping[str, str], *, what: str) -> str:
    """The one of the `known` names that begins with `name`; their values say what each is."""
    if name in known:
        return name
    found = [one for one in known if one.startswith(name.lower())] if len(name) >= LEAST else []
    if len(found) == 1:
        return found[0]
    if len(name) < LEAST:
        raise InputError(f"give at least {LEAST} characters of the id of the {what}{_offered(known, what)}")
    if found:
        raise InputError(f"that is the beginning of {len(found)} ids: give more of it{_offered(known, what, found)}")
    raise InputError(f"there is no {what} of this id{_offered(known, what)}")


def _offered(known: Mapping[str, str], what: str, found: Collection[str] | None = None) -> str:
    names = list(known if found is None else found)
    if not names:
        return f"; there is no {what} at all"
    length = SHOWN if found is None else None
    listed = ", ".join(f"{one[:length]} ({known[one]})" for one in names[:LISTED])
    return f"; there {'is' if len(names) == 1 else 'are'} {listed}" + (", and more" if len(names) > LISTED else "")


async def the_position(store: SqliteStore, name: str) -> Position:
    """The position of this id: any by its whole id, one that is not closed by the beginning of it."""
    whole = _uuid(name)
    stored = None if whole is None else await store.position(whole)
    if stored is not None:
        return stored
    living = {str(one.id): one for one in await store.live()}
    return living[the_one(name, {key: str(one.pair) for key, one in living.items()}, what="open position")]


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
