"""A history in memory: what is in it, parts of it, and its rows as quotes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from rebalancer import FundingHistory, FundingRate, HistoryError, Quote, RateKind
from rebalancer.domain.names import Market
from rebalancer.history.table import Row, Series

HOUR = 3600
BP = 100_000_000


def a_series(
    venue: str = "lighter", symbol: str = "BTC", *, at: Collection[int] = (1,), kind: RateKind = RateKind.SETTLED
) -> Series:
    """One basis point an hour, at these hours of 1970-01-01."""
    return Series(Market(venue, symbol), kind, tuple(Row(hour * HOUR, BP, HOUR) for hour in at))


def a_history() -> FundingHistory:
    """BTC on three venues, one of them not settled, and ETH on one more."""
    return FundingHistory.of(
        [
            a_series("paradex", "ETH", at=(2, 3)),
            a_series("lighter", at=(5, 9)),
            a_series("grvt", at=(1, 5)),
            a_series("aster", kind=RateKind.FORMING),
        ]
    )


def markets(history: FundingHistory) -> list[str]:
    return [str(series.market) for series in history.series]


def test_series_are_sorted_by_symbol_and_venue() -> None:
    assert markets(a_history()) == ["BTC on aster", "BTC on grvt", "BTC on lighter", "ETH on paradex"]


def test_a_history_knows_its_extent() -> None:
    history = a_history()
    assert (history.start, history.end, len(history)) == (HOUR, 9 * HOUR, 7)
    assert history.symbols == ("BTC", "ETH")
    assert history.venues == ("aster", "grvt", "lighter", "paradex")


def test_rows_come_in_order_of_time_and_at_one_time_of_symbol_and_venue() -> None:
    rows = [(row.at // HOUR, str(series.market)) for series, row in a_history().rows()]
    assert rows == [
        (1, "BTC on aster"),
        (1, "BTC on grvt"),
        (2, "ETH on paradex"),
        (3, "ETH on paradex"),
        (5, "BTC on grvt"),
        (5, "BTC on lighter"),
        (9, "BTC on lighter"),
    ]


def test_the_decisive_series_are_the_settled_ones() -> None:
    assert a_history().settled
    assert markets(a_history().decisive()) == ["BTC on grvt", "BTC on lighter", "ETH on paradex"]


def test_without_settled_rates_every_series_is_decisive() -> None:
    history = FundingHistory.of([a_series(kind=RateKind.FORMING), a_series("grvt", kind=RateKind.INDICATIVE)])
    assert not history.settled
    assert history.decisive() == history


@pytest.mark.parametrize("symbols", [["btc"], ("BTC",), {"Btc"}])
def test_symbols_are_selected_in_any_letter_case(symbols: Collection[str]) -> None:
    assert markets(a_history().select(symbols=symbols)) == ["BTC on aster", "BTC on grvt", "BTC on lighter"]


def test_venues_are_selected_in_any_letter_case() -> None:
    assert markets(a_history().select(venues=["GRVT", "Paradex"])) == ["BTC on grvt", "ETH on paradex"]


def test_symbols_and_venues_are_selected_together() -> None:
    assert markets(a_history().select(symbols=["BTC"], venues=["grvt", "paradex"])) == ["BTC on grvt"]


def test_selecting_nothing_in_particular_keeps_everything() -> None:
    assert a_history().select() == a_history()


@pytest.mark.parametrize(
    ("symbols", "venues", "message"),
    [
        (["BTCC"], None, "the history has no BTCC (did you mean 'BTC'?); it has BTC, ETH"),
        (None, ["lihgter"], "the history has no lihgter (did you mean 'lighter'?); it has aster, grvt, lighter, parad"),
        (["ETH"], ["grvt"], "no market of the history is on both these symbols and these venues"),
        ([], None, "no market of the history is on both these symbols and these venues"),
        (None, (), "no market of the history is on both these symbols and these venues"),
    ],
)
def test_what_is_not_there_is_refused(
    symbols: Collection[str] | None, venues: Collection[str] | None, message: str
) -> None:
    with pytest.raises(HistoryError) as error:
        a_history().select(symbols=symbols, venues=venues)
    assert str(error.value).startswith(message)
    assert error.value.row is None


def test_an_error_lists_no_more_names_than_can_be_read() -> None:
    history = FundingHistory.of([a_series(f"venue-{place:03}") for place in range(100)])
    with pytest.raises(HistoryError, match=r"venue-029 and 70 more$"):
        history.select(venues=["grvt"])


def test_a_settled_row_is_a_quote_whose_next_settlement_is_an_interval_later() -> None:
    row = Row(8 * HOUR, 3 * BP, 4 * HOUR)
    series = Series(Market("grvt", "BTC"), RateKind.SETTLED, (row,))
    eight = datetime(1970, 1, 1, 8, tzinfo=UTC)
    assert series.quote(row) == Quote(
        venue="grvt",
        symbol="BTC",
        rate=FundingRate("0.0003", timedelta(hours=4)),
        observed_at=eight,
        kind=RateKind.SETTLED,
        next_funding_at=eight + timedelta(hours=4),
        origin="history",
    )


def test_when_a_rate_that_is_not_settled_pays_is_unknown() -> None:
    series = a_series(kind=RateKind.FORMING)
    assert series.quote(series.rows[0]).next_funding_at is None


def test_a_quote_has_all_that_the_row_knows() -> None:
    row = Row(HOUR, BP, HOUR, mark_price=Decimal(2), open_interest_usd=Decimal(3), volume_24h_usd=Decimal(4))
    quote = Series(Market("grvt", "BTC"), RateKind.SETTLED, (row,)).quote(row)
    assert (quote.mark_price, quote.open_interest_usd, quote.volume_24h_usd) == (Decimal(2), Decimal(3), Decimal(4))


def test_what_the_row_does_not_know_is_unknown_to_the_quote() -> None:
    series = a_series()
    quote = series.quote(series.rows[0])
    assert (quote.mark_price, quote.open_interest_usd, quote.volume_24h_usd) == (None, None, None)


def test_rows_of_one_value_and_different_intervals_are_different_rates() -> None:
    rows = Row(HOUR, BP, HOUR), Row(9 * HOUR, BP, 8 * HOUR)
    series = Series(Market("grvt", "BTC"), RateKind.SETTLED, rows)
    assert [series.quote(row).rate.steps for row in rows] == [8 * BP, BP]


def test_one_text_is_not_a_list_of_names() -> None:
    rows = (Row(1_767_225_600, 0, 3600),)
    history = FundingHistory.of([Series(Market("a", "BTC"), RateKind.SETTLED, rows)])
    with pytest.raises(HistoryError, match=r"^give a list of symbols or venues, not one text$"):
        history.select(symbols="BTC")
