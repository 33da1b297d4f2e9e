"""What a correct rebalancer gets right, from the caller's side: positions and markets in, decisions out."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from rebalancer import (
    Action,
    BetterOpportunity,
    CombinedStrategy,
    Confirmed,
    Costs,
    DivergenceFlip,
    Fact,
    FundingRate,
    FundingSchedule,
    HeldFor,
    InputError,
    LegImbalance,
    LiquidationDistance,
    MarketSnapshot,
    Needs,
    OpenInterestImbalance,
    Opportunity,
    Outcome,
    Position,
    ProfitErosion,
    Quote,
    RateKind,
    RebalanceDecision,
    Rule,
    RuleContext,
    SettlementDue,
    TargetFilter,
    TimeLimit,
    Unknown,
    Verdict,
    presets,
    rule,
)
from rebalancer.testing import AS_OF, a_leg, a_position, a_quote, a_rate, a_snapshot, an_opportunity

HOLD, CLOSE, SWITCH = Action.HOLD, Action.CLOSE, Action.SWITCH
EXITS = CombinedStrategy(DivergenceFlip(), ProfitErosion(keep="0.5"), TimeLimit(max_age=timedelta(hours=168)))
TEN_MINUTES = timedelta(minutes=10)


def legs(long: Any, short: Any, **both: Any) -> MarketSnapshot:
    return a_snapshot(a_quote("lighter", long, **both), a_quote("grvt", short, **both))


def decide(
    *rules: Rule,
    position: Position | None = None,
    snapshot: MarketSnapshot | None = None,
    targets: TargetFilter = TargetFilter.ANY,
) -> RebalanceDecision:
    strategy = CombinedStrategy(*rules)
    return strategy.decide(position or a_position(), snapshot or a_snapshot(), targets=targets)


def outcomes(decision: RebalanceDecision) -> dict[str | None, Outcome]:
    return {verdict.reason: verdict.outcome for verdict in decision.verdicts}


@pytest.mark.parametrize(
    ("long", "short", "divergence", "reason"),
    [
        ("0.0001", "0.0003", "0.0002", None),
        ("0.0003", "0.0001", "-0.0002", "DIVERGENCE_FLIPPED"),
        ("-0.0002", "-0.0001", "0.0001", None),
    ],
)
def test_a_position_earns_what_the_short_rate_exceeds_the_long_rate_by(
    long: str, short: str, divergence: str, reason: str | None
) -> None:
    decision = decide(DivergenceFlip(), snapshot=legs(long, short))
    assert decision.reason == reason
    assert decision.verdicts[0].facts == (Fact("divergence", divergence, limit=0),)


@pytest.mark.parametrize("zero", ["0", "-0", "0.00"])
def test_zero_is_a_value_that_erodes_and_does_not_flip(zero: str) -> None:
    decision = decide(DivergenceFlip(), ProfitErosion(), snapshot=legs("0.0001", "0.0001"))
    assert outcomes(decision) == {"DIVERGENCE_FLIPPED": Outcome.QUIET, "PROFIT_EROSION": Outcome.FIRED}
    decision = decide(DivergenceFlip(), ProfitErosion(), snapshot=legs(Decimal(zero), 0))
    assert decision.reason == "PROFIT_EROSION"


def test_an_unknown_rate_is_no_zero() -> None:
    decision = decide(DivergenceFlip(), ProfitErosion(), snapshot=a_snapshot(a_quote("lighter")))
    assert set(outcomes(decision).values()) == {Outcome.NOT_EVALUATED}


@pytest.mark.parametrize("entry", ["0", "-0.01"])
def test_without_an_entry_edge_there_is_nothing_to_erode_and_the_decision_says_so(entry: str) -> None:
    decision = decide(ProfitErosion(), position=a_position(entry_divergence=entry), snapshot=legs(0, "0.02"))
    assert (decision.action, decision.complete) == (HOLD, True)
    assert decision.verdicts[0].claim == "the entry edge is not positive, so there is nothing to erode"


@pytest.mark.parametrize(("now", "reason"), [("0.02", None), ("-0.03", "DIVERGENCE_FLIPPED")])
def test_a_position_opened_at_a_loss_stays_when_it_earns_and_leaves_when_it_loses_more(
    now: str, reason: str | None
) -> None:
    position = a_position(entry_divergence="-0.01")
    assert decide(DivergenceFlip(), ProfitErosion(), position=position, snapshot=legs(0, now)).reason == reason


def test_a_tiny_entry_edge_makes_no_infinity() -> None:
    decision = decide(ProfitErosion(), position=a_position(entry_divergence="1e-12"), snapshot=legs(-1, 1))
    assert decision.action is HOLD
    assert "nfinity" not in decision.model_dump_json()
    assert json.loads(decision.model_dump_json())["verdicts"][0]["facts"][1]["value"] == "0.000000000001"


def test_a_value_exactly_at_its_limit_holds_except_for_the_age() -> None:
    assert decide(ProfitErosion(keep="0.5"), snapshot=legs(0, "0.0001")).action is HOLD
    week = timedelta(hours=168)
    assert decide(TimeLimit(max_age=week), position=a_position(age=week)).action is CLOSE
    interest = a_snapshot(a_quote("lighter", open_interest_usd=3_000_000), a_quote("grvt", open_interest_usd=1_000_000))
    assert decide(OpenInterestImbalance(), snapshot=interest).action is HOLD
    assert decide(OpenInterestImbalance(max_ratio="2.999999"), snapshot=interest).action is CLOSE


@pytest.mark.parametrize(
    ("settles_in", "action"), [(timedelta(0), HOLD), (timedelta(minutes=15), HOLD), (timedelta(minutes=14), CLOSE)]
)
def test_a_settlement_now_or_exactly_at_the_window_holds(settles_in: timedelta, action: Action) -> None:
    snapshot = legs(0, 0, next_funding_at=AS_OF + settles_in)
    assert decide(FundingSchedule(window=timedelta(minutes=15)), snapshot=snapshot).action is action


def test_rates_of_different_intervals_are_compared_over_the_same_time() -> None:
    decision = decide(DivergenceFlip(), snapshot=legs(a_rate("0.0001", hours=1), a_rate("0.0005", hours=8)))
    assert decision.reason == "DIVERGENCE_FLIPPED"
    assert decision.verdicts[0].facts[0].value == Decimal("-0.0003")


def test_a_venue_that_changes_its_interval_changes_nothing_by_that() -> None:
    before, after = a_rate("0.0008", hours=8), a_rate("0.0001", hours=1)
    position = a_position(entry_long_rate=0, entry_short_rate="0.0008")
    decisions = [decide(*EXITS.rules, position=position, snapshot=legs(0, rate)) for rate in (before, after)]
    assert [decision.action for decision in decisions] == [HOLD, HOLD]
    assert decisions[0].verdicts == decisions[1].verdicts


@pytest.mark.parametrize("interval", [timedelta(0), timedelta(hours=-8), None, 8])
def test_a_rate_without_a_positive_interval_is_refused(interval: Any) -> None:
    with pytest.raises(InputError, match=r"^FundingRate: interval: "):
        FundingRate("0.0001", interval)


def test_a_rate_never_comes_with_an_assumed_interval() -> None:
    with pytest.raises(TypeError, match="interval"):
        FundingRate("0.0001")  # type: ignore[call-arg]  # what the test is about


def test_a_stored_entry_divergence_that_disagrees_with_its_rates_is_used_and_warned_of() -> None:
    position = a_position(entry_long_rate=0, entry_short_rate="0.0002", entry_divergence="0.0004")
    decision = decide(ProfitErosion(keep="0.5"), position=position, snapshot=legs(0, "0.00015"))
    assert decision.reason == "PROFIT_EROSION"
    assert decision.warnings == (Fact("entry_divergence_gap", "0.0002", limit="0.00000002"),)


def test_with_one_leg_unknown_nothing_that_reads_rates_is_evaluated() -> None:
    rules = DivergenceFlip(), ProfitErosion(), BetterOpportunity()
    for quotes in ((a_quote("lighter"),), (a_quote("grvt"), a_quote("paradex", "0.5"))):
        decision = decide(*rules, snapshot=a_snapshot(*quotes))
        assert (decision.action, decision.complete) == (HOLD, False)
        assert set(outcomes(decision).values()) == {Outcome.NOT_EVALUATED}


def test_with_one_leg_unknown_the_age_still_closes() -> None:
    decision = decide(*EXITS.rules, position=a_position(age=timedelta(days=8)), snapshot=a_snapshot(a_quote("lighter")))
    assert (decision.action, decision.reason, decision.complete) == (CLOSE, "TIME_LIMIT", False)


NEAR = a_leg("lighter", "0.1", mark_price=100, liquidation_price=95)


def test_with_one_rate_and_the_other_leg_unknown_a_leg_near_liquidation_still_closes() -> None:
    snapshot = a_snapshot(a_quote("lighter"), legs=(NEAR, a_leg("grvt", Unknown("the venue timed out"))))
    decision = decide(*EXITS.rules, LiquidationDistance(), snapshot=snapshot)
    assert (decision.action, decision.reason, decision.complete) == (CLOSE, "LIQUIDATION_DISTANCE", False)


def test_a_leg_that_could_not_be_read_is_never_flat() -> None:
    for other in ((), (a_leg("grvt", Unknown("it may be gone")),)):
        snapshot = a_snapshot(legs=(a_leg("lighter", "0.1"), *other))
        decision = decide(LegImbalance(), LiquidationDistance(), snapshot=snapshot)
        assert (decision.action, decision.complete) == (HOLD, False)


def test_a_leg_that_is_known_to_be_gone_closes_the_other_and_two_gone_legs_decide_nothing() -> None:
    gone, left = a_leg("lighter", 0), a_leg("grvt", "-0.1")
    assert decide(LegImbalance(), snapshot=a_snapshot(legs=(gone, left))).reason == "LEG_IMBALANCE"
    decision = decide(LegImbalance(), snapshot=a_snapshot(legs=(gone, a_leg("grvt", 0))))
    assert (decision.action, decision.complete) == (HOLD, True)


def test_a_leg_of_another_venue_symbol_or_side_is_not_ours() -> None:
    ours = a_leg("lighter", "0.1")
    for other in (a_leg("paradex", "-0.1"), a_leg("grvt", "-0.1", symbol="ETH"), a_leg("grvt", "0.1")):
        decision = decide(LegImbalance(), snapshot=a_snapshot(legs=(ours, other)))
        assert (decision.action, decision.complete) == (HOLD, False)


@pytest.mark.parametrize(
    ("seen", "why", "warnings"),
    [
        (timedelta(seconds=-121), "the quote is older than its limit", ()),
        (timedelta(seconds=11), "the quote is from the future", (Fact("grvt_ahead_of_now_seconds", 11),)),
    ],
)
def test_a_rate_that_is_stale_or_from_the_future_is_unknown_although_it_is_there(
    seen: timedelta, why: str, warnings: tuple[Fact, ...]
) -> None:
    snapshot = a_snapshot(a_quote("lighter", "0.0003"), a_quote("grvt", "0.0001", observed_at=AS_OF + seen))
    decision = decide(DivergenceFlip(), snapshot=snapshot)
    assert (decision.action, decision.complete) == (HOLD, False)
    assert [gap.why for gap in decision.verdicts[0].missing] == [why]
    assert decision.warnings == warnings


def test_legs_seen_too_far_apart_in_time_are_not_compared() -> None:
    early = a_quote("lighter", "0.0003", observed_at=AS_OF - timedelta(seconds=120))
    late = a_quote("grvt", "0.0001", observed_at=AS_OF + timedelta(seconds=1))
    decision = decide(DivergenceFlip(), snapshot=a_snapshot(early, late))
    assert [gap.why for gap in decision.verdicts[0].missing] == ["the legs were seen too far apart in time"]
    settled = early.model_copy(update={"kind": RateKind.SETTLED})
    assert decide(DivergenceFlip(), snapshot=a_snapshot(settled, late)).action is CLOSE


def prints(*short_rates: str) -> MarketSnapshot:
    """The short leg's rates, one a second up to now, beside a long leg at zero."""
    seen = [AS_OF - timedelta(seconds=len(short_rates) - 1 - place) for place in range(len(short_rates))]
    shorts = [a_quote("grvt", rate, observed_at=at) for rate, at in zip(short_rates, seen, strict=True)]
    long = a_quote("lighter", 0, observed_at=seen[0])
    return a_snapshot(long, shorts[-1], observations=(long, *shorts))


