"""A store's rows: values as canonical JSON, beside the columns that are searched or must be unique."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from ...domain.batch import Lease, LedgerEntry, StoredDecision, StoredTick
from ...domain.intents import Intent
from ...domain.lifecycle import Switch
from ...domain.market import Quote
from ...domain.model import Value
from ...domain.names import Market
from ...domain.position import Position, PositionStatus
from ...domain.smoothed import SmoothedRate
from ...domain.times import EPOCH, epoch_seconds, read_moment, write_instant
from ...errors import InputError, StoreError
from .check import Changes, LeaseRow

_Value = TypeVar("_Value", bound=Value)
_Row = tuple[str | int | None, ...]
_POSITION = (
    "INSERT INTO positions VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET status = excluded.status, version = excluded.version, value = excluded.value"
)
_INTENT = (
    "INSERT INTO intents VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET state = excluded.state, revision = excluded.revision, value = excluded.value"
)
_DECISION = (
    "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET approved_at = excluded.approved_at"
)
_SMOOTHED = (
    "INSERT INTO smoothed VALUES (?, ?, ?, ?, ?) ON CONFLICT (venue, symbol, signal) DO UPDATE "
    "SET settled_at = excluded.settled_at, value = excluded.value WHERE excluded.settled_at >= settled_at"
)
_POSITIONS = "SELECT id, value FROM positions"
_LEAVES = "json_extract(value, '$.action') <> 'HOLD'"
_DECISIONS = "SELECT id, held, approved_at, value FROM decisions"


class Rows:
    """The rows of a connection, read and written one way. `check` reads them inside the transaction that writes.

    `known` are live positions by the text of their id, beside the text that they were read from or written as: the same
    text is not read again.
    """

    def __init__(self, connection: sqlite3.Connection, known: dict[str, tuple[str, Position]]) -> None:
        self._connection = connection
        self._known = known

    def lease(self) -> LeaseRow:
        """Who holds the lease."""
        epoch, holder, until = self._connection.execute("SELECT epoch, holder, until FROM lease").fetchone()
        return LeaseRow(epoch, holder, None if until is None else read_moment(until))

    def elect(self, lease: Lease) -> None:
        """Give the lease to a holder."""
        row = (lease.epoch, lease.holder, write_instant(lease.until))
        self._connection.execute("UPDATE lease SET epoch = ?, holder = ?, until = ?", row)

    def vacate(self) -> None:
        """Give the lease to nobody. The epoch stays, so that the next is larger."""
        self._connection.execute("UPDATE lease SET holder = NULL, until = NULL")

    def switch(self) -> Switch:
        """What a monitor may do."""
        return Switch(self._connection.execute("SELECT switch FROM meta").fetchone()[0])

    def set_switch(self, switch: Switch) -> None:
        """Say what a monitor may do."""
        self._connection.execute("UPDATE meta SET switch = ?", (switch,))

    def position(self, position_id: UUID) -> Position | None:
        """A position, closed ones too."""
        row = self._connection.execute(f"{_POSITIONS} WHERE id = ?", (str(position_id),)).fetchone()
        return None if row is None else self._position(*row)

    def live(self) -> Iterator[Position]:
        """The positions that are not closed, in order of their opening."""
        living = f"{_POSITIONS} WHERE status <> 'closed' ORDER BY opened_at, id"
        for row in self._connection.execute(living).fetchall():
            yield self._position(*row)

    def closed(self) -> Iterator[Position]:
        """The positions that are closed."""
        for _, text in self._connection.execute(f"{_POSITIONS} WHERE status = 'closed'").fetchall():
            yield _value(Position, "positions", text)

    def _position(self, name: str, text: str) -> Position:
        there = self._known.get(name)
        if there is None or there[0] != text:
            there = text, _value(Position, "positions", text)
            self._know(*there)
        return there[1]

    def _know(self, text: str, position: Position) -> None:
        if position.status is PositionStatus.CLOSED:
            self._known.pop(str(position.id), None)
        else:
            self._known[str(position.id)] = text, position

    def intents(self, position_id: UUID) -> Iterator[Intent]:
        """All intents of a position."""
        return self._all(Intent, "intents WHERE position_id = ?", str(position_id))

    def unfinished(self) -> Iterator[Intent]:
        """The intents of all positions that are planned or sent."""
        return self._all(Intent, "intents WHERE state IN ('planned', 'sent')")

    def owner(self, market: Market) -> UUID | None:
        """The living position that owns a market."""
        found = self._connection.execute("SELECT position_id FROM claims WHERE venue = ? AND symbol = ?", market)
        row = found.fetchone()
        return None if row is None else UUID(row[0])

    def decision(self, decision_id: UUID) -> StoredDecision | None:
        """A decision by its id."""
        row = self._connection.execute(f"{_DECISIONS} WHERE id = ?", (str(decision_id),)).fetchone()
        return None if row is None else _decision(*row)

    def decisions(self, since: datetime, *, exits: bool = False) -> Iterator[StoredDecision]:
        """The decisions made at `since` or later; of the `exits`, those that did not hold."""
        made = f"{_DECISIONS} WHERE as_of >= ?" + (f" AND {_LEAVES}" if exits else "")
        for row in self._connection.execute(made, (epoch_seconds(since),)).fetchall():
            decision = _decision(*row)
            if decision.record.as_of >= since:
                yield decision

    def entry(self, like: LedgerEntry) -> LedgerEntry | None:
        """The ledger entry for the same money."""
        where = "ledger WHERE position_id = ? AND venue = ? AND kind = ? AND at = ?"
        return next(self._all(LedgerEntry, where, *_of_entry(like)), None)

    def ledger(self, position_id: UUID) -> Iterator[LedgerEntry]:
        """A position's fees and funding."""
        return self._all(LedgerEntry, "ledger WHERE position_id = ?", str(position_id))

    def observations(self, markets: Collection[Market], since: datetime, most: int | None) -> Iterator[Quote]:
        """The observations of `markets` seen at `since` or later, of each at `most` the latest."""
        where = "observations WHERE venue = ? AND symbol = ? AND observed_at >= ?"
        where += " ORDER BY observed_at DESC, rate DESC LIMIT ?"
        for market in set(markets):
            for quote in self._all(Quote, where, *market, epoch_seconds(since), -1 if most is None else most):
                if quote.observed_at >= since:
                    yield quote

    def smoothed(self) -> Iterator[SmoothedRate]:
        """The smoothed rates."""
        return self._all(SmoothedRate, "smoothed")

    def ticks(self, since: datetime) -> Iterator[StoredTick]:
        """The ticks at `since` or later, in order of time."""
        return self._all(StoredTick, "ticks WHERE at >= ? ORDER BY at", _microseconds(since))

    def write(self, changes: Changes) -> None:
        """Write it all."""
        many = self._connection.executemany
        many(_POSITION, map(self._of_position, changes.positions))
        many(_INTENT, map(_of_intent, changes.intents))
        many("DELETE FROM claims WHERE venue = ? AND symbol = ?", changes.released)
        many("INSERT INTO claims VALUES (?, ?, ?)", ((*market, str(by)) for market, by in changes.taken.items()))
        many(_DECISION, map(_of_decision, changes.decisions))
        many("INSERT INTO ledger VALUES (?, ?, ?, ?, ?)", ((*_of_entry(one), _text(one)) for one in changes.ledger))
        many("INSERT OR IGNORE INTO observations VALUES (?, ?, ?, ?, ?)", map(_of_quote, changes.observations))
        many(_SMOOTHED, map(_of_smoothed, changes.smoothed))
        many("INSERT OR IGNORE INTO ticks VALUES (?, ?)", map(_of_tick, changes.ticks))

    def _of_position(self, position: Position) -> _Row:
        text = _text(position)
        self._know(text, position)  # if this is rolled back, the text in the file is another
        return str(position.id), epoch_seconds(position.opened_at), position.status, position.version, text

    def _all(self, kind: type[_Value], where: str, *values: object) -> Iterator[_Value]:
        for row in self._connection.execute(f"SELECT value FROM {where}", values).fetchall():
            yield _value(kind, where, row[0])


