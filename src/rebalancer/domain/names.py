"""Names of venues and symbols, in one letter case and from a safe alphabet, so that no value can forge a log line."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from pydantic import PlainValidator, StringConstraints

from ..errors import InputError

_VENUE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9:/_.-]{0,39}")


def read_venue(value: object) -> str:
    """A venue's name in lower case; InputError unless it is 1 to 40 of a-z 0-9 _ . - after a letter or digit."""
    if isinstance(value, str) and value.isascii() and _VENUE.fullmatch(name := value.lower()):
        return name
    raise InputError("not a venue: 1 to 40 characters of a-z 0-9 _ . -")


def read_symbol(value: object) -> str:
    """A symbol in upper case; InputError unless it is 1 to 40 of A-Z 0-9 : / _ . - after a letter or digit."""
    if isinstance(value, str) and value.isascii() and _SYMBOL.fullmatch(name := value.upper()):
        return name
    raise InputError("not a symbol: 1 to 40 characters of A-Z 0-9 : / _ . -")


Venue = Annotated[str, PlainValidator(read_venue)]
Symbol = Annotated[str, PlainValidator(read_symbol)]

made = tuple.__new__
"""Makes a named tuple of what are known to be its fields at half the cost: a tick and a replay make many of them."""


class Market(NamedTuple):
    """A perpetual on a venue."""

    venue: Venue
    symbol: Symbol

    def __str__(self) -> str:
        return f"{self.symbol} on {self.venue}"


class Pair(NamedTuple):
    """A directed pair: long `symbol` on one venue and short on another. Pairs sort by symbol, long, short."""

    symbol: Symbol
    long_dex: Venue
    short_dex: Venue

    def __str__(self) -> str:
        return f"{self.symbol} long {self.long_dex} / short {self.short_dex}"

    @property
    def long(self) -> Market:
        """The market that is held long."""
        return made(Market, (self.long_dex, self.symbol))

    @property
    def short(self) -> Market:
        """The market that is held short."""
        return made(Market, (self.short_dex, self.symbol))


ReasonCode = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
"""Upper-case words joined by underscores, such as DIVERGENCE_FLIPPED."""
Line = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")]
"""One line of text for a person."""


def split_names(text: str) -> tuple[str, ...]:
    """The names of a text such as `lighter,grvt`, without the spaces around them; an empty one is none."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def as_line(text: object, *, most: int = 500) -> str:
    """`text` from outside as a `Line` of at most `most` characters: cut, and escaped where it is not printable."""
    short = str(text)[:most]
    return (short if short.isprintable() else ascii(short))[:most] or "nothing"


def reason_of(name: str) -> str:
    """`FundingCliff`, `funding_cliff` and `_FundingCliff` as the reason code FUNDING_CLIFF."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("_")).upper()
