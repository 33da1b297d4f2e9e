"""What a report says, and the sums that must hold in it."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import CombinedStrategy, Costs, TimeLimit, presets
from rebalancer.plugins import PluginManager
from rebalancer.replay import Hindsight, ReplayReport, SymbolOptimum, SymbolReport, hindsight, replay
from rebalancer.testing import sample_history

PRESETS = PluginManager().registry.presets

KEYS = [
    "strategy",
    "start",
    "end",
    "every",
    "ticks",
    "rows",
    "venues",
    "ignored",
    "costs",
    "net_bps",
    "funding_bps",
    "cost_bps",
    "hold_through_bps",
    "never_trade_bps",
    "optimum_bps",
    "captured_share",
    "regret_bps",
    "trades",
    "legs_traded",
    "held_hours",
    "lone_leg_hours",
    "reasons",
    "symbols",
    "engine",
]


@cache
def a_report(name: str = "conservative", leg_bps: str = "2", seed: int = 7) -> ReplayReport:
    """Ten days of the sample."""
    return replay(PRESETS.create(name), sample_history(seed=seed, days=10), costs=Costs.flat(leg_bps=leg_bps))


def test_the_json_has_these_keys_and_no_log() -> None:
    report = json.loads(a_report().model_dump_json())
    assert list(report) == KEYS
    assert list(report["symbols"][0]) == [
        "symbol",
        "net_bps",
        "funding_bps",
        "cost_bps",
        "hold_through_bps",
        "optimum_bps",
        "captured_share",
        "regret_bps",
        "trades",
        "legs_traded",
        "held_hours",
        "lone_leg_hours",
    ]
    assert list(report["reasons"][0]) == ["reason", "trades", "funding_bps", "cost_bps"]


def test_the_json_says_what_was_replayed() -> None:
    report = json.loads(a_report().model_dump_json())
    assert report["strategy"] == repr(presets.conservative())
    assert (report["start"], report["end"]) == ("2026-01-01T01:00:00Z", "2026-01-11T00:00:00Z")
    assert (report["every"], report["ticks"], report["rows"]) == ("PT1H", 240, len(sample_history(days=10)))
    assert (report["venues"], report["ignored"]) == (["aster", "grvt", "lighter", "paradex"], [])
    assert [one["symbol"] for one in report["symbols"]] == ["BTC", "ETH", "HYPE", "SOL"]
    assert report["never_trade_bps"] == "0"


def test_decimals_are_strings_of_plain_digits() -> None:
    report = json.loads(a_report().model_dump_json())
    for part in (report, *report["symbols"], *report["reasons"]):
        for name, figure in part.items():
            if name.endswith(("_bps", "_hours", "_share")):
                assert isinstance(figure, str)
                assert "E" not in figure


@pytest.mark.parametrize("name", PRESETS)
def test_net_is_funding_less_costs_and_all_is_the_sum_of_its_symbols(name: str) -> None:
    report = a_report(name)
    assert report.trades > (5 if name == "adaptive" else 50)
    parts: list[ReplayReport | SymbolReport] = [report, *report.symbols]
    for part in parts:
        assert part.funding_bps is not None
        assert part.net_bps == part.funding_bps - part.cost_bps
    sums = ("net_bps", "funding_bps", "cost_bps", "hold_through_bps", "optimum_bps", "regret_bps", "trades")
    for figure in (*sums, "legs_traded", "held_hours"):
        assert getattr(report, figure) == sum(getattr(one, figure) for one in report.symbols)


@pytest.mark.parametrize("leg_bps", ["0", "2", "300"])
def test_it_stands_beside_the_optimum_at_the_same_costs_and_ticks(leg_bps: str) -> None:
    report, costs = a_report("combined", leg_bps), Costs.flat(leg_bps=leg_bps)
    most = hindsight(sample_history(days=10), costs=costs)
    parts: list[tuple[ReplayReport | SymbolReport, Hindsight | SymbolOptimum]] = [(report, most)]
    for part, optimum in (*parts, *zip(report.symbols, most.symbols, strict=True)):
        assert part.net_bps is not None
        assert part.optimum_bps == optimum.net_bps
        assert part.regret_bps == optimum.net_bps - part.net_bps
        if optimum.net_bps == 0:
            assert part.captured_share is None
        else:
            assert part.captured_share == round(Fraction(part.net_bps) / Fraction(optimum.net_bps) * 10**6) / Decimal(
                10**6
            )


def test_the_optimum_has_the_ticks_of_the_replay() -> None:
    history, day = sample_history(days=10), timedelta(days=1)
    assert replay(presets.combined(), history, every=day).optimum_bps == hindsight(history, every=day).net_bps


def test_the_optimum_is_unknown_with_rebates_and_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    history = sample_history(days=3)
    rebates = Costs(leg_bps=2, venues={"grvt": "-0.1"})
    assert "grvt" in history.venues
    of_rebates = replay(presets.combined(), history, costs=rebates)
    monkeypatch.setitem(sys.modules, "numpy", None)
    for report in (of_rebates, replay(presets.combined(), history)):
        parts: list[ReplayReport | SymbolReport] = [report, *report.symbols]
        for part in parts:
            assert part.net_bps is not None
            assert (part.optimum_bps, part.captured_share, part.regret_bps) == (None, None, None)


@pytest.mark.parametrize("name", PRESETS)
def test_the_reasons_share_out_trades_costs_and_funding(name: str) -> None:
    report = a_report(name)
    assert [reason.reason for reason in report.reasons] == sorted({str(trade.reason) for trade in report.log})
    for figure in ("trades", "funding_bps", "cost_bps"):
        assert getattr(report, figure) == sum(getattr(reason, figure) for reason in report.reasons)


@given(st.integers(-200, 200), st.integers(0, 3))
@settings(max_examples=10)
def test_costs_scale_and_nothing_else_changes(tenths: int, seed: int) -> None:
    """The strategy's own idea of costs stays, so it trades the same."""
    once, more = a_report("aggressive", "0.1", seed), a_report("aggressive", str(Decimal(tenths) / 10), seed)
    assert more.cost_bps == once.cost_bps * tenths
    assert more.funding_bps == once.funding_bps
    assert [(trade.at, trade.action, trade.pair) for trade in more.log] == [
        (trade.at, trade.action, trade.pair) for trade in once.log
    ]


def test_without_costs_the_net_is_the_funding() -> None:
    report = a_report("combined", "0")
    assert report.net_bps == report.funding_bps


def test_a_replay_is_the_same_every_time() -> None:
    history, strategy = sample_history(days=10), presets.conservative()
    assert replay(strategy, history) == replay(strategy, history) == a_report()


def test_a_report_survives_json_but_for_its_log() -> None:
    report = a_report()
    fields = json.loads(report.model_dump_json())
    assert ReplayReport.model_validate({**fields, "log": report.log}) == report


def test_a_strategy_that_only_holds_trades_twice_a_symbol() -> None:
    report = replay(CombinedStrategy(TimeLimit(max_age=timedelta(days=365))), sample_history(days=3))
    assert report.trades == 2 * len(report.symbols)
    assert [reason.reason for reason in report.reasons] == ["END_OF_HISTORY", "ENTRY"]
