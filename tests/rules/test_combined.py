"""A strategy: rules in order of priority, the first that fires decides."""

import copy
import pickle
from datetime import timedelta
from decimal import ROUND_UP, Context, Inexact, localcontext
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from rebalancer import (
    Action,
    BetterOpportunity,
    CombinedStrategy,
    Costs,
    DivergenceFlip,
    Fact,
    FundingSchedule,
    HeldFor,
    InputError,
    MarketSnapshot,
    Missing,
    Needs,
    OpenInterestImbalance,
    Outcome,
    Position,
    ProfitErosion,
    RebalanceDecision,
    RuleContext,
    TargetFilter,
    TimeLimit,
    Urgency,
    Verdict,
    rule,
)
from rebalancer.domain.names import Pair
from rebalancer.rules.asking import ask
from rebalancer.rules.grid import Bound
from rebalancer.testing import AS_OF, a_position, a_quote, a_snapshot, an_opportunity

OLD = TimeLimit(max_age=timedelta(hours=1))
CONTEXT = RuleContext(a_position(), a_snapshot())
GAP = Missing(field="rate", venue="grvt", symbol="BTC", why="there is no quote of this market")


@rule
def broken(ctx: RuleContext) -> Verdict:
    raise RuntimeError


@rule(needs=Needs(rates=False))
def moves(ctx: RuleContext) -> Verdict:
    return Verdict.switch(an_opportunity(), "it moves", urgency=Urgency.HIGH)


@rule(needs=Needs(rates=False))
def closes(ctx: RuleContext) -> Verdict:
    return Verdict.close("it closes", urgency=Urgency.CRITICAL)


def losing() -> MarketSnapshot:
    return a_snapshot(a_quote("lighter", "0.0003"), a_quote("grvt", "0.0001"))


def test_the_first_rule_that_fires_decides() -> None:
    strategy = CombinedStrategy(ProfitErosion(), DivergenceFlip())
    decision = strategy.decide(a_position(), losing())
    assert (decision.action, decision.reason, decision.urgency) == (Action.CLOSE, "PROFIT_EROSION", Urgency.NORMAL)
    decision = CombinedStrategy(DivergenceFlip(), ProfitErosion()).decide(a_position(), losing())
    assert (decision.action, decision.reason) == (Action.CLOSE, "DIVERGENCE_FLIPPED")
    assert decision.urgency is Urgency.CRITICAL


def test_without_a_rule_that_fires_the_position_is_held() -> None:
    decision = CombinedStrategy(DivergenceFlip(), TimeLimit()).decide(a_position(), a_snapshot())
    assert (decision.action, decision.reason, decision.target) == (Action.HOLD, None, None)
    assert decision.urgency is Urgency.NORMAL


def test_a_built_in_rule_decides_with_its_own_reason_and_urgency() -> None:
    own = TimeLimit(max_age=timedelta(hours=1), reason="ENOUGH", urgency=Urgency.HIGH)
    decision = CombinedStrategy(own).decide(a_position(), a_snapshot())
    assert (decision.reason, decision.urgency) == ("ENOUGH", Urgency.HIGH)


def test_a_switch_has_a_target() -> None:
    snapshot = a_snapshot(a_quote("lighter", 0), a_quote("grvt", "0.0001"), a_quote("paradex", "0.01"))
    decision = CombinedStrategy(BetterOpportunity(urgency=Urgency.HIGH)).decide(a_position(), snapshot)
    assert (decision.action, decision.reason, decision.urgency) == (Action.SWITCH, "BETTER_OPPORTUNITY", Urgency.HIGH)
    assert decision.target is not None
    assert decision.target.pair == Pair("BTC", "lighter", "paradex")


def test_a_rule_written_as_a_function_decides_by_its_verdict() -> None:
    decision = CombinedStrategy(TimeLimit(), moves).decide(a_position(), a_snapshot())
    assert (decision.action, decision.reason, decision.urgency) == (Action.SWITCH, "MOVES", Urgency.HIGH)
    assert decision.target == an_opportunity()


def test_the_short_form_is_whether_to_act_and_the_reason() -> None:
    assert CombinedStrategy(OLD).should_rebalance(a_position(), a_snapshot()) == (True, "TIME_LIMIT")
    assert CombinedStrategy(TimeLimit(), closes).should_rebalance(a_position(), a_snapshot()) == (True, "CLOSES")
    assert CombinedStrategy(TimeLimit()).should_rebalance(a_position(), a_snapshot()) == (False, None)
    assert CombinedStrategy(TimeLimit(), broken).should_rebalance(a_position(), a_snapshot()) == (False, None)


