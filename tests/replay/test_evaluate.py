"""An evaluation: strategies beside holding through and the optimum, at several costs, in and out of sample."""

from __future__ import annotations

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalancer import (
    CombinedStrategy,
    Costs,
    DivergenceFlip,
    FundingHistory,
    HistoryError,
    InputError,
    MarketSnapshot,
    NetCarry,
    Opportunity,
    ProfitErosion,
    RateKind,
    TargetFilter,
    TimeLimit,
    presets,
)
from rebalancer.domain.numbers import total
from rebalancer.history.table import Row, Series
from rebalancer.replay import (
    AtCost,
    Evaluation,
    EvaluationRow,
    Interval,
    Setting,
    evaluate,
    grid,
    hindsight,
    replay,
    scores,
    sweep,
    walk_forward,
)
from rebalancer.replay.bootstrap import Bootstrap
from rebalancer.testing import sample_history

pytest.importorskip("numpy")

DAYS = 8
HISTORY = sample_history(days=DAYS)


def patient(*, costs: Costs) -> CombinedStrategy:
    """Opens, and leaves when the divergence has turned far."""
    return CombinedStrategy(DivergenceFlip(margin="-0.0004"))


def eager(*, costs: Costs) -> CombinedStrategy:
    return CombinedStrategy(ProfitErosion(keep="0.5"))


def broken(*, costs: Costs) -> CombinedStrategy:
    raise LookupError("no such thing")


STRATEGIES = {"patient": patient, "eager": eager}


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluate(HISTORY, strategies=STRATEGIES, round_trips=[1, "6"], workers=1)


def the(at: AtCost, name: str) -> EvaluationRow:
    return next(row for row in at.rows if row.name == name)


def test_each_row_is_what_a_replay_says_at_a_quarter_of_the_round_trip_a_leg(found: Evaluation) -> None:
    assert [one.round_trip_bps for one in found.by_cost] == [1, 6]
    for one, leg_bps in zip(found.by_cost, ("0.25", "1.5"), strict=True):
        costs = Costs.flat(leg_bps=leg_bps)
        assert one.costs == costs
        assert [row.name for row in one.strategies] == ["patient", "eager"]
        for row in one.strategies:
            report = replay(STRATEGIES[row.name](costs=costs), HISTORY, costs=costs)
            nets = {symbol.symbol: symbol.net_bps or Decimal(0) for symbol in report.symbols}
            through = {symbol.symbol: symbol.hold_through_bps or Decimal(0) for symbol in report.symbols}
            assert row.net_bps == report.net_bps
            assert row.captured_share == report.captured_share
            assert dict(zip(found.symbols, row.symbols_bps, strict=True)) == nets
            assert row.symbols_above_zero == sum(net > 0 for net in nets.values())
            assert row.symbols_above_hold_through == sum(nets[name] > through[name] for name in nets)
            assert (row.worst_symbol, row.worst_symbol_bps) == min(nets.items(), key=lambda item: (item[1], item[0]))
            hours = (report.end - report.start).total_seconds() / 3600
            assert row.trades_a_year is not None
            assert float(row.trades_a_year) == pytest.approx(report.trades * 8760 / hours, abs=1e-6)


def test_holding_through_and_the_optimum_stand_beside_them(found: Evaluation) -> None:
    for one in found.by_cost:
        report = replay(patient(costs=one.costs), HISTORY, costs=one.costs)
        through, best = one.hold_through, one.optimum
        assert (through.net_bps, best.net_bps) == (report.hold_through_bps, report.optimum_bps)
        assert through.symbols_bps == tuple(symbol.hold_through_bps for symbol in report.symbols)
        assert best.symbols_bps == tuple(symbol.optimum_bps for symbol in report.symbols)
        assert best.captured_share == 1
        assert through.captured_share is not None
        assert through.captured_interval is not None
        assert (through.symbols_above_hold_through, best.captured_interval) == (None, None)
        assert (through.parts_bps, best.parts_bps) == ((), ())
        span = Decimal((found.bounds[-1] - found.bounds[0]).total_seconds())
        moves = sum(len(symbol.moves) for symbol in hindsight(HISTORY, costs=one.costs).symbols)
        opened = sum(bps != 0 for bps in through.symbols_bps)
        for row, trades in ((through, 2 * opened), (best, moves)):
            assert row.trades_a_year is not None
            assert float(row.trades_a_year) == pytest.approx(float(trades * 365 * 86_400 / span), abs=1e-6)


