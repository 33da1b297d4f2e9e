"""A store in a SQLite file. All its work is done on one thread of its own: the event loop never waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Self, TypeVar
from uuid import UUID

from ...domain.batch import Batch, Lease, LedgerEntry, StoredDecision, StoredTick, StoreMode
from ...domain.intents import Intent
from ...domain.lifecycle import Switch
from ...domain.market import Quote
from ...domain.names import Market
from ...domain.position import Position
from ...domain.smoothed import SmoothedRate
from ...domain.times import read_moment
from ...errors import InputError, StoreError
from ...ports import Clock, PositionStore
from ..clock import SystemClock
from .check import (
    by_instant,
    by_opening,
    by_plan,
    by_signal,
    by_time,
    check,
    check_lease,
    elected,
    holds,
    observation_key,
)
from .file import StoreFile
from .rows import Rows

_Result = TypeVar("_Result")
PATIENCE = timedelta(seconds=5)


def mode_of(path: str | Path) -> StoreMode:
    """What the store in a file was made for. Raises StoreError if this version knows no store there."""
    return StoreFile.mode_of(Path(path).absolute(), patience=PATIENCE)


class SqliteStore(PositionStore):
    """A store in the file at `path`, which is made if it is not there, for its owner alone to read and write.

    `mode` is what its positions are: a file made for another is refused. `clock` elects the holder of the lease.
    `patience` is the longest wait for another process that is writing. Every failure is a StoreError.

    What `commit` returned from is on the disk. One that is cancelled may have happened or not: read again, since a read
    that follows sees what became of it.
    """

    def __init__(
        self, path: str | Path, *, mode: StoreMode, clock: Clock | None = None, patience: timedelta = PATIENCE
    ) -> None:
        if patience < timedelta(0):
            raise InputError("patience must not be negative")
        self._mode = StoreMode(mode)
        self._clock = clock or SystemClock()
        self._file = StoreFile(Path(path).absolute(), self._mode, patience=patience)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rebalancer store")
        self._known: dict[str, tuple[str, Position]] = {}
        self._closed = False

    @property
    def mode(self) -> StoreMode:
        """What its positions are."""
        return self._mode

    async def acquire(self, holder: str, ttl: timedelta) -> Lease | None:
        """The lease until `ttl` from now; None while another holder's runs. Its own holder keeps its epoch."""

        def elect(connection: Connection) -> Lease | None:
            rows = self._rows(connection)
            lease = elected(rows.lease(), holder, ttl, self._clock.now())
            if lease is not None:
                rows.elect(lease)
            return lease

        return await self._on_its_thread(lambda: self._file.change(elect))

    async def release(self, lease: Lease) -> None:
        """Give the lease back, so that the next holder need not wait. One that has passed on is left alone."""

        def vacate(connection: Connection) -> None:
            rows = self._rows(connection)
            if holds(rows.lease(), lease):
                rows.vacate()

        await self._on_its_thread(lambda: self._file.change(vacate))

    async def commit(self, lease: Lease, batch: Batch) -> None:
        """Write a batch, or nothing of it; see `PositionStore.commit`."""

        def write(connection: Connection) -> None:
            rows = self._rows(connection)
            check_lease(rows.lease(), lease)
            rows.write(check(batch, rows))

        await self._on_its_thread(lambda: self._file.change(write))

    async def live(self) -> tuple[Position, ...]:
        """The positions that are not closed, in order of their opening."""
        return await self._read(lambda rows: tuple(rows.live()))

    async def closed(self) -> tuple[Position, ...]:
        """The positions that are closed, in order of their opening: for a person, since no monitor reads them."""
        return await self._read(lambda rows: tuple(sorted(rows.closed(), key=by_opening)))

    async def position(self, position_id: UUID) -> Position | None:
        """A position, closed ones too."""
        return await self._read(lambda rows: rows.position(position_id))

    async def intents(self, position_id: UUID | None = None) -> tuple[Intent, ...]:
        """All intents of a position; without one, those of all positions that are planned or sent. In order of time."""

        def read(rows: Rows) -> tuple[Intent, ...]:
            found = rows.unfinished() if position_id is None else rows.intents(position_id)
            return tuple(sorted(found, key=by_plan))

        return await self._read(read)

    async def decision(self, decision_id: UUID) -> StoredDecision | None:
        """A decision by its id."""
        return await self._read(lambda rows: rows.decision(decision_id))

    async def decisions(self, since: datetime) -> tuple[StoredDecision, ...]:
        """The decisions made at `since` or later, in order of time."""
        start = read_moment(since)
        return await self._read(lambda rows: tuple(sorted(rows.decisions(start), key=by_time)))

    async def exits(self, since: datetime) -> tuple[StoredDecision, ...]:
        """Those of them that wanted to leave."""
        start = read_moment(since)
        return await self._read(lambda rows: tuple(sorted(rows.decisions(start, exits=True), key=by_time)))

    async def ledger(self, position_id: UUID) -> tuple[LedgerEntry, ...]:
        """A position's fees and funding, in order of time."""
        return await self._read(lambda rows: tuple(sorted(rows.ledger(position_id), key=by_instant)))

    async def observations(
        self, markets: Collection[Market], since: datetime, *, most: int | None = None
    ) -> tuple[Quote, ...]:
        """The observations of `markets` seen at `since` or later (of each at `most` the latest), in order of time."""
        start = read_moment(since)
        return await self._read(
            lambda rows: tuple(sorted(rows.observations(markets, start, most), key=observation_key))
        )

    async def smoothed(self) -> tuple[SmoothedRate, ...]:
        """The smoothed rates: of each market and signal the latest that was written."""
        return await self._read(lambda rows: tuple(sorted(rows.smoothed(), key=by_signal)))

    async def ticks(self, since: datetime) -> tuple[StoredTick, ...]:
        """The ticks at `since` or later, in order of time."""
        start = read_moment(since)
        return await self._read(lambda rows: tuple(rows.ticks(start)))

    async def switch(self) -> Switch:
        """What a monitor may do."""
        return await self._read(lambda rows: rows.switch())

    async def set_switch(self, switch: Switch) -> None:
        """Say what a monitor may do from now on. Needs no lease, and counts for every later commit."""
        to = Switch(switch)
        await self._on_its_thread(lambda: self._file.change(lambda connection: self._rows(connection).set_switch(to)))

    async def aclose(self) -> None:
        """Finish what is under way, and close the file. May be called twice."""
        if not self._closed:
            self._closed = True
            closing = self._thread.submit(self._file.close)
            self._thread.shutdown(wait=False)
            await asyncio.wrap_future(closing)

    async def __aenter__(self) -> Self:
        """Open the file now, so that one that can not be used is refused here."""
        try:
            await self.switch()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def _read(self, work: Callable[[Rows], _Result]) -> _Result:
        return await self._on_its_thread(lambda: self._file.use(lambda connection: work(self._rows(connection))))

    def _rows(self, connection: Connection) -> Rows:
        return Rows(connection, self._known)

    async def _on_its_thread(self, work: Callable[[], _Result]) -> _Result:
        """Work in its turn: what was asked for before is done before, even if nobody waits for it any more."""
        if self._closed:
            raise StoreError("the store is closed")
        return await asyncio.wrap_future(self._thread.submit(work))
