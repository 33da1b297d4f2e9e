"""Close when the position no longer earns."""

import pytest

from rebalancer import (
    Action,
    DivergenceFlip,
    Fact,
    InputError,
    Missing,
    Needs,
    Outcome,
    RuleContext,
    Urgency,
    Verdict,
)
from rebalancer.rules.asking import ask
from rebalancer.testing import a_position, a_quote, a_snapshot


def said(rule: DivergenceFlip, *, divergence: str) -> Verdict:
    snapshot = a_snapshot(a_quote("lighter", 0), a_quote("grvt", divergence))
    return ask(rule, RuleContext(a_position(), snapshot))


def test_a_divergence_one_grid_step_below_zero_closes_critically() -> None:
    assert said(DivergenceFlip(), divergence="-0.000000000001") == Verdict(
        outcome=Outcome.FIRED,
        action=Action.CLOSE,
        claim="the divergence is below the margin",
        rule="DivergenceFlip",
        reason="DIVERGENCE_FLIPPED",
        urgency=Urgency.CRITICAL,
        facts=(Fact("divergence", "-0.000000000001", limit=0),),
    )


@pytest.mark.parametrize("zero", ["0", "-0"])
def test_a_divergence_of_zero_holds(zero: str) -> None:
    assert said(DivergenceFlip(), divergence=zero) == Verdict(
        outcome=Outcome.QUIET,
        claim="the divergence is at or above the margin",
        rule="DivergenceFlip",
        reason="DIVERGENCE_FLIPPED",
        facts=(Fact("divergence", 0, limit=0),),
    )


@pytest.mark.parametrize(
    ("margin", "divergence", "outcome"),
    [
        ("0.0001", "0.000099999999", Outcome.FIRED),
        ("0.0001", "0.0001", Outcome.QUIET),
        ("-0.0001", "-0.0001", Outcome.QUIET),
        ("-0.0001", "-0.000100000001", Outcome.FIRED),
    ],
)
def test_the_margin_itself_holds_and_one_grid_step_less_closes(margin: str, divergence: str, outcome: Outcome) -> None:
    verdict = said(DivergenceFlip(margin=margin), divergence=divergence)
    assert verdict.outcome is outcome
    assert verdict.facts == (Fact("divergence", divergence, limit=margin),)


def test_an_unknown_rate_is_not_evaluated_and_named() -> None:
    verdict = ask(DivergenceFlip(), RuleContext(a_position(), a_snapshot(a_quote("lighter", 0))))
    assert verdict == Verdict(
        outcome=Outcome.NOT_EVALUATED,
        claim="a value that it reads is unknown",
        rule="DivergenceFlip",
        reason="DIVERGENCE_FLIPPED",
        missing=(Missing(field="rate", venue="grvt", symbol="BTC", why="there is no quote of this market"),),
    )


def test_it_needs_the_two_rates() -> None:
    assert DivergenceFlip().needs == Needs()


def test_its_reason_and_urgency_can_be_given() -> None:
    verdict = said(DivergenceFlip(reason="EARNS_NOTHING", urgency=Urgency.HIGH), divergence="-0.0001")
    assert (verdict.reason, verdict.urgency) == ("EARNS_NOTHING", Urgency.HIGH)


@pytest.mark.parametrize("margin", ["1.000000000001", "-1.000000000001", "0.0000000000001", "NaN"])
def test_a_margin_beyond_its_bounds_or_off_the_grid_is_refused(margin: str) -> None:
    with pytest.raises(InputError, match=r"^DivergenceFlip: margin: "):
        DivergenceFlip(margin=margin)
