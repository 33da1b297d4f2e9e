"""The ports made real: clocks, sources, executors and stores. Each is imported when it is first used."""

from typing import TYPE_CHECKING

from .._lazy import load

if TYPE_CHECKING:
    from .ccxt_source import CcxtSource as CcxtSource
    from .clock import SystemClock as SystemClock
    from .executors import PaperExecutor as PaperExecutor
    from .funding_service import FundingServiceClient as FundingServiceClient
    from .funding_service import FundingServiceSource as FundingServiceSource
    from .http import Breaker as Breaker
    from .http import Retry as Retry
    from .sources import CallbackSource as CallbackSource
    from .sources import FallbackSource as FallbackSource
    from .sources import HistorySource as HistorySource
    from .sources import StaticSource as StaticSource
    from .stores import MemoryStore as MemoryStore
    from .stores import SqliteStore as SqliteStore

_HOMES = {
    "ccxt_source": ("CcxtSource",),
    "clock": ("SystemClock",),
    "executors": ("PaperExecutor",),
    "funding_service": ("FundingServiceClient", "FundingServiceSource"),
    "http": ("Breaker", "Retry"),
    "sources": ("CallbackSource", "FallbackSource", "HistorySource", "StaticSource"),
    "stores": ("MemoryStore", "SqliteStore"),
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
