"""A service that goes wrong on purpose, as a process of its own: `python fault_server.py CERTIFICATE KEY`.

It prints its ports as one line of JSON, and ends when its standard input does. The first segment of the path is the
fault, with arguments after `!` and a label after `~`: everything below `/drip~1` drips. Requests are counted by that
whole segment: `/_seen/SEGMENT` gives those that came, `/_store/SEGMENT` (POST) the body that `stored~...` answers.
Whatever looks like an answer says that the usual position's divergence has flipped: who believes it closes.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import ssl
import sys
import time
import zlib
from asyncio import StreamReader, StreamWriter
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

SEEN_AT = "2026-01-05T12:00:00"
RATES = {"lighter": "0.0003", "grvt": "-0.0001", "paradex": "0.0001"}
TICK = 0.02
"""Seconds between the bytes of a drip."""
BLOCK = 64 * 1024


def service(path: str) -> bytes:
    """What the Funding Rate Service would answer at `path`: BTC, whose divergence has flipped."""
    match path.strip("/").split("/"):
        case ["funding-rates", dex]:
            rate = f'"funding_rate":{RATES.get(dex, "0")},"annualized_rate":0.1,"next_funding_time":null'
            return f'{{"dex_name":"{dex}","rates":{{"BTC":{{{rate},"timestamp":"{SEEN_AT}"}}}}}}'.encode()
        case ["dexes", dex, "symbols"]:
            return json.dumps({"dex_name": dex, "symbols": []}).encode()
        case ["dexes"]:
            row = {"is_active": True, "fee_structure": {}, "last_successful_fetch": None}
            return json.dumps({"dexes": [{"name": name, **row} for name in RATES]}).encode()
    return b'{"rate":0.00009599999999999999,"tiny":1e-10}'


def head(status: str = "200 OK", **headers: object) -> bytes:
    """The first lines of an answer; JSON unless told otherwise."""
    lines = {"content-type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return f"HTTP/1.1 {status}\r\n".encode() + b"".join(f"{k}: {v}\r\n".encode() for k, v in lines.items()) + b"\r\n"


def whole(body: bytes, status: str = "200 OK", **headers: object) -> bytes:
    """An answer of known length."""
    return head(status, content_length=len(body), **headers) + body


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


@dataclass
class Request:
    """A request, and the connection to answer it on. `number` counts those of its segment, from 1."""

    method: str
    segment: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    connection: int
    number: int
    at: float
    writer: StreamWriter = field(repr=False)

    @property
    def args(self) -> list[str]:
        """The arguments of the fault."""
        return self.segment.partition("~")[0].split("!")[1:]

    async def send(self, data: bytes) -> None:
        """Send it, as fast as it is taken."""
        self.writer.write(data)
        await self.writer.drain()

    async def drip(self, data: bytes) -> None:
        """Send it byte by byte."""
        for byte in data:
            await self.send(bytes([byte]))
            await asyncio.sleep(TICK)

    async def flood(self, data: bytes) -> None:
        """Send it again and again, as fast as it is taken."""
        many = data * (BLOCK // len(data) + 1)
        while True:
            await self.send(many)

    async def hang(self) -> None:
        """Say nothing more until the other side goes."""
        await asyncio.sleep(3600)


Fault = Callable[[Request], Awaitable[None]]
stored: dict[str, bytes] = {}
FAULTS: dict[str, Fault] = {}


def fault(do: Fault) -> Fault:
    """A fault by the name of its function. One that returns keeps the connection; one that raises EOFError closes."""
    FAULTS[do.__name__] = do
    return do


def answers(name: str, make: Callable[[Request], bytes], *, close: bool = False) -> None:
    """A fault that is one answer, after which the connection is closed or kept."""

    async def do(request: Request) -> None:
        await request.send(make(request))
        if close:
            raise EOFError

    FAULTS[name] = do


answers("good", lambda request: whole(service(request.path)))
FLAPPED: Counter[str] = Counter()


def flapping(request: Request) -> bytes:
    """Every second answer to a question is a good one."""
    FLAPPED[request.segment + request.path] += 1
    good = FLAPPED[request.segment + request.path] % 2 == 0
    return whole(service(request.path)) if good else whole(b"{}", "503 Service Unavailable")


answers("flapping", flapping)
answers("down", lambda _: whole(b'{"detail":"[Errno 111] Connection refused"}', "500 Internal Server Error"))
answers("half", lambda r: whole(b"{}", "500 No") if "grvt" in r.path else whole(service(r.path)))
answers("unavailable", lambda _: whole(b"{}", "503 Service Unavailable"))
answers("unknown", lambda _: whole(b'{"detail":"DEX not found"}', "404 Not Found"))
answers("wrong", lambda _: whole(b'{"detail":[{"loc":["query","dex1"],"msg":"Field required"}]}', "422 Unprocessable"))
answers("status", lambda r: whole(service(r.path), f"{r.args[0]} Odd"))
answers("bare", lambda r: f"HTTP/1.1 {r.args[0]} Odd\r\n\r\n".encode(), close=True)
answers("busy", lambda r: whole(b"{}", f"{r.args[0]} Busy", **({"retry_after": a} if (a := r.args[1]) else {})))
answers(
    "briefly",
    lambda r: whole(service(r.path)) if r.number > 1 else whole(b"{}", f"{r.args[0]} Busy", retry_after=r.args[1]),
)
answers("stored", lambda r: whole(stored[r.segment], *([f"{r.args[0]} Stored"] if r.args else [])))
answers("encoded", lambda r: whole(service(r.path), content_encoding=r.args[0]))
answers("bomb", lambda _: whole(BOMB, content_encoding="gzip"))
answers("quiet_bomb", lambda _: whole(BOMB))
answers("zipped", lambda r: whole(gzip.compress(service(r.path)), content_encoding="gzip"))
answers("zip_transfer", lambda r: head(transfer_encoding="gzip, chunked") + chunk(gzip.compress(service(r.path))))
answers("redirect", lambda r: whole(service(r.path), f"{r.args[0]} Moved", location=f"/{r.args[1]}{r.path}"))
answers("redirect_to", lambda r: whole(b"", "302 Found", location=r.args[0]))
answers("html", lambda r: whole(b"<html>" + service(r.path), content_type="text/html"))
answers("text", lambda r: whole(service(r.path), content_type="text/plain"))
answers("untyped", lambda r: b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(a := service(r.path)) + a)
answers("array", lambda _: whole(b"[1, 2.5, null]"))
answers("deep", lambda _: whole(b"[" * 10_000 + b"]" * 10_000))
answers("nan", lambda r: whole(service(r.path).replace(b"0.0003", b"NaN")))
answers("cut_json", lambda r: whole(service(r.path)[:-1]))
answers("empty", lambda _: whole(b""))
answers("cut_body", lambda r: head(content_length=10_000) + service(r.path), close=True)
answers("cut_chunk", lambda r: head(transfer_encoding="chunked") + chunk(service(r.path)), close=True)
answers("closed", lambda _: b"", close=True)
answers("noise", lambda r: random.Random(r.number).randbytes(5000), close=True)
answers("other_protocol", lambda _: b"SSH-2.0-OpenSSH_9.6\r\n", close=True)
answers("old", lambda r: b"HTTP/0.9 200 OK\r\n\r\n" + service(r.path), close=True)
answers("two_lengths", lambda r: head(content_length=f"{len(service(r.path))}, 5") + service(r.path), close=True)
answers("huge", lambda _: head(content_length=1 << 40) + b"[" * BLOCK)
answers("cookie", lambda r: whole(service(r.path), set_cookie="session=abc; Path=/; Max-Age=999"))
answers("echo_200", lambda r: whole(_echo(r)))
answers("echo_reason", lambda r: whole(b"{}", f"400 {r.headers[-1][1]}"))
answers("echo_location", lambda r: whole(b"", "302 Found", location="http://h:" + r.headers[-1][1]))
answers("echo", lambda r: whole(_echo(r), f"{r.args[0]} Echo"))
answers(
    "echo_line", lambda r: b"HTTP/1.1 200 OK\r\nauthorization " + r.headers[-1][1].encode() + b"\r\n\r\n", close=True
)
answers("echo_status", lambda r: b"HTTP " + json.dumps(r.headers).encode() + b"\r\n\r\n", close=True)
answers("seen_then_closed", lambda r: whole(service(r.path)), close=True)


def _echo(request: Request) -> bytes:
    """An error that repeats every header of the request, one in each form of a detail."""
    if request.number % 2:
        return json.dumps({"detail": "; ".join(f"{name}: {text}" for name, text in request.headers)}).encode()
    return json.dumps({"detail": [{"loc": ["header", name], "msg": text} for name, text in request.headers]}).encode()


@fault
async def drip(request: Request) -> None:
    """The body comes a byte at a time."""
    await request.send(head(content_length=100_000))
    await request.drip(b" " * 100_000)


@fault
async def drip_head(request: Request) -> None:
    """The first lines come a byte at a time."""
    await request.drip(head(x_padding="x" * 10_000))


@fault
async def drip_hints(request: Request) -> None:
    """One provisional answer after the other, and never the final one."""
    while True:
        await request.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(TICK)


@fault
async def hang(request: Request) -> None:
    """Nothing comes."""
    await request.hang()


@fault
async def hang_body(request: Request) -> None:
    """Half of the body comes."""
    body = service(request.path)
    await request.send(head(content_length=len(body)) + body[: len(body) // 2])
    await request.hang()


@fault
async def hang_end(request: Request) -> None:
    """All of the body comes, but not its end."""
    await request.send(head(transfer_encoding="chunked") + chunk(service(request.path)))
    await request.hang()


@fault
async def endless_chunks(request: Request) -> None:
    """The body has no end."""
    await request.send(head(transfer_encoding="chunked"))
    await request.flood(chunk(b"[" * 16_384))


@fault
async def endless_crumbs(request: Request) -> None:
    """The body has no end and comes in pieces of one byte, thousands of them in each read."""
    await request.send(head(transfer_encoding="chunked"))
    await request.flood(chunk(b" "))


@fault
async def endless_body(request: Request) -> None:
    """The body has no end and no length."""
    await request.send(head())
    await request.flood(b" " * 16_384)


@fault
async def endless_head(request: Request) -> None:
    """The headers have no end."""
    await request.send(b"HTTP/1.1 200 OK\r\n")
    await request.flood(b"x-more: 1\r\n")


@fault
async def endless_line(request: Request) -> None:
    """A header has no end."""
    await request.send(b"HTTP/1.1 200 OK\r\nx-more: ")
    await request.flood(b"x" * 1024)


@fault
async def endless_hints(request: Request) -> None:
    """Provisional answers without end, thousands of them in each read."""
    await request.flood(b"HTTP/1.1 100\r\n\r\n")


@fault
async def endless_extension(request: Request) -> None:
    """A chunk whose size line has no end."""
    await request.send(head(transfer_encoding="chunked") + b"5;")
    await request.flood(b"x" * 1024)


@fault
async def endless_trailer(request: Request) -> None:
    """Headers without end after the body."""
    await request.send(head(transfer_encoding="chunked") + chunk(service(request.path)) + b"0\r\n")
    await request.flood(b"x-more: 1\r\n")


@fault
async def many_headers(request: Request) -> None:
    """As many headers as are taken, and then the stored body."""
    lines = b"".join(b"%x: \r\n" % number for number in range(0x1000, 0x1000 + 11_800))
    body = stored[request.segment]
    await request.send(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(body) + lines + b"\r\n"
    )
    await request.send(body)


@fault
async def dropped(request: Request) -> None:
    """A kept connection is closed when it is used again: the second request gets no answer there."""
    if request.number != 2:
        await request.send(whole(service(request.path)))
        return
    raise EOFError


@fault
async def reset(request: Request) -> None:
    """The connection is reset."""
    request.writer.transport.abort()
    raise EOFError


class Server:
    """Answers requests by their fault, and remembers them."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Request]] = defaultdict(list)
        self.connections = 0

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        connection = self.connections
        try:
            while True:
                request = await self._read(reader, writer, connection)
                gone = asyncio.ensure_future(reader.read(1) if request.method == "GET" else asyncio.sleep(3600))
                answer = asyncio.ensure_future(self._answer(request, reader))
                done, _ = await asyncio.wait({gone, answer}, return_when=asyncio.FIRST_COMPLETED)
                gone.cancel()
                if answer not in done:
                    answer.cancel()
                await asyncio.gather(gone, return_exceptions=True)
                await answer
        except (asyncio.CancelledError, EOFError, OSError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: StreamReader, writer: StreamWriter, connection: int) -> Request:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        place, _, query = target.partition("?")
        _, segment, *rest = place.split("/", 2)
        headers = [(name, text.strip()) for name, _, text in (line.partition(":") for line in lines[1:] if line)]
        segment = unquote(segment)
        known = self.seen[segment]
        path = "/" + "/".join(rest)
        request = Request(method, segment, path, query, headers, connection, len(known) + 1, time.monotonic(), writer)
        if not segment.startswith("_"):
            known.append(request)
        return request

    async def _answer(self, request: Request, reader: StreamReader) -> None:
        name = request.segment.partition("~")[0].partition("!")[0]
        if name == "_seen":
            shown = ("method", "path", "query", "headers", "connection", "at")
            seen = [{name: getattr(r, name) for name in shown} for r in self.seen.get(unquote(request.path[1:]), [])]
            await request.send(whole(json.dumps(seen).encode()))
        elif name == "_store":
            length = int(dict(request.headers)["Content-Length"])
            stored[unquote(request.path[1:])] = await reader.readexactly(length)
            await request.send(whole(b"{}"))
        else:
            await FAULTS[name](request)


