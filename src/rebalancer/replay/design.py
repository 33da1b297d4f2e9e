"""Which settings a sweep tries: every combination of some values, or a random part of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from math import prod
from random import Random
from typing import Any, overload

from ..domain.numbers import FRACTION_PLACES, Number, from_grid, plain, read_number, to_grid
from ..errors import InputError

MAX_VALUES = 100_000
"""More values of one parameter are a mistake."""
MAX_SETTINGS = (1 << 63) - 1

Parameters = Mapping[str, Any]
"""The parameters of one setting, by name."""


class Design(Sequence[Parameters]):
    """The combinations of a grid, as a sequence: the last parameter changes fastest. Nothing is stored for each.

    Make one with `grid`; `sample` takes a random part of it, `+` puts two after one another.
    """

    def __init__(self, axes: Mapping[str, Sequence[Any]], chosen: Sequence[int] | None = None) -> None:
        self._axes = axes
        self._chosen: Sequence[int] = range(prod(map(len, axes.values()))) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, place: int) -> Parameters: ...
    @overload
    def __getitem__(self, place: slice) -> Design: ...
    def __getitem__(self, place: int | slice) -> Parameters | Design:
        if isinstance(place, slice):
            return Design(self._axes, self._chosen[place])
        rest = self._chosen[place]
        found = {}
        for name in reversed(tuple(self._axes)):
            rest, number = divmod(rest, len(self._axes[name]))
            found[name] = self._axes[name][number]
        return {name: found[name] for name in self._axes}

    def sample(self, n: int, *, seed: int = 0) -> Design:
        """`n` different combinations in random order, or all where there are fewer; the same for a seed everywhere."""
        if n < 1:
            raise InputError("a sample needs at least one setting")
        places = Random(seed).sample(range(len(self)), min(n, len(self)))
        return Design(self._axes, [self._chosen[place] for place in places])

    def __add__(self, other: Iterable[Parameters]) -> tuple[Parameters, ...]:
        return (*self, *other)

    def __repr__(self) -> str:
        axes = ", ".join(f"{name}: {len(values)} values" for name, values in self._axes.items())
        return f"<{len(self)} settings of {axes or 'no parameters'}>"


def grid(**values: Sequence[Any]) -> Design:
    """Every combination of the values of each parameter, as in `grid(keep=["0.2", "0.5"], leg_bps=[2, 4])`.

    For random settings, make a fine grid and take a part of it: `grid(keep=between("0.2", "0.9", by="0.01"),
    leg_bps=[2, 4]).sample(50, seed=1)`.
    """
    for name, axis in values.items():
        if isinstance(axis, str) or not isinstance(axis, Sequence):
            raise InputError(f"{name}: give a list of values, such as {name}=[{axis!r}]")
        if not axis:
            raise InputError(f"{name}: give at least one value")
        texts = [text_of(value) for value in axis]
        if len(set(texts)) != len(texts):
            raise InputError(f"{name}: the same value is given twice")
    if prod(map(len, values.values())) > MAX_SETTINGS:
        raise InputError("more combinations than 64 bits can count: use fewer values")
    return Design({name: tuple(axis) for name, axis in values.items()})


def between(first: Number, last: Number, *, by: Number) -> tuple[str, ...]:
    """Evenly spaced values from `first` to `last` inclusive, `by` above 0 apart: exact decimal texts for a grid."""
    start, end, step = (to_grid(read_number(number), FRACTION_PLACES) for number in (first, last, by))
    if step <= 0 or end < start:
        raise InputError("values rise from the first to the last, by a step above 0")
    if (end - start) // step >= MAX_VALUES:
        raise InputError(f"more than {MAX_VALUES:,} values: is the step too small?")
    return tuple(plain(from_grid(steps, FRACTION_PLACES)) for steps in range(start, end + 1, step))


def text_of(value: object) -> str:
    """A parameter as the table shows it: a text as it is, a number in plain digits, a flag in lower case."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal | float):
        return plain(read_number(value))
    return value if isinstance(value, str) else str(value)
