"""The address of a service: where it is, and what of it is secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Self

import httpx

from ...errors import InputError


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service is: `url` without its credentials, which are in `auth`."""

    url: httpx.URL
    auth: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def read(cls, text: str, *, allow_http: bool) -> Self:
        """The address that `text` stands for.

        Credentials (`https://user:password@host`) are taken out, so that no log or error shows them. Raises InputError
        for anything but http and https, for a query (its secrets would be logged), and for plain http to another
        machine unless `allow_http`.
        """
        try:
            url = httpx.URL(text)
            host, port = url.host, url.port
        except (httpx.InvalidURL, TypeError, ValueError):
            raise InputError("not an address: write one such as https://host/api/v1") from None
        if url.scheme not in ("http", "https") or not host:
            raise InputError("not an address: it must begin with https:// (or http://) and a host")
        if port is not None and not 1 <= port <= 65_535:
            raise InputError("not an address: a port is from 1 to 65535")
        if not {"?", "#"}.isdisjoint(str(url)):
            raise InputError("the address must not have a query or fragment: give tokens as headers")
        if url.scheme == "http" and not (allow_http or _is_loopback(host)):
            raise InputError("plain http to another machine can be read and changed on its way: use https")
        auth = (url.username, url.password) if url.userinfo else None
        return cls(url.copy_with(userinfo=b"", raw_path=url.raw_path.rstrip(b"/")), auth)

    def __str__(self) -> str:
        return str(self.url)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
