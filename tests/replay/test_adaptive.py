"""The adaptive strategy on histories: never a look ahead, and what it earned on real rates."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import CombinedStrategy, Costs, FundingHistory, NetCarry, RateKind, presets
from rebalancer.domain.names import Market
from rebalancer.history.table import Row, Series
from rebalancer.replay import ReplayReport, Trade, replay
from rebalancer.replay.lanes import Engine
from rebalancer.testing import sample_history

START = 1_767_225_600
HOUR = 3600
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
MAIN = "hl_binance_bybit_2025-08_2026-08.csv.gz"
OTHERS = {
    "seven_venues_2025-03_2026-03.csv.gz": ("0.51", "0.48", "0.49"),
    "stock_perps_hlxyz_bybit_2025-11_2026-08.csv.gz": ("0.16", "0.19", "0.21"),
}
"""What it must capture of the optimum at the three costs."""
LEGS = ("2", "4", "7.5")
"""In bp: round trips of 8, 16 and 30."""
ENGINES: tuple[Engine, ...] = ("scalar", "numpy", "compiled")


def a_history(random: Random) -> FundingHistory:
    """Four days of four markets of different rhythm, with lasting changes and spikes."""
    series = []
    for venue in ("a", "b", "c", "d"):
        interval = random.choice([1, 1, 4, 8]) * HOUR
        level, rows = 0, []
        for at in range(START, START + 96 * HOUR, interval):
            level = random.choice([level] * 8 + [0, 10**8, -(10**8)])
            spike = random.choice([0] * 20 + [3 * 10**9])
            if random.random() < 0.97:
                rows.append(Row(at, (level + spike) * interval // (8 * HOUR), interval))
        series.append(Series(Market(venue, "BTC"), RateKind.SETTLED, tuple(rows)))
    return FundingHistory.of(series)


def scrambled(history: FundingHistory, after: int, random: Random) -> FundingHistory:
    """The same up to that instant; after it every rate is another one."""

    def other(row: Row) -> Row:
        return row if row.at <= after else Row(row.at, random.randint(-(10**9), 10**9), row.interval)

    return FundingHistory.of(Series(one.market, one.kind, tuple(map(other, one.rows))) for one in history.series)


def quick() -> NetCarry:
    """The same strategy on days instead of weeks."""
    return NetCarry(
        costs=Costs(leg_bps="0.1", venues={"a": "0.3"}),
        half_life=timedelta(hours=8),
        horizon=timedelta(hours=12),
        warm_up=timedelta(hours=6),
        max_unknown=timedelta(hours=20),
    )


def lines(history: FundingHistory, engine: Engine) -> list[Trade]:
    found: list[Trade] = []
    replay(CombinedStrategy(quick()), history, log=found.append, holds=True, engine=engine)
    return found


@given(st.integers(0, 2**32).map(Random), st.sampled_from(["scalar", "numpy"]))
@settings(max_examples=10)
def test_rows_after_an_instant_change_no_decision_up_to_it(random: Random, engine: Engine) -> None:
    history = a_history(random)
    whole = lines(history, engine)
    assert any(line.action in {"SWITCH", "OPEN"} for line in whole)
    for _ in range(4):
        cut = START + random.randint(0, 95) * HOUR
        again = lines(scrambled(history, cut, random), engine)
        assert [line for line in again if line.at <= cut] == [line for line in whole if line.at <= cut]


def test_on_the_made_up_history_it_beats_holding_through_where_the_literal_presets_lose() -> None:
    history, costs = sample_history(), Costs(leg_bps=2)
    report = replay(presets.adaptive(costs=costs), history, costs=costs)
    assert report.net_bps is not None
    assert report.hold_through_bps is not None
    assert report.net_bps > report.hold_through_bps > 0
    literal = replay(presets.conservative(costs=costs), history, costs=costs)
    assert literal.net_bps is not None
    assert literal.net_bps < 0


@cache
def real(name: str) -> FundingHistory:
    if not (DATA / name).is_file():
        pytest.skip("the real histories are not here")
    return FundingHistory.read(DATA / name)


def earned(name: str, leg_bps: str, *, max_unknown: timedelta | None = None) -> ReplayReport:
    costs = Costs(leg_bps=leg_bps)
    return replay(presets.adaptive(costs=costs, max_unknown=max_unknown), real(name), costs=costs)


def captured(report: ReplayReport) -> float:
    assert report.captured_share is not None
    return float(report.captured_share)


@pytest.mark.campaign
@pytest.mark.parametrize(("leg_bps", "least"), list(zip(LEGS, (0.49, 0.49, 0.47), strict=True)))
def test_of_a_year_on_five_markets_it_captures_half_and_every_symbol_earns(leg_bps: str, least: float) -> None:
    report = earned(MAIN, leg_bps)
    assert captured(report) >= least
    assert len(report.symbols) == 21
    assert all(one.net_bps is not None and one.net_bps > 0 for one in report.symbols)


@pytest.mark.campaign
@pytest.mark.parametrize(("leg_bps", "share"), list(zip(LEGS, (0.498, 0.501, 0.485), strict=True)))
def test_closing_what_is_unknown_for_two_days_captures_as_much_at_any_cost(leg_bps: str, share: float) -> None:
    assert captured(earned(MAIN, leg_bps, max_unknown=timedelta(hours=48))) == pytest.approx(share, abs=0.003)


@pytest.mark.campaign
@pytest.mark.parametrize("name", OTHERS)
def test_with_the_same_numbers_it_does_as_well_on_other_venues_and_markets(name: str) -> None:
    for leg_bps, least in zip(LEGS, OTHERS[name], strict=True):
        assert captured(earned(name, leg_bps)) >= float(least)


@pytest.mark.campaign
@pytest.mark.parametrize("name", [MAIN, *OTHERS])
def test_on_real_rates_all_engines_agree(name: str) -> None:
    costs = Costs(leg_bps=4, venues={"bybit": 2})
    found = []
    for engine in ("scalar", "numpy", "compiled"):
        log: list[Trade] = []
        report = replay(
            presets.adaptive(costs=costs), real(name), costs=costs, log=log.append, holds=True, engine=engine
        )
        found.append((log, report.model_dump(exclude={"engine"})))
    assert found[0] == found[1] == found[2]
