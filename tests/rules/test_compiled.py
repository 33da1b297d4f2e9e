"""The hot path: one function a strategy, which agrees with asking every rule through `evaluate`."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import product
from typing import Any, ClassVar

import pytest

from rebalancer import (
    BetterOpportunity,
    CombinedStrategy,
    Cooldown,
    Costs,
    DivergenceFlip,
    Fact,
    FundingSchedule,
    HeldFor,
    LegImbalance,
    LiquidationDistance,
    MarketSnapshot,
    OpenInterestImbalance,
    Outcome,
    ProfitErosion,
    Rule,
    RuleContext,
    TargetFilter,
    TimeLimit,
    Unknown,
    Verdict,
    rule,
)
from rebalancer.rules.asking import ask
from rebalancer.rules.compiled import compiled
from rebalancer.rules.grid import Claims
from rebalancer.rules.target import Pricing, TargetRule
from rebalancer.testing import AS_OF, a_leg, a_position, a_quote, a_snapshot

ANY = TargetFilter.ANY
SOON = AS_OF + timedelta(minutes=5)
LATER = AS_OF + timedelta(hours=5)
OLD = TimeLimit(max_age=timedelta(hours=1))


def held(long: Any, short: Any, liquidation: int = 50, **quoted: Any) -> MarketSnapshot:
    """Both legs as they were read, at a mark price of 100; `liquidation` is the long one's price."""
    prices = {"lighter": liquidation, "grvt": 150}
    legs = [
        a_leg(venue, state) if isinstance(state, Unknown) else a_leg(venue, state, liquidation_price=prices[venue])
        for venue, state in (("lighter", long), ("grvt", short))
    ]
    quotes = a_quote("lighter", **{"mark_price": 100, **quoted}), a_quote("grvt", mark_price=100)
    return a_snapshot(*quotes, legs=legs)


NO_ANSWER = Unknown("no answer")

SNAPSHOTS = {
    "usual": a_snapshot(),
    "losing": a_snapshot(a_quote("lighter", "0.0003"), a_quote("grvt", "0.0001")),
    "eroded": a_snapshot(a_quote("lighter", 0), a_quote("grvt", "0.00005")),
    "zero": a_snapshot(a_quote("lighter", 0), a_quote("grvt", 0)),
    "blind": MarketSnapshot(as_of=AS_OF, quotes=()),
    "one leg": a_snapshot(a_quote("lighter", next_funding_at=SOON, open_interest_usd=5)),
    "settles soon and pays": a_snapshot(
        a_quote("lighter", "0.0005", next_funding_at=SOON), a_quote("grvt", next_funding_at=LATER)
    ),
    "settles soon and earns": a_snapshot(
        a_quote("lighter", "-0.0005", next_funding_at=SOON), a_quote("grvt", next_funding_at=LATER)
    ),
    "settles later": a_snapshot(a_quote("lighter", next_funding_at=LATER), a_quote("grvt", next_funding_at=LATER)),
    "settles at one unknown time": a_snapshot(a_quote("lighter", next_funding_at=SOON), a_quote("grvt")),
    "settles later and at an unknown time": a_snapshot(a_quote("lighter", next_funding_at=LATER), a_quote("grvt")),
    "continuous": a_snapshot(
        a_quote("lighter", pays_every=timedelta(0)), a_quote("grvt", pays_every=timedelta(0), next_funding_at=SOON)
    ),
    "balanced": a_snapshot(a_quote("lighter", open_interest_usd=30), a_quote("grvt", "0.0003", open_interest_usd=10)),
    "imbalanced": a_snapshot(a_quote("lighter", open_interest_usd=31), a_quote("grvt", "0.0003", open_interest_usd=10)),
    "empty": a_snapshot(a_quote("lighter", open_interest_usd=0), a_quote("grvt", "0.0003", open_interest_usd=0)),
    "better": a_snapshot(a_quote("lighter", 0), a_quote("grvt", "0.0003"), a_quote("paradex", "0.01")),
    "not better enough": a_snapshot(a_quote("lighter", 0), a_quote("grvt", "0.0003"), a_quote("paradex", "0.0004")),
    "better elsewhere": a_snapshot(
        a_quote("lighter", 0),
        a_quote("grvt", "0.0003"),
        a_quote("lighter", 0, symbol="ETH"),
        a_quote("grvt", "0.02", symbol="ETH"),
    ),
    "hedged": held(1, -1),
    "hedged within the difference": held(100, -95),
    "out of balance": held(100, "-94.9"),
    "at the least distance": held(1, -1, 90),
    "close to liquidation": held(1, -1, 91),
    "one leg close to liquidation, the other unknown": held(1, NO_ANSWER, 91),
    "one leg far from liquidation, the other unknown": held(1, NO_ANSWER),
    "one leg unknown": held(NO_ANSWER, -1),
    "both legs unknown": held(NO_ANSWER, NO_ANSWER),
    "one leg flat": held(0, -1),
    "both legs flat": held(0, 0),
    "one leg on the wrong side": held(-1, -1, 150),
    "legs without a mark price": held(1, -1, 91, mark_price=None),
    "stale": a_snapshot(a_quote("lighter", observed_at=AS_OF - timedelta(hours=1)), a_quote("grvt")),
}
POSITIONS = {
    "usual": a_position(),
    "without an edge": a_position(entry_divergence=0),
    "from the future": a_position(age=timedelta(hours=-1)),
    "old": a_position(age=timedelta(hours=72)),
    "acted on just now": a_position(last_action_at=AS_OF),
}
RULES: list[Rule] = [
    DivergenceFlip(),
    DivergenceFlip(margin="-0.0001"),
    ProfitErosion(keep="0.5"),
    TimeLimit(),
    FundingSchedule(),
    FundingSchedule(mode="when_paying"),
    OpenInterestImbalance(),
    BetterOpportunity(),
    BetterOpportunity(scope="any", min_improvement=0, horizon=timedelta(hours=48)),
    BetterOpportunity(costs=Costs(leg_bps=2, venues={"paradex": -3})),
    LiquidationDistance(),
    LegImbalance(),
    ProfitErosion() & HeldFor(at_least=timedelta(hours=4)),
    ProfitErosion() & Cooldown(after=timedelta(hours=4)),
]


