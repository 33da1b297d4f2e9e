"""A perpetual venue with the faults of real ones, and with a log of what really happened."""

from .executor import FakeExecutor as FakeExecutor
from .habits import Answer as Answer
from .habits import Call as Call
from .habits import Chance as Chance
from .habits import Fate as Fate
from .habits import Habits as Habits
from .habits import Ids as Ids
from .habits import OrderRequest as OrderRequest
from .habits import Reply as Reply
from .habits import Stamps as Stamps
from .habits import Tag as Tag
from .log import TruthLog as TruthLog
from .remote import RemoteVenue as RemoteVenue
from .remote import venue_process as venue_process
from .venue import FakeVenue as FakeVenue

__all__ = [
    "Answer",
    "Call",
    "Chance",
    "FakeExecutor",
    "FakeVenue",
    "Fate",
    "Habits",
    "Ids",
    "OrderRequest",
    "RemoteVenue",
    "Reply",
    "Stamps",
    "Tag",
    "TruthLog",
    "venue_process",
]
