"""Charging for tests: the use cases of refunds and reservations, each in a transaction of its own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from billing.domain.charge import ChargeRecord, RefundCharge
from billing.domain.ids import AccountId, ChargeId
from billing.domain.movement import Moved
from billing.domain.reservation import Commit, Release, Renew, Reservation, ReservationId, Reserve
from billing.store.charge import find_charges
from billing.store.reservation import find_reservations
from billing.use_cases import reservation as reservations
from billing.use_cases.refund_charge import Refunded, refund_charges
from chassis.errors import Refusal
from chassis.work import Transaction

from services.billing.tests.factories import ACCOUNT, CALENDAR, OCCURRED_AT, Billing, charge, cny

T = TypeVar("T")


def reserving(
    reservation_id: str = "r-1",
    amount: int = 10_00,
    account_id: str = ACCOUNT,
    *,
    at: datetime = OCCURRED_AT,
    minimum: int | None = None,
) -> Reserve:
    """A wish for ten yuan, for an hour."""
    return Reserve(
        reservation_id=ReservationId(reservation_id),
        account_id=AccountId(account_id),
        amount=cny(amount),
        minimum=None if minimum is None else cny(minimum),
        expires_at=at + timedelta(hours=1),
        description="a call",
        occurred_at=at,
    )


def committing(reservation_id: str = "r-1", used: int = 10_00, *, at: datetime = OCCURRED_AT) -> Commit:
    """What was used."""
    return Commit(reservation_id=ReservationId(reservation_id), used=cny(used), occurred_at=at)


@dataclass(frozen=True, slots=True)
class Charging:
    """The use cases; one that is refused raises its refusal."""

    billing: Billing

    async def run(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        """One transaction."""
        return await self.billing.work.run(act)

    async def charge(self, amount: int = 10_00, account_id: str = ACCOUNT, *, at: datetime = OCCURRED_AT) -> Moved:
        """Takes a rated charge."""
        (moved,) = await self.billing.move(charge(amount, account_id, at=at))
        return accepted(moved)

    async def refund(self, *wanted: tuple[str, int | None]) -> list[Refunded | Refusal]:
        """Turns charges back, in one batch."""
        commands = [
            RefundCharge(
                charge_id=ChargeId(charge_id),
                amount=None if amount is None else cny(amount),
                reason="wrong price",
                occurred_at=OCCURRED_AT,
            )
            for charge_id, amount in wanted
        ]
        return await self.run(partial(_refund, commands))

    async def reserve(self, *wanted: Reserve) -> list[reservations.Reserved | Refusal]:
        """Sets amounts aside, in one batch."""
        return await self.run(lambda transaction: reservations.reserve(transaction, wanted, CALENDAR))

    async def commit(self, *wanted: Commit) -> list[reservations.Ended | Refusal]:
        """Takes what was used, in one batch."""
        return await self.run(lambda transaction: reservations.commit_reservations(transaction, wanted, CALENDAR))

    async def release(self, reservation_id: str = "r-1", *, at: datetime = OCCURRED_AT) -> Reservation:
        """Frees what was set aside."""
        wanted = Release(reservation_id=ReservationId(reservation_id), occurred_at=at)
        return await self.run(lambda transaction: reservations.release_reservation(transaction, wanted, CALENDAR))

    async def renew(self, used: int, following: Reserve, *, reservation_id: str = "r-1") -> reservations.Renewed:
        """Takes what was used and sets the next amount aside."""
        wanted = Renew(
            commit=committing(reservation_id, used, at=following.occurred_at),
            next_reservation_id=following.reservation_id,
            next_amount=following.amount,
            expires_at=following.expires_at,
        )
        return await self.run(lambda transaction: reservations.renew_reservation(transaction, wanted, CALENDAR))

    async def reservation(self, reservation_id: str = "r-1") -> Reservation:
        """As it stands."""
        async with self.billing.work.reading() as connection:
            return (await find_reservations(connection, [ReservationId(reservation_id)]))[ReservationId(reservation_id)]

    async def kept(self, charge_id: str) -> ChargeRecord:
        """A charge with what became of it."""
        async with self.billing.work.reading() as connection:
            return (await find_charges(connection, [ChargeId(charge_id)]))[ChargeId(charge_id)]


async def _refund(commands: list[RefundCharge], transaction: Transaction) -> list[Refunded | Refusal]:
    return await refund_charges(transaction, commands, CALENDAR)


def accepted(outcome: T | Refusal) -> T:
    """The outcome, which is no refusal."""
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome
