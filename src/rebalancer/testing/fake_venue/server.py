"""Fake venues as a process of their own: JSON over TCP on 127.0.0.1, one request and one answer a line."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from .habits import Fate, OrderRequest, Reply
from .venue import FakeVenue

TICK = 0.002
"""Seconds between two looks at what is due, so that it is in the log although nobody asks."""
CONTROLS = ("plan", "unplan", "price", "hold", "change", "close", "liquidate", "fund")


class FakeVenueServer:
    """Serves venues that have one log. A client that goes away leaves its orders behind."""

    def __init__(self, venues: Mapping[str, FakeVenue]) -> None:
        self._venues = dict(venues)
        self._server: asyncio.Server | None = None

    async def serve(self, port: int, *, tied: bool) -> None:
        """Listen on `port` (0: any), print it as JSON, and serve until killed; if `tied`, until standard input ends."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", port, limit=1 << 20)
        sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
        sys.stdout.flush()
        running: list[asyncio.Task[None]] = [
            asyncio.create_task(server.serve_forever()),
            asyncio.create_task(self._go_on()),
        ]
        if tied:
            running.append(asyncio.create_task(asyncio.to_thread(_to_its_end)))
        ended, pending = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for task in ended:
            task.result()

    async def _go_on(self) -> None:
        while True:
            for venue in self._venues.values():
                venue.catch_up()
            await asyncio.sleep(TICK)

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.LimitOverrunError, ValueError):
            while (line := await reader.readline()).endswith(b"\n"):  # half a line: the client died over it
                try:
                    answer = await self._answer(json.loads(line))
                except ConnectionResetError:  # fated: the client sees the connection cut
                    break
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            what, name = request.pop("do"), request.pop("venue")
            if name not in self._venues:
                return {"error": "there is no such venue"}
            reply = await self._done(self._venues[name], what, request)
        except TimeoutError:
            return {"timeout": True}
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # whatever is wrong with a request
            return {"error": f"not a request: {error}"}
        return {"status": reply.status, "body": reply.body}

    async def _done(self, venue: FakeVenue, what: str, request: dict[str, Any]) -> Reply:
        match what:
            case "place":
                return await venue.place(OrderRequest.model_validate(request["order"]))
            case "find":
                return await venue.find(request["id"])
            case "cancel":
                return await venue.cancel(request["id"])
            case "positions":
                return await venue.positions(request["symbols"])
            case "habits":
                return Reply(200, venue.habits.model_dump(mode="json"))
            case what if what in CONTROLS:
                return Reply(200, getattr(venue, what)(**_arguments(request)))
        raise ValueError("there is no such request")


def _to_its_end() -> None:
    sys.stdin.read()


def _arguments(request: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a control, out of their JSON."""
    if "fate" in request:
        request["fate"] = Fate.model_validate(request["fate"])
    if "after" in request:
        request["after"] = timedelta(seconds=request["after"])
    return request
