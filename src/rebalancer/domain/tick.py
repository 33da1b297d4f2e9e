"""What a monitor says of a tick: what it decided, what it left out, what failed, and what a person should look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from .lifecycle import Switch
from .model import Value
from .names import Line
from .times import Moment

if TYPE_CHECKING:
    from .decision import RebalanceDecision


class AlarmKind(StrEnum):
    """What an alarm is about."""

    SOURCE_DOWN = "source_down"
    """The source gave no answer: everything is held."""
    SUSPICIOUS = "suspicious"
    """Data that is not believed."""
    BLIND = "blind"
    """The rates of a position are unknown."""
    UNREAD = "unread"
    """A leg could not be read, so that nothing is begun."""
    UNEXPECTED_LEG = "unexpected_leg"
    """A leg is on the wrong side, larger than recorded, or was never there: it is not traded."""
    LEG_GONE = "leg_gone"
    """A leg is gone, and no order of ours explains it."""
    HALF_CLOSED = "half_closed"
    """One leg is closed and the other is not: the position is not neutral."""
    ORDER_UNKNOWN = "order_unknown"
    """What became of an order is not known past its deadline."""
    STALLED = "stalled"
    """A close does not come to its end."""
    NEEDS_APPROVAL = "needs_approval"
    """Something waits for a person; `approve` is what to name."""
    DEGRADED = "degraded"
    """A critical rule failed or could not be evaluated: its silence is not a hold."""
    BENCHED = "benched"
    """A rule did not return, and is not asked any more."""
    STORE = "store"
    """The store failed: nothing is done that it can not keep."""
    DEFECT = "defect"
    """Something in a part failed that nobody expected: report it."""
    OBSERVER = "observer"
    """An observer fails, or is too slow to be told everything."""


class AlarmLevel(StrEnum):
    """How long it has gone on: an alarm that lasts escalates."""

    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Alarm(Value):
    """Something that a person should look at, as of one tick.

    `about` is the position, market, rule or part that it is about; `since` when it began. `approve` is what
    `PositionMonitor.approve` takes to let it go: a decision's id, or an intent's key.
    """

    kind: AlarmKind
    about: Line
    why: Line
    level: AlarmLevel = AlarmLevel.WARNING
    since: Moment
    position_id: UUID | None = None
    approve: Line | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.about}: {self.why}"


class Skipped(Value):
    """A position for which nothing was done that was wanted, and why."""

    position_id: UUID
    why: Line


class Failure(Value):
    """Something that did not work in a tick, and why. Whatever does not depend on it went on."""

    what: Line
    why: Line


@dataclass(frozen=True, slots=True)
class TickReport:
    """One tick of a monitor.

    `active` is False if another monitor has the lease, and None if the store did not say who has it: then nothing was
    looked at. `decided` is False if only closes were looked at, between two ticks. `decisions` are those of the open
    positions; `skipped` the positions for which a wanted exit was not begun, or which were not decided; `failures`
    what did not work. `begun` are the positions whose exit began in it, `ended` those that were found closed.
    `closing` are those whose close goes on. `took` is how long it took.
    """

    as_of: datetime
    active: bool | None
    decided: bool = True
    switch: Switch | None = None
    decisions: tuple[RebalanceDecision, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    failures: tuple[Failure, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    begun: tuple[UUID, ...] = ()
    ended: tuple[UUID, ...] = ()
    closing: tuple[UUID, ...] = ()
    took: timedelta = timedelta(0)
