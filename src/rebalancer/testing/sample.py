"""A funding history to try things on: made up, the same for a seed everywhere, with the quirks of real ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

from ..domain.funding import RateKind
from ..domain.names import Market
from ..domain.numbers import BPS
from ..domain.times import epoch_seconds
from ..history.table import FundingHistory, Row, Series

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600
VENUES = {"lighter": 1, "paradex": 1, "grvt": 8, "aster": 8}
"""The hours between a venue's settlements."""
SYMBOLS = ("BTC", "ETH", "SOL", "HYPE")
BASE = BPS
"""The rate per 8 h at which a quiet market rests, as real ones do: 1 bp."""


def sample_history(*, seed: int = 7, days: int = 60) -> FundingHistory:
    """Settled rates of 4 symbols on 4 venues over `days`, from 2026-01-01.

    Each market's rate rests at 1 bp per 8 h, is drawn away by a slow premium of its venue, and now and then prints a
    spike that does not last. Two venues settle hourly, two every 8 h. The same seed gives the same rows on every
    machine, since everything is drawn as integers.
    """
    random = Random(seed)
    return FundingHistory.of(
        Series(Market(venue, symbol), RateKind.SETTLED, tuple(_rows(random, hours=hours, days=days)))
        for symbol in SYMBOLS
        for venue, hours in VENUES.items()
    )


def _rows(random: Random, *, hours: int, days: int) -> Iterator[Row]:
    start = epoch_seconds(START)
    premium = random.randint(-BPS, BPS)
    for hour in range(1, days * 24 + 1):
        premium += random.randint(-BPS // 12, BPS // 12) - premium // 200
        noise = random.randint(-BPS, BPS)
        spike = random.randint(-25 * BPS, 25 * BPS) if random.randrange(150) == 0 else 0
        if hour % hours == 0:
            resting = abs(premium) < BPS // 2 and spike == 0
            per_8h = BASE if resting else BASE + premium + noise + spike
            yield Row(at=start + hour * HOUR, value=per_8h * hours // 8, interval=hours * HOUR)
