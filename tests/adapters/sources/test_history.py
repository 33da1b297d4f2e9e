"""A history in the place of live data: what a replay sees, and never a row too early."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import (
    FundingHistory,
    HistoryError,
    InputError,
    MarketRequest,
    MarketSnapshot,
    Missing,
    Needs,
    Quote,
    RateKind,
)
from rebalancer.adapters.clock import SystemClock
from rebalancer.adapters.sources import HistorySource
from rebalancer.domain.names import Market
from rebalancer.domain.numbers import BPS
from rebalancer.domain.times import from_epoch
from rebalancer.history.table import Row, Series
from rebalancer.replay.feed import Feed
from rebalancer.testing import AS_OF, ManualClock, sample_history

HOUR = timedelta(hours=1)
SECONDS = 3600
START = 1_767_225_600
"""2026-01-01 00:00 UTC, in epoch seconds."""
LIGHTER, GRVT = Market("lighter", "BTC"), Market("grvt", "BTC")
ALL = MarketRequest(symbols=None)
PAST = MarketRequest(symbols=None, needs=Needs(observations=3))


def a_market(market: Market, *hours: int, kind: RateKind = RateKind.SETTLED, **more: Any) -> Series:
    """A market with a row at each of these hours, whose rate in bp is the hour."""
    rows = tuple(Row(START + hour * SECONDS, hour * BPS, SECONDS, **more) for hour in hours)
    return Series(market, kind, rows)


def a_history(*markets: Series) -> FundingHistory:
    return FundingHistory.of(markets or (a_market(LIGHTER, 0, 1, 2, 3, 4), a_market(GRVT, 1, 3)))


def rates(snapshot: MarketSnapshot) -> dict[str, Decimal]:
    """The rates that count, in bp per interval, by venue."""
    return {quote.venue: quote.rate.value * 10_000 for quote in snapshot.quotes if quote_counts(snapshot, quote)}


def quote_counts(snapshot: MarketSnapshot, quote: Quote) -> bool:
    return snapshot.book.leg(quote.market).rate is not None


async def test_it_begins_at_the_start_of_the_history_when_it_is_first_used() -> None:
    clock = ManualClock()
    source = HistorySource(a_history(), clock=clock)
    clock.advance(timedelta(days=9))
    snapshot = await source.snapshot(ALL)
    assert snapshot.as_of == from_epoch(START)
    assert rates(snapshot) == {"lighter": 0}


async def test_candidates_on_a_venue_that_the_history_does_not_have_are_missing() -> None:
    source = HistorySource(a_history(), clock=ManualClock())
    elsewhere = MarketRequest(symbols=("BTC",), venues=("grvt", "paradex", "edgex", "edgex"))
    assert (await source.snapshot(elsewhere)).missing == (
        Missing(field="opportunities", why="the history does not have edgex"),
        Missing(field="opportunities", why="the history does not have paradex"),
    )
    assert (await source.snapshot(MarketRequest(venues=("edgex",)))).missing == ()


async def test_its_time_passes_with_the_clock() -> None:
    clock = ManualClock()
    source = HistorySource(a_history(), clock=clock)
    await source.snapshot(ALL)
    clock.advance(HOUR - timedelta(seconds=1))
    assert rates(await source.snapshot(ALL)) == {"lighter": 0}
    clock.advance(timedelta(seconds=1))
    snapshot = await source.snapshot(ALL)
    assert snapshot.as_of == from_epoch(START) + HOUR
    assert rates(snapshot) == {"lighter": 1, "grvt": 1}


@pytest.mark.parametrize(
    ("speed", "passed"), [(3600, 7_200), ("0.5", 1), (Decimal("1.5"), 3), (0.25, 0), (1, 2)], ids=str
)
async def test_it_may_pass_faster_or_slower(speed: int | str, passed: int) -> None:
    clock = ManualClock()
    source = HistorySource(a_history(), speed=speed, clock=clock)
    await source.snapshot(ALL)
    clock.advance(timedelta(seconds=2))
    assert (await source.snapshot(ALL)).as_of == from_epoch(START + passed)


async def test_without_a_clock_it_passes_with_the_machines() -> None:
    source = HistorySource(a_history())
    first = await source.snapshot(ALL)
    assert first.as_of == from_epoch(START)
    assert isinstance(source._clock, SystemClock)


async def test_it_may_start_anywhere_within_the_history() -> None:
    start = datetime(2026, 1, 1, 2, 30, tzinfo=UTC)
    snapshot = await HistorySource(a_history(), start=start, clock=ManualClock()).snapshot(ALL)
    assert snapshot.as_of == start
    assert rates(snapshot) == {"lighter": 2, "grvt": 1}


@pytest.mark.parametrize("second", [-1, 4 * SECONDS + 1])
def test_a_start_outside_of_the_history_is_refused(second: int) -> None:
    with pytest.raises(InputError) as refused:
        HistorySource(a_history(), start=from_epoch(START + second))
    assert str(refused.value) == (
        "start must be within the history: from 2026-01-01 00:00:00+00:00 to 2026-01-01 04:00:00+00:00"
    )


def test_the_first_and_the_last_row_are_within_it() -> None:
    HistorySource(a_history(), start=from_epoch(START))
    HistorySource(a_history(), start=from_epoch(START + 4 * SECONDS))


@pytest.mark.parametrize("speed", [0, -1, "NaN", True])
def test_a_speed_that_is_no_number_above_0_is_refused(speed: int) -> None:
    with pytest.raises(InputError):
        HistorySource(a_history(), speed=speed)


async def test_a_file_is_read(tmp_path: Path) -> None:
    header = "time_utc,venue,symbol,funding_rate,interval_hours"
    file = tmp_path / "history.csv.gz"
    file.write_bytes(gzip.compress(f"{header}\n2026-01-01T00:00:00Z,lighter,BTC,0.0007,1\n".encode()))
    assert rates(await HistorySource(file, clock=ManualClock()).snapshot(ALL)) == {"lighter": 7}
    assert rates(await HistorySource(str(file), clock=ManualClock()).snapshot(ALL)) == {"lighter": 7}


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(HistoryError, match=r"^nowhere\.csv can not be read"):
        HistorySource("nowhere.csv")


async def test_settled_rates_are_preferred() -> None:
    live = a_market(Market("aster", "BTC"), 0, 1, kind=RateKind.FORMING)
    snapshot = await HistorySource(a_history(a_market(LIGHTER, 0), live), clock=ManualClock()).snapshot(ALL)
    assert [quote.venue for quote in snapshot.quotes] == ["lighter"]
    alone = await HistorySource(a_history(live), clock=ManualClock()).snapshot(ALL)
    assert [(quote.venue, quote.kind) for quote in alone.quotes] == [("aster", RateKind.FORMING)]


async def test_a_rate_counts_for_two_of_its_intervals_and_settles_one_later() -> None:
    clock = ManualClock()
    source = HistorySource(a_history(a_market(LIGHTER, 0), a_market(GRVT, 4)), clock=clock)
    (quote,) = (await source.snapshot(ALL)).quotes
    assert quote.next_funding_at == from_epoch(START) + HOUR
    clock.advance(2 * HOUR)
    assert rates(await source.snapshot(ALL)) == {"lighter": 0}
    clock.advance(timedelta(seconds=1))
    assert rates(await source.snapshot(ALL)) == {}


async def test_a_live_rate_counts_as_long_as_a_settled_one() -> None:
    clock = ManualClock()
    live = a_history(a_market(LIGHTER, 0, 9, kind=RateKind.FORMING))
    source = HistorySource(live, clock=clock)
    await source.snapshot(ALL)
    clock.advance(2 * HOUR)
    assert rates(await source.snapshot(ALL)) == {"lighter": 0}
    clock.advance(timedelta(seconds=1))
    assert rates(await source.snapshot(ALL)) == {}


async def test_only_what_is_wanted_is_answered() -> None:
    source = HistorySource(a_history(), start=from_epoch(START + 4 * SECONDS), clock=ManualClock())
    request = MarketRequest(markets=(LIGHTER,), needs=Needs(observations=2))
    snapshot = await source.snapshot(request)
    assert {quote.market for quote in (*snapshot.quotes, *snapshot.observations)} == {LIGHTER}
    assert len(snapshot.observations) == 2


async def test_a_wanted_market_that_is_not_there_or_not_yet_is_missing() -> None:
    nowhere = Market("aster", "BTC")
    snapshot = await HistorySource(a_history(), clock=ManualClock()).snapshot(MarketRequest(markets=(nowhere, GRVT)))
    assert snapshot.missing == (
        Missing(field="rate", venue="aster", symbol="BTC", why="the history does not have it"),
        Missing(field="rate", venue="grvt", symbol="BTC", why="the history has no row of it yet"),
    )


async def test_after_the_last_row_it_is_exhausted_and_its_quotes_grow_old() -> None:
    clock = ManualClock()
    source = HistorySource(a_history(), clock=clock)
    assert not source.exhausted
    await source.snapshot(ALL)
    clock.advance(4 * HOUR - timedelta(seconds=1))
    await source.snapshot(ALL)
    assert not source.exhausted
    clock.advance(timedelta(seconds=1))
    assert rates(await source.snapshot(ALL)) == {"lighter": 4, "grvt": 3}
    assert source.exhausted
    clock.advance(3 * HOUR)
    assert rates(await source.snapshot(ALL)) == {}


async def test_a_year_after_its_end_its_time_stands_still() -> None:
    clock = ManualClock()
    source = HistorySource(a_history(), speed="1e20", clock=clock)
    await source.snapshot(ALL)
    clock.advance(timedelta(days=1))
    assert (await source.snapshot(ALL)).as_of == from_epoch(START + 4 * SECONDS) + timedelta(days=365)


async def test_a_clock_that_goes_back_takes_the_history_back_with_it() -> None:
    clock = ManualClock()
    source = HistorySource(a_history(), clock=clock)
    before = await source.snapshot(PAST)
    clock.advance(4 * HOUR)
    assert (await source.snapshot(PAST)) != before
    clock.advance(-4 * HOUR)
    assert (await source.snapshot(PAST)) == before
    assert not source.exhausted
    clock.advance(timedelta(days=-30_000))
    nothing = await source.snapshot(PAST)
    assert (nothing.as_of, nothing.quotes) == (from_epoch(0), ())


async def test_observations_are_there_as_soon_as_they_are_needed() -> None:
    clock = ManualClock()
    source = HistorySource(a_history(), start=from_epoch(START + 4 * SECONDS), clock=clock)
    assert (await source.snapshot(ALL)).observations == ()
    many = await source.snapshot(PAST)
    assert many.observations == replayed(a_history(), 4, observations=3).observations
    assert (await source.snapshot(ALL)).observations == ()
    assert (await source.snapshot(PAST)) == many


def test_it_supplies_the_fields_that_some_row_has() -> None:
    bare = HistorySource(a_history()).supplies
    assert bare == Needs(opportunities=True, all_symbols=True, schedule=True, observations=10_000)
    for name, need in (
        ("open_interest_usd", "open_interest"),
        ("volume_24h_usd", "volume"),
        ("mark_price", "mark_price"),
    ):
        known: dict[str, Any] = {name: Decimal(1)}
        history = a_history(a_market(LIGHTER, 1), a_market(GRVT, 1, **known))
        assert HistorySource(history).supplies == bare | Needs.model_validate({need: True})


def test_live_rates_have_no_schedule() -> None:
    live = a_history(a_market(LIGHTER, 0, kind=RateKind.INDICATIVE))
    assert not HistorySource(live).supplies.schedule


def test_it_is_called_after_the_origin_of_its_quotes() -> None:
    assert HistorySource(a_history()).name == "history"


# laws


@cache
def the_sample() -> FundingHistory:
    return sample_history(days=4)


def replayed(history: FundingHistory, hour: int, *, observations: int) -> MarketSnapshot:
    """What a replay sees at the hour."""
    ticks = Feed(history, every=SECONDS, needs=Needs(observations=observations))
    return next(tick.snapshot for tick in ticks if tick.at == START + hour * SECONDS)


def at(history: FundingHistory, second: int) -> HistorySource:
    return HistorySource(history, start=from_epoch(history.start + second), clock=ManualClock())


hours = st.integers(1, 4 * 24 - 1)


@given(hours, st.integers(0, 4))
@settings(max_examples=30)
async def test_it_sees_what_the_replay_sees(hour: int, observations: int) -> None:
    request = MarketRequest(symbols=None, needs=Needs(observations=observations))
    source = at(the_sample(), (hour - 1) * SECONDS)
    assert await source.snapshot(request) == replayed(the_sample(), hour, observations=observations)


@given(st.integers(0, 4 * 24 * SECONDS - SECONDS), st.integers(0, 2**31))
@settings(max_examples=30)
async def test_it_never_knows_the_future(second: int, salt: int) -> None:
    now = the_sample().start + second
    changed = FundingHistory.of(
        Series(
            series.market,
            series.kind,
            tuple(row if row.at <= now else Row(row.at, (row.value ^ salt) % BPS, row.interval) for row in series.rows),
        )
        for series in the_sample().series
    )
    snapshot = await at(the_sample(), second).snapshot(PAST)
    assert snapshot == await at(changed, second).snapshot(PAST)
    assert all(quote.observed_epoch <= now for quote in (*snapshot.quotes, *snapshot.observations))


@given(st.lists(st.integers(-30, 60), min_size=1, max_size=6))
@settings(max_examples=30)
async def test_the_way_to_an_instant_changes_nothing(jumps: list[int]) -> None:
    clock = ManualClock(AS_OF)
    source = HistorySource(the_sample(), clock=clock)
    await source.snapshot(PAST)
    for jump in jumps:
        clock.advance(jump * HOUR)
        last = await source.snapshot(PAST)
    second = sum(jumps) * SECONDS
    if 0 <= second <= the_sample().end - the_sample().start:
        assert last == await at(the_sample(), second).snapshot(PAST)


# Settlements ----------------------------------------------------------------------------------------------------------


async def test_settlements_are_the_rows_of_the_markets_asked_for_from_an_instant_to_its_own_now() -> None:
    clock = ManualClock()
    source = HistorySource(a_history(), start=from_epoch(START + 2 * SECONDS), clock=clock)
    await source.snapshot(ALL)
    clock.advance(HOUR)
    since = from_epoch(START + SECONDS)
    found = await source.settlements([LIGHTER, GRVT, Market("edgex", "BTC")], since)
    assert [(quote.venue, quote.observed_at, int(quote.rate.value * 10_000)) for quote in found] == [
        ("grvt", since, 1),
        ("lighter", since, 1),
        ("lighter", since + HOUR, 2),
        ("grvt", since + 2 * HOUR, 3),
        ("lighter", since + 2 * HOUR, 3),
    ]
    assert {quote.kind for quote in found} == {RateKind.SETTLED}
    assert [quote.venue for quote in await source.settlements([GRVT], since)] == ["grvt", "grvt"]


async def test_rates_that_were_not_settled_are_no_settlements() -> None:
    forming = a_market(GRVT, 0, 1, kind=RateKind.FORMING)
    for history in (a_history(forming), a_history(forming, a_market(LIGHTER, 0))):
        source = HistorySource(history, clock=ManualClock())
        assert await source.settlements([GRVT], from_epoch(START)) == ()
