"""The use of quota benefits in two phases: a place is reserved, then used or given back."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType

from chassis.calendar import Calendar, Span
from chassis.errors import AlreadyExists, InvalidArgument, NotFound, Refusal

from member.domain.benefit import BenefitId, Quota
from member.domain.customer import CustomerId, PersonId
from member.domain.entitlement import EntitlementState, SourceId, benefits_at
from member.domain.text import line_violations

UseId = NewType("UseId", str)

MAX_NOTE_CHARACTERS = 200
LONGEST_RESERVATION = timedelta(days=400)


class BenefitNotHeld(NotFound):
    """At that instant the customer holds no quota benefit of this name (from this source)."""

    def __init__(self, customer_id: CustomerId, benefit_id: BenefitId) -> None:
        super().__init__("the customer does not hold this benefit then", customer_id=customer_id, benefit_id=benefit_id)


class BenefitUsedUp(Refusal):
    """Everything that the quota allows in the period is used or reserved."""

    def __init__(self, benefit_id: BenefitId, renews_at: datetime) -> None:
        super().__init__(
            "everything that the quota allows in this period is used or reserved",
            benefit_id=benefit_id,
            renews_at=renews_at.isoformat(),
        )


class BenefitUseNotFound(NotFound):
    """No use of this customer has this id."""

    def __init__(self, use_id: UseId) -> None:
        super().__init__("the customer has no such use of a benefit", use_id=use_id)


class BenefitUseKnown(AlreadyExists):
    """The request was carried out before, so long ago that its reply is no longer kept."""

    def __init__(self, use_id: UseId) -> None:
        super().__init__("this use was recorded before", use_id=use_id)


class BenefitReservationExpired(Refusal):
    """The reservation ended by itself before it was confirmed or released."""

    def __init__(self, use_id: UseId) -> None:
        super().__init__("the reservation has expired", use_id=use_id)


class BenefitUseEnded(Refusal):
    """The reservation was confirmed or released before."""

    def __init__(self, use_id: UseId, state: "UseState") -> None:
        super().__init__(f"the reservation has ended: it is {state.value}", use_id=use_id, state=state.value)


class UseState(StrEnum):
    """What became of a use; the first two take a place of the quota."""

    RESERVED = "reserved"
    USED = "used"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class BenefitUse:
    """One use. It counts in the period `span` around `occurred_at`; a reservation ends by itself at `expires_at`
    (exclusive), and `ended_at` says when it was confirmed, released or expired."""

    use_id: UseId
    customer_id: CustomerId
    person_id: PersonId
    source_id: SourceId
    benefit_id: BenefitId
    state: UseState
    span: Span
    occurred_at: datetime
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    note: str = ""

    def end(self, state: UseState, occurred_at: datetime) -> "BenefitUse":
        """The use after a reservation's end at an instant; BenefitUseEnded, BenefitReservationExpired."""
        if self.state is UseState.EXPIRED:
            raise BenefitReservationExpired(self.use_id)
        if self.state is not UseState.RESERVED or self.expires_at is None:
            raise BenefitUseEnded(self.use_id, self.state)
        if occurred_at >= self.expires_at:
            raise BenefitReservationExpired(self.use_id)
        return replace(self, state=state, ended_at=occurred_at)

    def expired(self) -> "BenefitUse":
        """The reservation after its own end."""
        return replace(self, state=UseState.EXPIRED, ended_at=self.expires_at)


@dataclass(frozen=True, slots=True)
class TakeBenefit:
    """Take a place of a quota: for good where `expires_at` is None, else until then. Without a source the first that
    has a place left gives it."""

    use_id: UseId
    customer_id: CustomerId
    person_id: PersonId
    benefit_id: BenefitId
    source_id: SourceId | None
    occurred_at: datetime
    expires_at: datetime | None
    note: str = ""

    def __post_init__(self) -> None:
        if self.expires_at is not None:
            if self.expires_at <= self.occurred_at:
                raise InvalidArgument("expires_at", "must be after occurred_at")
            if self.expires_at > self.occurred_at + LONGEST_RESERVATION:
                raise InvalidArgument(
                    "expires_at", f"must be at most {LONGEST_RESERVATION.days} days after occurred_at"
                )
        violations = list(line_violations("note", self.note, most=MAX_NOTE_CHARACTERS, optional=True))
        if violations:
            raise InvalidArgument.many(violations)


class Place(NamedTuple):
    """A quota of one customer in one period: what uses are counted by."""

    customer_id: CustomerId
    source_id: SourceId
    benefit_id: BenefitId
    span: Span


class Option(NamedTuple):
    """A quota that a wish could be met from, and how many uses it allows."""

    place: Place
    allowed: int


def options_of(wanted: TakeBenefit, state: EntitlementState, calendar: Calendar) -> list[Option]:
    """The quotas that the wish could be met from, in the order in which they are tried."""
    return [
        Option(
            Place(
                wanted.customer_id,
                source_id,
                benefit.benefit_id,
                calendar.span(benefit.terms.period, wanted.occurred_at),
            ),
            benefit.terms.uses,
        )
        for source_id, benefit in benefits_at(state, wanted.person_id, wanted.occurred_at)
        if benefit.benefit_id == wanted.benefit_id
        and isinstance(benefit.terms, Quota)
        and wanted.source_id in (None, source_id)
    ]


class QuotaBook:
    """The uses that take places of some quotas; wishes are decided one after the other.

    A reservation that has expired when somebody else wants its place is ended for good: it could not be confirmed
    any more, however late that is reported, or the place would be given twice.
    """

    def __init__(self, live: Iterable[BenefitUse]) -> None:
        self._live: defaultdict[Place, dict[UseId, BenefitUse]] = defaultdict(dict)
        self.taken: dict[UseId, BenefitUse] = {}
        self.expired: dict[UseId, BenefitUse] = {}
        for use in live:
            self._live[_place(use)][use.use_id] = use

    def take(self, wanted: TakeBenefit, options: Sequence[Option]) -> BenefitUse | Refusal:
        """The use, reserved or used; BenefitNotHeld, BenefitUsedUp."""
        if not options:
            return BenefitNotHeld(wanted.customer_id, wanted.benefit_id)
        for place, allowed in options:
            self._expire(place, wanted.occurred_at)
            live = self._live[place]
            if len(live) < allowed:
                use = live[wanted.use_id] = self.taken[wanted.use_id] = _use(wanted, place)
                return use
        return BenefitUsedUp(wanted.benefit_id, min(option.place.span.end for option in options))

    def _expire(self, place: Place, instant: datetime) -> None:
        live = self._live[place]
        for use in list(live.values()):
            if use.state is UseState.RESERVED and use.expires_at is not None and use.expires_at <= instant:
                self.expired[use.use_id] = live.pop(use.use_id).expired()


def _place(use: BenefitUse) -> Place:
    return Place(use.customer_id, use.source_id, use.benefit_id, use.span)


def _use(wanted: TakeBenefit, place: Place) -> BenefitUse:
    return BenefitUse(
        wanted.use_id,
        wanted.customer_id,
        wanted.person_id,
        place.source_id,
        place.benefit_id,
        UseState.USED if wanted.expires_at is None else UseState.RESERVED,
        place.span,
        wanted.occurred_at,
        expires_at=wanted.expires_at,
        note=wanted.note,
    )
