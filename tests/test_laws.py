"""Laws of deciding, over random positions, markets (unknown, stale, skewed, from the future) and strategies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from decimal import ROUND_UP, Clamped, Context, Decimal, FloatOperation, Inexact, Rounded, localcontext
from itertools import product
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from rebalancer import (
    Action,
    BetterOpportunity,
    CombinedStrategy,
    Confirmed,
    Cooldown,
    Costs,
    DivergenceFlip,
    FundingSchedule,
    Guard,
    HeldFor,
    LegImbalance,
    LegReading,
    LiquidationDistance,
    MarketSnapshot,
    Missing,
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
    Urgency,
    Verdict,
    guard,
    rule,
)
from rebalancer.domain.names import Pair
from rebalancer.testing import AS_OF, a_leg, a_position, a_quote, a_rate, a_snapshot

VENUES = ("aster", "grvt", "lighter", "paradex")
SYMBOLS = ("BTC", "ETH")
AGES = (-5, 0, 5, 299, 300, 301, 18_000)

law = settings(max_examples=80, derandomize=True, database=None)


def seconds(*values: int) -> st.SearchStrategy[timedelta]:
    return st.sampled_from(values).map(lambda value: timedelta(seconds=value))


def fractions(steps: int = 8) -> st.SearchStrategy[Decimal]:
    """Few different values, so that equal ones and limits that are met exactly are common."""
    return st.integers(-steps, steps).map(lambda step: Decimal(step).scaleb(-4))


pairs = st.builds(
    lambda symbol, venues: Pair(symbol, *venues),
    st.sampled_from(SYMBOLS),
    st.permutations(VENUES).map(lambda venues: venues[:2]),
)
filters = st.just(TargetFilter.ANY) | st.builds(
    TargetFilter,
    venues=st.none() | st.lists(st.sampled_from(VENUES), unique=True).map(tuple),
    blocked_symbols=st.sampled_from(((), ("BTC",), ("ETH",))),
    taken=st.lists(pairs, max_size=2).map(tuple),
)


@st.composite
def positions(draw: st.DrawFn) -> Position:
    long, short = draw(st.permutations(VENUES))[:2]
    return a_position(
        age=draw(seconds(*AGES)),
        long_dex=long,
        short_dex=short,
        entry_divergence=draw(st.integers(-6, 6)) * Decimal("0.0001"),
        last_action_at=draw(st.none() | seconds(-1, 0, 299, 300).map(lambda ago: AS_OF - ago)),
        id=UUID(int=draw(st.integers(0, 2**64))),
    )


SEEN = st.sampled_from((0, 0, 0, -1, -60, -120, -121, 10, 11)).map(
    lambda at: (at, RateKind.INDICATIVE)
) | st.sampled_from(
    ((0, RateKind.FORMING), (-7_200, RateKind.SETTLED), (-57_600, RateKind.SETTLED), (-57_601, RateKind.SETTLED))
)
SCHEDULES = st.sampled_from((None, -1, 0, 1, 299, 300, 301, 3_600)).map(lambda at: (at, 3_600)) | st.sampled_from(
    ((None, 28_800), (299, 28_800), (28_800, 28_800), (28_801, 28_800), (None, 0), (300, 0))
)


@st.composite
def quotes(draw: st.DrawFn, venue: str, symbol: str) -> Quote:
    (seen, kind), (settles_in, pays_every) = draw(SEEN), draw(SCHEDULES)
    return a_quote(
        venue,
        a_rate(draw(fractions()), hours=draw(st.sampled_from((8, 8, 1)))),
        symbol=symbol,
        observed_at=AS_OF + timedelta(seconds=seen),
        kind=kind,
        next_funding_at=None if settles_in is None else AS_OF + timedelta(seconds=settles_in),
        pays_every=timedelta(seconds=pays_every),
        open_interest_usd=draw(st.sampled_from((None, 0, 1, 2, 3, 4))),
        mark_price=draw(st.sampled_from((None, 100))),
    )


NO_ANSWER = Unknown("no answer")


def a_reading(venue: str, symbol: str, chance: Random) -> LegReading:
    """A leg on either side: usually read just now, with the prices of one that is near or far from liquidation."""
    if chance.random() < 0.05:
        return a_leg(venue, NO_ANSWER, symbol=symbol)
    age = chance.choice((None,) * 16 + (-11, -10, 120, 121))
    return a_leg(
        venue,
        chance.choice(("0.1", "0.095", "0.09", "0", "-0.1", "-0.095", "-0.09")),
        symbol=symbol,
        as_of=None if age is None else AS_OF - timedelta(seconds=age),
        mark_price=chance.choice((None, 100, 100, 100)),
        liquidation_price=chance.choice((None, 80, 90, 95, 105, 110, 120)),
    )


MARKETS = (*((venue, "BTC") for venue in VENUES), ("grvt", "ETH"), ("lighter", "ETH"))
CHANCE = Random(7)
READINGS = tuple(tuple(a_reading(*market, CHANCE) for market in MARKETS if CHANCE.random() < 0.95) for _ in range(100))
"""Made once, since drawing every part of every leg is slow."""

opportunities = st.builds(
    lambda pair, long_rate, short_rate, age: Opportunity(
        **pair._asdict(), long_rate=long_rate, short_rate=short_rate, observed_at=AS_OF - age
    ),
    pairs,
    fractions(),
    fractions(),
    seconds(-11, 0, 120, 121),
)


GAPS = tuple(Missing(field="opportunities", symbol=symbol, why="the service is down") for symbol in (*SYMBOLS, None))


@st.composite
def snapshots(draw: st.DrawFn) -> MarketSnapshot:
    left_out = draw(st.sets(st.sampled_from(MARKETS), max_size=2))
    return MarketSnapshot(
        as_of=AS_OF,
        quotes=tuple(draw(quotes(*market)) for market in MARKETS if market not in left_out),
        observations=tuple(draw(quotes(*market)) for market in draw(st.lists(st.sampled_from(MARKETS), max_size=4))),
        missing=draw(st.sampled_from(((), (), *((gap,) for gap in GAPS)))),
        opportunities=tuple(draw(st.lists(opportunities, max_size=2))),
        legs=draw(st.sampled_from(((),) * 20 + READINGS)),
    )


@rule(needs=Needs(open_interest=True))
def reads_interest(ctx: RuleContext) -> Verdict:
    return Verdict.close_if(ctx.long.open_interest_usd > 2, "there is open interest")


@rule(needs=Needs(opportunities=True))
def moves(ctx: RuleContext) -> Verdict:
    best = max(ctx.opportunities, key=lambda one: one.divergence, default=None)
    if best is None or best.divergence <= ctx.divergence:
        return Verdict.quiet("there is no better pair")
    return Verdict.switch(best, "there is a better pair", urgency=Urgency.CRITICAL)


@rule
def breaks(ctx: RuleContext) -> Verdict:
    share = 1 / max(ctx.divergence, Decimal(0))
    return Verdict.close_if(share > 3_000, "it is close to zero")


@guard
def earns(ctx: RuleContext) -> bool:
    return ctx.divergence > 0


costs = st.builds(
    lambda default, venues: Costs(leg_bps=default, venues=venues),
    st.integers(-2, 4),
    st.dictionaries(st.sampled_from(VENUES), st.integers(-3, 6)),
)
improvements = st.sampled_from(("-0.001", "0", "0.0004", "0.001"))
horizons = st.sampled_from((timedelta(hours=8), timedelta(hours=24)))
scopes = st.sampled_from(("symbol", "any"))
flips = st.builds(DivergenceFlip, margin=fractions(2))
erosions = st.builds(ProfitErosion, keep=st.sampled_from(("0.5", "1", "4", "0.2", "0")))
limits = st.builds(TimeLimit, max_age=seconds(5, 300))
switches = st.builds(
    BetterOpportunity, cost_bps=st.integers(-2, 8), min_improvement=improvements, horizon=horizons, scope=scopes
) | st.builds(BetterOpportunity, costs=costs, min_improvement=improvements, horizon=horizons, scope=scopes)
built_in = st.one_of(
    flips,
    erosions,
    limits,
    switches,
    st.builds(FundingSchedule, window=seconds(300, 3_600), mode=st.sampled_from(("always", "when_paying"))),
    st.builds(OpenInterestImbalance, max_ratio=st.sampled_from(("1", "2")), min_ratio=st.sampled_from(("0.5", "1"))),
    st.builds(LiquidationDistance, min_distance=st.sampled_from(("0", "0.1", "0.2"))),
    st.builds(LegImbalance, max_difference=st.sampled_from(("0", "0.05", "0.1"))),
)
guards: st.SearchStrategy[Guard] = st.recursive(
    st.one_of(
        st.builds(HeldFor, at_least=seconds(5, 300)),
        st.builds(Cooldown, after=seconds(5, 300)),
        st.builds(SettlementDue, within=seconds(300, 3_600), favourable=st.booleans()),
        st.just(earns),
        built_in.map(lambda one: ~one),
    ),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        inner.map(lambda one: ~one),
    ),
    max_leaves=3,
)
rules: st.SearchStrategy[Rule] = st.one_of(
    built_in,
    st.just(reads_interest),
    st.just(moves),
    st.just(breaks),
    st.builds(Confirmed, st.one_of(flips, erosions, limits), times=st.integers(1, 3)),
    st.builds(lambda one, by: one & by, built_in, guards | built_in),
)
strategies = st.lists(rules, min_size=1, max_size=5).map(lambda ordered: CombinedStrategy(*ordered))


@settings(law, max_examples=60)
@given(
    strategy=strategies,
    held=st.lists(positions(), min_size=4, max_size=4),
    seen=st.lists(snapshots(), min_size=3, max_size=3),
    targets=filters,
)
def test_the_action_is_that_of_the_first_verdict_that_fired(
    strategy: CombinedStrategy, held: list[Position], seen: list[MarketSnapshot], targets: TargetFilter
) -> None:
    for position, snapshot in product(held, seen):
        decision = strategy.decide(position, snapshot, targets=targets)
        fired = [verdict for verdict in decision.verdicts if verdict.outcome is Outcome.FIRED]
        first = fired[0] if fired else Verdict.quiet("no rule fires")
        assert (decision.action, decision.target) == (first.action, first.target)
        assert (decision.reason, decision.urgency) == (first.reason, first.urgency)
        assert first.target is None or targets.refusal(first.target.pair) is None
        assert strategy.should_rebalance(position, snapshot, targets=targets) == (bool(fired), decision.reason)
        assert [verdict.rule for verdict in decision.verdicts] == [one.name for one in strategy.rules]


drawn = st.tuples(strategies, positions(), snapshots())
search = settings(max_examples=3_000, database=None, phases=[Phase.generate])


def test_every_reason_occurs_in_what_these_laws_are_tried_on() -> None:
    missing: set[str | None] = {
        "BETTER_OPPORTUNITY",
        "DIVERGENCE_FLIPPED",
        "LEG_IMBALANCE",
        "LIQUIDATION_DISTANCE",
        "MOVES",
        "OI_IMBALANCE",
        "PRE_FUNDING_EXIT",
        "PROFIT_EROSION",
        "READS_INTEREST",
        "TIME_LIMIT",
        None,
    }

    def none_is_missing(case: tuple[CombinedStrategy, Position, MarketSnapshot]) -> bool:
        strategy, position, snapshot = case
        missing.discard(strategy.should_rebalance(position, snapshot)[1])
        return not missing

    with suppress(NoSuchExample):
        find(drawn, none_is_missing, settings=search, random=Random(3))
    assert missing == set()


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_occurs_in_what_these_laws_are_tried_on(outcome: Outcome) -> None:
    def occurs(case: tuple[CombinedStrategy, Position, MarketSnapshot]) -> bool:
        strategy, position, snapshot = case
        return any(verdict.outcome is outcome for verdict in strategy.decide(position, snapshot).verdicts)

    find(drawn, occurs, settings=search, random=Random(7))


@law
@given(strategy=strategies, position=positions(), snapshot=snapshots(), targets=filters)
def test_a_decision_survives_json_byte_for_byte(
    strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot, targets: TargetFilter
) -> None:
    decision = strategy.decide(position, snapshot, targets=targets)
    written = decision.model_dump_json()
    read = RebalanceDecision.model_validate_json(written)
    assert read == decision
    assert read.model_dump_json() == written
    assert read.explain() == decision.explain()


@law
@given(strategy=strategies, position=positions(), snapshot=snapshots(), targets=filters)
def test_inputs_that_were_stored_and_read_again_give_the_same_bytes(
    strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot, targets: TargetFilter
) -> None:
    again = CombinedStrategy(*strategy.rules).decide(
        Position.model_validate_json(position.model_dump_json()),
        MarketSnapshot.model_validate_json(snapshot.model_dump_json()),
        targets=TargetFilter.model_validate_json(targets.model_dump_json()),
    )
    assert again.model_dump_json() == strategy.decide(position, snapshot, targets=targets).model_dump_json()


@law
@given(strategy=strategies, position=positions(), snapshot=snapshots(), order=st.randoms(use_true_random=False))
def test_the_order_in_which_quotes_are_given_does_not_matter(
    strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot, order: Any
) -> None:
    shuffled = [*snapshot.quotes]
    order.shuffle(shuffled)
    again = strategy.decide(position, snapshot.model_copy(update={"quotes": tuple(shuffled)}))
    assert again == strategy.decide(position, snapshot)


@contextmanager
def local_time(zone: str) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


@law
@given(strategy=strategies, position=positions(), snapshot=snapshots(), targets=filters)
def test_neither_the_decimal_context_nor_the_local_time_changes_a_decision(
    strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot, targets: TargetFilter
) -> None:
    expected = strategy.decide(position, snapshot, targets=targets).model_dump_json()
    traps = [Inexact, Rounded, Clamped, FloatOperation]
    for zone in ("EAST-13:45", "WEST+11:30"):
        with local_time(zone), localcontext(Context(prec=6, rounding=ROUND_UP, Emin=-6, Emax=6, traps=traps)):
            fresh = snapshot.model_copy()
            assert strategy.decide(position, fresh, targets=targets).model_dump_json() == expected


@law
@given(
    strategy=strategies,
    held=st.lists(positions(), max_size=4, unique_by=lambda position: position.id),
    snapshot=snapshots(),
    targets=filters,
    order=st.randoms(use_true_random=False),
)
def test_deciding_several_positions_does_not_depend_on_their_order_and_gives_each_its_own_target(
    strategy: CombinedStrategy, held: list[Position], snapshot: MarketSnapshot, targets: TargetFilter, order: Any
) -> None:
    decisions = strategy.decide_all(held, snapshot, targets=targets)
    shuffled = [*held]
    order.shuffle(shuffled)
    again = {decision.position_id: decision for decision in strategy.decide_all(shuffled, snapshot, targets=targets)}
    assert [again[position.id] for position in held] == list(decisions)
    chosen = [(position, one.target.pair) for position, one in zip(held, decisions, strict=True) if one.target]
    assert len({pair for _, pair in chosen}) == len(chosen)
    for position, pair in chosen:
        assert pair not in {other.pair for other in held if other.id != position.id}


legs = st.builds(
    lambda *rates: a_snapshot(*(a_quote(venue, rate) for venue, rate in zip(VENUES, rates, strict=True))),
    *(fractions() for _ in VENUES),
)
exits = st.lists(
    st.one_of(
        flips,
        erosions,
        limits,
        st.builds(lambda one, by: one & by, flips | erosions, st.builds(HeldFor, at_least=seconds(5, 300))),
    ),
    min_size=1,
    max_size=4,
).map(lambda ordered: CombinedStrategy(*ordered))
ours = st.builds(
    lambda age, entry: a_position(age=age, long_dex="lighter", short_dex="grvt", entry_divergence=entry),
    seconds(*AGES),
    fractions(),
)


def with_short_rate(snapshot: MarketSnapshot, rate: Decimal) -> MarketSnapshot:
    changed = tuple(a_quote("grvt", rate) if quote.venue == "grvt" else quote for quote in snapshot.quotes)
    return snapshot.model_copy(update={"quotes": changed})


@law
@given(strategy=exits, position=ours, snapshot=legs, low=fractions(), more=st.integers(1, 5))
def test_raising_the_divergence_never_turns_a_hold_into_a_flip_or_an_erosion(
    strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot, low: Decimal, more: int
) -> None:
    assume(strategy.decide(position, with_short_rate(snapshot, low)).action is Action.HOLD)
    for step in (Decimal("1e-12"), Decimal("0.0001")):
        raised = with_short_rate(snapshot, low + more * step)
        assert strategy.decide(position, raised).action is Action.HOLD


@law
@given(
    strategy=st.lists(switches | exits.map(lambda one: one.rules[0]), min_size=1, max_size=3).map(
        lambda ordered: CombinedStrategy(*ordered)
    ),
    position=ours,
    snapshot=legs,
    worse_by=st.sampled_from(("1e-12", "0.0001", "0.01")),
)
def test_adding_a_strictly_worse_candidate_changes_nothing(
    strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot, worse_by: str
) -> None:
    rates = {quote.venue: quote.rate.per_8h for quote in snapshot.quotes}
    best = max(
        rates[short] - rates[long]
        for long in VENUES
        for short in VENUES
        if long != short and (long, short) != ("lighter", "grvt")
    )
    worse = Opportunity(
        symbol="BTC",
        long_dex="zeta",
        short_dex="omega",
        long_rate=0,
        short_rate=best - Decimal(worse_by),
        observed_at=AS_OF,
    )
    dear = [one for one in strategy.rules if not (isinstance(one, BetterOpportunity) and one.costs)]
    assume(dear)
    unmoved = CombinedStrategy(*dear)
    more = snapshot.model_copy(update={"opportunities": (worse,)})
    assert unmoved.decide(position, more).model_dump_json() == unmoved.decide(position, snapshot).model_dump_json()


@law
@given(strategy=strategies, position=positions(), snapshot=snapshots(), times=st.sampled_from(("0.01", "3", "1000")))
def test_scaling_the_size_with_proportional_costs_leaves_the_action(
    strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot, times: str
) -> None:
    scaled = position.model_copy(
        update={
            "size_usd": position.size_usd * Decimal(times),
            "fees_paid_usd": position.fees_paid_usd * Decimal(times),
        }
    )
    before, after = strategy.decide(position, snapshot), strategy.decide(scaled, snapshot)
    assert (after.action, after.reason, after.target) == (before.action, before.reason, before.target)


unguarded = st.lists(built_in, min_size=1, max_size=5).map(lambda ordered: CombinedStrategy(*ordered))


@law
@given(strategy=unguarded, position=positions(), snapshot=snapshots(), lost=st.integers(0, 7))
def test_losing_a_quote_of_our_own_legs_never_turns_a_hold_into_an_exit(
    strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot, lost: int
) -> None:
    mine = (position.pair.long, position.pair.short)[lost % 2]
    assume(strategy.decide(position, snapshot).action is Action.HOLD)
    left = tuple(quote for quote in snapshot.quotes if quote.market != mine)
    assert strategy.decide(position, snapshot.model_copy(update={"quotes": left})).action is Action.HOLD


@law
@given(strategy=unguarded, position=positions(), snapshot=snapshots(), lost=st.integers(0, 1))
def test_losing_the_reading_of_a_leg_never_turns_a_hold_into_an_exit(
    strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot, lost: int
) -> None:
    mine = (position.pair.long, position.pair.short)[lost]
    assume(mine in snapshot.leg_states and strategy.decide(position, snapshot).action is Action.HOLD)
    unread = (a_leg(mine.venue, NO_ANSWER, symbol=mine.symbol),)
    left = tuple(leg for leg in snapshot.legs if leg.market != mine)
    for legs in (left, left + unread):
        assert strategy.decide(position, snapshot.model_copy(update={"legs": legs})).action is Action.HOLD


@law
@given(strategy=strategies, position=positions(), snapshot=snapshots())
def test_a_decision_is_complete_exactly_if_nothing_that_mattered_was_missed(
    strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot
) -> None:
    decision = strategy.decide(position, snapshot)
    mattered = []
    for verdict in decision.verdicts:
        mattered.append(verdict)
        if verdict.outcome is Outcome.FIRED:
            break
    missed = [one for one in mattered if one.outcome is Outcome.FAILED or one.missing]
    assert decision.complete is (not missed)