TARGETS = (ANY, TargetFilter(venues=("lighter", "grvt")), TargetFilter(venues=()))


@pytest.mark.parametrize("a_rule", RULES, ids=repr)
@pytest.mark.parametrize("snapshot", SNAPSHOTS.values(), ids=list(SNAPSHOTS))
def test_a_compiled_rule_fires_exactly_where_it_does_when_asked(a_rule: Rule, snapshot: MarketSnapshot) -> None:
    function = compiled([a_rule])
    for position, targets in product(POSITIONS.values(), TARGETS):
        place, _ = function(position, snapshot, targets)
        asked = ask(a_rule, RuleContext(position, snapshot, targets))
        assert (place == 0) == (asked.outcome is Outcome.FIRED)


def test_every_rule_fires_and_holds_somewhere_in_this_sample() -> None:
    for a_rule in RULES:
        fired = {
            ask(a_rule, RuleContext(position, snapshot)).outcome
            for position in POSITIONS.values()
            for snapshot in SNAPSHOTS.values()
        }
        assert fired >= {Outcome.FIRED, Outcome.QUIET}


@pytest.mark.parametrize("snapshot", SNAPSHOTS.values(), ids=list(SNAPSHOTS))
def test_a_compiled_strategy_answers_with_the_place_of_the_first_rule_that_fires(snapshot: MarketSnapshot) -> None:
    for rules in (RULES, RULES[::-1], RULES[3:] + RULES[:3]):
        outcomes = [ask(a_rule, RuleContext(a_position(), snapshot)).outcome for a_rule in rules]
        expected = outcomes.index(Outcome.FIRED) if Outcome.FIRED in outcomes else -1
        place, _ = compiled(rules)(a_position(), snapshot, ANY)
        assert place == expected


def counting(*verdicts: Verdict) -> tuple[Rule, list[RuleContext]]:
    """A rule that gives these verdicts, one each time it is asked, and the contexts it was asked in."""
    asked: list[RuleContext] = []

    @rule
    def counts(ctx: RuleContext) -> Verdict:
        asked.append(ctx)
        return verdicts[len(asked) - 1]

    return counts, asked


QUIET, CLOSE = Verdict.quiet("quiet"), Verdict.close("it closes")


def test_built_in_rules_alone_say_nothing_beyond_the_place() -> None:
    assert compiled([DivergenceFlip(), OLD])(a_position(), a_snapshot(), ANY) == (1, None)
    assert compiled([DivergenceFlip(), TimeLimit()])(a_position(), a_snapshot(), ANY) == (-1, None)


def test_what_other_rules_say_on_the_way_is_kept_by_their_place() -> None:
    first, _ = counting(QUIET)
    second, _ = counting(CLOSE)
    third, asked = counting()
    place, said = compiled([first, TimeLimit(), second, third])(a_position(), a_snapshot(), ANY)
    assert place == 2
    assert said is not None
    assert {where: verdict.outcome for where, verdict in said.items()} == {0: Outcome.QUIET, 2: Outcome.FIRED}
    assert said[2].reason == "COUNTS"
    assert asked == []


def test_a_built_in_rule_may_fire_after_others_were_asked() -> None:
    first, _ = counting(QUIET)
    place, said = compiled([first, OLD])(a_position(), a_snapshot(), ANY)
    assert (place, list(said or ())) == (1, [0])


