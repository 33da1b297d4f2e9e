"""What is sent, over which connections, and what of the environment counts."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import InputError, SourceError, SourceUnavailableError
from rebalancer.adapters.clock import SystemClock
from rebalancer.adapters.http import JsonReader
from rebalancer.testing import ManualClock

if TYPE_CHECKING:
    from .conftest import FaultServer

MakeReader = Callable[..., JsonReader]
PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]


@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment whose every proxy is a port where nobody listens."""
    for name in PROXIES:
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


async def sent(server: FaultServer, reader: MakeReader, **options: object) -> dict[str, str]:
    """The headers of a request, by lower-case name; none comes twice."""
    url = server.url("good")
    await reader(url, **options).get("/x")
    (seen,) = server.seen(url)
    assert len({name.lower() for name, _ in seen["headers"]}) == len(seen["headers"])
    return {name.lower(): text for name, text in seen["headers"]}


async def test_a_question_is_a_get_of_the_path_below_the_address(server: FaultServer, reader: MakeReader) -> None:
    url = server.url("good")
    await reader(url + "/v%2F1/").get("/rates/A%2FB", {"symbol": "A/B&c=d", "none": ""})
    (seen,) = server.seen(url)
    assert seen["method"] == "GET"
    assert seen["path"] == "/v%2F1/rates/A%2FB"
    assert seen["query"] == "symbol=A%2FB%26c%3Dd&none="


async def test_plain_json_is_asked_for_and_nothing_else_is_told(server: FaultServer, reader: MakeReader) -> None:
    headers = await sent(server, reader)
    assert headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert set(headers) == {"host", "connection", "user-agent", "accept", "accept-encoding"}


async def test_headers_of_ones_own_go_with_each_request(server: FaultServer, reader: MakeReader) -> None:
    headers = await sent(server, reader, headers={"X-Api-Key": "abc", "User-Agent": "me", "x-empty": ""})
    assert (headers["x-api-key"], headers["user-agent"], headers["x-empty"]) == ("abc", "me", "")


@pytest.mark.parametrize("name", ["Accept-Encoding", "accept-encoding", "ACCEPT-ENCODING"])
async def test_no_header_of_ones_own_asks_for_compression(server: FaultServer, reader: MakeReader, name: str) -> None:
    assert (await sent(server, reader, headers={name: "gzip"}))["accept-encoding"] == "identity"


@pytest.mark.parametrize("name", ["Accept", "accept"])
async def test_what_is_accepted_may_be_said_more_closely(server: FaultServer, reader: MakeReader, name: str) -> None:
    assert (await sent(server, reader, headers={name: "application/json;v=2"}))["accept"] == "application/json;v=2"


async def test_cookies_are_not_sent_back(server: FaultServer, reader: MakeReader) -> None:
    url = server.url("cookie")
    asking = reader(url)
    for _ in range(3):
        await asking.get("/x")
    assert not any(name.lower() == "cookie" for seen in server.seen(url) for name, _ in seen["headers"])


async def test_a_connection_is_kept_between_questions(server: FaultServer, reader: MakeReader) -> None:
    url = server.url("good")
    asking = reader(url)
    for _ in range(5):
        await asking.get("/x")
    assert len({seen["connection"] for seen in server.seen(url)}) == 1


@pytest.mark.parametrize("fault", ["unknown", "down", "cut_json", "html"])
async def test_a_connection_is_kept_after_an_error_that_came_whole(
    server: FaultServer, reader: MakeReader, fault: str
) -> None:
    url = server.url(fault)
    asking = reader(url)
    for _ in range(2):
        with pytest.raises(SourceError):
            await asking.get("/x")
    assert len({seen["connection"] for seen in server.seen(url)}) == 1


@pytest.mark.usefixtures("dead_proxy")
async def test_proxies_of_the_environment_do_not_count(server: FaultServer, reader: MakeReader) -> None:
    assert await reader(server.url("good")).get("/x")


