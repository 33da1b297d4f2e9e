"""The judge: it reads the log alone, finds what is planted, and finds nothing where nothing is wrong."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalancer import InputError
from rebalancer.domain.intents import OrderSide
from rebalancer.testing import AS_OF, ManualClock
from rebalancer.testing.fake_venue import FakeVenue, Fate, Habits, Ids, OrderRequest, Tag, TruthLog, truth

OPEN = {"position": "p", "leg": "long", "effect": "open"}
CLOSE = {"position": "p", "leg": "long", "effect": "close"}


def a_log(*facts: dict[str, Any]) -> list[truth.Fact]:
    """Facts of BTC on lighter, a second apart."""
    usual = {"venue": "lighter", "symbol": "BTC"}
    return [{"seq": n, "at": f"2026-01-05T12:00:{n:02}Z", **usual, **fact} for n, fact in enumerate(facts, 1)]


def accepted(order: str, side: str, quantity: str = "1", **more: Any) -> dict[str, Any]:
    return {"fact": "accepted", "order": order, "id": order, "side": side, "quantity": quantity, **more}


def filled(order: str, quantity: str, position: str) -> dict[str, Any]:
    return {"fact": "filled", "order": order, "id": order, "quantity": quantity, "price": "100", "position": position}


def changed(quantity: str, position: str) -> dict[str, Any]:
    return {"fact": "changed", "quantity": quantity, "position": position, "why": "liquidated"}


GOOD = a_log(
    accepted("a", "buy", tag=OPEN),
    filled("a", "0.4", "0.4"),
    filled("a", "0.6", "1"),
    accepted("b", "sell", tag=CLOSE),
    filled("b", "0.5", "0.5"),
    {"fact": "ended", "order": "b", "id": "b"},
    accepted("c", "sell", "0.5", tag=CLOSE),
    filled("c", "0.5", "0"),
)


def test_a_good_run_has_no_problems_and_its_effects_are_counted() -> None:
    assert truth.problems(GOOD) == []
    assert truth.net(GOOD) == {("lighter", "BTC"): 0}
    assert truth.effects(GOOD, "open") == {("p", "long"): truth.Effects(1, Decimal(1))}
    assert truth.effects(GOOD, "close") == {("p", "long"): truth.Effects(2, Decimal(1))}
    assert truth.orders_per_id(GOOD) == {("lighter", name): 1 for name in "abc"}


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        (
            a_log(changed("1", "1"), accepted("a", "sell", "2", tag=CLOSE), filled("a", "2", "-1")),
            "line 3, BTC on lighter: 1 was turned round to -1 by a close",
        ),
        (
            a_log(changed("-1", "-1"), accepted("a", "sell", tag=CLOSE), filled("a", "1", "-2")),
            "line 3, BTC on lighter: -1 was grown to -2 by a close",
        ),
        (
            a_log(accepted("a", "sell", tag=CLOSE), filled("a", "1", "-1")),
            "line 2, BTC on lighter: 0 was grown to -1 by a close",
        ),
        (
            a_log(accepted("a", "buy", reduce_only=True, tag=None), filled("a", "1", "1")),
            "line 2, BTC on lighter: 0 was grown to 1 by a close",
        ),
        (
            a_log(accepted("a", "buy"), accepted("b", "buy") | {"id": "a"}),
            "lighter: 2 orders under a",
        ),
        (
            a_log(
                accepted("a", "buy", tag=OPEN),
                filled("a", "1", "1"),
                accepted("b", "buy", tag=OPEN),
                filled("b", "1", "2"),
            ),
            "the long leg of p was opened by 2 orders",
        ),
        (
            a_log(accepted("a", "buy"), filled("a", "1", "2")),
            "line 2, BTC on lighter: the position is given as 2, and adds up to 1",
        ),
        (
            a_log(filled("a", "1", "1")),
            "line 1, BTC on lighter: order a was filled, and was not there",
        ),
        (
            a_log(accepted("a", "buy"), filled("a", "2", "2")),
            "line 2, BTC on lighter: order a filled more than was left of it",
        ),
        (
            a_log(accepted("a", "buy"), {"fact": "ended", "order": "a"}, filled("a", "1", "1")),
            "line 3, BTC on lighter: order a was filled, and was not there",
        ),
        (
            a_log({**accepted("a", "buy"), "fact": "rejected"}, {"fact": "ended", "order": "a"}),
            "line 2, BTC on lighter: order a was ended, and was not there",
        ),
        (
            a_log(accepted("a", "buy"), {**accepted("a", "buy"), "id": "b"}),
            "line 2, BTC on lighter: order a is there twice",
        ),
        (
            a_log(accepted("a", "buy"), {**accepted("b", "buy"), "seq": 7}),
            "line 2 has the sequence number 7",
        ),
        (
            a_log(accepted("a", "buy"), {**accepted("b", "buy"), "at": "2026-01-05T11:00:00Z"}),
            "line 2, BTC on lighter: time went back",
        ),
    ],
)
def test_what_is_planted_is_found(facts: list[truth.Fact], problem: str) -> None:
    assert truth.problems(facts) == [problem]


def test_an_open_may_turn_a_position_round_since_that_is_no_close() -> None:
    facts = a_log(changed("-1", "-1"), accepted("a", "buy", "2", tag=OPEN), filled("a", "2", "1"))
    assert truth.problems(facts) == []


def test_markets_are_judged_one_by_one() -> None:
    facts = a_log(
        changed("1", "1"),
        {**changed("-2", "-2"), "venue": "grvt"},
        {**changed("3", "3"), "symbol": "ETH"},
    )
    assert truth.problems(facts) == []
    assert truth.net(facts) == {("lighter", "BTC"): 1, ("grvt", "BTC"): -2, ("lighter", "ETH"): 3}


def test_a_torn_log_is_refused() -> None:
    text = "".join(json.dumps(fact) + "\n" for fact in GOOD)
    assert truth.parse(text) == GOOD
    with pytest.raises(ValueError, match="torn"):
        truth.parse(text[:-5])


def test_the_judge_imports_nothing_of_what_it_judges() -> None:
    tree = ast.parse(Path(truth.__file__).read_text(encoding="utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or "."] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    }
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize(("facts", "code"), [(GOOD, 0), (GOOD[1:], 1)])
def test_the_judge_runs_by_itself(tmp_path: Path, facts: list[truth.Fact], code: int) -> None:
    log = tmp_path / "truth.jsonl"
    log.write_text("".join(json.dumps(fact) + "\n" for fact in facts), encoding="utf-8")
    command = [sys.executable, "-I", "-S", truth.__file__, str(log)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith("BTC on lighter: ")
    assert done.stdout.rstrip().endswith("problems")


async def test_the_log_of_a_venue_has_all_that_the_judge_needs(tmp_path: Path) -> None:
    log = TruthLog(tmp_path / "truth.jsonl")
    venues = [
        FakeVenue(name, prices={"BTC": 100}, clock=ManualClock(), habits=Habits(ids=Ids.NONE), log=log)
        for name in ("lighter", "grvt")
    ]
    for venue, side in zip(venues, OrderSide, strict=True):
        tag = Tag(position="p", leg="long" if side is OrderSide.BUY else "short", effect="open")
        await venue.place(OrderRequest(id=f"{venue.name}-open", symbol="BTC", side=side, quantity="0.5", tag=tag))
    facts = truth.read(tmp_path / "truth.jsonl")
    assert facts == venues[0].facts == venues[1].facts
    assert truth.problems(facts) == []
    assert truth.net(facts) == {("lighter", "BTC"): Decimal("0.5"), ("grvt", "BTC"): Decimal("-0.5")}
    assert truth.effects(facts, "open").keys() == {("p", "long"), ("p", "short")}

    await venues[0].place(
        OrderRequest(id="lighter-open", symbol="BTC", side=OrderSide.BUY, quantity="0.5", tag=Tag(**OPEN))
    )
    assert truth.problems(venues[0].facts) == [
        "lighter: 2 orders under lighter-open",
        "the long leg of p was opened by 2 orders",
    ]
    log.close()
    log.close()


async def test_a_venue_with_weak_ids_and_no_reduce_only_is_found_out() -> None:
    venue = FakeVenue(prices={"BTC": 100}, clock=ManualClock(), habits=Habits(ids=Ids.OPEN, reduce_only=False))
    venue.hold("BTC", 1)
    close = OrderRequest(id="close", symbol="BTC", side=OrderSide.SELL, quantity=1, reduce_only=True, tag=Tag(**CLOSE))
    venue.plan("place", Fate(reject="busy"))
    for _ in range(3):
        await venue.place(close)
    assert truth.net(venue.facts) == {("lighter", "BTC"): -1}
    assert truth.problems(venue.facts) == [
        "line 7, BTC on lighter: 0 was grown to -1 by a close",
        "lighter: 2 orders under close",
    ]


def test_a_log_begins_with_its_venues(tmp_path: Path) -> None:
    first = TruthLog(tmp_path / "truth.jsonl")
    first.write("price", at=AS_OF, venue="lighter", symbol="BTC", price=Decimal("1E+2"))
    first.close()
    assert truth.read(tmp_path / "truth.jsonl")[0]["price"] == "100"
    with pytest.raises(InputError, match="a file of its own"):
        TruthLog(tmp_path / "truth.jsonl")


def test_only_plain_values_belong_into_a_log() -> None:
    with pytest.raises(TypeError, match="does not belong"):
        TruthLog().write("price", at=AS_OF, venue="lighter", symbol="BTC", price=object())
