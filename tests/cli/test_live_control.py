"""The commands by which a person acts on a store, and those that say why it is as it is."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import Intent, Lease, RebalanceDecision, StoreMode, Switch
from rebalancer.adapters import SqliteStore
from rebalancer.adapters.clock import SystemClock
from rebalancer.cli.status import Status
from rebalancer.domain.batch import Batch, StoredDecision
from rebalancer.monitor.exits import MASS_EXIT
from rebalancer.testing import a_position

if TYPE_CHECKING:
    from .conftest import Desk


def in_store(desk: Desk, work: Callable[[SqliteStore, Lease], Any], mode: StoreMode) -> Any:
    """What `work` makes of the store, with the lease."""

    async def done() -> Any:
        async with SqliteStore(desk.store, mode=mode) as store:
            lease = await store.acquire("test", timedelta(minutes=1))
            assert lease is not None
            made = await work(store, lease)
            await store.release(lease)
            return made

    return asyncio.run(done())


def held_exit(desk: Desk, why: str = MASS_EXIT) -> StoredDecision:
    """Have an exit of ETH be held back in a paper store."""
    desk.imported("paper")
    desk.said("kill")
    desk.said("monitor", "--once", *desk.at("15:00"))
    desk.said("resume")

    async def hold(store: SqliteStore, lease: Lease) -> StoredDecision:
        (stored,) = [one for one in await store.decisions(desk.held[0].opened_at) if one.held is not None]
        now = SystemClock().now().replace(microsecond=0)
        again = StoredDecision(record=stored.record.model_copy(update={"as_of": now}), held=why)
        await store.commit(lease, Batch(decisions=(again,)))
        return again

    kept: StoredDecision = in_store(desk, hold, StoreMode.PAPER)
    return kept


# status


def test_status_as_json_is_what_the_docs_say(desk: Desk) -> None:
    desk.imported("paper")
    desk.said("monitor", "--once", *desk.at("12:00"))
    desk.said("close", str(desk.held[0].id)[:8])
    found = desk.status()
    assert Status.model_validate(found).model_dump(mode="json") == found
    assert list(found) == ["as_of", "store", "mode", "switch", "positions", "orders", "waiting"]
    assert (found["mode"], found["switch"], found["store"]) == ("paper", "run", str(desk.store))
    btc = next(one for one in found["positions"] if one["position"]["symbol"] == "BTC")
    assert list(btc) == ["position", "age_seconds", "funding_usd", "fees_usd", "decision"]
    assert (btc["position"]["status"], btc["position"]["close_reason"]) == ("pending_close", "CLOSED_BY_HAND")
    assert {(one["effect"], one["leg"], one["state"], one["unknown"]) for one in found["orders"]} == {
        ("close", "long", "planned", False),
        ("close", "short", "planned", False),
    }


def test_status_says_what_is_decided_and_why_it_is_held(desk: Desk) -> None:
    desk.imported()
    desk.said("monitor", "--once", *desk.at("15:00"))
    decision = next(one["decision"] for one in desk.status()["positions"] if one["position"]["symbol"] == "ETH")
    assert (decision["action"], decision["reason"]) == ("CLOSE", "DIVERGENCE_FLIPPED")
    line = f"CLOSE DIVERGENCE_FLIPPED (decision {decision['id'][:8]}), held: dry run: nothing is sent\n"
    assert f"{str(desk.held[1].id)[:8]} {line}" in desk.said("status")


def test_status_needs_no_turn_and_takes_none(desk: Desk) -> None:
    desk.imported()

    async def looked(store: SqliteStore, lease: Lease) -> None:
        assert (await asyncio.to_thread(desk.status))["switch"] == "run"
        await store.commit(lease, Batch(positions=(a_position(symbol="SOL"),)))

    in_store(desk, looked, StoreMode.DRY)


def test_an_order_past_its_deadline_is_shown_as_unknown(desk: Desk) -> None:
    desk.imported("paper")
    desk.said("monitor", "--once", *desk.at("12:00"))
    desk.said("close", desk.held[0].id)

    async def sent(store: SqliteStore, lease: Lease) -> Intent:
        intent, _ = await store.intents()
        at = SystemClock().now() - timedelta(minutes=1)
        sent = intent.then(intent.state.SENT, quantity="0.1", sent_at=at, touched_at=at, deadline=at)
        await store.commit(lease, Batch(intents=(sent,)))
        return sent

    intent = in_store(desk, sent, StoreMode.PAPER)
    assert [one["key"] for one in desk.status()["orders"] if one["unknown"]] == [intent.key]
    assert (
        f"order {intent.key[:8]}: close {intent.leg} leg, {intent.side} 0.1 BTC on {intent.venue}, attempt 1: unknown"
        in (desk.said("status"))
    )


def test_status_looks_again_until_it_is_stopped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.imported()
    looks = []

    async def slept(_: SystemClock, seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(SystemClock, "sleep", slept)
    lines = desk.said("status", "--watch", "--json").splitlines()
    assert [len(json.loads(line)["positions"]) for line in lines] == [2, 2]
    assert looks == [2, 2]


# a store that is none


def newer(desk: Desk) -> None:
    desk.imported()
    with closing(sqlite3.connect(desk.store)) as connection:
        connection.execute("UPDATE meta SET schema = 99")
        connection.commit()


@pytest.mark.parametrize("command", ["status", "positions list", "kill", "close 1234", "explain 1234", "approve 1234"])
def test_a_store_that_can_not_be_used_is_one_line_of_error(desk: Desk, command: str) -> None:
    assert desk.refused(command) == f"{desk.store}: there is no such file"
    assert not desk.store.exists()
    desk.store.write_text("not a store")
    assert desk.refused(command).startswith(f"{desk.store}: not a store of rebalancer: it was left untouched")
    assert desk.store.read_text() == "not a store"
    desk.store.unlink()
    newer(desk)
    assert "the store has layout 99, and this version of rebalancer knows up to " in desk.refused(command)


# close


def test_in_a_dry_run_a_closed_position_is_watched_no_longer(desk: Desk) -> None:
    desk.imported()
    name = str(desk.held[0].id)[:8]
    assert desk.said("close", name) == f"{name} BTC long lighter / short grvt: closed (CLOSED_BY_HAND)\n"
    assert desk.said("close", desk.held[0].id) == (
        f"{name} BTC long lighter / short grvt: already closed (CLOSED_BY_HAND)\n"
    )


def test_without_an_executor_a_close_is_planned_and_the_next_monitor_sends_it(desk: Desk) -> None:
    desk.imported("paper")
    desk.said("monitor", "--once", *desk.at("12:00"))
    said = desk.said("close", desk.held[0].id, "--reason", "TOO_LARGE")
    assert "pending_close; nothing was sent yet: the monitor of this store sends the orders in its next pass" in said
    assert "pending_close already" in desk.said("close", desk.held[0].id)
    assert "BTC long lighter / short grvt: closed" in desk.said("monitor", "--once", *desk.at("13:00"))
    rows = json.loads(desk.said("positions list", "--all", "--json"))
    assert [one["close_reason"] for one in rows] == ["TOO_LARGE", None]


def test_with_an_executor_a_close_is_sent_at_once(desk: Desk) -> None:
    desk.imported("paper")
    said = desk.said("close", desk.held[0].id, "--executor", "paper", *desk.at("12:00"))
    assert said.endswith(" BTC long lighter / short grvt: closed (CLOSED_BY_HAND)\n")


def test_an_executor_of_another_mode_is_refused(desk: Desk) -> None:
    desk.said("positions import", desk.save(a_position(long_quantity=1, short_quantity=1)), "--mode", "live")
    assert desk.refused("close", desk.held[0].id, "--executor", "dry_run") == (
        "the store is for live positions, and the executor for dry ones"
    )


def test_a_live_position_that_was_never_read_is_not_closed(desk: Desk) -> None:
    desk.said("positions import", desk.save(a_position()), "--mode", "live")
    assert "a leg was never read: it is not traded" in desk.refused("close", desk.held[0].id)


def test_the_switch_forbids_a_close_by_hand(desk: Desk) -> None:
    desk.imported("paper")
    desk.said("kill")
    assert "the kill switch is on" in desk.refused("close", desk.held[0].id)
    assert desk.status()["orders"] == []


@pytest.mark.parametrize("reason", ["too large", "too_large", ""])
def test_a_reason_is_a_code(desk: Desk, reason: str) -> None:
    desk.imported()
    assert desk.refused("close", desk.held[0].id, "--reason", reason).startswith("--reason: ")


def test_while_a_monitor_is_active_a_person_waits_and_then_gives_up(desk: Desk) -> None:
    desk.imported()

    async def kept_away(_: SqliteStore, __: Lease) -> str:
        return await asyncio.to_thread(lambda: desk.on("close", desk.held[0].id, "--wait", "1").stderr)

    told, gave_up = in_store(desk, kept_away, StoreMode.DRY).splitlines()
    assert told == "a monitor is active: waiting until it gives way between two ticks, for at most 1 s"
    assert gave_up.startswith("error: a monitor is active, and did not give way within 1 s: nothing was done")
    assert [one["position"]["status"] for one in desk.status()["positions"]] == ["open", "open"]


# names


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("abc", "give at least 4 characters of the id of the open position; there are "),
        ("abcd", "there is no open position of this id; there are "),
        ("00000000-0000-4000-8000-000000000001", "there is no open position of this id; there are "),
        ("../../x", "there is no open position of this id; there are "),
    ],
)
def test_an_id_that_is_not_there_is_refused_with_those_that_are(desk: Desk, name: str, said: str) -> None:
    desk.imported()
    refused = desk.refused("close", name)
    assert refused.startswith(said)
    assert f"{str(desk.held[0].id)[:8]} (BTC long lighter / short grvt)" in refused


def test_the_beginning_of_an_id_has_four_characters(desk: Desk) -> None:
    desk.imported()
    name = str(desk.held[0].id)
    assert desk.refused("close", name[:3]).startswith("give at least 4 characters of the id of the open position")
    assert desk.said("close", name[:4].upper()).startswith(f"{name[:8]} BTC ")


def test_the_beginning_of_two_ids_is_refused(desk: Desk) -> None:
    twins = [f"abcd0000-0000-4000-8000-00000000000{last}" for last in (1, 2)]
    rows = [{**json.loads(one.model_dump_json()), "id": name} for one, name in zip(desk.held, twins, strict=True)]
    desk.said("positions import", desk.save(*rows))
    assert desk.refused("close", "abcd").startswith(
        "that is the beginning of 2 ids: give more of it; there are abcd0000-"
    )
    assert desk.said("close", twins[1][:36]).startswith("abcd0000 ETH")


# ticks


def test_the_last_ticks_are_listed_with_what_came_of_them(desk: Desk) -> None:
    desk.imported()
    assert desk.said("ticks") == "There were no ticks with open positions.\n"
    for _ in range(3):
        desk.said("monitor", "--once", *desk.at("15:00"))
    rows = json.loads(desk.said("ticks", "--json"))
    assert [(row["decided"], row["blind"], row["begun"], row["held_back"]) for row in rows] == [(2, 0, 0, 1)] * 3
    assert json.loads(desk.said("ticks", "--json", "--last", "2")) == rows[1:]
    heading, rule, *lines = desk.said("ticks", "--last", "1").strip().splitlines()
    assert heading.split() == ["tick", "(UTC)", "decided", "blind", "begun", "held", "back"]
    assert set(rule.strip()) == {"\u2500"}
    assert [line.split()[2:] for line in lines] == [["2", "0", "0", "1"]]


# explain


def test_a_decision_is_explained_with_what_was_done_about_it(desk: Desk) -> None:
    desk.imported()
    desk.said("monitor", "--once", *desk.at("15:00"))
    decisions = {one["decision"]["action"]: one["decision"]["id"] for one in desk.status()["positions"]}
    text = desk.said("explain", decisions["CLOSE"][:6])
    assert text.startswith("CLOSE ETH long lighter / short grvt: DIVERGENCE_FLIPPED (critical)\n")
    assert text.endswith(f"  held: dry run: nothing is sent\n  decision {decisions['CLOSE']}\n")
    assert "\n  nothing was to be done\n" in desk.said("explain", decisions["HOLD"])


def test_a_decision_that_was_acted_on_says_so(desk: Desk) -> None:
    desk.imported("paper")
    desk.said("monitor", "--once", *desk.at("15:00"))

    async def newest(store: SqliteStore, _: Lease) -> str:
        return next(str(one.id) for one in await store.decisions(desk.held[0].opened_at) if one.record.reason)

    assert "\n  it was acted on\n" in desk.said("explain", in_store(desk, newest, StoreMode.PAPER))


def test_a_decision_that_is_not_there_is_refused(desk: Desk) -> None:
    desk.imported()
    assert desk.refused("explain", "abcd") == "there is no decision of this id; there is no decision at all"


# the switch


@pytest.mark.parametrize(
    ("command", "switch"),
    [("kill", Switch.KILL), ("pause", Switch.PAUSE), ("flatten", Switch.FLATTEN), ("resume", Switch.RUN)],
)
def test_the_switch_is_set_and_stays(desk: Desk, command: str, switch: Switch) -> None:
    desk.imported()
    if switch is Switch.RUN:
        desk.said("kill")
    assert desk.said(command).startswith(f"{switch}: ")
    assert desk.status()["switch"] == switch


def test_the_switch_waits_for_no_monitor(desk: Desk) -> None:
    desk.imported()

    async def killed(store: SqliteStore, _: Lease) -> Switch:
        await asyncio.to_thread(desk.said, "kill")
        return await store.switch()

    assert in_store(desk, killed, StoreMode.DRY) is Switch.KILL


def test_what_acts_has_to_be_told_the_store(desk: Desk) -> None:
    for command in ("kill", "close 1234", "approve 1234", "flatten"):
        result = desk.run(*command.split())
        assert result.exit_code == 2
        assert "--store" in result.stderr


# approve


def test_a_held_exit_is_approved_by_the_beginning_of_its_id(desk: Desk) -> None:
    kept = held_exit(desk)
    (waiting,) = desk.status()["waiting"]
    assert waiting["approve"] == str(kept.id)
    assert f"waits for approval: rebalancer approve {str(kept.id)[:8]} (ETH long lighter / short grvt)" in desk.said(
        "status"
    )
    said = desk.said("approve", str(kept.id)[:8])
    assert said.startswith(f"{str(kept.id)[:8]} CLOSE ETH long lighter / short grvt: approved for an hour")
    assert desk.status()["waiting"] == []
    assert "\n  approved at " in desk.said("explain", kept.id)


def test_an_order_is_approved_by_the_beginning_of_its_key(desk: Desk) -> None:
    desk.imported("paper")
    desk.said("monitor", "--once", *desk.at("12:00"))
    desk.said("close", desk.held[0].id)
    first, second = desk.status()["orders"]
    assert " close of the long leg, BTC on lighter: approved" in desk.said("approve", first["key"][:8])
    approved = {one["key"]: one["approved_at"] is not None for one in desk.status()["orders"]}
    assert approved == {first["key"]: True, second["key"]: False}


def test_what_does_not_wait_can_not_be_approved(desk: Desk) -> None:
    desk.imported("paper")
    assert desk.refused("approve", "abcd").startswith("there is no exit or order that waits of this id")


def test_in_a_dry_run_nothing_waits_for_approval(desk: Desk) -> None:
    desk.imported()
    desk.said("monitor", "--once", *desk.at("15:00"))
    assert desk.refused("approve", "abcd") == ("this is a dry run: nothing is ever sent, so nothing waits for approval")


def test_a_decision_is_still_the_one_that_was_made(desk: Desk) -> None:
    kept = held_exit(desk)
    assert RebalanceDecision(kept.record).explain() in desk.said("explain", str(kept.id)[:8])
