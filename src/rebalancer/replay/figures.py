"""The books of positions that a column engine found: what each was paid, and what its trades cost, in grid steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from ..domain.names import Pair
from .account import END_OF_HISTORY, ENTRY, Ledger, Reason
from .board import Board, between
from .columns import numpy
from .log import Trade, TradeAction
from .program import Program
from .work import END, Positions

if TYPE_CHECKING:
    from .columns import Mask, Steps


_ALL = slice(None)


class Traded(NamedTuple):
    """Legs that were traded, and what that cost, by position."""

    legs: Steps
    cost: Steps


@dataclass(frozen=True, slots=True)
class Figures:
    """By position: whether it was `entered` from flat, whether it was `switched` away; what opening it from flat and
    leaving it traded; for how many ticks it was `held`, and for how many of them one leg's market alone had ended.
    """

    board: Board
    positions: Positions
    entered: Mask
    switched: Mask
    opening: Traded
    leaving: Traded
    held: Steps
    lone: Steps

    @classmethod
    def of(cls, board: Board, positions: Positions, *, switches: Sequence[bool], legs: Steps) -> Figures:
        """The figures of positions: `switches` says which rules switch, `legs` (settings x markets) what a leg costs.

        The costs of a switch are those of the pair that is left.
        """
        np = numpy()
        lane, _, long, short, _, rule = positions
        setting = lane // len(board.symbols)
        switched = np.array([*switches, False])[rule] if len(rule) else np.zeros(0, dtype=bool)
        entered = ~np.concatenate((np.zeros(1, dtype=bool), switched))[:-1]
        both = legs[setting, long] + legs[setting, short]
        to = np.minimum(np.arange(len(lane)) + 1, max(len(lane) - 1, 0))
        count, cost = np.zeros((2, len(lane)), dtype=np.int64)
        for held in (long, short):
            traded = ~switched | (held != held[to])
            count += traded * (1 + switched)
            cost += traded * (legs[setting, held] + switched * legs[setting, held[to]])
        return cls(
            board,
            positions,
            entered,
            switched,
            Traded(2 * entered, both * entered),
            Traded(count, cost),
            positions.left - positions.opened,
            np.abs(_after(board, long, positions) - _after(board, short, positions)),
        )

    def funding(self, of: Steps | slice = _ALL, *, first: int = 0, after: int | None = None) -> Steps:
        """What positions were paid at the ticks from `first` to the one before `after`."""
        np, paid = numpy(), self.board.paid
        _, opened, long, short, left, _ = (column[of] for column in self.positions)
        opened = np.maximum(opened, first - 1)
        left = np.maximum(left if after is None else np.minimum(left, after - 1), opened)
        received: Steps = paid[short, left] - paid[short, opened] - (paid[long, left] - paid[long, opened])
        return received

    def by_part(self, settings: int, edges: Steps) -> Steps:
        """Funding, cost, trades and legs by setting, symbol and part: part n is the time from tick `edges[n]` on,
        before `edges[n + 1]`.
        """
        np, symbols, parts = numpy(), len(self.board.symbols), len(edges) - 1
        lane, opened, _, _, left, _ = self.positions
        sums = np.zeros((4, settings * symbols, parts), dtype=np.int64)
        for part, (first, after) in enumerate(pairwise(edges.tolist())):
            there = np.flatnonzero((opened < after) & (left >= first))
            np.add.at(sums[0, :, part], lane[there], self.funding(there, first=first, after=after))
        for tick, happened, traded in ((opened, self.entered, self.opening), (left, 1, self.leaving)):
            where = lane, np.searchsorted(edges[1:-1], tick, side="right")
            for into, amounts in zip(sums[1:], (traded.cost, happened, traded.legs), strict=True):
                np.add.at(into, where, amounts)
        by_part: Steps = sums.reshape(4, settings, symbols, parts)
        return by_part

    def enter(self, ledger: Ledger, program: Program, *, holds: bool) -> None:
        """Write what one setting's positions did into a ledger, and tell its log."""
        board, np = self.board, numpy()
        funding = self.funding()
        symbols = self.positions.lane % len(board.symbols)
        counted = {
            "funding": funding,
            "cost": self.opening.cost + self.leaving.cost,
            "legs": self.opening.legs + self.leaving.legs,
            "trades": 1 + self.entered,
            "held": self.held * board.every,
            "lone": self.lone * board.every,
        }
        for name, amounts in counted.items():
            sums = np.zeros(len(board.symbols), dtype=np.int64)
            np.add.at(sums, symbols, amounts)
            for symbol, amount in zip(board.symbols, sums.tolist(), strict=True):
                setattr(ledger.accounts[symbol], name, amount)
        if self.entered.any():
            cost = int(self.opening.cost.sum())
            ledger.reasons[ENTRY] = Reason(trades=int(self.entered.sum()), funding=0, cost=cost)
        for place in np.unique(self.positions.rule).tolist():
            ended = self.positions.rule == place
            total = ledger.reasons.setdefault(_reason(program, place), Reason())
            total.trades += int(ended.sum())
            total.funding += sum(funding[ended].tolist())
            total.cost += sum(self.leaving.cost[ended].tolist())
        for trade in self._lines(program, holds=holds):
            if trade.action is not TradeAction.HOLD:
                ledger.log.append(trade)
            ledger.tell(trade)

    def _lines(self, program: Program, *, holds: bool) -> Iterator[Trade]:
        """The log, in the order in which it would have been written tick by tick."""
        np = numpy()
        opened, left, ended = self.positions.opened, self.positions.left, self.positions.rule == END
        of = np.arange(len(opened))
        decided = np.where(ended, left, left - 1) - opened  # ticks that held
        parts = [(opened[self.entered], of[self.entered], _OPEN), (left, of, _LEAVE)]
        if holds:
            held = np.repeat(of, decided)
            nth = np.arange(len(held)) - np.repeat(np.cumsum(decided) - decided, decided)
            parts.append((opened[held] + 1 + nth, held, _HELD))
        tick, position = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
        kind = np.concatenate([np.full(len(part[0]), part[2]) for part in parts])
        at_end = (kind == _LEAVE) & ended[position]
        phase = np.where(at_end, 2, kind == _OPEN)
        since, entered = at_end * opened[position], at_end & self.entered[position]
        symbol = self.positions.lane[position] % len(self.board.symbols)
        order = np.lexsort((symbol, entered, since, phase, tick))
        return self._made(program, tick[order], position[order], kind[order])

    def _made(self, program: Program, ticks: Steps, positions: Steps, kinds: Steps) -> Iterator[Trade]:
        board = self.board
        _, opened, long, short, _, _ = (column[positions] for column in self.positions)
        opens, leaves = kinds == _OPEN, kinds == _LEAVE
        columns = (
            board.first + board.every * ticks,
            kinds,
            positions,
            board.known[long, ticks] & board.known[short, ticks],
            between(board.rates[long, ticks], board.rates[short, ticks]),
            between(board.rates[long, opened], board.rates[short, opened]),
            opens * self.opening.legs[positions] + leaves * self.leaving.legs[positions],
            opens * self.opening.cost[positions] + leaves * self.leaving.cost[positions],
        )
        pairs = [
            Pair(board.markets[one].symbol, board.markets[one].venue, board.markets[other].venue)
            for one, other in zip(self.positions.long.tolist(), self.positions.short.tolist(), strict=True)
        ]
        rules, switched = self.positions.rule.tolist(), self.switched.tolist()
        for at, kind, position, known, divergence, entry, legs, cost in zip(*map(_ints, columns), strict=True):
            rule, left = rules[position], kind == _LEAVE
            yield Trade(
                at=at,
                action=_ACTIONS[kind] if not left else _left(rule, switched=switched[position]),
                pair=pairs[position],
                target=pairs[position + 1] if left and switched[position] else None,
                reason=_reason(program, rule) if left else ENTRY if kind == _OPEN else None,
                divergence=divergence if known else None,
                entry_divergence=entry,
                legs=legs,
                cost=cost,
            )


def _ints(column: Any) -> list[int]:
    """A column as the numbers of a log."""
    return column.tolist()  # type: ignore[no-any-return]  # numpy is untyped here


_OPEN, _LEAVE, _HELD = range(3)
_ACTIONS = {_OPEN: TradeAction.OPEN, _HELD: TradeAction.HOLD}


def _left(rule: int, *, switched: bool) -> TradeAction:
    if rule == END:
        return TradeAction.END
    return TradeAction.SWITCH if switched else TradeAction.CLOSE


def _reason(program: Program, rule: int) -> str:
    return END_OF_HISTORY if rule == END else program.reasons[rule]


def _after(board: Board, markets: Steps, positions: Positions) -> Steps:
    """For how many of the ticks at which a position was held a market had ended."""
    np = numpy()
    ended = np.maximum(positions.opened, board.ends[markets] - 1)
    return np.maximum(0, positions.left - ended)  # type: ignore[no-any-return]  # numpy is untyped here
