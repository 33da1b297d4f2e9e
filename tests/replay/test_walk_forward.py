"""Walk-forward: a choice never sees what it is tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import CombinedStrategy, Costs, EntryPolicy, InputError, ProfitErosion
from rebalancer.domain.times import from_epoch, write_instant
from rebalancer.history.table import FundingHistory, Series
from rebalancer.replay import Setting, SweepResult, SweepRow, grid, sweep, walk_forward
from rebalancer.replay.table import Earned
from rebalancer.testing import sample_history

pytest.importorskip("numpy")

COSTS = Costs.flat(leg_bps=2)
bp = Decimal
SYMBOLS = ("BTC", "ETH", "SOL")
DESIGN = grid(keep=["0.2", "0.8"], above=["0", "0.0001", "0.0003"])


def make(*, keep: str, above: str) -> Setting:
    return Setting(
        CombinedStrategy(ProfitErosion(keep=keep)), entry=EntryPolicy(above=above), costs=Costs.flat(leg_bps="0.3")
    )


def a_result(*nets: Mapping[str, list[int]], symbols: tuple[str, ...] = SYMBOLS) -> SweepResult:
    """A sweep whose settings earned so many basis points, by symbol and part."""
    parts = len(nets[0][symbols[0]])
    zero = [[0] * parts for _ in symbols]
    rows = []
    for place, net in enumerate(nets):
        funding = [[figure * 10**8 for figure in net[symbol]] for symbol in symbols]
        rows.append(SweepRow(place, {"n": str(place)}, symbols, COSTS, Earned(funding, zero, zero, zero)))
    return SweepResult(tuple(rows), symbols, tuple(from_epoch(part * 86_400) for part in range(parts + 1)))


def test_in_time_each_part_is_tested_with_what_was_best_in_all_parts_before_it() -> None:
    found = walk_forward(
        a_result(
            {"BTC": [5, 0, -9], "ETH": [0, 0, 0], "SOL": [0, 0, 0]},
            {"BTC": [0, 6, -1], "ETH": [0, 0, 0], "SOL": [0, 0, 0]},
            {"BTC": [1, 1, 9], "ETH": [0, 0, 0], "SOL": [0, 0, 0]},
        )
    )

    first, second = found.time
    assert (first.chosen.place, first.in_sample_bps, first.out_of_sample_bps, first.rank) == (0, bp(5), bp(0), 3)
    assert (second.chosen.place, second.in_sample_bps, second.out_of_sample_bps, second.rank) == (1, bp(6), bp(-1), 2)
    assert (first.settings, second.settings) == (3, 3)
    day = [write_instant(from_epoch(number * 86_400)) for number in range(4)]
    assert (first.in_sample, first.out_of_sample) == (f"{day[0]} to {day[1]}", f"{day[1]} to {day[2]}")
    assert (second.in_sample, second.out_of_sample) == (f"{day[0]} to {day[2]}", f"{day[2]} to {day[3]}")
    assert found.in_time_bps == Decimal(-1)


def test_by_symbol_each_fold_is_tested_with_what_was_best_on_all_others() -> None:
    found = walk_forward(a_result({"BTC": [9], "ETH": [0], "SOL": [0]}, {"BTC": [0], "ETH": [5], "SOL": [2]}), folds=3)

    assert [split.out_of_sample for split in found.symbols] == ["BTC", "ETH", "SOL"]
    assert [split.in_sample for split in found.symbols] == ["ETH, SOL", "BTC, SOL", "BTC, ETH"]
    assert [split.chosen.place for split in found.symbols] == [1, 0, 0]
    assert [split.out_of_sample_bps for split in found.symbols] == [0, 0, 0]
    assert found.time == ()


def test_folds_are_dealt_in_turn_and_every_symbol_is_tested_once() -> None:
    found = walk_forward(a_result({"BTC": [1], "ETH": [2], "SOL": [4]}), folds=2)
    assert [split.out_of_sample for split in found.symbols] == ["BTC, SOL", "ETH"]
    assert found.across_symbols_bps == 7


def test_ties_go_to_the_first_in_the_design() -> None:
    same = {"BTC": [1, 1], "ETH": [1, 1], "SOL": [1, 1]}
    found = walk_forward(a_result(same, same))
    assert {split.chosen.place for split in (*found.time, *found.symbols)} == {0}
    assert {split.rank for split in (*found.time, *found.symbols)} == {1}


def test_one_symbol_and_one_part_have_no_split() -> None:
    found = walk_forward(a_result({"BTC": [1]}, symbols=("BTC",)))
    assert (found.time, found.symbols, found.in_time_bps, found.across_symbols_bps) == ((), (), bp(0), bp(0))


def test_settings_that_failed_are_not_chosen_and_not_counted() -> None:
    result = a_result({"BTC": [-5, -5], "ETH": [0, 0], "SOL": [0, 0]})
    failed = SweepRow(1, {"n": "1"}, SYMBOLS, COSTS, error="no")
    found = walk_forward(SweepResult((failed, *result.rows), SYMBOLS, result.bounds))
    assert {(split.chosen.place, split.settings) for split in found.time} == {(0, 1)}
    with pytest.raises(InputError, match="every setting failed"):
        walk_forward(SweepResult((failed,), SYMBOLS, result.bounds))


def test_one_fold_has_nothing_to_choose_on() -> None:
    with pytest.raises(InputError, match="at least 2"):
        walk_forward(a_result({"BTC": [1], "ETH": [1], "SOL": [1]}), folds=1)


def test_what_trading_costs_is_no_choice() -> None:
    result = a_result({"BTC": [1], "ETH": [1], "SOL": [1]}, {"BTC": [2], "ETH": [2], "SOL": [2]})
    dear = Costs.flat(leg_bps=9)
    mixed = SweepResult((result[0], replace(result[1], costs=dear)), SYMBOLS, result.bounds)
    with pytest.raises(InputError, match=r"what trading costs is no choice: take one table of result.by_costs\(\)"):
        walk_forward(mixed)
    apart = {costs: walk_forward(one) for costs, one in mixed.by_costs().items()}
    assert {costs: walked.symbols[0].chosen.place for costs, walked in apart.items()} == {COSTS: 0, dear: 1}
    assert [walked.costs for walked in apart.values()] == [COSTS, dear]


HISTORY = sample_history(days=2)


def swept(history: FundingHistory) -> SweepResult:
    return sweep(make, DESIGN, history, workers=1, parts=3, optimum=False)


def choices(result: SweepResult) -> list[Any]:
    return [(split.chosen.parameters, split.in_sample_bps) for split in walk_forward(result).time]


def changed(history: FundingHistory, *, at_or_after: int, by: list[int]) -> FundingHistory:
    """The history with other rates from an instant on, at the same times."""
    return FundingHistory.of(
        Series(
            series.market,
            series.kind,
            tuple(
                row if row.at < at_or_after else type(row)(row.at, row.value + by[place % len(by)], row.interval)
                for place, row in enumerate(series.rows)
            ),
        )
        for series in history.series
    )


@given(by=st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=5), part=st.integers(1, 2))
@settings(max_examples=4)
def test_no_choice_sees_what_comes_later(by: list[int], part: int) -> None:
    result = swept(HISTORY)
    cut = int(result.bounds[part].timestamp())

    later = swept(changed(HISTORY, at_or_after=cut, by=by))

    assert later.bounds == result.bounds
    assert choices(later)[:part] == choices(result)[:part]


def test_what_comes_later_does_change_what_a_choice_earns() -> None:
    result = swept(HISTORY)
    cut = int(result.bounds[2].timestamp())
    later = swept(changed(HISTORY, at_or_after=cut, by=[10**9, -(10**9)]))
    assert walk_forward(later).time[-1].out_of_sample_bps != walk_forward(result).time[-1].out_of_sample_bps
