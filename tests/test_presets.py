"""The well-known configuration, key by key, and the named strategies, number by number."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalancer import (
    Action,
    BetterOpportunity,
    CombinedStrategy,
    Costs,
    DivergenceFlip,
    Freshness,
    InputError,
    MarketSnapshot,
    Needs,
    Outcome,
    ProfitErosion,
    RebalanceConfig,
    RebalanceDecision,
    TimeLimit,
    Urgency,
    presets,
)
from rebalancer.plugins import PluginManager
from rebalancer.testing import AS_OF, a_position, a_quote, a_snapshot

PRESETS = PluginManager().registry.presets

WELL_KNOWN: dict[str, Any] = {
    "min_erosion_threshold": 0.5,
    "rebalance_cost_bps": 8,
    "min_profit_improvement": 0.002,
    "max_position_age_hours": 168,
    "enable_better_opportunity": True,
    "check_interval_seconds": 60,
}
SEVERE = ProfitErosion(keep="0.2", reason="SEVERE_EROSION", urgency=Urgency.HIGH)
COSTS = Costs.flat(leg_bps=2)


def decided(
    changes: dict[str, Any], snapshot: MarketSnapshot, *, costs: Costs | None = None, **position: Any
) -> RebalanceDecision:
    """What the well-known configuration with some changes decides of a position that was opened at 2 bp."""
    return RebalanceConfig(**{**WELL_KNOWN, **changes}).strategy(costs=costs).decide(a_position(**position), snapshot)


def earning(divergence: str) -> MarketSnapshot:
    return a_snapshot(a_quote("lighter", 0), a_quote("grvt", divergence))


def offering(divergence: str) -> MarketSnapshot:
    """Ours at 2 bp, and another pair."""
    return a_snapshot(a_quote("lighter", 0), a_quote("grvt", "0.0002"), a_quote("paradex", divergence))


def test_the_well_known_configuration_is_taken_as_it_is_written() -> None:
    config = RebalanceConfig(**WELL_KNOWN)
    assert config == RebalanceConfig()
    assert config.min_erosion_threshold == Decimal("0.5")
    assert config.rebalance_cost_bps == 8
    assert config.min_profit_improvement == Decimal("0.002")
    assert config.max_position_age_hours == 168
    assert config.enable_better_opportunity is True
    assert config.check_interval_seconds == 60


def test_it_is_the_conservative_strategy() -> None:
    assert RebalanceConfig(**WELL_KNOWN).strategy() == presets.conservative()


def test_the_erosion_threshold_decides_how_much_of_the_edge_to_keep() -> None:
    assert decided({}, earning("0.0001")).action is Action.HOLD
    assert decided({}, earning("0.000099999999")).reason == "PROFIT_EROSION"
    assert decided({"min_erosion_threshold": 0.4}, earning("0.000099999999")).action is Action.HOLD


def test_the_rebalance_cost_decides_what_a_switch_must_earn_back() -> None:
    assert decided({}, offering("0.001133333334")).reason == "BETTER_OPPORTUNITY"
    assert decided({}, offering("0.001133333333")).action is Action.HOLD
    assert decided({"rebalance_cost_bps": 8.01}, offering("0.001133333334")).action is Action.HOLD


def test_the_profit_improvement_decides_what_a_switch_must_gain() -> None:
    assert decided({"min_profit_improvement": 0.001}, offering("0.001133333333")).reason == "BETTER_OPPORTUNITY"


def test_the_greatest_age_decides_when_to_leave_anyway() -> None:
    week = timedelta(hours=168)
    assert decided({}, earning("0.0002"), age=week).reason == "TIME_LIMIT"
    assert decided({}, earning("0.0002"), age=week - timedelta(seconds=1)).action is Action.HOLD
    assert decided({"max_position_age_hours": 168.5}, earning("0.0002"), age=week).action is Action.HOLD


def test_switching_can_be_turned_off() -> None:
    assert decided({}, offering("0.1")).action is Action.SWITCH
    without = decided({"enable_better_opportunity": False}, offering("0.1"))
    assert without.action is Action.HOLD
    assert [verdict.rule for verdict in without.verdicts] == [
        "DivergenceFlip",
        "ProfitErosion",
        "ProfitErosion",
        "TimeLimit",
    ]


def test_without_switching_no_opportunities_are_needed() -> None:
    assert RebalanceConfig(enable_better_opportunity=False).strategy().needs == Needs()
    assert RebalanceConfig().strategy().needs == Needs(opportunities=True)


@pytest.mark.parametrize(("interval", "limit"), [(60, 120), (1, 2), (86_400, 172_800)])
def test_the_check_interval_decides_how_old_and_how_far_apart_quotes_may_be(interval: int, limit: int) -> None:
    twice = timedelta(seconds=limit)
    freshness = RebalanceConfig(check_interval_seconds=interval).freshness()
    assert freshness == Freshness(max_age=twice, max_skew=twice)


def test_the_check_interval_decides_whether_a_quote_counts() -> None:
    old = a_quote("lighter", observed_at=AS_OF - timedelta(seconds=100))
    for interval, outcome in ((60, Outcome.QUIET), (30, Outcome.NOT_EVALUATED)):
        config = RebalanceConfig(check_interval_seconds=interval)
        snapshot = a_snapshot(old, a_quote("grvt", "0.0003"), freshness=config.freshness())
        assert config.strategy().decide(a_position(), snapshot).verdicts[0].outcome is outcome


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("min_erosion_treshold", "min_erosion_threshold"),
        ("rebalance_cost", "rebalance_cost_bps"),
        ("min_profit_improvment", "min_profit_improvement"),
        ("max_age_hours", "max_position_age_hours"),
        ("enable_better_oportunity", "enable_better_opportunity"),
        ("check_interval", "check_interval_seconds"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(key: str, nearest: str) -> None:
    with pytest.raises(InputError) as refused:
        RebalanceConfig(**{**WELL_KNOWN, key: 1})
    assert str(refused.value) == f"RebalanceConfig: {key}: is not known here (did you mean '{nearest}'?)"


def test_a_key_like_no_other_is_refused_without_a_suggestion() -> None:
    with pytest.raises(InputError) as refused:
        RebalanceConfig(leverage=3)  # type: ignore[call-arg]  # what the test is about
    assert str(refused.value) == "RebalanceConfig: leverage: is not known here"


@pytest.mark.parametrize("threshold", [0.2, 0.1, 0, -0.5])
def test_a_threshold_that_severe_erosion_makes_dead_is_refused(threshold: float) -> None:
    with pytest.raises(InputError, match=r"^RebalanceConfig: min_erosion_threshold: "):
        RebalanceConfig(min_erosion_threshold=threshold)


def test_the_least_threshold_that_is_allowed_still_decides() -> None:
    alive = decided({"min_erosion_threshold": "0.200001"}, earning("0.00004"))
    assert alive.reason == "PROFIT_EROSION"


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_erosion_threshold": "4.000001"},
        {"min_erosion_threshold": float("nan")},
        {"rebalance_cost_bps": 10_001},
        {"min_profit_improvement": "1.1"},
        {"max_position_age_hours": 0},
        {"max_position_age_hours": "876000.000001"},
        {"check_interval_seconds": 0},
        {"check_interval_seconds": 86_401},
        {"check_interval_seconds": 1.5},
        {"enable_better_opportunity": "perhaps"},
    ],
    ids=str,
)
def test_a_value_beyond_its_bounds_is_refused_by_its_key(wrong: dict[str, Any]) -> None:
    (key,) = wrong
    with pytest.raises(InputError, match=rf"^RebalanceConfig: {key}: "):
        RebalanceConfig(**wrong)


@pytest.mark.parametrize(
    ("hours", "age"), [("0.5", 1_800), ("0.0025", 9), (876_000, 3_153_600_000), ("168.0025", 604_809)]
)
def test_an_age_in_hours_is_a_whole_number_of_seconds(hours: Any, age: int) -> None:
    assert RebalanceConfig(max_position_age_hours=hours).max_age == timedelta(seconds=age)


@pytest.mark.parametrize("hours", ["0.0001", "0.333333", "168.000001"])
def test_an_age_that_is_no_whole_number_of_seconds_is_refused(hours: str) -> None:
    message = r"^RebalanceConfig: max_position_age_hours must be a whole number of seconds$"
    with pytest.raises(InputError, match=message):
        RebalanceConfig(max_position_age_hours=hours)


@pytest.mark.usefixtures("hostile_context")
def test_a_configuration_does_not_depend_on_the_decimal_context() -> None:
    config = RebalanceConfig(max_position_age_hours="1234.5675", min_erosion_threshold="0.223457")
    assert config.max_age == timedelta(seconds=4_444_443)
    assert config.strategy().rules[3] == ProfitErosion(keep="0.223457")


def test_a_configuration_survives_json() -> None:
    config = RebalanceConfig(min_erosion_threshold=0.7, max_position_age_hours=48.5)
    assert RebalanceConfig.model_validate_json(config.model_dump_json()) == config


def test_the_conservative_numbers_are_pinned() -> None:
    assert presets.conservative() == CombinedStrategy(
        DivergenceFlip(margin=0),
        SEVERE,
        BetterOpportunity(cost_bps=8, min_improvement="0.002", horizon=timedelta(hours=24), scope="symbol"),
        ProfitErosion(keep="0.5"),
        TimeLimit(max_age=timedelta(hours=168), reason="TIME_LIMIT"),
    )


def test_the_aggressive_numbers_are_pinned() -> None:
    assert presets.aggressive() == CombinedStrategy(
        DivergenceFlip(margin=0),
        SEVERE,
        BetterOpportunity(cost_bps=8, min_improvement="0.0005", horizon=timedelta(hours=24), scope="symbol"),
        ProfitErosion(keep="0.7"),
        TimeLimit(max_age=timedelta(hours=48), reason="TIME_LIMIT"),
    )


def test_the_combined_numbers_are_pinned() -> None:
    assert presets.combined() == CombinedStrategy(
        DivergenceFlip(margin=0),
        SEVERE,
        BetterOpportunity(cost_bps=8, min_improvement="0.001", horizon=timedelta(hours=24), scope="symbol"),
        TimeLimit(max_age=timedelta(hours=168), reason="WEEKLY_REBALANCE"),
    )


@pytest.mark.parametrize("name", ["combined", "conservative", "aggressive"])
def test_costs_replace_the_flat_figure_of_every_preset(name: str) -> None:
    flat, by_leg = PRESETS.create(name), PRESETS.create(name, costs=COSTS)
    replaced = [
        BetterOpportunity(costs=COSTS, min_improvement=rule.min_improvement)
        if isinstance(rule, BetterOpportunity)
        else rule
        for rule in flat.rules
    ]
    assert by_leg == CombinedStrategy(*replaced) != flat


def test_costs_replace_the_flat_figure_of_a_configuration() -> None:
    assert decided({"rebalance_cost_bps": 10_000}, offering("0.001"), costs=COSTS).action is Action.HOLD
    assert decided({"rebalance_cost_bps": 10_000}, offering("0.001000000001"), costs=COSTS).action is Action.SWITCH


@pytest.mark.parametrize(
    ("preset", "divergence", "reason", "urgency"),
    [
        (presets.combined, "-0.000000000001", "DIVERGENCE_FLIPPED", Urgency.CRITICAL),
        (presets.combined, "0.000039999999", "SEVERE_EROSION", Urgency.HIGH),
        (presets.combined, "0.00004", None, Urgency.NORMAL),
        (presets.conservative, "-0.000000000001", "DIVERGENCE_FLIPPED", Urgency.CRITICAL),
        (presets.conservative, "0.000039999999", "SEVERE_EROSION", Urgency.HIGH),
        (presets.conservative, "0.00004", "PROFIT_EROSION", Urgency.NORMAL),
        (presets.conservative, "0.0001", None, Urgency.NORMAL),
        (presets.aggressive, "0.000139999999", "PROFIT_EROSION", Urgency.NORMAL),
        (presets.aggressive, "0.00014", None, Urgency.NORMAL),
    ],
)
def test_a_preset_leaves_by_the_first_limit_that_is_passed(
    preset: Any, divergence: str, reason: str | None, urgency: Urgency
) -> None:
    decision = preset().decide(a_position(), earning(divergence))
    assert (decision.reason, decision.urgency) == (reason, urgency)


@pytest.mark.parametrize(
    ("preset", "hours", "reason"),
    [
        (presets.combined, 168, "WEEKLY_REBALANCE"),
        (presets.conservative, 168, "TIME_LIMIT"),
        (presets.aggressive, 48, "TIME_LIMIT"),
    ],
)
def test_a_preset_leaves_at_its_greatest_age(preset: Any, hours: int, reason: str) -> None:
    age = timedelta(hours=hours)
    assert preset().decide(a_position(age=age), earning("0.0002")).reason == reason
    assert preset().decide(a_position(age=age - timedelta(seconds=1)), earning("0.0002")).action is Action.HOLD


def test_a_preset_can_be_extended() -> None:
    extended = presets.conservative() | TimeLimit(max_age=timedelta(hours=1), reason="MINE")
    assert extended.decide(a_position(), earning("0.0002")).reason == "MINE"
    assert extended.rules[:-1] == presets.conservative().rules


def test_every_preset_is_found_by_its_name() -> None:
    assert PRESETS.create("adaptive") == presets.adaptive()
    assert PRESETS.create("combined") == presets.combined()
    assert PRESETS.create("conservative") == presets.conservative()
    assert PRESETS.create("aggressive") == presets.aggressive()


def test_a_preset_that_does_not_exist_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError) as refused:
        PRESETS.create("agressive")
    suggested = "there is no preset of that name (did you mean 'aggressive'?); there are "
    assert str(refused.value) == suggested + ", ".join(PRESETS)
    assert list(PRESETS)[:4] == ["adaptive", "combined", "conservative", "aggressive"]


def test_true_is_not_a_number_of_seconds() -> None:
    with pytest.raises(InputError) as refused:
        RebalanceConfig(check_interval_seconds=True)
    assert str(refused.value) == "RebalanceConfig: check_interval_seconds: true and false are not numbers"


@pytest.mark.parametrize("flag", [1, "yes", 0.0])
def test_a_number_is_not_true_or_false(flag: float | str) -> None:
    with pytest.raises(
        InputError, match=r"^RebalanceConfig: enable_better_opportunity: Input should be a valid boolean"
    ):
        RebalanceConfig(enable_better_opportunity=flag)
