"""The executor, asked with a deadline: whatever it does instead of answering is unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import (
    Capabilities,
    Effect,
    Executor,
    Intent,
    IntentState,
    Known,
    PositionStatus,
    Report,
    ReportState,
    Side,
    Unknown,
)
from rebalancer.domain.names import Market
from rebalancer.monitor.desk import Desk
from rebalancer.testing import AS_OF, ManualClock, a_position

if TYPE_CHECKING:
    from .conftest import World

BTC, ETH = Market("lighter", "BTC"), Market("lighter", "ETH")
GRVT = Market("grvt", "BTC")
SOON = timedelta(seconds=1)
SENT = Intent(
    position_id=a_position().id,
    version=0,
    effect=Effect.CLOSE,
    leg=Side.LONG,
    venue="lighter",
    symbol="BTC",
    state=IntentState.SENT,
    quantity="0.1",
    planned_at=AS_OF,
    sent_at=AS_OF,
)


class Answers(Executor):
    """Every method does the same instead of what it should, for one venue or for all. `says` is what venues can do."""

    def __init__(
        self, does: Callable[[], Any], *, only: str | None = None, says: Callable[[], Any] = Capabilities
    ) -> None:
        self._does = does
        self._only = only
        self.says = says

    def capabilities(self, venue: str) -> Capabilities:
        found: Capabilities = self.says()
        return found

    async def read_legs(self, markets: Collection[Market]) -> Any:
        if self._only is None or any(market.venue == self._only for market in markets):
            found = self._does()
            return await found if isinstance(found, Awaitable) else found
        return {market: Known(1) for market in markets}

    async def _ordered(self) -> Any:
        found = self._does()
        return await found if isinstance(found, Awaitable) else found

    async def send(self, intent: Intent) -> Report:
        return await self._ordered()  # type: ignore[no-any-return]

    async def find(self, intent: Intent) -> Report:
        return await self._ordered()  # type: ignore[no-any-return]

    async def cancel(self, intent: Intent) -> Report:
        return await self._ordered()  # type: ignore[no-any-return]


def raises(error: BaseException) -> Callable[[], Any]:
    """What raises it."""

    def raised() -> Any:
        raise error

    return raised


async def stubborn() -> None:
    """Work that swallows its cancellation."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(0.3)


NONSENSE = [
    pytest.param(raises(RuntimeError("password=hunter2")), id="raises"),
    pytest.param(raises(SystemExit(2)), id="exits"),
    pytest.param(raises(asyncio.CancelledError()), id="pretends to be cancelled"),
    pytest.param(raises(GeneratorExit()), id="ends"),
    pytest.param(lambda: None, id="returns nothing"),
    pytest.param(list, id="returns a list"),
    pytest.param(lambda: "filled", id="returns text"),
    pytest.param(lambda: {"state": "filled"}, id="returns a mapping of something else"),
]


def a_desk(executor: Executor, **deadline: timedelta) -> Desk:
    return Desk(executor, clock=ManualClock(), deadline=deadline.get("deadline", SOON))


@pytest.mark.parametrize("does", NONSENSE)
async def test_a_read_that_goes_wrong_is_unknown_for_every_leg(does: Callable[[], Any]) -> None:
    reads = await a_desk(Answers(does)).read([BTC, ETH])

    assert set(reads) == {BTC, ETH}
    assert all(isinstance(read.state, Unknown) and read.quantity is None for read in reads.values())
    assert "hunter2" not in str(reads)


@pytest.mark.parametrize("does", NONSENSE)
@pytest.mark.parametrize("call", ["send", "find", "cancel"])
async def test_an_order_that_goes_wrong_is_unknown(does: Callable[[], Any], call: str) -> None:
    report = await getattr(a_desk(Answers(does)), call)(SENT)

    assert report.state is ReportState.UNKNOWN
    assert "hunter2" not in str(report)


@pytest.mark.parametrize("does", NONSENSE)
def test_a_venue_of_which_nothing_is_said_can_do_nothing(does: Callable[[], Any]) -> None:
    can = a_desk(Answers(does, says=does)).capabilities("lighter")

    assert can == Capabilities()
    assert not can.may_close


