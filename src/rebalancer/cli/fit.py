"""Tables of positions for any width: names are broken between words where they must be, figures never."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table

from .quotes import BOUNDLESS, blocks


def fitting(console: Console, make: Callable[[str], Table]) -> RenderableType:
    """The table that `make` makes with a text between two words of a name: a space, a new line where it is too wide,
    and a line for each cell where that is still too wide.
    """
    wide = console.options.update(max_width=BOUNDLESS)
    for between in (" ", "\n"):
        rows = make(between)
        if Measurement.get(console, wide, rows).maximum <= console.width:
            return rows
    return Group(*blocks(make(" ")))
