"""Readers of funding histories: every row is validated at the edge, once, and refused with its number."""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..domain.funding import MAX_INTERVAL, RateKind
from ..domain.names import Market, read_symbol, read_venue
from ..domain.numbers import (
    EIGHT_HOURS,
    FRACTION_PLACES,
    ONE,
    RATIO_ONE,
    RATIO_PLACES,
    divide_half_even,
    read_number,
    to_grid,
)
from ..domain.times import epoch_seconds, read_instant, seconds
from ..errors import HistoryError, InputError, MissingExtraError, suggestion
from .table import FundingHistory, Row, Series
from .units import LARGE, strange_units

REQUIRED = ("time_utc", "venue", "symbol", "funding_rate", "interval_hours")
OPTIONAL = ("mark_price", "open_interest_usd", "volume_24h_usd", "rate_kind")
KINDS = {
    "settled": RateKind.SETTLED,
    "live_snapshot": RateKind.FORMING,
    "indicative_hour_mean": RateKind.INDICATIVE,
}
MAX_INTEREST = Decimal(10**11)
YEAR_2200 = 7_258_118_400
"""Its epoch seconds. Times are from 1970 up to then: one wrong digit of a year would make centuries of ticks."""

Cells = Sequence[Any]


class Notes:
    """What is kept of a reading that goes on where a row is refused: the refusals, and where each row stands."""

    def __init__(self) -> None:
        self.refused: list[HistoryError] = []
        self.numbers: dict[Market, dict[int, int]] = {}
        """The number of each row that was taken, by market and time."""

    def row(self, market: Market, at: int) -> int | None:
        """The number of a market's row at a time."""
        return self.numbers.get(market, {}).get(at)


def read_history(
    path: str | os.PathLike[str], *, trust_units: bool = False, notes: Notes | None = None
) -> FundingHistory:
    """The history in a file; HistoryError if it can not be read or a row is refused.

    With `notes` a refused row is noted and left out.
    """
    file = Path(path)
    try:
        if file.suffix.lower() == ".parquet":
            return history_of(*_parquet(file), first_row=1, trust_units=trust_units, notes=notes)
        with (gzip.open if file.suffix.lower() == ".gz" else open)(file, "rt", encoding="utf-8", newline="") as text:
            lines = csv.reader(text, strict=True)
            return history_of(next(lines, []), lines, first_row=2, trust_units=trust_units, notes=notes)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or "the file is damaged or not what its name says"
        raise HistoryError(f"{file.name or file} can not be read: {why}") from error
    except UnicodeDecodeError as error:
        raise HistoryError(f"{file.name} is not UTF-8 text; a gzip file must end in .gz") from error
    except csv.Error as error:
        raise HistoryError(f"{file.name} is not well-formed CSV: {error}") from error


def _parquet(file: Path) -> tuple[Sequence[str], Iterator[Cells]]:
    try:
        from pyarrow import ArrowException, types
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("reading Parquet", extra="replay") from error
    try:
        table = ParquetFile(file)
    except ArrowException as error:
        raise HistoryError(f"{file.name} is not a Parquet file") from error
    for column in table.schema_arrow:
        if column.name in (*REQUIRED, *OPTIONAL) and types.is_nested(column.type):
            raise HistoryError(f"the column {column.name} has lists or structures in its cells")
    return table.schema_arrow.names, _parquet_rows(table, file)


def _parquet_rows(table: Any, file: Path) -> Iterator[Cells]:
    try:
        for batch in table.iter_batches():
            yield from zip(*map(_parquet_cells, batch.columns), strict=True)
    except (ValueError, OverflowError) as error:  # pyarrow's own errors are ValueErrors
        raise HistoryError(f"{file.name} is damaged, or has a column of an unusual type") from error


def _parquet_cells(column: Any) -> list[Any]:
    """A column's cells; times to the microsecond, since Python's have no nanoseconds."""
    from pyarrow import timestamp, types

    if types.is_timestamp(column.type):
        column = column.cast(timestamp("us", column.type.tz), safe=False)
    cells: list[Any] = column.to_pylist()
    return cells


def history_of(
    header: Sequence[str],
    lines: Iterable[Cells],
    *,
    first_row: int,
    trust_units: bool = False,
    notes: Notes | None = None,
) -> FundingHistory:
    """The history that a header and its rows stand for; rows are counted from `first_row`."""
    names = [name.strip().lstrip("\ufeff") for name in header]
    place = {name: number for number, name in enumerate(names)}
    head = first_row - 1 or None
    for name in REQUIRED:
        if name not in place:
            raise HistoryError(f"there is no column {name}{suggestion(name, names)}", row=head)
    for name in (*REQUIRED, *OPTIONAL):
        if names.count(name) > 1:
            raise HistoryError(f"there are two columns {name}", row=head)
    gathered = _Gathered(_Parser(place, width=len(header)), notes)
    for number, cells in enumerate(lines, start=first_row):
        if not cells:
            continue
        try:
            gathered.take(number, cells)
        except InputError as error:
            refusal = HistoryError(str(error), row=number)
            if notes is None:
                raise refusal from error
            notes.refused.append(refusal)
    series = gathered.series()
    if not trust_units:
        for market, why in strange_units(series, {market: seen for market, (_, seen) in gathered.large.items()}):
            raise HistoryError(why, row=gathered.large[market][0])
    return FundingHistory.of(series)


