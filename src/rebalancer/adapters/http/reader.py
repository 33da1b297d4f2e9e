"""Asking a service for JSON: one kept client, and one bound on everything that an answer may cost."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from http.cookiejar import CookieJar
from typing import Any

import httpx

from ...domain.times import SECOND
from ...errors import BadAnswerError, InputError, SourceRefusedError, SourceUnavailableError, UnknownMarketError
from ...ports import Clock
from .address import Address
from .answer import MOST_VALUES, masked, read_json, words
from .breaker import Breaker, Passage
from .retry import Retry, Retrying, retry_after

MAX_BYTES = 384 * 1024
"""The largest answer. JSON of this size is at most 12 MiB in memory, whatever it holds (see `MOST_VALUES`)."""
KEPT = timedelta(seconds=4)
"""How long an idle connection is kept: less than the 5 s after which common servers close it."""
TRANSIENT = (429, 502, 503, 504)
"""What a service answers that may be well in a moment."""
RECEIVED = 24 * 1024
"""The size of a connection's buffer: what came in one go is parsed before the deadline is looked at again. (At 16 KiB a
first answer over loopback, which sends 64 KiB at a time, stalls for 200 ms.)"""
CRUMBS = 256
"""The pieces of a body that are taken in one go, for the same reason."""
LONGEST_CAUSE = 500
"""Characters of a foreign error that is shown as a cause."""
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_BETWEEN = re.compile(r"[\s,;:=\"]+")


class _Again(Exception):  # noqa: N818  # a signal within this file, never an error of the library
    """A try failed in a way that another may not."""

    def __init__(self, failure: SourceUnavailableError, *, asked: float | None = None) -> None:
        self.failure = failure
        self.asked = asked


class JsonReader:
    """Reads JSON from the service at `url`, by GET alone, over one kept client.

    `deadline` bounds a whole read, retries included. An answer is refused if it is larger than `max_bytes`, encoded,
    redirected, or no JSON. TLS is verified (`verify` takes an `ssl.SSLContext` of your own); proxies from the
    environment count only with `trust_env`. Raises InputError for an address that is not safe to use.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        clock: Clock,
        headers: Mapping[str, str] | None = None,
        deadline: timedelta = timedelta(seconds=10),
        max_bytes: int = MAX_BYTES,
        retry: Retry | None = None,
        breaker: Breaker | None = None,
        verify: ssl.SSLContext | None = None,
        allow_http: bool = False,
        trust_env: bool = False,
    ) -> None:
        if deadline <= timedelta(0):
            raise InputError("deadline must be above 0")
        if not (verify is None or isinstance(verify, ssl.SSLContext)):
            raise InputError("verify takes an ssl.SSLContext; TLS can not be left unverified")
        for header, value in (headers or {}).items():
            if not isinstance(value, str) or not (
                _TOKEN.fullmatch(header) and value.isascii() and value.isprintable() and value == value.strip()
            ):
                raise InputError("a header is a name without spaces, and plain printable ASCII without spaces around")
        self.name = name
        self._address = Address.read(url, allow_http=allow_http)
        self._clock = clock
        self._deadline = deadline / SECOND
        self._max_bytes = max_bytes
        self._retrying = Retrying(retry or Retry())
        self._breaker = breaker or Breaker(name, clock)
        self._secrets = _secrets(headers or {}, self._address.auth)
        sent = httpx.Headers({"Accept": "application/json"})
        sent.update(headers)
        sent["Accept-Encoding"] = "identity"
        kept = httpx.Limits(keepalive_expiry=KEPT / SECOND)
        tls = True if verify is None else verify
        buffer = (socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
        transport = None  # given one, httpx would not look for proxies
        if not trust_env:
            transport = httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=kept, socket_options=[buffer])
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            self._client = httpx.AsyncClient(
                headers=sent,
                cookies=_NoCookies(),
                auth=self._address.auth,
                verify=tls,
                timeout=None,  # the deadline bounds the whole; httpx's own timeouts are per read
                limits=kept,
                transport=transport,
                trust_env=trust_env,
            )
        except (ImportError, ValueError, httpx.InvalidURL):
            if not trust_env:
                raise
            raise InputError(
                "a proxy that the environment names can not be used: mend it, or do not trust_env"
            ) from None

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON at `path` below the address; numbers with a point are exact Decimals.

        Raises SourceUnavailableError, SourceRefusedError (UnknownMarketError for 404) or BadAnswerError.
        """
        until = self._clock.monotonic() + self._deadline
        self._loop = self._loop or asyncio.get_running_loop()
        if self._loop is not asyncio.get_running_loop():
            raise self._unavailable("this client belongs to another event loop: make one for each")
        bound = asyncio.timeout(self._deadline)
        try:
            async with bound, self._breaker.request() as passage:
                try:
                    return await self._insist(path, params, until, passage)
                except asyncio.CancelledError:
                    passage.up = False if bound.expired() else None  # cut off by the caller, it shows nothing
                    raise
        except TimeoutError as error:
            raise self._unavailable(f"no whole answer within {self._deadline:g} s") from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _insist(self, path: str, params: Mapping[str, str] | None, until: float, passage: Passage) -> Any:
        """Ask, and again where that may help."""
        self._retrying.first_try()
        attempt = 1
        while True:
            try:
                return await self._ask(path, params, passage)
            except _Again as again:
                left = until - self._clock.monotonic()
                wait = self._retrying.wait(attempt, asked=again.asked, left=left)
                if wait is None:
                    if again.asked is not None:
                        self._breaker.hold(again.asked, why="it asked to be left alone")
                    raise again.failure from again.__cause__
            await self._clock.sleep(wait)
            attempt += 1

    async def _ask(self, path: str, params: Mapping[str, str] | None, passage: Passage) -> Any:
        """One request and its answer; every foreign exception becomes one of ours."""
        if self._client.is_closed:
            raise self._unavailable("it was closed on this side")
        handshake = _Handshake()
        trace = {"trace": handshake.follow}
        try:
            async with self._client.stream(
                "GET", f"{self._address}{path}", params=params, extensions=trace
            ) as response:
                passage.up = response.status_code not in TRANSIENT
                body = await self._body(response)
        except asyncio.CancelledError:
            await handshake.abandon()
            raise
        except (httpx.TransportError, OSError) as error:  # a broken TLS record is an SSLError, and so an OSError
            passage.up = False
            if isinstance(error, httpx.ConnectError) and _is_tls(error):
                raise self._unavailable("its certificate or encryption is not accepted") from error
            failure = self._unavailable(f"the connection failed ({type(error).__name__})")
            raise _Again(failure) from self._shown(error)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:  # a host that is no IDNA
            raise BadAnswerError(self.name, f"the exchange failed ({type(error).__name__})") from self._shown(error)
        self._judge(response, body)
        try:
            return read_json(body, most=MOST_VALUES)
        except ValueError as error:
            raise BadAnswerError(self.name, f"the answer is not the JSON it should be: {_kind(error)}") from error

    async def _body(self, response: httpx.Response) -> bytearray:
        """The bytes as sent, up to the cap."""
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise BadAnswerError(self.name, "the answer is compressed though that was not asked for")
        body = bytearray()
        pieces = 0
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._max_bytes:
                raise BadAnswerError(self.name, f"the answer is larger than {self._max_bytes} bytes")
            pieces += 1
            if pieces % CRUMBS == 0:
                await asyncio.sleep(0)
        return body

    def _judge(self, response: httpx.Response, body: bytearray) -> None:
        """Raise unless the status says that the body is the answer."""
        status = response.status_code
        if status == httpx.codes.OK:
            kind = response.headers.get("content-type", "")
            if kind.partition(";")[0].strip().lower() != "application/json":
                raise BadAnswerError(self.name, "the answer is not said to be JSON")
            return
        if not 400 <= status <= 599:
            raise BadAnswerError(self.name, f"HTTP {status}; redirects are not followed")
        said = words(body, secrets=self._secrets)
        message = f"HTTP {status}: {said}" if said else f"HTTP {status}"
        if status in TRANSIENT:
            asked = retry_after(response.headers.get("retry-after"), now=self._clock.now())
            raise _Again(self._unavailable(message), asked=asked)
        if status >= 500:
            raise self._unavailable(message)
        if status == httpx.codes.NOT_FOUND:
            raise UnknownMarketError(self.name, message, status=status)
        raise SourceRefusedError(self.name, message, status=status)

    def _unavailable(self, message: str) -> SourceUnavailableError:
        return SourceUnavailableError(self.name, message)

    def _shown(self, error: Exception) -> Exception | None:
        """The error as a cause, unless it quotes the answer at length, or a secret that the answer repeats."""
        text = str(error)
        return error if len(text) <= LONGEST_CAUSE and masked(text, self._secrets) == text else None


class _Handshake:
    """A connection whose encryption is not agreed on yet: httpcore leaves it open if it is cut off there."""

    def __init__(self) -> None:
        self._stream: Any = None

    async def follow(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpcore calls at each step of an exchange."""
        if event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]
        elif event == "connection.start_tls.complete":
            self._stream = None

    async def abandon(self) -> None:
        """Close it."""
        if self._stream is not None:
            await self._stream.aclose()


class _NoCookies(CookieJar):
    """Takes no cookies: a hostile service could fill it without end, and have its own words sent back."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Take none."""


def _secrets(headers: Mapping[str, str], auth: tuple[str, str] | None) -> frozenset[str]:
    """What must never be shown: each value, what it is made of (a token without its `Bearer`), and what is sent."""
    parts = (part for value in headers.values() for part in _BETWEEN.split(value) if len(part) > 3)
    sent = () if auth is None else (*auth, b64encode(":".join(auth).encode()).decode())
    return frozenset((*headers.values(), *parts, *sent)) - {""}


def _is_tls(error: BaseException | None) -> bool:
    """Whether encryption is what failed: trying again changes nothing then."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _kind(error: ValueError) -> str:
    """Why JSON was refused, without a piece of the text."""
    return "it is malformed or cut off" if type(error) is not ValueError else str(error)
