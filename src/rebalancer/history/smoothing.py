"""One smoothed rate a market: a time-weighted, bias-corrected exponential mean of its settlements, on the grid.

With `r` the rate per 8 h, `gap` the time since the last settlement and `k(x) = round(10^6 * 2^(-x / half-life))`:

    num = (num * k(gap) + (10^6 - k(interval)) * r) // 10^6
    den = den * k(gap) // 10^6 + (10^6 - k(interval))
    smoothed = num * 10^6 // den

Floor division is the same on every path, so live, replayed and compiled runs agree to the last step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

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


class Settlement(NamedTuple):
    """What a market paid at `at` (epoch seconds): `rate` (per 8 h, grid steps), for `interval` seconds."""

    at: int
    rate: int
    interval: int


class Means:
    """The means of markets by the `signals` that rules read: what a snapshot carries as its smoothed rates."""

    def __init__(self, signals: Iterable[Smoothed]) -> None:
        self._signals = tuple((signal, Decay(signal.half_life)) for signal in signals)
        self._known: dict[Market, list[_Known]] = {}

    def know(self, rates: Iterable[SmoothedRate]) -> None:
        """Go on from what was known of markets before, where that is as late as what is known here."""
        places = {signal: place for place, (signal, _) in enumerate(self._signals)}
        for rate in rates:
            place = places.get(rate.signal)
            if place is not None:
                known = self._of(rate.market)[place]
                if known.mean.at is None or rate.settled_epoch >= known.mean.at:
                    known.go_on(rate)

    def settle(self, market: Market, settlement: Settlement) -> bool:
        """Take in a settlement, clipped; whether it is news. One that is not later than the last counts not."""
        news = [known.take(market, (settlement,)) for known in self._of(market)]
        return any(news)

    def learn(self, market: Market, past: Sequence[Settlement]) -> bool:
        """Take in settlements of the past, in order of time; whether any is news.

        A mean that has not seen what its warm-up takes is made anew of them if it has seen more then: one that began
        with the present, because the past could not be had yet.
        """
        news = False
        for known in self._of(market):
            began = known.mean.at is not None
            news |= known.take(market, past)
            if began and not known.warm:
                anew = _Known(known.signal, known.decay)
                anew.take(market, past)
                if anew.mean.seen > known.mean.seen:
                    known.mean, known.rate, news = anew.mean, anew.rate, True
        return news

    def last(self, market: Market) -> tuple[int, int] | None:
        """When a market was settled last (epoch seconds), and for how many seconds; None if one signal knows nothing.

        Of signals that differ, what the one says that knows least.
        """
        known = self._known.get(market, ())
        times = [(one.mean.at, one.mean.interval) for one in known if one.mean.at is not None]
        return min(times) if known and len(times) == len(known) else None

    def warm(self, market: Market) -> bool:
        """Whether settlements that cover its warm-up were seen of every signal."""
        known = self._known.get(market, ())
        return bool(known) and all(one.warm for one in known)

    def forget(self, market: Market) -> None:
        """Know nothing of a market any more."""
        self._known.pop(market, None)

    @property
    def markets(self) -> Collection[Market]:
        """The markets of which something is known."""
        return self._known.keys()

    def of(self, market: Market) -> tuple[SmoothedRate, ...]:
        """What is known of one market."""
        return tuple(one.rate for one in self._known.get(market, ()) if one.rate is not None)

    def rates(self) -> tuple[SmoothedRate, ...]:
        """What is known."""
        return tuple(one.rate for known in self._known.values() for one in known if one.rate is not None)

    def _of(self, market: Market) -> list[_Known]:
        known = self._known.get(market)
        if known is None:
            known = self._known[market] = [_Known(signal, decay) for signal, decay in self._signals]
        return known


class _Known:
    """What is known of one market by one signal."""

    __slots__ = ("decay", "mean", "rate", "signal")

    def __init__(self, signal: Smoothed, decay: Decay) -> None:
        self.signal = signal
        self.decay = decay
        self.mean = Mean(decay)
        self.rate: SmoothedRate | None = None

    @property
    def warm(self) -> bool:
        return self.mean.seen >= self.signal.warm_up_seconds

    def take(self, market: Market, settlements: Iterable[Settlement]) -> bool:
        """Take in those that are later than the last, clipped; whether there are any."""
        mean, news = self.mean, False
        for at, rate, interval in settlements:
            if mean.at is None or at > mean.at:
                mean.settle(at, clipped(rate, self.signal), interval)
                news = True
        if news:
            self.rate = _rate(market, self.signal, mean)
        return news

    def go_on(self, rate: SmoothedRate) -> None:
        """Go on from what was known before."""
        mean = self.mean
        mean.num, mean.den, mean.seen = rate.num, rate.den, rate.seen
        mean.at, mean.interval = rate.settled_epoch, rate.interval
        self.rate = rate


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
