"""The rest after an action."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..domain.quoted_legs import NEVER
from ..domain.times import Duration, seconds
from ..domain.verdict import Fact
from .context import RuleContext
from .grid import Claims
from .guard import Answer, GridGuard


class Cooldown(GridGuard):
    """Yes once `after` has passed since the position's last action, and if there was none yet.

    A last action that is after now means that a clock is wrong: no. `rule & Cooldown(...)` spares critical verdicts: a
    rest never holds back a flip or an exit before liquidation. `~Cooldown(...)` and `Cooldown(...) | guard` spare
    nothing.
    """

    after: Duration
    spares_critical: ClassVar[bool] = True

    claims: ClassVar[Claims] = Claims(
        fired="the last action was long enough ago",
        quiet="the last action was not long enough ago",
    )

    @staticmethod
    def holds(since_action: int, after: int) -> bool:
        """since_action >= after."""
        return since_action >= after

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The time since the last action against the rest; nothing if there was none."""
        since = values["since_action"]
        return () if since == NEVER else (Fact("since_action_seconds", since, limit=seconds(self.after)),)

    def answer(self, ctx: RuleContext) -> Answer:
        """What the stated functions say, with what is special about the last action."""
        answer, last = super().answer(ctx), ctx.position.last_action_at
        if last is None:
            return answer._replace(why="there was no action yet")
        return answer if last <= ctx.now else answer._replace(why="the last action is after now: a clock is wrong")
