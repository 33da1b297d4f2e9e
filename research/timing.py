"""Does it help to time moves by settlements?

Between settlements a rate is paid in lumps: who moves just before one that the held pair would have been paid loses it.
By each market's last settlement and interval it is known when the next ones are due. Over a window of 1 to 8 hours:
`wait` puts a move off while the held pair is paid more in the window than the target; `hurry` replaces, in the carry of
the window, the mean by what is due in it, so that a move before a good settlement pays earlier; `both` does both.
What is due is taken from the smoothed rate (`mean`) or from the last settlement (`last`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product

import numpy as np

from lab import HORIZON, HOUR, Lab, Steps, compare, labs

WINDOWS = (1, 2, 4, 8)


def due(lab: Lab, rates: Steps, window: int) -> Steps:
    """What markets should pay to a short leg within so many seconds: grid steps per 8 h x seconds."""
    until, pays = lab.board.due, np.maximum(lab.board.pays, 1)
    times = np.where((until > 0) & (until <= window), 1 + (window - until) // pays, 0)
    return rates * pays * times


@cache
def nets(lab: Lab) -> tuple[tuple[str, Steps], ...]:
    """What every variant earns; nothing is estimated."""
    return tuple(_nets(lab))


def _nets(lab: Lab) -> Iterator[tuple[str, Steps]]:
    means, known = lab.means()
    for hours, (kind, rates) in product(WINDOWS, (("mean", means), ("last", lab.board.rates))):
        window = hours * HOUR
        soon = due(lab, rates, window)
        paid, hurried = lab.pairs(soon), lab.carry(means * (HORIZON - window) + soon, known, 1)
        yield f"wait {hours} h, {kind}", lab.net(lab.run(lab.adaptive, paid))
        yield f"hurry {hours} h, {kind}", lab.net(lab.run(hurried))
        yield f"both {hours} h, {kind}", lab.net(lab.run(hurried, paid))


if __name__ == "__main__":
    compare(labs(__doc__), nets)
