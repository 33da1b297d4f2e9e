"""Wait until a rule has fired at several observations in a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, model_validator

from ..domain.market import Quote
from ..domain.model import Value
from ..domain.needs import Needs
from ..domain.verdict import Fact, Outcome, Verdict
from ..errors import InputError
from .algebra import held_back
from .asking import ask
from .base import BaseRule, Rule, is_rule
from .context import RuleContext
from .guard import Answer, Reply


class Confirmed(BaseRule):
    """Fires as `rule` does, once `rule` fired at each of the last `times` observations that it could evaluate.

    An observation is an instant since the opening at which either leg has a new value, each leg at its latest by then;
    polls that saw the same count once. With fewer than `times` the rule is held back. The observations are in the
    snapshot, so the answer is the same after a restart. `rule` must need the rates only and have no target.
    """

    rule: Rule
    times: Annotated[int, Field(ge=1, le=1_000)] = 3

    def __init__(self, rule: Rule, *, times: int = 3) -> None:
        if not is_rule(rule):
            raise InputError("not a rule to confirm: give an instance, such as DivergenceFlip()")
        Value.__init__(self, rule=rule, times=times)

    @model_validator(mode="after")
    def _rates_only(self) -> Confirmed:
        if self.rule.needs | Needs() != Needs():
            raise InputError("only a rule that needs nothing but the rates can be confirmed by past observations")
        return self

    @property
    def name(self) -> str:
        """The name of the rule that is confirmed."""
        return self.rule.name

    @property
    def needs(self) -> Needs:
        """The rates, and the observations to confirm by."""
        return Needs(observations=self.times)

    def evaluate(self, ctx: RuleContext) -> Verdict:
        """The rule's verdict now, held back unless the last observations confirm it."""
        verdict = ask(self.rule, ctx)
        if verdict.outcome is not Outcome.FIRED:
            return verdict
        confirming = 0
        for past in _past(ctx):
            outcome = ask(self.rule, past).outcome
            if outcome is Outcome.QUIET:
                break
            if outcome is Outcome.FIRED:
                confirming += 1
                if confirming == self.times:
                    return verdict
        fact = Fact("confirming_observations", confirming, limit=self.times)
        return held_back(verdict, repr(self), Answer(Reply.NO, "too few observations in a row confirm it", (fact,)))

    def __repr__(self) -> str:
        return f"Confirmed({self.rule!r}, times={self.times})"


def _past(ctx: RuleContext) -> Iterator[RuleContext]:
    """The context as it was at each observation since the opening, the latest first."""
    observations = ctx.observations
    instants = sorted({quote.observed_epoch for quote in observations}, reverse=True)
    for instant in instants:
        if instant < ctx.position.opened_epoch:
            return
        latest: dict[str, Quote] = {quote.venue: quote for quote in observations if quote.observed_epoch <= instant}
        yield RuleContext(ctx.position, ctx.snapshot.at(instant, latest.values()), ctx.targets)
