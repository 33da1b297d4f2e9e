"""One lane of the compiled engine, written out for a shape of strategy: what numba compiles.

The rules' own functions are compiled as they are and inlined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..domain.funding import divergence
from ..domain.numbers import EIGHT_HOURS
from ..domain.quoted_legs import NEVER
from ..rules.grid import Function
from ..rules.values import NEVER_SEEN, UNSCHEDULED
from .board import NOTHING
from .columns import numpy
from .program import Line, Shape, rankings
from .work import END


def made(shape: Shape, ready: Callable[[Function], Any]) -> Any:
    """The lane of a shape, each function made `ready` (compiled), or run as it is: slow, and the same to the last step.

    `run` replays one setting on one symbol and writes the positions that it held into `room`, as rows of `Positions`,
    from the row `filled` on; it says up to which row the room is filled then. There must be room for a row a tick.
    `values` and `known` are what pairs are compared by, `wides` the symbol's widest divergence by each of them and by
    tick (`loops.find_widest`).
    """
    namespace: dict[str, Any] = {
        **{name: ready(function) for name, function in shape.functions},
        "between": ready(divergence),
        "smaller": ready(_smaller),
        "no": ready(_no),
        "unsigned": numpy().uint64,  # a place that can not count from the end
        "EIGHT_HOURS": EIGHT_HOURS,
        "always": True,
        "NEVER": NEVER,
        "NEVER_SEEN": NEVER_SEEN,
        "NOTHING": NOTHING,
        "UNSCHEDULED": UNSCHEDULED,
        "END": END,
    }
    exec(source(shape), namespace)  # made of the names in `values` and in the rules' functions alone
    return ready(namespace["run"])


def _smaller(one: int, other: int) -> int:
    return min(one, other)


def _no(mask: bool) -> bool:  # noqa: FBT001
    return not mask


def source(shape: Shape) -> str:
    """The text of the lane."""
    given = "lane, setting, low, high, wides, room, filled, values, known, columns"
    more = "first, every, ticks, entry_at, limits, opens, entry_legs, parameters, floors, flats, all_legs"
    return "\n".join((f"def run({given}, {more}):", *(f"    {line}" for line in _run(shape))))


def _run(shape: Shape) -> Iterator[str]:
    yield f"{', '.join(f'{name}_column' for name in shape.fields)} = columns"
    yield "limit, horizon, least = limits[setting], opens[setting, 0], opens[setting, 1]"
    yield from (f"p{place} = parameters[setting, {place}]" for place in range(shape.parameters))
    for number in range(shape.priced):
        yield f"floor_{number}, flat_{number} = floors[setting, {number}], flats[setting, {number}]"
        yield f"legs_{number} = all_legs[setting, {number}]"
    yield "entry_rates, entry_known, entry_wides = values[entry_at], known[entry_at], wides[entry_at]"
    for ranking in rankings(shape):
        yield f"wides_{ranking} = wides[{ranking}]"
    yield "tick, rule = 0, 0"
    yield "while True:"
    yield "    while tick < ticks and entry_wides[unsigned(tick)] <= limit:"
    yield "        tick += 1"
    yield "    if tick == ticks:"
    yield "        break"
    yield from (f"    {text}" for text in _OPENING)
    yield "    if long == END:"
    yield "        tick += 1"
    yield "        continue"
    yield "    while True:"
    yield "        begun, opened = tick, first + every * tick"
    yield "        entry = between(rate_column[long, tick], rate_column[short, tick])"
    yield from (f"        leaving_{number} = legs_{number}[long] + legs_{number}[short]" for number in shape.leaving)
    yield "        rule, to_long, to_short = END, END, END"
    yield "        for tick in range(begun + 1, ticks):"
    yield "            now, at = first + every * tick, unsigned(tick)"
    for name in shape.fields:
        yield f"            long_{name}, short_{name} = {name}_column[long, at], {name}_column[short, at]"
    for place, alternative in enumerate(shape.alternatives):
        for line in alternative.lines:
            yield from (f"            {text}" for text in _line(line))
        yield f"            if {alternative.fires}:"
        yield f"                rule = {place}"
        if alternative.switch is not None:
            yield f"                to_long, to_short = long_{alternative.switch}, short_{alternative.switch}"
        yield "                break"
    yield "        left = tick if rule != END else ticks - 1"
    yield "        room[filled, 0], room[filled, 1], room[filled, 2] = lane, begun, long"
    yield "        room[filled, 3], room[filled, 4], room[filled, 5] = short, left, rule"
    yield "        filled += 1"
    yield "        tick = left"
    yield "        if to_long == END:"
    yield "            break"
    yield "        long, short = to_long, to_short"
    yield "    if rule == END:"
    yield "        break"
    yield "    tick += 1"
    yield "return filled"


_OPENING = """\
at, long, short, largest = unsigned(tick), END, END, least
for i in range(low, high):
    if entry_known[i, at]:
        for j in range(low, high):
            if j != i and entry_known[j, at]:
                cost = entry_legs[setting, i] + entry_legs[setting, j]
                gain = between(entry_rates[i, at], entry_rates[j, at]) * horizon - cost * EIGHT_HOURS
                if gain > largest:
                    largest, long, short = gain, i, j""".splitlines()
"""The legs of the pair that is opened at a tick (see `Opening`); END where none is."""


def _line(line: Line) -> Iterator[str]:
    """A line; for a switch the search of the best candidate, if any could make it fire."""
    if line.switch is None:
        yield f"{line.name} = {line.code}"
        return
    number, ranking, gain, fires, able = line.switch
    yield f"long_{number} = short_{number} = END"
    yield f"{line.name} = False"
    yield f"if {able} and wides_{ranking}[at] > NOTHING:"
    yield f"    divergence_there = wides_{ranking}[at]"
    yield f"    cost = floor_{number}"
    yield f"    gain = {gain}"
    yield f"    if {fires}:"
    yield f"        largest, rates, there = gain, values[{ranking}], known[{ranking}]"
    yield "        for i in range(low, high):"
    yield "            if not there[i, at]:"
    yield "                continue"
    yield f"            there_long = flat_{number} if i == long else flat_{number} + legs_{number}[i]"
    yield f"            there_long = there_long if i == long else there_long + legs_{number}[long]"
    yield "            for j in range(low, high):"
    yield "                if j == i or not there[j, at] or (i == long and j == short):"
    yield "                    continue"
    yield f"                kept = legs_{number}[j] + legs_{number}[short]"
    yield "                cost = there_long if j == short else there_long + kept"
    yield "                divergence_there = between(rates[i, at], rates[j, at])"
    yield f"                gain = {gain}"
    yield f"                if long_{number} == END or gain > largest:"
    yield f"                    largest, long_{number}, short_{number} = gain, i, j"
    yield "        gain = largest"
    yield f"        {line.name} = long_{number} != END and {fires}"
