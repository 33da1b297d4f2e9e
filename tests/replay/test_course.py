"""The course of a replay ends where the report does, to the last grid step."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import BetterOpportunity, CombinedStrategy, Costs, DivergenceFlip, FundingHistory
from rebalancer.domain.names import Pair
from rebalancer.domain.numbers import BPS
from rebalancer.history.table import Series
from rebalancer.plugins import PluginManager
from rebalancer.replay import ReplayReport, hindsight, replay
from rebalancer.replay.course import Change, Payments, by_pair, equity, holdings, of_hold_through, of_log, of_optimum
from rebalancer.testing import sample_history

PRESETS = PluginManager().registry.presets
COSTS = Costs(leg_bps="2.5", venues={"grvt": "0.5"})
HOUR = 3600
ROAMING = CombinedStrategy(DivergenceFlip(), BetterOpportunity(cost_bps=0, min_improvement="0.0001", scope="any"))


@cache
def a_history() -> FundingHistory:
    """Ten days of the sample, in which one market goes missing for a while and another one ends."""
    series = list(sample_history(days=10).series)
    gone, ended = series[0], series[-1]
    series[0] = Series(gone.market, gone.kind, (*gone.rows[:3], *gone.rows[9:]))
    series[-1] = Series(ended.market, ended.kind, ended.rows[:50])
    return FundingHistory.of(series)


@cache
def a_report(name: str) -> ReplayReport:
    return replay(PRESETS.create(name) if name in PRESETS else ROAMING, a_history(), costs=COSTS)


@cache
def courses(name: str = "combined") -> dict[str, tuple[list[Change], Decimal | None]]:
    """What each way to trade did, and what the report says that it earned."""
    report = a_report(name)
    return {
        "strategy": (of_log(report.log, COSTS), report.net_bps),
        "hold-through": (of_hold_through(a_history(), COSTS, every=HOUR), report.hold_through_bps),
        "optimum": (of_optimum(hindsight(a_history(), costs=COSTS)), report.optimum_bps),
    }


def ticks() -> list[int]:
    return list(range(a_history().start, a_history().end + 1, HOUR))


@pytest.mark.parametrize("name", [*PRESETS, "roaming"])
def test_equity_ends_at_the_figures_of_the_report(name: str) -> None:
    for changes, figure in courses(name).values():
        assert figure
        assert Decimal(equity(changes, Payments(a_history()), ticks())[-1]) / BPS == figure


@given(st.sets(st.integers(0, 238), max_size=30))
def test_equity_is_the_same_at_a_tick_whichever_others_are_drawn(chosen: set[int]) -> None:
    places = sorted(chosen | {len(ticks()) - 1})
    for changes, _ in courses().values():
        every = equity(changes, Payments(a_history()), ticks())
        assert equity(changes, Payments(a_history()), [ticks()[one] for one in places]) == [
            every[one] for one in places
        ]


def test_equity_is_what_settlements_paid_tick_by_tick() -> None:
    """Another way: the state of every symbol, from tick to tick."""
    changes, _ = courses()["strategy"]
    rows, total, expected = list(a_history().rows()), 0, []
    held: dict[str, Pair] = {}
    left = list(changes)
    for at in ticks():
        while rows and rows[0][1].at <= at:
            series, row = rows.pop(0)
            pair = held.get(series.market.symbol)
            if pair is not None:
                total += row.value * ((pair.short == series.market) - (pair.long == series.market))
        while left and left[0].at == at:
            change = left.pop(0)
            total -= change.cost
            if change.held is not None:
                del held[change.held.symbol]
            if change.target is not None:
                held[change.target.symbol] = change.target
        expected.append(total)
    assert equity(changes, Payments(a_history()), ticks()) == expected


def test_some_switch_goes_to_another_symbol() -> None:
    assert any(
        trade.target is not None and trade.target.symbol != trade.pair.symbol for trade in a_report("roaming").log
    )


@pytest.mark.parametrize("name", [*PRESETS, "roaming"])
def test_the_pairs_share_out_the_net(name: str) -> None:
    for changes, figure in courses(name).values():
        pairs = by_pair(changes, Payments(a_history()), COSTS)
        assert Decimal(sum(one.funding - one.cost for one in pairs.values())) / BPS == figure
        assert sum(one.cost for one in pairs.values()) == sum(change.cost for change in changes)
        assert sum(one.times for one in pairs.values()) == sum(change.target is not None for change in changes)


def test_a_rotation_costs_each_pair_the_leg_that_was_its_own() -> None:
    """The switch leaves grvt for lighter: half a basis point is the old pair's, 2.5 are the new one's."""
    at = a_history().start
    held, target = Pair("BTC", "aster", "grvt"), Pair("BTC", "aster", "lighter")
    changes = [
        Change(at, None, held, COSTS.move(None, held).cost),
        Change(at + HOUR, held, target, COSTS.move(held, target).cost),
        Change(at + 2 * HOUR, target, None, COSTS.move(target, None).cost),
    ]
    pairs = by_pair(changes, Payments(a_history()), COSTS)
    assert pairs["aster", "grvt"].cost == (Decimal("2.5") + Decimal("0.5") + Decimal("0.5")) * BPS
    assert pairs["aster", "lighter"].cost == (Decimal("2.5") + Decimal("2.5") + Decimal("2.5")) * BPS


def test_a_pair_is_paid_what_was_settled_after_its_opening_until_it_was_left() -> None:
    changes, _ = courses()["hold-through"]
    for hold in holdings(changes, Payments(a_history())):
        earned = sum(
            row.value * ((hold.pair.short == series.market) - (hold.pair.long == series.market))
            for series, row in a_history().rows()
            if hold.opened < row.at <= hold.left
        )
        assert hold.funding == earned
