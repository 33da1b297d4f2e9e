"""The pairs that lanes may hold, each lane at its tick, and the best of them: for the column engine in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.smoothed import Smoothed
from .board import Board, between
from .columns import numpy
from .work import END, Work

if TYPE_CHECKING:
    from .columns import Mask, Steps


class Pairs(NamedTuple):
    """The pairs of lanes, each at its tick: `markets` of its symbol (lanes x K), the `divergence` of each pair of them
    (lanes x K x K), and which `may` be held: two markets, both known.
    """

    markets: Steps
    divergence: Steps
    may: Mask

    @classmethod
    def of(cls, board: Board, ranking: Smoothed | None, symbol: Steps, tick: Steps) -> Pairs:
        """Those of these symbols."""
        np, (values, known) = numpy(), board.ranked(ranking)
        low, high = board.low[symbol], board.high[symbol]
        most = int((high - low).max(initial=1))
        markets = low[:, None] + np.arange(most)
        there = markets < high[:, None]
        markets = np.where(there, markets, low[:, None])
        seen = there & known[markets, tick[:, None]]
        rates = values[markets, tick[:, None]]
        may = seen[:, :, None] & seen[:, None, :] & ~np.eye(most, dtype=bool)
        return cls(markets, between(rates[:, :, None], rates[:, None, :]), may)

    def best(self, gained: Steps) -> tuple[Steps, Steps, Steps]:
        """The largest gain of the pairs that may be held (very small where none may), and its legs."""
        np, row, most = numpy(), numpy().arange(len(self.markets)), self.markets.shape[1]
        gained = np.where(self.may, gained, _WORST).reshape(len(row), most * most)
        best = gained.argmax(axis=1)
        return gained[row, best], self.markets[row, best // most], self.markets[row, best % most]


_WORST = -(1 << 63)


class Search:
    """Finds the candidate with the largest gain for lanes, each at its tick; ties go by (long, short).

    `held` is by lane the setting, and the legs.
    """

    def __init__(self, work: Work, lanes: Steps, tick: Steps, held: tuple[Steps, Steps, Steps]) -> None:
        self._work, self._lanes, self._tick, self._held = work, lanes, tick, held

    def __call__(
        self,
        hope: Mask,
        number: int,
        ranking: int,
        gain: Callable[..., Steps],
        fires: Callable[..., Mask],
        free: tuple[Any, ...],
    ) -> tuple[Mask, Steps, Steps]:
        """Where, among the lanes with hope, the best candidate fires; and its legs."""
        np, board = numpy(), self._work.board
        count = len(self._tick)
        hope = np.broadcast_to(hope, count)
        met, to_long, to_short = np.zeros(count, dtype=bool), np.full(count, END), np.full(count, END)
        asked = np.flatnonzero(hope)
        if not len(asked):
            return met, to_long, to_short
        tick, lanes = self._tick[asked], self._lanes[asked]
        setting, long, short = (one[lanes] for one in self._held)
        symbol = np.searchsorted(board.low, long, side="right") - 1
        pairs = Pairs.of(board, self._work.rankings[ranking], symbol, tick)
        markets = pairs.markets
        legs = self._work.legs[setting[:, None], number, markets]
        kept = self._work.legs[setting, number, long], self._work.legs[setting, number, short]
        long_cost = np.where(markets == long[:, None], 0, legs + kept[0][:, None])
        short_cost = np.where(markets == short[:, None], 0, legs + kept[1][:, None])
        cost = self._work.flat[setting, number][:, None, None] + long_cost[:, :, None] + short_cost[:, None, :]
        held = (markets == long[:, None])[:, :, None] & (markets == short[:, None])[:, None, :]
        pairs = pairs._replace(may=pairs.may & ~held)
        lane_values = [np.broadcast_to(one, count)[asked] for one in free]
        gained = gain(pairs.divergence, cost, *(one[:, None, None] for one in lane_values))
        largest, to_long[asked], to_short[asked] = pairs.best(gained)
        met[asked] = pairs.may.any(axis=(1, 2)) & fires(largest, *lane_values)
        return met, to_long, to_short
