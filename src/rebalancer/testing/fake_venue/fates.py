"""Which fate a call has: the one that was planned for it, else the one that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from ...domain.numbers import RATIO_ONE, RATIO_PLACES, to_grid
from .habits import Call, Chance, Fate

_WELL = Fate()


@dataclass(slots=True)
class _Plan:
    """A fate for the next calls of a kind: `left` of them, or all from now on."""

    call: Call
    fate: Fate
    symbol: str | None
    left: int | None


class Fates:
    """The fates of a venue's calls. Each kind of call draws by itself: more reads do not change the fate of orders."""

    def __init__(self, seed: str, chances: Sequence[Chance]) -> None:
        self._random = {call: Random(f"{seed}|{call}") for call in Call}
        self._chances = {
            call: [(to_grid(one.probability, RATIO_PLACES), one.fate) for one in chances if one.call is call]
            for call in Call
        }
        self._plans: list[_Plan] = []

    def plan(self, call: Call, fate: Fate, *, symbol: str | None, times: int | None) -> None:
        """Have the next calls go this way; `times` None: all of them."""
        self._plans.append(_Plan(call, fate, symbol, times))

    def clear(self) -> None:
        """Forget what was planned."""
        self._plans.clear()

    def next(self, call: Call, symbol: str | None = None) -> Fate:
        """The fate of a call: planned for its symbol, planned for all, drawn, or to go well."""
        planned = (self.planned(call, symbol) if symbol is not None else None) or self.planned(call, None)
        return planned or self._drawn(call)

    def planned(self, call: Call, symbol: str | None) -> Fate | None:
        """The fate that the first plan for such a call with just this symbol has for it."""
        plan = next((plan for plan in self._plans if plan.call is call and plan.symbol == symbol), None)
        if plan is None:
            return None
        if plan.left is not None:
            plan.left -= 1
            if plan.left <= 0:
                self._plans.remove(plan)
        return plan.fate

    def _drawn(self, call: Call) -> Fate:
        drawn = self._random[call].randrange(RATIO_ONE)
        for steps, fate in self._chances[call]:
            drawn -= steps
            if drawn < 0:
                return fate
        return _WELL
