"""The last ticks of a store: when it was looked, at how many positions, and what came of it in numbers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..adapters.clock import SystemClock
from ..adapters.stores import SqliteStore
from ..domain.batch import StoredTick
from ..domain.times import EPOCH
from .common import answers, clear_errors
from .store import StoreFile, with_store

DAY = timedelta(days=1)


def ticks(
    *,
    store: StoreFile,
    last: Annotated[int, typer.Option("--last", min=1, metavar="N", help="How many.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the last ticks of a store: when, how many positions were decided, how many exits began or were held back."""
    with clear_errors():
        found = with_store(store, lambda opened: _last(opened, last))
        if json:
            typer.echo("[" + ",\n ".join(one.model_dump_json() for one in found) + "]")
        elif found:
            answers().print(_table(found))
        else:
            typer.echo("There were no ticks with open positions.")


async def _last(store: SqliteStore, count: int) -> list[StoredTick]:
    now = SystemClock().now()
    for since in (now - DAY, now - 30 * DAY, EPOCH):
        found = await store.ticks(since)
        if len(found) >= count:
            break
    return list(found[-count:])


def _table(found: list[StoredTick]) -> Table:
    rows = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    rows.add_column("tick (UTC)")
    for heading in ("decided", "blind", "begun", "held back"):
        rows.add_column(heading, justify="right")
    for one in found:
        rows.add_row(_time(one.at), *(str(number) for number in (one.decided, one.blind, one.begun, one.held_back)))
    return rows


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
