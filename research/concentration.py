"""What do limits across coins cost, and what do they lessen?

At most so many symbols may be held at once on the same directed pair of venues; of those that would enter at the same
hour, the one that gains most goes first. `all`: of all symbols; `alike`: of each group of symbols whose divergences
move together (correlation of daily means above 0.5, on the part that the parameters are chosen on). Nothing that is
held is closed for a limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lab import HOUR, LEGS, NEVER, WEEK, Lab, Part, Steps, bps, judge, labs
from rebalancer.domain.numbers import EIGHT_HOURS

LIMITS = (2, 3, 5, 8)
ALIKE = 0.5
DAY = 24


def directions(lab: Lab) -> Steps:
    """By symbol and state: the number of the directed pair of venues that it is on, from 1; 0 for being flat."""
    numbers: dict[tuple[str, str], int] = {}
    found = np.zeros((lab.count, len(lab.long)), dtype=np.int64)
    for symbol, (low, high) in enumerate(zip(lab.board.low.tolist(), lab.board.high.tolist(), strict=True)):
        venues = [market.venue for market in lab.board.markets[low:high]]
        for state, (long, short) in enumerate(zip(lab.long.tolist(), lab.short.tolist(), strict=True)):
            if 0 <= max(long, short) < len(venues):
                found[symbol, state] = numbers.setdefault((venues[long], venues[short]), len(numbers) + 1)
    return found


def groups(lab: Lab, part: Part) -> list[int]:
    """By symbol, the number of its group: a symbol joins the first one with whose every member it moves together."""
    rates = lab.by_symbol(lab.board.rates[:, part.first : part.last])
    whole = rates[..., : rates.shape[-1] // DAY * DAY]
    daily = whole.reshape(*rates.shape[:2], -1, DAY).mean(axis=-1)
    apart = daily - daily.mean(axis=1, keepdims=True)
    daily = (apart - apart.mean(axis=-1, keepdims=True)).reshape(lab.count, -1)
    spread = daily.std(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        alike = np.corrcoef(daily / spread)
    members: list[list[int]] = []
    for symbol in range(lab.count):
        for group in members:
            if all(alike[symbol, other] > ALIKE for other in group):
                group.append(symbol)
                break
        else:
            members.append([symbol])
    return [next(number for number, group in enumerate(members) if symbol in group) for symbol in range(lab.count)]


def limited(lab: Lab, kinds: Steps, most: int) -> NDArray[np.int8]:
    """The states held, where at most so many symbols may be in states of one kind (symbols x states; 0: no limit)."""
    states = np.zeros((len(LEGS), lab.count, lab.board.ticks), dtype=np.int8)
    rows, cost = np.arange(lab.count), lab.cost * EIGHT_HOURS
    for place in range(len(LEGS)):
        held = np.zeros(lab.count, dtype=np.int64)
        for tick, now in enumerate(lab.adaptive):
            there = now[rows, held]
            gain = now - there[:, None] - cost[place][held]
            gain[there == NEVER] = 0
            while gain.max() > 0:
                count = np.bincount(kinds[rows, held], minlength=int(kinds.max()) + 1)
                count[0] = 0
                gain[count[kinds] >= most] = 0
                symbol, state = divmod(int(gain.argmax()), gain.shape[1])
                if gain[symbol, state] > 0:
                    held[symbol] = state
                gain[symbol] = 0
            states[place, :, tick] = held
    return states


@cache
def over_all(lab: Lab, most: int) -> Steps:
    """What is earned with a limit over all symbols."""
    return lab.net(limited(lab, directions(lab), most))


def variants(lab: Lab, part: Part) -> Iterator[tuple[str, Steps]]:
    """Each limit, over all symbols and within groups."""
    kinds, each = directions(lab), np.array(groups(lab, part))[:, None]
    alike = np.where(kinds > 0, kinds + each * (kinds.max() + 1), 0)
    for most in LIMITS:
        yield f"all, {most}", over_all(lab, most)
        yield f"alike, {most}", lab.net(limited(lab, alike, most))


def risk(lab: Lab, name: str, net: Steps) -> None:
    """Print what was captured, earned, and lost in the worst times, at each costs."""
    hours = net[:, :, lab.whole.first :].sum(axis=1)
    weeks = (
        hours[:, : hours.shape[1] // (WEEK // HOUR) * (WEEK // HOUR)].reshape(len(LEGS), -1, WEEK // HOUR).sum(axis=-1)
    )
    quarters = np.array([lab.total(net, part) for part in lab.quarters])
    columns = (
        [f"{one:.3f}" for one in lab.share(net, lab.whole)],
        [f"{bps(one):.0f}" for one in hours.sum(axis=1)],
        [f"{bps(one):.0f}" for one in weeks.min(axis=1)],
        [f"{bps(one):.0f}" for one in weeks.std(axis=1)],
        [f"{bps(one):.0f}" for one in quarters.min(axis=0)],
    )
    print(f"{lab.name:<40}{name:<14}" + "".join(f"{' / '.join(column):<24}" for column in columns), flush=True)


if __name__ == "__main__":
    histories = labs(__doc__)
    heads = ("captured share", "net bp", "worst week bp", "deviation of weeks", "worst quarter bp")
    print(f"{'history':<40}{'limit':<14}" + "".join(f"{head:<24}" for head in heads) + "at 8 / 16 / 30 bp")
    for one in histories:
        risk(one, "unmodified", one.base)
        for label, found in variants(one, one.whole):
            risk(one, label, found)
        print(f"{one.name:<40}groups of symbols alike: {groups(one, one.whole)}\n")
    judge(histories, variants)
