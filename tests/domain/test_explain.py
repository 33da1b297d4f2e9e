"""Decisions in words."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from rebalancer import Action, Fact, HeldBack, Missing, RebalanceDecision, TargetFilter, Urgency, Verdict
from rebalancer.domain import explain
from rebalancer.domain.funding import RateKind
from rebalancer.domain.record import DecisionRecord, LegRecord
from rebalancer.testing import AS_OF, an_opportunity

LONG = LegRecord(venue="lighter", rate="0.0001", age_seconds=5, kind=RateKind.INDICATIVE, origin=None)
SHORT = LegRecord(venue="grvt", rate="0.0003", age_seconds=75, kind=RateKind.SETTLED, origin="svc")


def a_decision(*verdicts: Verdict, **fields: Any) -> RebalanceDecision:
    """A decision that says these verdicts of the usual position; a HOLD unless `fields` say otherwise."""
    usual: dict[str, Any] = {
        "as_of": AS_OF,
        "position_id": UUID(int=7),
        "position_version": 0,
        "symbol": "BTC",
        "long": LONG,
        "short": SHORT,
        "action": Action.HOLD,
        "reason": None,
        "target": None,
        "urgency": Urgency.NORMAL,
        "complete": True,
        "verdicts": verdicts,
        "held_back": (),
        "warnings": (),
        "targets": TargetFilter.ANY,
    }
    return RebalanceDecision(DecisionRecord(**{**usual, **fields}))


def signed(verdict: Verdict, rule: str, reason: str) -> Verdict:
    """The verdict as the engine hands it on, with the names of its rule and reason."""
    return verdict.model_copy(update={"rule": rule, "reason": reason})


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        ("0.0002", "2 bp"),
        ("-0.0002", "-2 bp"),
        ("0", "0 bp"),
        ("1", "10000 bp"),
        ("0.000014", "0.14 bp"),
        ("0.000000000001", "0.00000001 bp"),
        ("0.0000000000005", "0 bp"),
    ],
)
def test_a_fraction_is_told_in_basis_points_without_an_exponent(fraction: str, text: str) -> None:
    assert explain.bps(Decimal(fraction)) == text


def test_a_rate_is_told_as_it_is_and_in_basis_points() -> None:
    assert explain.rate(Decimal("-0.00020")) == "-0.0002 (-2 bp)"
    assert explain.rate(Decimal("1E-10")) == "0.0000000001 (0.000001 bp)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (1, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (3601, "1 h 1 s"),
        (3660, "1 h 1 min"),
        (3661, "1 h 1 min"),
        (12_000, "3 h 20 min"),
        (604_800, "168 h"),
        (-1, "-1 s"),
        (-3661, "-1 h 1 min"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: int, text: str) -> None:
    assert explain.span(seconds) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("age_seconds", "12000", "3 h 20 min"),
        ("rate_age_seconds", "60", "1 min"),
        ("size_usd", "1234567.5", "1,234,567.5 USD"),
        ("cost_usd", "-1000", "-1,000 USD"),
        ("leg_bps", "8.50", "8.5 bp"),
        ("cost_bps", "8", "8 bp"),
        ("long_quantity_tokens", "-0.50", "-0.5 tokens"),
        ("divergence", "0.0002", "0.0002 (2 bp)"),
        ("entry_divergence_gap", "0.0002", "0.0002 (2 bp)"),
        ("net_payment_rate", "-0.0002", "-0.0002 (-2 bp)"),
        ("margin", "0.0002", "0.0002 (2 bp)"),
        ("gain", "0.0002", "0.0002 (2 bp)"),
        ("switch_cost", "0.0002", "0.0002 (2 bp)"),
        ("min_improvement", "0.0002", "0.0002 (2 bp)"),
        ("max_ratio", "3.0", "3"),
        ("cost_ratio", "3.0", "3"),
        ("keep", "0.30", "0.3"),
        ("observations", "1E+3", "1000"),
    ],
)
def test_a_number_is_told_in_the_unit_that_its_name_carries(name: str, value: str, text: str) -> None:
    assert explain.number(name, Decimal(value)) == text


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (Fact("divergence", "-0.0002", limit=0), "divergence -0.0002 (-2 bp), limit 0 (0 bp)"),
        (Fact("entry_divergence", "0.0002"), "entry divergence 0.0002 (2 bp)"),
        (Fact("age_seconds", 18_000, limit=604_800), "age 5 h, limit 168 h"),
        (Fact("long_open_interest_usd", 3000, limit=1000), "long open interest 3,000 USD, limit 1,000 USD"),
        (Fact("leg_bps", 2), "leg 2 bp"),
        (Fact("long_quantity_tokens", 2), "long quantity 2 tokens"),
        (Fact("max_ratio", 3), "max ratio 3"),
    ],
)
def test_a_fact_is_told_with_its_limit_and_without_the_unit_in_its_name(fact: Fact, text: str) -> None:
    assert explain.fact(fact) == text


@pytest.mark.parametrize(
    ("verdict", "lines"),
    [
        (Verdict.close("the edge is gone"), ["fired: EDGE (Edge): the edge is gone"]),
        (
            Verdict.quiet("the edge is fine", Fact("gain", "0.0002"), Fact("keep", 1)),
            ["quiet: EDGE (Edge): the edge is fine", "  gain 0.0002 (2 bp); keep 1"],
        ),
        (
            Verdict.not_evaluated(
                "a rate is unknown",
                Fact("keep", 1),
                missing=(Missing(field="rate", why="HTTP 503", venue="grvt"), Missing(field="volume", why="no idea")),
            ),
            [
                "not evaluated: EDGE (Edge): a rate is unknown",
                "  keep 1; unknown rate of grvt: HTTP 503; unknown volume: no idea",
            ],
        ),
        (Verdict.failed("it raised KeyError"), ["FAILED: EDGE (Edge): it raised KeyError"]),
    ],
)
def test_a_verdict_is_told_with_its_outcome_its_reason_and_its_numbers(verdict: Verdict, lines: list[str]) -> None:
    assert list(explain.verdict(signed(verdict, "Edge", "EDGE"))) == lines


def test_a_verdict_without_a_reason_is_told_by_its_rule() -> None:
    quiet = Verdict.quiet("the edge is fine").model_copy(update={"rule": "Edge"})
    assert list(explain.verdict(quiet)) == ["quiet: Edge: the edge is fine"]


def test_a_hold_is_told_with_its_legs_and_what_each_rule_said() -> None:
    decision = a_decision(
        signed(Verdict.quiet("the edge is fine", Fact("divergence", "0.0002", limit=0)), "Edge", "EDGE"),
        signed(Verdict.quiet("it is young", Fact("age_seconds", 60, limit=3600)), "Age", "AGE"),
    )
    assert decision.explain() == (
        "HOLD BTC long lighter / short grvt\n"
        "  as of 2026-01-05 12:00:00 UTC\n"
        "  long lighter: 0.0001 (1 bp) per 8 h, indicative, seen 5 s ago\n"
        "  short grvt: 0.0003 (3 bp) per 8 h, settled, seen 1 min 15 s ago, from svc\n"
        "  what each rule said:\n"
        "    quiet: EDGE (Edge): the edge is fine\n"
        "      divergence 0.0002 (2 bp), limit 0 (0 bp)\n"
        "    quiet: AGE (Age): it is young\n"
        "      age 1 min, limit 1 h"
    )


def test_a_hold_without_verdicts_is_told_by_its_legs_alone() -> None:
    assert a_decision().explain() == (
        "HOLD BTC long lighter / short grvt\n"
        "  as of 2026-01-05 12:00:00 UTC\n"
        "  long lighter: 0.0001 (1 bp) per 8 h, indicative, seen 5 s ago\n"
        "  short grvt: 0.0003 (3 bp) per 8 h, settled, seen 1 min 15 s ago, from svc"
    )


def test_a_close_is_told_with_the_rule_that_decided_and_the_others_after_it() -> None:
    fired = Verdict.close(
        "a settlement is near",
        Fact("settles_in_seconds", 300, limit=900),
        Fact("net_payment_rate", "-0.0001", limit=0),
        urgency=Urgency.HIGH,
        reopen_after=AS_OF + timedelta(minutes=5, seconds=7),
    )
    decision = a_decision(
        signed(Verdict.quiet("the edge is fine"), "Edge", "EDGE"),
        signed(fired, "Schedule", "PRE_FUNDING_EXIT"),
        signed(Verdict.close("it is old"), "Age", "AGE"),
        action=Action.CLOSE,
        reason="PRE_FUNDING_EXIT",
        urgency=Urgency.HIGH,
    )
    assert decision.explain() == (
        "CLOSE BTC long lighter / short grvt: PRE_FUNDING_EXIT (high)\n"
        "  a settlement is near\n"
        "    settles in 5 min, limit 15 min\n"
        "    net payment rate -0.0001 (-1 bp), limit 0 (0 bp)\n"
        "  reopen after 2026-01-05 12:05:07 UTC\n"
        "  as of 2026-01-05 12:00:00 UTC\n"
        "  long lighter: 0.0001 (1 bp) per 8 h, indicative, seen 5 s ago\n"
        "  short grvt: 0.0003 (3 bp) per 8 h, settled, seen 1 min 15 s ago, from svc\n"
        "  the other rules:\n"
        "    quiet: EDGE (Edge): the edge is fine\n"
        "    fired: AGE (Age): it is old"
    )


def test_a_close_by_the_only_rule_has_no_others_to_tell() -> None:
    decision = a_decision(
        signed(Verdict.close("it is old"), "Age", "AGE"), action=Action.CLOSE, reason="AGE", urgency=Urgency.NORMAL
    )
    assert decision.explain() == (
        "CLOSE BTC long lighter / short grvt: AGE (normal)\n"
        "  it is old\n"
        "  as of 2026-01-05 12:00:00 UTC\n"
        "  long lighter: 0.0001 (1 bp) per 8 h, indicative, seen 5 s ago\n"
        "  short grvt: 0.0003 (3 bp) per 8 h, settled, seen 1 min 15 s ago, from svc"
    )


def test_a_switch_is_told_with_its_target() -> None:
    target = an_opportunity(short_rate="0.00055")
    decision = a_decision(
        signed(Verdict.switch(target, "another pair earns more", Fact("gain", "0.0015")), "Better", "BETTER"),
        action=Action.SWITCH,
        reason="BETTER",
        target=target,
    )
    assert decision.explain() == (
        "SWITCH BTC long lighter / short grvt: BETTER (normal)\n"
        "  to BTC long paradex / short grvt, divergence 0.00055 (5.5 bp) per 8 h\n"
        "  another pair earns more\n"
        "    gain 0.0015 (15 bp)\n"
        "  as of 2026-01-05 12:00:00 UTC\n"
        "  long lighter: 0.0001 (1 bp) per 8 h, indicative, seen 5 s ago\n"
        "  short grvt: 0.0003 (3 bp) per 8 h, settled, seen 1 min 15 s ago, from svc"
    )


def test_what_is_unknown_held_back_or_odd_is_told() -> None:
    decision = a_decision(
        signed(Verdict.failed("it raised KeyError"), "Edge", "EDGE"),
        long=LegRecord(venue="lighter", rate=None, age_seconds=-3661, kind=RateKind.FORMING, origin=None),
        short=LegRecord(venue="grvt", rate=None, age_seconds=None, kind=None, origin=None),
        complete=False,
        held_back=(
            HeldBack(reason="AGE", guard="HeldFor(at_least=4:00:00)", why="not held for long enough"),
            HeldBack(reason="EDGE", guard="SettlementDue()", why="unknown: no schedule"),
        ),
        warnings=(Fact("lighter_ahead_of_now_seconds", 3661), Fact("entry_divergence_gap", "0.0001", limit="2e-8")),
    )
    assert decision.explain() == (
        "HOLD BTC long lighter / short grvt\n"
        "  as of 2026-01-05 12:00:00 UTC\n"
        "  long lighter: rate unknown, forming, seen 1 h 1 min in the future\n"
        "  short grvt: no quote\n"
        "  incomplete: something that a rule reads is unknown, or a rule failed\n"
        "  held back: AGE by HeldFor(at_least=4:00:00): not held for long enough\n"
        "  held back: EDGE by SettlementDue(): unknown: no schedule\n"
        "  warning: lighter ahead of now 1 h 1 min\n"
        "  warning: entry divergence gap 0.0001 (1 bp), limit 0.00000002 (0.0002 bp)\n"
        "  what each rule said:\n"
        "    FAILED: EDGE (Edge): it raised KeyError"
    )


@pytest.mark.parametrize(("age", "seen"), [(0, "seen 0 s ago"), (1, "seen 1 s ago"), (-1, "seen 1 s in the future")])
def test_a_quote_of_this_very_second_was_seen_0_s_ago(age: int, seen: str) -> None:
    leg = LegRecord(venue="lighter", rate=0, age_seconds=age, kind=RateKind.INDICATIVE, origin=None)
    assert f"  long lighter: 0 (0 bp) per 8 h, indicative, {seen}\n" in a_decision(long=leg).explain()


@pytest.mark.usefixtures("hostile_context", "far_zone")
def test_words_depend_neither_on_the_decimal_context_nor_on_the_time_zone() -> None:
    fired = Verdict.close("x", Fact("size_usd", "1234567.89", limit="0.123456789"), reopen_after=AS_OF)
    leg = LegRecord(venue="lighter", rate="0.012345678912", age_seconds=5, kind=RateKind.SETTLED, origin=None)
    decision = a_decision(
        signed(fired, "Edge", "EDGE"), long=leg, action=Action.CLOSE, reason="EDGE", warnings=(Fact("keep", "1E-15"),)
    )
    assert decision.explain() == (
        "CLOSE BTC long lighter / short grvt: EDGE (normal)\n"
        "  x\n"
        "    size 1,234,567.89 USD, limit 0.123456789 USD\n"
        "  reopen after 2026-01-05 12:00:00 UTC\n"
        "  as of 2026-01-05 12:00:00 UTC\n"
        "  long lighter: 0.012345678912 (123.45678912 bp) per 8 h, settled, seen 5 s ago\n"
        "  short grvt: 0.0003 (3 bp) per 8 h, settled, seen 1 min 15 s ago, from svc\n"
        "  warning: keep 0.000000000000001"
    )


@pytest.mark.parametrize("name", ["strategies_seen", "attempts_again", "accosted"])
def test_a_count_whose_name_only_contains_such_a_word_is_no_fraction(name: str) -> None:
    assert explain.number(name, Decimal(3)) == "3"
