"""The hindsight optimum: as exhaustive search finds it, and beaten by nobody."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import (
    BetterOpportunity,
    CombinedStrategy,
    Costs,
    DivergenceFlip,
    EntryPolicy,
    FundingHistory,
    HistoryError,
    InputError,
    ProfitErosion,
    TimeLimit,
    presets,
)
from rebalancer.domain.funding import RateKind
from rebalancer.domain.names import Market, Pair
from rebalancer.domain.numbers import BPS
from rebalancer.history.table import Row, Series
from rebalancer.plugins import PluginManager
from rebalancer.replay import Hindsight, hindsight, replay
from rebalancer.replay import search as searching
from rebalancer.replay.columns import Columns
from rebalancer.replay.search import in_loops, in_numpy, schedules
from rebalancer.replay.search_loops import INTERPRETED, Loops, compiled
from rebalancer.testing import sample_history

PRESETS = PluginManager().registry.presets
HOUR = 3600
START = 1_750_000_000 // HOUR * HOUR
VENUES = ("aster", "grvt", "lighter")
Rates = dict[tuple[str, int], int]
"""Settled rates in basis points, by venue and hour; where there is none, the market has a gap."""


def a_history(rates: Rates, *, symbol: str = "BTC", interval: int = 1) -> FundingHistory:
    series = []
    for venue in sorted({venue for venue, _ in rates}):
        hours = sorted(hour for one, hour in rates if one == venue)
        rows = tuple(Row(START + hour * HOUR, rates[venue, hour] * BPS, interval * HOUR) for hour in hours)
        series.append(Series(Market(venue, symbol), RateKind.SETTLED, rows))
    return FundingHistory.of(series)


def exhaustive(rates: Rates, costs: Costs, *, interval: int = 1) -> int:
    """The best of all schedules, by trying every state after every state. Another way, written to be obvious."""
    hours = range(min(hour for _, hour in rates), max(hour for _, hour in rates) + 1)
    states: list[Pair | None] = [None, *(Pair("BTC", *pair) for pair in permutations(VENUES, 2))]

    def known(venue: str, hour: int) -> bool:
        return any((venue, past) in rates for past in range(hour - 2 * interval, hour + 1))

    def openable(pair: Pair | None, hour: int) -> bool:
        return pair is None or (known(pair.long_dex, hour) and known(pair.short_dex, hour))

    @cache
    def best(hour: int, held: Pair | None) -> int:
        """What can be earned from this hour on, before its settlements."""
        if hour not in hours:
            return -costs.move(held, None).cost
        earned = (
            0 if held is None else BPS * (rates.get((held.short_dex, hour), 0) - rates.get((held.long_dex, hour), 0))
        )
        moves = (state for state in states if state == held or openable(state, hour))
        return earned + max(best(hour + 1, state) - costs.move(held, state).cost for state in moves)

    return best(hours[0], None)


def traded(history: FundingHistory, found: Hindsight, costs: Costs) -> int:
    """What the trades of an optimum earn, row by row."""
    earned = 0
    for one in found.symbols:
        held: Pair | None = None
        moves = list(one.moves)
        for series, row in [*history.rows(), (None, None)]:
            while moves and (row is None or moves[0].at < row.at):
                move = moves.pop(0)
                assert move.held == held
                assert move.cost == costs.move(move.held, move.target).cost
                earned -= move.cost
                held = move.target
            if row is not None and series is not None and held is not None and series.market.symbol == held.symbol:
                earned += row.value * ((series.market.venue == held.short_dex) - (series.market.venue == held.long_dex))
        assert held is None
    return earned


@st.composite
def some_rates(draw: st.DrawFn) -> Rates:
    """Up to three venues for up to nine hours, with gaps."""
    hours = draw(st.integers(1, 9))
    places = [(venue, hour) for venue in VENUES for hour in range(hours)]
    chosen = draw(st.lists(st.sampled_from(places), min_size=1, unique=True))
    return {place: draw(st.integers(-12, 12)) for place in chosen}


some_costs = st.builds(
    lambda default, venues: Costs(leg_bps=default, venues=venues),
    st.integers(0, 4),
    st.dictionaries(st.sampled_from(VENUES), st.integers(0, 6)),
)


@given(rates=some_rates(), costs=some_costs, interval=st.sampled_from((1, 2)))
@settings(max_examples=150)
def test_it_is_what_exhaustive_search_finds(rates: Rates, costs: Costs, interval: int) -> None:
    history = a_history(rates, interval=interval)

    found = hindsight(history, costs=costs)

    assert found.symbols[0].steps == exhaustive(rates, costs, interval=interval)
    assert traded(history, found, costs) == found.symbols[0].steps


some_strategies = st.one_of(
    st.sampled_from(sorted(PRESETS)).map(PRESETS.create),
    st.builds(
        lambda keep, hours, least, bps: CombinedStrategy(
            DivergenceFlip(),
            ProfitErosion(keep=keep),
            BetterOpportunity(cost_bps=bps, min_improvement=least, horizon=timedelta(hours=24)),
            TimeLimit(max_age=timedelta(hours=hours)),
        ),
        st.sampled_from(("0", "0.3", "0.9", "2")),
        st.integers(1, 9),
        st.sampled_from(("0", "0.0001", "0.002")),
        st.integers(0, 8),
    ),
)
some_entries = st.sampled_from(("0", "0.0001", "0.0005")).map(lambda above: EntryPolicy(above=above))


@given(rates=some_rates(), other=some_rates(), costs=some_costs, strategy=some_strategies, entry=some_entries)
@settings(max_examples=60)
def test_no_strategy_beats_it(
    rates: Rates, other: Rates, costs: Costs, strategy: CombinedStrategy, entry: EntryPolicy
) -> None:
    history = FundingHistory.of((*a_history(rates).series, *a_history(other, symbol="ETH").series))

    report = replay(strategy, history, entry=entry, costs=costs)

    assert report.net_bps is not None
    assert report.optimum_bps == hindsight(history, costs=costs).net_bps
    assert report.regret_bps is not None
    assert report.regret_bps >= 0
    assert all(one.regret_bps is not None and one.regret_bps >= 0 for one in report.symbols)


def both_ways(history: FundingHistory, costs: Costs, loops: Loops) -> None:
    """The loops find the same moves as numpy, at the same ticks."""
    columns = Columns.of(history, every=HOUR)
    places = [
        [(one.steps, [(tick, *map(in_venues(one.most), states)) for tick, *states in one.moves]) for one in found]
        for found in (in_numpy(columns, costs), in_loops(columns, costs, loops))
    ]
    assert places[0] == places[1]


def in_venues(most: int) -> Callable[[int], tuple[int, int] | None]:
    return lambda state: None if state < 0 else divmod(state, most)


@given(rates=some_rates(), other=some_rates(), costs=some_costs)
@settings(max_examples=60)
def test_the_loops_find_the_moves_that_numpy_finds(rates: Rates, other: Rates, costs: Costs) -> None:
    """Symbols with different numbers of venues are searched together in numpy, and one by one in loops."""
    history = FundingHistory.of((*a_history(rates).series, *a_history(other, symbol="ETH").series))

    both_ways(history, costs, INTERPRETED)


def test_compiled_they_find_the_same() -> None:
    pytest.importorskip("numba")
    loops = compiled()
    assert loops is not None

    both_ways(sample_history(), Costs(leg_bps=2, venues={"grvt": 0, "aster": "3.5"}), loops)
    both_ways(sample_history(seed=3), Costs.flat(leg_bps=0), loops)


def test_many_venues_have_room_in_their_tags() -> None:
    """With so many, one byte is not enough."""
    rates = {(f"v{number:02}", hour): (number * 7 + hour * 5) % 23 for number in range(70) for hour in range(3)}

    history, costs = a_history(rates), Costs.flat(leg_bps=1)

    both_ways(history, costs, INTERPRETED)
    found = hindsight(history, costs=costs)
    assert traded(history, found, costs) == found.symbols[0].steps > 0


def test_without_numba_it_is_found_in_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    compiled.cache_clear()
    monkeypatch.setattr(searching, "LARGE", 0)
    try:
        assert compiled() is None
        found = schedules(Columns.of(sample_history(days=3), every=HOUR), Costs.flat(leg_bps=2))
    finally:
        compiled.cache_clear()
    assert len(found) == 4


def test_on_the_sample_no_strategy_beats_it_and_its_trades_earn_what_it_says() -> None:
    history, costs = sample_history(), Costs.flat(leg_bps=2)

    found = hindsight(history, costs=costs)
    report = replay(presets.combined(costs=costs), history, costs=costs)

    assert report.net_bps is not None
    assert report.hold_through_bps is not None
    assert max(report.net_bps, report.hold_through_bps) < found.net_bps
    assert traded(history.decisive(), found, costs) == sum(one.steps for one in found.symbols)
    assert [one.symbol for one in found.symbols] == list(history.symbols)


def test_where_trading_costs_more_than_it_earns_it_stays_flat() -> None:
    rates = {(venue, hour): hour % 2 for venue in VENUES for hour in range(6)}

    found = hindsight(a_history(rates), costs=Costs.flat(leg_bps=5))

    assert found.symbols[0].moves == ()
    assert found.net_bps == 0


def test_a_rotation_pays_for_two_legs() -> None:
    rates = {("aster", hour): 0 for hour in range(8)}
    rates |= {("grvt", hour): 20 if hour < 4 else 0 for hour in range(8)}
    rates |= {("lighter", hour): 0 if hour < 4 else 20 for hour in range(8)}

    moves = hindsight(a_history(rates), costs=Costs.flat(leg_bps=2)).symbols[0].moves

    held = [None if move.target is None else (move.target.long_dex, move.target.short_dex) for move in moves]
    assert held == [("aster", "grvt"), ("aster", "lighter"), None]
    assert [move.cost for move in moves] == [4 * BPS, 4 * BPS, 4 * BPS]


def test_a_market_that_is_unknown_is_not_opened_and_may_be_left() -> None:
    rates = {("aster", hour): -9 for hour in range(3)} | {("grvt", 0): 9, ("grvt", 8): 900, ("lighter", 8): 0}

    found = hindsight(a_history(rates), costs=Costs.flat(leg_bps=1))

    assert [move.at for move in found.symbols[0].moves] == [START, START + 8 * HOUR]
    assert found.symbols[0].steps == exhaustive(rates, Costs.flat(leg_bps=1))


def test_symbols_with_different_venues_are_searched_together() -> None:
    costs = Costs.flat(leg_bps=1)
    small = {(venue, hour): 7 * (venue == "grvt") for venue in ("aster", "grvt") for hour in range(5)}
    large = {(venue, hour): 9 * (venue == "lighter") - hour for venue in VENUES for hour in range(5)}
    both = FundingHistory.of((*a_history(small, symbol="ADA").series, *a_history(large).series))

    found = hindsight(both, costs=costs)

    assert [one.steps for one in found.symbols] == [exhaustive(small, costs), exhaustive(large, costs)]


def test_a_longer_tick_sees_less() -> None:
    history = sample_history()

    assert hindsight(history, every=timedelta(hours=24)).net_bps < hindsight(history).net_bps


def test_it_refuses_what_has_no_optimum() -> None:
    live = Series(Market("grvt", "BTC"), RateKind.INDICATIVE, (Row(START, BPS, HOUR),))
    with pytest.raises(HistoryError, match="settled"):
        hindsight(FundingHistory.of((live,)))
    with pytest.raises(InputError, match="rebates"):
        hindsight(sample_history(), costs=Costs(leg_bps=2, venues={sample_history().venues[0]: -1}))
    with pytest.raises(InputError, match="every"):
        hindsight(sample_history(), every=timedelta(0))


def test_sums_that_would_not_fit_are_refused_and_never_wrap() -> None:
    for value in (10**18, 10**15):  # the second alone would fit, but not beside what says how it was come by
        rows = tuple(Row(START + hour * HOUR, value, HOUR) for hour in range(2))
        with pytest.raises(HistoryError, match="64 bits"):
            hindsight(FundingHistory.of((Series(Market("grvt", "BTC"), RateKind.SETTLED, rows),)))