LOSING, EARNING = "-0.0001", "0.0001"


@pytest.mark.parametrize(
    ("rates", "action"),
    [
        ((LOSING,), HOLD),
        ((LOSING, LOSING), HOLD),
        ((LOSING, LOSING, LOSING), CLOSE),
        ((EARNING, LOSING, LOSING, LOSING), CLOSE),
        ((LOSING, LOSING, EARNING, LOSING), HOLD),
        ((LOSING, LOSING, LOSING, EARNING), HOLD),
    ],
)
def test_a_confirmed_flip_waits_for_three_losing_prints_in_a_row(rates: tuple[str, ...], action: Action) -> None:
    confirmed = Confirmed(DivergenceFlip(), times=3)
    decision = decide(confirmed, snapshot=prints(*rates))
    assert decision.action is action
    after_a_restart = MarketSnapshot.model_validate_json(prints(*rates).model_dump_json())
    assert decide(confirmed, snapshot=after_a_restart) == decision


def test_an_unconfirmed_flip_is_shown_as_held_back() -> None:
    (held,) = decide(Confirmed(DivergenceFlip(), times=3), snapshot=prints(LOSING)).held_back
    assert (held.reason, held.why) == ("DIVERGENCE_FLIPPED", "too few observations in a row confirm it")


def test_five_polls_of_one_print_confirm_nothing() -> None:
    once = prints(LOSING)
    polled = once.model_copy(update={"observations": once.observations * 5})
    assert decide(Confirmed(DivergenceFlip(), times=3), snapshot=polled).action is HOLD


