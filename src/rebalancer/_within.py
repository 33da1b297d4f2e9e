"""A deadline that holds even if what it bounds does not obey."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from .domain.times import SECOND

T = TypeVar("T")

GRACE = 0.1
"""Seconds that work which is cut off has to clean up; after that it is left to itself."""

_log = logging.getLogger(__name__)


class LateError(Exception):
    """The work was not done by the deadline. (What the work itself raises, a TimeoutError say, is another thing.)"""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of work: its value, or the error that it raised (LateError if it was cut off)."""

    value: T | None = None
    error: BaseException | None = None


async def within(deadline: timedelta, work: Callable[[], Awaitable[T]]) -> Outcome[T]:
    """What comes of `work()` by the deadline. Raises nothing but the caller's own cancellation, and KeyboardInterrupt.

    It runs as a task of its own and is cancelled at the deadline, or when the caller is. Work that swallows its
    cancellation does not hold the caller up: it is left behind, which is logged.
    """
    task = asyncio.ensure_future(_outcome(work))
    try:
        await asyncio.wait((task,), timeout=deadline / SECOND)
        return task.result() if task.done() else Outcome(error=LateError())
    finally:
        if not task.done():
            await _cut_off(task)


async def _outcome(work: Callable[[], Awaitable[T]]) -> Outcome[T]:
    try:
        return Outcome(value=await work())
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # even SystemExit, which would end the event loop from within a task
        return Outcome(error=error)


async def _cut_off(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait((task,), timeout=GRACE)
    if not task.done():
        _log.warning("a call does not stop though it was cancelled; it is left behind")
