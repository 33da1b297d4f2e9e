"""Decides with rules that may block: a rule from elsewhere that does not return is not asked any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from copy import copy
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import UUID

from ..domain.decision import RebalanceDecision
from ..domain.needs import Needs
from ..domain.position import Position
from ..domain.snapshot import MarketSnapshot
from ..domain.times import SECOND
from ..domain.verdict import Action, Verdict
from ..rules.base import Rule
from ..rules.combined import CombinedStrategy
from ..rules.context import RuleContext
from ..rules.grid import is_built_in

_LOOK = 0.02
"""Seconds between two looks at a thread that decides."""
Decided = tuple[RebalanceDecision, ...]
Wanting = Sequence[tuple[Position, RebalanceDecision]]


def all_of_them(wanting: Wanting) -> frozenset[UUID]:
    """Every position that wants out."""
    return frozenset(position.id for position, _ in wanting)


class Watched:
    """A rule of which is known whether it is being asked, and since when. Else it is the rule."""

    def __init__(self, rule: Rule, *, benched: str | None = None) -> None:
        self.rule = rule
        self.function = getattr(rule, "function", type(rule))  # whom a failure is said of
        self.name: str = rule.name  # asked once: only `evaluate` is watched
        self.needs: Needs = rule.needs
        self.reason: Any = getattr(rule, "reason", None)
        self.since: float | None = None
        self.benched = benched
        self.is_asked = False
        """Whether the monitor decides now: elsewhere, as where an observer reads a record, nobody watches how long."""

    def again(self) -> Watched:
        """The same for another thread."""
        fresh = copy(self)
        fresh.since, fresh.is_asked = None, False
        return fresh

    def evaluate(self, ctx: RuleContext, /) -> Verdict:
        """The rule's answer; that it failed, once it is benched."""
        if self.benched is not None:
            return Verdict.failed(self.benched)
        if not self.is_asked:
            return Verdict.not_evaluated("it is asked only while the monitor decides")
        self.since = monotonic()
        try:
            return self.rule.evaluate(ctx)
        finally:
            self.since = None


class Bench:
    """Decides for all positions, with a strategy of which some rules may come from elsewhere.

    Without such rules it decides right here. With them it decides in a thread, and a rule that takes longer than
    `deadline` for one position is benched: it counts as failed from then on, and the thread is left to itself.
    """

    def __init__(self, strategy: Rule, *, deadline: timedelta) -> None:
        rules = strategy.rules if isinstance(strategy, CombinedStrategy) else (strategy,)
        self._deadline = deadline / SECOND
        self._rules = [rule if is_built_in(rule) else Watched(rule) for rule in rules]
        self._watched = [rule for rule in self._rules if isinstance(rule, Watched)]
        self._strategy = CombinedStrategy(*self._rules)

    @property
    def benched(self) -> tuple[tuple[str, str], ...]:
        """The rules that are not asked any more, and why."""
        return tuple((rule.name, rule.benched) for rule in self._watched if rule.benched is not None)

    async def decide(
        self,
        positions: Sequence[Position],
        snapshot: MarketSnapshot,
        *,
        traced: Collection[UUID],
        exits: Callable[[Wanting], Collection[UUID]] = all_of_them,
    ) -> Decided:
        """A decision for each position. The trace is made of the positions in `traced`, and of those that want out: of
        which of them, `exits` says.
        """

        def decide() -> Decided:
            asked = self._watched
            try:
                for rule in asked:
                    rule.is_asked = True
                decisions = self._strategy.decide_all(positions, snapshot)
                both = tuple(zip(positions, decisions, strict=True))
                looked_at = {*traced, *exits([one for one in both if one[1].action is not Action.HOLD])}
                for position, decision in both:
                    if position.id in looked_at:
                        decision.record  # noqa: B018  # making it asks the rules that were not asked yet
                return decisions
            finally:
                for rule in asked:
                    rule.is_asked = False

        if not self._watched:
            return decide()
        while True:
            decided = await self._in_thread(decide)
            if decided is not None:
                return decided

    async def _in_thread(self, work: Callable[[], Decided]) -> Decided | None:
        """What the work gives; None if a rule did not return, which is benched then."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Decided] = loop.create_future()
        thread = threading.Thread(target=_run, args=(work, loop, done), name="rebalancer rules", daemon=True)
        thread.start()
        while True:
            await asyncio.wait((done,), timeout=_LOOK)
            if done.done():
                return done.result()
            for rule in self._watched:
                if self._late(rule):
                    self._sit_out(rule)
                    done.cancel()
                    return None

    def _late(self, rule: Watched) -> bool:
        since = rule.since
        return since is not None and monotonic() - since > self._deadline

    def _sit_out(self, late: Watched) -> None:
        """Bench a rule. The thread that is stuck keeps the old wrappers, none of which asks its rule any more."""
        late.benched = f"it did not return within {self._deadline:g} s and is not asked any more"
        self._rules = [rule.again() if isinstance(rule, Watched) else rule for rule in self._rules]
        for left in self._watched:
            left.benched = left.benched or "the thread that asks is left to itself"
        self._watched = [one for one in self._rules if isinstance(one, Watched)]
        self._strategy = CombinedStrategy(*self._rules)


def _run(work: Callable[[], Decided], loop: asyncio.AbstractEventLoop, done: asyncio.Future[Decided]) -> None:
    """Work in this thread, and tell the loop what came of it, if it is still there and waits."""
    try:
        value: Decided | BaseException = work()
    except BaseException as error:  # it is raised where somebody waits for it
        value = error

    def tell() -> None:
        if done.done():
            return
        if isinstance(value, BaseException):
            done.set_exception(value)
        else:
            done.set_result(value)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:  # the loop is closed: nobody waits
        return
