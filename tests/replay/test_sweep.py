"""A sweep: many settings, each exactly as a replay has it, on any executor."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from rebalancer import (
    CombinedStrategy,
    Costs,
    DivergenceFlip,
    EntryPolicy,
    FundingHistory,
    HistoryError,
    InputError,
    MarketSnapshot,
    Opportunity,
    ProfitErosion,
    RebalancerError,
    TimeLimit,
    presets,
)
from rebalancer.domain.funding import RateKind
from rebalancer.domain.names import Market
from rebalancer.domain.targets import TargetFilter
from rebalancer.history.table import Row, Series
from rebalancer.replay import Setting, SweepResult, between, grid, hindsight, replay, sweep
from rebalancer.replay.table import FIGURES
from rebalancer.rules.function import rule
from rebalancer.testing import sample_history

pytest.importorskip("numpy")

HISTORY = sample_history(days=1)
DESIGN = grid(keep=["0.2", "0.5"], leg_bps=[0, "0.5"])


def eroding(*, keep: str, leg_bps: Any) -> Setting:
    costs = Costs.flat(leg_bps=leg_bps)
    return Setting(CombinedStrategy(DivergenceFlip(), ProfitErosion(keep=keep)), costs=costs)


class Refusing(EntryPolicy):
    """An entry policy of somebody else that raises."""

    def should_open(
        self, symbol: str, snapshot: MarketSnapshot, *, targets: TargetFilter = TargetFilter.ANY
    ) -> Opportunity | None:
        raise LookupError(f"no {symbol}\nhere")


class Slow(EntryPolicy):
    """An entry policy that takes so many hours."""

    hours: int

    def should_open(
        self, symbol: str, snapshot: MarketSnapshot, *, targets: TargetFilter = TargetFilter.ANY
    ) -> Opportunity | None:
        time.sleep(self.hours * 3600)
        return None


class Deadly(EntryPolicy):
    """An entry policy that ends its process."""

    def should_open(
        self, symbol: str, snapshot: MarketSnapshot, *, targets: TargetFilter = TargetFilter.ANY
    ) -> Opportunity | None:
        os._exit(3)


def table(result: SweepResult) -> list[dict[str, Any]]:
    return [{**row.parameters, **row.texts()} for row in result]


@pytest.fixture(scope="module")
def expected() -> SweepResult:
    """The sweep, without any executor."""
    return sweep(eroding, DESIGN, HISTORY, workers=1)


def test_each_row_is_what_a_replay_and_the_optimum_say(expected: SweepResult) -> None:
    assert len(expected) == 4
    for row, parameters in zip(expected, DESIGN, strict=True):
        setting = eroding(**parameters)
        report = replay(setting.strategy, HISTORY, costs=setting.costs)
        optimum = hindsight(HISTORY, costs=setting.costs).net_bps
        assert row.parameters == {"keep": parameters["keep"], "leg_bps": str(parameters["leg_bps"])}
        assert (row.net_bps, row.funding_bps, row.cost_bps) == (report.net_bps, report.funding_bps, report.cost_bps)
        assert (row.trades, row.legs_traded) == (report.trades, report.legs_traded)
        assert row.captured_share is not None
        assert row.net_bps is not None
        assert abs(row.captured_share - row.net_bps / optimum) <= Decimal("0.0000005")
        by_symbol = {one.symbol: one.net_bps for one in report.symbols}
        assert row.symbols_above_zero == sum(net is not None and net > 0 for net in by_symbol.values())
        assert row.worst_symbol_bps == min(net for net in by_symbol.values() if net is not None)
        assert by_symbol[str(row.worst_symbol)] == row.worst_symbol_bps
        assert row.in_sample_bps is not None
        assert row.out_of_sample_bps is not None
        assert row.in_sample_bps + row.out_of_sample_bps == report.net_bps


def of_threads() -> Executor:
    return ThreadPoolExecutor(2)


def of_forks() -> Executor:
    return ProcessPoolExecutor(2, mp_context=get_context("fork"))


def of_new_processes() -> Executor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


@pytest.mark.parametrize("make", [of_threads, of_forks, of_new_processes])
def test_any_executor_gives_the_same_table(make: Callable[[], Executor], expected: SweepResult) -> None:
    with make() as executor:
        result = sweep(
            "conservative", grid(leg_bps=[1, 2], min_erosion_threshold=["0.3", "0.5"]), HISTORY, executor=executor
        )
    alone = sweep("conservative", grid(leg_bps=[1, 2], min_erosion_threshold=["0.3", "0.5"]), HISTORY, workers=1)
    assert result == alone
    assert result.failed == ()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_local_pool_gives_the_same_table_forked_or_not(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: threads)
    design = grid(leg_bps=[1, 2], min_erosion_threshold=["0.3", "0.5"])

    assert sweep("conservative", design, HISTORY, workers=2) == sweep("conservative", design, HISTORY, workers=1)
    assert multiprocessing.active_children() == []


def test_a_dask_cluster_gives_the_same_table(expected: SweepResult, cluster: Any) -> None:
    assert sweep("aggressive", grid(leg_bps=[1, 2]), HISTORY, executor=cluster.get_executor()) == sweep(
        "aggressive", grid(leg_bps=[1, 2]), HISTORY, workers=1
    )


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A client of a cluster of one process of its own."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as made, distributed.Client(made) as client:
        yield client


class Counting(Executor):
    """Runs each task at once, after it has travelled as bytes by way of a scheduler; `sent` are the sizes."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        travelled = pickle.dumps((fn, args, kwargs))
        self.sent.append(len(travelled))
        function, given, named = pickle.loads(pickle.dumps(pickle.loads(travelled)))
        future: Future[Any] = Future()
        future.set_result(function(*given, **named))
        return future


