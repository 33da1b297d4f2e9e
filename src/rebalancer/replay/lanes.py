"""Which engine replays a setting, and settings by the thousand in one go through columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from ..costs import Costs
from ..domain.names import as_line
from ..domain.numbers import FRACTION_PLACES, to_grid
from ..entry.policy import Entry, EntryPolicy
from ..errors import InputError, MissingExtraError
from ..rules.combined import CombinedStrategy
from . import kernel, windows
from .board import Board
from .columns import numpy
from .figures import Figures
from .program import NoColumnsError, Program, Shape, program
from .work import Work

Engine = Literal["auto", "scalar", "numpy", "compiled"]
"""How a replay is run; its decisions are the same. `auto`: through columns if it can be, compiled if that pays."""

ColumnEngine = Literal["numpy", "compiled"]

WORTH_COMPILING = 20_000_000
"""Ticks of all lanes from which on compiling a strategy takes less time than it saves."""


_TOGETHER = {"numpy": 16_000_000, "compiled": 2_000_000}
"""Ticks of all lanes that run at once: what they find is to stay in fast memory, while numpy wants long arrays."""


class Lane(NamedTuple):
    """What runs through columns: a strategy's program, from when on it opens (grid steps), and what a leg costs."""

    program: Program
    limit: int
    costs: Costs


def lane(strategy: CombinedStrategy, entry: Entry, costs: Costs) -> Lane:
    """A setting as lanes. Raises NoColumnsError, which says why, if it does not vectorise."""
    try:
        numpy()
    except MissingExtraError as error:
        raise NoColumnsError("numpy is not installed") from error
    if type(entry) is not EntryPolicy:
        raise NoColumnsError(f"the entry policy {as_line(repr(entry), most=100)} is asked tick by tick")
    return Lane(program(strategy), to_grid(entry.above, FRACTION_PLACES), costs)


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
    np = numpy()
    most = max(1, _TOGETHER[engine] // (len(board.symbols) * board.ticks))
    shapes: dict[Shape, list[int]] = {}
    for place, one in enumerate(lanes):
        shapes.setdefault(one.program.shape, []).append(place)
    parts = ((shape, every[at : at + most]) for shape, every in shapes.items() for at in range(0, len(every), most))
    for shape, places in parts:
        work = Work.of(board, [lanes[place].program for place in places], [lanes[place].limit for place in places])
        found = (kernel if engine == "compiled" else windows).positions(work)
        legs = np.stack([board.legs(lanes[place].costs) for place in places])
        switches = [alternative.switch is not None for alternative in shape.alternatives]
        yield places, Figures.of(board, found, switches=switches, legs=legs)
