"""An accounting of the decision log that shares nothing with the engine's, compared to the last grid step.

The first half reads the history and the log as files and knows nothing of the library. The second half makes them.
"""

from __future__ import annotations

import csv
import gzip
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from rebalancer import Costs, FundingHistory
from rebalancer.cli.app import app
from rebalancer.plugins import PluginManager
from rebalancer.replay import Trade, replay
from rebalancer.testing import sample_history

PRESETS = PluginManager().registry.presets

EXACT = Context(prec=60)
BP = 10**8
"""Grid steps of 1e-12 in a basis point."""


class Pair(NamedTuple):
    symbol: str
    long: str
    short: str

    @property
    def legs(self) -> set[tuple[str, str, str]]:
        return {(self.symbol, "long", self.long), (self.symbol, "short", self.short)}


class Market(NamedTuple):
    """What a market settled: the times in order, and the sum of the rates up to each, in grid steps."""

    times: list[float]
    sums: list[int]

    def until(self, time: float) -> int:
        place = bisect_right(self.times, time)
        return self.sums[place - 1] if place else 0

    def between(self, opened: float, left: float) -> int:
        """The sum of the rates settled after `opened`, up to and including `left`."""
        return self.until(left) - self.until(opened)


Markets = dict[tuple[str, str], Market]
NEVER = Market([], [])


@dataclass
class Figures:
    """What was earned and paid, in grid steps."""

    funding: int = 0
    cost: int = 0
    legs: int = 0
    trades: int = 0

    def add(self, other: Figures) -> None:
        self.funding += other.funding
        self.cost += other.cost
        self.legs += other.legs
        self.trades += other.trades


@dataclass
class Tariff:
    """What a leg costs in basis points, as text: on the venues named, and elsewhere."""

    leg_bps: str = "2"
    venues: dict[str, str] = field(default_factory=dict)

    def cost(self, venue: str) -> int:
        return in_steps(self.venues.get(venue, self.leg_bps), BP)


def in_steps(number: str, unit: int) -> int:
    """A decimal number of units, in grid steps, half-even."""
    return int(EXACT.multiply(Decimal(number), Decimal(unit)).to_integral_value(ROUND_HALF_EVEN, EXACT))


def seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def settled(path: Path, symbols: Collection[str] | None = None) -> Markets:
    """The settled rows of a history file (of these symbols alone), by venue and symbol, each on the grid."""
    rates: defaultdict[tuple[str, str], dict[float, int]] = defaultdict(dict)
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as text:
        lines = csv.reader(text)
        place = {name: number for number, name in enumerate(next(lines))}
        for cells in lines:
            wanted = symbols is None or cells[place["symbol"]] in symbols
            if wanted and ("rate_kind" not in place or cells[place["rate_kind"]] == "settled"):
                market = cells[place["venue"]], cells[place["symbol"]]
                rates[market][seconds(cells[place["time_utc"]])] = in_steps(cells[place["funding_rate"]], 10**12)
    return {
        market: Market(sorted(paid), list(accumulate(paid[time] for time in sorted(paid))))
        for market, paid in rates.items()
    }


def audit(lines: Iterable[str], markets: Markets, tariff: Tariff) -> dict[str, Figures]:
    """The books of each symbol, from the log's lines; AssertionError for a line that can not follow those before."""
    books: defaultdict[str, Figures] = defaultdict(Figures)
    held: dict[str, tuple[Pair, float]] = {}
    closed: dict[str, float] = {}
    before = float("-inf")
    for line in map(json.loads, lines):
        now = seconds(line["time"])
        assert now >= before
        before = now
        pair, action, to = Pair(line["symbol"], line["long_dex"], line["short_dex"]), line["action"], line.get("target")
        target = None if to is None else Pair(to.get("symbol", pair.symbol), to["long_dex"], to["short_dex"])
        assert (target is not None) == (action == "SWITCH")
        opened, left = (pair, None) if action == "OPEN" else (target, pair)
        mine, traded = Figures(), (opened.legs if opened else set()) ^ (left.legs if left else set())
        if action == "HOLD":
            assert held[pair.symbol][0] == pair
            traded = set()
        elif left is not None:
            there, since = held.pop(left.symbol)
            assert there == left, "what is left is what was open"
            received = markets.get((left.short, left.symbol), NEVER).between(since, now)
            mine.funding = received - markets.get((left.long, left.symbol), NEVER).between(since, now)
            closed[left.symbol] = now
        if opened is not None:
            assert opened.symbol not in held, "one position a symbol"
            assert action == "SWITCH" or closed.get(opened.symbol) != now, "closed at a tick, opened at a later one"
            held[opened.symbol] = opened, now
        mine.cost = sum(tariff.cost(venue) for _, _, venue in traded)
        mine.legs = len(traded)
        mine.trades = int(action != "HOLD")
        assert (mine.legs, mine.cost) == (line["legs_traded"], in_steps(line["cost_bps"], BP))
        books[pair.symbol].add(mine)
    assert not held, "what is open at the end is closed"
    return books


