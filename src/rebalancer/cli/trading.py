"""What a command trades with: the executor that its options name, and the source that goes with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import typer

from ..adapters.executors import PaperExecutor
from ..adapters.stores import SqliteStore
from ..domain.batch import StoreMode
from ..domain.intents import Intent, Side
from ..domain.legs import LegState
from ..domain.lifecycle import market_of, recorded
from ..domain.names import Market
from ..domain.needs import Needs
from ..domain.orders import Capabilities, Report
from ..domain.position import PositionStatus
from ..errors import InputError
from ..plugins import Registry
from ..ports import Executor, FundingSource, PositionStore
from .common import own_names, pairs, registry
from .market import source_options

PAPER = "paper"
_USUAL = {StoreMode.DRY: "dry_run", StoreMode.PAPER: PAPER}

ExecutorName = Annotated[
    str | None,
    typer.Option("--executor", metavar="NAME", help=f"One of {', '.join(own_names().executors)}, or a plugin's."),
]
ExecutorOptions = Annotated[
    list[str] | None,
    typer.Option("--executor-option", metavar="KEY=VALUE", help="An option of the executor; may be given again."),
]


@dataclass(frozen=True)
class Trading:
    """The options of a command that may trade, as they were given."""

    executor: str | None
    executor_options: Sequence[str] | None
    source: str
    url: str | None
    options: Sequence[str] | None
    plugins: Sequence[str] | None

    @cached_property
    def names(self) -> Registry:
        """Every name there is."""
        return registry(self.plugins)

    async def source_of(self, stack: AsyncExitStack) -> FundingSource:
        """The source, which is closed with the stack."""
        return await stack.enter_async_context(
            self.names.sources.create(self.source, **source_options(self.url, self.options))
        )

    async def executor_of(
        self, stack: AsyncExitStack, store: SqliteStore, path: Path, source: FundingSource | None = None
    ) -> Executor:
        """The executor that was named, else the usual one of the store's mode; it is closed with the stack.

        The one on paper has its account beside the store, and the marks of `source`.
        """
        name = self.executor or _USUAL.get(store.mode)
        if name is None:
            raise InputError("live positions need an executor that trades: name one with --executor")
        given: dict[str, object] = dict(pairs(self.executor_options, "--executor-option", such_as="leg_bps=5"))
        if name != PAPER:
            return await stack.enter_async_context(self.names.executors.create(name, **given))
        if store.mode is not StoreMode.PAPER:
            raise InputError(f"{path} was made for {store.mode}, not for paper: name another file with --store")
        source = source or await self.source_of(stack)
        if not source.supplies.mark_price:
            raise InputError(
                f"the source {self.source!r} has no mark prices, at which orders on paper are filled: choose another "
                "source, such as ccxt or a history with marks"
            )
        given = {"path": str(account_of(path)), **given, "source": source}
        return OnPaper(await stack.enter_async_context(self.names.executors.create(PAPER, **given)), store)


def account_of(store: Path) -> Path:
    """The file of the paper account that belongs to a store."""
    return store.with_name(f"{store.name}.account.json")


class OnPaper(Executor):
    """A paper account on which every open position of a store is held, those too that were imported a moment ago.

    An open position of which nothing is on the account was never put there: no order of it is sent before the store
    has it as closing.
    """

    def __init__(self, paper: Executor, store: PositionStore) -> None:
        if not isinstance(paper, PaperExecutor):
            raise InputError("this is no paper account")
        self._paper = paper
        self._store = store

    @property
    def mode(self) -> StoreMode:
        """Paper."""
        return self._paper.mode

    @property
    def supplies(self) -> Needs:
        """The legs."""
        return self._paper.supplies

    def capabilities(self, venue: str) -> Capabilities:
        """Everything."""
        return self._paper.capabilities(venue)

    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        """What the account holds, after everything was put on it that belongs there."""
        for position in await self._store.live():
            for leg in Side:
                market, quantity = market_of(position, leg), recorded(position, leg)
                if position.status is PositionStatus.OPEN and quantity is not None and market in markets:
                    signed = quantity if leg is Side.LONG else -quantity
                    price = position.long_entry_price if leg is Side.LONG else position.short_entry_price
                    self._paper.hold(market, signed, entry_price=price, again=True)
        return await self._paper.read_legs(markets)

    async def send(self, intent: Intent) -> Report:
        """Fill the order."""
        return await self._paper.send(intent)

    async def find(self, intent: Intent) -> Report:
        """What became of it."""
        return await self._paper.find(intent)

    async def cancel(self, intent: Intent) -> Report:
        """Cancel it."""
        return await self._paper.cancel(intent)
