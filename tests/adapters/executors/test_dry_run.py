"""The dry run: nothing is sent, nothing is read, and nothing is claimed that is not certain."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from rebalancer import InputError, Needs
from rebalancer.adapters.executors import DryRunExecutor
from rebalancer.domain.intents import Effect, Intent, IntentState, Side
from rebalancer.domain.legs import Unknown
from rebalancer.domain.names import Market
from rebalancer.domain.orders import Capabilities, Report, ReportState
from rebalancer.testing import AS_OF


def an_intent(attempt: int = 1) -> Intent:
    fields: dict[str, Any] = {"venue": "lighter", "symbol": "BTC", "quantity": "0.5", "state": IntentState.SENT}
    return Intent(
        position_id=UUID(int=7),
        version=1,
        effect=Effect.CLOSE,
        leg=Side.LONG,
        attempt=attempt,
        planned_at=AS_OF,
        sent_at=AS_OF,
        **fields,
    )


async def test_what_it_is_given_is_recorded_and_certainly_not_sent() -> None:
    executor = DryRunExecutor()
    for call in (executor.send, executor.find, executor.cancel):
        assert await call(an_intent()) == Report.rejected("dry run: nothing is sent")
    assert executor.recorded == (an_intent(),)


async def test_of_an_order_that_it_was_not_given_it_knows_nothing() -> None:
    executor = DryRunExecutor()
    for call in (executor.find, executor.cancel):
        assert (await call(an_intent())).state is ReportState.UNKNOWN


async def test_legs_are_unknown_and_never_flat() -> None:
    market = Market("lighter", "BTC")
    assert await DryRunExecutor().read_legs([market]) == {market: Unknown("dry run: legs are not read")}


def test_it_can_do_nothing_and_supplies_nothing() -> None:
    executor = DryRunExecutor()
    assert executor.capabilities("lighter") == Capabilities()
    assert not executor.capabilities("lighter").may_close
    assert executor.supplies == Needs(rates=False)


async def test_the_latest_intents_are_kept_each_once_in_order() -> None:
    executor = DryRunExecutor(keep=2)
    for attempt in (1, 2, 1, 3):
        await executor.send(an_intent(attempt))
    assert [intent.attempt for intent in executor.recorded] == [1, 3]
    assert (await executor.find(an_intent(2))).state is ReportState.UNKNOWN


@pytest.mark.parametrize("keep", [0, -1])
def test_it_keeps_something(keep: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        DryRunExecutor(keep=keep)


async def test_it_is_closed_as_often_as_one_likes() -> None:
    async with DryRunExecutor() as executor:
        await executor.aclose()
