"""Close when a position has been open long enough."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from ..domain.times import Duration, seconds
from ..domain.verdict import Fact
from .base import param
from .grid import Claims, GridRule


class TimeLimit(GridRule):
    """Close when the position's age is `max_age` or more. Reads no market data, so it decides even blindly."""

    max_age: Duration = param(timedelta(hours=72))

    claims: ClassVar[Claims] = Claims(
        fired="the position has reached its greatest age",
        quiet="the position is younger than its greatest age",
    )

    @staticmethod
    def fires(age: int, max_age: int) -> bool:
        """age >= max_age."""
        return age >= max_age

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        """The age against the limit."""
        return (Fact("age_seconds", values["age"], limit=seconds(self.max_age)),)
