"""Wait for a payment that is about to come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..domain.times import Duration
from ..domain.verdict import Fact
from .funding_schedule import settlement_facts
from .grid import Claims, Stated
from .guard import GridGuard


class SettlementDue(GridGuard):
    """Yes if the earlier leg's next settlement is more than 0 and less than `within` away.

    With `favourable` (the default) only if the net payment then is in the position's favour: `rule &
    ~SettlementDue(within=...)` collects the payment first. Where a schedule or rate is unknown the answer is unknown,
    for `~SettlementDue` too: an unknown schedule does not release the rule. Continuous funding never settles.
    """

    within: Duration
    favourable: bool = True

    claims: ClassVar[Claims] = Claims(
        fired="such a settlement is due",
        quiet="no such settlement is due",
    )

    @staticmethod
    def applies(settles_in: int, both_scheduled: int, within: int) -> bool:
        """Both schedules are known, or the known one is inside the time already."""
        return (both_scheduled > 0) | ((settles_in > 0) & (settles_in < within))

    @staticmethod
    def holds(settles_in: int, within: int) -> bool:
        """0 < time to the settlement < within."""
        return (settles_in > 0) & (settles_in < within)

    @staticmethod
    def holds_in_favour(settles_in: int, net_payment: int, within: int) -> bool:
        """0 < time to the settlement < within, and the position receives then."""
        return (settles_in > 0) & (settles_in < within) & (net_payment > 0)

    def stated(self) -> Stated:
        """The functions for a payment in favour, or for any."""
        return Stated(fires=self.holds_in_favour if self.favourable else self.holds, applies=self.applies)

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The time to the settlement against the limit, and the net payment then if it was read."""
        return settlement_facts(values, self.within)
