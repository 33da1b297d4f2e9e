"""Switch when another pair earns enough more to pay for the move."""

from datetime import timedelta
from typing import Any

import pytest

from rebalancer import (
    Action,
    BetterOpportunity,
    Costs,
    Fact,
    InputError,
    MarketSnapshot,
    Missing,
    Needs,
    Outcome,
    RuleContext,
    TargetFilter,
    Urgency,
    Verdict,
)
from rebalancer.rules.asking import ask
from rebalancer.testing import AS_OF, a_position, a_quote, a_snapshot, an_opportunity

FIRED_CLAIM = "another pair gains more than a switch must gain"
QUIET_CLAIM = "no other pair gains more than a switch must gain"
SIX_BP = an_opportunity(long_dex="lighter", short_dex="paradex", long_rate=0, short_rate="0.0006")


def the_market(ours: str = "0.0001", theirs: str = "0.0006", **more: Any) -> MarketSnapshot:
    """Our pair, lighter and grvt, at `ours`; lighter and paradex at `theirs`."""
    return a_snapshot(a_quote("lighter", 0), a_quote("grvt", ours), a_quote("paradex", theirs), **more)


def said(
    rule: BetterOpportunity, snapshot: MarketSnapshot, targets: TargetFilter = TargetFilter.ANY, **position: Any
) -> Verdict:
    return ask(rule, RuleContext(a_position(**position), snapshot, targets))


def a_verdict(outcome: Outcome, claim: str, *facts: Fact, **more: Any) -> Verdict:
    return Verdict(
        outcome=outcome, claim=claim, rule="BetterOpportunity", reason="BETTER_OPPORTUNITY", facts=facts, **more
    )


def test_a_gain_above_the_improvement_switches_to_the_pair_that_gains_it() -> None:
    rule = BetterOpportunity(horizon=timedelta(hours=48))
    assert said(rule, the_market()) == a_verdict(
        Outcome.FIRED,
        FIRED_CLAIM,
        Fact("gain", "0.0022", limit="0.001"),
        Fact("candidate_divergence", "0.0006"),
        Fact("divergence", "0.0001"),
        Fact("switch_cost", "0.0008"),
        Fact("horizon_seconds", 172_800),
        action=Action.SWITCH,
        target=SIX_BP,
    )


def test_a_gain_below_the_improvement_holds_and_still_says_what_it_would_gain() -> None:
    assert said(BetterOpportunity(), the_market()) == a_verdict(
        Outcome.QUIET,
        QUIET_CLAIM,
        Fact("gain", "0.0007", limit="0.001"),
        Fact("candidate_divergence", "0.0006"),
        Fact("divergence", "0.0001"),
        Fact("switch_cost", "0.0008"),
        Fact("horizon_seconds", 86_400),
    )


@pytest.mark.parametrize(
    ("improvement", "outcome"),
    [("0.0007", Outcome.QUIET), ("0.000699999999", Outcome.FIRED), ("0.000700000001", Outcome.QUIET)],
)
def test_exactly_the_improvement_holds_and_one_grid_step_more_switches(improvement: str, outcome: Outcome) -> None:
    assert said(BetterOpportunity(min_improvement=improvement), the_market()).outcome is outcome


def test_a_gain_between_two_grid_steps_is_compared_before_it_is_rounded() -> None:
    rule = BetterOpportunity(cost_bps=0, min_improvement=0, horizon=timedelta(seconds=1))
    verdict = said(rule, the_market(ours="0", theirs="0.000000000001"))
    assert (verdict.outcome, verdict.facts[0]) == (Outcome.FIRED, Fact("gain", 0, limit=0))


def test_what_the_held_pair_cost_to_open_is_sunk() -> None:
    rule = BetterOpportunity(min_improvement="0.0006")
    assert said(rule, the_market(), fees_paid_usd=500) == said(rule, the_market(), fees_paid_usd=0)


