"""What one rule says: fired, quiet, not evaluated or failed, always with its reason and its numbers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import model_validator

from ..errors import InputError
from .missing import Missing
from .model import Value
from .names import Line, ReasonCode
from .numbers import UNKNOWN, Exact, Number, OptionalExact
from .opportunity import Opportunity
from .times import Instant


class Action(StrEnum):
    """What to do with a position."""

    HOLD = "HOLD"
    CLOSE = "CLOSE"
    SWITCH = "SWITCH"


class Urgency(StrEnum):
    """How soon to act. A critical verdict is not held back by a minimum hold."""

    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


class Outcome(StrEnum):
    """What came of asking a rule."""

    FIRED = "fired"
    QUIET = "quiet"
    NOT_EVALUATED = "not_evaluated"
    FAILED = "failed"


class Fact(Value):
    """A number behind a verdict, and the limit it stands against if there is one; the name carries the unit.

    Names that speak of a rate, divergence, gain, cost or improvement are fractions of notional; `_usd`, `_seconds`,
    `_bps`, `_tokens` and `_ratio` say their unit.
    """

    name: Line
    value: Exact
    limit: OptionalExact = UNKNOWN

    def __init__(self, name: str, value: Number, limit: Number | None = None) -> None:
        super().__init__(name=name, value=value, limit=limit)

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # JSON is validated without this signature


class HeldBack(Value):
    """A rule's `reason` that a `guard` held back, and `why`."""

    reason: ReasonCode
    guard: Line
    why: Line


class Verdict(Value):
    """A rule's answer. Make one with `close_if`, `close`, `switch`, `quiet` or `not_evaluated`.

    `claim` is a lower-case clause without numbers; `facts` are the numbers. `action`, `target` and `urgency` count if
    it fired; `reopen_after` is when a position closed for this reason may be opened again. `missing` names the unknown
    values of a verdict that could not be evaluated (empty: the rule merely does not apply). `rule` and `reason` are
    filled in by the engine from the rule, unless given.
    """

    outcome: Outcome
    claim: Line
    rule: Line | None = None
    reason: ReasonCode | None = None
    facts: tuple[Fact, ...] = ()
    action: Action = Action.HOLD
    target: Opportunity | None = None
    urgency: Urgency = Urgency.NORMAL
    reopen_after: Instant | None = None
    missing: tuple[Missing, ...] = ()
    held_back: tuple[HeldBack, ...] = ()

    @model_validator(mode="after")
    def _coherent(self) -> Verdict:
        if (self.action is not Action.HOLD) != (self.outcome is Outcome.FIRED):
            raise InputError("a verdict acts exactly if it fired")
        if (self.target is not None) != (self.action is Action.SWITCH):
            raise InputError("a target belongs to a SWITCH, and only there")
        return self

    @classmethod
    def close_if(cls, condition: bool, claim: str, *facts: Fact, **more: Any) -> Verdict:  # noqa: FBT001
        """Close if `condition` holds, else quiet. It must be a bool: what is unknown is not False."""
        if not isinstance(condition, bool):
            raise InputError(f"the condition must be True or False, not a {type(condition).__name__}")
        return cls.close(claim, *facts, **more) if condition else cls.quiet(f"not so: {claim}"[:500], *facts)

    @classmethod
    def close(
        cls,
        claim: str,
        *facts: Fact,
        reason: str | None = None,
        urgency: Urgency = Urgency.NORMAL,
        reopen_after: datetime | None = None,
    ) -> Verdict:
        """The rule fires: close the position."""
        return cls(
            outcome=Outcome.FIRED,
            action=Action.CLOSE,
            claim=claim,
            facts=facts,
            reason=reason,
            urgency=urgency,
            reopen_after=reopen_after,
        )

    @classmethod
    def switch(
        cls,
        target: Opportunity,
        claim: str,
        *facts: Fact,
        reason: str | None = None,
        urgency: Urgency = Urgency.NORMAL,
    ) -> Verdict:
        """The rule fires: close the position and open `target` instead."""
        return cls(
            outcome=Outcome.FIRED,
            action=Action.SWITCH,
            claim=claim,
            facts=facts,
            reason=reason,
            urgency=urgency,
            target=target,
        )

    @classmethod
    def quiet(cls, claim: str, *facts: Fact) -> Verdict:
        """The rule was evaluated and does not fire."""
        return cls(outcome=Outcome.QUIET, claim=claim, facts=facts)

    @classmethod
    def not_evaluated(cls, claim: str, *facts: Fact, missing: tuple[Missing, ...] = ()) -> Verdict:
        """The rule could not be evaluated: something is `missing`, or (without it) the rule does not apply."""
        return cls(outcome=Outcome.NOT_EVALUATED, claim=claim, facts=facts, missing=missing)

    @classmethod
    def failed(cls, claim: str) -> Verdict:
        """The rule itself is broken: it raised, or answered with something that is not a verdict."""
        return cls(outcome=Outcome.FAILED, claim=claim)

    @property
    def incomplete(self) -> bool:
        """Whether something that this rule should have known is unknown."""
        return self.outcome is Outcome.FAILED or bool(self.missing)
