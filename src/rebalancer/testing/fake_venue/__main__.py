"""`python -m rebalancer.testing.fake_venue --log FILE --price BTC=100`: fake venues as a process of their own."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from ...adapters.clock import SystemClock
from .habits import Habits
from .log import TruthLog
from .server import FakeVenueServer
from .venue import FakeVenue


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the venues that the arguments describe."""
    parser = argparse.ArgumentParser(prog="python -m rebalancer.testing.fake_venue", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0, the default, is any that is free")
    parser.add_argument("--log", required=True, help="the file for what really happens")
    parser.add_argument("--venue", action="append", help="a venue's name, lighter by default; may be repeated")
    parser.add_argument("--price", action="append", required=True, help="a market and its mark, SYMBOL=PRICE")
    parser.add_argument("--habits", default="{}", help="the venues' habits, as JSON")
    parser.add_argument("--seed", type=int, default=0, help="of all chance")
    parser.add_argument("--tied", action="store_true", help="end when standard input does")
    given = parser.parse_args(arguments)
    habits = Habits.model_validate_json(given.habits)
    log, clock = TruthLog(given.log), SystemClock()
    prices = dict(price.rsplit("=", 1) for price in given.price)
    venues = {
        name: FakeVenue(name, prices=prices, clock=clock, habits=habits, seed=given.seed, log=log)
        for name in given.venue or ["lighter"]
    }
    asyncio.run(FakeVenueServer(venues).serve(given.port, tied=given.tied))


if __name__ == "__main__":
    main()