def test_the_net_of_each_part_is_what_was_paid_in_it_by_one_replay(found: Evaluation) -> None:
    one = found.by_cost[0]
    settings = [Setting(make(costs=one.costs), costs=one.costs) for make in STRATEGIES.values()]
    parts = scores(HISTORY, settings, cuts=found.bounds[1:-1]).net.sum(axis=1)
    for row, steps in zip(one.strategies, parts.tolist(), strict=True):
        assert [bps * 10**8 for bps in row.parts_bps] == steps
        assert len(row.parts_bps) == 4


def test_the_net_of_each_fold_is_that_of_its_symbols(found: Evaluation) -> None:
    assert found.folds == (("BTC", "SOL"), ("ETH",), ("HYPE",))
    for row in (*found.by_cost[0].rows, *found.by_cost[1].rows):
        nets = dict(zip(found.symbols, row.symbols_bps, strict=True))
        assert row.folds_bps == (total(nets["BTC"], nets["SOL"]), nets["ETH"], nets["HYPE"])


def test_strategies_are_chosen_by_what_they_earned_before_and_tested_on_what_came_after(found: Evaluation) -> None:
    for one in found.by_cost:
        walked = one.walk_forward
        assert walked is not None
        for part, split in enumerate(walked.time, start=1):
            earned = {row.name: total(*row.parts_bps[:part]) for row in one.strategies}
            name = split.chosen.parameters["strategy"]
            assert name == max(earned, key=earned.__getitem__)
            assert split.out_of_sample_bps == the(one, name).parts_bps[part]
        for fold, split in enumerate(walked.symbols):
            others = {row.name: total(*row.folds_bps[:fold], *row.folds_bps[fold + 1 :]) for row in one.strategies}
            name = split.chosen.parameters["strategy"]
            assert name == max(others, key=others.__getitem__)
            assert split.out_of_sample_bps == the(one, name).folds_bps[fold]
        assert one.optimum.net_bps is not None
        assert one.across_symbols_share is not None
        assert abs(one.across_symbols_share - walked.across_symbols_bps / one.optimum.net_bps) <= Decimal("0.0000005")


def test_the_choice_is_that_of_a_sweep_over_the_strategies_names(found: Evaluation) -> None:
    one = found.at(6)

    def make(*, strategy: str, round_trip_bps: str) -> Setting:
        return Setting(STRATEGIES[strategy](costs=one.costs), costs=one.costs)

    swept = sweep(make, grid(strategy=list(STRATEGIES), round_trip_bps=["6"]), HISTORY, workers=1, optimum=False)
    assert one.walk_forward is not None
    assert one.walk_forward.as_dict() == walk_forward(swept, folds=3).as_dict()


def test_every_preset_is_evaluated_with_the_entry_that_goes_with_it() -> None:
    one = evaluate(HISTORY, round_trips=[2], workers=1).at(2)
    assert [row.name for row in one.strategies] == ["adaptive", "combined", "conservative", "aggressive"]
    costs = Costs.flat(leg_bps="0.5")
    report = replay(presets.adaptive(costs=costs), HISTORY, costs=costs)
    assert report.trades
    assert the(one, "adaptive").net_bps == report.net_bps


def test_a_strategy_that_fails_is_a_row_with_its_error_and_never_chosen() -> None:
    one = evaluate(HISTORY, strategies={"broken": broken, **STRATEGIES}, round_trips=[4], workers=1).by_cost[0]
    failed = one.strategies[0]
    assert failed == EvaluationRow("broken", error="LookupError: no such thing")
    assert one.strategies[1:] == evaluate(HISTORY, strategies=STRATEGIES, round_trips=[4], workers=1).at(4).strategies
    assert one.walk_forward is not None
    assert {split.settings for split in one.walk_forward.time} == {2}


class Refusing(NetCarry):
    """A rule that decides, and an entry policy that raises."""

    def should_open(
        self, symbol: str, snapshot: MarketSnapshot, *, targets: TargetFilter = TargetFilter.ANY
    ) -> Opportunity | None:
        raise LookupError(f"no {symbol}")


