"""Funding rates from the exchanges of ccxt (`pip install "funding-rebalancer[ccxt]"`)."""

from .source import CcxtSource as CcxtSource

__all__ = ["CcxtSource"]
