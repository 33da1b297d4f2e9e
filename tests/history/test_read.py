"""Reading funding histories: what is taken exactly, and what is refused with its row and column."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import FundingHistory, HistoryError, InputError, RateKind
from rebalancer.domain.names import Market
from rebalancer.history.read import history_of
from rebalancer.history.table import Row

COLUMNS = ("time_utc", "venue", "symbol", "funding_rate", "interval_hours")
USUAL = {
    "time_utc": "2026-01-01T08:00:00Z",
    "venue": "lighter",
    "symbol": "BTC",
    "funding_rate": "0.0001",
    "interval_hours": "8",
}
EIGHT = 1_767_254_400
"""2026-01-01 08:00 UTC, in epoch seconds."""
LONG = "1." + "3" * 30

Reading = Callable[..., FundingHistory]


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    """Reads a CSV file of these lines."""

    def read(*lines: str, header: str = ",".join(COLUMNS)) -> FundingHistory:
        path = tmp_path / "history.csv"
        path.write_text("\n".join((header, *lines)), encoding="utf-8")
        return FundingHistory.read(path)

    return read


def a_line(**cells: str) -> str:
    """The usual row, of these cells instead; columns beyond the required ones come last."""
    return ",".join({**USUAL, **cells}.values())


def with_columns(*more: str) -> str:
    """A header of the required columns and these."""
    return ",".join((*COLUMNS, *more))


def only_row(history: FundingHistory) -> Row:
    (series,) = history.series
    (row,) = series.rows
    return row


def refused(reading: Reading, *lines: str, header: str = ",".join(COLUMNS)) -> tuple[int | None, str]:
    """The row and the message of the refusal."""
    with pytest.raises(HistoryError) as error:
        reading(*lines, header=header)
    assert isinstance(error.value, InputError)
    return error.value.row, str(error.value)


def test_a_row_is_read_exactly(reading: Reading) -> None:
    history = reading(a_line(funding_rate="1.25e-05", interval_hours="1"))
    (series,) = history.series
    assert (series.market, series.kind) == (Market("lighter", "BTC"), RateKind.SETTLED)
    assert series.rows == (Row(at=EIGHT, value=12_500_000, interval=3600),)


def test_gzip_is_read_as_plain_text_is(tmp_path: Path, reading: Reading) -> None:
    path = tmp_path / "history.csv.gz"
    path.write_bytes(gzip.compress((",".join(COLUMNS) + "\n" + a_line() + "\n").encode()))
    assert FundingHistory.read(path) == FundingHistory.read(str(path)) == reading(a_line())


def test_names_are_read_in_one_letter_case(reading: Reading) -> None:
    assert reading(a_line(venue="Lighter", symbol="btc")) == reading(a_line())


@pytest.mark.parametrize("time", ["2026-01-01 08:00:00+00:00", "2026-01-01T10:00:00.999+02:00", "2026-01-01T08:00Z"])
def test_times_are_read_in_any_zone_and_floored_to_the_second(reading: Reading, time: str) -> None:
    assert only_row(reading(a_line(time_utc=time))).at == EIGHT


def test_an_interval_may_be_a_part_of_an_hour(reading: Reading) -> None:
    assert only_row(reading(a_line(interval_hours="0.25"))).interval == 900


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("0", 0),
        ("-0.0", 0),
        ("0.00010000000000000000", 100_000_000),
        ("0.00000000000050000000", 0),
        ("0.00000000000050000001", 1),
        ("0.00000000000150000000", 2),
        ("-0.00000000000050000000", 0),
        ("-0.00000000000150000000", -2),
        ("-0.00000000000250000001", -3),
        ("1.0416666666666667e-05", 10_416_667),
    ],
)
def test_a_rate_is_put_on_the_grid_half_even(reading: Reading, text: str, steps: int) -> None:
    assert only_row(reading(a_line(funding_rate=text))).value == steps


@given(st.decimals(min_value=-1, max_value=1, places=20))
def test_any_rate_is_put_on_the_grid_as_decimal_rounds_it(rate: Decimal) -> None:
    with localcontext(prec=60):
        steps = int((rate * 10**12).to_integral_value(ROUND_HALF_EVEN))
    history = history_of(COLUMNS, [a_line(funding_rate=f"{rate:f}").split(",")], first_row=2)
    assert only_row(history).value == steps


def test_a_rate_is_compared_per_8_h(reading: Reading) -> None:
    assert only_row(reading(a_line(funding_rate="0.000000000001", interval_hours="1"))).per_8h == 8
    assert only_row(reading(a_line(funding_rate="0.000000000001", interval_hours="16"))).per_8h == 0
    assert only_row(reading(a_line(funding_rate="0.000000000003", interval_hours="16"))).per_8h == 2


def test_the_optional_columns_are_unknown_where_absent_or_empty(reading: Reading) -> None:
    header = with_columns("mark_price", "open_interest_usd", "volume_24h_usd", "rate_kind")
    assert reading(a_line() + ",,,,", header=header) == reading(a_line())
    row = only_row(reading(a_line()))
    assert (row.mark_price, row.open_interest_usd, row.volume_24h_usd) == (None, None, None)


def test_the_optional_columns_are_read_as_quotes_keep_them(reading: Reading) -> None:
    header = with_columns("volume_24h_usd", "open_interest_usd", "mark_price")
    row = only_row(reading(a_line() + ",0,1000000.5,0.00001234", header=header))
    assert row.mark_price == Decimal("0.00001234")
    assert (row.open_interest_usd, row.volume_24h_usd) == (Decimal(1_000_000), Decimal(0))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("settled", RateKind.SETTLED),
        ("live_snapshot", RateKind.FORMING),
        ("indicative_hour_mean", RateKind.INDICATIVE),
    ],
)
def test_a_rate_kind_says_what_quote_it_becomes(reading: Reading, text: str, kind: RateKind) -> None:
    (series,) = reading(a_line() + "," + text, header=with_columns("rate_kind")).series
    assert series.quote(series.rows[0]).kind is kind


def test_columns_may_come_in_any_order_with_others_among_them(reading: Reading) -> None:
    header = "note,interval_hours, funding_rate ,symbol,venue,time_utc"
    assert reading("x,8,0.0001,BTC,lighter,2026-01-01T08:00:00Z", header=header) == reading(a_line())


def test_a_byte_order_mark_and_blank_lines_are_passed_over(reading: Reading) -> None:
    assert reading("", a_line(), "", header="\ufeff" + ",".join(COLUMNS)) == reading(a_line())


@given(st.permutations(range(6)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    lines = [
        [f"2026-01-01T{hour:02}:00:00Z", venue, symbol, f"0.000{hour}", "1"]
        for hour, venue, symbol in [
            (1, "a", "BTC"),
            (2, "a", "BTC"),
            (3, "a", "BTC"),
            (1, "b", "BTC"),
            (2, "b", "BTC"),
            (1, "a", "AAVE"),
        ]
    ]
    assert history_of(COLUMNS, [lines[place] for place in order], first_row=2) == history_of(
        COLUMNS, lines, first_row=2
    )


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_refused_with_the_nearest_name(reading: Reading, column: str) -> None:
    header = ",".join(COLUMNS).replace(column, column.replace("_", "") + "x")
    row, message = refused(reading, a_line(), header=header)
    assert row == 1
    assert message == f"row 1: there is no column {column} (did you mean '{column.replace('_', '')}x'?)"


@pytest.mark.parametrize("column", ["venue", "rate_kind"])
def test_a_column_that_is_there_twice_is_refused(reading: Reading, column: str) -> None:
    message = refused(reading, a_line() + ",a,a", header=with_columns(column, "rate_kind"))[1]
    assert message == f"row 1: there are two columns {column}"


@pytest.mark.parametrize(("line", "cells"), [("2026-01-01T08:00:00Z,lighter", 2), (a_line() + ",", 6)])
def test_a_row_of_another_number_of_cells_is_refused(reading: Reading, line: str, cells: int) -> None:
    assert refused(reading, a_line(), line) == (3, f"row 3: {cells} columns instead of 5")


@pytest.mark.parametrize(
    ("column", "cell", "why"),
    [
        ("time_utc", "2026-01-01T09:00:00", "a naive time: add its zone"),
        ("time_utc", "yesterday", "not a time: write ISO 8601"),
        ("time_utc", "1767254400", "not a time: write ISO 8601"),
        ("time_utc", "", "not a time"),
        ("time_utc", "1969-12-31T23:59:59Z", "must be from 1970 to 2199"),
        ("time_utc", "2200-01-01T00:00:00Z", "must be from 1970 to 2199"),
        ("venue", "light er", "not a venue"),
        ("venue", "", "not a venue"),
        ("symbol", "BTC\x1b[2J", "not a symbol"),
        ("symbol", "", "not a symbol"),
        ("funding_rate", "", "not a number"),
        ("funding_rate", "1e-4%", "not a number"),
        ("funding_rate", "1_000", "not a number"),
        ("funding_rate", " 0.1", "not a number"),
        ("funding_rate", "\u0660.\u0661", "not a number"),
        ("funding_rate", "NaN", "not a number"),
        ("funding_rate", "inf", "not a number"),
        ("funding_rate", "1e-41", "the exponent is absurd"),
        ("funding_rate", LONG, "more than 30 digits"),
        ("funding_rate", "1.000000000001", "beyond 100 % per 8 h: is it a percent, or is interval_hours wrong?"),
        ("funding_rate", "-1.000000000001", "beyond 100 % per 8 h"),
        ("interval_hours", "0", "must be above 0, at most 504 hours, and a whole number of seconds"),
        ("interval_hours", "-8", "must be above 0"),
        ("interval_hours", "", "not a number"),
        ("interval_hours", "504.001", "must be above 0, at most 504 hours"),
        ("interval_hours", "0.0001", "a whole number of seconds"),
    ],
)
def test_a_bad_cell_is_refused_with_its_row_and_column(reading: Reading, column: str, cell: str, why: str) -> None:
    row, message = refused(reading, a_line(time_utc="2026-01-01T00:00:00Z"), a_line(**{column: cell}))
    assert row == 3
    assert message.startswith(f"row 3: {column}: ")
    assert why in message


@pytest.mark.parametrize(
    ("column", "cell", "why"),
    [
        ("mark_price", "0", "must be above 0"),
        ("mark_price", "-1", "must be above 0"),
        ("mark_price", "nan", "not a number"),
        ("open_interest_usd", "-1", "must be at least 0 and at most 1e11"),
        ("open_interest_usd", "100000000001", "must be at least 0 and at most 1e11"),
        ("volume_24h_usd", "1,5", "columns instead of"),
        ("volume_24h_usd", "many", "not a number"),
        ("rate_kind", "paid", "must be one of settled, live_snapshot, indicative_hour_mean"),
        ("rate_kind", "Settled", "must be one of settled, live_snapshot, indicative_hour_mean"),
    ],
)
def test_a_bad_optional_cell_is_refused_too(reading: Reading, column: str, cell: str, why: str) -> None:
    row, message = refused(reading, f"{a_line()},{cell}", header=with_columns(column))
    assert row == 2
    assert why in message


@pytest.mark.parametrize(("rate", "hours"), [("1", "8"), ("-1", "8"), ("0.125", "1"), ("63", "504")])
def test_a_rate_of_exactly_100_percent_per_8_h_is_taken(reading: Reading, rate: str, hours: str) -> None:
    assert abs(only_row(reading(a_line(funding_rate=rate, interval_hours=hours))).per_8h) == 10**12


def test_an_hourly_rate_beyond_100_percent_per_8_h_is_refused(reading: Reading) -> None:
    message = refused(reading, a_line(funding_rate="0.125000000001", interval_hours="1"))[1]
    assert message.startswith("row 2: funding_rate: beyond 100 % per 8 h")


def test_blank_lines_count_as_a_text_editor_counts_them(reading: Reading) -> None:
    assert refused(reading, "", "", a_line(funding_rate="x"))[0] == 4


def test_a_second_row_of_a_market_at_one_time_is_refused(reading: Reading) -> None:
    again = a_line(time_utc="2026-01-01T09:00:00+01:00", venue="LIGHTER", funding_rate="0.0002")
    assert refused(reading, a_line(), again) == (3, "row 3: a second row of BTC on lighter at one time")


def test_one_time_in_two_markets_is_no_duplicate(reading: Reading) -> None:
    assert len(reading(a_line(), a_line(venue="grvt"), a_line(symbol="ETH"))) == 3


def test_two_kinds_in_one_market_are_refused(reading: Reading) -> None:
    row, message = refused(
        reading,
        a_line() + ",settled",
        a_line(venue="grvt") + ",live_snapshot",
        a_line(time_utc="2026-01-01T09:00:00Z") + ",live_snapshot",
        header=with_columns("rate_kind"),
    )
    assert row == 4
    assert message == "row 4: BTC on lighter has rates of two kinds: give the second a venue name of its own"


def test_an_empty_kind_is_settled_also_beside_others(reading: Reading) -> None:
    header = with_columns("rate_kind")
    later = a_line(time_utc="2026-01-01T09:00:00Z")
    assert len(reading(a_line() + ",", later + ",settled", header=header)) == 2


def test_an_empty_file_is_refused(reading: Reading) -> None:
    assert refused(reading, header="") == (1, "row 1: there is no column time_utc")


def test_a_header_without_rows_is_refused(reading: Reading) -> None:
    assert refused(reading) == (None, "the history has no rows")


def test_a_message_never_repeats_the_cell(reading: Reading) -> None:
    for column in COLUMNS:
        assert "s3cret" not in refused(reading, a_line(**{column: "s3cret\x07"}))[1]


def damage(tmp_path: Path, name: str, content: bytes) -> str:
    """The message about a file of this content."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(HistoryError) as error:
        FundingHistory.read(path)
    assert error.value.row is None
    return str(error.value)


