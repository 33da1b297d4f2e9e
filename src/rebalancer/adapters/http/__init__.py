"""Reading JSON from a service that may be slow, broken or hostile."""

from .breaker import Breaker as Breaker
from .reader import JsonReader as JsonReader
from .retry import Retry as Retry

__all__ = ["Breaker", "JsonReader", "Retry"]
