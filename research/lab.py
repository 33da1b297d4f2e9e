"""What the experiments share: histories in columns, the adaptive rule as a plain simulator, and the judge.

A symbol is flat (state 0) or holds a directed pair of its markets (states 1, 2, ... in order of long, short). At each
tick it moves to the state that maximises carry(state) - carry(held) - cost(move), if that is above 0. Variants differ
in the carry that they are given. Amounts are int64 grid steps (1e-12 of one leg's notional), carries grid steps x
seconds of a rate per 8 h, as in the library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rebalancer import Costs, FundingHistory, NetCarry, RebalancerError, presets
from rebalancer.domain.numbers import BPS, EIGHT_HOURS, FRACTION_PLACES, to_grid
from rebalancer.domain.smoothed import Smoothed
from rebalancer.domain.times import from_epoch, seconds
from rebalancer.replay import Setting, hindsight, scores
from rebalancer.replay.board import Board

Steps = NDArray[np.int64]
Mask = NDArray[np.bool_]

HOUR = 3600
LEGS = (Decimal(2), Decimal(4), Decimal("7.5"))
ROUND_TRIPS = ("8", "16", "30")
"""What a leg costs in basis points, and opening and closing a pair."""
RULE = NetCarry()
HORIZON = seconds(RULE.horizon)
WEEK = 7 * 24 * HOUR
NEVER = -(1 << 60)
"""The carry of a state that can not be entered: there is no such pair, or a rate of it is unknown."""

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SETTLED = (
    "hl_binance_bybit_2025-08_2026-08.csv.gz",
    "seven_venues_2025-03_2026-03.csv.gz",
    "stock_perps_hlxyz_bybit_2025-11_2026-08.csv.gz",
)


class Part(NamedTuple):
    """Some symbols (their places) in some hours (from one tick to before another)."""

    symbols: tuple[int, ...]
    first: int
    last: int


class Halves(NamedTuple):
    """Parameters are chosen on the part `inside`, and judged on the one `outside`."""

    name: str
    inside: Part
    outside: Part


@dataclass(frozen=True, eq=False)
class Lab:
    """One history on a clock, of hours unless said otherwise. States are the same for each symbol: `long` and `short`
    are the legs, as places among the symbol's markets (-1: flat).
    """

    name: str
    history: FundingHistory
    board: Board

    @classmethod
    def of(cls, name: str, history: FundingHistory, *, every: int = HOUR) -> Lab:
        """The settled rates of a history; its unmodified form must earn what the library's replay of it earns."""
        settled = history.decisive()
        lab = cls(name, settled, Board.of(settled, every=every))
        lab.check()
        return lab

    @cached_property
    def most(self) -> int:
        """The markets of a symbol, at most."""
        return int((self.board.high - self.board.low).max())

    @cached_property
    def count(self) -> int:
        """How many symbols there are."""
        return len(self.board.symbols)

    @cached_property
    def long(self) -> Steps:
        """By state, the place of the long leg."""
        return np.array([-1, *(long for long, _ in permutations(range(self.most), 2))])

    @cached_property
    def short(self) -> Steps:
        """By state, the place of the short leg."""
        return np.array([-1, *(short for _, short in permutations(range(self.most), 2))])

    @cached_property
    def legs(self) -> Steps:
        """How many legs a move trades: state x state."""
        trades = np.zeros((len(self.long), len(self.long)), dtype=np.int64)
        for side in (self.long, self.short):
            differs = side[:, None] != side[None, :]
            trades += differs * ((side >= 0).astype(np.int64)[:, None] + (side >= 0)[None, :])
        return trades

    @cached_property
    def cost(self) -> Steps:
        """What a move costs: costs x state x state, in grid steps."""
        each = np.array([to_grid(bps, FRACTION_PLACES - 4) for bps in LEGS], dtype=np.int64)
        return each[:, None, None] * self.legs

    def by_symbol(self, columns: NDArray[Any], absent: int = 0) -> NDArray[Any]:
        """Columns of markets x ticks as symbols x places x ticks; `absent` where a symbol has fewer markets."""
        found = np.full((self.count, self.most, columns.shape[1]), absent, dtype=columns.dtype)
        for symbol, (low, high) in enumerate(zip(self.board.low, self.board.high, strict=True)):
            found[symbol, : high - low] = columns[low:high]
        return found

    def pairs(self, values: Steps, known: Mask | None = None) -> Steps:
        """short - long of what markets show (markets x ticks), as ticks x symbols x states; flat is 0. NEVER where one
        of the legs is not `known`.
        """
        shown = self.by_symbol(values)
        found = shown[:, self.short] - shown[:, self.long]
        if known is not None:
            there = self.by_symbol(known)
            found[~(there[:, self.short] & there[:, self.long])] = NEVER
        found[:, 0] = 0
        return np.ascontiguousarray(found.transpose(2, 0, 1))

    def carry(self, rates: Steps, known: Mask, horizon: int | Steps = HORIZON) -> Steps:
        """What holding a state should bring: ticks x symbols x states. `horizon` in seconds, one or symbols x states.
        Known are only markets whose last rate is fresh.
        """
        apart = self.pairs(rates, known)
        return np.where(apart == NEVER, NEVER, apart * horizon)

    def means(self, signal: Smoothed = RULE.signal) -> tuple[Steps, Mask]:
        """The smoothed rates, and where they are known."""
        return self.board.means(signal)[:2]

    @cached_property
    def adaptive(self) -> Steps:
        """The carry of the unmodified rule."""
        return self.carry(*self.means())

    def run(self, carry: Steps, due: Steps | None = None) -> NDArray[np.int8]:
        """The states held after each hour: costs x symbols x ticks. With `due` (as `carry`), what a state is paid soon:
        a move is put off while the held state is paid more than the one to move to.
        """
        at, rows = np.arange(len(LEGS))[:, None], np.arange(self.count)
        held = np.zeros((len(LEGS), self.count), dtype=np.int64)
        states = np.zeros((self.board.ticks, len(LEGS), self.count), dtype=np.int8)
        cost = self.cost * EIGHT_HOURS
        for tick, now in enumerate(carry):
            there = now[rows, held]
            gain = now - there[..., None] - cost[at, held]
            best = gain.argmax(axis=-1)  # of equals the first: holding gains nothing, then flat, then by (long, short)
            moves = (gain[at, rows, best] > 0) & (there > NEVER)
            if due is not None and moves.any():
                moves &= due[tick][rows, best] >= due[tick][rows, held]
            held = np.where(moves, best, held)
            states[tick] = held
        return states.transpose(1, 2, 0)

    @cached_property
    def _pays(self) -> Steps:
        """What a state held until a tick is paid at it: symbols x ticks x states."""
        paid = np.diff(self.board.paid, axis=1, prepend=0)
        return np.ascontiguousarray(self.pairs(paid).transpose(1, 0, 2))

    def net(self, states: NDArray[np.int8]) -> Steps:
        """What states earn after costs, hour by hour: costs x symbols x ticks. What is open at the end is closed."""
        before = np.concatenate((np.zeros_like(states[..., :1]), states[..., :-1]), axis=-1)
        symbols, ticks = np.arange(self.count)[None, :, None], np.arange(self.board.ticks)
        costs = np.arange(len(states))[:, None, None]
        found: Steps = self._pays[symbols, ticks, before] - self.cost[costs, before, states]
        found[..., -1] -= self.cost[costs[..., 0], states[..., -1], 0]
        return found

    @cached_property
    def base(self) -> Steps:
        """What the unmodified rule earns."""
        return self.net(self.run(self.adaptive))

    @cached_property
    def optimum(self) -> Steps:
        """What the best schedule in hindsight, of the whole history, earns hour by hour."""
        state = {pair: number for number, pair in enumerate(zip(self.long.tolist(), self.short.tolist(), strict=True))}
        states = np.zeros((len(LEGS), self.count, self.board.ticks), dtype=np.int8)
        markets = [one.venue for one in self.board.markets]
        every = timedelta(seconds=self.board.every)
        found = [hindsight(self.history, costs=Costs.flat(leg_bps=bps), every=every) for bps in LEGS]
        for lane, best in zip(states, found, strict=True):
            for place, one in enumerate(best.symbols):
                venues = markets[self.board.low[place] : self.board.high[place]]
                for move in one.moves:
                    to = move.target
                    legs = (venues.index(to.long_dex), venues.index(to.short_dex)) if to is not None else (-1, -1)
                    lane[place, (move.at - self.board.first) // self.board.every :] = state[legs]
        earned = self.net(states)
        assert [[one.steps for one in best.symbols] for best in found] == earned.sum(axis=-1).tolist()
        return earned

    def check(self) -> None:
        """Assert that the unmodified form earns, by symbol and quarter, exactly what the library says."""
        costs = [Costs.flat(leg_bps=bps) for bps in LEGS]
        cuts = [self.board.ticks * quarter // 4 for quarter in (1, 2, 3)]
        times = [from_epoch(self.board.first + self.board.every * cut) for cut in cuts]
        settings = [Setting(presets.adaptive(costs=one), costs=one) for one in costs]
        said = scores(self.history, settings, every=timedelta(seconds=self.board.every), cuts=times)
        ours = np.add.reduceat(self.base, [0, *cuts], axis=-1)
        assert (ours == said.net).all(), f"{self.name}: the simulator and the library do not earn the same"

    @cached_property
    def whole(self) -> Part:
        """All symbols, from the tick on at which there is a pair to hold."""
        known = self.by_symbol(self.board.known)
        pair = (known.sum(axis=1) > 1).any(axis=0)
        return Part(tuple(range(self.count)), int(pair.argmax()), self.board.ticks)

    @cached_property
    def quarters(self) -> list[Part]:
        """All symbols, by quarter of the time."""
        edges = [self.whole.first + (self.board.ticks - self.whole.first) * quarter // 4 for quarter in range(5)]
        return [self.whole._replace(first=one, last=two) for one, two in pairwise(edges)]

    @cached_property
    def halves(self) -> list[Halves]:
        """Four choices: on each half of the time, and on every second symbol."""
        middle = self.quarters[2].first
        early, late = self.whole._replace(last=middle), self.whole._replace(first=middle)
        even, odd = (self.whole._replace(symbols=self.whole.symbols[start::2]) for start in (0, 1))
        return [
            Halves("first half, then second", early, late),
            Halves("second half, then first", late, early),
            Halves("every second symbol", even, odd),
            Halves("the other symbols", odd, even),
        ]

    def total(self, net: Steps, part: Part) -> Steps:
        """By costs, what was earned in a part."""
        found: Steps = net[:, list(part.symbols), part.first : part.last].sum(axis=(1, 2))
        return found

    def share(self, net: Steps, part: Part) -> NDArray[np.float64]:
        """By costs, the share of the optimum that was captured in a part."""
        return self.total(net, part) / self.total(self.optimum, part)


def labs(description: str | None, *, settled: Sequence[str] = SETTLED) -> list[Lab]:
    """The histories that the command line names, or those of the project's data folder. Exits with a message."""
    paths = paths_of(description, settled)
    return [Lab.of(name_of(path), read(path)) for path in paths]


def paths_of(description: str | None, default: Sequence[str]) -> list[Path]:
    """The files of the command line. Without any, the default ones; exits with a message if they are not there."""
    given = [one for one in sys.argv[1:] if not one.startswith("-")]
    if "-h" in sys.argv or "--help" in sys.argv:
        raise SystemExit(f"{(description or '').strip()}\n\nusage: python {sys.argv[0]} [HISTORY ...]")
    paths = [Path(one) for one in given] or [DATA / name for name in default]
    missing = [path for path in paths if not path.is_file()]
    if missing and not given:
        raise SystemExit(
            f"No histories in {DATA}: give the paths of your own, python {sys.argv[0]} HISTORY ... "
            "(CSV or Parquet of settled funding rates)"
        )
    if missing:
        raise SystemExit(f"{missing[0]} is not a file")
    return paths


def read(path: Path) -> FundingHistory:
    """A history; exits with what is wrong with it."""
    try:
        return FundingHistory.read(path)
    except RebalancerError as error:
        raise SystemExit(f"{path}: {error}") from error


def name_of(path: Path) -> str:
    """A file's name without its suffixes."""
    return path.name.split(".")[0]


Variants = Callable[[Lab, Part], Iterable[tuple[str, Steps]]]
"""By label, what each variant earns on a history; what it estimates, it estimates on the part."""


def judge(labs: Sequence[Lab], variants: Variants) -> None:
    """Print for each history and split: the variant that captured most in sample, and its share beside that of the
    unmodified rule out of sample; then how many cells (history x split x costs) it won, and by how much.

    One variant is chosen for all costs, by the mean of its captured shares.
    """
    changes: list[NDArray[np.float64]] = []
    hopes: list[float] = []
    print(f"{'history':<40}{'chosen on':<26}{'variant':<26}{'in sample':>10}   out of sample, at 8 / 16 / 30 bp")
    for lab in labs:
        for halves in lab.halves:
            base_in, base_out = (lab.share(lab.base, part) for part in (halves.inside, halves.outside))
            best = -np.inf
            for label, net in variants(lab, halves.inside):
                hope = float((lab.share(net, halves.inside) - base_in).mean())
                if hope > best:
                    best, chosen, found = hope, label, lab.share(net, halves.outside)
            hopes.append(best)
            changes.append(found - base_out)
            said = "  ".join(f"{new:.3f} ({new - old:+.3f})" for new, old in zip(found, base_out, strict=True))
            print(f"{lab.name:<40}{halves.name:<26}{chosen:<26}{best:>+10.3f}   {said}", flush=True)
    cells = np.concatenate(changes)
    won, lost = int((cells > 0).sum()), int((cells < 0).sum())
    print(
        f"\nof {len(cells)} cells {won} won, {lost} lost, {len(cells) - won - lost} the same; "
        f"captured share {np.mean(hopes):+.4f} in sample, {cells.mean():+.4f} out of sample "
        f"(worst {cells.min():+.3f}, best {cells.max():+.3f})"
    )


def fixed(labs: Sequence[Lab], nets: Mapping[str, Sequence[Steps]]) -> None:
    """Print the captured share of variants by history and costs, over all symbols and time."""
    print("".join(f"{part:<28}" for part in ("at 8 / 16 / 30 bp", *(lab.name[:26] for lab in labs))))
    for label, by_lab in nets.items():
        shares = [lab.share(net, lab.whole) for lab, net in zip(labs, by_lab, strict=True)]
        row = [" ".join(f"{one:6.3f}" for one in three) for three in shares]
        print(f"{label:<28}" + "".join(f"{one:<28}" for one in row))


def compare(labs: Sequence[Lab], nets: Callable[[Lab], tuple[tuple[str, Steps], ...]]) -> None:
    """Judge variants that estimate nothing, then print what each captures over all symbols and time."""
    judge(labs, lambda lab, _: nets(lab))
    print()
    labels = [label for label, _ in nets(labs[0])]
    table = {"unmodified": [lab.base for lab in labs]}
    fixed(labs, table | {label: [dict(nets(lab))[label] for lab in labs] for label in labels})


def later(columns: NDArray[Any], hours: int) -> NDArray[Any]:
    """Columns (ticks last) that many hours late: 0, or unknown, before."""
    found = np.zeros_like(columns)
    found[..., hours:] = columns[..., : columns.shape[-1] - hours]
    return found


def signal(*, half_life: int = 120, clip: int = 8) -> Smoothed:
    """The smoothing of the rule with another half-life (hours) or clip (bp per 8 h)."""
    return Smoothed(half_life=timedelta(hours=half_life), clip_bps=clip, warm_up=RULE.warm_up)


def bps(steps: int) -> float:
    """Grid steps as basis points."""
    return steps / BPS
