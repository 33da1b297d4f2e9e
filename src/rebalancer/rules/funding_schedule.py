"""Leave shortly before a settlement, and come back after it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Literal

from ..domain.names import ReasonCode
from ..domain.numbers import EIGHT_HOURS, divide_half_even, fraction
from ..domain.quoted_legs import NEVER
from ..domain.times import Duration, seconds
from ..domain.verdict import Fact, Outcome, Verdict
from .base import param
from .grid import Bound, Claims, GridRule, Stated


def settlement_facts(values: Mapping[str, int], window: timedelta) -> tuple[Fact, ...]:
    """The time to the settlement against the window, and the net payment then if it was read."""
    facts = []
    if values["settles_in"] < NEVER:
        facts.append(Fact("settles_in_seconds", values["settles_in"], limit=seconds(window)))
    if "net_payment" in values:
        payment = fraction(divide_half_even(values["net_payment"], EIGHT_HOURS))
        facts.append(Fact("net_payment_rate", payment, limit=0))
    return tuple(facts)


class FundingSchedule(GridRule):
    """Close when the earlier leg's next settlement is more than 0 and less than `window` away.

    With one leg's schedule unknown, the known one decides if it is inside the window already; otherwise the rule is
    not evaluated. Funding that accrues continuously never settles. With `mode="when_paying"` it fires only if the net
    payment at that instant is against the position (both legs count if they settle together), which needs the rates
    and both schedules. The verdict carries `reopen_after`: the settlement's instant.
    """

    window: Duration = param(timedelta(minutes=15))
    mode: Literal["always", "when_paying"] = "always"
    reason: ReasonCode = "PRE_FUNDING_EXIT"

    claims: ClassVar[Claims] = Claims(
        fired="a settlement is inside the window",
        quiet="no settlement to leave before is inside the window",
    )

    @staticmethod
    def applies(settles_in: int, both_scheduled: int, window: int) -> bool:
        """Both schedules are known, or the known one is inside the window already."""
        return (both_scheduled > 0) | ((settles_in > 0) & (settles_in < window))

    @staticmethod
    def fires(settles_in: int, window: int) -> bool:
        """0 < time to the settlement < window."""
        return (settles_in > 0) & (settles_in < window)

    @staticmethod
    def fires_when_paying(settles_in: int, net_payment: int, window: int) -> bool:
        """0 < time to the settlement < window, and the position pays then."""
        return (settles_in > 0) & (settles_in < window) & (net_payment < 0)

    def stated(self) -> Stated:
        """The functions of the rule's mode."""
        fires = self.fires if self.mode == "always" else self.fires_when_paying
        return Stated(fires=fires, applies=self.applies)

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The time to the settlement against the window, and the net payment then if it was read."""
        return settlement_facts(values, self.window)

    def verdict(self, bound: Bound) -> Verdict:
        """As any rule's, with the instant after which the position may be opened again."""
        verdict = super().verdict(bound)
        if verdict.outcome is not Outcome.FIRED:
            return verdict
        settlement = bound.ctx.now + timedelta(seconds=bound.values["settles_in"])
        return verdict.model_copy(update={"reopen_after": settlement})
