"""How the demonstration ended: by the venues' own log of what really happened, which nothing of the monitor wrote."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console
from rich.text import Text

from ..domain.intents import Side
from ..domain.lifecycle import market_of
from ..domain.numbers import plain
from ..domain.position import Position, PositionStatus
from ..testing.fake_venue import truth
from .render import table

ORDERS = ("accepted", "rejected", "refused")
"""What the log says of an order that came to a venue."""
_NONE = Decimal(0)


class WrongError(Exception):
    """Something is not as it should be."""


def judge(console: Console, positions: Sequence[Position], facts: Sequence[truth.Fact]) -> None:
    """Compare what the store has of positions with the log, and print both. Raises WrongError if they do not agree.

    `positions` are as the store has them at the end. Each began with both legs of `size`, by the log's own words.
    """
    closes, held = truth.effects(facts, "close"), truth.net(facts)
    orders = [fact["symbol"] for fact in facts if fact["fact"] in ORDERS]
    rows = table("position", "closed because", "orders", "held before", "closed", "left")
    doubled = left = 0
    for position in positions:
        markets = {leg: market_of(position, leg) for leg in Side}
        before = [_before(facts, *markets[leg]) for leg in Side]
        done = [closes[name].quantity if (name := (str(position.id), leg)) in closes else _NONE for leg in Side]
        remains = [held.get(markets[leg], _NONE) for leg in Side]
        doubled += sum(closed > had for closed, had in zip(done, before, strict=True))
        left += sum(tokens != 0 for tokens in remains)
        figures = (" / ".join(plain(one) for one in both) for both in (before, done, remains))
        rows.add_row(position.symbol, position.close_reason or "-", str(orders.count(position.symbol)), *figures)
    console.print(rows)
    lost = sum(position.status is not PositionStatus.CLOSED for position in positions)
    problems = truth.problems(facts)
    verdict = f"{lost} lost, {doubled} doubled, {'all flat' if left == 0 else f'{left} legs left'}"
    good = lost == doubled == left == 0 and not problems
    end = Text(f"{len(positions)} positions, {2 * len(positions)} legs, {len(orders)} orders: ")
    console.print(end.append(verdict, style="bold green" if good else "bold red"))
    if not good:
        raise WrongError("; ".join([verdict, *problems]))


def _before(facts: Sequence[truth.Fact], venue: str, symbol: str) -> Decimal:
    """What was held of a market at first, by its size."""
    changes = (
        fact for fact in facts if fact["fact"] == "changed" and (fact["venue"], fact["symbol"]) == (venue, symbol)
    )
    return Decimal(next(changes, {"position": "0"})["position"]).copy_abs()