def test_where_every_strategy_fails_there_is_nothing_to_choose() -> None:
    refusing = {"refusing": lambda costs: CombinedStrategy(Refusing(costs=costs))}
    one = evaluate(HISTORY, strategies=refusing, round_trips=[4], workers=1).by_cost[0]
    assert one.strategies == (EvaluationRow("refusing", error="LookupError: no BTC"),)
    assert (one.walk_forward, one.across_symbols_share) == (None, None)
    assert one.hold_through.net_bps is not None


def test_the_ticks_may_be_further_apart() -> None:
    slow = timedelta(hours=8)
    one = evaluate(HISTORY, strategies=STRATEGIES, round_trips=[4], every=slow, workers=1).by_cost[0]
    report = replay(patient(costs=one.costs), HISTORY, costs=one.costs, every=slow)
    rows = (one.strategies[0], one.hold_through, one.optimum)
    assert [row.net_bps for row in rows] == [report.net_bps, report.hold_through_bps, report.optimum_bps]


def test_one_symbol_has_neither_an_interval_nor_folds() -> None:
    found = evaluate(HISTORY.select(symbols=["BTC"]), strategies=STRATEGIES, round_trips=[1], workers=1)
    row = found.by_cost[0].strategies[0]
    assert (found.folds, row.folds_bps, row.captured_interval) == ((), (), None)
    assert row.captured_share is not None
    assert found.by_cost[0].across_symbols_share is None


def test_where_there_is_nothing_to_earn_nothing_is_captured() -> None:
    one = evaluate(HISTORY, strategies=STRATEGIES, round_trips=[400], workers=1).by_cost[0]
    assert one.optimum.net_bps == 0
    for row in one.rows:
        assert (row.captured_share, row.captured_interval) == (None, None)
    assert one.across_symbols_share is None


def test_a_symbol_on_which_nothing_was_earned_is_above_neither_zero_nor_holding_through() -> None:
    still = FundingHistory.of(
        Series(one.market, one.kind, tuple(Row(row.at, 0, row.interval) for row in one.rows)) for one in HISTORY.series
    )
    row = evaluate(still, strategies=STRATEGIES, round_trips=[1], workers=1).by_cost[0].strategies[0]
    assert row.net_bps == 0
    assert (row.symbols_above_zero, row.symbols_above_hold_through) == (0, 0)


class Counting(ThreadPoolExecutor):
    """Threads that count what they were given to do."""

    given = 0

    def submit(self, *arguments: Any, **options: Any) -> Any:
        self.given += 1
        return super().submit(*arguments, **options)


def test_it_runs_on_any_executor_and_says_how_far_it_is(found: Evaluation) -> None:
    told: list[tuple[int, int]] = []
    with Counting(2) as executor:
        again = evaluate(
            HISTORY,
            strategies=STRATEGIES,
            round_trips=[1, 6],
            executor=executor,
            progress=lambda done, of: told.append((done, of)),
        )
    assert executor.given
    assert again.as_dict() == found.as_dict()
    assert told[-1] == (4, 4)


def test_the_same_seed_gives_the_same_interval_and_another_one_another(found: Evaluation) -> None:
    row = found.by_cost[0].strategies[0]
    same, other = (
        evaluate(HISTORY, strategies=STRATEGIES, round_trips=[1], seed=seed, workers=1).by_cost[0].strategies[0]
        for seed in (0, 7)
    )
    assert same == row
    assert row.captured_interval is not None
    assert row.captured_share is not None
    assert row.captured_interval.low < row.captured_share < row.captured_interval.high
    assert other.captured_interval != row.captured_interval
    assert other.net_bps == row.net_bps


def test_an_interval_is_of_the_ratio_of_sums_not_of_the_mean_of_shares() -> None:
    nets, optima = [0, *[1] * 9], [1_000, *[1] * 9]  # in 35 % of the resamples the first one is not drawn
    interval = Bootstrap(10, seed=0).interval(nets, optima)
    assert interval is not None
    assert interval.low < Decimal("0.01")
    assert interval.high == 1