def test_a_flat_cost_is_charged_once() -> None:
    verdict = said(BetterOpportunity(cost_bps="15", min_improvement=0), the_market())
    assert verdict.facts[0] == Fact("gain", 0, limit=0)
    assert verdict.facts[3] == Fact("switch_cost", "0.0015")
    assert verdict.outcome is Outcome.QUIET


def test_a_flat_cost_of_zero_and_a_rebate_are_figures_too() -> None:
    assert said(BetterOpportunity(cost_bps=0), the_market()).facts[0] == Fact("gain", "0.0015", limit="0.001")
    assert said(BetterOpportunity(cost_bps=-1), the_market()).facts[0] == Fact("gain", "0.0016", limit="0.001")


def test_with_costs_a_rotation_trades_two_legs() -> None:
    rule = BetterOpportunity(costs=Costs.flat(leg_bps=2), min_improvement=0)
    verdict = said(rule, the_market(ours="0.0001", theirs="0.0002"))
    assert verdict.facts[3] == Fact("switch_cost", "0.0004")
    verdict = said(rule, the_market(ours="0.0001", theirs="0.000266666667"))
    assert (verdict.outcome, verdict.facts[0]) == (Outcome.FIRED, Fact("gain", "0.000100000001", limit=0))


def test_with_costs_any_other_switch_trades_four_legs() -> None:
    rule = BetterOpportunity(costs=Costs.flat(leg_bps=2), min_improvement=0)
    snapshot = a_snapshot(*(a_quote(venue, rate) for venue, rate in (("lighter", 0), ("grvt", "0.0001"))))
    verdict = said(rule, snapshot)
    assert verdict.facts[1:4] == (
        Fact("candidate_divergence", "-0.0001"),
        Fact("divergence", "0.0001"),
        Fact("switch_cost", "0.0008"),
    )


def test_with_costs_each_venue_has_its_own() -> None:
    rule = BetterOpportunity(costs=Costs(leg_bps=2, venues={"paradex": "-1"}), min_improvement=0)
    assert said(rule, the_market()).facts[3] == Fact("switch_cost", "0.0001")


def test_the_best_pair_after_its_own_costs_is_taken_not_the_largest_divergence() -> None:
    snapshot = a_snapshot(
        a_quote("lighter", 0), a_quote("grvt", 0), a_quote("paradex", "0.0010"), a_quote("aster", "0.0009")
    )
    rule = BetterOpportunity(costs=Costs(leg_bps=0, venues={"paradex": 100}), min_improvement=0)
    verdict = said(rule, snapshot)
    assert verdict.target is not None
    assert verdict.target.pair == ("BTC", "grvt", "aster")


def test_other_symbols_are_considered_only_in_the_scope_any() -> None:
    ether = (a_quote("lighter", 0, symbol="ETH"), a_quote("grvt", "0.01", symbol="ETH"))
    snapshot = a_snapshot(a_quote("lighter", 0), a_quote("grvt", "0.0001"), *ether)
    assert said(BetterOpportunity(), snapshot).outcome is Outcome.QUIET
    verdict = said(BetterOpportunity(scope="any"), snapshot)
    assert verdict.target is not None
    assert verdict.target.pair == ("ETH", "lighter", "grvt")


def test_without_another_pair_that_may_be_opened_it_is_quiet() -> None:
    verdict = said(BetterOpportunity(), the_market(), TargetFilter(venues=("lighter", "grvt"), taken=()))
    assert verdict.claim == QUIET_CLAIM
    verdict = said(BetterOpportunity(), the_market(), TargetFilter(blocked_symbols=("BTC",)))
    assert verdict == a_verdict(Outcome.QUIET, "there is no other pair to switch to")


def test_no_pair_at_all_is_unknown_where_the_source_could_not_list_any() -> None:
    gap = Missing(field="opportunities", symbol="BTC", why="the service is down")
    snapshot = the_market(missing=(gap,))
    assert said(BetterOpportunity(), snapshot, TargetFilter(venues=())) == a_verdict(
        Outcome.NOT_EVALUATED, "a value that it reads is unknown", missing=(gap,)
    )


