"""The record of a decision: complete or not, what was held back, and what should be known besides."""

from datetime import timedelta
from typing import Any

import pytest

from rebalancer import (
    Action,
    BetterOpportunity,
    CombinedStrategy,
    DivergenceFlip,
    Fact,
    HeldFor,
    MarketSnapshot,
    Missing,
    Outcome,
    Position,
    ProfitErosion,
    RateKind,
    Rule,
    RuleContext,
    TargetFilter,
    TimeLimit,
    Urgency,
    Verdict,
    rule,
)
from rebalancer.domain.record import DecisionRecord, LegRecord
from rebalancer.rules.asking import ask
from rebalancer.testing import AS_OF, a_position, a_quote, a_snapshot, an_opportunity

OLD = TimeLimit(max_age=timedelta(hours=1))
ONE_LEG = a_snapshot(a_quote("lighter"))


@rule
def broken(ctx: RuleContext) -> Verdict:
    raise RuntimeError


@rule
def unready(ctx: RuleContext) -> Verdict:
    return Verdict.not_evaluated("it is not ready")


@rule
def moves(ctx: RuleContext) -> Verdict:
    return Verdict.switch(an_opportunity(), "it moves")


def record(
    *rules: Rule,
    position: Position | None = None,
    snapshot: MarketSnapshot | None = None,
    targets: TargetFilter = TargetFilter.ANY,
) -> DecisionRecord:
    strategy = CombinedStrategy(*rules)
    return strategy.decide(position or a_position(), snapshot or a_snapshot(), targets=targets).record


def test_the_record_has_all_that_is_known_of_the_decision() -> None:
    targets = TargetFilter(blocked_symbols=("ETH",))
    position = a_position(version=7)
    snapshot = a_snapshot(
        a_quote("lighter", "0.0003", observed_at=AS_OF - timedelta(seconds=5), kind="forming", origin="feed"),
        a_quote("grvt", "0.0001"),
    )
    context = RuleContext(position, snapshot, targets)
    flip, limit = DivergenceFlip(), TimeLimit()
    assert record(limit, flip, position=position, snapshot=snapshot, targets=targets) == DecisionRecord(
        as_of=AS_OF,
        position_id=position.id,
        position_version=7,
        symbol="BTC",
        long=LegRecord(venue="lighter", rate="0.0003", age_seconds=5, kind=RateKind.FORMING, origin="feed"),
        short=LegRecord(venue="grvt", rate="0.0001", age_seconds=0, kind=RateKind.INDICATIVE, origin=None),
        action=Action.CLOSE,
        reason="DIVERGENCE_FLIPPED",
        target=None,
        urgency=Urgency.CRITICAL,
        complete=True,
        verdicts=(ask(limit, context), ask(flip, context)),
        held_back=(),
        warnings=(),
        targets=targets,
    )


def test_a_hold_has_no_reason_and_no_target() -> None:
    held = record(TimeLimit())
    assert (held.action, held.reason, held.target, held.urgency) == (Action.HOLD, None, None, Urgency.NORMAL)


def test_a_leg_without_a_quote_is_recorded_as_such() -> None:
    seen = record(OLD, snapshot=ONE_LEG)
    assert seen.short == LegRecord(venue="grvt", rate=None, age_seconds=None, kind=None, origin=None)


def test_a_stale_leg_is_recorded_with_its_age_and_without_a_rate() -> None:
    stale = a_quote("grvt", observed_at=AS_OF - timedelta(seconds=121), origin="feed")
    seen = record(OLD, snapshot=a_snapshot(a_quote("lighter", 0), stale))
    assert seen.short == LegRecord(venue="grvt", rate=None, age_seconds=121, kind=RateKind.INDICATIVE, origin="feed")
    assert seen.long.rate == 0


def test_a_switch_has_its_target_whoever_proposes_it() -> None:
    assert record(TimeLimit(), moves).target == an_opportunity()
    snapshot = a_snapshot(a_quote("lighter", 0), a_quote("grvt", 0), a_quote("paradex", "0.01"))
    better = record(BetterOpportunity(), moves, snapshot=snapshot)
    assert better.target == better.verdicts[0].target != None  # noqa: E711  # a chain, so that it is no None


def test_a_rule_behind_the_deciding_one_is_recorded_and_does_not_decide() -> None:
    both = record(OLD, moves)
    assert (both.action, both.reason, both.target) == (Action.CLOSE, "TIME_LIMIT", None)
    assert both.verdicts[1].target == an_opportunity()


