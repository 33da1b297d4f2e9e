"""Does it help to leave the market when the carry is poor?

Two forms, by a hurdle in basis points per week of capital. `flat earns`: being flat carries the hurdle instead of 0,
so that a position must earn more than capital would elsewhere. `leave below`: when the best pair of a symbol carries
less than the hurdle, it is closed at once, and nothing is opened. No interest is credited for being flat.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from lab import HORIZON, NEVER, WEEK, Lab, Steps, compare, labs
from rebalancer.domain.numbers import BPS, EIGHT_HOURS

HURDLES = (0.5, 1, 2, 4, 8, 16)
ANYTHING = -NEVER // 2
"""A carry that is larger than any pair's."""


def with_flat(carry: Steps, flat: int | Steps) -> Steps:
    """The carry with another one for being flat."""
    changed = carry.copy()
    changed[:, :, 0] = flat
    return changed


@cache
def nets(lab: Lab) -> tuple[tuple[str, Steps], ...]:
    """What both forms earn at each hurdle; nothing is estimated."""
    best, found = lab.adaptive[:, :, 1:].max(axis=-1), []
    for hurdle in HURDLES:
        carry = round(hurdle * BPS) * EIGHT_HOURS * HORIZON // WEEK
        leaves = np.where(best < carry, ANYTHING, 0)
        found.append((f"flat earns {hurdle:g}", lab.net(lab.run(with_flat(lab.adaptive, carry)))))
        found.append((f"leave below {hurdle:g}", lab.net(lab.run(with_flat(lab.adaptive, leaves)))))
    return tuple(found)


if __name__ == "__main__":
    compare(labs(__doc__), nets)