def test_the_targets_that_may_be_opened_now_reach_every_rule() -> None:
    snapshot = a_snapshot(a_quote("lighter", 0), a_quote("grvt", "0.0001"), a_quote("paradex", "0.01"))
    only_ours = TargetFilter(venues=("lighter", "grvt"))

    @rule(needs=Needs(opportunities=True))
    def any_other(ctx: RuleContext) -> Verdict:
        return Verdict.close_if(len(ctx.opportunities) > 1, "there are other pairs")

    for strategy in (CombinedStrategy(BetterOpportunity()), CombinedStrategy(any_other)):
        assert strategy.should_rebalance(a_position(), snapshot)[0]
        assert strategy.should_rebalance(a_position(), snapshot, targets=only_ours) == (False, None)
        assert strategy.decide(a_position(), snapshot, targets=only_ours).action is Action.HOLD
        assert strategy.decide_all([a_position()], snapshot, targets=only_ours)[0].action is Action.HOLD


def test_strategies_nest_and_are_flattened() -> None:
    inner = CombinedStrategy(DivergenceFlip(), OLD)
    assert CombinedStrategy(inner, closes).rules == (DivergenceFlip(), OLD, closes)
    assert (closes | inner | moves).rules == (closes, DivergenceFlip(), OLD, moves)


def test_a_strategy_without_rules_is_refused() -> None:
    with pytest.raises(InputError, match=r"^a strategy needs at least one rule$"):
        CombinedStrategy()


NOT_RULES: list[tuple[Any, str]] = [
    (1, "a int is not a rule: it needs a name, needs and evaluate"),
    (HeldFor(at_least=timedelta(hours=1)), "a HeldFor is not a rule: it needs a name, needs and evaluate"),
    (DivergenceFlip, "DivergenceFlip is a class: call it, as in DivergenceFlip()"),
]


@pytest.mark.parametrize(("other", "message"), NOT_RULES)
def test_anything_else_than_a_rule_is_refused(other: Any, message: str) -> None:
    with pytest.raises(InputError) as refused:
        CombinedStrategy(DivergenceFlip(), other)
    assert str(refused.value) == message


def test_a_strategy_needs_what_its_rules_need() -> None:
    strategy = CombinedStrategy(TimeLimit(), FundingSchedule(), OpenInterestImbalance())
    assert strategy.needs == Needs(rates=False, schedule=True, open_interest=True)
    assert CombinedStrategy(TimeLimit()).needs == Needs(rates=False)


def test_strategies_are_equal_if_their_rules_are_in_the_same_order() -> None:
    assert CombinedStrategy(DivergenceFlip(), OLD) == CombinedStrategy(DivergenceFlip(), OLD)
    assert hash(CombinedStrategy(DivergenceFlip(), OLD)) == hash(CombinedStrategy(DivergenceFlip(), OLD))
    assert hash(CombinedStrategy(DivergenceFlip(), OLD)) != hash(CombinedStrategy(OLD, DivergenceFlip()))
    assert CombinedStrategy(DivergenceFlip(), OLD) != CombinedStrategy(OLD, DivergenceFlip())
    assert CombinedStrategy(OLD) != OLD


def test_a_strategy_can_be_pickled_and_copied_even_after_it_has_decided() -> None:
    strategy = CombinedStrategy(DivergenceFlip(), OLD & ~closes)
    strategy.decide(a_position(), a_snapshot())
    assert pickle.loads(pickle.dumps(strategy)) == strategy
    assert copy.deepcopy(strategy).decide(a_position(), losing()).reason == "DIVERGENCE_FLIPPED"


def test_a_strategy_reads_as_it_was_written() -> None:
    assert repr(CombinedStrategy(DivergenceFlip(), OLD)) == (
        "CombinedStrategy(DivergenceFlip(), TimeLimit(max_age=1 h))"
    )
    assert CombinedStrategy(OLD).name == "CombinedStrategy"


def as_a_rule(*rules: Any, snapshot: MarketSnapshot | None = None) -> Verdict:
    return ask(CombinedStrategy(*rules), RuleContext(a_position(), snapshot or a_snapshot()))


def test_as_a_rule_a_strategy_fires_as_the_first_of_its_rules_that_does() -> None:
    assert as_a_rule(TimeLimit(), broken, OLD, closes) == ask(OLD, CONTEXT)


def test_as_a_rule_a_strategy_is_quiet_if_all_of_its_rules_are() -> None:
    assert as_a_rule(TimeLimit(), DivergenceFlip()) == Verdict(
        outcome=Outcome.QUIET,
        claim="none of its rules fires",
        rule="CombinedStrategy",
        reason="COMBINED_STRATEGY",
    )


