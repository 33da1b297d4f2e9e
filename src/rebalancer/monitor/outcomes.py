"""What came of the open positions in a tick, as its parts write it down."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from ..domain.decision import RebalanceDecision
from ..domain.names import as_line
from ..domain.position import Position
from ..domain.tick import Failure, Skipped
from ..errors import Fenced, StoreError
from .notice import Notice


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
        self.failures.append(Failure(what=what, why=as_line(error)))
