"""What the library makes by name: options may be text, from a command line or a configuration file.

An adapter is imported when one is made.
"""

from __future__ import annotations

from datetime import UTC, timedelta, tzinfo
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator

from ..costs import Costs
from ..domain.batch import StoreMode
from ..domain.model import Value
from ..domain.names import Venue, split_names
from ..domain.numbers import Bps, Exact
from ..domain.times import Duration, Instant
from ..errors import InputError
from ..rules.base import param

if TYPE_CHECKING:
    from ..ports import Executor, FundingSource, PositionStore


def _listed(value: object) -> object:
    """The names of a text such as `lighter,grvt`; anything else as it is."""
    return split_names(value) if isinstance(value, str) else value


def _zone(value: object) -> tzinfo:
    if isinstance(value, tzinfo):
        return value
    try:
        return ZoneInfo(str(value))
    except (ValueError, OSError, LookupError):
        raise InputError("not a time zone: write one such as UTC or Asia/Shanghai") from None


Venues = Annotated[tuple[Venue, ...], BeforeValidator(_listed), Field(min_length=1)]
Zone = Annotated[tzinfo, PlainValidator(_zone)]


class _Options(Value):
    model_config = ConfigDict(arbitrary_types_allowed=True)


class ServiceOptions(_Options):
    """Of `service`, the Funding Rate Service."""

    model_config = ConfigDict(title="the source 'service'")

    url: str = "http://localhost:8000/api/v1"
    venues: Venues | None = None
    rate_interval: Duration = timedelta(hours=8)
    row_zone: Zone = UTC
    deadline: Duration = timedelta(seconds=8)
    allow_http: bool = False
    trust_env: bool = False


class CcxtOptions(_Options):
    """Of `ccxt`."""

    model_config = ConfigDict(title="the source 'ccxt'")

    venues: Venues
    deadline: Duration = timedelta(seconds=8)


class HistoryOptions(_Options):
    """Of `history`, a file in the place of live data."""

    model_config = ConfigDict(title="the source 'history'")

    path: str
    start: Instant | None = None
    speed: Exact = param(1)


class PaperOptions(_Options):
    """Of `paper`, beside its source."""

    model_config = ConfigDict(title="the executor 'paper'")

    path: str | None = None
    leg_bps: Bps = param(2)
    slippage_bps: Bps = param(0)
    deadline: Duration = timedelta(seconds=10)


def service(**options: Any) -> FundingSource:
    """The Funding Rate Service at `url`."""
    from ..adapters.funding_service import FundingServiceSource

    given = ServiceOptions(**options)
    return FundingServiceSource.connect(**dict(given))


def ccxt(**options: Any) -> FundingSource:
    """The exchanges of ccxt that `venues` names."""
    from ..adapters.ccxt_source import CcxtSource

    given = CcxtOptions(**options)
    return CcxtSource(*given.venues, deadline=given.deadline)


def history(**options: Any) -> FundingSource:
    """The history at `path`."""
    from ..adapters.sources import HistorySource

    given = HistoryOptions(**options)
    return HistorySource(given.path, start=given.start, speed=given.speed)


def dry_run() -> Executor:
    """The executor that records, and never trades."""
    from ..adapters.executors import DryRunExecutor

    return DryRunExecutor()


def paper(*, source: FundingSource, **options: Any) -> Executor:
    """The executor that trades on paper, at the marks of `source`; its account is in the file `path`."""
    from ..adapters.executors import PaperExecutor

    given = PaperOptions(**options)
    return PaperExecutor(
        source,
        costs=Costs.flat(leg_bps=given.leg_bps),
        slippage_bps=given.slippage_bps,
        path=given.path,
        deadline=given.deadline,
    )


def memory(*, mode: str = "dry") -> PositionStore:
    """A store that is gone with the process."""
    from ..adapters.stores import MemoryStore

    return MemoryStore(mode=_mode(mode))


def sqlite(*, path: str, mode: str = "dry") -> PositionStore:
    """The store in the SQLite file at `path`, made for `mode`: dry, paper or live."""
    from ..adapters.stores import SqliteStore

    return SqliteStore(path, mode=_mode(mode))


def _mode(name: str) -> StoreMode:
    try:
        return StoreMode(name)
    except ValueError:
        raise InputError("mode is dry, paper or live") from None
