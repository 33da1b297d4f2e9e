"""One smoothed rate a market: a time-weighted, bias-corrected exponential mean of its settlements, on the grid.

With `r` the rate per 8 h, `gap` the time since the last settlement and `k(x) = round(10^6 * 2^(-x / half-life))`:

    num = (num * k(gap) + (10^6 - k(interval)) * r) // 10^6
    den = den * k(gap) // 10^6 + (10^6 - k(interval))
    smoothed = num * 10^6 // den

Floor division is the same on every path, so live, replayed and compiled runs agree to the last step.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

from ..domain.numbers import RATIO_ONE
from ..domain.times import seconds


def _context() -> Context:
    """One that no default of the host's contexts has a part in."""
    return Context(
        prec=30, rounding=ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999, capitals=1, clamp=0, flags=[], traps=[]
    )


class Decay(dict[int, int]):
    """`decay[x]`: the weight, in millionths, that is left of an observation after `x` seconds."""

    def __init__(self, half_life: timedelta) -> None:
        super().__init__()
        self._half_life = seconds(half_life)

    def __missing__(self, age: int) -> int:
        context = _context()
        left = context.power(Decimal(2), context.divide(Decimal(-age), Decimal(self._half_life)))
        weight = self[age] = int(context.to_integral_value(context.multiply(left, Decimal(RATIO_ONE))))
        return weight


class SmoothedRate:
    """The smoothed rate of one market, settlement by settlement."""

    __slots__ = ("_at", "_decay", "_den", "_num", "seen")

    def __init__(self, decay: Decay) -> None:
        self._decay = decay
        self._num = 0
        self._den = 0
        self._at: int | None = None
        self.seen = 0
        """How many seconds the settlements so far cover."""

    def settle(self, at: int, rate: int, interval: int) -> None:
        """Take in a settlement at `at` (epoch seconds) of `rate` (per 8 h, grid steps) over `interval` seconds."""
        kept = self._decay[at - self._at] if self._at is not None else 0
        weight = RATIO_ONE - self._decay[interval]
        self._num = (self._num * kept + weight * rate) // RATIO_ONE
        self._den = self._den * kept // RATIO_ONE + weight
        self._at = at
        self.seen += interval

    @property
    def rate(self) -> int:
        """The mean rate per 8 h in grid steps, 0 before the first settlement."""
        return self._num * RATIO_ONE // self._den if self._den else 0