def test_a_minimum_hold_holds_back_every_exit_but_a_critical_one_and_says_so() -> None:
    guarded = (
        ProfitErosion() | BetterOpportunity(min_improvement=0) | TimeLimit(max_age=TEN_MINUTES) | DivergenceFlip()
    ) & HeldFor(at_least=timedelta(hours=4))
    young = a_position(age=TEN_MINUTES)
    snapshot = a_snapshot(a_quote("lighter", 0), a_quote("grvt", 0), a_quote("paradex", "0.01"))
    held = guarded.decide(young, snapshot)
    assert held.action is HOLD
    assert [one.reason for one in held.held_back] == ["PROFIT_EROSION", "BETTER_OPPORTUNITY", "TIME_LIMIT"]
    assert {one.why for one in held.held_back} == {"the position was not held for long enough"}
    assert guarded.decide(young, legs("0.0001", 0)).reason == "DIVERGENCE_FLIPPED"
    near = snapshot.model_copy(update={"legs": (NEAR,)})
    assert (guarded | (LiquidationDistance() & HeldFor(at_least=timedelta(hours=4)))).decide(
        young, near
    ).reason == "LIQUIDATION_DISTANCE"
    assert guarded.decide(a_position(age=timedelta(hours=4)), snapshot).reason == "PROFIT_EROSION"


