"""The parts of a monitor, put together once, and one pass over all positions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from ..domain.batch import StoredDecision
from ..domain.intents import Intent
from ..domain.lifecycle import Switch
from ..domain.market import Freshness
from ..domain.names import as_line
from ..domain.needs import Needs
from ..domain.plausible import Plausibility
from ..domain.position import Position, PositionStatus
from ..domain.tick import AlarmKind, Failure
from ..ports import Clock, Executor, FundingSource, PositionStore
from ..rules.base import Rule
from ..rules.combined import CombinedStrategy
from .bench import Bench
from .books import Books, says_funding
from .brake import Brake
from .closer import Closer, Progress
from .deciding import Decider
from .desk import Desk
from .evidence import Evidence, Reads
from .fetch import Fetcher
from .instructions import liquidation_reasons
from .journal import Journal
from .keeper import Keeper
from .leaving import Leaving
from .limits import MonitorLimits
from .notice import Notice, of_reads
from .outcomes import Outcomes

MOST_OBSERVATIONS = 10_000
"""Past observations of a market that a store can supply to rules."""
_CLOSING = (PositionStatus.PENDING_CLOSE, PositionStatus.HALF_CLOSED)


@dataclass(slots=True)
class Passed:
    """What came of one pass."""

    switch: Switch
    outcomes: Outcomes = field(default_factory=Outcomes)
    progress: list[Progress] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    @property
    def again_at(self) -> datetime | None:
        """When a close that is under way is worth another look; None if none is, or none says."""
        return min((one.again_at for one in self.progress if one.again_at is not None), default=None)

    @property
    def closing(self) -> tuple[UUID, ...]:
        """The positions whose close goes on."""
        return tuple(one.position.id for one in self.progress if one.position.status in _CLOSING)

    @property
    def ended(self) -> tuple[UUID, ...]:
        """The positions that were found closed."""
        done = (one.position.id for one in self.progress if one.position.status is PositionStatus.CLOSED)
        return (*self.outcomes.ended, *done)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What did not work."""
        return (*self.outcomes.failures, *self._unclosed, *self._defects)

    @property
    def all_notices(self) -> list[Notice]:
        """What a person should know."""
        closing = (notice for one in self.progress for notice in one.notices)
        failed = (Notice(AlarmKind.STORE, one.what, one.why) for one in (*self.outcomes.failures, *self._unclosed))
        defects = (Notice(AlarmKind.DEFECT, one.what, one.why) for one in self._defects)
        return [*self.notices, *self.outcomes.notices, *closing, *failed, *defects]

    @property
    def _unclosed(self) -> list[Failure]:
        """Closes that the store kept from going on."""
        return [_failure(one, why) for one in self.progress for why in one.failures]

    @property
    def _defects(self) -> list[Failure]:
        """Closes that something kept from going on which nobody expected."""
        return [_failure(one, why) for one in self.progress for why in one.defects]


