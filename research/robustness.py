"""How much the captured share depends on the numbers of the rule, and on reacting late.

Half-lives of 60 to 240 h with horizons of 1, 1.4 and 2 of them; settlements clipped to 4, 8 and 16 bp per 8 h; and
decisions that see smoothed rates 0 to 24 hours late, while payments come when they come. With --all: every combination.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product

import numpy as np

from lab import HORIZON, HOUR, Lab, Steps, fixed, labs, later, signal

HALF_LIVES = (60, 90, 120, 180, 240)
SPANS = (1.0, 1.4, 2.0)
CLIPS = (4, 8, 16)
DELAYS = (0, 1, 4, 8, 24)


def net(lab: Lab, *, half_life: int = 120, span: float = 1.4, clip: int = 8, delay: int = 0) -> Steps:
    """What the rule earns with these numbers."""
    horizon = round(half_life * span) * HOUR
    rates, known = (later(one, delay) for one in lab.means(signal(half_life=half_life, clip=clip)))
    return lab.net(lab.run(lab.carry(rates, known, horizon)))


def one_by_one(found: list[Lab]) -> None:
    """One number changed at a time; half-life and horizon together."""
    assert round(120 * 1.4) * HOUR == HORIZON
    table = {"unmodified": [lab.base for lab in found]}
    for half_life, span in product(HALF_LIVES, SPANS):
        label = f"half-life {half_life}, horizon {round(half_life * span)}"
        table[label] = [net(lab, half_life=half_life, span=span) for lab in found]
    for clip in CLIPS:
        table[f"clip {clip}"] = [net(lab, clip=clip) for lab in found]
    for delay in DELAYS:
        table[f"{delay} h late"] = [net(lab, delay=delay) for lab in found]
    fixed(found, table)


def every_one(found: list[Lab]) -> None:
    """All combinations: how they are spread."""
    print(f"\n{'all combinations':<36}{'worst':>8}{'median':>8}{'best':>8}{'unmodified':>12}   at 8 / 16 / 30 bp")
    for lab in found:
        shares = np.array(list(_shares(lab)))
        for place, trip in enumerate((8, 16, 30)):
            low, middle, high = np.quantile(shares[:, place], (0, 0.5, 1))
            own = lab.share(lab.base, lab.whole)[place]
            print(
                f"{lab.name:<36}{low:>8.3f}{middle:>8.3f}{high:>8.3f}{own:>12.3f}   {trip} bp, {len(shares)}",
                flush=True,
            )


def _shares(lab: Lab) -> Iterator[list[float]]:
    for half_life, span, clip, delay in product(HALF_LIVES, SPANS, CLIPS, DELAYS):
        found = net(lab, half_life=half_life, span=span, clip=clip, delay=delay)
        yield lab.share(found, lab.whole).tolist()


if __name__ == "__main__":
    histories = labs(__doc__)
    one_by_one(histories)
    if "--all" in sys.argv:
        every_one(histories)
