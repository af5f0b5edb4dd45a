"""Close whole days, in rounds: what accounts had at their ends, and the books' totals."""

from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.money import check_currency
from chassis.paging import Page
from chassis.work import Transaction

from billing.domain.snapshot import DayClosed, Snapshot, day_from_text, next_day
from billing.store import Connection
from billing.store.snapshot import (
    begin_day,
    close_round,
    closing,
    day_for_update,
    end_day,
    last_closed_day,
    list_snapshots,
)

ACCOUNTS_PER_ROUND = 5000


class Closing(NamedTuple):
    """What a round of closing came to."""

    snapshots: tuple[Snapshot, ...]
    more: bool


async def close_days(
    transaction: Transaction, as_of: datetime, calendar: Calendar, *, accounts: int = ACCOUNTS_PER_ROUND
) -> Closing:
    """One round: goes on with the day that is being closed, or begins the next that has ended by `as_of`."""
    connection = transaction.connection
    day = await day_for_update(connection)
    if day is None:
        day = next_day(await last_closed_day(connection), as_of, calendar)
        if day is None or not await begin_day(connection, day):
            return Closing((), more=False)
    if await close_round(connection, day, accounts):
        return Closing((), more=True)
    snapshots = await end_day(connection, day, transaction.recorded_at)
    for snapshot in snapshots:
        transaction.emit(
            DayClosed(
                day=snapshot.day,
                balances=snapshot.balances,
                accounts=snapshot.accounts,
                occurred_at=day.span.end,
            )
        )
    return Closing(tuple(snapshots), more=True)


async def days_to_close(connection: Connection, as_of: datetime, calendar: Calendar) -> bool:
    """Whether a day that has ended by `as_of` is not closed yet."""
    return await closing(connection) or next_day(await last_closed_day(connection), as_of, calendar) is not None


async def snapshots_page(connection: Connection, currency: str, page: Page) -> list[Snapshot]:
    """One more than the page holds, the newest day first."""
    before = None
    if page.after is not None:
        day, _, of = page.after.partition(" ")
        before = day_from_text("page_token", day), check_currency("page_token", of)
    return await list_snapshots(connection, currency, before=before, limit=page.wanted)


def snapshot_key(snapshot: Snapshot) -> str:
    """A snapshot's place in the list."""
    return f"{snapshot.day.isoformat()} {snapshot.balances.currency}"
