"""What a column engine is given and what it gives back: lanes in, the positions that each of them held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..costs import Costs
from .board import Board
from .columns import numpy
from .program import Program, Shape

if TYPE_CHECKING:
    from .columns import Steps

END = -1
"""In place of the rule that ended a position: the history did."""


@dataclass(frozen=True, slots=True)
class Work:
    """Lanes to be replayed: settings of one shape on the symbols of a board, lane = setting x symbols + symbol.

    By setting: the `limit` above which a pair is opened (grid steps), the `parameters` of the rules, and of each rule
    with a target what a switch costs at least (`floor`), besides its legs (`flat`), and for each leg (`legs`: settings
    x rules x markets).
    """

    board: Board
    shape: Shape
    limit: Steps
    parameters: Steps
    floor: Steps
    flat: Steps
    legs: Steps

    @classmethod
    def of(cls, board: Board, programs: Sequence[Program], limits: Sequence[int]) -> Work:
        """The work of several settings, whose programs have one shape."""
        np = numpy()
        shape, settings = programs[0].shape, len(programs)
        prices = [program.prices for program in programs]
        legs: dict[Costs | None, Steps] = {}
        for costs in {costs for ruled in prices for _, _, costs in ruled}:
            none = np.zeros(len(board.markets), dtype=np.int64)
            legs[costs] = none if costs is None else board.legs(costs)
        by_switch = settings, shape.switches
        return cls(
            board,
            shape,
            np.array(limits, dtype=np.int64),
            np.array([program.parameters for program in programs], dtype=np.int64).reshape(settings, shape.parameters),
            np.array([[price[0] for price in ruled] for ruled in prices], dtype=np.int64).reshape(by_switch),
            np.array([[price[1] for price in ruled] for ruled in prices], dtype=np.int64).reshape(by_switch),
            np.array([[legs[price[2]] for price in ruled] for ruled in prices], dtype=np.int64).reshape(
                *by_switch, len(board.markets)
            ),
        )

    @property
    def lanes(self) -> int:
        """How many lanes there are."""
        return len(self.limit) * len(self.board.symbols)


class Positions(NamedTuple):
    """Positions in order of (lane, opened): opened and left at these ticks, with these markets as legs, ended by the
    rule of this place in the strategy (END: by the end of the history). After a switch, the lane's next one is the
    target.
    """

    lane: Steps
    opened: Steps
    long: Steps
    short: Steps
    left: Steps
    rule: Steps