def test_a_guard_on_one_rule_does_not_hold_back_the_rules_below() -> None:
    rules = ProfitErosion() & ~TimeLimit(max_age=timedelta(hours=1)), TimeLimit(max_age=timedelta(hours=168))
    decision = decide(*rules, position=a_position(age=timedelta(hours=1_000)), snapshot=legs(0, 0))
    assert (decision.action, decision.reason) == (CLOSE, "TIME_LIMIT")
    assert [one.reason for one in decision.held_back] == ["PROFIT_EROSION"]


def test_a_naive_time_is_refused_where_it_is_given() -> None:
    naive = datetime(2026, 1, 5, 12)  # noqa: DTZ001  # what the test is about
    with pytest.raises(InputError, match="a naive time: add its zone"):
        a_position(opened_at=naive)
    with pytest.raises(InputError, match="a naive time: add its zone"):
        a_snapshot(as_of=naive)
    with pytest.raises(InputError, match="a naive time: add its zone"):
        a_quote(observed_at=naive)


@pytest.mark.parametrize("hours", [-11.5, 0, 8, 13.75])
def test_the_zone_of_a_time_does_not_change_the_age(hours: float) -> None:
    zone = timezone(timedelta(hours=hours))
    limit = TimeLimit(max_age=timedelta(hours=5))
    for opened_at, action in ((AS_OF - timedelta(hours=5), CLOSE), (AS_OF - timedelta(hours=4, minutes=59), HOLD)):
        assert decide(limit, position=a_position(opened_at=opened_at.astimezone(zone))).action is action


