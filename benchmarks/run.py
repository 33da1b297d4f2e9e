"""What deciding and importing cost, as ratios against a peer in the same run: `python benchmarks/run.py`.

Each figure is the median of many interleaved rounds. Nothing here is a gate: machines differ, ratios less so.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rebalancer import (
    Action,
    BetterOpportunity,
    CombinedStrategy,
    DivergenceFlip,
    FundingSchedule,
    MarketSnapshot,
    OpenInterestImbalance,
    Position,
    ProfitErosion,
    Quote,
    TimeLimit,
)
from rebalancer.testing import AS_OF, a_position, a_quote, a_snapshot

ROUNDS = 31
CALLS = 4_000
VENUES = ("lighter", "grvt", "paradex", "aster", "backpack")

SIX = CombinedStrategy(
    DivergenceFlip(),
    ProfitErosion(keep="0.3"),
    BetterOpportunity(cost_bps=8),
    TimeLimit(),
    FundingSchedule(),
    OpenInterestImbalance(),
)


def by_hand(position: Position, snapshot: MarketSnapshot) -> tuple[Action, str | None]:
    """The six rules as somebody would write them for their own bot, on the same grid integers."""
    pair = position.pair
    book = snapshot.book
    at = book[pair]
    divergence = at.divergence
    if divergence is None:
        return Action.HOLD, None
    if divergence < 0:
        return Action.CLOSE, "DIVERGENCE_FLIPPED"
    entry = position.entry_steps
    if entry > 0 and divergence * 1_000_000 < 300_000 * entry:
        return Action.CLOSE, "PROFIT_EROSION"
    for candidate, other in book.ranked(pair.symbol):
        if other != pair:
            if (candidate - divergence) * 86_400 - 800_000_000 * 28_800 > 1_000_000_000 * 28_800:
                return Action.SWITCH, "BETTER_OPPORTUNITY"
            break
    if snapshot.now - position.opened_epoch >= 259_200:
        return Action.CLOSE, "TIME_LIMIT"
    settles_in = at.settles_in
    if settles_in is not None and 0 < settles_in < 900:
        return Action.CLOSE, "PRE_FUNDING_EXIT"
    long, short = at.long_open_interest, at.short_open_interest
    if (
        long is not None
        and short is not None
        and (long or short)
        and (long * 1_000_000 > 3_000_000 * short or long * 1_000_000 < 330_000 * short)
    ):
        return Action.CLOSE, "OI_IMBALANCE"
    return Action.HOLD, None


def quotes(*, held: str = "0.0003") -> tuple[Quote, ...]:
    """Five venues with everything known; `grvt`, the short leg, pays `held`."""
    rates = {"lighter": "0.0001", "grvt": held, "paradex": "0.00012", "aster": "0.00009", "backpack": "0.00011"}
    later = AS_OF + timedelta(hours=2)
    return tuple(a_quote(venue, rates[venue], next_funding_at=later, open_interest_usd=2_000_000) for venue in VENUES)


def interleaved(
    *functions: Callable[..., Any], given: tuple[Any, ...] = (), calls: int = CALLS, rounds: int = ROUNDS
) -> list[float]:
    """The median time of one call of each function with what is `given`, in microseconds, measured in turn."""
    taken: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, times in zip(functions, taken, strict=True):
            start = time.perf_counter()
            for _ in range(calls):
                function(*given)
            times.append((time.perf_counter() - start) / calls * 1e6)
    return [statistics.median(times) for times in taken]


def deciding() -> None:
    """A warm snapshot: all six rules asked, and the first rule firing."""
    position = a_position()
    for name, snapshot, action in (
        ("hold, six rules asked", a_snapshot(*quotes()), Action.HOLD),
        ("the first rule fires", a_snapshot(*quotes(held="-0.0001")), Action.CLOSE),
    ):
        assert SIX.decide(position, snapshot).action is action
        assert by_hand(position, snapshot)[0] is action
        given = (position, snapshot)
        hand, decide, should = interleaved(by_hand, SIX.decide, SIX.should_rebalance, given=given)
        row(f"{name}: by hand", hand)
        row(f"{name}: decide()", decide, decide / hand)
        row(f"{name}: should_rebalance()", should, should / hand)


def explaining() -> None:
    """What a decision costs beyond: its record, and the snapshot it was made on."""
    position, warm = a_position(), a_snapshot(*quotes())
    decided, traced, explained = interleaved(
        lambda: SIX.decide(position, warm),
        lambda: SIX.decide(position, warm).record,
        lambda: SIX.decide(position, warm).explain(),
        calls=200,
        rounds=11,
    )
    row("a decision, its record never read", decided)
    row("a decision with its record", traced, traced / decided)
    row("a decision explained", explained, explained / decided)
    made = quotes()
    quoting, snapping, ranking = interleaved(
        quotes, lambda: a_snapshot(*made), lambda: a_snapshot(*made).book.ranked("BTC"), calls=200, rounds=11
    )
    row("five quotes", quoting)
    row("a snapshot of five quotes", snapping, snapping / quoting)
    row("the same, its twenty candidates ranked", ranking, ranking / quoting)


PEER = "import pydantic\nclass Model(pydantic.BaseModel):\n    number: int\n"
OURS = "import rebalancer\nrebalancer.Position\nrebalancer.presets.conservative()\n"


def importing() -> None:
    """A fresh interpreter, the import and its first use, against pydantic and one model of it."""
    taken: dict[str, list[float]] = {PEER: [], OURS: []}
    cached = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(22):
        for code, times in taken.items():
            timed = f"import time\nstart = time.perf_counter()\n{code}print(time.perf_counter() - start)"
            command = [sys.executable, "-c", timed]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=cached)
            times.append(float(done.stdout) * 1e6)
    peer, ours = (statistics.median(times[1:]) for times in taken.values())  # the first round may compile
    row("import pydantic, one model", peer)
    row("import rebalancer, a preset", ours, ours / peer)


def row(name: str, microseconds: float, ratio: float | None = None) -> None:
    """One line of the table."""
    print(f"{name:45} {microseconds:12.2f} us" + (f" {ratio:8.2f} x" if ratio is not None else ""), flush=True)


if __name__ == "__main__":
    deciding()
    explaining()
    importing()
