"""Holding what should carry most after the costs of the move: the adaptive strategy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import (
    Action,
    CombinedStrategy,
    Costs,
    DivergenceFlip,
    HeldFor,
    InputError,
    MarketSnapshot,
    Missing,
    Needs,
    NetCarry,
    RebalanceDecision,
    Smoothed,
    TargetFilter,
    Urgency,
    presets,
)
from rebalancer.domain.names import Pair
from rebalancer.domain.numbers import BPS, EIGHT_HOURS
from rebalancer.rules.algebra import proposer, qualified_parts
from rebalancer.rules.grid import ComposedRule, is_built_in, parts
from rebalancer.testing import AS_OF, a_position, a_quote, a_smoothed, a_snapshot

HOUR = timedelta(hours=1)
HELD = Pair("BTC", "lighter", "grvt")
VENUES = ("aster", "grvt", "lighter", "paradex")
WEEK = 168 * 3600
USUAL = NetCarry()
NOTHING = TargetFilter(venues=())


def means(**rates: object) -> MarketSnapshot:
    """BTC with these smoothed rates per 8 h, venue by venue, each quoted now."""
    return a_snapshot(
        *(a_quote(venue, "0.0007") for venue in rates),
        smoothed=tuple(a_smoothed(venue, rate) for venue, rate in rates.items()),  # type: ignore[arg-type]
    )


def decided(
    snapshot: MarketSnapshot, rule: NetCarry = USUAL, *, targets: TargetFilter = TargetFilter.ANY
) -> RebalanceDecision:
    return CombinedStrategy(rule).decide(a_position(), snapshot, targets=targets)


def said(decision: RebalanceDecision) -> tuple[Action, str | None, tuple[str, str] | None]:
    to = decision.target
    return decision.action, decision.reason, None if to is None else (to.long_dex, to.short_dex)


# What it does


def test_a_pair_that_carries_more_than_the_move_costs_is_switched_to() -> None:
    decision = decided(means(lighter="0.0001", grvt="0.0003", paradex="0.0004"))
    assert said(decision) == (Action.SWITCH, "BETTER_OPPORTUNITY", ("lighter", "paradex"))


def test_it_explains_itself_in_one_sentence() -> None:
    decision = decided(means(lighter="0.0001", grvt="0.0003", paradex="0.0004"))
    assert decision.decided_by is not None
    assert decision.decided_by.claim == (
        "over 168 h lighter/paradex should earn 21 bp more than lighter/grvt (5-day mean, spikes clipped); "
        "changing the short leg costs 4 bp"
    )


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({"lighter": "0.0003", "grvt": "0.0005", "paradex": 0}, "changing the long leg costs 4 bp"),
        ({"lighter": "0.0005", "grvt": "0.0001"}, "changing both legs costs 8 bp"),
        ({"lighter": "0", "grvt": "0", "paradex": "-0.0001", "aster": "0.0001"}, "changing both legs costs 8 bp"),
    ],
)
def test_it_says_which_legs_change(rates: Mapping[str, object], words: str) -> None:
    decision = decided(means(**rates))
    assert decision.decided_by is not None
    assert decision.decided_by.claim.endswith(words)


def test_a_pair_that_should_lose_more_than_closing_costs_is_closed() -> None:
    """Its reverse would gain twice as much; here it may not be opened."""
    decision = decided(means(lighter="0.00022", grvt="0.0002"), targets=NOTHING)
    assert said(decision) == (Action.CLOSE, "NEGATIVE_CARRY", None)
    assert decision.decided_by is not None
    claim = "over 168 h lighter/grvt should lose 4.2 bp (5-day mean, spikes clipped); closing it costs 4 bp"
    assert decision.decided_by.claim == claim
    facts = {fact.name: str(fact.value) for fact in decision.decided_by.facts}
    assert facts == {
        "gain": "0.00002",
        "divergence": "-0.00002",
        "closing_cost": "0.0004",
        "horizon_seconds": "604800",
        "half_life_seconds": "432000",
    }


def test_exactly_what_closing_costs_holds() -> None:
    exactly, more = 4 * BPS * EIGHT_HOURS // WEEK, 4 * BPS * EIGHT_HOURS // WEEK + 1
    for steps, action in ((exactly, Action.HOLD), (more, Action.CLOSE)):
        snapshot = a_snapshot(
            smoothed=(a_smoothed("lighter", 0, num=steps), a_smoothed("grvt", 0)),
        )
        assert decided(snapshot, targets=NOTHING).action is action


def test_it_holds_where_nothing_gains_enough_and_says_so() -> None:
    decision = decided(means(lighter="0.0001", grvt="0.0003", paradex="0.00031"))
    assert said(decision) == (Action.HOLD, None, None)
    [verdict] = decision.verdicts
    assert verdict.claim == "nothing else, flat included, should earn enough more to pay for the move"
    assert [fact.name for fact in verdict.facts][:2] == ["gain", "candidate_divergence"]


@pytest.mark.parametrize(("paradex", "action"), [("0.0003", Action.CLOSE), ("0.000300000001", Action.SWITCH)])
def test_flat_wins_where_it_gains_as_much_as_a_pair(paradex: str, action: Action) -> None:
    """Closing gains 6 - 4 bp. Long grvt, short paradex earns 2 bp over the horizon, which is what opening it costs."""
    rule = NetCarry(horizon=timedelta(hours=16), costs=Costs(leg_bps=2, venues={"paradex": 0}))
    market = means(lighter="0.0005", grvt="0.0002", paradex=paradex)
    allowed = TargetFilter(venues=("grvt", "paradex"))
    assert decided(market, rule, targets=allowed).action is action


def test_neither_the_entry_nor_the_age_is_asked() -> None:
    strategy, snapshot = presets.adaptive(), means(lighter="0.0001", grvt="0.0003", paradex="0.00031")
    old = a_position(age=timedelta(days=300), entry_long_rate="-0.01", entry_short_rate="0.01")
    assert strategy.decide(old, snapshot).action is strategy.decide(a_position(), snapshot).action is Action.HOLD


def test_the_raw_rates_of_the_moment_are_not_asked() -> None:
    snapshot = means(lighter="0.0001", grvt="0.0003", paradex="0.00031")
    jumped = snapshot.model_copy(
        update={"quotes": (a_quote("lighter", "0.02"), a_quote("grvt", "-0.02"), a_quote("paradex", "0.02"))}
    )
    assert decided(jumped).action is Action.HOLD


def test_a_reason_and_an_urgency_that_are_given_are_those_of_every_move() -> None:
    rule = NetCarry(reason="MINE", urgency=Urgency.HIGH, max_unknown=HOUR)
    assert {(part.reason, part.urgency) for part in rule.parts} == {("MINE", Urgency.HIGH)}
    assert [part.reason for part in NetCarry(max_unknown=HOUR).parts] == [
        "BETTER_OPPORTUNITY",
        "NEGATIVE_CARRY",
        "CARRY_UNKNOWN",
    ]
    decision = decided(means(lighter="0.0004", grvt="0.0002"), rule)
    assert (decision.reason, decision.urgency) == ("MINE", Urgency.HIGH)


def test_it_can_be_held_back_by_a_guard_like_any_rule() -> None:
    guarded = CombinedStrategy(NetCarry() & HeldFor(at_least=timedelta(hours=6)))
    decision = guarded.decide(a_position(), means(lighter="0.0004", grvt="0.0002"))
    assert decision.action is Action.HOLD
    assert [held.reason for held in decision.held_back] == ["BETTER_OPPORTUNITY"]


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"horizon": timedelta(days=22)}, "horizon must be at most 21 days"),
        ({"half_life": timedelta(days=366)}, "half_life must be at most a year"),
        ({"clip_bps": 0}, "clip_bps"),
        ({"max_unknown": timedelta(0)}, "max_unknown: a duration must be above 0"),
    ],
)
def test_parameters_out_of_bounds_are_refused(parameters: dict[str, object], why: str) -> None:
    with pytest.raises(InputError, match=why):
        NetCarry(**parameters)  # type: ignore[arg-type]


# What is unknown


def test_without_a_settlement_it_is_not_evaluated_and_says_what_is_missing() -> None:
    decision = decided(a_snapshot())
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert decision.verdicts[0].missing == (
        Missing(field="smoothed rate", venue="lighter", symbol="BTC", why="no settled rate was seen"),
        Missing(field="smoothed rate", venue="grvt", symbol="BTC", why="no settled rate was seen"),
    )


def test_a_held_leg_that_is_too_old_holds() -> None:
    stale = a_smoothed("grvt", "-0.01", settled_at=AS_OF - timedelta(hours=3))
    decision = decided(a_snapshot(smoothed=(a_smoothed("lighter", 0), stale)))
    assert decision.action is Action.HOLD
    assert [gap.why for gap in decision.verdicts[0].missing] == ["its last settlement is older than its limit"]


def test_a_held_leg_that_was_seen_for_less_than_the_warm_up_holds() -> None:
    young = a_smoothed("grvt", "-0.01", seen=71 * 3600)
    decision = decided(a_snapshot(smoothed=(a_smoothed("lighter", 0), young)))
    assert decision.action is Action.HOLD
    assert [gap.why for gap in decision.verdicts[0].missing] == ["settlements of 71 h were seen, of the 72 h it takes"]
    warm = a_smoothed("grvt", "-0.01", seen=72 * 3600)
    assert decided(a_snapshot(smoothed=(a_smoothed("lighter", 0), warm))).action is not Action.HOLD


@pytest.mark.parametrize(
    "other",
    [
        a_smoothed("paradex", "0.01", seen=71 * 3600),
        a_smoothed("paradex", "0.01", settled_at=AS_OF - timedelta(hours=3)),
        a_smoothed("paradex", "0.01", settled_at=AS_OF + timedelta(hours=1)),
        a_smoothed("paradex", "0.01", signal=Smoothed(half_life=HOUR)),
        a_smoothed("paradex", 0, den=0),
    ],
    ids=["young", "stale", "from the future", "by another signal", "without weight"],
)
def test_a_market_that_is_not_known_is_no_candidate(other: object) -> None:
    known = means(lighter="0.0001", grvt="0.0003")
    quotes = (*known.quotes, a_quote("paradex"))
    snapshot = known.model_copy(update={"quotes": quotes, "smoothed": (*known.smoothed, other)})
    assert decided(snapshot).action is Action.HOLD
    assert NetCarry().should_open("BTC", snapshot) == NetCarry().should_open("BTC", known)


def test_a_market_that_is_not_quoted_now_is_no_candidate() -> None:
    known = means(lighter="0.0001", grvt="0.0003", paradex="0.01")
    without = known.model_copy(update={"quotes": known.quotes[:2]})
    assert decided(known).action is Action.SWITCH
    assert decided(without).action is Action.HOLD


def test_a_leg_that_is_unknown_for_too_long_is_closed_if_that_is_asked_for() -> None:
    def snapshot(hours: int) -> MarketSnapshot:
        stale = a_smoothed("grvt", 0, settled_at=AS_OF - timedelta(hours=hours))
        return a_snapshot(smoothed=(a_smoothed("lighter", 0), stale))

    rule = NetCarry(max_unknown=timedelta(hours=48))
    assert said(decided(snapshot(48), rule)) == (Action.CLOSE, "CARRY_UNKNOWN", None)
    assert "settled ago 48 h, limit 48 h" in decided(snapshot(48), rule).explain()
    assert decided(snapshot(47), rule).action is Action.HOLD
    assert decided(snapshot(480)).action is Action.HOLD
    never = decided(a_snapshot(), rule)
    assert never.action is Action.HOLD
    assert [gap.why for gap in never.verdicts[0].missing] == ["no settled rate was seen"] * 2


def test_a_leg_that_settles_rarely_is_not_unknown() -> None:
    rare = a_smoothed("grvt", 0, settled_at=AS_OF - timedelta(hours=47), interval=24 * 3600)
    rule = NetCarry(max_unknown=timedelta(hours=40))
    assert decided(a_snapshot(smoothed=(a_smoothed("lighter", 0), rare)), rule).action is Action.HOLD


# What it is made of


def test_a_rule_that_is_made_of_others_is_built_in_and_any_other_is_itself() -> None:
    carry, flip = NetCarry(), DivergenceFlip()
    assert parts(carry) == carry.parts
    assert parts(flip) == (flip,)
    assert is_built_in(carry)
    assert is_built_in(flip)
    assert not is_built_in(carry & HeldFor(at_least=HOUR))
    assert carry.needs == Needs(rates=False, opportunities=True, smoothed=(Smoothed(),))


def test_one_that_is_made_of_others_elsewhere_is_asked_itself() -> None:
    class Mine(NetCarry):
        pass

    mine = Mine()
    assert parts(mine) == (mine,)
    assert not is_built_in(mine)
    with pytest.raises(NotImplementedError):
        ComposedRule().parts  # noqa: B018
    decision = CombinedStrategy(mine).decide(a_position(), means(lighter="0.0004", grvt="0.0002"))
    assert said(decision) == (Action.SWITCH, "BETTER_OPPORTUNITY", ("grvt", "lighter"))


def test_a_qualification_qualifies_each_part() -> None:
    carry, guard, other = NetCarry(), HeldFor(at_least=HOUR), HeldFor(at_least=2 * HOUR)
    assert qualified_parts(carry & guard & other) == tuple(part & guard & other for part in carry.parts)
    assert qualified_parts(carry) == carry.parts
    assert qualified_parts(DivergenceFlip() & guard) == (DivergenceFlip() & guard,)


def test_a_qualified_rule_is_proposed_by_the_innermost() -> None:
    assert proposer(NetCarry() & HeldFor(at_least=HOUR) & HeldFor(at_least=2 * HOUR)) == NetCarry()


# From flat


def test_from_flat_the_best_pair_is_opened_if_it_earns_more_than_opening_costs() -> None:
    rule = NetCarry()
    found = rule.should_open("BTC", means(lighter="0.0001", grvt="0.00012", paradex="0.00013"))
    assert found is not None
    assert (found.long_dex, found.short_dex) == ("lighter", "paradex")
    limit = 4 * BPS * EIGHT_HOURS // WEEK
    for steps, opens in ((limit, False), (limit + 1, True)):
        market = a_snapshot(smoothed=(a_smoothed("lighter", 0), a_smoothed("grvt", 0, num=steps)))
        assert (rule.should_open("BTC", market) is not None) is opens


def test_what_may_not_be_opened_is_not() -> None:
    market = means(lighter="0.0001", grvt="0.0003", paradex="0.0002")
    only = NetCarry().should_open("BTC", market, targets=TargetFilter(venues=("lighter", "paradex")))
    assert only is not None
    assert (only.long_dex, only.short_dex) == ("lighter", "paradex")
    assert NetCarry().should_open("ETH", market) is None


# Laws

tenths = st.integers(-80, 80).map(lambda tenth: tenth * BPS // 10)
fees = st.dictionaries(st.sampled_from(VENUES), st.integers(-2, 12).map(lambda bps: f"{bps}"))
hours = st.integers(1, 480)


def market(rates: Mapping[str, int]) -> MarketSnapshot:
    return a_snapshot(
        *(a_quote(venue, 0) for venue in rates),
        smoothed=tuple(a_smoothed(venue, 0, num=steps) for venue, steps in rates.items()),
    )


def carried(pair: Pair | None, rates: Mapping[str, int], horizon: int) -> int:
    return 0 if pair is None else (rates[pair.short_dex] - rates[pair.long_dex]) * horizon * 3600


@given(st.fixed_dictionaries(dict.fromkeys(VENUES, tenths)), fees, hours, st.sets(st.sampled_from(VENUES)))
def test_it_moves_to_the_state_that_gains_most_and_stays_where_none_gains(
    rates: Mapping[str, int], venues: Mapping[str, str], horizon: int, allowed: set[str]
) -> None:
    """Every state, one by one: holding first, then flat, then the pairs in order, the larger gain before."""
    costs = Costs(leg_bps=2, venues=venues)
    rule = NetCarry(costs=costs, horizon=timedelta(hours=horizon))
    targets = TargetFilter(venues=tuple(allowed))
    pairs = [Pair("BTC", long, short) for long, short in permutations(sorted(allowed), 2)]

    def gain(state: Pair | None, held: Pair | None) -> int:
        more = carried(state, rates, horizon) - carried(held, rates, horizon)
        return more - costs.move(held, state).cost * EIGHT_HOURS

    states: list[Pair | None] = [HELD, None, *(pair for pair in pairs if pair != HELD)]
    best = max(states, key=lambda state: gain(state, HELD))
    decision = decided(market(rates), rule, targets=targets)
    expected = {HELD: Action.HOLD, None: Action.CLOSE}.get(best, Action.SWITCH)
    assert decision.action is expected
    assert (decision.target.pair if decision.target else None) == (best if expected is Action.SWITCH else None)
    assert decision.record.action is expected

    opened = rule.should_open("BTC", market(rates), targets=targets)
    first = max((None, *pairs), key=lambda pair: gain(pair, None))
    assert (opened.pair if opened else None) == first
