"""What the live side can do and say is found in the documentation, with its numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rebalancer import AlarmKind, Effect, MonitorLimits, OrderSide, PositionMonitor, ReportState, Switch, TickReport
from rebalancer.domain.explain import span
from rebalancer.domain.names import Market
from rebalancer.domain.times import seconds
from rebalancer.monitor.alarms import ESCALATES
from rebalancer.monitor.instructions import Blind, Flatten, LegGone
from rebalancer.monitor.legs import GONE_EXTERNALLY
from rebalancer.testing import ExecutorCase, FakeVenue, ManualClock, checks_for_executor
from rebalancer.testing.fake_venue import Answer, Fate, OrderRequest

DOCS = Path(__file__).parents[1] / "docs"
ALARMS = (DOCS / "how-to" / "survive-failures.md").read_text(encoding="utf-8")
EMBED = (DOCS / "how-to" / "embed-the-monitor.md").read_text(encoding="utf-8")
LIMITS = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", (DOCS / "reference" / "monitor.md").read_text("utf-8"), re.M))
REASONS = (DOCS / "reference" / "reason-codes.md").read_text(encoding="utf-8")
TOLD = {rule().reason for rule in (Blind, Flatten, LegGone)}
BY_HAND = signature(PositionMonitor.close).parameters["reason"].default


@pytest.mark.parametrize("kind", AlarmKind)
def test_for_every_kind_of_alarm_it_is_said_what_to_do(kind: AlarmKind) -> None:
    assert f"\n| `{kind}`: " in ALARMS


def test_the_times_after_which_an_alarm_escalates_are_said() -> None:
    critical, error = (after / timedelta(minutes=1) for after, _ in ESCALATES)
    assert f"an error after {error:g} minutes and critical after {critical:g}" in ALARMS


@pytest.mark.parametrize("name", MonitorLimits.model_fields)
def test_every_limit_of_the_monitor_is_in_the_table_with_its_default(name: str) -> None:
    default = getattr(MonitorLimits(), name)
    shown = span(seconds(default)) if isinstance(default, timedelta) else "none" if default is None else str(default)
    assert LIMITS[name] == shown


@pytest.mark.parametrize("name", TickReport.__dataclass_fields__)
def test_every_field_of_a_report_is_described(name: str) -> None:
    assert f"`{name}`" in EMBED


@pytest.mark.parametrize("switch", Switch)
def test_every_position_of_the_switch_is_described(switch: Switch) -> None:
    assert f"`{switch}`" in EMBED


@pytest.mark.parametrize("reason", sorted({*TOLD, BY_HAND, GONE_EXTERNALLY}))
def test_every_reason_that_no_rule_of_the_strategy_gives_is_in_the_table(reason: str) -> None:
    assert f"| `{reason}` |" in REASONS


# The executor that the page shows


class Order(NamedTuple):
    """An order as a client of a host might show it."""

    id: str
    status: str
    filled: Decimal
    price: Decimal | None
    fee: Decimal | None


class Client:
    """A client of a host's own, on a fake venue."""

    def __init__(self, venue: FakeVenue) -> None:
        self.venue = venue

    async def positions(self) -> dict[str, Decimal]:
        rows: Any = (await self.venue.positions(["BTC"])).body
        return {row["symbol"]: Decimal(row["quantity"]) for row in rows}

    async def place(
        self, symbol: str, side: OrderSide, quantity: Decimal, *, client_id: str, reduce_only: bool
    ) -> None:
        await self.venue.place(
            OrderRequest(id=client_id, symbol=symbol, side=side, quantity=quantity, reduce_only=reduce_only)
        )

    async def order(self, client_id: str) -> Order | None:
        found = await self.venue.find(client_id)
        if found.status == 404:
            return None
        row: Any = found.body
        numbers = (None if row.get(name) is None else Decimal(row[name]) for name in ("price", "fee"))
        status = {"live": "open", "partial": "canceled", "cancelled": "canceled"}.get(row["state"], row["state"])
        return Order(row["order"], status, Decimal(row.get("filled", 0)), *numbers)

    async def cancel(self, client_id: str) -> None:
        await self.venue.cancel(client_id)


def a_case() -> ExecutorCase:
    """The page's executor on a venue where nothing is held."""
    blocks = re.findall(r"```python\n(.*?)```", EMBED, re.DOTALL)
    page: dict[str, Any] = {"__name__": "page"}
    for block in (blocks[0], next(block for block in blocks if "class MyExecutor" in block)):
        exec(block, page)
    clock = ManualClock()
    venue = FakeVenue("lighter", prices={"BTC": 100_000}, clock=clock)
    executor = page["MyExecutor"]({"lighter": Client(venue)})

    async def settled() -> None:
        clock.advance(executor.capabilities("lighter").settle)

    return ExecutorCase(
        executor=executor,
        market=Market("lighter", "BTC"),
        quantity=Decimal("0.01"),
        settled=settled,
        break_reads=lambda: venue.plan("read", Fate(answer=Answer.UNAVAILABLE), times=None),
    )


@pytest.mark.parametrize("check", checks_for_executor(a_case), ids=str)
def test_the_executor_that_a_host_starts_from_is_a_correct_one(check: Callable[[], None]) -> None:
    check()


async def test_of_an_order_that_was_canceled_it_says_what_was_filled() -> None:
    case = a_case()
    venue = case.executor._clients["lighter"].venue  # type: ignore[attr-defined]  # it is the page's own
    venue.plan("place", Fate(share="0.4"))
    intent = case.intent(Effect.OPEN)
    await case.executor.send(intent)
    found = await case.executor.find(intent)
    assert (found.state, found.filled) == (ReportState.PARTIAL, Decimal("0.004"))
