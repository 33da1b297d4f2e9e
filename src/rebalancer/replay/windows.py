"""The column engine in numpy: every lane looks some ticks ahead at once, up to the first at which a rule may fire.

A position is decided by what it was opened with and by the tick alone. So each lane goes its own way through time: the
ticks ahead of all lanes that hold a position are asked together, a window of them; a lane then jumps to the first tick
at which some rule fires (or would, if the widest pair were its candidate), is decided there to the letter, and goes on
from there. A flat lane jumps to the next tick at which its entry policy opens a pair.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..domain.numbers import EIGHT_HOURS
from ..domain.quoted_legs import NEVER
from ..rules.values import NEVER_SEEN, UNSCHEDULED
from .board import NOTHING, between
from .columns import numpy
from .pairs import Pairs, Search
from .program import Line, Shape, rankings
from .work import END, Positions, Work

if TYPE_CHECKING:
    from .columns import Mask, Steps

_LANES = 2_048
"""Lanes that run together."""
_CELLS = 16_384
"""Lanes x ticks of a window, at most: what stays in the processor's cache."""
_NOT_FREE = {"divergence_there", "cost", "gain"}


def positions(work: Work) -> Positions:
    """The positions that the lanes of the work held."""
    np = numpy()
    parts = [_Run(work, np.arange(at, min(at + _LANES, work.lanes))).run() for at in range(0, work.lanes, _LANES)]
    found = Positions(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    order = np.lexsort((found.opened, found.lane))
    return Positions(*(column[order] for column in found))


class _Run:
    """Some lanes. Per lane: whether it `holds` a pair, the legs, when they were `opened` (ticks), the entry divergence,
    and the next tick `at` which it is decided.
    """

    def __init__(self, work: Work, lanes: Steps) -> None:
        np = self._np = numpy()
        self._work, self._board = work, work.board
        self._lane = lanes
        self._setting, self._symbol = np.divmod(lanes, len(self._board.symbols))
        self._hope, self._decide = written(work.shape)
        self._entries, self._entry_row = self._next_entries()
        self._long, self._short, self._opened, self._entry, self._at = np.zeros((5, len(lanes)), dtype=np.int64)
        self._holds = np.zeros(len(lanes), dtype=bool)
        self._found: list[tuple[Steps, ...]] = []
        legs = work.entry_legs
        self._equal_legs = bool((legs == legs[:, :1]).all())
        self._same = [bool((column == column[0]).all()) for column in work.parameters.T]

    def run(self) -> Positions:
        """Replay the lanes to the end."""
        np = self._np
        self._open(np.arange(len(self._lane)), np.zeros(len(self._lane), dtype=np.int64))
        active = np.flatnonzero(self._holds)
        ahead = 16.0
        while len(active):
            width = max(1, min(int(2 * ahead), max(4, _CELLS // len(active))))
            before = self._at[active]
            hopeful, tick = self._look(active, width)
            self._at[active[~hopeful]] += width
            if len(tick):
                self._settle(active[hopeful], tick)
            ahead = max(2.0, 0.7 * ahead + 0.3 * float((self._at[active] - before).mean()))
            active = self._ended(active[self._holds[active]])
        nothing = (np.zeros(0, dtype=np.int64),) * len(Positions._fields)
        return Positions(*(np.concatenate(parts) for parts in zip(nothing, *self._found, strict=True)))

    def _next_entries(self) -> tuple[Steps, Steps]:
        """By (symbol, limit) and tick: the first tick from there on with a pair above it; and each lane's row."""
        np, ticks = self._np, self._board.ticks
        widest = self._board.widest(self._work.rankings[self._work.entry])
        keys = np.stack((self._symbol, self._work.limit[self._setting]))
        pairs, rows = np.unique(keys, axis=1, return_inverse=True)
        soonest = np.full((pairs.shape[1], ticks + 2), ticks, dtype=np.int32)
        every = np.arange(ticks, dtype=np.int32)
        for row, (symbol, limit) in zip(soonest, pairs.T.tolist(), strict=True):
            np.copyto(row[:ticks], every, where=widest.divergence[symbol] > limit)
            np.minimum.accumulate(row[::-1], out=row[::-1])
        return soonest, rows.ravel()

    def _open(self, lanes: Steps, tick: Steps) -> None:
        """Open the next pair of these lanes, from a tick on; those that never do hold nothing any more."""
        while len(lanes):
            opened = self._entries[self._entry_row[lanes], tick].astype(self._np.int64)
            there = opened < self._board.ticks
            self._holds[lanes] = there
            lanes, opened = lanes[there], opened[there]
            long, short = self._opening(lanes, opened)
            opens = long != END
            self._hold(lanes[opens], opened[opens], long[opens], short[opens])
            lanes, tick = lanes[~opens], opened[~opens] + 1

    def _opening(self, lanes: Steps, tick: Steps) -> tuple[Steps, Steps]:
        """The legs of the pairs that these lanes open at a tick with one above their limit; END where none is."""
        np, work, symbol, setting = self._np, self._work, self._symbol[lanes], self._setting[lanes]
        ranking = work.rankings[work.entry]
        if self._equal_legs:
            widest = self._board.widest(ranking)
            return widest.long[symbol, tick], widest.short[symbol, tick]
        pairs = Pairs.of(self._board, ranking, symbol, tick)
        legs = work.entry_legs[setting[:, None], pairs.markets]
        horizon, least = (work.opens[setting, place] for place in (0, 1))
        cost = (legs[:, :, None] + legs[:, None, :]) * EIGHT_HOURS
        largest, long, short = pairs.best(pairs.divergence * horizon[:, None, None] - cost)
        return np.where(largest > least, long, END), np.where(largest > least, short, END)

    def _hold(self, lanes: Steps, tick: Steps, long: Steps, short: Steps) -> None:
        rates = self._board.rates
        self._long[lanes], self._short[lanes], self._opened[lanes], self._at[lanes] = long, short, tick, tick + 1
        self._entry[lanes] = between(rates[long, tick], rates[short, tick])

    def _ended(self, lanes: Steps) -> Steps:
        """End the positions of the lanes that are at the end of time; the other lanes."""
        over = self._at[lanes] >= self._board.ticks
        if over.any():
            self._note(lanes[over], self._np.full(int(over.sum()), self._board.ticks - 1), END)
        rest: Steps = lanes[~over]
        return rest

    def _note(self, lanes: Steps, tick: Steps, rule: Any) -> None:
        rules = self._np.broadcast_to(rule, lanes.shape)
        held = self._opened[lanes], self._long[lanes], self._short[lanes]
        self._found.append((self._lane[lanes], *held, tick, rules))

    def _look(self, lanes: Steps, width: int) -> tuple[Mask, Steps]:
        """Which lanes have a tick in their window at which a rule may fire, and the first such tick of each of them."""
        np = self._np
        begin = self._at[lanes]
        tick = begin[:, None] + np.arange(width)
        hope = np.broadcast_to(self._hope(**self._values(lanes, tick)), tick.shape)
        first = hope.argmax(axis=1)
        ticks = begin + first
        hopeful = hope[np.arange(len(lanes)), first] & (ticks < self._board.ticks)
        return hopeful, ticks[hopeful]

    def _settle(self, lanes: Steps, tick: Steps) -> None:
        """Decide the lanes at a tick each."""
        np = self._np
        rule = np.full(len(lanes), END)
        search = Search(self._work, lanes, tick, (self._setting, self._long, self._short))
        said = self._decide(search=search, **self._values(lanes, tick))
        for place, (fires, _) in reversed(tuple(enumerate(said))):
            np.copyto(rule, place, where=fires)
        self._at[lanes] = tick + 1
        acts = np.flatnonzero(rule != END)
        lanes, tick, rule = lanes[acts], tick[acts], rule[acts]
        self._note(lanes, tick, rule)
        closed = np.ones(len(lanes), dtype=bool)
        for place, (_, target) in enumerate(said):
            if target is not None:
                switches = rule == place
                closed &= ~switches
                to_long, to_short = (legs[acts[switches]] for legs in target)
                self._hold(lanes[switches], tick[switches], to_long, to_short)
        self._open(lanes[closed], tick[closed] + 1)

    def _values(self, lanes: Steps, tick: Steps) -> dict[str, Any]:
        """What the program reads of the lanes at these ticks: arrays in the shape of `tick`."""
        board, work = self._board, self._work
        spread = (slice(None), *(None,) * (tick.ndim - 1))
        setting = self._setting[lanes]

        def places(rows: Steps) -> Steps:
            return (rows * board.ticks)[spread] + tick

        def of(column: Any, at: Steps) -> Steps:
            taken: Steps = column.ravel().take(at, mode="clip")
            return taken

        long, short = places(self._long[lanes]), places(self._short[lanes])
        values: dict[str, Any] = {
            "now": board.first + board.every * tick,
            "opened": (board.first + board.every * self._opened[lanes])[spread],
            "entry": self._entry[lanes][spread],
        }
        for name in work.shape.fields:
            column = work.column(name)
            values[f"long_{name}"], values[f"short_{name}"] = of(column, long), of(column, short)
        for place, same in enumerate(self._same):
            column = work.parameters[:, place]
            values[f"p{place}"] = int(column[0]) if same else column[setting][spread]
        for ranking in rankings(work.shape):
            values[f"wide_{ranking}"] = of(board.widest(work.rankings[ranking]).divergence, places(self._symbol[lanes]))
        for number in range(work.shape.priced):
            values[f"floor_{number}"] = work.floor[setting, number][spread]
        for number in work.shape.leaving:
            legs = work.legs[:, number]
            values[f"leaving_{number}"] = (legs[setting, self._long[lanes]] + legs[setting, self._short[lanes]])[spread]
        return values


@cache
def written(shape: Shape) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The program of a shape for numpy: where something may fire, and what does."""
    np = numpy()
    namespace: dict[str, Any] = {
        **dict(shape.functions),
        "between": between,
        "smaller": np.minimum,
        "no": np.logical_not,
        "always": True,
        "NEVER": NEVER,
        "NEVER_SEEN": NEVER_SEEN,
        "NOTHING": NOTHING,
        "UNSCHEDULED": UNSCHEDULED,
    }
    given = ["now", "opened", "entry", *(f"{leg}_{name}" for name in shape.fields for leg in ("long", "short"))]
    given += [f"p{place}" for place in range(shape.parameters)]
    given += [f"wide_{ranking}" for ranking in rankings(shape)]
    given += [f"floor_{number}" for number in range(shape.priced)] + [f"leaving_{number}" for number in shape.leaving]
    lines = [line for alternative in shape.alternatives for line in alternative.lines]
    hope = " | ".join(alternative.fires for alternative in shape.alternatives)
    results = (
        f"({one.fires}, {None if one.switch is None else f'(long_{one.switch}, short_{one.switch})'})"
        for one in shape.alternatives
    )
    source = [f"def hope({', '.join(given)}):"]
    source += [f"    {text}" for line in lines for text in _hoped(line)]
    source += [f"    return {hope}", f"def decide(search, {', '.join(given)}):"]
    source += [f"    {text}" for line in lines for text in _decided(line, set(namespace))]
    source += [f"    return ({', '.join(results)},)"]
    exec("\n".join(source), namespace)  # made of the names in `values` and in the rules' functions alone
    return namespace["hope"], namespace["decide"]


def _hoped(line: Line) -> list[str]:
    """A line as it is where the widest pair is the candidate and the switch the cheapest: no gain is larger."""
    if line.switch is None:
        return [f"{line.name} = {line.code}"]
    return [
        f"divergence_there = wide_{line.switch.ranking}",
        f"cost = floor_{line.switch.number}",
        f"gain = {line.switch.gain}",
        f"{line.name} = {line.switch.able} & (divergence_there > NOTHING) & {line.switch.fires}",
    ]


def _decided(line: Line, known: set[str]) -> list[str]:
    if line.switch is None:
        return [f"{line.name} = {line.code}"]
    switch = line.switch
    mentioned = {
        name: None for code in (switch.gain, switch.fires) for name in compile(code, __file__, "eval").co_names
    }
    free = ", ".join(name for name in mentioned if name not in known | _NOT_FREE)
    *before, hope = _hoped(line)
    gain, fires = f"lambda divergence_there, cost, {free}: {switch.gain}", f"lambda gain, {free}: {switch.fires}"
    found = f"{line.name}, long_{switch.number}, short_{switch.number}"
    asked = f"{line.name}, {switch.number}, {switch.ranking}"
    return [*before, hope, f"{found} = search({asked}, {gain}, {fires}, ({free},))"]
