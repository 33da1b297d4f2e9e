"""HTML from Python values: whatever is not markup yet is escaped."""

from __future__ import annotations

from decimal import Decimal
from html import escape

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
"""A minus as wide as a digit, and what stands where nothing is known."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str | None) -> Markup:
    """`<name ...>children</name>`. `class_` is `class`; an attribute that is None is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """The children one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))


def bp(value: Decimal | None, *, places: int = 1) -> str:
    """Basis points with thousands grouped and a true minus sign; a dash where unknown."""
    return DASH if value is None else _signed(f"{value:,.{places}f}")


def percent(value: Decimal | None) -> str:
    """A ratio as a percentage; a dash where unknown."""
    return DASH if value is None else _signed(f"{value * 100:,.1f}") + " %"


def _signed(text: str) -> str:
    """With a minus sign as wide as a digit, and none before zero."""
    return text.lstrip("-") if not text.strip("-0.,") else text.replace("-", MINUS)
