"""Sources for hosts that have the data already: fixed, from a function, from a file, and one after the other."""

from .callback import CallbackSource as CallbackSource
from .fallback import FallbackSource as FallbackSource
from .history import HistorySource as HistorySource
from .static import StaticSource as StaticSource

__all__ = ["CallbackSource", "FallbackSource", "HistorySource", "StaticSource"]
