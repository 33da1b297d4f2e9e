"""Which engine replays a setting, and settings by the thousand in one go through columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..costs import Costs
from ..domain.names import as_line
from ..domain.numbers import FRACTION_PLACES, to_grid
from ..domain.smoothed import Smoothed
from ..domain.times import seconds
from ..entry.policy import Entry, EntryPolicy
from ..errors import InputError, MissingExtraError
from ..rules.combined import CombinedStrategy
from ..rules.net_carry import NetCarry
from . import kernel, windows
from .board import Board
from .columns import numpy
from .figures import Figures
from .program import NoColumnsError, Program, Shape, program
from .work import Opening, Work

if TYPE_CHECKING:
    from .columns import Steps

Engine = Literal["auto", "scalar", "numpy", "compiled"]
"""How a replay is run; its decisions are the same. `auto`: through columns if it can be, compiled if that pays."""

ColumnEngine = Literal["numpy", "compiled"]

WORTH_COMPILING = 20_000_000
"""Ticks of all lanes from which on compiling a strategy takes less time than it saves."""


_TOGETHER = 16_000_000
"""Ticks of all lanes whose positions are found at once: there must be room for them."""


class Lane(NamedTuple):
    """What runs through columns: a strategy's program, when it opens, and what a leg costs."""

    program: Program
    opening: Opening
    costs: Costs


def lane(strategy: CombinedStrategy, entry: Entry, costs: Costs) -> Lane:
    """A setting as lanes. Raises NoColumnsError, which says why, if it does not vectorise."""
    try:
        numpy()
    except MissingExtraError as error:
        raise NoColumnsError("numpy is not installed") from error
    return Lane(program(strategy), _opening(entry), costs)


def _opening(entry: Entry) -> Opening:
    if type(entry) is EntryPolicy:
        return Opening(to_grid(entry.above, FRACTION_PLACES))
    if type(entry) is NetCarry:
        return Opening(0, seconds(entry.horizon), entry.signal, entry.costs)
    raise NoColumnsError(f"the entry policy {as_line(repr(entry), most=100)} is asked tick by tick")


def column_engine(engine: Engine, cells: int) -> ColumnEngine:
    """The one that was asked for; of itself, the one for that many ticks of all lanes."""
    if engine == "numpy" or engine == "compiled":  # noqa: PLR1714  # a type checker follows this one
        return engine
    return "compiled" if cells >= WORTH_COMPILING and kernel.available() else "numpy"


def check_engine(engine: str) -> None:
    """Raise InputError for an engine that does not exist, MissingExtraError for one that is not installed."""
    if engine not in {"auto", "scalar", "numpy", "compiled"}:
        raise InputError(f"engine must be auto, scalar, numpy or compiled, not {as_line(engine, most=40)}")
    if engine in {"numpy", "compiled"}:
        numpy()
    if engine == "compiled" and not kernel.available():
        raise MissingExtraError("a compiled replay", extra="fast")


def figures(board: Board, lanes: Sequence[Lane], *, engine: ColumnEngine) -> Iterator[tuple[list[int], Figures]]:
    """The places of some lanes that have one shape, and their figures, until all were run."""
    most = max(1, _TOGETHER // (len(board.symbols) * board.ticks))
    for places, work, switches, legs in _works(board, lanes, most=most):
        found = (kernel if engine == "compiled" else windows).positions(work)
        yield places, Figures.of(board, found, switches=switches, legs=legs)


def sums(board: Board, lanes: Sequence[Lane], cuts: Sequence[int], *, engine: ColumnEngine) -> Steps:
    """Funding, cost, trades and legs by lane, symbol and part: the times between these ticks."""
    np = numpy()
    found: Steps = np.empty((4, len(lanes), len(board.symbols), len(cuts) + 1), dtype=np.int64)
    edges = np.array([0, *np.clip(cuts, 0, board.ticks), board.ticks], dtype=np.int64)
    if engine == "numpy":
        for places, part in figures(board, lanes, engine=engine):
            found[:, places] = part.by_part(len(places), edges)
        return found
    for places, work, switches, legs in _works(board, lanes, most=len(lanes)):
        found[:, places] = kernel.sums(work, switches, legs, edges)
    return found


def _works(board: Board, lanes: Sequence[Lane], *, most: int) -> Iterator[tuple[list[int], Work, list[bool], Steps]]:
    """Lanes of one shape and the same smoothed rates each, at most so many together: their places, their work, which of
    their rules switch, and by lane and market what a leg costs.
    """
    np = numpy()
    shapes: dict[tuple[Shape, tuple[Smoothed, ...], Smoothed | None], list[int]] = {}
    for place, one in enumerate(lanes):
        shapes.setdefault((one.program.shape, one.program.signals, one.opening.signal), []).append(place)
    legs = {costs: board.legs(costs) for costs in {one.costs for one in lanes}}
    parts = ((key[0], every[at : at + most]) for key, every in shapes.items() for at in range(0, len(every), most))
    for shape, places in parts:
        some = [lanes[place] for place in places]
        work = Work.of(board, [one.program for one in some], [one.opening for one in some])
        switches = [alternative.switch is not None for alternative in shape.alternatives]
        yield places, work, switches, np.stack([legs[one.costs] for one in some])
