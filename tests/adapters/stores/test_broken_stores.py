"""A store with one defence removed fails the check that is there for it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from rebalancer import Position, Quote
from rebalancer.adapters.stores import MemoryStore
from rebalancer.adapters.stores.check import Changes, LeaseRow, check, check_lease, ledger_key
from rebalancer.domain.batch import Batch, Lease, LedgerEntry, StoredDecision, StoreMode
from rebalancer.domain.intents import Intent
from rebalancer.domain.lifecycle import Switch
from rebalancer.domain.names import Market
from rebalancer.errors import Conflict, Fenced, Stopped, StoreError
from rebalancer.testing import ManualClock
from rebalancer.testing.stores import StoreCheck, checks_for_store

CLOCK = ManualClock()


class Broken(MemoryStore):
    """A store in memory, of which each subclass breaks one thing."""

    def __init__(self) -> None:
        super().__init__(mode=StoreMode.LIVE, clock=CLOCK)

    def force(self, batch: Batch) -> None:
        """Write without asking."""
        self._tables.write(
            Changes(
                positions=list(batch.positions),
                intents=list(batch.intents),
                decisions=[(decision.id, decision) for decision in batch.decisions],
                ledger=list(batch.ledger),
                observations=list(batch.observations),
                smoothed=list(batch.smoothed),
            )
        )


class NeverFences(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        with suppress(Fenced):
            check_lease(self._tables.lease, lease)
        self._tables.write(check(batch, self._tables))


class FencesByTheHolderAlone(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        if lease.holder != self._tables.lease.holder:
            raise Fenced("another holds it")
        self._tables.write(check(batch, self._tables))


class FencesByTheClock(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        if not lease.held_at(CLOCK.now()):
            raise Fenced("too late")
        await super().commit(lease, batch)


class ElectsAnybody(Broken):
    async def acquire(self, holder: str, ttl: timedelta) -> Lease | None:
        if self._tables.lease.holder != holder:
            self._tables.lease = LeaseRow(self._tables.lease.epoch)
        return await super().acquire(holder, ttl)


class EpochsStandStill(Broken):
    async def acquire(self, holder: str, ttl: timedelta) -> Lease | None:
        lease = await super().acquire(holder, ttl)
        if lease is not None:
            lease = lease.model_copy(update={"epoch": 1})
            self._tables.lease = LeaseRow(1, lease.holder, lease.until)
        return lease


class RenewalsAreElections(Broken):
    async def acquire(self, holder: str, ttl: timedelta) -> Lease | None:
        if self._tables.lease.holder == holder:
            self._tables.lease = LeaseRow(self._tables.lease.epoch)
        return await super().acquire(holder, ttl)


class AnybodyReleases(Broken):
    async def release(self, lease: Lease) -> None:
        self._tables.lease = LeaseRow(self._tables.lease.epoch)


class IgnoresTheSwitch(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        set_to, self._tables.at = self._tables.at, Switch.RUN
        try:
            await super().commit(lease, batch)
        finally:
            self._tables.at = set_to


class StopsWhatIsLearnt(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        if self._tables.at is Switch.KILL:
            raise Stopped("killed")
        await super().commit(lease, batch)


class ForgetsTheSwitch(Broken):
    async def set_switch(self, switch: Switch) -> None:
        pass


class ChecksNothing(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        check_lease(self._tables.lease, lease)
        self.force(batch)


class WritesPieceByPiece(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        for decision in batch.decisions:
            await super().commit(lease, Batch(decisions=(decision,)))
        await super().commit(lease, batch)


class HasNoClaims(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        self._tables.owners.clear()
        with suppress(KeyError):
            await super().commit(lease, batch)


class KeepsClaimsForEver(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        check_lease(self._tables.lease, lease)
        changes = check(batch, self._tables)
        changes.released.clear()
        self._tables.write(changes)


class LetsTheLastWriterWin(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        try:
            await super().commit(lease, batch)
        except Conflict as error:
            if "somebody else" not in str(error):
                raise
            self.force(batch)


class BringsBackTheClosed(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        try:
            await super().commit(lease, batch)
        except Conflict as error:
            if "closed" not in str(error):
                raise
            self.force(batch)


class TrustsEveryProof(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        try:
            await super().commit(lease, batch)
        except Conflict as error:
            if "not proved" not in str(error):
                raise
            self.force(batch)


class OverwritesTheLedger(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        for entry in batch.ledger:
            self._tables.ledger.pop(ledger_key(entry), None)
        await super().commit(lease, batch)


class KeepsTheLedgerTwice(Broken):
    async def ledger(self, position_id: UUID) -> tuple[LedgerEntry, ...]:
        found = await super().ledger(position_id)
        return found + found


class LosesApprovals(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        await super().commit(lease, batch)
        self._tables.decisions |= {decision.id: decision for decision in batch.decisions}


class KeepsTheLastObservation(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        for quote in batch.observations:
            for key, there in list(self._tables.seen.items()):
                if there.market == quote.market and there.rate == quote.rate:
                    del self._tables.seen[key]
        await super().commit(lease, batch)


class KeepsOneSignalOfAMarket(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        new = {rate.market for rate in batch.smoothed}
        for key in [key for key in self._tables.means if key[0] in new]:
            del self._tables.means[key]
        await super().commit(lease, batch)


class KeepsTheFirstSmoothedRate(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        kept = dict(self._tables.means)
        await super().commit(lease, batch)
        self._tables.means |= kept


class KeepsTheSmoothedRateOfTheLastWriter(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        await super().commit(lease, batch)
        self._tables.means |= {(rate.market, rate.signal): rate for rate in batch.smoothed}


class ReadsBackwards(Broken):
    async def live(self) -> tuple[Position, ...]:
        return tuple(reversed(await super().live()))


class ReadsIntentsBackwards(Broken):
    async def intents(self, position_id: UUID | None = None) -> tuple[Intent, ...]:
        return tuple(reversed(await super().intents(position_id)))


class ReadsDecisionsAfterTheInstant(Broken):
    async def decisions(self, since: datetime) -> tuple[StoredDecision, ...]:
        return tuple(one for one in await super().decisions(since) if one.record.as_of > since)


class TakesAllDecisionsForExits(Broken):
    async def exits(self, since: datetime) -> tuple[StoredDecision, ...]:
        return await self.decisions(since)


class ReadsAllMarkets(Broken):
    async def observations(
        self, markets: Collection[Market], since: datetime, *, most: int | None = None
    ) -> tuple[Quote, ...]:
        return await super().observations([quote.market for quote in self._tables.seen.values()], since, most=most)


class ReadsTheFirst(Broken):
    async def observations(
        self, markets: Collection[Market], since: datetime, *, most: int | None = None
    ) -> tuple[Quote, ...]:
        return (await super().observations(markets, since))[:most]


class ListsTheClosed(Broken):
    async def live(self) -> tuple[Position, ...]:
        return tuple(self._tables.positions.values())


class ForgetsTheClosed(Broken):
    async def position(self, position_id: UUID) -> Position | None:
        return next((one for one in await self.live() if one.id == position_id), None)


class KeepsFloats(Broken):
    async def position(self, position_id: UUID) -> Position | None:
        found = await super().position(position_id)
        if found is None or found.long_quantity is None:
            return found
        return found.model_copy(update={"long_quantity": Decimal(repr(float(found.long_quantity)))})


class AnswersWhenClosed(Broken):
    async def aclose(self) -> None:
        pass


class RaisesAnyError(Broken):
    async def commit(self, lease: Lease, batch: Batch) -> None:
        try:
            await super().commit(lease, batch)
        except StoreError as error:
            raise StoreError(str(error)) from error


EXPECTED: dict[type[Broken], str] = {
    NeverFences: "a lease that was given back writes no more",
    FencesByTheHolderAlone: "a lease of the future or of somebody else writes nothing",
    FencesByTheClock: "a lease that has run out passes on and fences its old holder",
    ElectsAnybody: "another holder waits until the lease is given back",
    EpochsStandStill: "another holder waits until the lease is given back",
    RenewalsAreElections: "a holder renews its own lease",
    AnybodyReleases: "another holder waits until the lease is given back",
    IgnoresTheSwitch: "the kill switch stops planning and sending and nothing else",
    StopsWhatIsLearnt: "the kill switch stops planning and sending and nothing else",
    ForgetsTheSwitch: "the kill switch stops planning and sending and nothing else",
    ChecksNothing: "an intent is sent by one only",
    WritesPieceByPiece: "a batch with one bad part writes nothing",
    HasNoClaims: "a market has one living owner",
    KeepsClaimsForEver: "a closed position gives its markets back",
    LetsTheLastWriterWin: "a change of a version that is not the last is refused",
    BringsBackTheClosed: "a late writer can not bring a closed position back",
    TrustsEveryProof: "a position is closed leg by leg and only by proof",
    OverwritesTheLedger: "a ledger entry written twice is there once and never changes",
    KeepsTheLedgerTwice: "a ledger entry written twice is there once and never changes",
    LosesApprovals: "a decision written twice is there once and an approval stays",
    KeepsTheLastObservation: "of one observation the first is kept",
    KeepsOneSignalOfAMarket: "a smoothed rate comes back equal one for each market and signal",
    KeepsTheFirstSmoothedRate: "of a smoothed rate the one that was settled last is kept",
    KeepsTheSmoothedRateOfTheLastWriter: "of a smoothed rate the one that was settled last is kept",
    ReadsBackwards: "live positions are in order of their opening and never closed ones",
    ReadsIntentsBackwards: "intents are in order of time and without a position only the unfinished ones",
    ReadsDecisionsAfterTheInstant: "decisions are read from an instant on in order of time",
    TakesAllDecisionsForExits: "exits are the decisions that did not hold",
    ReadsAllMarkets: "observations are of the markets asked for from an instant on in order",
    ListsTheClosed: "live positions are in order of their opening and never closed ones",
    ForgetsTheClosed: "live positions are in order of their opening and never closed ones",
    KeepsFloats: "a position comes back equal to the last digit",
    AnswersWhenClosed: "a closed store says so",
    RaisesAnyError: "a market has one living owner",
}


def named(make: Callable[[], MemoryStore], name: str) -> StoreCheck:
    """The check of that name, for stores of that kind."""
    return next(check for check in checks_for_store(make, advance=CLOCK.advance) if str(check) == name)


@pytest.mark.parametrize("broken", EXPECTED, ids=lambda broken: broken.__name__)
def test_a_store_with_one_defence_removed_fails_its_check(broken: type[Broken]) -> None:
    with pytest.raises(AssertionError):
        named(broken, EXPECTED[broken])()


@pytest.mark.parametrize("name", sorted(set(EXPECTED.values())))
def test_the_store_that_they_are_made_of_passes_these_checks(name: str) -> None:
    named(Broken, name)()


def test_a_store_that_is_not_fresh_is_told_apart() -> None:
    once = Broken()
    first, *_ = checks_for_store(lambda: once)
    once._tables.lease = LeaseRow(1, "somebody", CLOCK.now() + timedelta(hours=1))
    with pytest.raises(AssertionError, match="a new and empty one"):
        first()


def test_a_check_has_a_readable_name() -> None:
    first, *_ = checks_for_store(Broken)
    assert (str(first), first.__name__) == ("a new store is empty and runs", "a_new_store_is_empty_and_runs")
    assert repr(first) == "<StoreCheck a new store is empty and runs>"


def test_the_end_of_a_lease_is_checked_only_where_time_can_be_let_pass() -> None:
    assert len(checks_for_store(Broken, advance=CLOCK.advance)) == len(checks_for_store(Broken)) + 1