@pytest.mark.parametrize(
    ("opened_at", "as_of", "hours"),
    [
        ("2026-03-28T12:00:00+01:00", "2026-03-29T12:00:00+02:00", 23),
        ("2024-02-28T00:00:00Z", "2024-03-01T00:00:00Z", 48),
        ("2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z", 24),
    ],
)
def test_clock_changes_and_leap_days_give_exact_hours(opened_at: str, as_of: str, hours: int) -> None:
    snapshot = MarketSnapshot(as_of=datetime.fromisoformat(as_of), quotes=())
    (verdict,) = decide(TimeLimit(), position=a_position(opened_at=opened_at), snapshot=snapshot).verdicts
    assert verdict.facts[0].value == hours * 3_600


def test_a_position_opened_after_now_has_no_age_and_is_warned_of() -> None:
    decision = decide(TimeLimit(max_age=timedelta(seconds=1)), position=a_position(age=timedelta(hours=-2)))
    assert decision.action is HOLD
    assert decision.warnings == (Fact("opened_after_now_seconds", 7_200, limit=0),)


def test_the_held_pair_is_not_its_own_better_opportunity_whatever_the_case_of_its_letters() -> None:
    position = a_position(symbol="btc", long_dex="LIGHTER", short_dex="Grvt")
    listed = an_opportunity(symbol="Btc", long_dex="Lighter", short_dex="GRVT", short_rate="0.5")
    snapshot = legs(0, "0.0002").model_copy(update={"opportunities": (listed,)})
    decision = decide(BetterOpportunity(cost_bps=0, min_improvement=0), position=position, snapshot=snapshot)
    assert decision.action is HOLD
    assert decision.verdicts[0].facts[1] == Fact("candidate_divergence", "-0.0002")


def test_beside_the_held_pair_the_next_candidate_is_considered() -> None:
    listed = [an_opportunity(short_rate=rate, long_dex=venue) for venue, rate in (("lighter", "0.5"), ("aster", "0.4"))]
    snapshot = legs(0, "0.0002").model_copy(update={"opportunities": tuple(listed)})
    decision = decide(BetterOpportunity(), snapshot=snapshot)
    assert decision.target == listed[1]


def test_the_reversed_pair_is_a_candidate() -> None:
    decision = decide(BetterOpportunity(), snapshot=legs("0.002", 0))
    assert decision.target is not None
    assert (decision.target.long_dex, decision.target.short_dex) == ("grvt", "lighter")


def test_a_held_pair_that_a_service_does_not_list_means_nothing() -> None:
    listed = legs(0, "0.0002").model_copy(update={"opportunities": (an_opportunity(short_rate="0.0001"),)})
    assert decide(BetterOpportunity(), snapshot=listed).action is HOLD


