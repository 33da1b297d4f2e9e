"""The service's JSON, read into values. Whatever is not as promised is an InputError.

One bad row of a venue's rates or symbols costs only itself; a list of venues or opportunities is believed whole or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar

from ...domain.funding import FundingRate
from ...domain.missing import RATE, Missing
from ...domain.names import as_line, read_symbol, read_venue
from ...errors import InputError
from .answers import Comparison, ServiceOpportunity, ServiceRate, ServiceSymbol, ServiceVenue, VenueRates, VenueSymbols

T = TypeVar("T")


class Payloads:
    """Reads answers whose rates are per `interval` (or `intervals[venue]`), and whose row times are in `zone`."""

    def __init__(self, interval: timedelta, intervals: Mapping[str, timedelta], zone: tzinfo) -> None:
        self._interval = interval
        self._intervals = {read_venue(venue): own for venue, own in intervals.items()}
        self._zone = zone
        if not isinstance(zone, tzinfo):
            raise InputError("row_zone takes a tzinfo, such as zoneinfo.ZoneInfo('Asia/Shanghai')")
        for every in (interval, *self._intervals.values()):
            FundingRate(0, every)  # refuses one that is no interval

    def comparison(self, answer: object, symbol: str, long: str, short: str) -> Comparison:
        """Both legs of `compare`; its own divergence is not read."""
        _about(answer, "symbol", symbol)
        legs = []
        for key, venue in (("dex1", long), ("dex2", short)):
            leg = _field(answer, key)
            _about(leg, "name", venue)
            legs.append(self._rate(leg, venue, symbol))
        return Comparison(long=legs[0], short=legs[1])

    def venue_rates(self, answer: object, venue: str) -> VenueRates:
        """The rates of a venue."""
        _about(answer, "dex_name", venue)
        rows = _object(_field(answer, "rates")).items()
        rates, refused = _rows(rows, venue, lambda name, row: self._rate(row, venue, name))
        return VenueRates(venue=venue, rates=rates, refused=refused)

    def rate(self, answer: object, venue: str, symbol: str) -> ServiceRate:
        """The rate of one market."""
        _about(answer, "dex_name", venue)
        _about(answer, "symbol", symbol)
        return self._rate(answer, venue, symbol)

    def venues(self, answer: object) -> tuple[ServiceVenue, ...]:
        """The venues."""
        venues = tuple(self._venue(row) for row in _list(_field(answer, "dexes")))
        if len({one.venue for one in venues}) != len(venues):
            raise InputError("two rows of one venue")
        return venues

    def symbols(self, answer: object, venue: str) -> VenueSymbols:
        """The symbols of a venue."""
        _about(answer, "dex_name", venue)
        rows = _list(_field(answer, "symbols"))
        named = ((row.get("symbol") if isinstance(row, dict) else None, row) for row in rows)
        symbols, refused = _rows(named, venue, self._symbol)
        return VenueSymbols(venue=venue, symbols=symbols, refused=refused)

    def _rate(self, row: object, venue: str, symbol: str) -> ServiceRate:
        figures = _object(row)
        return ServiceRate(
            venue=venue,
            symbol=symbol,
            rate=FundingRate(_field(row, "funding_rate"), self._intervals.get(venue, self._interval)),
            observed_at=self._time(_field(row, "timestamp")),
            next_funding_at=self._time_or_none(_field(row, "next_funding_time")),
            open_interest_usd=figures.get("open_interest_usd"),
            volume_24h_usd=figures.get("volume_24h"),
        )

    def _symbol(self, name: str, row: object) -> ServiceSymbol:
        return ServiceSymbol(
            symbol=name,
            active=_field(row, "is_active"),
            open_interest_usd=_field(row, "open_interest_usd"),
            volume_24h_usd=_field(row, "volume_24h"),
            observed_at=self._time(_field(row, "last_updated")),
        )

    def _venue(self, row: object) -> ServiceVenue:
        fees = _object(_field(row, "fee_structure"))
        return ServiceVenue(
            venue=_field(row, "name"),
            active=_field(row, "is_active"),
            maker_fee=fees.get("maker_fee_percent"),
            taker_fee=fees.get("taker_fee_percent"),
            fetched_at=self._time_or_none(_field(row, "last_successful_fetch")),
        )

    def _time(self, text: object) -> datetime:
        return _time(text, self._zone)

    def _time_or_none(self, text: object) -> datetime | None:
        return None if text is None else _time(text, self._zone)


def opportunities(answer: object) -> list[ServiceOpportunity]:
    """The pairs of a list; one that is off makes the whole unbelievable."""
    return [_opportunity(row) for row in _list(_field(answer, "opportunities"))]


def best_opportunity(answer: object) -> ServiceOpportunity | None:
    """The best pair, which stands one level down; None if there is none."""
    row = _field(answer, "opportunity")
    return None if row is None else _opportunity(row)


def known_symbols(answer: object) -> frozenset[str]:
    """The symbols of which the service has any rate."""
    return frozenset(symbol for symbol, rates in _object(_field(answer, "data")).items() if rates)


def _opportunity(row: object) -> ServiceOpportunity:
    figures = _object(row)
    return ServiceOpportunity(
        symbol=_field(row, "symbol"),
        long_dex=_field(row, "long_dex"),
        short_dex=_field(row, "short_dex"),
        long_rate=_field(row, "long_rate"),
        short_rate=_field(row, "short_rate"),
        net_profit=_field(row, "net_profit_percent"),
        long_open_interest_usd=figures.get("long_dex_oi_usd"),
        short_open_interest_usd=figures.get("short_dex_oi_usd"),
        least_open_interest_usd=figures.get("min_oi_usd"),
        least_volume_24h_usd=figures.get("min_volume_24h"),
        listed_at=_time(_field(row, "discovered_at"), UTC),
    )


def _rows(
    rows: Iterable[tuple[Any, object]], venue: str, read: Callable[[str, object], T]
) -> tuple[tuple[T, ...], tuple[Missing, ...]]:
    """What `read` makes of each row, and what it refused: both of two rows of one symbol."""
    good: dict[str, T] = {}
    refused: dict[str | None, str] = {}
    for name, row in rows:
        symbol = None
        try:
            symbol = read_symbol(name)
            read_row = read(symbol, row)
        except InputError as error:
            refused[symbol] = f"the row was refused: {error}"
        else:
            if good.setdefault(symbol, read_row) is not read_row:
                refused[symbol] = "there are two rows of it"
    return (
        tuple(value for symbol, value in good.items() if symbol not in refused),
        tuple(Missing(field=RATE, venue=venue, symbol=symbol, why=as_line(why)) for symbol, why in refused.items()),
    )


def _about(answer: object, key: str, asked: str) -> None:
    """The answer must be about what was asked for; names are echoed in any letter case."""
    said = _field(answer, key)
    if not isinstance(said, str) or said.upper() != asked.upper():
        raise InputError(f"its {key} is not the one that was asked for")


def _time(text: object, zone: tzinfo) -> datetime:
    """An aware time from ISO 8601 text; one without an offset is in `zone`."""
    if not isinstance(text, str):
        raise InputError("a time must be text")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InputError("a time is not ISO 8601") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)


def _field(row: object, name: str) -> Any:
    try:
        return _object(row)[name]
    except KeyError:
        raise InputError(f"it has no {name}") from None


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"a {type(value).__name__} where an object belongs")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"a {type(value).__name__} where a list belongs")
    return value
