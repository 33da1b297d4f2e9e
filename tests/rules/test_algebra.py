"""How guards and rules qualify what a rule proposes, and how guards combine."""

import pickle
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from rebalancer import (
    Action,
    BaseRule,
    BetterOpportunity,
    CombinedStrategy,
    DivergenceFlip,
    Fact,
    Guard,
    HeldBack,
    HeldFor,
    MarketSnapshot,
    Missing,
    Needs,
    Outcome,
    Position,
    ProfitErosion,
    Rule,
    RuleContext,
    SettlementDue,
    TimeLimit,
    Urgency,
    Verdict,
    guard,
    rule,
)
from rebalancer.rules.algebra import AllOf, AnyOf, Not, Qualified, Unless, held_back, qualify
from rebalancer.rules.asking import ask
from rebalancer.rules.guard import Answer, Reply, consult
from rebalancer.testing import AS_OF, a_position, a_quote, a_snapshot

CONTEXT = RuleContext(a_position(), a_snapshot())
GAP = Missing(field="rate", venue="grvt", symbol="BTC", why="nobody knows")
OLD = TimeLimit(max_age=timedelta(hours=1))
YOUNG = HeldFor(at_least=timedelta(hours=6))
LONG_HELD = HeldFor(at_least=timedelta(hours=5))
HELD_WHY = "the position was not held for long enough"
HERE = __name__


class Says(Guard):
    """Answers as it is told."""

    reply: Reply
    missing: tuple[Missing, ...] = ()

    needs = Needs(rates=False)

    def answer(self, ctx: RuleContext) -> Answer:
        return Answer(self.reply, f"it says {self.reply}", (Fact("said", 1),), self.missing)


YES, NO, UNKNOWN, FAILED = (Says(reply=reply) for reply in Reply)
UNKNOWING = Says(reply=Reply.UNKNOWN, missing=(GAP,))


class Proposes(BaseRule):
    """Closes, or is quiet, not evaluated or failed, as it is told."""

    outcome: Outcome = Outcome.FIRED
    missing: tuple[Missing, ...] = ()

    needs = Needs(rates=False, volume=True)

    def evaluate(self, ctx: RuleContext) -> Verdict:
        action = Action.CLOSE if self.outcome is Outcome.FIRED else Action.HOLD
        facts = (Fact("proposed", 1),)
        return Verdict(
            outcome=self.outcome,
            action=action,
            claim="it was told to",
            facts=facts,
            urgency=self.urgency,
            missing=self.missing,
        )


CLOSES = Proposes(reason="MINE")
CRITICAL = Proposes(reason="DANGER", urgency=Urgency.CRITICAL)
PROPOSAL = ask(CLOSES, CONTEXT)


def replies(composed: Guard) -> Reply:
    return consult(composed, CONTEXT).reply


TRUTH = {Reply.YES: True, Reply.NO: False, Reply.UNKNOWN: None, Reply.FAILED: None}


def both(left: bool | None, right: bool | None) -> bool | None:  # noqa: FBT001  # three truth values, in order
    if False in (left, right):
        return False
    return None if None in (left, right) else True


@pytest.mark.parametrize(("left", "right"), list(product((YES, NO, UNKNOWN, FAILED), repeat=2)), ids=repr)
def test_guards_combine_as_three_valued_logic(left: Says, right: Says) -> None:
    expected = both(TRUTH[left.reply], TRUTH[right.reply])
    assert TRUTH[replies(left & right)] is expected
    assert TRUTH[replies(~(~left | ~right))] is expected


def test_all_of_answers_no_before_failed_before_unknown_before_yes() -> None:
    assert replies(YES & UNKNOWN & FAILED & NO) is Reply.NO
    assert replies(YES & UNKNOWN & FAILED) is Reply.FAILED
    assert replies(YES & UNKNOWN) is Reply.UNKNOWN
    assert replies(YES & YES) is Reply.YES


def test_any_of_answers_yes_before_failed_before_unknown_before_no() -> None:
    assert replies(NO | UNKNOWN | FAILED | YES) is Reply.YES
    assert replies(NO | UNKNOWN | FAILED) is Reply.FAILED
    assert replies(NO | UNKNOWN) is Reply.UNKNOWN
    assert replies(NO | NO) is Reply.NO


def test_a_combination_answers_in_the_words_of_the_guard_that_settles_it() -> None:
    assert consult(YES & UNKNOWING & UNKNOWN, CONTEXT) == Answer(
        Reply.UNKNOWN, "it says unknown", (Fact("said", 1),), (GAP,)
    )
    assert consult(NO | UNKNOWING | UNKNOWN, CONTEXT).missing == (GAP,)