@pytest.mark.parametrize(("hours", "gain", "action"), [(24, "0.0007", HOLD), (48, "0.0022", SWITCH)])
def test_a_switch_must_earn_its_costs_and_the_improvement_over_the_horizon(
    hours: int, gain: str, action: Action
) -> None:
    snapshot = a_snapshot(a_quote("lighter", 0), a_quote("grvt", "0.0001"), a_quote("paradex", "0.0006"))
    better = BetterOpportunity(cost_bps=8, min_improvement="0.001", horizon=timedelta(hours=hours))
    for fees in (0, 1_000):
        decision = decide(better, position=a_position(fees_paid_usd=fees), snapshot=snapshot)
        assert decision.action is action
        assert decision.verdicts[0].facts[0] == Fact("gain", gain, limit="0.001")


def test_a_service_s_net_profit_has_no_place_in_an_opportunity() -> None:
    fields: dict[str, Any] = {"net_profit": "0.5"}
    with pytest.raises(InputError, match=r"^Opportunity: net_profit: is not known here$"):
        an_opportunity(**fields)


def test_candidates_are_ranked_by_their_rates_in_whatever_order_a_service_lists_them() -> None:
    listed = tuple(
        an_opportunity(symbol="BTC", long_dex="aster", short_dex=venue, short_rate=rate)
        for venue, rate in (("pacifica", "0.002"), ("extended", "0.009"), ("hyperliquid", "0.004"))
    )
    for order in (listed, listed[::-1]):
        snapshot = a_snapshot().model_copy(update={"opportunities": order})
        assert decide(BetterOpportunity(), snapshot=snapshot).target == listed[1]


def test_a_rotation_pays_for_two_legs_only() -> None:
    snapshot = a_snapshot(a_quote("lighter", 0), a_quote("grvt", "0.0001"), a_quote("paradex", "0.0002666667"))
    by_leg = BetterOpportunity(costs=Costs.flat(leg_bps=2), min_improvement=0)
    rotation = decide(by_leg, snapshot=snapshot)
    assert (rotation.action, rotation.verdicts[0].facts[3]) == (SWITCH, Fact("switch_cost", "0.0004"))
    assert decide(BetterOpportunity(cost_bps=8, min_improvement=0), snapshot=snapshot).action is HOLD


ELSEWHERE = a_snapshot(
    a_quote("lighter", 0), a_quote("grvt", "0.0001"), a_quote("paradex", "0.002"), a_quote("aster", "0.0015")
)


@pytest.mark.parametrize(
    ("targets", "short"),
    [
        (TargetFilter.ANY, "paradex"),
        (TargetFilter(venues=("lighter", "grvt", "aster")), "aster"),
        (TargetFilter(taken=(an_opportunity(long_dex="lighter", short_dex="paradex").pair,)), "paradex"),
    ],
    ids=["any", "a venue is not allowed", "the pair is taken"],
)
def test_a_target_must_be_openable_now_else_the_next_candidate_is_taken(targets: TargetFilter, short: str) -> None:
    decision = decide(BetterOpportunity(), snapshot=ELSEWHERE, targets=targets)
    assert decision.target is not None
    assert decision.target.short_dex == short
    assert targets.refusal(decision.target.pair) is None


def test_a_symbol_that_is_cooling_down_is_no_target_and_another_symbol_is() -> None:
    both = (*ELSEWHERE.quotes, a_quote("lighter", 0, symbol="ETH"), a_quote("grvt", "0.001", symbol="ETH"))
    better = BetterOpportunity(scope="any")
    decision = decide(better, snapshot=a_snapshot(*both), targets=TargetFilter(blocked_symbols=("BTC",)))
    assert decision.target is not None
    assert decision.target.symbol == "ETH"


