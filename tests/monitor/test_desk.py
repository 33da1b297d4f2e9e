"""The executor, asked with a deadline: whatever it does instead of answering is unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalancer import Capabilities, Effect, Executor, Intent, IntentState, Known, Report, ReportState, Side, Unknown
from rebalancer.domain.names import Market
from rebalancer.monitor.desk import Desk
from rebalancer.testing import AS_OF, ManualClock, a_position

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
    """Every method does the same instead of what it should, for one venue or for all."""

    def __init__(self, does: Callable[[], Any], *, only: str | None = None) -> None:
        self._does = does
        self._only = only

    def capabilities(self, venue: str) -> Capabilities:
        found: Capabilities = self._does()
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
    can = a_desk(Answers(does)).capabilities("lighter")

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
