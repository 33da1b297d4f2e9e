"""Rates in percent, or per year, are refused with their row; real ones never are, however wild."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from rebalancer import FundingHistory, HistoryError
from rebalancer.history.read import history_of
from rebalancer.testing import sample_history

HEADER = ("time_utc", "venue", "symbol", "funding_rate", "interval_hours")
DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def lines(
    *rates: str, venue: str = "binance", symbol: str = "SOL", hours: int = 8, times: int = 40
) -> list[tuple[str, ...]]:
    """So many rows of a market, its rates over and over."""
    return [
        (
            f"2026-{1 + day // 28:02}-{1 + day % 28:02}T{hour:02}:00:00Z",
            venue,
            symbol,
            rates[place % len(rates)],
            str(hours),
        )
        for place in range(times)
        for day, hour in [divmod(place * 8, 24)]
    ]


def read(*markets: Sequence[tuple[str, ...]], trust_units: bool = False) -> FundingHistory:
    return history_of(HEADER, [line for market in markets for line in market], first_row=2, trust_units=trust_units)


def refused(*markets: Sequence[tuple[str, ...]]) -> tuple[int | None, str]:
    with pytest.raises(HistoryError) as error:
        read(*markets)
    return error.value.row, str(error.value)


def test_a_market_in_percent_is_refused_with_its_first_large_row_and_the_mend() -> None:
    row, message = refused(lines("0.0001", venue="bybit", times=3), lines("0.001", "0.01", "0.02"))
    assert row == 6
    assert message == (
        "row 6: funding_rate: half of the rates of SOL on binance are 1 % per 8 h or more, which no market's are for "
        "long: is it a percent? divide by 100; a rate per year? divide by the intervals of a year; is it right? "
        "trust_units=True, --trust-units"
    )


def test_an_hourly_percent_is_compared_per_8_h() -> None:
    assert refused(lines("0.00125", hours=1))[0] == 2
    assert read(lines("0.00124", hours=1))


def test_a_rate_per_year_is_refused() -> None:
    assert "a rate per year?" in refused(lines("0.1095"))[1]


@pytest.mark.parametrize("symbol", ["BTC", "ETH"])
def test_the_calmest_coins_are_refused_sooner(symbol: str) -> None:
    assert refused(lines("0.006", symbol=symbol))[0] == 2
    assert read(lines("0.006"))


def test_a_market_30_times_as_large_as_elsewhere_is_refused() -> None:
    elsewhere = lines("0.0002", venue="bybit"), lines("0.0002", venue="okx")
    assert "30 times those elsewhere" in refused(*elsewhere, lines("0.006"))[1]
    assert read(*elsewhere, lines("0.0059"))


def test_a_venue_whose_markets_are_mostly_large_is_refused() -> None:
    coins = [lines("0.006", symbol=name) for name in ("A", "B", "C", "D")]
    assert read(*coins, *(lines("0.001", symbol=name) for name in ("E", "F", "G", "H", "I")))
    assert "and so are those of most markets on binance" in refused(*coins, lines("0.001", symbol="E"))[1]


def test_a_file_whose_markets_are_mostly_large_is_refused() -> None:
    coins = [lines("0.006", symbol="A", venue=name) for name in ("a", "b", "c", "d")]
    assert read(*coins)
    assert "and so are those of most markets here" in refused(*coins, lines("0.006", symbol="A", venue="e"))[1]


def test_a_short_spell_of_the_calmest_coins_is_taken_unless_it_is_1_percent() -> None:
    assert read(lines("0.006", times=29, symbol="BTC"))
    assert read(lines("0.0099", times=3, symbol="BTC"))
    assert refused(lines("0.01", times=3, symbol="BTC"))[0] == 2


def test_a_short_market_is_not_judged_by_others() -> None:
    assert read(lines("0.0002", venue="bybit"), lines("0.006", times=29))


def test_few_large_rows_are_a_squeeze_and_no_percent() -> None:
    assert read(lines("0.02", times=29))
    assert refused(lines("0.02", times=30))[0] == 2


def test_very_large_rates_are_refused_from_three_rows_on() -> None:
    assert read(lines("0.3", times=2))
    assert refused(lines("0.3", times=3))[0] == 2


def test_rare_huge_prints_are_taken() -> None:
    assert read(lines("0.32", *["0.0001"] * 9))
    assert read(lines(*["0.32"] * 19, *["0.0001"] * 21))


def test_rows_of_0_do_not_hide_a_percent() -> None:
    assert refused(lines("0", "0", "0.02", times=60))[0] == 4


def test_units_can_be_trusted() -> None:
    assert len(read(lines("0.5"), trust_units=True)) == 40


def test_a_file_can_be_read_with_its_units_trusted(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("\n".join(",".join(line) for line in (HEADER, *lines("0.05"))))
    with pytest.raises(HistoryError, match="is it a percent"):
        FundingHistory.read(path)
    assert len(FundingHistory.read(path, trust_units=True)) == 40


def test_the_sample_in_percent_is_refused_and_as_it_is_not() -> None:
    sample = sample_history(days=10)

    def rows(times: int) -> list[tuple[str, ...]]:
        return [
            (
                series.quote(row).observed_at.isoformat(),
                *series.market,
                f"{series.quote(row).rate.value * times:f}",
                str(Decimal(row.interval) / 3600),
            )
            for series, row in sample.rows()
        ]

    assert read(rows(1)) == sample
    assert "is it a percent?" in refused(rows(100))[1]


@pytest.mark.campaign
@pytest.mark.skipif(not DATA.exists(), reason="needs the real histories")
@pytest.mark.parametrize("path", sorted(DATA.glob("*.csv.gz")) if DATA.exists() else [], ids=lambda path: path.name)
def test_real_histories_are_taken_and_the_same_in_percent_are_refused(path: Path) -> None:
    real = FundingHistory.read(path)
    percent = [
        (
            series.quote(row).observed_at.isoformat(),
            *series.market,
            f"{series.quote(row).rate.value * 100:f}",
            str(Decimal(row.interval) / 3600),
        )
        for series, row in real.rows()
        if abs(row.per_8h) <= 10**10
    ]
    assert "is it a percent?" in refused(percent)[1]
