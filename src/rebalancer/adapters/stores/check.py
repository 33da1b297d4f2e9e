"""What every store does the same: who holds the lease, whether a batch may be written, and in what order it is read.

Nothing here reads or writes. A store of your own calls `elected`, `check_lease` and `check`, the last two inside the
transaction that writes, and sorts by the keys at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from ...domain.batch import Batch, Lease, LedgerEntry, StoredDecision, StoredTick
from ...domain.intents import Intent
from ...domain.lifecycle import Step, Switch, claims, refused_intent, refused_position, stopped
from ...domain.market import Quote
from ...domain.names import Market
from ...domain.position import Position
from ...domain.smoothed import Smoothed, SmoothedRate
from ...errors import Conflict, Fenced, InputError, Stopped

SHORTEST = timedelta(seconds=1)
"""The shortest lease."""
_Key = TypeVar("_Key")
_Item = TypeVar("_Item")


class Stored(Protocol):
    """What a store has, as the transaction that writes sees it."""

    def switch(self) -> Switch:
        """What a monitor may do."""
        ...

    def position(self, position_id: UUID, /) -> Position | None:
        """A position, closed ones too."""
        ...

    def intents(self, position_id: UUID, /) -> Iterable[Intent]:
        """All intents of a position."""
        ...

    def owner(self, market: Market, /) -> UUID | None:
        """The living position that owns a market."""
        ...

    def decision(self, decision_id: UUID, /) -> StoredDecision | None:
        """A decision by its id."""
        ...

    def entry(self, like: LedgerEntry, /) -> LedgerEntry | None:
        """The ledger entry of the same `ledger_key`."""
        ...


@dataclass(slots=True)
class Changes:
    """What is to be written: markets `released` before they are `taken`, and only what differs from what is there."""

    positions: list[Position] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    released: list[Market] = field(default_factory=list)
    taken: dict[Market, UUID] = field(default_factory=dict)
    decisions: list[tuple[UUID, StoredDecision]] = field(default_factory=list)
    ledger: list[LedgerEntry] = field(default_factory=list)
    observations: list[Quote] = field(default_factory=list)
    smoothed: list[SmoothedRate] = field(default_factory=list)
    ticks: list[StoredTick] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The one row of the lease: the last epoch, and who holds it until when; nobody if it was given back."""

    epoch: int = 0
    holder: str | None = None
    until: datetime | None = None


def elected(row: LeaseRow, holder: str, ttl: timedelta, now: datetime) -> Lease | None:
    """The lease that `holder` gets at `now`; None while another holder's runs.

    A holder keeps its epoch as long as nobody else was elected. Raises InputError for a ttl under a second.
    """
    if not isinstance(ttl, timedelta) or ttl < SHORTEST:
        raise InputError("a lease is for a second or longer")
    mine = row.holder == holder
    if not mine and row.holder is not None and row.until is not None and now < row.until:
        return None
    return Lease(holder=holder, epoch=row.epoch if mine else row.epoch + 1, until=now + ttl)


def holds(row: LeaseRow, lease: Lease) -> bool:
    """Whether a lease is the one that counts. No clock is asked: until another is elected, it does."""
    return (row.holder, row.epoch) == (lease.holder, lease.epoch)


def check_lease(row: LeaseRow, lease: Lease) -> None:
    """Raise Fenced unless the lease is the one that counts."""
    if not holds(row, lease):
        raise Fenced("the lease has passed on or was given back: nothing was written; stop, or acquire it again")


def check(batch: Batch, stored: Stored) -> Changes:
    """What a batch changes. Raises Conflict or Stopped, with the reason, if any part of it may not be."""
    before, steps = _steps(batch, stored)
    switch = stored.switch()
    for after in batch.intents:
        step = steps[after.position_id]
        _refuse(refused_intent(before.get(after.key), after, step), f"the {after.effect} of the {after.leg} leg", step)
        if why := stopped(switch, before.get(after.key), after, step.before):
            raise Stopped(f"{why} ({step.after.pair})")
    successors = {step.after.parent: step for step in steps.values() if step.before is None}
    for step in steps.values():
        parent = None if step.after.parent is None else steps.get(step.after.parent)
        _refuse(refused_position(step, parent=parent, successor=successors.get(step.after.id)), "the position", step)
    changes = Changes(
        positions=[step.after for step in steps.values() if step.after is not step.before],
        intents=list(batch.intents),
        decisions=_new_decisions(batch.decisions, stored),
        ledger=_new_entries(batch.ledger, stored, steps),
        observations=list(batch.observations),
        smoothed=list(batch.smoothed),
        ticks=list(batch.ticks),
    )
    _settle_claims(changes, steps.values(), stored)
    return changes