def _value(kind: type[_Value], where: str, text: str) -> _Value:
    try:
        return kind.model_validate_json(text)
    except InputError as error:
        raise _changed(where.partition(" ")[0], str(error)) from error


def _changed(table: str, why: str) -> StoreError:
    return StoreError(
        f"a row of {table} can not be read ({why}): it was changed by something else, or it is damaged; stop, keep a "
        "copy, and restore the store from a backup"
    )


def _text(value: Value) -> str:
    return value.model_dump_json()


def _of_intent(intent: Intent) -> _Row:
    order = (intent.effect, intent.leg, intent.attempt)
    return intent.key, str(intent.position_id), *order, intent.state, intent.revision, _text(intent)


def _of_decision(decision: tuple[UUID, StoredDecision]) -> _Row:
    decision_id, kept = decision
    record, approved = kept.record, None if kept.approved_at is None else write_instant(kept.approved_at)
    return str(decision_id), str(record.position_id), epoch_seconds(record.as_of), kept.held, approved, kept.record_json


def _decision(name: str, held: str | None, approved_at: str | None, text: str) -> StoredDecision:
    approved = None if approved_at is None else read_moment(approved_at)
    try:
        decision = StoredDecision.read(text, held=held, approved_at=approved)
    except InputError as error:
        raise _changed("decisions", str(error)) from error
    if str(decision.id) != name:
        raise _changed("decisions", "its id does not match its content")
    return decision


def _of_entry(entry: LedgerEntry) -> tuple[str, str, str, str]:
    return str(entry.position_id), entry.venue, entry.kind, write_instant(entry.at)


def _microseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def _of_tick(tick: StoredTick) -> _Row:
    return _microseconds(tick.at), _text(tick)


def _of_quote(quote: Quote) -> _Row:
    return *quote.market, quote.observed_epoch, quote.rate.steps, _text(quote)


def _of_smoothed(rate: SmoothedRate) -> _Row:
    return *rate.market, _text(rate.signal), rate.settled_epoch, _text(rate)