def test_not_turns_a_known_answer_round_and_keeps_its_words() -> None:
    assert consult(~YES, CONTEXT) == Answer(Reply.NO, "it says yes", (Fact("said", 1),))
    assert consult(~NO, CONTEXT) == Answer(Reply.YES, "it says no", (Fact("said", 1),))
    assert consult(~UNKNOWING, CONTEXT) == Answer(Reply.UNKNOWN, "it says unknown", (Fact("said", 1),), (GAP,))
    assert replies(~FAILED) is Reply.FAILED


@pytest.mark.parametrize(
    ("outcome", "reply"),
    [
        (Outcome.FIRED, Reply.NO),
        (Outcome.QUIET, Reply.YES),
        (Outcome.NOT_EVALUATED, Reply.UNKNOWN),
        (Outcome.FAILED, Reply.FAILED),
    ],
)
def test_unless_admits_while_the_rule_is_quiet(outcome: Outcome, reply: Reply) -> None:
    unless = ~Proposes(outcome=outcome, missing=(GAP,))
    assert consult(unless, CONTEXT) == Answer(reply, "it was told to", (Fact("proposed", 1),), (GAP,))


def test_combinations_need_what_their_parts_need() -> None:
    needy = SettlementDue(within=timedelta(minutes=1), favourable=False)
    for composed in (needy & YES, needy | YES, ~needy, YES & needy):
        assert composed.needs == Needs(rates=False, schedule=True)
    assert (~BetterOpportunity()).needs == Needs(opportunities=True)
    assert (CLOSES & needy).needs == Needs(rates=False, volume=True, schedule=True)


def test_combinations_read_as_they_were_written() -> None:
    assert repr(YES & NO) == "(Says(reply=yes) & Says(reply=no))"
    assert repr(YES | NO) == "(Says(reply=yes) | Says(reply=no))"
    assert repr(~(YES | NO)) == "~(Says(reply=yes) | Says(reply=no))"
    assert repr(~TimeLimit()) == "~TimeLimit()"
    assert repr(OLD & ~YOUNG) == "TimeLimit(max_age=1 h) & ~HeldFor(at_least=6 h)"


def test_what_a_guard_admits_is_the_rules_own_verdict() -> None:
    assert ask(CLOSES & YES, CONTEXT) == PROPOSAL


@pytest.mark.parametrize("outcome", [Outcome.QUIET, Outcome.NOT_EVALUATED, Outcome.FAILED])
def test_a_rule_that_does_not_fire_is_not_held_back(outcome: Outcome) -> None:
    proposes = Proposes(outcome=outcome, missing=(GAP,))
    assert ask(proposes & NO, CONTEXT) == ask(proposes, CONTEXT)


@pytest.mark.parametrize(
    ("says", "outcome", "why"),
    [
        (NO, Outcome.QUIET, "it says no"),
        (UNKNOWING, Outcome.NOT_EVALUATED, "unknown: it says unknown"),
        (FAILED, Outcome.FAILED, "failed: it says failed"),
    ],
    ids=repr,
)
def test_what_a_guard_does_not_admit_is_held_back_with_the_reason_why(says: Says, outcome: Outcome, why: str) -> None:
    assert ask(CLOSES & says, CONTEXT) == Verdict(
        outcome=outcome,
        claim="held back, though it was told to",
        rule="Proposes",
        reason="MINE",
        facts=(Fact("proposed", 1), Fact("said", 1)),
        missing=says.missing,
        held_back=(HeldBack(reason="MINE", guard=repr(says), why=why),),
    )


def test_a_switch_that_is_held_back_has_no_target() -> None:
    better = BetterOpportunity(min_improvement="-1", cost_bps=0)
    held = ask(better & NO, CONTEXT)
    assert (held.action, held.target, held.reason) == (Action.HOLD, None, "BETTER_OPPORTUNITY")


def test_an_exit_that_is_held_back_says_nothing_of_reopening() -> None:
    fired = Verdict.close("it closes", reason="MINE", reopen_after=AS_OF)
    assert held_back(fired, "a guard", Answer(Reply.NO, "it says no")).reopen_after is None


def test_what_was_held_back_before_is_kept() -> None:
    once = held_back(Verdict.close("it closes", reason="MINE"), "first", Answer(Reply.NO, "one"))
    fired = Verdict.close("it closes", reason="OTHER").model_copy(update={"held_back": once.held_back})
    twice = held_back(fired, "second", Answer(Reply.NO, "two"))
    assert twice.held_back == (
        HeldBack(reason="MINE", guard="first", why="one"),
        HeldBack(reason="OTHER", guard="second", why="two"),
    )


