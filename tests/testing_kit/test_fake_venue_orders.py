"""Orders on the fake venue: every fate that an order can have, and what its sender sees of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalancer import InputError
from rebalancer.domain.intents import OrderSide
from rebalancer.testing import AS_OF, ManualClock
from rebalancer.testing.fake_venue import Answer, Call, Chance, FakeVenue, Fate, Habits, Ids, OrderRequest, truth

MS = timedelta(milliseconds=1)


def a_venue(clock: ManualClock | None = None, *, seed: int = 0, **habits: Any) -> FakeVenue:
    """A venue with BTC at 100."""
    return FakeVenue("lighter", prices={"BTC": 100}, clock=clock or ManualClock(), habits=Habits(**habits), seed=seed)


def an_order(name: str = "a", side: str = "buy", quantity: str = "1", **more: Any) -> OrderRequest:
    """A market order of BTC."""
    return OrderRequest(**{"id": name, "symbol": "BTC", "side": OrderSide(side), "quantity": quantity, **more})


def happened(venue: FakeVenue) -> list[str]:
    """What the log has of orders and changes, in order."""
    return [fact["fact"] for fact in venue.facts if fact["fact"] != "price"]


def held(venue: FakeVenue) -> Decimal:
    """What is held of BTC in truth."""
    return truth.net(venue.facts).get(("lighter", "BTC"), Decimal(0))


async def shown(venue: FakeVenue, name: str = "a") -> Any:
    """What a query shows of an order."""
    return (await venue.find(name)).body


async def test_an_order_fills_at_once_at_the_mark_unless_told_otherwise() -> None:
    venue = a_venue()
    status, order = await venue.place(an_order())
    assert status == 200
    assert order == {
        "order": "lighter-1",
        "id": "a",
        "state": "filled",
        "why": None,
        "filled": "1",
        "price": "100",
        "fee": "0",
    }
    assert held(venue) == 1
    assert happened(venue) == ["accepted", "filled"]


async def test_fills_are_worse_than_the_mark_and_cost_a_fee() -> None:
    venue = a_venue(slippage_bps=10, fee_bps=5)
    bought = (await venue.place(an_order("a", "buy", "2"))).body
    sold = (await venue.place(an_order("b", "sell", "2"))).body
    assert isinstance(bought, dict)
    assert isinstance(sold, dict)
    assert (bought["price"], sold["price"]) == ("100.1", "99.9")
    assert (bought["fee"], sold["fee"]) == ("0.1001", "0.0999")


async def test_an_order_may_fill_late_and_at_the_price_of_then() -> None:
    clock = ManualClock()
    venue = a_venue(clock)
    venue.plan(Call.PLACE, Fate(after=20 * MS))
    venue.price("BTC", 110, after=10 * MS)
    venue.price("BTC", 120, after=30 * MS)
    assert (await venue.place(an_order())).body == {"order": "lighter-1", "id": "a", "state": "live", "why": None}
    clock.advance(19 * MS)
    assert (await shown(venue))["state"] == "live"
    clock.advance(31 * MS)
    assert ((await shown(venue))["state"], (await shown(venue))["price"]) == ("filled", "110")
    late = next(fact for fact in venue.facts if fact["fact"] == "filled")
    assert late["at"] == "2026-01-05T12:00:00.020000Z"  # when it was due, not when somebody looked


async def test_a_part_may_fill_and_the_rest_end() -> None:
    venue = a_venue()
    venue.plan("place", Fate(share="0.4"))
    await venue.place(an_order())
    assert ((await shown(venue))["state"], (await shown(venue))["filled"]) == ("partial", "0.4")
    assert (held(venue), happened(venue)) == (Decimal("0.4"), ["accepted", "filled", "ended"])


async def test_a_part_may_fill_and_the_rest_go_on_living() -> None:
    venue = a_venue()
    venue.plan("place", Fate(share="0.4", rests=True))
    await venue.place(an_order())
    assert ((await shown(venue))["state"], (await shown(venue))["filled"]) == ("live", "0.4")
    await venue.cancel("a")
    assert ((await shown(venue))["state"], (await shown(venue))["why"]) == ("partial", "cancelled")
    assert truth.problems(venue.facts) == []


async def test_an_order_may_be_rejected_with_a_reason() -> None:
    venue = a_venue()
    venue.plan("place", Fate(reject="too small"))
    assert (await venue.place(an_order())).body == {
        "order": "lighter-1",
        "id": "a",
        "state": "rejected",
        "why": "too small",
    }
    assert (str(held(venue)), happened(venue)) == ("0", ["rejected"])


async def test_an_order_for_a_market_that_is_not_there_is_rejected() -> None:
    reply = await a_venue().place(an_order(symbol="ETH"))
    assert isinstance(reply.body, dict)
    assert (reply.body["state"], reply.body["why"]) == ("rejected", "there is no such market")


@pytest.mark.parametrize(
    ("answer", "error"), [(Answer.TIMEOUT, TimeoutError), (Answer.RESET, ConnectionResetError)], ids=str
)
async def test_an_order_lives_although_its_sender_sees_none_of_it(answer: Answer, error: type[Exception]) -> None:
    venue = a_venue()
    venue.plan("place", Fate(answer=answer))
    with pytest.raises(error):
        await venue.place(an_order())
    assert held(venue) == 1


async def test_a_sender_waits_for_its_patience_before_it_gives_up() -> None:
    clock = ManualClock()
    venue = a_venue(clock, patience=timedelta(seconds=5))
    venue.plan("place", Fate(answer=Answer.TIMEOUT))
    with pytest.raises(TimeoutError):
        await venue.place(an_order())
    assert clock.now() == AS_OF + timedelta(seconds=5)


@pytest.mark.parametrize("done", [True, False])
async def test_an_error_of_the_server_says_nothing_of_whether_the_order_came_in(*, done: bool) -> None:
    venue = a_venue()
    venue.plan("place", Fate(answer=Answer.UNAVAILABLE, done=done))
    assert (await venue.place(an_order())).status == 503
    assert held(venue) == (1 if done else 0)
    assert (await venue.find("a")).status == (200 if done else 404)


async def test_an_answer_may_be_no_more_than_a_receipt() -> None:
    venue = a_venue()
    venue.plan("place", Fate(answer=Answer.HINT))
    assert await venue.place(an_order()) == (202, {})
    assert held(venue) == 1


async def test_an_order_may_arrive_after_its_sender_has_given_up_and_found_nothing() -> None:
    clock = ManualClock()
    venue = a_venue(clock)
    venue.plan("place", Fate(answer=Answer.TIMEOUT, arrives=50 * MS))
    with pytest.raises(TimeoutError):
        await venue.place(an_order())
    assert (await venue.find("a")).status == 404
    clock.advance(50 * MS)
    assert (await shown(venue))["state"] == "filled"


async def test_a_sender_who_waits_sees_an_order_that_arrives_late() -> None:
    clock = ManualClock()
    venue = a_venue(clock)
    venue.plan("place", Fate(arrives=50 * MS))
    assert (await venue.place(an_order())).status == 200
    assert clock.now() == AS_OF + 50 * MS


@pytest.mark.parametrize(("ids", "orders"), [("forever", 1), ("open", 2), ("none", 2)])
async def test_a_client_that_tries_again_on_its_own_doubles_an_order_unless_ids_are_deduplicated(
    ids: str, orders: int
) -> None:
    clock = ManualClock()
    venue = a_venue(clock, ids=Ids(ids))
    venue.plan("place", Fate(again=50 * MS))
    await venue.place(an_order())
    clock.advance(50 * MS)
    assert held(venue) == orders
    assert truth.orders_per_id(venue.facts) == {("lighter", "a"): orders}


@pytest.mark.parametrize(("ids", "statuses"), [("forever", [409, 409]), ("open", [409, 200]), ("none", [200, 200])])
async def test_a_known_id_is_turned_away_for_ever_while_it_is_open_or_never(ids: str, statuses: list[int]) -> None:
    venue = a_venue(ids=Ids(ids))
    venue.plan("place", Fate(share="0.5", rests=True))
    await venue.place(an_order())
    while_open = await venue.place(an_order())
    await venue.cancel("a")
    after_it = await venue.place(an_order())
    assert [while_open.status, after_it.status] == statuses


async def test_a_rejected_order_uses_up_its_id() -> None:
    venue = a_venue()
    venue.plan("place", Fate(reject="no"))
    await venue.place(an_order())
    assert (await venue.place(an_order())).status == 409
    assert happened(venue) == ["rejected", "refused"]


@pytest.mark.parametrize(
    ("before", "side", "after"), [("0.4", "sell", 0), ("-0.4", "buy", 0), ("0.4", "buy", "0.4"), ("0", "sell", 0)]
)
async def test_reduce_only_is_obeyed(before: str, side: str, after: str | int) -> None:
    venue = a_venue()
    venue.hold("BTC", before)
    await venue.place(an_order(side=side, reduce_only=True))
    assert held(venue) == Decimal(after)


async def test_reduce_only_is_obeyed_at_the_time_of_the_fill() -> None:
    clock = ManualClock()
    venue = a_venue(clock)
    venue.hold("BTC", 1)
    venue.plan("place", Fate(after=20 * MS))
    await venue.place(an_order(side="sell", reduce_only=True))
    venue.close("BTC", after=10 * MS)
    clock.advance(20 * MS)
    assert (str(held(venue)), (await shown(venue))["state"]) == ("0", "cancelled")


async def test_reduce_only_may_be_ignored() -> None:
    venue = a_venue(reduce_only=False)
    await venue.place(an_order(side="sell", reduce_only=True))
    assert held(venue) == -1
    assert truth.wrong_closes(venue.facts) == ["line 3, BTC on lighter: 0 was grown to -1 by a close"]


async def test_a_cancellation_ends_what_is_left() -> None:
    venue = a_venue()
    venue.plan("place", Fate(share=0, rests=True))
    await venue.place(an_order())
    reply = await venue.cancel("a")
    assert isinstance(reply.body, dict)
    assert (reply.body["state"], str(held(venue))) == ("cancelled", "0")
    assert (await venue.cancel("b")).status == 404


async def test_a_cancellation_may_lose_the_race_against_a_fill() -> None:
    venue = a_venue()
    venue.plan("place", Fate(share="0.3", rests=True))
    venue.plan("cancel", Fate(loses=True))
    await venue.place(an_order())
    assert (await venue.cancel("a")).body == await shown(venue)
    assert ((await shown(venue))["state"], str(held(venue))) == ("filled", "1.0")


@pytest.mark.parametrize(("fills", "state"), [(10, "filled"), (30, "cancelled")])
async def test_a_cancellation_that_takes_time_races_a_fill_that_is_late(fills: int, state: str) -> None:
    clock = ManualClock()
    venue = a_venue(clock)
    venue.plan("place", Fate(after=fills * MS))
    venue.plan("cancel", Fate(after=20 * MS))
    await venue.place(an_order())
    assert (await venue.cancel("a")).status == 200
    clock.advance(50 * MS)
    assert (await shown(venue))["state"] == state


async def test_a_cancellation_may_not_be_done_at_all() -> None:
    venue = a_venue()
    venue.plan("place", Fate(share=0, rests=True))
    venue.plan("cancel", Fate(done=False, answer=Answer.UNAVAILABLE))
    await venue.place(an_order())
    assert (await venue.cancel("a")).status == 503
    assert (await shown(venue))["state"] == "live"


async def test_a_fill_happens_although_its_sender_is_cancelled() -> None:
    clock = ManualClock()
    venue = a_venue(clock)
    venue.plan("place", Fate(after=20 * MS))
    sending = asyncio.create_task(venue.place(an_order()))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    clock.advance(20 * MS)
    assert held(venue) == 1


async def test_a_query_may_lag_behind() -> None:
    clock = ManualClock()
    venue = a_venue(clock, find_lag=30 * MS)
    venue.plan("place", Fate(after=20 * MS))
    await venue.place(an_order())
    seen = []
    for _ in range(6):
        reply = await venue.find("a")
        seen.append(reply.body["state"] if isinstance(reply.body, dict) and reply.body else reply.status)
        clock.advance(10 * MS)
    assert seen == [404, 404, 404, "live", "live", "filled"]


async def test_a_plan_is_for_a_number_of_calls_and_may_be_for_one_symbol() -> None:
    venue = a_venue()
    venue.price("ETH", 10)
    venue.plan("place", Fate(reject="no"), symbol="eth", times=2)
    places = [
        await venue.place(an_order(str(n), symbol=symbol)) for n, symbol in enumerate(["BTC", "ETH", "ETH", "ETH"])
    ]
    assert [body["state"] for _, body in places if isinstance(body, dict)] == [
        "filled",
        "rejected",
        "rejected",
        "filled",
    ]


async def test_a_plan_without_end_lasts_until_it_is_taken_back() -> None:
    venue = a_venue()
    venue.plan("place", Fate(reject="down"), times=None)
    before = [await venue.place(an_order(str(n))) for n in range(5)]
    venue.unplan()
    after = await venue.place(an_order("z"))
    states = [reply.body["state"] for reply in (*before, after) if isinstance(reply.body, dict)]
    assert states == [*["rejected"] * 5, "filled"]


def chances() -> tuple[Chance, ...]:
    """Everything that can go wrong with an order, often."""
    fates = [
        Fate(after=20 * MS),
        Fate(share="0.5"),
        Fate(reject="no"),
        Fate(answer=Answer.TIMEOUT),
        Fate(answer=Answer.UNAVAILABLE, done=False),
    ]
    return tuple(Chance(call=Call.PLACE, probability="0.15", fate=fate) for fate in fates)


async def _ordered(seed: int, *, reads: int = 0) -> list[dict[str, Any]]:
    clock = ManualClock()
    venue = a_venue(clock, seed=seed, chances=chances())
    for number in range(60):
        with suppress(TimeoutError):
            await venue.place(an_order(str(number)))
        for _ in range(reads):
            await venue.positions(["BTC"])
        clock.advance(MS)
    clock.advance(timedelta(seconds=1))
    return venue.facts


async def test_a_seed_decides_everything_that_is_left_to_chance() -> None:
    first = await _ordered(7)
    assert first == await _ordered(7)
    assert first != await _ordered(8)
    assert {fact["fact"] for fact in first} == {"price", "accepted", "filled", "ended", "rejected"}
    assert truth.problems(first) == []


async def test_more_reads_do_not_change_the_fate_of_orders() -> None:
    assert await _ordered(7) == await _ordered(7, reads=3)


def test_chances_are_at_most_certain() -> None:
    certain = Chance(call=Call.READ, probability=1, fate=Fate())
    assert Habits(chances=(certain,)).chances == (certain,)
    with pytest.raises(InputError, match="the probabilities of read are above 1 together"):
        Habits(chances=(certain, certain))


async def test_money_is_exact_whatever_the_ambient_decimal_context(hostile_context: None) -> None:
    venue = a_venue(slippage_bps="0.5", fee_bps="0.25")
    for number, quantity in enumerate(["0.123456789", "0.2", "0.3"]):
        await venue.place(an_order(str(number), quantity=quantity))
    rows = (await venue.positions(["BTC"])).body
    assert isinstance(rows, list)
    assert (rows[0]["quantity"], rows[0]["entry_price"]) == ("0.623456789", "100.005")
    assert truth.net(venue.facts) == {("lighter", "BTC"): Decimal("0.623456789")}
    assert truth.problems(venue.facts) == []


def test_the_clock_of_a_venue_does_not_go_back() -> None:
    clock = ManualClock()
    venue = a_venue(clock)
    clock.advance(timedelta(hours=-1))
    venue.hold("BTC", 1)
    assert truth.incoherent(venue.facts) == []
