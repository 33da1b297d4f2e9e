"""The record of a decision: everything that is kept of it, frozen, the same bytes anywhere."""

from __future__ import annotations

import hashlib
from uuid import UUID

from .funding import RateKind
from .model import Value
from .names import Line, ReasonCode, Symbol, Venue
from .numbers import OptionalRate
from .opportunity import Opportunity
from .targets import TargetFilter
from .times import Instant
from .verdict import Action, Fact, HeldBack, Outcome, Urgency, Verdict


class LegRecord(Value):
    """A leg as it was seen: its rate per 8 h (None: unknown) and the age in seconds of its quote (None: no quote)."""

    venue: Venue
    rate: OptionalRate
    age_seconds: int | None
    kind: RateKind | None
    origin: Line | None


class DecisionRecord(Value):
    """All that is kept of a decision; see `RebalanceDecision` for what the fields mean."""

    as_of: Instant
    position_id: UUID
    position_version: int
    symbol: Symbol
    long: LegRecord
    short: LegRecord
    action: Action
    reason: ReasonCode | None
    target: Opportunity | None
    urgency: Urgency
    complete: bool
    verdicts: tuple[Verdict, ...]
    held_back: tuple[HeldBack, ...]
    warnings: tuple[Fact, ...]
    targets: TargetFilter

    @property
    def decided_by(self) -> Verdict | None:
        """The verdict that decided: the first that fired; None on HOLD."""
        return next((verdict for verdict in self.verdicts if verdict.outcome is Outcome.FIRED), None)

    @property
    def id(self) -> UUID:
        """The first 128 bits of the SHA-256 of the canonical JSON."""
        return UUID(bytes=hashlib.sha256(self.model_dump_json().encode()).digest()[:16])
