"""The column engine compiled by numba: one lane a shape of strategy, and the loops around it.

What is compiled stays in the process. It runs without the interpreter's lock: where a call may have several processors,
each takes some of the lanes, and what each lane earned has a place of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any

from ..rules.grid import Function
from . import driver, loops
from .columns import numpy
from .pool import cores
from .program import Shape
from .work import Positions, Work

if TYPE_CHECKING:
    from .columns import Steps

_ROWS = 1 << 16
"""Positions for which room is made at a time, if the history has not more ticks."""
_WORTH_A_THREAD = 1_000_000
"""Ticks of lanes from which on another thread saves more time than it takes to start."""
_TURNS = 4
"""Lanes are divided into this many parts a thread, so that all end at nearly the same time."""

Ready = Callable[[Function], Any]


def available() -> bool:
    """Whether numba is installed."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


@cache
def jit(function: Function) -> Any:
    """The function, compiled to run without the interpreter's lock."""
    from numba import njit

    return njit(function, nogil=True)


def positions(work: Work, *, ready: Ready = jit) -> Positions:
    """The positions that the lanes of the work held; each function is made `ready` before (compiled)."""
    np, ticks = numpy(), work.board.ticks
    keep, given, settings = kept(work.shape, ready), _given(work), len(work.limit)
    spare, at, parts = _spare(work), 0, []
    while at < work.lanes:
        room = _room(max(_ROWS, ticks))
        at, filled = keep(at, work.lanes, settings, room, spare, *given)
        parts.append(room[:filled])
    found = np.concatenate(parts) if parts else _room(0)
    if settings > 1:
        found = found[np.argsort(found[:, 0], kind="stable")]
    return Positions(*found.T)


def sums(work: Work, switches: Sequence[bool], legs: Steps, edges: Steps, *, ready: Ready = jit) -> Steps:
    """Funding, cost, trades and legs by setting, symbol and part, as `Figures.by_part` finds them from positions.

    `switches` says which rules switch, `legs` (settings x markets) what a leg costs, and part n is the time from tick
    `edges[n]` on, before `edges[n + 1]`.
    """
    np, ticks = numpy(), work.board.ticks
    total, given, settings = summed(work.shape, ready), _given(work), len(work.limit)
    found: Steps = np.zeros((4, settings, len(work.board.symbols), len(edges) - 1), dtype=np.int64)
    figures = np.array([*switches, False]), legs, work.board.paid, edges, found

    def some(start: int, stop: int) -> None:
        total(start, stop, settings, _room(ticks), _spare(work), *given, *figures)

    count = threads(work.lanes * ticks)
    if count == 1:
        some(0, work.lanes)
        return found
    cuts = np.linspace(0, work.lanes, _TURNS * count + 1).astype(int).tolist()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(some, cuts, cuts[1:]))
    return found


def threads(cells: int) -> int:
    """How many threads replay so many ticks of lanes: one, if whoever called divides the processors already."""
    alone = parent_process() is None and threading.current_thread() is threading.main_thread()
    return min(cores(), max(1, cells // _WORTH_A_THREAD)) if alone else 1


def _given(work: Work) -> tuple[Any, ...]:
    """What all lanes read."""
    board = work.board
    columns = tuple(work.column(name) for name in work.shape.fields)
    values, known = zip(*map(board.ranked, work.rankings), strict=True)
    opening = work.entry, work.limit, work.opens, work.entry_legs
    numbers = work.parameters, work.floor, work.flat, work.legs
    return board.low, board.high, values, known, columns, (board.first, board.every, board.ticks, *opening, *numbers)


def _room(rows: int) -> Steps:
    np = numpy()
    room: Steps = np.empty((rows, len(Positions._fields)), dtype=np.int64)
    return room


def _spare(work: Work) -> Steps:
    np = numpy()
    spare: Steps = np.empty((2 + len(work.rankings), work.board.ticks), dtype=np.int64)
    return spare


@cache
def kept(shape: Shape, ready: Ready) -> Any:
    """The loop that keeps the positions of a shape's lanes."""
    return ready(loops.kept(_lane(shape, ready), ready(loops.find_widest)))


@cache
def summed(shape: Shape, ready: Ready) -> Any:
    """The loop that adds up what a shape's lanes earned."""
    return ready(loops.summed(_lane(shape, ready), ready(loops.find_widest), ready(loops.tally)))


@cache
def _lane(shape: Shape, ready: Ready) -> Any:
    return driver.made(shape, ready)