def _steps(batch: Batch, stored: Stored) -> tuple[dict[str, Intent], dict[UUID, Step]]:
    """The intents there are, by key, of the positions that change; and what each position does, by its id."""
    positions = _once(batch.positions, lambda position: position.id, "a position")
    intents: dict[UUID, list[Intent]] = {}
    for intent in _once(batch.intents, lambda intent: intent.key, "an intent").values():
        intents.setdefault(intent.position_id, []).append(intent)
    known: dict[str, Intent] = {}
    steps: dict[UUID, Step] = {}
    for position_id in dict.fromkeys((*positions, *intents)):
        before = stored.position(position_id)
        after = positions.get(position_id, before)
        if after is None:
            raise Conflict("an intent for a position that is not there")
        if position_id not in intents and before is not None and before.version == after.version:
            steps[position_id] = Step(before, after)  # what its intents prove does not matter
            continue
        own = {intent.key: intent for intent in stored.intents(position_id)}
        known |= own
        own |= {intent.key: intent for intent in intents.get(position_id, ())}
        steps[position_id] = Step(before, after, tuple(own.values()))
    return known, steps


def _once(items: Iterable[_Item], key: Callable[[_Item], _Key], what: str) -> dict[_Key, _Item]:
    found: dict[_Key, _Item] = {}
    for item in items:
        if found.setdefault(key(item), item) is not item:
            raise Conflict(f"{what} twice in one batch")
    return found


def _refuse(why: str | None, what: str, step: Step) -> None:
    if why is not None:
        raise Conflict(f"{what} ({step.after.pair}): {why}")


def _settle_claims(changes: Changes, steps: Iterable[Step], stored: Stored) -> None:
    """Who gives back and who takes which market; Conflict if another living position owns it."""
    released: dict[Market, UUID] = {}
    for step in steps:
        had, has = claims(step.before) if step.before else (), claims(step.after)
        released.update({market: step.after.id for market in had if market not in has})
        for market in has:
            if market in had:
                continue
            if market in changes.taken:
                raise Conflict(f"{market} would be owned by two positions")
            changes.taken[market] = step.after.id
    for market in changes.taken:
        owner = stored.owner(market)
        if owner is not None and released.get(market) != owner:
            raise Conflict(f"{market} is owned by another position")
    changes.released.extend(released)


def _new_decisions(decisions: Sequence[StoredDecision], stored: Stored) -> list[tuple[UUID, StoredDecision]]:
    """Those that are not there, or are approved now."""
    new: dict[UUID, StoredDecision] = {}
    for decision in decisions:
        decision_id = decision.id
        there = new.get(decision_id) or stored.decision(decision_id)
        if there is not None and there.held != decision.held:
            raise Conflict("a decision is there already, and held for another reason")
        if there is None or later(there.approved_at, decision.approved_at):
            new[decision_id] = decision
    return list(new.items())


def later(there: datetime | None, given: datetime | None) -> bool:
    """Whether an approval is given that is not there yet."""
    return given is not None and (there is None or given > there)


def _new_entries(entries: Sequence[LedgerEntry], stored: Stored, steps: Mapping[UUID, Step]) -> list[LedgerEntry]:
    """Those that are not there."""
    new: dict[LedgerKey, LedgerEntry] = {}
    for entry in entries:
        if entry.position_id not in steps and stored.position(entry.position_id) is None:
            raise Conflict("a ledger entry for a position that is not there")
        there = new.get(ledger_key(entry)) or stored.entry(entry)
        if there is None:
            new[ledger_key(entry)] = entry
        elif there != entry:
            raise Conflict(f"another amount of {entry.kind} is there already for the same instant on {entry.venue}")
    return list(new.values())


LedgerKey = tuple[UUID, str, str, datetime]


def ledger_key(entry: LedgerEntry) -> LedgerKey:
    """What there is one ledger entry of."""
    return entry.position_id, entry.venue, entry.kind, entry.at


def observation_key(quote: Quote) -> tuple[datetime, Market, int]:
    """What there is one observation of, and the order in which observations are read."""
    return quote.observed_at, quote.market, quote.rate.steps


def smoothed_key(rate: SmoothedRate) -> tuple[Market, Smoothed]:
    """What there is one smoothed rate of."""
    return rate.market, rate.signal


def by_signal(rate: SmoothedRate) -> tuple[Market, tuple[timedelta, int, timedelta]]:
    """The order of smoothed rates."""
    return rate.market, rate.signal.order


def by_opening(position: Position) -> tuple[datetime, UUID]:
    """The order of positions."""
    return position.opened_at, position.id


def by_plan(intent: Intent) -> tuple[datetime, str]:
    """The order of intents."""
    return intent.planned_at, intent.key


def by_time(decision: StoredDecision) -> tuple[datetime, UUID]:
    """The order of decisions."""
    return decision.record.as_of, decision.id


def by_instant(entry: LedgerEntry) -> tuple[datetime, str, str]:
    """The order of a position's ledger."""
    return entry.at, entry.venue, entry.kind


def tick_key(tick: StoredTick) -> datetime:
    """What there is one tick of, and the order of ticks."""
    return tick.at
