"""Reads of positions on the fake venue: what they show, how late, and how they fail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rebalancer import InputError
from rebalancer.domain.intents import OrderSide
from rebalancer.testing import ManualClock
from rebalancer.testing.fake_venue import Answer, Call, Chance, FakeVenue, Fate, Habits, OrderRequest, Stamps, truth

MS = timedelta(milliseconds=1)


def a_venue(clock: ManualClock | None = None, *, seed: int = 0, **habits: Any) -> FakeVenue:
    """A venue with BTC at 100."""
    return FakeVenue("lighter", prices={"BTC": 100}, clock=clock or ManualClock(), habits=Habits(**habits), seed=seed)


async def row(venue: FakeVenue, symbol: str = "BTC") -> Any:
    """A market's row of a read."""
    rows = (await venue.positions([symbol])).body
    assert isinstance(rows, list)
    return rows[0] if rows else None


async def test_a_read_shows_what_is_held_and_when_that_was_true() -> None:
    venue = a_venue()
    venue.hold("BTC", "-0.5", entry_price=90)
    venue.fund("BTC", "1.25")
    venue.fund("BTC", "-0.5")
    assert await row(venue) == {
        "symbol": "BTC",
        "quantity": "-0.5",
        "entry_price": "90",
        "mark_price": "100",
        "funding": "0.75",
        "as_of": "2026-01-05T12:00:00Z",
    }


async def test_a_flat_market_is_shown_as_zero_and_one_that_is_not_there_not_at_all() -> None:
    venue = a_venue()
    assert (await row(venue))["quantity"] == "0"
    assert await row(venue, "ETH") is None


@pytest.mark.parametrize(("stamps", "as_of"), [("right", ".000"), ("none", None), ("now", ".040")])
async def test_a_read_that_lags_shows_the_past_and_says_so_or_not_or_lies(stamps: str, as_of: str | None) -> None:
    clock = ManualClock()
    venue = a_venue(clock, read_lag=40 * MS, stamps=Stamps(stamps))
    clock.advance(timedelta(seconds=1))
    venue.hold("BTC", 1)
    clock.advance(40 * MS)
    venue.close("BTC")
    stale = await row(venue)
    assert stale["quantity"] == "1"
    assert (stale.get("as_of") or "")[20:23] == {"right": "", "none": "", "now": "040"}[stamps]
    assert ("as_of" in stale) is (as_of is not None)
    clock.advance(40 * MS)
    assert (await row(venue))["quantity"] == "0"


async def test_one_read_may_lag_more_than_the_others() -> None:
    clock = ManualClock()
    venue = a_venue(clock)
    clock.advance(timedelta(seconds=1))
    venue.hold("BTC", 1)
    venue.plan("read", Fate(lag=timedelta(seconds=1)))
    assert [(await row(venue))["quantity"], (await row(venue))["quantity"]] == ["0", "1"]


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (Answer.UNAVAILABLE, 503, "Service Unavailable"),
        (Answer.EMPTY, 200, []),
        (Answer.NULL, 200, [{"symbol": "BTC", "quantity": None}]),
        (Answer.HINT, 202, {}),
    ],
)
async def test_a_read_may_fail_in_many_ways(answer: Answer, status: int, body: object) -> None:
    venue = a_venue()
    venue.plan("read", Fate(answer=answer))
    assert await venue.positions(["BTC"]) == (status, body)
    assert (await row(venue))["quantity"] == "0"


async def test_a_read_may_be_a_page_for_a_person() -> None:
    venue = a_venue()
    venue.plan("read", Fate(answer=Answer.HTML))
    status, body = await venue.positions(["BTC"])
    assert status == 200
    assert str(body).startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("answer", "error"), [(Answer.TIMEOUT, TimeoutError), (Answer.RESET, ConnectionResetError)], ids=str
)
async def test_a_read_may_have_no_answer(answer: Answer, error: type[Exception]) -> None:
    venue = a_venue()
    venue.plan("read", Fate(answer=answer))
    with pytest.raises(error):
        await venue.positions(["BTC"])