def test_the_history_travels_once_to_a_process_and_not_with_each_task() -> None:
    executor = Counting()
    design = grid(keep=["0.2", "0.3", "0.4", "0.5"], leg_bps=range(20))
    result = sweep(eroding, design, HISTORY, executor=executor, workers=1)
    large = [size for size in executor.sent if size > 5_000]
    assert len(executor.sent) > 5
    assert result.failed == ()
    assert len(large) <= 2  # as many tasks are out at a time before the first has come back


def test_a_setting_that_fails_is_a_row_with_its_error_and_stops_nothing() -> None:
    def make(*, keep: str, refuses: bool) -> Setting:
        entry = Refusing() if refuses else None
        return Setting(CombinedStrategy(ProfitErosion(keep=keep)), entry=entry)

    result = sweep(make, grid(keep=["0.2", "9", "0.5"], refuses=[False, True]), HISTORY, workers=1)

    errors = [row.error for row in result]
    assert [error is None for error in errors] == [True, False, False, False, True, False]
    assert errors[1] == "LookupError: no BTC here"
    assert "keep" in str(errors[2])
    assert [row.net_bps is None for row in result] == [error is not None for error in errors]
    assert result.failed == tuple(row for row in result if row.error)


def test_a_setting_that_can_not_travel_is_a_row_with_its_error() -> None:
    def make(*, keep: str) -> Setting:
        @rule
        def local(ctx: Any) -> Any:
            raise NotImplementedError

        base = CombinedStrategy(ProfitErosion(keep=keep))
        return Setting(base | local if keep == "0.3" else base)

    with of_forks() as executor:
        result = sweep(make, grid(keep=between("0.01", "0.4", by="0.01")), HISTORY, executor=executor)

    assert [row.parameters["keep"] for row in result.failed] == ["0.3"]  # and not those that were sent with it
    assert "local" in str(result.failed[0].error)


def test_a_pool_whose_process_dies_says_so() -> None:
    with of_forks() as executor, pytest.raises(RebalancerError, match="was a process killed"):
        sweep(
            lambda above: Setting(CombinedStrategy(TimeLimit()), entry=Deadly(above=above)),
            grid(above=[0]),
            HISTORY,
            executor=executor,
        )


def test_an_interrupt_ends_every_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # so that they are forked, and know this module

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    def slow(*, hours: int) -> Setting:
        return Setting(CombinedStrategy(TimeLimit()), entry=Slow(hours=hours))

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt) as interrupt:
        sweep(slow, grid(hours=[0, 1, 2]), HISTORY, workers=2, progress=stop, optimum=False)
    assert multiprocessing.active_children() == []
    assert time.monotonic() - start < 60
    assert interrupt.tb is not None  # it is still known where it happened, and so is all that was going on


def test_progress_counts_rows_and_ends_with_all_of_them() -> None:
    told: list[tuple[int, int]] = []
    sweep(
        eroding, grid(keep=["0.2", "9"], leg_bps=[1, 2]), HISTORY, workers=1, progress=lambda *said: told.append(said)
    )
    assert told[0] == (2, 4)  # those that could not be made
    assert told[-1] == (4, 4)
    assert told == sorted(told)


def test_rows_that_ask_the_same_are_replayed_once() -> None:
    told: list[int] = []
    twice = grid(keep=["0.5"], leg_bps=[2]) + grid(keep=["0.5"], leg_bps=[2])
    result = sweep(eroding, twice, HISTORY, workers=1, progress=lambda done, _: told.append(done))
    assert (result[0].net_bps, result[0].place, result[1].place) == (result[1].net_bps, 0, 1)
    assert 1 not in told


def test_a_strategy_alone_is_a_setting_at_2_bp() -> None:
    result = sweep(lambda keep: CombinedStrategy(ProfitErosion(keep=keep)), grid(keep=["0.5"]), HISTORY, workers=1)
    assert result[0].net_bps == replay(CombinedStrategy(ProfitErosion(keep="0.5")), HISTORY).net_bps


def test_without_the_optimum_there_is_no_captured_share() -> None:
    assert sweep(eroding, DESIGN, HISTORY, workers=1, optimum=False)[0].captured_share is None


