"""A run: every customer's score as of an instant, computed once, and never changed afterwards.

A run reads what had happened before `as_of` in business time. Purchases are known by business day, so a day that
`as_of` cuts into counts whole, and midnight belongs to the day it ends.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import NewType

from chassis.errors import InvalidArgument, NotFound, Refusal

from scoring.domain.band import BandCutoffs, ValueBand
from scoring.domain.bgnbd import BgNbdFit
from scoring.domain.gamma_gamma import GammaGammaFit
from scoring.domain.history import CustomerId, Summary
from scoring.domain.lifetime import ValueTerms

RunId = NewType("RunId", str)

# Names the rules that made a score; it changes with any rule that would change one.
MODEL_VERSION = "bgnbd-gammagamma-1"
DEFAULT_HORIZON_WEEKS = 39
MAX_HORIZON_WEEKS = 520
VALUE_HORIZON_WEEKS = 52


class RunNotFound(NotFound):
    """No run has this identity."""


class NoRunPublished(NotFound):
    """No run has been published yet, so there is no current one."""


class CustomerNotScored(NotFound):
    """The run has no score for this customer, who had bought nothing before its `as_of`."""


class NothingToScore(Refusal):
    """Nobody had bought anything before `as_of`."""


class SeveralCurrencies(Refusal):
    """Purchases came in several currencies and the request does not say which one to score."""


@dataclass(frozen=True, slots=True)
class StartRun:
    """The wish for a run; an empty currency means the only one there is, 0 weeks the usual horizon."""

    as_of: datetime
    horizon_weeks: int
    first_purchase_before: datetime | None
    currency: str


@dataclass(frozen=True, slots=True)
class RunTerms:
    """What a run is about. Equal terms on equal purchases give equal scores."""

    as_of: datetime
    until: date
    first_purchase_before: datetime | None
    first_purchase_until: date | None
    horizon_weeks: int
    annual_discount_bps: int
    currency: str

    @property
    def value_terms(self) -> ValueTerms:
        """Lifetime value looks a year ahead whatever the horizon of expected purchases."""
        return ValueTerms(VALUE_HORIZON_WEEKS, self.annual_discount_bps)


@dataclass(frozen=True, slots=True)
class Score:
    """One customer in one run. What a missing fit would have said is None; `position` is 1 for the most valuable."""

    summary: Summary
    position: int
    p_alive: float | None
    expected_purchases: float | None
    lifetime_value_minor: int | None
    recency_quintile: int
    frequency_quintile: int
    monetary_quintile: int
    percentile: float | None
    decile: int | None
    band: ValueBand | None
    lapsed: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunFigures:
    """What a run found out about everybody together; `note` says why a fit is missing."""

    customers: int
    purchases: int
    bg_nbd: BgNbdFit | None
    gamma_gamma: GammaGammaFit | None
    cutoffs: BandCutoffs | None
    note: str


@dataclass(frozen=True, slots=True)
class Run:
    """A stored run. `revision` is 0 until it is published and the number of its last publication from then on.

    `current` says whether it is the published run that counts now; at most one is.
    """

    run_id: RunId
    terms: RunTerms
    figures: RunFigures
    model_version: str
    recorded_at: datetime
    revision: int
    current: bool


@dataclass(frozen=True, slots=True)
class ScoredCustomer:
    """A score and the run it belongs to."""

    run: Run
    score: Score


@dataclass(frozen=True, slots=True)
class RunPublished:
    """Effect fact: a run became the current one."""

    run: Run
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The run."""
        return self.run.run_id


@dataclass(frozen=True, slots=True)
class CustomerScored:
    """State fact: a customer's score from now on. The highest revision holds, whatever order they come in."""

    scored: ScoredCustomer
    occurred_at: datetime
    revision: int

    @property
    def aggregate_id(self) -> CustomerId:
        """The customer."""
        return self.scored.score.summary.customer_id


def business_day(moment: datetime, zone: tzinfo) -> date:
    """The day that an instant belongs to in the operator's time zone."""
    return moment.astimezone(zone).date()


def last_day_before(moment: datetime, zone: tzinfo) -> date:
    """The last business day with any time before `moment`: midnight ends a day and does not begin to count the next."""
    return business_day(moment - timedelta(microseconds=1), zone)


def agree_terms(wish: StartRun, currencies: list[str], annual_discount_bps: int, zone: tzinfo) -> RunTerms:
    """The terms of a wished run, given the currencies that purchases came in.

    Raises `InvalidArgument` for a horizon outside 1 to 520 weeks and for a currency nobody bought in, `NothingToScore`
    without any purchase, `SeveralCurrencies` when the choice is not clear.
    """
    if not 0 <= wish.horizon_weeks <= MAX_HORIZON_WEEKS:
        raise InvalidArgument("horizon_weeks", f"must be from 1 to {MAX_HORIZON_WEEKS}, or 0 for the usual horizon")
    first_before = wish.first_purchase_before
    return RunTerms(
        as_of=wish.as_of,
        until=last_day_before(wish.as_of, zone),
        first_purchase_before=first_before,
        first_purchase_until=last_day_before(first_before, zone) if first_before else None,
        horizon_weeks=wish.horizon_weeks or DEFAULT_HORIZON_WEEKS,
        annual_discount_bps=annual_discount_bps,
        currency=_choose_currency(wish.currency, currencies),
    )


def _choose_currency(wished: str, currencies: list[str]) -> str:
    if not currencies:
        raise NothingToScore("no purchase has arrived yet")
    if wished:
        if wished not in currencies:
            raise InvalidArgument("currency", f"nobody bought anything in {wished}")
        return wished
    if len(currencies) > 1:
        raise SeveralCurrencies("say which currency to score", currencies=",".join(sorted(currencies)))
    return currencies[0]
