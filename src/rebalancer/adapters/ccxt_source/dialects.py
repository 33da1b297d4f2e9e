"""Where each venue's numbers are found in what ccxt 4.5.90 gives, and what they mean.

ccxt's unified structures leave out what decisions need, or mislabel it, so some paths lead into `info`: the venue's
own answer, as ccxt keeps it. Intervals that a venue fixes for all its perpetuals are facts of the venue table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal
from enum import StrEnum
from functools import reduce
from typing import Any, Generic, TypeVar

from ...domain.funding import RateKind
from ...domain.needs import Needs
from ...domain.numbers import read_number
from ...domain.times import EPOCH
from ...errors import InputError

T = TypeVar("T")

_OWN = Context(prec=28)
"""Independent of the ambient decimal context, and with fewer digits than a number may have."""
_TIMEFRAME = re.compile(r"([0-9]{1,4})(m|h|d)")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Call(StrEnum):
    """The methods of ccxt by what they fetch: `FundingRate` is `fetchFundingRate`, for all at once with an s."""

    RATE = "FundingRate"
    INTERVAL = "FundingInterval"
    INTEREST = "OpenInterest"
    TICKER = "Ticker"
    MARKET = "Market"
    """No call of its own: the market that ccxt has loaded."""

    @property
    def method(self) -> str:
        """The name of ccxt's method for one market."""
        return "fetch" + re.sub("(?=[A-Z])", "_", self).lower()


@dataclass(frozen=True, slots=True)
class Datum(Generic[T]):
    """A value: which call's answer has it, at which path, and how it is read."""

    call: Call
    path: str
    read: Callable[[object], T]

    def of(self, row: object) -> T | None:
        """The value in a row of the call's answer; None if it is not there. Raises InputError if it is refused."""
        for key in self.path.split("."):
            if not isinstance(row, Mapping):
                return None
            row = row.get(key)
        return None if row is None or row == "" else self.read(row)


def percent(value: object) -> Decimal:
    """Percentage points as a fraction."""
    return scaled(read_number(value), -2)


def scaled(number: Decimal, power: int) -> Decimal:
    """`number` times 10**power."""
    return _OWN.scaleb(number, power)


def product(one: Decimal, other: Decimal) -> Decimal:
    """A quantity times a price."""
    return _OWN.multiply(one, other)


def total(numbers: Iterable[Decimal]) -> Decimal:
    """The sum."""
    return reduce(_OWN.add, numbers)


def timeframe(value: object) -> timedelta:
    """ccxt's text for an interval: 1h, 8h."""
    match = _TIMEFRAME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InputError("not an interval such as 8h")
    return int(match[1]) * _UNITS[match[2]]


def hours(value: object) -> timedelta:
    """A number of hours."""
    return _span(value, timedelta(hours=1))


def milliseconds(value: object) -> timedelta:
    """A number of milliseconds."""
    return _span(value, timedelta(milliseconds=1))


def at_milliseconds(value: object) -> datetime:
    """An instant in milliseconds since 1970."""
    return EPOCH + milliseconds(value)


