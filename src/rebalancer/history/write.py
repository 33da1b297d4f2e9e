"""Writers of funding histories: what they write reads back as an equal history."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

from ..domain.numbers import FRACTION_PLACES, RATIO_ONE, RATIO_PLACES, from_grid, plain
from ..domain.times import from_epoch, write_instant
from ..errors import HistoryError, MissingExtraError
from .read import KINDS, OPTIONAL, REQUIRED
from .table import FundingHistory, Row, Series

COLUMNS = (*REQUIRED, *OPTIONAL)
_WORDS = {kind: word for word, kind in KINDS.items()}
_BATCH = 100_000


def write_history(history: FundingHistory, path: str | os.PathLike[str]) -> None:
    """Write a history, sorted by time, symbol and venue. The file appears, or is replaced, when it is complete."""
    file = Path(path)
    write = {".parquet": _parquet, ".gz": _gzip}.get(file.suffix.lower(), _csv)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("wb") as made:
                write(history, made)
                made.flush()
                os.fsync(made.fileno())
            part.replace(file)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    except OSError as error:
        raise HistoryError(f"{file.name or file} can not be written: {error.strerror}") from error


def _gzip(history: FundingHistory, file: IO[bytes]) -> None:
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed:
        _csv(history, cast("IO[bytes]", packed))


def _csv(history: FundingHistory, file: IO[bytes]) -> None:
    columns = _columns(history)
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    places = [COLUMNS.index(name) for name in columns]
    for cells in _rows(history):
        lines.writerow([cells[place] for place in places])
    text.flush()
    text.detach()


def _columns(history: FundingHistory) -> list[str]:
    """The columns of which some row has something."""
    rows = [row for series in history.series for row in series.rows]
    unknown = {name for name in OPTIONAL[:-1] if all(getattr(row, name) is None for row in rows)}
    return [name for name in COLUMNS if name not in unknown]


def _rows(history: FundingHistory) -> Iterator[tuple[str, ...]]:
    """The cells of each row, as text."""
    return (
        (
            write_instant(from_epoch(row.at)),
            *series.market,
            plain(from_grid(row.value, FRACTION_PLACES)),
            plain(_hours(series, row)),
            *("" if number is None else str(number) for number in _numbers(row)),
            _WORDS[series.kind],
        )
        for series, row in history.rows()
    )


def _numbers(row: Row) -> tuple[Decimal | None, ...]:
    return row.mark_price, row.open_interest_usd, row.volume_24h_usd


def _hours(series: Series, row: Row) -> Decimal:
    steps, rest = divmod(row.interval * RATIO_ONE, 3600)
    if rest:
        raise HistoryError(f"{series.market}: an interval of {row.interval} s is finer than a file's hours can say")
    return from_grid(steps, RATIO_PLACES)


def _parquet(history: FundingHistory, file: IO[bytes]) -> None:
    """Rates and hours as decimals, times with their zone; prices are on no grid, so they are text."""
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
    except ImportError as error:
        raise MissingExtraError("writing Parquet", extra="replay") from error
    names = pa.dictionary(pa.int32(), pa.string())
    types: dict[str, Any] = {
        "time_utc": pa.timestamp("ms", "UTC"),
        "venue": names,
        "symbol": names,
        "funding_rate": pa.decimal128(18, FRACTION_PLACES),
        "interval_hours": pa.decimal128(12, RATIO_PLACES),
        "mark_price": pa.string(),
        "open_interest_usd": pa.int64(),
        "volume_24h_usd": pa.int64(),
        "rate_kind": names,
    }
    schema = pa.schema([(name, types[name]) for name in _columns(history)])
    every = history.rows()
    with ParquetWriter(file, schema, compression="zstd") as writer:
        for first in range(0, len(every), _BATCH):
            rows = [_cells(series, row) for series, row in every[first : first + _BATCH]]
            columns = [[cells[name] for cells in rows] for name in schema.names]
            writer.write_table(pa.table(columns, schema=schema))


def _cells(series: Series, row: Row) -> dict[str, Any]:
    price, interest, volume = _numbers(row)
    return {
        "time_utc": from_epoch(row.at),
        "venue": series.market.venue,
        "symbol": series.market.symbol,
        "funding_rate": from_grid(row.value, FRACTION_PLACES),
        "interval_hours": _hours(series, row),
        "mark_price": None if price is None else str(price),
        "open_interest_usd": None if interest is None else int(interest),
        "volume_24h_usd": None if volume is None else int(volume),
        "rate_kind": _WORDS[series.kind],
    }
