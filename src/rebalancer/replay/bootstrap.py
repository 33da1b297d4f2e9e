"""How much of a captured share is owed to which symbols a history happens to have: the bootstrap over symbols."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import NamedTuple

from ..domain.numbers import RATIO_ONE, divide_half_even, ratio

RESAMPLES = 2_000
TAIL = 5
"""Percent of the resamples on either side of an interval, which so holds 90 % of them."""


class Interval(NamedTuple):
    """From the 5th to the 95th percentile of the captured shares of resamples."""

    low: Decimal
    high: Decimal


class Bootstrap:
    """The same resamples for all that are compared: as many symbols as there are, drawn with replacement.

    A share is a ratio of sums, what the drawn symbols earned over what their optimum was, so the draw counts a symbol
    by what there was to earn on it. The interval is that of the percentile method. Symbols that move together say less
    than as many that do not: the interval knows nothing of that, and is then too narrow.
    """

    def __init__(self, symbols: int, *, seed: int) -> None:
        random = Random(seed)
        places = range(symbols)
        self._draws = [random.choices(places, k=symbols) for _ in range(RESAMPLES)] if symbols > 1 else []

    def interval(self, nets: Sequence[int], optima: Sequence[int]) -> Interval | None:
        """Of what was earned by symbol, and the optimum of each, both in grid steps.

        None for one symbol, which has no spread, and where a resample may have nothing to earn.
        """
        if not self._draws or min(optima) < 0 or not all(sums := self._sums(optima)):
            return None
        shares = sorted(
            divide_half_even(net * RATIO_ONE, most) for net, most in zip(self._sums(nets), sums, strict=True)
        )
        cut = len(shares) * TAIL // 100
        return Interval(ratio(shares[cut]), ratio(shares[-1 - cut]))

    def _sums(self, figures: Sequence[int]) -> list[int]:
        return [sum(map(figures.__getitem__, draw)) for draw in self._draws]
