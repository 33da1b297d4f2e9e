"""Values for tests: each takes only what matters to the test, and fills in the rest.

Everything is as of `AS_OF`. The usual position is long BTC on lighter and short on grvt, opened 5 h before at a
divergence of 2 bp per 8 h; the usual quote is live, seen at `AS_OF`, at a rate per 8 h.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..domain.funding import FundingRate
from ..domain.legs import Known, LegReading, LegState, Unknown
from ..domain.market import Quote
from ..domain.numbers import FRACTION_PLACES, RATIO_ONE, Number, read_number, to_grid
from ..domain.opportunity import Opportunity
from ..domain.position import Position
from ..domain.smoothed import Smoothed, SmoothedRate
from ..domain.snapshot import MarketSnapshot

AS_OF = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""The "now" of every value made here: a Monday noon, UTC."""


def a_rate(value: Number = "0.0001", *, hours: int = 8) -> FundingRate:
    """A funding rate over `hours`."""
    return FundingRate(value, timedelta(hours=hours))


def a_position(*, age: timedelta = timedelta(hours=5), **fields: Any) -> Position:
    """A position opened `age` before `AS_OF`; `fields` override those of `Position`."""
    usual = {
        "symbol": "BTC",
        "long_dex": "lighter",
        "short_dex": "grvt",
        "size_usd": 10_000,
        "entry_long_rate": "0.0001",
        "entry_short_rate": "0.0003",
        "opened_at": AS_OF - age,
    }
    return Position(**{**usual, **fields})


def a_quote(venue: str = "lighter", rate: FundingRate | Number = "0.0001", **fields: Any) -> Quote:
    """A live quote of BTC seen at `AS_OF`; a plain number is a rate per 8 h, `fields` override those of `Quote`."""
    funding = rate if isinstance(rate, FundingRate) else a_rate(rate)
    return Quote(**{"venue": venue, "symbol": "BTC", "rate": funding, "observed_at": AS_OF, **fields})


def a_leg(
    venue: str = "lighter", state: LegState | Number = "0.1", *, symbol: str = "BTC", **fields: Any
) -> LegReading:
    """Our leg of BTC, 0.1 token long; a plain number is a known quantity, `fields` override those of `Known`."""
    known = state if isinstance(state, Known | Unknown) else Known(state)
    return LegReading(venue=venue, symbol=symbol, state=known.model_copy(update=fields) if fields else known)


def a_smoothed(venue: str = "lighter", rate: Number = "0.0001", **fields: Any) -> SmoothedRate:
    """A smoothed rate of BTC per 8 h by the usual signal, well known, and last settled an hour before `AS_OF`."""
    usual = {
        "symbol": "BTC",
        "signal": Smoothed(),
        "num": to_grid(read_number(rate), FRACTION_PLACES),
        "den": RATIO_ONE,
        "settled_at": AS_OF - timedelta(hours=1),
        "interval": 3600,
        "seen": 30 * 86_400,
    }
    return SmoothedRate(**{"venue": venue, **usual, **fields})


def a_snapshot(*quotes: Quote, as_of: datetime = AS_OF, **fields: Any) -> MarketSnapshot:
    """A snapshot of these quotes; without any, of lighter at 1 bp and grvt at 3 bp: the usual position holds."""
    usual = quotes or (a_quote("lighter", "0.0001"), a_quote("grvt", "0.0003"))
    return MarketSnapshot(as_of=as_of, quotes=usual, **fields)


def an_opportunity(**fields: Any) -> Opportunity:
    """An opportunity of BTC, long paradex at 0 and short grvt at 5 bp per 8 h, seen at `AS_OF`."""
    usual = {
        "symbol": "BTC",
        "long_dex": "paradex",
        "short_dex": "grvt",
        "long_rate": 0,
        "short_rate": "0.0005",
        "observed_at": AS_OF,
    }
    return Opportunity(**{**usual, **fields})
