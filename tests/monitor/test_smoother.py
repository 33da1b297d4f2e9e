"""Smoothed rates while a monitor runs: the same as in a replay, also across restarts and from a warm start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from rebalancer import (
    Action,
    AlarmKind,
    Batch,
    CombinedStrategy,
    Costs,
    DivergenceFlip,
    FundingHistory,
    FundingRate,
    FundingSource,
    Lease,
    MarketRequest,
    MarketSnapshot,
    MonitorLimits,
    Needs,
    NetCarry,
    Outcome,
    Plausibility,
    PositionMonitor,
    PositionStore,
    Quote,
    RateKind,
    RebalanceDecision,
    Smoothed,
    SourceUnavailableError,
    StoreError,
)
from rebalancer.adapters import HistorySource, MemoryStore
from rebalancer.domain.names import Market
from rebalancer.domain.numbers import BPS
from rebalancer.domain.smoothed import SmoothedRate
from rebalancer.domain.times import epoch_seconds, from_epoch
from rebalancer.history.smoothing import Means, Settlement
from rebalancer.history.table import Row, Series
from rebalancer.history.view import HistoryView
from rebalancer.monitor.fetch import Fetched, Fetcher
from rebalancer.monitor.smoother import ASKS_AGAIN, REMEMBERS, Smoother
from rebalancer.testing import AS_OF, ManualClock, a_position, a_quote

HOUR = timedelta(hours=1)
START = 1_767_225_600
"""2026-01-01 00:00 UTC, in epoch seconds."""
VENUES = {"lighter": 1, "paradex": 1, "grvt": 8, "aster": 4}
LIGHTER, GRVT = Market("lighter", "BTC"), Market("grvt", "BTC")
BELIEVING = Plausibility(max_rate=1, jump_above=1)
"""A replay believes every row."""


# The same as a replay -------------------------------------------------------------------------------------------------


def a_history(seed: int, *, days: int) -> FundingHistory:
    """Drawn settlements of two symbols on four venues: drifting, with spikes, gaps and a market that begins late."""
    random = Random(seed)
    series = []
    for symbol in ("BTC", "ETH"):
        for venue, hours in VENUES.items():
            premium, rows = random.randint(-2 * BPS, 2 * BPS), []
            gap = random.randrange(days * 24)
            for hour in range(1, days * 24 + 1):
                premium += random.randint(-BPS // 6, BPS // 6) - premium // 300
                spike = random.randint(-20 * BPS, 20 * BPS) if random.randrange(60) == 0 else 0
                late = (venue, symbol) == ("aster", "ETH") and hour < days * 10
                if hour % hours == 0 and not late and not gap <= hour < gap + 20:
                    rows.append(Row(START + hour * 3600, (premium + spike) * hours // 8, hours * 3600))
            series.append(Series(Market(venue, symbol), RateKind.SETTLED, tuple(rows)))
    return FundingHistory.of(series)


Said = tuple[Action, str | None, object]


def said(decision: RebalanceDecision) -> Said:
    target = decision.target
    return decision.action, decision.reason, target and (target.pair, target.long_rate, target.short_rate)


HELD = (
    a_position(symbol="BTC", long_dex="lighter", short_dex="grvt"),
    a_position(symbol="ETH", long_dex="aster", short_dex="paradex"),
)


def replayed(strategy: CombinedStrategy, history: FundingHistory) -> dict[datetime, list[Said]]:
    """What a strategy decides at every hour of a history."""
    view = HistoryView(history, smoothed=strategy.needs.smoothed)
    decided = {}
    for at in range(START + 3600, history.end + 1, 3600):
        view.advance(at)
        snapshot = view.snapshot(at)
        decided[snapshot.as_of] = [said(strategy.decide(position, snapshot)) for position in HELD]
    return decided


async def monitored(
    strategy: CombinedStrategy,
    history: FundingHistory,
    *,
    start: datetime,
    until: datetime,
    store: PositionStore,
    clock: ManualClock,
) -> dict[datetime, list[Said]]:
    """What a new monitor decides at every hour of a history from `start` to before `until`."""
    source = HistorySource(history, start=start, clock=clock)
    monitor = PositionMonitor(
        strategy=strategy, source=source, store=store, clock=clock, plausibility=BELIEVING, limits=MonitorLimits()
    )
    decided = {}
    async with monitor:
        for position in HELD:
            await monitor.adopt(position)
        while start < until:
            report = await monitor.check_all_positions()
            assert not report.failures
            of = {decision.record.position_id: decision for decision in report.decisions}
            decided[start] = [said(of[position.id]) for position in HELD]
            assert {decision.record.as_of for decision in report.decisions} == {start}
            clock.advance(HOUR)
            start += HOUR
    return decided


STRATEGIES = (
    CombinedStrategy(NetCarry()),
    CombinedStrategy(
        NetCarry(
            costs=Costs(leg_bps="0.5"),
            half_life=40 * HOUR,
            horizon=48 * HOUR,
            warm_up=HOUR,
            max_unknown=12 * HOUR,
        )
    ),
)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=["usual", "hasty"])
async def test_a_monitor_decides_as_a_replay_at_every_tick_across_a_restart_and_what_it_missed(
    strategy: CombinedStrategy,
) -> None:
    history = a_history(1, days=18)
    expected = replayed(strategy, history)
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    first, down, end = (from_epoch(START) + HOUR * hours for hours in (1, 200, 18 * 24))
    up = down + 9 * HOUR
    found = await monitored(strategy, history, start=first, until=down, store=store, clock=clock)
    clock.advance(9 * HOUR)
    found |= await monitored(strategy, history, start=up, until=end, store=store, clock=clock)

    assert found == {at: one for at, one in expected.items() if at in found}
    assert len(found) == 18 * 24 - 1 - 9
    for part in ([at for at in found if at < down], [at for at in found if at >= up]):
        assert {reason for at in part for _, reason, _ in found[at]} >= {None, "BETTER_OPPORTUNITY"}


@pytest.mark.parametrize("strategy", STRATEGIES, ids=["usual", "hasty"])
async def test_a_monitor_that_begins_in_the_middle_decides_as_a_replay_from_its_first_tick_on(
    strategy: CombinedStrategy,
) -> None:
    history = a_history(3, days=12)
    expected = replayed(strategy, history)
    clock = ManualClock()
    first, end = from_epoch(START) + 200 * HOUR, from_epoch(START) + 12 * 24 * HOUR
    found = await monitored(strategy, history, start=first, until=end, store=MemoryStore(clock=clock), clock=clock)

    assert found == {at: one for at, one in expected.items() if at in found}
    assert any(one[0] is not Action.HOLD for decided in found.values() for one in decided)


# Warm starts, gaps and failures ---------------------------------------------------------------------------------------

SIGNAL = Smoothed()
FROM = epoch_seconds(AS_OF) - 100 * 3600
"""When the fake source's settlements begin: what covers more than the warm-up."""


