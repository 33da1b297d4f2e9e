"""Open positions in one tick: what their legs show, one fetch, a decision each, the guards, and what of it begins."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import chain
from uuid import UUID

from ..domain.batch import Batch, LedgerEntry, StoredDecision, StoreMode
from ..domain.decision import RebalanceDecision
from ..domain.intents import Side
from ..domain.legs import LegReading
from ..domain.lifecycle import Switch, changed, closing_legs, market_of, recorded
from ..domain.names import Market, as_line
from ..domain.needs import Needs
from ..domain.position import Position, PositionStatus
from ..domain.snapshot import MarketSnapshot
from ..domain.tick import AlarmKind, Failure, Skipped
from ..domain.times import seconds
from ..domain.verdict import Action, Fact, Outcome
from ..errors import Fenced, Stopped, StoreError
from .bench import Bench
from .books import Books, collected
from .brake import Brake
from .closer import Progress, plan
from .desk import Desk
from .evidence import Evidence, Reads
from .exits import MASS_EXIT, Exits, Wanted, turn
from .fetch import Fetcher
from .instructions import Blind, Flatten, LegGone, exempt
from .journal import Journal
from .keeper import Keeper
from .legs import Looked, look
from .limits import MonitorLimits
from .memory import Memory
from .notice import Notice, of_data, where

_log = logging.getLogger("rebalancer.monitor")
SWITCH_WAITS = "a switch is recorded and not begun: this monitor does not open positions, and a switch is no mere close"
DRY_RUN = "dry run: nothing is sent"
NEVER_READ = "a leg was never read: it is not traded"
UNREAD = "a leg was not read in this tick: no close begins"
WRONG_SIDE = "a leg is on the wrong side: a person has to look"
_FORBIDS = {Switch.KILL: "the kill switch is on", Switch.PAUSE: "the switch is on pause"}
_SHOWN = 20
"""Exits that wait for approval which are named one by one in the alarms."""


@dataclass(slots=True)
class Outcomes:
    """What came of the open positions in a tick."""

    decisions: tuple[RebalanceDecision, ...] = ()
    begun: list[Position] = field(default_factory=list)
    ended: list[UUID] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def failed(self, what: str, error: StoreError) -> None:
        """A part did not work; the others go on. Raises Fenced again: then nothing may go on."""
        if isinstance(error, Fenced):
            raise error
        self.failures.append(Failure(what=what, why=str(error)[:500]))


@dataclass(frozen=True, slots=True)
class Exit:
    """A decision to leave, and why it may not begin (None: it may)."""

    looked: Looked
    decision: RebalanceDecision
    held: str | None
    exempt: bool

    @property
    def position(self) -> Position:
        """The position that is left."""
        return self.looked.position


class Decider:
    """Decides open positions. One batch for all that hold, and one for each exit, so that none stops another."""

    def __init__(
        self,
        *,
        mode: StoreMode,
        needs: Needs,
        desk: Desk,
        keeper: Keeper,
        brake: Brake,
        evidence: Evidence,
        fetcher: Fetcher,
        bench: Bench,
        limits: MonitorLimits,
        liquidation: frozenset[str],
    ) -> None:
        self._mode = mode
        self._needs = needs
        self._desk = desk
        self._keeper = keeper
        self._brake = brake
        self._evidence = evidence
        self._fetcher = fetcher
        self._bench = bench
        self._limits = limits
        self._liquidation = liquidation
        self._exits = Exits(limits)
        self._memory = Memory(keeper, most=_remembered(needs, limits))
        self.journal = Journal(limits)
        self.books = Books(keeper)
        self._failing: dict[UUID, dict[str, str]] = {}
        self._term = 0

    async def recall(self, now: datetime) -> None:
        """Begin a term: what is remembered of decisions is what the store has."""
        since = now - max(self._limits.mass_window, self._limits.record_every + self._limits.approval_life)
        store = self._keeper.store
        decisions = await self._keeper.ask(lambda: store.exits(since))
        self._exits.recall(decisions, self._liquidation)
        approved = [one.record.as_of for one in decisions if one.approved_at is not None]
        if approved:  # what was decided since may have ended an approval
            first = min(approved)
            later = await self._keeper.ask(lambda: store.decisions(first))
            decisions = (*(one for one in decisions if one.record.as_of < first), *later)
        self.journal.recall(decisions)
        self.books = Books(self._keeper)
        if self._term != self._keeper.term:  # another process observed meanwhile
            self._term, self._memory = self._keeper.term, Memory(self._keeper, most=self._memory.most)

    async def tick(self, positions: Sequence[Position], reads: Reads, switch: Switch, outcomes: Outcomes) -> None:
        """Decide open positions, and begin what may begin. `reads` is empty if nobody reads legs."""
        looked = await self._look(positions, reads, outcomes)
        held = [one.position for one in looked]
        turns = self.journal.turns([position.id for position in held])
        if not held:
            return
        await self._memory.recall(_markets(held), self._desk.now().wall)
        fetched = await self._fetcher.fetch(held, past=self._memory.past)
        outcomes.notices += of_data(fetched, held)
        snapshot = self._seen_by_rules(fetched.snapshot, reads, held)
        decisions = await self._bench.decide(held, snapshot, traced=turns)
        outcomes.notices += [Notice(AlarmKind.BENCHED, f"rule {name}", why) for name, why in self._bench.benched]
        decisions = tuple(
            self._instead(one, decision, snapshot, switch) for one, decision in zip(looked, decisions, strict=True)
        )
        outcomes.decisions = decisions
        exits = self._exits_of(looked, decisions, switch)
        for exit_ in sorted(exits.values(), key=lambda one: turn(one.decision.urgency, one.position)):
            if exit_.held is not None:
                outcomes.skipped.append(Skipped(position_id=exit_.position.id, why=exit_.held))
                continue
            try:
                outcomes.begun.append(await self.begin(exit_, outcomes.failures, snapshot))
            except Stopped as stopped:  # the switch was set while this tick decided
                outcomes.skipped.append(Skipped(position_id=exit_.position.id, why=as_line(stopped)))
            except StoreError as error:
                outcomes.failed(str(exit_.position.pair), error)
        await self._write(looked, decisions, exits, turns, snapshot, reads, outcomes)

    async def _look(self, positions: Sequence[Position], reads: Reads, outcomes: Outcomes) -> list[Looked]:
        """The positions that are still open, as their legs show them. What is new of them is stored at once."""
        if not reads:
            return [Looked(position, {}) for position in positions]
        capabilities = cache(self._desk.capabilities)  # asked once a venue, in this tick
        looked = [look(position, reads, self._evidence, capabilities) for position in positions]
        news = [(before, one) for before, one in zip(positions, looked, strict=True) if one.position is not before]
        for before, one in news:
            try:
                await self._keeper.commit(Batch(positions=(one.position,)))
            except StoreError as error:
                outcomes.failed(str(before.pair), error)
                looked[looked.index(one)] = Looked(before, one.legs)
                continue
            if one.position.status is PositionStatus.CLOSED:
                outcomes.ended.append(before.id)
                why = "both legs are gone, and no order of ours explains it: it is closed"
                outcomes.notices.append(Notice(AlarmKind.LEG_GONE, str(before.pair), why, before.id))
        open_ = [one for one in looked if one.position.status is PositionStatus.OPEN]
        for one in open_:
            if one.attention is not None:
                kind = AlarmKind.UNEXPECTED_LEG if one.gone is None else AlarmKind.LEG_GONE
                outcomes.notices.append(Notice(kind, str(one.position.pair), one.attention, one.position.id))
        return open_

    def _seen_by_rules(self, snapshot: MarketSnapshot, reads: Reads, positions: Iterable[Position]) -> MarketSnapshot:
        """The snapshot with what else the rules read: legs, and past observations."""
        more: dict[str, object] = {}
        if self._needs.legs and reads:
            wanted = dict.fromkeys(_markets(positions))
            more["legs"] = tuple(
                LegReading(venue=market.venue, symbol=market.symbol, state=reads[market].state) for market in wanted
            )
        if self._needs.observations:
            more["observations"] = (*snapshot.observations, *self._memory.past)
        return snapshot.model_copy(update=more) if more else snapshot

    def _instead(
        self, looked: Looked, decision: RebalanceDecision, snapshot: MarketSnapshot, switch: Switch
    ) -> RebalanceDecision:
        """The decision that counts: the strategy's, unless something else says to leave."""
        if decision.action is Action.CLOSE and decision.reason in self._liquidation:
            return decision  # whatever else is the matter, this one waits for nothing
        if looked.gone is not None:
            return LegGone().decision(looked.position, snapshot)
        if switch is Switch.FLATTEN:
            return Flatten().decision(looked.position, snapshot)
        most = self._limits.max_blind
        if most is not None and decision.action is Action.HOLD and _unknown(looked.position, snapshot):
            blind = self._memory.blind_for(looked.position, snapshot)
            if blind is not None and blind >= most:
                fact = Fact("blind_seconds", seconds(blind), limit=seconds(most))
                return Blind(facts=(fact,)).decision(looked.position, snapshot)
        return decision

    def _exits_of(
        self, looked: Sequence[Looked], decisions: Sequence[RebalanceDecision], switch: Switch
    ) -> dict[UUID, Exit]:
        """The decisions to leave, by position, and which of them have to wait."""
        exits: dict[UUID, Exit] = {}
        for one, decision in zip(looked, decisions, strict=True):
            if decision.action is not Action.HOLD:
                spared = switch is Switch.FLATTEN or exempt(decision.record, self._liquidation)
                exits[one.position.id] = Exit(one, decision, self._hindrance(one, decision, switch), spared)
        self.journal.still({one.position.id: decision for one, decision in zip(looked, decisions, strict=True)})
        closing = [exit_ for exit_ in exits.values() if exit_.decision.action is Action.CLOSE]
        now = self._desk.now().wall
        guarded = self._exits.held(
            [self._wanted(exit_, now) for exit_ in closing if exit_.held is None],
            [one.position for one in looked],
            now,
            hindered=[exit_.position.id for exit_ in closing if exit_.held is not None and not exit_.exempt],
        )
        for position_id, why in guarded.items():
            before = exits[position_id]
            exits[position_id] = Exit(before.looked, before.decision, why, before.exempt)
        return exits

    def _hindrance(self, looked: Looked, decision: RebalanceDecision, switch: Switch) -> str | None:
        """Why an exit can not begin, whatever the guards say."""
        if decision.action is Action.SWITCH:
            return SWITCH_WAITS
        if self._mode is StoreMode.DRY:
            return DRY_RUN
        if switch in _FORBIDS:
            return _FORBIDS[switch]
        if not looked.legs:
            return UNREAD  # by nobody, in no tick: the executor reads no legs
        return unable(looked, unread_too=looked.gone is not None or decision.reason in self._liquidation)

    def _wanted(self, exit_: Exit, now: datetime) -> Wanted:
        return Wanted(
            exit_.position,
            exit_.decision.urgency,
            exempt=exit_.exempt,
            urgent=exit_.looked.gone is not None,
            approved=self.journal.approved(exit_.position.id, exit_.decision.action, now),
        )

    async def _write(
        self,
        looked: Sequence[Looked],
        decisions: Sequence[RebalanceDecision],
        exits: Mapping[UUID, Exit],
        turns: Collection[UUID],
        snapshot: MarketSnapshot,
        reads: Reads,
        outcomes: Outcomes,
    ) -> None:
        """Keep what the tick learnt of the positions that do not leave now. Whatever goes wrong there is a failure."""
        try:
            await self._keep(looked, decisions, exits, turns, snapshot, reads, outcomes)
        except StoreError as error:
            outcomes.failed("what the tick learnt", error)
        except Exception as error:
            outcomes.failures.append(Failure(what="what the tick learnt", why=where(error)))
        outcomes.notices += [*self._degraded(looked), *self._waiting(exits.values())]
        outcomes.notices += self.books.amiss(one.position.id for one in looked)

    async def _keep(
        self,
        looked: Sequence[Looked],
        decisions: Sequence[RebalanceDecision],
        exits: Mapping[UUID, Exit],
        turns: Collection[UUID],
        snapshot: MarketSnapshot,
        reads: Reads,
        outcomes: Outcomes,
    ) -> None:
        """Write it in one transaction. Raises StoreError."""
        looked_at: list[tuple[Looked, bool]] = []
        kept: list[StoredDecision] = []
        degraded: dict[UUID, str] = {}
        for one, decision in zip(looked, decisions, strict=True):
            key = one.position.id
            turn = key in turns
            exit_ = None if decision.action is Action.HOLD else exits[key]
            if exit_ is not None and exit_.held is None:
                continue  # what it learnt is written when it begins
            if turn or exit_ is not None:
                stored = self.journal.due(key, decision, None if exit_ is None else exit_.held)
                kept += [] if stored is None else [stored]
                self._failing[key] = failed = _failed(decision)
                if failed:
                    degraded[key] = next(iter(failed.values()))
            if turn or one.attention is not None or key in degraded:
                looked_at.append((one, turn))
        entries: dict[UUID, tuple[LedgerEntry, ...]] = {}
        try:
            entries = await self.books.due([one.position for one, due in looked_at if due], reads, snapshot)
        except StoreError as error:
            outcomes.failed("what funding is booked", error)
        positions = [
            after
            for one, turn in looked_at
            if (after := _checked(one, turn, degraded, entries, snapshot)) is not one.position
        ]
        booked, seen = tuple(chain.from_iterable(entries.values())), self._memory.new(snapshot)
        batch = Batch(positions=tuple(positions), decisions=tuple(kept), ledger=booked, observations=seen)
        if batch != Batch():
            await self._keeper.commit(batch)
        self.journal.kept(kept)
        self.books.book(booked)
        self._memory.keep(seen)

    def _degraded(self, looked: Sequence[Looked]) -> list[Notice]:
        """The rules that fail, each with a position for which it did when that was looked at last."""
        there = {one.position.id: one.position for one in looked}
        self._failing = {key: failed for key, failed in self._failing.items() if failed and key in there}
        found: dict[str, list[tuple[Position, str]]] = {}
        for key, failed in self._failing.items():
            for rule, why in failed.items():
                found.setdefault(rule, []).append((there[key], why))
        return [
            Notice(
                AlarmKind.DEGRADED,
                f"rule {rule}",
                f"it fails for {len(ones)} positions, for {ones[0][0].pair} because: {ones[0][1]}"[:500],
                ones[0][0].id,
            )
            for rule, ones in found.items()
        ]

    def _waiting(self, exits: Iterable[Exit]) -> list[Notice]:
        """The exits that a person may let go."""
        held = [exit_ for exit_ in exits if exit_.held == MASS_EXIT]
        notices = []
        for exit_ in held[:_SHOWN]:
            stored = self.journal.held(exit_.position.id)
            approve = None if stored is None else str(stored.id)
            about = str(exit_.position.pair)
            notices.append(Notice(AlarmKind.NEEDS_APPROVAL, about, MASS_EXIT, exit_.position.id, approve))
        if len(held) > _SHOWN:
            notices.append(Notice(AlarmKind.NEEDS_APPROVAL, f"{len(held)} positions", MASS_EXIT))
        return notices

    async def begin(self, exit_: Exit, failures: list[Failure], snapshot: MarketSnapshot | None = None) -> Position:
        """Begin an exit: its decision, the status and an intent for each leg, in one transaction. Raises StoreError.

        What funding is due by then is booked with it. If that can not be known, it is one of the `failures`, and no
        exit waits for it.
        """
        await self._brake.switch()  # a kill file that came since is written into the store, which then refuses
        position, decision, now = exit_.position, exit_.decision, self._desk.now().wall
        gone = {} if exit_.looked.gone is None else {f"{exit_.looked.gone}_quantity": None}
        entries = await self._due(exit_.looked, snapshot, failures)
        after = changed(
            position,
            status=PositionStatus.PENDING_CLOSE,
            close_reason=decision.reason,
            attention=exit_.looked.amiss,
            last_action_at=now,
            funding_collected_usd=collected(position, entries),
            **gone,
        )
        intents = tuple(plan(position, leg, attempt=1, at=now) for leg in closing_legs(after))
        stored = self.journal.due(position.id, decision, None)
        decided = () if stored is None else (stored,)
        batch = Batch(positions=(after,), intents=intents, decisions=decided, ledger=entries)
        await self._keeper.commit(batch)
        self.journal.kept(batch.decisions)
        self.books.book(entries)
        self._exits.began(position.id, now, exempt=exit_.exempt)
        told = {"position": after.model_dump(mode="json"), "decision": str(decision.id)}
        _log.info("%s is to be closed: %s", position.pair, decision.reason, extra=told)
        return after

    async def _due(
        self, looked: Looked, snapshot: MarketSnapshot | None, failures: list[Failure]
    ) -> tuple[LedgerEntry, ...]:
        """What is to be booked of a position that leaves; nothing if that is not known: no exit waits for it."""
        position = looked.position
        reads = {market_of(position, side): leg.read for side, leg in looked.legs.items()}
        try:
            return (await self.books.due([position], reads, snapshot)).get(position.id, ())
        except Exception as error:  # whatever it is
            why = str(error) if isinstance(error, StoreError) else where(error)
            failures.append(Failure(what=f"the funding of {position.pair}", why=as_line(why)))
            return ()

    async def book(self, progress: Progress, reads: Reads) -> None:
        """Book what a position got while it was closed, or up to its end, as far as its venues say it."""
        position = progress.position
        if progress.failures or progress.defects:  # it may not be what the store has
            return
        try:
            entries = (await self.books.due([position], reads)).get(position.id, ())
            if entries:
                after = changed(position, funding_collected_usd=collected(position, entries))
                await self._keeper.commit(Batch(positions=(after,), ledger=entries))
                self.books.book(entries)
                progress.position = after
        except StoreError as error:
            progress.failures.append(f"its funding: {error}")
        except Exception as error:
            progress.defects.append(where(error))
        progress.notices += self.books.amiss((position.id,))