def test_rebates_have_figures_but_no_captured_share() -> None:
    row = sweep(eroding, grid(keep=["0.5"], leg_bps=[-1]), HISTORY, workers=1)[0]
    assert row.net_bps is not None
    assert (row.captured_share, row.error) == (None, None)


def test_one_part_has_nothing_out_of_sample() -> None:
    row = sweep(eroding, DESIGN, HISTORY, workers=1, parts=1)[0]
    assert (row.in_sample_bps, row.out_of_sample_bps) == (row.net_bps, None)


# Tables ------------------------------------------------------------------------------------------------------------


def test_the_best_are_chosen_in_sample_with_ties_in_the_order_of_the_design(expected: SweepResult) -> None:
    best = expected.best(3)
    assert [row.in_sample_bps for row in best] == sorted(
        (row.in_sample_bps for row in expected if row.in_sample_bps is not None), reverse=True
    )[:3]
    shares = [row.captured_share for row in expected if row.captured_share is not None]
    assert expected.best(1, by="captured_share")[0].captured_share == max(shares)
    twice = sweep(eroding, grid(keep=["0.5"], leg_bps=[2]) + grid(keep=["0.5"], leg_bps=[2]), HISTORY, workers=1)
    assert [row.place for row in twice.best()] == [0, 1]


def test_csv_comes_back_exact(expected: SweepResult, tmp_path: Path) -> None:
    expected.to_csv(tmp_path / "sweep.csv")
    with (tmp_path / "sweep.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert lines == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in table(expected)
    ]
    assert tuple(lines[0]) == ("keep", "leg_bps", *FIGURES)
    assert lines[1]["leg_bps"] == "0.5"


def test_parquet_comes_back_exact(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    result = sweep(eroding, grid(keep=["0.2", "9"], leg_bps=["1.50"]), HISTORY, workers=1)
    result.to_parquet(tmp_path / "sweep.parquet")
    lines = parquet.read_table(tmp_path / "sweep.parquet").to_pylist()
    assert [line.pop("leg_bps") for line in lines] == ["1.50", "1.50"]
    assert [line.pop("keep") for line in lines] == ["0.2", "9"]
    assert lines == [{name: getattr(row, name) for name in FIGURES} for row in result]


def test_json_has_every_row(expected: SweepResult) -> None:
    found = json.loads(expected.to_json())
    assert [{**row.pop("parameters"), **row} for row in found["rows"]] == table(expected)
    assert found["symbols"] == list(HISTORY.symbols)
    assert len(found["bounds"]) == 5


def test_a_table_that_can_not_be_written_says_why(expected: SweepResult, tmp_path: Path) -> None:
    for write in (expected.to_csv, expected.to_parquet):
        with pytest.raises(InputError, match="can not be written"):
            write(tmp_path / "no" / "folder")


# Refusals ----------------------------------------------------------------------------------------------------------


def test_a_preset_that_does_not_exist_suggests_one() -> None:
    with pytest.raises(InputError, match="did you mean 'conservative'"):
        sweep("conservativ", DESIGN, HISTORY)


def test_if_no_setting_can_be_made_the_first_reason_is_given() -> None:
    with pytest.raises(InputError, match=r"none of the 2 settings can be made: .*did you mean 'min_erosion_threshold'"):
        sweep("conservative", grid(min_erosion_treshold=["0.3", "0.4"]), HISTORY)
    with pytest.raises(InputError, match="the preset combined has no keep"):
        sweep("combined", grid(keep=["0.3"]), HISTORY)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"parts": 0}, "at least one part"),
        ({"parts": 100}, "too short for 100 parts"),
        ({"workers": 0}, "at least one worker"),
        ({"every": timedelta(0)}, "every must be"),
    ],
)
def test_what_makes_no_sense_is_refused(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        sweep(eroding, DESIGN, HISTORY, **changed)


def test_an_empty_design_and_a_parameter_called_as_a_figure_are_refused() -> None:
    with pytest.raises(InputError, match="at least one setting"):
        sweep(eroding, [], HISTORY)
    with pytest.raises(InputError, match="can not be called trades"):
        sweep(eroding, grid(trades=[1]), HISTORY)


def test_only_settled_rates_can_be_swept() -> None:
    rows = tuple(Row(hour * 3600, 1, 3600) for hour in range(9))
    history = FundingHistory.of([Series(Market("aster", "BTC"), RateKind.FORMING, rows)])
    with pytest.raises(HistoryError, match="only those pay"):
        sweep(eroding, DESIGN, history)


def test_the_adaptive_preset_is_swept_by_its_name_and_enters_as_goes_with_it() -> None:
    history, costs = sample_history(days=5), Costs.flat(leg_bps="0.5")
    row = sweep("adaptive", grid(leg_bps=["0.5"]), history, workers=1, optimum=False)[0]
    report = replay(presets.adaptive(costs=costs), history, costs=costs)
    assert report.trades
    assert (row.net_bps, row.trades) == (report.net_bps, report.trades)
