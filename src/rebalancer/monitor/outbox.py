"""Observers are told off the decision path: each has a queue of its own, and a slow or broken one loses reports."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from datetime import timedelta

from .._within import within
from ..domain.names import as_line
from ..domain.tick import AlarmKind, TickReport
from ..ports import Observer
from .notice import Notice

MOST = 16
"""Reports that wait for one observer; the oldest is dropped for another one."""


class Outbox:
    """Tells observers, each in its own time. It has tasks only while something is to be told.

    A task ends with its event loop. What it had not told by then is told in the next loop.
    """

    def __init__(self, observers: Sequence[Observer], *, deadline: timedelta) -> None:
        self._lines = [_Line(observer, deadline) for observer in observers]

    def tell(self, report: TickReport) -> None:
        """Put a report into every queue, and return at once."""
        for line in self._lines:
            line.tell(report)

    def go_on(self) -> None:
        """Tell what an event loop that has ended left."""
        for line in self._lines:
            line.go_on()

    @property
    def notices(self) -> list[Notice]:
        """The observers that do not work."""
        return [notice for line in self._lines for notice in line.notices]

    async def aclose(self, *, patience: timedelta) -> None:
        """Tell what is still to be told, for at most that long."""
        await asyncio.gather(*(line.aclose(patience) for line in self._lines))


class _Line:
    """One observer's queue."""

    def __init__(self, observer: Observer, deadline: timedelta) -> None:
        self._observer = observer
        self._deadline = deadline
        self._waiting: deque[TickReport] = deque(maxlen=MOST)
        self._task: asyncio.Task[None] | None = None
        self._now: TickReport | None = None
        self._begun = False
        self._failed: str | None = None
        self._dropped = 0

    @property
    def notices(self) -> list[Notice]:
        about = f"observer {type(self._observer).__name__}"
        why = self._failed
        if self._dropped:
            why = f"it is too slow: {self._dropped} reports were dropped"
        return [] if why is None else [Notice(AlarmKind.OBSERVER, about, why)]

    def tell(self, report: TickReport) -> None:
        self._dropped += len(self._waiting) == MOST
        self._waiting.append(report)
        self.go_on()

    def go_on(self) -> None:
        """Have a task of this event loop tell what waits. A report that was cut off while it was told is dropped."""
        if self._works:
            return
        if self._begun:
            self._now, self._begun = None, False
            self._dropped += 1
        if self._now is not None or self._waiting:
            self._task = asyncio.ensure_future(self._work())

    @property
    def _works(self) -> bool:
        """Whether the task goes on: one of another event loop does not, whether that ended it or not."""
        task = self._task
        return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()

    async def _work(self) -> None:
        while self._now is not None or self._waiting:
            if self._now is None:
                self._now = self._waiting.popleft()
            report = self._now
            outcome = await within(self._deadline, lambda report=report: self._observe(report))  # type: ignore[misc]
            self._now, self._begun = None, False
            self._failed = None if outcome.error is None else as_line(f"it raised {type(outcome.error).__name__}")
            if not self._waiting:
                self._dropped = 0

    def _observe(self, report: TickReport) -> Awaitable[None]:
        self._begun = True
        return self._observer.observe(report)

    async def aclose(self, patience: timedelta) -> None:
        self.go_on()
        if self._task is not None and self._works:
            await asyncio.wait((self._task,), timeout=patience.total_seconds())
            self._task.cancel()
            await asyncio.wait((self._task,))  # it gives what hangs a moment, and leaves it then
            self._dropped += len(self._waiting)
            self._waiting.clear()
