"""A strategy compiled to one Python function, so that deciding costs no more than the comparisons it makes.

Each built-in rule becomes one line: are the values that it reads known, does it apply, does it fire. Values are read
when the first rule needs them. Any other rule is asked through its `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..domain.position import Position
from ..domain.snapshot import MarketSnapshot
from ..domain.targets import TargetFilter
from ..domain.verdict import Outcome, Verdict
from .asking import ask
from .base import Rule
from .context import RuleContext
from .grid import GridRule, is_stated, names, parameter
from .target import TargetRule, best_target
from .values import VALUES

Said = dict[int, Verdict]
"""What rules that are asked through `evaluate` said, by their place in the strategy."""

Asked = Callable[[Position, MarketSnapshot, TargetFilter], tuple[int, Said | None]]
"""The place of the rule that fires first (-1: none), and what the rules asked through `evaluate` said on the way."""

_NONE_FIRED = (-1, None)


def compiled(rules: Sequence[Rule]) -> Asked:
    """The function that asks `rules` in order until one fires."""
    namespace: dict[str, Any] = {"best_target": best_target, "hear": _hear, "NONE_FIRED": _NONE_FIRED}
    lines = list(_lines(rules, namespace))
    source = "\n".join(("def asked(position, snapshot, targets):", *(f"    {line}" for line in lines)))
    exec(source, namespace)  # made of the names in `values` and in the rules' functions alone
    asked: Asked = namespace["asked"]
    return asked


def _lines(rules: Sequence[Rule], namespace: dict[str, Any]) -> Iterator[str]:
    """The body of the function; what it calls goes into `namespace`."""
    heard = "None"
    if not all(map(is_stated, rules)):
        heard = "said"
        yield "said = {}"
    yield "pair = position.pair"
    yield "at = snapshot.book[pair]"
    read: set[str] = set()
    for place, rule in enumerate(rules):
        if is_stated(rule):
            stated = rule.stated()
            for name in stated.reads:
                if name not in read:
                    read.add(name)
                    yield f"{name} = {VALUES[name].code}"
            known = [f"{name} is not None" for name in stated.reads if VALUES[name].nullable]
            if stated.applies is not None:
                namespace[f"applies_{place}"] = stated.applies
                known.append(_call("applies", place, rule, names(stated.applies)))
            namespace[f"fires_{place}"] = stated.fires
            fires = _call("fires", place, rule, names(stated.fires))
            if isinstance(rule, TargetRule):
                yield from _target_lines(place, rule, known, namespace)
                known = [f"best_{place} is not None"]
            yield f"if {' and '.join((*known, fires))}: return {place}, {heard}"
        else:
            namespace[f"rule_{place}"] = rule
            yield f"if hear(said, {place}, rule_{place}, position, snapshot, targets): return {place}, said"
    yield "return NONE_FIRED" if heard == "None" else "return -1, said"


def _target_lines(place: int, rule: TargetRule, known: Sequence[str], namespace: dict[str, Any]) -> Iterator[str]:
    """Find the best candidate of a rule with a target, if what its gain reads is known."""
    namespace[f"gain_{place}"] = rule.gain
    namespace[f"pricing_{place}"] = rule.pricing()
    symbol = "None" if rule.all_symbols else "pair.symbol"
    gain = _call("gain", place, rule, names(rule.gain))
    fires = _call("fires", place, rule, names(rule.fires), gain=f"gain(widest, pricing_{place}.floor)")
    yield f"best_{place} = None"
    yield f"if {' and '.join(known) or True}:"
    yield f"    gain = lambda candidate_divergence, switch_cost: {gain}"
    yield f"    widest = snapshot.book.widest({symbol})"
    yield f"    if widest is not None and {fires}:"  # else no candidate makes it fire, and none is looked for
    yield f"        ranked = snapshot.book.best_first({symbol})"
    yield f"        best_{place} = best_target(ranked, pair, targets, gain, pricing_{place})"


def _call(function: str, place: int, rule: GridRule, parameters: Sequence[str], *, gain: str | None = None) -> str:
    """A call of a stated function: values by their names, the rule's own parameters as grid integers.

    `gain` is how to say the gain: by default, that of the best candidate.
    """
    own = type(rule).model_fields
    found = {"gain": gain or f"best_{place}.gain"}
    arguments = (str(parameter(rule, name)) if name in own else found.get(name, name) for name in parameters)
    return f"{function}_{place}({', '.join(arguments)})"


def _hear(
    said: Said, place: int, rule: Rule, position: Position, snapshot: MarketSnapshot, targets: TargetFilter
) -> bool:
    """Ask a rule through its `evaluate`, keep what it said, and tell whether it fired."""
    verdict = said[place] = ask(rule, RuleContext(position, snapshot, targets))
    return verdict.outcome is Outcome.FIRED
