"""Laws of deciding, over random positions, markets (unknown, stale, skewed, from the future) and strategies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import ROUND_UP, Clamped, Context, Decimal, FloatOperation, Inexact, Rounded, localcontext
from typing import Any
from uuid import UUID

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rebalancer import (
    Action,
    BetterOpportunity,
    CombinedStrategy,
    Confirmed,
    Costs,
    DivergenceFlip,
    FundingSchedule,
    Guard,
    HeldFor,
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
    Urgency,
    Verdict,
    guard,
    rule,
)
from rebalancer.domain.names import Pair
from rebalancer.testing import AS_OF, a_position, a_quote, a_rate, a_snapshot

VENUES = ("aster", "grvt", "lighter", "paradex")
SYMBOLS = ("BTC", "ETH")
AGES = (-5, 0, 5, 299, 300, 301, 18_000)

law = settings(max_examples=150, derandomize=True, database=None)


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
    pair = draw(pairs)
    return a_position(
        age=draw(seconds(*AGES)),
        symbol=pair.symbol,
        long_dex=pair.long_dex,
        short_dex=pair.short_dex,
        entry_divergence=draw(fractions()),
        id=UUID(int=draw(st.integers(0, 2**64))),
    )


@st.composite
def quotes(draw: st.DrawFn, venue: str, symbol: str) -> Quote:
    settles_in = draw(st.sampled_from((None, -1, 0, 1, 299, 300, 301, 3_600, 28_800, 28_801)))
    fields: dict[str, Any] = {
        "observed_at": AS_OF + timedelta(seconds=draw(st.sampled_from((-60_000, -121, -120, -1, 0, 0, 0, 10, 11)))),
        "kind": draw(st.sampled_from(RateKind)),
        "next_funding_at": None if settles_in is None else AS_OF + timedelta(seconds=settles_in),
        "open_interest_usd": draw(st.sampled_from((None, 0, 1, 2, 3, 4))),
    }
    if draw(st.booleans()):
        fields["pays_every"] = draw(seconds(0, 3_600, 28_800))
    rate = a_rate(draw(fractions()), hours=draw(st.sampled_from((1, 8))))
    return a_quote(venue, rate, symbol=symbol, **fields)


opportunities = st.builds(
    lambda pair, long_rate, short_rate, age: Opportunity(
        **pair._asdict(), long_rate=long_rate, short_rate=short_rate, observed_at=AS_OF - age
    ),
    pairs,
    fractions(),
    fractions(),
    seconds(-11, 0, 120, 121),
)


@st.composite
def snapshots(draw: st.DrawFn) -> MarketSnapshot:
    seen = [draw(quotes(venue, symbol)) for symbol in SYMBOLS for venue in VENUES if draw(st.integers(0, 4)) > 0]
    past = [
        draw(quotes(venue, symbol))
        for symbol in SYMBOLS
        for venue in VENUES[1:3]
        for _ in range(draw(st.integers(0, 3)))
    ]
    gaps = [
        Missing(field="opportunities", symbol=draw(st.sampled_from((*SYMBOLS, None))), why="the service is down")
        for _ in range(draw(st.integers(0, 1)))
    ]
    listed = draw(st.lists(opportunities, max_size=3))
    return MarketSnapshot(as_of=AS_OF, quotes=seen, observations=past, missing=gaps, opportunities=listed)


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
    return Verdict.close_if(1 / ctx.divergence > 3_000, "it is close to zero")


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
erosions = st.builds(ProfitErosion, keep=st.sampled_from(("0", "0.2", "0.5", "1", "4")))
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
)
guards: st.SearchStrategy[Guard] = st.recursive(
    st.one_of(
        st.builds(HeldFor, at_least=seconds(5, 300)),
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
    built_in,
    st.sampled_from((reads_interest, moves, breaks)),
    st.builds(Confirmed, st.one_of(flips, erosions, limits), times=st.integers(1, 3)),
    st.builds(lambda one, by: one & by, built_in, guards | built_in),
)
strategies = st.lists(rules, min_size=1, max_size=5).map(lambda ordered: CombinedStrategy(*ordered))


@law
@given(strategy=strategies, position=positions(), snapshot=snapshots(), targets=filters)
def test_the_action_is_that_of_the_first_verdict_that_fired(
    strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot, targets: TargetFilter
) -> None:
    decision = strategy.decide(position, snapshot, targets=targets)
    first = next((verdict for verdict in decision.verdicts if verdict.outcome is Outcome.FIRED), None)
    if first is None:
        assert (decision.action, decision.reason, decision.urgency) == (Action.HOLD, None, Urgency.NORMAL)
        assert decision.target is None
    else:
        assert (decision.action, decision.reason, decision.urgency) == (first.action, first.reason, first.urgency)
        assert decision.target == first.target
        assert first.target is None or targets.refusal(first.target.pair) is None
    assert strategy.should_rebalance(position, snapshot, targets=targets) == (first is not None, decision.reason)
    assert [verdict.rule for verdict in decision.verdicts] == [one.name for one in strategy.rules]


def test_the_strategies_of_this_sample_do_all_that_strategies_do() -> None:
    seen: set[tuple[Action, str | None]] = set()
    outcomes: set[Outcome] = set()

    @settings(max_examples=400, derandomize=True, database=None)
    @given(strategy=strategies, position=positions(), snapshot=snapshots(), targets=filters)
    def sample(strategy: CombinedStrategy, position: Position, snapshot: MarketSnapshot, targets: TargetFilter) -> None:
        decision = strategy.decide(position, snapshot, targets=targets)
        seen.add((decision.action, decision.reason))
        outcomes.update(verdict.outcome for verdict in decision.verdicts)

    sample()
    assert outcomes == set(Outcome)
    assert seen >= {
        (Action.HOLD, None),
        (Action.CLOSE, "DIVERGENCE_FLIPPED"),
        (Action.CLOSE, "PROFIT_EROSION"),
        (Action.CLOSE, "TIME_LIMIT"),
        (Action.CLOSE, "PRE_FUNDING_EXIT"),
        (Action.CLOSE, "OI_IMBALANCE"),
        (Action.SWITCH, "BETTER_OPPORTUNITY"),
        (Action.SWITCH, "MOVES"),
        (Action.CLOSE, "READS_INTEREST"),
        (Action.CLOSE, "BREAKS"),
    }


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
