"""Many settings on one history, on one machine or many."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from ..costs import Costs
from ..domain.times import from_epoch, seconds
from ..errors import HistoryError, InputError
from ..history.table import FundingHistory
from .design import Parameters, text_of
from .engine import HOUR
from .hindsight import hindsight
from .making import Maker, preset
from .pool import cores, local_pool
from .resume import Finished, about, key
from .scores import Scorer, Setting
from .spread import Failure, Shared, spread
from .table import Earned, SweepResult, SweepRow, refuse_names


def sweep(
    make: Maker | str,
    design: Iterable[Parameters],
    history: FundingHistory,
    *,
    parts: int = 4,
    every: timedelta = HOUR,
    optimum: bool = True,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> SweepResult:
    """Replay many settings, each exactly as `replay` would: one row for each of the `design`, in its order.

    `make(**parameters)` gives a setting, or a strategy for one at 2 bp a leg; a preset's name stands for that preset
    with changed parameters (`leg_bps`, `above`, and the keys of `RebalanceConfig`). It is called here, in order. A
    setting that can not be made or replayed becomes a row with its error, and stops nothing.

    Figures are kept for `parts` equal times of the history, so that `walk_forward` and `SweepResult.best` set what a
    choice earned beside what it was chosen on. Without `optimum` there is no captured share.

    The settings run in a pool of processes (`workers`, by default one a core; 1: in this process), or on any `executor`
    of concurrent.futures, such as `Client.get_executor()` of Dask; `workers` then says how many tasks it runs at a time
    where it does not itself. `progress` receives the settings done and their number. With `resume`, a file, what is
    finished is written down, and is not replayed again when the same sweep is started anew.

    Needs the extra `replay`. Raises HistoryError for a history without settled rates, InputError if no setting can be
    made or the file is of another sweep, and RebalancerError if processes of the executor die.
    """
    if not history.settled:
        raise HistoryError("a sweep needs settled rates: only those pay")
    if workers is not None and workers < 1:
        raise InputError("a sweep needs at least one worker")
    bounds = _bounds(history, parts, every)
    plan = _Plan.of(preset(make) if isinstance(make, str) else make, design, optimum=optimum)
    job = Job(history.decisive(), every, tuple(map(from_epoch, bounds[1:-1])))
    with ExitStack() as files:
        found: dict[str, Any] = {}
        done = None
        if resume is not None:
            same = about(job.history, every=seconds(every), cuts=bounds[1:-1], version=version("funding-rebalancer"))
            done = files.enter_context(Finished(Path(resume), same))
            found.update(done.found)
        left = [name for name in plan.items if name not in found]
        told = _Told(progress, plan)
        told(found)
        results = files.enter_context(closing(_run(job, [plan.items[name] for name in left], executor, workers)))
        for place, result in results:
            name = left[place]
            found[name] = {"error": result.error} if isinstance(result, Failure) else result
            if done is not None:
                done.add(name, found[name])
            told([name])
    return SweepResult(
        tuple(plan.rows(job.history.symbols, found)), job.history.symbols, tuple(map(from_epoch, bounds))
    )


@dataclass(frozen=True)
class Job:
    """What all settings of a sweep share."""

    history: FundingHistory
    every: timedelta
    cuts: tuple[datetime, ...]
    expected: int = 0
    """How many settings each process will have, more or less."""

    @cached_property
    def scorer(self) -> Scorer:
        """Scores them, wherever the job is."""
        return Scorer(self.history, every=self.every, cuts=self.cuts, expected=self.expected)


def run(job: Job, items: Sequence[Setting | Costs]) -> list[list[Any]]:
    """What settings earned, as lists by symbol and part; of costs: the optimum, in grid steps."""
    settings = [item for item in items if isinstance(item, Setting)]
    earned = job.scorer.scores(settings) if settings else None
    found: list[list[Any]] = []
    place = 0
    for item in items:
        if isinstance(item, Costs):
            best = hindsight(job.history, costs=item, every=job.every)
            found.append([sum(one.steps for one in best.symbols)])
        elif earned is not None:
            arrays = (earned.funding, earned.cost, earned.trades, earned.legs)
            found.append([array[place].tolist() for array in arrays])
            place += 1
    return found


def _run(
    job: Job, items: Sequence[Setting | Costs], executor: Executor | None, workers: int | None
) -> Generator[tuple[int, Any], None, None]:
    most = _width(executor) if executor is not None else cores()
    workers = max(1, min(workers or most, len(items)))
    shared = Shared(replace(job, expected=len(items) // workers))
    if executor is not None or workers == 1:
        yield from spread(run, shared, items, executor=executor, workers=workers)
        return
    with local_pool(workers, shared) as pool:
        yield from spread(run, shared, items, executor=pool, workers=workers)


def _width(executor: Executor) -> int:
    """How many tasks an executor runs at a time, where it says so: those of the standard library and Dask's do."""
    client = getattr(executor, "_client", None)
    if client is not None and hasattr(client, "nthreads"):
        return max(1, sum(map(int, client.nthreads().values())))
    return int(getattr(executor, "_max_workers", 0)) or cores()


