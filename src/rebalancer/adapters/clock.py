"""The machine's clock: the only place that reads it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from ..ports import Clock


class SystemClock(Clock):
    """The clock of the machine."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that long, in real time."""
        await asyncio.sleep(seconds)