@pytest.mark.usefixtures("dead_proxy")
async def test_proxies_of_the_environment_count_where_that_is_wanted(server: FaultServer, reader: MakeReader) -> None:
    url = server.url("good")
    with pytest.raises(SourceUnavailableError, match="the connection failed"):
        await reader(url, trust_env=True).get("/x")
    assert server.seen(url) == []


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_certificates_of_the_environment_do_not_count(
    server: FaultServer, reader: MakeReader, certificate: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(certificate if name == "SSL_CERT_FILE" else certificate.parent))
    with pytest.raises(SourceUnavailableError, match="certificate"):
        await reader(server.url("good", scheme="https", host="localhost"), verify=None).get("/x")


async def test_credentials_of_a_netrc_file_do_not_count(
    server: FaultServer, reader: MakeReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert "authorization" not in await sent(server, reader)


def sockets() -> int:
    """How many TCP sockets this process has open."""
    links = (link for link in Path("/proc/self/fd").iterdir())
    names = []
    for link in links:
        with suppress(OSError):
            names.append(str(link.readlink()))
    return sum(name.startswith("socket:") for name in names)


@pytest.mark.parametrize(
    "fault", ["good", "hang", "drip", "endless_chunks", "cut_body", "endless_hints", "redirect_to!/"]
)
async def test_closing_leaves_no_socket_open(server: FaultServer, fault: str) -> None:
    before = sockets()
    reader = JsonReader(
        server.url(*fault.split("!")), name="the service", clock=SystemClock(), deadline=timedelta(milliseconds=100)
    )
    await asyncio.gather(*(reader.get("/x") for _ in range(3)), return_exceptions=True)
    await reader.aclose()
    await asyncio.sleep(0.02)
    gc.collect()
    assert sockets() == before


@pytest.mark.parametrize("cut_off", ["by the deadline", "by the caller"])
async def test_closing_leaves_no_socket_open_whose_handshake_was_cut_off(
    server: FaultServer, reader: MakeReader, cut_off: str
) -> None:
    before = sockets()
    deadline = timedelta(milliseconds=50) if cut_off == "by the deadline" else timedelta(seconds=10)
    asking = [reader(server.port("silent"), deadline=deadline) for _ in range(10)]
    tasks = [asyncio.create_task(one.get("/x")) for one in asking]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(one) for one in results} <= {SourceUnavailableError, asyncio.CancelledError}
    await asyncio.sleep(0.02)
    assert sockets() == before


async def test_a_cancelled_read_leaves_no_socket_open(server: FaultServer, reader: MakeReader) -> None:
    before = sockets()
    asking = reader(server.url("hang"))
    task = asyncio.create_task(asking.get("/x"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.02)
    assert sockets() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"verify": False}, "TLS can not be left unverified"),
        ({"verify": True}, "verify takes an ssl.SSLContext"),
        ({"deadline": timedelta(0)}, "deadline must be above 0"),
        ({"deadline": timedelta(seconds=-1)}, "deadline must be above 0"),
        ({"headers": {"A": 5}}, "a header is a name"),
    ],
    ids=str,
)
def test_what_would_make_reading_unsafe_or_pointless_is_refused(options: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        JsonReader("https://example.org", name="the service", clock=ManualClock(), **options)


@pytest.mark.parametrize(("name", "value"), [("HTTP_PROXY", "ftp://secret@proxy"), ("NO_PROXY", "[::1")])
def test_a_proxy_of_the_environment_that_can_not_be_used_is_said_without_its_address(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="a proxy that the environment names") as refused:
        JsonReader("https://example.org", name="the service", clock=ManualClock(), trust_env=True)
    assert "secret" not in str(refused.value)


def test_a_reader_serves_one_event_loop(server: FaultServer) -> None:
    reader = JsonReader(server.url("good"), name="the service", clock=SystemClock())
    path = "/funding-rates/lighter"

    async def twice() -> None:
        await reader.get(path)
        await reader.aclose()

    asyncio.run(twice())
    with pytest.raises(SourceUnavailableError, match="another event loop: make one for each"):
        asyncio.run(reader.get(path))