def test_where_none_fires_what_others_said_is_kept_too() -> None:
    first, _ = counting(QUIET)
    place, said = compiled([first, TimeLimit()])(a_position(), a_snapshot(), ANY)
    assert (place, list(said or ())) == (-1, [0])


def test_a_rule_is_asked_with_the_position_the_snapshot_and_the_targets() -> None:
    first, asked = counting(QUIET)
    targets = TargetFilter(venues=("lighter",))
    position, snapshot = a_position(), a_snapshot()
    compiled([first])(position, snapshot, targets)
    assert (asked[0].position, asked[0].snapshot, asked[0].targets) == (position, snapshot, targets)


def test_a_rule_that_was_asked_while_deciding_is_not_asked_again_for_the_record() -> None:
    quiet, quiet_asked = counting(QUIET)
    closing, closing_asked = counting(CLOSE)
    later, later_asked = counting(QUIET)
    decision = CombinedStrategy(quiet, closing, later).decide(a_position(), a_snapshot())
    assert (len(quiet_asked), len(closing_asked), len(later_asked)) == (1, 1, 0)
    assert [verdict.outcome for verdict in decision.verdicts] == [Outcome.QUIET, Outcome.FIRED, Outcome.QUIET]
    assert decision.verdicts == decision.verdicts
    assert (len(quiet_asked), len(closing_asked), len(later_asked)) == (1, 1, 1)


class Seeks(TargetRule):
    """Move to the pair with the largest gain, if that is above nothing."""

    claims: ClassVar[Claims] = Claims(fired="a better pair", quiet="no better pair", inapplicable="no edge at first")

    @property
    def all_symbols(self) -> bool:
        return False

    @staticmethod
    def fires(gain: int) -> bool:
        return gain > 0

    def pricing(self) -> Pricing:
        return Pricing.flat(0)

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        return (Fact("weighted", values["gain"]),)


class Deep(Seeks):
    """Weighs by the long open interest, where there was an edge at first."""

    @staticmethod
    def applies(entry_divergence: int) -> bool:
        return entry_divergence > 0

    @staticmethod
    def gain(candidate_divergence: int, divergence: int, long_open_interest: int) -> int:
        return (candidate_divergence - divergence) * long_open_interest


class Blind(Seeks):
    """Takes the largest divergence, whatever is known of the held pair."""

    @staticmethod
    def gain(candidate_divergence: int) -> int:
        return candidate_divergence


BEST = a_quote("paradex", "0.01")


@pytest.mark.parametrize("entry", ["0.0001", "0"])
@pytest.mark.parametrize("interest", [None, 0, 5])
@pytest.mark.parametrize("ours", ["0.0001", "0.01", None])
@pytest.mark.parametrize("a_rule", [Deep(), Blind()], ids=repr)
def test_a_compiled_rule_with_a_target_reads_what_its_functions_name(
    a_rule: Rule, ours: str | None, interest: int | None, entry: str
) -> None:
    short = () if ours is None else (a_quote("grvt", ours),)
    snapshot = a_snapshot(a_quote("lighter", 0, open_interest_usd=interest), *short, BEST)
    position = a_position(entry_divergence=entry)
    place, _ = compiled([a_rule])(position, snapshot, ANY)
    asked = ask(a_rule, RuleContext(position, snapshot))
    expected = isinstance(a_rule, Blind) or (ours == "0.0001" and interest == 5 and entry == "0.0001")
    assert [place == 0, asked.outcome is Outcome.FIRED] == [expected, expected]


class Never(DivergenceFlip):
    """Overrules how a built-in rule evaluates."""

    def evaluate(self, ctx: RuleContext) -> Verdict:
        return Verdict.quiet("it never fires")


def test_a_rule_that_overrules_how_a_built_in_evaluates_is_asked() -> None:
    decision = CombinedStrategy(Never()).decide(a_position(), SNAPSHOTS["losing"])
    assert (str(decision.action), decision.verdicts[0].claim) == ("HOLD", "it never fires")


def test_a_strategy_decides_again_and_again_by_the_same_function() -> None:
    strategy = CombinedStrategy(DivergenceFlip())
    answers: list[Any] = [
        strategy.decide(a_position(), SNAPSHOTS[name]).reason for name in ("usual", "losing", "usual")
    ]
    assert answers == [None, "DIVERGENCE_FLIPPED", None]


def test_a_rule_with_many_parameters_is_called_with_each_in_its_place() -> None:
    balanced = OpenInterestImbalance(max_ratio="3.1", min_ratio="0.5")
    fires: Callable[[int, int], bool] = lambda long, short: (  # noqa: E731  # one expression says it
        compiled([balanced])(
            a_position(),
            a_snapshot(a_quote("lighter", open_interest_usd=long), a_quote("grvt", open_interest_usd=short)),
            ANY,
        )[0]
        == 0
    )
    assert [fires(31, 10), fires(32, 10), fires(5, 10), fires(4, 10)] == [False, True, False, True]
