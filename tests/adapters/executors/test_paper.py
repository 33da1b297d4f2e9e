"""Trading on paper: at prices that were seen, under ids that count once, in an account that no restart forgets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import Costs, InputError, MarketRequest, MarketSnapshot, Missing, Needs, SourceUnavailableError
from rebalancer.adapters.executors import PaperExecutor
from rebalancer.adapters.sources import CallbackSource, StaticSource
from rebalancer.domain.intents import Effect, Intent, IntentState, Side
from rebalancer.domain.legs import Known, Unknown
from rebalancer.domain.names import Market
from rebalancer.domain.orders import Report, ReportState
from rebalancer.testing import AS_OF, ManualClock, a_quote

BTC, GRVT = Market("lighter", "BTC"), Market("grvt", "BTC")


def an_intent(effect: str = "open", leg: str = "long", quantity: str | None = "0.5", **fields: Any) -> Intent:
    usual: dict[str, Any] = {"venue": "lighter", "symbol": "BTC", "quantity": quantity, "state": IntentState.SENT}
    identity: dict[str, Any] = {"position_id": UUID(int=7), "version": 1, "effect": Effect(effect), "leg": Side(leg)}
    return Intent(**{**identity, **usual, "planned_at": AS_OF, "sent_at": AS_OF, **fields})


def a_source(price: object = 100, **fields: Any) -> StaticSource:
    quotes = [a_quote(venue, mark_price=price, **fields) for venue in ("lighter", "grvt")]
    return StaticSource(quotes, clock=ManualClock())


def on_paper(source: Any = None, **more: Any) -> PaperExecutor:
    return PaperExecutor(source or a_source(), **{"costs": Costs.flat(leg_bps=5), "clock": ManualClock(), **more})


async def leg(executor: PaperExecutor, market: Market = BTC) -> Any:
    return (await executor.read_legs([market]))[market]


async def test_an_order_fills_at_the_mark_with_slippage_and_the_fee_of_its_venue() -> None:
    costs = Costs(leg_bps=5, venues={"grvt": -1})
    executor = on_paper(costs=costs, slippage_bps=10)
    bought = await executor.send(an_intent())
    sold = await executor.send(an_intent(leg="short", venue="grvt"))
    assert (bought.state, bought.filled, bought.price) == (ReportState.FILLED, Decimal("0.5"), Decimal("100.1"))
    assert bought.fee_usd == Decimal("0.025025")
    assert (sold.price, sold.fee_usd) == (Decimal("99.9"), Decimal("-0.004995"))
    assert bought.order_id == f"paper-{an_intent().key[:16]}"


async def test_what_is_held_is_read_back_as_known_and_as_of_now() -> None:
    executor = on_paper()
    await executor.send(an_intent(leg="short"))
    assert await leg(executor) == Known("-0.5", as_of=AS_OF, entry_price=100, mark_price=100, funding_accrued=0)


async def test_a_market_that_was_never_traded_is_flat_if_it_exists_and_else_unknown() -> None:
    executor = on_paper()
    assert await leg(executor) == Known(0, as_of=AS_OF, mark_price=100)
    nowhere = await leg(executor, Market("lighter", "NOPE"))
    assert nowhere == Unknown("never held, and no quote shows that it exists: the source has no quote of it")


async def test_what_is_held_is_known_although_the_source_is_down() -> None:
    source = a_source()
    executor = on_paper(source)
    await executor.send(an_intent())
    source.set()
    assert await leg(executor) == Known("0.5", as_of=AS_OF, entry_price=100, funding_accrued=0)


def down(request: MarketRequest) -> Any:
    raise SourceUnavailableError("test", "it is down")


async def never(request: MarketRequest) -> Any:
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (a_source(None), "not filled: the source has no mark price of it"),
        (a_source(observed_at=AS_OF - timedelta(hours=1)), "not filled: the quote is older than its limit"),
        (a_source(observed_at=AS_OF + timedelta(hours=1)), "not filled: the quote is from the future"),
        (StaticSource([], clock=ManualClock()), "not filled: the source has no quote of it"),
        (CallbackSource(down, clock=ManualClock()), "not filled: test: it is down"),
    ],
)
async def test_without_a_price_that_counts_nothing_is_filled_and_the_reason_is_said(source: Any, why: str) -> None:
    executor = on_paper(source)
    for intent in (an_intent(), an_intent("close")):
        report = await executor.send(intent)
        assert report == Report.rejected(why)
    assert all(held.quantity == 0 for held in executor.account.legs)


async def test_the_reason_of_the_source_is_passed_on() -> None:
    missing = Missing(field="rate", venue="lighter", symbol="BTC", why="under maintenance")
    report = await on_paper(StaticSource([], missing=[missing], clock=ManualClock())).send(an_intent())
    assert report.why == "not filled: under maintenance"


async def test_a_source_that_does_not_answer_in_time_fills_nothing() -> None:
    source = CallbackSource(never, deadline=timedelta(minutes=5), clock=ManualClock())
    executor = on_paper(source, deadline=timedelta(milliseconds=20))
    assert await executor.send(an_intent()) == Report.rejected("not filled: no answer in time")
    assert executor.capabilities("lighter").settle == timedelta(seconds=1, milliseconds=20)


async def test_an_order_that_was_rejected_stays_rejected() -> None:
    source = a_source(None)
    executor = on_paper(source)
    rejected = await executor.send(an_intent())
    source.set(a_quote(mark_price=100))
    assert await executor.send(an_intent()) == await executor.find(an_intent()) == rejected
    assert (await executor.send(an_intent(attempt=2))).state is ReportState.FILLED


async def test_an_id_counts_once_for_ever() -> None:
    executor = on_paper()
    first = await executor.send(an_intent())
    await executor.send(an_intent("close"))
    assert await executor.send(an_intent()) == first
    assert (await leg(executor)).quantity == 0


async def test_another_order_under_a_known_id_is_neither_traded_nor_reported_as_if_it_were_the_same() -> None:
    executor = on_paper()
    await executor.send(an_intent())
    for other in (an_intent(quantity="0.6"), an_intent(venue="grvt")):
        assert await executor.send(other) == Report.unknown("another order has its id")
        assert await executor.find(other) == Report.unknown("another order has its id")
    assert (await leg(executor)).quantity == Decimal("0.5")


@pytest.mark.parametrize(
    ("held", "closing", "state", "left"),
    [
        ("1", "long", "filled", "0.5"),
        ("0.2", "long", "partial", "0"),
        ("0", "long", "rejected", "0"),
        ("-1", "long", "rejected", "-1"),
        ("-1", "short", "filled", "-0.5"),
        ("-0.2", "short", "partial", "0"),
    ],
)
async def test_a_close_is_reduce_only(held: str, closing: str, state: str, left: str) -> None:
    executor = on_paper()
    executor.hold(BTC, held, entry_price=90)
    report = await executor.send(an_intent("close", closing))
    assert (report.state, (await leg(executor)).quantity) == (ReportState(state), Decimal(left))
    assert report == await executor.find(an_intent("close", closing))


async def test_the_entry_price_is_the_average_of_what_is_held() -> None:
    source = a_source()
    executor = on_paper(source)
    entries = []
    steps = [("open", "long", 100), ("open", "long", 110), ("close", "long", 200), ("open", "short", 120)]
    for attempt, (effect, side, price) in enumerate(steps, 1):
        source.set(a_quote(mark_price=price))
        quantity = "1.5" if side == "short" else "0.5"
        await executor.send(an_intent(effect, side, quantity, attempt=attempt))
        entries.append(((await leg(executor)).quantity, (await leg(executor)).entry_price))
    assert entries == [
        (Decimal("0.5"), 100),
        (Decimal(1), 105),
        (Decimal("0.5"), 105),
        (Decimal(-1), 120),
    ]


async def test_a_seeded_position_without_an_entry_price_has_none() -> None:
    executor = on_paper()
    executor.hold(BTC, 1)
    await executor.send(an_intent())
    assert (await leg(executor)).entry_price is None


async def test_a_position_that_was_opened_elsewhere_is_taken_over_once() -> None:
    executor = on_paper()
    assert executor.hold(BTC, "0.5", entry_price=90)
    assert not executor.hold(BTC, 7)
    assert await leg(executor) == Known("0.5", as_of=AS_OF, entry_price=90, mark_price=100, funding_accrued=0)
    await executor.send(an_intent("close"))
    assert not executor.hold(BTC, "0.5")
    assert (await leg(executor)).quantity == 0


async def test_an_order_that_never_came_is_absent_and_can_not_be_cancelled() -> None:
    executor = on_paper()
    assert await executor.find(an_intent()) == await executor.cancel(an_intent()) == Report.absent()


async def test_what_has_no_quantity_is_not_sent() -> None:
    with pytest.raises(InputError, match="without a quantity"):
        await on_paper().send(an_intent(quantity=None, state=IntentState.PLANNED, sent_at=None))


# Concurrency ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def awaiting_a_price(*, times: int = 1) -> AsyncIterator[tuple[PaperExecutor, asyncio.Event, list[Any]]]:
    """An order whose price is awaited, as often as `times`; the event lets the price come."""
    gate = asyncio.Event()

    async def slow(request: MarketRequest) -> MarketSnapshot:
        await gate.wait()
        return MarketSnapshot(as_of=AS_OF, quotes=(a_quote(mark_price=100),))

    executor = on_paper(CallbackSource(slow, clock=ManualClock()))
    sending = [asyncio.create_task(executor.send(an_intent())) for _ in range(times)]
    await asyncio.sleep(0.005)
    yield executor, gate, sending
    for task in sending:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_order_whose_price_is_awaited_is_live() -> None:
    async with awaiting_a_price() as (executor, gate, sending):
        assert (await executor.find(an_intent())).state is ReportState.LIVE
        gate.set()
        assert (await sending[0]).state is ReportState.FILLED


async def test_an_order_whose_price_is_awaited_can_be_cancelled() -> None:
    async with awaiting_a_price() as (executor, gate, sending):
        assert await executor.cancel(an_intent()) == Report.rejected("cancelled")
        gate.set()
        assert await sending[0] == Report.rejected("cancelled")
        assert (await leg(executor)).quantity == 0


async def test_an_intent_that_is_sent_twice_at_once_is_one_order() -> None:
    async with awaiting_a_price(times=3) as (executor, gate, sending):
        gate.set()
        reports = await asyncio.gather(*sending)
        assert reports == [reports[0]] * 3
        assert (await leg(executor)).quantity == Decimal("0.5")


async def test_an_order_whose_sender_is_cancelled_before_the_price_came_never_was() -> None:
    async with awaiting_a_price() as (executor, gate, sending):
        sending[0].cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        gate.set()
        assert await executor.find(an_intent()) == Report.absent()
        assert (await leg(executor)).quantity == 0


# The file -------------------------------------------------------------------------------------------------------------


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    before = on_paper(path=tmp_path / "paper.json")
    before.hold(GRVT, "-2", entry_price=90)
    report = await before.send(an_intent())
    after = on_paper(path=tmp_path / "paper.json")
    assert after.account == before.account
    assert await after.send(an_intent()) == report
    assert (await leg(after)).quantity == Decimal("0.5")
    assert (await leg(after, GRVT)).quantity == -2
    assert [path.name for path in tmp_path.iterdir()] == ["paper.json"]


async def test_a_process_that_stands_by_sees_what_the_active_one_did(tmp_path: Path) -> None:
    active, standby = on_paper(path=tmp_path / "paper.json"), on_paper(path=tmp_path / "paper.json")
    report = await active.send(an_intent())
    assert (await leg(standby)).quantity == Decimal("0.5")
    assert await standby.find(an_intent()) == report
    assert (await standby.send(an_intent("close"))).state is ReportState.FILLED
    assert (await leg(active)).quantity == 0


@pytest.mark.parametrize("content", ["", "{}{", "[]", '{"version": 2}', '{"version": 1, "legs": 7}', "\udcff"])
def test_an_account_that_can_not_be_read_is_an_error_and_not_a_new_account(tmp_path: Path, content: str) -> None:
    path = tmp_path / "paper.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match="can not be read: restore it, or move it away"):
        on_paper(path=path)
    assert path.read_bytes() == content.encode(errors="surrogateescape")


def test_a_path_that_can_not_be_written_is_found_out_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        on_paper(path=tmp_path / "nowhere" / "paper.json")


async def test_an_account_that_begins_does_not_overwrite_what_another_has_written_meanwhile(tmp_path: Path) -> None:
    first, second = on_paper(path=tmp_path / "paper.json"), on_paper(path=tmp_path / "paper.json")
    assert list(tmp_path.iterdir()) == []
    await first.send(an_intent())
    third = on_paper(path=tmp_path / "paper.json")
    assert len(first.account.orders) == len(second.account.orders) == len(third.account.orders) == 1


async def test_what_could_not_be_written_did_not_happen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = on_paper(path=tmp_path / "paper.json")
    executor.hold(GRVT, 1)
    before = (tmp_path / "paper.json").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        await executor.send(an_intent())
    monkeypatch.undo()
    assert await executor.find(an_intent()) == Report.absent()
    assert (tmp_path / "paper.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["paper.json"]
    assert (await executor.send(an_intent())).state is ReportState.FILLED


async def test_a_directory_that_can_not_be_synchronised_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.open

    def refuses(path: str, *more: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError
        return really(path, *more)

    executor = on_paper(path=tmp_path / "paper.json")
    monkeypatch.setattr(os, "open", refuses)
    assert (await executor.send(an_intent())).state is ReportState.FILLED


async def test_a_file_that_was_deleted_is_written_again(tmp_path: Path) -> None:
    executor = on_paper(path=tmp_path / "paper.json")
    await executor.send(an_intent())
    (tmp_path / "paper.json").unlink()
    assert (await leg(executor)).quantity == Decimal("0.5")
    await executor.send(an_intent("close"))
    assert len(on_paper(path=tmp_path / "paper.json").account.orders) == 2


# Parameters and laws --------------------------------------------------------------------------------------------------


def test_it_can_do_everything_and_supplies_legs() -> None:
    executor = on_paper()
    able = executor.capabilities("anything")
    assert able.reduce_only
    assert able.may_close
    assert able.may_open
    assert able.finds_ids
    assert able.settle == timedelta(seconds=11)
    assert executor.supplies == Needs(rates=False, legs=True)


@pytest.mark.parametrize(
    "wrong", [{"slippage_bps": -1}, {"slippage_bps": 10_000}, {"deadline": timedelta(0)}, {"slippage_bps": "a lot"}]
)
def test_a_parameter_that_is_off_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        on_paper(**wrong)


async def test_without_a_clock_it_is_the_machines() -> None:
    executor = PaperExecutor(a_source(), costs=Costs.flat(leg_bps=0))
    executor.hold(BTC, 1)
    assert (await leg(executor)).as_of > AS_OF


async def test_money_is_exact_whatever_the_ambient_decimal_context(hostile_context: None) -> None:
    executor = on_paper(slippage_bps="0.5")
    report = await executor.send(an_intent(quantity="0.123456789"))
    assert report.price == Decimal("100.005")
    assert report.fee_usd == Decimal("0.00617315")
    assert (await leg(executor)).quantity == Decimal("0.123456789")


orders = st.lists(
    st.tuples(
        st.sampled_from(list(Effect)),
        st.sampled_from(list(Side)),
        st.decimals(min_value="0.001", max_value=10, places=3),
        st.integers(1, 4),
    ),
    max_size=12,
)


@given(orders)
def test_the_position_is_the_sum_of_the_fills_and_no_close_turns_it_round(
    orders: list[tuple[Effect, Side, Decimal, int]],
) -> None:
    async def run() -> None:
        executor, held, known = on_paper(), Decimal(0), dict[str, Report]()
        for effect, side, quantity, attempt in orders:
            intent = an_intent(effect, side, str(quantity), attempt=attempt)
            report = await executor.send(intent)
            if intent.key not in known:
                sign = 1 if intent.side == "buy" else -1
                after = held + sign * (report.filled or 0)
                assert effect is Effect.OPEN or (abs(after) <= abs(held) and after * held >= 0)
                known[intent.key], held = report, after
            assert (await leg(executor)).quantity == held
            assert len(executor.account.orders) == len(known)

    asyncio.run(run())
