"""Asking again: when a read may be repeated, and after how long. An order is never repeated this way.

The waits are "full jitter": uniformly random up to a bound that doubles, as in Marc Brooker, "Exponential Backoff And
Jitter" (AWS Architecture Blog, 2015). The budget follows gRPC's retry throttling: in the long run at most a tenth as
many retries as first tries, so that retries never become the load that keeps a service down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from random import Random

from ...domain.times import SECOND

LONGEST_WAIT = timedelta(minutes=5)
"""The longest that a service's own Retry-After is honoured."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and when a read is repeated.

    `attempts`: tries in all. `base`: the bound of the first wait, doubled for each further one up to `most`.
    `budget`: how many retries may be saved up.
    """

    attempts: int = 3
    base: timedelta = timedelta(milliseconds=100)
    most: timedelta = timedelta(seconds=2)
    budget: int = 10

    def wait(self, attempt: int, chance: Callable[[], float]) -> float:
        """Seconds to wait after the failed try number `attempt` (from 1); `chance()` is random in [0, 1)."""
        return chance() * min(self.most, self.base * (1 << min(attempt - 1, 20))) / SECOND


@dataclass(slots=True)
class Retrying:
    """A policy at work: its budget, shared by all reads of one client, and its chance."""

    policy: Retry
    chance: Callable[[], float] = field(default_factory=lambda: Random().random)
    _saved: float = field(init=False)

    def __post_init__(self) -> None:
        self._saved = float(self.policy.budget)

    def first_try(self) -> None:
        """A read begins: it earns a tenth of a retry."""
        self._saved = min(float(self.policy.budget), self._saved + 0.1)

    def wait(self, attempt: int, *, asked: float | None, left: float) -> float | None:
        """Seconds until the next try, or None if there is none.

        `asked` is the service's own Retry-After in seconds, `left` the seconds to the deadline.
        """
        wait = self.policy.wait(attempt, self.chance) if asked is None else asked
        if attempt >= self.policy.attempts or self._saved < 1 or wait >= left:
            return None
        self._saved -= 1
        return wait


def retry_after(header: str | None, *, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks to wait, at most `LONGEST_WAIT`; None if it is absent or nonsense.

    Seconds and HTTP dates are understood (RFC 9110, 10.2.3); a date in the past is 0.
    """
    if header is None or not header.isascii():
        return None
    longest = LONGEST_WAIT / SECOND
    if header.isdigit():
        return float(min(int(header), longest)) if len(header) <= 12 else longest
    try:
        until = parsedate_to_datetime(header)
        until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
        return min(max((until - now) / SECOND, 0.0), longest)
    except (ValueError, TypeError, OverflowError):
        return None
