"""A strategy compiled to one Python function, so that deciding costs no more than the comparisons it makes.

Each built-in rule becomes one line: are the values that it reads known, does it apply, does it fire. Values are read
when the first rule needs them. Any other rule is asked through its `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..domain.position import Position
from ..domain.snapshot import MarketSnapshot
from ..domain.targets import TargetFilter
from ..domain.verdict import Outcome, Verdict
from .asking import ask
from .base import Rule
from .context import RuleContext
from .grid import GridRule, is_stated, names, parameter, parts
from .target import TargetRule, best_target
from .values import LEAVING_COST

Said = dict[int, Verdict]
"""What rules that are asked through `evaluate` said, by their place in the strategy, in order."""

Asked = Callable[[Position, MarketSnapshot, TargetFilter], tuple[int, Said | None]]
"""The place of what fires first among the `parts` of all rules (-1: none), and what the rules asked through `evaluate`
said on the way."""

_NONE_FIRED = (-1, None)


def compiled(rules: Sequence[Rule]) -> Asked:
    """The function that asks `rules` in order until one fires."""
    namespace: dict[str, Any] = {"best_target": best_target, "hear": _hear, "NONE_FIRED": _NONE_FIRED}
    lines = list(_lines(rules, namespace))
    source = "\n".join(("def asked(position, snapshot, targets):", *(f"    {line}" for line in lines)))
    exec(source, namespace)  # made of the names in `values` and in the rules' functions alone
    asked: Asked = namespace.pop("asked")  # a function that is among its own globals leads back to itself
    return asked


def _lines(rules: Sequence[Rule], namespace: dict[str, Any]) -> Iterator[str]:
    """The body of the function; what it calls goes into `namespace`."""
    every = [(owner, part) for owner, rule in enumerate(rules) for part in parts(rule)]
    heard = "None"
    if not all(is_stated(part) for _, part in every):
        heard = "said"
        yield "said = {}"
    yield "pair = position.pair"
    yield "at = snapshot.book[pair]"
    read: set[str] = set()
    known_by: dict[object, int] = {None: 0}
    for place, (owner, rule) in enumerate(every):
        if is_stated(rule):
            stated = rule.stated()
            if stated.signal is not None:
                namespace[f"signal_{place}"] = stated.signal
                yield f"signal = signal_{place}"
            if LEAVING_COST in stated.reads:
                namespace[f"costs_{place}"] = stated.costs
                yield f"costs = costs_{place}"
            variables = {}
            for name in stated.reads:
                number = known_by.setdefault(stated.by(name), len(known_by))
                variable = variables[name] = f"{name}_{number}"
                if variable not in read:
                    read.add(variable)
                    yield f"{variable} = {stated.source(name).code}"
            known = [f"{variables[name]} is not None" for name in stated.reads if stated.source(name).nullable]
            if stated.applies is not None:
                namespace[f"applies_{place}"] = stated.applies
                known.append(_call("applies", place, rule, names(stated.applies), variables))
            namespace[f"fires_{place}"] = stated.fires
            fires = _call("fires", place, rule, names(stated.fires), variables)
            if isinstance(rule, TargetRule):
                yield from _target_lines(place, rule, known, variables, namespace)
                known = [f"best_{place} is not None"]
            yield f"if {' and '.join((*known, fires))}: return {place}, {heard}"
        else:
            namespace[f"rule_{place}"] = rule
            yield f"if hear(said, {owner}, rule_{place}, position, snapshot, targets): return {place}, said"
    yield "return NONE_FIRED" if heard == "None" else "return -1, said"


def _target_lines(
    place: int, rule: TargetRule, known: Sequence[str], variables: Mapping[str, str], namespace: dict[str, Any]
) -> Iterator[str]:
    """Find the best candidate of a rule with a target, if what its gain reads is known."""
    namespace[f"gain_{place}"] = rule.gain
    namespace[f"pricing_{place}"] = rule.pricing()
    symbol = "None" if rule.all_symbols else "pair.symbol"
    book = "snapshot.book" if rule.smoothed is None else "snapshot.book.smoothed(signal).ranking"
    gain = _call("gain", place, rule, names(rule.gain), variables)
    hoped = {**variables, "gain": f"gain(widest, pricing_{place}.floor)"}
    fires = _call("fires", place, rule, names(rule.fires), hoped)
    yield f"best_{place} = None"
    yield f"if {' and '.join(known) or True}:"
    yield f"    gain = lambda candidate_divergence, switch_cost: {gain}"
    yield f"    widest = {book}.widest({symbol})"
    yield f"    if widest is not None and {fires}:"  # else no candidate makes it fire, and none is looked for
    yield f"        ranked = {book}.best_first({symbol})"
    yield f"        best_{place} = best_target(ranked, pair, targets, gain, pricing_{place})"


def _call(function: str, place: int, rule: GridRule, parameters: Sequence[str], found: Mapping[str, str]) -> str:
    """A call of a stated function: values by the names that `found` has for them, the rule's own parameters as grid
    integers, and the gain, unless that was found, of the best candidate.
    """
    own = type(rule).model_fields
    found = {"gain": f"best_{place}.gain", **found}
    arguments = (str(parameter(rule, name)) if name in own else found.get(name, name) for name in parameters)
    return f"{function}_{place}({', '.join(arguments)})"


def _hear(
    said: Said, place: int, rule: Rule, position: Position, snapshot: MarketSnapshot, targets: TargetFilter
) -> bool:
    """Ask a rule through its `evaluate`, keep what it said, and tell whether it fired."""
    verdict = said[place] = ask(rule, RuleContext(position, snapshot, targets))
    return verdict.outcome is Outcome.FIRED
