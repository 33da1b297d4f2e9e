"""Fake venues in a process of their own, from the side of those who use them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from ...domain.numbers import Number, plain, read_number
from ...domain.times import SECOND
from ...errors import InputError
from .habits import Fate, Habits, OrderRequest, Reply


class RemoteVenue:
    """A venue of another process, for `FakeExecutor`. Each request has a connection of its own."""

    def __init__(self, name: str, *, port: int, habits: Habits) -> None:
        self.name = name
        self.habits = habits
        self._port = port

    @classmethod
    async def connect(cls, name: str, *, port: int) -> RemoteVenue:
        """The venue of that name behind a port, with the habits that it has."""
        venue = cls(name, port=port, habits=Habits())
        reply = await venue._asked("habits")
        venue.habits = Habits.model_validate(reply.body)
        return venue

    async def place(self, request: OrderRequest) -> Reply:
        """Place an order. Raises TimeoutError or ConnectionError."""
        return await self._asked("place", order=request.model_dump(mode="json"))

    async def find(self, name: str) -> Reply:
        """Query an order by its client id."""
        return await self._asked("find", id=name)

    async def cancel(self, name: str) -> Reply:
        """Cancel an order by its client id."""
        return await self._asked("cancel", id=name)

    async def positions(self, symbols: Sequence[str]) -> Reply:
        """Read positions."""
        return await self._asked("positions", symbols=list(symbols))

    async def control(self, what: str, **arguments: object) -> None:
        """What a test can do: `plan, unplan, price, hold, change, close, liquidate` or `fund`, as on a FakeVenue."""
        await self._asked(what, **{name: _as_json(value) for name, value in arguments.items()})

    async def _asked(self, what: str, **more: object) -> Reply:
        line = json.dumps({"venue": self.name, "do": what, **more}).encode() + b"\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        try:
            writer.write(line)
            answered = await reader.readline()
        finally:
            writer.close()
        if not answered.endswith(b"\n"):
            raise ConnectionResetError("the connection was cut")
        answer = json.loads(answered)
        if "timeout" in answer:
            raise TimeoutError("no answer")
        if "error" in answer:
            raise InputError(answer["error"])
        return Reply(answer["status"], answer["body"])


def _as_json(value: object) -> object:
    if isinstance(value, Fate):
        return value.model_dump(mode="json")
    return value / SECOND if isinstance(value, timedelta) else value


@contextmanager
def venue_process(
    *venues: str,
    log: str | Path,
    prices: Mapping[str, Number],
    habits: Habits | None = None,
    seed: int = 0,
) -> Iterator[int]:
    """A process with these venues, all with the same markets and habits, until the block ends; gives its port."""
    command = [sys.executable, "-m", "rebalancer.testing.fake_venue", "--tied", f"--log={log}", f"--seed={seed}"]
    command += [f"--venue={venue}" for venue in venues]
    command += [f"--price={symbol}={plain(read_number(price))}" for symbol, price in prices.items()]
    command += [f"--habits={(habits or Habits()).model_dump_json()}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None  # both are pipes
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["port"]
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
