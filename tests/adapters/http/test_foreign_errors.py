"""Every foreign exception becomes one of ours, with the foreign one as its cause."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
import pytest

from rebalancer import BadAnswerError, SourceError, SourceUnavailableError
from rebalancer.adapters.http import JsonReader
from rebalancer.testing import ManualClock

if TYPE_CHECKING:
    from .conftest import FaultServer

MakeReader = Callable[..., JsonReader]
URL = "https://host/api"
JSON = {"content-type": "application/json"}


def tree(root: type[Exception]) -> Iterator[type[Exception]]:
    """An exception and all that are derived from it."""
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def made(kind: type[Exception]) -> Exception:
    """One of that kind."""
    if issubclass(kind, httpx.HTTPStatusError):
        return kind("it", request=httpx.Request("GET", URL), response=httpx.Response(500))
    try:
        return kind("it")
    except TypeError:  # some bring their own words
        return kind()


FROM_HTTPX = sorted(
    {*tree(httpx.HTTPError), *tree(httpx.InvalidURL), *tree(httpx.StreamError), httpx.CookieConflict}
    - {httpx.CookieConflict},  # raised only where a cookie is looked up by its name
    key=lambda kind: kind.__name__,
)
BESIDE_IT = [
    ssl.SSLError("it"),
    ssl.SSLEOFError("it"),
    ssl.SSLCertVerificationError("it"),
    OSError("it"),
    ConnectionResetError("it"),
    socket.gaierror("it"),
    UnicodeError("it"),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "it"),
    ValueError("it"),
]


class Body(httpx.AsyncByteStream):
    """A body, or a piece of one whose further reading fails."""

    def __init__(self, data: bytes, error: Exception | None = None) -> None:
        self.data = data
        self.error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.data
        if self.error is not None:
            raise self.error


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception, *, while_reading: bool) -> None:
    """Make every exchange fail with the error: at once, or after a piece of the body."""

    async def handle(self: Any, request: httpx.Request) -> httpx.Response:
        if while_reading:
            return httpx.Response(200, headers=JSON, stream=Body(b"{", error))
        raise error

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)


def test_the_tree_is_that_of_httpx() -> None:
    names = {kind.__name__ for kind in FROM_HTTPX}
    public = {name for name, kind in vars(httpx).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert public - names == {"CookieConflict"}


@pytest.mark.parametrize("while_reading", [False, True])
@pytest.mark.parametrize("error", [*map(made, FROM_HTTPX), *BESIDE_IT], ids=lambda error: type(error).__name__)
async def test_a_foreign_error_is_mapped_and_kept_as_the_cause(
    reader: MakeReader,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    while_reading: bool,  # noqa: FBT001
) -> None:
    fail_with(monkeypatch, error, while_reading=while_reading)
    with pytest.raises(SourceError) as ours:
        await reader(URL, clock=ManualClock()).get("/x")
    expected = SourceUnavailableError if isinstance(error, (httpx.TransportError, OSError)) else BadAnswerError
    assert type(ours.value) is expected
    assert ours.value.__cause__ is error


@pytest.mark.parametrize("error", [httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError, httpx.PoolTimeout])
async def test_a_failed_connection_is_tried_again(
    reader: MakeReader, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    tries = []

    async def handle(self: Any, request: httpx.Request) -> httpx.Response:
        tries.append(request)
        if len(tries) == 1:
            raise error("it")
        return httpx.Response(200, headers=JSON, stream=Body(b"{}"))

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    assert await reader(URL, clock=ManualClock()).get("/x") == {}
    assert len(tries) == 2


async def test_what_is_no_exception_of_a_service_is_not_hidden(
    reader: MakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handle(self: Any, request: httpx.Request) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    with pytest.raises(KeyboardInterrupt):
        await reader(URL, clock=ManualClock()).get("/x")


async def test_a_read_after_closing_is_unavailable(server: FaultServer, reader: MakeReader) -> None:
    closed = reader(server.url("good"))
    await closed.aclose()
    await closed.aclose()
    with pytest.raises(SourceUnavailableError, match="closed on this side"):
        await closed.get("/x")


async def test_a_read_that_is_under_way_when_it_is_closed_is_unavailable(
    server: FaultServer, reader: MakeReader
) -> None:
    url = server.url("hang")
    closing = reader(url, deadline=timedelta(seconds=5))
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(_expect_unavailable(closing))
        while not server.seen(url):
            await asyncio.sleep(0.01)
        await closing.aclose()
    assert asking.done()


async def _expect_unavailable(reader: JsonReader) -> None:
    with pytest.raises(SourceUnavailableError):
        await reader.get("/x")