@pytest.mark.parametrize(("answer", "eth"), [(Answer.NULL, [None]), (Answer.EMPTY, [])])
async def test_one_row_of_a_read_may_fail_alone(answer: Answer, eth: list[None]) -> None:
    venue = a_venue()
    venue.price("ETH", 10)
    venue.plan("read", Fate(answer=answer), symbol="ETH")
    rows = (await venue.positions(["BTC", "ETH"])).body
    assert isinstance(rows, list)
    assert [one["quantity"] for one in rows] == ["0", *eth]


async def test_an_answer_takes_its_latency_and_shows_what_was_true_when_it_was_asked() -> None:
    clock = ManualClock()
    venue = a_venue(clock, latency=20 * MS)
    venue.hold("BTC", 1, entry_price=100)
    venue.close("BTC", after=10 * MS)
    assert (await row(venue))["quantity"] == "1"
    assert clock.slept == [0.02]


async def test_reads_fail_by_chance_with_a_seed() -> None:
    chance = Chance(call=Call.READ, probability="0.5", fate=Fate(answer=Answer.UNAVAILABLE))

    async def statuses(seed: int) -> list[int]:
        venue = a_venue(seed=seed, chances=(chance,))
        return [(await venue.positions(["BTC"])).status for _ in range(50)]

    assert await statuses(1) == await statuses(1)
    assert await statuses(1) != await statuses(2)
    assert set(await statuses(1)) == {200, 503}


async def test_somebody_else_may_trade_close_or_be_liquidated() -> None:
    clock = ManualClock()
    venue = a_venue(clock)
    venue.hold("BTC", 2, entry_price=90)
    venue.change("BTC", -1, after=10 * MS)
    venue.liquidate("BTC", after=20 * MS)
    venue.close("BTC", after=30 * MS)
    seen = []
    for _ in range(4):
        seen.append((await row(venue))["quantity"])
        clock.advance(10 * MS)
    assert seen == ["2", "1", "0", "0"]
    changes = [(fact["why"], fact["quantity"]) for fact in venue.facts if fact["fact"] == "changed"]
    assert changes == [("held before", "2"), ("traded by somebody else", "-1"), ("liquidated", "-1")]


async def test_prices_follow_a_path() -> None:
    clock = ManualClock()
    venue = a_venue(clock)
    for step, price in enumerate((101, 99, 98.5), 1):
        venue.price("BTC", price, after=step * 10 * MS)
    marks = []
    for _ in range(4):
        marks.append((await row(venue))["mark_price"])
        clock.advance(10 * MS)
    assert marks == ["100", "101", "99", "98.5"]


async def test_the_entry_price_is_the_average_of_what_is_held() -> None:
    venue = a_venue()
    steps: list[tuple[str, int]] = [("1", 100), ("1", 110), ("-1", 200), ("-3", 120), ("2", 90)]
    entries = []
    for by, price in steps:
        venue.price("BTC", price)
        side = OrderSide.SELL if by.startswith("-") else OrderSide.BUY
        await venue.place(OrderRequest(id=f"{by}@{price}", symbol="BTC", side=side, quantity=by.lstrip("-")))
        entries.append((await row(venue))["entry_price"])
    assert entries == ["100", "105", "105", "120", None]


@pytest.mark.parametrize("what", ["hold", "change", "fund"])
def test_a_market_must_be_there_to_be_changed(what: str) -> None:
    with pytest.raises(InputError, match="give it a price first"):
        getattr(a_venue(), what)("ETH", 1)


@pytest.mark.parametrize("price", [0, -1])
def test_a_price_is_above_zero(price: int) -> None:
    with pytest.raises(InputError, match="above 0"):
        a_venue().price("BTC", price)


async def test_the_past_is_forgotten_when_no_read_can_look_back_so_far() -> None:
    clock = ManualClock()
    venue = a_venue(clock)
    for _ in range(5000):
        venue.change("BTC", 1)
        clock.advance(timedelta(seconds=1))
    assert len(venue._book._markets["BTC"]._times) < 1300
    venue.plan("read", Fate(lag=timedelta(minutes=10)))
    assert (await row(venue))["quantity"] == "4401"
    assert truth.net(venue.facts) == {("lighter", "BTC"): 5000}
