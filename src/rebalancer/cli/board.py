"""What a monitor's ticks say, as a table that is drawn again, or as lines of what is new."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..domain.decision import RebalanceDecision
from ..domain.funding import divergence
from ..domain.lifecycle import Switch
from ..domain.numbers import FRACTION_PLACES, to_grid
from ..domain.position import Position, PositionStatus
from ..domain.tick import Alarm, AlarmLevel, TickReport
from ..domain.times import SECOND
from ..domain.verdict import Action
from ..errors import StoreError
from ..ports import Observer, PositionStore
from .fit import fitting
from .quotes import bps
from .status import state
from .store import short

_STYLES = {AlarmLevel.WARNING: "yellow", AlarmLevel.ERROR: "red", AlarmLevel.CRITICAL: "bold red"}
_AROUND = 12
"""Lines of a terminal that are kept for all but the positions."""
_FEWEST = 5
_EVENTS = 4
"""What was begun and what has ended: that many are shown."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is to show after a tick: the positions, what was last decided of each, and why it is held."""

    store: Path
    mode: str
    report: TickReport
    switch: Switch | None
    positions: tuple[Position, ...]
    decisions: dict[UUID, RebalanceDecision]
    held: dict[UUID, str]
    known: dict[UUID, Position]
    """The positions that the report speaks of, those too that have ended since."""
    events: tuple[str, ...]
    """What was begun and what has ended lately, the last of it last."""


class Board(Observer):
    """Keeps what the last ticks said, and hands it to `show` after each."""

    def __init__(self, show: Callable[[Shown], None]) -> None:
        self._show = show
        self._store: PositionStore | None = None
        self._path = Path()
        self._switch: Switch | None = None
        self._positions: tuple[Position, ...] = ()
        self._decisions: dict[UUID, RebalanceDecision] = {}
        self._held: dict[UUID, str] = {}
        self._events: deque[str] = deque(maxlen=_EVENTS)

    def of(self, store: PositionStore, path: Path) -> None:
        """Be about the positions of this store."""
        self._store, self._path = store, path

    async def observe(self, report: TickReport) -> None:
        """Take in a tick, and show it. One that only looked at closes decides nothing: what was decided stays."""
        if self._store is None:
            return
        known = {one.id: one for one in self._positions}
        try:
            self._positions, self._switch = await self._store.live(), await self._store.switch()
            known |= {one.id: one for one in self._positions}
            for ended in (key for key in report.ended if key not in known):
                position = await self._store.position(ended)
                known |= {} if position is None else {ended: position}
        except StoreError:  # it is among the alarms already
            self._switch = report.switch
        self._events += (f"{report.as_of:%H:%M:%S}  {what}" for what in _events(report, known))
        for decision in report.decisions:
            self._decisions[decision.position_id] = decision
            self._held.pop(decision.position_id, None)
        self._held |= {one.position_id: one.why for one in report.skipped}
        there = {one.id for one in self._positions}
        for kept in (self._decisions, self._held):
            for gone in kept.keys() - there:
                kept.pop(gone, None)
        self._show(
            Shown(
                store=self._path,
                mode=self._store.mode,
                report=report,
                switch=self._switch,
                positions=self._positions,
                decisions=dict(self._decisions),
                held=dict(self._held),
                known=known,
                events=tuple(self._events),
            )
        )


def edge(decision: RebalanceDecision) -> int | None:
    """The divergence that a decision was made on, in grid steps; None where it was unknown."""
    rates = decision.record.long.rate, decision.record.short.rate
    if rates[0] is None or rates[1] is None:
        return None
    return divergence(to_grid(rates[0], FRACTION_PLACES), to_grid(rates[1], FRACTION_PLACES))


# As a table


def shown_as_table(shown: Shown, console: Console, *, running: bool = False) -> RenderableType:
    """Everything, as high as the terminal at most: positions that want out first."""
    return Group(*_parts(shown, console, running=running))


def _parts(shown: Shown, console: Console, *, running: bool) -> Iterator[RenderableType]:
    report = shown.report
    title = Text("rebalancer monitor", style="bold").append(f"  {shown.mode}", style="not bold")
    if shown.switch is not None:
        title.append(f"  switch: {shown.switch}", style="not bold" if shown.switch is Switch.RUN else "bold red")
    yield title.append(f"  {report.as_of:%Y-%m-%d %H:%M:%S} UTC", style="not bold")
    yield Text(f"store {shown.store}", style="dim")
    if report.active is False:
        yield Text("\nAnother monitor is active; this one stands by.")
    if not shown.positions:
        yield Text("\nThere are no open positions.")
        if not shown.events:
            yield Text(f"Import some: rebalancer positions import FILE --store {shown.store}")
    else:
        yield from _positions(shown, console)
    yield from map(Text, shown.events)
    for alarm in report.alarms:
        yield Text.assemble((f"{alarm.level}", _STYLES[alarm.level]), f" since {alarm.since:%H:%M:%S}  {said(alarm)}")
    if running:
        yield Text("Ctrl-C stops. In another terminal: rebalancer status, close, approve, kill.", style="dim")


