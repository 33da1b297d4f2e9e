"""Leaving a position: which decisions to leave may begin now, and what is written when one begins."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from ..domain.batch import Batch, LedgerEntry, StoredDecision, StoreMode
from ..domain.decision import RebalanceDecision
from ..domain.intents import Side
from ..domain.lifecycle import Switch, changed, closing_legs, market_of, recorded
from ..domain.names import as_line
from ..domain.position import Position, PositionStatus
from ..domain.snapshot import MarketSnapshot
from ..domain.tick import Failure
from ..domain.verdict import Action
from ..errors import StoreError
from .books import Books, collected
from .brake import Brake
from .closer import plan
from .desk import Desk
from .exits import Exits, Wanted, turn
from .instructions import exempt
from .journal import Journal
from .keeper import Keeper
from .legs import Looked
from .limits import MonitorLimits
from .notice import where

_log = logging.getLogger("rebalancer.monitor")
SWITCH_WAITS = "a switch is recorded and not begun: this monitor does not open positions, and a switch is no mere close"
DRY_RUN = "dry run: nothing is sent"
NEVER_READ = "a leg was never read: it is not traded"
UNREAD = "a leg was not read in this tick: no close begins"
LATER = "more want out than are looked at in one tick: it is looked at in a later one"
WRONG_SIDE = "a leg is on the wrong side: a person has to look"
_FORBIDS = {Switch.KILL: "the kill switch is on", Switch.PAUSE: "the switch is on pause"}


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


class Leaving:
    """Holds exits back as long as a guard, the switch or a leg says so, and begins those that may."""

    def __init__(
        self,
        *,
        mode: StoreMode,
        desk: Desk,
        keeper: Keeper,
        brake: Brake,
        journal: Journal,
        books: Books,
        limits: MonitorLimits,
        liquidation: frozenset[str],
    ) -> None:
        self._mode = mode
        self._desk = desk
        self._keeper = keeper
        self._brake = brake
        self._journal = journal
        self._books = books
        self._limits = limits
        self._liquidation = liquidation
        self._exits = Exits(limits)

    def recall(self, decisions: Iterable[StoredDecision]) -> None:
        """Begin with the exits that stored decisions began."""
        self._exits.recall(decisions, self._liquidation)

    def looked_at(
        self, wanting: Sequence[tuple[Position, RebalanceDecision]], looked: Mapping[UUID, Looked], switch: Switch
    ) -> set[UUID]:
        """Of whose exits the records are made in this tick: whatever may begin now, then those that have none yet.

        Making them for thousands that want out at once would keep the tick from whoever is in danger; and those that
        can not begin would keep it from those that can.
        """
        now = self._desk.now().wall
        ordered = sorted(wanting, key=lambda one: turn(one[1].urgency, one[0]))
        first = {
            position.id
            for position, decision in ordered
            if decision.reason in self._liquidation or self._journal.approved(position.id, decision.action, now)
        }
        able = (
            position.id
            for position, decision in ordered
            if position.id not in first
            and self._hindrance(looked[position.id], decision, switch) is None
            and self._exits.rested(position, now)
        )
        first.update(islice(able, self._limits.closes_per_minute))
        others = (position.id for position, _ in ordered if position.id not in first)
        new = (position_id for position_id in others if self._journal.held(position_id) is None)
        return first.union(islice(new, self._limits.records_per_tick))

    def exits(
        self, looked: Sequence[Looked], decisions: Sequence[RebalanceDecision], switch: Switch
    ) -> dict[UUID, Exit]:
        """The decisions to leave, by position, and which of them have to wait."""
        exits: dict[UUID, Exit] = {}
        for one, decision in zip(looked, decisions, strict=True):
            if decision.action is not Action.HOLD:
                spared = switch is Switch.FLATTEN or (decision.traced and exempt(decision.record, self._liquidation))
                exits[one.position.id] = Exit(one, decision, self._hindrance(one, decision, switch), spared)
        self._journal.still([one.position.id for one in looked], decisions)
        closing = [exit_ for exit_ in exits.values() if exit_.decision.action is Action.CLOSE]
        now = self._desk.now().wall
        guarded = self._exits.held(
            [self._wanted(exit_, now) for exit_ in closing if exit_.held is None],
            [one.position for one in looked],
            now,
            hindered=[exit_.position.id for exit_ in closing if exit_.held is not None and not exit_.exempt],
        )
        later = {key: LATER for key, exit_ in exits.items() if exit_.held is None and not exit_.decision.traced}
        for position_id, why in {**later, **guarded}.items():
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
            approved=self._journal.approved(exit_.position.id, exit_.decision.action, now),
        )

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
        stored = self._journal.due(position.id, decision, None)
        decided = () if stored is None else (stored,)
        batch = Batch(positions=(after,), intents=intents, decisions=decided, ledger=entries)
        await self._keeper.commit(batch)
        self._journal.kept(batch.decisions)
        self._books.book(entries)
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
            return (await self._books.due([position], reads, snapshot)).get(position.id, ())
        except Exception as error:  # whatever it is
            why = str(error) if isinstance(error, StoreError) else where(error)
            failures.append(Failure(what=f"the funding of {position.pair}", why=as_line(why)))
            return ()


def unable(looked: Looked, *, unread_too: bool) -> str | None:
    """Why the legs do not allow a close to begin; None if they do."""
    if any(recorded(looked.position, leg) is None for leg in Side):
        return NEVER_READ
    if looked.wrong:
        return WRONG_SIDE
    return UNREAD if looked.unread and not unread_too else None
