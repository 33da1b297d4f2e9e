"""What to know of a history before trusting it. Nothing is mended: a replay takes the rows as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import StrEnum
from itertools import groupby, pairwise

from ..domain.explain import span
from ..domain.funding import RateKind
from ..domain.model import Value
from ..domain.names import Line, Market, ReasonCode, Symbol, Venue
from ..domain.numbers import EIGHT_HOURS, FRACTION_PLACES, from_grid, plain
from ..domain.plausible import Plausibility
from ..domain.times import Instant, from_epoch
from ..errors import HistoryError
from .coverage import Between, changes, gaps, overlaps
from .read import Notes, read_history
from .table import FundingHistory, Row, Series
from .units import LARGE, strange_units
from .view import MAX_INTERVALS

DAY = 86_400
EARLY = 3 * DAY
"""A market that ends longer than this before the history, and than two of its intervals, ends early."""
ZEROS = 7 * DAY
"""A rate of exactly 0 for longer than this is no market's rest: one that was delisted goes on to report 0."""


class Severity(StrEnum):
    """How grave a finding is. They sort by gravity."""

    ERROR = "error"
    """Reading refuses it."""
    WARNING = "warning"
    """It may make a replay's figures wrong, or its markets unknown: look at it."""
    NOTE = "note"
    """It is as it may be."""


class Finding(Value):
    """Something found in a history: `what`, in which market, `count` times, first (or longest) `at` a time.

    `code` is one of REFUSED, UNITS, OVERLAP, GAP, PRINT, ZERO, ENDS_EARLY, INTERVAL_CHANGE, KINDS and ORDER. `row` is
    the row's number in the file, where that is known. None: it is of no one market, or time.
    """

    severity: Severity
    code: ReasonCode
    symbol: Symbol | None = None
    venue: Venue | None = None
    at: Instant | None = None
    row: int | None = None
    count: int = 1
    what: Line

    def __str__(self) -> str:
        where = "" if self.symbol is None else f"{self.symbol} on {self.venue}: "
        row = "" if self.row is None else f" (row {self.row})"
        return f"{self.severity}: {where}{self.what}{row}"


def check(history: FundingHistory, notes: Notes | None = None) -> tuple[Finding, ...]:
    """The findings of a history, sorted by gravity, market and code; with `notes` they have the numbers of rows."""
    found = [*_units(history), *_kinds(history)]
    for series in history.series:
        for look in (_overlaps, _gaps, _prints, _zeros, _changes):
            found += look(series)
        found += _end(series, history.end)
    if notes is not None:
        found += _order(notes)
        found = [_with_row(one, notes) for one in found] + [_refused(error) for error in notes.refused]
    order = list(Severity)
    return tuple(
        sorted(found, key=lambda one: (order.index(one.severity), one.symbol or "", one.venue or "", one.code))
    )


def check_file(path: str | os.PathLike[str]) -> tuple[Finding, ...]:
    """The findings of a file, every row that `FundingHistory.read` would refuse among them.

    Raises HistoryError for a file that can not be read at all, or has not one good row.
    """
    notes = Notes()
    try:
        history = read_history(path, trust_units=True, notes=notes)
    except HistoryError:
        if not notes.refused:
            raise
        return tuple(_refused(error) for error in notes.refused)
    return check(history, notes)


def _found(severity: Severity, code: str, series: Series, what: str, at: int, count: int = 1) -> Finding:
    venue, symbol = series.market
    return Finding(severity=severity, code=code, symbol=symbol, venue=venue, at=from_epoch(at), count=count, what=what)


def _units(history: FundingHistory) -> Iterator[Finding]:
    large = {series.market: [row for row in series.rows if _size(row) >= LARGE] for series in history.series}
    counts = {market: len(rows) for market, rows in large.items() if rows}
    by_market = {series.market: series for series in history.series}
    for market, why in strange_units(history.series, counts):
        yield _found(Severity.ERROR, "UNITS", by_market[market], why, large[market][0].at, counts[market])


def _size(row: Row) -> int:
    """|rate| per 8 h, rounded down."""
    return abs(row.value) * EIGHT_HOURS // row.interval


def _kinds(history: FundingHistory) -> Iterator[Finding]:
    kinds = sorted({series.kind for series in history.series})
    others = sum(series.kind is not RateKind.SETTLED for series in history.series)
    if len(kinds) > 1:
        listed = ", ".join(kinds)
        used = "a replay uses the settled ones alone" if history.settled else "none of them is settled, so none pays"
        what = f"the rates are of several kinds ({listed}): {used}"
        yield Finding(severity=Severity.NOTE, code="KINDS", count=others, what=what)


def _overlaps(series: Series) -> Iterator[Finding]:
    found = list(overlaps(series))
    if found:
        twice = f"{_counted(found, 'overlap')}: two rows pay for the same time"
        yield _found(Severity.WARNING, "OVERLAP", series, twice, _after(series, found[0].end), len(found))


