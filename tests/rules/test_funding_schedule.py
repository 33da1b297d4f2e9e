"""Leave shortly before a settlement, and come back after it."""

from datetime import timedelta
from typing import Any

import pytest

from rebalancer import (
    Action,
    Fact,
    FundingSchedule,
    InputError,
    Missing,
    Needs,
    Outcome,
    Quote,
    RuleContext,
    Urgency,
    Verdict,
)
from rebalancer.rules.asking import ask
from rebalancer.testing import AS_OF, a_position, a_quote, a_snapshot

ALWAYS = FundingSchedule()
WHEN_PAYING = FundingSchedule(mode="when_paying")
WINDOW = 900
CLAIM = "a settlement is inside the window"
QUIET_CLAIM = "no settlement to leave before is inside the window"
UNKNOWN_CLAIM = "a value that it reads is unknown"


def leg(venue: str, settles_in: int | None, rate: str = "0.0001", **fields: Any) -> Quote:
    """A leg that settles in so many seconds; None: nobody knows when."""
    at = None if settles_in is None else AS_OF + timedelta(seconds=settles_in)
    return a_quote(venue, rate, next_funding_at=at, **fields)


def continuous(venue: str, rate: str = "0.0001") -> Quote:
    return a_quote(venue, rate, pays_every=timedelta(0))


def said(long: Quote, short: Quote, rule: FundingSchedule = ALWAYS) -> Verdict:
    return ask(rule, RuleContext(a_position(), a_snapshot(long, short)))


def a_verdict(outcome: Outcome, claim: str, *facts: Fact, **more: Any) -> Verdict:
    return Verdict(outcome=outcome, claim=claim, rule="FundingSchedule", reason="PRE_FUNDING_EXIT", facts=facts, **more)


def unknown_schedule(venue: str, why: str = "its quote does not say") -> Missing:
    return Missing(field="next funding time", venue=venue, symbol="BTC", why=why)


def test_a_settlement_one_second_inside_the_window_closes_until_it_has_passed() -> None:
    assert said(leg("lighter", 899), leg("grvt", 5_000)) == a_verdict(
        Outcome.FIRED,
        CLAIM,
        Fact("settles_in_seconds", 899, limit=WINDOW),
        action=Action.CLOSE,
        reopen_after=AS_OF + timedelta(seconds=899),
    )


def test_a_settlement_exactly_at_the_window_holds() -> None:
    assert said(leg("lighter", 900), leg("grvt", 5_000)) == a_verdict(
        Outcome.QUIET, QUIET_CLAIM, Fact("settles_in_seconds", 900, limit=WINDOW)
    )


def test_a_settlement_that_is_now_holds() -> None:
    assert said(leg("lighter", 0), leg("grvt", 5_000)) == a_verdict(
        Outcome.QUIET, QUIET_CLAIM, Fact("settles_in_seconds", 0, limit=WINDOW)
    )


def test_a_settlement_in_one_second_closes() -> None:
    assert said(leg("lighter", 1), leg("grvt", 5_000)).outcome is Outcome.FIRED


@pytest.mark.parametrize(("long", "short"), [(100, 28_000), (28_000, 100)])
def test_the_leg_that_settles_earlier_counts(long: int, short: int) -> None:
    verdict = said(leg("lighter", long), leg("grvt", short))
    assert (verdict.outcome, verdict.facts[0]) == (Outcome.FIRED, Fact("settles_in_seconds", 100, limit=WINDOW))


@pytest.mark.parametrize("known", [1, 899])
def test_one_known_settlement_inside_the_window_is_enough(known: int) -> None:
    assert said(leg("lighter", known), leg("grvt", None)).outcome is Outcome.FIRED
    assert said(leg("lighter", None), leg("grvt", known)).outcome is Outcome.FIRED


