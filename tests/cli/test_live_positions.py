"""`rebalancer positions import` and `list`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import Position
from rebalancer.testing import a_position

if TYPE_CHECKING:
    from .conftest import Desk


def listed(desk: Desk, *words: str) -> list[Position]:
    rows: list[Any] = json.loads(desk.said("positions list", "--json", *words))
    return [Position.model_validate(row) for row in rows]


def test_positions_are_imported_as_they_are(desk: Desk) -> None:
    result = desk.on("positions import", desk.save(*desk.held))
    assert result.stdout == f"2 positions imported: {desk.store} (dry)\n"
    assert result.stderr == f"a new store for dry positions: {desk.store}\n"
    assert sorted(listed(desk), key=lambda one: one.symbol) == list(desk.held)


def test_importing_again_changes_nothing(desk: Desk) -> None:
    desk.imported()
    before = listed(desk)
    result = desk.on("positions import", desk.save(*desk.held, a_position(symbol="SOL")))
    assert (result.stdout, result.stderr) == (f"1 position imported, 2 there already: {desk.store} (dry)\n", "")
    assert [one for one in listed(desk) if one.symbol != "SOL"] == before


def test_one_position_needs_no_list(desk: Desk) -> None:
    desk.positions.write_text(a_position().model_dump_json())
    assert desk.said("positions import", desk.positions).startswith("1 position imported: ")


def test_on_paper_missing_tokens_follow_from_the_size_and_the_marks(desk: Desk) -> None:
    desk.said("positions import", desk.save(a_position()), "--mode", "paper", *desk.at("12:00"))
    (found,) = listed(desk)
    assert (str(found.long_quantity), str(found.short_quantity)) == ("0.1", "0.1")
    assert (str(found.long_entry_price), str(found.short_entry_price)) == ("100000", "100000")


def test_on_paper_tokens_that_are_known_need_no_source(desk: Desk) -> None:
    desk.said("positions import", desk.save(a_position(long_quantity="0.2", short_quantity="0.3")), "--mode", "paper")
    (found,) = listed(desk)
    assert (str(found.long_quantity), str(found.short_quantity), found.attention) == ("0.2", "0.3", None)


def test_on_paper_tokens_that_nobody_knows_are_refused(desk: Desk) -> None:
    desk.save(a_position(long_quantity=1, short_quantity=1), a_position(symbol="ETH"))
    said = desk.refused("positions import", desk.positions, "--mode", "paper")
    assert said.startswith(f"{desk.positions}, position 2: its tokens are not in the file, and the source has no mark")
    assert not desk.store.exists()


def test_live_positions_wait_until_their_legs_were_read(desk: Desk) -> None:
    desk.said("positions import", desk.save(a_position()), "--mode", "live")
    (found,) = listed(desk)
    assert found.attention == "a leg was not read yet: nothing is traded until both are"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"symbol": "ETH"}, "position 2: long_dex: Field required"),
        ({"symbl": "ETH"}, "position 2: symbol: Field required"),
        (a_position(), "position 2: another position of the file has its id"),
        (a_position(size_usd=5, short_dex="aster"), "position 2: position 1 of the file owns BTC on lighter as well"),
        (
            a_position(symbol="ETH", status="closed"),
            "position 2: only a position that is open, and nothing else, can be",
        ),
    ],
    ids=lambda one: "" if isinstance(one, str) else "row",
)
def test_a_bad_row_is_named_and_nothing_is_imported(desk: Desk, second: Any, said: str) -> None:
    desk.save(a_position(), second)
    refused = desk.refused("positions import", desk.positions)
    assert refused.removeprefix(f"{desk.positions}, ").startswith(said)
    assert not desk.store.exists()


def test_a_market_that_another_position_owns_is_refused_and_nothing_is_imported(desk: Desk) -> None:
    desk.imported()
    desk.save(a_position(symbol="SOL"), a_position(short_dex="aster"))
    said = desk.refused("positions import", desk.positions)
    assert said == f"{desk.positions}, position 2: another open position of the store owns BTC on lighter"
    assert [one.symbol for one in listed(desk)].count("SOL") == 0


def test_an_id_of_another_pair_is_refused(desk: Desk) -> None:
    desk.imported()
    desk.positions.write_text(a_position(symbol="SOL", id=desk.held[0].id).model_dump_json())
    said = desk.refused("positions import", desk.positions)
    assert said.endswith("its id is that of another position of the store, BTC long lighter / short grvt")


@pytest.mark.parametrize(
    ("text", "said"), [("", " is not JSON: "), ("[]", " has no positions"), ("[1]", ", position 1: ")]
)
def test_a_file_without_positions_is_refused(desk: Desk, text: str, said: str) -> None:
    desk.positions.write_text(text)
    assert desk.refused("positions import", desk.positions).startswith(f"{desk.positions}{said}")


def test_a_store_of_another_mode_is_refused(desk: Desk) -> None:
    desk.imported()
    assert "was made for dry, not for live" in desk.refused("positions import", desk.positions, "--mode", "live")


def test_closed_positions_are_listed_with_all(desk: Desk) -> None:
    desk.imported()
    desk.said("close", desk.held[0].id)
    assert [one.symbol for one in listed(desk)] == ["ETH"]
    assert [(one.symbol, one.status) for one in listed(desk, "--all")] == [("BTC", "closed"), ("ETH", "open")]


def test_without_positions_that_is_said(desk: Desk) -> None:
    desk.imported()
    for one in desk.held:
        desk.said("close", one.id)
    assert desk.said("positions list") == "There are no open positions.\n"
    assert desk.said("positions list", "--json") == "[]\n"
