"""Reservations: an amount set aside for something that is being used, and taken as far as it was used.

As in online charging, what is granted may be less than what was asked for: then it is final, and the service ends with
it or goes on after a recharge. A reservation ends once: it is committed, released, or reaches its end.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, NewType

from chassis.errors import AlreadyExists, FieldViolation, InvalidArgument, NotFound, Refusal
from chassis.money import Money

from billing.domain.ids import AccountId, ChargeId, CustomerId, TransactionId
from billing.domain.movement import Capture, Debit, Free, Movement, MovementKind, SetAside, check_occurred_at

ReservationId = NewType("ReservationId", str)

VALIDITY_MAX = timedelta(days=1)


class ReservationNotFound(NotFound):
    """No such reservation, or not one of the customer named: the answer is the same."""


class ReservationExists(AlreadyExists):
    """The identifier of a reservation is in use."""


class ReservationEnded(Refusal):
    """The reservation was committed or released before."""


class ReservationExpired(Refusal):
    """The reservation reached its end: what was set aside is free again. What was used is charged by a charge."""


class ReservationState(StrEnum):
    """Where a reservation stands."""

    OPEN = "open"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Wish to set an amount aside: `minimum` at least, where it is named, or else whatever there is."""

    reservation_id: ReservationId
    account_id: AccountId
    amount: Money
    minimum: Money | None
    expires_at: datetime
    description: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        self.amount.positive("amount")
        if self.minimum is not None:
            self.minimum.positive("minimum")
            if self.minimum.currency != self.amount.currency:
                raise InvalidArgument("minimum.currency", "must be that of the amount")
            if self.minimum.minor_units > self.amount.minor_units:
                raise InvalidArgument("minimum.minor_units", "must not be more than the amount")
        check_validity(self.occurred_at, self.expires_at)

    def movement(self) -> Movement:
        """What sets it aside; the movement is named after the reservation."""
        least = self.minimum or Money(1, self.amount.currency)
        return Movement(
            identity=self.reservation_id,
            account_id=self.account_id,
            kind=MovementKind.RESERVATION,
            act=SetAside(self.amount, self.expires_at, at_least=least),
            note=self.description,
            occurred_at=self.occurred_at,
            about={"reservation_id": self.reservation_id},
        )

    def granted(self, customer_id: CustomerId, amount: Money) -> "Reservation":
        """The reservation of what was granted."""
        return Reservation(
            reservation_id=self.reservation_id,
            account_id=self.account_id,
            customer_id=customer_id,
            asked=self.amount,
            granted=amount,
            expires_at=self.expires_at,
            description=self.description,
            occurred_at=self.occurred_at,
            committed=Money(0, amount.currency),
            overrun=Money(0, amount.currency),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Wish to take what was used: 0 frees all of it, more than was granted takes what there is besides."""

    reservation_id: ReservationId
    used: Money
    occurred_at: datetime

    def __post_init__(self) -> None:
        self.used.not_negative("used")
        check_occurred_at(self.occurred_at)

    def check_currency(self, reservation: "Reservation") -> None:
        """Refuses an amount in another currency than the reservation's."""
        if self.used.currency != reservation.granted.currency:
            raise InvalidArgument("used.currency", f"must be {reservation.granted.currency}, that of the reservation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Wish to free what was set aside."""

    reservation_id: ReservationId
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """Wish to take what was used and to set the next amount aside, in one step."""

    commit: Commit
    next_reservation_id: ReservationId
    next_amount: Money
    expires_at: datetime

    def __post_init__(self) -> None:
        self.next_amount.positive("next_amount")
        if self.next_reservation_id == self.commit.reservation_id:
            raise InvalidArgument("next_reservation_id", "must be another than the one that ends")
        check_validity(self.commit.occurred_at, self.expires_at)

    def next_for(self, ended: "Reservation") -> Reserve:
        """The wish for the next reservation, of the same account and for the same thing."""
        return Reserve(
            reservation_id=self.next_reservation_id,
            account_id=ended.account_id,
            amount=self.next_amount,
            minimum=None,
            expires_at=self.expires_at,
            description=ended.description,
            occurred_at=self.commit.occurred_at,
        )


class Ending(NamedTuple):
    """How a reservation ends: the movements that do it, whose first ends it. The second takes what was used beyond."""

    reservation: "Reservation"
    movements: tuple[Movement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What was set aside, and what became of it. What was used beyond it and could not be taken is the overrun."""

    reservation_id: ReservationId
    account_id: AccountId
    customer_id: CustomerId
    asked: Money
    granted: Money
    expires_at: datetime
    description: str
    occurred_at: datetime
    committed: Money
    overrun: Money
    state: ReservationState = ReservationState.OPEN
    charge_id: ChargeId | None = None
    ended_at: datetime | None = None

    @property
    def final(self) -> bool:
        """Whether the balance allowed no more."""
        return self.granted.minor_units < self.asked.minor_units

    @property
    def hold(self) -> TransactionId:
        """The movement that set it aside."""
        return TransactionId(f"{MovementKind.RESERVATION}:{self.reservation_id}")

    def check_owner(self, customer_id: CustomerId | None) -> None:
        """Refuses ReservationNotFound for another customer's."""
        if customer_id is not None and customer_id != self.customer_id:
            raise reservation_not_found(self.reservation_id)

    def check_open(self) -> None:
        """Refuses ReservationExpired, ReservationEnded."""
        if self.state is ReservationState.EXPIRED:
            raise reservation_expired(self.reservation_id)
        if self.state is not ReservationState.OPEN:
            raise ReservationEnded(
                f"reservation {self.reservation_id} was {self.state} before",
                reservation_id=self.reservation_id,
                state=self.state,
            )

    def committing(self, wanted: Commit, charge_ids: tuple[ChargeId, ChargeId]) -> Ending:
        """How it ends with what was used. What was set aside is one charge, what was used beyond it another, so that
        each has its one transaction."""
        if not wanted.used.minor_units:
            return self.releasing(wanted.occurred_at)
        captured = min(wanted.used.minor_units, self.granted.minor_units)
        beyond = wanted.used.minor_units - captured
        taking = self._movement(charge_ids[0], Capture(self.hold, self._money(captured)), wanted.occurred_at)
        if not beyond:
            return Ending(self, (taking,))
        act = Debit(self._money(beyond), at_least=self._money(1))
        return Ending(self, (taking, self._movement(charge_ids[1], act, wanted.occurred_at)))

    def releasing(self, occurred_at: datetime) -> Ending:
        """How it ends unused."""
        movement = self._movement(self.reservation_id, Free(self.hold), occurred_at)
        return Ending(self, (movement._replace(kind=MovementKind.RESERVATION_RELEASE),))

    def committed_with(
        self, used: Money, taken: Iterable[Money], charge_id: ChargeId, ended_at: datetime
    ) -> "Reservation":
        """Ended, with what could be taken of what was used."""
        committed = sum(amount.minor_units for amount in taken)
        return replace(
            self,
            state=ReservationState.COMMITTED,
            committed=self._money(committed),
            overrun=self._money(used.minor_units - committed),
            charge_id=charge_id,
            ended_at=ended_at,
        )

    def released(self, ended_at: datetime) -> "Reservation":
        """Ended, with nothing taken."""
        return replace(self, state=ReservationState.RELEASED, ended_at=ended_at)

    def _movement(self, identity: str, act: Capture | Debit | Free, occurred_at: datetime) -> Movement:
        kind = MovementKind.CHARGE if isinstance(act, Debit) else MovementKind.RESERVATION_COMMIT
        return Movement(
            identity=identity,
            account_id=self.account_id,
            kind=kind,
            act=act,
            note=self.description,
            occurred_at=occurred_at,
            about={"reservation_id": self.reservation_id},
        )

    def _money(self, amount_minor: int) -> Money:
        return Money(amount_minor, self.granted.currency)


def check_validity(occurred_at: datetime, expires_at: datetime) -> None:
    """Refuses an end that does not follow within a day."""
    check_occurred_at(occurred_at)
    found = []
    if expires_at <= occurred_at:
        found.append(FieldViolation("expires_at", "must be after occurred_at"))
    if expires_at > occurred_at + VALIDITY_MAX:
        found.append(FieldViolation("expires_at", "must be at most a day after occurred_at"))
    if found:
        raise InvalidArgument.many(found)


def reservation_not_found(reservation_id: ReservationId) -> ReservationNotFound:
    """The one answer for a reservation that is missing or another's."""
    return ReservationNotFound(f"there is no reservation {reservation_id}", reservation_id=reservation_id)


def reservation_exists(reservation_id: ReservationId) -> ReservationExists:
    """The answer to a second one under its identifier."""
    return ReservationExists(f"reservation {reservation_id} exists", reservation_id=reservation_id)


def reservation_expired(reservation_id: ReservationId) -> ReservationExpired:
    """The answer after its end."""
    return ReservationExpired(f"reservation {reservation_id} reached its end", reservation_id=reservation_id)
