"""A strategy as straight lines of code over columns, from its rules' own functions; run by numpy or compiled by numba.

Each rule and guard becomes two masks: where it `yes` (fires, admits) and where it says `no` (is quiet, does not admit);
where neither, it is unknown. Qualifying and negating only join these masks by `&` and `|`, so that what is too large a
mask for one rule (its largest thinkable gain fires) never makes too small a one for the strategy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from ..costs import Costs
from ..domain.names import as_line
from ..domain.smoothed import Smoothed
from ..domain.verdict import Urgency
from ..errors import RebalancerError
from ..rules.algebra import AllOf, AnyOf, Not, Qualified, Unless, proposer, qualified_parts
from ..rules.base import Rule
from ..rules.combined import CombinedStrategy
from ..rules.grid import Function, GridRule, Stated, is_stated, names, parameter
from ..rules.guard import GridGuard, Guard
from ..rules.target import TargetRule
from ..rules.values import LEAVING_COST

FIELDS = ("rate", "known", "due", "pays", "interest")
"""What is read of a leg's market, beside its means."""
MEANS = ("mean", "mean_known", "mean_at")
"""What is read of a leg's smoothed rate: `long_mean_at_1` is of the program's signal 1."""
_MEAN = re.compile(r"\b(long|short)_(mean(?:_known|_at)?)\b")
_HOME = GridRule.__module__.rpartition(".")[0]


class NoColumnsError(RebalancerError):
    """A strategy that does not vectorise: the message says why."""


class Switch(NamedTuple):
    """A rule with a target: its `gain` in code, and the name of its functions, by its `number` among rules with costs.

    `ranking` is by which of the program's rankings its candidates are compared.
    """

    number: int
    ranking: int
    gain: str
    fires: str
    able: str


class Line(NamedTuple):
    """A line of the program: `name = code`. With a `switch`, `name` is instead where its best candidate fires."""

    name: str
    code: str
    switch: Switch | None = None


class Alternative(NamedTuple):
    """One of the strategy's rules: the lines it needs beside those before it, the mask where it fires, its reason, and
    the number of its switch (None: it closes).
    """

    lines: tuple[Line, ...]
    fires: str
    switch: int | None


class Shape(NamedTuple):
    """What strategies that differ in numbers alone have in common: it is compiled once.

    `priced` rules have costs; what closing costs by those of them in `leaving` is read.
    """

    alternatives: tuple[Alternative, ...]
    functions: tuple[tuple[str, Function], ...]
    fields: tuple[str, ...]
    parameters: int
    priced: int
    leaving: tuple[int, ...]


@dataclass(slots=True)
class Program:
    """A strategy's shape, its numbers, and what its decisions are called.

    Of each rule with costs: `prices` is what a switch costs at least, what it costs besides its legs, and what these
    cost (None: nothing). `signals` are the smoothed rates that it reads; `rankings` what candidates are compared by
    (None: their last rates).
    """

    shape: Shape
    parameters: tuple[int, ...]
    prices: tuple[tuple[int, int, Costs | None], ...]
    reasons: tuple[str, ...]
    signals: tuple[Smoothed, ...]
    rankings: tuple[Smoothed | None, ...]


def program(strategy: CombinedStrategy) -> Program:
    """The program of a strategy. Raises NoColumnsError if it asks something that columns can not say."""
    writer = _Writer()
    rules = [part for rule in strategy.rules for part in qualified_parts(rule)]
    alternatives = tuple(writer.alternative(rule) for rule in rules)
    known = (*FIELDS, *(f"{name}_{number}" for number in range(len(writer.signals)) for name in MEANS))
    shape = Shape(
        alternatives,
        tuple(writer.functions.items()),
        tuple(name for name in known if name in {"rate", "known"} | writer.fields),
        len(writer.parameters),
        len(writer.prices),
        tuple(writer.leaving),
    )
    return Program(
        shape,
        tuple(writer.parameters),
        tuple(writer.prices),
        tuple(map(_reason, rules)),
        tuple(writer.signals),
        tuple(writer.rankings),
    )


