"""Stores of positions: one in memory for tests and dry runs, one in a SQLite file."""

from .memory import MemoryStore as MemoryStore
from .sqlite import SqliteStore as SqliteStore
from .sqlite import mode_of as mode_of

__all__ = ["MemoryStore", "SqliteStore", "mode_of"]
