"""Which of an exchange's markets stands for a symbol: one perpetual of each base currency."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...domain.names import read_symbol
from ...errors import InputError

QUOTES = ("USDT", "USDC", "USD")
"""The quote currencies that count as dollars, the preferred one first."""
_MULTIPLE = re.compile(
    r"(?:(?P<six>1000000|1M)|(?P<four>10000)|(?P<three>1000|k))(?=[A-Z]{2})"
    r"|(?P<known>K)(?=(?:BONK|DOGS|FLOKI|LUNC|NEIRO|PEPE|SHIB)$)"
)
_POWERS = {"six": 6, "four": 4, "three": 3, "known": 3}


class Perpetual(NamedTuple):
    """A linear perpetual: our `symbol`, ccxt's `id`, and how many coins a unit is, as a `power` of ten."""

    symbol: str
    id: str
    power: int
    market: Mapping[str, Any]


def perpetuals(markets: Iterable[Mapping[str, Any]], prefer: Sequence[str]) -> dict[str, Perpetual]:
    """The perpetual of each symbol among ccxt's `markets`.

    Only active linear swaps in a dollar count. Of several, that in the quote currency that comes first in `prefer` and
    then in QUOTES is taken, then the one of the fewest coins a unit, then the first by name.
    """
    ranks = {quote: rank for rank, quote in enumerate(dict.fromkeys((*prefer, *QUOTES)))}
    found: dict[str, tuple[tuple[int, int, str], Perpetual]] = {}
    for market in markets:
        rank = ranks.get(market.get("quote") or "")
        if rank is None or not market.get("swap") or not market.get("linear") or market.get("active") is False:
            continue
        try:
            symbol, power = _named(market)
        except InputError:
            continue  # a name that no request can have
        one = Perpetual(symbol, market["symbol"], power, market)
        order = (rank, power, one.id)
        if symbol not in found or order < found[symbol][0]:
            found[symbol] = order, one
    return {symbol: one for symbol, (_, one) in found.items()}


def _named(market: Mapping[str, Any]) -> tuple[str, int]:
    """The symbol, and the power of ten of coins in a unit: kPEPE, KPEPE and 1000PEPE are a thousand PEPE."""
    raw = market.get("baseName") or market.get("baseId") or ""
    match = _MULTIPLE.match(raw)
    if match is None:
        return read_symbol(market.get("base")), 0
    return read_symbol(raw[match.end() :]), _POWERS[str(match.lastgroup)]
