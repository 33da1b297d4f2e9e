"""The decision log: one line of JSON for each trade."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rebalancer.domain.names import Pair
from rebalancer.replay import Trade, TradeAction

PAIR = Pair("BTC", "lighter", "grvt")


def a_line(**fields: Any) -> dict[str, Any]:
    """What a trade is logged as: a close of the usual pair at 2026-01-01 08:00 UTC unless told otherwise."""
    usual: dict[str, Any] = {
        "at": 1_767_254_400,
        "action": TradeAction.CLOSE,
        "pair": PAIR,
        "target": None,
        "reason": "PROFIT_EROSION",
        "divergence": 50_000_000,
        "entry_divergence": 200_000_000,
        "legs": 2,
        "cost": 400_000_000,
    }
    text = Trade(**{**usual, **fields}).to_json()
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


def test_a_line_has_these_fields_in_this_order() -> None:
    line = a_line()
    assert list(line.items()) == [
        ("time", "2026-01-01T08:00:00Z"),
        ("symbol", "BTC"),
        ("action", "CLOSE"),
        ("long_dex", "lighter"),
        ("short_dex", "grvt"),
        ("reason", "PROFIT_EROSION"),
        ("divergence", "0.00005"),
        ("entry_divergence", "0.0002"),
        ("legs_traded", 2),
        ("cost_bps", "4"),
    ]


def test_a_switch_names_its_target_after_the_pair_that_it_leaves() -> None:
    line = a_line(action=TradeAction.SWITCH, target=Pair("BTC", "lighter", "paradex"))
    assert list(line)[3:6] == ["long_dex", "short_dex", "target"]
    assert (line["long_dex"], line["short_dex"]) == ("lighter", "grvt")
    assert line["target"] == {"long_dex": "lighter", "short_dex": "paradex"}


def test_a_target_of_another_symbol_names_it() -> None:
    line = a_line(action=TradeAction.SWITCH, target=Pair("ETH", "a", "b"))
    assert line["target"] == {"long_dex": "a", "short_dex": "b", "symbol": "ETH"}


def test_only_a_switch_has_a_target() -> None:
    for action in TradeAction:
        assert "target" not in a_line(action=action)


def test_an_unknown_divergence_is_null() -> None:
    assert a_line(divergence=None)["divergence"] is None


def test_a_tick_that_held_has_no_reason_and_trades_nothing() -> None:
    line = a_line(action=TradeAction.HOLD, reason=None, legs=0, cost=0)
    assert (line["reason"], line["legs_traded"], line["cost_bps"]) == (None, 0, "0")


@pytest.mark.parametrize(
    ("steps", "fraction", "bps"),
    [
        (1, "0.000000000001", "0.00000001"),
        (-1, "-0.000000000001", "-0.00000001"),
        (0, "0", "0"),
        (10**12, "1", "10000"),
        (125_000_000, "0.000125", "1.25"),
        (-2 * 10**12, "-2", "-20000"),
    ],
)
def test_numbers_are_plain_exact_digits(steps: int, fraction: str, bps: str) -> None:
    line = a_line(divergence=steps, entry_divergence=steps, cost=steps)
    assert (line["divergence"], line["entry_divergence"], line["cost_bps"]) == (fraction, fraction, bps)