@pytest.mark.parametrize("known", [0, 900, 28_800])
def test_one_unknown_schedule_is_not_evaluated_while_the_other_leg_is_outside_the_window(known: int) -> None:
    assert said(leg("lighter", known), leg("grvt", None)) == a_verdict(
        Outcome.NOT_EVALUATED, UNKNOWN_CLAIM, missing=(unknown_schedule("grvt"),)
    )
    assert said(leg("lighter", None), leg("grvt", known)).missing == (unknown_schedule("lighter"),)


def test_two_unknown_schedules_are_not_evaluated_and_both_named_once() -> None:
    assert said(leg("lighter", None), leg("grvt", -1)) == a_verdict(
        Outcome.NOT_EVALUATED,
        UNKNOWN_CLAIM,
        missing=(unknown_schedule("lighter"), unknown_schedule("grvt", "it is in the past")),
    )


def test_a_settlement_more_than_one_interval_ahead_is_unknown() -> None:
    verdict = said(leg("lighter", 28_800), leg("grvt", 28_801))
    assert verdict.missing == (unknown_schedule("grvt", "it is more than one interval ahead"),)


def test_continuous_funding_on_both_legs_never_settles() -> None:
    assert said(continuous("lighter"), continuous("grvt")) == a_verdict(Outcome.QUIET, QUIET_CLAIM)


def test_a_continuous_leg_leaves_the_other_one_to_decide() -> None:
    assert said(continuous("lighter"), leg("grvt", 899)).outcome is Outcome.FIRED
    assert said(continuous("lighter"), leg("grvt", 900)).outcome is Outcome.QUIET


def test_a_continuous_leg_beside_an_unknown_schedule_is_not_evaluated() -> None:
    assert said(continuous("lighter"), leg("grvt", None)) == a_verdict(
        Outcome.NOT_EVALUATED, UNKNOWN_CLAIM, missing=(unknown_schedule("grvt"),)
    )


def test_another_window_counts_to_the_second() -> None:
    rule = FundingSchedule(window=timedelta(minutes=10))
    assert said(leg("lighter", 599), leg("grvt", 5_000), rule).facts == (Fact("settles_in_seconds", 599, limit=600),)
    assert said(leg("lighter", 600), leg("grvt", 5_000), rule).outcome is Outcome.QUIET


def test_when_paying_it_leaves_before_a_payment_that_costs() -> None:
    assert said(leg("lighter", 600, "0.0003"), leg("grvt", 600, "0.0001"), WHEN_PAYING) == a_verdict(
        Outcome.FIRED,
        CLAIM,
        Fact("settles_in_seconds", 600, limit=WINDOW),
        Fact("net_payment_rate", "-0.0002", limit=0),
        action=Action.CLOSE,
        reopen_after=AS_OF + timedelta(seconds=600),
    )


def test_when_paying_it_stays_for_a_payment_in_its_favour() -> None:
    assert said(leg("lighter", 600, "0.0001"), leg("grvt", 600, "0.0003"), WHEN_PAYING) == a_verdict(
        Outcome.QUIET,
        QUIET_CLAIM,
        Fact("settles_in_seconds", 600, limit=WINDOW),
        Fact("net_payment_rate", "0.0002", limit=0),
    )


@pytest.mark.parametrize(("long_rate", "outcome"), [("0.0001", Outcome.QUIET), ("0.000100000001", Outcome.FIRED)])
def test_when_paying_a_payment_of_nothing_stays_and_one_grid_step_against_leaves(
    long_rate: str, outcome: Outcome
) -> None:
    assert said(leg("lighter", 600, long_rate), leg("grvt", 600), WHEN_PAYING).outcome is outcome


@pytest.mark.parametrize(
    ("settles_in", "outcome"),
    [(0, Outcome.QUIET), (1, Outcome.FIRED), (899, Outcome.FIRED), (900, Outcome.QUIET)],
)
def test_when_paying_the_window_is_the_same(settles_in: int, outcome: Outcome) -> None:
    verdict = said(leg("lighter", settles_in, "0.0003"), leg("grvt", settles_in), WHEN_PAYING)
    assert verdict.outcome is outcome


