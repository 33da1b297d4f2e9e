"""Why something could not be had, in words that carry no secrets: ccxt's own messages have addresses and answers."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import BadAnswerError, InputError, SourceError, SourceRefusedError, SourceUnavailableError

_KNOWN: dict[str, tuple[str, type[SourceError]]] = {
    "TimeoutError": ("it did not answer in time", SourceUnavailableError),
    "RequestTimeout": ("it did not answer in time", SourceUnavailableError),
    "RateLimitExceeded": ("it wants to be asked less often", SourceUnavailableError),
    "DDoSProtection": ("it wants to be asked less often", SourceUnavailableError),
    "OnMaintenance": ("it is under maintenance", SourceUnavailableError),
    "BadResponse": ("its answer can not be read", BadAnswerError),
    "NullResponse": ("its answer is empty", BadAnswerError),
    "NetworkError": ("it could not be reached, or can not answer now", SourceUnavailableError),
    "ExchangeClosedByUser": ("the exchange was closed", SourceUnavailableError),
    "AuthenticationError": ("it refuses the credentials", SourceRefusedError),
    "NotSupported": ("ccxt can not ask it for this", SourceRefusedError),
    "ExchangeError": ("it refuses the question", SourceRefusedError),
    "CancelledError": ("the call was cancelled", SourceUnavailableError),
}
"""By the names of the classes, so that ccxt need not be imported. A class counts as the nearest of its bases."""


class Failure(NamedTuple):
    """What was answered in the place of data: why there is none, and which error that would be."""

    why: str
    error: type[SourceError]

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that an exception means; nothing of a foreign message is kept."""
        if isinstance(error, InputError):
            return cls(str(error), BadAnswerError)
        for kind in type(error).__mro__:
            if kind.__name__ in _KNOWN:
                return cls(*_KNOWN[kind.__name__])
        return cls(f"its answer can not be read ({type(error).__name__})", BadAnswerError)
