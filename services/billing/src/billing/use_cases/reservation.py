"""Reservations: set aside what there is, take what was used, free the rest."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import ledger
from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.money import Money
from chassis.work import Transaction

from billing.domain.account import Account, account_not_found
from billing.domain.bill import Bill
from billing.domain.ids import AccountId, ChargeId, CustomerId
from billing.domain.movement import Moved
from billing.domain.reservation import (
    Commit,
    Ending,
    Release,
    Renew,
    Reservation,
    ReservationExists,
    ReservationId,
    Reserve,
    reservation_exists,
    reservation_expired,
    reservation_not_found,
)
from billing.domain.standing import check_served
from billing.store import Connection
from billing.store.reservation import (
    Numbered,
    ReservationFilter,
    add_reservations,
    end_reservations,
    find_reservations,
    list_reservations,
    spendable_minor,
)
from billing.use_cases.account import owned_account
from billing.use_cases.movement import apply_movements, lock_accounts

Accounts = Mapping[AccountId, Account]


class Reserved(NamedTuple):
    """What was set aside, and what can be spent besides, after all that was asked for together."""

    reservation: Reservation
    spendable: Money


class Ended(NamedTuple):
    """A reservation that ended: `moved` is what ended it, `beyond` what took what was used beyond it."""

    reservation: Reservation
    moved: Moved
    beyond: Moved | None = None

    @property
    def last(self) -> Moved:
        """The account after it."""
        return self.beyond or self.moved

    @property
    def bill(self) -> Bill | None:
        """The bill that it caused."""
        return self.moved.bill or (self.beyond.bill if self.beyond else None)


class Renewed(NamedTuple):
    """A reservation that ended, and the next; None where nothing was left to grant."""

    ended: Ended
    next: Reservation | None


async def reserve(transaction: Transaction, wanted: Sequence[Reserve], calendar: Calendar) -> list[Reserved | Refusal]:
    """Refuses AccountNotFound, AccountSuspended, ReservationExists, InsufficientBalance, a wrong currency; each item
    alone."""
    connection = transaction.connection
    accounts = await lock_accounts(transaction, {each.account_id for each in wanted})
    taken = set(await find_reservations(connection, [each.reservation_id for each in wanted]))
    refusals = [_not_reservable(each, accounts, taken) for each in wanted]
    asked = [each for each, refusal in zip(wanted, refusals, strict=True) if refusal is None]
    moved = iter(await apply_movements(transaction, [each.movement() for each in asked], calendar, accounts=accounts))
    granted = [
        refusal if refusal is not None else _granted(each, next(moved), accounts)
        for each, refusal in zip(wanted, refusals, strict=True)
    ]
    made = [each for each in granted if isinstance(each, Reservation)]
    await add_reservations(connection, made, transaction.recorded_at)
    left = await spendable_minor(connection, {each.account_id for each in made})
    return [
        Reserved(each, accounts[each.account_id].money(left[each.account_id]))
        if isinstance(each, Reservation)
        else each
        for each in granted
    ]


async def commit_reservations(
    transaction: Transaction, wanted: Sequence[Commit], calendar: Calendar
) -> list[Ended | Refusal]:
    """Refuses ReservationNotFound, ReservationEnded, ReservationExpired, a wrong currency; each item alone, but for one
    that is found to have expired when what was used beyond it is taken already: that undoes the whole."""
    accounts, found = await _for_update(transaction, [each.reservation_id for each in wanted])
    chosen = [_ending(each, found) for each in wanted]
    endings = [each for each in chosen if isinstance(each, Ending)]
    movements = [movement for each in endings for movement in each.movements]
    moved = iter(await apply_movements(transaction, movements, calendar, accounts=accounts))
    outcomes = [
        each if isinstance(each, Refusal) else _ended(command, each, [next(moved) for _ in each.movements])
        for command, each in zip(wanted, chosen, strict=True)
    ]
    ended = [each.reservation for each in outcomes if isinstance(each, Ended)]
    await end_reservations(transaction.connection, ended)
    return outcomes


async def release_reservation(transaction: Transaction, wanted: Release, calendar: Calendar) -> Reservation:
    """Refuses ReservationNotFound, ReservationEnded, ReservationExpired."""
    accounts, found = await _for_update(transaction, [wanted.reservation_id])
    reservation = _open(wanted.reservation_id, found)
    movements = reservation.releasing(wanted.occurred_at).movements
    (moved,) = await apply_movements(transaction, movements, calendar, accounts=accounts)
    if isinstance(moved, Refusal):
        raise _in_our_words(reservation, moved)
    released = reservation.released(wanted.occurred_at)
    await end_reservations(transaction.connection, [released])
    return released


async def renew_reservation(transaction: Transaction, wanted: Renew, calendar: Calendar) -> Renewed:
    """Takes what was used and sets the next amount aside; what was used stays taken where nothing is left to grant, or
    where the account is suspended. Refuses what a commit refuses, and ReservationExists."""
    connection, commit = transaction.connection, wanted.commit
    accounts, found = await _for_update(transaction, [commit.reservation_id, wanted.next_reservation_id])
    reservation = _open(commit.reservation_id, found)
    ending = _committing(commit, reservation)
    following = wanted.next_for(reservation)
    refusal = _not_reservable(following, accounts, set(found) - {commit.reservation_id})
    if isinstance(refusal, ReservationExists):
        raise refusal
    movements = [*ending.movements, *([following.movement()] if refusal is None else [])]
    moved = await apply_movements(transaction, movements, calendar, accounts=accounts)
    ended = _ended(commit, ending, moved[: len(ending.movements)])
    if isinstance(ended, Refusal):
        raise ended
    granted = refusal or _granted(following, moved[-1], accounts)
    await end_reservations(connection, [ended.reservation])
    if isinstance(granted, Refusal):
        return Renewed(ended, None)
    await add_reservations(connection, [granted], transaction.recorded_at)
    return Renewed(ended, granted)


async def get_reservation(
    connection: Connection, reservation_id: ReservationId, customer_id: CustomerId | None
) -> Reservation:
    """Refuses ReservationNotFound, also for one of another than the named customer."""
    found = (await find_reservations(connection, [reservation_id])).get(reservation_id)
    if found is None:
        raise reservation_not_found(reservation_id)
    found.check_owner(customer_id)
    return found


async def reservations_page(
    connection: Connection, wanted: ReservationFilter, customer_id: CustomerId | None, *, before: int | None, limit: int
) -> list[Numbered]:
    """At most `limit` of those below a number, newest first. Refuses AccountNotFound."""
    await owned_account(connection, wanted.account_id, customer_id)
    return await list_reservations(connection, wanted, before=before, limit=limit)


def _not_reservable(wanted: Reserve, accounts: Accounts, taken: set[ReservationId]) -> Refusal | None:
    """Why nothing is set aside. The identifier of one that may be is taken by it."""
    account = accounts.get(wanted.account_id)
    if account is None:
        return account_not_found(wanted.account_id)
    try:
        account.check_amount(wanted.amount)
        check_served(account)
    except Refusal as refusal:
        return refusal
    if wanted.reservation_id in taken:
        return reservation_exists(wanted.reservation_id)
    taken.add(wanted.reservation_id)
    return None


def _granted(wanted: Reserve, moved: Moved | Refusal, accounts: Accounts) -> Reservation | Refusal:
    if isinstance(moved, ledger.SourceReused):
        return reservation_exists(wanted.reservation_id)
    if isinstance(moved, Refusal):
        return moved
    return wanted.granted(accounts[wanted.account_id].customer_id, moved.amount)


async def _for_update(
    transaction: Transaction, reservation_ids: Sequence[ReservationId]
) -> tuple[Accounts, dict[ReservationId, Reservation]]:
    """The reservations that exist, as they stand behind the locks of their accounts."""
    found = await find_reservations(transaction.connection, reservation_ids)
    accounts = await lock_accounts(transaction, {each.account_id for each in found.values()})
    return accounts, await find_reservations(transaction.connection, reservation_ids)


def _open(reservation_id: ReservationId, found: Mapping[ReservationId, Reservation]) -> Reservation:
    if reservation_id not in found:
        raise reservation_not_found(reservation_id)
    found[reservation_id].check_open()
    return found[reservation_id]


def _committing(wanted: Commit, reservation: Reservation) -> Ending:
    wanted.check_currency(reservation)
    return reservation.committing(wanted, (ChargeId(new_id()), ChargeId(new_id())))


def _ending(wanted: Commit, found: dict[ReservationId, Reservation]) -> Ending | Refusal:
    """How one of a batch ends; who comes second for the same finds it ended."""
    try:
        ending = _committing(wanted, _open(wanted.reservation_id, found))
    except Refusal as refusal:
        return refusal
    found[wanted.reservation_id] = ending.reservation.released(wanted.occurred_at)
    return ending


def _ended(wanted: Commit, ending: Ending, moved: Sequence[Moved | Refusal]) -> Ended | Refusal:
    first, *beyond = moved
    reservation = ending.reservation
    if isinstance(first, Refusal):
        refusal = _in_our_words(reservation, first)
        if any(isinstance(each, Moved) for each in beyond):
            raise refusal
        return refusal
    if not wanted.used.minor_units:
        return Ended(reservation.released(wanted.occurred_at), first)
    more = next((each for each in beyond if isinstance(each, Moved)), None)
    charge_id = ChargeId(first.movement.identity)
    taken = [first.amount, *([more.amount] if more else [])]
    return Ended(reservation.committed_with(wanted.used, taken, charge_id, wanted.occurred_at), first, more)


def _in_our_words(reservation: Reservation, refusal: Refusal) -> Refusal:
    """The ledger knows first that a reservation has reached its end."""
    return reservation_expired(reservation.reservation_id) if isinstance(refusal, ledger.HoldExpired) else refusal