class _Gathered:
    """The rows so far, by market and time; of rates that only few markets pay, the first row and how many."""

    def __init__(self, parse: _Parser, notes: Notes | None) -> None:
        self._parse = parse
        self._numbers = None if notes is None else notes.numbers
        self._found: dict[Market, dict[int, Row]] = {}
        self._kinds: dict[Market, RateKind] = {}
        self.large: dict[Market, tuple[int, int]] = {}

    def take(self, number: int, cells: Cells) -> None:
        """Take in a row; InputError if it is refused, alone or beside the rows before."""
        market, kind, row, large = self._parse(cells)
        if self._kinds.setdefault(market, kind) is not kind:
            raise InputError(f"{market} has rates of two kinds: give the second a venue name of its own")
        if self._found.setdefault(market, {}).setdefault(row.at, row) is not row:
            raise InputError(f"a second row of {market} at one time")
        if large:
            first, seen = self.large.get(market, (number, 0))
            self.large[market] = first, seen + 1
        if self._numbers is not None:
            self._numbers.setdefault(market, {})[row.at] = number

    def series(self) -> list[Series]:
        """A series of each market, in order of time."""
        return [
            Series(market, self._kinds[market], tuple(rows[at] for at in sorted(rows)))
            for market, rows in self._found.items()
        ]


class _Memo(dict[Any, Any]):
    """Remembers what a reader made of a cell: most cells of a history repeat."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, cell: Any) -> Any:
        value = self[cell] = self._read(cell)
        return value


class _Parser:
    """One row's cells as market, kind, row, and whether its rate is large. InputError names the column that is off."""

    def __init__(self, place: Mapping[str, int], *, width: int) -> None:
        self._width = width
        self._place = place
        self._optional = [place.get(name) for name in OPTIONAL]
        self._readers = [_Memo(_named(name, read)) for name, read in zip(REQUIRED, _READERS, strict=True)]
        self._required = [place[name] for name in REQUIRED]
        self._prices = [_named(name, read) for name, read in zip(OPTIONAL, _OPTIONAL_READERS, strict=True)]

    def __call__(self, cells: Cells) -> tuple[Market, RateKind, Row, bool]:
        if len(cells) != self._width:
            raise InputError(f"{len(cells)} columns instead of {self._width}")
        at, venue, symbol, value, interval = [
            reader[cells[place]] for reader, place in zip(self._readers, self._required, strict=True)
        ]
        large = abs(value) * EIGHT_HOURS >= LARGE * interval
        if large and abs(divide_half_even(value * EIGHT_HOURS, interval)) > ONE:
            raise InputError("funding_rate: beyond 100 % per 8 h: is it a percent, or is interval_hours wrong?")
        mark_price, open_interest, volume, kind = [
            None if place is None or cells[place] is None or cells[place] == "" else read(cells[place])
            for read, place in zip(self._prices, self._optional, strict=True)
        ]
        return (
            Market(venue, symbol),
            kind or RateKind.SETTLED,
            Row(at, value, interval, mark_price, open_interest, volume),
            large,
        )


def _named(name: str, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`read`, whose error says which column it was about."""

    def reading(cell: Any) -> Any:
        try:
            return read(cell)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error

    return reading


def _at(cell: Any) -> int:
    at = epoch_seconds(read_instant(cell))
    if not 0 <= at < YEAR_2200:
        raise InputError("must be from 1970 to 2199")
    return at


def _value(cell: Any) -> int:
    return to_grid(read_number(cell), FRACTION_PLACES)


def _interval(cell: Any) -> int:
    length, rest = divmod(to_grid(read_number(cell), RATIO_PLACES) * 3600, RATIO_ONE)
    if rest or not 0 < length <= seconds(MAX_INTERVAL):
        raise InputError("must be above 0, at most 504 hours, and a whole number of seconds")
    return length


def _price(cell: Any) -> Decimal:
    price = read_number(cell)
    if price <= 0:
        raise InputError("must be above 0")
    return price


def _whole_usd(cell: Any) -> Decimal:
    amount = Decimal(to_grid(read_number(cell), 0))
    if not 0 <= amount <= MAX_INTEREST:
        raise InputError("must be at least 0 and at most 1e11")
    return amount


def _kind(cell: Any) -> RateKind:
    if cell not in KINDS:
        raise InputError(f"must be one of {', '.join(KINDS)}")
    return KINDS[cell]


_READERS = (_at, read_venue, read_symbol, _value, _interval)
_OPTIONAL_READERS = (_price, _whole_usd, _whole_usd, _kind)
