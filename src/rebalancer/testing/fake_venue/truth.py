"""What really happened on a fake venue, read from its log. Imports nothing of the engine that is being judged.

It also runs by itself: `python truth.py LOG` prints the positions that are left and all that is wrong, and fails if
anything is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any, NamedTuple

Fact = dict[str, Any]
"""One line of the log: `seq, at, venue, symbol, fact` and what belongs to it.

`fact` is `accepted, rejected, refused` (a request whose id is known), `filled, ended, changed` (by somebody else, or a
liquidation) or `price`. `position` is what is held after it. `tag` is what the sender said of an order: for one of the
engine `position, leg, effect`.
"""
MarketName = tuple[str, str]
_EXACT = Context(prec=60)


class Effects(NamedTuple):
    """How many orders for a leg filled anything, and how much they filled together."""

    orders: int
    quantity: Decimal


def read(path: str | Path) -> list[Fact]:
    """The facts of a log file. Raises ValueError for a line that is torn."""
    return parse(Path(path).read_text(encoding="utf-8"))


def parse(text: str) -> list[Fact]:
    """The facts of a log's text."""
    if text and not text.endswith("\n"):
        raise ValueError("the last line of the log is torn")
    return [json.loads(line) for line in text.splitlines()]


def net(facts: Iterable[Fact]) -> dict[MarketName, Decimal]:
    """What is held on each market at the end, positive if long: the sum of what was filled and changed."""
    held: dict[MarketName, Decimal] = {}
    for fact, _, after in _steps(facts):
        held[_market(fact)] = after
    return held


def effects(facts: Iterable[Fact], effect: str) -> dict[tuple[str, str], Effects]:
    """What the orders tagged as `open` or `close` did, by position id and leg."""
    facts = list(facts)
    orders = _orders(facts)
    filled: dict[tuple[str, str], dict[str, Decimal]] = {}
    for fact in facts:
        tag = orders.get(fact.get("order", ""), {}).get("tag") or {}
        if fact["fact"] == "filled" and tag.get("effect") == effect:
            of_leg = filled.setdefault((tag["position"], tag["leg"]), {})
            of_leg[fact["order"]] = _sum(of_leg.get(fact["order"], Decimal(0)), Decimal(fact["quantity"]))
    return {leg: Effects(len(of_leg), _sum(*of_leg.values())) for leg, of_leg in filled.items()}


def orders_per_id(facts: Iterable[Fact]) -> dict[tuple[str, str], int]:
    """How many orders were accepted under each client id of a venue. More than 1: something was sent twice."""
    counted: dict[tuple[str, str], int] = {}
    for fact in facts:
        if fact["fact"] == "accepted":
            name = (fact["venue"], fact["id"])
            counted[name] = counted.get(name, 0) + 1
    return counted


def wrong_closes(facts: Iterable[Fact]) -> list[str]:
    """Every fill of a close that made a position larger or turned it round, or opened one where nothing was held."""
    facts = list(facts)
    orders = _orders(facts)
    wrong = []
    for fact, before, after in _steps(facts):
        order = orders.get(fact.get("order", ""), {})
        effect = (order.get("tag") or {}).get("effect")
        closes = effect == "close" or (effect is None and order.get("reduce_only") is True)
        turned = bool(before and after) and before.is_signed() != after.is_signed()
        if closes and (turned or after.copy_abs() > before.copy_abs()):
            how = "turned round" if turned else "grown"
            wrong.append(f"{_where(fact)}: {before} was {how} to {after} by a close")
    return wrong


def incoherent(facts: Iterable[Fact]) -> list[str]:
    """Where the log contradicts itself, so that nothing in it can be trusted."""
    facts = list(facts)
    wrong = []
    latest: dict[str, str] = {}  # by venue: what is due on another one may be written later
    for number, fact in enumerate(facts, 1):
        if fact["seq"] != number:
            wrong.append(f"line {number} has the sequence number {fact['seq']}")
        if fact["at"] < latest.get(fact["venue"], ""):
            wrong.append(f"{_where(fact)}: time went back")
        latest[fact["venue"]] = fact["at"]
    for fact, _, after in _steps(facts):
        if Decimal(fact["position"]) != after:
            wrong.append(f"{_where(fact)}: the position is given as {fact['position']}, and adds up to {after}")
    return [*wrong, *_impossible_orders(facts)]


def problems(facts: Iterable[Fact]) -> list[str]:
    """All that must never be: contradictions, wrong closes, ids with two orders, legs that were opened twice."""
    facts = list(facts)
    twice = [
        f"{venue}: {count} orders under {name}" for (venue, name), count in orders_per_id(facts).items() if count > 1
    ]
    doubled = [
        f"the {leg} leg of {position} was opened by {done.orders} orders"
        for (position, leg), done in effects(facts, "open").items()
        if done.orders > 1
    ]
    return [*incoherent(facts), *wrong_closes(facts), *twice, *doubled]


def _impossible_orders(facts: Iterable[Fact]) -> Iterator[str]:
    left: dict[str, Decimal | None] = {}
    for fact in facts:
        kind, order = fact["fact"], fact.get("order", "")
        if kind in ("accepted", "rejected") and order in left:
            yield f"{_where(fact)}: order {order} is there twice"
        if kind == "accepted":
            left[order] = Decimal(fact["quantity"])
        elif kind == "rejected":
            left[order] = None
        elif kind in ("filled", "ended"):
            rest = left.get(order)
            if rest is None:
                yield f"{_where(fact)}: order {order} was {kind}, and was not there"
            elif kind == "ended":
                left[order] = None
            elif Decimal(fact["quantity"]) > rest:
                yield f"{_where(fact)}: order {order} filled more than was left of it"
            else:
                left[order] = _sum(rest, Decimal(fact["quantity"]).copy_negate())


def _steps(facts: Iterable[Fact]) -> Iterator[tuple[Fact, Decimal, Decimal]]:
    """Every fact that changed a position, with what was held before it and after."""
    facts = list(facts)
    orders = _orders(facts)
    held: dict[MarketName, Decimal] = {}
    for fact in facts:
        if fact["fact"] not in ("filled", "changed"):
            continue
        by = Decimal(fact["quantity"])
        if fact["fact"] == "filled" and orders.get(fact["order"], {}).get("side") == "sell":
            by = by.copy_negate()
        before = held.get(_market(fact), Decimal(0))
        held[_market(fact)] = after = _sum(before, by)
        yield fact, before, after


def _orders(facts: Iterable[Fact]) -> dict[str, Fact]:
    return {fact["order"]: fact for fact in facts if fact["fact"] in ("accepted", "rejected")}


def _market(fact: Fact) -> MarketName:
    return fact["venue"], fact["symbol"]


def _where(fact: Fact) -> str:
    return f"line {fact['seq']}, {fact['symbol']} on {fact['venue']}"


def _sum(*numbers: Decimal) -> Decimal:
    with localcontext(_EXACT):
        return sum(numbers, Decimal(0))


def main(path: str) -> int:
    """Print what is left and what is wrong of a log."""
    facts = read(path)
    lines = [f"{symbol} on {venue}: {held}" for (venue, symbol), held in sorted(net(facts).items())]
    wrong = problems(facts)
    sys.stdout.write("".join(f"{line}\n" for line in (*lines, *wrong, f"{len(facts)} facts, {len(wrong)} problems")))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
