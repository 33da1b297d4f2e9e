"""Past funding rates from the exchanges of ccxt, as a history (`pip install "funding-rebalancer[ccxt]"`)."""

from .fetch import Fetched as Fetched
from .fetch import fetch_history as fetch_history
from .journal import Journal as Journal

__all__ = ["Fetched", "Journal", "fetch_history"]
