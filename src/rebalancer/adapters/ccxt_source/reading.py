"""From rows of ccxt's answers to a quote, and to what is missing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

from ...domain.funding import FundingRate
from ...domain.market import Quote
from ...domain.missing import MARK_PRICE, OPEN_INTEREST, RATE, SCHEDULE, VOLUME, Missing
from ...domain.names import Market
from ...domain.needs import Needs
from ...domain.venues import VenueFacts
from ...errors import InputError
from .dialects import Call, Datum, Dialect, product, scaled, total
from .failure import Failure
from .perpetuals import Perpetual

T = TypeVar("T")


class Row(NamedTuple):
    """A row of an answer, and when the answer came."""

    data: Any
    at: datetime


Answers = Mapping[Call, Mapping[str, Row | Failure]]
"""What each call answered, by ccxt's symbol. What is not in it was not asked, or is not in the answer."""


class Reader:
    """Reads one perpetual in the dialect of its venue."""

    def __init__(
        self, market: Market, perpetual: Perpetual, dialect: Dialect, facts: VenueFacts | None, answers: Answers
    ) -> None:
        self._market = market
        self._perpetual = perpetual
        self._dialect = dialect
        self._facts = facts
        self._answers = answers

    def quote(self, needs: Needs, *, origin: str) -> tuple[Quote | None, tuple[Missing, ...]]:
        """The quote, or None without a rate that is known; and what is missing of what is needed."""
        missing: list[Missing] = []

        def attempt(field: str, read: Callable[[], T | None], *, needed: bool) -> T | None:
            why = "the venue does not give it, or ccxt does not"
            try:
                value = read()
            except Exception as error:  # answers have any shape: one datum must not cost the others
                value, why = None, Failure.of(error).why
            if value is None and needed:
                missing.append(Missing(field=field, why=why, venue=self._market.venue, symbol=self._market.symbol))
            return value

        quote = attempt(RATE, lambda: self._bare(origin), needed=True)
        if quote is not None:
            schedule = needs.schedule and quote.pays_seconds > 0
            quote = attempt(SCHEDULE, partial(self._with_next_payment, quote), needed=schedule) or quote
            quote = attempt(MARK_PRICE, partial(self._with_mark_price, quote), needed=needs.mark_price) or quote
            quote = attempt(OPEN_INTEREST, partial(self._with_interest, quote), needed=needs.open_interest) or quote
            quote = attempt(VOLUME, partial(self._with_volume, quote), needed=needs.volume) or quote
        return quote, tuple(missing)

    def _bare(self, origin: str) -> Quote:
        value = self._look(self._dialect.rate)
        if value is None:
            raise InputError("the venue gives no rate")
        interval = self._interval()
        return Quote(
            venue=self._market.venue,
            symbol=self._market.symbol,
            rate=FundingRate(value, interval),
            observed_at=self._look(self._dialect.observed_at) or self._seen,
            kind=self._dialect.kind,
            pays_every=self._pays_every(interval),
            origin=origin,
        )

    def _interval(self) -> timedelta:
        """A fact about this very market, else what the venue says, else what holds for all its perpetuals."""
        facts = self._facts
        told = None if facts is None else facts.quoted_over
        own = told if facts is not None and facts.symbol is not None else None
        interval = own or self._look(self._dialect.interval) or told
        if not interval:
            raise InputError("nobody says over what interval the rate is: add a fact to the venue table")
        return interval

    def _pays_every(self, interval: timedelta) -> timedelta:
        """How often it pays: as often as the rate's `interval`, unless a fact says otherwise."""
        facts = self._facts
        if facts is None or (facts.rate_interval is None and facts.pays_every):
            return interval
        return facts.pays_every

    def _with_next_payment(self, quote: Quote) -> Quote | None:
        if self._facts is not None and (known := self._facts.next_payment(self._seen)) is not None:
            return quote.model_copy(update={"next_funding_at": known})
        given = [at for datum in self._dialect.next_payment if (at := self._look(datum)) is not None]
        ahead = [at for at in given if at > self._seen]
        if given and not ahead:
            raise InputError("the time that the venue gives is in the past")
        return quote.model_copy(update={"next_funding_at": min(ahead)}) if ahead else None

    def _with_mark_price(self, quote: Quote) -> Quote | None:
        """The price of one coin, also where a unit of the perpetual is a thousand."""
        price = self._look(self._dialect.mark_price)
        if price is None:
            return None
        return quote.model_copy(update={"mark_price": scaled(price, -self._perpetual.power)})

    def _with_interest(self, quote: Quote) -> Quote | None:
        interest = self._look(self._dialect.open_interest)
        if interest is None:
            return None
        if self._dialect.in_base:
            price = self._look(self._dialect.mark_price)
            if price is None:
                raise InputError("it is in coins, and there is no mark price")
            interest = product(interest, price)
        return quote.model_copy(update={"open_interest_usd": interest})

    def _with_volume(self, quote: Quote) -> Quote | None:
        parts = [self._look(datum) for datum in self._dialect.volume]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return quote.model_copy(update={"volume_24h_usd": total(known)})

    @property
    def _seen(self) -> datetime:
        """When the answer with the rate came."""
        answer = self._answers[self._dialect.rate.call][self._perpetual.id]
        assert isinstance(answer, Row)  # it is asked after the rate was read
        return answer.at

    def _look(self, datum: Datum[T] | None) -> T | None:
        """The datum; None if it was not asked for or is not there. Raises InputError if its call failed."""
        if datum is None:
            return None
        if datum.call is Call.MARKET:
            return datum.of(self._perpetual.market)
        answer = self._answers.get(datum.call, {}).get(self._perpetual.id)
        if isinstance(answer, Failure):
            raise InputError(answer.why)
        return None if answer is None else datum.of(answer.data)