class Engine:
    """Everything that a monitor consists of, and one pass over all positions with it."""

    def __init__(
        self,
        *,
        strategy: Rule,
        source: FundingSource,
        store: PositionStore,
        executor: Executor,
        clock: Clock,
        limits: MonitorLimits,
        kill_file: Path | None,
        venues: Sequence[str] | None,
        freshness: Freshness | None,
        plausibility: Plausibility,
    ) -> None:
        strategy = strategy if isinstance(strategy, CombinedStrategy) else CombinedStrategy(strategy)
        liquidation = self.liquidation = liquidation_reasons(strategy)
        self.clock = clock
        self.limits = limits
        self.mode = store.mode
        self.evidence = Evidence()
        self.desk = Desk(executor, clock=clock, deadline=limits.call_deadline)
        holder = f"monitor-{os.getpid()}-{uuid4().hex[:12]}"
        self.keeper = Keeper(store, clock=clock, holder=holder, lease=limits.lease, deadline=limits.store_deadline)
        self.brake = Brake(self.keeper, kill_file=kill_file)
        self.closer = Closer(
            self.desk, self.keeper, self.brake, self.evidence, limits=limits, unread_reasons=liquidation
        )
        fetcher = Fetcher(
            source,
            strategy,
            clock=clock,
            supplied=(executor.supplies, Needs(rates=False, observations=MOST_OBSERVATIONS)),
            venues=venues,
            deadline=limits.fetch_deadline,
            freshness=freshness,
            plausibility=plausibility,
        )
        self.journal = Journal(limits)
        self.books = Books(self.keeper)
        self.leaving = Leaving(
            mode=self.mode,
            desk=self.desk,
            keeper=self.keeper,
            brake=self.brake,
            journal=self.journal,
            books=self.books,
            limits=limits,
            liquidation=liquidation,
        )
        self.decider = Decider(
            needs=strategy.needs,
            desk=self.desk,
            keeper=self.keeper,
            evidence=self.evidence,
            fetcher=fetcher,
            bench=Bench(strategy, deadline=limits.rule_deadline),
            journal=self.journal,
            books=self.books,
            leaving=self.leaving,
            limits=limits,
            liquidation=liquidation,
        )
        self._reads_legs = executor.supplies.legs
        self._term = 0
        self._doubts = False

    async def begin_term(self) -> bool:
        """Whether this monitor is the active one. If another one was meanwhile, what was remembered is read again."""
        if not await self.keeper.lead():
            return False
        if self._doubts or self.keeper.term != self._term:
            await self.decider.recall(self.clock.now())
            if self.keeper.term != self._term:
                self.evidence.forget_zeros()
            self._term, self._doubts = self.keeper.term, False
        return True

    def doubt(self) -> None:
        """What is remembered may not be what the store has: read it again."""
        self._doubts = True

    async def one_pass(self, *, decides: bool) -> Passed:
        """Finish what was begun; and, if it `decides`, decide open positions and begin what may begin.

        Raises StoreError if nothing could be done at all.
        """
        passed = Passed(await self.brake.switch())
        living = await self.live()
        reads = await self.read(living) or {}
        passed.notices += of_reads(reads)
        for position in living:
            if position.status is PositionStatus.OPENING:
                why = "it is being opened, and this monitor opens nothing: a person has to look"
                passed.notices.append(Notice(AlarmKind.STALLED, str(position.pair), why, position.id))
        closing = [position for position in living if position.status in _CLOSING]
        under_way = asyncio.ensure_future(self.closer.advance_all(closing, reads))
        try:
            if decides:
                open_ = [position for position in living if position.status is PositionStatus.OPEN]
                await self.decider.tick(open_, reads, passed.switch, passed.outcomes)
                passed.progress += await self.closer.advance_all(passed.outcomes.begun, reads)
        finally:
            passed.progress += await _finished(under_way)
        await self.book(passed.progress, reads)
        if passed.failures:
            self.doubt()
        if ended := frozenset(passed.ended):
            living = tuple(one for one in living if one.id not in ended)
        self._forget(living, passed.outcomes.begun)
        return passed

    async def book(self, progress: Collection[Progress], reads: Reads) -> None:
        """Book what positions got that are closing, and what those that have ended now did up to their end."""
        markets = [m for one in progress if one.position.status is PositionStatus.CLOSED for m in one.position.markets]
        if any(says_funding(reads[market].state) for market in markets if market in reads):
            reads = {**reads, **await self.desk.read(markets)}
        for one in progress:
            await self.books.settle(one, reads)

    def _forget(self, living: Sequence[Position], begun: Sequence[Position]) -> None:
        """Drop what is remembered of positions that have ended, and of orders on markets where none is under way."""
        if remembered := self.evidence.remembered:
            self.evidence.forget(remembered - {market for one in living for market in one.markets})
        acting = (*(one for one in living if one.status is not PositionStatus.OPEN), *begun)
        self.evidence.let_rest({market for one in acting for market in one.markets})
        self.books.forget({position.id for position in living})

    async def read(self, positions: Iterable[Position]) -> Reads | None:
        """The legs of positions, each of them; None if the executor reads none, as in a dry run."""
        if not self._reads_legs:
            return None
        return await self.desk.read(market for one in positions for market in one.markets)

    async def live(self) -> tuple[Position, ...]:
        """The positions that are not closed."""
        return await self.keeper.ask(self.keeper.store.live)

    async def position(self, position_id: UUID) -> Position | None:
        """A position, closed ones too."""
        return await self.keeper.ask(lambda: self.keeper.store.position(position_id))

    async def intents(self) -> tuple[Intent, ...]:
        """The intents that have not ended."""
        return await self.keeper.ask(self.keeper.store.intents)

    async def decision(self, decision_id: UUID) -> StoredDecision | None:
        """A decision that was kept."""
        return await self.keeper.ask(lambda: self.keeper.store.decision(decision_id))


def _failure(one: Progress, why: str) -> Failure:
    return Failure(what=str(one.position.pair), why=as_line(why))


async def _finished(work: asyncio.Future[list[Progress]]) -> list[Progress]:
    """What came of work that goes on beside; it is cancelled with its caller, and waited for."""
    try:
        return await work
    except asyncio.CancelledError:
        work.cancel()
        await asyncio.wait((work,))
        raise
