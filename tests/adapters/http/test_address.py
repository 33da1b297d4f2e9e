"""Where a service is, and what of it is secret."""

from __future__ import annotations

import traceback

import pytest

from rebalancer import InputError
from rebalancer.adapters.http.address import Address


def refused(text: object, *, allow_http: bool = False) -> str:
    """What an address is refused with; nothing of it may be a foreign error."""
    with pytest.raises(InputError) as error:
        Address.read(text, allow_http=allow_http)  # type: ignore[arg-type]  # nonsense is what is tested
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://host/api/v1", "https://host/api/v1"),
        ("https://host/api/v1//", "https://host/api/v1"),
        ("HTTPS://HOST:8443", "https://host:8443"),
        ("https://host:443/", "https://host"),
        ("https://h\u00e9.example/", "https://xn--h-bga.example"),
        ("https://host/a%2Fb/c%3Fd/", "https://host/a%2Fb/c%3Fd"),
    ],
)
def test_an_address_is_kept_as_written_without_slashes_at_its_end(text: str, url: str) -> None:
    assert str(Address.read(text, allow_http=False)) == url


@pytest.mark.parametrize(
    ("text", "auth"),
    [
        ("https://user:password@host/api", ("user", "password")),
        ("https://user:p%40ss%3Aw%2Frd@host/api", ("user", "p@ss:w/rd")),
        ("https://user@host/api", ("user", "")),
        ("https://:password@host/api", ("", "password")),
        ("https://host/api", None),
        ("https://@host/api", None),
    ],
)
def test_credentials_are_taken_out_of_the_address(text: str, auth: tuple[str, str] | None) -> None:
    address = Address.read(text, allow_http=False)
    assert address.auth == auth
    assert str(address) == "https://host/api"


def test_credentials_are_in_no_text_of_the_address() -> None:
    address = Address.read("https://canary:hidden@host/api", allow_http=False)
    assert not any(secret in f"{address} {address!r} {address.url!r}" for secret in ("canary", "hidden"))


@pytest.mark.parametrize(
    "text",
    [
        "https://canary:canary@",
        "https://canary:canary@host:port",
        "https://canary:canary@host:99999",
        "https://canary:canary@host/?token=canary",
        "http://canary:canary@host/",
        "ftp://canary:canary@host/",
        "canary:canary@host",
        "https://canary:canary@xn--/",
        "https://canary:canary@[::1",
        "https://canary:canary@ho\nst/",
    ],
)
def test_credentials_are_in_no_refusal_and_in_no_traceback_of_one(text: str) -> None:
    with pytest.raises(InputError) as error:
        Address.read(text, allow_http=False)
    assert "canary" not in f"{error.value} {error.value!r}"
    raised = traceback.format_exception(error.value)
    assert not any("canary" in line for line in raised)


@pytest.mark.parametrize("end", ["?", "?token=abc", "#", "#part", "/?", "/?a#b"])
def test_a_query_or_fragment_is_refused_even_if_it_is_empty(end: str) -> None:
    assert "must not have a query" in refused(f"https://host/api{end}")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9:81", "[::1]", "[::1]:8000", "localhost:8000"]
)
def test_plain_http_to_this_machine_is_fine(host: str) -> None:
    assert Address.read(f"http://{host}/api", allow_http=False).url.scheme == "http"


@pytest.mark.parametrize(
    "host",
    [
        "host",
        "10.0.0.1",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "128.0.0.1",
        "localhost.example",
        "127.0.0.1.example",
        "localhost.",
        "[::2]",
        "[::ffff:10.0.0.1]",
        "localhost@host",
        "127.0.0.1:80@host",
    ],
)
def test_plain_http_to_another_machine_is_refused_unless_allowed(host: str) -> None:
    assert "use https" in refused(f"http://{host}/api")
    assert Address.read(f"http://{host}/api", allow_http=True).url.scheme == "http"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "host",
        "host/api",
        "//host/api",
        "/api",
        "https:",
        "https://",
        "https:///api",
        "https:host",
        "ftp://host",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://[::1",
        "https://xn--/",
        "https://xn--zzzzz--a/",
        "https://host:0",
        "https://host:65536",
        "https://host:-1",
        "https://host:port",
        "https://host\n/api",
        "https://host/\x00",
        "https://host/" + "x" * 70_000,
        "\ud800",
        "https://\ud800/",
        None,
        5,
        b"https://host",
    ],
)
def test_nonsense_is_refused_with_our_own_error(text: object) -> None:
    assert refused(text, allow_http=True).startswith("not an address")
