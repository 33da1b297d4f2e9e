"""What a store keeps, and how it is written: everything of one step together, or nothing of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from pydantic import Field

from .intents import Intent
from .market import Quote
from .model import Value
from .names import Line, Venue
from .numbers import Usd
from .position import Position
from .record import DecisionRecord
from .smoothed import SmoothedRate
from .times import Instant, Moment


class StoreMode(StrEnum):
    """What the positions of a store are. A store is made for one, and refuses another."""

    DRY = "dry"
    PAPER = "paper"
    LIVE = "live"


class LedgerKind(StrEnum):
    """What a ledger entry is."""

    FUNDING = "funding"
    FEE = "fee"


class LedgerEntry(Value):
    """Money of a position on a venue at an instant; positive: received. One of a kind at an instant, however often
    it is written.
    """

    position_id: UUID
    venue: Venue
    kind: LedgerKind
    at: Moment
    amount_usd: Usd


class StoredDecision(Value):
    """A decision as it was kept. `held` is why the monitor did not act on it; `approved_at` when a person let it go,
    which may be written later.
    """

    record: DecisionRecord
    held: Line | None = None
    approved_at: Moment | None = None

    @classmethod
    def read(cls, record_json: str, *, held: str | None, approved_at: datetime | None) -> StoredDecision:
        """What was kept as this text, whose id it has. Raises InputError if the text is no record."""
        record = DecisionRecord.model_validate_json(record_json)
        kept = cls(record=record, held=held, approved_at=approved_at)
        kept.__dict__["record_json"] = record_json
        return kept

    @cached_property
    def record_json(self) -> str:
        """The record's canonical JSON."""
        return self.record.model_dump_json()

    @cached_property
    def id(self) -> UUID:
        """The decision's id, as `DecisionRecord.id`."""
        return UUID(bytes=sha256(self.record_json.encode()).digest()[:16])


class StoredTick(Value):
    """What a tick decided, in numbers. Each tick with open positions has one: a hold of which no decision was written
    again is known to have been decided. A tick that a failure ended early has none.

    `at` is when it was written, `as_of` that of its decisions. It `decided` so many open positions; the divergence of
    `blind` of them was unknown. `begun` are exits that began, as far as the store said so; `held_back` those that were
    wanted and did not.
    """

    at: Moment
    as_of: Instant
    decided: Annotated[int, Field(ge=0)]
    blind: Annotated[int, Field(ge=0)] = 0
    begun: Annotated[int, Field(ge=0)] = 0
    held_back: Annotated[int, Field(ge=0)] = 0


class Lease(Value):
    """The right to write, of one holder at a time. `epoch` is larger for each later holder; `until` only elects."""

    holder: Line
    epoch: Annotated[int, Field(ge=1)]
    until: Moment

    def held_at(self, now: datetime) -> bool:
        """Whether nobody else can have been elected by `now`."""
        return now < self.until


class Batch(Value):
    """One step: what is written together.

    `positions` and `intents` are as they shall be, each once; a store refuses those that are no change of the state
    tables, or not the next version of what it has. `decisions`, `ledger`, `observations` and `ticks` are added; what is
    there already is not added twice, and of one observation (market, instant, rate), as of one instant's ticks, the
    first is kept. `smoothed` are as they shall be too, one a market and signal: one that was settled before the one
    that is there is not written.
    """

    positions: tuple[Position, ...] = ()
    intents: tuple[Intent, ...] = ()
    decisions: tuple[StoredDecision, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    observations: tuple[Quote, ...] = ()
    smoothed: tuple[SmoothedRate, ...] = ()
    ticks: tuple[StoredTick, ...] = ()
