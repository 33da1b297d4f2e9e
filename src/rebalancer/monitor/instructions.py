"""Exits that no rule of the strategy asks for: a person, the switch, a leg that is gone, or rates that stay unknown.

Each is a rule of its own, so that it is decided, explained and stored like any other.
"""

from __future__ import annotations

from typing import ClassVar

from ..domain.decision import RebalanceDecision
from ..domain.names import Line, ReasonCode
from ..domain.needs import Needs
from ..domain.position import Position
from ..domain.record import DecisionRecord
from ..domain.snapshot import MarketSnapshot
from ..domain.verdict import Fact, Urgency, Verdict
from ..rules.base import BaseRule, Rule
from ..rules.combined import CombinedStrategy
from ..rules.context import RuleContext
from ..rules.liquidation_distance import LiquidationDistance


class Instruction(BaseRule):
    """Close, because of `claim`."""

    claim: Line
    facts: tuple[Fact, ...] = ()
    urgency: Urgency = Urgency.HIGH

    needs: ClassVar[Needs] = Needs(rates=False)

    def evaluate(self, ctx: RuleContext, /) -> Verdict:  # noqa: ARG002  # it was told, and looks at nothing
        """Close."""
        return Verdict.close(self.claim, *self.facts, urgency=self.urgency)

    def decision(self, position: Position, snapshot: MarketSnapshot) -> RebalanceDecision:
        """The decision to follow it, with its record."""
        decision = CombinedStrategy(self).decide(position, snapshot)
        decision.record  # noqa: B018  # it is made of a claim
        return decision


class HandClose(Instruction):
    """A person closes the position."""

    name: ClassVar[str] = "a person"

    claim: Line = "a person closes it"


class Flatten(Instruction):
    """The switch says that everything is closed."""

    name: ClassVar[str] = "the switch"

    reason: ReasonCode = "FLATTEN"
    claim: Line = "the switch is on flatten"


class LegGone(Instruction):
    """One leg is gone, so that the other one is exposed."""

    name: ClassVar[str] = "the legs"

    reason: ReasonCode = "LEG_GONE"
    claim: Line = "the other leg is gone, and no order of ours explains it"
    urgency: Urgency = Urgency.CRITICAL


class Blind(Instruction):
    """The rates of the position stay unknown."""

    name: ClassVar[str] = "the rates"

    reason: ReasonCode = "BLIND"
    claim: Line = "its rates have been unknown for too long"


_TOLD = frozenset((HandClose.name, Flatten.name))
RESERVED = frozenset(("FLATTEN", "LEG_GONE", "BLIND", "CLOSED_EXTERNALLY"))
"""Reasons that a person does not give: they say who closed."""


def liquidation_reasons(strategy: Rule) -> frozenset[str]:
    """The reason codes with which a strategy closes before a liquidation."""
    rules = list(strategy.rules if isinstance(strategy, CombinedStrategy) else (strategy,))
    found = set()
    while rules:
        rule = rules.pop()
        if isinstance(rule, LiquidationDistance):
            found.add(rule.reason)
        inner = getattr(rule, "rule", None)  # of a rule that is qualified
        if inner is not None:
            rules.append(inner)
    return frozenset(found)


def exempt(record: DecisionRecord, liquidation: frozenset[str]) -> bool:
    """Whether an exit is held back by no guard: liquidation, a person's own close, and flatten."""
    verdict = record.decided_by
    return record.reason in liquidation or (verdict is not None and verdict.rule in _TOLD)
