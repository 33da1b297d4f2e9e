"""What a column engine is given and what it gives back: lanes in, the positions that each of them held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..costs import Costs
from ..domain.numbers import EIGHT_HOURS
from ..domain.smoothed import Smoothed
from .board import NOTHING, Board
from .columns import numpy
from .program import Program, Shape

if TYPE_CHECKING:
    from .columns import Steps

END = -1
"""In place of the rule that ended a position: the history did."""


_COLUMNS = {"rate": "rates", "known": "known", "due": "due", "pays": "pays", "interest": "interest"}


class Opening(NamedTuple):
    """When a flat symbol is opened, and as which pair: the one with the largest gain, of equals the first, if that is
    above `least`. Gain: divergence x `horizon` - what its legs cost by `costs` x 8 h. Divergences are those of the
    smoothed rates of `signal` (None: of the last rates).
    """

    least: int
    horizon: int = 1
    signal: Smoothed | None = None
    costs: Costs | None = None

    def limit(self, legs: Steps) -> int:
        """A divergence that a pair must exceed to be opened, where legs cost that; with equal ones, it is enough."""
        return max(NOTHING, (self.least + 2 * int(legs.min()) * EIGHT_HOURS) // self.horizon)

    def legs(self, board: Board) -> Steps:
        """By market, what opening a leg costs in grid steps."""
        np = numpy()
        none: Steps = np.zeros(len(board.markets), dtype=np.int64)
        return none if self.costs is None else board.legs(self.costs)


@dataclass(frozen=True, slots=True)
class Work:
    """Lanes to be replayed: settings of one shape on the symbols of a board, lane = setting x symbols + symbol.

    `signals` are the smoothed rates that the rules read, `rankings` what pairs are compared by, and `entry` the place
    among them of what is asked for an opening.

    By setting: no pair is opened whose divergence is not above its `limit` (grid steps); it is the one that `opens`
    (settings x (horizon, least)) says, with these `entry_legs` (settings x markets). The `parameters` of the rules, and
    of each rule with costs what a switch costs at least (`floor`), besides its legs (`flat`), and for each leg (`legs`:
    settings x rules x markets).
    """

    board: Board
    shape: Shape
    signals: tuple[Smoothed, ...]
    rankings: tuple[Smoothed | None, ...]
    entry: int
    limit: Steps
    opens: Steps
    entry_legs: Steps
    parameters: Steps
    floor: Steps
    flat: Steps
    legs: Steps

    @classmethod
    def of(cls, board: Board, programs: Sequence[Program], openings: Sequence[Opening]) -> Work:
        """The work of several settings, whose programs have one shape and read the same smoothed rates."""
        np = numpy()
        shape, settings = programs[0].shape, len(programs)
        prices = [program.prices for program in programs]
        asked = openings[0].signal
        rankings = tuple(dict.fromkeys((*programs[0].rankings, asked)))
        entry_legs = np.array([opening.legs(board) for opening in openings], dtype=np.int64)
        costs_of: dict[Costs | None, Steps] = {}
        for costs in {costs for ruled in prices for _, _, costs in ruled}:
            none = np.zeros(len(board.markets), dtype=np.int64)
            costs_of[costs] = none if costs is None else board.legs(costs)
        by_switch = settings, shape.priced
        return cls(
            board,
            shape,
            programs[0].signals,
            rankings,
            rankings.index(asked),
            np.array([one.limit(legs) for one, legs in zip(openings, entry_legs, strict=True)], dtype=np.int64),
            np.array([(opening.horizon, opening.least) for opening in openings], dtype=np.int64),
            entry_legs,
            np.array([program.parameters for program in programs], dtype=np.int64).reshape(settings, shape.parameters),
            np.array([[price[0] for price in ruled] for ruled in prices], dtype=np.int64).reshape(by_switch),
            np.array([[price[1] for price in ruled] for ruled in prices], dtype=np.int64).reshape(by_switch),
            np.array([[costs_of[price[2]] for price in ruled] for ruled in prices], dtype=np.int64).reshape(
                *by_switch, len(board.markets)
            ),
        )

    def column(self, name: str) -> Any:
        """A field of the markets: markets x ticks."""
        if name in _COLUMNS:
            return getattr(self.board, _COLUMNS[name])
        kind, _, number = name.rpartition("_")
        means = self.board.means(self.signals[int(number)])
        return {"mean": means.rates, "mean_known": means.known, "mean_at": means.at}[kind]

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
