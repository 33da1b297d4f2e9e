"""The fault server as a process of its own, and readers that ask it."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rebalancer.adapters.clock import SystemClock
from rebalancer.adapters.http import JsonReader, Retry
from rebalancer.testing import AS_OF

SHORT = timedelta(milliseconds=200)
AT_ONCE = Retry(base=timedelta(milliseconds=1), most=timedelta(milliseconds=2))


class FaultServer:
    """Where the fault server is, and what it has seen."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.ports = ports
        self._labels = count(1)

    def segment(self, fault: str, *args: object) -> str:
        """The first segment of a path that stands for the fault, and for this use of it alone."""
        return quote("!".join((fault, *map(str, args))) + f"~{next(self._labels)}", safe="!~")

    def port(self, name: str, *, scheme: str = "https", host: str = "127.0.0.1") -> str:
        """An address at the port of that name."""
        return f"{scheme}://{host}:{self.ports[name]}"

    def url(self, fault: str, *args: object, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """An address below which everything has the fault."""
        return self.at(self.segment(fault, *args), scheme=scheme, host=host)

    def at(self, segment: str, *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """The address of a segment."""
        return f"{scheme}://{host}:{self.ports[scheme]}/{segment}"

    def store(self, body: bytes, fault: str = "stored", *args: object) -> str:
        """An address that answers `body`."""
        segment = self.segment(fault, *args)
        self._call("POST", f"/_store/{segment}", body)
        return self.at(segment)

    def seen(self, url: str) -> list[dict[str, Any]]:
        """The requests that came below an address."""
        seen: list[dict[str, Any]] = json.loads(self._call("GET", f"/_seen/{url.split('/')[3]}"))
        return seen

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.ports["http"], timeout=10)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read()
        finally:
            connection.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost, not of 127.0.0.1, that vouches for itself; its key is beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(AS_OF - timedelta(days=3650))
        .not_valid_after(AS_OF + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    path.with_name("key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture(scope="session")
def trust(certificate: Path) -> ssl.SSLContext:
    """What trusts that certificate."""
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture(scope="session")
def server(certificate: Path) -> Iterator[FaultServer]:
    """The fault server, in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("fault_server.py"))]
    command += [str(certificate), str(certificate.with_name("key.pem"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield FaultServer(json.loads(process.stdout.readline()))
        process.stdin.close()
        process.wait(10)


Ask = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def usual_trust() -> ssl.SSLContext:
    """What a reader trusts by itself, loaded once: that takes longer than most tests."""
    return httpx.create_ssl_context(trust_env=False)


@pytest.fixture
async def reader(usual_trust: ssl.SSLContext) -> AsyncIterator[Callable[..., JsonReader]]:
    """Makes readers with a short deadline, and closes them."""
    async with AsyncExitStack() as stack:

        def make(url: str, **options: Any) -> JsonReader:
            usual = {"name": "the service", "clock": SystemClock(), "deadline": SHORT, "retry": AT_ONCE}
            usual["verify"] = usual_trust
            made = JsonReader(url, **{**usual, **options})
            stack.push_async_callback(made.aclose)
            return made

        yield make


@pytest.fixture
def ask(server: FaultServer, reader: Callable[..., JsonReader]) -> Ask:
    """Asks once for something below an address, or of a fault by its name."""

    async def get(fault: str, *args: object, path: str = "/x", **options: Any) -> Any:
        url = fault if "://" in fault else server.url(fault, *args)
        return await reader(url, **options).get(path)

    return get
