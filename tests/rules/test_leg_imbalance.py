"""Close when the two legs no longer hedge each other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import (
    Action,
    CombinedStrategy,
    Fact,
    InputError,
    LegImbalance,
    MarketSnapshot,
    Missing,
    Needs,
    Outcome,
    RuleContext,
    Unknown,
    Urgency,
    Verdict,
)
from rebalancer.rules.asking import ask
from rebalancer.testing import AS_OF, a_leg, a_position

USUAL = LegImbalance()
FIRED, QUIET = "the legs are out of balance", "the legs are in balance"
NO_ANSWER = Unknown("no answer")


def holding(long: Any, short: Any) -> MarketSnapshot:
    """These legs alone: no market is quoted."""
    return MarketSnapshot(as_of=AS_OF, quotes=(), legs=(a_leg("lighter", long), a_leg("grvt", short)))


def said(long: Any, short: Any, rule: LegImbalance = USUAL) -> Verdict:
    return ask(rule, RuleContext(a_position(), holding(long, short)))


def a_verdict(outcome: Outcome, claim: str, *facts: Fact, **more: Any) -> Verdict:
    return Verdict(outcome=outcome, claim=claim, rule="LegImbalance", reason="LEG_IMBALANCE", facts=facts, **more)


def facts(difference: Any, long: Any, short: Any) -> tuple[Fact, ...]:
    return (
        Fact("quantity_difference_ratio", difference, limit="0.05"),
        Fact("long_quantity_tokens", long),
        Fact("short_quantity_tokens", short),
    )


def fired(*facts: Fact) -> Verdict:
    return a_verdict(Outcome.FIRED, FIRED, *facts, action=Action.CLOSE, urgency=Urgency.HIGH)


def gap(venue: str, why: str) -> Missing:
    return Missing(field="leg state", venue=venue, symbol="BTC", why=why)


@pytest.mark.parametrize(("long", "short"), [(100, -95), (95, -100)])
def test_exactly_the_greatest_difference_holds_whichever_leg_is_the_larger(long: int, short: int) -> None:
    assert said(long, short) == a_verdict(Outcome.QUIET, QUIET, *facts("0.05", long, short))


@pytest.mark.parametrize(("long", "short"), [(100, "-94.9999"), ("94.9999", -100)])
def test_a_grid_step_above_the_greatest_difference_closes(long: Any, short: Any) -> None:
    assert said(long, short) == fired(*facts("0.050001", long, short))


def test_less_than_half_a_grid_step_above_is_rounded_onto_the_limit_and_holds() -> None:
    assert said(100, "-94.99995").outcome is Outcome.QUIET  # half a step, to the even one
    assert said(100, "-94.99994").outcome is Outcome.FIRED


def test_equal_legs_are_in_balance() -> None:
    assert said("0.1", "-0.1") == a_verdict(Outcome.QUIET, QUIET, *facts(0, "0.1", "-0.1"))


@pytest.mark.parametrize(("long", "short"), [("0.1", 0), (0, "-0.1")])
def test_a_known_zero_on_one_side_differs_wholly_and_closes(long: Any, short: Any) -> None:
    assert said(long, short) == fired(*facts(1, long, short))


def test_a_known_zero_closes_whatever_difference_is_allowed() -> None:
    assert said(1, 0, LegImbalance(max_difference="0.999999")).outcome is Outcome.FIRED


def test_two_flat_legs_are_not_evaluated_and_nothing_is_missing() -> None:
    assert said(0, 0) == a_verdict(Outcome.NOT_EVALUATED, "both legs are flat, so there is nothing to decide")


@pytest.mark.parametrize(
    ("long", "short", "venues"),
    [(-1, -1, ["lighter"]), (1, 1, ["grvt"]), (-1, 1, ["lighter", "grvt"]), (-1, 0, ["lighter"])],
)
def test_a_leg_on_the_wrong_side_is_never_acted_on_and_is_named(long: int, short: int, venues: list[str]) -> None:
    verdict = said(long, short)
    assert (verdict.outcome, verdict.facts) == (Outcome.NOT_EVALUATED, ())
    assert verdict.missing == tuple(gap(venue, "it is on the wrong side") for venue in venues)


def test_a_leg_on_the_wrong_side_leaves_the_decision_incomplete() -> None:
    decision = CombinedStrategy(USUAL).decide(a_position(), holding(-1, -1))
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert "unknown leg state of BTC on lighter: it is on the wrong side" in decision.explain()


@pytest.mark.parametrize(
    ("long", "short", "venues"),
    [
        (NO_ANSWER, -1, ["lighter"]),
        (1, NO_ANSWER, ["grvt"]),
        (0, NO_ANSWER, ["grvt"]),
        (NO_ANSWER, NO_ANSWER, ["lighter", "grvt"]),
    ],
)
def test_an_unknown_leg_is_not_evaluated_and_never_taken_for_flat(long: Any, short: Any, venues: list[str]) -> None:
    missing = tuple(gap(venue, "no answer") for venue in venues)
    assert said(long, short) == a_verdict(Outcome.NOT_EVALUATED, "a value that it reads is unknown", missing=missing)


def test_a_leg_that_was_not_read_is_unknown() -> None:
    snapshot = MarketSnapshot(as_of=AS_OF, quotes=(), legs=(a_leg("lighter", 1),))
    verdict = ask(USUAL, RuleContext(a_position(), snapshot))
    assert verdict.missing == (gap("grvt", "no leg state was read"),)


def test_it_decides_without_any_market_data_and_says_what_it_saw() -> None:
    decision = CombinedStrategy(USUAL).decide(a_position(), holding("0.1", "-0.09"))
    assert (decision.reason, decision.urgency, decision.complete) == ("LEG_IMBALANCE", Urgency.HIGH, True)
    assert (
        "  the legs are out of balance\n"
        "    quantity difference ratio 0.1, limit 0.05\n"
        "    long quantity 0.1 tokens\n"
        "    short quantity -0.09 tokens\n"
    ) in decision.explain()


def test_it_needs_the_legs_alone() -> None:
    assert USUAL.needs == Needs(rates=False, legs=True)


def test_its_parameters_can_be_given() -> None:
    rule = LegImbalance(max_difference="0.5", reason="UNHEDGED", urgency=Urgency.CRITICAL)
    verdict = said(10, "-4.9", rule)
    assert (verdict.reason, verdict.urgency) == ("UNHEDGED", Urgency.CRITICAL)
    assert said(10, -5, rule).outcome is Outcome.QUIET
    assert LegImbalance(max_difference=0).max_difference == 0


@pytest.mark.parametrize("max_difference", ["-0.1", "1", "5", "0.0000001"])
def test_a_difference_that_is_no_share_below_one_is_refused(max_difference: str) -> None:
    with pytest.raises(InputError, match=r"^LegImbalance: max_difference: "):
        LegImbalance(max_difference=max_difference)


tokens = st.integers(1, 10_000).map(lambda steps: Decimal(steps).scaleb(-3))


@given(long=tokens, short=tokens, unit=st.sampled_from(("0.001", "1000", "3")))
def test_the_unit_of_the_tokens_does_not_matter(long: Decimal, short: Decimal, unit: str) -> None:
    scaled = said(long * Decimal(unit), -short * Decimal(unit))
    assert (scaled.outcome, scaled.facts[0]) == (said(long, -short).outcome, said(long, -short).facts[0])
    assert said(short, -long).outcome is scaled.outcome
