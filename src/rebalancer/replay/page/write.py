"""Writing the page: its parts put into the template, its data and program inside it."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Sequence
from decimal import Context, localcontext
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from ...domain.numbers import FRACTION_PLACES, to_grid
from ...domain.times import seconds
from ...errors import InputError
from ..course import Payments, by_pair, holdings, of_hold_through, of_log, of_optimum
from ..hindsight import optimum
from . import tables, words
from .data import page_data
from .evidence import evidence
from .markup import Markup, element, join
from .sensitivity import plain_rows, sensitivity

if TYPE_CHECKING:
    from ...history.table import FundingHistory
    from ..evaluation import Evaluation
    from ..report import ReplayReport
    from ..table import SweepRow
    from .data import Courses
    from .sensitivity import Row


def write_page(
    report: ReplayReport,
    path: str | os.PathLike[str],
    *,
    history: FundingHistory | None,
    title: str,
    sensitivity: Sequence[Row | SweepRow] = (),
    evaluation: Evaluation | None = None,
) -> None:
    """Write a report as HTML. Raises InputError if it can not be written or drawn."""
    with localcontext(Context(prec=60)):  # whatever the ambient one is
        checked = _checked(report, history)
        if evaluation is not None and not _of_same(report, evaluation):
            raise InputError("the evaluation is of another history, or of other ticks: evaluate what was replayed")
        text = page(report, checked, title=title, rows=plain_rows(sensitivity), evaluation=evaluation)
    try:
        Path(path).write_bytes(text.encode("utf-8", "xmlcharrefreplace"))
    except OSError as error:
        raise InputError(f"{os.fspath(path)} can not be written: {error.strerror}") from error


def _checked(report: ReplayReport, history: FundingHistory | None) -> FundingHistory:
    if history is None:
        raise InputError("this report has left its history behind: give it again, as history=")
    if report.trades and not report.log:
        raise InputError("this report was read from JSON, without its log of trades: replay again to draw it")
    decisive = history.decisive()
    paid = sum(hold.funding for hold in holdings(of_log(report.log, report.costs), Payments(decisive)))
    funding = report.funding_bps
    if len(decisive) != report.rows or (funding is not None and to_grid(funding, FRACTION_PLACES - 4) != paid):
        raise InputError("this is not the history that was replayed")
    return decisive


def _of_same(report: ReplayReport, evaluation: Evaluation) -> bool:
    symbols = tuple(one.symbol for one in report.symbols)
    return (symbols, report.start, report.end) == (evaluation.symbols, evaluation.bounds[0], evaluation.bounds[-1])


def page(
    report: ReplayReport,
    history: FundingHistory,
    *,
    title: str,
    rows: Sequence[Row] = (),
    evaluation: Evaluation | None = None,
) -> str:
    """The page as text. `history` is the decisive part of what was replayed."""
    every = seconds(report.every)
    courses: Courses = {"strategy": of_log(report.log, report.costs)}
    if report.net_bps is not None:
        courses["hold-through"] = of_hold_through(history, report.costs, every=every)
    best = optimum(history, costs=report.costs, every=report.every) if report.optimum_bps is not None else None
    if best is not None:
        courses["optimum"] = of_optimum(best)
    found = by_pair(courses["strategy"], Payments(history), report.costs)
    program = _resource("page.js")
    return Template(_resource("page.html")).substitute(
        title=element("title", title),
        style=_resource("page.css"),
        allowed=b64encode(sha256(program.encode()).digest()).decode(),
        head=element("h1", title),
        setting=join(words.setting(report)),
        verdict=words.verdict(report),
        tiles=join(*(_tile(*one) for one in words.tiles(report))),
        beside=tables.beside(report) if report.net_bps is not None else "",
        money=tables.money(report) if report.net_bps is not None else "",
        symbols=tables.symbols(report),
        pairs=tables.pairs(found),
        reasons=tables.reasons(report),
        evaluation=evidence(evaluation) if evaluation is not None else "",
        sensitivity=_sensitivity(rows),
        assumptions=join(*(element("li", one) for one in words.assumptions(report))),
        strategy=element("code", report.strategy),
        data=_inert(page_data(report, history, courses)),
        program=program,
    )


def _tile(name: str, figure: str, meaning: str) -> Markup:
    return element("div", element("dt", name), element("dd", figure), element("dd", meaning, class_="meaning"))


def _sensitivity(rows: Sequence[Row]) -> Markup:
    """The section, if there are rows."""
    if not rows:
        return Markup()
    return element("section", element("h2", "Sensitivity"), sensitivity(rows), id="sensitivity")


def _inert(data: object) -> str:
    """JSON that can not end the element that it stands in."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _resource(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
