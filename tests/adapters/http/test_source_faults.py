"""The funding service going wrong in every way (F8), and what is decided: hold, and why."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from rebalancer import Action, BadAnswerError, RebalanceDecision, SourceError, SourceUnavailableError, presets
from rebalancer.adapters.funding_service import FundingServiceClient, FundingServiceSource
from rebalancer.adapters.http import Retry
from rebalancer.monitor import Fetcher
from rebalancer.monitor.fetch import Fetched
from rebalancer.testing import ManualClock, a_position

if TYPE_CHECKING:
    from .conftest import FaultServer

SHORT = timedelta(milliseconds=120)
LONG = timedelta(seconds=5)
AT_ONCE = Retry(base=timedelta(milliseconds=1), most=timedelta(milliseconds=2))
STRATEGY = presets.conservative()
POSITION = a_position()

AT_FAULT = [
    ("closed",),
    ("reset",),
    ("noise",),
    ("other_protocol",),
    ("cut_body",),
    ("cut_chunk",),
    ("two_lengths",),
    ("zip_transfer",),
    ("endless_head",),
    ("endless_trailer",),
    ("unavailable",),
    ("down",),
    ("unknown",),
    ("wrong",),
    ("html",),
    ("text",),
    ("untyped",),
    ("cut_json",),
    ("empty",),
    ("deep",),
    ("array",),
    ("zipped",),
    ("bomb",),
    ("quiet_bomb",),
    ("endless_body",),
    ("endless_chunks",),
    ("encoded", "br"),
    ("status", 201),
    ("status", 203),
    ("bare", 204),
    ("busy", 429, 1),
    ("busy", 503, 10**9),
    ("redirect", 301, "good"),
    ("redirect", 302, "good"),
    ("redirect", 307, "good"),
    ("redirect", 308, "good"),
    ("hang",),
    ("hang_body",),
    ("hang_end",),
    ("huge",),
    ("drip",),
    ("drip_head",),
    ("drip_hints",),
    ("endless_hints",),
    ("endless_crumbs",),
]


@pytest.fixture(autouse=True)
def _load_certificates_once(usual_trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers of plain http load certificates too, which takes longer than most tests."""
    monkeypatch.setattr(httpx, "create_ssl_context", lambda *_, **__: usual_trust)


async def fetched(url: str, *, within: timedelta = LONG, **options: Any) -> tuple[Fetched, RebalanceDecision]:
    """What a tick gets of the service there, and what is decided on it."""
    usual = {"clock": ManualClock(), "deadline": LONG, "retry": AT_ONCE}
    async with FundingServiceSource(FundingServiceClient(url, **{**usual, **options})) as source:
        fetcher = Fetcher(source, STRATEGY, clock=source.client.clock, deadline=within)
        data = await fetcher.fetch([POSITION])
    return data, STRATEGY.decide(POSITION, data.snapshot)


def says_why(data: Fetched, decision: RebalanceDecision) -> str:
    """The decision holds for want of data, and says so; the reason."""
    assert decision.action is Action.HOLD
    assert not decision.complete
    assert isinstance(data.error, SourceError)
    assert not data.snapshot.quotes
    reason = str(data.error).removeprefix("funding rate service: ")
    assert reason in decision.explain()
    return reason


async def test_a_service_that_is_well_is_believed_and_the_flip_closes(server: FaultServer) -> None:
    data, decision = await fetched(server.url("good"))
    assert data.error is None
    assert (decision.action, decision.reason) == (Action.CLOSE, "DIVERGENCE_FLIPPED")


@pytest.mark.parametrize("fault", AT_FAULT, ids=lambda fault: "-".join(map(str, fault)))
async def test_a_service_at_fault_means_hold_with_the_reason(server: FaultServer, fault: tuple[object, ...]) -> None:
    name, *args = fault
    says_why(*await fetched(server.url(str(name), *args), deadline=SHORT))


async def test_a_service_that_is_not_there_means_hold_with_the_reason() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        reason = says_why(*await fetched(f"http://127.0.0.1:{taken.getsockname()[1]}"))
    assert reason == "the connection failed (ConnectError)"


async def test_a_certificate_of_nobody_means_hold_with_the_reason(server: FaultServer) -> None:
    url = server.url("good", scheme="https", host="localhost")
    assert "certificate" in says_why(*await fetched(url))


@pytest.mark.parametrize("port", ["silent", "plain", "garbled"])
async def test_broken_encryption_means_hold_with_the_reason(
    server: FaultServer, trust: ssl.SSLContext, port: str
) -> None:
    says_why(*await fetched(server.port(port, host="localhost"), verify=trust, deadline=SHORT))


async def test_a_flapping_service_is_as_good_as_a_well_one(server: FaultServer) -> None:
    url = server.url("flapping")
    data, decision = await fetched(url)
    assert data.error is None
    assert decision.action is Action.CLOSE
    assert len(server.seen(url)) > len({one["path"] for one in server.seen(url)})


async def test_one_venue_that_can_not_be_read_means_hold_and_costs_only_itself(server: FaultServer) -> None:
    data, decision = await fetched(server.url("half"))
    assert data.error is None
    assert {quote.venue for quote in data.snapshot.quotes} == {"lighter", "paradex"}
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert "HTTP 500" in decision.explain()


@pytest.mark.parametrize("fault", ["hang", "drip", "drip_hints"])
async def test_the_deadline_of_the_question_bounds_the_tick(server: FaultServer, fault: str) -> None:
    start = time.perf_counter()
    data, decision = await fetched(server.url(fault), within=timedelta(milliseconds=100))
    assert time.perf_counter() - start < 0.3
    assert says_why(data, decision) == "no answer within 0.1 s"


async def test_a_service_that_is_down_is_left_alone_after_some_failures(server: FaultServer) -> None:
    url, clock = server.url("busy", "503"), ManualClock()
    async with FundingServiceSource(FundingServiceClient(url, clock=clock, retry=Retry(attempts=1))) as source:
        fetcher = Fetcher(source, STRATEGY, clock=clock)
        for _ in range(10):
            data = await fetcher.fetch([POSITION])
        assert isinstance(data.error, SourceUnavailableError)
        assert "is left alone for 30 s more" in says_why(data, STRATEGY.decide(POSITION, data.snapshot))
        sent = len(server.seen(url))
        assert 5 <= sent <= 7  # those under way together with the fifth are not taken back
        clock.advance(timedelta(seconds=30))
        await asyncio.gather(*(fetcher.fetch([POSITION]) for _ in range(10)))
    assert len(server.seen(url)) == sent + 1


async def test_an_answer_of_the_wrong_shape_is_a_bad_one(server: FaultServer) -> None:
    data, _ = await fetched(server.url("array"))
    assert isinstance(data.error, BadAnswerError)
    assert "a list where an object belongs" in str(data.error)
