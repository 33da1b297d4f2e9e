"""How many exits may begin: each position rests, so many a minute, and a mass exit waits for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from ..domain.batch import StoredDecision
from ..domain.position import Position
from ..domain.verdict import Action, Urgency
from .instructions import exempt
from .limits import MonitorLimits

MASS_EXIT = "more than half of the positions want out at once, which is bad data until proved: it waits for approval"
SPACING = "its last action is not long enough ago"
RATE = "enough exits began in the last minute"
_FIRST = (Urgency.CRITICAL, Urgency.HIGH, Urgency.NORMAL)
_MINUTE = timedelta(minutes=1)
_FEW = 2
"""That many may always leave together."""


class Began(NamedTuple):
    """An exit that began. One that is `exempt` is counted by no guard."""

    position_id: UUID
    at: datetime
    exempt: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """An exit that is wanted: by a decision with this `urgency`, or by what became of a leg.

    `exempt` from all guards: liquidation, a person's own close, flatten. A leg that is gone does not wait for spacing
    or a minute's rate (`urgent`), but counts in a mass exit. `approved`: a person let it go.
    """

    position: Position
    urgency: Urgency
    exempt: bool = False
    urgent: bool = False
    approved: bool = False


class Exits:
    """What began lately, which a restart reads again from the decisions."""

    def __init__(self, limits: MonitorLimits) -> None:
        self._limits = limits
        self._began: dict[UUID, Began] = {}

    def recall(self, decisions: Iterable[StoredDecision], liquidation: frozenset[str]) -> None:
        """Begin with the exits that stored decisions began."""
        self._began = {}
        for kept in decisions:
            record = kept.record
            if record.action is Action.CLOSE and kept.held is None:
                self.began(record.position_id, record.as_of, exempt=exempt(record, liquidation))

    def began(self, position_id: UUID, at: datetime, *, exempt: bool) -> None:
        """An exit began."""
        self._began[position_id] = Began(position_id, at, exempt)

    def held(
        self, wanted: Sequence[Wanted], positions: Sequence[Position], now: datetime, *, hindered: Iterable[UUID] = ()
    ) -> Mapping[UUID, str]:
        """Which of the wanted exits may not begin now, and why. `positions` are all that are open.

        `hindered` are positions that want out as well, and can not for another reason: they count in a mass exit.
        """
        window = now - self._limits.mass_window
        oldest = min(window, now - _MINUTE)  # who looks back how far is for each guard to say
        self._began = {key: one for key, one in self._began.items() if one.at > oldest}
        guarded = [one for one in wanted if not (one.exempt or one.approved)]
        why: dict[UUID, str] = {}
        if self._mass(wanted, hindered, positions, window):
            why = dict.fromkeys((one.position.id for one in guarded), MASS_EXIT)
        slow = [one for one in guarded if one.position.id not in why and not one.urgent]
        why |= {one.position.id: SPACING for one in slow if not self.rested(one.position, now)}
        waiting = [one for one in slow if one.position.id not in why]
        waiting.sort(key=lambda one: turn(one.urgency, one.position))
        return why | {one.position.id: RATE for one in waiting[self._free(now) :]}

    def _mass(
        self, wanted: Sequence[Wanted], hindered: Iterable[UUID], positions: Sequence[Position], window: datetime
    ) -> bool:
        """Whether too many want out: those that began in the window, and those that want to."""
        lately = [one for one in self._began.values() if one.at > window]
        out = {one.position_id for one in lately if not one.exempt} | set(hindered)
        out |= {one.position.id for one in wanted if not one.exempt}
        if len(out) <= _FEW:
            return False
        there = {position.id for position in positions if position.opened_at <= window}
        there |= {one.position_id for one in lately}
        there = there or {position.id for position in positions}
        return len(out) > len(there) / 2

    def rested(self, position: Position, now: datetime) -> bool:
        """Whether a position's last action is long enough ago."""
        last = position.last_action_at
        return last is None or not timedelta(0) <= now - last < self._limits.action_spacing  # a clock may go back

    def _free(self, now: datetime) -> int:
        """How many more exits may begin in this minute."""
        recent = sum(not one.exempt and now - _MINUTE < one.at <= now for one in self._began.values())
        return max(0, self._limits.closes_per_minute - recent)


def turn(urgency: Urgency, position: Position) -> tuple[int, int]:
    """By what exits are sorted: critical ones first, ties by the position's id."""
    return _FIRST.index(urgency), position.id.int
