"""Many small tasks on any executor: in chunks that take long enough to be worth sending, and end together.

What all tasks share (a history, say) goes to each process once. A task carries the name of it, not the thing; a process
that does not have it yet says so, and is sent it with the task. So nothing is asked of an executor but `submit`.
"""

from __future__ import annotations

import pickle
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

from ..errors import RebalancerError

Run = Callable[[Any, Sequence[Any]], Sequence[Any]]
"""What is done with a chunk: a function of what is shared and some items, that gives one result for each."""

WORTH_SENDING = 0.5
"""Seconds that a chunk should take at least."""
FIXED = 3
"""A chunk should take this many times as long for its items as it takes for any chunk, be it of one item alone: what is
replayed through columns costs nearly the same for one setting and for ten.
"""
GROWTH = 4
"""A chunk has at most this many times the items of those of which the time is known."""
QUICKEST = 1e-9
"""Seconds that no item takes less than."""
ROUNDS = 3
"""The rest is enough for this many chunks a worker, so that all end at nearly the same time, if they may be small."""
AHEAD = 2
"""Chunks a worker that are out at a time: one to work on, and one to go on with."""
KEPT: Final = 2
"""What a process keeps of what it was sent: so many things."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no result for an item."""

    error: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Its kind, unless the library says what it means, and its text."""
        text = " ".join(str(error).split())[:500]
        return cls(text if isinstance(error, RebalancerError) and text else f"{type(error).__name__}: {text}")


class Shared:
    """What all tasks share. It stays here when it is pickled, except as `sent`."""

    __slots__ = ("_packed", "_sends", "_thing", "name")

    def __init__(self, thing: Any) -> None:
        self.name = uuid4().hex
        self._thing = thing
        self._packed: bytes | None = None
        self._sends = False

    def sent(self) -> Shared:
        """The same, that takes the thing along when it is pickled."""
        if self._packed is None:
            self._packed = zlib.compress(pickle.dumps(self._thing, protocol=pickle.HIGHEST_PROTOCOL), level=1)
        other = Shared(self._thing)
        other.name, other._packed, other._sends = self.name, self._packed, True
        return other

    def __getstate__(self) -> tuple[str, bytes | None]:
        return self.name, self._packed if self._sends else None

    def __setstate__(self, state: tuple[str, bytes | None]) -> None:
        self.name, self._packed = state
        self._thing, self._sends = None, self._packed is not None  # a scheduler on the way may pickle it again

    def get(self) -> tuple[Any, bool]:
        """The thing, and whether this process has it."""
        if self._thing is None:
            if self._packed is not None and self.name not in _HERE:
                keep(self.name, pickle.loads(zlib.decompress(self._packed)))
            self._thing = _HERE.get(self.name)
        return self._thing, self._thing is not None


_HERE: dict[str, Any] = {}
"""What this process was sent, by names that are never used twice: filled in worker processes alone."""


def keep(name: str, thing: Any) -> None:
    """Keep what was sent, and forget what was sent long ago."""
    _HERE[name] = thing
    for old in tuple(_HERE)[:-KEPT]:
        _HERE.pop(old, None)


@dataclass(frozen=True, slots=True)
class Task:
    """A chunk on its way."""

    shared: Shared
    run: Run
    items: Sequence[Any] | bytes
    """Pickled already, where an executor's process would end if it can not unpickle them."""
    name: str = field(default_factory=lambda: uuid4().hex)

    def __dask_tokenize__(self) -> str:
        return self.name  # no two are the same, and reading all of it to find out takes time


def work(task: Task) -> tuple[list[Any], float] | None:
    """The results of a chunk and the seconds that they took; None if this process must be sent what is shared.

    If the chunk fails, its items are tried one by one, and those that fail alone are failures.
    """
    thing, here = task.shared.get()
    if not here:
        return None
    items = pickle.loads(task.items) if isinstance(task.items, bytes) else task.items
    start = perf_counter()
    try:
        results = list(task.run(thing, items))
    except Exception as error:  # whatever a rule of somebody else raises is its row's error, and ends nothing
        results = [Failure.of(error)] if len(items) == 1 else [_one(task.run, thing, item) for item in items]
    return results, perf_counter() - start


def _one(run: Run, thing: Any, item: Any) -> Any:
    try:
        return run(thing, [item])[0]
    except Exception as error:  # as above
        return Failure.of(error)


