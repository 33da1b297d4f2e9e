"""Secrets stay out of errors, tracebacks, representations and logs, whatever the service sends back (P12, F20)."""

from __future__ import annotations

import base64
import logging
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from rebalancer import InputError, SourceError
from rebalancer.adapters.funding_service import FundingServiceClient, FundingServiceSource
from rebalancer.adapters.http import JsonReader, Retry
from rebalancer.monitor import Fetcher
from rebalancer.presets import combined
from rebalancer.testing import ManualClock, a_position

if TYPE_CHECKING:
    from .conftest import FaultServer

CANARIES = ("canaryuser", "canary-pass@word", "canarytoken", "canary/cookie", "canarykey")
HEADERS = {
    "Authorization-Too": "Bearer canarytoken",
    "Cookie": 'session="canary/cookie"; x=1',
    "X-Api-Key": "canarykey",
}
SENT = base64.b64encode(b"canaryuser:canary-pass@word").decode()
IN_A_BODY = [
    ("echo", 400),
    ("echo", 401),
    ("echo", 404),
    ("echo", 500),
    ("echo", 503),
    ("echo", 302),
    ("echo_200",),
]
"""What the service repeats there, nobody logs."""
IN_A_HEAD = [
    ("echo_line",),
    ("echo_status",),
    ("echo_reason",),
    ("echo_location",),
    ("redirect_to", "https://canaryuser:canary-pass%40word@other/?token=canarytoken"),
    ("redirect_to", "http://h:canarytoken/"),
    ("redirect_to", "http://[canarytoken"),
]
"""What the service repeats there, httpx and httpcore write into their own logs; nothing here can keep them from it."""
NOWHERE = [
    ("good",),
    ("hang",),
    ("reset",),
    ("closed",),
    ("noise",),
    ("cut_body",),
    ("html",),
    ("unavailable",),
]
THEIRS = ("httpx", "httpcore")


def leaks(text: str) -> list[str]:
    """The canaries in a text, as they are, in any case, or as they are sent."""
    return [one for one in (*CANARIES, SENT, "canary-pass%40word") if one.lower() in text.lower()]


def with_secrets(url: str) -> str:
    """The address with credentials in it."""
    return url.replace("://", "://canaryuser:canary-pass%40word@")


def said(error: BaseException) -> str:
    """Everything that an error shows, with those that it came from."""
    chain = "".join(traceback.format_exception(error))
    return f"{error!s} {error!r} {error.args} {vars(error)} {chain}"


def logged(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    """All that was logged, by the first name of the logger."""
    lines: dict[str, str] = {}
    for record in caplog.records:
        name = record.name.partition(".")[0]
        lines[name] = f"{lines.get(name, '')}{record.getMessage()} {record.args} {record.exc_info}\n"
    return lines


@pytest.mark.parametrize("fault", [*IN_A_BODY, *IN_A_HEAD, *NOWHERE], ids=lambda fault: "-".join(map(str, fault))[:40])
async def test_no_secret_is_in_an_error_or_log_even_if_the_service_repeats_it(
    server: FaultServer, caplog: pytest.LogCaptureFixture, fault: tuple[object, ...]
) -> None:
    caplog.set_level(logging.DEBUG)
    name, *args = fault
    url, clock, short = with_secrets(server.url(str(name), *args)), ManualClock(), timedelta(milliseconds=100)
    async with FundingServiceClient(
        url, headers=HEADERS, clock=clock, retry=Retry(attempts=2), deadline=short
    ) as client:
        for _ in range(2):
            with pytest.raises(SourceError) as error:
                await client.get_funding_rate("grvt", "BTC")
            assert not leaks(said(error.value))
        source = FundingServiceSource(client)
        fetched = await Fetcher(source, combined(), clock=clock).fetch([a_position()])
        assert not leaks(f"{source!r} {client!r} {client._reader!r} {fetched!r}")
        assert not leaks(combined().decide(a_position(), fetched.snapshot).explain())
    lines = logged(caplog)
    assert "httpcore" in lines
    assert "httpx" in lines or fault in (*IN_A_HEAD, *NOWHERE)
    assert not leaks("".join(text for name, text in lines.items() if fault not in IN_A_HEAD or name not in THEIRS))


async def test_the_secrets_are_sent_to_the_service_all_the_same(server: FaultServer) -> None:
    url = server.url("unknown")
    async with FundingServiceClient(with_secrets(url), headers=HEADERS, clock=ManualClock()) as client:
        with pytest.raises(SourceError):
            await client.get_dexes()
    (seen,) = server.seen(url)
    sent = dict(seen["headers"])
    assert sent["Authorization"] == f"Basic {SENT}"
    assert {name: sent[name] for name in HEADERS} == HEADERS


async def test_the_words_of_the_service_stay_where_they_are_no_secret(server: FaultServer) -> None:
    async with FundingServiceClient(server.url("echo", 404), headers=HEADERS, clock=ManualClock()) as client:
        with pytest.raises(SourceError, match=r"X-Api-Key: \*\*\*"):
            await client.get_dexes()


@pytest.mark.parametrize(
    "header",
    [
        {"X-Token": " canarytoken"},
        {"X-Token": "canarytoken "},
        {"X-Token": "canary\ntoken"},
        {"X-Token": "canarytoken\r\nX-Other: 1"},
        {"X-Token": "canarytoken\u00e4"},
        {"X-Token": "canarytoken\x00"},
        {"X Token": "canarytoken"},
        {"X-Token:": "canarytoken"},
        {"": "canarytoken"},
        {"X-T\u00e4": "canarytoken"},
    ],
)
def test_a_header_that_can_not_be_sent_is_refused_at_once_and_not_shown(header: dict[str, str]) -> None:
    with pytest.raises(InputError) as error:
        JsonReader("https://host", name="the service", clock=ManualClock(), headers=header)
    assert not leaks(said(error.value))


@pytest.mark.parametrize(
    "url", ["http://canaryuser:canary-pass%40word@host/", "https://host/?key=canarykey", "x:canarykey"]
)
def test_an_address_that_is_refused_is_not_shown(url: str) -> None:
    with pytest.raises(InputError) as error:
        FundingServiceClient(url)
    assert not leaks(said(error.value))
