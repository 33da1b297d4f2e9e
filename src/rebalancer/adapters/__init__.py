"""The ports made real: clocks and sources of funding rates. Each is imported when it is first used."""

from typing import TYPE_CHECKING

from .._lazy import load

if TYPE_CHECKING:
    from .ccxt_source import CcxtSource as CcxtSource
    from .clock import SystemClock as SystemClock
    from .funding_service import FundingServiceClient as FundingServiceClient
    from .funding_service import FundingServiceSource as FundingServiceSource
    from .http import Breaker as Breaker
    from .http import Retry as Retry
    from .sources import CallbackSource as CallbackSource
    from .sources import FallbackSource as FallbackSource
    from .sources import HistorySource as HistorySource
    from .sources import StaticSource as StaticSource

_HOMES = {
    "ccxt_source": ("CcxtSource",),
    "clock": ("SystemClock",),
    "funding_service": ("FundingServiceClient", "FundingServiceSource"),
    "http": ("Breaker", "Retry"),
    "sources": ("CallbackSource", "FallbackSource", "HistorySource", "StaticSource"),
}

__all__ = [  # noqa: PLE0604  # every entry of _HOMES is a tuple of names
    *(name for names in _HOMES.values() for name in names)
]

if not TYPE_CHECKING:

    def __getattr__(name):
        value = globals()[name] = load(__name__, _HOMES, name)
        return value

    def __dir__():
        return sorted(__all__)
