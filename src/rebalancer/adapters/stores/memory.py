"""A store in memory: the same rules as the one in a file, for tests and dry runs. What it has ends with the process."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import chain
from uuid import UUID

from ...domain.batch import Batch, Lease, LedgerEntry, StoredDecision, StoredTick, StoreMode
from ...domain.intents import Intent
from ...domain.lifecycle import Switch
from ...domain.market import Quote
from ...domain.names import Market
from ...domain.position import Position, PositionStatus
from ...domain.smoothed import Smoothed, SmoothedRate
from ...domain.times import read_moment
from ...errors import StoreError
from ...ports import Clock, PositionStore
from ..clock import SystemClock
from .check import (
    Changes,
    LeaseRow,
    LedgerKey,
    by_instant,
    by_opening,
    by_plan,
    by_signal,
    by_time,
    check,
    check_lease,
    elected,
    holds,
    ledger_key,
    observation_key,
    smoothed_key,
    tick_key,
)


class MemoryStore(PositionStore):
    """A store that forgets everything when the process ends. `clock` elects the holder of the lease."""

    def __init__(self, *, mode: StoreMode = StoreMode.DRY, clock: Clock | None = None) -> None:
        self._mode = StoreMode(mode)
        self._clock = clock or SystemClock()
        self._tables = _Tables()
        self._closed = False

    @property
    def mode(self) -> StoreMode:
        """What its positions are."""
        return self._mode

    async def acquire(self, holder: str, ttl: timedelta) -> Lease | None:
        """The lease until `ttl` from now; None while another holder's runs. Its own holder keeps its epoch."""
        tables = self._there()
        lease = elected(tables.lease, holder, ttl, self._clock.now())
        if lease is not None:
            tables.lease = LeaseRow(lease.epoch, lease.holder, lease.until)
        return lease

    async def release(self, lease: Lease) -> None:
        """Give the lease back, so that the next holder need not wait. One that has passed on is left alone."""
        tables = self._there()
        if holds(tables.lease, lease):
            tables.lease = LeaseRow(lease.epoch)

    async def commit(self, lease: Lease, batch: Batch) -> None:
        """Write a batch, or nothing of it; see `PositionStore.commit`."""
        tables = self._there()
        check_lease(tables.lease, lease)
        tables.write(check(batch, tables))

    async def live(self) -> tuple[Position, ...]:
        """The positions that are not closed, in order of their opening."""
        found = (one for one in self._there().positions.values() if one.status is not PositionStatus.CLOSED)
        return tuple(sorted(found, key=by_opening))

    async def position(self, position_id: UUID) -> Position | None:
        """A position, closed ones too."""
        return self._there().position(position_id)

    async def intents(self, position_id: UUID | None = None) -> tuple[Intent, ...]:
        """All intents of a position; without one, those of all positions that are planned or sent. In order of time."""
        tables = self._there()
        if position_id is not None:
            return tuple(sorted(tables.intents(position_id), key=by_plan))
        found = (intent for own in tables.orders.values() for intent in own.values() if not intent.state.terminal)
        return tuple(sorted(found, key=by_plan))

    async def decision(self, decision_id: UUID) -> StoredDecision | None:
        """A decision by its id."""
        return self._there().decision(decision_id)

    async def decisions(self, since: datetime) -> tuple[StoredDecision, ...]:
        """The decisions made at `since` or later, in order of time."""
        start = read_moment(since)
        found = (one for one in self._there().decisions.values() if one.record.as_of >= start)
        return tuple(sorted(found, key=by_time))

    async def ledger(self, position_id: UUID) -> tuple[LedgerEntry, ...]:
        """A position's fees and funding, in order of time."""
        found = (entry for entry in self._there().ledger.values() if entry.position_id == position_id)
        return tuple(sorted(found, key=by_instant))

    async def observations(
        self, markets: Collection[Market], since: datetime, *, most: int | None = None
    ) -> tuple[Quote, ...]:
        """The observations of `markets` seen at `since` or later (of each at `most` the latest), in order of time."""
        start = read_moment(since)
        found: dict[Market, list[Quote]] = {}
        for quote in sorted(self._there().seen.values(), key=observation_key):
            if quote.market in markets and quote.observed_at >= start:
                found.setdefault(quote.market, []).append(quote)
        latest = chain.from_iterable(seen if most is None else seen[-most:] for seen in found.values())
        return tuple(sorted(latest, key=observation_key))

    async def smoothed(self) -> tuple[SmoothedRate, ...]:
        """The smoothed rates: of each market and signal the latest that was written."""
        return tuple(sorted(self._there().means.values(), key=by_signal))

    async def ticks(self, since: datetime) -> tuple[StoredTick, ...]:
        """The ticks at `since` or later, in order of time."""
        start = read_moment(since)
        found = (one for one in self._there().ticks.values() if one.at >= start)
        return tuple(sorted(found, key=tick_key))

    async def switch(self) -> Switch:
        """What a monitor may do."""
        return self._there().switch()

    async def set_switch(self, switch: Switch) -> None:
        """Say what a monitor may do from now on. Needs no lease, and counts for every later commit."""
        self._there().at = Switch(switch)

    async def aclose(self) -> None:
        """End it. May be called twice."""
        self._closed = True

    def _there(self) -> _Tables:
        if self._closed:
            raise StoreError("the store is closed")
        return self._tables


class _Tables:
    """What is stored, as `check` reads it."""

    def __init__(self) -> None:
        self.lease = LeaseRow()
        self.at = Switch.RUN
        self.positions: dict[UUID, Position] = {}
        self.orders: dict[UUID, dict[str, Intent]] = {}
        self.owners: dict[Market, UUID] = {}
        self.decisions: dict[UUID, StoredDecision] = {}
        self.ledger: dict[LedgerKey, LedgerEntry] = {}
        self.seen: dict[tuple[datetime, Market, int], Quote] = {}
        self.means: dict[tuple[Market, Smoothed], SmoothedRate] = {}
        self.ticks: dict[datetime, StoredTick] = {}

    def switch(self) -> Switch:
        return self.at

    def position(self, position_id: UUID) -> Position | None:
        return self.positions.get(position_id)

    def intents(self, position_id: UUID) -> Collection[Intent]:
        return self.orders.get(position_id, {}).values()

    def owner(self, market: Market) -> UUID | None:
        return self.owners.get(market)

    def decision(self, decision_id: UUID) -> StoredDecision | None:
        return self.decisions.get(decision_id)

    def entry(self, like: LedgerEntry) -> LedgerEntry | None:
        return self.ledger.get(ledger_key(like))

    def write(self, changes: Changes) -> None:
        """Write it all. Nothing here can fail half-way."""
        self.positions |= {position.id: position for position in changes.positions}
        for intent in changes.intents:
            self.orders.setdefault(intent.position_id, {})[intent.key] = intent
        for market in changes.released:
            del self.owners[market]
        self.owners |= changes.taken
        self.decisions |= dict(changes.decisions)
        self.ledger |= {ledger_key(entry): entry for entry in changes.ledger}
        for quote in changes.observations:
            self.seen.setdefault(observation_key(quote), quote)
        for tick in changes.ticks:
            self.ticks.setdefault(tick_key(tick), tick)
        for rate in changes.smoothed:
            there = self.means.setdefault(smoothed_key(rate), rate)
            if rate.settled_at >= there.settled_at:
                self.means[smoothed_key(rate)] = rate
