"""Close when the open interest of the two venues has drifted apart."""

from typing import Any

import pytest

from rebalancer import (
    Action,
    Fact,
    InputError,
    Missing,
    Needs,
    OpenInterestImbalance,
    Outcome,
    RuleContext,
    Urgency,
    Verdict,
)
from rebalancer.rules.asking import ask
from rebalancer.testing import a_position, a_quote, a_snapshot

USUAL = OpenInterestImbalance()


def said(long: Any, short: Any, rule: OpenInterestImbalance = USUAL) -> Verdict:
    snapshot = a_snapshot(a_quote("lighter", open_interest_usd=long), a_quote("grvt", open_interest_usd=short))
    return ask(rule, RuleContext(a_position(), snapshot))


def a_verdict(outcome: Outcome, claim: str, *facts: Fact, **more: Any) -> Verdict:
    return Verdict(
        outcome=outcome, claim=claim, rule="OpenInterestImbalance", reason="OI_IMBALANCE", facts=facts, **more
    )


def test_exactly_the_greatest_ratio_holds() -> None:
    assert said(3_000_000, 1_000_000) == a_verdict(
        Outcome.QUIET,
        "the open interest of the two venues is in balance",
        Fact("long_open_interest_usd", 3_000_000, limit=3_000_000),
        Fact("short_open_interest_usd", 1_000_000),
        Fact("max_ratio", 3),
    )


def test_a_dollar_above_the_greatest_ratio_closes() -> None:
    assert said(3_000_001, 1_000_000) == a_verdict(
        Outcome.FIRED,
        "the open interest of the two venues is out of balance",
        Fact("long_open_interest_usd", 3_000_001, limit=3_000_000),
        Fact("short_open_interest_usd", 1_000_000),
        Fact("max_ratio", 3),
        action=Action.CLOSE,
    )


def test_exactly_the_least_ratio_holds() -> None:
    assert said(330_000, 1_000_000) == a_verdict(
        Outcome.QUIET,
        "the open interest of the two venues is in balance",
        Fact("long_open_interest_usd", 330_000, limit=3_000_000),
        Fact("short_open_interest_usd", 1_000_000),
        Fact("max_ratio", 3),
    )


def test_a_dollar_below_the_least_ratio_closes() -> None:
    assert said(329_999, 1_000_000) == a_verdict(
        Outcome.FIRED,
        "the open interest of the two venues is out of balance",
        Fact("long_open_interest_usd", 329_999, limit=330_000),
        Fact("short_open_interest_usd", 1_000_000),
        Fact("min_ratio", "0.33"),
        action=Action.CLOSE,
    )


@pytest.mark.parametrize(("ratio", "outcome"), [("3", Outcome.QUIET), ("2.999999", Outcome.FIRED)])
def test_the_greatest_ratio_counts_to_its_last_grid_step(ratio: str, outcome: Outcome) -> None:
    assert said(3_000_000, 1_000_000, OpenInterestImbalance(max_ratio=ratio)).outcome is outcome


@pytest.mark.parametrize(("ratio", "outcome"), [("0.33", Outcome.QUIET), ("0.330001", Outcome.FIRED)])
def test_the_least_ratio_counts_to_its_last_grid_step(ratio: str, outcome: Outcome) -> None:
    assert said(330_000, 1_000_000, OpenInterestImbalance(min_ratio=ratio)).outcome is outcome


def test_a_known_zero_on_the_short_side_closes() -> None:
    assert said(1, 0) == a_verdict(
        Outcome.FIRED,
        "the open interest of the two venues is out of balance",
        Fact("long_open_interest_usd", 1, limit=0),
        Fact("short_open_interest_usd", 0),
        Fact("max_ratio", 3),
        action=Action.CLOSE,
    )


def test_a_known_zero_on_the_long_side_closes() -> None:
    assert said(0, 1) == a_verdict(
        Outcome.FIRED,
        "the open interest of the two venues is out of balance",
        Fact("long_open_interest_usd", 0, limit="0.33"),
        Fact("short_open_interest_usd", 1),
        Fact("min_ratio", "0.33"),
        action=Action.CLOSE,
    )


def test_zero_on_both_sides_has_no_ratio_and_is_not_evaluated() -> None:
    assert said(0, 0) == a_verdict(Outcome.NOT_EVALUATED, "neither venue has open interest, so there is no ratio")


UNSAID = [
    Missing(field="open interest", venue=venue, symbol="BTC", why="its quote does not say")
    for venue in ("lighter", "grvt")
]


@pytest.mark.parametrize(
    ("long", "short", "missing"), [(None, 0, UNSAID[:1]), (1, None, UNSAID[1:]), (None, None, UNSAID)]
)
def test_an_unknown_side_is_not_evaluated_and_named(
    long: int | None, short: int | None, missing: list[Missing]
) -> None:
    assert said(long, short) == a_verdict(
        Outcome.NOT_EVALUATED, "a value that it reads is unknown", missing=tuple(missing)
    )


def test_it_needs_open_interest_and_no_rates() -> None:
    assert OpenInterestImbalance().needs == Needs(rates=False, open_interest=True)


def test_its_reason_and_urgency_can_be_given() -> None:
    verdict = said(1, 0, OpenInterestImbalance(reason="THIN", urgency=Urgency.CRITICAL))
    assert (verdict.reason, verdict.urgency) == ("THIN", Urgency.CRITICAL)


@pytest.mark.parametrize("name", ["max_ratio", "min_ratio"])
@pytest.mark.parametrize("ratio", ["0", "90.000001", "-1"])
def test_ratios_are_above_zero_and_at_most_ninety(name: str, ratio: str) -> None:
    parameters: dict[str, Any] = {name: ratio}
    with pytest.raises(InputError, match=f"^OpenInterestImbalance: {name}: "):
        OpenInterestImbalance(**parameters)


def test_the_bounds_of_the_ratios_are_allowed() -> None:
    assert said(90, 1, OpenInterestImbalance(max_ratio=90, min_ratio="0.000001")).outcome is Outcome.QUIET
