"""The minimum hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..domain.times import Duration, seconds
from ..domain.verdict import Fact
from .grid import Claims
from .guard import GridGuard


class HeldFor(GridGuard):
    """Yes once the position has been open for `at_least` that long.

    `rule & HeldFor(...)` spares critical verdicts: a minimum hold never holds back a flip. `~HeldFor(...)` and
    `HeldFor(...) | guard` spare nothing.
    """

    at_least: Duration
    spares_critical: ClassVar[bool] = True

    claims: ClassVar[Claims] = Claims(
        fired="the position was held for long enough",
        quiet="the position was not held for long enough",
    )

    @staticmethod
    def holds(age: int, at_least: int) -> bool:
        """age >= at_least."""
        return age >= at_least

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The age against the minimum."""
        return (Fact("age_seconds", values["age"], limit=seconds(self.at_least)),)
