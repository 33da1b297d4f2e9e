"""What is believed of a funding rate: against its venue's cap, against the past, and against the other venues.

Everything is in grid steps per 8 h: exact, without a division.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import cached_property
from itertools import chain, pairwise
from typing import NamedTuple, Protocol

from pydantic import Field

from .funding import RateKind
from .model import Value
from .names import Market
from .numbers import FRACTION_PLACES, RATIO_ONE, RATIO_PLACES, Fraction, Ratio, to_grid
from .snapshot import MarketSnapshot
from .venues import VENUES, VenueTable


class Plausibility(Value):
    """What is believed of a rate at first sight, per 8 h and of either sign.

    `max_rate` is the limit of venues whose own is not in the table `caps`. A rate above `jump_above` that is more than
    `jump` times the market's observation before it needs a second sample.
    """

    max_rate: Fraction = Field(default=Decimal("0.05"), validate_default=True, gt=0)
    caps: VenueTable = VENUES
    jump: Ratio = Field(default=Decimal(20), validate_default=True, ge=1)
    jump_above: Fraction = Field(default=Decimal("0.001"), validate_default=True, ge=0)

    @cached_property
    def max_steps(self) -> int:
        """`max_rate` in grid steps."""
        return to_grid(self.max_rate, FRACTION_PLACES)

    @cached_property
    def never_beyond(self) -> int:
        """A size that no market's limit is below, in grid steps: most rates need no closer look."""
        caps = [to_grid(facts.rate_cap, FRACTION_PLACES) for facts in self.caps.facts if facts.rate_cap is not None]
        return min([self.max_steps, *caps])

    def cap(self, market: Market) -> int | None:
        """The largest rate that the market's venue itself allows, in grid steps; None if the table has none."""
        facts = self.caps.of(market)
        return None if facts is None or facts.rate_cap is None else to_grid(facts.rate_cap, FRACTION_PLACES)

    def limit(self, market: Market) -> int:
        """The size in grid steps up to which a rate is believed by itself, whatever was seen before and beside it."""
        cap = self.cap(market)
        return self.max_steps if cap is None else cap

    @cached_property
    def jump_above_steps(self) -> int:
        """`jump_above` in grid steps."""
        return to_grid(self.jump_above, FRACTION_PLACES)

    @cached_property
    def usual_steps(self) -> int:
        """A size up to which every rate is believed, on whatever market and after whatever rate: most are no larger."""
        return min(self.never_beyond, self.jump_above_steps)

    @cached_property
    def _jump(self) -> int:
        return to_grid(self.jump, RATIO_PLACES)

    def unjumped(self, earlier: int) -> int:
        """The largest size that is no jump after a rate of `earlier` grid steps, in millionths of a step."""
        return max(self.jump_above_steps * RATIO_ONE, self._jump * abs(earlier))


class Observed(Protocol):
    """What must be known of an earlier observation: a quote has it, and so has what is left of one."""

    @property
    def market(self) -> Market:
        """The market that was observed."""
        ...

    @property
    def kind(self) -> RateKind:
        """The kind of its rate."""
        ...

    @property
    def observed_epoch(self) -> int:
        """When it was, in whole seconds since 1970-01-01 UTC."""
        ...

    @property
    def steps(self) -> int:
        """Its rate per 8 h in grid steps."""
        ...


class PastRate(NamedTuple):
    """What is left of a quote to know jumps by, where thousands are remembered."""

    market: Market
    kind: RateKind
    observed_epoch: int
    steps: int


class Rates:
    """The rates of a snapshot, and what is believed of them, given what was seen in the `past`."""

    def __init__(self, snapshot: MarketSnapshot, past: Iterable[Observed], limits: Plausibility) -> None:
        self._snapshot = snapshot
        self._limits = limits
        self._past = past

    @cached_property
    def earlier(self) -> dict[Market, int]:
        """Each market's rate before the present one."""
        return _earlier(self._snapshot, self._past)

    def exceeded(self, market: Market, rate: int) -> int | None:
        """The limit for exceeding which `rate` is refused; None if it is believed.

        A venue's own cap holds always. Where there is none, a rate beyond the limit is believed if one of its sign and
        at least half its size confirms it: the market's own earlier one, or one that a quote of the symbol has now.
        """
        size = abs(rate)
        if size <= self._limits.never_beyond:
            return None
        limit = self._limit_by_itself(market, rate)
        if limit is None or self._limits.cap(market) is not None:
            return limit
        return None if 2 * self._believed.get((market.symbol, rate > 0), 0) >= size else limit

    def jumps(self, market: Market, rate: int) -> bool:
        """Whether `rate` is too many times the market's earlier one. Without an earlier one it is not."""
        if abs(rate) <= self._limits.jump_above_steps:
            return False
        earlier = self.earlier.get(market)
        return earlier is not None and abs(rate) * RATIO_ONE > self._limits.unjumped(earlier)

    def _limit_by_itself(self, market: Market, rate: int) -> int | None:
        """The limit that `rate` is beyond, if neither the limit nor the market's own past lets it pass."""
        size, limit = abs(rate), self._limits.limit(market)
        if size <= limit:
            return None
        earlier = self.earlier.get(market, 0)
        confirmed = self._limits.cap(market) is None and earlier * rate > 0 and 2 * abs(earlier) >= size
        return None if confirmed else limit

    @cached_property
    def _believed(self) -> dict[tuple[str, bool], int]:
        """By symbol and sign, the size of the largest believed rate now: it confirms every one up to twice that size.

        Only what is believed itself can confirm. So from the largest rate down, one in doubt is dropped unless the next
        is at least half as large: those two then confirm each other, and the first all that are below it.
        """
        sizes: dict[tuple[str, bool], list[tuple[int, bool]]] = {}
        for quote in self._snapshot.quotes:
            market, rate = quote.market, self._snapshot.book.leg(quote.market).rate
            if rate is not None and not self.jumps(market, rate):
                in_doubt = self._limit_by_itself(market, rate) is not None
                if not in_doubt or self._limits.cap(market) is None:
                    sizes.setdefault((market.symbol, rate > 0), []).append((abs(rate), in_doubt))
        largest = {}
        for key, seen in sizes.items():
            for (size, in_doubt), (smaller, _) in pairwise([*sorted(seen, reverse=True), (0, False)]):
                if not in_doubt or 2 * smaller >= size:
                    largest[key] = size
                    break
        return largest


def _earlier(snapshot: MarketSnapshot, past: Iterable[Observed]) -> dict[Market, int]:
    """Each quoted market's rate at the latest instant before the present one, of its kind; of several the smallest."""
    latest: dict[Market, tuple[int, int, int]] = {}
    for one in chain(past, snapshot.observations):
        present = snapshot.by_market.get(one.market)
        if present and one.kind is present.kind and one.observed_epoch < present.observed_epoch:
            seen = one.observed_epoch, -abs(one.steps), one.steps
            latest[one.market] = max(seen, latest.get(one.market, seen))
    return {market: rate for market, (_, _, rate) in latest.items()}