def test_a_pair_that_does_not_gain_enough_is_no_proof_where_the_source_could_not_list_the_others() -> None:
    gap = Missing(field="opportunities", symbol="BTC", why="the service is down")
    known = said(BetterOpportunity(), the_market())
    assert known.claim == QUIET_CLAIM
    partly = said(BetterOpportunity(), the_market(missing=(gap,)))
    assert partly == a_verdict(Outcome.NOT_EVALUATED, "a value that it reads is unknown", *known.facts, missing=(gap,))


def test_a_pair_that_gains_enough_is_switched_to_whatever_else_there_may_be() -> None:
    gap = Missing(field="opportunities", symbol="BTC", why="the service is down")
    assert said(BetterOpportunity(cost_bps=0, min_improvement="-1"), the_market(missing=(gap,))).action is Action.SWITCH


def test_a_gap_in_another_symbols_list_is_missed_only_in_the_scope_any() -> None:
    snapshot = the_market(missing=(Missing(field="opportunities", symbol="ETH", why="the service is down"),))
    assert said(BetterOpportunity(), snapshot, TargetFilter(venues=())).outcome is Outcome.QUIET
    everywhere = said(BetterOpportunity(scope="any"), snapshot, TargetFilter(venues=()))
    assert everywhere.outcome is Outcome.NOT_EVALUATED


def test_unknown_rates_of_the_held_pair_are_not_evaluated_and_named() -> None:
    snapshot = a_snapshot(a_quote("lighter", 0), a_quote("paradex", "0.01"))
    assert said(BetterOpportunity(), snapshot) == a_verdict(
        Outcome.NOT_EVALUATED,
        "a value that it reads is unknown",
        missing=(Missing(field="rate", venue="grvt", symbol="BTC", why="there is no quote of this market"),),
    )


def test_it_needs_rates_and_opportunities_and_all_symbols_in_the_scope_any() -> None:
    assert BetterOpportunity().needs == Needs(opportunities=True)
    assert BetterOpportunity(scope="any").needs == Needs(opportunities=True, all_symbols=True)


def test_its_reason_and_urgency_can_be_given() -> None:
    rule = BetterOpportunity(min_improvement=0, reason="ROTATE", urgency=Urgency.HIGH)
    verdict = said(rule, the_market())
    assert (verdict.reason, verdict.urgency) == ("ROTATE", Urgency.HIGH)


def test_a_flat_figure_and_costs_exclude_each_other() -> None:
    with pytest.raises(InputError, match=r"^BetterOpportunity: give either cost_bps or costs, not both$"):
        BetterOpportunity(cost_bps=8, costs=Costs.flat(leg_bps=2))


def test_no_figure_at_all_is_not_a_cost_of_zero() -> None:
    with pytest.raises(InputError, match=r"^BetterOpportunity: give cost_bps or costs: what a switch costs$"):
        BetterOpportunity(cost_bps=None)


def test_the_flat_figure_is_eight_basis_points_unless_costs_are_given() -> None:
    assert BetterOpportunity().cost_bps == 8
    assert BetterOpportunity(costs=Costs.flat(leg_bps=2)).cost_bps is None


def test_the_horizon_is_at_most_three_weeks() -> None:
    assert BetterOpportunity(horizon=timedelta(days=21)).horizon == timedelta(days=21)
    with pytest.raises(InputError, match=r"^BetterOpportunity: horizon must be at most 21 days$"):
        BetterOpportunity(horizon=timedelta(days=21, seconds=1))


def test_the_target_carries_when_its_older_leg_was_seen_and_by_whom() -> None:
    seen = AS_OF - timedelta(seconds=30)
    snapshot = a_snapshot(
        a_quote("lighter", 0, observed_at=seen, origin="feed"), a_quote("grvt", "0.0001"), a_quote("paradex", "0.0006")
    )
    verdict = said(BetterOpportunity(min_improvement=0), snapshot)
    assert verdict.target == SIX_BP.model_copy(update={"observed_at": seen, "origin": "feed"})