def test_as_a_rule_a_strategy_is_not_evaluated_if_one_of_its_rules_misses_something() -> None:
    verdict = as_a_rule(ProfitErosion(), TimeLimit(), DivergenceFlip(), snapshot=a_snapshot(a_quote("lighter")))
    assert verdict == Verdict(
        outcome=Outcome.NOT_EVALUATED,
        claim="a value that it reads is unknown",
        rule="CombinedStrategy",
        reason="COMBINED_STRATEGY",
        missing=(GAP,),
    )


def test_as_a_rule_a_strategy_is_quiet_beside_a_rule_that_merely_does_not_apply() -> None:
    position = a_position(entry_divergence=0)
    verdict = ask(CombinedStrategy(ProfitErosion(), TimeLimit()), RuleContext(position, a_snapshot()))
    assert verdict.outcome is Outcome.QUIET


def test_as_a_rule_a_strategy_has_failed_if_one_of_its_rules_has() -> None:
    verdict = as_a_rule(DivergenceFlip(), broken, snapshot=a_snapshot(a_quote("lighter")))
    assert (verdict.outcome, verdict.claim) == (Outcome.FAILED, "one of its rules failed")
    assert verdict.missing == (GAP,)
    assert verdict.incomplete


def test_a_failure_inside_of_a_qualifier_makes_the_decision_incomplete() -> None:
    decision = CombinedStrategy(closes & (TimeLimit() | broken)).decide(a_position(), a_snapshot())
    assert (decision.action, decision.complete) == (Action.HOLD, False)


@pytest.mark.parametrize("other", [TimeLimit(), broken, DivergenceFlip()], ids=repr)
def test_as_a_rule_a_strategy_says_what_its_rules_held_back(other: Any) -> None:
    snapshot = a_snapshot(a_quote("lighter"))
    verdict = as_a_rule(OLD & HeldFor(at_least=timedelta(hours=6)), other, snapshot=snapshot)
    assert [held.reason for held in verdict.held_back] == ["TIME_LIMIT"]


def a_book() -> MarketSnapshot:
    """The best pairs are long lighter, extended or grvt, all of them short paradex."""
    rates = {"lighter": "0", "extended": "0.0001", "grvt": "0.0002", "paradex": "0.01"}
    return a_snapshot(*(a_quote(venue, rate) for venue, rate in rates.items()))


def holding(short_dex: str, number: int, **fields: Any) -> Position:
    return a_position(short_dex=short_dex, id=UUID(int=number), **fields)


SWITCHES = CombinedStrategy(BetterOpportunity())


def longs(decisions: tuple[RebalanceDecision, ...]) -> list[str | None]:
    """The long venue that each position switches to."""
    return [decision.target.long_dex if decision.target else None for decision in decisions]


def test_positions_are_decided_in_their_order() -> None:
    decisions = SWITCHES.decide_all([holding("grvt", 2), holding("extended", 1)], a_book())
    assert [decision.position_id for decision in decisions] == [UUID(int=2), UUID(int=1)]
    assert SWITCHES.decide_all([], a_book()) == ()


def test_two_positions_never_switch_to_the_same_pair_and_the_larger_gain_has_it() -> None:
    grvt, extended = holding("grvt", 1), holding("extended", 2)
    assert longs(SWITCHES.decide_all([grvt, extended], a_book())) == ["extended", "lighter"]
    assert longs(SWITCHES.decide_all([extended, grvt], a_book())) == ["lighter", "extended"]


def test_equal_gains_go_by_the_id_of_the_position() -> None:
    first, second = holding("grvt", 1), holding("grvt", 2)
    assert longs(SWITCHES.decide_all([second, first], a_book())) == ["extended", "lighter"]


@pytest.mark.parametrize("order", list(permutations((0, 1, 2))))
def test_three_positions_get_three_targets_whatever_the_order_of_input(order: tuple[int, ...]) -> None:
    positions = [holding("grvt", 1), holding("extended", 2), holding("grvt", 3)]
    expected = ["extended", "lighter", "grvt"]
    decisions = SWITCHES.decide_all([positions[place] for place in order], a_book())
    assert longs(decisions) == [expected[place] for place in order]


def test_who_lost_one_pair_may_take_the_next_from_another_that_gains_less_by_it() -> None:
    rates = {"lighter": "0", "extended": "0.0001", "grvt": "0.0003", "aster": "0.0016", "paradex": "0.01"}
    book = a_snapshot(*(a_quote(venue, rate) for venue, rate in rates.items()))
    only = TargetFilter(venues=("lighter", "extended", "paradex"))
    strategy = CombinedStrategy(BetterOpportunity(costs=Costs.flat(leg_bps=10)))
    winner, loser, displaced = holding("extended", 1), holding("grvt", 2), holding("aster", 3, long_dex="extended")
    assert longs(strategy.decide_all([loser, displaced], book, targets=only)) == ["lighter", "extended"]
    assert longs(strategy.decide_all([winner, loser, displaced], book, targets=only)) == ["lighter", "extended", None]


