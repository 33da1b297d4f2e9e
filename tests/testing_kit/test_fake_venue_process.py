"""The fake venue as a process: the same behaviour, and no client that dies can stop it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from rebalancer import InputError
from rebalancer.domain.intents import OrderSide
from rebalancer.testing import ManualClock
from rebalancer.testing.fake_venue import (
    Answer,
    Call,
    Chance,
    FakeVenue,
    Fate,
    Habits,
    OrderRequest,
    RemoteVenue,
    Reply,
    truth,
    venue_process,
)

MS = timedelta(milliseconds=1)


def an_order(name: str, side: str = "buy", quantity: str = "1", **more: Any) -> OrderRequest:
    return OrderRequest(**{"id": name, "symbol": "BTC", "side": OrderSide(side), "quantity": quantity, **more})


def eventually(true: Callable[[], bool]) -> None:
    """Wait until it is so, for 5 s at most."""
    until = monotonic() + 5
    while not true():
        assert monotonic() < until
        sleep(0.002)


async def script(venue: FakeVenue | RemoteVenue, control: Callable[..., Any]) -> list[object]:
    """Calls of every kind, and what came of them."""
    seen: list[object] = []

    async def ask(call: Any) -> None:
        try:
            seen.append(tuple(await call))
        except (TimeoutError, ConnectionError) as error:
            seen.append(type(error).__name__)

    await control("hold", symbol="BTC", quantity="-2", entry_price=90)
    await control("plan", call="place", fate=Fate(share="0.5"))
    for number in range(20):
        await ask(venue.place(an_order(str(number))))
    await ask(venue.place(an_order("0")))
    for answer in Answer:
        await control("plan", call="read", fate=Fate(answer=answer))
        await control("plan", call="find", fate=Fate(answer=answer))
        await ask(venue.find("0"))
        positions = venue.positions(["BTC", "ETH"])
        if answer is Answer.TRUE:
            rows = (await positions).body
            assert isinstance(rows, list)
            seen.append([{name: value for name, value in row.items() if name != "as_of"} for row in rows])
        else:
            await ask(positions)
    await control("plan", call="place", fate=Fate(share=0, rests=True))
    await ask(venue.place(an_order("resting")))
    await ask(venue.cancel("resting"))
    await ask(venue.cancel("nothing"))
    await control("plan", call="place", fate=Fate(reject="no"), times=None)
    await control("unplan")
    await control("price", symbol="ETH", price=5)
    await control("change", symbol="BTC", by=1)
    await control("fund", symbol="BTC", amount=3)
    await control("liquidate", symbol="BTC")
    await control("close", symbol="BTC")
    return seen


HABITS = Habits(
    fee_bps=5,
    chances=(
        Chance(call=Call.PLACE, probability="0.2", fate=Fate(answer=Answer.TIMEOUT)),
        Chance(call=Call.PLACE, probability="0.2", fate=Fate(answer=Answer.RESET)),
        Chance(call=Call.PLACE, probability="0.2", fate=Fate(reject="no")),
    ),
)


async def test_a_venue_is_the_same_in_this_process_and_in_its_own(tmp_path: Path) -> None:
    local = FakeVenue(prices={"BTC": 100}, clock=ManualClock(), habits=HABITS, seed=3)

    async def control(what: str, **arguments: Any) -> None:
        getattr(local, what)(**arguments)

    here = await script(local, control)
    log = tmp_path / "truth.jsonl"
    with venue_process("lighter", log=log, prices={"BTC": 100}, habits=HABITS, seed=3) as port:
        remote = await RemoteVenue.connect("lighter", port=port)
        assert remote.habits == HABITS
        there = await script(remote, remote.control)
    assert here == there
    without_times = [
        [{k: v for k, v in one.items() if k != "at"} for one in log] for log in (local.facts, truth.read(log))
    ]
    assert without_times[0] == without_times[1]


async def test_two_venues_share_a_process_and_a_log(tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    with venue_process("lighter", "grvt", log=log, prices={"BTC": 100}) as port:
        for name, side in (("lighter", "buy"), ("grvt", "sell")):
            venue = await RemoteVenue.connect(name, port=port)
            await venue.place(an_order("a", side))
    assert truth.net(truth.read(log)) == {("lighter", "BTC"): 1, ("grvt", "BTC"): -1}
    assert truth.problems(truth.read(log)) == []


async def test_what_is_due_happens_although_nobody_asks(tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    with venue_process("lighter", log=log, prices={"BTC": 100}) as port:
        venue = await RemoteVenue.connect("lighter", port=port)
        await venue.control("plan", call="place", fate=Fate(after=20 * MS))
        await venue.control("liquidate", symbol="BTC", after=40 * MS)
        assert (await venue.place(an_order("a"))).status == 200
        eventually(lambda: any(fact["fact"] == "changed" for fact in truth.parse(_whole_lines(log))))
    assert [fact["fact"] for fact in truth.read(log)] == ["price", "accepted", "filled", "changed"]


def _whole_lines(log: Path) -> str:
    text = log.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1]


CLIENT = """
import asyncio, os, signal, sys
from rebalancer.domain.intents import OrderSide
from rebalancer.testing.fake_venue import OrderRequest, RemoteVenue, Habits