@pytest.mark.parametrize(
    ("rules", "complete"),
    [
        ((OLD, DivergenceFlip()), True),
        ((DivergenceFlip(), OLD), False),
        ((OLD, broken), True),
        ((broken, OLD), False),
        ((TimeLimit(), DivergenceFlip()), False),
        ((DivergenceFlip(), TimeLimit()), False),
        ((TimeLimit(), broken), False),
        ((TimeLimit(), unready), True),
        ((TimeLimit(),), True),
    ],
    ids=repr,
)
def test_a_decision_is_complete_if_no_rule_up_to_the_deciding_one_missed_anything(
    rules: tuple[Rule, ...], *, complete: bool
) -> None:
    assert record(*rules, snapshot=ONE_LEG).complete is complete


def test_what_was_held_back_is_listed_in_order_of_priority_even_behind_the_deciding_rule() -> None:
    young = HeldFor(at_least=timedelta(hours=6))
    first, second = ProfitErosion(keep=4) & young, OLD & young
    both = record(first, DivergenceFlip(margin=1), second)
    assert both.reason == "DIVERGENCE_FLIPPED"
    assert [held.reason for held in both.held_back] == ["PROFIT_EROSION", "TIME_LIMIT"]
    assert both.held_back == both.verdicts[0].held_back + both.verdicts[2].held_back


def warnings(position: Position | None = None, **short: Any) -> tuple[Fact, ...]:
    return record(OLD, position=position, snapshot=a_snapshot(a_quote("lighter"), a_quote("grvt", **short))).warnings


def test_a_usual_position_warns_of_nothing() -> None:
    assert warnings() == ()


@pytest.mark.parametrize(("after", "warned"), [(0, ()), (1, (Fact("opened_after_now_seconds", 1, limit=0),))])
def test_an_opening_after_now_is_warned_of(after: int, warned: tuple[Fact, ...]) -> None:
    assert warnings(a_position(age=timedelta(seconds=-after))) == warned


@pytest.mark.parametrize(
    ("entry", "warned"),
    [
        ("0.00020002", ()),
        ("0.00019998", ()),
        ("0.000200020001", (Fact("entry_divergence_gap", "0.000000020001", limit="0.00000002"),)),
        ("0.000199979999", (Fact("entry_divergence_gap", "0.000000020001", limit="0.00000002"),)),
    ],
)
def test_entry_figures_that_disagree_beyond_the_tolerance_are_warned_of(entry: str, warned: tuple[Fact, ...]) -> None:
    assert warnings(a_position(entry_divergence=entry)) == warned


@pytest.mark.parametrize(
    ("ahead", "warned"),
    [
        (0, ()),
        (1, (Fact("grvt_ahead_of_now_seconds", 1),)),
        (100, (Fact("grvt_ahead_of_now_seconds", 100),)),
    ],
)
def test_a_quote_from_the_future_is_warned_of_within_the_tolerance_and_beyond(
    ahead: int, warned: tuple[Fact, ...]
) -> None:
    assert warnings(observed_at=AS_OF + timedelta(seconds=ahead)) == warned


@pytest.mark.parametrize(
    ("settles_in", "warned"),
    [(28_800, ()), (28_801, (Fact("grvt_settles_in_seconds", 28_801, limit=28_800),))],
)
def test_a_settlement_beyond_the_payment_interval_is_warned_of(settles_in: int, warned: tuple[Fact, ...]) -> None:
    assert warnings(next_funding_at=AS_OF + timedelta(seconds=settles_in)) == warned


def test_both_legs_are_warned_of_long_leg_first() -> None:
    ahead = [a_quote(venue, observed_at=AS_OF + timedelta(seconds=2)) for venue in ("lighter", "grvt")]
    assert record(OLD, snapshot=a_snapshot(*ahead)).warnings == (
        Fact("lighter_ahead_of_now_seconds", 2),
        Fact("grvt_ahead_of_now_seconds", 2),
    )


def test_warnings_come_in_a_fixed_order() -> None:
    position = a_position(age=timedelta(seconds=-1), entry_divergence=1)
    names = [
        fact.name
        for fact in warnings(
            position, observed_at=AS_OF + timedelta(seconds=1), next_funding_at=AS_OF + timedelta(days=1)
        )
    ]
    assert names == [
        "opened_after_now_seconds",
        "entry_divergence_gap",
        "grvt_ahead_of_now_seconds",
        "grvt_settles_in_seconds",
    ]


def test_the_record_says_what_the_source_could_not_have() -> None:
    snapshot = a_snapshot(a_quote("lighter"), missing=(Missing(field="rate", venue="grvt", why="it timed out"),))
    verdict = record(DivergenceFlip(), snapshot=snapshot).verdicts[0]
    assert verdict.outcome is Outcome.NOT_EVALUATED
    assert verdict.missing == (Missing(field="rate", venue="grvt", symbol="BTC", why="it timed out"),)
