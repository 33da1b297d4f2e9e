"""What rule authors and hosts test with: values that are arranged in one line."""

from .clock import ManualClock as ManualClock
from .factories import AS_OF as AS_OF
from .factories import a_position as a_position
from .factories import a_quote as a_quote
from .factories import a_rate as a_rate
from .factories import a_snapshot as a_snapshot
from .factories import an_opportunity as an_opportunity
from .sample import sample_history as sample_history

__all__ = ["AS_OF", "ManualClock", "a_position", "a_quote", "a_rate", "a_snapshot", "an_opportunity", "sample_history"]
