"""Does it help to know the rate that is forming, before it is settled?

Some venues show, between settlements, the rate of the next one. Blended into the mean it counts as one more settlement,
with so many times its weight, and the next settlement replaces it.

1. The most that there is to gain: on settled rates, as if every venue showed its next settlement exactly, from 1, 4
   or 8 hours before on. No strategy can know this; what is really shown is less.
2. What is really shown, where a file of live snapshots names the markets of a file of settled rates: how well the live
   rate says the next settlement, and whether it says more of the days after than the mean does.
3. The rule on the overlapping days, on a clock of 15 minutes, with the live rates blended in.

python research/forming.py [SETTLED ... SNAPSHOTS]: the last file is that of the snapshots.
"""

from __future__ import annotations

from functools import cache
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from lab import HOUR, LEGS, ROUND_TRIPS, RULE, SETTLED, Lab, Part, Steps, bps, compare, name_of, paths_of, read
from rebalancer import FundingHistory
from rebalancer.domain.funding import RateKind
from rebalancer.domain.numbers import RATIO_ONE
from rebalancer.history.smoothing import Decay, Mean, clipped
from rebalancer.history.table import Series

SNAPSHOTS = "hl_okx_kraken_hyna_snapshots_2026-07_2026-08.csv.gz"
WEIGHTS = (1, 2, 4)
EARLIER = (1, 4, 8)
REAL_WEIGHTS = (1, 8, 32, 128)
QUARTER = 900
BEFORE = 60 * 24 * HOUR
"""How long before the first snapshot the means begin to learn."""
AHEAD = (24, 168)
FEW = 30


def blended(mean: Mean, decay: Decay, at: int, rate: int, interval: int, weight: int) -> int:
    """The mean with one more settlement of this weight."""
    assert mean.at is not None
    kept, more = decay[at - mean.at], weight * (RATIO_ONE - decay[interval])
    total = mean.den * kept + more * RATIO_ONE
    return (mean.num * kept + more * rate) * RATIO_ONE // total if total else mean.rate


@cache
def foreseen(lab: Lab) -> tuple[tuple[str, Steps], ...]:
    """What is earned if the next settlement of every market is known exactly, some hours before."""
    rates, known = lab.means()
    found = []
    for weight in WEIGHTS:
        more = with_next(lab, weight)
        for hours in EARLIER:
            seen = np.where(known & (lab.board.due <= hours * HOUR), more, rates)
            found.append((f"{hours} h before, weight {weight}", lab.net(lab.run(lab.carry(seen, known)))))
    return tuple(found)


def with_next(lab: Lab, weight: int) -> Steps:
    """The means after each market's last settlement, with its next one blended in."""
    found, decay, signal = np.zeros_like(lab.board.rates), Decay(RULE.half_life), RULE.signal
    for place, series in enumerate(lab.board.series):
        mean, after = Mean(decay), []
        for row, following in zip_longest(series.rows, series.rows[1:]):
            mean.settle(row.at, clipped(row.per_8h, signal), row.interval)
            if following is None:
                after.append(mean.rate)
            else:
                rate = clipped(following.per_8h, signal)
                after.append(blended(mean, decay, following.at, rate, following.interval, weight))
        last = np.searchsorted([row.at for row in series.rows], times(lab), side="right") - 1
        found[place] = np.array(after)[last]
    return found


def times(lab: Lab) -> Steps:
    """The instants of the ticks."""
    return lab.board.first + lab.board.every * np.arange(lab.board.ticks, dtype=np.int64)


def live_of(snapshots: FundingHistory, settled: FundingHistory) -> list[tuple[Series, Series]]:
    """The live rates of markets that settle, each beside its settled ones."""
    by_market = {series.market: series for series in settled.series}
    return [
        (series, by_market[series.market])
        for series in snapshots.series
        if series.kind is RateKind.FORMING and series.market in by_market
    ]


def next_of(series: Series, at: int) -> int | None:
    """The place of the first settlement after an instant, if it is no later than its interval after it."""
    place = int(np.searchsorted([row.at for row in series.rows], at, side="right"))
    if place == 0 or place == len(series.rows) or series.rows[place].at - at > series.rows[place].interval:
        return None
    return place


def told(pairs: list[tuple[Series, Series]]) -> None:
    """Print how live rates, last settlements and means say what is settled next, and in the days after."""
    rows: list[tuple[float, ...]] = []
    for live, series in pairs:
        mean, done = Mean(Decay(RULE.half_life)), 0
        for seen in live.rows:
            place = next_of(series, seen.at)
            if place is None:
                continue
            for row in series.rows[done:place]:
                mean.settle(row.at, clipped(row.per_8h, RULE.signal), row.interval)
            done = place
            after = [
                np.mean([row.per_8h for row in series.rows[place:] if row.at <= seen.at + hours * HOUR])
                for hours in AHEAD
            ]
            last, following = series.rows[place - 1], series.rows[place]
            rows.append((seen.per_8h, last.per_8h, mean.rate, following.per_8h, *map(float, after)))
    live_rates, last_rates, means, following_rates, *afters = np.array(rows).T
    print(f"{len(rows)} live rates of {len(pairs)} markets; correlation with")
    print(f"{'':<22}{'live rate':>12}{'last settled':>14}{'mean':>10}{'what the live rate adds to the mean':>40}")
    for label, then in zip(
        ("the next settlement", *(f"the {hours} h after" for hours in AHEAD)), (following_rates, *afters), strict=True
    ):
        each = [np.corrcoef(one, then)[0, 1] for one in (live_rates, last_rates, means)]
        alone, both = (explained(then, *ones) for ones in ((means,), (means, live_rates)))
        print(f"{label:<22}{each[0]:>12.3f}{each[1]:>14.3f}{each[2]:>10.3f}{f'R2 {alone:.3f} to {both:.3f}':>40}")


