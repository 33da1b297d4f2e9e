"""Designs: which settings a sweep tries."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import (
    BetterOpportunity,
    CombinedStrategy,
    Costs,
    EntryPolicy,
    InputError,
    NetCarry,
    RebalanceConfig,
    presets,
)
from rebalancer.replay import between, grid
from rebalancer.replay.design import text_of
from rebalancer.replay.making import preset


def test_a_grid_is_every_combination_and_its_last_parameter_changes_fastest() -> None:
    design = grid(keep=["0.2", "0.5"], leg_bps=[2, 4, 8])
    assert len(design) == 6
    assert [tuple(row.values()) for row in design] == [(keep, bps) for keep in ("0.2", "0.5") for bps in (2, 4, 8)]
    assert list(design[0]) == ["keep", "leg_bps"]
    assert list(design[4:]) == [design[4], design[5]]
    assert design[-1] == design[5]


def test_a_grid_of_nothing_is_one_setting() -> None:
    assert list(grid()) == [{}]


@given(sizes=st.lists(st.integers(1, 5), max_size=4), n=st.integers(1, 50), seed=st.integers())
@settings(max_examples=50)
def test_a_sample_has_different_settings_of_its_grid_and_is_the_same_for_a_seed(
    sizes: list[int], n: int, seed: int
) -> None:
    design = grid(**{f"p{place}": range(size) for place, size in enumerate(sizes)})
    sample = [tuple(row.items()) for row in design.sample(n, seed=seed)]
    assert len(sample) == len(set(sample)) == min(n, len(design))
    assert set(sample) <= {tuple(row.items()) for row in design}
    assert sample == [tuple(row.items()) for row in design.sample(n, seed=seed)]


def test_a_sample_of_a_grid_too_large_to_list_takes_no_time() -> None:
    design = grid(**{f"p{place}": range(10_000) for place in range(4)})
    assert len(design.sample(3)) == 3


def test_a_sample_is_in_random_order_and_changes_with_the_seed() -> None:
    design = grid(keep=range(100))
    assert list(design.sample(100)) != list(design)
    assert list(design.sample(9, seed=1)) != list(design.sample(9, seed=2))


def test_two_designs_can_follow_one_another() -> None:
    assert grid(keep=[1]) + grid(leg_bps=[2]) == ({"keep": 1}, {"leg_bps": 2})


def test_what_lies_between_is_exact_and_includes_both_ends() -> None:
    assert between("0.1", 0.3, by="0.1") == ("0.1", "0.2", "0.3")
    assert between(0, 1, by="0.4") == ("0", "0.4", "0.8")
    assert between(-1, -1, by=5) == ("-1",)


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.20", "0.20"), (8, "8"), (0.1, "0.1"), (Decimal("1E+2"), "100"), (True, "true"), (None, "None")],
)
def test_the_table_shows_a_parameter_as_an_exact_text(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: grid(keep="0.5"), r"give a list of values, such as keep=\['0.5'\]"),
        (lambda: grid(keep=[]), "keep: give at least one value"),
        (lambda: grid(keep=["1", 1]), "keep: the same value is given twice"),
        (lambda: grid(**{f"p{place}": range(10_000) for place in range(5)}), "more combinations"),
        (lambda: grid(keep=[1]).sample(0), "at least one setting"),
        (lambda: between(1, 0, by=1), "values rise"),
        (lambda: between(0, 1, by=0), "a step above 0"),
        (lambda: between(0, 1, by="0.000000000001"), "is the step too small"),
    ],
)
def test_a_design_that_makes_no_sense_is_refused(make: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        make()


# Presets with changed parameters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["combined", "conservative", "aggressive"])
def test_a_preset_without_changes_is_the_preset(name: str) -> None:
    two = Costs.flat(leg_bps=2)
    made = preset(name)()
    assert made.strategy == getattr(presets, name)(costs=two)
    assert (made.entry, made.costs) == (EntryPolicy(), two)


def test_the_adaptive_preset_takes_its_times_in_hours_and_is_entered_by_itself() -> None:
    made = preset("adaptive")(
        half_life_hours="60", horizon_hours=90, clip_bps="4", warm_up_hours="0.5", max_unknown_hours=48, leg_bps="1.5"
    )
    carry = NetCarry(
        costs=Costs(leg_bps="1.5"),
        half_life=timedelta(hours=60),
        horizon=timedelta(hours=90),
        clip_bps=4,
        warm_up=timedelta(minutes=30),
        max_unknown=timedelta(hours=48),
    )
    assert (made.strategy, made.entry) == (CombinedStrategy(carry), carry)
    usual = preset("adaptive")(above="0.0003")
    assert (usual.strategy, usual.entry) == (presets.adaptive(), EntryPolicy(above="0.0003"))


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"half_life_hours": "0.0001"}, "half_life_hours must be a whole number of seconds"),
        ({"horizon_hours": "1e30"}, "horizon_hours must be .* at most 100 years"),
        ({"horizon_hours": "soon"}, "not a number"),
        ({"half_life": "PT0S"}, "half_life: a duration must be above 0"),
        ({"half_live_hours": 3}, "half_live"),
    ],
)
def test_a_time_of_the_adaptive_preset_that_is_none_is_refused(parameters: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        preset("adaptive")(**parameters)


def test_every_key_of_the_configuration_can_be_changed() -> None:
    changed = {
        "min_erosion_threshold": "0.3",
        "rebalance_cost_bps": "9",
        "min_profit_improvement": "0.001",
        "max_position_age_hours": "24",
        "enable_better_opportunity": "true",
        "check_interval_seconds": "30",
    }
    assert set(changed) == set(RebalanceConfig.model_fields)
    made = preset("aggressive")(**changed, leg_bps="3", above="0.0003")
    expected = RebalanceConfig.model_validate({**changed, "enable_better_opportunity": True}).strategy()
    assert made.strategy == expected
    assert made.costs == Costs.flat(leg_bps=3)
    assert made.entry == EntryPolicy(above="0.0003")


def test_a_preset_keeps_its_own_numbers_where_they_are_not_changed() -> None:
    made = preset("aggressive")(leg_bps=0, enable_better_opportunity="false")
    config = RebalanceConfig(
        min_erosion_threshold="0.7",
        min_profit_improvement="0.0005",
        max_position_age_hours=48,
        enable_better_opportunity=False,
    )
    assert made.strategy == config.strategy()


def test_a_switch_is_thought_to_cost_what_a_leg_costs_unless_the_flat_figure_is_given() -> None:
    def switch(**parameters: Any) -> BetterOpportunity:
        rules = preset("conservative")(**parameters).strategy.rules
        return next(rule for rule in rules if isinstance(rule, BetterOpportunity))

    assert switch(leg_bps=3).costs == Costs.flat(leg_bps=3)
    assert switch(leg_bps=3, rebalance_cost_bps=8).costs is None
    assert switch(leg_bps=3, rebalance_cost_bps=8).cost_bps == 8