class Sizes:
    """How many items the next chunk has, from what the chunks before took: so long for any chunk, and so long an item.

    Both come from the smallest and the largest size so far, each by the chunk that took least: others were disturbed.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._least: dict[int, float] = {}

    @property
    def ahead(self) -> int:
        """How many chunks may be out: while nothing is known, no more than are worked on."""
        return AHEAD * self._workers if self._least else self._workers

    def learn(self, items: int, took: float) -> None:
        """A chunk of so many items took so many seconds."""
        self._least[items] = min(took, self._least.get(items, took))

    def next(self, left: int) -> int:
        """The size of the next chunk, of so many items that are left."""
        if not self._least:
            return 1
        small, large = min(self._least), max(self._least)
        most = GROWTH * large
        if small == large:  # nothing tells the two times apart
            fixed, each = 0.0, max(QUICKEST, self._least[small] / small)
            if small == 1:
                each = min(each, WORTH_SENDING / most)  # so the next ones have more, whatever the first took
        else:
            each = max(QUICKEST, (self._least[large] - self._least[small]) / (large - small))
            fixed = self._least[small] - each * small
        worth = min(most, int(WORTH_SENDING / each))
        needed = min(most, int(FIXED * fixed / each))
        even = -(-left // self._workers)
        share = -(-left // (ROUNDS * self._workers))
        return min(left, max(1, min(worth, share), min(needed, max(even, needed // 2))))


def spread(
    run: Run, shared: Shared, items: Sequence[Any], *, executor: Executor | None, workers: int
) -> Generator[tuple[int, Any], None, None]:
    """The place of each item and its result or Failure, as they come; without an `executor` in this process.

    An item that can not be sent, or whose result can not come back, is a failure too. Raises RebalancerError if the
    executor breaks, as when a process of it dies. When it is left early, what has not begun is cancelled.
    """
    sizes = Sizes(workers)
    if executor is None:
        yield from _here(run, shared, items, sizes)
        return
    left, out = deque([range(len(items))] if items else []), dict[Future[Any], tuple[range, bool]]()

    def send(places: range, what: Shared) -> None:
        out[_sent(run, what, [items[place] for place in places], executor)] = places, what is not shared

    try:
        while left or out:
            while left and len(out) < sizes.ahead:
                places = left.popleft()
                size = sizes.next(len(places))
                if len(places) > size:
                    left.appendleft(places[size:])
                    places = places[:size]
                send(places, shared)
            done, _ = wait(out, return_when=FIRST_COMPLETED)
            for future in done:
                places, sends = out.pop(future)
                found = _result(future)
                if found is None and not sends:
                    send(places, shared.sent())
                elif isinstance(found, Failure) and len(places) > 1:
                    middle = len(places) // 2
                    left.extendleft((places[middle:], places[:middle]))
                elif found is None or isinstance(found, Failure):
                    yield places[0], found or Failure("it was sent what it needs, and does not have it")
                else:
                    results, took = found
                    sizes.learn(len(places), took)
                    yield from zip(places, results, strict=True)
    finally:
        for future in out:
            future.cancel()


def _here(run: Run, shared: Shared, items: Sequence[Any], sizes: Sizes) -> Iterator[tuple[int, Any]]:
    place = 0
    while place < len(items):
        size = sizes.next(len(items) - place)
        results, took = work(Task(shared, run, items[place : place + size])) or ([], 0.0)
        sizes.learn(size, took)
        yield from enumerate(results, start=place)
        place += size


def _sent(run: Run, shared: Shared, items: Sequence[Any], executor: Executor) -> Future[Any]:
    try:
        packed = pickle.dumps(items) if isinstance(executor, ProcessPoolExecutor) else items
        return executor.submit(work, Task(shared, run, packed))
    except BrokenExecutor as error:
        raise _broken(error) from error
    except Exception as error:  # what can not be pickled is a failure of its row
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except (BrokenExecutor, CancelledError) as error:
        raise _broken(error) from error
    except Exception as error:  # pickling, or an executor's own: a failure of what was sent
        return Failure.of(error)


def _broken(error: BaseException) -> RebalancerError:
    return RebalancerError(
        f"the executor broke ({type(error).__name__}: {error}): was a process killed, or out of memory? In a script, "
        'a sweep belongs under if __name__ == "__main__":'
    )
