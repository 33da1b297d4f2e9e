"""The column engine compiled by numba: one driver a shape of strategy, lanes outside and ticks inside.

The rules' own functions are compiled as they are and inlined into the driver. What is compiled stays in the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from ..domain.book import NEVER
from ..domain.funding import divergence
from ..rules.grid import Function
from ..rules.values import UNSCHEDULED
from .columns import numpy
from .program import Line, Shape
from .work import END, Positions, Work

_ROWS = 1 << 16
"""Positions for which room is made at a time, if the history has not more ticks."""


def available() -> bool:
    """Whether numba is installed."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def positions(work: Work, *, made: Callable[[Shape], Callable[..., tuple[int, int]]] | None = None) -> Positions:
    """The positions that the lanes of the work held, by the driver that is `made` of the shape (compiled)."""
    np, board, shape = numpy(), work.board, work.shape
    driver: Callable[..., tuple[int, int]] = (made or compiled)(shape)
    if made is None:
        board.find_widest(_jit(_find_widest))
    widest = board.widest
    columns = [getattr(board, _COLUMNS[name]) for name in shape.fields]
    lane, parts = 0, []
    while lane < work.lanes:
        room = np.empty((max(_ROWS, board.ticks), len(Positions._fields)), dtype=np.int64)
        lane, filled = driver(
            lane, work.lanes, room, board.first, board.every, board.ticks, board.low, board.high, *widest, *columns,
            work.limit, work.parameters, work.floor, work.flat, work.legs,
        )  # fmt: skip
        parts.append(room[:filled])
    found = np.concatenate(parts) if parts else np.zeros((0, len(Positions._fields)), dtype=np.int64)
    return Positions(*found.T)


_COLUMNS = {"rate": "rates", "known": "known", "due": "due", "pays": "pays", "interest": "interest"}


@cache
def _jit(function: Function) -> Any:
    """The function, compiled to run without the interpreter's lock."""
    from numba import njit

    return njit(function, nogil=True)


@cache
def compiled(shape: Shape) -> Callable[..., tuple[int, int]]:
    """The driver of a shape. It stops before a lane for which there may be no room, and says which and what it wrote:
    rows of `Positions`.
    """
    driver: Callable[..., tuple[int, int]] = interpreted(shape, ready=_jit)
    return driver


def interpreted(shape: Shape, *, ready: Callable[[Function], Any] = lambda function: function) -> Any:
    """The same driver, each function made `ready` or run as it is: slow, and the same to the last step."""
    namespace: dict[str, Any] = {
        **{name: ready(function) for name, function in shape.functions},
        "between": ready(divergence),
        "smaller": ready(_smaller),
        "no": ready(_no),
        "always": True,
        "NEVER": NEVER,
        "UNSCHEDULED": UNSCHEDULED,
        "END": END,
    }
    exec(source(shape), namespace)  # made of the names in `values` and in the rules' functions alone
    return ready(namespace["run"])


def _find_widest(
    rates: Any, known: Any, lows: Any, highs: Any, there: Any, divergences: Any, longs: Any, shorts: Any
) -> None:
    """The widest pairs by symbol and tick: long the lowest known rate, short the highest, of equals the first.

    Where all known rates are equal, the first pair is of the first two of them.
    """
    for symbol in range(len(lows)):
        for tick in range(rates.shape[1]):
            seen, long, short, second = 0, lows[symbol], lows[symbol], lows[symbol]
            for place in range(lows[symbol], highs[symbol]):
                if known[place, tick]:
                    seen += 1
                    if seen == 1:
                        long = short = place
                    elif seen == 2:
                        second = place
                    if rates[place, tick] < rates[long, tick]:
                        long = place
                    if rates[place, tick] > rates[short, tick]:
                        short = place
            there[symbol, tick] = seen > 1
            divergences[symbol, tick] = rates[short, tick] - rates[long, tick] if seen > 1 else 0
            longs[symbol, tick], shorts[symbol, tick] = long, second if long == short else short


def _smaller(one: int, other: int) -> int:
    return min(one, other)


def _no(mask: bool) -> bool:  # noqa: FBT001
    return not mask


def source(shape: Shape) -> str:
    """The text of the driver."""
    columns = [f"{name}_column" for name in shape.fields]
    given = ", ".join(
        ("start, lanes, room, first, every, ticks, lows, highs, wides_there, wides, wides_long, wides_short",
         *columns, "limits, parameters, floors, flats, all_legs")
    )  # fmt: skip
    return "\n".join((f"def run({given}):", *(f"    {line}" for line in _driver(shape))))


