"""Does it help to trust some pairs' divergences for longer than others'?

The half-life of a pair's divergence is estimated from the autocorrelation of its daily means, at lags of 1 and 7 days
(their ratio: noise that does not last cancels out), only on the part that the parameters are chosen on. The horizon of
its carry is then 168 h x (its half-life / the median half-life)^power, within half and twice 168 h. By pair of markets
where the split is in time; by pair of venues, the median of the symbols seen, in both.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lab import HORIZON, Lab, Part, Steps, judge, labs

POWERS = (0.25, 0.5, 1.0)
DAY = 24
LAGS = (1, 7)
FEW_DAYS = 60
"""A pair with fewer days than that is not estimated."""

Floats = NDArray[np.float64]


def correlation(values: Floats, lag: int) -> float:
    """The autocorrelation of daily values, of which some are not known."""
    before, after = values[:-lag], values[lag:]
    both = ~np.isnan(before) & ~np.isnan(after)
    if both.sum() < FEW_DAYS or not before[both].std() or not after[both].std():
        return float("nan")
    return float(np.corrcoef(before[both], after[both])[0, 1])


def half_lives(lab: Lab, part: Part) -> Floats:
    """In days, by symbol and state; NaN where there is too little to say. A pair that shows no decay has no bound."""
    days = slice(part.first, part.first + (part.last - part.first) // DAY * DAY)
    rates, known = lab.by_symbol(lab.board.rates[:, days]), lab.by_symbol(lab.board.known[:, days])
    apart = (rates[:, lab.short] - rates[:, lab.long]).astype(float)
    apart[~(known[:, lab.short] & known[:, lab.long])] = np.nan
    daily = apart.reshape(*apart.shape[:2], -1, DAY)
    daily = np.where(np.isnan(daily).any(axis=-1), np.nan, daily.mean(axis=-1))
    found = np.full(daily.shape[:2], np.nan)
    for symbol in part.symbols:
        for state in range(1, len(lab.long)):
            near, far = (correlation(daily[symbol, state], lag) for lag in LAGS)
            if near > 0:  # false for NaN too
                kept = min(max(far / near, 0.01), 0.99)
                found[symbol, state] = (LAGS[1] - LAGS[0]) * np.log(0.5) / np.log(kept)
    return found


def by_venues(lab: Lab, found: Floats) -> Floats:
    """Each pair's half-life replaced by the median of all symbols on the same two venues."""
    venues = np.full((lab.count, lab.most), "", dtype=object)
    for symbol, (low, high) in enumerate(zip(lab.board.low, lab.board.high, strict=True)):
        venues[symbol, : high - low] = [market.venue for market in lab.board.markets[low:high]]
    names = [[frozenset((row[one], row[two])) for one, two in zip(lab.long, lab.short, strict=True)] for row in venues]
    medians = np.full(found.shape, np.nan)
    for pair in {name for row in names for name in row}:
        same = np.array([[name == pair for name in row] for row in names])
        seen = found[same & ~np.isnan(found)]
        if len(seen):
            medians[same] = np.median(seen)
    return medians


def horizons(found: Floats, power: float) -> Steps:
    """The horizon of each pair's carry, in seconds."""
    seen = found[~np.isnan(found)]
    scale = np.where(np.isnan(found), 1.0, found / np.median(seen)) if len(seen) else np.ones(found.shape)
    return np.round(HORIZON * np.clip(scale**power, 0.5, 2.0)).astype(np.int64)


def variants(lab: Lab, part: Part) -> Iterator[tuple[str, Steps]]:
    """Estimated on the part, for each power."""
    found = half_lives(lab, part)
    forms = {"venues": by_venues(lab, found)}
    if len(part.symbols) == lab.count:
        forms["markets"] = found
    for form, power in ((form, power) for form in forms for power in POWERS):
        carry = lab.carry(*lab.means(), horizons(forms[form], power))
        yield f"by {form}, power {power:g}", lab.net(lab.run(carry))


if __name__ == "__main__":
    judge(labs(__doc__), variants)