def rankings(shape: Shape) -> list[int]:
    """The rankings that candidates are compared by."""
    lines = (line for alternative in shape.alternatives for line in alternative.lines)
    return sorted({line.switch.ranking for line in lines if line.switch is not None})


class _Masks(NamedTuple):
    """Where a rule or guard says yes, and where no, in code."""

    yes: str
    no: str


@dataclass(slots=True)
class _Writer:
    """Writes the lines of one strategy. `functions` and `parameters` are what the lines call and name."""

    functions: dict[str, Function] = field(default_factory=dict)
    parameters: list[int] = field(default_factory=list)
    prices: list[tuple[int, int, Costs | None]] = field(default_factory=list)
    fields: set[str] = field(default_factory=set)
    signals: dict[Smoothed, int] = field(default_factory=dict)
    rankings: dict[Smoothed | None, int] = field(default_factory=dict)
    leaving: list[int] = field(default_factory=list)
    _lines: list[Line] = field(default_factory=list)
    _written: set[str] = field(default_factory=set)
    _asked: int = 0

    def alternative(self, rule: Rule) -> Alternative:
        """One rule of the strategy, with the lines that were not written for those before it."""
        self._lines, before = [], len(self.prices)
        masks = self._rule(rule)
        fires = self._line(f"fires_{self._next()}", masks.yes)
        switch = before if _proposes(rule) else None  # what proposes is written before what qualifies
        return Alternative(tuple(self._lines), fires, switch)

    def _rule(self, rule: Rule) -> _Masks:
        if type(rule) is Qualified:
            asked, qualifier = self._rule(rule.rule), rule.qualifier
            answer = self._guard(qualifier) if isinstance(qualifier, Guard) else self._rule(qualifier)
            quiet = f"({asked.no} | ({asked.yes} & {answer.no}))"
            if isinstance(qualifier, Guard) and qualifier.spares_critical and _urgency(rule.rule) is Urgency.CRITICAL:
                return asked
            return _Masks(f"({asked.yes} & {answer.yes})", quiet)
        if is_stated(rule) and isinstance(rule, TargetRule):
            return self._target(rule)
        if is_stated(rule):
            return self._stated(rule, rule.stated())
        raise NoColumnsError(f"{_what(rule)} is asked through its evaluate")

    def _guard(self, guard: Guard) -> _Masks:
        if type(guard) is Not:
            asked = self._guard(guard.guard)
            return _Masks(asked.no, asked.yes)
        if type(guard) is Unless:
            asked = self._rule(guard.rule)
            return _Masks(asked.no, asked.yes)
        if type(guard) in {AllOf, AnyOf} and guard.guards:  # type: ignore[attr-defined]  # both have them
            asked_all = [self._guard(one) for one in guard.guards]  # type: ignore[attr-defined]  # as above
            every, some = (" & ", " | ") if type(guard) is AllOf else (" | ", " & ")
            return _Masks(
                f"({every.join(one.yes for one in asked_all)})", f"({some.join(one.no for one in asked_all)})"
            )
        if isinstance(guard, GridGuard) and type(guard).__module__.startswith(f"{_HOME}."):
            return self._stated(guard, guard.stated())
        raise NoColumnsError(f"{_what(guard)} is asked through its admits")

    def _stated(self, owner: GridRule | GridGuard, stated: Stated) -> _Masks:
        place = self._next()
        if LEAVING_COST in stated.reads:
            self.prices.append((0, 0, stated.costs))
        read, able = self._able(owner, stated, place)
        met = self._line(f"met_{place}", self._call(stated.fires, owner, place, read))
        return _Masks(f"({able} & {met})", f"({able} & no({met}))")

    def _target(self, rule: TargetRule) -> _Masks:
        if rule.all_symbols:
            raise NoColumnsError(f"{rule.name} considers the pairs of other symbols")
        stated, place, number = rule.stated(), self._next(), len(self.prices)
        pricing = rule.pricing()
        self.prices.append((pricing.floor, pricing.floor if pricing.legs is None else 0, pricing.legs))
        read, able = self._able(rule, stated, place)
        candidate = {"candidate_divergence": "divergence_there", "switch_cost": "cost"}
        gain = self._call(rule.gain, rule, place, {**read, **candidate})
        fires = self._call(stated.fires, rule, place, {**read, "gain": "gain"})
        ranking = self.rankings.setdefault(stated.signal, len(self.rankings))
        self._lines.append(Line(f"met_{place}", "", Switch(number, ranking, gain, fires, able)))
        return _Masks(f"met_{place}", f"({able} & no(met_{place}))")

    def _able(self, owner: GridRule | GridGuard, stated: Stated, place: int) -> tuple[dict[str, str], str]:
        """What the values that are read are called, and the mask where all are known, and the rule applies."""
        read, known = {}, []
        for name in stated.reads:
            column = stated.source(name).column
            if column is None:
                raise NoColumnsError(f"{_what(owner)} reads {name}, which a history does not have")
            called = read[name] = self._called(name, stated)
            if name == LEAVING_COST:
                continue
            self._line(called, self._read(column.value, stated))
            if column.known is not None:
                known.append(self._line(f"{called}_known", self._read(column.known, stated)))
        if stated.applies is not None:
            known.append(self._line(f"applies_{place}", self._call(stated.applies, owner, place, read)))
        return read, f"({' & '.join(known)})" if known else "always"

    def _called(self, name: str, stated: Stated) -> str:
        """The value of that name, in words that say by which signal or costs it is read."""
        if name == LEAVING_COST:
            self.leaving.append(len(self.prices) - 1)
            return f"leaving_{len(self.prices) - 1}"
        return name if stated.by(name) is None else f"{name}_by_{self._signal(stated)}"

    def _signal(self, stated: Stated) -> int:
        assert stated.signal is not None
        return self.signals.setdefault(stated.signal, len(self.signals))

    def _read(self, code: str, stated: Stated) -> str:
        """An expression with the means of this signal. The fields of the legs that it reads are noted."""
        if _MEAN.search(code):
            code = _MEAN.sub(rf"\1_\2_{self._signal(stated)}", code)
        self.fields.update(_fields(code))
        return code

    def _call(self, function: Function, owner: GridRule | GridGuard, place: int, found: dict[str, str]) -> str:
        """A call of a stated function: values by their names, the rule's own parameters as numbered ones."""
        own = type(owner).model_fields
        called = f"{function.__name__}_of_{place}"
        self.functions[called] = function
        arguments = [self._parameter(owner, name) if name in own else found.get(name, name) for name in names(function)]
        return f"{called}({', '.join(arguments)})"

    def _parameter(self, owner: GridRule | GridGuard, name: str) -> str:
        self.parameters.append(parameter(owner, name))
        return f"p{len(self.parameters) - 1}"

    def _line(self, name: str, code: str) -> str:
        """`name = code`, unless that was written before."""
        if name not in self._written:
            self._written.add(name)
            self._lines.append(Line(name, code))
        return name

    def _next(self) -> int:
        self._asked += 1
        return self._asked


@cache
def _fields(code: str) -> frozenset[str]:
    mentioned = set(compile(code, __file__, "eval").co_names)
    return frozenset(name.partition("_")[2] for name in mentioned if name.startswith(("long_", "short_")))


def _proposes(rule: Rule) -> bool:
    """Whether it is a switch that the rule proposes."""
    return isinstance(proposer(rule), TargetRule)


def _reason(rule: Rule) -> str:
    return str(getattr(proposer(rule), "reason", ""))


def _urgency(rule: Rule) -> Urgency:
    return getattr(proposer(rule), "urgency", Urgency.NORMAL)


def _what(asked: object) -> str:
    return as_line(repr(asked), most=100)
