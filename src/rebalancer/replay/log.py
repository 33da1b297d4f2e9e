"""The decision log: one line of JSON for each trade."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..domain.names import Pair
from ..domain.numbers import FRACTION_PLACES, fraction, from_grid, plain
from ..domain.times import from_epoch, write_instant


class TradeAction(StrEnum):
    """What a line of the log is about. HOLD lines are written only when asked for."""

    OPEN = "OPEN"
    CLOSE = "CLOSE"
    SWITCH = "SWITCH"
    END = "END"
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One line: at `at` (epoch seconds) `pair` was opened or left, for `reason`.

    `target` is the pair that a SWITCH opened. `divergence` (None: unknown) and `entry_divergence` are of `pair`, per
    8 h; `cost` is what trading `legs` legs cost; all three in grid steps of one leg's notional.
    """

    at: int
    action: TradeAction
    pair: Pair
    target: Pair | None
    reason: str | None
    divergence: int | None
    entry_divergence: int
    legs: int
    cost: int

    @property
    def time(self) -> datetime:
        """When it happened, in UTC."""
        return from_epoch(self.at)

    def to_json(self) -> str:
        """The line, without its end. Decimals are strings, costs in basis points."""
        line: dict[str, Any] = {
            "time": write_instant(self.time),
            "symbol": self.pair.symbol,
            "action": self.action.value,
            "long_dex": self.pair.long_dex,
            "short_dex": self.pair.short_dex,
        }
        if self.target is not None:
            line["target"] = {"long_dex": self.target.long_dex, "short_dex": self.target.short_dex}
            if self.target.symbol != self.pair.symbol:
                line["target"]["symbol"] = self.target.symbol
        line["reason"] = self.reason
        line["divergence"] = None if self.divergence is None else plain(fraction(self.divergence))
        line["entry_divergence"] = plain(fraction(self.entry_divergence))
        line["legs_traded"] = self.legs
        line["cost_bps"] = bps_text(self.cost)
        return json.dumps(line)


def bps_text(steps: int) -> str:
    """Grid steps of a fraction as basis points, in plain digits."""
    return plain(from_grid(steps, FRACTION_PLACES - 4))
