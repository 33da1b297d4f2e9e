"""The store fails: it stops acting, it says so, nothing is half done, and it goes on when the store works again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import AlarmKind, PositionStatus, StoreMode, TickReport
from rebalancer.adapters import SqliteStore
from rebalancer.adapters.stores.file import StoreFile
from rebalancer.adapters.stores.schema import MIGRATIONS
from rebalancer.errors import StoreError
from rebalancer.testing.fake_venue import Fate

if TYPE_CHECKING:
    from ..monitor.conftest import World
    from .conftest import Kit, Steps, Trial

SOON = timedelta(milliseconds=50)


def fails(steps: Steps, name: str) -> None:
    """It fails at this step alone."""
    raise StoreError("the disk is full")


def raises(steps: Steps, name: str) -> None:
    """It fails at this step alone, in its own way."""
    raise OSError(5, "Input/output error")


def stays_broken(steps: Steps, name: str) -> None:
    """It fails from this step on."""
    steps.at += 1
    raise StoreError("the disk is full")


async def some_ticks(trial: Trial, monitor: Any) -> list[TickReport]:
    """Ticks, three seconds apart."""
    reports = []
    for _ in range(3):
        reports.append(await monitor.check_all_positions())
        trial.world.clock.advance(timedelta(seconds=3))
    return reports


def says_so(report: TickReport) -> bool:
    """Whether a tick tells of it."""
    return bool(report.failures) and any(alarm.kind is AlarmKind.STORE for alarm in report.alarms)


async def broken(kit: Kit, script: str, at: int, act: Callable[[Steps, str], None]) -> tuple[str | None, list[str]]:
    """The step at which the store failed (None: it came to its end before), and what is wrong."""
    trial = kit.trial(kit.scripts[script], at, act)
    monitor = await trial.begin(executor=False)
    reports = await some_ticks(trial, monitor)
    step, lasts, sent = trial.steps.reached, act is stays_broken, len(trial.world.sent)
    wrong = [f"it was sent, and is not stored: {key}" for key in await trial.unstored()]
    if lasts and step is not None:
        reports = await some_ticks(trial, monitor)
        wrong += [] if all(map(says_so, reports)) else ["a tick without a store says nothing"]
        wrong += [] if len(trial.world.sent) == sent else ["something is sent without a store"]
    elif step is not None and "release" not in step and not any(map(says_so, reports)):
        wrong.append("nothing is said")
    trial.steps.at = 0
    trial.world.clock.advance(timedelta(minutes=2))
    return step, wrong + await trial.faults(monitor)


async def survey(kit: Kit, script: str, act: Callable[[Steps, str], None], *, every: int = 1) -> dict[str, list[str]]:
    """What is wrong, by the step at which the store failed."""
    wrong = {}
    for at in count(1, every):
        step, faults = await broken(kit, script, at, act)
        if faults:
            wrong[f"{at}: {step}"] = faults
        if step is None:
            break
    return wrong


@pytest.mark.parametrize("act", [fails, raises, stays_broken], ids=lambda act: act.__name__)
async def test_whichever_call_to_the_store_fails_nothing_is_half_done_and_it_is_said(
    kit: Kit, act: Callable[[Steps, str], None]
) -> None:
    assert await survey(kit, "a plain close", act, every=2 if act is raises else 1) == {}


@pytest.mark.campaign
@pytest.mark.parametrize("act", [fails, raises, stays_broken], ids=lambda act: act.__name__)
@pytest.mark.parametrize(
    "name", ["a rejected leg", "accepted and timed out", "an order that rests", "a leg that is gone"]
)
async def test_whichever_call_fails_in_other_scripts_too(
    kit: Kit, name: str, act: Callable[[Steps, str], None]
) -> None:
    assert await survey(kit, name, act) == {}


async def test_an_engine_that_sends_before_it_stores_acts_without_a_store(kit: Kit) -> None:
    with kit.naive.without("stored as sent before it is sent"):
        wrong = await survey(kit, "a plain close", stays_broken)
    assert any("it was sent, and is not stored" in fault for faults in wrong.values() for fault in faults)


# A file that fails ----------------------------------------------------------------------------------------------------


class OnDisk:
    """A world with its store in a file."""

    def __init__(self, kit: Kit, path: Path, symbols: tuple[str, ...] = ("BTC",)) -> None:
        self.path = path
        self.world: World = kit.worlds(symbols=symbols)
        self.store = SqliteStore(path, mode=StoreMode.LIVE, clock=self.world.clock, patience=SOON)
        self.world.store = self.store

    async def pragma(self, words: str) -> None:
        """Set the connection of the store to something."""
        await asyncio.wrap_future(
            self.store._thread.submit(self.store._file.use, lambda one: one.execute(words).fetchone())
        )


@pytest.fixture
def disk(kit: Kit, tmp_path: Path) -> OnDisk:
    return OnDisk(kit, tmp_path / "positions.db")


async def require_that_it_stops_and_says_so(disk: OnDisk, monitor: Any) -> None:
    """A tick in which somebody wants out does nothing, and says why."""
    disk.world.flip()
    disk.world.clock.advance(timedelta(minutes=2))
    for _ in range(2):
        report = await monitor.check_all_positions()
        assert says_so(report)
    assert disk.world.sent == []


async def require_that_it_goes_on(disk: OnDisk, monitor: Any) -> None:
    """Now that the store works, the position is closed."""
    disk.world.clock.advance(timedelta(minutes=2))
    await disk.world.ticks(monitor, 3)
    assert await disk.store.live() == ()
    assert (disk.world.held, disk.world.wrong) == ({}, [])
    await disk.store.aclose()


async def test_a_full_disk_stops_it_until_there_is_room(kit: Kit, tmp_path: Path) -> None:
    symbols = tuple(f"S{number}" for number in range(12))
    disk = OnDisk(kit, tmp_path / "positions.db", symbols)
    first = disk.world.monitor()
    for symbol in symbols:
        await disk.world.adopted(first, symbol)
    await first.flatten()
    with closing(sqlite3.connect(disk.path)) as one:
        used = one.execute("PRAGMA page_count").fetchone()[0]
    full = Watching(disk.store, lambda: disk.pragma(f"PRAGMA max_page_count = {used}"))
    monitor = disk.world.monitor(store=full)
    reports = await disk.world.ticks(monitor, 3)

    assert says_so(reports[-1])
    intents = [intent for position in await disk.store.live() for intent in await disk.store.intents(position.id)]
    planned = {intent.key for intent in intents if intent.sent_at is None}
    assert not [fact for fact in disk.world.sent if fact["id"] in planned]
    assert await disk.store.live() != ()
    full.before = None
    await disk.pragma("PRAGMA max_page_count = 1000000")
    await require_that_it_goes_on(disk, monitor)


async def test_a_file_that_may_only_be_read_stops_it_until_it_may_be_written(disk: OnDisk) -> None:
    monitor = disk.world.monitor()
    await disk.world.adopted(monitor)
    read_only = Watching(disk.store, lambda: disk.pragma("PRAGMA query_only = 1"))
    monitor = disk.world.monitor(store=read_only)
    await require_that_it_stops_and_says_so(disk, monitor)
    read_only.before = None
    await disk.pragma("PRAGMA query_only = 0")
    await require_that_it_goes_on(disk, monitor)


async def test_a_file_that_somebody_else_keeps_locked_stops_it_until_it_is_free(disk: OnDisk) -> None:
    monitor = disk.world.monitor()
    await disk.world.adopted(monitor)
    with closing(sqlite3.connect(disk.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await require_that_it_stops_and_says_so(disk, monitor)
        other.execute("ROLLBACK")
    await require_that_it_goes_on(disk, monitor)


async def test_a_damaged_file_stops_it(disk: OnDisk) -> None:
    await disk.world.adopted(disk.world.monitor())
    await disk.store.aclose()
    with disk.path.open("r+b") as file:
        for page in range(1, disk.path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    disk.store = SqliteStore(disk.path, mode=StoreMode.LIVE, clock=disk.world.clock, patience=SOON)
    await require_that_it_stops_and_says_so(disk, disk.world.monitor(store=disk.store))
    await disk.store.aclose()


class Watching:
    """A store to which something is done before each use of it."""

    def __init__(self, inner: Any, before: Callable[[], Any] | None) -> None:
        self._inner = inner
        self.before = before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*given: Any, **named: Any) -> Any:
            if self.before is not None:
                await self.before()
            return await found(*given, **named)

        return call


# A file of another version --------------------------------------------------------------------------------------------


async def test_a_store_of_a_newer_layout_is_left_untouched_and_nothing_is_done(disk: OnDisk) -> None:
    await disk.world.adopted(disk.world.monitor())
    await disk.store.aclose()
    with closing(sqlite3.connect(disk.path)) as one:
        one.execute("UPDATE meta SET schema = schema + 1")
        one.commit()
    before = disk.path.read_bytes()
    disk.store = SqliteStore(disk.path, mode=StoreMode.LIVE, clock=disk.world.clock, patience=SOON)
    monitor = disk.world.monitor(store=disk.store)
    await require_that_it_stops_and_says_so(disk, monitor)
    report = await monitor.check_all_positions()
    assert "install a newer version" in report.failures[0].why
    await disk.store.aclose()
    assert disk.path.read_bytes() == before


async def test_a_close_that_an_older_version_began_is_finished_after_the_migration(disk: OnDisk) -> None:
    monitor = disk.world.monitor()
    position = await disk.world.adopted(monitor)
    disk.world.flip()
    disk.world.grvt.plan("place", Fate(reject="no liquidity"))
    await disk.world.ticks(monitor, 1)
    assert await disk.world.status(position) is PositionStatus.HALF_CLOSED
    await disk.store.aclose()

    longer = (*MIGRATIONS, ("ALTER TABLE meta ADD COLUMN note TEXT",))
    disk.store = SqliteStore(disk.path, mode=StoreMode.LIVE, clock=disk.world.clock, patience=SOON)
    disk.store._file = StoreFile(disk.path, StoreMode.LIVE, patience=SOON, migrations=longer)
    disk.world.store = disk.store
    await require_that_it_goes_on(disk, disk.world.monitor())
    with closing(sqlite3.connect(disk.path)) as one:
        assert one.execute("SELECT schema FROM meta").fetchone() == (len(longer),)