async def test_one_venue_that_fails_costs_only_itself() -> None:
    reads = await a_desk(Answers(raises(OSError()), only="lighter")).read([BTC, GRVT])

    assert (reads[BTC].quantity, reads[GRVT].quantity) == (None, Decimal(1))


@pytest.mark.parametrize("hangs", [lambda: asyncio.sleep(60), stubborn], ids=["hangs", "swallows its cancellation"])
async def test_a_venue_that_hangs_costs_only_itself_and_no_more_than_the_deadline(hangs: Callable[[], Any]) -> None:
    desk = a_desk(Answers(hangs, only="lighter"), deadline=timedelta(milliseconds=50))
    began = asyncio.get_running_loop().time()

    reads = await desk.read([BTC, GRVT])

    assert asyncio.get_running_loop().time() - began < 1
    assert (reads[BTC].quantity, reads[GRVT].quantity) == (None, Decimal(1))
    await asyncio.sleep(0.4 if hangs is stubborn else 0)


@pytest.mark.parametrize(
    "state",
    [
        None,
        "0",
        0,
        {"quantity": "0"},
        Report.absent(),
    ],
    ids=str,
)
async def test_a_leg_that_is_none_is_unknown_and_the_others_are_read(state: Any) -> None:
    reads = await a_desk(Answers(lambda: {BTC: state, ETH: Known("0.5")})).read([BTC, ETH])

    assert isinstance(reads[BTC].state, Unknown)
    assert reads[ETH].quantity == Known("0.5").quantity


async def test_what_nobody_asked_for_is_left_out_and_what_is_missing_is_unknown() -> None:
    answer = {GRVT: Known(7), ETH: Known(1, as_of=AS_OF)}

    reads = await a_desk(Answers(lambda: answer)).read([BTC, ETH])

    assert set(reads) == {BTC, ETH}
    assert (reads[BTC].quantity, reads[ETH].quantity) == (None, Decimal(1))


async def test_a_report_is_passed_on() -> None:
    report = Report(state=ReportState.PARTIAL, filled="0.05", fee_usd="1", order_id="7", why="cancelled")

    assert await a_desk(Answers(lambda: report)).find(SENT) == report


@pytest.mark.parametrize("does", NONSENSE)
async def test_while_nobody_says_what_a_venue_can_do_what_was_said_before_counts_at_its_strictest(
    does: Callable[[], Any],
) -> None:
    """Else one failing call would have a zero count sooner, or an order be sent again that must not be."""
    executor = Answers(dict)
    desk = a_desk(executor)
    said = [
        Capabilities(reduce_only=True, dedupes_ids=True, sends_once=True, reads_legs=True, settle=timedelta(minutes=1)),
        Capabilities(reduce_only=True, finds_ids=True, read_lag=timedelta(minutes=5), settle=timedelta(minutes=10)),
        Capabilities(reduce_only=True, read_lag=timedelta(seconds=2), settle=timedelta(minutes=2)),
    ]
    for can in said:
        executor.says = partial(can.model_copy)
        assert desk.capabilities("lighter") == can

    executor.says = does

    assert desk.capabilities("lighter") == Capabilities(
        finds_ids=True, read_lag=timedelta(minutes=5), settle=timedelta(minutes=10)
    )
    assert desk.capabilities("grvt") == Capabilities()


@pytest.mark.parametrize("does", NONSENSE)
async def test_a_leg_of_a_venue_of_which_nothing_was_ever_said_is_unknown(does: Callable[[], Any]) -> None:
    """How late a zero has to be read there to prove anything is not known."""
    executor = Answers(lambda: {BTC: Known(0)}, says=does)
    desk = a_desk(executor)

    before = await desk.read([BTC])
    executor.says = Capabilities
    said = await desk.read([BTC])
    executor.says = does
    after = await desk.read([BTC])

    assert isinstance(before[BTC].state, Unknown)
    assert "does not say what the venue can do" in str(before[BTC].state)
    assert said[BTC].quantity == after[BTC].quantity == Decimal(0)


