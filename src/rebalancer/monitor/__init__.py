"""The loop around deciding: what to fetch, and how the answer is looked at before anything is decided."""

from .fetch import Fetched as Fetched
from .fetch import Fetcher as Fetcher
from .fetch import ask as ask
from .fetch import request_for as request_for
from .fetch import require_supplied as require_supplied

__all__ = ["Fetched", "Fetcher", "ask", "request_for", "require_supplied"]