def test_words_too_long_for_a_line_are_cut_and_hold_back_all_the_same() -> None:
    fired = Verdict.close("it closes", reason="MINE")
    held = held_back(fired, "g" * 501, Answer(Reply.UNKNOWN, "w" * 500)).held_back[0]
    assert held == HeldBack(reason="MINE", guard="g" * 500, why="unknown: " + "w" * 491)


def test_a_long_claim_is_cut_where_it_is_held_back() -> None:
    held = held_back(Verdict.close("t" * 500, reason="MINE"), "guard", Answer(Reply.NO, "it says no"))
    assert held.claim == "held back, though " + "t" * 482


def test_a_rule_and_a_rule_fires_as_the_left_does_where_both_fire() -> None:
    both_fire = DivergenceFlip(margin=1) & OLD
    assert ask(both_fire, CONTEXT) == ask(DivergenceFlip(margin=1), CONTEXT)


def test_a_rule_and_a_rule_is_held_back_where_the_right_is_quiet() -> None:
    right = TimeLimit(max_age=timedelta(hours=6))
    held = ask(CLOSES & right, CONTEXT)
    assert held.outcome is Outcome.QUIET
    assert held.facts == (Fact("proposed", 1), Fact("age_seconds", 18_000, limit=21_600))
    why = "the position is younger than its greatest age"
    assert held.held_back == (HeldBack(reason="MINE", guard="TimeLimit(max_age=6 h)", why=why),)


@pytest.mark.parametrize(
    ("right", "outcome"),
    [
        (Proposes(outcome=Outcome.NOT_EVALUATED, missing=(GAP,)), Outcome.NOT_EVALUATED),
        (Proposes(outcome=Outcome.FAILED), Outcome.FAILED),
    ],
    ids=repr,
)
def test_a_rule_and_a_rule_that_can_not_be_evaluated_is_held_back(right: Proposes, outcome: Outcome) -> None:
    held = ask(CLOSES & right, CONTEXT)
    assert (held.outcome, held.missing, held.reason) == (outcome, right.missing, "MINE")


def test_a_minimum_hold_holds_back_what_is_not_critical() -> None:
    held = ask(CLOSES & YOUNG, CONTEXT)
    assert held.outcome is Outcome.QUIET
    assert held.facts == (Fact("proposed", 1), Fact("age_seconds", 18_000, limit=21_600))
    assert held.held_back == (HeldBack(reason="MINE", guard="HeldFor(at_least=6 h)", why=HELD_WHY),)
    assert ask(CLOSES & LONG_HELD, CONTEXT) == PROPOSAL


def test_a_minimum_hold_spares_a_critical_exit_and_says_so() -> None:
    spared = ask(CRITICAL & YOUNG, CONTEXT)
    expected = ask(CRITICAL, CONTEXT).model_copy(update={"claim": "it was told to; critical, so not held back"})
    assert spared == expected
    assert spared.action is Action.CLOSE


def test_a_long_claim_does_not_stop_a_critical_exit_from_being_spared() -> None:
    @rule
    def talks(ctx: RuleContext) -> Verdict:
        return Verdict.close("t" * 500, urgency=Urgency.CRITICAL)

    spared = ask(talks & YOUNG, CONTEXT)
    assert (spared.outcome, spared.claim) == (Outcome.FIRED, "t" * 450 + "; critical, so not held back")


def test_an_urgency_that_is_high_is_not_spared() -> None:
    assert ask(Proposes(urgency=Urgency.HIGH) & YOUNG, CONTEXT).outcome is Outcome.QUIET


@pytest.mark.parametrize(
    "spares", [CRITICAL & (YOUNG & YES), CRITICAL & (YES & YOUNG), CRITICAL & YOUNG & YES], ids=repr
)
def test_a_minimum_hold_spares_a_critical_exit_inside_a_conjunction_too(spares: Rule) -> None:
    assert ask(spares, CONTEXT).outcome is Outcome.FIRED


def test_the_other_guards_of_a_conjunction_still_hold_a_critical_exit_back() -> None:
    assert ask(CRITICAL & (YOUNG & NO), CONTEXT).held_back[0].guard == "Says(reply=no)"
    assert ask(CRITICAL & (YOUNG & (YES & NO)), CONTEXT).outcome is Outcome.QUIET


@pytest.mark.parametrize("unsparing", [~LONG_HELD, YOUNG | NO, ~~YOUNG, ~(~YOUNG | NO), ~OLD], ids=repr)
def test_no_other_use_of_a_minimum_hold_spares_a_critical_exit(unsparing: Guard) -> None:
    held = ask(CRITICAL & unsparing, CONTEXT)
    assert (held.outcome, held.action) == (Outcome.QUIET, Action.HOLD)
    assert held.held_back[0].reason == "DANGER"


