"""What happens at a tick, and in which order; on histories small enough to be worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalancer import (
    BetterOpportunity,
    CombinedStrategy,
    Confirmed,
    Costs,
    DivergenceFlip,
    EntryPolicy,
    FundingHistory,
    FundingSchedule,
    InputError,
    RateKind,
    Rule,
    RuleContext,
    TimeLimit,
    Verdict,
    rule,
)
from rebalancer.domain.names import Market
from rebalancer.domain.numbers import BPS
from rebalancer.history.table import Row, Series
from rebalancer.replay import ReplayReport, SymbolReport, Trade, replay
from rebalancer.testing import an_opportunity

HOUR = 3600
START = 1_767_225_600
"""2026-01-01 00:00 UTC, in epoch seconds."""
EVER = TimeLimit(max_age=timedelta(days=365))
"""A rule that never fires here."""


def a_market(venue: str, rates: dict[int, float], *, hours: int = 1, symbol: str = "BTC", **more: Any) -> Series:
    """What a venue settles: at these hours these basis points per interval of `hours`."""
    rows = (Row(START + hour * HOUR, int(Decimal(str(bps)) * BPS), hours * HOUR) for hour, bps in rates.items())
    return Series(Market(venue, symbol), more.get("kind", RateKind.SETTLED), tuple(rows))


def hourly(*rates: float, first: int = 1) -> dict[int, float]:
    """These rates at one hour after the other."""
    return dict(enumerate(rates, start=first))


def run(*markets: Series, rules: Iterable[Rule] = (EVER,), **options: Any) -> ReplayReport:
    return replay(CombinedStrategy(*rules), FundingHistory.of(markets), **options)


def trades(report: ReplayReport) -> list[tuple[int, str, str]]:
    """Hour, action and legs of each trade; a switch names the legs that it opens."""
    return [
        (
            (trade.at - START) // HOUR,
            trade.action.value,
            "/".join((trade.target or trade.pair)[1:]),
        )
        for trade in report.log
    ]


def figures(part: ReplayReport | SymbolReport, *names: str) -> list[Any]:
    """The figures of these names, those in bp by their name alone."""
    return [getattr(part, name if name in type(part).model_fields else f"{name}_bps") for name in names]


def seen(*markets: Series, symbol: str = "BTC", **options: Any) -> dict[int, Decimal | None]:
    """The divergence of the open position in bp per 8 h, at each tick that held."""
    lines: list[Trade] = []
    run(*markets, log=lines.append, holds=True, **options)
    return {
        (line.at - START) // HOUR: None if line.divergence is None else Decimal(line.divergence) / BPS
        for line in lines
        if line.action.value == "HOLD" and line.pair.symbol == symbol
    }


# (1) settlements pay what was opened before


def test_a_position_opened_at_the_instant_of_a_settlement_does_not_earn_it() -> None:
    report = run(a_market("a", hourly(0, 0, 0)), a_market("b", hourly(5, 2, 1)))
    assert trades(report) == [(1, "OPEN", "a/b"), (3, "END", "a/b")]
    assert report.funding_bps == 2 + 1


def test_longs_pay_and_shorts_receive() -> None:
    report = run(a_market("a", hourly(1, 1, -2)), a_market("b", hourly(9, 3, -4)))
    assert report.funding_bps == (3 - 1) + (-4 + 2)


def test_a_settlement_pays_before_the_decision_at_its_instant() -> None:
    report = run(a_market("a", hourly(0, 0, 0)), a_market("b", hourly(5, -3, 5)), rules=[DivergenceFlip()])
    assert trades(report)[:2] == [(1, "OPEN", "a/b"), (2, "CLOSE", "a/b")]
    assert report.log[1].reason == "DIVERGENCE_FLIPPED"
    assert report.funding_bps == -3


def test_each_row_pays_its_own_rate_on_the_grid() -> None:
    report = run(a_market("a", hourly(0, 0, 0)), a_market("b", {1: 5, 2: 0.00000001, 3: -0.00000003}))
    assert report.funding_bps == Decimal("-0.00000002")


def test_markets_of_different_rhythm_each_pay_when_they_settle() -> None:
    report = run(a_market("a", hourly(*[0.5] * 17)), a_market("b", {0: 30, 8: 20, 16: 10}, hours=8))
    assert trades(report) == [(1, "OPEN", "a/b"), (17, "END", "a/b")]
    assert report.funding_bps == 20 + 10 - 16 * Decimal("0.5")


def test_a_venue_that_changes_its_rhythm_pays_each_row_for_its_own_interval() -> None:
    slow, fast, slow_again = {8: 24.0, 16: 24.0}, hourly(2, 2, 2, first=17), {27: 8.0, 35: 8.0}
    rows = [a_market("b", rates, hours=hours).rows for rates, hours in ((slow, 8), (fast, 1), (slow_again, 8))]
    changing = Series(Market("b", "BTC"), RateKind.SETTLED, tuple(row for part in rows for row in part))
    still = a_market("a", hourly(*[0] * 35))
    report = run(still, changing)
    assert trades(report) == [(8, "OPEN", "a/b"), (35, "END", "a/b")]
    assert report.funding_bps == 24 + 3 * 2 + 8 + 8
    divergences = seen(still, changing)
    assert [divergences[hour] for hour in (16, 17, 19)] == [24, 16, 16]
    assert [divergences[hour] for hour in (20, 21, 22, 26)] == [16, 16, None, None]
    assert [divergences[hour] for hour in (27, 28, 34)] == [8, 8, 8]


def test_ticks_every_4_h_pay_all_that_was_settled_in_between() -> None:
    report = run(
        a_market("a", hourly(*[0] * 12)),
        a_market("b", hourly(*[1, 2, 3, 4, 50, 60, 70, 80, 900, 100, 200, 300])),
        every=timedelta(hours=4),
    )
    assert trades(report) == [(4, "OPEN", "a/b"), (12, "END", "a/b")]
    assert report.funding_bps == 50 + 60 + 70 + 80 + 900 + 100 + 200 + 300
    assert figures(report, "ticks", "held_hours") == [3, 8]


def test_rows_between_two_ticks_are_seen_and_paid_at_the_second() -> None:
    half_past = tuple(Row(START + hour * HOUR + HOUR // 2, 3 * BPS, HOUR) for hour in range(4))
    short = Series(Market("b", "BTC"), RateKind.SETTLED, half_past)
    report = run(a_market("a", hourly(0, 0, 0, 0)), short)
    assert trades(report) == [(1, "OPEN", "a/b"), (4, "END", "a/b")]
    assert report.funding_bps == 9


def test_ticks_are_on_the_clock_and_reach_past_the_last_row() -> None:
    last = Series(Market("b", "BTC"), RateKind.SETTLED, (Row(START + 5400, 0, HOUR), Row(START + 9001, 0, HOUR)))
    report = run(a_market("a", hourly(0)), last)
    assert (report.start.hour, report.end.hour, report.ticks) == (1, 3, 3)


# (2) what is known at a tick


def test_a_rate_is_known_up_to_two_of_its_intervals_and_unknown_after() -> None:
    divergences = seen(a_market("a", hourly(*[0] * 30)), a_market("b", {8: 16}, hours=8))
    assert [hour for hour, divergence in divergences.items() if divergence is None] == list(range(25, 30 + 1))
    assert {divergence for hour, divergence in divergences.items() if hour <= 24} == {16}


@pytest.mark.parametrize("kind", [RateKind.FORMING, RateKind.INDICATIVE])
def test_that_limit_is_the_same_for_rates_that_are_not_settled(kind: RateKind) -> None:
    markets = a_market("a", hourly(*[0] * 30), kind=kind), a_market("b", {8: 16}, hours=8, kind=kind)
    assert [hour for hour, divergence in seen(*markets).items() if divergence is None] == list(range(25, 30 + 1))


def test_what_is_unknown_is_held() -> None:
    markets = a_market("a", hourly(*[0] * 10)), a_market("b", {1: 5, 2: 5, 9: -5, 10: 5})
    assert [hour for hour, divergence in seen(*markets).items() if divergence is None] == [5, 6, 7, 8]
    assert trades(run(*markets, rules=[DivergenceFlip()]))[:2] == [(1, "OPEN", "a/b"), (9, "CLOSE", "a/b")]


def test_what_is_unknown_is_not_opened() -> None:
    report = run(a_market("a", {1: 0, 9: 0}), a_market("b", {5: 9}))
    assert trades(report) == []
    assert figures(report, "net", "cost", "funding") == [0, 0, 0]


def test_no_rate_is_seen_before_it_is_settled() -> None:
    divergences = seen(a_market("a", hourly(*[0] * 6)), a_market("b", hourly(5, 4, 3, 2, 1, 9)))
    assert divergences == {2: 4 * 8, 3: 3 * 8, 4: 2 * 8, 5: 1 * 8, 6: 9 * 8}


def test_the_next_settlement_is_an_interval_after_the_last() -> None:
    soon = FundingSchedule(window=timedelta(minutes=61))
    report = run(a_market("a", {0: 0, 8: 0}, hours=8), a_market("b", {0: 9, 8: 9, 16: 9}, hours=8), rules=[soon])
    assert trades(report) == [
        (0, "OPEN", "a/b"),
        (7, "CLOSE", "a/b"),
        (8, "OPEN", "a/b"),
        (15, "CLOSE", "a/b"),
        (16, "OPEN", "a/b"),
        (16, "END", "a/b"),
    ]


# (3) decisions, (4) entries


def test_a_symbol_closed_at_a_tick_is_offered_again_at_the_next_one() -> None:
    report = run(
        a_market("a", hourly(0, 0, 0, 0, 0)),
        a_market("b", hourly(5, 5, 5, 5, 5)),
        rules=[TimeLimit(max_age=timedelta(hours=1))],
    )
    assert trades(report) == [
        (1, "OPEN", "a/b"),
        (2, "CLOSE", "a/b"),
        (3, "OPEN", "a/b"),
        (4, "CLOSE", "a/b"),
        (5, "OPEN", "a/b"),
        (5, "END", "a/b"),
    ]
    assert report.funding_bps == 5 + 5
    assert report.held_hours == 2


def test_a_position_is_not_decided_at_the_tick_that_opened_it() -> None:
    report = run(
        a_market("a", hourly(0, 0)), a_market("b", hourly(5, 5)), rules=[TimeLimit(max_age=timedelta(seconds=1))]
    )
    assert trades(report) == [(1, "OPEN", "a/b"), (2, "CLOSE", "a/b")]


def test_symbols_are_opened_and_closed_on_their_own() -> None:
    report = run(
        a_market("a", hourly(0, 0, 0)),
        a_market("b", hourly(0, 5, 5)),
        a_market("a", hourly(0, 0, 0), symbol="ETH"),
        a_market("b", hourly(5, -5, 0), symbol="ETH"),
        rules=[DivergenceFlip()],
    )
    log = [((trade.at - START) // HOUR, trade.pair.symbol, trade.action.value) for trade in report.log]
    assert log == [(1, "ETH", "OPEN"), (2, "ETH", "CLOSE"), (2, "BTC", "OPEN"), (3, "BTC", "END")]


def test_the_entry_policy_says_when_to_open() -> None:
    markets = a_market("a", hourly(0, 0)), a_market("b", hourly(1, 1))
    assert trades(run(*markets, entry=EntryPolicy(above="0.0008"))) == []
    assert len(trades(run(*markets, entry=EntryPolicy(above="0.0007")))) == 2


def test_what_is_open_at_the_end_is_closed_at_cost() -> None:
    report = run(a_market("a", hourly(0, 0)), a_market("b", hourly(5, 5)))
    last = report.log[-1]
    assert (last.action.value, last.reason, last.legs, last.cost) == ("END", "END_OF_HISTORY", 2, 4 * BPS)
    assert figures(report, "funding", "cost", "net") == [5, 8, -3]


# (5) trades and what they cost

FOUR = {"a": 1, "b": 2, "c": 4, "d": 8}
COSTS = Costs(leg_bps=99, venues={venue: str(bps) for venue, bps in FOUR.items()})
ANY_GAIN = BetterOpportunity(costs=Costs.flat(leg_bps=0), min_improvement=0)


@pytest.mark.parametrize(
    ("second", "legs", "cost", "traded"),
    [
        ({"a": 0, "b": 1, "c": 9, "d": 0.5}, "a/c", 2 + 4, 2),
        ({"a": 0, "b": 1, "c": 0.5, "d": -9}, "d/b", 1 + 8, 2),
        ({"a": 0, "b": 1, "c": -9, "d": 9}, "c/d", 1 + 2 + 4 + 8, 4),
        ({"a": 9, "b": -9, "c": 0, "d": 0}, "b/a", 2 * (1 + 2), 4),
        ({"a": 0, "b": -9, "c": 9, "d": 0}, "b/c", 1 + 2 + 2 + 4, 4),
    ],
    ids=["rotate the short", "rotate the long", "full switch", "reversal", "the short turns long"],
)
def test_a_switch_pays_for_the_legs_that_it_trades(second: dict[str, float], legs: str, cost: int, traded: int) -> None:
    first = {"a": 0, "b": 1, "c": 0.5, "d": 0.5}
    markets = (a_market(venue, hourly(first[venue], second[venue])) for venue in FOUR)
    report = run(*markets, rules=[ANY_GAIN], costs=COSTS)
    opened, switched, ended = report.log
    assert trades(report)[1] == (2, "SWITCH", legs)
    assert (switched.legs, switched.cost) == (traded, cost * BPS)
    assert (opened.legs, opened.cost, ended.legs) == (2, 3 * BPS, 2)
    assert report.cost_bps == 3 + cost + sum(FOUR[venue] for venue in legs.split("/"))
    assert report.legs_traded == 2 + traded + 2


def test_a_leg_costs_2_bp_unless_told_otherwise() -> None:
    markets = a_market("a", hourly(0, 0)), a_market("b", hourly(5, 5))
    assert run(*markets).cost_bps == run(*markets, costs=Costs.flat(leg_bps=2)).cost_bps == 8


def test_rebates_are_earned() -> None:
    report = run(a_market("a", hourly(0, 0)), a_market("b", hourly(5, 5)), costs=Costs.flat(leg_bps="-0.5"))
    assert figures(report, "cost", "net") == [-2, 7]


def test_a_switch_at_a_settlement_earns_it_with_the_old_legs_and_not_with_the_new() -> None:
    report = run(
        a_market("a", hourly(0, 0, 0)),
        a_market("b", hourly(1, 1, 1)),
        a_market("c", hourly(0.5, 30, 7)),
        rules=[ANY_GAIN],
    )
    assert trades(report) == [(1, "OPEN", "a/b"), (2, "SWITCH", "a/c"), (3, "END", "a/c")]
    assert report.funding_bps == 1 + 7


def test_a_switch_begins_a_new_position_of_its_own_age_and_entry_edge() -> None:
    report = run(
        a_market("a", hourly(0, 0, 0, 0, 0)),
        a_market("b", hourly(1, 1, 1, 1, 1)),
        a_market("c", hourly(0, 0, 4, 4, 4)),
        rules=[ANY_GAIN, TimeLimit(max_age=timedelta(hours=2))],
    )
    assert trades(report) == [(1, "OPEN", "a/b"), (3, "SWITCH", "a/c"), (5, "CLOSE", "a/c")]
    assert [trade.entry_divergence // BPS for trade in report.log] == [8, 8, 32]


# memory


def test_a_confirmed_flip_waits_for_observations_of_the_history() -> None:
    markets = a_market("a", hourly(*[0] * 9)), a_market("b", hourly(5, -1, 5, -1, -1, 5, -1, -1, -1))
    for times, hour in ((1, 2), (2, 5), (3, 9)):
        report = run(*markets, rules=[Confirmed(DivergenceFlip(), times=times)])
        assert trades(report)[1] == (hour, "CLOSE", "a/b")


def test_the_past_is_no_better_known_than_it_was() -> None:
    """From hour 5 to 8 the long leg was unknown: these hours are skipped, and 3, 4 and 9 confirm."""
    long = a_market("a", {1: 0, 2: 0, 9: 6, 10: 6, 11: 6})
    short = a_market("b", hourly(5, 5, -1, -1, -1, -1, -1, -1, 5, 5, 5))
    for times, hour in ((1, 3), (2, 4)):
        assert trades(run(long, short, rules=[Confirmed(DivergenceFlip(), times=times)]))[1] == (hour, "CLOSE", "a/b")
    for times, hour in ((3, 9), (4, 10)):
        assert trades(run(long, short, rules=[Confirmed(DivergenceFlip(), times=times)]))[1] == (hour, "CLOSE", "a/b")


def test_a_live_rate_that_was_too_old_at_an_instant_does_not_confirm() -> None:
    """The short leg is not seen from hour 8 on: what the long leg does alone confirms nothing."""
    live: dict[str, Any] = {"kind": RateKind.FORMING}
    long = a_market("a", hourly(*[0] * 8, 0, *[9] * 12), **live)
    short = a_market("b", {**hourly(5, 5, 5, 5, 5, 5, 5), 20: 5, 21: 5}, **live)
    report = run(long, short, rules=[Confirmed(DivergenceFlip(), times=3)])
    assert [action for _, action, _ in trades(report)] == ["OPEN", "END"]


def test_a_history_of_too_many_ticks_is_refused() -> None:
    markets = a_market("a", {1: 0, 24 * 365 * 120: 0}), a_market("b", hourly(1))
    with pytest.raises(InputError, match=r"^more than 1,000,000 ticks: is a time of the history wrong, or `every` too"):
        run(*markets)


def test_what_is_not_a_strategy_is_refused() -> None:
    not_one: Any = TimeLimit()
    history = FundingHistory.of([a_market("a", hourly(0))])
    with pytest.raises(InputError, match=r"^a TimeLimit is not a strategy: wrap rules as CombinedStrategy\(rule\)$"):
        replay(not_one, history)


# other symbols

ANYWHERE = BetterOpportunity(costs=Costs.flat(leg_bps=0), min_improvement=0, scope="any")


def test_scope_any_moves_to_another_symbol_which_is_then_not_opened_again() -> None:
    report = run(
        a_market("a", hourly(0, 0, 0)),
        a_market("b", hourly(1, 1, 1)),
        a_market("a", hourly(0, 0, 0), symbol="ETH"),
        a_market("c", hourly(0, 9, 9), symbol="ETH"),
        rules=[ANYWHERE],
    )
    log = [((trade.at - START) // HOUR, trade.pair.symbol, trade.action.value) for trade in report.log]
    assert log == [(1, "BTC", "OPEN"), (2, "BTC", "SWITCH"), (3, "BTC", "OPEN"), (3, "ETH", "END"), (3, "BTC", "END")]
    assert report.log[1].target is not None
    assert report.log[1].target.symbol == "ETH"
    assert (report.log[1].legs, report.log[1].cost) == (4, 8 * BPS)
    btc, eth = report.symbols
    assert figures(btc, "funding", "cost") == [1, 4 + 8 + 4 + 4]
    assert figures(eth, "funding", "cost") == [9, 4]


def test_scope_any_does_not_move_to_a_symbol_that_is_held() -> None:
    report = run(
        a_market("a", hourly(0, 0, 0)),
        a_market("b", hourly(1, 1, 1)),
        a_market("a", hourly(0, 0, 0), symbol="ETH"),
        a_market("c", hourly(2, 9, 9), symbol="ETH"),
        rules=[ANYWHERE],
    )
    assert [trade.action.value for trade in report.log] == ["OPEN", "OPEN", "END", "END"]


@pytest.mark.parametrize(("closed", "kept"), [("AAVE", "ZEC"), ("ZEC", "AAVE")])
def test_a_symbol_closed_at_a_tick_is_not_moved_to_at_that_tick(closed: str, kept: str) -> None:
    """One symbol turns and is closed while its reverse is what the other would like best."""
    report = run(
        a_market("a", hourly(0, 0, 0), symbol=closed),
        a_market("b", hourly(5, -9, -9), symbol=closed),
        a_market("a", hourly(0, 0, 0), symbol=kept),
        a_market("b", hourly(1, 1, 1), symbol=kept),
        rules=[DivergenceFlip(), ANYWHERE],
    )
    second = [(trade.pair.symbol, trade.action.value) for trade in report.log if trade.at == START + 2 * HOUR]
    assert second == [(closed, "CLOSE")]
    third = [(trade.pair.symbol, trade.action.value) for trade in report.log if trade.at == START + 3 * HOUR]
    assert third[0] == (kept, "SWITCH")


def test_two_positions_do_not_move_to_one_symbol() -> None:
    report = run(
        *(a_market("a", hourly(0, 0), symbol=symbol) for symbol in ("BTC", "ETH", "SOL")),
        *(a_market("b", hourly(1, 1), symbol=symbol) for symbol in ("BTC", "ETH")),
        a_market("b", hourly(0, 9), symbol="SOL"),
        rules=[ANYWHERE],
    )
    moved = [(trade.pair.symbol, trade.action.value) for trade in report.log if trade.at == START + 2 * HOUR]
    assert moved[0] == ("BTC", "SWITCH")
    assert ("ETH", "SWITCH") not in moved


@pytest.mark.parametrize(("target", "moves"), [("ETH", False), ("SOL", True)])
def test_a_rule_of_ones_own_may_name_any_symbol_but_one_that_is_held(target: str, moves: bool) -> None:  # noqa: FBT001
    @rule
    def wander(ctx: RuleContext) -> Verdict:
        if ctx.position.symbol != "BTC":
            return Verdict.quiet("it stays")
        return Verdict.switch(an_opportunity(symbol=target, observed_at=ctx.now), "it wanders")

    report = run(
        a_market("a", hourly(0, 0)),
        a_market("b", hourly(5, 5)),
        a_market("a", hourly(0, 0), symbol="ETH"),
        a_market("b", hourly(5, 5), symbol="ETH"),
        rules=[wander],
    )
    second = [(trade.pair.symbol, trade.action.value) for trade in report.log if trade.at == START + 2 * HOUR]
    assert (("BTC", "SWITCH") in second) is moves
    assert second[-2:] == ([("ETH", "END"), ("SOL", "END")] if moves else [("BTC", "END"), ("ETH", "END")])


# markets that end, and histories that do not pay


def test_a_market_that_has_ended_pays_nothing_and_its_lone_hours_are_counted() -> None:
    report = run(a_market("a", hourly(0.5, 0.5, 0.5)), a_market("b", hourly(*[5] * 8)))
    assert trades(report) == [(1, "OPEN", "a/b"), (8, "END", "a/b")]
    assert report.funding_bps == 7 * 5 - 2 * Decimal("0.5")
    assert figures(report, "held_hours", "lone_leg_hours") == [7, 5]


def test_a_market_whose_next_settlement_the_history_does_not_reach_has_not_ended() -> None:
    slow = a_market("b", {0: 40, 8: 40}, hours=8)
    assert run(a_market("a", hourly(*[0] * 15)), slow).lone_leg_hours == 0
    assert run(a_market("a", hourly(*[0] * 16)), slow).lone_leg_hours == 8


def test_no_leg_is_alone_where_both_have_ended() -> None:
    other = a_market("a", hourly(*[0] * 9), symbol="ETH")
    report = run(a_market("a", hourly(0, 0)), a_market("b", hourly(5, 5)), other)
    assert figures(report, "held_hours", "lone_leg_hours") == [8, 0]


@pytest.mark.parametrize("kind", [RateKind.FORMING, RateKind.INDICATIVE])
def test_a_history_without_settled_rates_is_decided_and_pays_nothing(kind: RateKind) -> None:
    report = run(
        a_market("a", hourly(0, 0, 0, 0), kind=kind),
        a_market("b", hourly(5, 5, -5, 0), kind=kind),
        rules=[DivergenceFlip()],
    )
    assert trades(report)[:2] == [(1, "OPEN", "a/b"), (3, "CLOSE", "a/b")]
    (btc,) = report.symbols
    for part in (report, btc):
        assert figures(part, "net", "funding", "hold_through", "cost", "held_hours") == [None, None, None, 8, 2]
    assert report.never_trade_bps is None
    assert [reason.funding_bps for reason in report.reasons] == [None, None]


def test_rates_that_are_not_settled_are_ignored_beside_settled_ones_and_named() -> None:
    settled = a_market("a", hourly(0, 0)), a_market("b", hourly(2, 2))
    report = run(
        *settled,
        a_market("c", hourly(0, 90, 0), kind=RateKind.INDICATIVE),
        a_market("c", hourly(0, 90, 0), symbol="ETH", kind=RateKind.FORMING),
    )
    assert report.ignored == ("BTC on c", "ETH on c")
    assert (report.venues, report.rows, report.ticks) == (("a", "b"), 4, 2)
    assert report.log == run(*settled).log


# callbacks and options


def test_progress_hears_of_every_tick_that_was_replayed_by_itself() -> None:
    heard: list[tuple[int, int]] = []
    run(a_market("a", hourly(0, 0, 0)), progress=lambda done, total: heard.append((done, total)), engine="scalar")
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_progress_hears_of_the_end_when_all_ticks_are_replayed_at_once() -> None:
    heard: list[tuple[int, int]] = []
    run(a_market("a", hourly(0, 0, 0)), progress=lambda done, total: heard.append((done, total)), engine="numpy")
    assert heard == [(3, 3)]


def test_the_log_hears_of_every_trade_and_with_holds_of_every_tick_that_held() -> None:
    markets = a_market("a", hourly(0, 0, 0)), a_market("b", hourly(5, 5, 5))
    lines: list[Trade] = []
    report = run(*markets, log=lines.append)
    assert tuple(lines) == report.log
    lines.clear()
    assert run(*markets, log=lines.append, holds=True) == report
    assert [line.action.value for line in lines] == ["OPEN", "HOLD", "HOLD", "END"]


@pytest.mark.parametrize("every", [timedelta(0), -timedelta(hours=1), timedelta(seconds=1.5)])
def test_ticks_are_whole_seconds_apart(every: timedelta) -> None:
    with pytest.raises(InputError, match="every must be a whole number of seconds above 0"):
        run(a_market("a", hourly(0)), every=every)
