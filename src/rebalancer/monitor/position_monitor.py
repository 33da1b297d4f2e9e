"""The loop that a bot trusts with money."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Self
from uuid import UUID

from ..domain.batch import Batch, StoredDecision, StoreMode
from ..domain.intents import Intent
from ..domain.legs import Known, LegState
from ..domain.lifecycle import Switch, changed
from ..domain.market import Freshness
from ..domain.missing import RATE, Missing
from ..domain.names import Market
from ..domain.numbers import total
from ..domain.plausible import Plausibility
from ..domain.position import Position, PositionStatus
from ..domain.sanity import USUAL
from ..domain.snapshot import MarketSnapshot
from ..domain.tick import Failure, TickReport
from ..domain.verdict import Action
from ..errors import Conflict, InputError
from ..ports import Clock, Executor, FundingSource, Observer, PositionStore
from ..rules.base import Rule
from .adoption import accrued, adopted, got, merged
from .books import says_funding
from .engine import Engine
from .instructions import RESERVED, HandClose
from .leaving import Exit, unable
from .legs import Looked, look, of_now
from .limits import MonitorLimits
from .loop import Loop

_log = logging.getLogger("rebalancer.monitor")


class PositionMonitor:
    """Watches positions: recovers what was begun, fetches once, decides each, guards, acts, and tells observers.

    `strategy` decides on what `source` says. `executor` moves legs, and `store` keeps everything; their mode must be
    the same. Without an executor nothing is traded (dry run), and without a store the positions are forgotten at the
    end. In a dry run a decision is recorded and nothing else happens, whatever the executor can do.

    `limits` are the guards and deadlines. `kill_file`: while this file is there, nothing is sent; it sets the kill
    switch. `venues` are those whose candidates are asked for (None: all). `freshness` replaces the source's own limits
    of age, `plausibility` is what rates are believed. `observers` are told of every tick.

    It starts no task of its own but for observers, sets no signal handler and configures no logging. One task at a time
    uses it: calls wait for each other. Raises UnsuppliedNeedError if a rule needs what nobody here supplies, and
    InputError if executor and store are not made for the same mode.
    """

    def __init__(
        self,
        *,
        strategy: Rule,
        source: FundingSource,
        store: PositionStore | None = None,
        executor: Executor | None = None,
        clock: Clock | None = None,
        limits: MonitorLimits | None = None,
        observers: Sequence[Observer] = (),
        kill_file: str | os.PathLike[str] | None = None,
        venues: Sequence[str] | None = None,
        freshness: Freshness | None = None,
        plausibility: Plausibility = USUAL,
    ) -> None:
        executor, store, clock = _usual(executor, store, clock)
        self._engine = Engine(
            strategy=strategy,
            source=source,
            store=store,
            executor=executor,
            clock=clock,
            limits=limits or MonitorLimits(),
            kill_file=None if kill_file is None else Path(kill_file),
            venues=venues,
            freshness=freshness,
            plausibility=plausibility,
        )
        self._loop = Loop(self._engine, observers)

    # Watching

    async def check_all_positions(self) -> TickReport:
        """One tick over all positions. Whatever goes wrong is in the report; it raises nothing but a cancellation."""
        return await self._loop.tick()

    async def run(self, *, every: timedelta = timedelta(seconds=60)) -> None:
        """A tick at each full `every` of the wall clock, until its task is cancelled. Ticks never overlap.

        While a close is under way it is looked at more often in between.
        """
        await self._loop.run(every)

    async def get_open_positions(self) -> tuple[Position, ...]:
        """The positions that are not closed, in order of their opening. Raises StoreError."""
        return await self._engine.live()

    # What a person, or the host, can do

    async def adopt(self, position: Position, legs: Mapping[Market, LegState] | None = None) -> Position:
        """Take over a position that the host holds, as it is stored then. The same again changes nothing.

        The legs are read if the executor can; `legs` is what the host read itself, where that fails. With a leg that
        nobody read it is watched, and not traded before both were. What the venues say of its funding counts, if they
        say it of both legs; else what the host has counted does, if it has, and theirs only from then on. Raises
        InputError if a leg is not there, Conflict if another position owns one of its markets, and Fenced while another
        monitor is active.
        """
        async with self._loop.term():
            stored = await self._engine.position(position.id)
            if stored is not None:
                if stored.pair != position.pair:
                    raise Conflict(f"the id is that of another position: {stored.pair}")
                return stored
            states, old, now = dict(legs or {}), set(), self._engine.clock.now()
            for market, read in (await self._engine.read((position,)) or {}).items():
                if isinstance(read.state, Known) or market not in states:
                    states[market] = read.state
                    if not of_now(position, read, self._engine.desk.capabilities(market.venue)):
                        old.add(market)
            taken = adopted(position, states, old=old, trades=self._engine.mode is not StoreMode.DRY)
            entries = accrued(taken, states, now)
            said = len(entries) == len(taken.markets)
            collected = got(entries, taken.funding_collected_usd, said=said)
            taken = changed(taken, funding_collected_usd=collected)
            booked = tuple(entry for entry in entries if entry.amount_usd)
            self._engine.evidence.forget(taken.markets)  # what was seen there was another position's
            await self._engine.keeper.commit(Batch(positions=(taken,), ledger=booked))
            return taken

    async def merge(self, position_id: UUID, added: Position) -> Position:
        """Add to a position what the host has opened on the same pair since: see the docs for how entries are weighted.

        Funding counts as in `adopt`. Raises InputError for another pair, and Conflict for a position that is not open,
        or if the host counted funding and it can not be read whether its venues did so too.
        """
        async with self._loop.term():
            held = await self._stored(position_id)
            after = merged(held, added).model_copy(update={"last_action_at": self._engine.clock.now()})
            reads = await self._engine.read((held,)) or {}
            if added.funding_collected_usd and not all(isinstance(read.state, Known) for read in reads.values()):
                raise Conflict("a leg can not be read: its venue may count the same funding")
            entries = (await self._engine.books.due([held], reads)).get(held.id, ())
            said = bool(reads) and all(says_funding(read.state) for read in reads.values())
            more = got(entries, added.funding_collected_usd, said=said)
            after = changed(after, funding_collected_usd=total(held.funding_collected_usd, more))
            self._engine.evidence.forget(after.markets)  # what was seen there was before the host traded
            await self._engine.keeper.commit(Batch(positions=(after,), ledger=entries))
            self._engine.books.book(entries)
            return after

    async def close(self, position_id: UUID, reason: str = "CLOSED_BY_HAND") -> Position:
        """Close a position now, whatever the guards say, and return it as it is then; ticks finish what is left.

        In a dry run it is only watched no longer. One that is closing already is returned as it is. Raises InputError
        for an id that is not there, and for a reason that is the monitor's own; Conflict if a leg can not be read, was
        never read or is on the wrong side; Stopped if the switch forbids it; Fenced while another monitor is active.
        """
        if reason in RESERVED | self._engine.liquidation:
            raise InputError(f"{reason} is a reason of the monitor's own: give another one")
        async with self._loop.term():
            position = await self._stored(position_id)
            if position.status is not PositionStatus.OPEN:
                return position
            nothing = Missing(field=RATE, why="no rates were asked for")
            snapshot = MarketSnapshot(as_of=self._engine.clock.now(), quotes=(), missing=(nothing,))
            if self._engine.mode is StoreMode.DRY:
                return await self._drop(position, HandClose(reason=reason).reason)
            reads = await self._engine.read((position,)) or {}
            looked = Looked(position, {})
            if reads:
                looked = look(position, reads, self._engine.evidence, self._engine.desk.capabilities)
            if looked.position is not position:
                await self._engine.keeper.commit(Batch(positions=(looked.position,)))
                if looked.position.status is PositionStatus.CLOSED:
                    return looked.position
            why = unable(looked, unread_too=False)
            if why is not None:
                raise Conflict(f"{position.pair}: {why}")
            decision = HandClose(reason=reason).decision(looked.position, snapshot)
            failures: list[Failure] = []
            begun = await self._engine.leaving.begin(Exit(looked, decision, None, exempt=True), failures)
            for failure in failures:
                _log.warning("closing %s: %s: %s", position.pair, failure.what, failure.why)
            progress, *_ = await self._engine.closer.advance_all((begun,), reads)
            for why in (*progress.failures, *progress.defects):
                _log.warning("closing %s: %s", position.pair, why)
            await self._engine.book((progress,), reads or {})
            return progress.position

    async def approve(self, name: UUID | str) -> None:
        """Let go what waits for a person: a held exit by its decision's id, or a supervised order by its intent's key.

        It acts in a later tick, only while the same action is still wanted, and for `approval_life`. Raises InputError
        if nothing of that name waits, and Fenced while another monitor is active.
        """
        async with self._loop.term():
            intent = await self._intent(str(name))
            if intent is not None:
                if self._engine.desk.capabilities(intent.venue).may_close:
                    raise InputError("nothing of this name waits: the order needs no approval")
                approved = intent.then(intent.state, approved_at=self._engine.clock.now())
                await self._engine.keeper.commit(Batch(intents=(approved,)))
                return
            stored = await self._decision(name)
            now = self._engine.clock.now()
            approved_decision = StoredDecision(record=stored.record, held=stored.held, approved_at=now)
            await self._engine.keeper.commit(Batch(decisions=(approved_decision,)))
            self._engine.journal.approve(approved_decision)

    async def kill(self) -> None:
        """Nothing is sent any more, not even a second leg; reads and alarms go on. At once, and after restarts."""
        await self._engine.brake.set(Switch.KILL)

    async def pause(self) -> None:
        """No new decision is acted on. What was begun is finished."""
        await self._engine.brake.set(Switch.PAUSE)

    async def flatten(self) -> None:
        """Everything is closed, from the next tick on."""
        await self._engine.brake.set(Switch.FLATTEN)

    async def resume(self) -> None:
        """All as usual again. Raises InputError while the kill file is there."""
        await self._engine.brake.set(Switch.RUN)

    async def aclose(self) -> None:
        """Give the lease back, and tell observers what they were not told yet. Source, executor and store stay open."""
        await self._loop.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _stored(self, position_id: UUID) -> Position:
        position = await self._engine.position(position_id)
        if position is None:
            raise InputError("there is no position of this id")
        return position

    async def _drop(self, position: Position, reason: str) -> Position:
        """Watch it no longer."""
        nothing = {"long_quantity": None, "short_quantity": None}
        after = changed(position, status=PositionStatus.CLOSED, close_reason=reason, attention=None, **nothing)
        await self._engine.keeper.commit(Batch(positions=(after,)))
        return after

    async def _intent(self, key: str) -> Intent | None:
        """The unfinished intent of this key."""
        return next((intent for intent in await self._engine.intents() if intent.key == key), None)

    async def _decision(self, name: UUID | str) -> StoredDecision:
        """The held decision of this id, if it is the latest of a position that is open."""
        try:
            key = name if isinstance(name, UUID) else UUID(name)
        except ValueError:
            raise InputError("nothing of this name waits: give a decision's id, or an order's key") from None
        stored = await self._engine.decision(key)
        if stored is None or stored.held is None or stored.record.action is not Action.CLOSE:
            raise InputError("nothing of this name waits: it is no exit that is held back")
        about, since = stored.record.position_id, stored.record.as_of
        position, latest = await self._engine.position(about), self._engine.journal.held(about)
        if position is None or position.status is not PositionStatus.OPEN:
            raise InputError("nothing of this name waits: the position is not open any more")
        kept = await self._engine.keeper.ask(lambda: self._engine.keeper.store.decisions(since))
        later = [one for one in kept if one.record.position_id == about and one.record.as_of > since]
        if latest is None or latest.id != stored.id or later:
            raise InputError("nothing of this name waits: it was decided anew since, look for the name that it has now")
        return stored


def _usual(
    executor: Executor | None, store: PositionStore | None, clock: Clock | None
) -> tuple[Executor, PositionStore, Clock]:
    """What was given, or the usual: a dry run, in memory, now. Refuses what does not go together."""
    from ..adapters.clock import SystemClock  # only a monitor that is made needs them
    from ..adapters.executors.dry_run import DryRunExecutor
    from ..adapters.stores.memory import MemoryStore

    clock = clock or SystemClock()
    executor = executor or DryRunExecutor()
    if store is None:
        if executor.mode is not StoreMode.DRY:
            raise InputError(
                "an executor that trades needs a store that keeps what it did: give store=SqliteStore(...)"
            )
        store = MemoryStore(clock=clock)
    if store.mode not in (StoreMode.DRY, executor.mode):
        raise InputError(f"the store is for {store.mode} positions, and the executor for {executor.mode} ones")
    return executor, store, clock