def at_nanoseconds(value: object) -> datetime:
    """An instant in nanoseconds since 1970, to the millisecond."""
    return EPOCH + milliseconds(int(read_number(value)) // 1_000_000)


_LONGEST = timedelta(days=100 * 365)


def _span(value: object, unit: timedelta) -> timedelta:
    """So many units, fractions too. Raises InputError for what is finer than a timedelta can be."""
    count = read_number(value)
    if not 0 <= count <= _LONGEST // unit:
        raise InputError("a time or interval out of bounds")
    numerator, denominator = count.as_integer_ratio()
    span, rest = divmod(numerator * (unit // timedelta.resolution), denominator)
    if rest:
        raise InputError("a time or interval that is finer than a microsecond")
    return span * timedelta.resolution


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to read a venue. What is None is not given by it; the defaults are ccxt's unified structures.

    `interval` is over what the rate is quoted; `next_payment` are the instants of which the earliest in the future is
    the next payment. Open interest is in dollars, or in units of the base currency with `in_base`. The volume is the
    sum of its data. `options` are ccxt's own, for an exchange that is made here.
    """

    rate: Datum[Decimal] = Datum(Call.RATE, "fundingRate", read_number)
    kind: RateKind = RateKind.INDICATIVE
    observed_at: Datum[datetime] = Datum(Call.RATE, "timestamp", at_milliseconds)
    interval: Datum[timedelta] | None = Datum(Call.RATE, "interval", timeframe)
    next_payment: tuple[Datum[datetime], ...] = (
        Datum(Call.RATE, "fundingTimestamp", at_milliseconds),
        Datum(Call.RATE, "nextFundingTimestamp", at_milliseconds),
    )
    mark_price: Datum[Decimal] = Datum(Call.RATE, "markPrice", read_number)
    open_interest: Datum[Decimal] | None = Datum(Call.INTEREST, "openInterestValue", read_number)
    in_base: bool = False
    volume: tuple[Datum[Decimal], ...] = (Datum(Call.TICKER, "quoteVolume", read_number),)
    options: Mapping[str, Any] = field(default_factory=dict)

    def calls(self, needs: Needs) -> set[Call]:
        """Which calls have what is needed; the next payment is where the rate is."""
        data: list[Datum[Any] | None] = [self.rate, self.observed_at, self.interval]
        if needs.open_interest:
            data.append(self.open_interest)
        if needs.mark_price or (needs.open_interest and self.open_interest is not None and self.in_base):
            data.append(self.mark_price)
        if needs.volume:
            data += self.volume
        return {datum.call for datum in data if datum is not None} - {Call.MARKET}


ANY = Dialect()
"""A venue that nobody looked at: ccxt's unified structures are taken at their word."""


def _rate(path: str) -> Datum[Decimal]:
    return Datum(Call.RATE, path, read_number)


def _ticker(path: str) -> Datum[Decimal]:
    return Datum(Call.TICKER, path, read_number)


DIALECTS: Mapping[str, Dialect] = {
    # Like Binance's: the rate forms until the next payment. The interval is in an answer of its own.
    "aster": Dialect(
        kind=RateKind.FORMING,
        interval=Datum(Call.INTERVAL, "interval", timeframe),
        open_interest=None,
    ),
    # ccxt says 1h for every market and calls the open interest dollars; the venue's market has the interval, and the
    # open interest is in the base currency.
    "backpack": Dialect(
        kind=RateKind.FORMING,
        interval=Datum(Call.MARKET, "info.fundingInterval", milliseconds),
        open_interest=Datum(Call.INTEREST, "info.openInterest", read_number),
        in_base=True,
    ),
    # The funding calls have the past only; the market statistics have the rate that forms for the hour, and under
    # `nextFundingRate` the time at which it is paid.
    "extended": Dialect(
        rate=_ticker("info.fundingRate"),
        kind=RateKind.FORMING,
        observed_at=Datum(Call.TICKER, "timestamp", at_milliseconds),
        interval=None,
        next_payment=(Datum(Call.TICKER, "info.nextFundingRate", at_milliseconds),),
        mark_price=_ticker("info.markPrice"),
        open_interest=_ticker("info.openInterest"),
        volume=(_ticker("info.dailyVolume"),),
    ),
    # The funding call has the past only; the ticker has the rate that forms, in percentage points over the market's
    # own interval. ccxt's volume is that of takers who buy.
    "grvt": Dialect(
        rate=Datum(Call.TICKER, "info.funding_rate", percent),
        kind=RateKind.FORMING,
        observed_at=Datum(Call.TICKER, "timestamp", at_milliseconds),
        interval=Datum(Call.MARKET, "info.funding_interval_hours", hours),
        next_payment=(Datum(Call.TICKER, "info.next_funding_time", at_nanoseconds),),
        mark_price=_ticker("markPrice"),
        open_interest=_ticker("info.open_interest"),
        in_base=True,
        volume=(_ticker("info.buy_volume_24h_q"), _ticker("info.sell_volume_24h_q")),
    ),
    # The perpetuals of other deployers and the spot markets are not loaded: that takes a call for each deployer.
    "hyperliquid": Dialect(
        kind=RateKind.FORMING,
        open_interest=_rate("info.openInterest"),
        in_base=True,
        volume=(_rate("info.dayNtlVlm"),),
        options={"fetchMarkets": {"types": ["swap"]}},
    ),
    # A bare rate: no time, no interval, and not said whether it is the last or the next one.
    "lighter": Dialect(
        interval=None,
        next_payment=(),
        mark_price=_ticker("markPrice"),
        open_interest=_ticker("info.open_interest"),
        in_base=True,
    ),
    # The rate is that of the hour that was paid last; the one that forms is the next one.
    "pacifica": Dialect(
        rate=_rate("nextFundingRate"),
        kind=RateKind.FORMING,
        open_interest=_rate("info.open_interest"),
        in_base=True,
        volume=(_rate("info.volume_24h"),),
    ),
    # Accrues every second at this rate; its interval is the market's funding period.
    "paradex": Dialect(
        kind=RateKind.FORMING,
        next_payment=(),
        open_interest=_rate("info.open_interest"),
        in_base=True,
        volume=(_rate("info.volume_24h"),),
    ),
}
