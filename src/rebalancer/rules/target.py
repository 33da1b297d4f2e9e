"""Rules with a target: the candidate with the largest gain, ties by (symbol, long, short)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from ..costs import Costs
from ..domain.names import Pair, made
from ..domain.needs import Needs
from ..domain.targets import TargetFilter
from ..domain.verdict import Verdict
from .grid import UNKNOWN, Bound, Function, GridRule, Stated, names

if TYPE_CHECKING:
    from ..domain.ranking import Candidate


class Pricing(NamedTuple):
    """What a switch from one pair to another costs, in grid steps, and the `floor` below which none does.

    `legs` are the costs of the legs that it trades; None if every switch costs the floor.
    """

    cost: Callable[[Pair | None, Pair], int]
    floor: int
    legs: Costs | None = None

    @classmethod
    def flat(cls, cost: int) -> Self:
        """Every switch costs the same."""
        return cls(lambda _held, _target: cost, cost)

    @classmethod
    def by_leg(cls, costs: Costs) -> Self:
        """A switch costs the legs that it trades."""
        return cls(lambda held, target: costs.move(held, target).cost, costs.cheapest_switch, costs)


class Best(NamedTuple):
    """A candidate that may be opened, with what switching to it costs and gains."""

    divergence: int
    pair: Pair
    cost: int
    gain: int


def best_target(
    ranked: Iterable[Candidate],
    held: Pair | None,
    targets: TargetFilter,
    gain: Callable[[int, int], int],
    pricing: Pricing,
) -> Best | None:
    """The candidate with the largest `gain(divergence, cost)` that `targets` allows, other than `held` (None: flat).

    `ranked` is in falling order of divergence, and `gain` never falls with the divergence nor rises with the cost: so
    the search may end where even the cheapest switch would gain less than the best so far.
    """
    best: Best | None = None
    price, floor, _ = pricing
    for divergence, pair in ranked:
        if pair == held or (targets is not _ANY and targets.refusal(pair) is not None):
            continue
        gained = gain(divergence, floor)
        if best is not None and gained < best.gain:
            break
        cost = price(held, pair)
        if cost != floor:
            gained = gain(divergence, cost)
        if best is None or gained > best.gain or (gained == best.gain and pair < best.pair):
            best = made(Best, (divergence, pair, cost, gained))
    return best


_ANY = TargetFilter.ANY

_OF_CANDIDATE = ("candidate_divergence", "switch_cost")
"""What a gain may name besides what its rule reads."""


class TargetRule(GridRule):
    """A built-in rule that switches: states the `gain` of one candidate, and `fires` on the largest.

    Where it does not fire on a gain, it does not on a smaller one either.
    """

    gain: ClassVar[Function]

    @property
    def all_symbols(self) -> bool:
        """Whether candidates of other symbols count."""
        raise NotImplementedError

    def pricing(self) -> Pricing:
        """What a switch costs."""
        raise NotImplementedError

    def stated(self) -> Stated:
        """When it fires, and the gain of one candidate."""
        return Stated(
            fires=self.fires, applies=self.applies, gain=self.gain, signal=self.smoothed, costs=self.pricing().legs
        )

    @property
    def needs(self) -> Needs:
        """What its functions read, and the other pairs."""
        return super().needs | Needs(rates=False, opportunities=True, all_symbols=self.all_symbols)

    def verdict(self, bound: Bound) -> Verdict:
        """Switch to the best candidate if it fires; quiet without a candidate, unless the source could not list any."""
        ctx = bound.ctx
        book, held = ctx.snapshot.book, ctx.position.pair
        symbol = None if self.all_symbols else held.symbol
        asked = names(self.gain)
        known = bound.known(name for name in asked if name not in _OF_CANDIDATE)

        def gain(candidate_divergence: int, switch_cost: int) -> int:
            values = {**known, "candidate_divergence": candidate_divergence, "switch_cost": switch_cost}
            gained: int = self.gain(*[values[name] for name in asked])
            return gained

        ranking = book if self.smoothed is None else book.smoothed(self.smoothed).ranking
        best = best_target(ranking.best_first(symbol), held, ctx.targets, gain, self.pricing())
        missing = book.opportunity_gaps(symbol)
        if best is None:
            if missing:
                return Verdict.not_evaluated(UNKNOWN, missing=missing)
            return Verdict.quiet("there is no other pair to switch to")
        more = {"gain": best.gain, "candidate_divergence": best.divergence, "switch_cost": best.cost}
        facts = self.all_facts({**bound.values, **more})
        if bound.call(self.fires, gain=best.gain):
            return Verdict.switch(book.opportunity(best.pair), self.claims.fired, *facts, urgency=self.urgency)
        if missing:  # what is known does not fire, but a pair that is not known might
            return Verdict.not_evaluated(UNKNOWN, *facts, missing=missing)
        return Verdict.quiet(self.claims.quiet, *facts)