async def test_an_executor_that_empties_the_list_it_is_given_loses_no_leg() -> None:
    class Empties(Answers):
        async def read_legs(self, markets: Collection[Market]) -> Any:
            found = {}
            while markets:
                found[markets.pop()] = Known(1)  # type: ignore[attr-defined]
            return found

    reads = await a_desk(Empties(dict)).read([BTC, ETH])

    assert set(reads) == {BTC, ETH}


async def test_a_mapping_that_fails_when_it_is_looked_into_is_unknown_for_every_leg() -> None:
    class Lazy(Mapping[Market, Known]):
        def __getitem__(self, market: Market) -> Known:
            raise OSError("password=hunter2")

        def __iter__(self) -> Iterator[Market]:
            return iter([BTC])

        def __len__(self) -> int:
            return 1

    reads = await a_desk(Answers(Lazy)).read([BTC, ETH])

    assert all(isinstance(read.state, Unknown) for read in reads.values())
    assert set(reads) == {BTC, ETH}
    assert "hunter2" not in str(reads)


@pytest.mark.parametrize(
    ("fee", "kept"),
    [
        (Decimal(1) / Decimal(300), "0.00333333"),
        (Decimal(100) / Decimal(7), "14.28571429"),
        ("-0.000000025", "-0.00000002"),
        ("0.000000001", "0"),
        ("3.4", "3.4"),
        ("999999999.9999999999", "1000000000"),
        ("1e9", None),
    ],
)
async def test_a_fee_is_kept_to_eight_places(fee: Any, kept: str | None) -> None:
    """The digits of a division would add up to more than a number may have, and the close would never end."""
    filled = "0.0333333333333333333333333333"
    report = Report(state=ReportState.PARTIAL, filled=filled, price="100000.333333333333333333333", fee_usd=fee)

    passed = await a_desk(Answers(lambda: report)).find(SENT)

    assert passed == report.model_copy(update={"fee_usd": kept})


async def test_fees_with_the_digits_of_a_division_keep_no_close_from_its_end(world: World) -> None:
    fees = iter([Decimal(1) / Decimal(300), Decimal("3.4")])
    send = world.executor.send

    async def sent(intent: Intent) -> Report:
        report: Report = await send(intent)
        return report.model_copy(update={"fee_usd": next(fees), "price": Decimal(10**6) / Decimal(7)})

    world.executor.send = sent
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()

    (report,) = await world.ticks(monitor, 1)

    assert (report.failures, report.ended) == ((), (position.id,))
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.fees_paid_usd == Decimal("3.4")


async def test_quantities_of_thirty_digits_keep_no_close_from_its_end(world: World) -> None:
    """What is filled stays exact, and what is left of it is rounded down to what can be kept."""
    parts = iter(["0.0333333333333333333333333333337", "0.012345678901234567890123456789"])
    send = world.executor.send

    async def sent(intent: Intent) -> Report:
        report: Report = await send(intent)
        part = next(parts, None)
        return report if part is None else report.model_copy(update={"state": "partial", "filled": part})

    world.executor.send = sent
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()

    reports = await world.ticks(monitor, 30)

    assert [report.failures for report in reports] == [()] * 30
    assert await world.status(position) is PositionStatus.CLOSED


async def test_a_glitch_of_what_a_venue_can_do_proves_no_leg_flat_sooner(world: World) -> None:
    slow = Capabilities(reduce_only=True, reads_legs=True, read_lag=timedelta(minutes=5), settle=timedelta(minutes=10))

    async def unknown(_: Intent) -> Report:
        return Report.unknown("no answer")

    world.executor.capabilities = lambda _: slow
    world.executor.send = world.executor.find = world.executor.cancel = unknown
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    await world.ticks(monitor, 1, every=40)
    for venue in world.venues.values():
        venue.close("BTC")  # as such a venue shows it for a moment

    world.executor.capabilities = raises(OSError())
    await world.ticks(monitor, 2, every=40)

    assert await world.status(position) is PositionStatus.PENDING_CLOSE
