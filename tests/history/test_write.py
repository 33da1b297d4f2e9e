"""What is written reads back the same, whatever the format."""

from __future__ import annotations

import gzip
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rebalancer import FundingHistory, HistoryError, MissingExtraError, RateKind
from rebalancer.domain.names import Market
from rebalancer.history.table import Row, Series
from rebalancer.testing import sample_history

SUFFIXES = ("csv", "csv.gz", "parquet")
PRICES = st.builds(
    lambda digits, exponent: Decimal(f"{digits}E{exponent}"), st.integers(1, 10**30 - 1), st.integers(-40, 40)
)
WHOLE = st.integers(0, 10**11).map(Decimal)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Any row that a file can have."""
    interval = draw(st.integers(1, 504 * 400)) * 9
    most = 10**12 * interval // 28_800
    return Row(
        draw(st.integers(0, 7_258_118_399)),
        draw(st.integers(-most, most)),
        interval,
        draw(st.none() | PRICES),
        draw(st.none() | WHOLE),
        draw(st.none() | WHOLE),
    )


@st.composite
def histories(draw: st.DrawFn) -> FundingHistory:
    """A history of some markets, few rows each."""
    markets = draw(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("BTC", "1INCH"))), min_size=1, unique=True)
    )
    return FundingHistory.of(
        Series(
            Market(*market),
            draw(st.sampled_from(RateKind)),
            tuple(
                sorted(
                    draw(st.lists(rows(), min_size=1, max_size=2, unique_by=lambda row: row.at)), key=lambda row: row.at
                )
            ),
        )
        for market in markets
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(history=histories())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_reads_back_as_it_was(tmp_path: Path, suffix: str, history: FundingHistory) -> None:
    path = tmp_path / f"history.{suffix}"
    history.write(path)
    assert FundingHistory.read(path, trust_units=True) == history


def test_a_written_file_is_as_its_reader_describes_it(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    market, row = Market("grvt", "BTC"), Row(1_767_254_400, -12_500_000, 28_800, mark_price=Decimal("90000.50"))
    FundingHistory.of([Series(market, RateKind.SETTLED, (row,))]).write(path)
    assert path.read_text() == (
        "time_utc,venue,symbol,funding_rate,interval_hours,mark_price,rate_kind\n"
        "2026-01-01T08:00:00Z,grvt,BTC,-0.0000125,8,90000.50,settled\n"
    )


def test_rows_are_written_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    sample_history(days=1).write(path)
    times = [line.partition(",")[0] for line in path.read_text().splitlines()[1:]]
    assert times == sorted(times)


def test_the_same_history_makes_the_same_bytes(tmp_path: Path) -> None:
    history = sample_history(days=1)
    history.write(tmp_path / "one.csv.gz")
    history.write(tmp_path / "other.csv.gz")
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "other.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "one.csv.gz").read_bytes()).startswith(b"time_utc,")
    assert (tmp_path / "one.csv.gz").read_bytes()[4:8] == bytes(4), "no time of writing is in it"


def test_an_interval_that_hours_can_not_say_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("precious")
    odd = FundingHistory.of([Series(Market("a", "BTC"), RateKind.SETTLED, (Row(0, 1, 7),))])
    with pytest.raises(HistoryError, match="an interval of 7 s is finer than a file's hours can say"):
        odd.write(path)
    assert path.read_text() == "precious"
    assert [file.name for file in tmp_path.iterdir()] == ["history.csv"]


def test_a_folder_that_is_not_there_is_refused_in_the_systems_words(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"^history.csv can not be written: No such file or directory$"):
        sample_history(days=1).write(tmp_path / "nowhere" / "history.csv")


def test_parquet_without_pyarrow_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="writing Parquet needs"):
        sample_history(days=1).write(tmp_path / "history.parquet")
    assert list(tmp_path.iterdir()) == []
