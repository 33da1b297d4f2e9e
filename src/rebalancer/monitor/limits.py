"""The numbers of the monitor's guards and deadlines."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, model_validator

from ..domain.model import Value
from ..domain.times import Duration, DurationOrZero
from ..errors import InputError


class MonitorLimits(Value):
    """How far a monitor may go by itself, and how long it waits. All have sensible defaults.

    Blast radius. `action_spacing`: the rest of a position after an action. `closes_per_minute`: exits that begin in a
    minute. `mass_window`: if more than half of the positions (and more than two) want out within it, they wait for
    approval. `approval_life`: how long an approval counts. `max_blind`: leave a position whose rates were unknown for
    that long and whose legs are known; None, the default: hold.

    Deadlines. `fetch_deadline` for the source, `call_deadline` for each call of the executor, `store_deadline` for each
    of the store. `order_deadline`: a sent order of which nothing is known by then is shown as unknown, and one that
    still rests is cancelled. `rule_deadline`: a rule from elsewhere that takes longer is not asked any more.
    `observer_deadline`: for each report to an observer. `lease`: how long the lease is held without being renewed.

    Records. `record_every`: how often a hold that does not change is recorded. `records_per_tick`: how many holds are
    looked at for a change in a tick; with more positions they take turns. (With a tick a minute, 170 look at each of
    10,000 positions once an hour: often enough for a record an hour, and for funding that is paid once an hour.)
    """

    action_spacing: DurationOrZero = timedelta(seconds=60)
    closes_per_minute: Annotated[int, Field(ge=1)] = 10
    mass_window: Duration = timedelta(minutes=15)
    approval_life: Duration = timedelta(hours=1)
    max_blind: Duration | None = None
    fetch_deadline: Duration = timedelta(seconds=20)
    call_deadline: Duration = timedelta(seconds=10)
    store_deadline: Duration = timedelta(seconds=30)
    order_deadline: Duration = timedelta(seconds=30)
    rule_deadline: Duration = timedelta(seconds=2)
    observer_deadline: Duration = timedelta(seconds=10)
    lease: Duration = timedelta(seconds=60)
    record_every: Duration = timedelta(hours=1)
    records_per_tick: Annotated[int, Field(ge=1)] = 170

    @model_validator(mode="after")
    def _lease_outlives_a_send(self) -> MonitorLimits:
        if self.lease < 2 * self.call_deadline:
            raise InputError("lease must be at least twice call_deadline: a send must end within it")
        return self