def _positions(shown: Shown, console: Console) -> Iterator[RenderableType]:
    most = max(_FEWEST, console.height - _AROUND - len(shown.report.alarms))
    ordered = sorted(shown.positions, key=lambda one: _calm(one, shown))

    def make(between: str) -> Table:
        rows = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in ("id", "long/short", "status"):
            rows.add_column(heading)
        for heading in ("bp/8 h", "entry"):
            rows.add_column(heading, justify="right")
        rows.add_column("decision")
        for one in ordered[:most]:
            decision = shown.decisions.get(one.id)
            now = None if decision is None else edge(decision)
            rows.add_row(
                short(one.id),
                f"{one.symbol}{between}{one.long_dex}/{one.short_dex}",
                state(one, between),
                Text("-") if now is None else bps(now),
                bps(one.entry_steps),
                _decided(decision, between),
            )
        return rows

    yield fitting(console, make)
    if len(ordered) > most:
        yield Text(f"and {len(ordered) - most:,} more")
    for one in ordered[:most]:
        if (held := shown.held.get(one.id)) is not None:
            yield Text(f"{short(one.id)} held: {held}")
        if one.attention is not None:
            yield Text(f"{short(one.id)} attention: {one.attention}", style="yellow")


def _calm(one: Position, shown: Shown) -> tuple[bool, bool]:
    """Small for what a person has to see."""
    return one.status is PositionStatus.OPEN, one.id not in shown.held and one.attention is None


def _decided(decision: RebalanceDecision | None, between: str) -> Text:
    if decision is None:
        return Text("-")
    if decision.action is Action.HOLD:
        return Text("HOLD" if decision.complete else f"HOLD,{between}incomplete")
    return Text(f"{decision.action}{between}{decision.reason}", style="bold")


def said(alarm: Alarm) -> str:
    """An alarm, with what to approve."""
    return f"{alarm}" + ("" if alarm.approve is None else f" (approve {short(alarm.approve)})")


# As lines


class News:
    """A line for each tick, and under it what is new since the one before."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._wanted: dict[UUID, str] = {}
        self._alarms: dict[tuple[str, str], Alarm] = {}

    def tell(self, shown: Shown) -> None:
        """Print a tick."""
        for line in (self._tick(shown), *self._news(shown)):
            self._console.print(Text(line), soft_wrap=True)
        self._console.file.flush()

    def _tick(self, shown: Shown) -> str:
        report = shown.report
        start = f"{report.as_of:%Y-%m-%d %H:%M:%S} UTC  {shown.mode}"
        if report.active is False:
            return f"{start}  another monitor is active, this one stands by"
        open_ = sum(one.status is PositionStatus.OPEN for one in shown.positions)
        closing = len(shown.positions) - open_
        figures = f"{open_} open, {closing} closing, {len(shown.held)} held back, {len(report.alarms)} alarms"
        return f"{start}  switch {shown.switch or 'unknown'}  {figures}, {report.took / SECOND:.2f} s"

    def _news(self, shown: Shown) -> Iterator[str]:
        yield from self._decided(shown)
        for event in _events(shown.report, shown.known):
            yield f"  {event}"
        yield from self._alarmed(shown)

    def _decided(self, shown: Shown) -> Iterator[str]:
        wanted: dict[UUID, str] = {}
        for one in shown.positions:
            decision = shown.decisions.get(one.id)
            if decision is not None and decision.action is not Action.HOLD:
                held = shown.held.get(one.id)
                wanted[one.id] = f"{decision.action} {decision.reason}" + ("" if held is None else f", held: {held}")
        for key, what in wanted.items():
            if self._wanted.get(key) != what:
                yield f"  {_name(key, shown.known)}: {what}"
        for key in self._wanted.keys() - wanted.keys():
            if key in shown.decisions:
                yield f"  {_name(key, shown.known)}: HOLD again"
        self._wanted = wanted

    def _alarmed(self, shown: Shown) -> Iterator[str]:
        lasting = {(str(one.kind), one.about): one for one in shown.report.alarms}
        for key, alarm in lasting.items():
            before = self._alarms.get(key)
            if before is None or before.level is not alarm.level:
                yield f"  {alarm.level}: {said(alarm)}"
        for key in self._alarms.keys() - lasting.keys():
            yield f"  over: {self._alarms[key].kind}: {self._alarms[key].about}"
        self._alarms = lasting


def _events(report: TickReport, known: Mapping[UUID, Position]) -> Iterator[str]:
    """What a tick began and what has ended in it."""
    for what, ids in (("its close begins", report.begun), ("closed", report.ended)):
        for one in ids:
            yield f"{_name(one, known)}: {what}"


def _name(key: UUID, known: Mapping[UUID, Position]) -> str:
    position = known.get(key)
    return short(key) if position is None else f"{short(key)} {position.pair}"