def test_an_interval_leaves_out_one_resample_in_twenty_on_either_side() -> None:
    # With 3 symbols, all three draws are the first one in 1 of 27 resamples: beyond the 5th percentile.
    several = Bootstrap(3, seed=0)
    assert several.interval([-1, 0, 0], [1, 1, 1]) == Interval(Decimal("-0.666667"), Decimal(0))
    assert several.interval([1, 0, 0], [1, 1, 1]) == Interval(Decimal(0), Decimal("0.666667"))


def test_where_a_resample_may_have_nothing_to_earn_there_is_no_interval() -> None:
    assert Bootstrap(2, seed=0).interval([1, 0], [1, 0]) is None
    assert Bootstrap(1, seed=0).interval([1], [1]) is None


def test_the_json_has_every_figure_as_an_exact_text(found: Evaluation) -> None:
    read: dict[str, Any] = json.loads(found.to_json())
    assert read == found.as_dict()
    assert read["folds"] == [["BTC", "SOL"], ["ETH"], ["HYPE"]]
    assert len(read["bounds"]) == 5
    row, said = found.by_cost[1].strategies[0], read["by_cost"][1]["strategies"][0]
    assert read["by_cost"][1]["round_trip_bps"] == "6"
    assert Decimal(said["net_bps"]) == row.net_bps
    assert row.captured_interval is not None
    assert list(map(Decimal, said["captured_interval"])) == list(row.captured_interval)
    assert list(map(Decimal, said["parts_bps"])) == list(row.parts_bps)
    assert read["by_cost"][0]["walk_forward"]["time"][0]["parameters"]["strategy"] in STRATEGIES


def test_the_csv_has_a_line_for_each_row_of_each_cost(found: Evaluation, tmp_path: Path) -> None:
    found.to_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    names = ["patient", "eager", "hold-through", "optimum"]
    expected = [(cost, name) for cost in "16" for name in names]
    assert [(line["round_trip_bps"], line["name"]) for line in lines] == expected
    row = found.by_cost[0].strategies[1]
    assert Decimal(lines[1]["net_bps"]) == row.net_bps
    assert [Decimal(lines[1][f"part_{part}_bps"]) for part in (1, 2, 3, 4)] == list(row.parts_bps)
    assert [Decimal(lines[1][f"fold_{fold}_bps"]) for fold in (1, 2, 3)] == list(row.folds_bps)
    assert [Decimal(lines[1][f"{symbol}_bps"]) for symbol in found.symbols] == list(row.symbols_bps)
    assert row.captured_interval is not None
    assert (lines[1]["captured_low"], lines[3]["captured_low"], lines[3]["part_1_bps"]) == (
        str(row.captured_interval.low),
        "",
        "",
    )
    with pytest.raises(InputError, match="can not be written"):
        found.to_csv(tmp_path / "no" / "table.csv")


def test_a_cost_that_was_not_evaluated_is_refused(found: Evaluation) -> None:
    assert found.at("6.0") is found.by_cost[1]
    with pytest.raises(InputError, match="8 bp was not evaluated; there are 1, 6"):
        found.at(8)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"strategies": {}}, "at least one strategy"),
        ({"strategies": {"optimum": patient}}, "can not be called optimum"),
        ({"strategies": {"broken": broken}}, "can be made: no such thing"),
        ({"round_trips": []}, "at least one round trip cost"),
        ({"round_trips": [8, "8.0"]}, "8 bp is given twice"),
        ({"round_trips": [-1]}, "a round trip costs 0 or more"),
        ({"round_trips": ["0.00000001"]}, "a leg costs a quarter"),
        ({"folds": 1}, "give at least 2"),
        ({"parts": 1_000}, "too short for 1000 parts"),
        ({"workers": 0}, "at least one worker"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(given: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        evaluate(HISTORY, **{"strategies": STRATEGIES, "progress": lambda *_: pytest.fail("it began"), **given})


def test_a_history_without_settled_rates_has_nothing_to_evaluate() -> None:
    live = FundingHistory.of(Series(one.market, RateKind.INDICATIVE, one.rows) for one in HISTORY.series)
    with pytest.raises(HistoryError, match="an evaluation needs settled rates"):
        evaluate(live, strategies={"weekly": lambda costs: CombinedStrategy(TimeLimit())})