def test_when_paying_only_the_leg_that_settles_then_is_paid() -> None:
    verdict = said(leg("lighter", 600, "0.0001"), leg("grvt", 601, "0.0009"), WHEN_PAYING)
    assert (verdict.outcome, verdict.facts[1].value) == (Outcome.FIRED, Fact("_", "-0.0001").value)


def test_when_paying_an_hourly_leg_pays_an_eighth_of_its_rate_per_eight_hours() -> None:
    verdict = said(
        leg("lighter", 600, "0.0004", pays_every=timedelta(hours=1)), leg("grvt", 600, "0.00004"), WHEN_PAYING
    )
    assert (verdict.outcome, verdict.facts[1]) == (Outcome.FIRED, Fact("net_payment_rate", "-0.00001", limit=0))


def test_when_paying_on_two_continuous_legs_nothing_is_ever_paid() -> None:
    assert said(continuous("lighter", "0.0003"), continuous("grvt"), WHEN_PAYING) == a_verdict(
        Outcome.QUIET, QUIET_CLAIM, Fact("net_payment_rate", 0, limit=0)
    )


def test_when_paying_one_unknown_schedule_is_not_evaluated_even_inside_the_window() -> None:
    verdict = said(leg("lighter", 100, "0.0003"), leg("grvt", None), WHEN_PAYING)
    assert verdict == a_verdict(Outcome.NOT_EVALUATED, UNKNOWN_CLAIM, missing=(unknown_schedule("grvt"),))


def test_when_paying_an_unknown_rate_is_not_evaluated_and_named() -> None:
    stale = leg("grvt", 600, observed_at=AS_OF - timedelta(seconds=121))
    assert said(leg("lighter", 600), stale, WHEN_PAYING) == a_verdict(
        Outcome.NOT_EVALUATED,
        UNKNOWN_CLAIM,
        missing=(Missing(field="rate", venue="grvt", symbol="BTC", why="the quote is older than its limit"),),
    )


def test_when_paying_legs_seen_far_apart_in_time_can_still_be_added() -> None:
    early = leg("lighter", 600, "0.0003", observed_at=AS_OF - timedelta(seconds=120))
    late = leg("grvt", 600, observed_at=AS_OF + timedelta(seconds=10))
    assert said(early, late, WHEN_PAYING).outcome is Outcome.FIRED
    assert said(early, late.model_copy(update={"next_funding_at": None}), WHEN_PAYING).missing == (
        unknown_schedule("grvt"),
    )


def test_an_unknown_rate_does_not_matter_to_the_schedule_alone() -> None:
    stale = leg("grvt", 600, observed_at=AS_OF - timedelta(hours=1))
    assert said(leg("lighter", 600), stale).outcome is Outcome.FIRED


def test_it_needs_the_schedule_and_when_paying_the_rates_too() -> None:
    assert ALWAYS.needs == Needs(rates=False, schedule=True)
    assert WHEN_PAYING.needs == Needs(schedule=True)


def test_its_reason_and_urgency_can_be_given() -> None:
    rule = FundingSchedule(reason="BEFORE_FUNDING", urgency=Urgency.HIGH)
    verdict = said(leg("lighter", 600), leg("grvt", 600), rule)
    assert (verdict.reason, verdict.urgency) == ("BEFORE_FUNDING", Urgency.HIGH)


def test_an_unknown_mode_or_an_empty_window_is_refused() -> None:
    with pytest.raises(InputError, match=r"^FundingSchedule: mode: Input should be 'always' or 'when_paying'$"):
        FundingSchedule(mode="sometimes")  # type: ignore[arg-type]  # what the test is about
    with pytest.raises(InputError, match=r"^FundingSchedule: window: a duration must be above 0$"):
        FundingSchedule(window=timedelta(0))


@pytest.mark.parametrize(("net_payment", "leaves"), [(-1, True), (0, False), (1, False)])
def test_when_paying_the_smallest_payment_that_there_is_counts(net_payment: int, *, leaves: bool) -> None:
    assert FundingSchedule.fires_when_paying(1, net_payment, 2) is leaves