def test_with_no_target_left_the_remaining_rules_still_decide() -> None:
    rules = BetterOpportunity(), TimeLimit(max_age=timedelta(hours=1))
    decision = decide(*rules, snapshot=ELSEWHERE, targets=TargetFilter(venues=()))
    assert (decision.action, decision.reason, decision.complete) == (CLOSE, "TIME_LIMIT", True)


def test_two_positions_never_get_the_same_target_whatever_their_order() -> None:
    small = a_position(id=UUID(int=1))
    large = a_position(id=UUID(int=2), short_dex="extended")
    quotes = (*ELSEWHERE.quotes, a_quote("extended", "0.00005"))
    strategy = CombinedStrategy(BetterOpportunity(min_improvement="0.004"))
    for positions in ((small, large), (large, small)):
        decisions = {one.position_id: one for one in strategy.decide_all(positions, a_snapshot(*quotes))}
        assert decisions[large.id].target == an_opportunity(
            long_dex="lighter", short_dex="paradex", long_rate=0, short_rate="0.002"
        )
        assert decisions[small.id].target != decisions[large.id].target


def settling(long_in: timedelta | None, short_in: timedelta | None, **both: Any) -> MarketSnapshot:
    at = [None if settles_in is None else AS_OF + settles_in for settles_in in (long_in, short_in)]
    return a_snapshot(
        a_quote("lighter", "-0.00005", next_funding_at=at[0], **both), a_quote("grvt", 0, next_funding_at=at[1], **both)
    )


@pytest.mark.parametrize(("settles_in", "action"), [(5, HOLD), (480, CLOSE)])
def test_an_eroded_position_collects_the_payment_that_is_due_and_then_leaves(settles_in: int, action: Action) -> None:
    patient = ProfitErosion() & ~SettlementDue(within=TEN_MINUTES, favourable=True)
    soon = timedelta(minutes=settles_in)
    decision = decide(patient, snapshot=settling(soon, timedelta(hours=8)))
    assert decision.action is action
    assert [one.why for one in decision.held_back] == (["such a settlement is due"] if action is HOLD else [])


@pytest.mark.parametrize(
    ("long_in", "short_in", "both", "outcome"),
    [
        (timedelta(minutes=50), timedelta(minutes=5), {}, Outcome.FIRED),
        (timedelta(minutes=5), timedelta(hours=7), {}, Outcome.FIRED),
        (timedelta(minutes=50), timedelta(hours=7), {}, Outcome.QUIET),
        (None, None, {"pays_every": timedelta(0)}, Outcome.QUIET),
        (timedelta(minutes=-5), timedelta(hours=7), {}, Outcome.NOT_EVALUATED),
        (timedelta(hours=8, seconds=1), timedelta(hours=7), {}, Outcome.NOT_EVALUATED),
        (None, timedelta(hours=7), {}, Outcome.NOT_EVALUATED),
    ],
    ids=[
        "earlier short",
        "earlier long",
        "both later",
        "continuous",
        "past",
        "more than one interval ahead",
        "unknown",
    ],
)
def test_the_earlier_settlement_counts_and_an_impossible_one_is_unknown(
    long_in: timedelta | None, short_in: timedelta | None, both: dict[str, Any], outcome: Outcome
) -> None:
    decision = decide(FundingSchedule(), snapshot=settling(long_in, short_in, **both))
    assert decision.verdicts[0].outcome is outcome


@pytest.mark.parametrize(("long", "short", "action"), [("-0.0001", "0.0001", HOLD), ("0.0002", "0.0001", CLOSE)])
def test_when_paying_a_position_stays_for_a_payment_that_favours_it(long: str, short: str, action: Action) -> None:
    snapshot = legs(long, short, next_funding_at=AS_OF + timedelta(minutes=5))
    decision = decide(FundingSchedule(mode="when_paying"), snapshot=snapshot)
    assert decision.action is action
    assert decision.reopen_after == (AS_OF + timedelta(minutes=5) if action is CLOSE else None)


