"""Which decisions are kept: those that act, those that differ from the one before, and each once an hour."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from ..domain.batch import StoredDecision
from ..domain.decision import RebalanceDecision
from ..domain.record import DecisionRecord
from ..domain.verdict import Action, Outcome
from .limits import MonitorLimits


class _Gist(NamedTuple):
    """What is compared of two decisions about one position."""

    action: Action
    reason: str | None
    outcomes: tuple[Outcome, ...]
    held: str | None


class _Last(NamedTuple):
    """The last decision that was kept about a position: as a whole if it is an exit that is held, for `approve`."""

    gist: _Gist
    at: datetime
    id: UUID
    held: StoredDecision | None


class Journal:
    """Remembers the last decision that was kept of each position. What it forgets in a restart is kept once more.

    To compare a decision, its whole trace is made; so of the holds only so many are looked at in a tick, in turns.
    """

    def __init__(self, limits: MonitorLimits) -> None:
        self._limits = limits
        self._last: dict[UUID, _Last] = {}
        self._turns: OrderedDict[UUID, None] = OrderedDict()
        self._there: Sequence[UUID] = ()
        self._approved: dict[UUID, StoredDecision] = {}

    def turns(self, positions: Sequence[UUID]) -> frozenset[UUID]:
        """The positions whose holds are looked at in this tick: new ones first, then who waited longest."""
        if positions != self._there or len(self._last) > len(positions):  # in most ticks they are those of before
            self._come_and_go(positions)
            self._there = positions
        chosen = [key for key, _ in zip(self._turns, range(self._limits.records_per_tick), strict=False)]
        for key in chosen:
            self._turns.move_to_end(key)
        return frozenset(chosen)

    def _come_and_go(self, positions: Sequence[UUID]) -> None:
        for new in positions:
            if new not in self._turns:
                self._turns[new] = None
                self._turns.move_to_end(new, last=False)
        there = frozenset(positions)
        for gone in self._turns.keys() - there:
            del self._turns[gone]
        for gone in self._last.keys() - there:
            del self._last[gone]

    def due(self, position_id: UUID, decision: RebalanceDecision, held: str | None) -> StoredDecision | None:
        """The decision as it is to be kept; None if the last one that was kept says the same, not long ago."""
        last = self._last.get(position_id)
        if last is not None and last.at == decision.as_of and last.id == decision.id:
            return None  # it is there already, whatever is done about it now
        gist = _gist(decision.record, held)
        young = last is not None and timedelta(0) <= decision.as_of - last.at < self._limits.record_every
        if young and last is not None and last.gist == gist:
            return None
        return StoredDecision(record=decision.record, held=held)

    def kept(self, decisions: Iterable[StoredDecision]) -> None:
        """These are in the store now."""
        for one in decisions:
            record = one.record
            held = one if one.held is not None and record.action is not Action.HOLD else None
            self._last[record.position_id] = _Last(_gist(record, one.held), record.as_of, one.id, held)

    def approve(self, decision: StoredDecision) -> None:
        """A person let this one go."""
        self._approved[decision.record.position_id] = decision

    def still(self, positions: Sequence[UUID], decisions: Sequence[RebalanceDecision]) -> None:
        """What was decided of open positions in this tick: an approval of something else has lapsed."""
        if not self._approved:
            return
        decided = dict(zip(positions, decisions, strict=True))
        self._approved = {
            key: one
            for key, one in self._approved.items()
            if key in decided and not _contradicts(decided[key], one.record.action)
        }

    def held(self, position_id: UUID) -> StoredDecision | None:
        """The exit that is held of a position, as it was kept last; None if its last decision was none."""
        last = self._last.get(position_id)
        return None if last is None else last.held

    def recall(self, decisions: Iterable[StoredDecision]) -> None:
        """Begin with what a store has, in order of time."""
        self._last, decisions = {}, tuple(decisions)
        self.kept(decisions)
        self._approved = {}
        for one in decisions:
            if one.approved_at is not None:
                self._approved[one.record.position_id] = one
            else:
                self._lapse(one)

    def _lapse(self, later: StoredDecision) -> None:
        """An approval does not outlive something else that was decided since."""
        approved = self._approved.get(later.record.position_id)
        if approved is not None and _contradicts(later.record, approved.record.action):
            del self._approved[later.record.position_id]

    def approved(self, position_id: UUID, action: Action, now: datetime) -> bool:
        """Whether a person let an exit of a position go: the same action, and not too long ago."""
        decision = self._approved.get(position_id)
        if decision is None or decision.approved_at is None or decision.record.action is not action:
            return False
        return lasts(decision.approved_at, now, self._limits.approval_life)


def lasts(approved_at: datetime, now: datetime, life: timedelta) -> bool:
    """Whether an approval counts yet. A clock that was set back a little ends none, and lets none count much longer."""
    return -life <= now - approved_at <= life


def _contradicts(decided: RebalanceDecision | DecisionRecord, action: Action) -> bool:
    """Whether a decision wants something else. A hold for want of data says nothing of what is wanted."""
    return decided.action is not action and (decided.action is not Action.HOLD or decided.complete)


def _gist(record: DecisionRecord, held: str | None) -> _Gist:
    return _Gist(record.action, record.reason, tuple(verdict.outcome for verdict in record.verdicts), held)
