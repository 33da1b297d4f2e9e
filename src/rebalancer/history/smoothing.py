"""One smoothed rate a market: a time-weighted, bias-corrected exponential mean of its settlements, on the grid.

With `r` the rate per 8 h, `gap` the time since the last settlement and `k(x) = round(10^6 * 2^(-x / half-life))`:

    num = (num * k(gap) + (10^6 - k(interval)) * r) // 10^6
    den = den * k(gap) // 10^6 + (10^6 - k(interval))
    smoothed = num * 10^6 // den

Floor division is the same on every path, so live, replayed and compiled runs agree to the last step.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

from ..domain.names import Market
from ..domain.numbers import RATIO_ONE
from ..domain.smoothed import Smoothed, SmoothedRate
from ..domain.times import from_epoch, seconds
from .table import Series


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


class Mean:
    """The mean of one market, settlement by settlement."""

    __slots__ = ("_decay", "at", "den", "interval", "num", "seen")

    def __init__(self, decay: Decay) -> None:
        self._decay = decay
        self.num = 0
        self.den = 0
        self.at: int | None = None
        """When it was settled last, in epoch seconds."""
        self.interval = 0
        """How many seconds that settlement paid for."""
        self.seen = 0
        """How many seconds the settlements so far cover."""

    def settle(self, at: int, rate: int, interval: int) -> None:
        """Take in a settlement at `at` (epoch seconds) of `rate` (per 8 h, grid steps) over `interval` seconds."""
        kept = self._decay[at - self.at] if self.at is not None else 0
        weight = RATIO_ONE - self._decay[interval]
        self.num = (self.num * kept + weight * rate) // RATIO_ONE
        self.den = self.den * kept // RATIO_ONE + weight
        self.at, self.interval = at, interval
        self.seen += interval

    @property
    def rate(self) -> int:
        """The mean rate per 8 h in grid steps, 0 before the first settlement."""
        return self.num * RATIO_ONE // self.den if self.den else 0


def learnt(series: Series, signal: Smoothed, decay: Decay) -> tuple[list[int], list[int], list[int]]:
    """After each row of a settled series: the mean rate, its weight (`den`), and how many seconds were seen."""
    mean = Mean(decay)
    rates, weights, seen = [], [], []
    for row in series.rows:
        mean.settle(row.at, clipped(row.per_8h, signal), row.interval)
        rates.append(mean.rate)
        weights.append(mean.den)
        seen.append(mean.seen)
    return rates, weights, seen


class Means:
    """The means of markets by the `signals` that rules read: what a snapshot carries as its smoothed rates."""

    def __init__(self, signals: Iterable[Smoothed]) -> None:
        self._signals = {signal: Decay(signal.half_life) for signal in signals}
        self._means: dict[tuple[Market, Smoothed], Mean] = {}
        self._rates: dict[tuple[Market, Smoothed], SmoothedRate] = {}

    def know(self, rates: Iterable[SmoothedRate]) -> None:
        """Go on from what was known of markets before."""
        for rate in rates:
            decay = self._signals.get(rate.signal)
            if decay is not None:
                key = rate.market, rate.signal
                mean = self._means[key] = Mean(decay)
                mean.num, mean.den, mean.seen = rate.num, rate.den, rate.seen
                mean.at, mean.interval = rate.settled_epoch, rate.interval
                self._rates[key] = rate

    def settle(self, market: Market, at: int, rate: int, interval: int) -> list[SmoothedRate]:
        """Take in a settlement as `Mean.settle` does, clipped; what is known now. One that is not later counts not."""
        changed = []
        for signal, decay in self._signals.items():
            key = market, signal
            mean = self._means.get(key)
            if mean is None:
                mean = self._means[key] = Mean(decay)
            if mean.at is None or at > mean.at:
                mean.settle(at, clipped(rate, signal), interval)
                known = self._rates[key] = _rate(market, signal, mean)
                changed.append(known)
        return changed

    def last(self, market: Market) -> int | None:
        """When a market was settled last, in epoch seconds, as far as every signal knows; None if one knows nothing."""
        times = [mean.at if (mean := self._means.get((market, signal))) else None for signal in self._signals]
        return None if None in times else min(at for at in times if at is not None)

    def rates(self) -> tuple[SmoothedRate, ...]:
        """What is known."""
        return tuple(self._rates.values())


def clipped(rate: int, signal: Smoothed) -> int:
    """A rate per 8 h in grid steps as far as the signal lets it count."""
    return max(-signal.clip, min(signal.clip, rate))


def _rate(market: Market, signal: Smoothed, mean: Mean) -> SmoothedRate:
    return SmoothedRate.model_construct(  # of what was validated before
        venue=market.venue,
        symbol=market.symbol,
        signal=signal,
        num=mean.num,
        den=mean.den,
        settled_at=from_epoch(mean.at or 0),
        interval=mean.interval,
        seen=mean.seen,
    )