def explained(then: NDArray[np.float64], *by: NDArray[np.float64]) -> float:
    """The share of the variance that a linear fit explains."""
    columns = np.column_stack([*by, np.ones(len(then))])
    columns = columns / np.maximum(np.abs(columns).max(axis=0), 1)
    left = then - columns @ np.linalg.lstsq(columns, then, rcond=None)[0]
    return float(1 - left.var() / then.var())


def on_the_days(settled: FundingHistory, pairs: list[tuple[Series, Series]]) -> None:
    """Print what the rule earns on the days of the snapshots, with and without them."""
    first = min(live.rows[0].at for live, _ in pairs)
    last = max(live.rows[-1].at for live, _ in pairs)
    cut = FundingHistory.of(
        Series(series.market, series.kind, rows)
        for series in settled.series
        if (rows := tuple(row for row in series.rows if first - BEFORE <= row.at <= last + HOUR))
    )
    lab = Lab.of("the days of the snapshots", cut, every=QUARTER)
    days = Part(lab.whole.symbols, int(np.searchsorted(times(lab), first)), lab.board.ticks)
    before = lab.run(lab.adaptive)
    print(
        f"\n3. {(last - first) / 86_400:.1f} days on a clock of 15 minutes; "
        f"net in bp, all symbols, at {' / '.join(ROUND_TRIPS)} bp"
    )
    print(f"{'unmodified':<16}{row_of(lab, lab.net(before), days)}   moves {moves(before, days)}")
    for weight in REAL_WEIGHTS:
        after = lab.run(lab.carry(*_shown(lab, pairs, weight)))
        differ = float((before != after)[..., days.first :].mean())
        said = f"{row_of(lab, lab.net(after), days)}   moves {moves(after, days)}"
        print(f"{f'weight {weight}':<16}{said}   another state in {differ:.2%} of the time")


def _shown(lab: Lab, pairs: list[tuple[Series, Series]], weight: int) -> tuple[Steps, NDArray[np.bool_]]:
    """The means, with live rates blended in from when they are seen until they are settled."""
    rates, known = lab.means()
    found, decay, clock = rates.copy(), Decay(RULE.half_life), times(lab)
    places = {market: place for place, market in enumerate(lab.board.markets)}
    for live, _ in pairs:
        if live.market not in places:
            continue
        series = lab.board.series[places[live.market]]
        mean, done = Mean(decay), 0
        for seen in live.rows:
            place = next_of(series, seen.at)
            if place is None:
                continue
            for row in series.rows[done:place]:
                mean.settle(row.at, clipped(row.per_8h, RULE.signal), row.interval)
            done, then = place, series.rows[place]
            rate = blended(mean, decay, then.at, clipped(seen.per_8h, RULE.signal), then.interval, weight)
            ticks = slice(*np.searchsorted(clock, (seen.at, then.at)))
            found[places[live.market], ticks] = np.where(known[places[live.market], ticks], rate, 0)
    return found, known


def row_of(lab: Lab, net: Steps, part: Part) -> str:
    """What was earned in a part, by costs."""
    return " / ".join(f"{bps(one):8.2f}" for one in lab.total(net, part))


def moves(states: NDArray[np.int8], part: Part) -> str:
    """How many moves there were in a part, by costs."""
    changed = np.diff(states[..., part.first - 1 :], axis=-1) != 0
    return " / ".join(str(int(changed[place].sum())) for place in range(len(LEGS)))


def main() -> None:
    """The three questions in turn."""
    *paths, shown = paths_of(__doc__, (*SETTLED, SNAPSHOTS))
    if not paths:
        raise SystemExit("give at least one file of settled rates, and last one of live snapshots")
    snapshots, histories = read(shown), {path: read(path) for path in paths}
    print("1. If every venue showed its next settlement exactly (an upper bound)\n")
    compare([Lab.of(name_of(path), history) for path, history in histories.items()], foreseen)
    print("\n2. What live rates say\n")
    for path, history in histories.items():
        pairs = [
            pair
            for pair in live_of(snapshots, history)
            if sum(next_of(pair[1], row.at) is not None for row in pair[0].rows) >= FEW
        ]
        if not pairs:
            print(f"{name_of(path)}: no market of it has live rates in {shown.name} at the same time")
            continue
        told(pairs)
        on_the_days(history, pairs)


if __name__ == "__main__":
    main()
