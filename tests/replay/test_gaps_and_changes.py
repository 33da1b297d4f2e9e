"""What a replay makes of missing rows, of rows that overlap, and of a venue that changes its rhythm: what they say."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from rebalancer import CombinedStrategy, Costs, FundingHistory, RateKind, TimeLimit
from rebalancer.domain.names import Market
from rebalancer.domain.numbers import BPS
from rebalancer.history.table import Row, Series
from rebalancer.replay import ReplayReport, Trade, replay

HOUR = 3600
EVER = CombinedStrategy(TimeLimit(max_age=timedelta(days=365)))
DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def a_market(venue: str, *rows: tuple[int, int, int]) -> Series:
    """Rows of hour, hours of interval, and basis points over that interval."""
    return Series(
        Market(venue, "INJ"),
        RateKind.SETTLED,
        tuple(Row(at * HOUR, bps * BPS, hours * HOUR) for at, hours, bps in rows),
    )


LONG = a_market("lighter", *((hour, 1, 0) for hour in range(1, 49)))
"""A leg that pays nothing, hour by hour."""


def run(short: Series, **options: object) -> ReplayReport:
    return replay(EVER, FundingHistory.of([LONG, short]), costs=Costs.flat(leg_bps=0), **options)  # type: ignore[arg-type]


def known(short: Series) -> list[int]:
    """The hours at which the divergence of the open position is known."""
    lines: list[Trade] = []
    run(short, log=lines.append, holds=True)
    return sorted({line.at // HOUR for line in lines if line.divergence is not None})


def test_nothing_is_paid_for_a_row_that_is_missing() -> None:
    whole = a_market("grvt", (8, 8, 5), (16, 8, 5), (24, 8, 5), (32, 8, 5))
    holed = a_market("grvt", (8, 8, 5), (16, 8, 5), (32, 8, 5))
    assert run(whole).funding_bps == 15
    assert run(holed).funding_bps == 10


def test_one_missing_row_leaves_the_rate_known_and_two_do_not() -> None:
    one = a_market("grvt", (8, 8, 5), (24, 8, 5), (40, 8, 5), (48, 8, 5))
    assert known(one) == list(range(8, 49))
    two = a_market("grvt", (8, 8, 5), (32, 8, 5), (40, 8, 5), (48, 8, 5))
    assert known(two) == [*range(8, 25), *range(32, 49)]


def test_of_rows_that_overlap_each_pays_its_own_rate_in_full() -> None:
    back = a_market("grvt", (16, 8, 5), (17, 1, 1), (18, 1, 1), (24, 8, 6), (32, 8, 6))
    assert run(back).funding_bps == 1 + 1 + 6 + 6


def test_a_change_of_rhythm_changes_at_once_how_long_a_rate_is_known() -> None:
    faster = a_market("grvt", (8, 8, 5), (16, 8, 5), (17, 1, 1), (18, 1, 1))
    assert known(faster) == list(range(8, 21))


@pytest.mark.campaign
@pytest.mark.skipif(not DATA.exists(), reason="needs the real histories")
def test_the_real_change_of_rhythm_pays_exactly_its_rows() -> None:
    """bybit settled INJ every 8 h, every hour from 2026-02-19 17:00 to 2026-02-26 18:00, and every 8 h again."""
    real = FundingHistory.read(DATA / "hl_binance_bybit_2025-08_2026-08.csv.gz").select(
        symbols=["INJ"], venues=["binance", "bybit"]
    )
    report = replay(EVER, real, costs=Costs.flat(leg_bps=0))
    opened = report.log[0]
    sign = {opened.pair.long_dex: -1, opened.pair.short_dex: 1}
    paid = sum(
        sign[series.market.venue] * row.value for series in real.series for row in series.rows if row.at > opened.at
    )
    assert report.trades == 2
    assert report.funding_bps == Decimal(paid) / BPS
