"""A circuit breaker: a service that is down is left alone for a while, then tried by one request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from ...domain.times import SECOND
from ...errors import SourceRefusedError, SourceUnavailableError
from ...ports import Clock


@dataclass(slots=True)
class Passage:
    """One request that was let through: whether it showed the service to be `up`. None: it shows nothing."""

    up: bool | None = False


class Breaker:
    """After `failures` in a row nothing is sent for `rest`; then one request tries, and the others wait for it.

    Any answer, even a refusal or an error of the service, shows that it is up: one broken question must not cost the
    others. No answer, or one that says "not now", is a failure.
    """

    def __init__(self, name: str, clock: Clock, *, failures: int = 5, rest: timedelta = timedelta(seconds=30)) -> None:
        self._name = name
        self._clock = clock
        self._limit = failures
        self._rest = rest / SECOND
        self._failed = 0
        self._closed_until: float | None = None
        self._why = ""
        self._trying: asyncio.Event | None = None

    @property
    def open(self) -> bool:
        """Whether requests are refused now, or wait for the one that tries."""
        return self._closed_until is not None

    def hold(self, seconds: float, *, why: str) -> None:
        """Send nothing for that long."""
        self._closed_until = max(self._closed_until or 0.0, self._clock.monotonic() + seconds)
        self._why = why

    @asynccontextmanager
    async def request(self) -> AsyncIterator[Passage]:
        """One request, which says by its passage what it showed; one that ends well shows that the service is up.

        Raises SourceUnavailableError while the service is left alone.
        """
        trial = await self._admitted()
        passage = Passage()
        try:
            yield passage
            passage.up = True
        except SourceRefusedError:
            passage.up = True
            raise
        finally:
            if passage.up:
                self._recovered()
            elif passage.up is False:
                self._failed += 1
                if trial is not None or self._failed >= self._limit:
                    self.hold(self._rest, why=f"it failed {self._failed} times in a row")
            if trial is not None:
                self._trying = None
                trial.set()

    async def _admitted(self) -> asyncio.Event | None:
        """Wait to be let through; the event is of the one request that tries, None in ordinary times."""
        while self._closed_until is not None:
            left = self._closed_until - self._clock.monotonic()
            if left > 0:
                raise SourceUnavailableError(self._name, f"{self._why}, and is left alone for {left:.0f} s more")
            if self._trying is None:
                self._trying = asyncio.Event()
                return self._trying
            await self._trying.wait()
        return None

    def _recovered(self) -> None:
        """It answers; but a rest that began since this request was sent goes on."""
        self._failed = 0
        if self._closed_until is not None and self._closed_until <= self._clock.monotonic():
            self._closed_until = None
