"""What a check finds: how grave, in which market, when, and in which row."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebalancer import FundingHistory, HistoryError, RateKind
from rebalancer.domain.names import Market
from rebalancer.history.check import Finding, Severity, check_file
from rebalancer.history.table import Row, Series
from rebalancer.testing import sample_history

HOUR = 3600
BP = 100_000_000
HEADER = "time_utc,venue,symbol,funding_rate,interval_hours\n"


def a_series(*rows: tuple[int, int], venue: str = "bybit", rate: int = BP, kind: RateKind = RateKind.SETTLED) -> Series:
    """Rows of one rate: hour and hours of interval."""
    return Series(Market(venue, "INJ"), kind, tuple(Row(at * HOUR, rate, hours * HOUR) for at, hours in rows))


def every(step: int, *, until: int, venue: str = "grvt", kind: RateKind = RateKind.SETTLED) -> Series:
    """A market without a fault."""
    return a_series(*((at, step) for at in range(step, until + 1, step)), venue=venue, kind=kind)


def found(*series: Series) -> list[Finding]:
    return list(FundingHistory.of(series).check())


def only(*series: Series) -> Finding:
    (one,) = found(*series)
    return one


def at(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * HOUR, UTC)


def test_nothing_is_found_in_the_sample() -> None:
    assert sample_history().check() == ()


def test_a_gap_in_which_a_replay_still_knows_the_rate_is_a_note() -> None:
    one = only(a_series((8, 8), (24, 8), (32, 8)))
    assert (one.severity, one.code, one.symbol, one.venue) == (Severity.NOTE, "GAP", "INJ", "bybit")
    assert (one.at, one.count, one.row) == (at(8), 1, None)
    assert one.what == "1 gap of 8 h from 1970-01-01 08:00 that no row stands for"


def test_a_gap_in_which_a_replay_knows_no_rate_is_a_warning() -> None:
    one = only(a_series((8, 8), (32, 8), (48, 8)))
    assert (one.severity, one.count, one.at) == (Severity.WARNING, 2, at(8))
    assert one.what == (
        "2 gaps of 24 h in all, the longest of 16 h from 1970-01-01 08:00 that no row stands for, where a replay knows "
        "no rate"
    )


def test_rows_that_pay_for_the_same_time_are_a_warning() -> None:
    overlap, change = found(a_series((17, 1), (18, 1), (24, 8)))
    assert (overlap.severity, overlap.code, overlap.at) == (Severity.WARNING, "OVERLAP", at(24))
    assert overlap.what == "1 overlap of 2 h from 1970-01-01 16:00: two rows pay for the same time"
    assert change.code == "INTERVAL_CHANGE"


def test_changes_of_interval_are_a_note_with_the_first_three() -> None:
    one = only(a_series((8, 8), (12, 4), (20, 8), (24, 4), (32, 8)))
    assert (one.severity, one.count, one.at) == (Severity.NOTE, 4, at(12))
    assert one.what == (
        "its interval changes: 8 h -> 4 h at 1970-01-01 12:00, 4 h -> 8 h at 1970-01-01 20:00, "
        "8 h -> 4 h at 1970-01-02 00:00, and 1 more"
    )


def test_a_print_beyond_what_is_usual_is_a_warning() -> None:
    calm = every(8, until=48, venue="bybit")
    wild = Series(calm.market, calm.kind, (*calm.rows, Row(56 * HOUR, -501 * BP, 8 * HOUR)))
    one = only(wild)
    assert (one.severity, one.code, one.at, one.count) == (Severity.WARNING, "PRINT", at(56), 1)
    assert one.what == (
        "1 of 7 rates beyond what is usual anywhere (5 % per 8 h), the largest -5.01 % at 1970-01-03 08:00"
    )


def test_a_print_is_measured_against_its_venues_own_cap() -> None:
    calm = every(1, until=9, venue="hyperliquid")

    def printing(value: int) -> Series:
        return Series(calm.market, calm.kind, (*calm.rows, Row(10 * HOUR, value, HOUR)))

    assert found(printing(400 * BP)) == []
    assert "beyond what the venue allows (32 % per 8 h)" in only(printing(400 * BP + 1)).what


def test_a_market_in_another_unit_is_an_error() -> None:
    one = only(a_series(*((at, 8) for at in range(8, 800, 8)), rate=100 * BP))
    assert (one.severity, one.code, one.at) == (Severity.ERROR, "UNITS", at(8))
    assert "is it a percent?" in one.what


def test_a_market_that_stays_at_exactly_0_is_a_warning() -> None:
    ones, zeros = a_series((8, 8), (16, 8)), a_series(*((at, 8) for at in range(24, 24 + 177, 8)), rate=0)
    series = Series(ones.market, ones.kind, (*ones.rows, *zeros.rows))
    one = only(series)
    assert (one.severity, one.code, one.at) == (Severity.WARNING, "ZERO", at(24))
    assert one.what == "a rate of exactly 0 for 176 h from 1970-01-02 00:00, to its end: was it delisted?"


@pytest.mark.parametrize(("hours", "findings"), [(168, 0), (176, 1)])
def test_a_week_of_zeros_is_not_yet_remarkable(hours: int, findings: int) -> None:
    zeros = a_series(*((at, 8) for at in range(8, 8 + hours + 1, 8)), rate=0)
    assert len(found(zeros)) == findings


def test_a_market_that_ends_before_the_others_is_a_warning() -> None:
    whole = every(1, until=200)
    assert found(whole, every(1, until=128, venue="bybit")) == []
    one = only(whole, every(1, until=127, venue="bybit"))
    assert (one.severity, one.code, one.venue, one.at) == (Severity.WARNING, "ENDS_EARLY", "bybit", at(127))
    assert one.what == "its last row is of 1970-01-06 07:00, 73 h before the end"


def test_two_kinds_of_rates_are_a_note_about_the_whole() -> None:
    one = only(every(1, until=9), every(1, until=9, venue="lighter", kind=RateKind.INDICATIVE))
    assert (one.severity, one.code, one.symbol, one.count) == (Severity.NOTE, "KINDS", None, 1)
    assert one.what == "the rates are of several kinds (indicative, settled): a replay uses the settled ones alone"


def test_the_gravest_findings_come_first() -> None:
    series = a_series((8, 8), (16, 8), (48, 8), (49, 1))
    percent = a_series(*((at, 8) for at in range(8, 56, 8)), rate=600 * BP, venue="aster")
    assert [one.severity for one in found(series, percent)] == [
        Severity.ERROR,
        Severity.WARNING,
        Severity.WARNING,
        Severity.NOTE,
    ]


# files


def checked(path: Path, *lines: str) -> tuple[Finding, ...]:
    path.write_text(HEADER + "\n".join(lines))
    return check_file(path)


def line(hour: int, rate: str = "0.0001", *, hours: int = 1, venue: str = "bybit") -> str:
    return f"2026-01-01T{hour:02}:00:00Z,{venue},INJ,{rate},{hours}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.csv"


def test_every_row_that_would_be_refused_is_found_with_its_number(path: Path) -> None:
    bad = checked(path, line(1), line(2, "x"), line(3), "2026-01-01T01:00:00Z,bybit,INJ,0.1,1", line(4, "9"), line(5))
    refused = [one for one in bad if one.code == "REFUSED"]
    assert [(one.severity, one.row) for one in refused] == [(Severity.ERROR, row) for row in (3, 5, 6)]
    assert refused[0].what == "funding_rate: not a number: write plain ASCII digits, such as 0.0001"
    assert str(refused[1]) == "error: a second row of INJ on bybit at one time (row 5)"


def test_a_file_without_a_good_row_has_only_refusals(path: Path) -> None:
    assert [one.row for one in checked(path, line(1, "x"), line(2, "y"))] == [2, 3]


def test_a_file_that_can_not_be_read_is_an_error(path: Path) -> None:
    with pytest.raises(HistoryError, match="can not be read"):
        check_file(path)
    path.write_text(HEADER)
    with pytest.raises(HistoryError, match="has no rows"):
        check_file(path)


def test_findings_name_the_row_of_the_file(path: Path) -> None:
    (change,) = checked(path, line(1, venue="grvt"), line(8, hours=8), line(16, hours=8), "", line(17))
    assert (change.code, change.row) == ("INTERVAL_CHANGE", 6)
    assert str(change).startswith("note: INJ on bybit: its interval changes: 8 h -> 1 h")
    assert str(change).endswith(" (row 6)")


def test_a_percent_is_found_with_its_row(path: Path) -> None:
    (one,) = checked(path, *(line(hour, "0.00625") for hour in range(1, 9)))
    assert (one.code, one.severity, one.row) == ("UNITS", Severity.ERROR, 2)


def test_rows_out_of_order_are_a_note(path: Path) -> None:
    (one,) = checked(path, line(2), line(1), line(3))
    assert (one.severity, one.code, one.row) == (Severity.NOTE, "ORDER", 3)
    assert one.what == "its rows do not come in order of time; they are read as if they did"
