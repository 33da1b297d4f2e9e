"""Built-in rules state functions of integers on the grid once; here they are bound to what they read.

`applies`, `fires`, `gain` (and a guard's `holds`) are static functions in `+ - * < <= > >= & |`. Their parameter names
are the values they read (see `values`), then the rule's own parameters: from the names follow the rule's needs, what
is missing when it can not be evaluated, and the call. The same functions run on Python ints and on int64 columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import cache
from inspect import unwrap
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeGuard

from ..costs import Costs
from ..domain.needs import Needs
from ..domain.numbers import Grid, to_grid
from ..domain.smoothed import Smoothed
from ..domain.times import seconds
from ..domain.verdict import Fact, Outcome, Verdict
from .base import BaseRule, Rule
from .values import LEAVING_COST, READABLE, SMOOTHED, VALUES, Source

if TYPE_CHECKING:
    from types import CodeType

    from ..domain.missing import Missing
    from ..domain.model import Value
    from .context import RuleContext

Function = Callable[..., Any]
UNKNOWN = "a value that it reads is unknown"


class Stated(NamedTuple):
    """The functions that a rule states: when it `fires`, when it `applies` (None: always), its `gain` if it has a
    target. For a guard, `fires` is when it holds. With a `signal`, the divergences that they name are the smoothed
    ones; `costs` are those by which they name what leaving costs.
    """

    fires: Function
    applies: Function | None = None
    gain: Function | None = None
    signal: Smoothed | None = None
    costs: Costs | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the values that the functions read of position and markets, in order of use."""
        return _reads(self)

    def source(self, name: str) -> Source:
        """How the value of that name is read."""
        return SMOOTHED[name] if self.signal is not None and name in SMOOTHED else VALUES[name]

    def by(self, name: str) -> Smoothed | Costs | None:
        """What of the rule's own the value of that name depends on."""
        return self.costs if name == LEAVING_COST else self.signal if name in SMOOTHED else None

    def needs(self) -> Needs:
        """What must be fetched for these values."""
        return _needs(self)


@cache
def _reads(stated: Stated) -> tuple[str, ...]:
    functions = (stated.applies, stated.gain, stated.fires)
    every = (name for function in functions if function is not None for name in names(function))
    return tuple(dict.fromkeys(name for name in every if name in READABLE))


@cache
def _needs(stated: Stated) -> Needs:
    needed = {need for name in _reads(stated) for need in stated.source(name).needs}
    smoothed = () if stated.signal is None else (stated.signal,)
    return Needs(rates="rates" in needed, smoothed=smoothed, **dict.fromkeys(needed - {"rates"}, True))


@cache
def names(function: Function) -> tuple[str, ...]:
    """The parameter names of a stated function, in order."""
    code: CodeType = unwrap(function).__code__
    return code.co_varnames[: code.co_argcount]


def parameter(owner: Value, name: str) -> int:
    """A parameter of a rule or guard on the grid of its type: steps of its number type, or whole seconds."""
    value = getattr(owner, name)
    if isinstance(value, timedelta):
        return seconds(value)
    if isinstance(value, Decimal):
        metadata = type(owner).model_fields[name].metadata
        return to_grid(value, next(mark.places for mark in metadata if isinstance(mark, Grid) and mark.places))
    return int(value)


class Bound:
    """Stated functions bound to one position, snapshot and set of parameters: what `evaluate` and a guard's `answer`
    ask. `values` holds what is known of what they read.
    """

    def __init__(self, owner: Value, stated: Stated, ctx: RuleContext) -> None:
        self.owner = owner
        self.stated = stated
        self.ctx = ctx
        self.values: dict[str, int] = {}
        for name in stated.reads:
            value = stated.source(name).read(ctx.position, ctx.snapshot, stated.signal, stated.costs)
            if value is not None:
                self.values[name] = value

    def refusal(self, inapplicable: str) -> Verdict | None:
        """*Not evaluated*, if something that is read is unknown or the rule does not apply; else None."""
        applies = self.stated.applies
        if applies is not None:
            read = tuple(name for name in names(applies) if name in READABLE)
            if not self.values.keys() >= set(read):
                return Verdict.not_evaluated(UNKNOWN, missing=self.gaps(read))
            if not self.call(applies):
                gaps = self.gaps(read)
                return Verdict.not_evaluated(UNKNOWN if gaps else inapplicable, missing=gaps)
        if not self.values.keys() >= set(self.stated.reads):
            return Verdict.not_evaluated(UNKNOWN, missing=self.gaps(self.stated.reads))
        return None

    def gaps(self, read: Iterable[str]) -> tuple[Missing, ...]:
        """Why the values named are unknown, wholly or in part."""
        ctx, stated = self.ctx, self.stated
        known = ctx.snapshot, ctx.position.pair, stated.signal
        found = (gap for name in read if (gaps := stated.source(name).gaps) is not None for gap in gaps(*known))
        return tuple(dict.fromkeys(found))

    def call(self, function: Function, **more: int) -> Any:
        """`function` on the values and parameters that its names ask for."""
        known = {**self.known(name for name in names(function) if name not in more), **more}
        return function(*[known[name] for name in names(function)])

    def known(self, asked: Iterable[str]) -> dict[str, int]:
        """The values and parameters of these names."""
        return {name: self.values[name] if name in self.values else parameter(self.owner, name) for name in asked}


