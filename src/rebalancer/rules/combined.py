"""A strategy: rules in order of priority, the first that fires decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..domain.decision import HOLD, Head, RebalanceDecision, deferred
from ..domain.names import Pair
from ..domain.needs import Needs
from ..domain.targets import TargetFilter
from ..domain.verdict import Action, Outcome, Verdict
from ..errors import InputError
from .base import Composable, Rule, is_rule
from .grid import UNKNOWN, is_stated, parts
from .target import TargetRule

if TYPE_CHECKING:
    from uuid import UUID

    from ..domain.position import Position
    from ..domain.record import DecisionRecord
    from ..domain.snapshot import MarketSnapshot
    from .compiled import Asked
    from .context import RuleContext
    from .guard import Guard


class CombinedStrategy(Composable):
    """Rules in order of priority: the first that fires decides, the others still say what they saw.

    It is a rule itself, so strategies nest: `CombinedStrategy(CombinedStrategy(a, b), c)` is `a | b | c`. One without
    rules is an error. It keeps no state but its compiled form, and may be shared by threads.
    """

    __slots__ = ("_engine", "rules")

    rules: tuple[Rule, ...]

    def __init__(self, *rules: Rule) -> None:
        flat: list[Rule] = []
        for rule in rules:
            if isinstance(rule, type):
                raise InputError(f"{rule.__name__} is a class: call it, as in {rule.__name__}()")
            if not is_rule(rule):
                raise InputError(f"a {type(rule).__name__} is not a rule: it needs a name, needs and evaluate")
            flat.extend(rule.rules if isinstance(rule, CombinedStrategy) else (rule,))
        if not flat:
            raise InputError("a strategy needs at least one rule")
        self.rules = tuple(flat)
        self._engine: tuple[Asked, tuple[Head | None, ...]] | None = None

    def decide(
        self, position: Position, snapshot: MarketSnapshot, *, targets: TargetFilter = TargetFilter.ANY
    ) -> RebalanceDecision:
        """Hold, close or switch `position`, as of `snapshot.as_of`. Pure: the same inputs give the same decision.

        `targets` says which candidates may be opened now. Missing data never raises: the rules that read it are *not
        evaluated*, and the decision says so.
        """
        asked, heads = self._engine or self._start()
        place, said = asked(position, snapshot, targets)
        head = heads[place] or _head(said)
        return deferred(head, (position, snapshot, _record, self.rules, said or _NOTHING, head, targets))

    def should_rebalance(
        self, position: Position, snapshot: MarketSnapshot, *, targets: TargetFilter = TargetFilter.ANY
    ) -> tuple[bool, str | None]:
        """`(True, reason code)` if the decision is to close or switch, else `(False, None)`."""
        asked, heads = self._engine or self._start()
        place, said = asked(position, snapshot, targets)
        if place < 0:
            return False, None
        head = heads[place] or _head(said)
        return True, head.reason

    def decide_all(
        self, positions: Sequence[Position], snapshot: MarketSnapshot, *, targets: TargetFilter = TargetFilter.ANY
    ) -> tuple[RebalanceDecision, ...]:
        """Decide for several positions at once, in their order: no two of them switch to the same pair.

        A pair that another position holds is taken. Where two want the same one, the larger gain has it (ties by the
        position's id) and the other is decided without it, whatever the order of input. Raises InputError for two
        positions with one id.
        """
        if len({position.id for position in positions}) != len(positions):
            raise InputError("two positions with one id: give each its own")
        barred = self._barred(positions, targets)
        decisions = [self.decide(one, snapshot, targets=may) for one, may in zip(positions, barred, strict=True)]
        while lost := [(place, target) for target, losers in _contested(positions, decisions) for place in losers]:
            for place, target in lost:
                barred[place] = barred[place].without(target)
            for place, _ in lost:
                decisions[place] = self.decide(positions[place], snapshot, targets=barred[place])
        return tuple(decisions)

    def _barred(self, positions: Sequence[Position], targets: TargetFilter) -> list[TargetFilter]:
        """What each position may not switch to: the pairs that are held, as far as its candidates may reach them.

        Its own pair is among them, which is no candidate anyway, so that all may share one filter.
        """
        everywhere = self.needs.all_symbols
        held: dict[str | None, set[Pair]] = {}
        for position in positions:
            held.setdefault(None if everywhere else position.symbol, set()).add(position.pair)
        if len(positions) == 1:
            return [targets]
        filters = {where: targets.without(*sorted(pairs)) for where, pairs in held.items()}
        return [filters[None if everywhere else position.symbol] for position in positions]

    def _start(self) -> tuple[Asked, tuple[Head | None, ...]]:
        """Compile the rules on first use, part by part; the head of -1, none fired, is the last."""
        from .compiled import compiled  # only deciding needs it

        every = (part for rule in self.rules for part in parts(rule))
        self._engine = compiled(self.rules), (*map(_fixed_head, every), HOLD)
        return self._engine

    @property
    def name(self) -> str:
        """What the strategy is called in explanations."""
        return type(self).__name__

    @property
    def needs(self) -> Needs:
        """The union of what its rules need."""
        needs = Needs(rates=False)
        for rule in self.rules:
            needs |= rule.needs
        return needs

    def evaluate(self, ctx: RuleContext) -> Verdict:
        """The verdict of the first rule that fires; without one, quiet if every rule could be evaluated."""
        from .asking import ask  # as above

        said = []
        for rule in self.rules:
            verdict = ask(rule, ctx)
            if verdict.outcome is Outcome.FIRED:
                return verdict
            said.append(verdict)
        held_back = tuple(held for verdict in said for held in verdict.held_back)
        missing = tuple(dict.fromkeys(gap for verdict in said for gap in verdict.missing))
        if any(verdict.outcome is Outcome.FAILED for verdict in said):
            verdict = Verdict.failed("one of its rules failed")
        elif missing:
            verdict = Verdict.not_evaluated(UNKNOWN)
        else:
            verdict = Verdict.quiet("none of its rules fires")
        return verdict.model_copy(update={"held_back": held_back, "missing": missing})

    def __and__(self, other: Rule | Guard) -> CombinedStrategy:
        """Qualify every alternative: `(a | b) & g` is `(a & g) | (b & g)`, so a critical exit is never hidden."""
        from .algebra import qualify  # the algebra is made of rules itself

        qualified = [qualify(rule, other) for rule in self.rules]
        return NotImplemented if NotImplemented in qualified else CombinedStrategy(*qualified)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CombinedStrategy) and self.rules == other.rules

    def __hash__(self) -> int:
        return hash(self.rules)

    def __reduce__(self) -> tuple[Callable[..., CombinedStrategy], tuple[Rule, ...]]:
        return CombinedStrategy, self.rules

    def __repr__(self) -> str:
        return f"CombinedStrategy({', '.join(map(repr, self.rules))})"


_NOTHING: Mapping[int, Verdict] = MappingProxyType({})


def _record(*context: Any) -> DecisionRecord:
    from .trace import record  # only a record that is read needs it

    return record(*context)


def _fixed_head(rule: Rule) -> Head | None:
    """What a built-in rule decides when it fires; None for a rule whose verdict says it."""
    if not is_stated(rule):
        return None
    return Head(Action.SWITCH if isinstance(rule, TargetRule) else Action.CLOSE, rule.reason, rule.urgency)


def _head(said: Any) -> Head:
    """What the rule decides that was asked last, and so fired."""
    verdict = said[next(reversed(said))]
    return Head(verdict.action, verdict.reason, verdict.urgency)


def _contested(positions: Sequence[Position], decisions: Sequence[RebalanceDecision]) -> list[tuple[Pair, list[int]]]:
    """The targets that several positions want, each with the places of those that do not get it."""
    wanted: dict[Pair, list[tuple[Decimal, UUID, int]]] = {}
    for place, decision in enumerate(decisions):
        if decision.action is Action.SWITCH and decision.target is not None:
            claim = _gain(decision).copy_negate(), positions[place].id, place
            wanted.setdefault(decision.target.pair, []).append(claim)
    return [(pair, [place for *_, place in sorted(claims)[1:]]) for pair, claims in wanted.items() if len(claims) > 1]


def _gain(decision: RebalanceDecision) -> Decimal:
    """What the deciding rule says the switch gains; a rule that does not say stands behind those that do."""
    facts = decision.decided_by.facts if decision.decided_by else ()
    return next((fact.value for fact in facts if fact.name == "gain"), Decimal("-Infinity"))
