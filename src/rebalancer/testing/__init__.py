"""What rule authors and hosts test with: values in one line, a clock, a venue with faults, and conformance checks."""

from typing import TYPE_CHECKING

from .._lazy import load

if TYPE_CHECKING:
    from .clock import ManualClock as ManualClock
    from .executors import ExecutorCase as ExecutorCase
    from .executors import checks_for_executor as checks_for_executor
    from .factories import AS_OF as AS_OF
    from .factories import a_leg as a_leg
    from .factories import a_position as a_position
    from .factories import a_quote as a_quote
    from .factories import a_rate as a_rate
    from .factories import a_smoothed as a_smoothed
    from .factories import a_snapshot as a_snapshot
    from .factories import an_opportunity as an_opportunity
    from .fake_venue import FakeExecutor as FakeExecutor
    from .fake_venue import FakeVenue as FakeVenue
    from .sample import sample_history as sample_history
    from .stores import checks_for_store as checks_for_store

_HOMES = {
    "clock": ("ManualClock",),
    "executors": ("ExecutorCase", "checks_for_executor"),
    "factories": ("AS_OF", "a_leg", "a_position", "a_quote", "a_rate", "a_smoothed", "a_snapshot", "an_opportunity"),
    "fake_venue": ("FakeExecutor", "FakeVenue"),
    "sample": ("sample_history",),
    "stores": ("checks_for_store",),
}

__all__ = [  # noqa: PLE0604  # every entry of _HOMES is a tuple of names
    *(name for names in _HOMES.values() for name in names)
]

if not TYPE_CHECKING:

    def __getattr__(name):
        value = globals()[name] = load(__name__, _HOMES, name)
        return value

    def __dir__():
        return sorted(__all__)