def compare(report: dict[str, Any], lines: Iterable[str], markets: Markets, tariff: Tariff) -> Figures:
    """The report's figures are the audit's, symbol by symbol and in all. Returns those in all."""
    books, total = audit(lines, markets, tariff), Figures()
    for symbol in report["symbols"]:
        same(symbol, books.get(symbol["symbol"], Figures()), paid=bool(markets))
    assert books.keys() <= {symbol["symbol"] for symbol in report["symbols"]}
    for book in books.values():
        total.add(book)
    same(report, total, paid=bool(markets))
    return total


def same(part: dict[str, Any], book: Figures, *, paid: bool) -> None:
    funding, cost, net = (part[name] and Decimal(part[name]) * BP for name in ("funding_bps", "cost_bps", "net_bps"))
    assert (cost, part["legs_traded"], part["trades"]) == (book.cost, book.legs, book.trades)
    assert (funding, net) == ((book.funding, book.funding - book.cost) if paid else (None, None))


# What is audited.

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
NAMES = tuple(PRESETS)


def check(
    path: Path, history: FundingHistory, preset: str, tariff: Tariff, *, markets: Markets, all_ticks: bool = False
) -> Figures:
    """Replay a preset, write its log, and audit it."""
    costs = Costs(leg_bps=tariff.leg_bps, venues=tariff.venues)
    with path.open("w", encoding="utf-8") as log:

        def write(trade: Trade) -> None:
            log.write(trade.to_json() + "\n")

        report = replay(PRESETS.create(preset, costs=costs), history, costs=costs, log=write, holds=all_ticks)
    with path.open(encoding="utf-8") as lines:
        total = compare(json.loads(report.model_dump_json()), lines, markets, tariff)
    assert total.trades == len(report.log) > (5 if preset == "adaptive" else 20)
    return total


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample history as a file."""
    path = tmp_path_factory.mktemp("sample") / "sample.csv"
    with path.open("w", encoding="utf-8", newline="") as text:
        lines = csv.writer(text)
        lines.writerow(["time_utc", "venue", "symbol", "funding_rate", "interval_hours"])
        for series, row in sample_history(days=30).rows():
            quote = series.quote(row)
            rate = f"{quote.rate.value:.20f}"
            lines.writerow([quote.observed_at.isoformat(), quote.venue, quote.symbol, rate, row.interval // 3600])
    return path


@pytest.mark.parametrize("preset", NAMES)
def test_the_sample_is_accounted_for_to_the_last_grid_step(preset: str, sample: Path, tmp_path: Path) -> None:
    history = FundingHistory.read(sample)
    assert history == sample_history(days=30)
    total = check(tmp_path / "log", history, preset, Tariff(), markets=settled(sample))
    assert total.funding != 0


def test_costs_that_differ_by_venue_and_rebates_are_accounted_for(sample: Path, tmp_path: Path) -> None:
    tariff = Tariff("1.25", {"lighter": "0", "grvt": "-0.10000001"})
    history = FundingHistory.read(sample)
    check(tmp_path / "log", history, "aggressive", tariff, markets=settled(sample), all_ticks=True)


def test_the_command_lines_report_and_log_are_accounted_for(sample: Path, tmp_path: Path) -> None:
    report, log = tmp_path / "report.json", tmp_path / "log.jsonl"
    arguments = ["replay", sample, "--preset", "aggressive", "--leg-bps", "0.3", "--json", report, "--decisions", log]
    outcome = CliRunner().invoke(app, [*map(str, arguments), "--all"])
    assert outcome.exit_code == 0
    lines = log.read_text(encoding="utf-8").splitlines()
    assert '"HOLD"' in lines[1]
    total = compare(json.loads(report.read_text(encoding="utf-8")), lines, settled(sample), Tariff("0.3"))
    assert total.trades > 20


@pytest.mark.parametrize(
    ("name", "preset", "symbols"),
    [
        ("hl_binance_bybit_2025-08_2026-08.csv.gz", "conservative", ["INJ"]),
        ("seven_venues_2025-03_2026-03.csv.gz", "combined", ["HYPE"]),
        ("hl_okx_kraken_hyna_snapshots_2026-07_2026-08.csv.gz", "aggressive", ["BTC", "DOGE", "ENA"]),
        ("stock_perps_hlxyz_bybit_2025-11_2026-08.csv.gz", "combined", ["COIN", "SKHYNIX"]),
        ("okx_bitget_snapshots_2026-05_2026-08.csv.gz", "conservative", ["BTC", "KAITO", "H"]),
    ],
)
def test_real_histories_are_accounted_for(name: str, preset: str, symbols: list[str], tmp_path: Path) -> None:
    if not (DATA / name).exists():
        pytest.skip(f"{DATA / name} is not here")
    history = FundingHistory.read(DATA / name).select(symbols=symbols)
    check(tmp_path / "log", history, preset, Tariff(), markets=settled(DATA / name, symbols))


@pytest.mark.campaign
@pytest.mark.parametrize("preset", NAMES)
@pytest.mark.parametrize("path", sorted(DATA.glob("*.csv.gz")), ids=lambda path: path.name)
def test_whole_files_are_accounted_for(path: Path, preset: str, tmp_path: Path) -> None:
    total = check(tmp_path / "log", FundingHistory.read(path), preset, Tariff(), markets=settled(path))
    print(f"{path.name} {preset}: {total}")  # noqa: T201  # read with -s
