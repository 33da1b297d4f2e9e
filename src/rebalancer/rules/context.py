"""What a rule may read: the position and its two legs, where unknown raises and is never mistaken for zero."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from ..domain.held import HeldLeg
from ..domain.legs import Known
from ..domain.market import Quote
from ..domain.missing import LEG, MARK_PRICE, OPEN_INTEREST, RATE, SCHEDULE, VOLUME
from ..domain.names import Market
from ..domain.needs import Needs
from ..domain.numbers import fraction
from ..domain.opportunity import Opportunity
from ..domain.position import Position
from ..domain.quoted_legs import Leg
from ..domain.smoothed import Smoothed
from ..domain.snapshot import MarketSnapshot
from ..domain.targets import TargetFilter
from ..errors import UndeclaredNeedError, UnknownValueError

_T = TypeVar("_T")


class LegView:
    """A leg's quote as a rule may read it.

    Reading a value that is unknown (not given, stale, from the future) raises UnknownValueError; reading one that the
    rule's needs do not declare raises UndeclaredNeedError.
    """

    __slots__ = ("_context", "_leg", "market")

    def __init__(self, context: RuleContext, market: Market) -> None:
        self.market = market
        self._context = context
        self._leg: Leg = context.snapshot.book.leg(market)

    @property
    def quote(self) -> Quote:
        """The quote itself, whatever its age."""
        return self._known(self._leg.quote, RATE)

    @property
    def rate(self) -> Decimal:
        """The funding rate per 8 h."""
        self._context.require("rates")
        return fraction(self._known(self._leg.rate, RATE))

    @property
    def age(self) -> timedelta:
        """How long ago the quote was seen."""
        return timedelta(seconds=self._known(self._leg.age, RATE))

    @property
    def settles_in(self) -> timedelta | None:
        """The time to the next settlement; None where funding accrues continuously and so never settles."""
        self._context.require("schedule")
        self._known(self._leg.settles_in, SCHEDULE)
        return None if self._leg.pays_every == 0 else timedelta(seconds=self._known(self._leg.settles_in, SCHEDULE))

    @property
    def open_interest_usd(self) -> Decimal:
        """The open interest in dollars; a zero is a known zero."""
        self._context.require("open_interest")
        return Decimal(self._known(self._leg.open_interest, OPEN_INTEREST))

    @property
    def volume_24h_usd(self) -> Decimal:
        """The volume of 24 hours in dollars."""
        self._context.require("volume")
        return self._fresh("volume_24h_usd", VOLUME)

    @property
    def mark_price(self) -> Decimal:
        """The mark price in dollars a token."""
        self._context.require("mark_price")
        return self._fresh("mark_price", MARK_PRICE)

    def _fresh(self, name: str, field: str) -> Decimal:
        value: Decimal | None = None if self._leg.refusal else getattr(self._leg.quote, name, None)
        return self._known(value, field)

    def _known(self, value: _T | None, field: str) -> _T:
        if value is None:
            raise UnknownValueError([self._context.snapshot.book.gap(self.market, field)])
        return value


class LegsView:
    """What we hold of the two legs, as the venues say. Each leg that is unknown raises UnknownValueError by itself."""

    __slots__ = ("_context",)

    def __init__(self, context: RuleContext) -> None:
        self._context = context

    @property
    def long(self) -> Known:
        """The long leg; its quantity is above 0 unless it is flat, or on the wrong side."""
        return self._known(self._context.snapshot.held[self._context.position.pair].long)

    @property
    def short(self) -> Known:
        """The short leg; its quantity is below 0 unless it is flat, or on the wrong side."""
        return self._known(self._context.snapshot.held[self._context.position.pair].short)

    @staticmethod
    def _known(leg: HeldLeg) -> Known:
        if leg.known is None:
            raise UnknownValueError([leg.gap(LEG)])
        return leg.known


class RuleContext:
    """What a rule is asked about: one position, and the markets as of `now`.

    Reading a value that is unknown raises UnknownValueError, which the engine records as *not evaluated*; reading one
    that the rule's needs do not declare raises UndeclaredNeedError.
    """

    __slots__ = ("_needs", "position", "snapshot", "targets")

    def __init__(
        self,
        position: Position,
        snapshot: MarketSnapshot,
        targets: TargetFilter = TargetFilter.ANY,
        needs: Needs | None = None,
    ) -> None:
        self.position = position
        self.snapshot = snapshot
        self.targets = targets
        self._needs = needs

    def limited_to(self, needs: Needs) -> RuleContext:
        """The same context for a rule that declares `needs` and may read nothing else."""
        return RuleContext(self.position, self.snapshot, self.targets, needs)

    def require(self, need: str) -> None:
        """Raise UndeclaredNeedError unless the rule declared `need` (a field of `Needs`)."""
        if self._needs is not None and not getattr(self._needs, need):
            raise UndeclaredNeedError(need)

    @property
    def now(self) -> datetime:
        """The instant of the snapshot, in UTC."""
        return self.snapshot.as_of

    @property
    def age(self) -> timedelta:
        """How long the position has been open; zero if its opening time is after `now`."""
        return timedelta(seconds=max(0, self.snapshot.now - self.position.opened_epoch))

    @property
    def divergence(self) -> Decimal:
        """Short rate - long rate, per 8 h. Positive: the position earns."""
        self.require("rates")
        divergence = self.snapshot.book[self.position.pair].divergence
        if divergence is None:
            raise UnknownValueError(self.snapshot.book.rate_gaps(self.position.pair))
        return fraction(divergence)

    def smoothed(self, signal: Smoothed) -> Decimal:
        """The divergence of the legs' smoothed rates, per 8 h. The needs declare each signal in `smoothed`."""
        if self._needs is not None and signal not in self._needs.smoothed:
            raise UndeclaredNeedError("smoothed")
        book = self.snapshot.book.smoothed(signal)
        divergence = book.divergence(self.position.pair)
        if divergence is None:
            raise UnknownValueError(book.gaps(self.position.pair))
        return fraction(divergence)

    @property
    def long(self) -> LegView:
        """The long leg's market."""
        return LegView(self, self.position.pair.long)

    @property
    def short(self) -> LegView:
        """The short leg's market."""
        return LegView(self, self.position.pair.short)

    @property
    def legs(self) -> LegsView:
        """What was read of the two legs: their signed quantities in tokens, prices and accrued funding."""
        self.require("legs")
        return LegsView(self)

    @property
    def opportunities(self) -> tuple[Opportunity, ...]:
        """The other pairs that may be opened now, the largest divergence first, without the held pair.

        Of the position's symbol, or of every symbol if the rule needs `all_symbols`. None but the held pair's reverse
        is unknown where the source could not list any.
        """
        self.require("opportunities")
        book = self.snapshot.book
        everywhere = self._needs is not None and self._needs.all_symbols
        symbol = None if everywhere else self.position.symbol
        ranked = book.ranked(symbol)
        held = self.position.pair
        found = tuple(
            book.opportunity(pair) for _, pair in ranked if pair != held and self.targets.refusal(pair) is None
        )
        reverse = (held.symbol, held.short_dex, held.long_dex)
        if all(one.pair == reverse for one in found) and (missing := book.opportunity_gaps(symbol)):
            raise UnknownValueError(missing)
        return found

    @property
    def observations(self) -> tuple[Quote, ...]:
        """Past and present quotes of the two legs up to `now`, in order of time."""
        self.require("observations")
        return self.snapshot.observed((self.position.pair.long, self.position.pair.short))