def test_a_pair_that_another_position_holds_is_taken() -> None:
    decisions = SWITCHES.decide_all([holding("grvt", 1), holding("paradex", 2)], a_book())
    assert longs(decisions) == ["extended", None]


def test_a_position_does_not_bar_its_own_pair_to_itself() -> None:
    alone = SWITCHES.decide_all([holding("grvt", 1)], a_book())[0]
    assert alone == SWITCHES.decide(holding("grvt", 1), a_book())
    assert alone.record.targets == TargetFilter.ANY


def test_a_pair_of_another_symbol_bars_nothing_where_no_rule_looks_there() -> None:
    eth = a_position(symbol="ETH", id=UUID(int=2))
    decisions = SWITCHES.decide_all([holding("grvt", 1), eth], a_book())
    assert decisions[0].record.targets == TargetFilter(taken=(Pair("BTC", "lighter", "grvt"),))


def test_the_pairs_that_were_taken_are_part_of_the_record() -> None:
    decisions = SWITCHES.decide_all(
        [holding("grvt", 1), holding("extended", 2)], a_book(), targets=TargetFilter(blocked_symbols=("ETH",))
    )
    extended, grvt, paradex = (Pair("BTC", "lighter", short) for short in ("extended", "grvt", "paradex"))
    assert decisions[0].record.targets == TargetFilter(blocked_symbols=("ETH",), taken=(extended, grvt, paradex))
    assert decisions[1].record.targets == TargetFilter(blocked_symbols=("ETH",), taken=(extended, grvt))


def test_a_rule_that_does_not_say_what_it_gains_stands_behind_one_that_does() -> None:
    strategy = CombinedStrategy(moves)
    positions = [holding("grvt", 1), holding("extended", 2)]

    @rule
    def gains(ctx: RuleContext) -> Verdict:
        if ctx.position.short_dex == "grvt":
            return Verdict.switch(an_opportunity(), "it moves")
        return Verdict.switch(an_opportunity(), "it moves", Fact("gain", "-0.5"))

    for order in (positions, positions[::-1]):
        decisions = {decision.position_id: decision for decision in CombinedStrategy(gains).decide_all(order, a_book())}
        assert decisions[UUID(int=1)].record.targets.taken != ()
        assert an_opportunity().pair in decisions[UUID(int=1)].record.targets.taken
        assert an_opportunity().pair not in decisions[UUID(int=2)].record.targets.taken
    with_none = strategy.decide_all(positions, a_book())
    assert an_opportunity().pair in with_none[1].record.targets.taken
    assert an_opportunity().pair not in with_none[0].record.targets.taken


def test_who_gains_more_does_not_depend_on_the_decimal_context() -> None:
    book = a_snapshot(
        a_quote("lighter", 0), a_quote("grvt", "0.000001"), a_quote("extended", 0), a_quote("paradex", "0.5123456")
    )
    positions = [holding("grvt", 1), holding("extended", 2)]
    with localcontext(Context(prec=2, rounding=ROUND_UP, traps=[Inexact])):
        decisions = SWITCHES.decide_all(positions, book)
    assert decisions == SWITCHES.decide_all(positions, book)
    assert decisions[1].target is not None
    assert decisions[1].target.pair == Pair("BTC", "extended", "paradex")


def test_deciding_all_still_closes_what_must_be_closed() -> None:
    strategy = CombinedStrategy(OLD, BetterOpportunity())
    young = holding("extended", 2, age=timedelta(minutes=1))
    decisions = strategy.decide_all([holding("grvt", 1), young], a_book())
    assert [decision.action for decision in decisions] == [Action.CLOSE, Action.SWITCH]


def test_a_decision_is_about_its_position_as_of_the_snapshot() -> None:
    decision = SWITCHES.decide(a_position(version=3), a_snapshot())
    assert (decision.position_id, decision.as_of) == (a_position().id, AS_OF)
    assert decision.record.position_version == 3


def test_two_positions_with_one_id_are_refused() -> None:
    with pytest.raises(InputError, match=r"^two positions with one id: give each its own$"):
        SWITCHES.decide_all([holding("grvt", 1), holding("paradex", 1)], a_book())


def test_a_subclass_of_a_built_in_rule_decides_as_its_record_says() -> None:
    class Never(DivergenceFlip):
        def verdict(self, bound: Bound) -> Verdict:
            return Verdict.quiet("never")

    decision = CombinedStrategy(Never(margin="1")).decide(a_position(), a_snapshot())
    assert (decision.action, decision.record.action, decision.verdicts[0].claim) == (Action.HOLD, Action.HOLD, "never")