async def main():
    venue = RemoteVenue("lighter", port=int(sys.argv[1]), habits=Habits())
    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGKILL)
    await venue.place(OrderRequest(id="a", symbol="BTC", side=OrderSide.BUY, quantity=1))

asyncio.run(main())
"""


async def test_a_client_that_is_killed_while_it_waits_leaves_its_order_and_the_venue_behind(tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    habits = Habits(latency=timedelta(seconds=1))
    with venue_process("lighter", log=log, prices={"BTC": 100}, habits=habits) as port:
        venue = await RemoteVenue.connect("lighter", port=port)
        await venue.control("plan", call="place", fate=Fate(after=20 * MS))
        killed = subprocess.run([sys.executable, "-c", CLIENT, str(port)], check=False)
        assert killed.returncode == -signal.SIGKILL
        eventually(lambda: truth.net(truth.parse(_whole_lines(log))) == {("lighter", "BTC"): 1})
    assert truth.problems(truth.read(log)) == []


async def test_half_a_request_and_nonsense_do_no_harm(tmp_path: Path) -> None:
    with venue_process("lighter", log=tmp_path / "truth.jsonl", prices={"BTC": 100}) as port:
        order = json.dumps({"venue": "lighter", "do": "place", "order": an_order("a").model_dump(mode="json")})
        for line in (order[:-9], "no json\n", "[]\n", "7\n", "{}\n", "\n", "x" * (1 << 21), order):
            with socket.create_connection(("127.0.0.1", port)) as client, suppress(ConnectionError):
                client.sendall(line.encode())
        venue = await RemoteVenue.connect("lighter", port=port)
        assert await venue.find("a") == Reply(404, {})
        assert (await venue.place(an_order("a"))).status == 200


async def test_what_is_asked_wrongly_is_an_error_that_says_so(tmp_path: Path) -> None:
    with venue_process("lighter", log=tmp_path / "truth.jsonl", prices={"BTC": 100}) as port:
        venue = await RemoteVenue.connect("lighter", port=port)
        for what, arguments, why in (
            ("kill", {}, "there is no such request"),
            ("_due", {}, "there is no such request"),
            ("hold", {"symbol": "ETH", "quantity": 1}, "give it a price first"),
            ("price", {"symbol": "BTC", "prise": 1}, "unexpected keyword"),
        ):
            with pytest.raises(InputError, match=why):
                await venue.control(what, **arguments)
        with pytest.raises(InputError, match="there is no such venue"):
            await RemoteVenue.connect("grvt", port=port)


async def test_many_clients_at_once_are_served_one_by_one(tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    with venue_process("lighter", log=log, prices={"BTC": 100}) as port:
        venue = await RemoteVenue.connect("lighter", port=port)
        replies = await asyncio.gather(*(venue.place(an_order(str(n % 25), quantity="0.1")) for n in range(50)))
    assert sorted(reply.status for reply in replies) == [200] * 25 + [409] * 25
    assert truth.net(truth.read(log)) == {("lighter", "BTC"): Decimal("2.5")}


def test_the_process_ends_with_its_owner(tmp_path: Path) -> None:
    with venue_process("lighter", log=tmp_path / "truth.jsonl", prices={"BTC": 100}) as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


@pytest.mark.parametrize("arguments", [[], ["--price", "BTC=100"], ["--log", os.devnull]])
def test_the_process_says_what_it_must_be_told(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "rebalancer.testing.fake_venue", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "required" in done.stderr


async def test_a_venue_that_dies_over_its_answer_is_a_connection_that_was_cut() -> None:
    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"status": 20')
        writer.close()

    async with await asyncio.start_server(dies, "127.0.0.1", 0) as server:
        venue = RemoteVenue("lighter", port=server.sockets[0].getsockname()[1], habits=Habits())
        with pytest.raises(ConnectionResetError):
            await venue.positions(["BTC"])
