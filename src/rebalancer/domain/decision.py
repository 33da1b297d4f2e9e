"""A decision, and the record that explains it: made when it is first read, the same at any later time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pydantic_core import from_json

from ..errors import InputError
from .verdict import Action, Urgency

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from .opportunity import Opportunity
    from .record import DecisionRecord
    from .verdict import Fact, HeldBack, Verdict


class Head(NamedTuple):
    """What is known of a decision without its record."""

    action: Action
    reason: str | None
    urgency: Urgency


HOLD = Head(Action.HOLD, None, Urgency.NORMAL)


class RebalanceDecision:
    """Hold, close or switch, and why. Frozen; a strategy's `decide` makes it.

    `reason` is the code of the rule that decided, None on HOLD. `target` is the pair to open on SWITCH. `complete` is
    False if a rule that was asked up to the deciding one (on HOLD: any rule) missed a value or failed. `verdicts` is
    what every rule said, in order of priority; `held_back` the exits that a guard held back; `warnings` facts that do
    not decide but should be known. `id` is the first 128 bits of the SHA-256 of the canonical JSON, so the same
    inputs give the same id anywhere.

    Everything but `action`, `reason`, `urgency`, `position_id` and `as_of` is computed when first read; then the inputs
    are dropped.
    """

    __slots__ = ("_head", "_state")

    _head: Head
    _state: DecisionRecord | tuple[Any, ...]

    def __init__(self, record: DecisionRecord) -> None:
        _set_head(self, Head(record.action, record.reason, record.urgency))
        _set_state(self, record)

    @property
    def action(self) -> Action:
        """What to do."""
        return self._head.action

    @property
    def reason(self) -> str | None:
        """The reason code of the rule that decided; None on HOLD."""
        return self._head.reason

    @property
    def urgency(self) -> Urgency:
        """How soon."""
        return self._head.urgency

    @property
    def record(self) -> DecisionRecord:
        """The frozen record, computed now if it was not read before."""
        state = self._state
        if isinstance(state, tuple):
            position, snapshot, trace, *more = state
            state = trace(position, snapshot, *more)
            _set_state(self, state)
        return state

    @property
    def traced(self) -> bool:
        """Whether the record is there already."""
        return not isinstance(self._state, tuple)

    @property
    def target(self) -> Opportunity | None:
        """The pair to open on SWITCH."""
        return self.record.target if self._head.action is Action.SWITCH else None

    @property
    def as_of(self) -> datetime:
        """The instant it was decided for."""
        state = self._state
        as_of: datetime = state[1].as_of if isinstance(state, tuple) else state.as_of
        return as_of

    @property
    def position_id(self) -> UUID:
        """The position it is about."""
        state = self._state
        position_id: UUID = state[0].id if isinstance(state, tuple) else state.position_id
        return position_id

    @property
    def complete(self) -> bool:
        """Whether every rule that mattered knew all it reads."""
        return self.record.complete

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What every rule said, in order of priority."""
        return self.record.verdicts

    @property
    def held_back(self) -> tuple[HeldBack, ...]:
        """The exits that a guard held back."""
        return self.record.held_back

    @property
    def warnings(self) -> tuple[Fact, ...]:
        """Facts about clocks and roundings that do not decide but should be known."""
        return self.record.warnings

    @property
    def decided_by(self) -> Verdict | None:
        """The verdict that decided; None on HOLD."""
        return self.record.decided_by

    @property
    def reopen_after(self) -> datetime | None:
        """When a position closed for this reason may be opened again, if the deciding rule says so."""
        verdict = self.decided_by
        return verdict.reopen_after if verdict else None

    @property
    def id(self) -> UUID:
        """The first 128 bits of the SHA-256 of the canonical JSON."""
        return self.record.id

    def explain(self) -> str:
        """The decision in words: the rule, its numbers against their limits, the data's age, what the others said."""
        from .explain import explain  # only a decision that is read needs the words

        return explain(self.record)

    def model_dump_json(self) -> str:
        """Canonical JSON, `id` first; the same bytes after any number of round trips."""
        return f'{{"id":"{self.id}",{self.record.model_dump_json()[1:]}'

    @classmethod
    def model_validate_json(cls, json_data: str | bytes) -> RebalanceDecision:
        """The decision that `model_dump_json` wrote; InputError if it is not one or was changed since."""
        from .record import DecisionRecord  # only a record that is read needs its model

        try:
            fields = from_json(json_data)
        except ValueError as error:
            raise InputError("not a decision: this is not JSON") from error
        if not isinstance(fields, dict):
            raise InputError("not a decision: a JSON object is expected")
        written = fields.pop("id", None)
        decision = cls(DecisionRecord.model_validate(fields))
        if written != str(decision.id):
            raise InputError("the decision's id does not match its content: it was changed after it was made")
        return decision

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RebalanceDecision):
            return NotImplemented
        return self.record == other.record

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Callable[..., RebalanceDecision], tuple[DecisionRecord]]:
        return RebalanceDecision, (self.record,)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a decision is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a decision is frozen")

    def __repr__(self) -> str:
        return f"<RebalanceDecision {self.action}{f' {self.reason}' if self.reason else ''}>"


_set_head = RebalanceDecision.__dict__["_head"].__set__
_set_state = RebalanceDecision.__dict__["_state"].__set__
_new = object.__new__


def deferred(head: Head, state: tuple[Any, ...]) -> RebalanceDecision:
    """A decision whose record is made when it is first read. `state` is the position, the snapshot, what makes the
    record of them, and what else it takes.
    """
    decision = _new(RebalanceDecision)
    _set_head(decision, head)
    _set_state(decision, state)
    return decision