class Claims(NamedTuple):
    """What a rule says in words: lower-case clauses without numbers."""

    fired: str
    quiet: str
    inapplicable: str = "it does not apply"


class GridRule(BaseRule):
    """A built-in rule: states its functions, its claims in words, and the facts behind them."""

    fires: ClassVar[Function]
    applies: ClassVar[Function | None] = None
    claims: ClassVar[Claims]

    @property
    def smoothed(self) -> Smoothed | None:
        """The signal that its divergences are read of; None: the last rates."""
        return getattr(self, "signal", None)

    def stated(self) -> Stated:
        """The functions that hold for this rule's parameters."""
        return Stated(fires=self.fires, applies=self.applies, signal=self.smoothed)

    @property
    def needs(self) -> Needs:
        """What must be fetched for the values that its functions name."""
        return self.stated().needs()

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The numbers behind the verdict, each against its limit."""
        raise NotImplementedError

    def all_facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The rule's facts, and of smoothed rates their half-life."""
        signal = self.smoothed
        more = () if signal is None else (Fact("half_life_seconds", seconds(signal.half_life)),)
        return (*self.facts(values), *more)

    def evaluate(self, ctx: RuleContext) -> Verdict:
        """The verdict of the stated functions, with its facts."""
        bound = Bound(self, self.stated(), ctx)
        refusal = bound.refusal(self.claims.inapplicable)
        if refusal is not None:
            return refusal
        return self.verdict(bound)

    def verdict(self, bound: Bound) -> Verdict:
        """The verdict once everything that is read is known: by default, close if it fires."""
        facts = self.all_facts(bound.values)
        if bound.call(bound.stated.fires):
            return Verdict.close(self.claims.fired, *facts, urgency=self.urgency)
        return Verdict.quiet(self.claims.quiet, *facts)


class ComposedRule(BaseRule):
    """A built-in rule that is made of others, of which the first that fires decides, for its own reason."""

    @property
    def parts(self) -> tuple[GridRule, ...]:
        """The rules that it is made of, in order of priority."""
        raise NotImplementedError

    @property
    def needs(self) -> Needs:
        """What its parts read."""
        needs = Needs(rates=False)
        for part in self.parts:
            needs |= part.needs
        return needs

    def evaluate(self, ctx: RuleContext) -> Verdict:
        """The verdict of the first part that fires; else what the first one says, with all that is missing."""
        said = [part.evaluate(ctx) for part in self.parts]
        for part, verdict in zip(self.parts, said, strict=True):
            if verdict.outcome is Outcome.FIRED:
                return verdict.model_copy(update={"reason": part.reason})
        missing = tuple(dict.fromkeys(gap for verdict in said for gap in verdict.missing))
        return Verdict.not_evaluated(UNKNOWN, *said[0].facts, missing=missing) if missing else said[0]


def parts(rule: Rule) -> tuple[Rule, ...]:
    """What a built-in rule is made of; else the rule itself."""
    return rule.parts if isinstance(rule, ComposedRule) and _is_ours(rule) else (rule,)


def is_stated(rule: Rule) -> TypeGuard[GridRule]:
    """Whether the stated functions alone decide: not those of a subclass from elsewhere, which may add its own ways."""
    return isinstance(rule, GridRule) and _is_ours(rule)


def is_built_in(rule: Rule) -> bool:
    """Whether stated functions alone decide, be it those of several parts."""
    return all(map(is_stated, parts(rule)))


def _is_ours(rule: Rule) -> bool:
    return type(rule).__module__.startswith(f"{__package__}.")