def _driver(shape: Shape) -> Iterator[str]:
    yield "filled = 0"
    yield "symbols = len(lows)"
    yield "for lane in range(start, lanes):"
    yield "    if len(room) - filled < ticks:"
    yield "        return lane, filled"
    yield "    setting, symbol = lane // symbols, lane % symbols"
    yield "    low, high, limit = lows[symbol], highs[symbol], limits[setting]"
    yield "    wide_there_at, wide_at = wides_there[symbol], wides[symbol]"
    yield from (f"    p{place} = parameters[setting, {place}]" for place in range(shape.parameters))
    for number in range(shape.switches):
        yield f"    floor_{number}, flat_{number} = floors[setting, {number}], flats[setting, {number}]"
        yield f"    legs_{number} = all_legs[setting, {number}]"
    yield "    tick, rule = 0, 0"
    yield "    while True:"
    yield "        while tick < ticks and not (wide_there_at[tick] and wide_at[tick] > limit):"
    yield "            tick += 1"
    yield "        if tick == ticks:"
    yield "            break"
    yield "        long, short = wides_long[symbol, tick], wides_short[symbol, tick]"
    yield "        while True:"
    yield "            begun, opened = tick, first + every * tick"
    yield "            entry = between(rate_column[long, tick], rate_column[short, tick])"
    for name in shape.fields:
        yield f"            long_{name}_at, short_{name}_at = {name}_column[long], {name}_column[short]"
    yield "            rule, to_long, to_short = END, END, END"
    yield "            for tick in range(begun + 1, ticks):"
    yield "                now = first + every * tick"
    for name in shape.fields:
        yield f"                long_{name}, short_{name} = long_{name}_at[tick], short_{name}_at[tick]"
    for place, alternative in enumerate(shape.alternatives):
        for line in alternative.lines:
            yield from (f"                {text}" for text in _line(line))
        yield f"                if {alternative.fires}:"
        yield f"                    rule = {place}"
        if alternative.switch is not None:
            yield f"                    to_long, to_short = long_{alternative.switch}, short_{alternative.switch}"
        yield "                    break"
    yield "            left = tick if rule != END else ticks - 1"
    yield "            room[filled, 0], room[filled, 1], room[filled, 2] = lane, begun, long"
    yield "            room[filled, 3], room[filled, 4], room[filled, 5] = short, left, rule"
    yield "            filled += 1"
    yield "            tick = left"
    yield "            if to_long == END:"
    yield "                break"
    yield "            long, short = to_long, to_short"
    yield "        if rule == END:"
    yield "            break"
    yield "        tick += 1"
    yield "return lanes, filled"


def _line(line: Line) -> Iterator[str]:
    """A line; for a switch the search of the best candidate, if any could make it fire."""
    if line.switch is None:
        yield f"{line.name} = {line.code}"
        return
    number, gain, fires, able = line.switch
    yield f"long_{number} = short_{number} = END"
    yield f"{line.name} = False"
    yield f"if {able} and wide_there_at[tick]:"
    yield "    divergence_there = wide_at[tick]"
    yield f"    cost = floor_{number}"
    yield f"    gain = {gain}"
    yield f"    if {fires}:"
    yield "        largest = gain"
    yield "        for i in range(low, high):"
    yield "            if not known_column[i, tick]:"
    yield "                continue"
    yield f"            there_long = flat_{number} if i == long else flat_{number} + legs_{number}[i]"
    yield f"            there_long = there_long if i == long else there_long + legs_{number}[long]"
    yield "            for j in range(low, high):"
    yield "                if j == i or not known_column[j, tick] or (i == long and j == short):"
    yield "                    continue"
    yield f"                kept = legs_{number}[j] + legs_{number}[short]"
    yield "                cost = there_long if j == short else there_long + kept"
    yield "                divergence_there = between(rate_column[i, tick], rate_column[j, tick])"
    yield f"                gain = {gain}"
    yield f"                if long_{number} == END or gain > largest:"
    yield f"                    largest, long_{number}, short_{number} = gain, i, j"
    yield "        gain = largest"
    yield f"        {line.name} = long_{number} != END and {fires}"
