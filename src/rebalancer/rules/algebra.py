"""How guards and rules qualify what a rule proposes, and how guards combine: three-valued, unknown is never yes."""

from __future__ import annotations

from ..domain.needs import Needs
from ..domain.verdict import Action, HeldBack, Outcome, Urgency, Verdict
from .asking import ask
from .base import Composable, Rule, is_rule
from .context import RuleContext
from .grid import parts
from .guard import Answer, Guard, Reply, consult


class AllOf(Guard):
    """Yes if every guard says yes, no if any says no, else unknown."""

    guards: tuple[Guard, ...]

    @property
    def needs(self) -> Needs:
        """What its guards need."""
        return _union(self.guards)

    def answer(self, ctx: RuleContext) -> Answer:
        """The first no, else the first unknown, else yes."""
        return _strongest(self.guards, ctx, (Reply.NO, Reply.FAILED, Reply.UNKNOWN, Reply.YES))

    def __repr__(self) -> str:
        return f"({' & '.join(map(repr, self.guards))})"


class AnyOf(Guard):
    """Yes if any guard says yes, no if every one says no, else unknown."""

    guards: tuple[Guard, ...]

    @property
    def needs(self) -> Needs:
        """What its guards need."""
        return _union(self.guards)

    def answer(self, ctx: RuleContext) -> Answer:
        """The first yes, else the first unknown, else no."""
        return _strongest(self.guards, ctx, (Reply.YES, Reply.FAILED, Reply.UNKNOWN, Reply.NO))

    def __repr__(self) -> str:
        return f"({' | '.join(map(repr, self.guards))})"


class Not(Guard):
    """Yes where the guard says no; unknown stays unknown."""

    guard: Guard

    @property
    def needs(self) -> Needs:
        """What its guard needs."""
        return self.guard.needs

    def answer(self, ctx: RuleContext) -> Answer:
        """The opposite of a known answer."""
        answer = consult(self.guard, ctx)
        return answer._replace(reply=_OPPOSITE[answer.reply])

    def __repr__(self) -> str:
        return f"~{self.guard!r}"


class Unless(Guard):
    """Yes while a rule is quiet, no where it fires, unknown where it can not be evaluated."""

    rule: Rule

    @property
    def needs(self) -> Needs:
        """What the rule needs."""
        return self.rule.needs

    def answer(self, ctx: RuleContext) -> Answer:
        """The opposite of whether the rule fires."""
        answer = _as_answer(ask(self.rule, ctx))
        return answer._replace(reply=_OPPOSITE[answer.reply])

    def __repr__(self) -> str:
        return f"~{self.rule!r}"


_OPPOSITE = {Reply.YES: Reply.NO, Reply.NO: Reply.YES, Reply.UNKNOWN: Reply.UNKNOWN, Reply.FAILED: Reply.FAILED}
_REPLIES = {
    Outcome.FIRED: Reply.YES,
    Outcome.QUIET: Reply.NO,
    Outcome.NOT_EVALUATED: Reply.UNKNOWN,
    Outcome.FAILED: Reply.FAILED,
}


def _as_answer(verdict: Verdict) -> Answer:
    """A rule's verdict as a guard's answer: does it fire?"""
    return Answer(_REPLIES[verdict.outcome], verdict.claim, verdict.facts, verdict.missing)


def _union(guards: tuple[Guard, ...]) -> Needs:
    needs = Needs(rates=False)
    for guard in guards:
        needs |= guard.needs
    return needs


def _strongest(guards: tuple[Guard, ...], ctx: RuleContext, order: tuple[Reply, ...]) -> Answer:
    """The first answer of the reply that comes first in `order`."""
    return min((consult(guard, ctx) for guard in guards), key=lambda answer: order.index(answer.reply))


class Qualified(Composable):
    """The `rule` proposes; the `qualifier` (a guard, or a rule that must fire too) lets it act or holds it back.

    Action, reason and target are the rule's. A critical verdict passes a guard that spares critical ones.
    """

    __slots__ = ("qualifier", "rule")

    def __init__(self, rule: Rule, qualifier: Rule | Guard) -> None:
        self.rule = rule
        self.qualifier = qualifier

    @property
    def name(self) -> str:
        """The name of the rule that proposes."""
        return self.rule.name

    @property
    def needs(self) -> Needs:
        """What both need."""
        return self.rule.needs | self.qualifier.needs

    def evaluate(self, ctx: RuleContext) -> Verdict:
        """The rule's verdict, held back unless the qualifier says yes."""
        verdict = ask(self.rule, ctx)
        if verdict.outcome is not Outcome.FIRED:
            return verdict
        if isinstance(self.qualifier, Guard):
            if self.qualifier.spares_critical and verdict.urgency is Urgency.CRITICAL:
                return verdict.model_copy(update={"claim": f"{verdict.claim[:450]}; critical, so not held back"})
            answer = consult(self.qualifier, ctx)
        else:
            answer = _as_answer(ask(self.qualifier, ctx))
        return verdict if answer.reply is Reply.YES else held_back(verdict, repr(self.qualifier), answer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Qualified) and (self.rule, self.qualifier) == (other.rule, other.qualifier)

    def __hash__(self) -> int:
        return hash((self.rule, self.qualifier))

    def __repr__(self) -> str:
        return f"{self.rule!r} & {self.qualifier!r}"


def proposer(rule: Rule) -> Rule:
    """The rule whose action and reason a qualified rule has."""
    while type(rule) is Qualified:
        rule = rule.rule
    return rule


def qualified_parts(rule: Rule) -> tuple[Rule, ...]:
    """What a built-in rule is made of, each part qualified as the rule is; else the rule itself."""
    if type(rule) is Qualified:
        return tuple(Qualified(part, rule.qualifier) for part in qualified_parts(rule.rule))
    return parts(rule)


_HELD_OUTCOMES = {Reply.NO: Outcome.QUIET, Reply.UNKNOWN: Outcome.NOT_EVALUATED, Reply.FAILED: Outcome.FAILED}


def held_back(verdict: Verdict, guard: str, answer: Answer) -> Verdict:
    """A verdict that fired, held back by `guard` because of its `answer`, which is not yes."""
    why = answer.why if answer.reply is Reply.NO else f"{answer.reply}: {answer.why}"
    return verdict.model_copy(
        update={
            "outcome": _HELD_OUTCOMES[answer.reply],
            "claim": f"held back, though {verdict.claim}"[:500],
            "action": Action.HOLD,
            "target": None,
            "reopen_after": None,
            "facts": verdict.facts + answer.facts,
            "missing": answer.missing,
            "held_back": (*verdict.held_back, HeldBack(reason=str(verdict.reason), guard=guard[:500], why=why[:500])),
        }
    )


def qualify(rule: Rule, qualifier: Rule | Guard) -> Qualified:
    """`rule & qualifier`. A conjunction of guards qualifies one by one, so that each spares what it spares."""
    if isinstance(qualifier, AllOf):
        for guard in qualifier.guards:
            rule = qualify(rule, guard)
        return rule  # type: ignore[return-value]  # a conjunction has at least two guards
    return Qualified(rule, qualifier) if isinstance(qualifier, Guard) or is_rule(qualifier) else NotImplemented
