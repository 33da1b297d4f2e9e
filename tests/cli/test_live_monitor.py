"""`rebalancer monitor`, one look at a time: what it watches, decides, sends, and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rebalancer import AlarmKind
from rebalancer.testing import a_position

if TYPE_CHECKING:
    from .conftest import Desk


def cells(text: str, name: str) -> list[str]:
    """The cells of the row in which a name stands."""
    row = next(line for line in text.splitlines() if name in line)
    return [cell.strip() for cell in row.split("   ") if cell.strip()]


def ids(desk: Desk) -> list[str]:
    return [str(one.id)[:8] for one in desk.held]


def test_a_look_shows_the_positions_their_divergence_and_what_was_decided(desk: Desk) -> None:
    desk.imported()
    text = desk.said("monitor", "--once", *desk.at("15:00"))
    btc, eth = ids(desk)
    assert text.startswith("rebalancer monitor  dry  switch: run  ")
    assert cells(text, "BTC lighter") == [btc, "BTC lighter/grvt", "open", "2.40", "2.00", "HOLD"]
    assert cells(text, "ETH lighter") == [eth, "ETH lighter/grvt", "open", "-3.20", "2.00", "CLOSE DIVERGENCE_FLIPPED"]


def test_unless_told_otherwise_nothing_is_sent(desk: Desk) -> None:
    desk.imported()
    text = desk.said("monitor", "--once", *desk.at("15:00"))
    assert f"{ids(desk)[1]} held: dry run: nothing is sent\n" in text
    assert [one["position"]["status"] for one in desk.status()["positions"]] == ["open", "open"]


def test_plain_lines_say_the_tick_and_what_is_new(desk: Desk) -> None:
    desk.imported()
    lines = desk.said("monitor", "--once", "--plain", *desk.at("15:00")).splitlines()
    assert "  dry  switch run  2 open, 0 closing, 1 held back, 0 alarms, " in lines[0]
    assert lines[1:] == [
        f"  {ids(desk)[1]} ETH long lighter / short grvt: CLOSE DIVERGENCE_FLIPPED, held: dry run: nothing is sent"
    ]


def test_on_paper_an_exit_is_traded_and_its_fees_are_known(desk: Desk) -> None:
    desk.imported("paper")
    text = desk.said("monitor", "--once", *desk.at("15:00"), "--executor-option", "leg_bps=5")
    assert f"{ids(desk)[1]} ETH long lighter / short grvt: its close begins\n" in text
    assert f"{ids(desk)[1]} ETH long lighter / short grvt: closed\n" in text
    row = next(line for line in desk.said("positions list", "--all").splitlines() if "ETH" in line)
    assert row.split()[1:4] == ["ETH", "lighter/grvt", "closed"]
    assert "10.00" in row.split()  # two legs of 10,000 USD at 5 bp


def test_the_paper_account_is_beside_the_store_and_holds_what_is_open(desk: Desk) -> None:
    desk.imported("paper")
    desk.said("monitor", "--once", *desk.at("12:00"))
    desk.said("monitor", "--once", *desk.at("13:00"))
    assert (desk.folder / "store.db.account.json").exists()
    assert [one["position"]["status"] for one in desk.status()["positions"]] == ["open", "open"]


def test_a_position_on_a_market_that_was_closed_on_paper_before_is_held_again(desk: Desk) -> None:
    desk.imported("paper")
    desk.said("monitor", "--once", *desk.at("15:00"))
    again = a_position(symbol="ETH", entry_short_rate="-0.0003", entry_long_rate="0.0003", size_usd=500)
    again = again.model_copy(update={"long_dex": "grvt", "short_dex": "lighter"})
    text = again.model_dump_json().replace(str(again.id), "00000000-0000-4000-8000-000000000001")
    desk.positions.write_text(text)
    desk.said("positions import", desk.positions, *desk.at("15:00"))
    desk.said("monitor", "--once", *desk.at("15:00"))
    account = json.loads((desk.folder / "store.db.account.json").read_text())
    assert {
        one["venue"]: (one["quantity"], one["entry_price"]) for one in account["legs"] if one["symbol"] == "ETH"
    } == {
        "grvt": ("0.125", "4000"),
        "lighter": ("-0.125", "4000"),
    }


def test_the_usual_store_is_in_this_folder_and_named_after_its_mode(desk: Desk) -> None:
    result = desk.run("monitor", "--once", *desk.at("12:00"))
    assert result.exit_code == 0
    assert "There are no open positions.\nImport some: rebalancer positions import FILE --store " in result.stdout
    assert result.stderr == f"a new store for dry positions: {desk.folder / 'rebalancer-dry.db'}\n"
    assert desk.run("monitor", "--once", "--executor", "paper", *desk.at("12:00")).exit_code == 0
    assert Path("rebalancer-paper.db").exists()


def test_the_store_can_be_named_in_the_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.imported()
    monkeypatch.setenv("REBALANCER_STORE", str(desk.store))
    assert "BTC lighter/grvt" in desk.run("monitor", "--once", *desk.at("12:00")).stdout
    assert "BTC lighter/grvt" in desk.run("status").stdout


def test_a_source_that_gives_no_answer_is_an_alarm_and_exit_status_1(desk: Desk) -> None:
    desk.imported()
    result = desk.on("monitor", "--once", "--source", "service", "--url", "http://127.0.0.1:9/")
    assert result.exit_code == 1
    assert " source_down: funding rate service: " in result.stdout
    assert cells(result.stdout, "BTC lighter")[2:5] == ["open", "-", "2.00"]


def test_a_narrow_terminal_breaks_names_and_no_figure(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.imported("paper")
    desk.said("close", ids(desk)[0])
    for columns in (30, 79, 80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        text = desk.said("status")
        assert [figure for figure in ("10,000", "2.00", "0.00", "lighter/grvt") if figure not in text] == []
        assert ("─" in text) == (columns >= 80)
        assert ("BTC lighter/grvt" in text) == (columns in (30, 79, 120))


@pytest.mark.parametrize("kind", AlarmKind)
def test_every_alarm_is_explained_on_the_page_about_the_monitor(kind: AlarmKind) -> None:
    assert f"\n| `{kind}` | " in (Path(__file__).parents[2] / "docs" / "how-to" / "run-the-monitor.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preset", "conservativ"), "there is no preset of that name (did you mean 'conservative'?)"),
        (("--executor", "papr"), "there is no executor of that name (did you mean 'paper'?)"),
        (("--mode", "live"), "live positions need an executor that trades: name one with --executor"),
        (("--executor", "paper"), "the source 'service' has no mark prices, at which orders on paper are filled"),
        (("--executor-option", "fast"), "--executor-option takes KEY=VALUE, such as leg_bps=5"),
        (("--executor-option", "keep=1"), "the executor 'dry_run' has no such option"),
        (("--venues", ","), "--venues needs at least one name, such as A,B"),
        (("--plugin", "no-such-plugin"), "no-such-plugin: it is not installed"),
        (("--source", "history"), "the source 'history': path: Field required"),
    ],
)
def test_what_can_not_be_watched_is_one_line_of_error_and_makes_no_store(
    desk: Desk, words: tuple[str, ...], said: str
) -> None:
    assert desk.refused("monitor", "--once", *words).startswith(said)
    assert not desk.store.exists()


def test_a_store_keeps_its_mode(desk: Desk) -> None:
    desk.imported()
    said = desk.refused("monitor", "--once", "--mode", "paper", *desk.at("12:00"))
    assert said == "the store was made for dry, not for paper: it was left untouched; take another file"
    said = desk.refused("monitor", "--once", "--executor", "paper", *desk.at("12:00"))
    assert said == f"{desk.store} was made for dry, not for paper: name another file with --store"
