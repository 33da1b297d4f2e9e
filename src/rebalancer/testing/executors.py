"""What every executor must do, as named checks that its author and its hosts run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from inspect import isawaitable
from uuid import UUID, uuid4

from ..domain.intents import Effect, Intent, IntentState, Side
from ..domain.legs import Known, LegState
from ..domain.names import Market
from ..domain.orders import Capabilities, Report
from ..domain.times import SECOND
from ..ports import Executor
from .factories import AS_OF


@dataclass(frozen=True, kw_only=True)
class ExecutorCase:
    """A fresh executor on a venue in a known state, for one check.

    Nothing is held on `market` and no order is there; orders of up to 4 times `quantity` (tokens) fill there at once,
    on both sides, and nobody else trades. `settled` lets time pass until what was sent has done what it will; by
    default it waits for the venue's `settle`. `break_reads` and `break_orders` have the venue fail every later read of
    positions, and every later order before it takes it in; a check that needs one that is not given does not look.
    """

    executor: Executor
    market: Market
    quantity: Decimal
    settled: Callable[[], Awaitable[None]] | None = None
    break_reads: Callable[[], None] | None = None
    break_orders: Callable[[], None] | None = None
    position_id: UUID = field(default_factory=uuid4)

    @property
    def capabilities(self) -> Capabilities:
        """What the executor declares of the venue."""
        return self.executor.capabilities(self.market.venue)

    def intent(self, effect: Effect, *, leg: Side = Side.LONG, times: int = 1, attempt: int = 1) -> Intent:
        """An intent of `times` the quantity, ready to be sent; its key is new for each leg, effect and attempt."""
        return Intent(
            position_id=self.position_id,
            version=1,
            effect=effect,
            leg=leg,
            attempt=attempt,
            venue=self.market.venue,
            symbol=self.market.symbol,
            state=IntentState.SENT,
            quantity=self.quantity * times,
            planned_at=AS_OF,
            sent_at=AS_OF,
        )

    async def settle(self) -> None:
        """Let what was sent do what it will."""
        if self.settled is None:
            await asyncio.sleep(self.capabilities.settle / SECOND)
        else:
            await self.settled()

    async def leg(self, market: Market | None = None) -> LegState:
        """A read of the market, or of another one."""
        wanted = market or self.market
        legs = await self.executor.read_legs([wanted])
        must(wanted in legs, f"asked for {wanted}, it did not answer for it")
        return legs[wanted]

    async def holds(self, quantity: Decimal, when: str) -> None:
        """Fail unless that much is held, if legs can be read."""
        leg = await self.leg()
        if isinstance(leg, Known):
            must(leg.quantity == quantity, f"{when}, {leg.quantity} is held, not {quantity}")
        else:
            must(
                not self.capabilities.reads_legs,
                f"{when}, the leg is unknown ({leg.reason}), and reads_legs is claimed",
            )

    async def done(self, intent: Intent) -> Report:
        """Send an intent, and see to the end of it."""
        said = await self.executor.send(intent)
        must(isinstance(said, Report), f"send returned a {type(said).__name__}, not a Report")
        await self.settle()
        return said


def must(true: bool, wrong: str) -> None:  # noqa: FBT001  # as an assertion has it
    """Fail with what is `wrong`, unless it is true."""
    if not true:
        raise AssertionError(wrong)


Make = Callable[[], ExecutorCase | Awaitable[ExecutorCase]]
"""What gives each check a case of its own. It is called inside the check's event loop."""


@dataclass(frozen=True)
class ExecutorCheck:
    """A check: call it. It raises AssertionError with what is wrong."""

    name: str
    _run: Callable[[ExecutorCase], Awaitable[None]]
    _make: Make
    _within: timedelta

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> None:
        """Run it on a fresh case."""
        asyncio.run(self._checked())

    async def _checked(self) -> None:
        async with asyncio.timeout(self._within / SECOND):
            made = self._make()
            case = await made if isawaitable(made) else made
            async with case.executor:
                await self._run(case)


def checks_for_executor(make: Make, *, within: timedelta = timedelta(minutes=5)) -> tuple[ExecutorCheck, ...]:
    """The checks, each of which is to be called without arguments, and may take as long as `within`.

    `make` gives a fresh ExecutorCase for each. What a venue can not do is not asked for: a check looks at what its
    capabilities claim, and fails where one is claimed that is not there.
    """
    from .executor_checks import CHECKS

    return tuple(ExecutorCheck(check.__name__.replace("_", " "), check, make, within) for check in CHECKS)
