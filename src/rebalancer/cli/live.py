"""The command that watches: ticks until it is stopped, and what they find on the terminal."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from ..adapters.stores import SqliteStore, mode_of
from ..domain.batch import StoreMode
from ..domain.names import read_venue
from ..domain.tick import AlarmKind, TickReport
from ..errors import InputError
from ..monitor.position_monitor import PositionMonitor
from ..rules.combined import CombinedStrategy
from .board import Board, News, shown_as_table
from .common import PluginNames, PresetName, answers, aside, clear_errors, names, say
from .market import SourceName, SourceOptions, Url
from .store import ENVIRONMENT
from .trading import PAPER, ExecutorName, ExecutorOptions, Trading


def monitor(
    *,
    preset: PresetName = "conservative",
    source: SourceName = "service",
    url: Url = None,
    option: SourceOptions = None,
    venues: Annotated[
        str | None, typer.Option("--venues", metavar="A,B", help="The venues that a switch may go to.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            metavar="FILE",
            envvar=ENVIRONMENT,
            show_envvar=True,
            help="The store's file, rebalancer-MODE.db in this folder by default. It is made if it is not there.",
        ),
    ] = None,
    mode: Annotated[
        StoreMode | None,
        typer.Option("--mode", help="What the positions are: that of the store, else dry, or paper by --executor."),
    ] = None,
    executor: ExecutorName = None,
    executor_option: ExecutorOptions = None,
    plugin: PluginNames = None,
    every: Annotated[int, typer.Option("--every", min=1, metavar="SECONDS", help="How often to look.")] = 60,
    kill_file: Annotated[
        Path | None, typer.Option("--kill-file", metavar="FILE", help="Nothing is sent while this file is there.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print lines instead of a live table.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Look once, print, and end.")] = False,
) -> None:
    """Watch the positions of a store until Ctrl-C. A dry run, in which nothing is sent, unless told otherwise."""
    with clear_errors():
        only = names(venues, read_venue, option="--venues")
        chosen = _mode(mode, store, executor)
        path = (store or Path(f"rebalancer-{chosen}.db")).absolute()
        trading = Trading(executor, executor_option, source, url, option, plugin)
        to = answers()
        live = to.is_terminal and not (plain or once)
        news = News(to)
        with aside(), _alarms_are_shown():
            strategy = trading.names.presets.create(preset)
            watching = _Watching(trading, strategy, path, chosen, only, kill_file)
            if once:
                board = Board(lambda one: news.tell(one) if plain else to.print(shown_as_table(one, to)))
                report = asyncio.run(watching.look_once(board))
                if not _went_well(report):
                    raise typer.Exit(1)
                return
            board = Board(news.tell)
            with ExitStack() as stack, suppress(KeyboardInterrupt, asyncio.CancelledError):
                if live:
                    table = stack.enter_context(Live(console=to, auto_refresh=False, vertical_overflow="visible"))
                    board = Board(lambda one: table.update(shown_as_table(one, to, running=True), refresh=True))
                asyncio.run(watching.until_stopped(board, timedelta(seconds=every)))
        say("stopped; what was begun is finished by the next monitor of this store")


class _Watching:
    """A monitor as the options say, made inside of the event loop."""

    def __init__(
        self,
        trading: Trading,
        strategy: CombinedStrategy,
        path: Path,
        mode: StoreMode,
        venues: Sequence[str] | None,
        kill_file: Path | None,
    ) -> None:
        self._trading = trading
        self._strategy = strategy
        self._path = path
        self._mode = mode
        self._venues = venues
        self._kill_file = kill_file

    async def _begin(self, stack: AsyncExitStack, board: Board, *, told: bool) -> PositionMonitor:
        """The monitor. The store is opened last, so that what is refused leaves no file behind."""
        source = await self._trading.source_of(stack)
        store = SqliteStore(self._path, mode=self._mode)
        executor = await self._trading.executor_of(stack, store, self._path, source)
        monitor = PositionMonitor(
            strategy=self._strategy,
            source=source,
            store=store,
            executor=executor,
            kill_file=self._kill_file,
            venues=self._venues,
            observers=(board,) if told else (),
        )
        board.of(store, self._path)
        new = not self._path.exists()
        await stack.enter_async_context(store)
        await stack.enter_async_context(monitor)
        if new:
            say(f"a new store for {self._mode} positions: {self._path}")
        return monitor

    async def look_once(self, board: Board) -> TickReport:
        """One tick, and what it found."""
        async with AsyncExitStack() as stack:
            monitor = await self._begin(stack, board, told=False)
            report = await monitor.check_all_positions()
            await board.observe(report)
            return report

    async def until_stopped(self, board: Board, every: timedelta) -> None:
        """Ticks until Ctrl-C, or a polite request to end."""
        task = asyncio.current_task()
        if task is not None:
            with suppress(NotImplementedError, ValueError, RuntimeError):  # not every system, nor thread, has signals
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        async with AsyncExitStack() as stack:
            monitor = await self._begin(stack, board, told=True)
            await monitor.run(every=every)


def _mode(given: StoreMode | None, store: Path | None, executor: str | None) -> StoreMode:
    """What the positions are: as it was said, else as the store that is there says."""
    if given is not None:
        chosen = given
    elif store is not None and store.exists():
        chosen = mode_of(store)
    else:
        chosen = StoreMode.PAPER if executor == PAPER else StoreMode.DRY
    if chosen is StoreMode.LIVE and executor is None:
        raise InputError("live positions need an executor that trades: name one with --executor, or use another store")
    return chosen


def _went_well(report: TickReport) -> bool:
    """Whether a tick happened, and could know anything."""
    blind = any(alarm.kind is AlarmKind.SOURCE_DOWN for alarm in report.alarms)
    return bool(report.active) and not report.failures and not blind


@contextmanager
def _alarms_are_shown() -> Iterator[None]:
    """What the monitor logs is in the table, so it is not written over it as well."""
    log, handler = logging.getLogger("rebalancer"), logging.NullHandler()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