def a_settlement(at: int, *, market: Market = LIGHTER, rate: str = "0.0001", **fields: Any) -> Quote:
    """A settlement of an hour's rate."""
    venue, symbol = market
    quoted = FundingRate(rate, HOUR)
    usual: dict[str, Any] = {"kind": RateKind.SETTLED, "observed_at": from_epoch(at), "rate": quoted}
    return Quote(**{"venue": venue, "symbol": symbol, **usual, **fields})


@dataclass
class Past(FundingSource):
    """Two markets of BTC that settle every hour from `FROM` on. The snapshot has the last settlement, or a forming rate
    if not `settles`; `down` makes it forget the past, and `lies` is what it says besides.
    """

    clock: ManualClock
    settles: bool = True
    down: BaseException | None = None
    lies: list[Any] = field(default_factory=list)
    asked: list[tuple[tuple[Market, ...], datetime]] = field(default_factory=list)
    asked_at: list[datetime] = field(default_factory=list)
    since: int = FROM
    name = "past"
    supplies = Needs(opportunities=True)

    def rows(self, market: Market) -> list[Quote]:
        if market.venue not in (LIGHTER.venue, GRVT.venue):
            return []
        now = epoch_seconds(self.clock.now())
        rates = ((at, (at // 3600) % 7) for at in range(self.since, now + 1, 3600))
        return [a_settlement(at, market=market, rate=f"0.0000{digit}") for at, digit in rates]

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        now = self.clock.now()
        quotes = [self.rows(market)[-1] if self.settles else None for market in (LIGHTER, GRVT)]
        live = [a_quote(venue, observed_at=now) for venue in ("lighter", "grvt")]
        return MarketSnapshot(as_of=now, quotes=tuple(one or two for one, two in zip(quotes, live, strict=True)))

    async def settlements(self, markets: Collection[Market], since: datetime) -> tuple[Quote, ...]:
        self.asked.append((tuple(markets), since))
        self.asked_at.append(self.clock.now())
        if self.down is not None:
            raise self.down
        rows = [row for market in markets for row in self.rows(market)]
        return (*self.lies, *(row for row in rows if row.observed_at >= since))


class Bench:
    """A smoother with a fake source, a clock and a store."""

    def __init__(self, *, signals: Sequence[Smoothed] = (SIGNAL,), **given: Any) -> None:
        self.clock = ManualClock()
        self.source = Past(self.clock, **given)
        self.store = MemoryStore(clock=self.clock)
        self.signals = signals
        self.smoother = self.restarted()

    def restarted(self) -> Smoother:
        """The smoother of a new process."""
        strategy = CombinedStrategy(NetCarry())
        self.fetcher = Fetcher(self.source, strategy, clock=self.clock, deadline=timedelta(milliseconds=50))
        self.smoother = Smoother(self.signals, self.fetcher)
        return self.smoother

    async def tick(self) -> None:
        """One tick, in which BTC is held; what is learnt is stored."""
        fetched = await self.fetcher.fetch([a_position()])
        await self.smoother.learn(fetched, (LIGHTER, GRVT))

    async def store_all(self) -> None:
        """Write what a tick would."""
        lease = await self.store.acquire("me", HOUR)
        assert lease is not None
        written = self.smoother.unwritten()
        await self.store.commit(lease, Batch(smoothed=written))
        self.smoother.wrote(written)

    async def ticks(self, count: int, *, every: timedelta = HOUR) -> None:
        for _ in range(count):
            await self.tick()
            self.clock.advance(every)

    @property
    def whole(self) -> tuple[SmoothedRate, ...]:
        """What is to be known: the means of all settlements up to now."""
        means = Means(self.signals)
        for market in (LIGHTER, GRVT):
            for row in self.source.rows(market):
                means.settle(market, Settlement(row.observed_epoch, row.rate.steps, 3600))
        return ordered(means.rates())

    @property
    def known(self) -> tuple[SmoothedRate, ...]:
        """What is known."""
        return ordered(self.smoother.rates())


def ordered(rates: Collection[SmoothedRate]) -> tuple[SmoothedRate, ...]:
    return tuple(sorted(rates, key=lambda rate: rate.market))


async def test_a_source_with_a_past_makes_it_warm_in_the_first_tick() -> None:
    bench = Bench()
    await bench.tick()
    assert bench.known == bench.whole
    assert bench.known[0].seen == 101 * 3600
    assert bench.source.asked == [((LIGHTER, GRVT), AS_OF - 6 * SIGNAL.half_life)]


async def test_it_looks_back_by_the_longest_signal() -> None:
    bench = Bench(signals=(Smoothed(half_life=HOUR), Smoothed(half_life=4 * HOUR)))
    await bench.tick()
    assert [since for _, since in bench.source.asked] == [AS_OF - 24 * HOUR]


async def test_settled_quotes_go_on_from_there_and_nobody_is_asked_again() -> None:
    bench = Bench()
    bench.clock.advance(timedelta(minutes=5))
    await bench.ticks(5)
    await bench.tick()
    assert bench.known == bench.whole
    assert len(bench.source.asked) == 1


async def test_a_settlement_that_is_seen_at_many_ticks_counts_once_and_once_after_a_restart_too() -> None:
    bench = Bench()
    await bench.ticks(30, every=timedelta(minutes=1))
    await bench.store_all()
    bench.restarted()
    bench.smoother.know(await bench.store.smoothed())
    await bench.ticks(20, every=timedelta(minutes=1))
    assert bench.known == bench.whole
    assert len(bench.source.asked) == 1


async def test_what_was_settled_while_nobody_looked_is_asked_for_from_the_last_one_that_is_known() -> None:
    bench = Bench()
    await bench.tick()
    await bench.store_all()
    bench.clock.advance(5 * HOUR)
    bench.restarted()
    bench.smoother.know(await bench.store.smoothed())
    await bench.tick()
    assert bench.known == bench.whole
    assert bench.source.asked[1:] == [((LIGHTER, GRVT), AS_OF)]


async def test_what_the_source_does_not_have_any_more_is_a_gap() -> None:
    bench = Bench()
    await bench.tick()
    before = bench.known[0]
    bench.clock.advance(5 * HOUR)
    bench.source.down = SourceUnavailableError("past", "it is down")
    await bench.tick()
    after = bench.known[0]
    assert (after.settled_at, after.seen) == (AS_OF + 5 * HOUR, before.seen + 3600)


async def test_where_rates_are_forming_settlements_are_asked_for_once_an_interval_and_a_little_later() -> None:
    bench = Bench(settles=False)
    await bench.ticks(184, every=timedelta(minutes=1))
    assert bench.known == bench.whole
    assert [since for _, since in bench.source.asked[1:]] == [AS_OF, AS_OF + HOUR, AS_OF + 2 * HOUR]
    assert bench.source.asked_at == [AS_OF + timedelta(minutes=minutes) for minutes in (0, 63, 123, 183)]


async def test_a_source_that_fails_stops_nothing_and_is_asked_again_after_ten_minutes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(down=SourceUnavailableError("past", "it is down"))
    with caplog.at_level(logging.WARNING):
        await bench.ticks(10, every=timedelta(minutes=1))
    assert caplog.messages == ["the past settlements of 2 markets could not be had: past: it is down"]
    assert [rate.seen for rate in bench.known] == [3600, 3600]

    bench.source.down = None
    await bench.tick()
    assert len(bench.source.asked) == 2
    assert bench.known == bench.whole  # what began with the present is made anew of the past


async def test_it_is_made_anew_after_a_restart_too() -> None:
    bench = Bench(down=SourceUnavailableError("past", "it is down"))
    await bench.tick()
    await bench.store_all()
    bench.restarted()
    bench.smoother.know(await bench.store.smoothed())
    bench.source.down = None
    await bench.tick()
    assert bench.known == bench.whole


@pytest.mark.parametrize("error", [SystemExit(1), ValueError("secret"), SourceUnavailableError("past", "no")], ids=str)
async def test_whatever_a_source_raises_stops_nothing(error: BaseException) -> None:
    bench = Bench(down=error)
    await bench.tick()
    assert [rate.seen for rate in bench.known] == [3600, 3600]


async def test_a_source_that_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: object) -> tuple[Quote, ...]:
        await asyncio.Event().wait()
        raise AssertionError

    bench = Bench()
    monkeypatch.setattr(bench.source, "settlements", hangs, raising=False)
    await bench.tick()
    assert [rate.seen for rate in bench.known] == [3600, 3600]


NOW = epoch_seconds(AS_OF)
LIES = {
    "from the future": a_settlement(NOW + 1, rate="0.0009"),
    "beyond the venue's cap": a_settlement(NOW - 1800, rate="0.06"),
    "not settled": a_settlement(NOW - 1800, rate="0.0009", kind=RateKind.FORMING),
    "of a market that nobody asked for": a_settlement(NOW - 1800, market=Market("grvt", "ETH")),
    "no quote": "a quote",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_past_settlement_that_can_not_be_believed_does_not_count(lie: object) -> None:
    bench = Bench(lies=[lie])
    await bench.tick()
    assert bench.known == bench.whole


async def test_the_past_is_taken_in_order_of_time_in_whatever_order_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    in_order = bench.source.rows
    monkeypatch.setattr(bench.source, "rows", lambda market: in_order(market)[::-1])
    fetched = Fetched(MarketSnapshot(as_of=AS_OF, quotes=()))
    await bench.smoother.learn(fetched, (LIGHTER, GRVT))
    monkeypatch.undo()
    assert bench.known == bench.whole


async def test_a_settlement_that_is_no_value_costs_the_answer_and_stops_nothing() -> None:
    bench = Bench(lies=[Quote.model_construct(kind=RateKind.SETTLED)])
    await bench.tick()
    assert [rate.seen for rate in bench.known] == [3600, 3600]


async def test_a_quote_that_is_not_believed_and_one_from_the_future_do_not_count() -> None:
    bench = Bench(down=SourceUnavailableError("past", "it is down"))
    for refused in (a_settlement(NOW, rate="0.06"), a_settlement(NOW + 60)):
        bench.source.rows = lambda market, refused=refused: [  # type: ignore[method-assign,misc]
            refused if market == LIGHTER else a_settlement(NOW, market=market)
        ]
        await bench.tick()
        assert [rate.market for rate in bench.known] == [GRVT]


async def test_where_funding_is_continuous_one_quote_counts_an_interval() -> None:
    bench = Bench(down=SourceUnavailableError("past", "it is down"))
    bench.source.rows = lambda market: [  # type: ignore[method-assign]
        a_settlement(epoch_seconds(bench.clock.now()), market=market, pays_every=timedelta(0))
    ]
    await bench.ticks(121, every=timedelta(minutes=1))
    assert [rate.seen for rate in bench.known] == [3 * 3600, 3 * 3600]


async def test_a_settlement_that_is_stamped_a_little_later_the_second_time_counts_once() -> None:
    bench = Bench()
    await bench.tick()
    known = bench.known
    late = [a_settlement(NOW + 3, market=market, rate="0.0009") for market in (LIGHTER, GRVT)]
    bench.source.rows = lambda market: [quote for quote in late if quote.market == market]  # type: ignore[method-assign]
    bench.clock.advance(timedelta(seconds=5))
    await bench.tick()
    assert bench.known == known

    bench.source.settles = False
    bench.clock.advance(timedelta(minutes=63))
    await bench.tick()
    assert len(bench.source.asked) == 2
    assert bench.known == known


async def test_a_market_that_is_new_on_its_venue_does_not_keep_the_others_waiting() -> None:
    bench = Bench(settles=False, since=FROM)
    await bench.tick()
    late = Market("aster", "BTC")
    for minutes in (63, 60, 1, ASKS_AGAIN // 60):
        bench.clock.advance(timedelta(minutes=minutes))
        await bench.smoother.learn(await bench.fetcher.fetch([a_position()]), (late, LIGHTER, GRVT))
    asked = [markets for markets, _ in bench.source.asked[1:]]
    assert asked == [(LIGHTER, GRVT, late), (LIGHTER, GRVT), (late,), (late,)]


async def test_what_is_too_much_for_one_question_waits_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rebalancer.monitor.smoother.ASKS", 1)
    bench = Bench()
    await bench.ticks(2, every=timedelta(minutes=1))
    assert [markets for markets, _ in bench.source.asked] == [(LIGHTER,), (GRVT,)]
    assert set(bench.known) == set(bench.whole)


async def test_a_market_that_is_neither_quoted_nor_held_is_forgotten_after_a_day() -> None:
    bench = Bench()
    await bench.tick()
    nothing = MarketSnapshot(as_of=AS_OF, quotes=())
    for later, kept in ((REMEMBERS, [GRVT, LIGHTER]), (REMEMBERS + 1, [GRVT])):
        snapshot = nothing.model_copy(update={"as_of": AS_OF + timedelta(seconds=later)})
        await bench.smoother.learn(Fetched(snapshot), [GRVT])
        assert [rate.market for rate in bench.known] == kept


async def test_a_market_that_only_the_store_knows_is_forgotten_after_a_day_too() -> None:
    bench = Bench()
    await bench.tick()
    await bench.store_all()
    bench.restarted()
    bench.smoother.know(await bench.store.smoothed())
    for later, kept in ((0, 2), (REMEMBERS, 2), (REMEMBERS + 1, 0)):
        snapshot = MarketSnapshot(as_of=AS_OF + timedelta(seconds=later), quotes=())
        await bench.smoother.learn(Fetched(snapshot), ())
        assert len(bench.known) == kept


async def test_of_many_that_settle_together_a_part_is_written_in_each_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rebalancer.monitor.smoother.WRITES", 1)
    bench = Bench()
    await bench.tick()
    for count in (1, 2):
        await bench.store_all()
        assert len(await bench.store.smoothed()) == count
    assert bench.smoother.unwritten() == ()


async def test_what_another_monitor_learnt_later_counts_and_what_it_learnt_before_does_not() -> None:
    bench = Bench()
    await bench.tick()
    await bench.store_all()
    mine = bench.smoother
    bench.clock.advance(HOUR)
    bench.restarted()
    bench.smoother.know(await bench.store.smoothed())
    await bench.tick()
    await bench.store_all()
    mine.know(await bench.store.smoothed())
    assert ordered(mine.rates()) == bench.whole

    bench.clock.advance(HOUR)
    await bench.tick()  # and the store does not hear of it
    bench.smoother.know(await bench.store.smoothed())
    assert bench.known == bench.whole


# In the monitor -------------------------------------------------------------------------------------------------------


def a_monitor(bench: Bench, *, strategy: Any = None, **given: Any) -> PositionMonitor:
    rule = NetCarry() if strategy is None else strategy
    return PositionMonitor(strategy=rule, source=bench.source, store=bench.store, clock=bench.clock, **given)


async def test_what_a_tick_learns_is_in_the_store_with_its_observations() -> None:
    bench = Bench()
    monitor = a_monitor(bench)
    await monitor.adopt(a_position())
    await monitor.check_all_positions()
    assert set(await bench.store.smoothed()) == set(bench.whole)


async def test_what_the_store_has_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monitor = a_monitor(bench)
    await monitor.adopt(a_position())
    written: list[int] = []
    commit = bench.store.commit

    async def counted(lease: Lease, batch: Batch) -> None:
        written.append(len(batch.smoothed))
        await commit(lease, batch)

    monkeypatch.setattr(bench.store, "commit", counted)
    for _ in range(2):
        await monitor.check_all_positions()
        bench.clock.advance(timedelta(seconds=1))
    assert sum(written) == 2


async def test_a_new_monitor_goes_on_from_the_store_where_the_source_has_no_past() -> None:
    bench = Bench()
    async with a_monitor(bench) as first:
        await first.adopt(a_position())
        await first.check_all_positions()
    bench.clock.advance(HOUR)
    bench.source.down = SourceUnavailableError("past", "it is down")
    report = await a_monitor(bench).check_all_positions()
    assert [decision.complete for decision in report.decisions] == [True]
    assert ordered(await bench.store.smoothed()) == bench.whole


async def test_a_store_that_fails_is_told_in_the_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise StoreError("the disk is full")

    bench = Bench()
    monitor = a_monitor(bench)
    await monitor.adopt(a_position())
    with monkeypatch.context() as broken:
        broken.setattr(bench.store, "commit", fails)
        assert (await monitor.check_all_positions()).failures
    assert await bench.store.smoothed() == ()
    assert not (await monitor.check_all_positions()).failures
    assert set(await bench.store.smoothed()) == set(bench.whole)


async def test_a_strategy_that_reads_no_smoothed_rates_asks_nobody_for_any(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    bench = Bench()
    monkeypatch.setattr(bench.store, "smoothed", never)
    monitor = a_monitor(bench, strategy=DivergenceFlip())
    await monitor.adopt(a_position())
    report = await monitor.check_all_positions()
    assert (report.failures, report.alarms, bench.source.asked) == ((), (), [])


async def test_a_market_without_settlements_is_held_with_the_reason_and_an_alarm() -> None:
    bench = Bench(settles=False, since=epoch_seconds(AS_OF) + 3600)
    monitor = a_monitor(bench)
    await monitor.adopt(a_position())
    report = await monitor.check_all_positions()
    (decision,) = report.decisions
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert {verdict.outcome for verdict in decision.verdicts} == {Outcome.NOT_EVALUATED}
    assert {gap.why for verdict in decision.verdicts for gap in verdict.missing} == {"no settled rate was seen"}
    assert {(alarm.kind, alarm.about) for alarm in report.alarms} == {
        (AlarmKind.BLIND, "lighter"),
        (AlarmKind.BLIND, "grvt"),
    }


async def test_in_a_tick_without_an_answer_what_was_known_grows_old() -> None:
    bench = Bench()
    await bench.tick()
    known = bench.known
    error = SourceUnavailableError("past", "it is down")
    nothing = MarketSnapshot(as_of=AS_OF + 9_999 * HOUR, quotes=())
    await bench.smoother.learn(Fetched(nothing, error=error), (LIGHTER,))
    assert bench.known == known
    assert len(bench.source.asked) == 1
