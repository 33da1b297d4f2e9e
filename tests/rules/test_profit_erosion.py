"""Close when too little of the entry edge is left."""

from typing import Any

import pytest

from rebalancer import (
    Action,
    Fact,
    InputError,
    Missing,
    Needs,
    Outcome,
    ProfitErosion,
    RuleContext,
    Urgency,
    Verdict,
)
from rebalancer.rules.asking import ask
from rebalancer.testing import a_position, a_quote, a_snapshot


def said(rule: ProfitErosion, *, divergence: str, entry: str = "0.0002") -> Verdict:
    position = a_position(entry_divergence=entry)
    return ask(rule, RuleContext(position, a_snapshot(a_quote("lighter", 0), a_quote("grvt", divergence))))


def test_one_grid_step_below_the_share_to_keep_closes() -> None:
    assert said(ProfitErosion(), divergence="0.000059999999") == Verdict(
        outcome=Outcome.FIRED,
        action=Action.CLOSE,
        claim="the divergence is below the share of the entry edge to keep",
        rule="ProfitErosion",
        reason="PROFIT_EROSION",
        facts=(
            Fact("divergence", "0.000059999999", limit="0.00006"),
            Fact("entry_divergence", "0.0002"),
            Fact("keep", "0.3"),
        ),
    )


def test_exactly_the_share_to_keep_holds() -> None:
    assert said(ProfitErosion(), divergence="0.00006") == Verdict(
        outcome=Outcome.QUIET,
        claim="enough of the entry edge is left",
        rule="ProfitErosion",
        reason="PROFIT_EROSION",
        facts=(
            Fact("divergence", "0.00006", limit="0.00006"),
            Fact("entry_divergence", "0.0002"),
            Fact("keep", "0.3"),
        ),
    )


@pytest.mark.parametrize(
    ("keep", "divergence", "outcome"),
    [
        ("0", "0", Outcome.QUIET),
        ("0", "-0.000000000001", Outcome.FIRED),
        ("0.5", "0.0001", Outcome.QUIET),
        ("0.5", "0.000099999999", Outcome.FIRED),
        ("4", "0.0008", Outcome.QUIET),
        ("4", "0.000799999999", Outcome.FIRED),
    ],
)
def test_every_share_holds_exactly_and_closes_one_grid_step_below(keep: str, divergence: str, outcome: Outcome) -> None:
    assert said(ProfitErosion(keep=keep), divergence=divergence).outcome is outcome


@pytest.mark.parametrize(
    ("divergence", "outcome"), [("0.000000000001", Outcome.FIRED), ("0.000000000002", Outcome.QUIET)]
)
def test_a_share_between_two_grid_steps_is_compared_exactly(divergence: str, outcome: Outcome) -> None:
    verdict = said(ProfitErosion(keep="0.333334"), divergence=divergence, entry="0.000000000003")
    assert verdict.outcome is outcome
    assert verdict.facts[0].limit == verdict.facts[1].value * verdict.facts[2].value


def test_a_divergence_of_zero_closes() -> None:
    assert said(ProfitErosion(), divergence="0").outcome is Outcome.FIRED


@pytest.mark.parametrize("entry", ["0", "-0", "-0.000000000001", "-0.01"])
def test_erosion_is_not_evaluated_when_the_entry_edge_is_not_positive(entry: str) -> None:
    assert said(ProfitErosion(), divergence="-0.03", entry=entry) == Verdict(
        outcome=Outcome.NOT_EVALUATED,
        claim="the entry edge is not positive, so there is nothing to erode",
        rule="ProfitErosion",
        reason="PROFIT_EROSION",
    )


def test_the_smallest_entry_edge_can_erode() -> None:
    assert said(ProfitErosion(), divergence="0", entry="0.000000000001").outcome is Outcome.FIRED


def test_an_unknown_rate_is_not_evaluated_and_named() -> None:
    verdict = ask(ProfitErosion(), RuleContext(a_position(), a_snapshot(a_quote("grvt", 0))))
    assert verdict == Verdict(
        outcome=Outcome.NOT_EVALUATED,
        claim="a value that it reads is unknown",
        rule="ProfitErosion",
        reason="PROFIT_EROSION",
        missing=(Missing(field="rate", venue="lighter", symbol="BTC", why="there is no quote of this market"),),
    )


def test_without_an_entry_edge_an_unknown_rate_is_not_missed() -> None:
    verdict = ask(ProfitErosion(), RuleContext(a_position(entry_divergence=0), a_snapshot(a_quote("grvt", 0))))
    assert verdict.claim == "the entry edge is not positive, so there is nothing to erode"
    assert verdict.missing == ()


def test_it_needs_the_two_rates() -> None:
    assert ProfitErosion().needs == Needs()


def test_its_reason_and_urgency_can_be_given() -> None:
    verdict = said(ProfitErosion(reason="SEVERE_EROSION", urgency=Urgency.HIGH), divergence="0")
    assert (verdict.reason, verdict.urgency) == ("SEVERE_EROSION", Urgency.HIGH)


@pytest.mark.parametrize("keep", ["4.000001", "-0.000001", "0.1234567", float("inf"), True, None])
def test_a_share_beyond_its_bounds_or_off_the_grid_is_refused(keep: Any) -> None:
    with pytest.raises(InputError, match=r"^ProfitErosion: keep: "):
        ProfitErosion(keep=keep)
