"""What a guard is: it answers yes, no or unknown about a position, to qualify what a rule proposes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import localcontext
from enum import StrEnum
from typing import ClassVar, NamedTuple, NoReturn

from ..domain.missing import Missing
from ..domain.needs import Needs
from ..domain.verdict import Fact
from ..errors import UnknownValueError
from .asking import ENGINE_CONTEXT, origin
from .base import Configured
from .context import RuleContext
from .grid import Bound, Claims, Function, Stated


class Reply(StrEnum):
    """What a guard says. Unknown never counts as yes."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    FAILED = "failed"
    """The guard itself is broken; counts as unknown."""


class Answer(NamedTuple):
    """A guard's reply, why, the numbers behind it, and what is missing if it is unknown."""

    reply: Reply
    why: str
    facts: tuple[Fact, ...] = ()
    missing: tuple[Missing, ...] = ()


class Guard(Configured):
    """A guard with frozen, validated parameters: extend it, declare fields with `param`, write `admits`.

    `rule & guard` lets the rule act only where the guard admits it. Guards combine with `& | ~`.
    """

    spares_critical: ClassVar[bool] = False
    """Whether `rule & guard` lets critical verdicts pass without asking. It belongs to that use alone."""

    def admits(self, ctx: RuleContext, /) -> bool:
        """Whether the guard lets a rule act. Reading an unknown value makes the answer unknown."""
        raise NotImplementedError(f"{self.name} does not say what it admits")

    def answer(self, ctx: RuleContext, /) -> Answer:
        """What `admits` says."""
        admitted = self.admits(ctx)
        if not isinstance(admitted, bool):
            raise TypeError(f"admits must return True or False, not a {type(admitted).__name__}")
        if admitted:
            return Answer(Reply.YES, f"{self.name} admits it")
        return Answer(Reply.NO, f"{self.name} does not admit it")

    def __and__(self, other: Guard) -> Guard:
        from .algebra import AllOf  # conjunctions are guards themselves

        return AllOf(guards=(self, other)) if isinstance(other, Guard) else NotImplemented

    def __or__(self, other: Guard) -> Guard:
        from .algebra import AnyOf  # as above

        return AnyOf(guards=(self, other)) if isinstance(other, Guard) else NotImplemented

    def __invert__(self) -> Guard:
        from .algebra import Not  # as above

        return Not(guard=self)

    def __bool__(self) -> NoReturn:
        raise TypeError("a guard is neither true nor false: compose guards with & | ~ instead of and, or, not")


def consult(guard: Guard, ctx: RuleContext) -> Answer:
    """The guard's answer; a guard that raises has failed, which counts as unknown."""
    with localcontext(ENGINE_CONTEXT):
        try:
            return guard.answer(ctx.limited_to(guard.needs))
        except UnknownValueError as unknown:
            return Answer(Reply.UNKNOWN, "a value that it reads is unknown", missing=unknown.missing)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # as for rules
            return Answer(Reply.FAILED, f"{origin(guard)} raised {type(error).__name__}")


class GridGuard(Guard):
    """A built-in guard: states when it `holds` and what it says, like a built-in rule."""

    holds: ClassVar[Function]
    applies: ClassVar[Function | None] = None
    claims: ClassVar[Claims]

    def stated(self) -> Stated:
        """The functions that hold for this guard's parameters."""
        return Stated(fires=self.holds, applies=self.applies)

    @property
    def needs(self) -> Needs:
        """What must be fetched for the values that its functions name."""
        return self.stated().needs()

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The numbers behind the answer, each against its limit."""
        raise NotImplementedError

    def answer(self, ctx: RuleContext) -> Answer:
        """What the stated functions say."""
        bound = Bound(self, self.stated(), ctx)
        refusal = bound.refusal(self.claims.inapplicable)
        if refusal is not None:
            return Answer(Reply.UNKNOWN, refusal.claim, missing=refusal.missing)
        facts = self.facts(bound.values)
        if bound.call(bound.stated.fires):
            return Answer(Reply.YES, self.claims.fired, facts)
        return Answer(Reply.NO, self.claims.quiet, facts)
