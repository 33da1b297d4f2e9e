"""The positions of a store: brought in from a file, and listed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal, localcontext
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import typer

from ..adapters.clock import SystemClock
from ..adapters.stores import SqliteStore, mode_of
from ..domain.batch import Batch, StoreMode
from ..domain.intents import Side
from ..domain.legs import Known, LegState
from ..domain.lifecycle import market_of, recorded
from ..domain.names import Market
from ..domain.needs import Needs
from ..domain.position import Position
from ..domain.request import MarketRequest
from ..errors import Fenced, InputError, SourceError
from ..monitor import ask
from ..monitor.adoption import adopted
from ..rules.asking import ENGINE_CONTEXT
from .common import PluginNames, aside, clear_errors, console, read_positions, say, speaking_of
from .market import DEADLINE, AsJson, SourceName, SourceOptions, Url
from .status import as_table
from .store import StoreFile, Wait, in_turn, with_store
from .trading import Trading

app = typer.Typer(name="positions", help="Bring positions into a store, and list them.", no_args_is_help=True)

LEASE = timedelta(seconds=30)
_FINEST = Decimal("1E-8")
"""Tokens are computed to this."""


@app.command(name="import")
def import_positions(
    positions: Annotated[Path, typer.Argument(metavar="POSITIONS.json", help="A position or a list of them, as JSON.")],
    *,
    store: StoreFile,
    mode: Annotated[
        StoreMode | None, typer.Option("--mode", help="What a new store is for; one that is there keeps its own.")
    ] = None,
    source: SourceName = "service",
    url: Url = None,
    option: SourceOptions = None,
    plugin: PluginNames = None,
    wait: Wait = 90,
) -> None:
    """Have a store watch positions that are open already: all of the file, or none. Again changes nothing.

    On paper each leg needs its tokens; where the file lacks them, they follow from the size and the source's marks.
    """
    with clear_errors():
        held = read_positions(positions)
        _require_distinct(held, positions)
        chosen = mode or (mode_of(store) if store.exists() else StoreMode.DRY)
        trading = Trading(None, None, source, url, option, plugin)
        with aside():
            new = asyncio.run(_imported(held, positions, store, chosen, trading, wait=wait))
        there = len(held) - new
        known = f", {there} there already" if there else ""
        typer.echo(f"{_counted(new)} imported{known}: {store} ({chosen})")


def _counted(number: int) -> str:
    return f"{number} position" if number == 1 else f"{number} positions"


def _require_distinct(held: Sequence[Position], file: Path) -> None:
    """No two of a file may be one position, or own one market."""
    ids: set[UUID] = set()
    owner: dict[Market, int] = {}
    for place, one in enumerate(held, start=1):
        where = f"{file}, position {place}"
        if one.id in ids:
            raise InputError(f"{where}: another position of the file has its id")
        ids.add(one.id)
        for leg in Side:
            market = market_of(one, leg)
            if market in owner:
                raise InputError(f"{where}: position {owner[market]} of the file owns {market} as well")
            owner[market] = place


async def _imported(
    held: Sequence[Position], file: Path, path: Path, mode: StoreMode, trading: Trading, *, wait: int
) -> int:
    """Write what is not there yet, all in one step; how many that are."""
    marks = await _marks(held, trading) if mode is StoreMode.PAPER else {}
    ready = []
    for place, one in enumerate(held, start=1):
        with speaking_of(f"{file}, position {place}" if len(held) > 1 else str(file)):
            ready.append(_ready(one, mode, marks))
    new = not path.exists()
    async with SqliteStore(path, mode=mode) as store:
        if new:
            say(f"a new store for {mode} positions: {path}")
        return await in_turn(lambda: _written(store, ready, file), wait=wait)


def _ready(position: Position, mode: StoreMode, marks: Mapping[Market, Decimal]) -> Position:
    """The position as it is taken over. Live ones are traded once a monitor has read their legs."""
    if mode is StoreMode.LIVE:
        return adopted(position, {})
    if mode is StoreMode.PAPER:
        position = _with_tokens(position, marks)
    legs: dict[Market, LegState] = {}
    for leg in Side:
        tokens = recorded(position, leg) or Decimal(1)  # in a dry run nobody reads them, and nobody trades them
        legs[market_of(position, leg)] = Known(tokens if leg is Side.LONG else -tokens)
    taken = adopted(position, legs)
    return position if mode is StoreMode.DRY else taken


def _with_tokens(position: Position, marks: Mapping[Market, Decimal]) -> Position:
    """The position with as many tokens on either leg as its size is worth at the mark, where it does not say."""
    said = [tokens for leg in Side if (tokens := recorded(position, leg)) is not None]
    if len(said) == len(Side):
        return position
    long, short = (marks.get(market_of(position, leg)) for leg in Side)
    mark = long or short
    if not said and mark is None:
        raise InputError(
            "its tokens are not in the file, and the source has no mark price to compute them by: give long_quantity "
            "and short_quantity, or a --source with marks"
        )
    tokens = said[0] if said else _tokens(position.size_usd, mark or Decimal(1))
    return position.model_copy(
        update={
            "long_quantity": position.long_quantity or tokens,
            "short_quantity": position.short_quantity or tokens,
            "long_entry_price": position.long_entry_price or long,
            "short_entry_price": position.short_entry_price or short,
        }
    )


def _tokens(size: Decimal, mark: Decimal) -> Decimal:
    with localcontext(ENGINE_CONTEXT):
        tokens = (size / mark).quantize(_FINEST, rounding=ROUND_DOWN).normalize()
    if not tokens:
        raise InputError("its size is worth less than the smallest quantity: give its tokens in the file")
    return tokens


async def _marks(held: Sequence[Position], trading: Trading) -> dict[Market, Decimal]:
    """The mark prices of positions that do not say their tokens."""
    legs = {market_of(one, leg) for one in held for leg in Side if any(recorded(one, side) is None for side in Side)}
    if not legs:
        return {}
    async with AsyncExitStack() as stack:
        source = await trading.source_of(stack)
        if not source.supplies.mark_price:
            return {}
        request = MarketRequest(markets=tuple(sorted(legs)), needs=Needs(mark_price=True))
        try:
            snapshot = await ask(source, request, deadline=DEADLINE)
        except SourceError as error:
            raise InputError(
                f"tokens are not in the file, and there are no marks to compute them by: {error}"
            ) from error
    fresh = {market: quote for market, quote in snapshot.by_market.items() if snapshot.book.leg(market).refusal is None}
    return {market: quote.mark_price for market, quote in fresh.items() if quote.mark_price is not None}


async def _written(store: SqliteStore, held: Sequence[Position], file: Path) -> int:
    """Write them, as who has the lease; Fenced while a monitor has it."""
    lease = await store.acquire(f"import-{uuid4().hex}", LEASE)
    if lease is None:
        raise Fenced("another monitor is active")
    try:
        owner: dict[Market, UUID] = {market_of(one, leg): one.id for one in await store.live() for leg in Side}
        new = []
        for place, one in enumerate(held, start=1):
            where = f"{file}, position {place}" if len(held) > 1 else str(file)
            stored = await store.position(one.id)
            if stored is not None:
                if stored.pair != one.pair:
                    raise InputError(f"{where}: its id is that of another position of the store, {stored.pair}")
                continue
            for leg in Side:
                if market_of(one, leg) in owner:
                    raise InputError(f"{where}: another open position of the store owns {market_of(one, leg)}")
            new.append(one)
        await store.commit(lease, Batch(positions=tuple(new)))
        return len(new)
    finally:
        await store.release(lease)


@app.command(name="list")
def list_positions(
    *,
    store: StoreFile,
    everything: Annotated[bool, typer.Option("--all", help="Those that are closed as well.")] = False,
    json: AsJson = False,
) -> None:
    """List the positions of a store that are not closed."""
    with clear_errors():

        async def read(opened: SqliteStore) -> tuple[Position, ...]:
            living = await opened.live()
            return (*await opened.closed(), *living) if everything else living

        held = with_store(store, read)
        if json:
            typer.echo("[" + ",\n ".join(one.model_dump_json() for one in held) + "]")
        elif held:
            to = console()
            to.print(as_table(to, held, SystemClock().now()))
        else:
            typer.echo("There are no positions." if everything else "There are no open positions.")
