"""Scores: what settings earn by symbol and part, exactly as a replay has it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import (
    BetterOpportunity,
    CombinedStrategy,
    Costs,
    EntryPolicy,
    FundingHistory,
    HistoryError,
    InputError,
    TimeLimit,
    presets,
)
from rebalancer.domain.funding import RateKind
from rebalancer.domain.names import Market, Pair
from rebalancer.domain.numbers import BPS, FRACTION_PLACES, to_grid
from rebalancer.domain.times import from_epoch
from rebalancer.history.table import Row, Series
from rebalancer.replay import replay
from rebalancer.replay.lanes import Engine
from rebalancer.replay.scores import Scorer, Setting, scores
from rebalancer.testing import sample_history

HOUR = 3600
START = 1_750_000_000 // HOUR * HOUR
VENUES = ("aster", "grvt", "lighter")
SYMBOLS = ("BTC", "ETH")

pytest.importorskip("numpy")


def a_history(rates: dict[tuple[str, str, int], int], *, late: int = 0) -> FundingHistory:
    """Settled rates in basis points by venue, symbol and hour, each `late` seconds after the hour."""
    series = []
    for venue, symbol in sorted({key[:2] for key in rates}):
        hours = sorted(hour for *market, hour in rates if tuple(market) == (venue, symbol))
        rows = tuple(Row(START + hour * HOUR + late, rates[venue, symbol, hour] * BPS, HOUR) for hour in hours)
        series.append(Series(Market(venue, symbol), RateKind.SETTLED, rows))
    return FundingHistory.of(series)


def at(hour: float) -> datetime:
    return from_epoch(START + int(hour * HOUR))


def steps(bps: object) -> int:
    return to_grid(bps, FRACTION_PLACES - 4)  # type: ignore[arg-type]  # the reports of these tests have a net


@st.composite
def some_rates(draw: st.DrawFn) -> dict[tuple[str, str, int], int]:
    places = [(venue, symbol, hour) for venue in VENUES for symbol in SYMBOLS for hour in range(8)]
    chosen = draw(st.lists(st.sampled_from(places), min_size=1, unique=True))
    return {place: draw(st.integers(-12, 12)) for place in chosen}


def everywhere(*, costs: Costs) -> CombinedStrategy:
    return CombinedStrategy(BetterOpportunity(costs=costs, scope="any"), TimeLimit(max_age=timedelta(hours=3)))


engines: st.SearchStrategy[Engine] = st.sampled_from(("auto", "scalar"))
MAKERS = (presets.combined, presets.aggressive, everywhere)
some_settings = st.lists(
    st.builds(
        lambda make, bps, above: Setting(
            make(costs=Costs.flat(leg_bps=bps)), entry=EntryPolicy(above=above), costs=Costs.flat(leg_bps=bps)
        ),
        st.sampled_from(MAKERS),
        st.integers(0, 3),
        st.sampled_from(("0", "0.0001", "0.0005")),
    ),
    max_size=3,
)
some_cuts = st.lists(st.integers(-1, 18), max_size=3, unique=True).map(
    lambda halves: [at(half / 2) for half in sorted(halves)]
)


@given(rates=some_rates(), chosen=some_settings, cuts=some_cuts, late=st.sampled_from((0, 1)), engine=engines)
@settings(max_examples=80)
def test_the_parts_of_every_figure_add_up_to_the_replay(
    rates: dict[tuple[str, str, int], int], chosen: list[Setting], cuts: list[datetime], late: int, engine: Engine
) -> None:
    history = a_history(rates, late=late)

    found = Scorer(history, cuts=cuts).scores(chosen, engine=engine)

    assert found.symbols == history.symbols
    for array in (found.net, found.funding, found.cost, found.trades, found.legs):
        assert array.shape == (len(chosen), len(history.symbols), len(cuts) + 1)
        assert array.dtype == "int64"
    for place, one in enumerate(chosen):
        report = replay(one.strategy, history, entry=one.entry, costs=one.costs)
        assert found.net[place].sum() == steps(report.net_bps)
        for symbol, in_symbol in enumerate(report.symbols):
            assert found.net[place, symbol].sum() == steps(in_symbol.net_bps)
            assert found.funding[place, symbol].sum() == steps(in_symbol.funding_bps)
            assert found.cost[place, symbol].sum() == steps(in_symbol.cost_bps)
            assert found.trades[place, symbol].sum() == in_symbol.trades
            assert found.legs[place, symbol].sum() == in_symbol.legs_traded


@given(rates=some_rates(), cuts=some_cuts, late=st.sampled_from((0, 1)), make=st.sampled_from(MAKERS), engine=engines)
@settings(max_examples=80)
def test_each_row_and_each_trade_counts_in_the_part_of_its_tick(
    rates: dict[tuple[str, str, int], int],
    cuts: list[datetime],
    late: int,
    make: Callable[..., CombinedStrategy],
    engine: Engine,
) -> None:
    history, costs = a_history(rates, late=late), Costs.flat(leg_bps=1)
    one = Setting(make(costs=costs), costs=costs)

    found = Scorer(history, cuts=cuts).scores([one], engine=engine)

    log = replay(one.strategy, history, costs=costs).log
    symbols = history.symbols
    funding = {(symbol, part): 0 for symbol in symbols for part in range(len(cuts) + 1)}
    cost = dict(funding)

    def part(tick: int) -> int:
        return sum(from_epoch(tick) >= cut for cut in cuts)

    for trade in log:
        cost[trade.pair.symbol, part(trade.at)] += trade.cost
    for series, row in history.rows():
        tick = -(-row.at // HOUR) * HOUR
        held: set[Pair] = set()
        for trade in log:
            if trade.at < tick:
                held.discard(trade.pair)
                now = trade.pair if trade.action == "OPEN" else trade.target
                if now is not None:
                    held.add(now)
        for pair in held:
            if series.market in (pair.long, pair.short):
                sign = 1 if series.market == pair.short else -1
                funding[pair.symbol, part(tick)] += sign * row.value
    for (symbol, number), figure in funding.items():
        assert found.funding[0, symbols.index(symbol), number] == figure
        assert found.cost[0, symbols.index(symbol), number] == cost[symbol, number]


def test_a_tick_exactly_at_a_cut_belongs_to_the_part_that_begins_there() -> None:
    history = a_history(
        {(venue, "BTC", hour): rate for hour in range(4) for venue, rate in (("aster", 0), ("grvt", 9))}
    )

    found = scores(history, [Setting(CombinedStrategy(TimeLimit()))], cuts=[at(2)])

    assert found.funding[0, 0].tolist() == [9 * BPS, 18 * BPS]
    assert found.cost[0, 0].tolist() == [4 * BPS, 4 * BPS]


def test_the_closes_at_the_end_belong_to_the_last_part_even_beyond_the_last_cut() -> None:
    history = a_history(
        {(venue, "BTC", hour): rate for hour in range(4) for venue, rate in (("aster", 0), ("grvt", 9))}
    )

    found = scores(history, [Setting(CombinedStrategy(TimeLimit()))], cuts=[at(3)])

    assert found.trades[0, 0].tolist() == [1, 1]
    assert found.legs[0, 0].tolist() == [2, 2]


def test_no_settings_have_no_scores() -> None:
    assert scores(sample_history(days=1), []).net.shape == (0, 4, 1)


def test_only_settled_rates_have_a_score() -> None:
    rows = (Row(START, BPS, HOUR),)
    history = FundingHistory.of([Series(Market("aster", "BTC"), RateKind.FORMING, rows)])
    with pytest.raises(HistoryError, match="only those pay"):
        scores(history, [])


@pytest.mark.parametrize("cuts", [[at(2), at(2)], [at(3), at(2)]])
def test_cuts_rise(cuts: list[datetime]) -> None:
    with pytest.raises(InputError, match="cuts must rise"):
        scores(sample_history(days=1), [], cuts=cuts)


def test_rates_too_large_for_64_bits_are_refused() -> None:
    rows = tuple(Row(START + hour * HOUR, 1 << 50, HOUR) for hour in range(600))
    history = FundingHistory.of(Series(Market(venue, "BTC"), RateKind.SETTLED, rows) for venue in VENUES)
    some = [Setting(presets.combined())]
    with pytest.raises(HistoryError, match="64 bits"):
        Scorer(history).scores(some, engine="scalar")
    with pytest.raises(HistoryError, match="beyond 100 %"):
        scores(history, some)


def test_a_setting_fills_in_what_a_replay_would_and_travels() -> None:
    one = Setting(presets.combined())
    assert (one.entry, one.costs) == (EntryPolicy(), Costs.flat(leg_bps=2))
    assert pickle.loads(pickle.dumps(one)) == one


def test_a_setting_needs_a_strategy() -> None:
    with pytest.raises(InputError, match="is not a strategy"):
        Setting(TimeLimit())  # type: ignore[arg-type]  # on purpose
