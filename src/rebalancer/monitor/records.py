"""What a tick learnt of the positions that stay, kept in one transaction, and that it was: a row of the tick itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from uuid import UUID

from ..domain.batch import Batch, LedgerEntry, StoredDecision, StoredTick
from ..domain.decision import RebalanceDecision
from ..domain.intents import Side
from ..domain.lifecycle import changed, recorded
from ..domain.position import Position
from ..domain.snapshot import MarketSnapshot
from ..domain.tick import AlarmKind, Failure
from ..domain.verdict import Action, Outcome
from ..errors import StoreError
from .books import Books, collected
from .evidence import Reads
from .exits import MASS_EXIT
from .journal import Journal
from .keeper import Keeper
from .leaving import Exit
from .legs import Looked
from .memory import Memory
from .notice import Notice, where
from .outcomes import Outcomes
from .smoother import Smoother

_SHOWN = 20
"""Exits that wait for approval which are named one by one in the alarms."""


class Records:
    """Writes what a tick learnt, and says what of it a person should know."""

    def __init__(
        self, keeper: Keeper, journal: Journal, books: Books, memory: Memory, smoother: Smoother | None
    ) -> None:
        self._keeper = keeper
        self._journal = journal
        self._books = books
        self._memory = memory
        self._smoother = smoother
        self._failing: dict[UUID, dict[str, str]] = {}

    async def write(
        self,
        looked: Sequence[Looked],
        decisions: Sequence[RebalanceDecision],
        exits: Mapping[UUID, Exit],
        turns: Collection[UUID],
        snapshot: MarketSnapshot,
        reads: Reads,
        outcomes: Outcomes,
        tick: StoredTick,
    ) -> None:
        """Keep what the tick learnt of the positions that do not leave now. Whatever goes wrong there is a failure."""
        try:
            await self._keep(looked, decisions, exits, turns, snapshot, reads, outcomes, tick)
        except StoreError as error:
            outcomes.failed("what the tick learnt", error)
        except Exception as error:
            outcomes.failures.append(Failure(what="what the tick learnt", why=where(error)))
        outcomes.notices += [*self._degraded(looked), *self._waiting(exits.values())]
        outcomes.notices += self._books.amiss(one.position.id for one in looked)

    async def _keep(
        self,
        looked: Sequence[Looked],
        decisions: Sequence[RebalanceDecision],
        exits: Mapping[UUID, Exit],
        turns: Collection[UUID],
        snapshot: MarketSnapshot,
        reads: Reads,
        outcomes: Outcomes,
        tick: StoredTick,
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
            if decision.traced and (turn or exit_ is not None):
                stored = self._journal.due(key, decision, None if exit_ is None else exit_.held)
                kept += [] if stored is None else [stored]
                failed = _failed(decision)
                if failed:
                    self._failing[key] = failed
                    degraded[key] = next(iter(failed.values()))
                else:
                    self._failing.pop(key, None)
            if turn or one.attention is not None or key in degraded:
                looked_at.append((one, turn))
        entries: dict[UUID, tuple[LedgerEntry, ...]] = {}
        try:
            entries = await self._books.due([one.position for one, due in looked_at if due], reads, snapshot)
        except StoreError as error:
            outcomes.failed("what funding is booked", error)
        positions = [
            after
            for one, turn in looked_at
            if (after := _checked(one, turn, degraded, entries, snapshot)) is not one.position
        ]
        booked, seen = tuple(chain.from_iterable(entries.values())), self._memory.new(snapshot)
        means = () if self._smoother is None else self._smoother.unwritten()
        batch = Batch(
            positions=tuple(positions),
            decisions=tuple(kept),
            ledger=booked,
            observations=seen,
            smoothed=means,
            ticks=(tick,),
        )
        await self._keeper.commit(batch)
        self._journal.kept(kept)
        self._books.book(booked)
        self._memory.keep(seen)
        if self._smoother is not None:
            self._smoother.wrote(means)

    def _degraded(self, looked: Sequence[Looked]) -> list[Notice]:
        """The rules that fail, each with a position for which it did when that was looked at last."""
        if not self._failing:
            return []
        there = {one.position.id: one.position for one in looked}
        self._failing = {key: failed for key, failed in self._failing.items() if key in there}
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
            stored = self._journal.held(exit_.position.id)
            approve = None if stored is None else str(stored.id)
            about = str(exit_.position.pair)
            notices.append(Notice(AlarmKind.NEEDS_APPROVAL, about, MASS_EXIT, exit_.position.id, approve))
        if len(held) > _SHOWN:
            notices.append(Notice(AlarmKind.NEEDS_APPROVAL, f"{len(held)} positions", MASS_EXIT))
        return notices


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