@pytest.mark.parametrize(
    ("long", "short", "outcome"),
    [
        (3_000_000, 1_000_000, Outcome.QUIET),
        (5, 0, Outcome.FIRED),
        (0, 5, Outcome.FIRED),
        (5, None, Outcome.NOT_EVALUATED),
        (0, 0, Outcome.NOT_EVALUATED),
    ],
)
def test_open_interest_of_zero_is_known_and_none_is_not(long: int | None, short: int | None, outcome: Outcome) -> None:
    quotes = a_quote("lighter", open_interest_usd=long), a_quote("grvt", open_interest_usd=short)
    decision = decide(OpenInterestImbalance(), snapshot=a_snapshot(*quotes))
    assert decision.verdicts[0].outcome is outcome
    assert decision.complete is (short is not None)


@rule
def raises(ctx: RuleContext) -> Verdict:
    raise ZeroDivisionError


@rule
def answers_nonsense(ctx: RuleContext) -> Any:
    return "close"


@pytest.mark.parametrize(
    ("plugin", "said"),
    [(raises, "raises raised ZeroDivisionError"), (answers_nonsense, "answers_nonsense returned a str, not a Verdict")],
)
def test_a_broken_plugin_is_named_and_the_others_decide(plugin: Rule, said: str) -> None:
    decision = decide(plugin, TimeLimit(max_age=timedelta(hours=1)))
    assert (decision.action, decision.reason, decision.complete) == (CLOSE, "TIME_LIMIT", False)
    assert decision.verdicts[0].claim == f"{__name__}.{said}"
    assert said in decision.explain()


def test_a_rule_and_a_rule_acts_as_the_left_one_for_its_reason() -> None:
    both = BetterOpportunity(min_improvement=0, reason="LEFT") & TimeLimit(max_age=timedelta(hours=1), reason="RIGHT")
    decision = decide(both, snapshot=ELSEWHERE)
    assert (decision.action, decision.reason) == (SWITCH, "LEFT")


def everything() -> RebalanceDecision:
    """A decision of many parts: several rules, a target, warnings, a plugin and what was held back."""

    @rule(needs=Needs(open_interest=True))
    def thirds(ctx: RuleContext) -> Verdict:
        return Verdict.quiet("a third of it", Fact("third_usd", ctx.long.open_interest_usd / 3))

    at = AS_OF + timedelta(seconds=2)
    quotes = [
        Quote(venue=venue, symbol="BTC", rate=a_rate(number, hours=7), observed_at=at, open_interest_usd="1000.5")
        for venue, number in (("lighter", 0.1), ("grvt", "0.123456789"), ("paradex", "0.7"))
    ]
    strategy = thirds | (ProfitErosion() & HeldFor(at_least=timedelta(days=9))) | presets.aggressive()
    position = a_position(entry_divergence="0.333333333333", size_usd="12345.67")
    return strategy.decide(position, a_snapshot(*quotes))


REFERENCE = everything().model_dump_json()


@pytest.mark.usefixtures("hostile_context")
def test_a_decision_does_not_depend_on_the_decimal_context() -> None:
    assert everything().model_dump_json() == REFERENCE


@pytest.mark.usefixtures("far_zone")
def test_a_decision_does_not_depend_on_the_time_zone_of_the_process() -> None:
    assert everything().model_dump_json() == REFERENCE
    assert everything().explain() == RebalanceDecision.model_validate_json(REFERENCE).explain()


def test_the_same_input_gives_the_same_bytes_and_the_same_id() -> None:
    assert everything().model_dump_json() == REFERENCE
    assert everything().id == RebalanceDecision.model_validate_json(REFERENCE).id
    assert RebalanceDecision.model_validate_json(REFERENCE).model_dump_json() == REFERENCE


def test_a_target_is_the_candidate_with_the_rates_it_was_ranked_by() -> None:
    target = decide(BetterOpportunity(), snapshot=ELSEWHERE).target
    assert target == Opportunity(
        symbol="BTC", long_dex="lighter", short_dex="paradex", long_rate=0, short_rate="0.002", observed_at=AS_OF
    )
    assert AS_OF.tzinfo is UTC