ROWS = [a_line(venue=f"venue-{place}") for place in range(1000)]
WHOLE = gzip.compress("\n".join((",".join(COLUMNS), *ROWS)).encode())


@pytest.mark.parametrize(
    "content",
    [b"time_utc,venue", WHOLE[:-20], WHOLE[:-8] + bytes(8), WHOLE[:40] + bytes(20) + WHOLE[60:]],
    ids=["not gzip", "cut off", "wrong checksum", "damaged inside"],
)
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, content: bytes) -> None:
    message = damage(tmp_path, "history.csv.gz", content)
    assert message == "history.csv.gz can not be read: the file is damaged or not what its name says"


def test_what_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    message = damage(tmp_path, "history.csv", b"time_utc,venue\n\xff\xfe")
    assert message == "history.csv is not UTF-8 text; a gzip file must end in .gz"


def test_gzip_under_another_name_is_refused_with_the_mend(tmp_path: Path) -> None:
    assert "a gzip file must end in .gz" in damage(tmp_path, "history.csv", WHOLE)


def test_malformed_csv_is_refused(tmp_path: Path) -> None:
    message = damage(tmp_path, "history.csv", (",".join(COLUMNS) + '\n"2026').encode())
    assert message == "history.csv is not well-formed CSV: unexpected end of data"


def test_a_missing_file_is_refused_in_the_systems_words(tmp_path: Path) -> None:
    with pytest.raises(HistoryError) as error:
        FundingHistory.read(tmp_path / "nowhere.csv")
    assert str(error.value) == "nowhere.csv can not be read: No such file or directory"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="can not be read: Is a directory"):
        FundingHistory.read(tmp_path)