def unable(looked: Looked, *, unread_too: bool) -> str | None:
    """Why the legs do not allow a close to begin; None if they do."""
    if any(recorded(looked.position, leg) is None for leg in Side):
        return NEVER_READ
    if looked.wrong:
        return WRONG_SIDE
    return UNREAD if looked.unread and not unread_too else None


def _failed(decision: RebalanceDecision) -> dict[str, str]:
    """Why a decision can not be relied on: the rules that failed."""
    failed = [verdict for verdict in decision.verdicts if verdict.outcome is Outcome.FAILED]
    return {str(one.rule): f"the rule {one.rule} failed: {one.claim}"[:500] for one in failed}


def _checked(
    looked: Looked,
    turn: bool,  # noqa: FBT001
    degraded: Mapping[UUID, str],
    entries: Mapping[UUID, tuple[LedgerEntry, ...]],
    snapshot: MarketSnapshot,
) -> Position:
    """The position with what the tick learnt of it."""
    position = looked.position
    unread = bool(looked.legs) and any(recorded(position, leg) is None for leg in Side)
    attention = looked.attention or degraded.get(position.id) or (position.attention if unread or not turn else None)
    fields: dict[str, object] = {} if attention == position.attention else {"attention": attention}
    if turn:
        fields["last_check"] = snapshot.as_of
    if position.id in entries:
        fields["funding_collected_usd"] = collected(position, entries[position.id])
    return changed(position, **fields) if fields else position


def _unknown(position: Position, snapshot: MarketSnapshot) -> bool:
    """Whether the rate of a leg is unknown."""
    return any(snapshot.book.leg(market).rate is None for market in position.markets)


def _remembered(needs: Needs, limits: MonitorLimits) -> int:
    """How many observations of a market are remembered: one more than a rule needs, since two legs alternate."""
    return needs.observations + 1 if needs.observations else int(limits.max_blind is not None)


def _markets(positions: Iterable[Position]) -> list[Market]:
    return [market for position in positions for market in position.markets]