def test_a_guard_that_only_spares_by_its_own_word_spares() -> None:
    class Sparing(Says):
        """Says no, and spares critical verdicts."""

        spares_critical = True

    assert ask(CRITICAL & Sparing(reply=Reply.NO), CONTEXT).outcome is Outcome.FIRED
    assert ask(CLOSES & Sparing(reply=Reply.NO), CONTEXT).outcome is Outcome.QUIET


def test_a_guard_distributes_over_the_rules_of_a_strategy() -> None:
    qualified = (CLOSES | CRITICAL) & YOUNG
    assert qualified == CombinedStrategy(CLOSES & YOUNG, CRITICAL & YOUNG)
    assert qualified.decide(a_position(), a_snapshot()).reason == "DANGER"


def test_a_conjunction_of_guards_distributes_as_well() -> None:
    assert CombinedStrategy(CLOSES & YES & NO, OLD & YES & NO) == (CLOSES | OLD) & (YES & NO)


def test_a_rule_distributes_over_the_rules_of_a_strategy() -> None:
    assert CombinedStrategy(CLOSES & OLD, CRITICAL & OLD) == (CLOSES | CRITICAL) & OLD


def test_a_strategy_on_the_right_qualifies_as_a_whole() -> None:
    assert ask(CLOSES & (TimeLimit() | OLD), CONTEXT) == PROPOSAL
    held = ask(CLOSES & (TimeLimit() | DivergenceFlip()), CONTEXT)
    assert held.held_back == (
        HeldBack(reason="MINE", guard="CombinedStrategy(TimeLimit(), DivergenceFlip())", why="none of its rules fires"),
    )


@pytest.mark.parametrize("other", [1, None, HeldFor, TimeLimit], ids=repr)
def test_a_strategy_is_qualified_by_rules_and_guards_only(other: Any) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        (CLOSES | OLD) & other


def test_a_qualified_rule_is_called_as_its_rule() -> None:
    assert (CLOSES & YES).name == "Proposes"


def test_qualified_rules_are_equal_if_rule_and_qualifier_are() -> None:
    assert OLD & HeldFor(at_least=timedelta(hours=6)) == OLD & YOUNG
    assert hash(OLD & YOUNG) == hash(OLD & HeldFor(at_least=timedelta(hours=6))) != hash(OLD & LONG_HELD)
    assert OLD & YOUNG != OLD & LONG_HELD
    assert TimeLimit() & YOUNG != OLD & YOUNG
    assert OLD & YOUNG != OLD


def test_qualified_rules_can_be_pickled() -> None:
    qualified = OLD & (YOUNG | ~SettlementDue(within=timedelta(minutes=5))) & ~DivergenceFlip()
    assert pickle.loads(pickle.dumps(qualified)) == qualified


def test_qualifying_by_a_conjunction_qualifies_one_by_one() -> None:
    assert qualify(OLD, YES & NO) == Qualified(Qualified(OLD, YES), NO)
    assert qualify(OLD, AnyOf(guards=(YES, NO))) == Qualified(OLD, YES | NO)
    assert qualify(OLD, Not(guard=AllOf(guards=(YES, NO)))) == Qualified(OLD, ~(YES & NO))
    assert qualify(OLD, Unless(rule=TimeLimit())) == Qualified(OLD, ~TimeLimit())


def test_a_guard_that_raises_fails_the_rule_that_it_qualifies_and_names_itself() -> None:
    @guard
    def broken(ctx: RuleContext) -> bool:
        raise RuntimeError

    held = ask(CLOSES & broken, CONTEXT)
    assert held.outcome is Outcome.FAILED
    assert held.held_back == (
        HeldBack(reason="MINE", guard="broken", why=f"failed: {HERE}.broken raised RuntimeError"),
    )


def losing_after(age: timedelta) -> tuple[Position, MarketSnapshot]:
    return a_position(age=age), a_snapshot(a_quote("lighter", "0.0003"), a_quote("grvt", "0.0001"))


def test_a_minimum_hold_on_a_whole_strategy_lets_a_flip_through() -> None:
    strategy = CombinedStrategy(ProfitErosion(keep="0.5"), DivergenceFlip()) & HeldFor(at_least=timedelta(hours=4))
    decision = strategy.decide(*losing_after(timedelta(minutes=10)))
    assert (decision.reason, decision.urgency) == ("DIVERGENCE_FLIPPED", Urgency.CRITICAL)
    assert [held.reason for held in decision.held_back] == ["PROFIT_EROSION"]
