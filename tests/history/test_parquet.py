"""Histories in Parquet, written here as pyarrow users write them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rebalancer import FundingHistory, HistoryError, MissingExtraError

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = [MIDNIGHT + timedelta(hours=hour) for hour in (1, 2, 3)]
CSV = """time_utc,venue,symbol,funding_rate,interval_hours
2026-01-01T01:00:00Z,lighter,BTC,1.25e-05,1
2026-01-01T02:00:00Z,lighter,BTC,-0.1,1
2026-01-01T03:00:00Z,grvt,BTC,0.0003,8
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.parquet"


def a_table(**columns: Any) -> Any:
    """Three rows in the usual types, these columns instead."""
    usual = {
        "time_utc": pa.array(HOURS, pa.timestamp("us", "UTC")),
        "venue": ["lighter", "lighter", "grvt"],
        "symbol": ["BTC", "BTC", "BTC"],
        "funding_rate": [1.25e-05, -0.1, 0.0003],
        "interval_hours": [1, 1, 8],
    }
    return pa.table({name: column for name, column in {**usual, **columns}.items() if column is not None})


def read(path: Path, **columns: Any) -> FundingHistory:
    pq.write_table(a_table(**columns), path)
    return FundingHistory.read(path)


def refused(path: Path, **columns: Any) -> tuple[int | None, str]:
    with pytest.raises(HistoryError) as error:
        read(path, **columns)
    return error.value.row, str(error.value)


def test_parquet_is_read_as_the_same_csv_is(path: Path) -> None:
    text = path.with_suffix(".csv")
    text.write_text(CSV, encoding="utf-8")
    assert read(path) == FundingHistory.read(text)


@pytest.mark.parametrize(
    "columns",
    [
        {"time_utc": ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"]},
        {"time_utc": pa.array(HOURS, pa.timestamp("s", "America/New_York"))},
        {"time_utc": pa.array(HOURS, pa.timestamp("ns", "+05:30"))},
        {
            "time_utc": pa.array([1_767_229_200_000_000_001 + hour * 3600 * 10**9 for hour in range(3)]).cast(
                pa.timestamp("ns", "UTC")
            )
        },
        {"funding_rate": ["0.0000125", "-0.1", "0.0003"]},
        {"funding_rate": [Decimal("0.0000125"), Decimal("-0.1"), Decimal("0.0003")]},
        {"interval_hours": [1.0, 1.0, 8.0]},
        {"interval_hours": ["1", "1", "8"]},
        {"venue": pa.array(["lighter", "lighter", "grvt"]).dictionary_encode()},
        {"mark_price": [None, None, None]},
        {"note": [["anything"], [], None]},
    ],
    ids=["text", "zone", "offset", "nanoseconds", "rates", "decimals", "floats", "hours", "dictionary", "null", "more"],
)
def test_every_usual_type_of_column_reads_the_same(path: Path, columns: dict[str, Any]) -> None:
    assert read(path, **columns) == read(path)


def test_a_null_cell_of_an_optional_column_is_unknown(path: Path) -> None:
    history = read(path, mark_price=[None, 2.5, 0.1], rate_kind=[None, "settled", None])
    prices = [row.mark_price for series in history.series for row in series.rows]
    assert prices == [Decimal("0.1"), None, Decimal("2.5")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"time_utc": pa.array([HOURS[0], None, HOURS[2]], pa.timestamp("us", "UTC"))}, "time_utc: not a time"),
        ({"funding_rate": [0.1, float("nan"), 0.1]}, "funding_rate: NaN and infinity are not numbers to act on"),
        ({"funding_rate": [0.1, float("inf"), 0.1]}, "funding_rate: NaN and infinity are not numbers to act on"),
        ({"funding_rate": [0.1, 0.2, 0.1]}, "funding_rate: beyond 100 % per 8 h"),
        ({"interval_hours": [1, None, 8]}, "interval_hours: a NoneType is not a number"),
        ({"mark_price": [1.0, float("nan"), 1.0]}, "mark_price: NaN and infinity are not numbers to act on"),
        ({"venue": [b"lighter"] * 3}, "venue: not a venue"),
    ],
)
def test_a_bad_cell_is_refused_with_its_row_and_column(path: Path, columns: dict[str, Any], message: str) -> None:
    row, refusal = refused(path, **columns)
    assert row == (1 if "venue" in columns else 2)
    assert message in refusal


def test_a_naive_time_is_refused(path: Path) -> None:
    row, message = refused(path, time_utc=pa.array([time.replace(tzinfo=None) for time in HOURS]))
    assert row == 1
    assert message.startswith("row 1: time_utc: a naive time: add its zone")


def test_a_missing_column_belongs_to_no_row(path: Path) -> None:
    assert refused(path, interval_hours=None, interval_hour=[1, 1, 8]) == (
        None,
        "there is no column interval_hours (did you mean 'interval_hour'?)",
    )


def test_a_column_with_lists_is_refused(path: Path) -> None:
    row, message = refused(path, rate_kind=[["settled"]] * 3)
    assert (row, message) == (None, "the column rate_kind has lists or structures in its cells")


def test_a_table_without_rows_is_refused(path: Path) -> None:
    pq.write_table(a_table().slice(0, 0), path)
    with pytest.raises(HistoryError, match="the history has no rows"):
        FundingHistory.read(path)


def test_what_is_not_parquet_is_refused(path: Path) -> None:
    path.write_text(CSV, encoding="utf-8")
    with pytest.raises(HistoryError) as error:
        FundingHistory.read(path)
    assert str(error.value) == "history.parquet is not a Parquet file"


def test_a_missing_file_is_refused_in_the_systems_words(path: Path) -> None:
    with pytest.raises(HistoryError, match=r"^history.parquet can not be read: "):
        FundingHistory.read(path)


def test_whatever_byte_is_damaged_there_is_one_kind_of_error(path: Path) -> None:
    pq.write_table(a_table(), path)
    whole = path.read_bytes()
    refusals = 0
    for place in range(4, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            FundingHistory.read(path)
        except HistoryError:
            refusals += 1
    assert refusals > 10


def test_without_pyarrow_the_error_says_how_to_install_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(a_table(), path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError) as error:
        FundingHistory.read(path)
    assert str(error.value) == (
        'reading Parquet needs an optional dependency: pip install "funding-rebalancer[replay]"'
    )
    assert error.value.extra == "replay"


def test_csv_is_read_without_pyarrow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    text = path.with_suffix(".csv")
    text.write_text(CSV, encoding="utf-8")
    assert len(FundingHistory.read(text)) == 3