def _gaps(series: Series) -> Iterator[Finding]:
    found = list(gaps(series))
    if found:
        unknown = series.kind is RateKind.FORMING or any(
            after.at > before.at + MAX_INTERVALS * before.interval for before, after in pairwise(series.rows)
        )
        longest = max(found, key=lambda gap: gap.length)
        what = f"{_counted(found, 'gap')} that no row stands for" + (
            ", where a replay knows no rate" if unknown else ""
        )
        severity = Severity.WARNING if unknown else Severity.NOTE
        yield _found(severity, "GAP", series, what, longest.start, len(found))


def _counted(found: list[Between], noun: str) -> str:
    """How many, how much time, and which is the longest."""
    longest = max(found, key=lambda one: one.length)
    since = f"from {from_epoch(longest.start):%Y-%m-%d %H:%M}"
    if len(found) == 1:
        return f"1 {noun} of {span(longest.length)} {since}"
    time = span(sum(one.length for one in found))
    return f"{len(found):,} {noun}s of {time} in all, the longest of {span(longest.length)} {since}"


def _after(series: Series, at: int) -> int:
    """The time of the first row later than `at`."""
    return next(row.at for row in series.rows if row.at > at)


def _prints(series: Series) -> Iterator[Finding]:
    believed = Plausibility()
    cap = believed.cap(series.market)
    limit = believed.max_steps if cap is None else cap
    found = [row for row in series.rows if _size(row) > limit]
    if found:
        largest = max(found, key=_size)
        than = "is usual anywhere" if cap is None else "the venue allows"
        what = (
            f"{len(found):,} of {len(series.rows):,} rates beyond what {than} ({_percent(limit)} per 8 h), the largest "
            f"{_percent(largest.per_8h)} at {from_epoch(largest.at):%Y-%m-%d %H:%M}"
        )
        yield _found(Severity.WARNING, "PRINT", series, what, largest.at, len(found))


def _percent(steps: int) -> str:
    return f"{plain(from_grid(steps, FRACTION_PLACES - 2))} %"


def _zeros(series: Series) -> Iterator[Finding]:
    runs = [list(rows) for zero, rows in groupby(series.rows, lambda row: row.value == 0) if zero]
    long = [run for run in runs if run[-1].at - run[0].at > ZEROS]
    if long:
        longest = max(long, key=lambda run: run[-1].at - run[0].at)
        to_end = ", to its end: was it delisted?" if long[-1][-1] is series.rows[-1] else ""
        what = (
            f"a rate of exactly 0 for {span(longest[-1].at - longest[0].at)} "
            f"from {from_epoch(longest[0].at):%Y-%m-%d %H:%M}{to_end}"
        )
        yield _found(Severity.WARNING, "ZERO", series, what, longest[0].at, len(long))


def _changes(series: Series) -> Iterator[Finding]:
    found = list(changes(series))
    if found:
        listed = [
            f"{span(before.interval)} -> {span(after.interval)} at {from_epoch(after.at):%Y-%m-%d %H:%M}"
            for before, after in found[:3]
        ]
        more = f", and {len(found) - 3:,} more" if len(found) > 3 else ""
        what = f"its interval changes: {', '.join(listed)}{more}"
        yield _found(Severity.NOTE, "INTERVAL_CHANGE", series, what, found[0][1].at, len(found))


def _end(series: Series, end: int) -> Iterator[Finding]:
    last = series.rows[-1]
    if end - last.at > max(EARLY, MAX_INTERVALS * last.interval):
        what = f"its last row is of {from_epoch(last.at):%Y-%m-%d %H:%M}, {span(end - last.at)} before the end"
        yield _found(Severity.WARNING, "ENDS_EARLY", series, what, last.at)


def _order(notes: Notes) -> Iterator[Finding]:
    """Rows may come in any order, but a file that is not sorted is often two files in one."""
    for (venue, symbol), numbers in notes.numbers.items():
        early = [after for before, after in pairwise(numbers) if after < before]
        if early:
            what = "its rows do not come in order of time; they are read as if they did"
            yield Finding(
                severity=Severity.NOTE,
                code="ORDER",
                symbol=symbol,
                venue=venue,
                at=from_epoch(early[0]),
                count=len(early),
                what=what,
            )


def _with_row(finding: Finding, notes: Notes) -> Finding:
    if finding.symbol is None or finding.venue is None or finding.at is None:
        return finding
    row = notes.row(Market(finding.venue, finding.symbol), int(finding.at.timestamp()))
    return finding.model_copy(update={"row": row})


def _refused(error: HistoryError) -> Finding:
    what = str(error).removeprefix(f"row {error.row}: ")
    return Finding(severity=Severity.ERROR, code="REFUSED", row=error.row, what=what)