def _bounds(history: FundingHistory, parts: int, every: timedelta) -> list[int]:
    """The first tick, the ticks at which the other parts begin, and the last one."""
    if not isinstance(every, timedelta) or every < timedelta(seconds=1) or every.microseconds:
        raise InputError("every must be a whole number of seconds above 0")
    if parts < 1:
        raise InputError("a history has at least one part")
    step = seconds(every)
    read = history.decisive()
    first, last = -(-read.start // step), -(-read.end // step)
    if last - first < parts:
        raise InputError(f"the history is too short for {parts} parts")
    return [(first + (last - first) * part // parts) * step for part in range(parts + 1)]


class _Plan:
    """What is to be run, by name: two rows that ask the same share it."""

    def __init__(self) -> None:
        self.items: dict[str, Setting | Costs] = {}
        self.wanted: list[_Wanted] = []

    @classmethod
    def of(cls, make: Maker, design: Iterable[Parameters], *, optimum: bool) -> _Plan:
        """The plan of a design; InputError if it is empty, or no setting of it can be made."""
        plan = cls()
        settings: dict[str, Setting | Costs] = {}
        refused: Exception | None = None
        for parameters in design:
            texts = {name: text_of(value) for name, value in parameters.items()}
            refuse_names(texts)
            try:
                made = make(**parameters)
                setting = made if isinstance(made, Setting) else Setting(made)
            except Exception as error:  # a maker is the user's: what it raises is the row's error
                refused = refused or error
                plan.wanted.append(_Wanted(texts, error=Failure.of(error).error))
                continue
            name = key("setting", texts, _identity(setting))
            settings[name] = setting
            best = key("optimum", repr(setting.costs)) if optimum else None
            if best is not None:
                plan.items[best] = setting.costs
            plan.wanted.append(_Wanted(texts, name, best, setting.costs))
        if not plan.wanted:
            raise InputError("a sweep needs at least one setting")
        if not settings:
            raise InputError(f"none of the {len(plan.wanted)} settings can be made: {refused}") from refused
        plan.items |= settings
        return plan

    def rows(self, symbols: tuple[str, ...], found: dict[str, Any]) -> Iterator[SweepRow]:
        """The table, of what was found."""
        for place, row in enumerate(self.wanted):
            result = {"error": row.error} if row.setting is None else found[row.setting]
            make = partial(SweepRow, place, row.parameters, symbols, row.costs)
            if isinstance(result, dict):
                yield make(error=result["error"])
            else:
                best = found.get(row.optimum or "")
                yield make(earned=Earned(*result), optimum=best[0] if isinstance(best, list) else None)


class _Wanted(NamedTuple):
    """A row: its parameters, the names of its setting and its optimum, and its costs; or why it could not be made."""

    parameters: dict[str, str]
    setting: str | None = None
    optimum: str | None = None
    costs: Costs | None = None
    error: str | None = None


_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def _identity(setting: Setting) -> str:
    """What a setting is called: the same in every process."""
    return _ADDRESS.sub("", f"{setting.strategy!r} {setting.entry!r} {setting.costs!r}")


class _Told:
    """Tells how many rows are done."""

    def __init__(self, progress: Callable[[int, int], None] | None, plan: _Plan) -> None:
        self._progress = progress
        self._rows = Counter(row.setting for row in plan.wanted if row.setting is not None)
        self._total = len(plan.wanted)
        self._done = self._total - self._rows.total()

    def __call__(self, names: Iterable[str]) -> None:
        self._done += sum(self._rows[name] for name in names)
        if self._progress is not None:
            self._progress(self._done, self._total)