async def silent(reader: StreamReader, writer: StreamWriter) -> None:
    """Take what comes and say nothing: a handshake that hangs."""
    while await reader.read(BLOCK):
        pass
    writer.close()


async def plain(reader: StreamReader, writer: StreamWriter) -> None:
    """Answer in plain HTTP whatever comes."""
    await reader.read(BLOCK)
    writer.write(whole(b"{}", "400 Bad Request"))
    writer.close()


def garbled(context: ssl.SSLContext) -> Callable[[StreamReader, StreamWriter], Awaitable[None]]:
    """A good handshake, and then a record that can not be decrypted."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        for step in (tls.do_handshake, tls.read):
            while True:
                try:
                    step()
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    data = await reader.read(BLOCK)
                    if not data:
                        writer.close()
                        return
                    incoming.write(data)
                else:
                    break
        writer.write(outgoing.read() + b"\x17\x03\x03\x00\x40" + os.urandom(64))
        await silent(reader, writer)

    return talk


def _bomb(size: int) -> bytes:
    """Zeros without end, compressed."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(pack.compress(bytes(1 << 20)) for _ in range(size >> 20)) + pack.flush()


BOMB: bytes = _bomb(64 << 20)


async def main(certificate: str, key: str) -> None:
    """Serve until standard input ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Server()
    listeners = {
        "http": await asyncio.start_server(server.talk, "127.0.0.1", limit=1 << 20),
        "https": await asyncio.start_server(server.talk, "127.0.0.1", limit=1 << 20, ssl=context),
        "silent": await asyncio.start_server(silent, "127.0.0.1"),
        "plain": await asyncio.start_server(plain, "127.0.0.1"),
        "garbled": await asyncio.start_server(garbled(context), "127.0.0.1"),
    }
    ports = {name: listener.sockets[0].getsockname()[1] for name, listener in listeners.items()}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
