"""The search for the best target: pruned, and yet the same as asking every candidate."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import BetterOpportunity, Costs, RuleContext, TargetFilter
from rebalancer.domain.names import Pair
from rebalancer.domain.numbers import BPS
from rebalancer.domain.ranking import Candidate, rank
from rebalancer.rules.asking import ask
from rebalancer.rules.target import Best, Pricing, TargetRule, best_target
from rebalancer.testing import a_position, a_snapshot

HELD = Pair("BTC", "lighter", "grvt")
VENUES = ("aster", "grvt", "lighter", "paradex")
ANY = TargetFilter.ANY


def gain(divergence: int, cost: int) -> int:
    return 3 * divergence - cost


def exhaustive(candidates: Sequence[Candidate], targets: TargetFilter, pricing: Pricing) -> Best | None:
    found = [
        Best(divergence, pair, pricing.cost(HELD, pair), gain(divergence, pricing.cost(HELD, pair)))
        for divergence, pair in candidates
        if pair != HELD and targets.refusal(pair) is None
    ]
    return min(found, key=lambda best: (-best.gain, best.pair), default=None)


def pruned(candidates: Sequence[Candidate], targets: TargetFilter, pricing: Pricing) -> Best | None:
    return best_target(sorted(candidates, key=rank), HELD, targets, gain, pricing)


def a_candidate(divergence: int, long: str, short: str, symbol: str = "BTC") -> Candidate:
    return divergence, Pair(symbol, long, short)


pairs = st.builds(
    lambda symbol, venues: Pair(symbol, *venues),
    st.sampled_from(("BTC", "ETH")),
    st.permutations(VENUES).map(lambda venues: venues[:2]),
)
books = st.dictionaries(pairs, st.integers(-6, 6), max_size=24).map(
    lambda rates: [(divergence, pair) for pair, divergence in rates.items()]
)
filters = st.builds(
    TargetFilter,
    venues=st.none() | st.lists(st.sampled_from(VENUES), max_size=4).map(tuple),
    blocked_symbols=st.sampled_from(((), ("BTC",), ("ETH",))),
    taken=st.lists(pairs, max_size=3).map(tuple),
)
step_costs = st.integers(-5, 12).map(lambda steps: f"{steps}e-8")
pricings = st.integers(-20, 40).map(Pricing.flat) | st.builds(
    lambda default, venues: Pricing.by_leg(Costs(leg_bps=default, venues=venues)),
    step_costs,
    st.dictionaries(st.sampled_from(VENUES), step_costs),
)


@settings(max_examples=400, derandomize=True, deadline=None, database=None)
@given(candidates=books, targets=filters, pricing=pricings)
def test_the_pruned_search_finds_what_asking_every_candidate_finds(
    candidates: list[Candidate], targets: TargetFilter, pricing: Pricing
) -> None:
    assert pruned(candidates, targets, pricing) == exhaustive(candidates, targets, pricing)


def test_the_largest_gain_wins() -> None:
    candidates = [a_candidate(5, "lighter", "paradex"), a_candidate(6, "paradex", "grvt")]
    assert pruned(candidates, ANY, Pricing.flat(4)) == Best(*candidates[1], cost=4, gain=14)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (a_candidate(5, "paradex", "aster", "BTC"), a_candidate(5, "aster", "grvt", "ETH")),
        (a_candidate(5, "aster", "paradex"), a_candidate(5, "grvt", "aster")),
        (a_candidate(5, "aster", "grvt"), a_candidate(5, "aster", "paradex")),
    ],
)
def test_equal_gains_go_by_symbol_then_long_then_short(first: Candidate, second: Candidate) -> None:
    for candidates in ([first, second], [second, first]):
        assert pruned(candidates, ANY, Pricing.flat(0)) == Best(*first, cost=0, gain=15)


def test_equal_gains_of_different_divergences_go_by_the_pair_too() -> None:
    dear, cheap = a_candidate(6, "lighter", "paradex"), a_candidate(5, "lighter", "aster")
    pricing = Pricing.by_leg(Costs(leg_bps=0, venues={"paradex": "3e-8"}))
    assert pruned([dear, cheap], ANY, pricing) == Best(*cheap, cost=0, gain=15)


def test_a_smaller_divergence_wins_by_what_it_saves() -> None:
    dear, cheap = a_candidate(7, "lighter", "paradex"), a_candidate(6, "lighter", "aster")
    pricing = Pricing.by_leg(Costs(leg_bps="1e-8", venues={"paradex": "9e-8"}))
    assert pruned([dear, cheap], ANY, pricing) == Best(*cheap, cost=2, gain=16)


def test_the_held_pair_is_passed_over_and_its_reverse_is_not() -> None:
    held, reverse = (9, HELD), a_candidate(-9, "grvt", "lighter")
    assert pruned([held, reverse], ANY, Pricing.flat(0)) == Best(*reverse, cost=0, gain=-27)
    assert pruned([held], ANY, Pricing.flat(0)) is None


def test_a_refused_candidate_is_passed_over_for_the_next() -> None:
    first, second = a_candidate(6, "lighter", "paradex"), a_candidate(5, "lighter", "aster")
    assert pruned([first, second], TargetFilter(taken=(first[1],)), Pricing.flat(0)) == Best(*second, cost=0, gain=15)


def test_the_search_ends_where_even_the_cheapest_switch_would_gain_less() -> None:
    asked = []

    def price(_held: Pair | None, target: Pair) -> int:
        asked.append(target)
        return 4

    candidates = [a_candidate(divergence, "lighter", f"venue{divergence}") for divergence in (9, 8, 7, 6, 5)]
    best = best_target(candidates, HELD, ANY, gain, Pricing(price, 1))
    assert best == Best(*candidates[0], cost=4, gain=23)
    assert asked == [candidates[0][1], candidates[1][1]]


def test_a_flat_price_is_the_same_for_every_pair() -> None:
    price, floor, _ = Pricing.flat(7)
    assert (price(HELD, HELD), price(HELD, Pair("ETH", "a", "b")), floor) == (7, 7, 7)


def test_a_price_by_leg_is_what_the_move_trades_and_no_less_than_the_floor() -> None:
    costs = Costs(leg_bps=2, venues={"paradex": 1})
    price, floor, legs = Pricing.by_leg(costs)
    assert price(HELD, Pair("BTC", "lighter", "paradex")) == 3 * BPS
    assert price(HELD, Pair("BTC", "grvt", "lighter")) == 8 * BPS
    assert (floor, legs) == (2 * BPS, costs)


def test_a_rule_that_switches_must_say_where_and_at_what_price() -> None:
    rule = TargetRule()
    with pytest.raises(NotImplementedError):
        _ = rule.all_symbols
    with pytest.raises(NotImplementedError):
        rule.pricing()


def test_the_filter_is_applied_to_what_a_rule_proposes() -> None:
    context = RuleContext(a_position(), a_snapshot(), TargetFilter(taken=(Pair("BTC", "grvt", "lighter"),)))
    assert ask(BetterOpportunity(min_improvement=-1), context).claim == "there is no other pair to switch to"
