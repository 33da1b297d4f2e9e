"""What is unknown of a market, and why."""

from __future__ import annotations

from .model import Value
from .names import Line, Symbol, Venue

RATE = "rate"
SCHEDULE = "next funding time"
OPEN_INTEREST = "open interest"
VOLUME = "volume"
MARK_PRICE = "mark price"
LEG = "leg state"
LIQUIDATION_PRICE = "liquidation price"
OPPORTUNITIES = "opportunities"
SMOOTHED_RATE = "smoothed rate"
"""What may be missing of a market: the `field` of a `Missing`."""


class Missing(Value):
    """A `field` of a market (or of a whole symbol, without `venue`) that is unknown, and `why`."""

    field: Line
    why: Line
    venue: Venue | None = None
    symbol: Symbol | None = None

    def __str__(self) -> str:
        where = " on ".join(name for name in (self.symbol, self.venue) if name)
        return f"{self.field} of {where}: {self.why}" if where else f"{self.field}: {self.why}"
