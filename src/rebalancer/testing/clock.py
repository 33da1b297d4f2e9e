"""A clock that stands still until it is told to go on."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from ..domain.times import SECOND
from ..ports import Clock
from .factories import AS_OF


class ManualClock(Clock):
    """A clock for tests: time passes by `advance`, and by `sleep`, which takes no time at all.

    `slept` are the waits that were asked for, in seconds.
    """

    def __init__(self, now: datetime = AS_OF) -> None:
        self._now = now
        self._elapsed = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The instant at which the clock stands."""
        return self._now

    def monotonic(self) -> float:
        """Seconds for which the clock has gone since it was made."""
        return self._elapsed

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self._now += by
        self._elapsed += by / SECOND

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass at once; other tasks get their turn."""
        self.slept.append(seconds)
        self.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)
