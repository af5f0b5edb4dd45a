"""Reconcile a closed day, take in providers' files, and settle what does not agree."""

from datetime import date, datetime
from typing import NamedTuple

from chassis.work import Transaction

from billing.domain.difference import DifferenceId, DifferenceResolved, FoundDifference, difference_not_found
from billing.domain.reconcile import ImportRecords, Reconciled
from billing.store import Connection
from billing.store.day_books import next_portion
from billing.store.difference import add_resolution, find_difference, list_differences
from billing.store.reconcile import (
    add_provider_records,
    compare_payments,
    compare_portion,
    compare_records,
    find_unbooked,
)
from billing.use_cases.difference import note_differences
from billing.use_cases.export import check_closed


class ResolveDifference(NamedTuple):
    """Wish to write down how a difference was settled."""

    difference_id: DifferenceId
    resolution: str
    occurred_at: datetime


async def import_records(transaction: Transaction, wanted: ImportRecords) -> int:
    """Takes in a provider's file, or a part of it; how many lines were new."""
    return await add_provider_records(transaction.connection, wanted, transaction.recorded_at)


async def reconcile_day(transaction: Transaction, day: date) -> Reconciled:
    """Compares a day, portion by portion of its accounts. Refuses DayNotClosed. What is found is noted once."""
    connection = transaction.connection
    closed = await check_closed(connection, day)
    compared, found = 0, []
    portion = await next_portion(connection, closed, None)
    while portion is not None:
        part = await compare_portion(connection, portion)
        compared += part.compared
        found += part.differences
        portion = await next_portion(connection, closed, portion.last)
    records = await compare_records(connection, closed)
    found += records.differences
    found += await find_unbooked(connection, closed)
    found += await compare_payments(connection, closed)
    await note_differences(transaction, found, closed.span.end)
    return Reconciled(compared + records.compared, len({each.difference_id for each in found}))


async def resolve_difference(transaction: Transaction, wanted: ResolveDifference) -> FoundDifference:
    """Writes down, once, how a difference was settled. Refuses DifferenceNotFound, DifferenceResolved."""
    connection = transaction.connection
    found = await find_difference(connection, wanted.difference_id)
    if found is None:
        raise difference_not_found(wanted.difference_id)
    at, recorded_at = wanted.occurred_at, transaction.recorded_at
    if not await add_resolution(connection, wanted.difference_id, wanted.resolution, at=at, recorded_at=recorded_at):
        raise DifferenceResolved(f"difference {wanted.difference_id} is settled", difference_id=wanted.difference_id)
    return found._replace(resolution=wanted.resolution)


async def differences_page(
    connection: Connection, day: date | None, *, resolved: bool, before: int | None, limit: int
) -> list[tuple[int, FoundDifference]]:
    """Differences with their numbers, newest first."""
    return await list_differences(connection, day, resolved=resolved, before=before, limit=limit)
